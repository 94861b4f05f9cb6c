//! The batched sumcheck of contractions and products, prover side.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::functional::split_point;
use vinfer_circuits::functional::strided;
use vinfer_circuits::mle::{eq_table, index_bits, power_of_two};
use vinfer_circuits::proof::ContractionProof;
use vinfer_circuits::system::{AxisMap, ContractMap, Contraction, IndexList, Product, System};
use vinfer_circuits::transcript::Transcript;

use crate::kernels::Split;

/// The two factors of one contraction or product over its padded summed (or shared) axes.
pub(crate) struct Factors {
    pub(crate) weights: Vec<K>,
    pub(crate) input: Vec<K>,
    /// Multiplier of the claim (contractions carry theirs in the weights).
    pub(crate) scale: K,
}

impl Factors {
    /// Folds weights over rows and the input over positions.
    pub(crate) fn new(
        contraction: &Contraction,
        weight_cells: &[F],
        weight_dims: &[u32],
        row_weights: &[K],
        input_cells: &[F],
        input_dims: &[u32],
        position: &[K],
    ) -> Self {
        Self {
            weights: fold_weights(contraction, weight_cells, weight_dims, row_weights),
            input: fold_input(contraction, input_cells, input_dims, position),
            scale: K::ONE,
        }
    }

    /// Folds both factors of a product over the axes that only they read, at a point of its domain.
    pub(crate) fn of_product(system: &System, product: &Product, cells: [&[F]; 2], point: &[K], scale: K) -> Self {
        let domain: Vec<Vec<K>> = split_point(&product.dims, point).into_iter().map(|p| eq_table(&Native, p)).collect();
        let shared = product.shared();
        let [mut weights, input] = [(&product.a, cells[0]), (&product.b, cells[1])].map(|(factor, cells)| {
            let dims = &system.columns[factor.column as usize].dims;
            fold_factor(&factor.maps, dims, cells, &product.axes(), &shared, &domain)
        });
        // The first factor carries eq(point, x) of the shared domain axes.
        let sizes = product.shared_sizes();
        let mut inner = weights.len();
        for (&axis, &size) in shared.iter().zip(&sizes) {
            inner /= size as usize;
            if let Some(eq) = domain.get(axis) {
                for (at, w) in weights.iter_mut().enumerate() {
                    *w *= eq[at / inner % size as usize];
                }
            }
        }
        Self { weights: pad_to(&sizes, &weights), input: pad_to(&sizes, &input), scale }
    }
}

/// A factor over the real shared axes: every other axis contracted with the weights of the domain point.
fn fold_factor(
    maps: &[AxisMap],
    dims: &[u32],
    cells: &[F],
    axes: &[u32],
    shared: &[usize],
    domain: &[Vec<K>],
) -> Vec<K> {
    let mut current: Vec<K> = cells.iter().map(|&v| K::from(v)).collect();
    // The shared axis behind each remaining axis, outermost first; filled from the innermost.
    let mut tail: Vec<(usize, usize)> = Vec::new();
    let mut end = dims.len();
    for map in maps.iter().rev() {
        let start = end - map.span();
        let size: usize = dims[start..end].iter().map(|&d| d as usize).product();
        end = start;
        let inner: usize = tail.iter().map(|&(_, n)| n).product();
        let Some(axis) = map.axis().map(usize::from) else {
            current = contract_axis(&current, size, inner, 1, |_| vec![(0, K::ONE)]);
            continue;
        };
        let len = axes[axis];
        let slot = shared.iter().position(|&s| s == axis);
        if let (AxisMap::Same { .. }, Some(slot)) = (map, slot) {
            tail.insert(0, (slot, size));
            continue;
        }
        let mut matrix: Vec<Vec<(usize, K)>> = vec![Vec::new(); size];
        for i in 0..len {
            let at = match map {
                AxisMap::Strided { stride, offset, .. } => strided(i, *stride, i64::from(*offset), size as u32),
                AxisMap::Gather { list: IndexList::List(list), .. } => Some(list[i as usize]),
                _ => Some(i),
            };
            if let Some(at) = at {
                let entry = if slot.is_some() { (i as usize, K::ONE) } else { (0, domain[axis][i as usize]) };
                matrix[at as usize].push(entry);
            }
        }
        let out = if slot.is_some() { len as usize } else { 1 };
        current = contract_axis(&current, size, inner, out, |x| matrix[x].clone());
        if let Some(slot) = slot {
            tail.insert(0, (slot, len as usize));
        }
    }
    reorder(&current, &tail, &shared.iter().map(|&s| axes[s]).collect::<Vec<_>>())
}

/// Brings axes, given outermost first as `(target position, size)`, into the order of their targets.
fn reorder(current: &[K], tail: &[(usize, usize)], sizes: &[u32]) -> Vec<K> {
    let mut strides = vec![0usize; sizes.len()];
    let mut stride = 1usize;
    for &(axis, size) in tail.iter().rev() {
        strides[axis] = stride;
        stride *= size;
    }
    let mut offsets = vec![0usize];
    for (&d, &s) in sizes.iter().zip(&strides) {
        offsets = offsets.iter().flat_map(|&base| (0..d as usize).map(move |i| base + i * s)).collect();
    }
    offsets.into_iter().map(|at| current[at]).collect()
}

/// `sum over rows of row_weight * weights[row, ..]`, per group, padded.
fn fold_weights(c: &Contraction, cells: &[F], dims: &[u32], row_weights: &[K]) -> Vec<K> {
    let row_axis = c.row_axis();
    let outer: usize = dims[..row_axis].iter().map(|&d| d as usize).product();
    let inner: usize = dims[row_axis + 1..].iter().map(|&d| d as usize).product();
    let rows = dims[row_axis] as usize;
    let per_group = if c.rows_per_group > 0 { c.rows_per_group as usize } else { rows };
    let groups = rows / per_group.max(1);
    // dense[group][outer][inner]
    let mut dense = Vec::with_capacity(groups * outer * inner);
    for g in 0..groups {
        let own = &row_weights[g * per_group..(g + 1) * per_group];
        if inner == 1 {
            let split = Split::from_slice(own);
            dense.extend((0..outer).map(|o| split.dot(&cells[o * rows + g * per_group..][..per_group])));
            continue;
        }
        for o in 0..outer {
            let block = &cells[(o * rows + g * per_group) * inner..][..per_group * inner];
            let mut sums = Split::zeros(inner);
            for (row, &w) in block.chunks_exact(inner).zip(own) {
                sums.add_scaled(row, w);
            }
            dense.extend(sums.to_vec());
        }
    }
    // The axes left, in the column's order: the group, then the summed axes.
    let grouped = c.rows_per_group > 0;
    let own = c.own_summed();
    let group = grouped.then_some((0, groups));
    let rest = c.weight_axes.iter().flatten().filter(|&&k| k > 0);
    let rest = rest.map(|&k| (usize::from(k) - 1 + usize::from(grouped), own[usize::from(k) - 1] as usize));
    let tail: Vec<(usize, usize)> = group.into_iter().chain(rest).collect();
    pad_to(&c.summed, &reorder(&dense, &tail, &c.summed))
}

/// The input with every position axis contracted and every window turned into its taps.
fn fold_input(c: &Contraction, cells: &[F], dims: &[u32], position: &[K]) -> Vec<K> {
    let positions = split_point(&c.positions, position);
    let mut current: Vec<K> = cells.iter().map(|&v| K::from(v)).collect();
    // Sizes and the summed axis behind each remaining axis, outermost first; filled from the innermost.
    let mut tail: Vec<(usize, usize)> = Vec::new();
    for (&size, map) in dims.iter().zip(&c.maps).rev() {
        let inner: usize = tail.iter().map(|&(_, n)| n).product();
        let size = size as usize;
        match map {
            ContractMap::Summed { axis } => tail.insert(0, (*axis as usize, size)),
            ContractMap::Grouped { axis, size: per_group } => {
                tail.insert(0, (*axis as usize, *per_group as usize));
                tail.insert(0, (0, size / (*per_group as usize).max(1)));
            }
            ContractMap::Position { axis } => {
                let eq = eq_table(&Native, positions[*axis as usize]);
                current = contract_axis(&current, size, inner, 1, |x| vec![(0, eq[x])]);
            }
            ContractMap::Window { axis, tap_axis, stride, dilation, offset } => {
                let eq = eq_table(&Native, positions[*axis as usize]);
                let taps = c.summed[*tap_axis as usize];
                let mut matrix: Vec<Vec<(usize, K)>> = vec![Vec::new(); size];
                for out in 0..c.positions[*axis as usize] {
                    for tap in 0..taps {
                        let shift = i64::from(tap) * i64::from(*dilation) + i64::from(*offset);
                        if let Some(x) = strided(out, *stride, shift, size as u32) {
                            matrix[x as usize].push((tap as usize, eq[out as usize]));
                        }
                    }
                }
                current = contract_axis(&current, size, inner, taps as usize, |x| matrix[x].clone());
                tail.insert(0, (*tap_axis as usize, taps as usize));
            }
        }
    }
    pad_to(&c.summed, &reorder(&current, &tail, &c.summed))
}

/// Replaces an axis of `size` (with `inner` cells inside) by one of `out` entries: entry t gets the sum of weight * x.
fn contract_axis(
    current: &[K],
    size: usize,
    inner: usize,
    out: usize,
    row: impl Fn(usize) -> Vec<(usize, K)>,
) -> Vec<K> {
    let rows: Vec<Vec<(usize, K)>> = (0..size).map(row).collect();
    let mut result = vec![K::ZERO; current.len() / size.max(1) * out];
    result.par_chunks_mut((out * inner).max(1)).zip(current.par_chunks((size * inner).max(1))).for_each(
        |(target, source)| {
            for (x, entries) in rows.iter().enumerate() {
                for &(t, w) in entries {
                    for i in 0..inner {
                        target[t * inner + i] += w * source[x * inner + i];
                    }
                }
            }
        },
    );
    result
}

fn pad_to(dims: &[u32], real: &[K]) -> Vec<K> {
    let mut positions = vec![0usize];
    let mut total = 0;
    for &d in dims {
        let bits = index_bits(u64::from(d));
        total += bits;
        positions = positions.iter().flat_map(|&base| (0..d as usize).map(move |i| (base << bits) + i)).collect();
    }
    let mut padded = vec![K::ZERO; 1 << total];
    for (at, &v) in positions.into_iter().zip(real) {
        padded[at] = v;
    }
    padded
}

/// Proves `sum_c 2^(N - n_c) sum_x weights_c[x] input_c[x]`; returns the point, most significant variable first.
pub(crate) fn prove(mut factors: Vec<Factors>, transcript: &mut Transcript) -> (ContractionProof, Vec<K>) {
    let bits: Vec<u32> = factors.iter().map(|f| f.weights.len().trailing_zeros()).collect();
    let rounds = bits.iter().copied().max().unwrap_or(0);
    let mut messages = Vec::with_capacity(rounds as usize);
    let mut challenges = Vec::with_capacity(rounds as usize);
    for round in 0..rounds {
        let mut sums = [K::ZERO; 2];
        for (f, &n) in factors.iter().zip(&bits) {
            if round >= n {
                // Finished: constant in the remaining variables.
                let value = f.scale * f.weights[0] * f.input[0] * power_of_two((rounds - round - 1) as usize);
                sums[0] += value;
                sums[1] += value;
                continue;
            }
            let scale = f.scale * power_of_two((rounds - n) as usize);
            let (zero, two) = f
                .weights
                .par_chunks(2)
                .zip(f.input.par_chunks(2))
                .with_min_len(1 << 11)
                .map(|(w, x)| {
                    let (dw, dx) = (w[1] - w[0], x[1] - x[0]);
                    (w[0] * x[0], (w[1] + dw) * (x[1] + dx))
                })
                .reduce(|| (K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1));
            sums[0] += scale * zero;
            sums[1] += scale * two;
        }
        transcript.absorb("contraction round", &sums);
        let r = transcript.challenge("contraction round");
        for f in &mut factors {
            if f.weights.len() > 1 {
                f.weights = fold(&f.weights, r);
                f.input = fold(&f.input, r);
            }
        }
        messages.push(sums);
        challenges.push(r);
    }
    challenges.reverse();
    let finals: Vec<[K; 2]> = factors.iter().map(|f| [f.weights[0], f.input[0]]).collect();
    transcript.absorb("contraction factors", finals.as_flattened());
    (ContractionProof { rounds: messages, factors: finals }, challenges)
}

/// Binds the least significant variable.
pub(crate) fn fold(values: &[K], r: K) -> Vec<K> {
    values.par_chunks(2).with_min_len(1 << 11).map(|p| p[0] + r * (p[1] - p[0])).collect()
}
