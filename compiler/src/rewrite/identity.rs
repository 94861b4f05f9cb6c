//! Removal of Identity and of Dropout, which is the identity at inference.

use crate::graph::Graph;

/// Removes the nodes whose result is not a graph output.
pub(super) fn remove(graph: &mut Graph) {
    // In topological order, so that chains collapse.
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let drop = match node.op.as_str() {
            "Identity" => true,
            // A third input could switch the training mode on.
            "Dropout" => node.input(2).is_none() && !used_mask(graph, index),
            _ => false,
        };
        let (Some(from), to) = (node.input(0), node.output()) else { continue };
        if !drop || graph.is_output(to) {
            continue;
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        for reader in &mut graph.nodes {
            for input in reader.inputs.iter_mut().filter(|i| **i == to) {
                input.clone_from(&from);
            }
        }
    }
    graph.prune();
}

fn used_mask(graph: &Graph, index: usize) -> bool {
    let Some(mask) = graph.nodes[index].outputs.get(1).filter(|m| !m.is_empty()) else { return false };
    graph.is_output(mask) || graph.nodes.iter().any(|n| n.inputs.contains(mask))
}
