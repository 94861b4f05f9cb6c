//! What each operand of a node is, and which tensors share their quantisation.

use std::collections::HashMap;

use crate::graph::{Graph, Node};

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Quantised per tensor.
    Activation,
    /// Constant, quantised per output channel.
    Weight,
    /// Constant in units of the accumulator.
    Bias,
    /// A parameter of a float function, or an index or shape.
    Parameter,
}

/// The role of operand `slot`.
pub(crate) fn role(graph: &Graph, node: &Node, slot: usize) -> Role {
    let matrix = |name: &str| graph.constant_floats(name).is_some_and(|(dims, _)| dims.len() == 2);
    match (node.op.as_str(), slot) {
        ("Conv" | "Gemm", 1) => Role::Weight,
        ("MatMul", 1) if node.input(1).is_some_and(matrix) => Role::Weight,
        ("Conv" | "Gemm", 2) => Role::Bias,
        ("Add" | "Mul" | "Concat" | "MatMul", _) | (_, 0) => Role::Activation,
        _ => Role::Parameter,
    }
}

/// Whether the node has weights quantised per output channel.
pub(crate) fn is_linear(graph: &Graph, node: &Node) -> bool {
    role(graph, node, 1) == Role::Weight
}

/// Whether the node only moves elements of its first operand, so that its result has the same quantisation.
pub(crate) fn moves(op: &str) -> bool {
    matches!(
        op,
        "Reshape"
            | "Flatten"
            | "Transpose"
            | "Squeeze"
            | "Unsqueeze"
            | "MaxPool"
            | "Slice"
            | "Gather"
            | "Split"
            | "Expand"
    )
}

/// For every tensor the one whose quantisation it has: itself, unless it was moved from another.
pub(crate) fn roots(graph: &Graph) -> HashMap<String, String> {
    let mut roots: HashMap<String, String> = HashMap::new();
    for node in &graph.nodes {
        for output in &node.outputs {
            let root = match node.input(0) {
                Some(input) if moves(&node.op) => roots.get(input).cloned().unwrap_or_else(|| input.to_owned()),
                _ => output.clone(),
            };
            roots.insert(output.clone(), root);
        }
    }
    roots
}

/// Whether the node's result is rounded to 8 bits; a factor per channel belongs to the dequantisation before it.
pub(crate) fn is_rounded(node: &Node) -> bool {
    node.op != "ChannelScale"
}
