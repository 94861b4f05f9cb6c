//! Parameters of QuantizeLinear and DequantizeLinear nodes.

use vinfer_circuits::program::{IntType, Quantisation};

use crate::graph::{Graph, Node};
use crate::onnx::tensor::Data;

/// Whether the node is a QuantizeLinear of either domain.
pub(super) fn is_quantise(node: &Node) -> bool {
    matches!(node.op.as_str(), "QuantizeLinear" | "com.microsoft.QuantizeLinear")
}

/// Whether the node is a DequantizeLinear of either domain.
pub(super) fn is_dequantise(node: &Node) -> bool {
    matches!(node.op.as_str(), "DequantizeLinear" | "com.microsoft.DequantizeLinear")
}

/// The constant per-tensor parameters of a Q or DQ node; a missing zero point is 0 of type uint8.
pub(super) fn per_tensor(graph: &Graph, node: &Node) -> Option<Quantisation> {
    let scale = graph.scalar_float(node.input(1))?;
    let (zero_point, int_type) = match node.input(2) {
        None if node.attributes.contains_key("output_dtype") => return None,
        None => (0, IntType::U8),
        Some(name) => match &graph.constants.get(name)?.data {
            Data::U8(v) if v.len() == 1 => (i32::from(*v.first()?), IntType::U8),
            Data::I8(v) if v.len() == 1 => (i32::from(*v.first()?), IntType::I8),
            _ => return None,
        },
    };
    Some(Quantisation { scale_bits: scale.to_bits(), zero_point, int_type })
}
