//! Evaluation of separable functionals on column cells.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};

const PARALLEL: usize = 1 << 12;

/// `sum_x cells[x] * prod axes[a][x_a]`, cells row-major over the axis lengths.
pub(crate) fn evaluate(cells: &[F], axes: &[Vec<K>]) -> K {
    let Some((inner, outer)) = axes.split_last() else { return cells.first().map_or(K::ZERO, |&v| K::from(v)) };
    let dot = |chunk: &[F]| chunk.iter().zip(inner).map(|(&v, &w)| w * v).sum::<K>();
    let mut current: Vec<K> = if cells.len() >= PARALLEL {
        cells.par_chunks(inner.len().max(1)).with_min_len(PARALLEL / inner.len().max(1) + 1).map(dot).collect()
    } else {
        cells.chunks(inner.len().max(1)).map(dot).collect()
    };
    for weights in outer.iter().rev() {
        current = current
            .chunks(weights.len().max(1))
            .map(|chunk| chunk.iter().zip(weights).map(|(&v, &w)| v * w).sum())
            .collect();
    }
    current.first().copied().unwrap_or(K::ZERO)
}

/// Adds `scale * prod axes[a][x_a]` to the padded cells of a column starting at `vector[0]`. `bits[a]` is the width of
/// run `a` of axes in the padded index; `runs[a]` maps a flattened index of run a to its padded offset.
pub(crate) fn add_outer(vector: &mut [K], axes: &[Vec<K>], runs: &[Vec<usize>], scale: K) {
    match (axes.split_first(), runs.split_first()) {
        (Some((weights, [])), Some((offsets, _))) => {
            for (&w, &o) in weights.iter().zip(offsets) {
                vector[o] += scale * w;
            }
        }
        (Some((weights, axes)), Some((offsets, runs))) => {
            for (&w, &o) in weights.iter().zip(offsets) {
                if w != K::ZERO {
                    add_outer(&mut vector[o..], axes, runs, scale * w);
                }
            }
        }
        _ => {
            if let Some(v) = vector.first_mut() {
                *v += scale;
            }
        }
    }
}
