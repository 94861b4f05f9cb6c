//! Products of two activations: MatMul, Mul and their integer forms.

use std::rc::Rc;

use vinfer_circuits::ops::{MatMul, Multiply, Operand, Requant};
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

/// A matrix product of two activations without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct MatMulParts {
    node: Node,
    a: Real,
    b: Real,
    pub(super) shape: Vec<u32>,
    fused: bool,
}

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
    /// MatMul between Q/DQ nodes with a second operand that is an activation, or a first one that is a constant.
    pub(super) fn matmul_activations(&mut self, node: &Node) -> Result<State, CompileError> {
        let a = self.factor_value(node, 0)?;
        let b = self.factor_value(node, 1)?;
        if a.effective == IntType::I8 {
            return Err(node.stays_float(
                "its int8 activations come from a graph input or from a tensor with several readers, which ONNX \
                 Runtime does not fuse",
                "quantise activations to uint8, or export in QOperator form",
            ));
        }
        self.check_single_reader(node)?;
        let parts = self.matmul_parts(node, a, b, true)?;
        Ok(State::Pending(Rc::new(Pending::MatMul(parts))))
    }

    /// QLinearMatMul of two tensors of which at most one is constant.
    pub(super) fn qlinear_matmul_activations(&mut self, node: &Node) -> Result<State, CompileError> {
        let mut operands = Vec::with_capacity(2);
        for index in [0, 3] {
            operands.push(if let State::Constant(_) = self.state(node, index)? {
                let weights = self.integer_weights(node, index, index + 1, 0)?;
                self.constant_real(node, &weights)?
            } else {
                self.integer_operand(node, index, index + 1)?
            });
        }
        let (Some(b), Some(a)) = (operands.pop(), operands.pop()) else {
            return Err(node.bad_attribute("inputs", "missing"));
        };
        let quantisation = self.output_parameters(node, 6, a.quantisation.int_type)?;
        let parts = self.matmul_parts(node, a, b, false)?;
        self.complete(node, &Pending::MatMul(parts), quantisation, quantisation.int_type)
    }

    /// A dequantised operand; a constant becomes a tensor.
    fn factor_value(&mut self, node: &Node, index: usize) -> Result<Real, CompileError> {
        match self.state(node, index)?.clone() {
            State::Weights(weights) => self.constant_real(node, &weights),
            _ => self.dequantised(node, index),
        }
    }

    /// A dequantised constant as a tensor of the program.
    pub(super) fn constant_real(&mut self, node: &Node, weights: &Weights) -> Result<Real, CompileError> {
        let quantisation = weights.per_tensor().ok_or_else(|| {
            node.unsupported(
                "its constant operand is not 8-bit per-tensor",
                "quantise the constant per tensor to 8 bits",
            )
        })?;
        let value = self.constant_value(node, weights.dims.clone(), weights.centred(), quantisation)?;
        Ok(Real { value, quantisation, effective: quantisation.int_type, direct: true, exact: true, table: None })
    }

    fn matmul_parts(
        &mut self,
        node: &Node,
        mut a: Real,
        mut b: Real,
        fused: bool,
    ) -> Result<MatMulParts, CompileError> {
        let (mut sa, mut sb) = (self.value_ref(a.value).shape.clone(), self.value_ref(b.value).shape.clone());
        let misfit = || node.bad_shape(format!("the shapes {sa:?} and {sb:?} do not multiply"));
        if sa.is_empty() || sb.is_empty() {
            return Err(misfit());
        }
        let (vector_a, vector_b) = (sa.len() == 1, sb.len() == 1);
        let (mut ma, mut mb) = (sa.clone(), sb.clone());
        if vector_a {
            ma.insert(0, 1);
        }
        if vector_b {
            mb.push(1);
        }
        let rank = ma.len().max(mb.len());
        (ma, mb) = (shapes::expand_rank(&ma, rank), shapes::expand_rank(&mb, rank));
        let mut shape = shapes::broadcast(&ma[..rank - 2], &mb[..rank - 2]).ok_or_else(misfit)?;
        if ma[rank - 1] != mb[rank - 2] {
            return Err(misfit());
        }
        (sa, sb) = (ma, mb);
        shape.extend([sa[rank - 2], sb[rank - 1]]);
        shapes::check(node, &shape)?;
        a.value = self.reshaped(node, a.value, sa)?;
        b.value = self.reshaped(node, b.value, sb)?;
        if vector_a {
            shape.remove(rank - 2);
        }
        if vector_b {
            shape.pop();
        }
        Ok(MatMulParts { node: node.clone(), a, b, shape, fused })
    }

    pub(super) fn complete_matmul(
        &mut self,
        at: &Node,
        parts: &MatMulParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let MatMulParts { node, a, b, shape, fused } = parts;
        if *fused && a.effective != effective {
            return Err(node.stays_float(
                "its input and output have different integer types, which ONNX Runtime does not fuse",
                "quantise all activations to uint8",
            ));
        }
        let (va, vb) = (self.value_ref(a.value), self.value_ref(b.value));
        let rank = va.shape.len();
        let mut out = shapes::broadcast(&va.shape[..rank - 2], &vb.shape[..rank - 2]).unwrap_or_default();
        out.extend([va.shape[rank - 2], vb.shape[rank - 1]]);
        let output = self.value(node, at.output(), out, quantisation)?;
        let mut op = MatMul { a: a.value, b: b.value, output, requant: Requant::Exact };
        let range = op.reachable(self.value_ref(a.value), self.value_ref(b.value));
        self.check_accumulator(node, 0, range)?;
        let scale = a.quantisation.scale() * b.quantisation.scale() / quantisation.scale();
        op.requant = self.requant(node, scale, &quantisation, range)?;
        self.emit(&node.name, &fused_name(*fused, &node.op), Op::MatMul(op), Some(range));
        self.reshaped(at, output, shape.clone())
    }

    /// Refuses accumulators that can leave int32.
    pub(super) fn check_accumulator(&self, node: &Node, channel: usize, range: (i64, i64)) -> Result<(), CompileError> {
        match [range.0, range.1].into_iter().find(|&bound| i32::try_from(bound).is_err()) {
            None => Ok(()),
            Some(bound) => {
                let (node, operator) = (node.name.clone(), node.op.clone());
                Err(CompileError::AccumulatorOverflow { node, operator, channel, bound })
            }
        }
    }

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
            // ONNX Runtime does not fuse it.
            return match self.binary(&node.clone())? {
                State::Pending(pending) => match self.complete(at, &pending, quantisation, effective)? {
                    State::Integer(integer) => Ok(integer.value),
                    _ => Err(node.bad_attribute("inputs", "not a float tensor")),
                },
                State::Real(real) => self.quantise_real(at, &real, quantisation),
                _ => Err(node.bad_attribute("inputs", "not a float tensor")),
            };
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
