//! Matrix products of two activations.

use std::rc::Rc;

use vinfer_circuits::ops::{MatMul, Requant};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::contract::fused_name;
use super::pending::Pending;
use super::state::{Real, State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// A matrix product of two activations without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct MatMulParts {
    node: Node,
    a: Real,
    b: Real,
    pub(super) shape: Vec<u32>,
    fused: bool,
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
}
