//! `Program`: the contract between compiler and prover.
//!
//! A program is a list of [`Value`]s (integer tensors, stored *centred*: raw integer minus zero point) and a list of
//! [`Op`]s in execution order. It holds every quantisation constant, weight and table, and nothing else: two programs
//! with equal bytes compute equal functions.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ops::{Add, Contract, Lookup, MaxPool, Rewire, Sum};

/// Index of a [`Value`] in [`Program::values`].
pub type ValueId = u32;

/// Integer storage type of a quantised tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntType {
    /// Unsigned 8-bit, 0..=255.
    U8,
    /// Signed 8-bit, -128..=127.
    I8,
}

impl IntType {
    /// Smallest representable integer.
    pub const fn min(self) -> i32 {
        match self {
            Self::U8 => 0,
            Self::I8 => -128,
        }
    }

    /// Largest representable integer.
    pub const fn max(self) -> i32 {
        match self {
            Self::U8 => 255,
            Self::I8 => 127,
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

    /// Smallest centred value, `min(int_type) - zero_point`.
    pub const fn lo(&self) -> i32 {
        self.int_type.min() - self.zero_point
    }

    /// Largest centred value, `max(int_type) - zero_point`.
    pub const fn hi(&self) -> i32 {
        self.int_type.max() - self.zero_point
    }
}

/// One integer tensor of the program. Elements are centred and lie in `quantisation.lo()..=quantisation.hi()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the tensor in the ONNX graph (for messages and reports).
    pub name: String,
    /// Logical shape, row-major, batch axis included (size 1).
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
    /// The value's own integer type.
    Integer,
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
    /// Requantised sum of two tensors.
    Add(Add),
    /// Requantised sum over axes (global average pooling).
    Sum(Sum),
    /// Unary function of an 8-bit value, as a table.
    Lookup(Lookup),
    /// Window maximum.
    MaxPool(MaxPool),
    /// Data movement that copies no value: reshape and transpose.
    Rewire(Rewire),
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
        }
    }

    /// Values that the operation reads.
    pub fn inputs(&self) -> Vec<ValueId> {
        use alloc::vec;
        match self {
            Self::Contract(op) => vec![op.input],
            Self::Add(op) => match op.b {
                crate::ops::AddOperand::Value(b) => vec![op.a, b],
                crate::ops::AddOperand::Constant { .. } => vec![op.a],
            },
            Self::Sum(op) => vec![op.input],
            Self::Lookup(op) => vec![op.input],
            Self::MaxPool(op) => vec![op.input],
            Self::Rewire(op) => vec![op.input],
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

mod file;
mod validate;
pub use file::{ProgramFileError, from_bytes, to_bytes};
pub use validate::{MAX_PRODUCT, ProgramError};
