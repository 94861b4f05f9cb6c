//! The opening: one batched weighted-sum claim over both commitments, proven by a WHIR chain (Arnon, Chiesa, Fenzi,
//! Yogev, "WHIR", 2024) in the unique-decoding regime.
//!
//! The batching sumcheck and WHIR's folding sumcheck are one: the first rounds fold both committed vectors with the same
//! challenges; the two folded vectors are stacked into one, committed, tied to the commitments by queries, and folded on.

use alloc::vec::Vec;

use crate::context::{Context, NativeContext};
use crate::error::{OracleId, RejectReason};
use crate::merkle::{MultiproofError, verify_multiproof};
use crate::sumcheck::reduce;
use p3_field::{PrimeCharacteristicRing, TwoAdicField};
use vinfer_circuits::arithmetic::{Arithmetic, inner_product};
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::{EvaluationClaim, committed_weight};
use vinfer_circuits::hash::{Digest, hash_base_row, hash_ext_row};
use vinfer_circuits::mle::{eq_index, eq_table};
use vinfer_circuits::proof::{OpenedRows, OpeningProof};
use vinfer_circuits::schedule::{Oracle, Schedule};
use vinfer_circuits::system::{Home, Layout, System};

/// Weights of the queries of one phase: `sum_j scale_j * [slot] * y_j^index` on a vector of `bits` variables.
struct QueryWeights {
    /// Rounds already bound when these weights were added.
    bound: usize,
    /// The queries.
    queries: Vec<Query>,
}

/// The claims' side of the opening: which columns, where, with which batching.
pub(crate) struct OpeningClaims<'a> {
    pub(crate) system: &'a System,
    pub(crate) layout: &'a Layout,
    /// Claims on committed columns.
    pub(crate) claims: &'a [EvaluationClaim<K>],
    pub(crate) witness_root: &'a Digest,
    pub(crate) constants_root: &'a Digest,
}

/// Verifies the opening. This is the only place where claimed values meet the commitments.
pub(crate) fn discharge(
    ctx: &mut NativeContext,
    schedule: &Schedule,
    input: &OpeningClaims<'_>,
    proof: &OpeningProof,
) -> Result<(), RejectReason> {
    let gamma = ctx.challenge("opening batch");
    let scales = vinfer_circuits::field::powers(gamma, input.claims.len());
    let mut claim = input.claims.iter().zip(&scales).fold(K::ZERO, |sum, (c, s)| sum + c.value * *s);

    // All challenges, in binding order (least significant variable first).
    let mut bound: Vec<K> = Vec::new();
    let (next, point) = reduce(ctx, "opening round", claim, &proof.rounds);
    claim = next;
    bound.extend(point.iter().rev().copied());

    let mut weights: Vec<QueryWeights> = Vec::new();
    let mut last_fold = point;
    for (phase, folded) in proof.folded.iter().enumerate() {
        ctx.transcript.absorb_bytes("folded root", &folded.root);
        grind(ctx, schedule, phase, folded.nonce)?;
        let mut queries = phase_queries(ctx, schedule, input, proof, phase, &last_fold)?;
        batch(ctx, &mut queries, &mut claim);
        weights.push(QueryWeights { bound: bound.len(), queries });
        let (next, point) = reduce(ctx, "opening round", claim, &folded.rounds);
        claim = next;
        bound.extend(point.iter().rev().copied());
        last_fold = point;
    }

    // Last queries, checked against the vector in the clear.
    ctx.receive("final vector", &proof.final_vector);
    grind(ctx, schedule, schedule.folded.len(), proof.final_nonce)?;
    let last = phase_queries(ctx, schedule, input, proof, schedule.folded.len(), &last_fold)?;
    for (query, item) in last.iter().enumerate() {
        let start = usize::try_from(item.offset).unwrap_or(usize::MAX);
        let slot = proof.final_vector.get(start..).unwrap_or(&[]);
        let len = 1usize.checked_shl(item.bits).unwrap_or(usize::MAX);
        // Horner over the slot.
        let value = slot.iter().take(len).rev().fold(K::ZERO, |sum, &v| sum * item.y + v);
        if value != item.value {
            return Err(RejectReason::FinalVector { query });
        }
    }
    let (claim, point) = reduce(ctx, "opening round", claim, &proof.final_rounds);
    bound.extend(point.iter().rev().copied());

    let mut weight = K::ZERO;
    // Claims: the first `bits` challenges bind a commitment's own variables, the rest select its slot in the stack.
    for (home, oracle, constants) in
        [(Home::Witness, &schedule.witness, false), (Home::Constants, &schedule.constants, true)]
    {
        let bits = usize::try_from(oracle.bits).unwrap_or(usize::MAX);
        let (own, rest) = bound.split_at_checked(bits).ok_or(RejectReason::Opening)?;
        let own: Vec<K> = own.iter().rev().copied().collect();
        let rest: Vec<K> = rest.iter().rev().copied().collect();
        let slot_bits = oracle.bits.saturating_sub(oracle.fold);
        let slot = schedule.stack_offset(constants).checked_shr(slot_bits).unwrap_or(0);
        let mut sum = K::ZERO;
        for (c, scale) in input.claims.iter().zip(&scales) {
            let id = usize::try_from(c.functional.column).unwrap_or(usize::MAX);
            if let (Some(column), Some(&offset)) = (input.system.columns.get(id), input.layout.offsets.get(id))
                && column.home == home
            {
                sum += *scale * committed_weight(ctx, &c.functional, &column.dims, offset, &own);
            }
        }
        weight += eq_index(ctx, slot, &rest) * sum;
    }
    for phase in &weights {
        let later = bound.get(phase.bound..).unwrap_or(&[]);
        for q in &phase.queries {
            weight += q.scale * power_weight(ctx, q.offset, q.bits, q.y, later);
        }
    }
    let final_point: Vec<K> = point;
    let eq = eq_table(ctx, &final_point);
    let value = inner_product(ctx, &proof.final_vector, &eq);
    ctx.require_equal(&claim, &(weight * value), RejectReason::Opening)
}

/// One query: the fold of an opened row must be the next vector's slot at `y`.
struct Query {
    scale: K,
    offset: u64,
    bits: u32,
    y: F,
    value: K,
}

fn grind(ctx: &mut NativeContext, schedule: &Schedule, phase: usize, nonce: u64) -> Result<(), RejectReason> {
    if !ctx.transcript.check_work(nonce, schedule.grinding_bits) {
        return Err(RejectReason::ProofOfWork { phase });
    }
    ctx.transcript.absorb_nonce(nonce);
    Ok(())
}

/// Draws one batching challenge and adds the queries' values to the claim.
fn batch(ctx: &mut NativeContext, queries: &mut [Query], claim: &mut K) {
    let xi = ctx.challenge("query batch");
    let mut scale = xi;
    for q in queries {
        q.scale = scale;
        *claim += scale * q.value;
        scale *= xi;
    }
}

/// `[slot] * y^index` at a point given in binding order, least significant variable first.
fn power_weight(ctx: &NativeContext, offset: u64, bits: u32, y: F, later: &[K]) -> K {
    let count = usize::try_from(bits).unwrap_or(usize::MAX);
    let (own, rest) = later.split_at_checked(count).unwrap_or((later, &[]));
    let mut product = ctx.constant(K::ONE);
    let mut power = y;
    for r in own {
        product *= K::ONE - *r + *r * power;
        power = power.square();
    }
    let rest: Vec<K> = rest.iter().rev().copied().collect();
    product * eq_index(ctx, offset.checked_shr(bits).unwrap_or(0), &rest)
}

/// Queries of a phase: phase 0 to the two commitments, phase i to folded oracle i - 1.
fn phase_queries(
    ctx: &mut NativeContext,
    schedule: &Schedule,
    input: &OpeningClaims<'_>,
    proof: &OpeningProof,
    phase: usize,
    fold: &[K],
) -> Result<Vec<Query>, RejectReason> {
    match phase.checked_sub(1) {
        None => initial_queries(ctx, schedule, input, proof, fold),
        Some(before) => folded_queries(ctx, schedule, proof, before, fold),
    }
}

fn initial_queries(
    ctx: &mut NativeContext,
    schedule: &Schedule,
    input: &OpeningClaims<'_>,
    proof: &OpeningProof,
    fold: &[K],
) -> Result<Vec<Query>, RejectReason> {
    let mut out = Vec::new();
    let oracles = [
        (OracleId::Witness, &schedule.witness, input.witness_root, &proof.witness, false),
        (OracleId::Constants, &schedule.constants, input.constants_root, &proof.constants, true),
    ];
    for (id, oracle, root, opened, constants) in oracles {
        let rows = open(ctx, id, oracle, root, opened, hash_base_row)?;
        let eq = eq_table(ctx, fold);
        for (position, row) in rows {
            let value = row.iter().zip(&eq).fold(K::ZERO, |sum, (v, e)| sum + *e * *v);
            let bits = oracle.bits.saturating_sub(oracle.fold);
            let offset = schedule.stack_offset(constants);
            out.push(Query { scale: K::ZERO, offset, bits, y: domain_point(oracle, position), value });
        }
    }
    Ok(out)
}

fn folded_queries(
    ctx: &mut NativeContext,
    schedule: &Schedule,
    proof: &OpeningProof,
    index: usize,
    fold: &[K],
) -> Result<Vec<Query>, RejectReason> {
    let (Some(oracle), Some(folded)) = (schedule.folded.get(index), proof.folded.get(index)) else {
        return Err(RejectReason::OpenedCount { oracle: OracleId::Folded(index) });
    };
    let rows = open(ctx, OracleId::Folded(index), oracle, &folded.root, &folded.opened, hash_ext_row)?;
    let eq = eq_table(ctx, fold);
    Ok(rows
        .into_iter()
        .map(|(position, row)| Query {
            scale: K::ZERO,
            offset: 0,
            bits: oracle.bits.saturating_sub(oracle.fold),
            y: domain_point(oracle, position),
            value: inner_product(ctx, row, &eq),
        })
        .collect())
}

/// Draws the query positions of an oracle and authenticates its opened rows.
fn open<'p, T>(
    ctx: &mut NativeContext,
    id: OracleId,
    oracle: &Oracle,
    root: &Digest,
    opened: &'p OpenedRows<T>,
    hash: impl Fn(&[T]) -> Digest,
) -> Result<Vec<(u64, &'p [T])>, RejectReason> {
    let count = usize::try_from(oracle.queries).unwrap_or(usize::MAX);
    let mut positions = ctx.transcript.indices("query positions", count, oracle.domain_bits());
    positions.sort_unstable();
    positions.dedup();
    let width = 1usize.checked_shl(oracle.fold).unwrap_or(usize::MAX);
    if opened.rows.len() != positions.len() || opened.rows.iter().any(|r| r.len() != width) {
        return Err(RejectReason::OpenedCount { oracle: id });
    }
    let leaves = positions.iter().zip(&opened.rows).map(|(&p, row)| (p, hash(row))).collect();
    verify_multiproof(root, oracle.domain_bits(), leaves, &opened.siblings).map_err(|e| match e {
        MultiproofError::Count => RejectReason::OpenedCount { oracle: id },
        MultiproofError::Root => RejectReason::Merkle { oracle: id },
    })?;
    Ok(positions.into_iter().zip(opened.rows.iter().map(Vec::as_slice)).collect())
}

/// Evaluation point of a row.
fn domain_point(oracle: &Oracle, position: u64) -> F {
    F::two_adic_generator(usize::try_from(oracle.domain_bits()).unwrap_or(0)).exp_u64(position)
}
