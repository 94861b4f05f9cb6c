//! Constants: nodes that depend on no input, shapes, and nodes that do nothing.

use std::sync::Arc;

use super::shapes;
use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::run::compute;
use crate::tensor::Tensor;

/// Largest constant that folding may make from smaller ones.
const MAX_FOLDED: usize = 1 << 24;

/// Folds constants and removes identities.
pub(super) fn fold(graph: &mut Graph, sample: &[Tensor]) -> Result<(), QuantiseError> {
    fold_constants(graph)?;
    if graph.nodes.iter().any(|n| n.op == "Shape") {
        let shapes = shapes(graph, sample)?;
        for node in graph.nodes.iter_mut().filter(|n| n.op == "Shape") {
            let Some(dims) = node.input(0).and_then(|name| shapes.get(name)) else { continue };
            let (from, to) = (node.int("start", 0), node.int("end", i64::MAX));
            let rank = dims.len() as i64;
            let wrap = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
            let part = dims.get(wrap(from)..wrap(to)).unwrap_or_default();
            let list = part.iter().map(|&d| d as i64).collect();
            graph.constants.insert(node.output().to_owned(), Arc::new(Tensor::list(list)));
        }
        graph.nodes.retain(|n| n.op != "Shape");
        fold_constants(graph)?;
    }
    identities(graph);
    Ok(())
}

fn fold_constants(graph: &mut Graph) -> Result<(), QuantiseError> {
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        let operands: Option<Vec<Option<&Tensor>>> = node
            .inputs
            .iter()
            .map(|n| if n.is_empty() { Some(None) } else { graph.constants.get(n).map(|t| Some(t.as_ref())) })
            .collect();
        let Some(operands) = operands.filter(|_| node.op != "Shape" || !node.inputs.is_empty()) else {
            kept.push(node);
            continue;
        };
        let results = compute(&node, &operands)?;
        if results.iter().any(|r| r.len() > MAX_FOLDED) {
            kept.push(node);
            continue;
        }
        for (name, result) in node.outputs.iter().zip(results) {
            graph.constants.insert(name.clone(), Arc::new(result));
        }
    }
    graph.nodes = kept;
    if let Some(port) = graph.outputs.iter().find(|o| graph.constants.contains_key(&o.name)) {
        return Err(QuantiseError::Graph {
            reason: format!("the output `{}` does not depend on any input", port.name),
        });
    }
    Ok(())
}

/// Removes Identity, Dropout, and Cast between floats.
fn identities(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[index];
        let (Some(input), output) = (node.input(0).map(str::to_owned), node.output().to_owned()) else { continue };
        if !matches!(node.op.as_str(), "Identity" | "Dropout") || graph.is_output(&output) {
            continue;
        }
        graph.nodes.remove(index);
        graph.redirect(&output, &input);
    }
}
