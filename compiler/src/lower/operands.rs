//! Reading quantisation parameters and integer operands of nodes.

use vinfer_circuits::program::{IntType, Quantisation, ValueId};

use super::Lowering;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::onnx::proto::data_type;
use crate::onnx::tensor::Tensor;

/// Scales and zero points of a constant operand.
pub(super) struct Scales {
    pub scales: Vec<f32>,
    pub zero_points: Vec<i32>,
}

/// The integer type with this ONNX number.
pub(super) fn int_type(number: i32) -> Option<IntType> {
    match number {
        data_type::UINT8 => Some(IntType::U8),
        data_type::INT8 => Some(IntType::I8),
        data_type::UINT16 => Some(IntType::U16),
        data_type::INT16 => Some(IntType::I16),
        data_type::INT32 => Some(IntType::I32),
        data_type::BOOL => Some(IntType::Bool),
        data_type::UINT4 => Some(IntType::Range { min: 0, max: 15 }),
        data_type::INT4 => Some(IntType::Range { min: -8, max: 7 }),
        _ => None,
    }
}

/// The ONNX number of an integer type, if it has one.
pub(super) fn number_of(int_type: IntType) -> Option<i32> {
    let numbers = [data_type::UINT8, data_type::INT8, data_type::UINT16, data_type::INT16, data_type::INT32];
    let narrow = [data_type::BOOL, data_type::UINT4, data_type::INT4];
    numbers.into_iter().chain(narrow).find(|&n| self::int_type(n) == Some(int_type))
}

/// Whether ONNX Runtime has quantised operators for this type.
pub(super) const fn is_byte(int_type: IntType) -> bool {
    matches!(int_type, IntType::U8 | IntType::I8)
}

/// Zero point after ONNX Runtime's rewriting of int8 to uint8.
pub(super) fn effective_zero_point(q: &Quantisation, effective: IntType) -> i32 {
    q.zero_point + if q.int_type == IntType::I8 && effective == IntType::U8 { 128 } else { 0 }
}

impl Lowering<'_> {
    /// The constant behind an input, if the input is present.
    pub(super) fn constant(&self, node: &Node, index: usize) -> Result<Option<&Tensor>, CompileError> {
        if node.input(index).is_none() {
            return Ok(None);
        }
        match self.state(node, index)? {
            State::Constant(t) => Ok(Some(t)),
            _ => Err(node.unsupported(
                format!("operand `{}` is not a constant", node.input(index).unwrap_or_default()),
                QUANTISE_STATICALLY,
            )),
        }
    }

    /// Scales at input `scale` and zero points at input `scale + 1` (which may be missing) for integers of
    /// `data_type`.
    pub(super) fn scales(&self, node: &Node, scale: usize, data_type: i32) -> Result<Scales, CompileError> {
        let name = node.input(scale).unwrap_or("scale").to_owned();
        let bad = |reason: &str| node.bad_attribute(&name, reason);
        let tensor = self.constant(node, scale)?.ok_or_else(|| bad("the scale is missing"))?;
        let scales = tensor.floats().ok_or_else(|| bad("the scale is not a float tensor"))?.to_vec();
        if scales.is_empty() || tensor.dims.len() > 1 {
            return Err(bad("scales must be a scalar or a vector; blocked quantisation is not supported"));
        }
        if scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(bad("scales must be positive and finite"));
        }
        let zero_points = match self.constant(node, scale + 1)? {
            None => vec![0; scales.len()],
            Some(t) => {
                if t.data_type() != data_type {
                    return Err(bad("the zero point has another type than the integers"));
                }
                let points = t.integers().ok_or_else(|| bad("the zero point is not an integer"))?;
                let points: Vec<i32> = points.into_iter().map(|p| p as i32).collect(); // of at most 32 bits
                match points.as_slice() {
                    [one] => vec![*one; scales.len()],
                    many if many.len() == scales.len() => points,
                    _ => return Err(bad("scales and zero points differ in number")),
                }
            }
        };
        Ok(Scales { scales, zero_points })
    }

    /// Per-tensor parameters of an 8-bit tensor.
    pub(super) fn parameters(
        &self,
        node: &Node,
        scale: usize,
        int_type: IntType,
    ) -> Result<Quantisation, CompileError> {
        let number = number_of(int_type).ok_or_else(|| node.bad_attribute("input 0", "indices are not quantised"))?;
        let Scales { scales, zero_points } = self.scales(node, scale, number)?;
        match (scales.as_slice(), zero_points.as_slice()) {
            ([s], [z]) => Ok(Quantisation { scale_bits: s.to_bits(), zero_point: *z, int_type }),
            _ => Err(node.unsupported("activations are quantised per channel", "quantise activations per tensor")),
        }
    }

    /// The parameters of a QLinear operator's output at inputs `scale` and `scale + 1`.
    pub(super) fn output_parameters(
        &self,
        node: &Node,
        scale: usize,
        default: IntType,
    ) -> Result<Quantisation, CompileError> {
        let int_type = match self.constant(node, scale + 1)? {
            None => default,
            Some(t) => int_type(t.data_type()).filter(|&t| is_byte(t)).ok_or_else(|| {
                node.unsupported(
                    format!("{} activations", data_type::name(t.data_type())),
                    "quantise activations to uint8 or int8",
                )
            })?,
        };
        self.parameters(node, scale, int_type)
    }

    /// An integer tensor read with the parameters at inputs `scale` and `scale + 1`.
    pub(super) fn integer_operand(&mut self, node: &Node, index: usize, scale: usize) -> Result<Real, CompileError> {
        match self.state(node, index)?.clone() {
            State::Integer(Integer { value, effective }) => {
                let int_type = self.value_ref(value).quantisation.int_type;
                let quantisation = self.parameters(node, scale, int_type)?;
                let value = self.recentred(node, value, &quantisation)?;
                Ok(Real { value, quantisation, effective, direct: true, exact: true, table: None })
            }
            State::Constant(_) => Err(node.unsupported(
                format!("operand `{}` is a constant", node.input(index).unwrap_or_default()),
                "constants are supported as weights and as the second operand of Add",
            )),
            _ => Err(node.bad_attribute(&format!("input {index}"), "not an integer tensor")),
        }
    }

    /// The value with its integers centred by another zero point.
    pub(super) fn recentred(
        &mut self,
        node: &Node,
        value: ValueId,
        quantisation: &Quantisation,
    ) -> Result<ValueId, CompileError> {
        let own = self.value_ref(value).quantisation;
        if own.zero_point == quantisation.zero_point {
            return Ok(value);
        }
        if i64::from(own.hi()) - i64::from(own.lo()) >= 1 << 17 {
            return Err(node.unsupported("32-bit integers with a zero point", "use zero point 0"));
        }
        let table = (own.int_type.min()..=own.int_type.max()).map(|raw| raw - quantisation.zero_point).collect();
        self.emit_lookup((&node.name, "zero point"), node, value, table, *quantisation)
    }

    /// A float operand that is the plain dequantisation of an integer tensor, as fused operators need.
    pub(super) fn dequantised(&self, node: &Node, index: usize) -> Result<Real, CompileError> {
        let name = node.input(index).unwrap_or_default();
        let remedy =
            || format!("put QuantizeLinear and DequantizeLinear (8 bits, per tensor) before it: {QUANTISE_STATICALLY}");
        match self.state(node, index)? {
            State::Real(real) if real.table.is_none() && real.direct && is_byte(real.quantisation.int_type) => {
                Ok(real.clone())
            }
            State::Real(real) if !is_byte(real.quantisation.int_type) => Err(node.stays_float(
                format!("its input `{name}` is not quantised to 8 bits"),
                "quantise activations to uint8",
            )),
            State::Real(_) | State::Pending(_) | State::Input(_) | State::Float(_) | State::Scaled { .. } => {
                Err(node.stays_float(format!("its input `{name}` is a float tensor that is not quantised"), remedy()))
            }
            State::Weights(_) | State::Constant(_) => {
                Err(node
                    .unsupported(format!("operand `{name}` is a constant"), "only the second operand may be constant"))
            }
            State::Integer(_) | State::Indices(_) => {
                Err(node.bad_attribute(name, "an integer tensor where a float one is expected"))
            }
            State::Unknown => Err(node.unsupported("an input is unsupported", QUANTISE_STATICALLY)),
        }
    }
}
