//! Products with single constants, and subtractions of constants.

use crate::graph::{Graph, Node};

/// Most nodes between a factor and the weights it moves into.
const MAX_DEPTH: usize = 32;

/// `x - c` becomes `x + (-c)`.
pub(super) fn subtractions(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if node.op != "Sub" || node.inputs.len() != 2 {
            continue;
        }
        let Some(constant) = graph.constant(&node.inputs[1]).filter(|c| c.as_floats().is_some()) else { continue };
        let negated = constant.map(|v| -v);
        let name = graph.add_constant(&format!("{}_negated", node.inputs[1].clone()), negated);
        let node = &mut graph.nodes[index];
        node.op = "Add".to_owned();
        node.inputs[1] = name;
    }
}

/// Factors move into the weights before them where there are any; a division that is left becomes a product.
pub(super) fn factors(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let Some((operand, factor)) = factor(graph, &graph.nodes[index]) else {
            index += 1;
            continue;
        };
        let (input, output) = (graph.nodes[index].inputs[operand].clone(), graph.nodes[index].output().to_owned());
        if factor != 0.0
            && let Some(linear) = scalable(graph, &input, index, 0)
        {
            scale(graph, linear, factor);
            graph.nodes.remove(index);
            // Nothing else reads the operand, so its node can take over the name of the product.
            for name in graph.nodes.iter_mut().flat_map(|n| &mut n.outputs).filter(|name| **name == input) {
                name.clone_from(&output);
            }
            continue;
        }
        if graph.nodes[index].op == "Div" {
            let shape = graph.nodes[index].inputs[1].clone();
            if let Some(constant) = graph.constant(&shape).cloned() {
                let inverse = graph.add_constant(&format!("{shape}_inverse"), constant.map(|v| 1.0 / v));
                let node = &mut graph.nodes[index];
                node.op = "Mul".to_owned();
                node.inputs[1] = inverse;
            }
        }
        index += 1;
    }
}

/// The operand and the factor of a product with a single constant.
fn factor(graph: &Graph, node: &Node) -> Option<(usize, f32)> {
    let single = |slot: usize| graph.constant(node.inputs.get(slot)?)?.scalar().filter(|c| c.is_finite());
    match node.op.as_str() {
        "Mul" => single(1).map(|c| (0, c)).or_else(|| single(0).map(|c| (1, c))),
        "Div" => single(1).filter(|c| *c != 0.0).map(|c| (0, 1.0 / c)),
        _ => None,
    }
}

/// The node with constant weights whose multiple `name` is, through data movement and products of activations; each
/// tensor on the way is read only on the way.
fn scalable(graph: &Graph, name: &str, reader: usize, depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH || graph.only_reader(name) != Some(reader) {
        return None;
    }
    let producer = graph.producer(name)?;
    let node = &graph.nodes[producer];
    let constant = |slot: usize| node.input(slot).is_none_or(|n| graph.constant_floats(n).is_some());
    match node.op.as_str() {
        "Gemm" | "Conv" if node.clamp.is_none() => (constant(1) && constant(2)).then_some(producer),
        "MatMul" if node.inputs.get(1).is_some_and(|n| graph.constant_floats(n).is_some()) => Some(producer),
        "MatMul" => (0..2).find_map(|slot| scalable(graph, node.input(slot)?, producer, depth + 1)),
        "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            scalable(graph, node.input(0)?, producer, depth + 1)
        }
        _ => None,
    }
}

fn scale(graph: &mut Graph, linear: usize, factor: f32) {
    for slot in 1..graph.nodes[linear].inputs.len() {
        let name = graph.nodes[linear].inputs[slot].clone();
        if let Some(constant) = graph.constant(&name).cloned() {
            let scaled = graph.add_constant(&format!("{name}_scaled"), constant.map(|v| v * factor));
            graph.nodes[linear].inputs[slot] = scaled;
        }
    }
}
