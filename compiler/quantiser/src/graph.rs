//! The float graph that is prepared, calibrated and written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::error::QuantiseError;
use crate::tensor::Tensor;

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Text(String),
    Tensor(Arc<Tensor>),
    /// Graphs, sparse tensors..
    Other,
}

/// One operator call.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Name in the file, or one derived from the first output.
    pub name: String,
    pub op: String,
    /// An empty string is an omitted input.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: BTreeMap<String, Attribute>,
    /// Bounds of the activation function that was merged into this node.
    pub clamp: Option<(f32, f32)>,
}

impl Node {
    /// A node with one output.
    pub(crate) fn new(op: &str, inputs: &[&str], output: &str) -> Self {
        Self {
            name: output.to_owned(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes: BTreeMap::new(),
            clamp: None,
        }
    }

    /// The node with one more attribute.
    pub(crate) fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.insert(name.to_owned(), value);
        self
    }

    /// Name of the input at `index`, if present.
    pub(crate) fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|n| !n.is_empty())
    }

    /// Name of the first output.
    pub(crate) fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// Integer attribute with a default.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(v)) => *v,
            _ => default,
        }
    }

    /// Float attribute with a default.
    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(v)) => *v,
            _ => default,
        }
    }

    /// Integer list attribute.
    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// Text attribute, empty if absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.attributes.get(name) {
            Some(Attribute::Text(v)) => v,
            _ => "",
        }
    }

    /// The error that the node cannot be computed.
    pub(crate) fn fail(&self, reason: impl Into<String>) -> QuantiseError {
        QuantiseError::Compute { node: self.name.clone(), operator: self.op.clone(), reason: reason.into() }
    }

    /// The error that the node is not supported.
    pub(crate) fn unsupported(&self, reason: impl Into<String>, remedy: impl Into<String>) -> QuantiseError {
        QuantiseError::Unsupported {
            node: self.name.clone(),
            operator: self.op.clone(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// A graph input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    /// ONNX number of the element type.
    pub data_type: i32,
    /// Declared dimensions, `None` where symbolic; absent if no shape is declared.
    pub dims: Option<Vec<Option<usize>>>,
}

/// The graph; nodes are in topological order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    pub constants: BTreeMap<String, Arc<Tensor>>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

impl Graph {
    /// Index of the node that makes `name`.
    pub(crate) fn producer(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.outputs.iter().any(|o| o == name))
    }

    /// Indices of the nodes that read `name`.
    pub(crate) fn readers(&self, name: &str) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&i| self.nodes[i].inputs.iter().any(|n| n == name)).collect()
    }

    /// The only reader of `name`, if nothing else uses it.
    pub(crate) fn only_reader(&self, name: &str) -> Option<usize> {
        match self.readers(name).as_slice() {
            &[reader] if !self.is_output(name) => Some(reader),
            _ => None,
        }
    }

    pub(crate) fn is_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|o| o.name == name)
    }

    pub(crate) fn constant(&self, name: &str) -> Option<&Arc<Tensor>> {
        self.constants.get(name)
    }

    /// Constant float elements.
    pub(crate) fn constant_floats(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.constants.get(name).and_then(|t| t.as_floats().map(|values| (t.dims.as_slice(), values)))
    }

    /// A name that nothing has yet.
    pub(crate) fn fresh(&self, base: &str) -> String {
        let used: HashSet<&str> = self
            .nodes
            .iter()
            .flat_map(|n| n.outputs.iter().chain(&n.inputs))
            .chain(self.constants.keys())
            .chain(self.inputs.iter().chain(&self.outputs).map(|p| &p.name))
            .map(String::as_str)
            .collect();
        let mut name = base.to_owned();
        let mut index = 1;
        while used.contains(name.as_str()) {
            name = format!("{base}_{index}");
            index += 1;
        }
        name
    }

    /// Adds a constant under a fresh name.
    pub(crate) fn add_constant(&mut self, base: &str, tensor: Tensor) -> String {
        let name = self.fresh(base);
        self.constants.insert(name.clone(), Arc::new(tensor));
        name
    }

    /// Makes every reader of `old` read `new`.
    pub(crate) fn redirect(&mut self, old: &str, new: &str) {
        for input in self.nodes.iter_mut().flat_map(|n| &mut n.inputs).filter(|input| *input == old) {
            new.clone_into(input);
        }
    }

    /// Drops nodes and constants that no output needs.
    pub(crate) fn prune(&mut self) {
        let mut needed: HashSet<String> = self.outputs.iter().map(|o| o.name.clone()).collect();
        let mut keep = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|o| needed.contains(o)) {
                keep[index] = true;
                needed.extend(node.inputs.iter().cloned());
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(true));
        self.constants.retain(|name, _| needed.contains(name));
    }

    /// Orders nodes so that each comes after those it reads from.
    ///
    /// # Errors
    /// A cycle, a tensor defined twice, or one that nothing defines.
    pub(crate) fn sort(&mut self) -> Result<(), QuantiseError> {
        let bad = |reason: String| QuantiseError::Graph { reason };
        let mut maker: HashMap<&str, usize> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                if maker.insert(output, index).is_some() || self.constants.contains_key(output) {
                    return Err(bad(format!("tensor `{output}` is defined twice")));
                }
            }
        }
        let given: HashSet<&str> =
            self.constants.keys().chain(self.inputs.iter().map(|p| &p.name)).map(String::as_str).collect();
        let mut waiting: Vec<usize> = vec![0; self.nodes.len()];
        let mut feeds: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|i| !i.is_empty() && !given.contains(i.as_str())) {
                let &from = maker
                    .get(input.as_str())
                    .ok_or_else(|| bad(format!("node `{}` reads `{input}`, which nothing defines", node.name)))?;
                feeds[from].push(index);
                waiting[index] += 1;
            }
        }
        if let Some(o) =
            self.outputs.iter().find(|o| !maker.contains_key(o.name.as_str()) && !given.contains(o.name.as_str()))
        {
            return Err(bad(format!("nothing defines the graph output `{}`", o.name)));
        }
        let mut ready: BTreeSet<usize> = (0..self.nodes.len()).filter(|&i| waiting[i] == 0).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for &next in &feeds[index] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    ready.insert(next);
                }
            }
        }
        if order.len() < self.nodes.len() {
            return Err(bad("it has a cycle".to_owned()));
        }
        let mut nodes: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|index| nodes[index].take()).collect();
        Ok(())
    }
}
