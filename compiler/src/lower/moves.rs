//! Data movement known at compile time, on tensors and on constants.

use std::rc::Rc;

use vinfer_circuits::ops::{AxisIndices, Part, PartSource, RewireKind};
use vinfer_circuits::program::ValueId;

use super::Lowering;
use super::state::Weights;
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::tensor::{Data, Tensor};
use crate::shapes;

/// One movement and the shape of its result.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub kind: MoveKind,
    pub shape: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(super) enum MoveKind {
    Rewire(RewireKind),
    /// Indices axis by axis.
    Select(Vec<AxisIndices>),
    /// For each element of the result its position in the tensor.
    Flat(Rc<Vec<u32>>),
}

impl Move {
    pub(super) fn reshape(shape: Vec<u32>) -> Self {
        Self { kind: MoveKind::Rewire(RewireKind::Reshape), shape }
    }

    pub(super) fn transpose(input: &[u32], permutation: Vec<u8>) -> Self {
        let shape = permutation.iter().map(|&p| input[usize::from(p)]).collect();
        // Moving axes of size 1 only is a reshape.
        let moving = permutation.iter().filter(|&&a| input[usize::from(a)] > 1);
        let kind = if moving.is_sorted() { RewireKind::Reshape } else { RewireKind::Transpose { permutation } };
        Self { kind: MoveKind::Rewire(kind), shape }
    }

    /// `list[i]` along one axis, everything along the others.
    pub(super) fn along(input: &[u32], axis: usize, list: Vec<u32>) -> Self {
        let mut all = vec![AxisIndices::Run { start: 0, step: 1 }; input.len()];
        let mut shape = input.to_vec();
        shape[axis] = list.len() as u32;
        all[axis] = super::arrange::indices(list);
        Self { kind: MoveKind::Select(all), shape }
    }

    /// Position in the tensor of shape `input` of each element of the result.
    pub(super) fn order(&self, input: &[u32]) -> Vec<usize> {
        let from = strides(input);
        let gather = |at: &dyn Fn(usize, u32) -> usize| {
            let mut order = vec![0usize];
            for (axis, &size) in self.shape.iter().enumerate() {
                order = order.iter().flat_map(|&base| (0..size).map(move |i| base + at(axis, i))).collect();
            }
            order
        };
        match &self.kind {
            MoveKind::Rewire(RewireKind::Reshape) => (0..shapes::elements(&self.shape).unwrap_or(0)).collect(),
            MoveKind::Rewire(RewireKind::Transpose { permutation }) => {
                gather(&|axis, i| i as usize * from[usize::from(permutation[axis])])
            }
            MoveKind::Select(all) => gather(&|axis, i| all[axis].at(i).unwrap_or(0) as usize * from[axis]),
            MoveKind::Flat(order) => order.iter().map(|&i| i as usize).collect(),
        }
    }
}

fn strides(shape: &[u32]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as usize;
    }
    strides
}

impl Lowering<'_> {
    /// Applies movements to a tensor of the program.
    pub(super) fn moved(&mut self, node: &Node, value: ValueId, moves: &[Move]) -> Result<ValueId, CompileError> {
        moves.iter().try_fold(value, |value, step| self.moved_once(node, value, step))
    }

    fn moved_once(&mut self, node: &Node, input: ValueId, step: &Move) -> Result<ValueId, CompileError> {
        let shape = step.shape.clone();
        match &step.kind {
            MoveKind::Rewire(RewireKind::Reshape) => self.reshaped(node, input, shape),
            MoveKind::Rewire(kind) => self.emit_rewire(node, input, kind.clone(), shape),
            MoveKind::Select(all) => self.selected(node, input, all.clone(), shape),
            MoveKind::Flat(order) => {
                let count = self.value_ref(input).len() as u32;
                let input = self.reshaped(node, input, vec![count])?;
                let quantisation = self.value_ref(input).quantisation;
                let indices = vec![super::arrange::indices(order.to_vec())];
                let flat = vec![order.len() as u32];
                let source = PartSource::Value { input, indices };
                let part = Part { at: vec![0], shape: flat.clone(), source };
                let value = self.emit_arrange(node, flat, vec![part], quantisation)?;
                self.reshaped(node, value, shape)
            }
        }
    }
}

/// A constant after movements.
pub(super) fn moved_tensor(tensor: &Tensor, moves: &[Move]) -> Tensor {
    fn pick<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
        order.iter().filter_map(|&i| values.get(i).copied()).collect()
    }
    let mut tensor = tensor.clone();
    for step in moves {
        let shape: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        let order = step.order(&shape);
        let data = match &tensor.data {
            Data::F32(v) => Data::F32(pick(v, &order)),
            Data::U8(v) => Data::U8(pick(v, &order)),
            Data::I8(v) => Data::I8(pick(v, &order)),
            Data::I32(v) => Data::I32(pick(v, &order)),
            Data::I64(v) => Data::I64(pick(v, &order)),
            Data::Small(kind, v) => Data::Small(*kind, pick(v, &order)),
            Data::Other(kind) => Data::Other(*kind),
        };
        tensor = Tensor { dims: step.shape.iter().map(|&d| d as usize).collect(), data };
    }
    tensor
}

/// Dequantised constants after movements; `None` where the scales do not move along.
pub(super) fn moved_weights(weights: &Weights, moves: &[Move]) -> Option<Weights> {
    let mut weights = weights.clone();
    for step in moves {
        let axis = match (weights.axis, &step.kind) {
            (None, _) => None,
            (Some(axis), MoveKind::Rewire(RewireKind::Transpose { permutation })) => {
                Some(permutation.iter().position(|&p| usize::from(p) == axis)?)
            }
            (Some(axis), MoveKind::Select(all))
                if all.get(axis)?.is_identity() && step.shape[axis] == weights.dims[axis] =>
            {
                Some(axis)
            }
            (Some(axis), MoveKind::Rewire(RewireKind::Reshape)) => Some(same_axis(&weights.dims, &step.shape, axis)?),
            _ => return None,
        };
        let order = step.order(&weights.dims);
        let raw = order.iter().filter_map(|&i| weights.raw.get(i).copied()).collect();
        weights = Weights { dims: step.shape.clone(), raw, axis, ..weights };
    }
    Some(weights)
}

/// Where a reshape leaves an axis, if it keeps it whole.
fn same_axis(from: &[u32], to: &[u32], axis: usize) -> Option<usize> {
    let before = |shape: &[u32], axis: usize| shape[..axis].iter().map(|&d| u64::from(d)).product::<u64>();
    let wanted = before(from, axis);
    (0..to.len()).find(|&i| to[i] == from[axis] && before(to, i) == wanted)
}
