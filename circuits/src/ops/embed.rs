//! `Embed`: rows of a constant table, selected by a public tensor of indices (Gather of an embedding by token ids).

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::program::{Value, ValueId};

/// `y[i.., j] = table[indices[i..], j]`, with `j` over the last axis of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embed {
    /// Indices, `0..rows`; a graph input (the verifier itself selects the rows).
    pub indices: ValueId,
    /// Output value: the shape of the indices with one axis more.
    pub output: ValueId,
    /// Number of rows of the table.
    pub rows: u32,
    /// `rows` times the size of the last axis, row-major, centred as the output.
    pub table: Vec<i16>,
}

impl Embed {
    /// Reference semantics.
    pub fn evaluate(&self, indices: &[i32], output: &Value) -> Vec<i32> {
        let width = output.shape.last().map_or(1, |&d| d as usize);
        indices
            .iter()
            .flat_map(|&row| self.table[row as usize * width..][..width].iter().map(|&v| i32::from(v)))
            .collect()
    }
}
