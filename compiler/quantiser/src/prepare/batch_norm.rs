//! BatchNormalization becomes part of the convolution before it, or a convolution of its own.

use super::Shapes;
use crate::error::QuantiseError;
use crate::graph::{Attribute, Graph, Node};
use crate::run::batch_factors;
use crate::tensor::Tensor;

/// Removes every BatchNormalization.
pub(super) fn fold(graph: &mut Graph, shapes: &Shapes) -> Result<(), QuantiseError> {
    while let Some(index) = graph.nodes.iter().position(|n| n.op == "BatchNormalization") {
        let node = graph.nodes[index].clone();
        let dims = node.input(0).and_then(|n| shapes.get(n)).filter(|d| d.len() >= 2);
        let dims = dims.ok_or_else(|| node.fail("its operand has too few axes"))?;
        let operands: Vec<Option<&Tensor>> = node.inputs.iter().map(|n| graph.constant(n).map(AsRef::as_ref)).collect();
        if operands.get(1..5).is_none_or(|o| o.iter().any(Option::is_none)) {
            return Err(node.unsupported("its statistics are not constant", "export the model for inference"));
        }
        let (factor, shift) = batch_factors(&node, &operands, dims[1])?;
        if !into_producer(graph, index, &factor, &shift) {
            graph.nodes[index] = depthwise(graph, &node, dims, factor, shift);
        }
    }
    graph.sort()
}

/// Multiplies the weights of the Conv or Gemm before the node.
fn into_producer(graph: &mut Graph, index: usize, factor: &[f32], shift: &[f32]) -> bool {
    let input = graph.nodes[index].inputs[0].clone();
    let Some(producer) = graph.producer(&input).filter(|_| graph.only_reader(&input) == Some(index)) else {
        return false;
    };
    let node = graph.nodes[producer].clone();
    let plain = node.op == "Conv" || (node.op == "Gemm" && node.float("beta", 1.0) == 1.0);
    let Some((dims, weights)) = node.input(1).and_then(|n| graph.constant_floats(n)).filter(|_| plain) else {
        return false;
    };
    let (columns, outs) = match (node.op.as_str(), node.int("transB", 0)) {
        ("Gemm", 0) => (true, dims.get(1)),
        _ => (false, dims.first()),
    };
    if outs != Some(&factor.len()) {
        return false;
    }
    let per_out = weights.len() / factor.len().max(1);
    let out_of = |i: usize| if columns { i % factor.len() } else { i / per_out.max(1) };
    let scaled: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w * factor[out_of(i)]).collect();
    let weights = Tensor::floats(dims.to_vec(), scaled);
    let bias = match node.input(2).map(|n| graph.constant_floats(n)) {
        None => vec![0.0; factor.len()],
        Some(Some((_, bias))) if bias.len() == factor.len() => bias.to_vec(),
        Some(_) => return false,
    };
    let bias: Vec<f32> = bias.iter().zip(factor).zip(shift).map(|((b, f), s)| b * f + s).collect();
    let output = graph.nodes[index].outputs[0].clone();
    let names = [
        graph.add_constant(&format!("{output}_weight"), weights),
        graph.add_constant(&format!("{output}_bias"), Tensor::floats(vec![bias.len()], bias)),
    ];
    let node = &mut graph.nodes[producer];
    node.inputs.truncate(1);
    node.inputs.extend(names);
    node.outputs[0] = output;
    graph.nodes.remove(index);
    true
}

/// The same function as a depthwise convolution with windows of one element.
fn depthwise(graph: &mut Graph, node: &Node, dims: &[usize], factor: Vec<f32>, shift: Vec<f32>) -> Node {
    let channels = factor.len();
    let rank = dims.len().max(3) - 2;
    let weights = Tensor::floats([vec![channels, 1], vec![1; rank]].concat(), factor);
    let weights = graph.add_constant(&format!("{}_weight", node.output()), weights);
    let bias = graph.add_constant(&format!("{}_bias", node.output()), Tensor::floats(vec![channels], shift));
    let mut conv = Node::new("Conv", &[&node.inputs[0], &weights, &bias], node.output())
        .with("group", Attribute::Int(channels as i64))
        .with("kernel_shape", Attribute::Ints(vec![1; rank]));
    conv.name.clone_from(&node.name);
    conv
}
