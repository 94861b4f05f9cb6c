//! Activation functions that the quantisation behind them computes.

use crate::graph::Graph;

/// A Relu, or a Clip from 0, becomes a clamp of the node before it: with the lowest 8-bit level at 0 the rounding to
/// 8 bits does the same.
pub(super) fn merge(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        let bound = |slot: usize| node.input(slot).and_then(|n| graph.constant(n)).and_then(|t| t.scalar());
        let clamp = match node.op.as_str() {
            "Relu" => Some((0.0, f32::MAX)),
            "Clip" if bound(1) == Some(0.0) => Some((0.0, bound(2).unwrap_or(f32::MAX))).filter(|c| c.1 > 0.0),
            _ => None,
        };
        let (input, output) = (node.inputs.first().cloned().unwrap_or_default(), node.output().to_owned());
        let producer = graph.producer(&input).filter(|&p| {
            let node = &graph.nodes[p];
            let computes = matches!(node.op.as_str(), "Conv" | "Gemm" | "MatMul" | "Add" | "Mul" | "GlobalAveragePool");
            computes && node.clamp.is_none() && graph.only_reader(&input) == Some(index)
        });
        match (clamp, producer) {
            (Some(clamp), Some(producer)) => {
                graph.nodes[producer].clamp = Some(clamp);
                graph.nodes[producer].outputs[0] = output;
                graph.nodes.remove(index);
            }
            _ => index += 1,
        }
    }
}
