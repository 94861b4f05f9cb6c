//! The LogUp-GKR argument: the sum of `numerator / denominator` over all leaves is zero (Papini–Haböck, "Improving
//! logarithmic derivative lookups using GKR", 2023).
//!
//! Layer i holds 2^i fractions; node x has children 2x and 2x+1 in layer i+1 and is their sum:
//! `p = p0 q1 + p1 q0`, `q = q0 q1`.

use alloc::vec::Vec;

use crate::context::Context;
use crate::error::RejectReason;
use crate::sumcheck::reduce;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::K;
use vinfer_circuits::mle::eq_eval;
use vinfer_circuits::proof::LogupProof;

/// What is left to check: the leaf layer's numerator and denominator polynomials at a point.
#[derive(Debug)]
#[must_use = "the leaf claims must be checked against the columns"]
pub(crate) struct LeafClaims<E> {
    pub(crate) point: Vec<E>,
    pub(crate) numerator: E,
    pub(crate) denominator: E,
}

/// Reduces "all fractions sum to zero" to claims about the leaves.
pub(crate) fn verify<C: Context>(ctx: &mut C, proof: &LogupProof) -> Result<LeafClaims<C::Element>, RejectReason> {
    let root = ctx.receive("logup root", &[proof.root_denominator]);
    let zero = ctx.constant(K::ZERO);
    let mut denominator = root.first().cloned().unwrap_or_else(|| zero.clone());
    ctx.require_non_zero(&denominator, RejectReason::LogupZeroDenominator)?;
    let mut numerator = zero;
    let mut point: Vec<C::Element> = Vec::new();
    for (layer, proof) in proof.layers.iter().enumerate() {
        let lambda = ctx.challenge("logup combine");
        let claim = numerator.clone() + lambda.clone() * denominator.clone();
        let (reduced, at) = reduce(ctx, "logup round", claim, &proof.rounds);
        let children = ctx.receive("logup children", &proof.children);
        let [p0, p1, q0, q1] = children.as_slice() else { return Err(RejectReason::LogupLayer { layer }) };
        let cross = p0.clone() * q1.clone() + p1.clone() * q0.clone();
        let expected = eq_eval(ctx, &point, &at) * (cross + lambda * (q0.clone() * q1.clone()));
        let reason = if layer == 0 { RejectReason::LogupRoot } else { RejectReason::LogupLayer { layer } };
        ctx.require_equal(&reduced, &expected, reason)?;
        let r = ctx.challenge("logup child");
        numerator = p0.clone() + r.clone() * (p1.clone() - p0.clone());
        denominator = q0.clone() + r.clone() * (q1.clone() - q0.clone());
        point = at;
        point.push(r);
    }
    Ok(LeafClaims { point, numerator, denominator })
}
