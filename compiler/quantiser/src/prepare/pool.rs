//! Means that have an exact integer form.

use super::Shapes;
use crate::graph::{Attribute, Graph, Node};
use crate::tensor::Tensor;

/// A mean over all spatial axes becomes a GlobalAveragePool. A windowed AveragePool, which ONNX Runtime computes as a
/// sum of rounded floats, becomes a depthwise convolution with equal weights, which it computes on integers.
pub(super) fn means(graph: &mut Graph, shapes: &Shapes) {
    for index in 0..graph.nodes.len() {
        let node = graph.nodes[index].clone();
        let Some(dims) = node.input(0).and_then(|n| shapes.get(n)) else { continue };
        match node.op.as_str() {
            "ReduceMean" if dims.len() >= 3 => global(graph, index, &node, dims),
            "AveragePool" if dims.len() >= 3 => windowed(graph, index, &node, dims, shapes),
            "GlobalMaxPool" if dims.len() >= 3 => {
                let kernel = dims[2..].iter().map(|&d| d as i64).collect();
                graph.nodes[index].op = "MaxPool".to_owned();
                graph.nodes[index].attributes.insert("kernel_shape".to_owned(), Attribute::Ints(kernel));
            }
            _ => {}
        }
    }
}

fn global(graph: &mut Graph, index: usize, node: &Node, dims: &[usize]) {
    let axes = node.input(1).and_then(|n| graph.constant(n)).and_then(|t| t.as_integers());
    let rank = dims.len() as i64;
    let mut axes: Vec<i64> = axes.unwrap_or_default().iter().map(|&a| if a < 0 { a + rank } else { a }).collect();
    axes.sort_unstable();
    // Three axes are as likely a sequence of vectors; its mean over time is left alone.
    if rank < 4 || axes != (2..rank).collect::<Vec<_>>() {
        return;
    }
    let output = node.output().to_owned();
    if node.int("keepdims", 1) != 0 {
        graph.nodes[index] = Node::new("GlobalAveragePool", &[&node.inputs[0]], &output);
    } else {
        let pooled = graph.fresh(&format!("{output}_pooled"));
        graph.nodes[index] = Node::new("GlobalAveragePool", &[&node.inputs[0]], &pooled);
        let shape = graph.add_constant(&format!("{output}_shape"), Tensor::list(vec![dims[0] as i64, dims[1] as i64]));
        graph.nodes.insert(index + 1, Node::new("Reshape", &[&pooled, &shape], &output));
    }
    graph.nodes[index].name.clone_from(&node.name);
}

fn windowed(graph: &mut Graph, index: usize, node: &Node, dims: &[usize], shapes: &Shapes) {
    let kernel = node.ints("kernel_shape").unwrap_or_default().to_vec();
    let padded =
        node.ints("pads").is_some_and(|p| p.iter().any(|&p| p != 0)) || node.text("auto_pad").starts_with("SAME");
    let plain = node.int("ceil_mode", 0) == 0 && (!padded || node.int("count_include_pad", 0) != 0);
    let taps: i64 = kernel.iter().product();
    if kernel.len() + 2 != dims.len() || !plain || taps <= 0 || !shapes.contains_key(node.output()) {
        return;
    }
    if kernel.iter().zip(&dims[2..]).all(|(&k, &d)| k == d as i64) && !padded {
        graph.nodes[index].op = "GlobalAveragePool".to_owned();
        graph.nodes[index].attributes.clear();
        return;
    }
    let channels = dims[1];
    let shape: Vec<usize> = [channels, 1].into_iter().chain(kernel.iter().map(|&k| k as usize)).collect();
    let weights = vec![1.0 / taps as f32; channels * taps as usize];
    let weights = graph.add_constant(&format!("{}_weight", node.output()), Tensor::floats(shape, weights));
    let node = &mut graph.nodes[index];
    node.op = "Conv".to_owned();
    node.inputs.push(weights);
    node.attributes.remove("count_include_pad");
    node.attributes.remove("ceil_mode");
    node.attributes.insert("group".to_owned(), Attribute::Int(channels as i64));
}
