//! The imported graph: constants, inputs, outputs and nodes in topological order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::error::CompileError;
use crate::onnx::proto::data_type;
use crate::onnx::tensor::{Data, Tensor};
use crate::report::PortInfo;

/// An attribute value that some supported operator reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Text(String),
    Tensor(Rc<Tensor>),
    /// A kind that no supported operator has (graphs, sparse tensors..).
    Other,
}

/// One operator call.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Name in the file, or one derived from the first output.
    pub name: String,
    /// Operator, with the domain in front unless it is the default one.
    pub op: String,
    /// Names of the inputs; an empty string is an omitted input.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    pub attributes: BTreeMap<String, Attribute>,
}

impl Node {
    /// A node without an operator, for messages.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            op: String::new(),
            inputs: Vec::new(),
            outputs: vec![name.to_owned()],
            attributes: BTreeMap::new(),
        }
    }

    /// Name of the input at `index`, if present.
    pub(crate) fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|n| !n.is_empty())
    }

    /// Name of the first output (nodes without outputs are dropped on import).
    pub(crate) fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    pub(crate) fn unsupported(&self, reason: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::UnsupportedOperator {
            node: self.name.clone(),
            operator: self.op.clone(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn stays_float(&self, reason: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::PartlyQuantised {
            node: self.name.clone(),
            operator: self.op.clone(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn bad_shape(&self, reason: impl Into<String>) -> CompileError {
        CompileError::BadShape { node: self.name.clone(), operator: self.op.clone(), reason: reason.into() }
    }

    pub(crate) fn bad_attribute(&self, attribute: &str, reason: impl Into<String>) -> CompileError {
        CompileError::BadAttribute {
            node: self.name.clone(),
            operator: self.op.clone(),
            attribute: attribute.to_owned(),
            reason: reason.into(),
        }
    }

    /// Integer attribute with a default.
    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64, CompileError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(_) => Err(self.bad_attribute(name, "not an integer")),
        }
    }

    /// Float attribute with a default.
    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, CompileError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(v)) => Ok(*v),
            Some(_) => Err(self.bad_attribute(name, "not a float")),
        }
    }

    /// Text attribute with a default.
    pub(crate) fn text(&self, name: &str, default: &'static str) -> Result<&str, CompileError> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Text(v)) => Ok(v),
            Some(_) => Err(self.bad_attribute(name, "not a string")),
        }
    }

    /// Integer list attribute.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<&[i64]>, CompileError> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(self.bad_attribute(name, "not a list of integers")),
        }
    }
}

/// A declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dim {
    Fixed(u32),
    Symbolic(String),
}

/// A graph input or output as declared.
#[derive(Clone, Debug)]
pub(crate) struct PortDecl {
    pub name: String,
    /// ONNX number of the element type.
    pub data_type: i32,
    /// Declared dimensions; `None` if no shape is declared.
    pub dims: Option<Vec<Dim>>,
}

impl PortDecl {
    /// The declaration, for reports.
    pub(crate) fn info(&self, output: bool) -> PortInfo {
        let dimension = |dim: &Dim| match dim {
            Dim::Fixed(size) => size.to_string(),
            Dim::Symbolic(name) if name.is_empty() => "?".to_owned(),
            Dim::Symbolic(name) => name.clone(),
        };
        let shape = self.dims.as_ref().map(|dims| dims.iter().map(dimension).collect());
        PortInfo { name: self.name.clone(), output, element: data_type::name(self.data_type), shape }
    }
}

/// The graph.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// Version of the default operator set.
    pub opset: i64,
    /// In topological order.
    pub nodes: Vec<Node>,
    pub constants: HashMap<String, Rc<Tensor>>,
    pub inputs: Vec<PortDecl>,
    pub outputs: Vec<PortDecl>,
    fresh: usize,
}

impl Graph {
    pub(crate) fn new(
        opset: i64,
        nodes: Vec<Node>,
        constants: HashMap<String, Rc<Tensor>>,
        inputs: Vec<PortDecl>,
        outputs: Vec<PortDecl>,
    ) -> Result<Self, CompileError> {
        let mut graph = Self { opset, nodes, constants, inputs, outputs, fresh: 0 };
        graph.check_names()?;
        graph.prune();
        graph.sort()?;
        Ok(graph)
    }

    /// For each tensor, the nodes that read it (once per input slot).
    pub(crate) fn consumers(&self) -> HashMap<&str, Vec<usize>> {
        let mut map: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|i| !i.is_empty()) {
                map.entry(input).or_default().push(index);
            }
        }
        map
    }

    /// For each tensor, the node that defines it.
    pub(crate) fn producers<'g>(&'g self) -> HashMap<&'g str, usize> {
        let outputs = |(index, node): (usize, &'g Node)| node.outputs.iter().map(move |o| (o.as_str(), index));
        self.nodes.iter().enumerate().flat_map(outputs).filter(|(name, _)| !name.is_empty()).collect()
    }

    pub(crate) fn is_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|o| o.name == name)
    }

    /// A tensor name that is not in use.
    pub(crate) fn fresh_name(&mut self, base: &str) -> String {
        self.fresh += 1;
        format!("{base}/vinfer_{}", self.fresh)
    }

    /// The value of a constant of one float.
    pub(crate) fn scalar_float(&self, name: Option<&str>) -> Option<f32> {
        match &self.constants.get(name?)?.data {
            Data::F32(v) if v.len() == 1 => v.first().copied(),
            _ => None,
        }
    }

    /// Every tensor is defined once.
    fn check_names(&self) -> Result<(), CompileError> {
        let mut defined: HashSet<&str> = self.constants.keys().map(String::as_str).collect();
        let outputs = self.nodes.iter().flat_map(|n| &n.outputs).filter(|o| !o.is_empty());
        for name in self.inputs.iter().map(|i| &i.name).chain(outputs) {
            if !defined.insert(name) {
                return Err(CompileError::BadGraph { reason: format!("tensor `{name}` is defined twice") });
            }
        }
        for node in &self.nodes {
            for input in node.inputs.iter().filter(|i| !i.is_empty()) {
                if !defined.contains(input.as_str()) {
                    return Err(CompileError::MissingInitializer { node: node.name.clone(), tensor: input.clone() });
                }
            }
        }
        for output in &self.outputs {
            if !defined.contains(output.name.as_str()) {
                let reason = format!("nothing defines the graph output `{}`", output.name);
                return Err(CompileError::BadGraph { reason });
            }
        }
        Ok(())
    }

    /// Drops nodes that no output depends on.
    pub(crate) fn prune(&mut self) {
        let mut needed: HashSet<String> = self.outputs.iter().map(|o| o.name.clone()).collect();
        let mut keep = vec![false; self.nodes.len()];
        let producers: HashMap<String, usize> =
            self.producers().into_iter().map(|(name, index)| (name.to_owned(), index)).collect();
        let mut queue: Vec<String> = needed.iter().cloned().collect();
        while let Some(name) = queue.pop() {
            let Some(&index) = producers.get(&name) else { continue };
            if keep[index] {
                continue;
            }
            keep[index] = true;
            for input in &self.nodes[index].inputs {
                if needed.insert(input.clone()) {
                    queue.push(input.clone());
                }
            }
        }
        let mut flags = keep.into_iter();
        self.nodes.retain(|_| flags.next().unwrap_or(false));
    }

    /// Puts the nodes into topological order: those that depend on constants alone first, otherwise in file order.
    pub(crate) fn sort(&mut self) -> Result<(), CompileError> {
        let count = self.nodes.len();
        let producers = self.producers();
        let mut waiting = vec![0usize; count];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (index, node) in self.nodes.iter().enumerate() {
            let sources: HashSet<usize> =
                node.inputs.iter().filter_map(|i| producers.get(i.as_str()).copied()).collect();
            waiting[index] = sources.len();
            for source in sources {
                readers[source].push(index);
            }
        }
        let ports: HashSet<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
        let mut varies: Vec<bool> =
            self.nodes.iter().map(|n| n.inputs.iter().any(|i| ports.contains(i.as_str()))).collect();
        let mut ready: BTreeSet<(bool, usize)> =
            (0..count).filter(|&i| waiting[i] == 0).map(|i| (varies[i], i)).collect();
        let mut order = Vec::with_capacity(count);
        while let Some((varying, index)) = ready.pop_first() {
            order.push(index);
            for &reader in &readers[index] {
                varies[reader] |= varying;
                waiting[reader] -= 1;
                if waiting[reader] == 0 {
                    ready.insert((varies[reader], reader));
                }
            }
        }
        if order.len() != count {
            let node = (0..count).find(|&i| waiting[i] > 0).map_or_else(String::new, |i| self.nodes[i].name.clone());
            return Err(CompileError::Cycle { node });
        }
        let mut old: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|i| old[i].take()).collect();
        Ok(())
    }
}
