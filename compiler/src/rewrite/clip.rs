//! Removal of Relu and Clip where the saturation of the following QuantizeLinear implies them.

use super::params::{is_quantise, per_tensor};
use crate::graph::{Attribute, Graph, Node};

/// Removes every such node.
pub(super) fn remove(graph: &mut Graph) {
    let consumers = graph.consumers();
    let mut renames: Vec<(usize, String)> = Vec::new();
    for node in graph.nodes.iter().filter(|n| matches!(n.op.as_str(), "Relu" | "Clip")) {
        let Some(readers) = consumers.get(node.output()) else { continue };
        let &[reader] = readers.as_slice() else { continue };
        if is_quantise(&graph.nodes[reader])
            && !graph.is_output(node.output())
            && implied(graph, node, &graph.nodes[reader])
            && let Some(input) = node.input(0)
        {
            renames.push((reader, input.to_owned()));
        }
    }
    drop(consumers);
    for (reader, mut input) in renames {
        // The input may itself be the result of a removed node (Relu then Clip).
        if let Some(slot) = graph.nodes[reader].inputs.first_mut() {
            std::mem::swap(slot, &mut input);
        }
    }
    graph.prune();
}

fn implied(graph: &Graph, node: &Node, quantise: &Node) -> bool {
    let Some(q) = per_tensor(graph, quantise) else { return false };
    let (lower, upper) = (q.scale() * q.lo() as f32, q.scale() * q.hi() as f32);
    match node.op.as_str() {
        "Relu" => q.lo() == 0,
        _ => bounds(graph, node).is_some_and(|(min, max)| min - lower <= f32::EPSILON && upper - max <= f32::EPSILON),
    }
}

fn bounds(graph: &Graph, node: &Node) -> Option<(f32, f32)> {
    let attribute = |name: &str, default| match node.attributes.get(name) {
        None => Some(default),
        Some(Attribute::Float(v)) => Some(*v),
        Some(_) => None,
    };
    if graph.opset < 11 {
        return Some((attribute("min", f32::MIN)?, attribute("max", f32::MAX)?));
    }
    let operand = |index: usize, default| match node.input(index) {
        None => Some(default),
        name => graph.scalar_float(name),
    };
    Some((operand(1, f32::MIN)?, operand(2, f32::MAX)?))
}
