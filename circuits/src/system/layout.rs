//! Where columns sit in the two commitments, and where lookups and tables sit among the leaves of the LogUp tree.
//! Both sides derive the layout from the [`System`]; no offset is ever read from a proof or key.

use alloc::vec;
use alloc::vec::Vec;

use super::{Home, System, TableRows, domain_bits, domain_len};
use crate::mle::index_bits;

/// What a run of leaves belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafOwner {
    /// Lookup `lookup` of instance `instance`.
    Lookup {
        /// Instance index.
        instance: usize,
        /// Lookup index inside the instance.
        lookup: usize,
    },
    /// The rows of a table.
    Table {
        /// Table index.
        table: usize,
    },
}

/// An aligned run of leaves: `len` of the `2^bits` cells starting at `offset` are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafSegment {
    /// Owner.
    pub owner: LeafOwner,
    /// First leaf; a multiple of `2^bits`.
    pub offset: u64,
    /// Index bits.
    pub bits: u32,
    /// Leaves used.
    pub len: u64,
}

/// The derived layout of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of each column inside its commitment (0 for public columns).
    pub offsets: Vec<u64>,
    /// log2 size of the witness vector.
    pub witness_bits: u32,
    /// log2 size of the constants vector.
    pub constant_bits: u32,
    /// Leaf runs, in placement order.
    pub leaves: Vec<LeafSegment>,
    /// Leaves up to the last one used.
    pub leaf_len: u64,
    /// Depth of the LogUp tree.
    pub leaf_bits: u32,
}

/// Smallest commitment, log2 cells: below this the schedule has nothing to fold.
const MIN_COMMITMENT_BITS: u32 = 8;

/// Places blocks of `(bits, len)` at multiples of `2^bits`, largest first, filling the holes left behind.
struct Packer {
    end: u64,
    holes: Vec<(u64, u64)>,
}

/// Holes remembered; the oldest is forgotten first.
const MAX_HOLES: usize = 256;

impl Packer {
    const fn new() -> Self {
        Self { end: 0, holes: Vec::new() }
    }

    fn place(&mut self, bits: u32, len: u64) -> u64 {
        let align = |at: u64| at.div_ceil(1 << bits) << bits;
        for slot in 0..self.holes.len() {
            let Some(&(start, stop)) = self.holes.get(slot) else { continue };
            let at = align(start);
            if at + len <= stop {
                self.holes.swap_remove(slot);
                for hole in [(start, at), (at + len, stop)] {
                    if hole.0 < hole.1 {
                        self.holes.push(hole);
                    }
                }
                return at;
            }
        }
        let at = align(self.end);
        if self.end < at {
            self.holes.push((self.end, at));
        }
        if self.holes.len() > MAX_HOLES {
            self.holes.remove(0);
        }
        self.end = at + len;
        at
    }
}

impl Layout {
    /// Derives the layout of a validated system.
    pub fn new(system: &System) -> Self {
        let mut offsets = vec![0u64; system.columns.len()];
        let mut place_home = |home: Home| {
            let mut order: Vec<usize> =
                (0..system.columns.len()).filter(|&c| system.columns.get(c).is_some_and(|c| c.home == home)).collect();
            order.sort_by_key(|&c| {
                system
                    .columns
                    .get(c)
                    .map_or((0, 0), |col| (u64::MAX - u64::from(col.bits()), u64::MAX - col.padded_cells()))
            });
            let mut packer = Packer::new();
            for c in order {
                if let (Some(column), Some(offset)) = (system.columns.get(c), offsets.get_mut(c)) {
                    *offset = packer.place(column.bits(), column.padded_cells());
                }
            }
            index_bits(packer.end).max(MIN_COMMITMENT_BITS)
        };
        let witness_bits = place_home(Home::Witness);
        let constant_bits = place_home(Home::Constants);

        let mut runs: Vec<(LeafOwner, u32, u64)> = Vec::new();
        for (instance, inst) in system.instances.iter().enumerate() {
            for lookup in 0..inst.lookups.len() {
                let owner = LeafOwner::Lookup { instance, lookup };
                runs.push((owner, domain_bits(&inst.dims), domain_len(&inst.dims)));
            }
        }
        for (table, t) in system.tables.iter().enumerate() {
            let rows = system.table_rows(&t.rows);
            runs.push((LeafOwner::Table { table }, index_bits(rows), rows));
        }
        runs.sort_by_key(|&(_, bits, len)| (u64::MAX - u64::from(bits), u64::MAX - len));
        let mut packer = Packer::new();
        let leaves = runs
            .into_iter()
            .map(|(owner, bits, len)| LeafSegment { owner, offset: packer.place(bits, len), bits, len })
            .collect();
        Self {
            offsets,
            witness_bits,
            constant_bits,
            leaves,
            leaf_len: packer.end,
            leaf_bits: index_bits(packer.end).max(1),
        }
    }
}

impl System {
    /// Number of rows of a table.
    pub fn table_rows(&self, rows: &TableRows) -> u64 {
        match rows {
            TableRows::Range { bits } | TableRows::Clamp { bits, .. } | TableRows::ParityClamp { bits, .. } => {
                1u64.checked_shl(u32::from(*bits)).unwrap_or(0)
            }
            TableRows::Columns { columns } => columns
                .first()
                .and_then(|&c| self.columns.get(c as usize))
                .and_then(|c| c.dims.first())
                .map_or(0, |&d| u64::from(d)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packer_aligns_and_never_overlaps() {
        let blocks = [(12u32, 3000u64), (12, 2049), (10, 1024), (10, 600), (7, 128), (7, 65), (0, 1)];
        let mut packer = Packer::new();
        let mut used: Vec<(u64, u64)> = Vec::new();
        for (bits, len) in blocks {
            let at = packer.place(bits, len);
            assert_eq!(at % (1 << bits), 0);
            assert!(used.iter().all(|&(a, b)| at + len <= a || b <= at));
            used.push((at, at + len));
        }
        assert!(packer.end <= 4096 * 2);
    }
}
