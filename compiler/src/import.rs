//! From protobuf messages to a [`Graph`].

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use prost::Message;

use crate::error::CompileError;
use crate::graph::{Attribute, Dim, Graph, Node, PortDecl};
use crate::onnx::external::External;
use crate::onnx::proto::{AttributeProto, ModelProto, NodeProto, ValueInfoProto, data_type};
use crate::onnx::tensor::{Data, Tensor};

/// Oldest and newest supported version of the default operator set.
const OPSETS: std::ops::RangeInclusive<i64> = 10..=24;

/// Decodes a model and checks everything that concerns the graph as a whole.
pub(crate) fn import(bytes: &[u8], external_dir: Option<&Path>) -> Result<Graph, CompileError> {
    if bytes.is_empty() {
        return Err(CompileError::NotOnnx { reason: "the file is empty".to_owned() });
    }
    let model = ModelProto::decode(bytes).map_err(|error| {
        let reason = error.to_string();
        if reason.contains("underflow") || reason.contains("truncated") {
            CompileError::Truncated { reason }
        } else {
            CompileError::NotOnnx { reason }
        }
    })?;
    let graph = model.graph.ok_or_else(|| CompileError::NotOnnx { reason: "no graph".to_owned() })?;
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err(CompileError::NotOnnx { reason: "the graph has no nodes or no outputs".to_owned() });
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(CompileError::BadGraph { reason: "sparse initialisers are not supported".to_owned() });
    }
    let mut opset = None;
    for import in &model.opset_import {
        let (domain, version) = (import.domain.as_deref().unwrap_or(""), import.version.unwrap_or(0));
        if matches!(domain, "" | "ai.onnx") {
            if !OPSETS.contains(&version) {
                return Err(CompileError::UnsupportedOpset { domain: "ai.onnx".to_owned(), version });
            }
            opset = Some(version);
        } else if domain == "com.microsoft" && version != 1 {
            return Err(CompileError::UnsupportedOpset { domain: domain.to_owned(), version });
        }
    }
    let opset = opset.ok_or_else(|| CompileError::NotOnnx { reason: "no operator set".to_owned() })?;

    let external = External::new(external_dir);
    let mut constants = HashMap::new();
    for proto in &graph.initializer {
        let name = proto.name.clone().unwrap_or_default();
        let tensor = Tensor::decode(proto, &name, &external)?;
        if constants.insert(name.clone(), Rc::new(tensor)).is_some() {
            return Err(CompileError::BadGraph { reason: format!("initialiser `{name}` is defined twice") });
        }
    }
    let mut inputs = Vec::new();
    for info in &graph.input {
        let port = port(info, "input")?;
        if constants.contains_key(&port.name) {
            if model.ir_version.unwrap_or(0) >= 4 {
                let reason = "it is also an initialiser, so its value is not fixed; remove it from the graph inputs";
                return Err(CompileError::BadPort { port: "input", name: port.name, reason: reason.to_owned() });
            }
            continue;
        }
        inputs.push(port);
    }
    let outputs = graph.output.iter().map(|info| port(info, "output")).collect::<Result<Vec<_>, _>>()?;
    let mut nodes = Vec::new();
    for (index, proto) in graph.node.iter().enumerate() {
        let node = node(proto, index, &external)?;
        if node.op == "Constant"
            && let Some(tensor) = constant(&node)?
        {
            if constants.insert(node.output().to_owned(), tensor).is_some() {
                let reason = format!("tensor `{}` is defined twice", node.output());
                return Err(CompileError::BadGraph { reason });
            }
            continue;
        }
        if !node.outputs.is_empty() {
            nodes.push(node);
        }
    }
    Graph::new(opset, nodes, constants, inputs, outputs)
}

fn port(info: &ValueInfoProto, kind: &'static str) -> Result<PortDecl, CompileError> {
    let name = info.name.clone().unwrap_or_default();
    let bad = |reason: &str| CompileError::BadPort { port: kind, name: name.clone(), reason: reason.to_owned() };
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or_else(|| bad("not a tensor"))?;
    let dims = match &tensor.shape {
        None => None,
        Some(shape) => Some(
            shape
                .dim
                .iter()
                .map(|d| match (d.dim_value, &d.dim_param) {
                    (Some(v), _) => u32::try_from(v).map(Dim::Fixed).map_err(|_| bad("impossible dimension")),
                    (None, param) => Ok(Dim::Symbolic(param.clone().unwrap_or_default())),
                })
                .collect::<Result<Vec<_>, _>>()?,
        ),
    };
    Ok(PortDecl { data_type: tensor.elem_type.unwrap_or(0), name: name.clone(), dims })
}

fn node(proto: &NodeProto, index: usize, external: &External) -> Result<Node, CompileError> {
    let operator = proto.op_type.clone().unwrap_or_default();
    let op = match proto.domain.as_deref().unwrap_or("") {
        "" | "ai.onnx" => operator,
        domain => format!("{domain}.{operator}"),
    };
    let name = match proto.name.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => match proto.output.first() {
            Some(output) if !output.is_empty() => output.clone(),
            _ => format!("#{index}"),
        },
    };
    let mut attributes = BTreeMap::new();
    for a in &proto.attribute {
        let key = a.name.clone().unwrap_or_default();
        attributes.insert(key, attribute(a, &name, external)?);
    }
    Ok(Node { name, op, inputs: proto.input.clone(), outputs: proto.output.clone(), attributes })
}

fn attribute(a: &AttributeProto, node: &str, external: &External) -> Result<Attribute, CompileError> {
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
    Ok(match kind {
        1 => Attribute::Float(a.f.unwrap_or(0.0)),
        2 => Attribute::Int(a.i.unwrap_or(0)),
        3 => Attribute::Text(String::from_utf8_lossy(a.s.as_deref().unwrap_or_default()).into_owned()),
        4 => match &a.t {
            Some(t) => Attribute::Tensor(Rc::new(Tensor::decode(t, node, external)?)),
            None => Attribute::Other,
        },
        6 => Attribute::Floats(a.floats.clone()),
        7 => Attribute::Ints(a.ints.clone()),
        _ => Attribute::Other,
    })
}

/// The tensor of a `Constant` node, or `None` for a form that is not supported.
fn constant(node: &Node) -> Result<Option<Rc<Tensor>>, CompileError> {
    let Some((_, value)) = node.attributes.iter().next() else {
        return Err(node.bad_attribute("value", "missing"));
    };
    let one = |data| Some(Rc::new(Tensor { dims: Vec::new(), data }));
    Ok(match value {
        Attribute::Tensor(t) if t.data != Data::Other(data_type::FLOAT) => Some(Rc::clone(t)),
        Attribute::Float(v) => one(Data::F32(vec![*v])),
        Attribute::Int(v) => one(Data::I64(vec![*v])),
        Attribute::Floats(v) => Some(Rc::new(Tensor { dims: vec![v.len()], data: Data::F32(v.clone()) })),
        Attribute::Ints(v) => Some(Rc::new(Tensor { dims: vec![v.len()], data: Data::I64(v.clone()) })),
        Attribute::Text(_) | Attribute::Tensor(_) | Attribute::Other => None,
    })
}
