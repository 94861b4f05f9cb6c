//! Functions of two tensors in single precision, as tables over their integers: Sub, Div, Min, Max, PRelu, comparisons,
//! Where, and Add and Mul where ONNX Runtime does not fuse them.

use std::collections::BTreeSet;
use std::rc::Rc;

use vinfer_circuits::ops::{Add, AddForm, FloatKind, Operand, float};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::float::{FloatTensor, constant, held};
use super::pending::Pending;
use super::qdq::quantise;
use super::state::{Integer, Real, State};
use crate::error::{CompileError, QUANTISE_STATICALLY};
use crate::graph::Node;
use crate::onnx::tensor::{Data, Tensor};
use crate::shapes;

/// Most entries of one table.
const MAX_TABLE: usize = 1 << 20;

/// A function of two integer tensors, without the quantisation that follows.
#[derive(Clone, Debug)]
pub(super) struct PairParts {
    pub(super) node: Node,
    a: ValueId,
    b: Second,
    pub(super) shape: Vec<u32>,
    /// Results, the first operand outermost.
    pub(super) table: Rc<Vec<f32>>,
}

impl PairParts {
    /// The same with another function behind it.
    pub(super) fn map(&self, f: &dyn Fn(f32) -> f32) -> Self {
        Self { table: Rc::new(self.table.iter().map(|&x| f(x)).collect()), ..self.clone() }
    }
}

#[derive(Clone, Debug)]
enum Second {
    Value(ValueId),
    /// Shape, and for each element which of `count` columns of the table it selects.
    Constant(Vec<u32>, Rc<Vec<i32>>, usize),
}

/// An operand: its integers and the numbers they stand for.
pub(super) enum Side {
    Tensor(Real),
    Constant(Vec<u32>, Vec<f32>),
    Float(FloatTensor),
}

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

    /// An operator on two float tensors.
    pub(super) fn binary(&mut self, node: &Node) -> Result<State, CompileError> {
        let f: fn(f32, f32) -> f32 = match node.op.as_str() {
            "Add" => |a, b| a + b,
            "Sub" => |a, b| a - b,
            "Mul" => |a, b| a * b,
            "Div" => |a, b| a / b,
            "Min" => |a, b| if b < a { b } else { a },
            "Max" => |a, b| if b > a { b } else { a },
            "PRelu" => |a, b| if a > 0.0 { a } else { a * b },
            _ => return Err(node.unsupported("the operator is not supported", super::KEEP_OUTSIDE)),
        };
        if node.inputs.len() != 2 {
            return Err(node.unsupported(format!("{} operands", node.inputs.len()), "use operators of two operands"));
        }
        let sides = (self.side(node, 0)?, self.side(node, 1)?);
        self.combine(node, sides, f)
    }

    pub(super) fn combine(
        &mut self,
        node: &Node,
        sides: (Side, Side),
        f: fn(f32, f32) -> f32,
    ) -> Result<State, CompileError> {
        match sides {
            (Side::Tensor(a), Side::Tensor(b)) => self.two_tensors(node, &a, &b, f),
            (Side::Tensor(a), Side::Constant(shape, numbers)) => self.with_numbers(node, &a, &shape, &numbers, f),
            (Side::Constant(shape, numbers), Side::Tensor(b)) => {
                self.with_numbers(node, &b, &shape, &numbers, move |x, y| f(y, x))
            }
            (Side::Constant(sa, a), Side::Constant(sb, b)) => {
                let shape = broadcast(node, &sa, &sb)?;
                let (sa, sb) = (shapes::expand_rank(&sa, shape.len()), shapes::expand_rank(&sb, shape.len()));
                let ia = vinfer_circuits::ops::broadcast_index(&shape, &sa);
                let ib = vinfer_circuits::ops::broadcast_index(&shape, &sb);
                let count = shapes::elements(&shape).unwrap_or(0);
                let data = (0..count).map(|i| f(a[ia(i)], b[ib(i)])).collect();
                let dims = shape.iter().map(|&d| d as usize).collect();
                Ok(State::Constant(Rc::new(Tensor { dims, data: Data::F32(data) })))
            }
            (a, b) => self.float_arithmetic(node, a, b),
        }
    }

    fn two_tensors(
        &mut self,
        node: &Node,
        a: &Real,
        b: &Real,
        f: impl Fn(f32, f32) -> f32,
    ) -> Result<State, CompileError> {
        let (ta, tb) = (a.table(), b.table());
        if a.value == b.value {
            let table = ta.iter().zip(tb.iter()).map(|(&x, &y)| f(x, y)).collect();
            let exact = a.exact && b.exact;
            return Ok(State::Real(Real { table: Some(Rc::new(table)), exact, direct: false, ..a.clone() }));
        }
        let shape = broadcast(node, &self.value_ref(a.value).shape, &self.value_ref(b.value).shape)?;
        check_table(node, ta.len(), tb.len())?;
        self.check_exact(node, a)?;
        self.check_exact(node, b)?;
        // The program's first operand has the result's shape.
        let swap = self.value_ref(a.value).shape != shape && self.value_ref(b.value).shape == shape;
        let table: Vec<f32> = if swap {
            tb.iter().flat_map(|&y| ta.iter().map(move |&x| (x, y))).map(|(x, y)| f(x, y)).collect()
        } else {
            ta.iter().flat_map(|&x| tb.iter().map(move |&y| (x, y))).map(|(x, y)| f(x, y)).collect()
        };
        let (a, b) = if swap { (b.value, a.value) } else { (a.value, b.value) };
        let parts = PairParts { node: node.clone(), a, b: Second::Value(b), shape, table: Rc::new(table) };
        Ok(State::Pending(Rc::new(Pending::Pair(parts))))
    }

    /// A function of a tensor and constants.
    pub(super) fn with_numbers(
        &mut self,
        node: &Node,
        a: &Real,
        dims: &[u32],
        numbers: &[f32],
        f: impl Fn(f32, f32) -> f32,
    ) -> Result<State, CompileError> {
        let own = self.value_ref(a.value).shape.clone();
        let shape = broadcast(node, &own, dims)?;
        let key = |x: &f32| x.to_bits();
        let distinct: Vec<u32> = numbers.iter().map(key).collect::<BTreeSet<u32>>().into_iter().collect();
        let table = a.table();
        if let [one] = distinct.as_slice() {
            let value = self.expanded(node, a.value, &shape)?;
            let number = f32::from_bits(*one);
            let table = table.iter().map(|&x| f(x, number)).collect();
            return Ok(State::Real(Real { value, table: Some(Rc::new(table)), direct: false, ..a.clone() }));
        }
        check_table(node, table.len(), distinct.len())?;
        self.check_exact(node, a)?;
        let results = table.iter().flat_map(|&x| distinct.iter().map(move |&y| (x, f32::from_bits(y))));
        let results: Vec<f32> = results.map(|(x, y)| f(x, y)).collect();
        let columns = numbers.iter().map(|x| distinct.partition_point(|&d| d < x.to_bits()) as i32).collect();
        let dims = shapes::expand_rank(dims, shape.len());
        let b = Second::Constant(dims, Rc::new(columns), distinct.len());
        let parts = PairParts { node: node.clone(), a: a.value, b, shape, table: Rc::new(results) };
        Ok(State::Pending(Rc::new(Pending::Pair(parts))))
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

    /// A function of two tensors as an integer tensor; `level` gives each centred result.
    pub(super) fn emit_pair(
        &mut self,
        at: &Node,
        parts: &PairParts,
        table: Vec<i32>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let PairParts { node, a, b, shape, .. } = parts;
        let a = self.expanded(node, *a, shape)?;
        let b = match b {
            Second::Value(value) => {
                let own = shapes::expand_rank(&self.value_ref(*value).shape, shape.len());
                Operand::Value(self.reshaped(node, *value, own)?)
            }
            Second::Constant(dims, columns, count) => {
                Operand::Constant { shape: dims.clone(), data: columns.to_vec(), lo: 0, hi: *count as i32 - 1 }
            }
        };
        let output = self.value(at, at.output(), shape.clone(), quantisation)?;
        let form = AddForm::Table { table };
        self.emit(&node.name, &node.op, Op::Add(Add { a, b, output, form }), None);
        Ok(output)
    }

    /// The quantised results.
    pub(super) fn complete_pair(
        &mut self,
        at: &Node,
        parts: &PairParts,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let table = parts.table.iter().map(|&x| quantise(x, &quantisation)).collect();
        self.emit_pair(at, parts, table, quantisation)
    }

    /// The results as a function of one tensor: their numbers.
    pub(super) fn pair_real(&mut self, parts: &PairParts) -> Result<Real, CompileError> {
        let node = &parts.node;
        let bits: BTreeSet<u32> = parts.table.iter().map(|x| x.to_bits()).collect();
        let distinct: Vec<u32> = bits.into_iter().collect();
        let int_type = IntType::Range { min: 0, max: distinct.len() as i32 - 1 };
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let numbers = parts.table.iter().map(|x| distinct.partition_point(|&d| d < x.to_bits()) as i32).collect();
        let value = self.emit_pair(node, parts, numbers, quantisation)?;
        let table = distinct.into_iter().map(f32::from_bits).collect();
        Ok(Real { value, quantisation, effective: int_type, direct: false, exact: true, table: Some(Rc::new(table)) })
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

    /// One operation on two float tensors.
    fn float_arithmetic(&mut self, node: &Node, a: Side, b: Side) -> Result<State, CompileError> {
        let operand = |this: &mut Self, side: Side| -> Result<(Vec<u32>, Operand, bool), CompileError> {
            Ok(match side {
                Side::Tensor(real) => {
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
        let shape = broadcast(node, &sa, &sb)?;
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

    /// A truth value for each pair of elements.
    pub(super) fn compare(&mut self, node: &Node) -> Result<State, CompileError> {
        let f: fn(f32, f32) -> f32 = match node.op.as_str() {
            "Equal" => |a, b| f32::from(a == b),
            "Less" => |a, b| f32::from(a < b),
            "LessOrEqual" => |a, b| f32::from(a <= b),
            "Greater" => |a, b| f32::from(a > b),
            "GreaterOrEqual" => |a, b| f32::from(a >= b),
            "And" => |a, b| f32::from(a != 0.0 && b != 0.0),
            "Or" => |a, b| f32::from(a != 0.0 || b != 0.0),
            _ => |a, b| f32::from((a != 0.0) != (b != 0.0)),
        };
        let sides = (self.raw_side(node, 0)?, self.raw_side(node, 1)?);
        let state = self.combine(node, sides, f)?;
        self.truth(node, state)
    }

    /// An operand of an operator on integers or floats, whose integers stand for themselves.
    pub(super) fn raw_side(&mut self, node: &Node, index: usize) -> Result<Side, CompileError> {
        match self.state(node, index)?.clone() {
            State::Integer(integer) => Ok(Side::Tensor(self.raw_real(node, integer)?)),
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

    /// Numbers 0 and 1 as truth values.
    pub(super) fn truth(&mut self, node: &Node, state: State) -> Result<State, CompileError> {
        self.integers_of(node, state, IntType::Bool)
    }

    /// A function with integer results as an integer tensor with zero point 0.
    pub(super) fn integers_of(&mut self, node: &Node, state: State, int_type: IntType) -> Result<State, CompileError> {
        let quantisation = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type };
        let value = match state {
            State::Real(real) => {
                let table = real.table().iter().map(|&x| x as i32).collect();
                self.emit_lookup((&node.name, &node.op), node, real.value, table, quantisation)?
            }
            State::Pending(pending) => {
                let Pending::Pair(parts) = &*pending else {
                    return Err(node.bad_attribute("inputs", "not small integers"));
                };
                let table = parts.table.iter().map(|&x| x as i32).collect();
                self.emit_pair(node, parts, table, quantisation)?
            }
            State::Constant(tensor) => return Ok(State::Constant(tensor)),
            _ => return Err(node.stays_float("its operand is a float result", "quantise the operands")),
        };
        Ok(State::Integer(Integer { value, effective: int_type }))
    }
}

fn broadcast(node: &Node, a: &[u32], b: &[u32]) -> Result<Vec<u32>, CompileError> {
    let shape =
        shapes::broadcast(a, b).ok_or_else(|| node.bad_shape(format!("shapes {a:?} and {b:?} do not broadcast")))?;
    shapes::check(node, &shape)?;
    Ok(shape)
}

fn check_table(node: &Node, rows: usize, columns: usize) -> Result<(), CompileError> {
    if rows.saturating_mul(columns) <= MAX_TABLE {
        return Ok(());
    }
    Err(node.unsupported(
        format!("a function of {rows} times {columns} values"),
        "quantise the operands to 8 bits; constants may hold at most 4096 different numbers",
    ))
}
