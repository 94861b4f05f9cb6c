//! `Contract`: bilinear contraction of one tensor with constant weights, plus bias, requantised per output channel.
//!
//! Covers Conv (1-D to 3-D, stride, padding, dilation, groups, depthwise), Gemm, MatMul with a constant operand, and
//! their QOperator forms. With `x` centred, padding is zero and zero points vanish:
//!
//! `acc[o, s] = bias[o] + sum_{i, k} weights[o, i, k] * x[group(o) * I + i, s * stride + k * dilation - pad]`

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Requant;
use crate::program::{Value, ValueId};

/// One windowed axis: `input index = output index * stride + kernel index * dilation - pad_begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Axis of the input (and output) value.
    pub axis: u8,
    /// Window length.
    pub kernel: u32,
    /// Step between windows.
    pub stride: u32,
    /// Step inside a window.
    pub dilation: u32,
    /// Padding before the first element.
    pub pad_begin: u32,
}

impl Window {
    /// Input index read by output `out` at kernel tap `tap`, or `None` in the padding.
    pub fn input_index(&self, out: u32, tap: u32, input_len: u32) -> Option<u32> {
        let at = i64::from(out) * i64::from(self.stride) + i64::from(tap) * i64::from(self.dilation)
            - i64::from(self.pad_begin);
        u32::try_from(at).ok().filter(|&i| i < input_len)
    }
}

/// Contraction with constant weights; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Input value.
    pub input: ValueId,
    /// Output value: same rank; `channel_axis` has `out_channels` elements, windowed axes the output length,
    /// every other axis the input length.
    pub output: ValueId,
    /// The contracted axis of the input and the channel axis of the output.
    pub channel_axis: u8,
    /// Windowed axes (empty for Gemm and MatMul). Axes not named are carried through unchanged.
    pub windows: Vec<Window>,
    /// Number of groups; divides both channel counts.
    pub groups: u32,
    /// Number of output channels.
    pub out_channels: u32,
    /// Centred weights, `[out_channels][in_channels / groups][kernel_0][kernel_1]..`, row-major.
    pub weights: Vec<i16>,
    /// Bias per output channel, in accumulator units.
    pub bias: Vec<i64>,
    /// Step function per output channel.
    pub requant: Vec<Requant>,
}

impl Contract {
    /// Product of the kernel lengths.
    pub fn kernel_len(&self) -> usize {
        self.windows.iter().map(|w| w.kernel as usize).product()
    }

    /// Computes all accumulators (with bias), in the output's row-major order.
    pub fn accumulate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i64> {
        let rank = input.shape.len();
        let in_strides = row_major_strides(&input.shape);
        let channel = self.channel_axis as usize;
        let in_per_group = input.shape[channel] / self.groups;
        let out_per_group = self.out_channels / self.groups;
        let taps = self.kernel_len();
        let mut acc = vec![0i64; output.len()];
        // Positions: every axis but the channel.
        let out_strides = row_major_strides(&output.shape);
        let mut position_shape = output.shape.clone();
        position_shape[channel] = 1;
        let positions: usize = position_shape.iter().map(|&d| d as usize).product();
        let mut index = vec![0u32; rank];
        let mut tap_offsets: Vec<(usize, usize)> = Vec::with_capacity(taps); // (tap, input offset)
        for _ in 0..positions {
            tap_offsets.clear();
            'tap: for tap in 0..taps {
                let mut offset = 0usize;
                let mut rest = tap;
                for axis in (0..rank).rev() {
                    if axis == channel {
                        continue;
                    }
                    let at = if let Some(w) = self.windows.iter().find(|w| w.axis as usize == axis) {
                        let k = (rest % w.kernel as usize) as u32;
                        rest /= w.kernel as usize;
                        match w.input_index(index[axis], k, input.shape[axis]) {
                            Some(i) => i,
                            None => continue 'tap,
                        }
                    } else {
                        index[axis]
                    };
                    offset += at as usize * in_strides[axis];
                }
                tap_offsets.push((tap, offset));
            }
            let out_base: usize = (0..rank).map(|a| index[a] as usize * out_strides[a]).sum();
            for o in 0..self.out_channels {
                let group = o / out_per_group;
                let mut sum = 0i64;
                for i in 0..in_per_group {
                    let row = (o as usize * in_per_group as usize + i as usize) * taps;
                    let base = (group * in_per_group + i) as usize * in_strides[channel];
                    let mut partial = 0i32;
                    for &(tap, offset) in &tap_offsets {
                        partial += i32::from(self.weights[row + tap]) * x[base + offset];
                    }
                    sum += i64::from(partial);
                }
                acc[out_base + o as usize * out_strides[channel]] = sum + self.bias[o as usize];
            }
            for axis in (0..rank).rev() {
                index[axis] += 1;
                if index[axis] < position_shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        acc
    }

    /// Reference semantics: accumulators, then the step function of each channel.
    pub fn evaluate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i32> {
        self.requantise(&self.accumulate(x, input, output), output)
    }

    /// The step function of each accumulator's channel.
    pub fn requantise(&self, acc: &[i64], output: &Value) -> Vec<i32> {
        let inner: usize = output.shape[self.channel_axis as usize + 1..].iter().map(|&d| d as usize).product();
        let (lo, hi) = (output.quantisation.lo(), output.quantisation.hi());
        acc.iter()
            .enumerate()
            .map(|(at, &a)| self.requant[(at / inner) % self.out_channels as usize].apply(a, lo, hi))
            .collect()
    }

    /// Bounds of the accumulator of each output channel (bias included) over all inputs in `lo..=hi`.
    pub fn reachable(&self, input: &Value) -> Vec<(i64, i64)> {
        let (lo, hi) = (i64::from(input.quantisation.lo()), i64::from(input.quantisation.hi()));
        let row = self.weights.len() / (self.out_channels as usize).max(1);
        self.weights
            .chunks(row.max(1))
            .zip(&self.bias)
            .map(|(weights, &bias)| {
                let (mut min, mut max) = (bias, bias);
                for &w in weights {
                    let (a, b) = (i64::from(w) * lo, i64::from(w) * hi);
                    // A tap may also fall into the padding and contribute zero; lo <= 0 <= hi covers it.
                    min = min.saturating_add(a.min(b));
                    max = max.saturating_add(a.max(b));
                }
                (min, max)
            })
            .collect()
    }
}

/// Row-major strides of a shape.
pub(crate) fn row_major_strides(shape: &[u32]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1] as usize;
    }
    strides
}
