//! Functions of one 8-bit tensor: unary operators, arithmetic with one constant number, and their integer forms.

use std::rc::Rc;

use vinfer_circuits::boundary;
use vinfer_circuits::program::{IntType, Quantisation, ValueId};

use super::Lowering;
use super::operands::effective_zero_point;
use super::pair::Side;
use super::pending::Pending;
use super::qdq::quantise;
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
    /// Unary operators.
    pub(super) fn unary(&mut self, node: &Node) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        if let State::Integer(integer) = state {
            return self.integer_unary(node, integer);
        }
        let clip = if node.op == "Clip" { self.clip_bounds(node)? } else { (0.0, 0.0) };
        let Some(f) = unary::function(node, clip)? else {
            return Err(node.unsupported("the operator is not supported", super::KEEP_OUTSIDE));
        };
        if let State::Pending(pending) = &state
            && node.op.ends_with("Gelu")
            && matches!(&**pending, Pending::Pair(_))
        {
            return Err(node.stays_float(
                "ONNX Runtime merges it with the preceding operator",
                format!("put QuantizeLinear and DequantizeLinear between them: {QUANTISE_STATICALLY}"),
            ));
        }
        self.mapped(node, state, &f.apply, f.exact)
    }

    /// QLinearSigmoid and QLinearLeakyRelu.
    pub(super) fn qlinear_unary(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.integer_operand(node, 0, 1)?;
        let quantisation = self.output_parameters(node, 3, real.quantisation.int_type)?;
        let Some(f) = unary::function(node, (0.0, 0.0))? else {
            return Err(node.unsupported("the operator is not supported", super::KEEP_OUTSIDE));
        };
        let table = real.map(&f.apply).table().iter().map(|&x| quantise(x, &quantisation)).collect();
        let value = self.emit_lookup((&node.name, &node.op), node, real.value, table, quantisation)?;
        Ok(State::Integer(Integer { value, effective: quantisation.int_type }))
    }

    /// Add, Sub, Mul, Div, Min, Max and PRelu: fused, on integers, or in single precision.
    pub(super) fn arithmetic(&mut self, node: &Node) -> Result<State, CompileError> {
        let states = [self.state(node, 0)?.clone(), self.state(node, node.inputs.len().saturating_sub(1))?.clone()];
        if states.iter().any(|s| matches!(s, State::Integer(_))) {
            return self.integer_arithmetic(node);
        }
        if let Some(state) = self.scaled_by(node, &states)? {
            return Ok(state);
        }
        match node.op.as_str() {
            "Add" => self.add(node),
            "Mul" => self.mul(node),
            _ => self.binary(node),
        }
    }

    /// Pow by one constant.
    pub(super) fn power(&mut self, node: &Node) -> Result<State, CompileError> {
        let exponent = self.scalar(self.state(node, 1)?);
        let Some(exponent) = exponent else {
            return Err(node.stays_float("its exponent is not one constant", "use a constant exponent"));
        };
        let exact = [2.0, 3.0, 0.5, 1.0, 0.0, -1.0, 4.0, 1.5].contains(&exponent);
        let f = move |x: f32| {
            if exponent == 2.0 {
                x * x
            } else if exponent == 3.0 {
                x * x * x
            } else {
                libm::pow(f64::from(x), f64::from(exponent)) as f32
            }
        };
        let state = self.state(node, 0)?.clone();
        self.mapped(node, state, &f, exact)
    }

    /// BatchNormalization with constant statistics: a function of the element and its channel.
    pub(super) fn batch_normalisation(&mut self, node: &Node) -> Result<State, CompileError> {
        if node.int("training_mode", 0)? != 0 {
            return Err(node.unsupported("training mode", "export the model for inference"));
        }
        let Side::Tensor(real) = self.side(node, 0)? else {
            return Err(node.stays_float("its input is not quantised", "fold it into the preceding Conv"));
        };
        let shape = self.value_ref(real.value).shape.clone();
        let channels = shape.get(1).copied().unwrap_or(0) as usize;
        let mut constants = Vec::with_capacity(4);
        for index in 1..5 {
            let numbers = self.constant_floats(self.state(node, index)?).filter(|n| n.len() == channels);
            let numbers = numbers.ok_or_else(|| node.bad_attribute("inputs", "not one constant for each channel"))?;
            constants.push(numbers);
        }
        let epsilon = node.float("epsilon", 1e-5)?;
        let [scale, bias, mean, variance] = constants.as_slice() else {
            return Err(node.bad_attribute("inputs", "missing"));
        };
        let gain: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| s * (1.0 / libm::sqrtf(v + epsilon))).collect();
        let offset: Vec<f32> = bias.iter().zip(mean).zip(&gain).map(|((b, m), g)| b - m * g).collect();
        let mut dims = vec![1; shape.len()];
        dims[1] = channels as u32;
        let numbers: Vec<f32> = (0..channels).map(|c| c as f32).collect();
        let pick = move |x: f32, c: f32| x * gain[c as usize] + offset[c as usize];
        self.with_numbers(node, &real, &dims, &numbers, pick)
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
            return self.binary(node);
        };
        let State::Weights(weights) = self.state(node, index)?.clone() else { return self.binary(node) };
        if self.check_single_reader(node).is_err() {
            return self.binary(node);
        }
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
            product.table().iter().map(|&x| quantise(x, &quantisation)).collect()
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
