//! Expected length of a proof file: exact but for the queried rows, whose positions a proof draws at random.

use vinfer_circuits::proof::ProofShape;
use vinfer_circuits::schedule::{Oracle, Schedule};
use vinfer_circuits::system::{Layout, PublicPort, System};

/// Bytes of a base element, an extension element, a digest, a nonce and a count.
const BASE: f64 = 8.0;
const EXTENSION: f64 = 16.0;
const DIGEST: f64 = 32.0;
const NONCE: f64 = 8.0;
const COUNT: f64 = 4.0;
/// Magic, key digest and context.
const HEAD: f64 = 8.0 + 2.0 * DIGEST;

/// Expected bytes of a proof file, statement included.
pub(super) fn expected(system: &System, layout: &Layout, schedule: Schedule) -> u64 {
    let ports = |ports: &[PublicPort]| ports.iter().map(PublicPort::raw_len).sum::<u64>() as f64;
    let shape = ProofShape::new(system, layout, schedule);
    let s = &shape.schedule;
    let depth = f64::from(shape.leaf_bits);
    let lookups = 1.0 + 3.0 * depth * (depth - 1.0) / 2.0 + 4.0 * depth + shape.leaf_values as f64;
    let contractions = 2.0 * (shape.contraction_rounds + shape.contractions) as f64;
    let folds: u32 = s.folded.iter().map(|oracle| oracle.fold).sum::<u32>() + s.witness.fold + s.final_bits;
    let opening = 2.0 * f64::from(folds) + f64::from(s.final_bits).exp2();
    let commitments = opened(&s.witness, BASE) + opened(&s.constants, BASE);
    let folded: f64 = s.folded.iter().map(|oracle| DIGEST + NONCE + opened(oracle, EXTENSION)).sum();
    let total = HEAD
        + ports(&system.inputs)
        + ports(&system.outputs)
        + DIGEST
        + EXTENSION * (lookups + contractions + opening)
        + commitments
        + folded
        + NONCE;
    total.round() as u64
}

/// Expected bytes of the opened rows of one oracle with their pruned Merkle proof: `queries` independent positions.
fn opened(oracle: &Oracle, cell: f64) -> f64 {
    let queries = f64::from(oracle.queries);
    let missed = |fraction: f64| (1.0 - fraction).max(0.0).powf(queries);
    let rows = f64::from(oracle.domain_bits()).exp2();
    let distinct = rows * (1.0 - missed(1.0 / rows));
    // A sibling is sent for every pair of nodes of which exactly one lies on a path.
    let siblings: f64 = (1..=oracle.domain_bits())
        .map(|level| f64::from(level).exp2())
        .map(|nodes| nodes * (missed(1.0 / nodes) - missed(2.0 / nodes)))
        .sum();
    2.0 * COUNT + distinct * f64::from(oracle.fold).exp2() * cell + siblings * DIGEST
}
