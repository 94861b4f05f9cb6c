//! Gemm in its plain form, and additions of constants as biases.

use super::Shapes;
use crate::error::QuantiseError;
use crate::graph::{Graph, Node};
use crate::tensor::Tensor;

/// Folds alpha, beta and the transposition of constant weights into the constants; the bias becomes a vector.
pub(super) fn canonical_gemm(graph: &mut Graph) -> Result<(), QuantiseError> {
    for index in 0..graph.nodes.len() {
        if graph.nodes[index].op != "Gemm" {
            continue;
        }
        let node = graph.nodes[index].clone();
        let advice = "write it as a MatMul, with an Add where there is a bias";
        if node.int("transA", 0) != 0 {
            return Err(node.unsupported("its first operand is transposed", advice));
        }
        let Some((dims, weights)) = node.input(1).and_then(|n| graph.constant_floats(n)) else {
            return Err(node.unsupported("its second operand is not constant", advice));
        };
        let &[rows, columns] = dims else { return Err(node.fail("its weights are no matrix")) };
        let alpha = node.float("alpha", 1.0);
        let (k, n, weights) = if node.int("transB", 0) != 0 {
            let flipped = (0..columns).flat_map(|c| (0..rows).map(move |r| weights[r * columns + c] * alpha)).collect();
            (columns, rows, flipped)
        } else {
            (rows, columns, weights.iter().map(|w| w * alpha).collect())
        };
        let mut inputs = vec![node.inputs[0].clone()];
        let bias = match node.input(2) {
            None => None,
            Some(name) => {
                let beta = node.float("beta", 1.0);
                let bias = graph.constant_floats(name).and_then(|(dims, c)| row(dims, c, n));
                let bias = bias.ok_or_else(|| node.unsupported("its operand C is not one constant row", advice))?;
                Some(bias.iter().map(|v| v * beta).collect::<Vec<f32>>())
            }
        };
        let weights = Tensor::floats(vec![k, n], weights);
        inputs.push(graph.add_constant(&format!("{}_weight", node.output()), weights));
        if let Some(bias) = bias {
            inputs.push(graph.add_constant(&format!("{}_bias", node.output()), Tensor::floats(vec![n], bias)));
        }
        let node = &mut graph.nodes[index];
        node.inputs = inputs;
        node.attributes.clear();
    }
    Ok(())
}

/// A constant that broadcasts along all but the last axis, as one row of `n` elements.
fn row(dims: &[usize], values: &[f32], n: usize) -> Option<Vec<f32>> {
    match dims.split_last() {
        _ if values.len() == 1 => Some(vec![values[0]; n]),
        Some((&last, lead)) if last == n && lead.iter().all(|&d| d == 1) => Some(values.to_vec()),
        _ => None,
    }
}

/// Additions of constants to Conv, Gemm and MatMul become biases. A MatMul with a bias becomes a Gemm, between
/// reshapes where its operand has more than two axes.
pub(super) fn biases(graph: &mut Graph, shapes: &Shapes) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = graph.nodes[index].clone();
        let bias = linear_outputs(graph, &node).and_then(|outs| following_bias(graph, &node, outs, shapes));
        if let Some((add, bias)) = bias {
            let output = graph.nodes[add].output().to_owned();
            graph.nodes.remove(add);
            let index = if add < index { index - 1 } else { index };
            let bias = match node.input(2).and_then(|n| graph.constant_floats(n)) {
                Some((_, old)) => bias.iter().zip(old).map(|(a, b)| a + b).collect(),
                None => bias,
            };
            let bias = graph.add_constant(&format!("{output}_bias"), Tensor::floats(vec![bias.len()], bias));
            let node = &mut graph.nodes[index];
            node.inputs.truncate(2);
            node.inputs.push(bias);
            node.outputs[0].clone_from(&output);
            if node.op == "MatMul" {
                to_gemm(graph, index, shapes, &output);
            }
        } else {
            index += 1;
        }
    }
}

/// Output channels of a node with constant weights that can take a bias.
fn linear_outputs(graph: &Graph, node: &Node) -> Option<usize> {
    let (dims, _) = graph.constant_floats(node.input(1)?)?;
    if node.input(2).is_some_and(|n| graph.constant_floats(n).is_none()) {
        return None;
    }
    match (node.op.as_str(), dims) {
        ("Conv", &[outs, ..]) => Some(outs),
        ("Gemm" | "MatMul", &[_, outs]) => Some(outs),
        _ => None,
    }
}

/// The Add of a constant that alone reads the node, and the constant as a bias.
fn following_bias(graph: &Graph, node: &Node, outs: usize, shapes: &Shapes) -> Option<(usize, Vec<f32>)> {
    let reader = graph.only_reader(node.output())?;
    let add = &graph.nodes[reader];
    if add.op != "Add" || add.inputs.len() != 2 {
        return None;
    }
    let other = if add.inputs[0] == node.output() { &add.inputs[1] } else { &add.inputs[0] };
    let (dims, values) = graph.constant_floats(other)?;
    let rank = shapes.get(node.output())?.len();
    // The addition may not change the shape.
    if shapes.get(add.output()) != shapes.get(node.output()) {
        return None;
    }
    let bias = if node.op == "Conv" {
        let padded = [vec![1; rank.checked_sub(dims.len())?], dims.to_vec()].concat();
        let per_channel = padded.iter().enumerate().all(|(axis, &d)| d == 1 || (axis == 1 && d == outs));
        match values {
            &[single] => Some(vec![single; outs]),
            _ => per_channel.then(|| values.to_vec()),
        }
    } else {
        row(dims, values, outs)
    };
    bias.map(|bias| (reader, bias))
}

fn to_gemm(graph: &mut Graph, index: usize, shapes: &Shapes, output: &str) {
    let input = graph.nodes[index].inputs[0].clone();
    let (Some(from), Some(to)) = (shapes.get(&input).cloned(), shapes.get(output).cloned()) else { return };
    let Some(&k) = from.last() else { return };
    graph.nodes[index].op = "Gemm".to_owned();
    if from.len() == 2 {
        return;
    }
    let rows: usize = from[..from.len() - 1].iter().product();
    let shape = |dims: &[usize]| Tensor::list(dims.iter().map(|&d| d as i64).collect());
    let flat_shape = graph.add_constant(&format!("{output}_rows"), shape(&[rows, k]));
    let full_shape = graph.add_constant(&format!("{output}_shape"), shape(&to));
    let (flat, result) = (graph.fresh(&format!("{input}_flat")), graph.fresh(&format!("{output}_flat")));
    let gemm = &mut graph.nodes[index];
    gemm.inputs[0].clone_from(&flat);
    gemm.outputs[0].clone_from(&result);
    graph.nodes.insert(index + 1, Node::new("Reshape", &[&result, &full_shape], output));
    graph.nodes.insert(index, Node::new("Reshape", &[&input, &flat_shape], &flat));
}
