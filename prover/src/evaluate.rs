//! Evaluation of separable functionals on column cells.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};

use crate::kernels::Split;

/// `sum_x cells[x] * prod axes[a][x_a]`, cells row-major over the axis lengths.
pub(crate) fn evaluate(cells: &[F], axes: &[Vec<K>]) -> K {
    let Some((inner, outer)) = axes.split_last() else { return cells.first().map_or(K::ZERO, |&v| K::from(v)) };
    let width = inner.len().max(1);
    let split = Split::from_slice(inner);
    let mut current: Vec<K> =
        cells.par_chunks(width).with_min_len((1 << 13) / width + 1).map(|chunk| split.dot(chunk)).collect();
    for weights in outer.iter().rev() {
        current = current
            .chunks(weights.len().max(1))
            .map(|chunk| chunk.iter().zip(weights).map(|(&v, &w)| v * w).sum())
            .collect();
    }
    current.first().copied().unwrap_or(K::ZERO)
}
