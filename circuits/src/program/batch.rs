//! The program of a batch: every tensor gets a sample axis in front, so that one proof holds several inferences and the
//! weights are committed and opened once.
//!
//! The axis is a new one, never an existing axis of size one: no operation of the model names it, whatever it does to
//! the axes that it knows. It is outermost, so a batched tensor is its samples one after the other, and inputs are never
//! padded to a power of two by it (columns of results may have another axis outermost: there the count is padded).
//! Constants stay as they are and are broadcast over the samples, but for constant boxes of an [`Arrange`], which are
//! repeated in the program and committed once (`lower/arrange.rs`).

use alloc::string::String;
use alloc::vec::Vec;

use super::{Op, Program, ProgramError};
use crate::ops::{Arrange, AxisIndices, FloatKind, Operand, Part, PartSource, RewireKind, Window};

/// Most inferences of one batch.
pub const MAX_BATCH: u32 = 1 << 16;

/// Most elements of all tensors of a batch together: more than one proof holds.
const MAX_ALL_ELEMENTS: u64 = 1 << 30;

/// Why a program has no batch of some size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not a number of inferences.
    #[error("a batch has 1 to {MAX_BATCH} inferences, not {0}")]
    Count(u32),
    /// The tensors outgrow any proof.
    #[error("a batch of {count} is too large for one proof; make keys of a smaller batch")]
    TooLarge {
        /// Inferences asked for.
        count: u32,
    },
    /// A tensor has no axis left.
    #[error("tensor `{tensor}` has as many axes as a tensor can have, a batch needs one more; prove samples singly")]
    Axes {
        /// Name of the tensor.
        tensor: String,
    },
    /// The batched program breaks a rule.
    #[error("the program of the batch is not valid: {0}")]
    Program(#[from] ProgramError),
}

impl Program {
    /// The program that does `count` inferences at once, of a valid program. Deterministic; `batched(1)` is the program.
    ///
    /// # Errors
    /// [`BatchError`]; nothing larger than the limits is allocated.
    pub fn batched(&self, count: u32) -> Result<Self, BatchError> {
        if !(1..=MAX_BATCH).contains(&count) {
            return Err(BatchError::Count(count));
        }
        if count == 1 {
            return Ok(self.clone());
        }
        let lens = self.values.iter().map(|value| (value.len() as u64).saturating_mul(count.into()));
        let (sum, largest) = lens.fold((0u64, 0), |(sum, most), len| (sum.saturating_add(len), len.max(most)));
        if sum > MAX_ALL_ELEMENTS || largest > super::validate::MAX_ELEMENTS {
            return Err(BatchError::TooLarge { count });
        }
        if let Some(value) = self.values.iter().find(|v| v.shape.len() >= super::validate::MAX_AXES) {
            return Err(BatchError::Axes { tensor: value.name.clone() });
        }
        let mut batch = self.clone();
        for value in &mut batch.values {
            value.shape.insert(0, count);
        }
        for op in &mut batch.ops {
            op.add_samples(count);
        }
        batch.validate()?;
        Ok(batch)
    }
}

impl Op {
    /// The same operation on tensors with a sample axis in front.
    fn add_samples(&mut self, count: u32) {
        match self {
            Self::Contract(c) => {
                c.channel_axis += 1;
                shift_windows(&mut c.windows);
            }
            Self::MaxPool(m) => shift_windows(&mut m.windows),
            Self::Sum(s) => shift(&mut s.axes),
            Self::Extremum(e) => e.axis += 1,
            Self::Add(a) => broadcast(&mut a.b),
            Self::Multiply(m) => broadcast(&mut m.b),
            Self::Arrange(a) => add_samples_to_parts(a, count),
            Self::Rewire(r) => {
                if let RewireKind::Transpose { permutation } = &mut r.kind {
                    shift(permutation);
                    permutation.insert(0, 0);
                }
            }
            Self::Float(f) => match &mut f.kind {
                FloatKind::Add { a, b, .. } | FloatKind::Multiply { a, b } | FloatKind::Divide { a, b } => {
                    broadcast(a);
                    broadcast(b);
                }
                FloatKind::RunningSum { axis, .. } | FloatKind::RunningSquares { axis, .. } => *axis += 1,
                FloatKind::Mean { axes, .. } => shift(axes),
                FloatKind::Quantise { axis, .. } => *axis = axis.map(|axis| axis + 1),
                FloatKind::Table { .. } | FloatKind::SquareRoot { .. } | FloatKind::WeightedMean { .. } => {}
            },
            // Elementwise, or on the last axes: the sample axis is one more leading axis.
            Self::Lookup(_) | Self::MatMul(_) | Self::Embed(_) => {}
        }
    }
}

fn shift(axes: &mut [u8]) {
    axes.iter_mut().for_each(|axis| *axis += 1);
}

fn shift_windows(windows: &mut [Window]) {
    windows.iter_mut().for_each(|window| window.axis += 1);
}

/// A constant is the same for every sample; a tensor has its own sample axis.
fn broadcast(operand: &mut Operand) {
    if let Operand::Constant { shape, .. } = operand {
        shape.insert(0, 1);
    }
}

fn add_samples_to_parts(arrange: &mut Arrange, count: u32) {
    for Part { at, shape, source } in &mut arrange.parts {
        at.insert(0, 0);
        shape.insert(0, count);
        match source {
            PartSource::Value { indices, .. } => indices.insert(0, AxisIndices::Run { start: 0, step: 1 }),
            PartSource::Constant { data } if data.len() > 1 => *data = data.repeat(count as usize),
            PartSource::Constant { .. } => {}
        }
    }
}

/// The tensors of a batch from those of its samples: `samples[i]` holds one tensor per port.
pub fn join(samples: &[Vec<Vec<i32>>]) -> Vec<Vec<i32>> {
    let ports = samples.first().map_or(0, Vec::len);
    (0..ports).map(|port| samples.iter().filter_map(|s| s.get(port)).flatten().copied().collect()).collect()
}

/// The tensors of sample `index` of a batch of `count`; empty ones beyond the batch.
pub fn sample(tensors: &[Vec<i32>], index: u32, count: u32) -> Vec<Vec<i32>> {
    tensors.iter().map(|tensor| slice(tensor, index, count).to_vec()).collect()
}

/// Elements of sample `index` among `count` samples one after the other.
pub fn slice<T>(all: &[T], index: u32, count: u32) -> &[T] {
    let len = all.len() / (count as usize).max(1);
    let start = len.saturating_mul(index as usize);
    all.get(start..start.saturating_add(len)).unwrap_or_default()
}
