//! The opening, prover side: one weighted-sum claim over both commitments, folded and queried down to a clear vector.

use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::{AxisWeight, EvaluationClaim};
use vinfer_circuits::mle::index_bits;
use vinfer_circuits::proof::{FoldedOracle, OpenedRows, OpeningProof};
use vinfer_circuits::schedule::{Oracle, Schedule};
use vinfer_circuits::system::{Home, Layout, System};
use vinfer_circuits::transcript::Transcript;

use crate::commit::{Committed, commit_ext};
use crate::contraction::fold;
use crate::evaluate::add_outer;
use crate::merkle::{Cell, grind};

/// One committed vector with its codeword.
pub(crate) struct Opened<'a> {
    pub(crate) vector: &'a [F],
    pub(crate) committed: &'a Committed<F>,
}

/// Dense claim weights of one commitment: `sum_i gamma^i * functional_i`.
fn claim_weights(system: &System, layout: &Layout, home: Home, bits: u32, claims: &[EvaluationClaim<K>], scales: &[K]) -> Vec<K> {
    let mut weights = vec![K::ZERO; 1 << bits];
    for (claim, &scale) in claims.iter().zip(scales) {
        let column = &system.columns[claim.functional.column as usize];
        if column.home != home {
            continue;
        }
        let axes = claim.functional.dense_axes(&Native, &column.dims);
        let runs = run_offsets(&column.dims, &claim.functional.axes);
        let start = layout.offsets[claim.functional.column as usize] as usize;
        let len = column.padded_cells() as usize;
        let target = &mut weights[start..start + len];
        // The outermost run is spread over threads when it is made of equal blocks.
        let block = 1usize << runs_bits(&column.dims[1..]);
        if axes.len() > 1 && axes[0].len() == column.dims[0] as usize && len >= 1 << 14 {
            target.par_chunks_mut(block).zip(&axes[0]).for_each(|(target, &w)| {
                add_outer(target, &axes[1..], &runs[1..], scale * w);
            });
        } else {
            add_outer(target, &axes, &runs, scale);
        }
    }
    weights
}

fn runs_bits(dims: &[u32]) -> u32 {
    dims.iter().map(|&d| index_bits(u64::from(d))).sum()
}

/// Padded offset of every flattened index of each run of axes.
fn run_offsets(dims: &[u32], axes: &[AxisWeight<K>]) -> Vec<Vec<usize>> {
    let mut axis = 0usize;
    axes.iter()
        .map(|weight| {
            let span = if let AxisWeight::Dense { span, .. } = weight { *span } else { 1 };
            let mut offsets = vec![0usize];
            for _ in 0..span {
                let shift = runs_bits(&dims[axis + 1..]);
                let size = dims[axis] as usize;
                offsets = offsets.iter().flat_map(|&base| (0..size).map(move |i| base + (i << shift))).collect();
                axis += 1;
            }
            offsets
        })
        .collect()
}

/// Values at 0 and 2 of the round polynomial, for base-field values.
fn round_base(values: &[F], weights: &[K]) -> [K; 2] {
    let (zero, two) = values
        .par_chunks(2)
        .zip(weights.par_chunks(2))
        .with_min_len(1 << 11)
        .map(|(v, w)| (w[0] * v[0], (w[1].double() - w[0]) * (v[1].double() - v[0])))
        .reduce(|| (K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
    [zero, two]
}

fn round_ext(values: &[K], weights: &[K]) -> [K; 2] {
    let (zero, two) = values
        .par_chunks(2)
        .zip(weights.par_chunks(2))
        .with_min_len(1 << 11)
        .map(|(v, w)| (w[0] * v[0], (w[1].double() - w[0]) * (v[1].double() - v[0])))
        .reduce(|| (K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
    [zero, two]
}

fn fold_base(values: &[F], r: K) -> Vec<K> {
    values.par_chunks(2).with_min_len(1 << 11).map(|p| r * (p[1] - p[0]) + p[0]).collect()
}

/// A query: the fold of a row equals the next vector's slot at `y`.
struct Query {
    offset: usize,
    bits: u32,
    y: F,
}

/// Proves all claims on committed columns.
pub(crate) fn prove(
    schedule: &Schedule,
    system: &System,
    layout: &Layout,
    claims: &[EvaluationClaim<K>],
    witness: &Opened<'_>,
    constants: &Opened<'_>,
    transcript: &mut Transcript,
) -> OpeningProof {
    let gamma = transcript.challenge("opening batch");
    let scales = vinfer_circuits::field::powers(gamma, claims.len());
    let mut w_weights = claim_weights(system, layout, Home::Witness, layout.witness_bits, claims, &scales);
    let mut c_weights = claim_weights(system, layout, Home::Constants, layout.constant_bits, claims, &scales);

    // Fold both commitments with shared challenges.
    let (mut w_values, mut c_values): (Vec<K>, Vec<K>) = (Vec::new(), Vec::new());
    let mut rounds = Vec::new();
    for round in 0..schedule.witness.fold {
        let (a, b) = if round == 0 {
            (round_base(witness.vector, &w_weights), round_base(constants.vector, &c_weights))
        } else {
            (round_ext(&w_values, &w_weights), round_ext(&c_values, &c_weights))
        };
        let message = [a[0] + b[0], a[1] + b[1]];
        let r = send(transcript, message);
        if round == 0 {
            w_values = fold_base(witness.vector, r);
            c_values = fold_base(constants.vector, r);
        } else {
            w_values = fold(&w_values, r);
            c_values = fold(&c_values, r);
        }
        w_weights = fold(&w_weights, r);
        c_weights = fold(&c_weights, r);
        rounds.push(message);
    }
    // Stack them.
    let mut values = vec![K::ZERO; 1 << schedule.stacked_bits()];
    let mut weights = vec![K::ZERO; values.len()];
    for (v, w, is_constants) in [(w_values, w_weights, false), (c_values, c_weights, true)] {
        let at = schedule.stack_offset(is_constants) as usize;
        values[at..at + v.len()].copy_from_slice(&v);
        weights[at..at + w.len()].copy_from_slice(&w);
    }

    let mut folded = Vec::new();
    let mut opened_initial: Option<(OpenedRows<F>, OpenedRows<F>)> = None;
    let mut previous: Option<Committed<K>> = None;
    for (position, oracle) in schedule.folded.iter().enumerate() {
        let committed = commit_ext(&values, oracle);
        transcript.absorb_bytes("folded root", &committed.tree.root());
        let nonce = grind(transcript, schedule.grinding_bits);
        transcript.absorb_nonce(nonce);
        let queries = if let (Some(before), Some(at)) = (&previous, position.checked_sub(1)) {
            let (rows, queries) = query(transcript, &schedule.folded[at], before, 0);
            set_opened(&mut folded, at, rows);
            queries
        } else {
            let (opened, queries) = query_initial(transcript, schedule, witness, constants);
            opened_initial = Some(opened);
            queries
        };
        let xi = transcript.challenge("query batch");
        add_query_weights(&mut weights, &queries, xi);
        let mut own_rounds = Vec::new();
        for _ in 0..oracle.fold {
            let message = round_ext(&values, &weights);
            let r = send(transcript, message);
            values = fold(&values, r);
            weights = fold(&weights, r);
            own_rounds.push(message);
        }
        folded.push(FoldedOracle {
            root: committed.tree.root(),
            nonce,
            rounds: own_rounds,
            opened: OpenedRows { rows: Vec::new(), siblings: Vec::new() },
        });
        previous = Some(committed);
    }
    transcript.absorb("final vector", &values);
    let final_nonce = grind(transcript, schedule.grinding_bits);
    transcript.absorb_nonce(final_nonce);
    let final_vector = values.clone();
    if let (Some(before), Some(at)) = (&previous, schedule.folded.len().checked_sub(1)) {
        let (rows, _) = query(transcript, &schedule.folded[at], before, 0);
        set_opened(&mut folded, at, rows);
    } else {
        opened_initial = Some(query_initial(transcript, schedule, witness, constants).0);
    }
    let mut final_rounds = Vec::new();
    for _ in 0..schedule.final_bits {
        let message = round_ext(&values, &weights);
        let r = send(transcript, message);
        values = fold(&values, r);
        weights = fold(&weights, r);
        final_rounds.push(message);
    }
    let empty = || OpenedRows { rows: Vec::new(), siblings: Vec::new() };
    let (witness, constants) = opened_initial.unwrap_or_else(|| (empty(), empty()));
    OpeningProof { rounds, witness, constants, folded, final_vector, final_nonce, final_rounds }
}

fn send(transcript: &mut Transcript, message: [K; 2]) -> K {
    transcript.absorb("opening round", &message);
    transcript.challenge("opening round")
}

fn set_opened(folded: &mut [FoldedOracle], at: usize, rows: OpenedRows<K>) {
    folded[at].opened = rows;
}

fn query<T: Cell>(
    transcript: &mut Transcript,
    oracle: &Oracle,
    committed: &Committed<T>,
    offset: usize,
) -> (OpenedRows<T>, Vec<Query>) {
    let mut positions = transcript.indices("query positions", oracle.queries as usize, oracle.domain_bits());
    positions.sort_unstable();
    positions.dedup();
    let opened = committed.tree.open(&committed.codeword, 1 << oracle.fold, &positions);
    let g = F::two_adic_generator(oracle.domain_bits() as usize);
    let queries = positions
        .into_iter()
        .map(|p| Query { offset, bits: oracle.bits - oracle.fold, y: g.exp_u64(p) })
        .collect();
    (opened, queries)
}

fn query_initial(
    transcript: &mut Transcript,
    schedule: &Schedule,
    witness: &Opened<'_>,
    constants: &Opened<'_>,
) -> ((OpenedRows<F>, OpenedRows<F>), Vec<Query>) {
    let offset = |is_constants| schedule.stack_offset(is_constants) as usize;
    let (w, mut queries) = query(transcript, &schedule.witness, witness.committed, offset(false));
    let (c, more) = query(transcript, &schedule.constants, constants.committed, offset(true));
    queries.extend(more);
    ((w, c), queries)
}

/// Adds `sum_j xi^(j+1) * y_j^index` on the queries' slots.
fn add_query_weights(weights: &mut [K], queries: &[Query], xi: K) {
    const BLOCK: usize = 1 << 10;
    let mut scale = xi;
    let scaled: Vec<(K, &Query)> = queries
        .iter()
        .map(|q| {
            let own = scale;
            scale *= xi;
            (own, q)
        })
        .collect();
    weights.par_chunks_mut(BLOCK).enumerate().for_each(|(block, weights)| {
        let start = block * BLOCK;
        for &(scale, q) in &scaled {
            let end = q.offset + (1usize << q.bits);
            if end <= start || q.offset >= start + weights.len() {
                continue;
            }
            let from = q.offset.max(start);
            let mut power = scale * q.y.exp_u64((from - q.offset) as u64);
            for w in &mut weights[from - start..end.min(start + BLOCK) - start] {
                *w += power;
                power *= q.y;
            }
        }
    });
}
