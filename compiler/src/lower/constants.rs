//! Dequantised constants as operands.

use std::rc::Rc;

use vinfer_circuits::program::{IntType, Quantisation};

use super::Lowering;
use super::operands::{int_type, is_byte};
use super::state::{State, Weights};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;

impl Lowering<'_> {
    /// The weights of a float operator between Q/DQ nodes.
    pub(super) fn dequantised_weights(&self, node: &Node, index: usize) -> Result<Rc<Weights>, CompileError> {
        let name = node.input(index).unwrap_or_default();
        match self.state(node, index)? {
            State::Weights(weights) => Ok(Rc::clone(weights)),
            State::Constant(_) => Err(node.stays_float(
                format!("its weights `{name}` are not quantised"),
                format!("quantise weights too: {QUANTISE_STATICALLY}"),
            )),
            _ => Err(node.unsupported(
                format!("operand `{name}` is not a constant"),
                "products of two activations are not supported",
            )),
        }
    }

    /// The numbers of a constant operand, quantised or not.
    pub(super) fn constant_floats(&self, state: &State) -> Option<Vec<f32>> {
        match state {
            State::Constant(t) => t.floats().map(<[f32]>::to_vec),
            State::Weights(w) => Some(w.floats()),
            _ => None,
        }
    }

    /// The value of an operand that is one constant number, quantised or not.
    pub(super) fn scalar(&self, state: &State) -> Option<f32> {
        match state {
            State::Constant(t) => match t.floats()? {
                [one] => Some(*one),
                _ => None,
            },
            State::Weights(w) => match w.floats().as_slice() {
                [one] => Some(*one),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Weights {
    /// The dequantised numbers.
    pub(super) fn floats(&self) -> Vec<f32> {
        let one = |(at, centred): (usize, i32)| centred as f32 * self.scales[self.scale_index(at)];
        self.centred().into_iter().enumerate().map(one).collect()
    }

    /// The parameters, if these are 8-bit integers quantised per tensor.
    pub(super) fn per_tensor(&self) -> Option<Quantisation> {
        let int_type: IntType = int_type(self.data_type).filter(|&t| is_byte(t))?;
        match (self.scales.as_slice(), self.zero_points.as_slice()) {
            ([s], [z]) => Some(Quantisation { scale_bits: s.to_bits(), zero_point: *z, int_type }),
            _ => None,
        }
    }
}
