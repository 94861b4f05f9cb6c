//! `Add`: a function of two tensors, element by element, with broadcasting of the second operand: the requantised sum
//! (QLinearAdd), an exact integer combination, or any function of two small integers as a table (Sub, Div, comparisons,
//! selection by a mask).

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::floor_div_pow2;
use super::operand::{Operand, broadcast_index};
use crate::program::{Value, ValueId};

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
    /// `y = a * multiplier_a + b * multiplier_b + offset`, which must lie in the output's range for all operands.
    Exact {
        /// Multiplier of `a`.
        multiplier_a: i32,
        /// Multiplier of `b`.
        multiplier_b: i32,
        /// Additive offset.
        offset: i32,
    },
    /// `y = table[(a - a_lo) * (b_hi - b_lo + 1) + (b - b_lo)]`.
    Table {
        /// All results, `a` outermost.
        table: Vec<i32>,
    },
}

/// Requantised sum; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// First operand; its shape equals the output's.
    pub a: ValueId,
    /// Second operand.
    pub b: Operand,
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
            AddForm::Exact { multiplier_a, multiplier_b, offset } => {
                let [a, b, m, n] = [a, b, *multiplier_a, *multiplier_b].map(i64::from);
                // The result is in range, its summands need not be.
                (a * m + b * n + i64::from(*offset)) as i32
            }
            AddForm::Table { table } => {
                let width = (b_range.1 - b_range.0 + 1) as usize;
                table[(a - a_lo) as usize * width + (b - b_range.0) as usize]
            }
        }
    }

    /// The linear combination that LINE requantises, before its offset; `None` for the other forms.
    pub fn accumulate(&self, a: &[i32], b: &[i32], b_shape: &[u32], output: &Value) -> Option<Vec<i64>> {
        let AddForm::Line { multiplier_a, multiplier_b, .. } = self.form else { return None };
        let index = broadcast_index(&output.shape, b_shape);
        Some(
            a.iter()
                .enumerate()
                .map(|(at, &x)| i64::from(x) * multiplier_a + i64::from(b[index(at)]) * multiplier_b)
                .collect(),
        )
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
        let index = broadcast_index(&output.shape, b_shape);
        let a_lo = a_value.quantisation.lo();
        a.iter().enumerate().map(|(at, &x)| self.apply(x, b[index(at)], a_lo, b_range, out)).collect()
    }
}
