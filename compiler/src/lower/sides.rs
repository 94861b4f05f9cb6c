//! Operands of operators in single precision, and results as functions or tensors of floats.

use std::rc::Rc;

use vinfer_circuits::ops::{FloatKind, Operand, float};
use vinfer_circuits::program::ValueId;

use super::Lowering;
use super::float::{FloatTensor, constant, held};
use super::pair::Side;
use super::pending::Pending;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::shapes;

impl Lowering<'_> {
    /// An operand of a float operator.
    pub(super) fn side(&mut self, node: &Node, index: usize) -> Result<Side, CompileError> {
        let state = self.state(node, index)?.clone();
        Ok(match &state {
            State::Real(real) => Side::Tensor(real.clone()),
            State::Constant(_) | State::Weights(_) => {
                let shape = self.shape_of(&state).unwrap_or_default();
                let floats = self.constant_floats(&state);
                Side::Constant(shape, floats.ok_or_else(|| node.bad_attribute("inputs", "a constant is not float"))?)
            }
            State::Float(_) => Side::Float(self.floats(node, state)?),
            State::Pending(pending) => match self.as_function(node, pending)? {
                State::Real(real) => Side::Tensor(real),
                other => Side::Float(self.floats(node, other)?),
            },
            _ => {
                self.dequantised(node, index)?;
                return Err(node.bad_attribute("inputs", "not a float tensor"));
            }
        })
    }

    /// An operand of an operator on integers or floats, whose integers stand for themselves.
    pub(super) fn raw_side(&mut self, node: &Node, index: usize) -> Result<Side, CompileError> {
        match self.state(node, index)?.clone() {
            State::Integer(integer) => Ok(Side::Tensor(self.raw_real(node, integer)?)),
            State::Indices(input) => {
                let integer = self.small_integers(node, &input)?;
                Ok(Side::Tensor(self.raw_real(node, integer)?))
            }
            State::Constant(t) if t.floats().is_none() => {
                let integers = t.integers().ok_or_else(|| node.bad_attribute("inputs", "not numbers"))?;
                let exact = integers.iter().all(|v| v.unsigned_abs() < 1 << 24);
                if !exact {
                    return Err(node.unsupported("integer constants beyond 2^24", "use smaller constants"));
                }
                let shape = t.dims.iter().map(|&d| d as u32).collect();
                Ok(Side::Constant(shape, integers.into_iter().map(|v| v as f32).collect()))
            }
            _ => self.side(node, index),
        }
    }

    /// The raw integers of a tensor as numbers.
    pub(super) fn raw_real(&self, node: &Node, integer: Integer) -> Result<Real, CompileError> {
        let q = self.value_ref(integer.value).quantisation;
        if i64::from(q.hi()) - i64::from(q.lo()) >= 1 << 17 {
            return Err(node.unsupported("an operand of 32-bit integers", "use integers of at most 16 bits"));
        }
        let table = (q.lo()..=q.hi()).map(|c| (c + q.zero_point) as f32).collect();
        Ok(Real {
            value: integer.value,
            quantisation: q,
            effective: integer.effective,
            direct: false,
            exact: true,
            table: Some(Rc::new(table)),
        })
    }

    /// A float operand that is a function of one integer tensor, to the last bit.
    pub(super) fn function_of(&mut self, node: &Node, index: usize) -> Result<Real, CompileError> {
        let state = match self.state(node, index)?.clone() {
            State::Pending(pending) => self.as_function(node, &pending)?,
            state => state,
        };
        match state {
            State::Real(real) => {
                self.check_exact(node, &real)?;
                Ok(real)
            }
            State::Float(_) => Err(node.stays_float(
                format!("its input `{}` is a float result", node.input(index).unwrap_or_default()),
                format!("put QuantizeLinear and DequantizeLinear before it: {QUANTISE_STATICALLY}"),
            )),
            _ => self.dequantised(node, index),
        }
    }

    /// A pending result that can be computed without its quantisation.
    pub(super) fn as_function(&mut self, node: &Node, pending: &Pending) -> Result<State, CompileError> {
        match pending {
            Pending::Pair(parts) => Ok(State::Real(self.pair_real(parts)?)),
            Pending::Pieces(pieces) => Ok(State::Float(self.float_pieces(pieces)?)),
            Pending::Softmax(parts) => Ok(State::Float(self.softmax_of(&parts.node.clone(), &parts.real.clone())?)),
            _ => Err(node.stays_float(
                "its input is a float result that is not quantised",
                format!("put QuantizeLinear and DequantizeLinear before it: {QUANTISE_STATICALLY}"),
            )),
        }
    }

    /// A float tensor without functions still to be applied, in its own shape.
    pub(super) fn plain(&mut self, node: &Node, tensor: FloatTensor) -> Result<ValueId, CompileError> {
        if tensor.curves.is_some() {
            return Err(node.unsupported(
                "it reads the float result of a normalisation",
                "put QuantizeLinear and DequantizeLinear after the normalisation",
            ));
        }
        self.reshaped(node, tensor.value, tensor.shape)
    }

    /// Any float tensor as a tensor of floats of the program.
    pub(super) fn floats(&mut self, node: &Node, state: State) -> Result<FloatTensor, CompileError> {
        let tensor = match state {
            State::Real(real) => {
                self.check_exact(node, &real)?;
                let value = self.materialised(node, &real)?;
                FloatTensor { value, shape: self.value_ref(value).shape.clone(), curves: None }
            }
            State::Float(tensor) => tensor,
            State::Input(input) => {
                let value = self.input_value(node, &input, super::float::FLOAT)?;
                FloatTensor { value, shape: self.value_ref(value).shape.clone(), curves: None }
            }
            State::Pending(pending) => {
                let state = self.as_function(node, &pending)?;
                return self.floats(node, state);
            }
            State::Constant(_) | State::Weights(_) => {
                let shape = self.shape_of(&state).unwrap_or_default();
                shapes::check(node, &shape)?;
                let numbers = self.constant_floats(&state).filter(|n| n.iter().all(|x| held(*x)));
                let numbers = numbers
                    .ok_or_else(|| node.unsupported("a constant is no moderate float", "use moderate floats"))?;
                let data = numbers.iter().map(|&x| float::to_bits(x)).collect();
                let value = self.constant_value(node, shape.clone(), data, super::float::FLOAT)?;
                FloatTensor { value, shape, curves: None }
            }
            _ => return Err(node.bad_attribute("inputs", "not a float tensor")),
        };
        let shape = tensor.shape.clone();
        Ok(FloatTensor { value: self.plain(node, tensor)?, shape, curves: None })
    }

    /// Refuses functions whose single-precision results are not known to the last bit, where they are needed.
    pub(super) fn check_exact(&self, node: &Node, real: &Real) -> Result<(), CompileError> {
        if real.exact {
            return Ok(());
        }
        Err(node.stays_float(
            "it follows a function whose last bits depend on the position of the element",
            "put QuantizeLinear and DequantizeLinear (8 bits) between them",
        ))
    }

    /// One operation on two float tensors.
    pub(super) fn float_arithmetic(&mut self, node: &Node, a: Side, b: Side) -> Result<State, CompileError> {
        let operand = |this: &mut Self, side: Side| -> Result<(Vec<u32>, Operand, bool), CompileError> {
            Ok(match side {
                Side::Tensor(real) => {
                    this.check_exact(node, &real)?;
                    let value = this.materialised(node, &real)?;
                    (this.value_ref(value).shape.clone(), Operand::Value(value), false)
                }
                Side::Float(tensor) => (tensor.shape.clone(), Operand::Value(this.plain(node, tensor)?), false),
                Side::Constant(shape, numbers) => {
                    if !numbers.iter().all(|x| held(*x)) {
                        return Err(node.unsupported("a constant is too large or too small", "use moderate constants"));
                    }
                    (shape.clone(), constant(&numbers, shape), numbers.iter().all(|x| *x > 0.0))
                }
            })
        };
        let (sa, a, _) = operand(self, a)?;
        let (sb, b, positive) = operand(self, b)?;
        let shape = super::pair::broadcast(node, &sa, &sb)?;
        let mut fitted = Vec::with_capacity(2);
        for (own, side) in [(sa, a), (sb, b)] {
            let own = shapes::expand_rank(&own, shape.len());
            fitted.push(match side {
                Operand::Value(value) => Operand::Value(self.reshaped(node, value, own)?),
                Operand::Constant { data, lo, hi, .. } => Operand::Constant { shape: own, data, lo, hi },
            });
        }
        let (Some(b), Some(a)) = (fitted.pop(), fitted.pop()) else {
            return Err(node.bad_attribute("inputs", "missing"));
        };
        let kind = match node.op.as_str() {
            "Add" => FloatKind::Add { a, b, subtract: false },
            "Sub" => FloatKind::Add { a, b, subtract: true },
            "Mul" => FloatKind::Multiply { a, b },
            "Div" if positive => FloatKind::Divide { a, b },
            _ => {
                return Err(node.stays_float("its operand is a float result", "quantise the operands"));
            }
        };
        let value = self.float(node, kind, shape.clone())?;
        Ok(State::Float(FloatTensor { value, shape, curves: None }))
    }
}
