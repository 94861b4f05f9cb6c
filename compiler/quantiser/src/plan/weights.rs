//! Rounding of weights and biases.

use super::Weights;
use crate::error::QuantiseError;
use crate::graph::{Graph, Node};
use crate::tensor::check_finite;

/// Largest bias in units of the accumulator; a channel with tiny weights gets a coarser scale instead.
const MAX_BIAS: f64 = (1u32 << 24) as f64;

/// Output channels of the weights, and whether they are along the last axis (Gemm, MatMul) or the first (Conv).
pub(super) fn channels(node: &Node, dims: &[usize]) -> (usize, bool) {
    if node.op == "Conv" {
        (dims.first().copied().unwrap_or(0), false)
    } else {
        (dims.last().copied().unwrap_or(0), true)
    }
}

/// Indices of the weights of one channel.
pub(super) fn indices(len: usize, channels: usize, last: bool, channel: usize) -> impl Iterator<Item = usize> {
    let per_channel = len / channels.max(1);
    let (start, step) = if last { (channel, channels) } else { (channel * per_channel, 1) };
    (0..per_channel).map(move |i| start + i * step)
}

/// Rounds the weights of a node per output channel, symmetrically, and its bias to units of `input scale * weight scale`.
pub(super) fn round(graph: &Graph, node: &Node, input: f32) -> Result<Weights, QuantiseError> {
    let constant = |slot: usize| match node.input(slot) {
        None => Ok(None),
        Some(name) => {
            let tensor = graph.constant(name).ok_or_else(|| {
                node.unsupported("its weights or bias are not constant", "make them initialisers of the model")
            })?;
            check_finite(name, tensor)?;
            Ok(tensor.as_floats().map(|values| (tensor.dims.as_slice(), values)))
        }
    };
    let (dims, weights) = constant(1)?.ok_or_else(|| node.fail("its weights are no floats"))?;
    let bias = constant(2)?.map(|(_, values)| values);
    let (channels, last) = channels(node, dims);
    if bias.is_some_and(|b| b.len() != channels) {
        return Err(node.fail("its bias does not have one element per output channel"));
    }
    let mut out = Weights { scales: Vec::with_capacity(channels), values: vec![0; weights.len()], bias: None };
    for channel in 0..channels {
        let largest = indices(weights.len(), channels, last, channel).fold(0.0f32, |m, i| m.max(weights[i].abs()));
        let shift = bias.map_or(0.0, |b| f64::from(b[channel].abs()));
        let scale = (f64::from(largest) / 127.0).max(shift / (f64::from(input) * MAX_BIAS)).max(1e-20) as f32;
        for i in indices(weights.len(), channels, last, channel) {
            // `as` saturates; -128 is not used.
            out.values[i] = (weights[i] / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
        }
        out.scales.push(scale);
    }
    out.bias = bias.map(|b| round_bias(b, &out.scales, input));
    Ok(out)
}

/// A bias in units of the accumulator, and those units.
pub(super) fn round_bias(bias: &[f32], scales: &[f32], input: f32) -> (Vec<i32>, Vec<f32>) {
    let units: Vec<f32> = scales.iter().map(|s| input * s).collect();
    let round = |(&b, &u): (&f32, &f32)| (f64::from(b) / f64::from(u)).round_ties_even() as i32;
    (bias.iter().zip(&units).map(round).collect(), units)
}
