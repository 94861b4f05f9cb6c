//! Operators that only move elements, and which movement each performs.

use std::rc::Rc;

use super::Lowering;
use super::float::FloatTensor;
use super::moves::{Move, MoveKind, moved_tensor, moved_weights};
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::shapes;

/// Operators whose result is their first input's elements in another arrangement.
pub(crate) const OPERATORS: &[&str] = &[
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Gather",
    "GatherElements",
    "GatherND",
    "Expand",
    "Tile",
    "Resize",
    "Upsample",
    "DepthToSpace",
    "SpaceToDepth",
];

impl Lowering<'_> {
    pub(super) fn movement(&mut self, node: &Node) -> Result<State, CompileError> {
        if node.op == "Gather"
            && let State::Indices(indices) = self.state(node, 1)?.clone()
        {
            return self.embedding(node, &indices);
        }
        let state = self.state(node, 0)?.clone();
        let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
        let moves = self.moves_of(node, &shape)?;
        self.arranged(node, state, moves)
    }

    /// Any tensor after movements.
    pub(super) fn arranged(&mut self, node: &Node, state: State, moves: Vec<Move>) -> Result<State, CompileError> {
        for step in &moves {
            shapes::check(node, &step.shape)?;
        }
        let whole = |step: &Move| matches!(step.kind, MoveKind::Rewire(_));
        Ok(match state {
            State::Constant(tensor) => State::Constant(Rc::new(moved_tensor(&tensor, &moves))),
            State::Weights(weights) => match moved_weights(&weights, &moves) {
                Some(weights) => State::Weights(Rc::new(weights)),
                None => {
                    return Err(node.unsupported(
                        "it regroups constants that are quantised per channel",
                        "apply it to the weights before quantising",
                    ));
                }
            },
            State::Integer(Integer { value, effective }) => {
                State::Integer(Integer { value: self.moved(node, value, &moves)?, effective })
            }
            State::Real(real) => {
                State::Real(Real { value: self.moved(node, real.value, &moves)?, direct: false, ..real })
            }
            State::Float(FloatTensor { value, curves, shape }) => match (&curves, moves.last()) {
                (None, _) => {
                    let value = self.reshaped(node, value, shape.clone())?;
                    let shape = moves.last().map_or(shape, |m| m.shape.clone());
                    State::Float(FloatTensor { value: self.moved(node, value, &moves)?, shape, curves })
                }
                (Some(_), Some(Move { kind: MoveKind::Rewire(vinfer_circuits::ops::RewireKind::Reshape), shape }))
                    if moves.len() == 1 =>
                {
                    State::Float(FloatTensor { value, shape: shape.clone(), curves })
                }
                _ => {
                    return Err(node.unsupported(
                        "it moves the float result of a normalisation",
                        "quantise the result of the normalisation first",
                    ));
                }
            },
            State::Scaled { value, scale } => State::Scaled { value: self.moved(node, value, &moves)?, scale },
            State::Input(mut input) => {
                input.moves.extend(moves);
                State::Input(input)
            }
            State::Indices(mut input) if moves.iter().all(whole) => {
                input.moves.extend(moves);
                State::Indices(input)
            }
            State::Pending(pending) => {
                let real = self.as_function(node, &pending)?;
                return self.arranged(node, real, moves);
            }
            State::Indices(_) | State::Unknown => {
                return Err(node.stays_float(
                    "its input is a float result that is not quantised",
                    format!("put QuantizeLinear and DequantizeLinear before it: {QUANTISE_STATICALLY}"),
                ));
            }
        })
    }

    /// The movements that a node performs on a tensor of this shape.
    pub(super) fn moves_of(&self, node: &Node, shape: &[u32]) -> Result<Vec<Move>, CompileError> {
        let rank = shape.len();
        Ok(match node.op.as_str() {
            "Slice" => self.slice_moves(node, shape)?,
            "Gather" | "GatherElements" | "GatherND" => vec![self.gather_move(node, shape)?],
            "Expand" => self.expand_moves(node, shape)?,
            "Tile" => vec![self.tile_move(node, shape)?],
            "Resize" | "Upsample" => vec![self.resize_move(node, shape)?],
            "DepthToSpace" | "SpaceToDepth" => block_moves(node, shape)?,
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
                vec![Move::transpose(shape, permutation)]
            }
            _ => vec![Move::reshape(self.reshape_of(node, shape)?)],
        })
    }

    /// The shape that a reshaping node gives to a tensor of this shape.
    fn reshape_of(&self, node: &Node, shape: &[u32]) -> Result<Vec<u32>, CompileError> {
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
                (0..rank + count)
                    .map(|i| if axes.contains(&i) { Some(1) } else { rest.next() })
                    .collect::<Option<Vec<u32>>>()
                    .filter(|out| out.len() == rank + count && rest.next().is_none())
                    .ok_or_else(|| node.bad_attribute("axes", "repeated axes"))?
            }
        };
        shapes::check(node, &out)?;
        Ok(out)
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

/// DepthToSpace and SpaceToDepth.
fn block_moves(node: &Node, shape: &[u32]) -> Result<Vec<Move>, CompileError> {
    let &[n, c, h, w] = shape else { return Err(node.bad_shape(format!("{shape:?} has not four axes"))) };
    let block = u32::try_from(node.int("blocksize", 0)?).ok().filter(|b| (1..=1 << 15).contains(b));
    let b = block.ok_or_else(|| node.bad_attribute("blocksize", "out of range"))?;
    let (split, permutation, out) = if node.op == "SpaceToDepth" {
        if h % b != 0 || w % b != 0 {
            return Err(node.bad_shape(format!("blocks of {b} do not divide {shape:?}")));
        }
        let out = c.checked_mul(b * b).map(|c| vec![n, c, h / b, w / b]);
        (vec![n, c, h / b, b, w / b, b], vec![0, 3, 5, 1, 2, 4], out)
    } else {
        if c % (b * b) != 0 {
            return Err(node.bad_shape(format!("blocks of {b} do not divide {shape:?}")));
        }
        let c = c / (b * b);
        let out = h.checked_mul(b).zip(w.checked_mul(b)).map(|(h, w)| vec![n, c, h, w]);
        match node.text("mode", "DCR")? {
            "DCR" => (vec![n, b, b, c, h, w], vec![0, 3, 4, 1, 5, 2], out),
            "CRD" => (vec![n, c, b, b, h, w], vec![0, 1, 4, 2, 5, 3], out),
            other => return Err(node.bad_attribute("mode", format!("unknown value `{other}`"))),
        }
    };
    let out = out.ok_or_else(|| node.bad_shape("the result is too large"))?;
    let transpose = Move::transpose(&split, permutation);
    Ok(vec![Move::reshape(split), transpose, Move::reshape(out)])
}
