//! `Lookup`: any unary function of a small integer, as a table.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::program::{Value, ValueId};

/// `y = table[x - lo(x)]`, elementwise, all centred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Input value.
    pub input: ValueId,
    /// Output value; same shape.
    pub output: ValueId,
    /// One centred result for each centred input from `lo` to `hi`.
    pub table: Vec<i32>,
}

impl Lookup {
    /// Reference semantics.
    pub fn evaluate(&self, x: &[i32], input: &Value) -> Vec<i32> {
        let lo = input.quantisation.lo();
        x.iter().map(|&v| self.table[(v - lo) as usize]).collect()
    }
}
