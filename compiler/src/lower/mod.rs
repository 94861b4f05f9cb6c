//! Lowering: from the rewritten ONNX graph to a [`Program`], node by node in topological order.

mod add;
mod arrange;
mod average;
mod constants;
mod contract;
mod conv;
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
mod selection;
mod softmax;
mod softmax_float;
mod state;
mod wide;

use std::collections::{BTreeSet, HashMap};

use vinfer_circuits::ops::Requant;
use vinfer_circuits::program::{Op, Port, Program, Value};

use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::{Graph, Node};
use crate::report::{NodeInfo, Report};
use state::State;

/// Advice for operators that have no integer form.
const KEEP_OUTSIDE: &str = "compute it outside the proven model (before the input or after the output), or replace it";

/// Operators with a file or function of their own; more are in `movement` and in [`crate::unary`].
const OPERATORS: &[&str] = &[
    "QuantizeLinear",
    "DequantizeLinear",
    "com.microsoft.QuantizeLinear",
    "com.microsoft.DequantizeLinear",
    "Conv",
    "QLinearConv",
    "com.microsoft.QLinearConv",
    "Gemm",
    "MatMul",
    "QLinearMatMul",
    "com.microsoft.QGemm",
    "MatMulInteger",
    "ConvInteger",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Min",
    "Max",
    "PRelu",
    "Pow",
    "Equal",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "And",
    "Or",
    "Xor",
    "Not",
    "Where",
    "Cast",
    "com.microsoft.QLinearAdd",
    "com.microsoft.QLinearMul",
    "GlobalAveragePool",
    "AveragePool",
    "com.microsoft.QLinearGlobalAveragePool",
    "com.microsoft.QLinearAveragePool",
    "com.microsoft.QLinearSigmoid",
    "com.microsoft.QLinearLeakyRelu",
    "Identity",
    "Dropout",
    "MaxPool",
    "ReduceMax",
    "ReduceMin",
    "GlobalMaxPool",
    "ArgMax",
    "ArgMin",
    "TopK",
    "Split",
    "Concat",
    "com.microsoft.QLinearConcat",
    "Pad",
    "BatchNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "Softmax",
    "com.microsoft.QLinearSoftmax",
    "ReduceMean",
    "ReduceSum",
    "Shape",
    "Size",
    "ConstantOfShape",
    "Range",
];

/// Operators whose scales depend on the data.
const DYNAMIC: &[&str] = &[
    "DynamicQuantizeLinear",
    "com.microsoft.DynamicQuantizeMatMul",
    "com.microsoft.MatMulIntegerToFloat",
    "com.microsoft.DynamicQuantizeLSTM",
];

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

    /// Whether the operator is known at all.
    fn recognise(&self, node: &Node) -> Result<(), CompileError> {
        let op = node.op.as_str();
        if DYNAMIC.contains(&op) {
            return Err(CompileError::DynamicQuantisation { node: node.name.clone(), operator: node.op.clone() });
        }
        let remedy = match op {
            _ if OPERATORS.contains(&op) || movement::OPERATORS.contains(&op) => return Ok(()),
            _ if crate::unary::function(node, (0.0, 0.0))?.is_some() => return Ok(()),
            "LogSoftmax" | "Hardmax" => {
                "remove it from the end of the graph and apply it to the output outside the proof (it is monotone)"
            }
            _ => KEEP_OUTSIDE,
        };
        Err(node.unsupported("the operator is not supported", remedy))
    }

    fn node(&mut self, node: &'g Node) -> Result<State, CompileError> {
        self.recognise(node)?;
        self.extras.clear();
        if let Some(state) = self.fold(node)? {
            return Ok(state);
        }
        match node.op.as_str() {
            "QuantizeLinear" | "com.microsoft.QuantizeLinear" => self.quantise(node),
            "DequantizeLinear" | "com.microsoft.DequantizeLinear" => self.dequantise(node),
            "Conv" => self.conv(node),
            "QLinearConv" | "com.microsoft.QLinearConv" => self.qlinear_conv(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "QLinearMatMul" => self.qlinear_matmul(node),
            "com.microsoft.QGemm" => self.qgemm(node),
            "MatMulInteger" | "ConvInteger" => self.integer_product(node),
            "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "PRelu" => self.arithmetic(node),
            "Pow" => self.power(node),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
                self.compare(node)
            }
            "Where" => self.choose(node),
            "Cast" => self.cast(node),
            "com.microsoft.QLinearAdd" => self.qlinear_add(node),
            "com.microsoft.QLinearMul" => self.qlinear_mul(node),
            "GlobalAveragePool" | "AveragePool" => self.average(node),
            "com.microsoft.QLinearGlobalAveragePool" | "com.microsoft.QLinearAveragePool" => self.qlinear_average(node),
            "com.microsoft.QLinearSigmoid" | "com.microsoft.QLinearLeakyRelu" => self.qlinear_unary(node),
            "Identity" | "Dropout" => Ok(self.state(node, 0)?.clone()),
            "MaxPool" => self.max_pool(node),
            "ReduceMax" | "ReduceMin" | "GlobalMaxPool" => self.reduce_extremum(node),
            "ArgMax" | "ArgMin" => self.arg_extremum(node),
            "TopK" => self.top_k(node),
            "Split" => self.split(node),
            "Concat" => self.concat(node),
            "com.microsoft.QLinearConcat" => self.qlinear_concat(node),
            "Pad" => self.pad(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "LayerNormalization" => self.layer_normalisation(node),
            "RMSNormalization" | "SimplifiedLayerNormalization" => self.rms_normalisation(node),
            "Softmax" => self.softmax(node),
            "com.microsoft.QLinearSoftmax" => self.qlinear_softmax(node),
            "ReduceMean" | "ReduceSum" => self.reduce_floats(node),
            op if movement::OPERATORS.contains(&op) => self.movement(node),
            _ => self.unary(node),
        }
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
