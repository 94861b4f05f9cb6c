//! Int32 tensors as numbers, and quantisation along an axis or in blocks.

use vinfer_circuits::ops::{AxisIndices, Part, PartSource, Rewire, RewireKind};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::float::{FloatTensor, constant, thresholds};
use super::operands::number_of;
use super::qdq::quantise;
use super::state::{Integer, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// Most elements of a tensor with thresholds of its own for each element.
const MAX_SEPARATE: usize = 1 << 12;

/// Scales and zero points for each element of a tensor.
struct Spread {
    scales: Vec<f32>,
    zero_points: Vec<i32>,
    /// The axis along which they vary, unless it is all of them.
    axis: Option<usize>,
}

/// A tensor whose last axis is dequantised with one zero point and scales that are one scale times powers of two: its
/// rows are exact multiples of one unit.
#[derive(Clone, Debug)]
pub(super) struct ChannelScales {
    /// The integers.
    pub(super) value: ValueId,
    /// What each centred integer from lo to hi stands for, before its channel's factor.
    pub(super) table: Vec<f32>,
    /// Factor of each channel.
    pub(super) factors: Vec<i32>,
}

/// Largest power of two between two scales.
const MAX_FACTOR: f32 = 4096.0;

impl ChannelScales {
    fn new(value: ValueId, q: &Quantisation, rank: usize, spread: &Spread) -> Option<Self> {
        let (&zero_point, &least) = (spread.zero_points.first()?, spread.scales.iter().min_by(|a, b| a.total_cmp(b))?);
        let factors = spread.scales.iter().map(|&s| {
            let factor = s / least;
            let exact = factor <= MAX_FACTOR && (factor as u32).is_power_of_two() && factor * least == s;
            (exact && factor.fract() == 0.0).then_some(factor as i32)
        });
        let factors: Option<Vec<i32>> = factors.collect();
        let last = spread.axis.is_some_and(|axis| axis + 1 == rank);
        let same = spread.zero_points.iter().all(|&z| z == zero_point);
        let table = (q.lo()..=q.hi()).map(|c| (c + q.zero_point - zero_point) as f32 * least).collect();
        factors.filter(|_| last && same).map(|factors| Self { value, table, factors })
    }
}

impl Lowering<'_> {
    /// A product of an int32 tensor, as numbers, with one constant.
    pub(super) fn scaled_by(&mut self, node: &Node, states: &[State; 2]) -> Result<Option<State>, CompileError> {
        let (value, scale, other) = match states {
            [State::Scaled { value, scale }, other] | [other, State::Scaled { value, scale }] => {
                (*value, *scale, other)
            }
            _ => return Ok(None),
        };
        match self.scalar(other) {
            Some(number) if node.op == "Mul" && scale == 1.0 && number.is_finite() && number > 0.0 => {
                Ok(Some(State::Scaled { value, scale: number }))
            }
            _ => Err(node.stays_float(
                "its operand is a float accumulator",
                "use QLinearMatMul or QLinearConv, or quantise statically in QDQ form",
            )),
        }
    }

    /// Whether a node's parameters differ between the elements of a tensor.
    pub(super) fn separate(&self, node: &Node) -> Result<bool, CompileError> {
        Ok(self.constant(node, 1)?.is_some_and(|t| t.len() > 1))
    }

    /// The parameters of each element of a tensor of this shape.
    fn spread(&self, node: &Node, shape: &[u32], int_type: IntType) -> Result<Spread, CompileError> {
        let bad = |what: &str| node.bad_attribute("scale", what);
        let tensor = self.constant(node, 1)?.ok_or_else(|| bad("missing"))?;
        let dims: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        let own = tensor.floats().ok_or_else(|| bad("not a float tensor"))?;
        if own.iter().any(|s| !super::float::held(*s) || *s <= 0.0) {
            return Err(bad("scales must be positive and of moderate size"));
        }
        let points = match self.constant(node, 2)? {
            None => vec![0; own.len()],
            Some(t) if Some(t.data_type()) == number_of(int_type) && t.len() == own.len() => {
                t.integers().unwrap_or_default().into_iter().map(|v| v as i32).collect()
            }
            Some(_) => return Err(bad("scales and zero points differ in number or type")),
        };
        let axis = shapes::axis(node, node.int("axis", 1)?, shape.len())?;
        let block = u32::try_from(node.int("block_size", 0)?).map_err(|_| bad("negative block size"))?;
        let (steps, axis) = if block == 0 {
            if dims.as_slice() != [shape[axis]] {
                return Err(bad("the number of scales does not fit the axis"));
            }
            let mut steps = vec![1; shape.len()];
            steps[axis] = shape[axis];
            (steps, Some(axis))
        } else {
            let fits = dims.len() == shape.len()
                && (0..dims.len())
                    .all(|i| if i == axis { dims[i] == shape[i].div_ceil(block) } else { dims[i] == shape[i] });
            if !fits {
                return Err(bad("the scales do not fit the blocks"));
            }
            (dims, None)
        };
        let index = |at: usize| {
            let (mut rest, mut found, mut stride) = (at, 0, 1);
            for i in (0..shape.len()).rev() {
                let own = rest % shape[i] as usize;
                rest /= shape[i] as usize;
                let step = match (block, Some(i) == axis || block > 0) {
                    (0, true) => own,
                    (0, false) => 0,
                    _ if steps[i] == shape[i] => own,
                    _ => own / block as usize,
                };
                found += step * stride;
                stride *= steps[i] as usize;
            }
            found
        };
        let count = if axis.is_some() { own.len() } else { shapes::elements(shape).unwrap_or(0) };
        let at = |i: usize| if axis.is_some() { i } else { index(i) };
        let pick = |i: usize| (own.get(at(i)).copied().unwrap_or(1.0), points.get(at(i)).copied().unwrap_or(0));
        let (scales, zero_points) = (0..count).map(pick).unzip();
        Ok(Spread { scales, zero_points, axis })
    }

    /// DequantizeLinear with parameters for each channel or block: `f32(x - z) * s`.
    pub(super) fn dequantise_separately(&mut self, node: &Node, value: ValueId) -> Result<State, CompileError> {
        let own = self.value_ref(value).clone();
        let q = own.quantisation;
        if i64::from(q.hi()) - i64::from(q.lo()) >= 1 << 17 {
            return Err(node.unsupported("32-bit integers with several scales", "use one scale"));
        }
        let spread = self.spread(node, &own.shape, q.int_type)?;
        let shape = match spread.axis {
            Some(axis) => (0..own.shape.len()).map(|i| if i == axis { own.shape[i] } else { 1 }).collect(),
            None => own.shape.clone(),
        };
        let raw: Vec<f32> = (q.lo()..=q.hi()).map(|c| (c + q.zero_point) as f32).collect();
        let mut floats = self.table_of(node, value, &raw)?;
        if spread.zero_points.iter().any(|&z| z != 0) {
            let points: Vec<f32> = spread.zero_points.iter().map(|&z| z as f32).collect();
            floats = self.minus(node, floats, constant(&points, shape.clone()))?;
        }
        let floats = self.times(node, floats, constant(&spread.scales, shape))?;
        if let Some(scales) = ChannelScales::new(value, &own.quantisation, own.shape.len(), &spread) {
            self.channel_scales.insert(floats, scales);
        }
        Ok(State::Float(FloatTensor { value: floats, shape: own.shape, curves: None }))
    }

    /// QuantizeLinear with parameters for each channel or block.
    pub(super) fn quantise_separately(
        &mut self,
        node: &Node,
        state: State,
        int_type: IntType,
    ) -> Result<State, CompileError> {
        let tensor = self.floats(node, state)?;
        let spread = self.spread(node, &tensor.shape, int_type)?;
        if spread.axis.is_none() && spread.scales.len() > MAX_SEPARATE {
            return Err(node.unsupported("blocks in a tensor of more than 4096 elements", "quantise per channel"));
        }
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let own = |(&s, &z): (&f32, &i32)| {
            let q = Quantisation { scale_bits: s.to_bits(), zero_point: z, int_type };
            thresholds(int_type.min(), int_type.max(), |x| quantise(x, &q) + z)
        };
        let channels = spread.scales.iter().zip(&spread.zero_points).map(own).collect();
        let value = match spread.axis {
            Some(axis) => self.emit_quantise(node, tensor.value, Some(axis as u8), channels, quantisation)?,
            None => {
                let flat = self.reshaped(node, tensor.value, vec![spread.scales.len() as u32])?;
                let value = self.emit_quantise(node, flat, Some(0), channels, quantisation)?;
                self.reshaped(node, value, tensor.shape)?
            }
        };
        Ok(State::Integer(Integer { value, effective: int_type }))
    }

    /// A graph output of this ONNX element type.
    pub(super) fn typed_output(
        &mut self,
        node: &Node,
        value: ValueId,
        data_type: i32,
    ) -> Result<ValueId, CompileError> {
        let own = self.value_ref(value).clone();
        let q = own.quantisation;
        let index = matches!(q.int_type, IntType::Range { .. });
        if data_type == crate::onnx::proto::data_type::INT64 {
            if index {
                return Ok(value);
            }
            let real = self.raw_real(node, Integer { value, effective: q.int_type })?;
            let int_type = IntType::Range { min: q.int_type.min(), max: q.int_type.max() };
            return match self.integers_of(node, State::Real(real), int_type)? {
                State::Integer(integer) => Ok(integer.value),
                _ => Err(node.bad_attribute("output", "not an integer tensor")),
            };
        }
        let declared = super::operands::int_type(data_type);
        match declared {
            Some(int_type) if int_type == q.int_type && !index => Ok(value),
            Some(int_type) if q.zero_point == 0 && q.lo() >= int_type.min() && q.hi() <= int_type.max() => {
                let quantisation = Quantisation { int_type, ..q };
                let identity = vec![AxisIndices::Run { start: 0, step: 1 }; own.shape.len()];
                let source = PartSource::Value { input: value, indices: identity };
                let at = vec![0; own.shape.len()];
                let part = Part { at, shape: own.shape.clone(), source };
                self.emit_arrange(node, own.shape, vec![part], quantisation)
            }
            _ => Err(CompileError::BadPort {
                port: "output",
                name: node.output().to_owned(),
                reason: format!("declared {}, computed otherwise", crate::onnx::proto::data_type::name(data_type)),
            }),
        }
    }

    /// An int32 tensor with this scale, for a float graph output.
    pub(super) fn scaled_output(&mut self, node: &Node, value: ValueId, scale: f32) -> Result<ValueId, CompileError> {
        let own = self.value_ref(value).clone();
        if own.quantisation.scale().to_bits() == scale.to_bits() {
            return Ok(value);
        }
        let quantisation = Quantisation { scale_bits: scale.to_bits(), ..own.quantisation };
        let output = self.value(node, node.output(), own.shape, quantisation)?;
        let kind = RewireKind::Reshape;
        let op = Rewire { input: value, output, kind };
        self.emit(&node.name, &node.op, Op::Rewire(op), None);
        Ok(output)
    }
}
