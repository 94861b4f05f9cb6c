//! The soundness budget: every error term of the protocol, and their sum.
//!
//! Provable bits only: unique decoding (no list-decoding or proximity-gap conjecture). See `PROTOCOL.md`, "Soundness
//! budget", for the statement behind each term.

use alloc::vec::Vec;

use crate::field::LOG2_K;
use crate::schedule::{Oracle, Schedule, millibits_per_query};
use crate::system::{Layout, System};

/// One error term, as `-log2` of its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorTerm {
    /// What can go wrong.
    pub name: &'static str,
    /// `-log2` of the probability, grinding included.
    pub bits: f64,
}

/// All terms of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The terms.
    pub terms: Vec<ErrorTerm>,
    /// Proof-of-work bits contained in the query terms.
    pub grinding_bits: u32,
}

impl Budget {
    /// Computes the budget of a system under a schedule.
    pub fn new(system: &System, layout: &Layout, schedule: &Schedule) -> Self {
        let log2 = |n: f64| libm::log2(n);
        let mut terms = Vec::new();
        let mut over_field = |name, numerator: f64| terms.push(ErrorTerm { name, bits: LOG2_K - log2(numerator) });

        // Cleared of denominators, the lookup identity is a non-zero polynomial in (alpha, beta) of total degree at
        // most leaves * (tuple arity + 1) unless every looked-up tuple is a row of its table.
        let leaves = libm::exp2(f64::from(layout.leaf_bits));
        let arity = system.tables.iter().map(|t| t.rows.arity()).max().unwrap_or(1) as f64 + 1.0;
        over_field("lookup identity (alpha, beta)", leaves * arity);
        // Per layer: one combination challenge, i rounds of degree 3, one child challenge.
        let depth = f64::from(layout.leaf_bits);
        over_field("LogUp-GKR layers", depth * 2.0 + 3.0 * depth * (depth - 1.0) / 2.0 + 1.0);
        let claims: usize = system.instances.iter().map(|i| i.sources.len()).sum::<usize>()
            + system.tables.len() * 9
            + (system.contractions.len() + system.products.len()) * 2;
        let rounds = system.bilinear_rounds();
        over_field("contraction batching and sumcheck", claims as f64 + 2.0 * f64::from(rounds) + 1.0);
        over_field("opening batching", claims as f64 + 1.0);

        let fold_rounds = f64::from(schedule.witness.bits.max(schedule.constants.bits) + 1);
        over_field("opening sumcheck", 2.0 * fold_rounds);
        let all = [schedule.witness, schedule.constants];
        let oracles = || all.iter().chain(&schedule.folded);
        over_field("proximity gaps", oracles().map(fold_error).sum());
        let queries: u32 = oracles().map(|o| o.queries).sum();
        over_field("query batching", f64::from(queries) + 1.0);
        for oracle in oracles() {
            terms.push(ErrorTerm { name: "queries", bits: query_bits(oracle) + f64::from(schedule.grinding_bits) });
        }
        Self { terms, grinding_bits: schedule.grinding_bits }
    }

    /// `-log2` of the sum of all terms.
    pub fn total_bits(&self) -> f64 {
        -libm::log2(self.terms.iter().map(|t| libm::exp2(-t.bits)).sum())
    }
}

/// Numerator of the proximity-gap error of all folds of one oracle: |domain| per fold. Under unique decoding a random
/// combination of two words is close only if both are, but for |domain| challenges (Ben-Sasson, Carmon, Ishai, Kopparty,
/// Saraf, "Proximity Gaps for Reed–Solomon Codes", Theorem 4.1), and interleaving does not change that bound (Diamond,
/// Gruen, "Proximity Gaps in Interleaved Codes").
fn fold_error(oracle: &Oracle) -> f64 {
    f64::from(oracle.fold) * libm::exp2(f64::from(oracle.domain_bits()))
}

fn query_bits(oracle: &Oracle) -> f64 {
    f64::from(oracle.queries) * f64::from(millibits_per_query(oracle.log_inv_rate)) / 1000.0
}
