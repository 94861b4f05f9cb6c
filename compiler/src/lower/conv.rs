//! Conv and QLinearConv.

use std::rc::Rc;

use super::Lowering;
use super::contract::{Bias, ContractParts};
use super::pending::Pending;
use super::state::{Real, State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Node) -> Result<State, CompileError> {
        let input = self.dequantised(node, 0)?;
        let weights = self.dequantised_weights(node, 1)?;
        self.check_fusable(node, &input, &weights)?;
        self.check_single_reader(node)?;
        let bias = match node.input(2) {
            None => Bias::None,
            Some(_) => Bias::State(self.state(node, 2)?),
        };
        let parts = self.conv_parts(node, &input, &weights, bias, true)?;
        Ok(State::Pending(Rc::new(Pending::Contract(parts))))
    }

    pub(super) fn qlinear_conv(&mut self, node: &Node) -> Result<State, CompileError> {
        if node.int("channels_last", 0)? != 0 {
            return Err(node.unsupported("channels_last = 1", "use the channels-first layout"));
        }
        let input = self.integer_operand(node, 0, 1)?;
        let weights = self.integer_weights(node, 3, 4, 0)?;
        let quantisation = self.output_parameters(node, 6, input.quantisation.int_type)?;
        let bias = self.constant(node, 8)?.map_or(Bias::None, Bias::Raw);
        let parts = self.conv_parts(node, &input, &weights, bias, false)?;
        self.complete(node, &Pending::Contract(parts), quantisation, quantisation.int_type)
    }

    pub(super) fn conv_parts(
        &self,
        node: &Node,
        input: &Real,
        weights: &Weights,
        bias: Bias<'_>,
        fused: bool,
    ) -> Result<ContractParts, CompileError> {
        let shape = &self.value_ref(input.value).shape;
        let [out_channels, per_group, kernel @ ..] = weights.dims.as_slice() else {
            return Err(node.bad_shape(format!("weights of shape {:?}", weights.dims)));
        };
        if kernel.is_empty() || kernel.len() > 3 {
            return Err(node.unsupported(
                format!("{} spatial axes", kernel.len()),
                "convolutions with 1 to 3 spatial axes are supported",
            ));
        }
        if kernel.iter().any(|&k| k == 0 || k > 1 << 16) || *out_channels == 0 {
            return Err(node.bad_shape(format!("weights of shape {:?}", weights.dims)));
        }
        if node.attributes.contains_key("kernel_shape")
            && shapes::list(node, "kernel_shape", kernel.len(), 0, 1)? != kernel
        {
            return Err(node.bad_attribute("kernel_shape", "differs from the weights"));
        }
        if weights.axis.is_some_and(|axis| axis != 0) {
            return Err(node.stays_float(
                "its weights are not quantised along the output channels",
                "quantise convolution weights along axis 0",
            ));
        }
        let groups = node.int("group", 1)?;
        let groups = u32::try_from(groups).ok().filter(|&g| g > 0 && out_channels % g == 0);
        let groups = groups.ok_or_else(|| node.bad_attribute("group", "does not divide the output channels"))?;
        let (windows, lengths) = shapes::windows(node, shape, kernel, false)?;
        if per_group.checked_mul(groups) != Some(shape[1]) {
            return Err(node.bad_shape(format!(
                "weights of shape {:?} in {groups} groups do not fit the input shape {shape:?}",
                weights.dims
            )));
        }
        let (scales, bias) = self.accumulator(node, input, weights, *out_channels as usize, 1.0, bias)?;
        let mut out_shape = vec![shape[0], *out_channels];
        out_shape.extend(lengths);
        shapes::check(node, &out_shape)?;
        Ok(ContractParts {
            node: node.clone(),
            input: input.value,
            effective: input.effective,
            channel_axis: 1,
            windows,
            groups,
            weights: weights.centred().into_iter().map(|w| w as i16).collect(),
            bias,
            scales,
            shape: out_shape,
            fused,
        })
    }
}
