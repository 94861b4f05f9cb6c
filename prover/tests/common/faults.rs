//! Faults of a malicious prover: changes of cells, and changes of hints that keep the relation true modulo p.
#![allow(dead_code)]

use p3_field::{Field, PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{RequantForm, RequantStep};
use vinfer_circuits::system::TableRows;
use vinfer_prover::Witness;

use crate::common::honest::Honest;
use crate::tiny::Rng;
use crate::tiny::interpreter::Columns;

/// All columns of a witness with the constants.
pub(crate) fn all_columns(honest: &Honest, witness: &Witness) -> Columns {
    let mut columns = witness.columns.clone();
    for (column, cells) in honest.constants() {
        columns[*column as usize].clone_from(cells);
    }
    columns
}

/// Changes of one cell: small steps, sign, zero, halves and whole wraps of limbs, fractions of powers of two.
pub(crate) fn deltas(cell: F, rng: &mut Rng) -> Vec<F> {
    let power = |e: u64| F::TWO.exp_u64(e);
    vec![
        F::ONE,
        -F::ONE,
        -cell,
        -cell.double(),
        power(rng.range(1, 20) as u64),
        -power(rng.range(8, 40) as u64),
        power(rng.range(1, 40) as u64).inverse(),
        F::from_u64(rng.next() >> 1),
    ]
}

/// The witness with another value in one cell.
pub(crate) fn with(witness: &Witness, column: u32, at: usize, value: F) -> Witness {
    let mut witness = witness.clone();
    witness.columns[column as usize][at] = value;
    witness
}

/// Rewrites limbs so that their sum is `total` modulo p: all but the topmost in range.
fn store_total(witness: &mut Witness, limbs: &[u32], bits: u8, at: usize, total: F) {
    let mut rest = total;
    for (i, &limb) in limbs.iter().enumerate() {
        let value = if i + 1 == limbs.len() { rest } else { F::from_u64(rest.as_canonical_u64() & ((1 << bits) - 1)) };
        witness.columns[limb as usize][at] = value;
        rest = (rest - value) * F::from_u64(1 << bits).inverse();
    }
}

fn total(witness: &Witness, limbs: &[u32], bits: u8, at: usize) -> F {
    let weight = |i: usize| F::TWO.exp_u64(u64::from(bits) * i as u64);
    limbs.iter().enumerate().map(|(i, &l)| witness.columns[l as usize][at] * weight(i)).sum()
}

/// Changed hints (and outputs) that keep the linear relation of the block true modulo p.
pub(crate) fn smart_faults(honest: &Honest, step: &RequantStep, at: usize) -> Vec<(String, Witness)> {
    let system = &honest.key.lowered().system;
    let instance = &system.instances[step.instance as usize];
    let w = &honest.witness;
    let mut out = Vec::new();
    let table_columns = |lookup: usize| match &system.tables[instance.lookups[lookup].table as usize].rows {
        TableRows::Columns { columns } => columns.clone(),
        _ => Vec::new(),
    };
    match &step.form {
        RequantForm::Line { limbs, limb_bits, .. } => {
            let width = F::from_u64(1 << limb_bits);
            for pair in limbs.windows(2) {
                // Carry between two limbs.
                for sign in [F::ONE, -F::ONE] {
                    let mut changed = w.clone();
                    changed.columns[pair[0] as usize][at] += sign * width;
                    changed.columns[pair[1] as usize][at] -= sign;
                    out.push((format!("carry {sign}"), changed));
                }
            }
            let down = u32::from(*limb_bits) * limbs.len() as u32;
            if !limbs.is_empty() {
                // Another v (by one, and by a whole level): the limbs take the difference, the topmost out of range.
                for levels in [1i64, -1, 64, -64, 4096, -4096] {
                    let mut changed = w.clone();
                    let sum = total(w, limbs, *limb_bits, at) - from_i64(levels) * F::TWO.exp_u64(down.into());
                    store_total(&mut changed, limbs, *limb_bits, at, sum);
                    out.push((format!("v {levels:+}"), changed));
                }
            }
        }
        RequantForm::Parity { shift, parity, limbs, slack, limb_bits, odd_deltas, .. } => {
            let positions = w.columns[*parity as usize].len() / odd_deltas.len();
            let delta = from_i64(odd_deltas[at / positions]);
            let cell = F::TWO.exp_u64(u64::from(*shift));
            let s = w.columns[*parity as usize][at];
            let sum = total(w, limbs, *limb_bits, at);
            // The other parity, with w one lower or one higher.
            for direction in [F::ONE, -F::ONE] {
                let flipped = F::ONE - s;
                let mut changed = w.clone();
                changed.columns[*parity as usize][at] = flipped;
                let own = sum + (flipped - s) * delta - direction * cell;
                store_total(&mut changed, limbs, *limb_bits, at, own);
                for source in &mut changed.contractions[step.instance as usize] {
                    if source.0 != 0 {
                        source.1[at] = flipped * delta;
                    }
                }
                out.push((format!("parity, w {direction}"), changed.clone()));
                if let Some(slack) = slack {
                    changed.columns[*slack as usize][at] += from_i64(1 << (limb_bits - 1));
                    out.push((format!("parity, w {direction}, slack"), changed));
                }
            }
            // The same parity, two levels away.
            for direction in [F::TWO, -F::TWO] {
                let mut changed = w.clone();
                store_total(&mut changed, limbs, *limb_bits, at, sum - direction * cell);
                out.push((format!("w {direction}"), changed));
            }
            if let Some(slack) = slack {
                let mut changed = w.clone();
                changed.columns[*slack as usize][at] += F::from_u64(1 << limb_bits);
                out.push(("slack wraps".to_owned(), changed));
            }
        }
        RequantForm::Exact => {}
        RequantForm::Table { lower, upper, .. } => {
            let columns = table_columns(0);
            let all = all_columns(honest, w);
            let cells = |i: usize| &all[columns[i] as usize];
            let rows: Vec<[F; 3]> =
                cells(0).iter().zip(cells(2)).zip(cells(3)).map(|((&c, &lo), &hi)| [c, lo, hi]).collect();
            let own = |r: &&[F; 3]| r[1] == w.columns[*lower as usize][at] && r[2] == w.columns[*upper as usize][at];
            let here = rows.iter().position(|r| own(&r)).unwrap();
            for other in [here.wrapping_sub(1), here + 1, 0, rows.len() - 1] {
                let Some(row) = rows.get(other).filter(|_| other != here) else { continue };
                let mut changed = with(w, *lower, at, row[1]);
                changed.columns[*upper as usize][at] = row[2];
                out.push((format!("row {other} for {here}"), changed));
            }
        }
    }
    out
}
