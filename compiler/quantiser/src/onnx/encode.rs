//! From tensors and nodes to messages.

use prost::Message;
use vinfer_compiler::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

use crate::graph::{Attribute, Node};
use crate::tensor::{Data, Tensor};

/// A model file.
pub(crate) fn model(graph: GraphProto, opset: i64) -> Vec<u8> {
    let default = OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) };
    let model = ModelProto {
        ir_version: Some(if opset > 20 { 10 } else { 9 }),
        producer_name: Some(b"vinfer-quantiser".to_vec()),
        graph: Some(graph),
        opset_import: vec![default],
    };
    model.encode_to_vec()
}

/// A graph input or output.
pub(crate) fn port(name: &str, kind: i32, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| DimensionProto { dim_value: Some(d as i64), dim_param: None }).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: Some(kind), shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type }) }
}

/// A node; clamps are not written, the quantisation after the node implies them.
pub(crate) fn node(node: &Node) -> NodeProto {
    NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: Some(node.name.clone()),
        op_type: Some(node.op.clone()),
        attribute: node.attributes.iter().filter_map(|(name, value)| attribute(name, value)).collect(),
        domain: None,
    }
}

fn attribute(name: &str, value: &Attribute) -> Option<AttributeProto> {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    proto.kind = Some(match value {
        Attribute::Float(v) => {
            proto.f = Some(*v);
            1
        }
        Attribute::Int(v) => {
            proto.i = Some(*v);
            2
        }
        Attribute::Text(v) => {
            proto.s = Some(v.clone().into_bytes());
            3
        }
        Attribute::Floats(v) => {
            proto.floats.clone_from(v);
            6
        }
        Attribute::Ints(v) => {
            proto.ints.clone_from(v);
            7
        }
        Attribute::Tensor(_) | Attribute::Other => return None,
    });
    Some(proto)
}

/// An initialiser.
pub(crate) fn tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let (kind, raw) = match &tensor.data {
        Data::F32(v) => (data_type::FLOAT, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I64(v) => (data_type::INT64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I32(v) => (data_type::INT32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U16(v) => (data_type::UINT16, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::U8(v) => (data_type::UINT8, v.clone()),
        Data::I8(v) => (data_type::INT8, v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()),
    };
    TensorProto {
        dims: tensor.dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(kind),
        name: Some(name.to_owned()),
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}
