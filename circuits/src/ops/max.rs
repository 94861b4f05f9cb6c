//! `MaxPool`: maximum over a window of each named axis; padding never wins.

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Window;
use super::contract::row_major_strides;
use crate::program::{Value, ValueId};

/// Window maximum. The maximum is separable: one axis after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Input value.
    pub input: ValueId,
    /// Output value; same quantisation.
    pub output: ValueId,
    /// Windowed axes; every window holds at least one element that is not padding.
    pub windows: Vec<Window>,
}

impl MaxPool {
    /// Reference semantics.
    pub fn evaluate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i32> {
        let in_strides = row_major_strides(&input.shape);
        let out_strides = row_major_strides(&output.shape);
        let taps: usize = self.windows.iter().map(|w| w.kernel as usize).product();
        let rank = input.shape.len();
        let mut y = vec![0i32; output.len()];
        for (at, slot) in y.iter_mut().enumerate() {
            let mut best = i32::MIN;
            'tap: for tap in 0..taps {
                let mut rest = tap;
                let mut offset = 0usize;
                for axis in 0..rank {
                    let out = (at / out_strides[axis]) as u32 % output.shape[axis];
                    let index = match self.windows.iter().find(|w| w.axis as usize == axis) {
                        Some(w) => {
                            let k = (rest % w.kernel as usize) as u32;
                            rest /= w.kernel as usize;
                            match w.input_index(out, k, input.shape[axis]) {
                                Some(i) => i,
                                None => continue 'tap,
                            }
                        }
                        None => out,
                    };
                    offset += index as usize * in_strides[axis];
                }
                best = best.max(x[offset]);
            }
            *slot = best;
        }
        y
    }
}
