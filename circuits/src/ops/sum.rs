//! `Sum`: sum over whole axes, requantised (GlobalAveragePool).

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Requant;
use super::contract::row_major_strides;
use crate::program::{Value, ValueId};

/// Sum over `axes` (kept with size 1), then one step function for the whole tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Input value.
    pub input: ValueId,
    /// Output value; `axes` have size 1.
    pub output: ValueId,
    /// Summed axes.
    pub axes: Vec<u8>,
    /// Step function.
    pub requant: Requant,
}

impl Sum {
    /// Number of elements summed into one output.
    pub fn count(&self, input: &Value) -> u64 {
        self.axes.iter().map(|&a| u64::from(input.shape[a as usize])).product()
    }

    /// Bounds of the accumulator.
    pub fn reachable(&self, input: &Value) -> (i64, i64) {
        let count = self.count(input) as i64;
        (count * i64::from(input.quantisation.lo()), count * i64::from(input.quantisation.hi()))
    }

    /// The sums, in the output's order.
    pub fn accumulate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i64> {
        let in_strides = row_major_strides(&input.shape);
        let out_strides = row_major_strides(&output.shape);
        let mut acc = vec![0i64; output.len()];
        for (at, &v) in x.iter().enumerate() {
            let out: usize = (0..input.shape.len())
                .filter(|&axis| !self.axes.contains(&(axis as u8)))
                .map(|axis| at / in_strides[axis] % input.shape[axis] as usize * out_strides[axis])
                .sum();
            acc[out] += i64::from(v);
        }
        acc
    }

    /// Reference semantics.
    pub fn evaluate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i32> {
        self.requantise(&self.accumulate(x, input, output), output)
    }

    /// The step function of each accumulator.
    pub fn requantise(&self, acc: &[i64], output: &Value) -> Vec<i32> {
        let (lo, hi) = (output.quantisation.lo(), output.quantisation.hi());
        acc.iter().map(|&a| self.requant.apply(a, lo, hi)).collect()
    }
}
