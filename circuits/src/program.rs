//! `Program`: the contract between compiler and prover.
//!
//! A program is a list of [`Value`]s (integer tensors, stored *centred*: raw integer minus zero point) and a list of
//! [`Op`]s in execution order. It holds every quantisation constant, weight and table, and nothing else: two programs
//! with equal bytes compute equal functions.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ops::{
    Add, Arrange, Contract, Embed, Extremum, Float, Lookup, MatMul, MaxPool, Multiply, Operand, Rewire, Sum,
};

/// Index of a [`Value`] in [`Program::values`].
pub type ValueId = u32;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntType {
    /// Unsigned 8-bit, 0..=255.
    U8,
    /// Signed 8-bit, -128..=127.
    I8,
    /// Unsigned 16-bit, 0..=65535.
    U16,
    /// Signed 16-bit, -32768..=32767.
    I16,
    /// Signed 32-bit.
    I32,
    /// Truth value, 0 or 1.
    Bool,
    /// Integers of a known range: indices, differences, token ids.
    Range {
        /// Smallest.
        min: i32,
        /// Largest.
        max: i32,
    },
    /// Single-precision float; elements are its bits (see [`crate::ops::float`]).
    F32,
}

impl IntType {
    /// Smallest representable integer.
    pub const fn min(self) -> i32 {
        match self {
            Self::U8 | Self::U16 | Self::Bool => 0,
            Self::I8 => -128,
            Self::I16 => -32768,
            Self::I32 | Self::F32 => i32::MIN,
            Self::Range { min, .. } => min,
        }
    }

    /// Largest representable integer.
    pub const fn max(self) -> i32 {
        match self {
            Self::U8 => 255,
            Self::I8 => 127,
            Self::U16 => 65535,
            Self::I16 => 32767,
            Self::Bool => 1,
            Self::I32 | Self::F32 => i32::MAX,
            Self::Range { max, .. } => max,
        }
    }

    /// Bytes of one raw element in a statement.
    pub const fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::I32 | Self::Range { .. } | Self::F32 => 4,
        }
    }
}

/// Affine quantisation of a tensor: `real = (raw - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantisation {
    /// IEEE-754 single-precision bits of the scale.
    pub scale_bits: u32,
    /// Zero point, in the range of `int_type`.
    pub zero_point: i32,
    /// Storage type of the raw integers.
    pub int_type: IntType,
}

impl Quantisation {
    /// The scale as a float.
    pub const fn scale(&self) -> f32 {
        f32::from_bits(self.scale_bits)
    }

    /// Whether the zero point is in the range of the type and every centred value is an `i32`, so that centring maps no
    /// two raw integers to one.
    pub const fn is_exact(&self) -> bool {
        let (min, max) = (self.int_type.min(), self.int_type.max());
        min <= self.zero_point
            && self.zero_point <= max
            && min.checked_sub(self.zero_point).is_some()
            && max.checked_sub(self.zero_point).is_some()
    }

    /// Smallest centred value, `min(int_type) - zero_point`.
    pub const fn lo(&self) -> i32 {
        self.int_type.min().saturating_sub(self.zero_point)
    }

    /// Largest centred value, `max(int_type) - zero_point`.
    pub const fn hi(&self) -> i32 {
        self.int_type.max().saturating_sub(self.zero_point)
    }
}

/// One integer tensor of the program. Elements are centred and lie in `quantisation.lo()..=quantisation.hi()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the tensor in the ONNX graph (for messages and reports).
    pub name: String,
    /// Logical shape, row-major, the model's batch axis included (size 1).
    pub shape: Vec<u32>,
    /// Quantisation parameters.
    pub quantisation: Quantisation,
}

impl Value {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&d| d as usize).product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Element type of a graph input or output as declared in the ONNX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortType {
    /// `float`: quantised (input) or dequantised (output) at the boundary with the value's parameters.
    Float32,
    /// The value's own integer type (`uint8`, `int8`, `uint16`, `int16`, `int32`, `bool`).
    Integer,
    /// `int64`, of which the value holds the range of its type (token ids, indices).
    Int64,
}

/// A graph input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name in the ONNX graph. Several ports may share one name (one float input quantised in two ways).
    pub name: String,
    /// Declared element type.
    pub port_type: PortType,
    /// The integer tensor behind the port.
    pub value: ValueId,
    /// Whether the declared leading axis is the sample axis (declared size 1 or symbolic).
    pub leading_batch: bool,
}

/// A tensor operation; see the module of each for its integer semantics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution, matrix product or Gemm with constant weights, bias and requantisation.
    Contract(Contract),
    /// Function of two tensors.
    Add(Add),
    /// Requantised sum over axes (global average pooling).
    Sum(Sum),
    /// Unary function of a small integer, as a table.
    Lookup(Lookup),
    /// Window maximum.
    MaxPool(MaxPool),
    /// Data movement that copies no value: reshape and transpose.
    Rewire(Rewire),
    /// Data movement that copies elements: slices, concatenation, padding.
    Arrange(Arrange),
    /// Matrix product of two activations.
    MatMul(MatMul),
    /// Elementwise product.
    Multiply(Multiply),
    /// Largest or smallest element along an axis, or its index.
    Extremum(Extremum),
    /// Rows of a constant table, selected by public indices.
    Embed(Embed),
    /// Single-precision arithmetic.
    Float(Float),
}

impl Op {
    /// Value that the operation defines.
    pub const fn output(&self) -> ValueId {
        match self {
            Self::Contract(op) => op.output,
            Self::Add(op) => op.output,
            Self::Sum(op) => op.output,
            Self::Lookup(op) => op.output,
            Self::MaxPool(op) => op.output,
            Self::Rewire(op) => op.output,
            Self::Arrange(op) => op.output,
            Self::MatMul(op) => op.output,
            Self::Multiply(op) => op.output,
            Self::Extremum(op) => op.output,
            Self::Embed(op) => op.output,
            Self::Float(op) => op.output,
        }
    }

    /// Values that the operation reads.
    pub fn inputs(&self) -> Vec<ValueId> {
        use alloc::vec;
        let pair = |a: ValueId, b: &Operand| core::iter::once(a).chain(b.value()).collect();
        match self {
            Self::Contract(op) => vec![op.input],
            Self::Add(op) => pair(op.a, &op.b),
            Self::Sum(op) => vec![op.input],
            Self::Lookup(op) => vec![op.input],
            Self::MaxPool(op) => vec![op.input],
            Self::Rewire(op) => vec![op.input],
            Self::Arrange(op) => {
                let inputs = op.parts.iter().filter_map(|part| match &part.source {
                    crate::ops::PartSource::Value { input, .. } => Some(*input),
                    crate::ops::PartSource::Constant { .. } => None,
                });
                inputs.collect()
            }
            Self::MatMul(op) => vec![op.a, op.b],
            Self::Multiply(op) => pair(op.a, &op.b),
            Self::Extremum(op) => vec![op.input],
            Self::Embed(op) => vec![op.indices],
            Self::Float(op) => op.inputs(),
        }
    }
}

/// A compiled model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Graph inputs.
    pub inputs: Vec<Port>,
    /// Graph outputs.
    pub outputs: Vec<Port>,
    /// All tensors.
    pub values: Vec<Value>,
    /// Operations in execution order; each value is an input or defined by exactly one operation before its use.
    pub ops: Vec<Op>,
}

pub mod batch;
mod file;
mod validate;
pub use batch::BatchError;
pub use file::{ProgramFileError, from_bytes, to_bytes};
pub use validate::{IntegerTable, MAX_PRODUCT, ProgramError};
