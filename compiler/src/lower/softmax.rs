//! Softmax: the fused QLinearSoftmax, replayed on a table of 256 powers.

use std::rc::Rc;

use vinfer_circuits::ops::{Add, AddForm, Extremum, ExtremumResult, Operand};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::float::{held, thresholds};
use super::pending::Pending;
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// Most elements of one row.
const MAX_ROW: u32 = 1 << 15;

/// A fused Softmax without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct SoftmaxParts {
    pub(super) node: Node,
    pub(super) real: Real,
    pub(super) shape: Vec<u32>,
    rows: Rows,
}

/// Along which axis, in which shape, the rows lie.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) shape: Vec<u32>,
    pub(super) axis: usize,
}

impl Lowering<'_> {
    pub(super) fn softmax(&mut self, node: &Node) -> Result<State, CompileError> {
        let fused = self.check_single_reader(node).is_ok() && self.dequantised(node, 0).is_ok();
        if !fused {
            return self.float_softmax(node);
        }
        let real = self.dequantised(node, 0)?;
        let shape = self.value_ref(real.value).shape.clone();
        let rows = rows(node, &shape, self.graph.opset)?;
        Ok(State::Pending(Rc::new(Pending::Softmax(SoftmaxParts { node: node.clone(), real, shape, rows }))))
    }

    /// com.microsoft.QLinearSoftmax; its attribute `opset` selects the meaning of the axis.
    pub(super) fn qlinear_softmax(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.integer_operand(node, 0, 1)?;
        let quantisation = self.output_parameters(node, 3, real.quantisation.int_type)?;
        let shape = self.value_ref(real.value).shape.clone();
        let rows = rows(node, &shape, node.int("opset", self.graph.opset)?)?;
        let parts = SoftmaxParts { node: node.clone(), real, shape, rows };
        let value = self.complete_softmax(node, &parts, quantisation)?;
        Ok(State::Integer(Integer { value, effective: quantisation.int_type }))
    }

    /// `min(qmax, rne(f32(f32(v * Y) / S)) + zp)`, with `v` from a table over `x - max(x)`, `S` its sequential sum and
    /// `Y = floor(1 / scale)`.
    pub(super) fn complete_softmax(
        &mut self,
        at: &Node,
        parts: &SoftmaxParts,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let SoftmaxParts { node, real, shape, rows } = parts;
        let size = rows.shape[rows.axis];
        let (powers, numerators) = tables(node, real.quantisation.scale(), size, quantisation.scale())?;
        let x = self.reshaped(node, real.value, rows.shape.clone())?;
        let most = self.row_maximum(node, x, rows.axis)?;
        let reach = self.value_ref(x).quantisation.hi() - self.value_ref(x).quantisation.lo();
        let difference = Quantisation {
            scale_bits: real.quantisation.scale_bits,
            zero_point: 0,
            int_type: IntType::Range { min: -reach, max: reach },
        };
        let output = self.value(node, node.output(), rows.shape.clone(), difference)?;
        let form = AddForm::Exact { multiplier_a: 1, multiplier_b: -1, offset: 0 };
        self.emit(&node.name, &node.op, Op::Add(Add { a: x, b: Operand::Value(most), output, form }), None);
        let powers = self.table_of(node, output, &powers)?;
        let sum = self.running_sum(node, powers, rows.axis)?;
        let numerators = self.table_of(node, output, &numerators)?;
        let quotient = self.over(node, numerators, Operand::Value(sum))?;
        let hi = quantisation.hi();
        let own = thresholds(quantisation.lo(), hi, |r| (r.max(0.0).round_ties_even() as i32).min(hi));
        let y = self.emit_quantise(at, quotient, None, vec![own], quantisation)?;
        self.reshaped(at, y, shape.clone())
    }

    /// The greatest element of each row.
    pub(super) fn row_maximum(&mut self, node: &Node, input: ValueId, axis: usize) -> Result<ValueId, CompileError> {
        let value = self.value_ref(input);
        let (mut shape, quantisation) = (value.shape.clone(), value.quantisation);
        if shape[axis] == 1 {
            return Ok(input);
        }
        shape[axis] = 1;
        let output = self.value(node, node.output(), shape, quantisation)?;
        let op = Extremum { input, output, axis: axis as u8, least: false, result: ExtremumResult::Value };
        self.emit(&node.name, &node.op, Op::Extremum(op), None);
        Ok(output)
    }
}

/// Where the rows of a Softmax lie: along one axis since operator set 13, over all axes from `axis` on before.
pub(super) fn rows(node: &Node, shape: &[u32], opset: i64) -> Result<Rows, CompileError> {
    let default = if opset < 13 { 1 } else { -1 };
    let rank = shape.len();
    let given = node.int("axis", default)?;
    if opset < 13 && given == rank as i64 {
        return Err(node.unsupported("rows of one element", "use the axis of the classes"));
    }
    let axis = shapes::axis(node, given, rank)?;
    let rows = if opset < 13 {
        let product = |dims: &[u32]| dims.iter().product::<u32>();
        Rows { shape: vec![product(&shape[..axis]), product(&shape[axis..])], axis: 1 }
    } else {
        Rows { shape: shape.to_vec(), axis }
    };
    if rows.shape[rows.axis] > MAX_ROW {
        return Err(node.unsupported("rows of more than 2^15 elements", "use fewer classes"));
    }
    Ok(rows)
}

/// The powers and the numerators for `x - max` from -255 to 255 (positive differences do not occur), both multiplied by
/// one power of two, which changes no rounding.
fn tables(node: &Node, sx: f32, size: u32, sy: f32) -> Result<(Vec<f32>, Vec<f32>), CompileError> {
    let limit = f64::from(f32::MAX / size as f32).ln() as f32;
    let shift = (f64::from(limit) - 5.0).max(0.0) / f64::from(sx);
    let scale = (1.0 / sy).floor();
    let power = |i: i32| libm::exp((f64::from(i) + shift) * f64::from(sx)) as f32;
    let mut powers: Vec<f32> = (-255..=0).map(power).collect();
    let refuse = |reason: &str, remedy: &str| Err(node.unsupported(reason, remedy));
    if !(powers[255] * scale).is_finite() {
        return refuse("its output scale is so small that ONNX Runtime's arithmetic overflows", "use the scale 1/256");
    }
    drop_negligible(&mut powers, size, scale);
    // The largest power becomes about 1, or as large as needed for the smallest one.
    let exponent = |x: f32| ((x.to_bits() >> 23) & 0xff) as i32 - 127;
    let smallest = powers.iter().copied().find(|&p| p > 0.0).map_or(0, exponent);
    let top = (-70 - (smallest - exponent(powers[255]))).clamp(0, 70);
    let factor = libm::exp2(f64::from(top - exponent(powers[255])));
    let scaled = |x: f32| (f64::from(x) * factor) as f32;
    let fits = |x: f32| x == 0.0 || (x >= f32::MIN_POSITIVE && held(scaled(x)) && held(scaled(x * scale)));
    if !powers.iter().all(|&p| fits(p)) {
        return refuse(
            "its input scale spans more than 140 powers of two, too many for proven float arithmetic",
            "quantise the scores with a scale below 0.38",
        );
    }
    let extend = |f: &dyn Fn(f32) -> f32| powers.iter().map(|&p| f(p)).chain([0.0; 255]).collect();
    Ok((extend(&scaled), extend(&|p| scaled(p * scale))))
}

/// Sets powers to zero that change no result, if the others then span few enough powers of two.
///
/// A row's sum starts at zero, adds its powers one after the other in single precision and holds the largest power,
/// `P`. Let `S` be the powers of at least `2^-25 P / size` and let every other one be below `2^-27 / size` times the
/// smallest of `S`. Then all others of a row together stay below a quarter of half an ulp of any element of `S`, so that
/// they vanish when they meet one, before or after: the sum is that of `S` alone. Their own quotients are below
/// `2^-25 scale`, which rounds to zero.
fn drop_negligible(powers: &mut [f32], size: u32, scale: f32) {
    let Some(&largest) = powers.last() else { return };
    let share = 1.0 / f64::from(size);
    let least = f64::from(largest) * libm::exp2(-25.0) * share;
    let heard = |p: f32| f64::from(p) >= least;
    let Some(smallest) = powers.iter().copied().find(|&p| heard(p)) else { return };
    let limit = f64::from(smallest) * libm::exp2(-27.0) * share;
    let normal = powers.iter().all(|&p| p >= f32::MIN_POSITIVE);
    let others_vanish = powers.iter().all(|&p| heard(p) || f64::from(p) < limit);
    if !normal && others_vanish && scale < 8_388_608.0 {
        powers.iter_mut().filter(|p| !heard(**p)).for_each(|p| *p = 0.0);
    }
}
