//! Reshape, Flatten, Transpose, Squeeze and Unsqueeze.

use vinfer_circuits::ops::RewireKind;
use vinfer_circuits::program::ValueId;

use super::Lowering;
use super::float::FloatTensor;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn movement(&mut self, node: &Node) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
        let (kind, out) = self.movement_of(node, &shape)?;
        Ok(match state {
            State::Integer(Integer { value, effective }) => {
                State::Integer(Integer { value: self.moved(node, value, kind, out)?, effective })
            }
            State::Real(real) => {
                State::Real(Real { value: self.moved(node, real.value, kind, out)?, direct: false, ..real })
            }
            State::Float(tensor) => State::Float(self.moved_float(node, tensor, kind, out)?),
            State::Indices(mut input) => {
                input.moves.push((kind, out));
                State::Indices(input)
            }
            State::Input(mut input) => {
                input.moves.push((kind, out));
                State::Input(input)
            }
            _ => {
                return Err(node.stays_float(
                    "its input is a float result that is not quantised",
                    format!("put QuantizeLinear and DequantizeLinear before it: {QUANTISE_STATICALLY}"),
                ));
            }
        })
    }

    fn moved_float(
        &mut self,
        node: &Node,
        tensor: FloatTensor,
        kind: RewireKind,
        shape: Vec<u32>,
    ) -> Result<FloatTensor, CompileError> {
        match (kind, &tensor.curves) {
            (RewireKind::Reshape, _) => Ok(FloatTensor { shape, ..tensor }),
            (kind @ RewireKind::Transpose { .. }, None) => {
                let value = self.reshaped(node, tensor.value, tensor.shape)?;
                Ok(FloatTensor { value: self.moved(node, value, kind, shape.clone())?, shape, curves: None })
            }
            _ => Err(node.unsupported("it moves the float result of a normalisation", "quantise the result first")),
        }
    }

    fn moved(&mut self, node: &Node, value: ValueId, kind: RewireKind, out: Vec<u32>) -> Result<ValueId, CompileError> {
        match kind {
            RewireKind::Reshape => self.reshaped(node, value, out),
            RewireKind::Transpose { .. } => self.emit_rewire(node, value, kind, out),
        }
    }

    /// The movement that a node performs on a tensor of this shape, and the resulting shape.
    pub(super) fn movement_of(&self, node: &Node, shape: &[u32]) -> Result<(RewireKind, Vec<u32>), CompileError> {
        let rank = shape.len();
        let out = match node.op.as_str() {
            "Reshape" => {
                let target = self.integer_list(node, 1)?.ok_or_else(|| node.bad_attribute("shape", "missing"))?;
                shapes::reshape(node, shape, &target, node.int("allowzero", 0)? != 0)?
            }
            "Flatten" => {
                let axis = node.int("axis", 1)?;
                let axis = if axis == rank as i64 { rank } else { shapes::axis(node, axis, rank)? };
                let size = |dims: &[u32]| dims.iter().try_fold(1u32, |n, &d| n.checked_mul(d));
                let sizes = size(&shape[..axis]).zip(size(&shape[axis..]));
                let (outer, inner) = sizes.ok_or_else(|| node.bad_shape("the tensor is too large"))?;
                vec![outer, inner]
            }
            "Transpose" => {
                let permutation: Vec<u8> = match node.ints("perm")? {
                    None => (0..rank as u8).rev().collect(),
                    Some(p) => p.iter().map(|&a| u8::try_from(a).unwrap_or(u8::MAX)).collect(),
                };
                let mut sorted = permutation.clone();
                sorted.sort_unstable();
                if sorted.len() != rank || sorted.iter().enumerate().any(|(i, &a)| i != usize::from(a)) {
                    return Err(node.bad_attribute("perm", "not a permutation of the axes"));
                }
                let out: Vec<u32> = permutation.iter().map(|&a| shape[usize::from(a)]).collect();
                // Moving axes of size 1 only is a reshape.
                let moving = permutation.iter().filter(|&&a| shape[usize::from(a)] > 1);
                let kind = if moving.is_sorted() { RewireKind::Reshape } else { RewireKind::Transpose { permutation } };
                return Ok((kind, out));
            }
            "Squeeze" => {
                let axes = self.axes(node, rank)?;
                let drop = |i: usize| axes.as_ref().map_or(shape[i] == 1, |a| a.contains(&i));
                if (0..rank).any(|i| drop(i) && shape[i] != 1) {
                    return Err(node.bad_shape(format!("cannot squeeze {shape:?}")));
                }
                (0..rank).filter(|&i| !drop(i)).map(|i| shape[i]).collect()
            }
            _ => {
                let count = self.axis_list(node)?.map_or(0, |a| a.len());
                let axes = self.axes(node, rank + count)?.unwrap_or_default();
                let mut rest = shape.iter().copied();
                let out: Vec<u32> = (0..rank + count)
                    .map(|i| if axes.contains(&i) { Some(1) } else { rest.next() })
                    .collect::<Option<_>>()
                    .ok_or_else(|| node.bad_attribute("axes", "repeated axes"))?;
                out
            }
        };
        shapes::check(node, &out)?;
        Ok((RewireKind::Reshape, out))
    }

    /// The axes of Squeeze or Unsqueeze: an attribute before operator set 13, an operand since.
    fn axis_list(&self, node: &Node) -> Result<Option<Vec<i64>>, CompileError> {
        match node.ints("axes")? {
            Some(axes) => Ok(Some(axes.to_vec())),
            None => self.integer_list(node, 1),
        }
    }

    fn axes(&self, node: &Node, rank: usize) -> Result<Option<Vec<usize>>, CompileError> {
        let Some(list) = self.axis_list(node)? else { return Ok(None) };
        if list.len() > 8 {
            return Err(node.bad_attribute("axes", "too many axes"));
        }
        list.into_iter().map(|a| shapes::axis(node, a, rank)).collect::<Result<_, _>>().map(Some)
    }

    /// A constant operand of integers, if present.
    pub(super) fn integer_list(&self, node: &Node, index: usize) -> Result<Option<Vec<i64>>, CompileError> {
        match self.constant(node, index)? {
            None => Ok(None),
            Some(t) => {
                let name = node.input(index).unwrap_or_default();
                t.integers().map(Some).ok_or_else(|| node.bad_attribute(name, "not an integer tensor"))
            }
        }
    }
}
