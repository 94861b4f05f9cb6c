//! `Extremum`: largest or smallest element along an axis, or its index (ReduceMax, ReduceMin, ArgMax, ArgMin).

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use crate::program::{Value, ValueId};

/// What [`Extremum`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtremumResult {
    /// The element (centred as the input).
    Value,
    /// Index of the first such element.
    FirstIndex,
    /// Index of the last such element.
    LastIndex,
}

/// Extremum along one axis, which is kept with size 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extremum {
    /// Input value.
    pub input: ValueId,
    /// Output value.
    pub output: ValueId,
    /// Axis.
    pub axis: u8,
    /// The least element instead of the greatest.
    pub least: bool,
    /// What is returned.
    pub result: ExtremumResult,
}

impl Extremum {
    /// The extreme element and its index along the axis, in the output's order.
    pub fn find(&self, x: &[i32], input: &Value, output: &Value) -> Vec<(i32, u32)> {
        let axis = self.axis as usize;
        let stride = row_major_strides(&input.shape)[axis];
        let len = input.shape[axis] as usize;
        let mut found = vec![(0, 0); output.len()];
        for (at, slot) in found.iter_mut().enumerate() {
            let base = at / stride * stride * len + at % stride;
            let mut best = (x[base], 0u32);
            for i in 1..len {
                let v = x[base + i * stride];
                let better = if self.least { v < best.0 } else { v > best.0 };
                if better || (v == best.0 && self.result == ExtremumResult::LastIndex) {
                    best = (v, i as u32);
                }
            }
            *slot = best;
        }
        found
    }

    /// Reference semantics.
    pub fn evaluate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i32> {
        let zero_point = output.quantisation.zero_point;
        self.find(x, input, output)
            .into_iter()
            .map(|(v, i)| if self.result == ExtremumResult::Value { v } else { i as i32 - zero_point })
            .collect()
    }
}
