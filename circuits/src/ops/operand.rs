//! The second operand of two-input operations: a tensor or a constant, broadcast to the output.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use crate::program::ValueId;

/// Second operand of an elementwise operation; its shape equals the output's or has size 1 where it is broadcast (same
/// rank).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operand {
    /// Another tensor.
    Value(ValueId),
    /// A constant, centred, in `lo..=hi`.
    Constant {
        /// Shape, same rank as the output.
        shape: Vec<u32>,
        /// Row-major centred elements; for floats the bits of each.
        data: Vec<i32>,
        /// Smallest possible element.
        lo: i32,
        /// Largest possible element.
        hi: i32,
    },
}

impl Operand {
    /// The tensor, if it is one.
    pub const fn value(&self) -> Option<ValueId> {
        match self {
            Self::Value(id) => Some(*id),
            Self::Constant { .. } => None,
        }
    }
}

/// Flat index into a tensor of `shape` broadcast to `output`, from a flat output index.
pub fn broadcast_index(output: &[u32], shape: &[u32]) -> impl Fn(usize) -> usize + use<> {
    let own = row_major_strides(shape);
    let axes: Vec<(usize, usize, usize)> = row_major_strides(output)
        .into_iter()
        .zip(output)
        .zip(shape.iter().zip(own))
        .filter(|&(_, (&size, _))| size > 1)
        .map(|((stride, &len), (_, own))| (stride, len as usize, own))
        .collect();
    move |at| axes.iter().map(|&(stride, len, own)| at / stride % len * own).sum()
}
