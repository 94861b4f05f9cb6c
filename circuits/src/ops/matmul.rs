//! `MatMul`: matrix product of two activations (attention scores and values), requantised.
//!
//! `acc[.., m, n] = sum_k a[.., m, k] * b[.., k, n]`, both centred; leading axes of size 1 are broadcast.

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Requant;
use super::operand::broadcast_index;
use crate::program::{Value, ValueId};

/// Batched matrix product; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul {
    /// Left operand, `[.., m, k]`.
    pub a: ValueId,
    /// Right operand, `[.., k, n]`; same rank.
    pub b: ValueId,
    /// Output, `[.., m, n]`.
    pub output: ValueId,
    /// Step function for the whole tensor.
    pub requant: Requant,
}

impl MatMul {
    /// The accumulators, in the output's order. Shapes are those of a validated program.
    pub fn accumulate(&self, a: &[i32], a_value: &Value, b: &[i32], b_value: &Value, output: &Value) -> Vec<i64> {
        let rank = output.shape.len();
        let size = |shape: &[u32], axis: usize| shape[axis] as usize;
        let (m, n) = (size(&output.shape, rank - 2), size(&output.shape, rank - 1));
        let k = size(&a_value.shape, rank - 1);
        let batch: Vec<u32> = output.shape[..rank - 2].to_vec();
        let count: usize = batch.iter().map(|&d| d as usize).product();
        let a_batch = broadcast_index(&batch, &a_value.shape[..rank - 2]);
        let b_batch = broadcast_index(&batch, &b_value.shape[..rank - 2]);
        let mut acc = vec![0i64; output.len()];
        for at in 0..count {
            let a_own = &a[a_batch(at) * m * k..][..m * k];
            let b_own = &b[b_batch(at) * k * n..][..k * n];
            for (row, target) in a_own.chunks_exact(k).zip(acc[at * m * n..][..m * n].chunks_exact_mut(n)) {
                for (&x, weights) in row.iter().zip(b_own.chunks_exact(n)) {
                    for (t, &w) in target.iter_mut().zip(weights) {
                        *t += i64::from(x) * i64::from(w);
                    }
                }
            }
        }
        acc
    }

    /// Bounds of the accumulator over all operands in range.
    pub fn reachable(&self, a: &Value, b: &Value) -> (i64, i64) {
        let (min, max) = product_range(range(a), range(b));
        let k = i64::from(a.shape.last().copied().unwrap_or(1));
        (min.saturating_mul(k), max.saturating_mul(k))
    }
}

/// Centred range of a value.
pub(crate) fn range(value: &Value) -> (i64, i64) {
    (i64::from(value.quantisation.lo()), i64::from(value.quantisation.hi()))
}

/// Range of the product of two ranges.
pub(crate) fn product_range(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    let corners = [a.0.saturating_mul(b.0), a.0.saturating_mul(b.1), a.1.saturating_mul(b.0), a.1.saturating_mul(b.1)];
    (corners.into_iter().min().unwrap_or(0), corners.into_iter().max().unwrap_or(0))
}
