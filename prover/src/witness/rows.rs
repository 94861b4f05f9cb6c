//! Rows of tables by their tuples.

use std::hash::{BuildHasher, Hasher, RandomState};

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::system::TableRows;

/// An empty slot.
const EMPTY: u32 = u32::MAX;

/// Finds the row of a tuple in a table.
#[derive(Debug)]
pub(crate) enum RowIndex {
    /// The first component minus this is the row.
    Offset(F, usize),
    /// Explicit rows.
    Hashed(Rows),
}

/// An open-addressed table of rows. Of equal rows the last counts.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: Vec<u32>,
    /// Row numbers; a power of two, at least half of them empty.
    slots: Vec<u32>,
    /// Which slot a tuple prefers is not for the model's author to choose.
    seed: u64,
}

impl RowIndex {
    /// `cells` holds the cells of the constant columns.
    pub(crate) fn new(rows: &TableRows, cells: &[Vec<F>]) -> Self {
        match rows {
            TableRows::Range { bits } => Self::Offset(F::ZERO, 1 << bits),
            TableRows::Clamp { bits, .. } | TableRows::ParityClamp { bits, .. } => {
                Self::Offset(from_i64(-(1i64 << (bits - 1))), 1 << bits)
            }
            TableRows::Columns { columns } => {
                let first = cells[columns[0] as usize].as_slice();
                if first.iter().enumerate().all(|(i, &v)| v == F::from_u64(i as u64)) {
                    return Self::Offset(F::ZERO, first.len());
                }
                Self::Hashed(Rows::new(columns, first.len(), cells))
            }
        }
    }
}

impl Rows {
    fn new(columns: &[u32], len: usize, cells: &[Vec<F>]) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        let slots = vec![EMPTY; (2 * len).next_power_of_two()];
        let mut rows = Self { columns: columns.to_vec(), slots, seed };
        for row in 0..len {
            let slot = rows.slot(cells, |component| cells[columns[component] as usize][row]);
            rows.slots[slot] = row as u32;
        }
        rows
    }

    /// The slot of a tuple: its own, or the empty one where it belongs.
    fn slot(&self, cells: &[Vec<F>], tuple: impl Fn(usize) -> F) -> usize {
        let mut mixed = self.seed;
        for component in 0..self.columns.len() {
            let product =
                u128::from(mixed ^ tuple(component).as_canonical_u64()) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
            mixed = (product >> 64) as u64 ^ product as u64;
        }
        let mask = self.slots.len() - 1;
        let mut slot = mixed as usize & mask;
        loop {
            let row = self.slots[slot];
            let equal = |(component, &column): (usize, &u32)| cells[column as usize][row as usize] == tuple(component);
            if row == EMPTY || self.columns.iter().enumerate().all(equal) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The row of the tuple with these components, if there is one.
    pub(crate) fn find(&self, cells: &[Vec<F>], tuple: impl Fn(usize) -> F) -> Option<usize> {
        let row = self.slots[self.slot(cells, tuple)];
        (row != EMPTY).then_some(row as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_tuples() {
        let column = |f: fn(u64) -> u64| (0..5000).map(|i| F::from_u64(f(i))).collect::<Vec<_>>();
        let cells = vec![column(|i| i % 40), Vec::new(), column(|i| u64::MAX - i / 80)];
        let RowIndex::Hashed(rows) = RowIndex::new(&TableRows::Columns { columns: vec![0, 2] }, &cells) else {
            panic!("no run of numbers")
        };
        for row in 0..5000 {
            let last = if row % 80 < 40 && row + 40 < 5000 { row + 40 } else { row };
            assert_eq!(rows.find(&cells, |c| cells[2 * c][row]), Some(last));
        }
        assert_eq!(rows.find(&cells, |c| F::from_u64(c as u64)), None);
        let none = vec![Vec::new()];
        assert!(matches!(RowIndex::new(&TableRows::Columns { columns: vec![0] }, &none), RowIndex::Offset(_, 0)));
    }
}
