//! From bytes to a [`Graph`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use vinfer_compiler::onnx::external::External;
use vinfer_compiler::onnx::proto::{AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_type};

use crate::error::QuantiseError;
use crate::graph::{Attribute, Graph, Node, Port};
use crate::tensor::{Data, Tensor, count};

/// Versions of the default operator set that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=22;

/// Decodes a float model; the version of its operator set comes with it.
pub(crate) fn decode(bytes: &[u8], directory: Option<&Path>) -> Result<(Graph, i64), QuantiseError> {
    let not = |reason: &str| QuantiseError::NotOnnx { reason: reason.to_owned() };
    if bytes.is_empty() {
        return Err(not("the file is empty"));
    }
    let model = ModelProto::decode(bytes).map_err(|error| not(&error.to_string()))?;
    let proto = model.graph.ok_or_else(|| not("no graph"))?;
    if proto.node.is_empty() || proto.output.is_empty() {
        return Err(not("the graph has no nodes or no outputs"));
    }
    if !proto.sparse_initializer.is_empty() {
        return Err(QuantiseError::Graph { reason: "sparse initialisers are not supported".to_owned() });
    }
    let is_default = |domain: Option<&str>| matches!(domain.unwrap_or(""), "" | "ai.onnx");
    let opset = model.opset_import.iter().find(|i| is_default(i.domain.as_deref())).and_then(|i| i.version);
    let opset = opset.ok_or_else(|| not("no operator set"))?;
    if !OPSETS.contains(&opset) {
        return Err(QuantiseError::Opset { version: opset });
    }
    // What is quantised is refused before anything else can be wrong with it.
    let nodes: Vec<&NodeProto> = proto.node.iter().filter(|n| !n.output.is_empty()).collect();
    for (index, node) in nodes.iter().enumerate() {
        check_float(node, &node_name(node, index))?;
    }
    let external = External::new(directory);
    let mut graph = Graph::default();
    for tensor in &proto.initializer {
        let name = tensor.name.clone().unwrap_or_default();
        let value = decode_tensor(tensor, &name, &external)?;
        if graph.constants.insert(name.clone(), Arc::new(value)).is_some() {
            return Err(QuantiseError::Graph { reason: format!("initialiser `{name}` is defined twice") });
        }
    }
    for info in &proto.input {
        let port = port(info)?;
        if !graph.constants.contains_key(&port.name) {
            graph.inputs.push(port);
        }
    }
    graph.outputs = proto.output.iter().map(port).collect::<Result<_, _>>()?;
    for (index, node) in nodes.into_iter().enumerate() {
        let node = decode_node(node, node_name(node, index), &external)?;
        graph.nodes.push(node);
    }
    Ok((graph, opset))
}

/// Refuses operators of quantised models.
fn check_float(proto: &NodeProto, name: &str) -> Result<(), QuantiseError> {
    let (node, operator) = (name.to_owned(), proto.op_type.clone().unwrap_or_default());
    if operator.starts_with("Dynamic") || operator == "MatMulInteger" || operator == "ConvInteger" {
        return Err(QuantiseError::Dynamic { node, operator });
    }
    if ["QuantizeLinear", "DequantizeLinear", "QLinear", "QGemm", "QAttention", "MatMulNBits"]
        .iter()
        .any(|q| operator.contains(q))
    {
        return Err(QuantiseError::AlreadyQuantised { node, operator });
    }
    Ok(())
}

fn node_name(proto: &NodeProto, index: usize) -> String {
    let named = [proto.name.as_deref(), proto.output.first().map(String::as_str)];
    named.into_iter().flatten().find(|n| !n.is_empty()).map_or_else(|| format!("#{index}"), str::to_owned)
}

fn port(info: &ValueInfoProto) -> Result<Port, QuantiseError> {
    let name = info.name.clone().unwrap_or_default();
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| QuantiseError::Graph { reason: format!("`{name}` is not a tensor") })?;
    let dims = tensor.shape.as_ref().map(|shape| {
        shape.dim.iter().map(|d| d.dim_value.and_then(|v| usize::try_from(v).ok()).filter(|&v| v > 0)).collect()
    });
    Ok(Port { name, data_type: tensor.elem_type.unwrap_or(0), dims })
}

fn decode_node(proto: &NodeProto, name: String, external: &External) -> Result<Node, QuantiseError> {
    let operator = proto.op_type.clone().unwrap_or_default();
    let op = match proto.domain.as_deref().unwrap_or("") {
        "" | "ai.onnx" => operator,
        "com.microsoft" if operator == "Gelu" => operator,
        domain => format!("{domain}.{operator}"),
    };
    let mut attributes = BTreeMap::new();
    for a in &proto.attribute {
        attributes.insert(a.name.clone().unwrap_or_default(), attribute(a, &name, external)?);
    }
    Ok(Node { name, op, inputs: proto.input.clone(), outputs: proto.output.clone(), attributes, clamp: None })
}

fn attribute(a: &AttributeProto, node: &str, external: &External) -> Result<Attribute, QuantiseError> {
    // `AttributeProto.AttributeType`; writers older than IR 3 leave it out.
    let kind = a.kind.unwrap_or(match a {
        AttributeProto { f: Some(_), .. } => 1,
        AttributeProto { i: Some(_), .. } => 2,
        AttributeProto { s: Some(_), .. } => 3,
        AttributeProto { t: Some(_), .. } => 4,
        AttributeProto { floats, .. } if !floats.is_empty() => 6,
        AttributeProto { ints, .. } if !ints.is_empty() => 7,
        _ => 0,
    });
    Ok(match (kind, &a.t) {
        (1, _) => Attribute::Float(a.f.unwrap_or(0.0)),
        (2, _) => Attribute::Int(a.i.unwrap_or(0)),
        (3, _) => Attribute::Text(String::from_utf8_lossy(a.s.as_deref().unwrap_or_default()).into_owned()),
        (4, Some(t)) => Attribute::Tensor(Arc::new(decode_tensor(t, node, external)?)),
        (6, _) => Attribute::Floats(a.floats.clone()),
        (7, _) => Attribute::Ints(a.ints.clone()),
        _ => Attribute::Other,
    })
}

fn decode_tensor(proto: &TensorProto, name: &str, external: &External) -> Result<Tensor, QuantiseError> {
    let bad = |reason: String| QuantiseError::Tensor { tensor: name.to_owned(), reason };
    let dims: Vec<usize> = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| bad("negative dimension".to_owned())))
        .collect::<Result<_, _>>()?;
    let elements =
        count(&dims).filter(|_| dims.len() <= 16).ok_or_else(|| bad("too many elements or axes".to_owned()))?;
    let kind = proto.data_type.unwrap_or(0);
    let width = match kind {
        data_type::FLOAT | data_type::INT32 => 4,
        data_type::INT64 | data_type::DOUBLE => 8,
        data_type::BOOL => 1,
        data_type::INT8 | data_type::UINT8 | 21 | 22 => {
            let kind = data_type::name(kind);
            return Err(bad(format!("it is of type {kind}: the model is quantised already; give the float model")));
        }
        other => {
            let kind = data_type::name(other);
            return Err(bad(format!("it is of type {kind}; convert the model to float32")));
        }
    };
    let fetched;
    let raw = if proto.data_location == Some(1) {
        fetched = external
            .read(&proto.external_data, elements * width)
            .map_err(|reason| bad(format!("external data: {reason}")))?;
        Some(fetched.as_slice())
    } else {
        proto.raw_data.as_deref()
    };
    let data = match raw {
        Some(raw) if raw.len() != elements * width => None,
        Some(raw) => Some(from_raw(kind, raw)),
        None => Some(from_typed(kind, proto)),
    };
    let data = data.filter(|data| match data {
        Data::F32(values) => values.len() == elements,
        Data::I64(values) => values.len() == elements,
        _ => false,
    });
    let data = data.ok_or_else(|| bad("the data length does not match the shape".to_owned()))?;
    Ok(Tensor { dims, data })
}

fn from_raw(kind: i32, raw: &[u8]) -> Data {
    match kind {
        data_type::FLOAT => Data::F32(raw.as_chunks().0.iter().map(|&c| f32::from_le_bytes(c)).collect()),
        data_type::DOUBLE => Data::F32(raw.as_chunks().0.iter().map(|&c| f64::from_le_bytes(c) as f32).collect()),
        data_type::INT32 => Data::I64(raw.as_chunks().0.iter().map(|&c| i64::from(i32::from_le_bytes(c))).collect()),
        data_type::INT64 => Data::I64(raw.as_chunks().0.iter().map(|&c| i64::from_le_bytes(c)).collect()),
        _ => Data::I64(raw.iter().map(|&b| i64::from(b)).collect()),
    }
}

fn from_typed(kind: i32, proto: &TensorProto) -> Data {
    match kind {
        data_type::FLOAT => Data::F32(proto.float_data.clone()),
        data_type::DOUBLE => Data::F32(proto.double_data.iter().map(|&v| v as f32).collect()),
        data_type::INT64 => Data::I64(proto.int64_data.clone()),
        _ => Data::I64(proto.int32_data.iter().map(|&v| i64::from(v)).collect()),
    }
}
