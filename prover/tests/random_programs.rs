//! Random programs over all operations: the honest witness satisfies the relations (read by an independent interpreter),
//! no value can be changed, and proofs verify. Programs whose tensors cannot be laid out are refused, never more.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faults.rs"]
mod faults;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::Honest;
use faults::all_columns;
use p3_field::PrimeCharacteristicRing;
use tiny::interpreter::violation;
use vinfer_circuits::field::F;
use vinfer_circuits::lower::{LowerError, Step};
use vinfer_circuits::system::Home;
use vinfer_prover::{ProveError, SetupError, prove, setup};

#[test]
fn random_programs() {
    let (mut proven, mut refused, mut unsatisfied, mut changes) = (0, 0, 0, 0);
    let count = std::env::var("VINFER_RANDOM_PROGRAMS").ok().and_then(|v| v.parse().ok()).unwrap_or(40);
    for seed in 1..=count {
        let program = tiny::random::program(seed);
        let key = match setup(&program) {
            Ok((key, _)) => key,
            Err(SetupError::Lower(LowerError::Shape { tensor })) => panic!("seed {seed}: {tensor} does not fit"),
            Err(SetupError::Lower(LowerError::TooLarge(e))) => panic!("seed {seed}: {e}"),
            Err(SetupError::Lower(_)) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        };
        let inputs = tiny::programs::inputs(&program, seed);
        // Some random floats leave the range of floats that proofs hold.
        match prove(&key, &inputs, [7; 32]) {
            Ok(_) => proven += 1,
            Err(ProveError::Unsatisfied { instance, .. }) => {
                let op = key.lowered().instances_of_op.iter().position(|&(a, b)| (a..b).contains(&instance));
                let op = &program.ops[op.unwrap()];
                assert!(matches!(op, vinfer_circuits::program::Op::Float(_)), "seed {seed}: {op:?}");
                unsatisfied += 1;
                continue;
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
        let honest = Honest::new(&program, inputs);
        honest.judge(&honest.statement, &honest.witness).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let system = &honest.witness.system;
        let mut columns = all_columns(&honest, &honest.witness);
        assert_eq!(violation(system, &columns), None, "seed {seed}");
        let mut rng = tiny::Rng::new(seed);
        for step in &honest.key.lowered().plan {
            let Step::Value { column, .. } = step else { continue };
            let column = *column as usize;
            if system.columns[column].home == Home::Public {
                continue;
            }
            let at = rng.range(0, columns[column].len() as i64 - 1) as usize;
            for delta in [F::ONE, -F::ONE, F::from_u64(rng.next() >> 1)] {
                let original = columns[column][at];
                columns[column][at] += delta;
                assert!(violation(system, &columns).is_some(), "seed {seed}: column {column} cell {at} {delta}");
                columns[column][at] = original;
                changes += 1;
            }
        }
    }
    println!("{proven} proven, {refused} refused, {unsatisfied} not representable, {changes} changes");
    assert!(proven > count / 2 && unsatisfied < count / 8, "{proven} {refused} {unsatisfied}");
}
