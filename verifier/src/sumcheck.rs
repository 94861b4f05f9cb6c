//! Sumcheck rounds. Challenges bind the least significant variable first; points come back most significant first.

use alloc::vec::Vec;

use crate::context::Context;
use vinfer_circuits::field::K;
use vinfer_circuits::field::from_i64;

/// Replays rounds of degree `N` given as values at `0, 2, .., N`; the value at 1 is `claim - value(0)`. Returns the
/// reduced claim and the point.
///
/// # Soundness
/// The caller must still check the reduced claim against the polynomial's value at the point.
pub(crate) fn reduce<C: Context, const N: usize>(
    ctx: &mut C,
    label: &'static str,
    mut claim: C::Element,
    rounds: &[[K; N]],
) -> (C::Element, Vec<C::Element>) {
    let mut point = Vec::with_capacity(rounds.len());
    for round in rounds {
        let sent = ctx.receive(label, round);
        let r = ctx.challenge(label);
        let mut values = Vec::with_capacity(N.saturating_add(1));
        if let Some((first, rest)) = sent.split_first() {
            values.push(first.clone());
            values.push(claim.clone() - first.clone());
            values.extend_from_slice(rest);
        }
        claim = interpolate(ctx, &values, &r);
        point.push(r);
    }
    point.reverse();
    (claim, point)
}

/// Value at `r` of the polynomial with the given values at `0, 1, ..`, for two to four values (Newton form).
pub(crate) fn interpolate<C: Context>(ctx: &C, values: &[C::Element], r: &C::Element) -> C::Element {
    // Divided differences over the nodes 0, 1, 2, ..: c_k = (k-th forward difference) / k!.
    let mut differences = values.to_vec();
    let mut result = ctx.constant(K::from(from_i64(0)));
    let mut basis = ctx.constant(K::from(from_i64(1)));
    let mut node = 0i64;
    while let Some(first) = differences.first().cloned() {
        result = result + basis.clone() * first;
        differences = differences.windows(2).filter_map(|w| Some(w.get(1)?.clone() - w.first()?.clone())).collect();
        // basis_{k+1} = basis_k * (r - k) / (k + 1)
        let shifted = r.clone() - ctx.constant(K::from(from_i64(node)));
        node = node.saturating_add(1);
        basis = basis * shifted * ctx.constant(inverse_small(node));
    }
    result
}

fn inverse_small(n: i64) -> K {
    use p3_field::Field;
    K::from(from_i64(n)).try_inverse().unwrap_or_default()
}
