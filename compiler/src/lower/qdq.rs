//! QuantizeLinear and DequantizeLinear.

use std::rc::Rc;

use vinfer_circuits::boundary;
use vinfer_circuits::program::{IntType, Quantisation, ValueId};

use super::Lowering;
use super::operands::{int_type, is_byte, number_of};
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::{Attribute, Node};
use crate::onnx::proto::data_type;
use crate::onnx::tensor::{Data, Tensor};
use crate::shapes;

/// Operators that ONNX Runtime removes where they have no effect.
const ELIMINATED: &[&str] = &["Expand", "Slice", "Cast", "Pad", "Concat", "Add", "Sub", "Mul", "Div", "Dropout"];

impl Lowering<'_> {
    pub(super) fn dequantise(&mut self, node: &Node) -> Result<State, CompileError> {
        match self.state(node, 0)?.clone() {
            State::Constant(tensor) => {
                self.refuse_blocks(node)?;
                let axis = node.int("axis", 1)?;
                let several = self.constant(node, 1)?.is_some_and(|s| s.len() > 1);
                let axis = if several { shapes::axis(node, axis, tensor.dims.len())? } else { 0 };
                Ok(State::Weights(Rc::new(self.weights(node, &tensor, 1, axis)?)))
            }
            State::Integer(Integer { value, .. }) if self.separate(node)? => self.dequantise_separately(node, value),
            State::Integer(Integer { value, effective }) => {
                let int_type = self.value_ref(value).quantisation.int_type;
                let quantisation = self.parameters(node, 1, int_type)?;
                let value = self.recentred(node, value, &quantisation)?;
                if int_type == IntType::I32 {
                    return Ok(State::Scaled { value, scale: quantisation.scale() });
                }
                Ok(State::Real(Real { value, quantisation, effective, direct: true, exact: true, table: None }))
            }
            _ => Err(node.bad_attribute("input 0", "not an integer tensor")),
        }
    }

    pub(super) fn quantise(&mut self, node: &Node) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        let int_type = self.quantised_type(node)?;
        if let State::Constant(tensor) = &state {
            self.refuse_blocks(node)?;
            return self.quantise_constant(node, tensor, int_type);
        }
        if self.separate(node)? {
            return self.quantise_separately(node, state, int_type);
        }
        let quantisation = self.parameters(node, 1, int_type)?;
        let effective = if self.rewritten(node, &quantisation) { IntType::U8 } else { int_type };
        let value = match state {
            State::Input(input) => self.input_value(node, &input, quantisation)?,
            State::Float(tensor) => self.quantise_float(node, &tensor, quantisation)?,
            State::Pending(pending) => return self.complete(node, &pending, quantisation, effective),
            State::Real(real) => {
                if real.quantisation != quantisation && self.stands_for_itself(&real) {
                    self.refuse_moved_pair(node)?;
                }
                self.quantise_real(node, &real, quantisation)?
            }
            State::Scaled { .. } => {
                return Err(node.stays_float(
                    "it quantises a float accumulator",
                    "use QLinearMatMul or QLinearConv, or quantise statically in QDQ form",
                ));
            }
            _ => return Err(node.bad_attribute("input 0", "not a float tensor")),
        };
        Ok(State::Integer(Integer { value, effective }))
    }

    /// A function of an integer tensor, quantised.
    pub(super) fn quantise_real(
        &mut self,
        node: &Node,
        real: &Real,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        if real.table.is_none() && real.quantisation == quantisation {
            return Ok(real.value);
        }
        if !is_byte(quantisation.int_type) && quantisation.hi() - quantisation.lo() > 255 {
            self.check_exact(node, real)?;
        }
        let table = real.table().iter().map(|&x| quantise(x, &quantisation)).collect();
        self.emit_lookup((&node.name, "table"), node, real.value, table, quantisation)
    }

    /// Whether a function of a tensor is its plain dequantisation.
    fn stands_for_itself(&self, real: &Real) -> bool {
        let plain = Real { table: None, ..real.clone() };
        real.table.is_none() || (is_byte(real.quantisation.int_type) && real.table() == plain.table())
    }

    /// ONNX Runtime may move or drop an operator without effect and then merge the Q/DQ pairs on its two sides into one
    /// with new parameters; whether it does depends on the rest of the graph.
    fn refuse_moved_pair(&self, node: &Node) -> Result<(), CompileError> {
        let mut name = node.input(0).unwrap_or_default();
        while let Some(source) = self.graph.nodes.iter().find(|n| n.outputs.iter().any(|o| o == name)) {
            let shape = |name: &str| self.states.get(name).and_then(|state| self.shape_of(state));
            let from = source.input(0).unwrap_or_default();
            match source.op.as_str() {
                "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Identity" => {}
                "DequantizeLinear" | "com.microsoft.DequantizeLinear" => break,
                op if op == "Transpose"
                    || (ELIMINATED.contains(&op) && shape(from) == shape(name) && !self.by_many_numbers(source)) =>
                {
                    return Err(source.unsupported(
                        "it has no effect, and its input and output have different quantisation parameters",
                        "use the same scale and zero point on both sides, or remove the operator",
                    ));
                }
                _ => {}
            }
            name = from;
        }
        Ok(())
    }

    /// Whether a node combines a tensor with a constant of several elements: ONNX Runtime's elimination of operators
    /// without effect (`NoopElimination`) looks at constants of one element only.
    fn by_many_numbers(&self, node: &Node) -> bool {
        matches!(node.op.as_str(), "Add" | "Sub" | "Mul" | "Div")
            && node.inputs.iter().any(|name| match self.states.get(name) {
                Some(State::Constant(tensor)) => tensor.len() > 1,
                Some(State::Weights(weights)) => weights.raw.len() > 1,
                _ => false,
            })
    }

    /// The integer type that a QuantizeLinear produces.
    fn quantised_type(&self, node: &Node) -> Result<IntType, CompileError> {
        let number = match self.constant(node, 2)? {
            Some(zero_point) => zero_point.data_type(),
            None => match node.int("output_dtype", 0)? {
                0 => data_type::UINT8,
                number => number as i32,
            },
        };
        int_type(number).filter(|&t| t != IntType::I32 && t != IntType::Bool).ok_or_else(|| {
            node.unsupported(format!("it quantises to {}", data_type::name(number)), "quantise to uint8 or int8")
        })
    }

    /// Whether ONNX Runtime rewrites this int8 tensor to uint8: it is read by exactly one DequantizeLinear with the
    /// same zero point, which in turn has one reader.
    fn rewritten(&self, node: &Node, quantisation: &Quantisation) -> bool {
        let only_reader = |name: &str| {
            let readers = self.consumers.get(name).map_or(&[][..], Vec::as_slice);
            match (readers, self.graph.is_output(name)) {
                ([one], false) => Some(&self.graph.nodes[*one]),
                _ => None,
            }
        };
        if quantisation.int_type != IntType::I8 || node.input(2).is_none() {
            return quantisation.int_type == IntType::U8; // other types keep their own
        }
        let Some(dequantise) = only_reader(node.output()).filter(|d| d.op == "DequantizeLinear") else {
            return false;
        };
        let same = self
            .constant(dequantise, 2)
            .ok()
            .flatten()
            .and_then(Tensor::integers)
            .is_some_and(|z| z == [i64::from(quantisation.zero_point)]);
        let name = dequantise.output();
        let readers = self.consumers.get(name).map_or(0, Vec::len) + usize::from(self.graph.is_output(name));
        same && readers == 1
    }

    fn quantise_constant(&self, node: &Node, tensor: &Tensor, int_type: IntType) -> Result<State, CompileError> {
        let floats = tensor.floats().ok_or_else(|| node.bad_attribute("input 0", "not a float tensor"))?;
        let number = number_of(int_type).unwrap_or(data_type::UINT8);
        let scales = self.scales(node, 1, number)?;
        let several = scales.scales.len() > 1;
        let (inner, count) = if several {
            let axis = shapes::axis(node, node.int("axis", 1)?, tensor.dims.len())?;
            if tensor.dims[axis] != scales.scales.len() {
                return Err(node.bad_shape("the number of scales does not fit the axis"));
            }
            (tensor.dims[axis + 1..].iter().product::<usize>().max(1), scales.scales.len())
        } else {
            (1, 1)
        };
        let raw = floats.iter().enumerate().map(|(at, &x)| {
            let i = at / inner % count;
            let zero_point = scales.zero_points[i];
            let q = Quantisation { scale_bits: scales.scales[i].to_bits(), zero_point, int_type };
            Ok(quantise(x, &q) + zero_point)
        });
        let raw: Vec<i32> = raw.collect::<Result<_, CompileError>>()?;
        let data = match int_type {
            IntType::U8 => Data::U8(raw.into_iter().map(|v| v as u8).collect()),
            IntType::I8 => Data::I8(raw.into_iter().map(|v| v as i8).collect()),
            _ => {
                return Err(
                    node.unsupported("quantisation of constants to another type than 8 bits", "use uint8 or int8")
                );
            }
        };
        Ok(State::Constant(Rc::new(Tensor { dims: tensor.dims.clone(), data })))
    }

    fn refuse_blocks(&self, node: &Node) -> Result<(), CompileError> {
        if matches!(node.attributes.get("block_size"), Some(Attribute::Int(size)) if *size != 0) {
            return Err(node.unsupported("blocked quantisation", "quantise per tensor or per channel"));
        }
        Ok(())
    }
}

/// Centred result of QuantizeLinear; NaN becomes the least value, as in the runtime's vector instructions.
pub(super) fn quantise(x: f32, q: &Quantisation) -> i32 {
    boundary::quantise(x, q).unwrap_or_else(|| q.lo())
}
