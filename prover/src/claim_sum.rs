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

/// Outer weights handled by one task.
const OUTER_PER_TASK: usize = 1 << 13;

/// A part of a claim: outer weights with the padded offset of their run, inner weights, and the column folded over the
/// outer.
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
            .flat_map_iter(|&(claim, scale, column, start)| terms(vector, fold_bits, claim, scale, column, start))
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

/// The terms of one claim: one, or two where the inner index ends inside an axis whose last block is not full.
fn terms(
    vector: &[F],
    fold_bits: u32,
    claim: &EvaluationClaim<K>,
    scale: K,
    column: &Column,
    start: usize,
) -> Vec<Term> {
    let dims = &column.dims;
    let weights = &claim.functional.axes;
    let axes = claim.functional.dense_axes(&Native, dims);
    let offsets = run_offsets(dims, weights);
    // Trailing runs form the inner index until they span the folded variables.
    let mut inner: Vec<(usize, K)> = vec![(0, K::ONE)];
    let mut inner_bits = 0;
    let mut outer_end = axes.len();
    let mut cut = None;
    while outer_end > 0 && inner_bits < fold_bits {
        let at = outer_end - 1;
        let bits = trailing_bits(dims, &weights[at..]);
        let low = cut_of(&weights[at], &axes[at], fold_bits - inner_bits);
        if let Some(low) = low.filter(|_| bits > fold_bits) {
            cut = Some((at, low));
            break;
        }
        inner = outer_product(&offsets[at], &axes[at], &inner);
        inner_bits = bits;
        outer_end = at;
    }
    let prefix = |runs: usize| {
        let mut outer: Vec<(usize, K)> = vec![(start, scale)];
        for (o, w) in offsets[..runs].iter().zip(&axes[..runs]) {
            outer = outer_product_prefix(&outer, o, w);
        }
        outer
    };
    let Some((at, cut)) = cut else {
        // A column smaller than one folded block sits somewhere inside it.
        let block_bits = inner_bits.max(fold_bits);
        let shift = if inner_bits < fold_bits { start & ((1 << fold_bits) - 1) } else { 0 };
        let mut outer = prefix(outer_end);
        for (at, _) in &mut outer {
            *at -= shift;
        }
        return vec![Term::new(vector, outer, &inner, shift, block_bits)];
    };
    // The axis is cut into whole blocks of `cut.low` entries and a rest.
    let size = cut.low.len();
    let (blocks, rest) = (offsets[at].len() / size, offsets[at].len() % size);
    let outer = prefix(at);
    let part = |from: usize, to: usize, entries: usize| {
        let first: Vec<usize> = (from..to).map(|b| offsets[at][b * size]).collect();
        let outer = outer_product_prefix(&outer, &first, &cut.high[from..to]);
        let inner = outer_product(&offsets[at][..entries], &cut.low[..entries], &inner);
        Term::new(vector, outer, &inner, 0, fold_bits)
    };
    let whole = (blocks > 0).then(|| part(0, blocks, size));
    let last = (rest > 0).then(|| part(blocks, blocks + 1, rest));
    whole.into_iter().chain(last).collect()
}

/// The weights of one axis as products of those of its blocks and those inside a block.
struct Cut {
    high: Vec<K>,
    low: Vec<K>,
}

/// Cuts an axis into blocks of `2^bits` entries, if its weights factor so.
fn cut_of(weight: &AxisWeight<K>, dense: &[K], bits: u32) -> Option<Cut> {
    let blocks = dense.len().div_ceil(1 << bits);
    match weight {
        AxisWeight::Eq(point) if point.len() > bits as usize => {
            let (high, low) = point.split_at(point.len() - bits as usize);
            let mut high = eq_table(&Native, high);
            high.truncate(blocks);
            Some(Cut { high, low: eq_table(&Native, low) })
        }
        AxisWeight::Ones if blocks > 1 => Some(Cut { high: vec![K::ONE; blocks], low: vec![K::ONE; 1 << bits] }),
        _ => None,
    }
}

impl Term {
    /// `inner`: padded offsets and weights inside a block of `2^block_bits` cells, behind `shift` cells.
    fn new(vector: &[F], outer: Vec<(usize, K)>, inner: &[(usize, K)], shift: usize, block_bits: u32) -> Self {
        let mut dense = vec![K::ZERO; 1 << block_bits];
        for &(at, w) in inner {
            dense[shift + at] += w;
        }
        let partial = |outer: &[(usize, K)]| {
            let mut sums = Split::zeros(1 << block_bits);
            for &(at, a) in outer {
                // The last run of a column may end before its padded block does.
                let end = (at + (1 << block_bits)).min(vector.len());
                sums.add_scaled(&vector[at..end], a);
            }
            sums.to_vec()
        };
        let sums = outer
            .par_chunks(OUTER_PER_TASK)
            .map(partial)
            .reduce_with(|a, b| a.iter().zip(&b).map(|(&x, &y)| x + y).collect())
            .unwrap_or_else(|| vec![K::ZERO; 1 << block_bits]);
        Self { outer, inner: dense, sums }
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
