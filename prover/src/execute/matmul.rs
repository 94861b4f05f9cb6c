//! [`MatMul`] row by row, in 32-bit integers where they provably suffice. The results are those of `MatMul::accumulate`.

use rayon::prelude::*;
use vinfer_circuits::ops::{MatMul, broadcast_index};
use vinfer_circuits::program::Value;

use super::integer::largest;

/// The accumulators, in the output's order.
pub(super) fn accumulate(
    m: &MatMul,
    (a, a_value): (&[i32], &Value),
    (b, b_value): (&[i32], &Value),
    output: &Value,
) -> Vec<i64> {
    let rank = output.shape.len();
    let size = |shape: &[u32], axis: usize| shape[axis] as usize;
    let (rows, n) = (size(&output.shape, rank - 2), size(&output.shape, rank - 1));
    let k = size(&a_value.shape, rank - 1);
    // Every partial sum is at most this.
    let bound = largest(a).checked_mul(largest(b)).and_then(|p| p.checked_mul(k as u64));
    if bound.is_none_or(|bound| bound > i32::MAX as u64) || n == 0 || k == 0 {
        return m.accumulate(a, a_value, b, b_value, output);
    }
    let batch = &output.shape[..rank - 2];
    let a_batch = broadcast_index(batch, &a_value.shape[..rank - 2]);
    let b_batch = broadcast_index(batch, &b_value.shape[..rank - 2]);
    let mut acc = vec![0i64; output.len()];
    acc.par_chunks_mut(n).enumerate().for_each_init(
        || vec![0i32; n],
        |sums, (index, target)| {
            let (at, row) = (index / rows, index % rows);
            let a_own = &a[(a_batch(at) * rows + row) * k..][..k];
            let b_own = &b[b_batch(at) * k * n..][..k * n];
            sums.fill(0);
            for (&x, weights) in a_own.iter().zip(b_own.chunks_exact(n)) {
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum += x * w;
                }
            }
            for (slot, &sum) in target.iter_mut().zip(&*sums) {
                *slot = i64::from(sum);
            }
        },
    );
    acc
}
