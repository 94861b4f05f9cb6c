//! The batched claim on one commitment, `sum_i gamma^i functional_i(vector)`, and its first folding rounds.
//!
//! A functional is a product of axis weights, so its weight on cell `outer * 2^t + inner` is `A[outer] * B[inner]` where
//! the inner index spans the trailing axes. While folding stays inside the inner index, the round polynomials only need
//! `G[inner] = sum_outer A[outer] * vector[outer, inner]`, one pass over the column; the dense weight vector of the whole
//! commitment is never built, and the vector is folded by all `fold` variables in one pass.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::{AxisWeight, EvaluationClaim};
use vinfer_circuits::mle::eq_table;
use vinfer_circuits::system::{Column, domain_bits};

use crate::contraction::fold;
use crate::kernels::Split;

/// One claim: outer weights with the padded offset of their run, inner weights, and the column folded over the outer.
struct Term {
    outer: Vec<(usize, K)>,
    inner: Vec<K>,
    sums: Vec<K>,
}

/// The batched claim on one commitment.
pub(crate) struct ClaimSum<'a> {
    vector: &'a [F],
    fold_bits: u32,
    terms: Vec<Term>,
    challenges: Vec<K>,
}

impl<'a> ClaimSum<'a> {
    /// `claims`: the claim, its batching coefficient, its column and the column's offset.
    pub(crate) fn new(vector: &'a [F], fold_bits: u32, claims: &[(&EvaluationClaim<K>, K, &Column, usize)]) -> Self {
        let terms = claims
            .par_iter()
            .map(|&(claim, scale, column, start)| Term::new(vector, fold_bits, claim, scale, column, start))
            .collect();
        Self { vector, fold_bits, terms, challenges: Vec::new() }
    }

    /// Values at 0 and 2 of the next round polynomial.
    pub(crate) fn round(&self) -> [K; 2] {
        let mut message = [K::ZERO; 2];
        for term in &self.terms {
            for (g, w) in term.sums.chunks_exact(2).zip(term.inner.chunks_exact(2)) {
                message[0] += g[0] * w[0];
                message[1] += (g[1].double() - g[0]) * (w[1].double() - w[0]);
            }
        }
        message
    }

    /// Binds the next variable.
    pub(crate) fn bind(&mut self, r: K) {
        for term in &mut self.terms {
            term.sums = fold(&term.sums, r);
            term.inner = fold(&term.inner, r);
        }
        self.challenges.push(r);
    }

    /// After `fold_bits` rounds: the folded vector and the folded weights.
    pub(crate) fn finish(self) -> (Vec<K>, Vec<K>) {
        let width = 1usize << self.fold_bits;
        let point: Vec<K> = self.challenges.iter().rev().copied().collect();
        let eq = Split::from_slice(&eq_table(&Native, &point));
        let values = self.vector.par_chunks(width).with_min_len(1 << 8).map(|chunk| eq.dot(chunk)).collect();
        let mut weights = vec![K::ZERO; self.vector.len() / width];
        for term in &self.terms {
            for &(offset, a) in &term.outer {
                let at = offset / width;
                for (w, &b) in weights[at..at + term.inner.len()].iter_mut().zip(&term.inner) {
                    *w += a * b;
                }
            }
        }
        (values, weights)
    }
}

impl Term {
    fn new(vector: &[F], fold_bits: u32, claim: &EvaluationClaim<K>, scale: K, column: &Column, start: usize) -> Self {
        let dims = &column.dims;
        let axes = claim.functional.dense_axes(&Native, dims);
        let offsets = run_offsets(dims, &claim.functional.axes);
        // Trailing runs form the inner index until they span the folded variables.
        let mut inner: Vec<(usize, K)> = vec![(0, K::ONE)];
        let mut inner_bits = 0;
        let mut split = axes.len();
        while split > 0 && inner_bits < fold_bits {
            split -= 1;
            inner = outer_product(&offsets[split], &axes[split], &inner);
            inner_bits = trailing_bits(dims, &claim.functional.axes[split..]);
        }
        let mut outer: Vec<(usize, K)> = vec![(start, scale)];
        for (o, w) in offsets[..split].iter().zip(&axes[..split]) {
            outer = outer_product_prefix(&outer, o, w);
        }
        // A column smaller than one folded block sits somewhere inside it.
        let block_bits = inner_bits.max(fold_bits);
        let shift = if inner_bits < fold_bits { start & ((1 << fold_bits) - 1) } else { 0 };
        if shift > 0 {
            for (at, _) in &mut outer {
                *at -= shift;
            }
        }
        let mut dense = vec![K::ZERO; 1 << block_bits];
        for (at, w) in inner {
            dense[shift + at] += w;
        }
        let mut sums = Split::zeros(1 << block_bits);
        for &(at, a) in &outer {
            // The last run of a column may end before its padded block does.
            let end = (at + (1 << block_bits)).min(vector.len());
            sums.add_scaled(&vector[at..end], a);
        }
        Self { outer, inner: dense, sums: sums.to_vec() }
    }
}

fn outer_product(offsets: &[usize], weights: &[K], inner: &[(usize, K)]) -> Vec<(usize, K)> {
    let runs = offsets.iter().zip(weights);
    runs.flat_map(|(&o, &w)| inner.iter().map(move |&(i, v)| (o + i, w * v))).collect()
}

fn outer_product_prefix(outer: &[(usize, K)], offsets: &[usize], weights: &[K]) -> Vec<(usize, K)> {
    outer.iter().flat_map(|&(at, a)| offsets.iter().zip(weights).map(move |(&o, &w)| (at + o, a * w))).collect()
}

fn span(weight: &AxisWeight<K>) -> usize {
    if let AxisWeight::Dense { span, .. } = weight { *span } else { 1 }
}

/// Index bits of the column axes that trailing runs cover.
fn trailing_bits(dims: &[u32], runs: &[AxisWeight<K>]) -> u32 {
    let axes: usize = runs.iter().map(span).sum();
    domain_bits(&dims[dims.len() - axes..])
}

/// Padded offset of every flattened index of each run of axes.
fn run_offsets(dims: &[u32], axes: &[AxisWeight<K>]) -> Vec<Vec<usize>> {
    let mut axis = 0usize;
    axes.iter()
        .map(|weight| {
            let mut offsets = vec![0usize];
            for _ in 0..span(weight) {
                let shift = domain_bits(&dims[axis + 1..]);
                let size = dims[axis] as usize;
                offsets = offsets.iter().flat_map(|&base| (0..size).map(move |i| base + (i << shift))).collect();
                axis += 1;
            }
            offsets
        })
        .collect()
}
