//! A malicious prover: every cell of every witness column of tiny programs that cover each primitive is changed, and a
//! proof is made from the changed witness. Nothing may be accepted.
//!
//! No changed witness is valid for the statement: the tiny programs end in an injective table, so every value is
//! determined by the public input, every hint by its value (`circuits/tests/relations.rs`), and every multiplicity by
//! the lookups. An independent interpreter confirms for every single change that some lookup has no table row; proofs
//! are then made for a sample of the changes, and for all faults that keep the relation true modulo p.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faults.rs"]
mod faults;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::Honest;
use faults::{all_columns, deltas, smart_faults, with};
use p3_field::PrimeCharacteristicRing;
use tiny::Rng;
use tiny::interpreter::{signed, violation};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{RequantForm, RequantStep, Step};
use vinfer_circuits::statement::{Statement, raw_tensor};
use vinfer_circuits::system::Home;
use vinfer_prover::{Witness, count_multiplicities};
use vinfer_verifier::RejectReason;

/// Proofs made and refused.
#[derive(Debug, Default)]
struct Tally {
    changes: usize,
    proofs: usize,
    survivors: Vec<String>,
}

impl Tally {
    /// Proves a changed witness and expects a refusal.
    fn attack(
        &mut self,
        what: &str,
        honest: &Honest,
        statement: &Statement,
        witness: &Witness,
    ) -> Option<RejectReason> {
        self.proofs += 1;
        match honest.judge(statement, witness) {
            Ok(_) => {
                self.survivors.push(what.to_owned());
                None
            }
            Err(reason) => Some(reason),
        }
    }

    /// Like `attack`, after counting the multiplicities of the changed witness as well as that can be done.
    fn attack_counted(&mut self, what: &str, honest: &Honest, statement: &Statement, mut witness: Witness) {
        count_multiplicities(&honest.key, &mut witness);
        if let Some(reason) = self.attack(what, honest, statement, &witness) {
            // The arguments are consistent in themselves; only what they are about is false.
            assert!(
                matches!(
                    reason,
                    RejectReason::LogupRoot
                        | RejectReason::LogupLayer { .. }
                        | RejectReason::Contraction
                        | RejectReason::PublicClaim { .. }
                ),
                "{what}: {reason:?}"
            );
        }
    }

    fn finish(self) {
        println!("{} changes, {} proofs, {} survivors", self.changes, self.proofs, self.survivors.len());
        assert_eq!(self.survivors, Vec::<String>::new());
    }
}

fn honest(program: &vinfer_circuits::program::Program, seed: u64) -> Honest {
    let honest = Honest::new(program, tiny::programs::inputs(program, seed));
    honest.judge(&honest.statement, &honest.witness).unwrap();
    honest
}

fn is_multiplicity(honest: &Honest, column: usize) -> bool {
    honest.key.lowered().system.tables.iter().any(|t| t.multiplicity as usize == column)
}

#[test]
fn one_changed_cell() {
    let mut tally = Tally::default();
    for (name, program) in tiny::programs::all(21) {
        let honest = honest(&program, 3);
        let system = &honest.key.lowered().system;
        let constants = all_columns(&honest, &honest.witness);
        assert_eq!(violation(system, &constants), None, "{name}");
        let mut rng = Rng::new(99);
        for column in 0..system.columns.len() {
            let home = system.columns[column].home;
            if home == Home::Constants || is_multiplicity(&honest, column) {
                continue;
            }
            let cells = honest.witness.columns[column].len();
            let sampled = [rng.range(0, cells as i64 - 1) as usize, cells - 1];
            for at in 0..cells {
                let original = honest.witness.columns[column][at];
                for (kind, delta) in deltas(original, &mut rng).into_iter().enumerate() {
                    if delta == F::ZERO {
                        continue;
                    }
                    tally.changes += 1;
                    let what = format!("{name}: column {column} cell {at} delta {kind}");
                    let mut witness = honest.witness.clone();
                    witness.columns[column][at] += delta;
                    let broken = violation(system, &{
                        let mut columns = constants.clone();
                        columns[column][at] += delta;
                        columns
                    });
                    // A public cell may stay consistent with all lookups, but not with the statement.
                    let must_try = broken.is_none();
                    if must_try {
                        assert_eq!(home, Home::Public, "{what}: no lookup fails");
                    }
                    if must_try || (sampled.contains(&at) && kind % 3 == at % 3) {
                        tally.attack_counted(&what, &honest, &honest.statement, witness);
                    }
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn wrong_multiplicities() {
    let mut tally = Tally::default();
    for (name, program) in tiny::programs::all(22) {
        let honest = honest(&program, 4);
        for (table, t) in honest.key.lowered().system.tables.iter().enumerate() {
            let cells = &honest.witness.columns[t.multiplicity as usize];
            let used: Vec<usize> = (0..cells.len()).filter(|&i| cells[i] != F::ZERO).collect();
            let unused = (0..cells.len()).find(|&i| cells[i] == F::ZERO);
            for (row, change) in [
                (used.first().copied(), F::ONE),
                (used.last().copied(), -F::ONE),
                (used.get(used.len() / 2).copied(), F::from_u64(1 << 63)),
                (unused, F::ONE),
                (unused, -F::ONE),
            ] {
                let Some(row) = row else { continue };
                let mut witness = honest.witness.clone();
                witness.columns[t.multiplicity as usize][row] += change;
                let what = format!("{name}: table {table} row {row}");
                let reason = tally.attack(&what, &honest, &honest.statement, &witness);
                assert!(matches!(reason, Some(RejectReason::LogupRoot)), "{what}: {reason:?}");
            }
            let mut witness = honest.witness.clone();
            witness.columns[t.multiplicity as usize].fill(F::ZERO);
            tally.attack(&format!("{name}: table {table} zeroed"), &honest, &honest.statement, &witness);
        }
    }
    tally.finish();
}

#[test]
fn hints_that_keep_the_linear_relation() {
    let mut tally = Tally::default();
    for (name, program) in tiny::programs::all(23) {
        let honest = honest(&program, 5);
        let system = &honest.key.lowered().system;
        for step in &honest.key.lowered().plan {
            let Step::Requant(step) = step else { continue };
            let cells: usize = system.instances[step.instance as usize].dims.iter().map(|&d| d as usize).product();
            for at in [0, cells / 2, cells - 1] {
                for (fault, witness) in smart_faults(&honest, step, at) {
                    tally.changes += 1;
                    let what = format!("{name}: instance {} cell {at}: {fault}", step.instance);
                    let broken = violation(system, &all_columns(&honest, &witness));
                    assert!(broken.is_some(), "{what}: the relation still holds");
                    tally.attack_counted(&what, &honest, &honest.statement, witness);
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn false_contraction_values() {
    let mut tally = Tally::default();
    for (name, program) in tiny::programs::all(24) {
        let honest = honest(&program, 6);
        for instance in 0..honest.witness.contractions.len() {
            for source in 0..honest.witness.contractions[instance].len() {
                let cells = honest.witness.contractions[instance][source].1.len();
                for (at, delta) in [(0, F::ONE), (cells / 2, -F::ONE), (cells - 1, F::from_u64(1 << 33))] {
                    tally.changes += 1;
                    let mut witness = honest.witness.clone();
                    witness.contractions[instance][source].1[at] += delta;
                    let what = format!("{name}: instance {instance} source {source} cell {at}");
                    tally.attack_counted(&what, &honest, &honest.statement, witness);
                }
            }
        }
        // A false accumulator with hints that fit it: only the contraction sumcheck can tell.
        for step in &honest.key.lowered().plan {
            let Step::Requant(RequantStep { instance, form: RequantForm::Line { limbs, limb_bits, .. }, .. }) = step
            else {
                continue;
            };
            let slot = *instance as usize;
            let Some(&(source, ref cells)) = honest.witness.contractions[slot].first() else { continue };
            let Some(&low) = limbs.first() else { continue };
            let limit = F::from_u64((1 << limb_bits) - 1);
            let Some(at) = (0..cells.len()).find(|&at| honest.witness.columns[low as usize][at] != limit) else {
                continue;
            };
            tally.changes += 1;
            let mut witness = honest.witness.clone();
            witness.contractions[slot][0].1[at] += F::ONE;
            witness.columns[low as usize][at] += F::ONE;
            assert_eq!(count_multiplicities(&honest.key, &mut witness), None);
            let what = format!("{name}: instance {slot} source {source}: accumulator and limb");
            let reason = tally.attack(&what, &honest, &honest.statement, &witness);
            assert_eq!(reason, Some(RejectReason::Contraction), "{what}");
        }
    }
    tally.finish();
}

/// Index in a column, row-major, of element `at` of its tensor; `order` lists the column's axes in logical order.
fn place(dims: &[u32], order: &[u8], at: usize) -> usize {
    let (mut rest, mut index) = (at, vec![0usize; dims.len()]);
    for &axis in order.iter().rev() {
        let size = dims[usize::from(axis)] as usize;
        index[usize::from(axis)] = rest % size;
        rest /= size;
    }
    index.iter().zip(dims).fold(0, |sum, (&i, &size)| sum * size as usize + i)
}

#[test]
fn false_outputs() {
    let mut tally = Tally::default();
    for (name, program) in tiny::programs::all(25) {
        let honest = honest(&program, 7);
        let ports = &honest.key.lowered().system.outputs;
        for (port, p) in ports.iter().enumerate() {
            for at in 0..honest.outputs[port].len().min(6) {
                for delta in [1, -1, 100] {
                    let mut outputs = honest.outputs[port].clone();
                    outputs[at] += delta;
                    let Some(raw) = raw_tensor(&outputs, p) else { continue };
                    tally.changes += 1;
                    let mut statement = honest.statement.clone();
                    statement.outputs[port] = raw;
                    let what = format!("{name}: output {port} element {at} {delta:+}");
                    // The witness stays honest: the claim on the public column fails.
                    let reason = tally.attack(&what, &honest, &statement, &honest.witness);
                    assert!(matches!(reason, Some(RejectReason::PublicClaim { .. })), "{what}: {reason:?}");
                    // The witness follows the false output: the lookup fails.
                    let column = p.column;
                    let at_column = place(&honest.key.lowered().system.columns[column as usize].dims, &p.order, at);
                    let value = honest.witness.columns[column as usize][at_column];
                    assert_eq!(signed(value), i64::from(honest.outputs[port][at]));
                    let witness = with(&honest.witness, column, at_column, value + from_i64(delta.into()));
                    tally.attack_counted(&what, &honest, &statement, witness);
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn false_maxima() {
    let mut tally = Tally::default();
    let (_, program) = tiny::programs::all(26).into_iter().find(|p| p.0 == "max pool").unwrap();
    let honest = honest(&program, 8);
    let system = &honest.key.lowered().system;
    for step in &honest.key.lowered().plan {
        let Step::Max { instance, .. } = step else { continue };
        let inst = &system.instances[*instance as usize];
        let (a, b, y) = (&inst.sources[0], &inst.sources[1], &inst.sources[2]);
        let vinfer_circuits::system::Source::Column { column, .. } = y else { panic!("result is a column") };
        let columns = all_columns(&honest, &honest.witness);
        for (at, index) in tiny::interpreter::indices(&inst.dims).iter().enumerate() {
            // The smaller operand, the larger plus one, the sum, and both with p-wraparound.
            let read = |s| tiny::interpreter::source(system, &columns, inst, s, index);
            let (a, b, honest_y) = (read(a), read(b), honest.witness.columns[*column as usize][at]);
            for false_y in [a, b, honest_y + F::ONE, a + b, a - b, -honest_y] {
                if false_y == honest_y {
                    continue;
                }
                tally.changes += 1;
                let witness = with(&honest.witness, *column, at, false_y);
                let mut changed = columns.clone();
                changed[*column as usize][at] = false_y;
                assert!(violation(system, &changed).is_some(), "instance {instance} cell {at}");
                if at % 5 == 0 {
                    let what = format!("max: instance {instance} cell {at}");
                    tally.attack_counted(&what, &honest, &honest.statement, witness);
                }
            }
        }
    }
    tally.finish();
}

#[test]
fn sampled_cells_of_a_real_model() {
    let mut tally = Tally::default();
    let program = common::program("digits_cnn_int8");
    let honest = Honest::new(&program, common::inputs("digits_cnn_int8", &program, 0));
    let mut rng = Rng::new(5);
    for column in 0..honest.witness.columns.len() {
        if honest.witness.columns[column].is_empty() {
            continue;
        }
        for _ in 0..6 {
            let at = rng.range(0, honest.witness.columns[column].len() as i64 - 1) as usize;
            let choices = deltas(honest.witness.columns[column][at], &mut rng);
            let delta = choices[rng.range(0, choices.len() as i64 - 1) as usize];
            if delta == F::ZERO {
                continue;
            }
            tally.changes += 1;
            let mut witness = honest.witness.clone();
            witness.columns[column][at] += delta;
            let what = format!("digits_cnn: column {column} cell {at}");
            if is_multiplicity(&honest, column) {
                tally.attack(&what, &honest, &honest.statement, &witness);
            } else {
                tally.attack_counted(&what, &honest, &honest.statement, witness);
            }
        }
    }
    tally.finish();
}
