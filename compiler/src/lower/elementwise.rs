//! Functions of one 8-bit tensor: unary operators, arithmetic with one constant number, and their integer forms.

use std::rc::Rc;

use vinfer_circuits::boundary;
use vinfer_circuits::program::{IntType, Quantisation, ValueId};

use super::Lowering;
use super::operands::effective_zero_point;
use super::pending::Pending;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::unary;

/// A product with one quantised constant number, without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct MulParts {
    node: Node,
    real: Real,
    /// Centred integer, parameters and type of the constant.
    constant: i32,
    factor: Quantisation,
    pub(super) shape: Vec<u32>,
    fused: bool,
}

impl Lowering<'_> {
    /// Unary operators on a dequantised tensor.
    pub(super) fn unary(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.real(node, 0)?;
        let clip = if node.op == "Clip" { self.clip_bounds(node)? } else { (0.0, 0.0) };
        match unary::function(node, clip)? {
            Some(f) => Ok(State::Real(real.map(f))),
            None => Err(node.unsupported("the operator is not supported", super::KEEP_OUTSIDE)),
        }
    }

    /// QLinearSigmoid and QLinearLeakyRelu.
    pub(super) fn qlinear_unary(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.integer_operand(node, 0, 1)?;
        let quantisation = self.output_parameters(node, 3, real.quantisation.int_type)?;
        let Some(f) = unary::function(node, (0.0, 0.0))? else {
            return Err(node.unsupported("the operator is not supported", super::KEEP_OUTSIDE));
        };
        let table = real.map(f).table().iter().map(|&x| boundary::quantise(x, &quantisation).unwrap_or(0)).collect();
        let value = self.emit_lookup((&node.name, &node.op), node, real.value, table, quantisation)?;
        Ok(State::Integer(Integer { value, effective: quantisation.int_type }))
    }

    /// Bounds of a Clip, from attributes (before operator set 11) or constant operands.
    fn clip_bounds(&self, node: &Node) -> Result<(f32, f32), CompileError> {
        if self.graph.opset < 11 {
            return Ok((node.float("min", f32::MIN)?, node.float("max", f32::MAX)?));
        }
        let bound = |index: usize, default: f32| match node.input(index) {
            None => Ok(default),
            Some(name) => self
                .scalar(self.state(node, index)?)
                .ok_or_else(|| node.bad_attribute(name, "a bound of Clip must be one constant float")),
        };
        Ok((bound(1, f32::MIN)?, bound(2, f32::MAX)?))
    }

    /// A float operand that is some function of an integer tensor.
    fn real(&self, node: &Node, index: usize) -> Result<Real, CompileError> {
        match self.state(node, index)? {
            State::Real(real) => Ok(real.clone()),
            _ => self.dequantised(node, index),
        }
    }

    /// Add, Sub, Mul and Div with one constant number, in single precision.
    pub(super) fn with_scalar(&mut self, node: &Node) -> Result<State, CompileError> {
        let constants: Vec<Option<f32>> =
            [0, 1].iter().map(|&i| self.state(node, i).map(|s| self.scalar(s))).collect::<Result<_, _>>()?;
        let (index, constant, left) = match constants.as_slice() {
            [None, Some(c)] => (0, *c, false),
            [Some(c), None] => (1, *c, true),
            _ => {
                return Err(node.stays_float(
                    "only one constant number as the second operand can be tabulated",
                    format!("use Add on two quantised tensors, or fold the constant: {QUANTISE_STATICALLY}"),
                ));
            }
        };
        let real = self.real(node, index)?;
        let real = self.with_rank(node, real, 1 - index)?;
        let apply: fn(f32, f32) -> f32 = match node.op.as_str() {
            "Add" => |a, b| a + b,
            "Sub" => |a, b| a - b,
            "Mul" => |a, b| a * b,
            _ => |a, b| a / b,
        };
        Ok(State::Real(real.map(|x| if left { apply(constant, x) } else { apply(x, constant) })))
    }

    /// A constant of more axes than the tensor adds leading axes of size 1.
    fn with_rank(&mut self, node: &Node, real: Real, constant: usize) -> Result<Real, CompileError> {
        let rank = self.shape_of(self.state(node, constant)?).map_or(0, |s| s.len());
        let shape = crate::shapes::expand_rank(&self.value_ref(real.value).shape, rank);
        let value = self.reshaped(node, real.value, shape)?;
        Ok(Real { value, ..real })
    }

    pub(super) fn mul(&mut self, node: &Node) -> Result<State, CompileError> {
        let direct = |i: usize| self.dequantised(node, i).is_ok();
        if direct(0) && direct(1) && self.check_single_reader(node).is_ok() {
            return self.elementwise_product(node, None);
        }
        let Some(index) = [0, 1].into_iter().find(|&i| self.fuses_with_constant(node, i)) else {
            return self.with_scalar(node);
        };
        let State::Weights(weights) = self.state(node, index)?.clone() else { return self.with_scalar(node) };
        let (Some(factor), [_]) = (weights.per_tensor(), weights.raw.as_slice()) else {
            return self.elementwise_product(node, Some(index));
        };
        let real = self.dequantised(node, 1 - index)?;
        let real = self.with_rank(node, real, index)?;
        self.check_single_reader(node)?;
        let shape = self.value_ref(real.value).shape.clone();
        let constant = weights.centred().first().copied().unwrap_or(0);
        let parts = MulParts { node: node.clone(), real, constant, factor, shape, fused: true };
        Ok(State::Pending(Rc::new(Pending::Mul(parts))))
    }

    pub(super) fn qlinear_mul(&mut self, node: &Node) -> Result<State, CompileError> {
        let index = [0, 3].into_iter().find(|&i| matches!(self.state(node, i), Ok(State::Constant(_))));
        let Some(index) = index else { return self.qlinear_product(node, None) };
        let weights = self.integer_weights(node, index, index + 1, 0)?;
        let (Some(factor), [_]) = (weights.per_tensor(), weights.raw.as_slice()) else {
            return self.qlinear_product(node, Some(index));
        };
        let real = self.integer_operand(node, 3 - index, 4 - index)?;
        let real = self.with_rank(node, real, index)?;
        let quantisation = self.output_parameters(node, 6, real.quantisation.int_type)?;
        let shape = self.value_ref(real.value).shape.clone();
        let constant = weights.centred().first().copied().unwrap_or(0);
        let parts = MulParts { node: node.clone(), real, constant, factor, shape, fused: false };
        self.complete(node, &Pending::Mul(parts), quantisation, quantisation.int_type)
    }

    /// QLinearMul by one number: `sat(rne(f32(f32(f32(p) * r) + zc)))`, or float arithmetic where ONNX Runtime does
    /// not fuse.
    pub(super) fn complete_mul(
        &mut self,
        at: &Node,
        parts: &MulParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let (q, factor) = (&parts.real.quantisation, &parts.factor);
        let table = if parts.fused && effective != parts.real.effective {
            let constant = boundary::dequantise(parts.constant, factor);
            let product = parts.real.map(|x| x * constant);
            product.table().iter().map(|&x| boundary::quantise(x, &quantisation).unwrap_or(0)).collect()
        } else {
            let ratio = q.scale() * factor.scale() / quantisation.scale();
            let zero_point = effective_zero_point(&quantisation, effective);
            let (lo, hi) = (effective.min() as f32, effective.max() as f32);
            let step = |c: i32| {
                let v = (c * parts.constant) as f32 * ratio + zero_point as f32;
                v.max(lo).min(hi).round_ties_even() as i32 - zero_point
            };
            (q.lo()..=q.hi()).map(step).collect()
        };
        let name = super::contract::fused_name(parts.fused, &parts.node.op);
        self.emit_lookup((&parts.node.name, &name), at, parts.real.value, table, quantisation)
    }
}
