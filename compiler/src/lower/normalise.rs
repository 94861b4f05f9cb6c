//! LayerNormalization and RMSNormalization: ONNX Runtime's float kernels, operation by operation.

use std::rc::Rc;

use vinfer_circuits::ops::{FloatKind, Operand, float};
use vinfer_circuits::program::{IntegerTable, ValueId};

use super::Lowering;
use super::float::{Curves, FloatTensor, Step, constant, number};
use super::state::{Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// Rows to normalise.
struct Rows {
    /// `[rows, size]`.
    x: ValueId,
    size: usize,
    /// Shape of the tensor itself.
    shape: Vec<u32>,
}

/// The integers behind the rows, and what they stand for.
struct Summands {
    /// `[rows, size]`.
    input: ValueId,
    table: Vec<u32>,
    /// Factor of each column, if they differ.
    factors: Option<Vec<i32>>,
}

impl Lowering<'_> {
    pub(super) fn layer_normalisation(&mut self, node: &Node) -> Result<State, CompileError> {
        let (rows, summands) = match self.state(node, 0)?.clone() {
            State::Float(tensor) if self.channel_scales.contains_key(&tensor.value) => {
                self.channel_rows(node, &tensor)?
            }
            _ => {
                let real = self.function_of(node, 0)?;
                let (input, rows) = self.rows(node, &real)?;
                let table = real.table().iter().map(|&x| float::to_bits(x).cast_unsigned()).collect();
                (rows, Summands { input, table, factors: None })
            }
        };
        let (gain, bias) = (self.vector(node, 1, rows.size)?, self.vector(node, 2, rows.size)?);
        let Some(gain) = gain else { return Err(node.bad_attribute("Scale", "missing")) };
        let epsilon = node.float("epsilon", 1e-5)?;
        let (centred, size) = if rows.size < 8 {
            (self.welford(node, &rows, epsilon)?, rows.size)
        } else {
            (self.centred_rows(node, summands, &rows, epsilon)?, rows.size)
        };
        let steps = |c: usize, sign: f32| match (&bias, size < 8) {
            (None, _) => vec![Step::Multiply(sign * gain[c])],
            (Some(b), false) => vec![Step::Fma(sign * gain[c], b[c])],
            (Some(b), true) => vec![Step::Multiply(sign * gain[c]), Step::Add(b[c])],
        };
        self.with_gain(node, centred, &rows, &gain, steps)
    }

    pub(super) fn rms_normalisation(&mut self, node: &Node) -> Result<State, CompileError> {
        let real = self.function_of(node, 0)?;
        let (_, rows) = self.rows(node, &real)?;
        let Some(gain) = self.vector(node, 1, rows.size)? else { return Err(node.bad_attribute("scale", "missing")) };
        let epsilon = node.float("epsilon", 1e-5)?;
        let x = rows.x;
        let scaled = if rows.size < 16 {
            let squares = self.times(node, x, Operand::Value(x))?;
            let sum = self.running_sum(node, squares, 1)?;
            let deviation = self.deviation(node, sum, rows.size, epsilon)?;
            self.over(node, x, Operand::Value(deviation))?
        } else {
            let sum = self.lane_squares(node, x, rows.size)?;
            let deviation = self.deviation(node, sum, rows.size, epsilon)?;
            let inverse = self.reciprocal(node, deviation)?;
            self.times(node, x, Operand::Value(inverse))?
        };
        self.with_gain(node, scaled, &rows, &gain, |c, sign| vec![Step::Multiply(sign * gain[c])])
    }

    /// Rows of a tensor with a scale for each channel, normalised along the channels.
    fn channel_rows(&mut self, node: &Node, tensor: &FloatTensor) -> Result<(Rows, Summands), CompileError> {
        let shape = tensor.shape.clone();
        let axis = shapes::axis(node, node.int("axis", -1)?, shape.len())?;
        let scales = self.channel_scales.get(&tensor.value).cloned();
        let (Some(scales), true) = (scales, axis + 1 == shape.len() && node.int("stash_type", 1)? == 1) else {
            return Err(node.unsupported(
                "its input has a scale for each channel, and it does not normalise the channels",
                "normalise the axis of the scales, or quantise per tensor",
            ));
        };
        let size = shape[axis];
        let outer: u32 = shape[..axis].iter().product();
        let input = self.reshaped(node, scales.value, vec![outer, size])?;
        let x = self.reshaped(node, tensor.value, vec![outer, size])?;
        let table = scales.table.iter().map(|&x| float::to_bits(x).cast_unsigned()).collect();
        Ok((Rows { x, size: size as usize, shape }, Summands { input, table, factors: Some(scales.factors) }))
    }

    /// The input as rows of the normalised axes: the integers and the floats.
    fn rows(&mut self, node: &Node, real: &Real) -> Result<(ValueId, Rows), CompileError> {
        let shape = self.value_ref(real.value).shape.clone();
        let axis = shapes::axis(node, node.int("axis", -1)?, shape.len())?;
        let size: u32 = shape[axis..].iter().product();
        let outer: u32 = shape[..axis].iter().product();
        if node.int("stash_type", 1)? != 1 {
            return Err(node.unsupported("stash_type is not 1", "compute in single precision"));
        }
        let integers = self.reshaped(node, real.value, vec![outer, size])?;
        let x = self.table_of(node, integers, &real.table())?;
        Ok((integers, Rows { x, size: size as usize, shape }))
    }

    /// A constant operand with one float for each element of a row.
    fn vector(&self, node: &Node, index: usize, size: usize) -> Result<Option<Vec<f32>>, CompileError> {
        let Some(name) = node.input(index) else { return Ok(None) };
        let floats = self.constant_floats(self.state(node, index)?).filter(|f| f.len() == size);
        floats.map(Some).ok_or_else(|| {
            node.unsupported(
                format!("`{name}` is not a constant with one number for each normalised element"),
                "use a constant scale and bias of the normalised shape",
            )
        })
    }

    /// `(x - mean) / sqrt(variance + epsilon)` for rows of at least 8 elements.
    fn centred_rows(
        &mut self,
        node: &Node,
        summands: Summands,
        rows: &Rows,
        epsilon: f32,
    ) -> Result<ValueId, CompileError> {
        let Summands { input, table, factors } = summands;
        let total = factors.as_ref().map_or(rows.size as u64, |f| f.iter().map(|&f| u64::from(f.unsigned_abs())).sum());
        let exact = IntegerTable::new(&table).is_some_and(|t| t.reach().saturating_mul(total) < 1 << 45);
        if !exact || rows.size > 1 << 20 {
            return Err(node.unsupported(
                "the sum of its rows is not exact in double precision",
                "put QuantizeLinear and DequantizeLinear (8 bits) directly before it",
            ));
        }
        let outer = self.value_ref(input).shape[0];
        let count = rows.size as u32;
        let kind = match factors {
            None => FloatKind::Mean { input, table, axes: vec![1], count },
            Some(weights) => FloatKind::WeightedMean { input, table, weights, count },
        };
        let mean = self.float(node, kind, vec![outer, 1])?;
        let d = self.minus(node, rows.x, Operand::Value(mean))?;
        let sum = self.lane_squares(node, d, rows.size)?;
        let deviation = self.deviation(node, sum, rows.size, epsilon)?;
        let inverse = self.reciprocal(node, deviation)?;
        self.times(node, d, Operand::Value(inverse))
    }

    /// Sum of the squares of `[rows, size]` in eight lanes, then the tail.
    fn lane_squares(&mut self, node: &Node, d: ValueId, size: usize) -> Result<ValueId, CompileError> {
        let outer = self.value_ref(d).shape[0];
        let (whole, tail) = (size / 8 * 8, size % 8);
        if tail % 4 != 0 {
            return Err(node.unsupported(
                format!("rows of {size} elements, which ONNX Runtime sums with fused operations one by one"),
                "use a size that is a multiple of 4",
            ));
        }
        let head = self.sliced(node, d, 1, 0, whole as u32)?;
        let lanes = self.reshaped(node, head, vec![outer, (whole / 8) as u32, 8])?;
        let lanes = self.running_squares(node, lanes, 1)?;
        let mut sum = self.reshaped(node, lanes, vec![outer, 8])?;
        for _ in 0..3 {
            sum = self.fold_halves(node, sum)?;
        }
        if tail == 4 {
            let rest = self.sliced(node, d, 1, whole as u32, 4)?;
            let squares = self.times(node, rest, Operand::Value(rest))?;
            for i in 0..4 {
                let square = self.sliced(node, squares, 1, i, 1)?;
                sum = self.plus(node, sum, Operand::Value(square))?;
            }
        }
        Ok(sum)
    }

    /// `sqrt(sum / size + epsilon)`.
    fn deviation(&mut self, node: &Node, sum: ValueId, size: usize, epsilon: f32) -> Result<ValueId, CompileError> {
        if !super::float::held(epsilon) || epsilon <= 0.0 {
            return Err(node.unsupported(
                format!("epsilon = {epsilon:e}"),
                "use an epsilon between 1e-20 and 1, so that constant rows are defined",
            ));
        }
        let variance = self.over_count(node, sum, size)?;
        let sum = self.plus(node, variance, number(epsilon, 2))?;
        self.square_root(node, sum)
    }

    /// Rows of fewer than 8 elements: Welford's recurrence, then a true division.
    fn welford(&mut self, node: &Node, rows: &Rows, epsilon: f32) -> Result<ValueId, CompileError> {
        let x = rows.x;
        let mut mean = self.sliced(node, x, 1, 0, 1)?;
        let mut moment = None;
        for i in 1..rows.size {
            let own = self.sliced(node, x, 1, i as u32, 1)?;
            let d = self.minus(node, own, Operand::Value(mean))?;
            let share = self.over_count(node, d, i + 1)?;
            mean = self.plus(node, mean, Operand::Value(share))?;
            let e = self.minus(node, own, Operand::Value(mean))?;
            let product = self.times(node, d, Operand::Value(e))?;
            moment = Some(match moment {
                None => product,
                Some(m) => self.plus(node, m, Operand::Value(product))?,
            });
        }
        let Some(moment) = moment else {
            return Err(node.unsupported("rows of one element", "remove the operator; its result is constant"));
        };
        let deviation = self.deviation(node, moment, rows.size, epsilon)?;
        let d = self.minus(node, x, Operand::Value(mean))?;
        self.over(node, d, Operand::Value(deviation))
    }

    /// Gains and biases as step functions; a negative gain flips the sign first, which is exact.
    fn with_gain(
        &mut self,
        node: &Node,
        mut value: ValueId,
        rows: &Rows,
        gain: &[f32],
        steps: impl Fn(usize, f32) -> Vec<Step>,
    ) -> Result<State, CompileError> {
        let signs: Vec<f32> = gain.iter().map(|g| if *g < 0.0 { -1.0 } else { 1.0 }).collect();
        if signs.contains(&-1.0) {
            value = self.times(node, value, constant(&signs, vec![1, rows.size as u32]))?;
        }
        let channels = signs.iter().enumerate().map(|(c, &sign)| steps(c, sign)).collect();
        let curves = Some(Curves { axis: 1, channels: Rc::new(channels) });
        Ok(State::Float(FloatTensor { value, shape: rows.shape.clone(), curves }))
    }
}
