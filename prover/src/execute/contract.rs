//! [`Contract`] as dot products of contiguous rows: the input with its channels innermost, the window of every position
//! copied side by side, narrow integers where they provably suffice. The results are those of `Contract::accumulate`.

use std::borrow::Cow;

use rayon::prelude::*;
use vinfer_circuits::ops::Contract;
use vinfer_circuits::program::Value;

use super::integer::{Accumulator, dot, largest};

/// Bytes of the windows that one task holds.
const BLOCK_BYTES: usize = 1 << 17;
/// Output channels per task.
const CHANNELS_PER_TASK: usize = 32;
/// Positions that one task of the transposition holds.
const TRANSPOSED_POSITIONS: usize = 16;
/// Marks a tap that lies in the padding.
const PADDING: usize = usize::MAX;

/// All accumulators (with bias), in the output's row-major order.
pub(super) fn accumulate(c: &Contract, x: &[i32], input: &Value, output: &Value) -> Vec<i64> {
    let shape = Shape::new(c, input, output);
    let largest_x = largest(x);
    let row_sum = |row: &[i16]| row.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>();
    let weights = c.weights.par_chunks(shape.row().max(1)).map(row_sum).max().unwrap_or(0);
    // Every partial sum of a row is at most this.
    let fits = weights.checked_mul(largest_x).is_some_and(|bound| bound <= i32::MAX as u64);
    if fits && largest_x <= i16::MAX as u64 {
        run::<i16, i32>(c, &shape, &channels_last(x, &shape, |v| v as i16), &taps_first(&c.weights, &shape))
    } else {
        let weights: Vec<i32> = taps_first(&c.weights, &shape).iter().map(|&w| i32::from(w)).collect();
        run::<i32, i64>(c, &shape, &channels_last(x, &shape, |v| v), &weights)
    }
}

/// Sizes, and where the windows lie.
struct Shape {
    /// Channels of the input.
    channels: usize,
    /// Input and output channels of one group.
    in_per_group: usize,
    out_per_group: usize,
    groups: usize,
    taps: usize,
    /// Elements of the input and of the output behind the channel axis.
    in_inner: usize,
    out_inner: usize,
    /// Output positions.
    positions: usize,
    /// Every axis but the channel: size in the output, and the first channel read at each index (outer) and tap of the
    /// axis (inner).
    axes: Vec<(usize, Vec<Vec<usize>>)>,
}

impl Shape {
    fn new(c: &Contract, input: &Value, output: &Value) -> Self {
        let channel = c.channel_axis as usize;
        let channels = input.shape[channel] as usize;
        let groups = c.groups as usize;
        let inner = |shape: &[u32]| shape[channel + 1..].iter().map(|&d| d as usize).product();
        let mut axes = Vec::new();
        let mut stride = channels;
        for axis in (0..input.shape.len()).rev().filter(|&axis| axis != channel) {
            let window = c.windows.iter().find(|w| w.axis as usize == axis);
            let len = input.shape[axis];
            let read = |out: u32| -> Vec<usize> {
                let at = |i: Option<u32>| i.map_or(PADDING, |i| i as usize * stride);
                window.map_or_else(
                    || vec![at(Some(out))],
                    |w| (0..w.kernel).map(|k| at(w.input_index(out, k, len))).collect(),
                )
            };
            axes.push((output.shape[axis] as usize, (0..output.shape[axis]).map(read).collect()));
            stride *= len as usize;
        }
        axes.reverse();
        Self {
            channels,
            in_per_group: channels / groups,
            out_per_group: c.out_channels as usize / groups,
            groups,
            taps: c.kernel_len(),
            in_inner: inner(&input.shape),
            out_inner: inner(&output.shape),
            positions: axes.iter().map(|(size, _)| size).product(),
            axes,
        }
    }

    /// Weights of one output channel.
    const fn row(&self) -> usize {
        self.in_per_group * self.taps
    }

    /// Where the channels of each tap of a position start.
    fn offsets(&self, position: usize, out: &mut Vec<usize>) {
        let start = out.len();
        out.push(0);
        let mut rest = position;
        let mut own: Vec<&[usize]> = Vec::with_capacity(self.axes.len());
        for (size, reads) in self.axes.iter().rev() {
            own.push(&reads[rest % size]);
            rest /= size;
        }
        // The taps of the last axis are the fastest.
        for reads in own.into_iter().rev() {
            let count = out.len() - start;
            for before in 0..count {
                for &read in reads {
                    let base = out[start + before];
                    out.push(if base == PADDING || read == PADDING { PADDING } else { base + read });
                }
            }
            out.drain(start..start + count);
        }
    }
}

/// The input with its channels as the innermost axis.
fn channels_last<T: Copy + Default + Send + Sync>(x: &[i32], shape: &Shape, from: impl Fn(i32) -> T + Sync) -> Vec<T> {
    let (channels, inner) = (shape.channels, shape.in_inner);
    if inner == 1 {
        return x.par_iter().with_min_len(1 << 14).map(|&v| from(v)).collect();
    }
    let mut out = vec![T::default(); x.len()];
    let slices = out.par_chunks_mut(channels * inner).zip(x.par_chunks(channels * inner));
    slices.for_each(|(out, x)| {
        let blocks = out.par_chunks_mut(channels * TRANSPOSED_POSITIONS).enumerate();
        blocks.for_each(|(block, out)| {
            for (channel, plane) in x.chunks_exact(inner).enumerate() {
                let own = &plane[block * TRANSPOSED_POSITIONS..];
                for (row, &v) in out.chunks_exact_mut(channels).zip(own) {
                    row[channel] = from(v);
                }
            }
        });
    });
    out
}

/// The weights with the order `[out][tap][in]`.
fn taps_first<'a>(weights: &'a [i16], shape: &Shape) -> Cow<'a, [i16]> {
    let (taps, channels) = (shape.taps, shape.in_per_group);
    if taps == 1 || channels == 1 {
        return Cow::Borrowed(weights);
    }
    let mut out = vec![0i16; weights.len()];
    out.par_chunks_mut(shape.row()).zip(weights.par_chunks(shape.row())).for_each(|(out, row)| {
        for (tap, out) in out.chunks_exact_mut(channels).enumerate() {
            for (slot, channel) in out.iter_mut().zip(row.chunks_exact(taps)) {
                *slot = channel[tap];
            }
        }
    });
    Cow::Owned(out)
}

/// Sums of one block of positions.
struct Block<A> {
    first: usize,
    sums: Vec<A>,
    /// Distances of neighbouring channels, and of neighbouring positions, in `sums`.
    strides: (usize, usize),
}

fn run<T, A>(c: &Contract, shape: &Shape, x: &[T], weights: &[T]) -> Vec<i64>
where
    T: Copy + Default + Send + Sync,
    A: Accumulator<T>,
{
    let outputs = c.out_channels as usize;
    let row_bytes = shape.row().max(1) * size_of::<T>();
    let block = (BLOCK_BYTES / row_bytes).clamp(4, 256);
    let depthwise = shape.in_per_group == 1 && shape.out_per_group == 1;
    // The weights of a depthwise contraction with the channels innermost.
    let by_tap: Vec<T> = if depthwise {
        (0..shape.taps).flat_map(|tap| (0..outputs).map(move |o| weights[o * shape.taps + tap])).collect()
    } else {
        Vec::new()
    };
    let blocks: Vec<Block<A>> = (0..shape.positions.div_ceil(block))
        .into_par_iter()
        .map(|index| {
            let first = index * block;
            let count = block.min(shape.positions - first);
            let mut offsets = Vec::with_capacity((count + 1) * shape.taps);
            (first..first + count).for_each(|position| shape.offsets(position, &mut offsets));
            if depthwise {
                let sums = depthwise_sums(shape, x, &by_tap, &offsets);
                Block { first, sums, strides: (1, outputs) }
            } else {
                Block { first, sums: dense_sums(shape, x, weights, &offsets), strides: (count, 1) }
            }
        })
        .collect();
    let mut acc = vec![0i64; outputs * shape.positions];
    let (inner, slice) = (shape.out_inner, outputs * shape.out_inner);
    for Block { first, sums, strides } in blocks {
        let count = sums.len() / outputs.max(1);
        if inner == 1 {
            for (at, row) in acc[first * outputs..].chunks_exact_mut(outputs.max(1)).take(count).enumerate() {
                for ((o, slot), bias) in row.iter_mut().enumerate().zip(&c.bias) {
                    *slot = sums[o * strides.0 + at * strides.1].into() + bias;
                }
            }
            continue;
        }
        for (o, bias) in c.bias.iter().enumerate() {
            let (mut position, mut at) = (first, 0);
            while at < count {
                let (outer, start) = (position / inner, position % inner);
                let run = (inner - start).min(count - at);
                let target = &mut acc[outer * slice + o * inner + start..][..run];
                let own = sums[o * strides.0 + at * strides.1..].iter().step_by(strides.1);
                for (slot, &sum) in target.iter_mut().zip(own) {
                    *slot = sum.into() + bias;
                }
                position += run;
                at += run;
            }
        }
    }
    acc
}

/// Sums of a block, `[channel][position]`; `offsets` holds the taps of each position.
fn dense_sums<T, A>(shape: &Shape, x: &[T], weights: &[T], offsets: &[usize]) -> Vec<A>
where
    T: Copy + Default + Send + Sync,
    A: Accumulator<T>,
{
    let (row, channels) = (shape.row(), shape.in_per_group);
    let count = offsets.len() / shape.taps;
    let mut sums = vec![A::default(); shape.groups * shape.out_per_group * count];
    if row == 0 || sums.is_empty() {
        return sums;
    }
    let mut windows = vec![T::default(); count * row];
    let own = sums.chunks_exact_mut(shape.out_per_group * count).zip(weights.chunks_exact(shape.out_per_group * row));
    for (group, (sums, weights)) in own.enumerate() {
        for (window, &offset) in windows.chunks_exact_mut(channels).zip(offsets) {
            if offset == PADDING {
                window.fill(T::default());
            } else {
                window.copy_from_slice(&x[offset + group * channels..][..channels]);
            }
        }
        let tasks = sums.par_chunks_mut(CHANNELS_PER_TASK * count).zip(weights.par_chunks(CHANNELS_PER_TASK * row));
        tasks.for_each(|(sums, weights)| {
            for (sums, weights) in sums.chunks_exact_mut(count).zip(weights.chunks_exact(row)) {
                for (sum, window) in sums.iter_mut().zip(windows.chunks_exact(row)) {
                    *sum = dot(weights, window);
                }
            }
        });
    }
    sums
}

/// Sums of a block with one channel per group, `[position][channel]`; the weights are `[tap][channel]`.
fn depthwise_sums<T, A>(shape: &Shape, x: &[T], weights: &[T], offsets: &[usize]) -> Vec<A>
where
    T: Copy,
    A: Accumulator<T>,
{
    let channels = shape.channels;
    let mut sums = vec![A::default(); offsets.len() / shape.taps * channels];
    for (sums, taps) in sums.chunks_exact_mut(channels).zip(offsets.chunks_exact(shape.taps)) {
        for (&offset, weights) in taps.iter().zip(weights.chunks_exact(channels)) {
            if offset != PADDING {
                for ((sum, &v), &w) in sums.iter_mut().zip(&x[offset..]).zip(weights) {
                    *sum += A::from(v) * A::from(w);
                }
            }
        }
    }
    sums
}
