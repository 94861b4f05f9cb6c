//! What proving a program will cost, from the size of its constraint system.

use serde_json::{Value, json};
use vinfer_circuits::lower::Lowered;
use vinfer_circuits::schedule::{Profile, Schedule};
use vinfer_circuits::soundness::Budget;
use vinfer_circuits::system::{Column, Home, domain_len};

use crate::report;

/// Processor seconds per proof, and per padded witness cell, lookup leaf and constant cell. Fitted to `vinfer prove` on
/// classifiers of 7 thousand to 4 million weights (x86-64, AVX-512): good to a factor of two.
const SECONDS_PER_PROOF: f64 = 5e-3;
const SECONDS_PER_CELL: f64 = 4.5e-7;
const SECONDS_PER_LEAF: f64 = 4.5e-7;
const SECONDS_PER_CONSTANT: f64 = 1.2e-7;

/// Sizes of a constraint system.
pub(crate) struct Cost {
    witness_cells: u64,
    padded_witness_cells: u64,
    constant_cells: u64,
    /// Lookups of each operation, padding included.
    pub(crate) lookups_of_op: Vec<u64>,
    lookups: u64,
    leaves: u64,
    security_bits: f64,
}

impl Cost {
    /// Counts.
    pub(crate) fn of(lowered: &Lowered) -> Self {
        let system = &lowered.system;
        let sum = |home: Home, cells: fn(&Column) -> u64| -> u64 {
            system.columns.iter().filter(|column| column.home == home).map(cells).sum()
        };
        let lookups: Vec<u64> = system
            .instances
            .iter()
            .map(|instance| domain_len(&instance.dims) * instance.lookups.len() as u64)
            .collect();
        let of_op = |&(from, to): &(usize, usize)| lookups.get(from..to).map_or(0, |some| some.iter().sum());
        let profile = Profile::Direct100;
        let schedule = Schedule::new(profile, lowered.layout.witness_bits, lowered.layout.constant_bits);
        Self {
            witness_cells: sum(Home::Witness, Column::real_cells),
            padded_witness_cells: sum(Home::Witness, Column::padded_cells),
            constant_cells: sum(Home::Constants, Column::padded_cells),
            lookups_of_op: lowered.instances_of_op.iter().map(of_op).collect(),
            lookups: lookups.iter().sum(),
            leaves: lowered.layout.leaf_len,
            security_bits: Budget::new(profile, system, &lowered.layout, &schedule).total_bits(),
        }
    }

    fn prove_seconds(&self) -> f64 {
        SECONDS_PER_PROOF
            + self.padded_witness_cells as f64 * SECONDS_PER_CELL
            + self.leaves as f64 * SECONDS_PER_LEAF
            + self.constant_cells as f64 * SECONDS_PER_CONSTANT
    }

    /// The figures as an object.
    pub(crate) fn json(&self) -> Value {
        json!({
            "witness_cells": self.witness_cells,
            "witness_cells_padded": self.padded_witness_cells,
            "constant_cells": self.constant_cells,
            "lookups": self.lookups,
            "leaves": self.leaves,
            "estimated_prove_cpu_seconds": self.prove_seconds(),
            "security_bits": self.security_bits,
        })
    }

    /// The figures as lines.
    pub(crate) fn text(&self) -> String {
        format!(
            "cost: {} witness cells ({} with padding), {} constant cells, {} lookups ({} leaves with tables)\n\
             estimate: {} of processor time per proof, {:.1} proven bits\n",
            report::count(self.witness_cells),
            report::count(self.padded_witness_cells),
            report::count(self.constant_cells),
            report::count(self.lookups),
            report::count(self.leaves),
            report::seconds(self.prove_seconds()),
            self.security_bits,
        )
    }
}
