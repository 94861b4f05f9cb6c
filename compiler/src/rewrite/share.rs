//! Merging of equal QuantizeLinear nodes on the same tensor.

use super::params::{is_quantise, per_tensor};
use crate::graph::Graph;

/// Lets all readers use the first of several equal nodes.
pub(super) fn merge(graph: &mut Graph) {
    let mut seen: Vec<(String, vinfer_circuits::program::Quantisation, bool, String)> = Vec::new();
    let mut renames: Vec<(String, String)> = Vec::new();
    for node in graph.nodes.iter().filter(|n| is_quantise(n)) {
        let (Some(input), Some(q)) = (node.input(0), per_tensor(graph, node)) else { continue };
        let explicit = node.input(2).is_some();
        let known = seen.iter().find(|(i, p, e, _)| i == input && *p == q && *e == explicit);
        match known {
            Some((_, _, _, first)) if !graph.is_output(node.output()) => {
                renames.push((node.output().to_owned(), first.clone()));
            }
            Some(_) => {}
            None => seen.push((input.to_owned(), q, explicit, node.output().to_owned())),
        }
    }
    for (from, to) in renames {
        for input in graph.nodes.iter_mut().flat_map(|n| &mut n.inputs).filter(|i| **i == from) {
            input.clone_from(&to);
        }
    }
    graph.prune();
}
