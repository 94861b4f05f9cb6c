//! Normalisations and means.

use super::{Operands, axis, floats, integers, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::Tensor;

/// BatchNormalization in inference form.
pub(super) fn batch(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (dims, x) = floats(node, operands, 0)?;
    let channels = *dims.get(1).ok_or_else(|| node.fail("the operand has too few axes"))?;
    let (factor, shift) = batch_factors(node, operands, channels)?;
    let area: usize = dims[2..].iter().product::<usize>().max(1);
    let channel = |index: usize| index / area % channels;
    let out = x.iter().enumerate().map(|(i, &v)| v * factor[channel(i)] + shift[channel(i)]).collect();
    Ok(Tensor::floats(dims.to_vec(), out))
}

/// Factor and shift of each channel of a BatchNormalization.
pub(crate) fn batch_factors(
    node: &Node,
    operands: &Operands<'_>,
    channels: usize,
) -> Result<(Vec<f32>, Vec<f32>), QuantiseError> {
    if node.int("training_mode", 0) != 0 {
        return Err(node.unsupported("it is in training mode", "export the model for inference"));
    }
    let mut lists = Vec::new();
    for index in 1..5 {
        let values = floats(node, operands, index)?.1;
        if values.len() != channels {
            return Err(node.fail(format!("operand {index} does not have one element per channel")));
        }
        lists.push(values);
    }
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let factor: Vec<f64> =
        (0..channels).map(|c| f64::from(lists[0][c]) / (f64::from(lists[3][c]) + epsilon).sqrt()).collect();
    let shift = (0..channels).map(|c| (f64::from(lists[1][c]) - f64::from(lists[2][c]) * factor[c]) as f32).collect();
    Ok((factor.into_iter().map(|f| f as f32).collect(), shift))
}

/// LayerNormalization.
pub(super) fn layer(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (dims, x) = floats(node, operands, 0)?;
    let from = axis(node, node.int("axis", -1), dims.len())?;
    let width = dims[from..].iter().product::<usize>();
    let gain = floats(node, operands, 1)?.1;
    let shift = if operands.get(2).copied().flatten().is_some() { floats(node, operands, 2)?.1 } else { &[] };
    if gain.len() != width || !(shift.is_empty() || shift.len() == width) || width == 0 {
        return Err(node.fail(format!("scale or bias does not have {width} elements")));
    }
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        out.extend(row.iter().enumerate().map(|(i, &v)| {
            let normal = ((f64::from(v) - mean) * inverse) as f32;
            normal * gain[i] + shift.get(i).copied().unwrap_or(0.0)
        }));
    }
    Ok(Tensor::floats(dims.to_vec(), out))
}

/// Softmax along one axis.
pub(super) fn softmax(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (dims, x) = floats(node, operands, 0)?;
    let at = axis(node, node.int("axis", -1), dims.len())?;
    let (width, stride) = (dims[at], dims[at + 1..].iter().product::<usize>());
    if node.int("coerce", 0) != 0 && stride != 1 {
        return Err(node.unsupported(
            "before operator set 13 it works on several axes at once",
            "convert the model, e.g. with onnx.version_converter",
        ));
    }
    let mut out = vec![0.0f32; x.len()];
    for start in (0..x.len()).filter(|i| i / stride.max(1) % width.max(1) == 0) {
        let index = |i: usize| start + i * stride;
        let largest = (0..width).map(|i| x[index(i)]).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for i in 0..width {
            out[index(i)] = (x[index(i)] - largest).exp();
            sum += out[index(i)];
        }
        (0..width).for_each(|i| out[index(i)] /= sum);
    }
    Ok(Tensor::floats(dims.to_vec(), out))
}

/// ReduceMean over the axes of operand 1, all if absent.
pub(super) fn reduce_mean(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (dims, x) = floats(node, operands, 0)?;
    let mut reduced = vec![false; dims.len()];
    match integers(node, operands, 1)? {
        Some(list) if !list.is_empty() => {
            for &a in list {
                reduced[axis(node, a, dims.len())?] = true;
            }
        }
        _ => reduced.fill(true),
    }
    let keep = node.int("keepdims", 1) != 0;
    let full: Vec<usize> = dims.iter().zip(&reduced).map(|(&d, &r)| if r { 1 } else { d }).collect();
    let mut sums = vec![0.0f64; size(node, &full)?];
    let step = super::elementwise::steps(&full, dims.len());
    for (index, &v) in x.iter().enumerate() {
        let (mut rest, mut at) = (index, 0);
        for d in (0..dims.len()).rev() {
            at += rest % dims[d] * step[d];
            rest /= dims[d];
        }
        sums[at] += f64::from(v);
    }
    let n = (x.len() / sums.len().max(1)).max(1) as f64;
    let out_dims = if keep { full } else { dims.iter().zip(&reduced).filter(|(_, r)| !**r).map(|(&d, _)| d).collect() };
    Ok(Tensor::floats(out_dims, sums.into_iter().map(|s| (s / n) as f32).collect()))
}
