//! Comparisons and logic, and functions with integer results.

use vinfer_circuits::program::{IntType, Quantisation};

use super::Lowering;
use super::pending::Pending;
use super::state::{Integer, State};
use crate::error::CompileError;
use crate::graph::Node;

impl Lowering<'_> {
    /// A truth value for each pair of elements.
    pub(super) fn compare(&mut self, node: &Node) -> Result<State, CompileError> {
        let f: fn(f32, f32) -> f32 = match node.op.as_str() {
            "Equal" => |a, b| f32::from(a == b),
            "Less" => |a, b| f32::from(a < b),
            "LessOrEqual" => |a, b| f32::from(a <= b),
            "Greater" => |a, b| f32::from(a > b),
            "GreaterOrEqual" => |a, b| f32::from(a >= b),
            "And" => |a, b| f32::from(a != 0.0 && b != 0.0),
            "Or" => |a, b| f32::from(a != 0.0 || b != 0.0),
            _ => |a, b| f32::from((a != 0.0) != (b != 0.0)),
        };
        let sides = (self.raw_side(node, 0)?, self.raw_side(node, 1)?);
        let state = self.combine(node, sides, f)?;
        self.truth(node, state)
    }

    /// Numbers 0 and 1 as truth values.
    pub(super) fn truth(&mut self, node: &Node, state: State) -> Result<State, CompileError> {
        self.integers_of(node, state, IntType::Bool)
    }

    /// A function with integer results as an integer tensor with zero point 0.
    pub(super) fn integers_of(&mut self, node: &Node, state: State, int_type: IntType) -> Result<State, CompileError> {
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let value = match state {
            State::Real(real) => {
                let table = real.table().iter().map(|&x| x as i32).collect();
                self.emit_lookup((&node.name, &node.op), node, real.value, table, quantisation)?
            }
            State::Pending(pending) => {
                let Pending::Pair(parts) = &*pending else {
                    return Err(node.bad_attribute("inputs", "not small integers"));
                };
                let table = parts.table.iter().map(|&x| x as i32).collect();
                self.emit_pair(node, parts, table, quantisation)?
            }
            State::Constant(tensor) => return Ok(State::Constant(tensor)),
            _ => return Err(node.stays_float("its operand is a float result", "quantise the operands")),
        };
        Ok(State::Integer(Integer { value, effective: int_type }))
    }
}
