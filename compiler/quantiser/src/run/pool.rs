//! Pools.

use super::conv::{Windows, positions};
use super::{Operands, floats, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::Tensor;

/// MaxPool, AveragePool and their global forms.
pub(super) fn pool(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (dims, x) = floats(node, operands, 0)?;
    let &[batch, channels, ref spatial @ ..] = dims else {
        return Err(node.fail("the operand has too few axes"));
    };
    let global = node.op.starts_with("Global");
    let kernel: Vec<usize> = match node.ints("kernel_shape") {
        _ if global => spatial.to_vec(),
        Some(k) => k.iter().filter_map(|&k| usize::try_from(k).ok()).collect(),
        None => return Err(node.fail("attribute `kernel_shape` is missing")),
    };
    let windows = Windows::new(node, spatial, &kernel)?;
    let out_dims = [&[batch, channels], windows.output_dims(spatial.len())].concat();
    let mut out = Vec::with_capacity(size(node, &out_dims)?);
    let taps = kernel.iter().product::<usize>();
    size(node, &[out_dims.iter().product(), taps])?;
    let (maximum, with_pads) = (node.op.contains("Max"), node.int("count_include_pad", 0) != 0);
    let area = windows.input.iter().product::<usize>().max(1);
    for plane in x.chunks_exact(area) {
        for at in positions(windows.output) {
            let inside = positions(windows.kernel).filter_map(|tap| windows.at(at, tap)).map(|i| plane[i]);
            out.push(if maximum {
                inside.fold(f32::NEG_INFINITY, f32::max)
            } else {
                let (sum, n) = inside.fold((0.0f32, 0usize), |(sum, n), v| (sum + v, n + 1));
                sum / if with_pads { taps } else { n.max(1) } as f32
            });
        }
    }
    Ok(Tensor::floats(out_dims, out))
}
