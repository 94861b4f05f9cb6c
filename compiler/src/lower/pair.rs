//! Functions of two tensors in single precision, as tables over their integers: Sub, Div, Min, Max, PRelu, comparisons,
//! Where, and Add and Mul where ONNX Runtime does not fuse them.

use std::collections::BTreeSet;
use std::rc::Rc;

use vinfer_circuits::ops::{Add, AddForm, Operand};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::float::FloatTensor;
use super::pending::Pending;
use super::qdq::quantise;
use super::state::{Real, State};
use crate::error::CompileError;
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

    /// [`Self::binary`] of operands and a result that ONNX Runtime does not fuse into one kernel, quantised at `at`.
    pub(super) fn unfused(
        &mut self,
        at: &Node,
        node: &Node,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let not_float = || node.bad_attribute("inputs", "not a float tensor");
        match self.binary(node)? {
            State::Pending(pending) => match self.complete(at, &pending, quantisation, effective)? {
                State::Integer(integer) => Ok(integer.value),
                _ => Err(not_float()),
            },
            State::Real(real) => self.quantise_real(at, &real, quantisation),
            _ => Err(not_float()),
        }
    }

    pub(super) fn combine(
        &mut self,
        node: &Node,
        sides: (Side, Side),
        f: fn(f32, f32) -> f32,
    ) -> Result<State, CompileError> {
        if let (Side::Tensor(a), Side::Tensor(b)) = &sides
            && a.value != b.value
            && a.table().len().saturating_mul(b.table().len()) > MAX_TABLE
        {
            // Too many pairs for a table: one operation on floats.
            return self.float_arithmetic(node, sides.0, sides.1);
        }
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
}

pub(super) fn broadcast(node: &Node, a: &[u32], b: &[u32]) -> Result<Vec<u32>, CompileError> {
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
