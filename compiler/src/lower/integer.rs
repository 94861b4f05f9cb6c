//! Operators on integers: MatMulInteger, ConvInteger, arithmetic modulo the type, Not.

use vinfer_circuits::ops::{Contract, Requant};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::contract::{Bias, ContractParts};
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;

/// Parameters of int32 tensors with this scale.
pub(super) const fn wide(scale: f32) -> Quantisation {
    Quantisation { scale_bits: scale.to_bits(), zero_point: 0, int_type: IntType::I32 }
}

impl Lowering<'_> {
    /// MatMulInteger and ConvInteger with constant weights.
    pub(super) fn integer_product(&mut self, node: &Node) -> Result<State, CompileError> {
        let zero_point = self.constant(node, 2)?.map(|t| (t.len(), t.integers().unwrap_or_default()));
        let zero_point = match zero_point.as_ref().map(|(_, v)| v.as_slice()) {
            None => 0,
            Some([one]) => i32::try_from(*one).unwrap_or(0),
            Some(_) => {
                return Err(node.unsupported("a zero point per row", "use one zero point for the activations"));
            }
        };
        let State::Integer(input) = self.state(node, 0)?.clone() else {
            return Err(match self.state(node, 0)? {
                State::Constant(_) => node.unsupported("its first operand is a constant", "exchange the operands"),
                _ => CompileError::DynamicQuantisation { node: node.name.clone(), operator: node.op.clone() },
            });
        };
        let own = self.value_ref(input.value).quantisation;
        let quantisation = Quantisation { zero_point, ..own };
        let value = self.recentred(node, input.value, &quantisation)?;
        let State::Constant(tensor) = self.state(node, 1)?.clone() else {
            return Err(node.unsupported("its second operand is not a constant", "use QLinearMatMul"));
        };
        let conv = node.op == "ConvInteger";
        let axis = if conv { 0 } else { tensor.dims.len().saturating_sub(1) };
        let weights = self.raw_weights(node, &tensor, 3, axis)?;
        let real = Real { value, quantisation, effective: input.effective, direct: true, exact: true, table: None };
        let parts = if conv {
            self.conv_parts(node, &real, &weights, Bias::None, false)?
        } else {
            self.matrix_product(node, &real, &weights, Bias::None, 1.0, false, false)?
        };
        let value = self.exact_contract(node, &parts, wide(1.0))?;
        Ok(State::Integer(Integer { value, effective: IntType::I32 }))
    }

    /// The accumulators of a contraction as an int32 tensor.
    pub(super) fn exact_contract(
        &mut self,
        at: &Node,
        parts: &ContractParts,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let output = self.value(&parts.node, at.output(), parts.shape.clone(), quantisation)?;
        if parts.bias.len() != parts.scales.len() {
            return Err(parts.node.stays_float("it has a matrix of biases and a float result", "quantise the result"));
        }
        let out_channels = parts.bias.len() as u32;
        let contract = Contract {
            input: parts.input,
            output,
            channel_axis: parts.channel_axis,
            windows: parts.windows.clone(),
            groups: parts.groups,
            out_channels,
            weights: parts.weights.clone(),
            bias: parts.bias.clone(),
            requant: vec![Requant::Exact; out_channels as usize],
        };
        let reachable = contract.reachable(self.value_ref(parts.input));
        for (channel, &range) in reachable.iter().enumerate() {
            self.check_accumulator(&parts.node, channel, range)?;
        }
        let range = reachable.iter().fold((i64::MAX, i64::MIN), |(a, b), &(min, max)| (a.min(min), b.max(max)));
        self.emit(&parts.node.name, &parts.node.op, Op::Contract(contract), Some(range));
        Ok(output)
    }

    /// The accumulators of a contraction as numbers, if all channels have one scale.
    pub(super) fn scaled_contract(&mut self, at: &Node, parts: &ContractParts) -> Result<State, CompileError> {
        let first = parts.scales.first().copied().unwrap_or(1.0);
        if parts.scales.iter().any(|s| s.to_bits() != first.to_bits()) {
            return Err(parts.node.stays_float(
                "its float result has one scale for each channel",
                "quantise the result, or quantise the weights per tensor",
            ));
        }
        let value = self.exact_contract(at, parts, wide(first))?;
        Ok(State::Scaled { value, scale: first })
    }

    /// Add, Sub, Mul, Min and Max of small integers, modulo their type.
    pub(super) fn integer_arithmetic(&mut self, node: &Node) -> Result<State, CompileError> {
        let f: fn(f32, f32) -> f32 = match node.op.as_str() {
            "Add" => |a, b| a + b,
            "Sub" => |a, b| a - b,
            "Mul" => |a, b| a * b,
            "Min" => f32::min,
            "Max" => f32::max,
            _ => return Err(node.unsupported("the operator is not supported on integers", super::KEEP_OUTSIDE)),
        };
        let types = [0, 1].into_iter().filter_map(|i| match self.state(node, i) {
            Ok(State::Integer(integer)) => Some(self.value_ref(integer.value).quantisation.int_type),
            _ => None,
        });
        let types: Vec<IntType> = types.collect();
        let Some(&int_type @ (IntType::U8 | IntType::I8)) = types.first() else {
            return Err(node.unsupported("arithmetic on integers of more than 8 bits", "use 8-bit integers"));
        };
        if node.inputs.len() != 2 || types.iter().any(|t| *t != int_type) {
            return Err(node.bad_attribute("inputs", "not two operands of one type"));
        }
        let sides = (self.raw_side(node, 0)?, self.raw_side(node, 1)?);
        let state = self.combine(node, sides, f)?;
        let wrap = move |x: f32| {
            let bits = x as i32;
            if int_type == IntType::U8 { f32::from(bits as u8) } else { f32::from(bits as i8) }
        };
        let state = self.mapped(node, state, &wrap, true)?;
        self.integers_of(node, state, int_type)
    }

    /// Unary operators on small integers: Relu, Clip, Abs, Neg, Not, Sign.
    pub(super) fn integer_unary(&mut self, node: &Node, integer: Integer) -> Result<State, CompileError> {
        let int_type = self.value_ref(integer.value).quantisation.int_type;
        let (least, most) = (int_type.min() as f32, int_type.max() as f32);
        let bound = |this: &Self, index: usize, default: f32| match this.constant(node, index)? {
            None => Ok(default),
            Some(t) => match t.integers().as_deref() {
                Some([one]) => Ok(*one as f32),
                _ => Err(node.bad_attribute("inputs", "a bound of Clip must be one constant integer")),
            },
        };
        let f: Box<dyn Fn(f32) -> f32> = match node.op.as_str() {
            "Relu" => Box::new(|x| x.max(0.0)),
            "Clip" => {
                let (lo, hi) = (bound(self, 1, least)?, bound(self, 2, most)?);
                Box::new(move |x| x.max(lo).min(hi))
            }
            "Abs" if int_type.min() == 0 => Box::new(|x| x),
            "Not" if int_type == IntType::Bool => Box::new(|x| 1.0 - x),
            _ => return Err(node.unsupported("the operator is not supported on integers", super::KEEP_OUTSIDE)),
        };
        let real = self.raw_real(node, integer)?;
        self.integers_of(node, State::Real(real.map(f)), int_type)
    }
}
