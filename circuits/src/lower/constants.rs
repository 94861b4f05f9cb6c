//! Tables and the keys by which equal tables are shared.

use alloc::collections::btree_map::Entry;
use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use super::requant::MAX_BITS;
use crate::field::{F, from_i64};
use crate::system::{Expr, Home, Table, TableRows};
use p3_field::{Field, PrimeCharacteristicRing, PrimeField64};

/// Identity of a table: two lookups with equal keys share the table and its multiplicities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableKey {
    /// `TableRows::Range`.
    Range(u8),
    /// `TableRows::Clamp`: bits, fraction bits, hi.
    Clamp(u8, u8, i32),
    /// `TableRows::ParityClamp`: bits, hi.
    ParityClamp(u8, i32),
    /// Explicit rows.
    Rows(Vec<Vec<i64>>),
}

/// What operations must have in common to share a clamp table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClampKey {
    parity: bool,
    fraction_bits: u8,
    hi: i32,
    /// The only width of this table, if it is not shared.
    exact: Option<u8>,
}

/// Most bits of a clamp table.
const MAX_TABLE_BITS: u8 = 20;

/// The width that a table must have whose first component is scaled by so much that in the widest table it would leave
/// the integers below `2^MAX_BITS`.
fn own_width(level_bits: u8, scale_bits: u32) -> Option<u8> {
    (u32::from(MAX_TABLE_BITS) + scale_bits > MAX_BITS).then_some(level_bits)
}

impl Lowering<'_> {
    /// The table of `(v, clamp(floor(v / 2^fraction_bits), 0, hi))` for levels `floor(..)` of at least `level_bits` signed
    /// bits. Operations with the same fraction and range share one, as wide as the widest of them needs. `v` stands for
    /// `v 2^scale_bits`: where a wider table could make that too large, the table has just `level_bits`.
    pub(super) fn clamp_table(&mut self, level_bits: u8, fraction_bits: u8, hi: i32, scale_bits: u32) -> u32 {
        let exact = own_width(level_bits, scale_bits);
        let bits = self.widest(ClampKey { parity: false, fraction_bits, hi, exact }, level_bits) + fraction_bits;
        self.table(TableKey::Clamp(bits, fraction_bits, hi), |_| TableRows::Clamp { bits, fraction_bits, lo: 0, hi })
    }

    /// The table of `(w, w mod 2, clamp(w, 0, hi))` for `w` of at least `level_bits` signed bits, shared likewise.
    pub(super) fn parity_table(&mut self, level_bits: u8, hi: i32, scale_bits: u32) -> u32 {
        let exact = own_width(level_bits, scale_bits);
        let bits = self.widest(ClampKey { parity: true, fraction_bits: 0, hi, exact }, level_bits);
        self.table(TableKey::ParityClamp(bits, hi), |_| TableRows::ParityClamp { bits, lo: 0, hi })
    }

    /// Level bits of a shared table. If an earlier operation got a narrower one, the pass has to be repeated.
    fn widest(&mut self, key: ClampKey, level_bits: u8) -> u8 {
        let fraction_bits = key.fraction_bits;
        let widest = match self.level_bits.entry(key) {
            Entry::Vacant(slot) => *slot.insert(level_bits),
            Entry::Occupied(mut slot) => {
                let widest = slot.get_mut();
                self.outgrown |= *widest < level_bits;
                *widest = level_bits.max(*widest);
                *widest
            }
        };
        self.infeasible |= widest + fraction_bits > MAX_TABLE_BITS;
        widest
    }

    /// A stand-in for [`Self::row_table`] while table widths are searched: as large, but without its rows.
    pub(super) fn counted_table(&mut self, rows: u32, arity: usize) -> u32 {
        let columns = (0..arity).map(|_| self.new_column(Home::Constants, vec![rows])).collect();
        let multiplicity = self.new_column(Home::Witness, vec![rows]);
        self.system.tables.push(Table { rows: TableRows::Columns { columns }, multiplicity });
        (self.system.tables.len() - 1) as u32
    }

    /// A table of explicit rows, given column by column, every column as long as the first.
    pub(super) fn row_table(&mut self, columns: Vec<Vec<i64>>) -> u32 {
        let rows = columns.first().map_or(0, Vec::len) as u32;
        self.table(TableKey::Rows(columns.clone()), |this| TableRows::Columns {
            columns: columns
                .into_iter()
                .map(|cells| this.new_constant(vec![rows], || cells.into_iter().map(from_i64).collect()))
                .collect(),
        })
    }
}

/// Canonical form of a signed coefficient.
pub(super) fn coefficient(v: i64) -> u64 {
    from_i64(v).as_canonical_u64()
}

/// Canonical form of `v / 2^shift`.
pub(super) fn scaled(v: i64, shift: u32) -> u64 {
    (from_i64(v) * F::from_u64(1u64 << shift).inverse()).as_canonical_u64()
}

/// `sum of coefficient * source`.
pub(super) fn expr(terms: Vec<(u64, u16)>) -> Expr {
    Expr { terms, constant: 0, index_coefficient: 0 }
}

/// The value of one source.
pub(super) fn single(source: u16) -> Expr {
    expr(vec![(1, source)])
}
