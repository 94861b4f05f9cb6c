//! Constant integer operands.

use super::Lowering;
use super::operands::is_byte;
use super::operands::{Scales, int_type};
use super::state::{State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::proto::data_type;
use crate::onnx::tensor::Tensor;

impl Lowering<'_> {
    /// A constant integer operand with the parameters at inputs `scale` and `scale + 1`; `axis` is the axis of the
    /// scales if there are several.
    pub(super) fn integer_weights(
        &self,
        node: &Node,
        index: usize,
        scale: usize,
        axis: usize,
    ) -> Result<Weights, CompileError> {
        let State::Constant(tensor) = self.state(node, index)? else {
            return Err(node.unsupported(
                format!("operand `{}` is not a constant", node.input(index).unwrap_or_default()),
                "products of two activations are not supported",
            ));
        };
        self.weights(node, tensor, scale, axis)
    }

    /// Integers with the zero points at input `zero_point` and scale 1.
    pub(super) fn raw_weights(
        &self,
        node: &Node,
        tensor: &Tensor,
        zero_point: usize,
        axis: usize,
    ) -> Result<Weights, CompileError> {
        let raw = tensor.integers().filter(|_| int_type(tensor.data_type()).is_some_and(is_byte));
        let raw = raw.ok_or_else(|| node.unsupported("weights of another type", "use int8 or uint8 weights"))?;
        let zero_points = match self.constant(node, zero_point)? {
            None => vec![0],
            Some(t) => t.integers().unwrap_or_default().into_iter().map(|v| v as i32).collect(),
        };
        let dims: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        let several = zero_points.len() != 1;
        if zero_points.is_empty() || (several && dims.get(axis).is_none_or(|&d| d as usize != zero_points.len())) {
            return Err(node.bad_shape("the number of zero points does not fit the weights"));
        }
        Ok(Weights {
            dims,
            raw: raw.into_iter().map(|v| v as i32).collect(),
            data_type: tensor.data_type(),
            scales: vec![1.0; zero_points.len()],
            zero_points,
            axis: several.then_some(axis),
        })
    }

    /// Integers with their scales.
    pub(super) fn weights(
        &self,
        node: &Node,
        tensor: &Tensor,
        scale: usize,
        axis: usize,
    ) -> Result<Weights, CompileError> {
        let number = tensor.data_type();
        let raw = match number {
            data_type::UINT8 | data_type::INT8 | data_type::INT32 => tensor.integers(),
            data_type::UINT16 | data_type::INT16 => tensor.integers(),
            _ => None,
        }
        .ok_or_else(|| {
            let name = data_type::name(number);
            if matches!(number, 21 | 22) {
                node.stays_float(format!("{name} weights are not fused"), "use int8 or uint8 weights")
            } else {
                node.unsupported(format!("{name} constants"), "use int8 or uint8 weights and int32 biases")
            }
        })?;
        let Scales { scales, zero_points } = self.scales(node, scale, number)?;
        let dims: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        let axis = (scales.len() > 1).then_some(axis);
        if let Some(axis) = axis
            && dims.get(axis).is_none_or(|&d| d as usize != scales.len())
        {
            return Err(node.bad_shape(format!("{} scales do not fit axis {axis} of {dims:?}", scales.len())));
        }
        Ok(Weights {
            dims,
            raw: raw.into_iter().map(|v| v as i32).collect(),
            data_type: number,
            scales,
            zero_points,
            axis,
        })
    }
}
