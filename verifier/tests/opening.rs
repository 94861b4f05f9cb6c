//! The opening: a prover that cheats in it, with valid proofs of work and valid Merkle openings wherever it can have
//! them, is refused by exactly the check that is meant for the cheat. Parameters come from the key alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

mod common;

use common::honest::{Honest, encode};
use common::replay::{Cheat, reopen};
use common::{lookups, tiny_honest};
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::K;
use vinfer_circuits::schedule::{Profile, Schedule};
use vinfer_verifier::{Expected, OracleId, PreparedKey, RejectReason};

/// Honest executions whose openings have no, one, and several folded oracles.
fn by_folded_oracles() -> [Honest; 3] {
    let all = [tiny_honest("contract line", 41), lookups(1 << 14, 2), lookups(1 << 18, 2)];
    let folded = |h: &Honest| h.verifier.schedule().folded.len();
    assert_eq!([folded(&all[0]), folded(&all[1])], [0, 1]);
    assert!(folded(&all[2]) >= 2);
    all
}

/// A mutation of a proof.
type Change<'a> = &'a dyn Fn(&mut vinfer_circuits::proof::Proof);

#[test]
fn an_honest_opening_is_reproduced() {
    for honest in &by_folded_oracles() {
        let proof = honest.proof();
        let (again, _) = reopen(honest, &proof, Cheat::Nothing);
        assert!(again == proof);
        assert!(honest.verifier.verify_proof(&honest.statement, &again).is_ok());
    }
}

#[test]
fn a_false_vector_behind_an_oracle() {
    for honest in &by_folded_oracles() {
        let proof = honest.proof();
        let schedule = honest.verifier.schedule();
        let judge = |cheat| honest.verifier.verify_proof(&honest.statement, &reopen(honest, &proof, cheat).0);
        // Every query is consistent with its neighbours; the claims are not.
        for (i, oracle) in schedule.folded.iter().enumerate() {
            for cell in [0, (1 << oracle.bits) - 1] {
                let cheat = Cheat::FoldedVector(i, cell);
                assert_eq!(judge(cheat), Err(RejectReason::Opening), "{cheat:?}");
            }
        }
        // The last vector is compared at every query.
        let last = (1usize << schedule.final_bits) - 1;
        for cell in [0, last] {
            let result = judge(Cheat::FinalVector(cell));
            if schedule.folded.is_empty() {
                // Only the slots of the two commitments are queried; beyond them, no claim has weight either.
                let slot = |constants: bool| {
                    let o = if constants { &schedule.constants } else { &schedule.witness };
                    let start = schedule.stack_offset(constants) as usize;
                    (start..start + (1 << (o.bits - o.fold))).contains(&cell)
                };
                match (slot(false), slot(true)) {
                    (true, _) => assert_eq!(result, Err(RejectReason::FinalVector { query: 0 })),
                    (_, true) => {
                        let first = reopen(honest, &proof, Cheat::FinalVector(cell)).0.opening.witness.rows.len();
                        assert_eq!(result, Err(RejectReason::FinalVector { query: first }));
                    }
                    _ => assert_eq!(result, Err(RejectReason::Opening)),
                }
            } else {
                assert_eq!(result, Err(RejectReason::FinalVector { query: 0 }));
            }
        }
    }
}

#[test]
fn false_rounds() {
    for honest in &by_folded_oracles() {
        let proof = honest.proof();
        let schedule = honest.verifier.schedule();
        let mut cheats: Vec<Cheat> = (0..schedule.witness.fold as usize).map(Cheat::Round).collect();
        for (i, oracle) in schedule.folded.iter().enumerate() {
            cheats.extend((0..oracle.fold as usize).map(|round| Cheat::FoldedRound(i, round)));
        }
        for cheat in cheats {
            let (cheated, _) = reopen(honest, &proof, cheat);
            let result = honest.verifier.verify_proof(&honest.statement, &cheated);
            assert_eq!(result, Err(RejectReason::Opening), "{cheat:?}");
        }
    }
}

#[test]
fn rows_of_other_positions() {
    for honest in &by_folded_oracles() {
        let (cheated, _) = reopen(honest, &honest.proof(), Cheat::ShiftedPositions);
        let result = honest.verifier.verify_proof(&honest.statement, &cheated);
        // The siblings of other positions are usually of another number.
        let oracle = OracleId::Witness;
        let expected = [RejectReason::Merkle { oracle }, RejectReason::OpenedCount { oracle }];
        assert!(expected.contains(&result.unwrap_err()));
    }
}

#[test]
fn wrong_values_and_roots() {
    let honest = tiny_honest("contract line", 42);
    let proof = honest.proof();
    let judge = |change: &dyn Fn(&mut vinfer_circuits::proof::Proof)| {
        let mut changed = proof.clone();
        change(&mut changed);
        assert!(changed != proof);
        // Consistent from there on: proofs of work and openings are redone.
        let reopened = reopen(&honest, &changed, Cheat::Nothing).0;
        honest.verifier.verify_proof(&honest.statement, &reopened).unwrap_err()
    };
    assert_eq!(judge(&|p| p.logup.root_denominator = K::ZERO), RejectReason::LogupZeroDenominator);
    assert_eq!(judge(&|p| p.logup.root_denominator += K::ONE), RejectReason::LogupRoot);
    // Factors with the right product that are not the values of the columns: the claims are public, or false.
    let exchanged = judge(&|p| p.contractions.factors[0].swap(0, 1));
    assert!(matches!(exchanged, RejectReason::PublicClaim { .. }), "{exchanged:?}");
    let zero_layer = |p: &mut vinfer_circuits::proof::Proof| p.logup.layers[0].children = [K::ZERO; 4];
    assert_eq!(judge(&zero_layer), RejectReason::LogupRoot);
}

#[test]
fn zero_denominators_at_every_layer() {
    // A layer whose children multiply to the layer above but hold a zero would need a zero above it.
    let honest = tiny_honest("lookup", 43);
    let proof = honest.proof();
    for layer in 0..proof.logup.layers.len() {
        for child in [2, 3] {
            let mut changed = proof.clone();
            changed.logup.layers[layer].children[child] = K::ZERO;
            let expected = if layer == 0 { RejectReason::LogupRoot } else { RejectReason::LogupLayer { layer } };
            assert_eq!(honest.verifier.verify_proof(&honest.statement, &changed), Err(expected));
        }
    }
}

#[test]
fn missing_and_extra_layers() {
    let honest = tiny_honest("lookup", 44);
    let proof = honest.proof();
    for change in 0..4 {
        let mut changed = proof.clone();
        let layers = &mut changed.logup.layers;
        match change {
            0 => drop(layers.pop()),
            1 => drop(layers.remove(0)),
            2 => layers.push(layers[0].clone()),
            _ => layers.clear(),
        }
        assert_eq!(honest.verifier.verify_proof(&honest.statement, &changed), Err(RejectReason::Shape));
        let file = encode(&honest.statement, &changed);
        assert!(honest.verifier.verify(&file, &Expected::default()).is_err());
    }
}

#[test]
fn parameters_come_from_the_key() {
    let honest = lookups(1 << 14, 2);
    let layout = honest.verifier.layout();
    let schedule = Schedule::new(Profile::Direct100, layout.witness_bits, layout.constant_bits);
    assert_eq!(&schedule, honest.verifier.schedule());
    assert_eq!(schedule, honest.verifier.shape().schedule);
    // A proof with fewer queries or an emptied opening does not pass, whatever it claims.
    let proof = honest.proof();
    let empty_witness = |p: &mut vinfer_circuits::proof::Proof| {
        p.opening.witness.rows.clear();
        p.opening.witness.siblings.clear();
    };
    let empty_folded = |p: &mut vinfer_circuits::proof::Proof| {
        p.opening.folded[0].opened.rows.truncate(1);
    };
    let changes: [(Change<'_>, OracleId); 2] =
        [(&empty_witness, OracleId::Witness), (&empty_folded, OracleId::Folded(0))];
    for (change, oracle) in changes {
        let mut changed = proof.clone();
        change(&mut changed);
        let result = honest.verifier.verify_proof(&honest.statement, &changed);
        assert_eq!(result, Err(RejectReason::OpenedCount { oracle }));
    }
    // Tables are told apart by their place in the key: exchanged tables are another key, and another argument.
    let honest = tiny_honest("contract mixed", 45);
    let mut exchanged = honest.verifier.key().clone();
    let count = exchanged.system.tables.len();
    assert!(count >= 3);
    exchanged.system.tables.swap(0, count - 1);
    for instance in &mut exchanged.system.instances {
        for lookup in &mut instance.lookups {
            lookup.table = match lookup.table as usize {
                0 => count as u32 - 1,
                t if t == count - 1 => 0,
                t => t as u32,
            };
        }
    }
    exchanged.system.validate().unwrap();
    let other = PreparedKey::new(exchanged).unwrap();
    assert_ne!(other.digest(), honest.verifier.digest());
    let mut statement = honest.statement.clone();
    statement.key_digest = other.digest();
    assert!(other.verify_proof(&statement, &honest.proof()).is_err());
    assert_eq!(honest.verifier.schedule().grinding_bits, 16);
}
