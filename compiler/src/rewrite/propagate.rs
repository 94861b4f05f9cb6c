//! Q/DQ pairs around data movement: a DequantizeLinear is repeated after the operators that follow it, a
//! QuantizeLinear before those that precede it. This makes operators beyond the movement fusable.

use std::collections::BTreeMap;

use super::params::{is_dequantise, is_quantise, per_tensor};
use crate::graph::{Graph, Node};

/// Whether pairs move across the node.
fn passes(graph: &Graph, node: &Node) -> bool {
    match node.op.as_str() {
        "MaxPool" => graph.opset >= 12,
        "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Slice" => true,
        _ => false,
    }
}

/// Repeats DequantizeLinear nodes after the movement that follows them.
pub(super) fn forward(graph: &mut Graph) {
    let candidates: Vec<Node> = graph.nodes.iter().filter(|n| is_dequantise(n)).cloned().collect();
    for dequantise in candidates {
        let constant = dequantise.input(0).is_some_and(|n| graph.constants.contains_key(n));
        if constant || per_tensor(graph, &dequantise).is_none() {
            continue;
        }
        // ONNX Runtime gives each reader its own DequantizeLinear first, so branches are followed separately.
        let mut queue: Vec<(usize, usize)> = readers_of(graph, dequantise.output());
        while let Some((reader, slot)) = queue.pop() {
            let node = graph.nodes[reader].clone();
            if slot != 0 || !passes(graph, &node) || graph.is_output(node.output()) {
                continue;
            }
            let mut edges = readers_of(graph, node.output());
            edges.retain(|&(i, _)| !is_quantise(&graph.nodes[i]));
            if !edges.is_empty() {
                insert_pair(graph, &dequantise, node.output(), &edges);
                queue.extend(edges);
            }
        }
    }
}

/// Repeats QuantizeLinear nodes before the movement that precedes them.
pub(super) fn backward(graph: &mut Graph) {
    let candidates: Vec<Node> = graph.nodes.iter().filter(|n| is_quantise(n)).cloned().collect();
    for quantise in candidates {
        if per_tensor(graph, &quantise).is_none() {
            continue;
        }
        let mut name = quantise.input(0).unwrap_or_default().to_owned();
        loop {
            let producer = graph.producers().get(name.as_str()).copied();
            let Some(node) = producer.map(|i| graph.nodes[i].clone()) else { break };
            let single = readers_of(graph, &name).len() == 1 && !graph.is_output(&name);
            let Some(source) = node.input(0).filter(|_| single && passes(graph, &node)) else { break };
            let edges = readers_of(graph, source);
            let from_pair = graph.producers().get(source).is_some_and(|&i| is_dequantise(&graph.nodes[i]));
            let is_port = graph.inputs.iter().any(|i| i.name == source) || graph.constants.contains_key(source);
            if edges.len() != 1 || graph.is_output(source) || from_pair || is_port {
                break;
            }
            let source = source.to_owned();
            insert_pair(graph, &quantise, &source, &edges);
            name = source;
        }
    }
}

/// The (node, input slot) pairs that read a tensor.
fn readers_of(graph: &Graph, name: &str) -> Vec<(usize, usize)> {
    let slots = |(i, n): (usize, &Node)| {
        let slots: Vec<(usize, usize)> =
            n.inputs.iter().enumerate().filter(|(_, input)| *input == name).map(|(slot, _)| (i, slot)).collect();
        slots
    };
    graph.nodes.iter().enumerate().flat_map(slots).collect()
}

/// Puts a QuantizeLinear after `tensor` and a DequantizeLinear before each of `edges`, with the parameters of `model`.
fn insert_pair(graph: &mut Graph, model: &Node, tensor: &str, edges: &[(usize, usize)]) {
    let quantised = graph.fresh_name(tensor);
    let node = |op: &str, input: &str, output: String| {
        let mut inputs = model.inputs.clone();
        if let Some(first) = inputs.first_mut() {
            input.clone_into(first);
        }
        Node { name: output.clone(), op: op.to_owned(), inputs, outputs: vec![output], attributes: BTreeMap::new() }
    };
    for &(index, slot) in edges {
        let output = graph.fresh_name(tensor);
        graph.nodes[index].inputs[slot].clone_from(&output);
        graph.nodes.push(node("DequantizeLinear", &quantised, output));
    }
    graph.nodes.push(node("QuantizeLinear", tensor, quantised));
}
