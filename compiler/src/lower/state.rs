//! What is known about a tensor of the graph while lowering.

use std::rc::Rc;

use vinfer_circuits::program::{IntType, Quantisation, ValueId};

use super::Lowering;
use super::float::FloatTensor;
use super::moves::Move;
use super::pending::Pending;
use crate::onnx::tensor::Tensor;

/// A tensor.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// A constant.
    Constant(Rc<Tensor>),
    /// DequantizeLinear of a constant.
    Weights(Rc<Weights>),
    /// An integer tensor of the program.
    Integer(Integer),
    /// A float tensor that is a function of one integer tensor, element by element.
    Real(Real),
    /// A float tensor of the program.
    Float(FloatTensor),
    /// An int32 tensor times a number, in single precision.
    Scaled { value: ValueId, scale: f32 },
    /// A float graph input that is not quantised yet.
    Input(Input),
    /// An int64 graph input, which selects rows of tables.
    Indices(Input),
    /// The float result of an operator that the following QuantizeLinear completes.
    Pending(Rc<Pending>),
    /// A tensor that could not be lowered (only when surveying).
    Unknown,
}

/// An integer tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integer {
    pub value: ValueId,
    /// The type after ONNX Runtime's rewriting of int8 pairs to uint8.
    pub effective: IntType,
}

/// `table[x - lo]` for each element `x` of `value`, or the plain dequantisation.
#[derive(Clone, Debug)]
pub(super) struct Real {
    pub value: ValueId,
    /// Parameters of the DequantizeLinear; lo and hi equal the value's.
    pub quantisation: Quantisation,
    pub effective: IntType,
    /// Whether a DequantizeLinear itself produces the tensor, so that ONNX Runtime can fuse its reader.
    pub direct: bool,
    /// Whether the table equals the runtime's floats to the last bit, not only after quantisation to 8 bits.
    pub exact: bool,
    /// `None`: plain dequantisation.
    pub table: Option<Rc<Vec<f32>>>,
}

impl Real {
    /// The result for every centred integer from lo to hi.
    pub(super) fn table(&self) -> Rc<Vec<f32>> {
        match &self.table {
            Some(table) => Rc::clone(table),
            None => {
                let q = &self.quantisation;
                Rc::new((q.lo()..=q.hi()).map(|c| vinfer_circuits::boundary::dequantise(c, q)).collect())
            }
        }
    }

    /// The same integers under another function.
    pub(super) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self { table: Some(Rc::new(self.table().iter().map(|&x| f(x)).collect())), direct: false, ..self.clone() }
    }
}

/// A float or int64 graph input behind some data movement.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Position in the graph's inputs.
    pub port: usize,
    /// Shape of the input itself.
    pub declared: Vec<u32>,
    /// Movements so far.
    pub moves: Vec<Move>,
}

impl Input {
    pub(super) fn shape(&self) -> &[u32] {
        self.moves.last().map_or(&self.declared, |step| &step.shape)
    }
}

/// A dequantised constant.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub dims: Vec<u32>,
    /// Raw integers, row-major.
    pub raw: Vec<i32>,
    /// ONNX number of the integer type.
    pub data_type: i32,
    /// One scale, or one per index of `axis`.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i32>,
    /// The quantised axis if there is more than one scale.
    pub axis: Option<usize>,
}

impl Weights {
    /// Position of the scale of element `at`.
    pub(super) fn scale_index(&self, at: usize) -> usize {
        match self.axis {
            None => 0,
            Some(axis) => {
                let inner: usize = self.dims[axis + 1..].iter().map(|&d| d as usize).product();
                at / inner.max(1) % self.scales.len().max(1)
            }
        }
    }

    /// Raw integers minus their zero points.
    pub(super) fn centred(&self) -> Vec<i32> {
        self.raw.iter().enumerate().map(|(at, &r)| r.wrapping_sub(self.zero_points[self.scale_index(at)])).collect()
    }
}

impl Lowering<'_> {
    /// Shape of a tensor, where known.
    pub(super) fn shape_of(&self, state: &State) -> Option<Vec<u32>> {
        Some(match state {
            State::Constant(t) => t.dims.iter().map(|&d| d as u32).collect(),
            State::Weights(w) => w.dims.clone(),
            State::Integer(i) => self.values[i.value as usize].shape.clone(),
            State::Real(r) => self.values[r.value as usize].shape.clone(),
            State::Float(f) => f.shape.clone(),
            State::Scaled { value, .. } => self.values[*value as usize].shape.clone(),
            State::Input(i) | State::Indices(i) => i.shape().to_vec(),
            State::Pending(p) => p.shape().to_vec(),
            State::Unknown => return None,
        })
    }
}
