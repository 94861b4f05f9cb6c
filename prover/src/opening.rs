//! The opening, prover side: one weighted-sum claim over both commitments, folded and queried down to a clear vector.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, TwoAdicField};
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::EvaluationClaim;
use vinfer_circuits::proof::{FoldedOracle, OpenedRows, OpeningProof};
use vinfer_circuits::schedule::{Oracle, Schedule};
use vinfer_circuits::system::{Column, Home, Layout, System};
use vinfer_circuits::transcript::Transcript;

use crate::claim_sum::ClaimSum;
use crate::commit::{Committed, commit_ext, encode};
use crate::contraction::fold;
use crate::merkle::{Cell, grind};

/// One committed vector with its codeword.
pub(crate) struct Opened<'a> {
    pub(crate) vector: &'a [F],
    pub(crate) committed: &'a Committed<F>,
}

/// Weights handled by one task.
const RUN: usize = 1 << 12;

fn round_ext(values: &[K], weights: &[K]) -> [K; 2] {
    let (zero, two) = values
        .par_chunks(2)
        .zip(weights.par_chunks(2))
        .with_min_len(1 << 11)
        .map(|(v, w)| (w[0] * v[0], (w[1].double() - w[0]) * (v[1].double() - v[0])))
        .reduce(|| (K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
    [zero, two]
}

/// Queries of one oracle: the fold of each row equals the value of the next vector's slot, as a polynomial, at the
/// position's power of the domain's generator.
struct Queries {
    offset: usize,
    bits: u32,
    domain_bits: u32,
    positions: Vec<u64>,
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
    let of = |home: Home| -> Vec<(&EvaluationClaim<K>, K, &Column, usize)> {
        let own = |c: &EvaluationClaim<K>| &system.columns[c.functional.column as usize];
        let offset = |c: &EvaluationClaim<K>| layout.offsets[c.functional.column as usize] as usize;
        let all = claims.iter().zip(&scales).filter(|(c, _)| own(c).home == home);
        all.map(|(c, &scale)| (c, scale, own(c), offset(c))).collect()
    };

    // Fold both commitments with shared challenges.
    let fold_bits = schedule.witness.fold;
    let mut w_sum = ClaimSum::new(witness.vector, fold_bits, &of(Home::Witness));
    let mut c_sum = ClaimSum::new(constants.vector, fold_bits, &of(Home::Constants));
    let mut rounds = Vec::new();
    for _ in 0..fold_bits {
        let (a, b) = (w_sum.round(), c_sum.round());
        let message = [a[0] + b[0], a[1] + b[1]];
        let r = send(transcript, message);
        w_sum.bind(r);
        c_sum.bind(r);
        rounds.push(message);
    }
    let (w_values, w_weights) = w_sum.finish();
    let (c_values, c_weights) = c_sum.finish();
    // Stack them.
    let mut values = vec![K::ZERO; 1 << schedule.stacked_bits()];
    let mut weights = vec![K::ZERO; values.len()];
    for (v, w, is_constants) in [(w_values, w_weights, false), (c_values, c_weights, true)] {
        let at = schedule.stack_offset(is_constants) as usize;
        values[at..at + v.len()].copy_from_slice(&v);
        weights[at..at + w.len()].copy_from_slice(&w);
    }

    let mut folded: Vec<FoldedOracle> = Vec::new();
    let mut opened_initial: Option<(OpenedRows<F>, OpenedRows<F>)> = None;
    let mut previous: Option<Committed<K>> = None;
    for (position, oracle) in schedule.folded.iter().enumerate() {
        let committed = commit_ext(&values, oracle);
        transcript.absorb_bytes("folded root", &committed.tree.root());
        let nonce = grind(transcript, schedule.grinding_bits);
        transcript.absorb_nonce(nonce);
        let queries = if let (Some(before), Some(at)) = (&previous, position.checked_sub(1)) {
            let (rows, queries) = query(transcript, &schedule.folded[at], before, 0);
            folded[at].opened = rows;
            vec![queries]
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
        folded[at].opened = rows;
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

fn query<T: Cell>(
    transcript: &mut Transcript,
    oracle: &Oracle,
    committed: &Committed<T>,
    offset: usize,
) -> (OpenedRows<T>, Queries) {
    let mut positions = transcript.indices("query positions", oracle.queries as usize, oracle.domain_bits());
    positions.sort_unstable();
    positions.dedup();
    let opened = committed.tree.open(&committed.codeword, 1 << oracle.fold, &positions);
    let bits = oracle.bits - oracle.fold;
    let queries = Queries { offset, bits, domain_bits: oracle.domain_bits(), positions };
    (opened, queries)
}

fn query_initial(
    transcript: &mut Transcript,
    schedule: &Schedule,
    witness: &Opened<'_>,
    constants: &Opened<'_>,
) -> ((OpenedRows<F>, OpenedRows<F>), Vec<Queries>) {
    let offset = |is_constants| schedule.stack_offset(is_constants) as usize;
    let (w, queries) = query(transcript, &schedule.witness, witness.committed, offset(false));
    let (c, more) = query(transcript, &schedule.constants, constants.committed, offset(true));
    ((w, c), vec![queries, more])
}

/// Adds `sum_j xi^(j+1) * y_j^index` on the queries' slots: the discrete Fourier transform of the powers of `xi` at the
/// queries' positions, as each `y_j` is a power of the domain's generator `g`.
///
/// Only the first `2^bits` of its `2^domain_bits` values are wanted. With position `c a + b`, `c` the ratio of the sizes,
/// value `i` is `sum_b g^(i b) T_b[i]`, the `T_b` being transforms of size `2^bits` over `a`.
fn add_query_weights(weights: &mut [K], queries: &[Queries], xi: K) {
    let mut scale = xi;
    for queries in queries {
        let mut spread = vec![F::ZERO; 2 << queries.domain_bits];
        for &position in &queries.positions {
            let at = 2 * position as usize;
            let c: &[F] = scale.as_basis_coefficients_slice();
            spread[at..at + 2].copy_from_slice(c);
            scale *= xi;
        }
        let width = 2usize << (queries.domain_bits - queries.bits);
        let parts = encode(spread, width);
        let generator = F::two_adic_generator(queries.domain_bits as usize);
        let slot = &mut weights[queries.offset..queries.offset + (1 << queries.bits)];
        slot.par_chunks_mut(RUN).zip(parts.par_chunks(RUN * width)).enumerate().for_each(|(run, (weights, parts))| {
            let mut power = generator.exp_u64((run * RUN) as u64);
            for (w, row) in weights.iter_mut().zip(parts.chunks_exact(width)) {
                let sum = row
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .rev()
                    .fold([F::ZERO; 2], |sum, part| [sum[0] * power + part[0], sum[1] * power + part[1]]);
                *w += vinfer_circuits::field::from_coordinates(sum[0], sum[1]);
                power *= generator;
            }
        });
    }
}
