//! The transcript: the inventory of everything absorbed and challenged, in order, and that every prover message changes
//! every later challenge.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]

mod common;

use common::honest::Honest;
use common::manifest::{Mutation, Site, mutated, sites};
use common::replay::{Cheat, before_opening, reopen};
use common::{lookups, tiny_honest};
use vinfer_circuits::statement::Statement;

/// Consecutive equal runs, as `label` or `label xN`.
fn runs(log: &[String]) -> Vec<String> {
    let mut out: Vec<(String, usize)> = Vec::new();
    let mut at = 0;
    while at < log.len() {
        // A round is an absorb and a challenge under one label.
        let is_pair = |next: &String| log[at].starts_with('+') && next.strip_prefix('?') == Some(&log[at][1..]);
        let pair = log.get(at + 1).is_some_and(is_pair);
        let entry = if pair { format!("round {}", &log[at][1..]) } else { log[at].clone() };
        at += if pair { 2 } else { 1 };
        match out.last_mut().filter(|(last, _)| *last == entry) {
            Some((_, n)) => *n += 1,
            None => out.push((entry, 1)),
        }
    }
    out.into_iter().map(|(e, n)| if n == 1 { e } else { format!("{e} x{n}") }).collect()
}

#[test]
fn inventory() {
    for honest in [tiny_honest("contract parity", 51), lookups(1 << 14, 2)] {
        inventory_of(&honest);
    }
}

fn inventory_of(honest: &Honest) {
    let proof = honest.proof();
    // The replay reproduces the proof, so this is the transcript of prover and verifier.
    let (again, recorder) = reopen(honest, &proof, Cheat::Nothing);
    assert!(again == proof);
    let times = |label: &str, n: usize| if n == 1 { label.to_owned() } else { format!("{label} x{n}") };
    let mut expected = vec!["?lookup beta".to_owned(), "?lookup alpha".to_owned(), "+logup root".to_owned()];
    for layer in 0..proof.logup.layers.len() {
        expected.push("?logup combine".to_owned());
        if layer > 0 {
            expected.push(times("round logup round", layer));
        }
        expected.extend(["+logup children", "?logup child"].map(str::to_owned));
    }
    expected.extend(["+leaf values", "?contraction batch"].map(str::to_owned));
    if !proof.contractions.rounds.is_empty() {
        expected.push(times("round contraction round", proof.contractions.rounds.len()));
    }
    expected.extend(["+contraction factors", "?opening batch"].map(str::to_owned));
    expected.push(times("round opening round", proof.opening.rounds.len()));
    for (i, folded) in proof.opening.folded.iter().enumerate() {
        expected.extend(["+folded root", "+nonce"].map(str::to_owned));
        expected.push(times("?query positions", if i == 0 { 2 } else { 1 }));
        expected.push("?query batch".to_owned());
        expected.push(times("round opening round", folded.rounds.len()));
    }
    expected.extend(["+final vector", "+nonce"].map(str::to_owned));
    expected.push(times("?query positions", if proof.opening.folded.is_empty() { 2 } else { 1 }));
    expected.push(times("round opening round", proof.opening.final_rounds.len()));
    assert_eq!(runs(&recorder.log), expected);
}

/// Challenges up to the opening.
fn challenges(honest: &Honest, proof: &vinfer_circuits::proof::Proof) -> Vec<vinfer_circuits::field::K> {
    let mut recorder = before_opening(honest, &honest.statement, proof);
    let _ = recorder.challenge("opening batch");
    recorder.challenges
}

#[test]
fn every_message_changes_every_later_challenge() {
    let honest = tiny_honest("contract parity", 52);
    let proof = honest.proof();
    let original = challenges(&honest, &proof);
    // Number of challenges before a message, from the order of the messages.
    let before = |site: &Site| -> Option<usize> {
        let [i, j, _] = site.at;
        let layer = |i: usize| 2 + (0..i).map(|l| l + 2).sum::<usize>();
        let layers = layer(proof.logup.layers.len());
        Some(match site.name {
            "witness_root" => 0,
            "logup.root_denominator" => 2,
            "logup.layers[].rounds[][]" => layer(i) + 1 + j,
            "logup.layers[].children[]" => layer(i) + 1 + i,
            "leaf_values[]" => layers,
            "contractions.rounds[][]" => layers + 1 + j,
            "contractions.factors[][]" => layers + 1 + proof.contractions.rounds.len(),
            _ => return None,
        })
    };
    let mut messages = 0;
    for site in sites(&proof) {
        let Some(before) = before(&site) else { continue };
        messages += 1;
        let changed = challenges(&honest, &mutated(&proof, &proof, &site, Mutation::AddOne).unwrap());
        assert_eq!(changed.len(), original.len());
        for (at, (a, b)) in original.iter().zip(&changed).enumerate() {
            assert_eq!(a == b, at < before, "{site:?}, challenge {at} of {}", original.len());
        }
    }
    assert!(messages > 200, "{messages}");
}

#[test]
fn statement_and_key_come_before_the_first_challenge() {
    let honest = tiny_honest("contract parity", 53);
    let proof = honest.proof();
    let first = |statement: &Statement| before_opening(&honest, statement, &proof).challenges[0];
    let original = first(&honest.statement);
    let changes: [&dyn Fn(&mut Statement); 4] =
        [&|s| s.key_digest[0] ^= 1, &|s| s.context[31] ^= 1, &|s| s.inputs[0][0] ^= 1, &|s| s.outputs[0][0] ^= 1];
    for change in changes {
        let mut statement = honest.statement.clone();
        change(&mut statement);
        assert_ne!(first(&statement), original);
    }
    // A byte that moves from the inputs to the outputs, or from one tensor to the next, is another statement.
    let key = honest.verifier.key();
    let digest = honest.statement.digest(key);
    let mut moved = honest.statement.clone();
    let byte = moved.inputs[0].pop().unwrap();
    moved.outputs[0].insert(0, byte);
    assert_ne!(moved.digest(key), digest);
    let mut split = honest.statement.clone();
    let tail = split.inputs[0].split_off(2);
    split.inputs.push(tail);
    assert_ne!(split.digest(key), digest);
}
