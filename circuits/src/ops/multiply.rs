//! `Multiply`: requantised elementwise product of two tensors (QLinearMul), with broadcasting of the second operand.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Requant;
use super::matmul::{product_range, range};
use super::operand::{Operand, broadcast_index};
use crate::program::{Value, ValueId};

/// `acc = a * b` (centred), then one step function for the whole tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply {
    /// First operand; its shape equals the output's.
    pub a: ValueId,
    /// Second operand.
    pub b: Operand,
    /// Output value.
    pub output: ValueId,
    /// Step function.
    pub requant: Requant,
}

impl Multiply {
    /// The products, in the output's order; `b` and `b_shape` are the second operand's data and shape.
    pub fn accumulate(&self, a: &[i32], b: &[i32], b_shape: &[u32], output: &Value) -> Vec<i64> {
        let index = broadcast_index(&output.shape, b_shape);
        a.iter().enumerate().map(|(at, &x)| i64::from(x) * i64::from(b[index(at)])).collect()
    }

    /// Bounds of the product over all operands in range.
    pub fn reachable(&self, a: &Value, b_range: (i64, i64)) -> (i64, i64) {
        product_range(range(a), b_range)
    }
}
