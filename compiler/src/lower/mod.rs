//! Lowering: from the rewritten ONNX graph to a [`Program`], node by node in topological order.

mod add;
mod arrange;
mod attention;
mod average;
mod cast;
mod choose;
mod constants;
mod contract;
mod conv;
mod dispatch;
mod elementwise;
mod emit;
mod extrema;
mod float;
mod fold;
mod gather;
mod integer;
mod matmul;
mod movement;
mod moves;
mod normalise;
mod operands;
mod outputs;
mod pad;
mod pair;
mod pending;
mod pieces;
mod pool;
mod ports;
mod products;
mod qdq;
mod reduce;
mod requant;
mod resize;
mod results;
mod selection;
mod sides;
mod softmax;
mod softmax_float;
mod state;
mod truth;
mod weights;
mod wide;

use std::collections::{BTreeSet, HashMap};

use vinfer_circuits::ops::Requant;
use vinfer_circuits::program::{Op, Port, Program, Value, ValueId};

use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::{Graph, Node};
use crate::report::{NodeInfo, Report};
pub(crate) use dispatch::OPERATORS;
pub(crate) use movement::OPERATORS as MOVEMENTS;
use state::State;

/// Advice for operators that have no integer form.
const KEEP_OUTSIDE: &str = "compute it outside the proven model (before the input or after the output), or replace it";

/// Everything known while lowering.
pub(crate) struct Lowering<'g> {
    graph: &'g Graph,
    consumers: HashMap<&'g str, Vec<usize>>,
    states: HashMap<String, State>,
    /// Second and further results of the node at hand.
    extras: Vec<State>,
    inputs: Vec<Port>,
    values: Vec<Value>,
    ops: Vec<Op>,
    report: Report,
    /// Float tensors whose last axis has a scale for each channel.
    channel_scales: HashMap<ValueId, wide::ChannelScales>,
    /// Solved requantisations: (scale bits, lo, hi, min, max).
    solved: HashMap<(u32, i32, i32, i64, i64), Requant>,
}

impl<'g> Lowering<'g> {
    pub(crate) fn new(graph: &'g Graph) -> Self {
        let consumers = graph.consumers();
        Self {
            graph,
            consumers,
            states: HashMap::new(),
            extras: Vec::new(),
            inputs: Vec::new(),
            values: Vec::new(),
            ops: Vec::new(),
            report: Report::default(),
            channel_scales: HashMap::new(),
            solved: HashMap::new(),
        }
    }

    /// Compiles the whole graph, stopping at the first problem.
    pub(crate) fn run(mut self) -> Result<(Program, Report), CompileError> {
        self.start()?;
        for node in &self.graph.nodes {
            let state = self.node(node)?;
            self.define(node, state);
        }
        self.finish()
    }

    /// Compiles as much as possible and says why the rest cannot be compiled.
    pub(crate) fn survey(mut self) -> (Vec<NodeInfo>, Vec<CompileError>, Option<(Program, Report)>) {
        let mut problems = Vec::new();
        let mut nodes = Vec::new();
        problems.extend(self.start().err());
        let producers = self.graph.producers();
        for node in &self.graph.nodes {
            let blind = node.inputs.iter().any(|i| matches!(self.states.get(i), Some(State::Unknown)));
            let result = match self.recognise(node) {
                Err(error) => Err(error),
                Ok(()) if blind => Ok(State::Unknown),
                Ok(()) => self.node(node),
            };
            let (state, unsupported) = match result {
                Ok(state) => (state, None),
                Err(error) => {
                    self.extras.clear();
                    (State::Unknown, Some(error))
                }
            };
            problems.extend(unsupported.clone());
            let shape = self.shape_of(&state);
            let sources: BTreeSet<usize> =
                node.inputs.iter().filter_map(|input| producers.get(input.as_str()).copied()).collect();
            nodes.push(NodeInfo {
                node: node.name.clone(),
                operator: node.op.clone(),
                shape,
                sources: sources.into_iter().collect(),
                unsupported,
            });
            self.define(node, state);
        }
        let compiled = if problems.is_empty() {
            match self.finish() {
                Ok(compiled) => Some(compiled),
                Err(error) => {
                    problems.push(error);
                    None
                }
            }
        } else {
            None
        };
        (nodes, problems, compiled)
    }

    fn define(&mut self, node: &Node, state: State) {
        let mut extras = std::mem::take(&mut self.extras).into_iter();
        for name in node.outputs.iter().skip(1) {
            self.states.insert(name.clone(), extras.next().unwrap_or(State::Unknown));
        }
        self.states.insert(node.output().to_owned(), state);
    }

    /// The state of an input that must be present.
    fn state(&self, node: &Node, index: usize) -> Result<&State, CompileError> {
        let name = node.input(index).ok_or_else(|| node.bad_attribute(&format!("input {index}"), "missing"))?;
        self.states
            .get(name)
            .ok_or_else(|| CompileError::MissingInitializer { node: node.name.clone(), tensor: name.to_owned() })
    }

    /// Checks that ONNX Runtime will find a quantised operator around this float one: its result is read by exactly
    /// one QuantizeLinear.
    fn check_single_reader(&self, node: &Node) -> Result<(), CompileError> {
        let name = node.output();
        let readers: Vec<&Node> = self
            .consumers
            .get(name)
            .into_iter()
            .flatten()
            .map(|&i| &self.graph.nodes[i])
            .filter(|n| n.op != "Shape")
            .collect();
        let quantised = matches!(readers.as_slice(), [q] if q.op.ends_with("QuantizeLinear")
            && q.input(0) == Some(name));
        if quantised && !self.graph.is_output(name) {
            return Ok(());
        }
        let reason = match readers.as_slice() {
            _ if self.graph.is_output(name) => "its float result is a graph output".to_owned(),
            [] => "its result is not quantised".to_owned(),
            [reader] if matches!(reader.op.as_str(), "Relu" | "Clip") => format!(
                "its result goes to {} `{}`, whose bounds differ from the range of the following QuantizeLinear",
                reader.op, reader.name
            ),
            [reader] => format!("its float result goes to {} `{}`", reader.op, reader.name),
            _ => format!("its float result has {} readers", readers.len()),
        };
        Err(node.stays_float(reason, format!("quantise the result of every operator: {QUANTISE_STATICALLY}")))
    }
}
