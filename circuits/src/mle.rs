//! Multilinear polynomials: the `eq` kernel and closed-form extensions. Points list the most significant index bit
//! first.

use alloc::vec;
use alloc::vec::Vec;

use crate::arithmetic::Arithmetic;
use crate::field::K;
use p3_field::PrimeCharacteristicRing;

/// Bits needed to index `n` cells: `ceil(log2 n)` (0 for n <= 1).
pub const fn index_bits(n: u64) -> u32 {
    if n <= 1 { 0 } else { 64 - (n - 1).leading_zeros() }
}

/// All `eq(point, x)`, x in index order.
pub fn eq_table<A: Arithmetic>(ctx: &A, point: &[A::Element]) -> Vec<A::Element> {
    let mut table = vec![ctx.constant(K::ONE)];
    for r in point {
        let mut next = Vec::with_capacity(table.len().saturating_mul(2));
        for t in table {
            let high = t.clone() * r.clone();
            next.push(t - high.clone());
            next.push(high);
        }
        table = next;
    }
    table
}

/// `eq(a, b)` for two points.
pub fn eq_eval<A: Arithmetic>(ctx: &A, a: &[A::Element], b: &[A::Element]) -> A::Element {
    let mut product = ctx.constant(K::ONE);
    for (x, y) in a.iter().zip(b) {
        product = product * eq_bit(ctx, x, y);
    }
    product
}

fn eq_bit<A: Arithmetic>(ctx: &A, x: &A::Element, y: &A::Element) -> A::Element {
    let one = ctx.constant(K::ONE);
    let xy = x.clone() * y.clone();
    one - x.clone() - y.clone() + xy.clone() + xy
}

/// `eq(bits of index, point)`, `point.len()` bits, most significant first.
pub fn eq_index<A: Arithmetic>(ctx: &A, index: u64, point: &[A::Element]) -> A::Element {
    let mut product = ctx.constant(K::ONE);
    for (position, r) in point.iter().rev().enumerate() {
        let bit = u32::try_from(position).ok().and_then(|s| index.checked_shr(s)).unwrap_or(0) & 1;
        let factor = if bit == 1 { r.clone() } else { ctx.constant(K::ONE) - r.clone() };
        product = product * factor;
    }
    product
}

/// `sum_{x < n} eq(a, x) eq(b, x)`, in O(bits). `n <= 2^a.len()`.
pub fn eq_eval_below<A: Arithmetic>(ctx: &A, a: &[A::Element], b: &[A::Element], n: u64) -> A::Element {
    let bits = a.len();
    let full = u32::try_from(bits).ok().and_then(|s| 1u64.checked_shl(s));
    if full.is_some_and(|full| n >= full) {
        return eq_eval(ctx, a, b);
    }
    // Walk from the most significant bit; `prefix` is the product of eq over the bits of n seen so far.
    let mut prefix = ctx.constant(K::ONE);
    let mut sum = ctx.constant(K::ZERO);
    for (position, (x, y)) in a.iter().zip(b).enumerate() {
        let shift = bits.saturating_sub(position).saturating_sub(1);
        let bit = u32::try_from(shift).ok().and_then(|s| n.checked_shr(s)).unwrap_or(0) & 1;
        let one = ctx.constant(K::ONE);
        let both_one = x.clone() * y.clone();
        let both_zero = (one.clone() - x.clone()) * (one - y.clone());
        if bit == 1 {
            // x's bit 0: every suffix counts, and the suffix sums of eq*eq are products of both_zero + both_one.
            let mut rest = ctx.constant(K::ONE);
            for (u, v) in a.iter().zip(b).skip(position.saturating_add(1)) {
                rest = rest * eq_bit(ctx, u, v);
            }
            sum = sum + prefix.clone() * both_zero * rest;
            prefix = prefix * both_one;
        } else {
            prefix = prefix * both_zero;
        }
    }
    sum
}

/// `sum_{x < n} eq(point, x)` in O(bits).
pub fn below<A: Arithmetic>(ctx: &A, point: &[A::Element], n: u64) -> A::Element {
    below_and_weighted(ctx, point, n).0
}

/// `(sum_{x < n} eq(point, x), sum_{x < n} x * eq(point, x))` in O(bits).
pub fn below_and_weighted<A: Arithmetic>(ctx: &A, point: &[A::Element], n: u64) -> (A::Element, A::Element) {
    let zero = ctx.constant(K::ZERO);
    let one = ctx.constant(K::ONE);
    // From the least significant bit up, for the suffix of length j:
    //   all = sum of x*eq over the full suffix, (part, weighted) = the same sums below the suffix of n.
    let (mut all, mut part, mut weighted) = (zero.clone(), zero.clone(), zero);
    let bits = u32::try_from(point.len()).unwrap_or(u32::MAX);
    if 1u64.checked_shl(bits).is_some_and(|full| n >= full) {
        for (position, r) in point.iter().rev().enumerate() {
            all = all + r.clone() * ctx.constant(power_of_two(position));
        }
        return (one, all);
    }
    for (position, r) in point.iter().rev().enumerate() {
        let bit = u32::try_from(position).ok().and_then(|s| n.checked_shr(s)).unwrap_or(0) & 1;
        let weight = ctx.constant(power_of_two(position));
        let zero_side = one.clone() - r.clone();
        if bit == 1 {
            let next_part = zero_side.clone() + r.clone() * part.clone();
            weighted = zero_side * all.clone() + r.clone() * (weighted + weight.clone() * part);
            part = next_part;
        } else {
            weighted = zero_side.clone() * weighted;
            part = zero_side * part;
        }
        all = all + r.clone() * weight;
    }
    (part, weighted)
}

/// `2^exponent` in K.
pub fn power_of_two(exponent: usize) -> K {
    K::TWO.exp_u64(exponent as u64)
}

/// `sum_i 2^i * bit_i` of the point: the extension of the index itself.
pub fn index_value<A: Arithmetic>(ctx: &A, point: &[A::Element]) -> A::Element {
    let mut sum = ctx.constant(K::ZERO);
    for (position, r) in point.iter().rev().enumerate() {
        sum = sum + r.clone() * ctx.constant(power_of_two(position));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::Native;

    fn point(n: usize) -> Vec<K> {
        let mut t = crate::transcript::Transcript::new("mle test");
        t.challenges("r", n)
    }

    #[test]
    fn closed_forms_equal_sums() {
        let (a, b) = (point(5), point(9)[4..].to_vec());
        let (ta, tb) = (eq_table(&Native, &a), eq_table(&Native, &b));
        for n in 0..=32u64 {
            let m = n as usize;
            let direct: K = ta.iter().zip(&tb).take(m).map(|(x, y)| *x * *y).sum();
            assert_eq!(eq_eval_below(&Native, &a, &b, n), direct);
            let (s, w) = below_and_weighted(&Native, &a, n);
            assert_eq!(s, ta.iter().take(m).copied().sum::<K>());
            let weighted: K = ta.iter().enumerate().take(m).map(|(i, x)| *x * K::from_u64(i as u64)).sum();
            assert_eq!(w, weighted);
        }
        for (i, &t) in ta.iter().enumerate() {
            assert_eq!(eq_index(&Native, i as u64, &a), t);
        }
    }

    #[test]
    fn index_bits_of_sizes() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(index_bits), [0, 0, 1, 2, 2, 3]);
    }
}
