//! Single-precision arithmetic on tensors of the program, as ONNX Runtime's float kernels do it.

use std::rc::Rc;

use vinfer_circuits::ops::{Float, FloatKind, Operand, RewireKind, float};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::qdq::quantise;
use super::state::Real;
use crate::error::CompileError;
use crate::graph::Node;

/// Parameters of float tensors.
pub(super) const FLOAT: Quantisation = Quantisation { scale_bits: 0x3f80_0000, zero_point: 0, int_type: IntType::F32 };

/// A single-precision step that is monotone in its operand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// `fma(x, a, b)`.
    Fma(f32, f32),
    /// `x * a`.
    Multiply(f32),
    /// `x + a`.
    Add(f32),
}

impl Step {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Fma(a, b) => x.mul_add(a, b),
            Self::Multiply(a) => x * a,
            Self::Add(a) => x + a,
        }
    }
}

/// The non-decreasing functions, one for each channel, that follow a float tensor up to its quantisation.
#[derive(Clone, Debug)]
pub(super) struct Curves {
    /// Axis of the channels.
    pub axis: u8,
    /// Steps for each channel.
    pub channels: Rc<Vec<Vec<Step>>>,
}

/// A float tensor.
#[derive(Clone, Debug)]
pub(super) struct FloatTensor {
    pub value: ValueId,
    /// Shape of the tensor; the value may hold its elements under another one.
    pub shape: Vec<u32>,
    /// Functions still to be applied; only a quantisation can follow them.
    pub curves: Option<Curves>,
}

/// A constant operand of one float, for outputs of this rank.
pub(super) fn number(x: f32, rank: usize) -> Operand {
    constant(&[x], vec![1; rank])
}

/// A constant operand.
pub(super) fn constant(values: &[f32], shape: Vec<u32>) -> Operand {
    let data: Vec<i32> = values.iter().map(|&x| float::to_bits(x)).collect();
    let (lo, hi) = data.iter().fold((i32::MAX, i32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    Operand::Constant { shape, data, lo, hi }
}

/// Thresholds of a non-decreasing step function, as [`FloatKind::Quantise`] has them.
pub(super) fn thresholds(lo: i32, hi: i32, level: impl Fn(f32) -> i32) -> Vec<i32> {
    let most = f32::MAX.to_bits().cast_signed();
    let mut from = -most;
    (lo + 1..=hi)
        .map(|w| {
            let mut to = most + 1;
            while from < to {
                let middle = from + ((i64::from(to) - i64::from(from)) / 2) as i32;
                if level(float::from_key(middle)) >= w {
                    to = middle;
                } else {
                    from = middle + 1;
                }
            }
            from
        })
        .collect()
}

impl Lowering<'_> {
    /// Appends a float operation.
    pub(super) fn float(&mut self, node: &Node, kind: FloatKind, shape: Vec<u32>) -> Result<ValueId, CompileError> {
        let output = self.value(node, node.output(), shape, FLOAT)?;
        self.emit(&node.name, &node.op, Op::Float(Float { output, kind }), None);
        Ok(output)
    }

    fn shape(&self, value: ValueId) -> Vec<u32> {
        self.value_ref(value).shape.clone()
    }

    /// `a + b`; the shape is that of `a`.
    pub(super) fn plus(&mut self, node: &Node, a: ValueId, b: Operand) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::Add { a: Operand::Value(a), b, subtract: false }, shape)
    }

    /// `a - b`; the shape is that of `a`.
    pub(super) fn minus(&mut self, node: &Node, a: ValueId, b: Operand) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::Add { a: Operand::Value(a), b, subtract: true }, shape)
    }

    /// `a * b`; the shape is that of `a`.
    pub(super) fn times(&mut self, node: &Node, a: ValueId, b: Operand) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::Multiply { a: Operand::Value(a), b }, shape)
    }

    /// `a / b` with positive `b`; the shape is that of `a`.
    pub(super) fn over(&mut self, node: &Node, a: ValueId, b: Operand) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::Divide { a: Operand::Value(a), b }, shape)
    }

    /// `a / n`, or `a` itself.
    pub(super) fn over_count(&mut self, node: &Node, a: ValueId, n: usize) -> Result<ValueId, CompileError> {
        let rank = self.shape(a).len();
        if n == 1 { Ok(a) } else { self.over(node, a, number(n as f32, rank)) }
    }

    /// `1 / a`.
    pub(super) fn reciprocal(&mut self, node: &Node, a: ValueId) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::Divide { a: number(1.0, shape.len()), b: Operand::Value(a) }, shape)
    }

    pub(super) fn square_root(&mut self, node: &Node, a: ValueId) -> Result<ValueId, CompileError> {
        let shape = self.shape(a);
        self.float(node, FloatKind::SquareRoot { a }, shape)
    }

    /// A function of an integer tensor as a float tensor.
    pub(super) fn table_of(&mut self, node: &Node, input: ValueId, table: &[f32]) -> Result<ValueId, CompileError> {
        if let Some(x) = table.iter().find(|x| !held(**x)) {
            return Err(node.unsupported(
                format!("its input takes the value {x:e}, too large or too small for proven float arithmetic"),
                "keep scales between 1e-20 and 1e20",
            ));
        }
        let table = table.iter().map(|&x| float::to_bits(x).cast_unsigned()).collect();
        let shape = self.shape(input);
        self.float(node, FloatKind::Table { input, table }, shape)
    }

    /// The float tensor behind a function of an integer tensor.
    pub(super) fn materialised(&mut self, node: &Node, real: &Real) -> Result<ValueId, CompileError> {
        self.table_of(node, real.value, &real.table())
    }

    /// Sum along an axis, one addition after the other; the axis keeps size 1.
    pub(super) fn running_sum(&mut self, node: &Node, input: ValueId, axis: usize) -> Result<ValueId, CompileError> {
        let shape = self.shape(input);
        if shape[axis] == 1 {
            return Ok(input);
        }
        let all = self.float(node, FloatKind::RunningSum { input, axis: axis as u8 }, shape.clone())?;
        self.sliced(node, all, axis, shape[axis] - 1, 1)
    }

    /// Sum of squares along an axis, one fused multiplication and addition after the other; the axis keeps size 1.
    pub(super) fn running_squares(
        &mut self,
        node: &Node,
        input: ValueId,
        axis: usize,
    ) -> Result<ValueId, CompileError> {
        let shape = self.shape(input);
        let all = self.float(node, FloatKind::RunningSquares { input, axis: axis as u8 }, shape.clone())?;
        self.sliced(node, all, axis, shape[axis] - 1, 1)
    }

    /// Adds the two halves of the last axis.
    pub(super) fn fold_halves(&mut self, node: &Node, value: ValueId) -> Result<ValueId, CompileError> {
        let shape = self.shape(value);
        let (axis, half) = (shape.len() - 1, shape[shape.len() - 1] / 2);
        let low = self.sliced(node, value, axis, 0, half)?;
        let high = self.sliced(node, value, axis, half, half)?;
        self.plus(node, low, Operand::Value(high))
    }

    /// Quantises a float tensor with one non-decreasing step function for each channel.
    pub(super) fn emit_quantise(
        &mut self,
        node: &Node,
        input: ValueId,
        axis: Option<u8>,
        thresholds: Vec<Vec<i32>>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let shape = self.shape(input);
        let output = self.value(node, node.output(), shape, quantisation)?;
        let kind = FloatKind::Quantise { input, axis, thresholds };
        self.emit(&node.name, &node.op, Op::Float(Float { output, kind }), None);
        Ok(output)
    }

    /// QuantizeLinear of a float tensor.
    pub(super) fn quantise_float(
        &mut self,
        node: &Node,
        tensor: &FloatTensor,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let (lo, hi) = (quantisation.lo(), quantisation.hi());
        let (axis, channels) = match &tensor.curves {
            None => (None, vec![thresholds(lo, hi, |x| quantise(x, &quantisation))]),
            Some(curves) => {
                let own = |steps: &Vec<Step>| {
                    thresholds(lo, hi, |x| quantise(steps.iter().fold(x, |x, s| s.apply(x)), &quantisation))
                };
                (Some(curves.axis), curves.channels.iter().map(own).collect())
            }
        };
        let value = self.emit_quantise(node, tensor.value, axis, channels, quantisation)?;
        self.reshaped(node, value, tensor.shape.clone())
    }

    /// A tensor with its axes in another order.
    pub(super) fn transposed(
        &mut self,
        node: &Node,
        input: ValueId,
        permutation: Vec<u8>,
    ) -> Result<ValueId, CompileError> {
        if permutation.iter().enumerate().all(|(i, &p)| i == usize::from(p)) {
            return Ok(input);
        }
        let shape = self.shape(input);
        let out = permutation.iter().map(|&p| shape[usize::from(p)]).collect();
        self.emit_rewire(node, input, RewireKind::Transpose { permutation }, out)
    }
}

/// Whether a float may appear in a program: zero, or of moderate size.
pub(super) fn held(x: f32) -> bool {
    let exponent = (x.to_bits() >> 23) & 0xff;
    x == 0.0 || (127 - 80..=127 + 80).contains(&exponent)
}
