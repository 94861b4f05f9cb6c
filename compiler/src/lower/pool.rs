//! MaxPool and global average pooling.

use std::rc::Rc;

use vinfer_circuits::ops::{MaxPool, Sum};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::average::Averages;
use super::contract::fused_name;
use super::float::FloatTensor;
use super::pending::Pending;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::shapes;

/// A global average without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct SumParts {
    node: Node,
    real: Real,
    pub(super) shape: Vec<u32>,
    /// `None`: the whole image.
    windows: Option<Averages>,
    fused: bool,
}

impl Lowering<'_> {
    pub(super) fn max_pool(&mut self, node: &Node) -> Result<State, CompileError> {
        if node.int("storage_order", 0)? != 0 {
            return Err(node.unsupported("storage_order = 1", "use the default storage order"));
        }
        if node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
            return Err(node.unsupported("the Indices output", "remove it"));
        }
        match self.state(node, 0)?.clone() {
            State::Integer(Integer { value, effective }) => {
                Ok(State::Integer(Integer { value: self.emit_max(node, value)?, effective }))
            }
            State::Real(real) => {
                // The maximum commutes with a function only if the function is non-decreasing.
                let sorted = real.table.as_ref().is_none_or(|t| t.is_sorted());
                let real = if sorted { real } else { self.ranked(node, &real)? };
                let value = self.emit_max(node, real.value)?;
                Ok(State::Real(Real { value, direct: false, ..real }))
            }
            _ => Err(node.stays_float(
                "its input is a float tensor that is not quantised",
                format!("put QuantizeLinear and DequantizeLinear before it: {QUANTISE_STATICALLY}"),
            )),
        }
    }

    fn emit_max(&mut self, node: &Node, input: ValueId) -> Result<ValueId, CompileError> {
        let value = self.value_ref(input);
        let (shape, quantisation) = (value.shape.clone(), value.quantisation);
        let kernel = self.kernel(node, &shape)?;
        let (windows, lengths) = shapes::windows(node, &shape, &kernel, node.int("ceil_mode", 0)? != 0)?;
        for (w, &out) in windows.iter().zip(&lengths) {
            let len = shape[w.axis as usize];
            if (0..out).any(|o| (0..w.kernel).all(|k| w.input_index(o, k, len).is_none())) {
                return Err(node.bad_shape("a window holds only padding"));
            }
        }
        let mut out = shape[..2].to_vec();
        out.extend(lengths);
        let output = self.value(node, node.output(), out, quantisation)?;
        self.emit(&node.name, &node.op, Op::MaxPool(MaxPool { input, output, windows }), None);
        Ok(output)
    }

    /// The `kernel_shape` of a pooling node on an input of this shape.
    fn kernel(&self, node: &Node, shape: &[u32]) -> Result<Vec<u32>, CompileError> {
        let spatial = shape.len().saturating_sub(2);
        if !(1..=3).contains(&spatial) {
            return Err(node.unsupported(format!("input shape {shape:?}"), "pooling over 1 to 3 axes is supported"));
        }
        if !node.attributes.contains_key("kernel_shape") {
            return Err(node.bad_attribute("kernel_shape", "missing"));
        }
        shapes::list(node, "kernel_shape", spatial, 0, 1)
    }

    pub(super) fn average(&mut self, node: &Node) -> Result<State, CompileError> {
        if self.check_single_reader(node).is_ok() && self.dequantised(node, 0).is_ok() {
            let real = self.dequantised(node, 0)?;
            let parts = self.average_parts(node, real, true)?;
            return Ok(State::Pending(Rc::new(Pending::Sum(parts))));
        }
        let real = self.function_of(node, 0)?;
        self.float_average(node, &real)
    }

    pub(super) fn qlinear_average(&mut self, node: &Node) -> Result<State, CompileError> {
        if node.int("channels_last", 0)? != 0 {
            return Err(node.unsupported("channels_last = 1", "use the channels-first layout"));
        }
        let real = self.integer_operand(node, 0, 1)?;
        let quantisation = self.output_parameters(node, 3, real.quantisation.int_type)?;
        let parts = self.average_parts(node, real, false)?;
        self.complete(node, &Pending::Sum(parts), quantisation, quantisation.int_type)
    }

    fn average_parts(&self, node: &Node, real: Real, fused: bool) -> Result<SumParts, CompileError> {
        let input = self.value_ref(real.value).shape.clone();
        if input.len() < 3 {
            return Err(node.bad_shape(format!("no spatial axes in {input:?}")));
        }
        let windows = if node.op.ends_with("GlobalAveragePool") {
            None
        } else {
            if node.attributes.contains_key("dilations") {
                return Err(node.unsupported(
                    "an explicit `dilations` attribute, with which ONNX Runtime refuses the quantised operator",
                    "remove the attribute",
                ));
            }
            self.averages(node, &input)?
        };
        let mut shape = input[..2].to_vec();
        match &windows {
            None => shape.resize(input.len(), 1),
            Some(averages) => shape.extend(&averages.lengths),
        }
        Ok(SumParts { node: node.clone(), real, shape, windows, fused })
    }

    /// The windows of an AveragePool; `None` for one window that is the whole image.
    fn averages(&self, node: &Node, input: &[u32]) -> Result<Option<Averages>, CompileError> {
        let kernel = self.kernel(node, input)?;
        let (windows, lengths) = shapes::windows(node, input, &kernel, node.int("ceil_mode", 0)? != 0)?;
        let unpadded = windows.iter().all(|w| w.pad_begin == 0)
            && match node.text("auto_pad", "NOTSET")? {
                "NOTSET" | "" => node.ints("pads")?.is_none_or(|p| p.iter().all(|&p| p == 0)),
                "VALID" => true,
                _ => lengths.iter().all(|&l| l == 1),
            };
        if kernel == input[2..] && unpadded {
            return Ok(None);
        }
        let include = node.int("count_include_pad", 0)? != 0;
        Averages::new(node, input, windows, lengths, include).map(Some)
    }

    /// An average that ONNX Runtime computes on floats.
    fn float_average(&mut self, node: &Node, real: &Real) -> Result<State, CompileError> {
        let input = self.value_ref(real.value).shape.clone();
        if input.len() < 3 {
            return Err(node.bad_shape(format!("no spatial axes in {input:?}")));
        }
        let sequential = self.graph.opset >= 19 && node.op == "AveragePool";
        let include = node.int("count_include_pad", 0)? != 0;
        if !sequential || (include && node.int("ceil_mode", 0)? != 0) {
            return Err(node.stays_float(
                "its result or input is not quantised, and ONNX Runtime adds in another order",
                format!("quantise its input and its result: {QUANTISE_STATICALLY}"),
            ));
        }
        let kernel = self.kernel(node, &input)?;
        let (windows, lengths) = shapes::windows(node, &input, &kernel, node.int("ceil_mode", 0)? != 0)?;
        let averages = Averages::new(node, &input, windows, lengths, include)?;
        let value = self.average_floats(node, real, &averages)?;
        let shape = self.value_ref(value).shape.clone();
        Ok(State::Float(FloatTensor { value, shape, curves: None }))
    }

    pub(super) fn complete_sum(
        &mut self,
        at: &Node,
        parts: &SumParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let SumParts { node, real, shape, windows, fused } = parts;
        if *fused && effective != real.effective {
            return match self.float_average(node, real)? {
                State::Float(tensor) => self.quantise_float(at, &tensor, quantisation),
                _ => Err(node.bad_attribute("input 0", "not a float tensor")),
            };
        }
        if let Some(averages) = windows {
            return self.complete_average(at, node, real, averages, quantisation, effective);
        }
        let axes: Vec<u8> = (2..shape.len() as u8).collect();
        let output = self.value(node, at.output(), shape.clone(), quantisation)?;
        let requant = vinfer_circuits::ops::Requant::Line { multiplier: 0, offset: 0, shift: 0 };
        let mut sum = Sum { input: real.value, output, axes, requant };
        let input = self.value_ref(real.value);
        let count = sum.count(input);
        let range = sum.reachable(input);
        self.check_accumulator(node, 0, range)?;
        let scale = real.quantisation.scale() / (quantisation.scale() * count as f32);
        sum.requant = self.requant(node, scale, &quantisation, range)?;
        self.emit(&node.name, &fused_name(*fused, &node.op), Op::Sum(sum), Some(range));
        Ok(output)
    }
}
