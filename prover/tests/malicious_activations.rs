//! A malicious prover of the operations between activations: changed cells of every witness column, false values of
//! products, false outputs. Nothing may be accepted.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faults.rs"]
mod faults;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::Honest;
use faults::{all_columns, deltas};
use p3_field::PrimeCharacteristicRing;
use tiny::Rng;
use tiny::interpreter::{self, indices, violation};
use tiny::programs::Builder;
use vinfer_circuits::field::F;
use vinfer_circuits::lower::{FloatForm, Step};
use vinfer_circuits::ops::{MatMul, Requant};
use vinfer_circuits::program::{IntType, Op, Program};
use vinfer_circuits::statement::raw_tensor;
use vinfer_circuits::system::{Home, Source};
use vinfer_prover::{Witness, count_multiplicities, prove_witness};
use vinfer_verifier::RejectReason;

fn honest(program: &Program, seed: u64) -> Honest {
    let honest = Honest::new(program, tiny::programs::inputs(program, seed));
    honest.judge(&honest.statement, &honest.witness).unwrap();
    honest
}

/// A refusal of a proof that is consistent in itself.
fn false_statement(reason: Option<RejectReason>) -> bool {
    use RejectReason::{Contraction, LogupLayer, LogupRoot, PublicClaim};
    matches!(reason, Some(LogupRoot | LogupLayer { .. } | Contraction | PublicClaim { .. }))
}

fn judged(honest: &Honest, witness: &mut Witness) -> Option<RejectReason> {
    count_multiplicities(&honest.key, witness);
    honest.judge(&honest.statement, witness).err()
}

/// Columns whose cells a zero result leaves open: the magnitude that its sign erases, and what belongs to it.
fn open_hints(honest: &Honest) -> Vec<usize> {
    let mut open = Vec::new();
    for step in &honest.key.lowered().plan {
        let Step::Float(step) = step else { continue };
        if let FloatForm::Sum { round, .. }
        | FloatForm::Product { round, .. }
        | FloatForm::Quotient { round, .. }
        | FloatForm::Squares { round, .. }
        | FloatForm::Mean { round, .. } = &step.form
        {
            open.push(round.magnitude as usize);
        }
    }
    open
}

#[test]
fn one_changed_cell() {
    let (mut changes, mut proofs) = (0, 0);
    for (name, program) in tiny::activations::all(51) {
        let honest = honest(&program, 3);
        let system = &honest.witness.system;
        let mut columns = all_columns(&honest, &honest.witness);
        assert_eq!(violation(system, &columns), None, "{name}");
        let open = open_hints(&honest);
        let mut rng = Rng::new(99);
        let multiplicity = |c: usize| system.tables.iter().any(|t| t.multiplicity as usize == c);
        for column in 0..system.columns.len() {
            let home = system.columns[column].home;
            if home == Home::Constants || multiplicity(column) {
                continue;
            }
            let cells = columns[column].len();
            let proven = rng.range(0, 7);
            for at in [rng.range(0, cells as i64 - 1) as usize, cells - 1] {
                for (kind, delta) in deltas(columns[column][at], &mut rng).into_iter().enumerate() {
                    if delta == F::ZERO {
                        continue;
                    }
                    changes += 1;
                    let what = format!("{name}: column {column} cell {at} delta {kind}");
                    let original = columns[column][at];
                    columns[column][at] += delta;
                    let broken = violation(system, &columns).is_some();
                    columns[column][at] = original;
                    if !broken && open.contains(&column) {
                        continue;
                    }
                    assert!(broken || home == Home::Public, "{what}: no lookup fails");
                    if !broken || (at == cells - 1 && kind as i64 == proven && column % 4 == 0) {
                        proofs += 1;
                        let mut witness = honest.witness.clone();
                        witness.columns[column][at] += delta;
                        let reason = judged(&honest, &mut witness);
                        // A public cell that nothing reads does not enter the proof at all.
                        let unread = || prove_witness(&honest.key, &honest.statement, &witness) == honest.proof();
                        assert!(false_statement(reason) || home == Home::Public && unread(), "{what}: {reason:?}");
                    }
                }
            }
        }
    }
    println!("{changes} changes, {proofs} proofs");
    assert!(changes > 4000 && proofs > 40, "{changes} {proofs}");
}

#[test]
fn false_values_of_products() {
    let mut proofs = 0;
    for (name, program) in tiny::activations::all(52) {
        let honest = honest(&program, 4);
        let system = &honest.witness.system;
        let columns = all_columns(&honest, &honest.witness);
        let mut seen = 0;
        for (instance, inst) in system.instances.iter().enumerate() {
            for (position, source) in inst.sources.iter().enumerate() {
                let Source::Product { .. } = source else { continue };
                seen += 1;
                if seen % 5 != 1 {
                    continue;
                }
                let values: Vec<F> = indices(&inst.dims)
                    .iter()
                    .map(|index| interpreter::source(system, &columns, inst, source, index))
                    .collect();
                for (at, delta) in [(0, F::ONE), (values.len() - 1, F::from_u64(1 << 33))] {
                    let mut witness = honest.witness.clone();
                    let stored = &mut witness.contractions[instance];
                    stored.retain(|(s, _)| *s as usize != position);
                    let mut changed = values.clone();
                    changed[at] += delta;
                    stored.push((position as u16, changed));
                    proofs += 1;
                    let what = format!("{name}: instance {instance} source {position} cell {at}");
                    assert!(false_statement(judged(&honest, &mut witness)), "{what}");
                }
            }
        }
    }
    assert!(proofs > 30, "{proofs}");
}

#[test]
fn a_false_product_with_the_output_that_fits_it() {
    // Only the sumcheck can tell: the output is the accumulator itself.
    let mut b = Builder::new(1);
    let (x, w) = (b.input(&[1, 2, 3]), b.input(&[1, 3, 2]));
    let output = b.value(&[1, 2, 2], 0, IntType::I32);
    b.program.ops.push(Op::MatMul(MatMul { a: x, b: w, output, requant: Requant::Exact }));
    let port = b.port(output);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    let program = b.program;
    let honest = honest(&program, 5);
    let port = &honest.key.lowered().system.outputs[0];
    for at in 0..4 {
        for delta in [1, -1, 1000] {
            let mut outputs = honest.outputs[0].clone();
            outputs[at] += delta;
            let mut statement = honest.statement.clone();
            statement.outputs[0] = raw_tensor(&outputs, port).unwrap();
            let mut witness = honest.witness.clone();
            let step = vinfer_circuits::field::from_i64(delta.into());
            witness.columns[port.column as usize][at] += step;
            let stored = witness.contractions.iter_mut().flatten().next().unwrap();
            stored.1[at] += step;
            assert_eq!(count_multiplicities(&honest.key, &mut witness), None);
            assert_eq!(honest.judge(&statement, &witness), Err(RejectReason::Contraction), "{at} {delta}");
        }
    }
}

#[test]
fn false_outputs() {
    let mut proofs = 0;
    for (name, program) in tiny::activations::all(53) {
        let honest = honest(&program, 7);
        for (port, p) in honest.key.lowered().system.outputs.iter().enumerate() {
            let len = honest.outputs[port].len();
            for (at, delta) in [(0, 1), (len - 1, -1), (len / 2, 1 << 7)] {
                let mut outputs = honest.outputs[port].clone();
                outputs[at] = outputs[at].wrapping_add(delta);
                let Some(raw) = raw_tensor(&outputs, p) else { continue };
                let mut statement = honest.statement.clone();
                statement.outputs[port] = raw;
                proofs += 1;
                let reason = honest.judge(&statement, &honest.witness).err();
                assert!(matches!(reason, Some(RejectReason::PublicClaim { .. })), "{name}: {port} {at}: {reason:?}");
            }
        }
    }
    assert!(proofs > 30, "{proofs}");
}

#[test]
fn wrong_multiplicities() {
    for (name, program) in tiny::activations::all(54) {
        let honest = honest(&program, 4);
        for (table, t) in honest.key.lowered().system.tables.iter().enumerate().step_by(3) {
            let mut witness = honest.witness.clone();
            let cells = &mut witness.columns[t.multiplicity as usize];
            let used = cells.iter().position(|&c| c != F::ZERO).unwrap_or(0);
            cells[used] += F::ONE;
            assert_eq!(
                honest.judge(&honest.statement, &witness),
                Err(RejectReason::LogupRoot),
                "{name}: table {table}"
            );
        }
    }
}
