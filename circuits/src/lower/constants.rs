//! Tables and the keys by which equal tables are shared.

use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use crate::field::{F, from_i64};
use crate::system::{Expr, Home, Table, TableRows};
use p3_field::{Field, PrimeCharacteristicRing, PrimeField64};

/// Identity of a table: two lookups with equal keys share the table and its multiplicities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableKey {
    /// `TableRows::Range`.
    Range(u8),
    /// `TableRows::Clamp`: bits, fraction bits, lo, hi.
    Clamp(u8, u8, i32, i32),
    /// `TableRows::ParityClamp`: bits, lo, hi.
    ParityClamp(u8, i32, i32),
    /// Explicit rows.
    Rows(Vec<Vec<i64>>),
}

impl Lowering<'_> {
    pub(super) fn clamp_table(&mut self, bits: u8, fraction_bits: u8, lo: i32, hi: i32) -> u32 {
        self.table(TableKey::Clamp(bits, fraction_bits, lo, hi), |_| TableRows::Clamp { bits, fraction_bits, lo, hi })
    }

    pub(super) fn parity_table(&mut self, bits: u8, lo: i32, hi: i32) -> u32 {
        self.table(TableKey::ParityClamp(bits, lo, hi), |_| TableRows::ParityClamp { bits, lo, hi })
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
