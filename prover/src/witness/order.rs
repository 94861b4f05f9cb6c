//! Orders of the axes of a tensor.

use rayon::prelude::*;
use vinfer_circuits::system::domain_bits;

/// Elements that one task copies.
const RUN: usize = 1 << 14;

/// Maps logical row-major data into the order of a column: `order` lists the column axes in logical order.
pub(super) fn to_column_order<T: Copy + Sync, U: Copy + Default + Send>(
    data: &[T],
    dims: &[u32],
    order: &[u8],
    map: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    let mut strides = vec![0usize; dims.len()];
    let mut stride = 1usize;
    for &axis in order.iter().rev() {
        strides[axis as usize] = stride;
        stride *= dims[axis as usize] as usize;
    }
    // (size, stride) of runs of column axes that are neighbours in logical order too, outermost first.
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for (size, stride) in dims.iter().map(|&d| d as usize).zip(strides).filter(|&(size, _)| size != 1) {
        match axes.last_mut() {
            Some(above) if above.1 == size * stride => *above = (above.0 * size, stride),
            _ => axes.push((size, stride)),
        }
    }
    let count = dims.iter().map(|&d| d as usize).product();
    let mut out = vec![U::default(); count];
    copy(data, &axes, &mut out, &map);
    out
}

fn copy<T: Copy + Sync, U: Send>(data: &[T], axes: &[(usize, usize)], out: &mut [U], map: &(impl Fn(T) -> U + Sync)) {
    let Some((&(size, stride), inner)) = axes.split_first() else {
        out.iter_mut().zip(data).for_each(|(slot, &v)| *slot = map(v));
        return;
    };
    if inner.is_empty() {
        if stride == 1 && out.len() > RUN {
            let slots = out.par_chunks_mut(RUN).zip(data.par_chunks(RUN));
            slots.for_each(|(out, data)| out.iter_mut().zip(data).for_each(|(slot, &v)| *slot = map(v)));
        } else {
            out.iter_mut().zip(data.iter().step_by(stride.max(1))).for_each(|(slot, &v)| *slot = map(v));
        }
        return;
    }
    let len = (out.len() / size.max(1)).max(1);
    if out.len() > RUN {
        let slices = out.par_chunks_mut(len).enumerate().with_min_len(RUN.div_ceil(len));
        slices.for_each(|(i, out)| copy(&data[i * stride..], inner, out, map));
    } else {
        let slices = out.chunks_mut(len).enumerate();
        slices.for_each(|(i, out)| copy(&data[i * stride..], inner, out, map));
    }
}

/// Padded position of each real domain index, row-major.
pub(crate) fn real_positions(dims: &[u32]) -> Vec<usize> {
    let mut positions = vec![0usize];
    for &d in dims {
        let bits = domain_bits(&[d]);
        positions = positions.iter().flat_map(|&base| (0..d as usize).map(move |i| (base << bits) + i)).collect();
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_permutations() {
        // Logical shape [3, 5, 2, 1, 7], column axes in other orders.
        let data: Vec<u32> = (0..210).collect();
        let shape = [3u32, 5, 2, 1, 7];
        for order in [[0u8, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 2, 4, 3], [2, 3, 4, 0, 1]] {
            let mut dims = [0u32; 5];
            for (&axis, &size) in order.iter().zip(&shape) {
                dims[axis as usize] = size;
            }
            let column = to_column_order(&data, &dims, &order, |v| v);
            for (logical, &v) in data.iter().enumerate() {
                let (mut rest, mut index) = (logical as u32, [0u32; 5]);
                for (&axis, &size) in order.iter().zip(&shape).rev() {
                    index[axis as usize] = rest % size;
                    rest /= size;
                }
                let at = index.iter().zip(&dims).fold(0, |at, (&i, &d)| at * d + i);
                assert_eq!(column[at as usize], v);
            }
        }
    }

    #[test]
    fn long_tensors_are_copied_in_parallel() {
        let (rows, columns) = (300u32, 211);
        let data: Vec<u32> = (0..rows * columns).collect();
        let column = to_column_order(&data, &[columns, rows], &[1, 0], |v| v + 1);
        assert!((0..data.len()).all(|at| column[at] == (at as u32 % rows) * columns + at as u32 / rows + 1));
        assert!(to_column_order(&data, &[rows, columns], &[0, 1], |v| v) == data);
    }
}
