//! Graph outputs.

use vinfer_circuits::ops::{Rewire, RewireKind};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program, Quantisation, Value, ValueId};

use super::Lowering;
use super::operands::is_byte;
use super::pending::Pending;
use super::ports::leading_batch_of;
use super::state::State;
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::onnx::proto::data_type;
use crate::report::Report;

impl Lowering<'_> {
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
            if (port_type == PortType::Float32) != (declared.data_type == data_type::FLOAT) {
                return Err(bad("its declared element type is not that of the computed tensor"));
            }
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
