//! Products of two activations: MatMul, Mul and their integer forms.

use std::rc::Rc;

use vinfer_circuits::ops::{Multiply, Operand, Requant};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::contract::fused_name;
use super::operands::effective_zero_point;
use super::pending::Pending;
use super::state::{Real, State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;
use crate::solver::solve_product;

/// An elementwise product without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct ProductParts {
    node: Node,
    a: Real,
    b: Factor,
    pub(super) shape: Vec<u32>,
    fused: bool,
}

#[derive(Clone, Debug)]
enum Factor {
    Value(Real),
    Constant(Rc<Weights>, Quantisation),
}

impl Factor {
    const fn quantisation(&self) -> &Quantisation {
        match self {
            Self::Value(real) => &real.quantisation,
            Self::Constant(_, quantisation) => quantisation,
        }
    }
}

impl Lowering<'_> {
    /// Mul between Q/DQ nodes of two activations, or of an activation and a constant tensor.
    pub(super) fn elementwise_product(&mut self, node: &Node, constant: Option<usize>) -> Result<State, CompileError> {
        let (a, b) = match constant {
            Some(index) => {
                let State::Weights(weights) = self.state(node, index)?.clone() else {
                    return Err(node.bad_attribute("inputs", "not a dequantised constant"));
                };
                (self.dequantised(node, 1 - index)?, factor(node, weights)?)
            }
            None => (self.dequantised(node, 0)?, Factor::Value(self.dequantised(node, 1)?)),
        };
        self.check_single_reader(node)?;
        let parts = self.product_parts(node, a, b, true)?;
        Ok(State::Pending(Rc::new(Pending::Product(parts))))
    }

    /// QLinearMul of two activations, or of an activation and a constant tensor.
    pub(super) fn qlinear_product(&mut self, node: &Node, constant: Option<usize>) -> Result<State, CompileError> {
        let (a, b) = match constant {
            Some(index) => {
                let weights = self.integer_weights(node, index, index + 1, 0)?;
                (self.integer_operand(node, 3 - index, 4 - index)?, factor(node, Rc::new(weights))?)
            }
            None => (self.integer_operand(node, 0, 1)?, Factor::Value(self.integer_operand(node, 3, 4)?)),
        };
        let quantisation = self.output_parameters(node, 6, a.quantisation.int_type)?;
        let parts = self.product_parts(node, a, b, false)?;
        self.complete(node, &Pending::Product(parts), quantisation, quantisation.int_type)
    }

    fn product_parts(&self, node: &Node, a: Real, b: Factor, fused: bool) -> Result<ProductParts, CompileError> {
        let sa = &self.value_ref(a.value).shape;
        let sb = match &b {
            Factor::Value(real) => &self.value_ref(real.value).shape,
            Factor::Constant(weights, _) => &weights.dims,
        };
        let shape = shapes::broadcast(sa, sb)
            .ok_or_else(|| node.bad_shape(format!("shapes {sa:?} and {sb:?} do not broadcast")))?;
        shapes::check(node, &shape)?;
        Ok(ProductParts { node: node.clone(), a, b, shape, fused })
    }

    /// QLinearMul: `sat(rne(f32(f32(f32(p) * r) + zc)))` of the integer product `p`.
    pub(super) fn complete_product(
        &mut self,
        at: &Node,
        parts: &ProductParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let ProductParts { node, a, b, shape, fused } = parts;
        let other = match b {
            Factor::Value(real) => real.effective,
            Factor::Constant(_, quantisation) => quantisation.int_type,
        };
        if *fused && (a.effective != effective || other != effective) {
            return self.unfused(at, node, quantisation, effective);
        }
        // The program's first operand has the output's shape.
        let fits = |real: &Real| {
            self.value_ref(real.value).shape.len() == shape.len() && { self.value_ref(real.value).shape == *shape }
        };
        let (a, b) = match b {
            Factor::Value(real) if !fits(a) && fits(real) => (real.clone(), Factor::Value(a.clone())),
            _ => (a.clone(), b.clone()),
        };
        let first = self.expanded(node, a.value, shape)?;
        let (second, range) = match &b {
            Factor::Value(real) => {
                let value = self.value_ref(real.value);
                let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
                let own = shapes::expand_rank(&value.shape, shape.len());
                (Operand::Value(self.reshaped(node, real.value, own)?), (lo, hi))
            }
            Factor::Constant(weights, _) => {
                let data = weights.centred();
                let (lo, hi) = data.iter().fold((0, 0), |(lo, hi), &v| (lo.min(v), hi.max(v)));
                let own = shapes::expand_rank(&weights.dims, shape.len());
                (Operand::Constant { shape: own, data, lo, hi }, (lo, hi))
            }
        };
        let output = self.value(node, at.output(), shape.clone(), quantisation)?;
        let mut op = Multiply { a: first, b: second, output, requant: Requant::Exact };
        let range = op.reachable(self.value_ref(first), (i64::from(range.0), i64::from(range.1)));
        let ratio = a.quantisation.scale() * b.quantisation().scale() / quantisation.scale();
        if !ratio.is_finite() {
            return Err(node.bad_attribute("scale", format!("the requantisation scale is {ratio}")));
        }
        let zero_point = effective_zero_point(&quantisation, effective);
        op.requant = solve_product(ratio, zero_point, quantisation.lo(), quantisation.hi(), range.0, range.1);
        self.emit(&node.name, &fused_name(*fused, &node.op), Op::Multiply(op), Some(range));
        Ok(output)
    }
}

fn factor(node: &Node, weights: Rc<Weights>) -> Result<Factor, CompileError> {
    let quantisation = weights.per_tensor().ok_or_else(|| {
        node.unsupported("the constant operand is not 8-bit per-tensor", "quantise it to uint8 per tensor")
    })?;
    Ok(Factor::Constant(weights, quantisation))
}
