//! `Arrange`: data movement known at compile time that copies elements: slices, concatenation, padding, tiling, gathers
//! with constant indices, nearest resizing, windows laid out side by side.
//!
//! The output is tiled by boxes. Each box is filled from one tensor, axis by axis, or with constants.

use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::contract::row_major_strides;
use crate::program::{Value, ValueId};

/// Which input index each index of a box reads, along one axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AxisIndices {
    /// `start + i * step`.
    Run {
        /// Input index of box index 0.
        start: u32,
        /// Step; 0 repeats one element.
        step: i32,
    },
    /// One input index for each box index.
    List(Vec<u32>),
}

impl AxisIndices {
    /// Input index of box index `i`; `None` outside the list or below zero.
    pub fn at(&self, i: u32) -> Option<u32> {
        match self {
            Self::Run { start, step } => u32::try_from(i64::from(*start) + i64::from(i) * i64::from(*step)).ok(),
            Self::List(list) => list.get(i as usize).copied(),
        }
    }

    /// Whether it reads `0, 1, 2, ..`.
    pub const fn is_identity(&self) -> bool {
        matches!(self, Self::Run { start: 0, step: 1 })
    }
}

/// What fills a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartSource {
    /// `box[i, j, ..] = input[indices[0](i), indices[1](j), ..]`.
    Value {
        /// Input value, of the output's rank.
        input: ValueId,
        /// One entry per axis.
        indices: Vec<AxisIndices>,
    },
    /// Constants (centred; bits for floats): one for the whole box, or one per element, row-major.
    Constant {
        /// The constants.
        data: Vec<i32>,
    },
}

/// One box of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// First index on each axis.
    pub at: Vec<u32>,
    /// Size on each axis, at least 1.
    pub shape: Vec<u32>,
    /// Its contents.
    pub source: PartSource,
}

/// Data movement; see the module documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrange {
    /// Output value.
    pub output: ValueId,
    /// Disjoint boxes that together cover the output.
    pub parts: Vec<Part>,
}

impl Arrange {
    /// Reference semantics; `input` gives the data and shape of a value.
    pub fn evaluate<'a>(&self, output: &Value, input: impl Fn(ValueId) -> (&'a [i32], &'a [u32])) -> Vec<i32> {
        let out_strides = row_major_strides(&output.shape);
        let mut y = vec![0i32; output.len()];
        for part in &self.parts {
            // Flat output index, and flat input index, of every element of the box.
            let mut targets = vec![0usize];
            for ((&at, &size), &stride) in part.at.iter().zip(&part.shape).zip(&out_strides) {
                targets = targets
                    .iter()
                    .flat_map(|&base| (0..size).map(move |i| base + (at + i) as usize * stride))
                    .collect();
            }
            match &part.source {
                PartSource::Constant { data } => {
                    for (i, &target) in targets.iter().enumerate() {
                        y[target] = data[if data.len() == 1 { 0 } else { i }];
                    }
                }
                PartSource::Value { input: id, indices } => {
                    let (data, shape) = input(*id);
                    let strides = row_major_strides(shape);
                    let mut sources = vec![0usize];
                    for ((axis, &size), &stride) in indices.iter().zip(&part.shape).zip(&strides) {
                        sources = sources
                            .iter()
                            .flat_map(|&base| (0..size).map(move |i| base + axis.at(i).unwrap_or(0) as usize * stride))
                            .collect();
                    }
                    for (&target, &source) in targets.iter().zip(&sources) {
                        y[target] = data[source];
                    }
                }
            }
        }
        y
    }
}
