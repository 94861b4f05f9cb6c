//! `Add`: requantised sum of two tensors (QLinearAdd), with broadcasting of the second operand.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use super::floor_div_pow2;
use crate::program::{Value, ValueId};

/// Second operand of [`Add`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddOperand {
    /// Another tensor; its shape equals the output's or has size 1 where it is broadcast (same rank).
    Value(ValueId),
    /// A constant, centred, in `lo..=hi`; same broadcasting rule.
    Constant {
        /// Shape, same rank as the output.
        shape: Vec<u32>,
        /// Row-major centred elements.
        data: Vec<i32>,
        /// Smallest possible element.
        lo: i32,
        /// Largest possible element.
        hi: i32,
    },
}

/// Exact integer form of the two-input step function (centred operands and result).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddForm {
    /// `y = clamp(floor((a * multiplier_a + b * multiplier_b + offset) / 2^shift), lo, hi)`.
    Line {
        /// Multiplier of `a`.
        multiplier_a: i64,
        /// Multiplier of `b`.
        multiplier_b: i64,
        /// Additive offset.
        offset: i64,
        /// Exponent of the divisor, at most 44.
        shift: u8,
    },
    /// `y = table[(a - a_lo) * (b_hi - b_lo + 1) + (b - b_lo)]`.
    Table {
        /// All results, `a` outermost.
        table: Vec<i16>,
    },
}

/// Requantised sum; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// First operand; its shape equals the output's.
    pub a: ValueId,
    /// Second operand.
    pub b: AddOperand,
    /// Output value.
    pub output: ValueId,
    /// Step function.
    pub form: AddForm,
}

impl Add {
    /// Evaluates the step function on one pair of centred elements. `b_range` is the centred range of `b`.
    pub fn apply(&self, a: i32, b: i32, a_lo: i32, b_range: (i32, i32), out: (i32, i32)) -> i32 {
        match &self.form {
            AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
                let v = i64::from(a) * multiplier_a + i64::from(b) * multiplier_b + offset;
                floor_div_pow2(v, *shift).clamp(i64::from(out.0), i64::from(out.1)) as i32
            }
            AddForm::Table { table } => {
                let width = (b_range.1 - b_range.0 + 1) as usize;
                i32::from(table[(a - a_lo) as usize * width + (b - b_range.0) as usize])
            }
        }
    }

    /// Reference semantics on whole tensors; `b` and `b_shape` are the second operand's data and shape.
    pub fn evaluate(
        &self,
        a: &[i32],
        a_value: &Value,
        b: &[i32],
        b_shape: &[u32],
        b_range: (i32, i32),
        output: &Value,
    ) -> Vec<i32> {
        let out = (output.quantisation.lo(), output.quantisation.hi());
        let strides = row_major_strides(&output.shape);
        let b_strides = row_major_strides(b_shape);
        let a_lo = a_value.quantisation.lo();
        a.iter()
            .enumerate()
            .map(|(at, &x)| {
                let b_at: usize = (0..b_shape.len())
                    .filter(|&axis| b_shape[axis] > 1)
                    .map(|axis| at / strides[axis] % output.shape[axis] as usize * b_strides[axis])
                    .sum();
                self.apply(x, b[b_at], a_lo, b_range, out)
            })
            .collect()
    }
}
