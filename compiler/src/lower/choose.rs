//! Where: a movement if the condition is constant and both sides are integers, else two steps of element-wise functions.

use vinfer_circuits::ops::AxisIndices;

use super::Lowering;
use super::moves::{Move, MoveKind};
use super::pair::Side;
use super::selection::flat;
use super::state::{Integer, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    /// `condition ? x : y`.
    pub(super) fn choose(&mut self, node: &Node) -> Result<State, CompileError> {
        if let Some(state) = self.choose_by_constant(node)? {
            return Ok(state);
        }
        let integers = [1, 2].into_iter().find_map(|i| match self.state(node, i) {
            Ok(State::Integer(integer)) => Some(self.value_ref(integer.value).quantisation.int_type),
            _ => None,
        });
        let condition = self.raw_side(node, 0)?;
        let (x, y) = (self.raw_side(node, 1)?, self.raw_side(node, 2)?);
        let rejected = self.combine(node, (condition, y), |c, y| if c != 0.0 { f32::NAN } else { y })?;
        let rejected = match rejected {
            State::Real(real) => Side::Tensor(real),
            State::Pending(pending) => match self.as_function(node, &pending)? {
                State::Real(real) => Side::Tensor(real),
                _ => return Err(node.stays_float("its operand is a float result", "quantise the operands")),
            },
            State::Constant(tensor) => {
                let shape = tensor.dims.iter().map(|&d| d as u32).collect();
                Side::Constant(shape, tensor.floats().unwrap_or_default().to_vec())
            }
            _ => return Err(node.stays_float("its operand is a float result", "quantise the operands")),
        };
        let state = self.combine(node, (x, rejected), |x, y| if y.is_nan() { x } else { y })?;
        match integers {
            Some(int_type) => self.integers_of(node, state, int_type),
            None => Ok(state),
        }
    }

    /// Where of two integer tensors with a constant condition: a movement of their elements.
    fn choose_by_constant(&mut self, node: &Node) -> Result<Option<State>, CompileError> {
        let State::Constant(condition) = self.state(node, 0)?.clone() else { return Ok(None) };
        let mut sides = Vec::with_capacity(2);
        for index in [1, 2] {
            sides.push(match self.state(node, index)?.clone() {
                State::Integer(integer) => integer,
                State::Indices(input) => self.small_integers(node, &input)?,
                _ => return Ok(None),
            });
        }
        let [x, y] = [sides[0], sides[1]].map(|side| self.value_ref(side.value).clone());
        if x.quantisation != y.quantisation {
            return Ok(None);
        }
        let dims: Vec<u32> = condition.dims.iter().map(|&d| d as u32).collect();
        let shape = shapes::broadcast(&x.shape, &y.shape).and_then(|s| shapes::broadcast(&s, &dims));
        let shape = shape.ok_or_else(|| node.bad_shape("the shapes of its inputs do not fit together"))?;
        shapes::check(node, &shape)?;
        let count: u32 = shape.iter().product();
        let chosen = condition.integers().ok_or_else(|| node.bad_attribute("condition", "not bool"))?;
        let own = shapes::expand_rank(&dims, shape.len());
        let spread = Move {
            kind: MoveKind::Select(own.iter().zip(&shape).map(|(o, s)| run(i32::from(o == s))).collect()),
            shape: shape.clone(),
        };
        let order = spread.order(&own).into_iter().enumerate();
        let order = order.map(|(at, from)| if chosen[from] != 0 { at } else { at + count as usize }).collect();
        let mut both = Vec::with_capacity(2);
        for side in &sides {
            let whole = self.expanded(node, side.value, &shape)?;
            both.push(self.reshaped(node, whole, vec![1, count])?);
        }
        let both = self.concatenated(node, &both, 0)?;
        let value = self.moved(node, both, &[flat(node, order, shape)?])?;
        Ok(Some(State::Integer(Integer { value, effective: sides[0].effective })))
    }
}

fn run(step: i32) -> AxisIndices {
    AxisIndices::Run { start: 0, step }
}
