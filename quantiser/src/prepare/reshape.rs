//! Reshapes of reshapes.

use super::Shapes;
use crate::graph::Graph;
use crate::tensor::Tensor;

/// Lets every reshape read the tensor before another one, and removes those that do nothing.
pub(super) fn merge(graph: &mut Graph, shapes: &Shapes) {
    let reshapes = |op: &str| matches!(op, "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze");
    for index in 0..graph.nodes.len() {
        if !reshapes(&graph.nodes[index].op) {
            continue;
        }
        let mut source = graph.nodes[index].inputs[0].clone();
        let mut moved = false;
        while let Some(before) = graph.producer(&source).filter(|&p| reshapes(&graph.nodes[p].op)) {
            source = graph.nodes[before].inputs[0].clone();
            moved = true;
        }
        let output = graph.nodes[index].output().to_owned();
        let Some(dims) = shapes.get(&output) else { continue };
        if moved {
            let shape = Tensor::list(dims.iter().map(|&d| d as i64).collect());
            let shape = graph.add_constant(&format!("{output}_shape"), shape);
            let node = &mut graph.nodes[index];
            node.op = "Reshape".to_owned();
            node.inputs = vec![source.clone(), shape];
            node.attributes.clear();
        }
        if shapes.get(&source) == Some(dims) && !graph.is_output(&output) {
            graph.redirect(&output, &source);
        }
    }
    graph.prune();
}
