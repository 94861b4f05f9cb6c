//! `Float`: single-precision arithmetic, every operation rounded to nearest even as IEEE 754 demands. With it the float
//! kernels of ONNX Runtime that stay between a DequantizeLinear and a QuantizeLinear (LayerNormalization, ReduceMean,
//! AveragePool, Softmax) are replayed operation by operation, bit for bit.
//!
//! A float tensor is held as the bits of its elements. Zeros are positive, and no result may be subnormal, infinite or
//! NaN (a proof cannot be made of such an execution).

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use super::operand::{Operand, broadcast_index};
use crate::program::{Value, ValueId};

/// A float operation; elementwise operands are broadcast to the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FloatKind {
    /// `y = table[x - lo]` of an integer tensor (dequantisation and any unary function after it).
    Table {
        /// Integer input.
        input: ValueId,
        /// Bits of each result, for every centred input from lo to hi.
        table: Vec<u32>,
    },
    /// `a + b`, or `a - b`.
    Add {
        /// First operand.
        a: Operand,
        /// Second operand.
        b: Operand,
        /// Whether `b` is subtracted.
        subtract: bool,
    },
    /// `a * b`.
    Multiply {
        /// First operand.
        a: Operand,
        /// Second operand.
        b: Operand,
    },
    /// `a / b` with `b > 0`.
    Divide {
        /// Dividend.
        a: Operand,
        /// Divisor.
        b: Operand,
    },
    /// `sqrt(a)` of `a > 0`.
    SquareRoot {
        /// Operand; the output's shape.
        a: ValueId,
    },
    /// Running sums along an axis: `s_i = s_(i-1) + x_i`, `s_(-1) = 0`; the output holds all of them.
    RunningSum {
        /// Operand; the output's shape.
        input: ValueId,
        /// Axis.
        axis: u8,
    },
    /// Running sums of squares along an axis: `s_i = fma(x_i, x_i, s_(i-1))`, one rounding each.
    RunningSquares {
        /// Operand; the output's shape.
        input: ValueId,
        /// Axis.
        axis: u8,
    },
    /// `f32(f64(sum over the axes of table[x - lo]) / count)`, the sum being exact (any order, no rounding).
    Mean {
        /// Integer input.
        input: ValueId,
        /// Bits of each summand, for every centred input from lo to hi.
        table: Vec<u32>,
        /// Summed axes, kept with size 1.
        axes: Vec<u8>,
        /// Divisor.
        count: u32,
    },
    /// `f32(f64(sum over the last axis of weights[i] * table[x_i - lo]) / count)`, the sum being exact: a mean of elements
    /// with scales that differ by channel.
    WeightedMean {
        /// Integer input.
        input: ValueId,
        /// Bits of each summand before its weight, for every centred input from lo to hi.
        table: Vec<u32>,
        /// One integer for each index of the last axis, which is kept with size 1.
        weights: Vec<i32>,
        /// Divisor.
        count: u32,
    },
    /// Monotone step function to an integer: `y = lo + #{t in thresholds : t <= x}`.
    Quantise {
        /// Float input; the output's shape.
        input: ValueId,
        /// Axis of the channels; `None`: one list for the whole tensor.
        axis: Option<u8>,
        /// For each channel exactly `hi - lo` non-decreasing thresholds, as ordered keys (see [`key`]).
        thresholds: Vec<Vec<i32>>,
    },
}

/// A float operation and its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Float {
    /// Output value: float, but for `Quantise`.
    pub output: ValueId,
    /// The operation.
    pub kind: FloatKind,
}

/// Integer that orders floats as their values: the magnitude's bits, negated for negative numbers.
pub const fn key(x: f32) -> i32 {
    let magnitude = (x.to_bits() & 0x7fff_ffff).cast_signed();
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

/// The float with this key.
pub const fn from_key(key: i32) -> f32 {
    let magnitude = key.unsigned_abs();
    f32::from_bits(if key < 0 { magnitude | 0x8000_0000 } else { magnitude })
}

/// Bits of a float as they are held in a tensor: no negative zero.
pub fn to_bits(x: f32) -> i32 {
    if x == 0.0 { 0 } else { x.to_bits().cast_signed() }
}

/// The float with these bits.
pub const fn from_bits(bits: i32) -> f32 {
    f32::from_bits(bits.cast_unsigned())
}

impl Float {
    /// Values that the operation reads.
    pub fn inputs(&self) -> Vec<ValueId> {
        match &self.kind {
            FloatKind::Table { input, .. }
            | FloatKind::RunningSum { input, .. }
            | FloatKind::RunningSquares { input, .. }
            | FloatKind::Mean { input, .. }
            | FloatKind::WeightedMean { input, .. }
            | FloatKind::Quantise { input, .. } => vec![*input],
            FloatKind::SquareRoot { a } => vec![*a],
            FloatKind::Add { a, b, .. } | FloatKind::Multiply { a, b } | FloatKind::Divide { a, b } => {
                a.value().into_iter().chain(b.value()).collect()
            }
        }
    }

    /// Reference semantics; `read` gives the data and the value behind an id.
    pub fn evaluate<'a>(&self, output: &Value, read: impl Fn(ValueId) -> (&'a [i32], &'a Value)) -> Vec<i32> {
        let pairwise = |a: &Operand, b: &Operand, f: fn(f32, f32) -> f32| {
            let (a, b) = (floats(a, output, &read), floats(b, output, &read));
            a.into_iter().zip(b).map(|(x, y)| to_bits(f(x, y))).collect()
        };
        match &self.kind {
            FloatKind::Table { input, table } => {
                let (x, value) = read(*input);
                let lo = value.quantisation.lo();
                x.iter().map(|&v| to_bits(f32::from_bits(table[(v - lo) as usize]))).collect()
            }
            FloatKind::Add { a, b, subtract: false } => pairwise(a, b, |x, y| x + y),
            FloatKind::Add { a, b, subtract: true } => pairwise(a, b, |x, y| x - y),
            FloatKind::Multiply { a, b } => pairwise(a, b, |x, y| x * y),
            FloatKind::Divide { a, b } => pairwise(a, b, |x, y| x / y),
            FloatKind::SquareRoot { a } => read(*a).0.iter().map(|&x| to_bits(libm::sqrtf(from_bits(x)))).collect(),
            FloatKind::RunningSum { input, axis } => running(read(*input).0, output, *axis, |s, x| s + x),
            FloatKind::RunningSquares { input, axis } => {
                running(read(*input).0, output, *axis, |s, x| libm::fmaf(x, x, s))
            }
            FloatKind::Mean { input, table, axes, count } => {
                let (x, value) = read(*input);
                let lo = value.quantisation.lo();
                let strides = row_major_strides(&value.shape);
                let out_strides = row_major_strides(&output.shape);
                let mut sums = vec![0f64; output.len()];
                for (at, &v) in x.iter().enumerate() {
                    let out: usize = (0..value.shape.len())
                        .filter(|&axis| !axes.contains(&(axis as u8)))
                        .map(|axis| at / strides[axis] % value.shape[axis] as usize * out_strides[axis])
                        .sum();
                    sums[out] += f64::from(f32::from_bits(table[(v - lo) as usize]));
                }
                sums.into_iter().map(|s| to_bits((s / f64::from(*count)) as f32)).collect()
            }
            FloatKind::WeightedMean { input, table, weights, count } => {
                let (x, value) = read(*input);
                let lo = value.quantisation.lo();
                let term = |(&v, &w): (&i32, &i32)| f64::from(w) * f64::from(f32::from_bits(table[(v - lo) as usize]));
                x.chunks_exact(weights.len().max(1))
                    .map(|row| row.iter().zip(weights).map(term).sum::<f64>())
                    .map(|sum| to_bits((sum / f64::from(*count)) as f32))
                    .collect()
            }
            FloatKind::Quantise { input, axis, thresholds } => {
                let x = read(*input).0;
                let lo = output.quantisation.lo();
                let (inner, channels) = match axis {
                    None => (1, 1),
                    Some(a) => (row_major_strides(&output.shape)[*a as usize], output.shape[*a as usize] as usize),
                };
                x.iter()
                    .enumerate()
                    .map(|(at, &v)| {
                        let own = &thresholds[at / inner % channels];
                        let key = key(from_bits(v));
                        lo + own.partition_point(|&t| t <= key) as i32
                    })
                    .collect()
            }
        }
    }
}

/// Elements of an operand, broadcast to the output.
fn floats<'a>(operand: &Operand, output: &Value, read: &impl Fn(ValueId) -> (&'a [i32], &'a Value)) -> Vec<f32> {
    let (data, shape): (&[i32], &[u32]) = match operand {
        Operand::Value(id) => {
            let (data, value) = read(*id);
            (data, &value.shape)
        }
        Operand::Constant { shape, data, .. } => (data, shape),
    };
    let index = broadcast_index(&output.shape, shape);
    (0..output.len()).map(|at| from_bits(data[index(at)])).collect()
}

/// All partial results of a fold along an axis.
fn running(x: &[i32], output: &Value, axis: u8, step: fn(f32, f32) -> f32) -> Vec<i32> {
    let stride = row_major_strides(&output.shape)[axis as usize];
    let len = output.shape[axis as usize] as usize;
    let mut y = vec![0i32; x.len()];
    for (at, &v) in x.iter().enumerate() {
        let before = if (at / stride).is_multiple_of(len) { 0.0 } else { from_bits(y[at - stride]) };
        y[at] = to_bits(step(before, from_bits(v)));
    }
    y
}
