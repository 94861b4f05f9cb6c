//! What proving a program will cost, counted from its constraint system.

mod model;
mod padding;
mod proof_size;

use serde_json::{Value, json};
use vinfer_circuits::lower::Lowered;
use vinfer_circuits::schedule::{Profile, Schedule};
use vinfer_circuits::soundness::Budget;
use vinfer_circuits::system::{Home, domain_len};

pub(crate) use model::{COEFFICIENTS, ERROR, MEMORY_COEFFICIENTS, SIZE_ERROR, Term};
pub(crate) use padding::{PaddedColumn, most_padded};

use crate::engine::Row;
use crate::report;

/// Cells of some columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Cells that stand for something.
    pub(crate) real: u64,
    /// Cells committed: every axis but the outermost padded to a power of two.
    pub(crate) padded: u64,
}

impl Cells {
    /// Committed cells per real one; 1 where there are none.
    pub(crate) fn overhead(self) -> f64 {
        if self.real == 0 { 1.0 } else { self.padded as f64 / self.real as f64 }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { real: self.real + other.real, padded: self.padded + other.padded }
    }
}

/// What one operation, or the whole program, adds to the constraint system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Witness columns.
    pub(crate) witness: Cells,
    /// Constant columns.
    pub(crate) constants: Cells,
    /// Lookups, padding included.
    pub(crate) lookups: u64,
    /// Rows of lookup tables.
    pub(crate) table_rows: u64,
    /// Multiplications by weights.
    pub(crate) macs: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.witness = self.witness.and(other.witness);
        self.constants = self.constants.and(other.constants);
        self.lookups += other.lookups;
        self.table_rows += other.table_rows;
        self.macs = self.macs.saturating_add(other.macs);
    }

    /// All committed columns.
    pub(crate) fn cells(&self) -> Cells {
        self.witness.and(self.constants)
    }
}

/// Sizes of a constraint system, and what follows from them.
pub(crate) struct Cost {
    /// What each operation adds, without the tables that several share.
    pub(crate) ops: Vec<Counts>,
    /// Tables that several operations look up, and stored inputs.
    pub(crate) shared: Counts,
    /// Everything.
    pub(crate) total: Counts,
    /// Columns of all kinds.
    pub(crate) columns: usize,
    /// Leaves of the lookup argument: lookups, table rows and gaps between them.
    pub(crate) leaves: u64,
    /// log2 of the committed witness vector.
    pub(crate) witness_bits: u32,
    /// log2 of the committed vector of constants.
    pub(crate) constant_bits: u32,
    /// Provable bits.
    pub(crate) security_bits: f64,
    /// Expected length of a proof file.
    pub(crate) proof_bytes: u64,
}

impl Cost {
    /// Counts; `rows` is the compiler's report on the same program.
    pub(crate) fn of(lowered: &Lowered, rows: &[Row]) -> Self {
        let system = &lowered.system;
        let mut ops = vec![Counts::default(); lowered.columns_of_op.len()];
        let mut shared = Counts::default();
        let owners = padding::owners(lowered);
        for (column, owner) in system.columns.iter().zip(owners) {
            let counts = owner.and_then(|op| ops.get_mut(op)).unwrap_or(&mut shared);
            let cells = Cells { real: column.real_cells(), padded: column.padded_cells() };
            match column.home {
                Home::Witness => counts.witness = counts.witness.and(cells),
                Home::Constants => counts.constants = counts.constants.and(cells),
                Home::Public => {}
            }
        }
        for (counts, &(from, to)) in ops.iter_mut().zip(&lowered.instances_of_op) {
            let instances = system.instances.get(from..to).unwrap_or_default();
            counts.lookups = instances.iter().map(|i| domain_len(&i.dims) * i.lookups.len() as u64).sum();
        }
        let users = padding::table_owners(lowered);
        for (table, owner) in system.tables.iter().zip(users) {
            let counts = owner.and_then(|op| ops.get_mut(op)).unwrap_or(&mut shared);
            counts.table_rows += system.table_rows(&table.rows);
        }
        for (counts, row) in ops.iter_mut().zip(rows) {
            counts.macs = row.macs;
        }
        let mut total = shared;
        ops.iter().for_each(|counts| total.add(counts));
        let profile = Profile::Direct100;
        let schedule = Schedule::new(profile, lowered.layout.witness_bits, lowered.layout.constant_bits);
        Self {
            ops,
            shared,
            total,
            columns: system.columns.len(),
            leaves: lowered.layout.leaf_len,
            witness_bits: lowered.layout.witness_bits,
            constant_bits: lowered.layout.constant_bits,
            security_bits: Budget::new(system, &lowered.layout, &schedule).total_bits(),
            proof_bytes: proof_size::expected(system, &lowered.layout, schedule),
        }
    }

    /// The figures as an object.
    pub(crate) fn json(&self) -> Value {
        let overhead =
            |cells: Cells| json!({ "real": cells.real, "padded": cells.padded, "overhead": cells.overhead() });
        json!({
            "witness_cells": self.total.witness.real,
            "witness_cells_padded": self.total.witness.padded,
            "constant_cells": self.total.constants.padded,
            "padding": {
                "witness": overhead(self.total.witness),
                "constants": overhead(self.total.constants),
                "both": overhead(self.total.cells()),
            },
            "lookups": self.total.lookups,
            "leaves": self.leaves,
            "columns": self.columns,
            "witness_bits": self.witness_bits,
            "constant_bits": self.constant_bits,
            "macs": self.total.macs,
            "estimated_prove_cpu_seconds": self.prove_seconds(),
            "estimated_prove_memory_bytes": self.prove_memory(),
            "estimated_proof_bytes": self.proof_bytes,
            "security_bits": self.security_bits,
        })
    }

    /// The figures as lines.
    pub(crate) fn text(&self) -> String {
        format!(
            "cost: {} witness cells ({} with padding), {} constant cells, {} lookups ({} leaves with tables)\n\
             estimate: {} of processor time, {} of memory, {} per proof; {:.1} proven bits\n",
            report::count(self.total.witness.real),
            report::count(self.total.witness.padded),
            report::count(self.total.constants.padded),
            report::count(self.total.lookups),
            report::count(self.leaves),
            report::seconds(self.prove_seconds()),
            report::bytes(self.prove_memory()),
            report::bytes(self.proof_bytes),
            self.security_bits,
        )
    }
}
