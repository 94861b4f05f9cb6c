//! Reshapes of reshapes, and splits.

use std::collections::HashMap;

use super::Shapes;
use crate::graph::Graph;
use crate::tensor::Tensor;

/// Gives every Split the sizes of its parts.
pub(super) fn splits(graph: &mut Graph, shapes: &Shapes) {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if node.op != "Split" || node.input(1).is_some() {
            continue;
        }
        let axis = node.int("axis", 0);
        let part = |name: &String| {
            let dims = shapes.get(name)?;
            let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
            dims.get(usize::try_from(axis).ok()?).map(|&d| d as i64)
        };
        let Some(sizes) = node.outputs.iter().map(part).collect::<Option<Vec<i64>>>() else { continue };
        let name = graph.add_constant(&format!("{}_sizes", graph.nodes[index].output()), Tensor::list(sizes));
        let node = &mut graph.nodes[index];
        node.inputs.truncate(1);
        node.inputs.push(name);
        node.attributes.remove("num_outputs");
    }
}

/// Lets every reshape read the tensor before another one, and removes those that do nothing or were made before.
pub(super) fn merge(graph: &mut Graph, shapes: &Shapes) {
    let reshapes = |op: &str| matches!(op, "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze");
    let mut made: HashMap<(String, Vec<usize>), String> = HashMap::new();
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
        if graph.is_output(&output) {
            continue;
        }
        if shapes.get(&source) == Some(dims) {
            graph.redirect(&output, &source);
        } else if let Some(twin) = made.get(&(source.clone(), dims.clone())) {
            graph.redirect(&output, twin);
        } else {
            made.insert((source, dims.clone()), output);
        }
    }
    graph.prune();
}
