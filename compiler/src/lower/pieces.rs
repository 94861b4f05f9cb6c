//! Tensors put together from pieces: Concat and Pad.

use std::rc::Rc;

use vinfer_circuits::ops::{AxisIndices, Part, PartSource, float};
use vinfer_circuits::program::{Quantisation, ValueId};

use super::Lowering;
use super::float::{FLOAT, FloatTensor, held};
use super::pending::Pending;
use super::qdq::quantise;
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// A float tensor of pieces without the quantisation that follows.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    pub(super) node: Node,
    pub(super) shape: Vec<u32>,
    pub(super) parts: Vec<Piece>,
}

/// A box of the tensor.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) at: Vec<u32>,
    pub(super) shape: Vec<u32>,
    pub(super) source: Source,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Elements of a tensor of the same rank.
    Tensor(Real, Vec<AxisIndices>),
    /// One number, or one per element.
    Numbers(Rc<Vec<f32>>),
}

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &Node) -> Result<State, CompileError> {
        if !node.attributes.contains_key("axis") {
            return Err(node.bad_attribute("axis", "missing"));
        }
        let mut states = Vec::with_capacity(node.inputs.len());
        for index in 0..node.inputs.len() {
            states.push(self.state(node, index)?.clone());
        }
        if states.iter().any(|s| matches!(s, State::Integer(_))) {
            return self.concat_integers(node, &states);
        }
        if states.iter().any(|s| matches!(s, State::Float(_) | State::Input(_) | State::Pending(_))) {
            return self.concat_floats(node, states);
        }
        let mut operands = Vec::with_capacity(states.len());
        for state in states {
            let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
            let source = match state {
                State::Real(real) => Source::Tensor(real, vec![AxisIndices::Run { start: 0, step: 1 }; shape.len()]),
                other => Source::Numbers(Rc::new(self.constant_floats(&other).ok_or_else(|| {
                    node.unsupported("an operand is neither quantised nor a constant", "quantise all operands")
                })?)),
            };
            operands.push((shape, source));
        }
        let pieces = self.side_by_side(node, operands)?;
        self.pieces_state(node, pieces)
    }

    /// com.microsoft.QLinearConcat: scale and zero point of the result, then tensor, scale and zero point of each input.
    pub(super) fn qlinear_concat(&mut self, node: &Node) -> Result<State, CompileError> {
        let mut operands = Vec::new();
        for index in (2..node.inputs.len()).step_by(3) {
            let real = self.integer_operand(node, index, index + 1)?;
            let shape = self.value_ref(real.value).shape.clone();
            operands
                .push((shape.clone(), Source::Tensor(real, vec![AxisIndices::Run { start: 0, step: 1 }; shape.len()])));
        }
        let Some((_, Source::Tensor(first, _))) = operands.first() else {
            return Err(node.bad_attribute("inputs", "missing"));
        };
        let quantisation = self.output_parameters(node, 0, first.quantisation.int_type)?;
        let pieces = self.side_by_side(node, operands)?;
        let value = self.complete_pieces(node, &pieces, quantisation)?;
        Ok(State::Integer(Integer { value, effective: quantisation.int_type }))
    }

    fn side_by_side(&self, node: &Node, operands: Vec<(Vec<u32>, Source)>) -> Result<Pieces, CompileError> {
        let first = operands.first().map(|o| o.0.clone()).unwrap_or_default();
        let axis = shapes::axis(node, node.int("axis", 1)?, first.len())?;
        let mut at = vec![0u32; first.len()];
        let mut parts = Vec::with_capacity(operands.len());
        for (shape, source) in operands {
            let fits = shape.len() == at.len() && (0..at.len()).all(|i| i == axis || shape[i] == first[i]);
            let end = shape.get(axis).and_then(|n| at[axis].checked_add(*n));
            let (true, Some(end)) = (fits, end) else {
                return Err(node.bad_shape("the shapes of its inputs do not fit together"));
            };
            parts.push(Piece { at: at.clone(), shape, source });
            at[axis] = end;
        }
        let mut shape = first;
        shape[axis] = at[axis];
        shapes::check(node, &shape)?;
        Ok(Pieces { node: node.clone(), shape, parts })
    }

    fn concat_integers(&mut self, node: &Node, states: &[State]) -> Result<State, CompileError> {
        let first = states.iter().find_map(|s| match s {
            State::Integer(i) => Some(*i),
            _ => None,
        });
        let Some(first) = first else { return Err(node.bad_attribute("inputs", "no integer tensor")) };
        let quantisation = self.value_ref(first.value).quantisation;
        let mut values = Vec::with_capacity(states.len());
        for state in states {
            values.push(match state {
                State::Integer(i) => {
                    if self.value_ref(i.value).quantisation.int_type != quantisation.int_type {
                        return Err(node.bad_attribute("inputs", "different integer types"));
                    }
                    self.recentred(node, i.value, &quantisation)?
                }
                State::Constant(t) => self.integer_constant(node, t, quantisation)?,
                _ => return Err(node.bad_attribute("inputs", "integers and floats are mixed")),
            });
        }
        let rank = self.value_ref(first.value).shape.len();
        let axis = shapes::axis(node, node.int("axis", 1)?, rank)?;
        let value = self.concatenated(node, &values, axis)?;
        Ok(State::Integer(Integer { value, effective: first.effective }))
    }

    fn concat_floats(&mut self, node: &Node, states: Vec<State>) -> Result<State, CompileError> {
        let mut values = Vec::with_capacity(states.len());
        for state in states {
            values.push(self.floats(node, state)?.value);
        }
        let rank = values.first().map_or(0, |&v| self.value_ref(v).shape.len());
        let axis = shapes::axis(node, node.int("axis", 1)?, rank)?;
        let value = self.concatenated(node, &values, axis)?;
        let shape = self.value_ref(value).shape.clone();
        Ok(State::Float(FloatTensor { value, shape, curves: None }))
    }

    /// A tensor of pieces: still a function of one integer tensor if all pieces are the same function.
    pub(super) fn pieces_state(&mut self, node: &Node, pieces: Pieces) -> Result<State, CompileError> {
        let Some(Piece { source: Source::Tensor(first, _), .. }) = pieces.parts.first() else {
            return Ok(State::Pending(Rc::new(Pending::Pieces(pieces))));
        };
        let (table, q) = (first.table(), first.quantisation);
        let zero = |numbers: &[f32]| first.table.is_none() && numbers.iter().all(|x| x.to_bits() == 0);
        let alike = pieces.parts.iter().all(|p| match &p.source {
            Source::Tensor(real, _) => {
                real.table() == table && real.quantisation.lo() == q.lo() && real.effective == first.effective
            }
            Source::Numbers(numbers) => zero(numbers),
        });
        if !alike {
            return Ok(State::Pending(Rc::new(Pending::Pieces(pieces))));
        }
        let first = first.clone();
        let own = self.value_ref(first.value).quantisation;
        let parts = pieces.parts.iter().map(|p| Part {
            at: p.at.clone(),
            shape: p.shape.clone(),
            source: match &p.source {
                Source::Tensor(real, indices) => PartSource::Value { input: real.value, indices: indices.clone() },
                Source::Numbers(_) => PartSource::Constant { data: vec![0] },
            },
        });
        let parts = parts.collect();
        let value = self.emit_arrange(node, pieces.shape, parts, own)?;
        Ok(State::Real(Real { value, direct: false, ..first }))
    }

    /// The pieces, quantised one by one.
    pub(super) fn complete_pieces(
        &mut self,
        at: &Node,
        pieces: &Pieces,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let mut parts = Vec::with_capacity(pieces.parts.len());
        for piece in &pieces.parts {
            let source = match &piece.source {
                Source::Tensor(real, indices) => {
                    let input = self.quantise_real(&pieces.node, real, quantisation)?;
                    PartSource::Value { input, indices: indices.clone() }
                }
                Source::Numbers(numbers) => {
                    PartSource::Constant { data: numbers.iter().map(|&x| quantise(x, &quantisation)).collect() }
                }
            };
            parts.push(Part { at: piece.at.clone(), shape: piece.shape.clone(), source });
        }
        self.emit_arrange(at, pieces.shape.clone(), parts, quantisation)
    }

    /// The pieces as floats.
    pub(super) fn float_pieces(&mut self, pieces: &Pieces) -> Result<FloatTensor, CompileError> {
        let node = &pieces.node;
        let mut parts = Vec::with_capacity(pieces.parts.len());
        for piece in &pieces.parts {
            let source = match &piece.source {
                Source::Tensor(real, indices) => {
                    PartSource::Value { input: self.materialised(node, real)?, indices: indices.clone() }
                }
                Source::Numbers(numbers) if numbers.iter().all(|x| held(*x)) => {
                    PartSource::Constant { data: numbers.iter().map(|&x| float::to_bits(x)).collect() }
                }
                Source::Numbers(_) => {
                    return Err(node.unsupported("a constant is too large or too small", "use moderate constants"));
                }
            };
            parts.push(Part { at: piece.at.clone(), shape: piece.shape.clone(), source });
        }
        let value = self.emit_arrange(node, pieces.shape.clone(), parts, FLOAT)?;
        Ok(FloatTensor { value, shape: pieces.shape.clone(), curves: None })
    }
}
