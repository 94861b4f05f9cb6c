//! `Rewire`: data movement known at compile time that moves whole tensors: reshape and transpose. It costs nothing in
//! a proof: the output is a view of the input's cells.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use crate::program::{Value, ValueId};

/// Which movement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RewireKind {
    /// Same row-major data under the output's shape.
    Reshape,
    /// Axis `i` of the output is axis `permutation[i]` of the input.
    Transpose {
        /// The permutation.
        permutation: Vec<u8>,
    },
}

/// Reshape or transpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewire {
    /// Input value.
    pub input: ValueId,
    /// Output value; same quantisation.
    pub output: ValueId,
    /// The movement.
    pub kind: RewireKind,
}

impl Rewire {
    /// Reference semantics.
    pub fn evaluate(&self, x: &[i32], input: &Value, output: &Value) -> Vec<i32> {
        match &self.kind {
            RewireKind::Reshape => x.to_vec(),
            RewireKind::Transpose { permutation } => {
                let in_strides = row_major_strides(&input.shape);
                let out_strides = row_major_strides(&output.shape);
                (0..x.len())
                    .map(|at| {
                        let source: usize = permutation
                            .iter()
                            .enumerate()
                            .map(|(axis, &from)| {
                                at / out_strides[axis] % output.shape[axis] as usize * in_strides[from as usize]
                            })
                            .sum();
                        x[source]
                    })
                    .collect()
            }
        }
    }
}
