//! Operators of older operator sets in the form of the newest one.

use crate::error::QuantiseError;
use crate::graph::{Attribute, Graph, Node};
use crate::tensor::Tensor;

/// Turns attributes that later became operands into operands.
pub(super) fn normalise(graph: &mut Graph, opset: i64) -> Result<(), QuantiseError> {
    for index in 0..graph.nodes.len() {
        let mut node = graph.nodes[index].clone();
        match node.op.as_str() {
            "ReduceMean" if opset < 18 => lists(graph, &mut node, &[("axes", 1)]),
            "Squeeze" | "Unsqueeze" if opset < 13 => lists(graph, &mut node, &[("axes", 1)]),
            "Split" if opset < 13 => lists(graph, &mut node, &[("split", 1)]),
            "Slice" if opset < 10 => lists(graph, &mut node, &[("starts", 1), ("ends", 2), ("axes", 3)]),
            "Clip" if opset < 11 => {
                for (name, slot) in [("min", 1), ("max", 2)] {
                    if let Some(Attribute::Float(bound)) = node.attributes.remove(name) {
                        operand(graph, &mut node, slot, Tensor::floats(Vec::new(), vec![bound]));
                    }
                }
            }
            "Softmax" if opset < 13 => {
                let axis = node.int("axis", 1);
                node.attributes.insert("axis".to_owned(), Attribute::Int(axis));
                node.attributes.insert("coerce".to_owned(), Attribute::Int(1));
            }
            "BatchNormalization" if node.outputs.iter().skip(1).any(|o| !o.is_empty()) => {
                return Err(node.unsupported("it is in training mode", "export the model for inference"));
            }
            "Dropout" => node.outputs.truncate(1),
            _ => {}
        }
        graph.nodes[index] = node;
    }
    Ok(())
}

fn lists(graph: &mut Graph, node: &mut Node, attributes: &[(&str, usize)]) {
    for &(name, slot) in attributes {
        if let Some(Attribute::Ints(values)) = node.attributes.remove(name) {
            operand(graph, node, slot, Tensor::list(values));
        }
    }
}

fn operand(graph: &mut Graph, node: &mut Node, slot: usize, value: Tensor) {
    let name = graph.add_constant(&format!("{}_operand", node.output()), value);
    if node.inputs.len() <= slot {
        node.inputs.resize(slot + 1, String::new());
    }
    node.inputs[slot] = name;
}
