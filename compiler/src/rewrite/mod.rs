//! ONNX Runtime's graph rewritings that decide which operators run on integers.
//!
//! None of them changes the function of the graph, except the merging of two consecutive Q/DQ pairs
//! ([`double_pairs`]), which changes scales.

mod clip;
mod double_pairs;
mod identity;
mod params;
mod propagate;
mod share;

use crate::error::CompileError;
use crate::graph::Graph;

/// Applies all rewritings.
pub(crate) fn rewrite(graph: &mut Graph) -> Result<(), CompileError> {
    identity::remove(graph);
    share::merge(graph);
    propagate::forward(graph);
    propagate::backward(graph);
    double_pairs::merge(graph);
    clip::remove(graph);
    graph.prune();
    graph.sort()
}
