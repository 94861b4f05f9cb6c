//! Requantisation: a monotone step function from an accumulator to a centred 8-bit value.
//!
//! ONNX Runtime computes `clamp(rne(f32(f32(acc) * S)), lo, hi)` (centred). Each form below equals that function on the
//! reachable accumulator range; the compiler's solver finds the cheapest that does.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Exact integer form of one requantisation step function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requant {
    /// `y = clamp(floor((acc * multiplier + offset) / 2^shift), lo, hi)`.
    Line {
        /// Positive multiplier, or 0 for a constant.
        multiplier: i64,
        /// Additive offset.
        offset: i64,
        /// Exponent of the divisor, at most 44.
        shift: u8,
    },
    /// `w` is the unique integer with `acc*multiplier + offset + (w odd ? odd_delta : 0) - w*2^shift` in
    /// `[0, 2^shift + (w odd ? odd_delta : -odd_delta))`; `y = clamp(w, lo, hi)`.
    ///
    /// `odd_delta` is a multiple of `2^(shift - PARITY_DELTA_BITS)` and `|odd_delta| < 2^shift`.
    Parity {
        /// Positive multiplier.
        multiplier: i64,
        /// Additive offset for even levels.
        offset: i64,
        /// Extra offset for odd levels.
        odd_delta: i64,
        /// Exponent of the divisor, at most 44.
        shift: u8,
    },
    /// `y = lo + #{t in thresholds : t <= acc}`; exactly `hi - lo` thresholds, non-decreasing.
    Table {
        /// `thresholds[i]` is the least accumulator with `y >= lo + 1 + i`, clipped into `[min_acc, max_acc + 1]`.
        thresholds: Vec<i64>,
    },
    /// `y = acc`, which must lie in `lo..=hi` for every reachable accumulator (MatMulInteger, ConvInteger, ReduceSum).
    Exact,
}

impl Requant {
    /// Resolution of [`Requant::Parity`]'s `odd_delta`: it is a multiple of `2^(shift - 18)`. Measured on the channels of
    /// 16 models: 11 bits solve no channel that LINE does not, 16 bits 9.5 %, 18 bits 11.4 %, more bits none beyond.
    pub const PARITY_DELTA_BITS: u8 = 18;

    /// Evaluates the step function; `lo..=hi` is the centred output range.
    pub fn apply(&self, acc: i64, lo: i32, hi: i32) -> i32 {
        let (lo, hi) = (i64::from(lo), i64::from(hi));
        let y = match self {
            Self::Line { .. } | Self::Parity { .. } => self.level(acc).clamp(lo, hi),
            Self::Table { thresholds } => lo + thresholds.partition_point(|&t| t <= acc) as i64,
            Self::Exact => acc,
        };
        y as i32
    }

    /// The level before clamping (the accumulator itself for EXACT, 0 for TABLE).
    pub fn level(&self, acc: i64) -> i64 {
        match *self {
            Self::Line { multiplier, offset, shift } => floor_div_pow2(acc * multiplier + offset, shift),
            Self::Parity { multiplier, offset, odd_delta, shift } => {
                let even = acc * multiplier + offset;
                // Levels 2u and 2u+1 share one cell of width 2^(shift+1); the odd one starts at 2^shift - odd_delta.
                let u = floor_div_pow2(even, shift + 1);
                let remainder = even - (u << (shift + 1));
                2 * u + i64::from(remainder >= (1i64 << shift) - odd_delta)
            }
            Self::Table { .. } => 0,
            Self::Exact => acc,
        }
    }
}

/// `floor(value / 2^shift)`.
pub const fn floor_div_pow2(value: i64, shift: u8) -> i64 {
    value >> shift
}
