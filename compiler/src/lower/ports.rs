//! Graph inputs and outputs.

use std::rc::Rc;

use vinfer_circuits::program::{Port, PortType, Quantisation, Value, ValueId};

use super::Lowering;
use super::float::FLOAT;
use super::operands::int_type;
use super::state::{Input, Integer, State};
use crate::error::CompileError;
use crate::graph::{Dim, Node, PortDecl};
use crate::onnx::proto::data_type;
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
            bad(format!(
                "element type {}; float, int64, bool, and uint8 to int32 are supported",
                data_type::name(declared.data_type)
            ))
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

    /// Declares the graph inputs of a program that reads none.
    pub(super) fn add_inputs(&mut self) -> Result<(), CompileError> {
        for declared in &self.graph.inputs {
            let Some(state) = self.states.get(&declared.name).cloned() else { continue };
            if let State::Input(mut input) = state {
                input.moves.clear();
                self.input_value(&Node::named(&declared.name), &input, FLOAT)?;
            }
        }
        Ok(())
    }
}

pub(super) fn leading_batch(declared: &PortDecl) -> bool {
    declared.dims.as_ref().is_some_and(|d| leading_batch_of(d))
}

pub(super) fn leading_batch_of(dims: &[Dim]) -> bool {
    matches!(dims.first(), Some(Dim::Fixed(1) | Dim::Symbolic(_)))
}
