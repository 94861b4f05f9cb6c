//! The soundness budget: at least 100 provable bits wherever a key is accepted, over all sizes, and no key below.
//! (`prover/tests/roundtrip.rs` checks the bits that every test model is verified with.)
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

mod common;

use common::tiny_honest;
use vinfer_circuits::schedule::{Profile, Schedule, millibits_per_query};
use vinfer_circuits::soundness::Budget;
use vinfer_circuits::statement::VerifyingKey;
use vinfer_circuits::system::{Column, Home, Instance, Layout, LookupArgument, System};
use vinfer_verifier::{KeyError, PreparedKey};

/// The system of a tiny program with extra cells and lookups: `2^bits` each.
fn inflated(witness_bits: u32, constant_bits: u32, lookup_bits: u32) -> VerifyingKey {
    let mut key = tiny_honest("contract mixed", 71).verifier.key().clone();
    let System { columns, instances, tables, .. } = &mut key.system;
    let mut column = |home, bits: u32| columns.push(Column { home, dims: vec![1 << bits] });
    column(Home::Witness, witness_bits);
    column(Home::Constants, constant_bits);
    let arity = tables[0].rows.arity();
    let expr = instances[0].lookups[0].tuple[0].clone();
    let nothing = vinfer_circuits::system::Expr { terms: Vec::new(), ..expr };
    let lookups = vec![LookupArgument { table: 0, tuple: vec![nothing; arity] }];
    instances.push(Instance { dims: vec![1 << lookup_bits], sources: Vec::new(), lookups });
    key
}

#[test]
fn accepted_exactly_when_the_floor_is_reached() {
    let mut below = Vec::new();
    let mut table = String::new();
    for size in [8, 14, 16, 18, 20, 22, 24] {
        for lookups in [8, 16, 20, 22, 24, 26, 28] {
            let key = inflated(size.min(22), size, lookups);
            if key.system.validate().is_err() {
                continue;
            }
            let layout = Layout::new(&key.system);
            let schedule = Schedule::new(key.profile, layout.witness_bits, layout.constant_bits);
            let bits = Budget::new(&key.system, &layout, &schedule).total_bits();
            let sizes = (layout.witness_bits, layout.constant_bits, layout.leaf_bits);
            table += &format!("{sizes:?}: {bits:.2}\n");
            match PreparedKey::new(key) {
                Ok(prepared) => {
                    assert!(bits >= 100.0, "{sizes:?}");
                    assert!((prepared.budget().total_bits() - bits).abs() < 1e-9);
                }
                Err(error) => {
                    assert_eq!(error, KeyError::Security { bits, profile: "direct-100", required: 100.0 });
                    below.push(sizes);
                }
            }
        }
    }
    println!("witness, constants, leaves (log2): bits\n{table}below the floor: {below:?}");
    // The sizes of shipped models (up to 2^24 constants, 2^22 witness cells, 2^24 leaves) all reach the floor.
    let small = |&(w, c, l): &(u32, u32, u32)| w <= 23 && c <= 25 && l <= 24;
    assert_eq!(below.iter().filter(|s| small(s)).count(), 0, "{below:?}");
}

#[test]
fn every_query_phase_reaches_its_share() {
    let profile = Profile::Direct100;
    for witness in 8..=30 {
        for constants in 8..=30 {
            let schedule = Schedule::new(profile, witness, constants);
            for oracle in [schedule.witness, schedule.constants].iter().chain(&schedule.folded) {
                let millibits = oracle.queries * millibits_per_query(oracle.log_inv_rate);
                assert!(millibits / 1000 + schedule.grinding_bits >= profile.query_phase_bits());
                assert!(oracle.queries > 0 && oracle.log_inv_rate > 0);
                // Every domain exists in the field.
                assert!(oracle.domain_bits() <= 32, "{witness} {constants}");
            }
            assert!(schedule.final_bits <= 11);
        }
    }
}

#[test]
fn the_total_is_the_sum_of_the_terms() {
    let key = tiny_honest("contract mixed", 72);
    let budget = key.verifier.budget();
    let sum: f64 = budget.terms.iter().map(|t| (-t.bits).exp2()).sum();
    assert!((budget.total_bits() + sum.log2()).abs() < 1e-9);
    assert!(budget.terms.iter().all(|t| t.bits >= budget.total_bits()));
    // One term of every kind; one of queries per oracle.
    let kinds = ["lookup identity", "LogUp-GKR", "contraction", "opening batching", "opening sumcheck", "proximity"];
    for kind in kinds.into_iter().chain(["query batching"]) {
        assert_eq!(budget.terms.iter().filter(|t| t.name.starts_with(kind)).count(), 1, "{kind}");
    }
    let queries = budget.terms.iter().filter(|t| t.name == "queries").count();
    assert_eq!(queries, 2 + key.verifier.schedule().folded.len());
}
