//! Gemm, MatMul and their integer forms.

use std::rc::Rc;

use super::Lowering;
use super::contract::{Bias, ContractParts, matrix};
use super::pending::Pending;
use super::state::{Real, State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn gemm(&mut self, node: &Node) -> Result<State, CompileError> {
        let input = self.dequantised(node, 0)?;
        let weights = self.dequantised_weights(node, 1)?;
        self.check_fusable(node, &input, &weights)?;
        let has_bias = node.input(2).is_some();
        let whole = !has_bias || matches!(self.state(node, 2)?, State::Weights(_));
        let float = self.unquantised(node) && whole;
        if !float {
            self.check_single_reader(node)?;
        }
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        if has_bias && (beta != 1.0 || alpha != 1.0) {
            return Err(node.stays_float(
                format!("alpha = {alpha} and beta = {beta} with a bias"),
                "fold alpha and beta into the weights and the bias before quantising",
            ));
        }
        let state = if has_bias { Some(self.state(node, 2)?.clone()) } else { None };
        let bias = state.as_ref().map_or(Bias::None, Bias::State);
        let parts = self.gemm_parts(node, &input, &weights, bias, alpha, true)?;
        if float {
            return self.scaled_contract(node, &parts);
        }
        Ok(State::Pending(Rc::new(Pending::Contract(parts))))
    }

    pub(super) fn qgemm(&mut self, node: &Node) -> Result<State, CompileError> {
        let axis = if node.int("transB", 0)? == 0 { 1 } else { 0 };
        let input = self.integer_operand(node, 0, 1)?;
        let weights = self.integer_weights(node, 3, 4, axis)?;
        let tensor = self.constant(node, 6)?.cloned();
        let bias = tensor.as_ref().map_or(Bias::None, Bias::Raw);
        let parts = self.gemm_parts(node, &input, &weights, bias, node.float("alpha", 1.0)?, false)?;
        if node.input(7).is_none() {
            return self.scaled_contract(node, &parts);
        }
        let quantisation = self.output_parameters(node, 7, input.quantisation.int_type)?;
        self.complete(node, &Pending::Contract(parts), quantisation, quantisation.int_type)
    }

    fn gemm_parts(
        &mut self,
        node: &Node,
        input: &Real,
        weights: &Weights,
        bias: Bias<'_>,
        alpha: f32,
        fused: bool,
    ) -> Result<ContractParts, CompileError> {
        if !alpha.is_finite() || alpha <= 0.0 {
            return Err(node.bad_attribute("alpha", "must be positive"));
        }
        let transposed = node.int("transB", 0)? != 0;
        if self.value_ref(input.value).shape.len() != 2 {
            return Err(node.bad_shape("Gemm needs a matrix"));
        }
        let mut input = input.clone();
        if node.int("transA", 0)? != 0 {
            input.value = self.transposed(node, input.value, vec![1, 0])?;
        }
        self.matrix_product(node, &input, weights, bias, alpha, transposed, fused)
    }

    pub(super) fn matmul(&mut self, node: &Node) -> Result<State, CompileError> {
        let matrix = matches!(self.state(node, 1)?, State::Weights(w) if w.dims.len() == 2);
        let constant = matches!(self.state(node, 1)?, State::Weights(_) | State::Constant(_));
        if !matrix && (!constant || matches!(self.state(node, 1)?, State::Weights(w) if w.per_tensor().is_some())) {
            return self.matmul_activations(node);
        }
        let input = self.dequantised(node, 0)?;
        let weights = self.dequantised_weights(node, 1)?;
        // ONNX Runtime makes MatMul and a following Add of a constant vector one Gemm.
        let sum = self.following_bias(node).map(|(sum, index)| (Node { op: "Gemm".to_owned(), ..sum.clone() }, index));
        let parts = match &sum {
            Some((gemm, index)) => {
                self.check_fusable(gemm, &input, &weights)?;
                let bias = Bias::State(self.state(gemm, *index)?);
                self.matrix_product(gemm, &input, &weights, bias, 1.0, false, true)?
            }
            None => {
                self.check_fusable(node, &input, &weights)?;
                if self.unquantised(node) {
                    let parts = self.matrix_product(node, &input, &weights, Bias::None, 1.0, false, true)?;
                    return self.scaled_contract(node, &parts);
                }
                self.check_single_reader(node)?;
                self.matrix_product(node, &input, &weights, Bias::None, 1.0, false, true)?
            }
        };
        Ok(State::Pending(Rc::new(Pending::Contract(parts))))
    }

    /// Whether no QuantizeLinear reads the result: ONNX Runtime then rescales the integer accumulators to floats.
    fn unquantised(&self, node: &Node) -> bool {
        let readers = self.consumers.get(node.output()).into_iter().flatten();
        !readers.into_iter().any(|&i| self.graph.nodes[i].op.ends_with("QuantizeLinear"))
    }

    /// The Add that is the only reader of a MatMul, and the position of its constant vector operand.
    fn following_bias(&self, node: &Node) -> Option<(&Node, usize)> {
        let name = node.output();
        let &[reader] = self.consumers.get(name)?.as_slice() else { return None };
        let sum = self.graph.nodes.get(reader).filter(|n| n.op == "Add" && !self.graph.is_output(name))?;
        let index = usize::from(sum.input(0) == Some(name));
        let vector = match self.states.get(sum.input(index)?)? {
            State::Constant(t) => t.floats().is_some() && t.dims.len() == 1,
            State::Weights(w) => w.dims.len() == 1,
            _ => false,
        };
        vector.then_some((sum, index))
    }

    pub(super) fn qlinear_matmul(&mut self, node: &Node) -> Result<State, CompileError> {
        if !matches!(self.state(node, 3)?, State::Constant(t) if t.dims.len() == 2) {
            return self.qlinear_matmul_activations(node);
        }
        let input = self.integer_operand(node, 0, 1)?;
        let weights = self.integer_weights(node, 3, 4, 1)?;
        let quantisation = self.output_parameters(node, 6, input.quantisation.int_type)?;
        let parts = self.matrix_product(node, &input, &weights, Bias::None, 1.0, false, false)?;
        self.complete(node, &Pending::Contract(parts), quantisation, quantisation.int_type)
    }

    #[expect(clippy::too_many_arguments, reason = "the operands and attributes of one ONNX node")]
    pub(super) fn matrix_product(
        &self,
        node: &Node,
        input: &Real,
        weights: &Weights,
        bias: Bias<'_>,
        alpha: f32,
        transposed: bool,
        fused: bool,
    ) -> Result<ContractParts, CompileError> {
        let &[rows, columns] = weights.dims.as_slice() else {
            return Err(node
                .unsupported(format!("weights of shape {:?}", weights.dims), "the constant operand must be a matrix"));
        };
        let (inner, outer) = if transposed { (columns, rows) } else { (rows, columns) };
        let shape = &self.value_ref(input.value).shape;
        if shape.last() != Some(&inner) || outer == 0 {
            return Err(
                node.bad_shape(format!("the input shape {shape:?} does not fit the weights {:?}", weights.dims))
            );
        }
        if weights.axis.is_some_and(|axis| axis != usize::from(!transposed)) {
            return Err(node.stays_float(
                "its weights are not quantised along the output channels",
                "quantise the weights along the axis of the output channels",
            ));
        }
        let (scales, bias) = self.accumulator(node, input, weights, outer as usize, alpha, bias)?;
        let mut out_shape = shape.clone();
        let channel = out_shape.len() - 1;
        out_shape[channel] = outer;
        shapes::check(node, &out_shape)?;
        Ok(ContractParts {
            node: node.clone(),
            input: input.value,
            effective: input.effective,
            channel_axis: channel as u8,
            windows: Vec::new(),
            groups: 1,
            weights: matrix(&weights.centred(), rows as usize, columns as usize, !transposed),
            bias,
            scales,
            shape: out_shape,
            fused,
        })
    }
}
