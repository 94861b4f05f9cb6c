//! Graph inputs and outputs.

use std::rc::Rc;

use vinfer_circuits::ops::{Rewire, RewireKind};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program, Quantisation, Value, ValueId};

use super::Lowering;
use super::float::FLOAT;
use super::operands::{int_type, is_byte};
use super::pending::Pending;
use super::state::{Input, Integer, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::{Dim, Node, PortDecl};
use crate::onnx::proto::data_type;
use crate::report::Report;
use crate::shapes;

impl Lowering<'_> {
    /// Defines constants and graph inputs.
    pub(super) fn start(&mut self) -> Result<(), CompileError> {
        for (name, tensor) in &self.graph.constants {
            self.states.insert(name.clone(), State::Constant(Rc::clone(tensor)));
        }
        let mut first = None;
        for (port, declared) in self.graph.inputs.iter().enumerate() {
            let state = self.input_state(port, declared).unwrap_or_else(|error| {
                first.get_or_insert(error);
                State::Unknown
            });
            self.states.insert(declared.name.clone(), state);
        }
        match first {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn input_state(&mut self, port: usize, declared: &PortDecl) -> Result<State, CompileError> {
        let bad = |reason: String| CompileError::BadPort { port: "input", name: declared.name.clone(), reason };
        let dims = declared.dims.as_ref().ok_or_else(|| bad("no shape is declared".to_owned()))?;
        let mut shape = Vec::with_capacity(dims.len());
        for (axis, dim) in dims.iter().enumerate() {
            shape.push(match dim {
                Dim::Fixed(size) => *size,
                Dim::Symbolic(_) if axis == 0 => 1,
                Dim::Symbolic(symbol) => {
                    let (input, dimension) = (declared.name.clone(), symbol.clone());
                    return Err(CompileError::DynamicShape { input, axis, dimension });
                }
            });
        }
        if shapes::elements(&shape).is_none() {
            return Err(bad(format!("the shape {shape:?} is empty, too large or has more than 8 axes")));
        }
        if declared.data_type == data_type::FLOAT {
            return Ok(State::Input(Input { port, declared: shape, moves: Vec::new() }));
        }
        if declared.data_type == data_type::INT64 {
            return Ok(State::Indices(Input { port, declared: shape, moves: Vec::new() }));
        }
        let int_type = int_type(declared.data_type).ok_or_else(|| {
            bad(format!("element type {}, which no tensor of a program has", data_type::name(declared.data_type)))
        })?;
        let quantisation = self.reader_quantisation(&declared.name, int_type);
        let value = self.values.len() as ValueId;
        self.values.push(Value { name: declared.name.clone(), shape, quantisation });
        self.inputs.push(Port {
            name: declared.name.clone(),
            port_type: PortType::Integer,
            value,
            leading_batch: leading_batch(declared),
        });
        Ok(State::Integer(Integer { value, effective: int_type }))
    }

    /// The parameters with which an integer graph input is first read.
    fn reader_quantisation(&self, name: &str, int_type: vinfer_circuits::program::IntType) -> Quantisation {
        let default = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let mut name = name;
        for _ in 0..self.graph.nodes.len() {
            let Some(node) = self.consumers.get(name).and_then(|c| c.first()).map(|&i| &self.graph.nodes[i]) else {
                return default;
            };
            let slot = node.inputs.iter().position(|i| i == name).unwrap_or(0);
            let quantised =
                node.op.contains("QLinear") || node.op.contains("QGemm") || node.op.contains("DequantizeLinear");
            if quantised {
                return self.parameters(node, slot + 1, int_type).unwrap_or(default);
            }
            name = node.output();
        }
        default
    }

    /// The integer tensor behind a float graph input, quantised with these parameters.
    pub(super) fn input_value(
        &mut self,
        node: &Node,
        input: &Input,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let declared = &self.graph.inputs[input.port];
        let known = self
            .inputs
            .iter()
            .find(|p| p.name == declared.name && self.values[p.value as usize].quantisation == quantisation);
        let mut value = match known {
            Some(port) => port.value,
            None => {
                let value = self.values.len() as ValueId;
                let shape = input.declared.clone();
                self.values.push(Value { name: declared.name.clone(), shape, quantisation });
                self.inputs.push(Port {
                    name: declared.name.clone(),
                    port_type: PortType::Float32,
                    value,
                    leading_batch: leading_batch(declared),
                });
                value
            }
        };
        value = self.moved(node, value, &input.moves)?;
        Ok(value)
    }

    /// Resolves the graph outputs and validates the program.
    pub(super) fn finish(mut self) -> Result<(Program, Report), CompileError> {
        let mut outputs = Vec::new();
        for declared in &self.graph.outputs {
            let bad = |reason: &str| CompileError::BadPort {
                port: "output",
                name: declared.name.clone(),
                reason: reason.to_owned(),
            };
            let float = |reason: &str| {
                let node = self.graph.nodes.iter().find(|n| n.outputs.contains(&declared.name));
                let remedy = format!("put QuantizeLinear and DequantizeLinear after it: {QUANTISE_STATICALLY}");
                node.map_or_else(|| bad(reason), |n| n.stays_float(reason, remedy))
            };
            let node = self.graph.nodes.iter().find(|n| n.outputs.contains(&declared.name));
            let node =
                Node { outputs: vec![declared.name.clone()], ..node.cloned().unwrap_or_else(|| Node::named("output")) };
            let (port_type, value) = match self.states.get(&declared.name).cloned() {
                Some(State::Integer(i)) => {
                    let value = self.typed_output(&node, i.value, declared.data_type)?;
                    let int64 = declared.data_type == data_type::INT64;
                    (if int64 { PortType::Int64 } else { PortType::Integer }, value)
                }
                Some(State::Real(real)) if real.table.is_none() && is_byte(real.quantisation.int_type) => {
                    (PortType::Float32, self.relabelled(real.value, real.quantisation))
                }
                Some(State::Scaled { value, scale }) => (PortType::Float32, self.scaled_output(&node, value, scale)?),
                Some(State::Constant(tensor)) => {
                    let value = self.constant_output(&node, &tensor)?;
                    match self.values[value as usize].quantisation.int_type {
                        IntType::F32 => (PortType::Float32, value),
                        IntType::Range { .. } => (PortType::Int64, value),
                        _ => (PortType::Integer, value),
                    }
                }
                Some(state @ (State::Real(_) | State::Float(_) | State::Input(_) | State::Weights(_))) => {
                    self.check_signs(&node, &state)?;
                    (PortType::Float32, self.floats(&node, state)?.value)
                }
                Some(State::Pending(pending)) => match (&*pending, self.float_result(&node, &pending)) {
                    (_, Some(result)) => (PortType::Float32, result?),
                    _ => return Err(float("its float result is a graph output")),
                },
                _ => return Err(float("its float result is a graph output")),
            };
            let shape = &self.values[value as usize].shape;
            let leading_batch = match &declared.dims {
                Some(dims) => leading_batch_of(dims),
                None => shape.first() == Some(&1),
            };
            outputs.push(Port { name: declared.name.clone(), port_type, value, leading_batch });
        }
        if self.inputs.is_empty() {
            self.add_inputs()?;
        }
        let program = Program { inputs: self.inputs, outputs, values: self.values, ops: self.ops };
        program.validate().map_err(|error| CompileError::Limit { reason: error.to_string() })?;
        Ok((program, self.report))
    }

    /// Float results of operators that need no quantisation to be complete.
    fn float_result(&mut self, node: &Node, pending: &Pending) -> Option<Result<ValueId, CompileError>> {
        let result = match pending {
            Pending::Pair(parts) => self.pair_real(parts).map(State::Real),
            Pending::Pieces(_) | Pending::Softmax(_) => self.as_function(node, pending),
            _ => return None,
        };
        Some(result.and_then(|state| {
            self.check_signs(node, &state)?;
            Ok(self.floats(node, state)?.value)
        }))
    }

    /// Refuses results that the runtime may return as negative zero, which programs do not have.
    fn check_signs(&self, node: &Node, state: &State) -> Result<(), CompileError> {
        let negative_zero = |numbers: &[f32]| numbers.iter().any(|x| x.to_bits() == 1 << 31);
        let found = match state {
            State::Real(real) => negative_zero(&real.table()),
            State::Constant(_) | State::Weights(_) => self.constant_floats(state).is_some_and(|n| negative_zero(&n)),
            _ => false,
        };
        if found {
            return Err(node.stays_float("its float result can be negative zero", "quantise the result"));
        }
        Ok(())
    }

    /// Declares the graph inputs of a program that reads none.
    fn add_inputs(&mut self) -> Result<(), CompileError> {
        for declared in &self.graph.inputs {
            let Some(state) = self.states.get(&declared.name).cloned() else { continue };
            if let State::Input(mut input) = state {
                input.moves.clear();
                self.input_value(&Node::named(&declared.name), &input, FLOAT)?;
            }
        }
        Ok(())
    }

    /// The same integers with other parameters (of the same range).
    fn relabelled(&mut self, input: ValueId, quantisation: Quantisation) -> ValueId {
        let own = self.value_ref(input);
        if own.quantisation == quantisation {
            return input;
        }
        let output = self.values.len() as ValueId;
        let value = Value { quantisation, ..own.clone() };
        let name = value.name.clone();
        self.values.push(value);
        self.emit(&name, "DequantizeLinear", Op::Rewire(Rewire { input, output, kind: RewireKind::Reshape }), None);
        output
    }
}

pub(super) fn leading_batch(declared: &PortDecl) -> bool {
    declared.dims.as_ref().is_some_and(|d| leading_batch_of(d))
}

fn leading_batch_of(dims: &[Dim]) -> bool {
    matches!(dims.first(), Some(Dim::Fixed(1) | Dim::Symbolic(_)))
}
