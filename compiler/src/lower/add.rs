//! Add between Q/DQ nodes and QLinearAdd.

use std::rc::Rc;

use vinfer_circuits::ops::{Add, AddForm, Operand};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::contract::fused_name;
use super::operands::effective_zero_point;
use super::pending::Pending;
use super::state::{State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;
use crate::solver::solve_add;

/// One operand of a quantised addition.
#[derive(Clone, Debug)]
pub(super) struct Term {
    source: Source,
    quantisation: Quantisation,
    effective: IntType,
    shape: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Source {
    Value(ValueId),
    /// Centred elements.
    Constant(Rc<Vec<i32>>),
}

/// An addition without its output quantisation; the terms are in ONNX order.
#[derive(Clone, Debug)]
pub(super) struct AddParts {
    node: Node,
    first: Term,
    second: Term,
    pub(super) shape: Vec<u32>,
    fused: bool,
}

impl Lowering<'_> {
    pub(super) fn add(&mut self, node: &Node) -> Result<State, CompileError> {
        for index in [0, 1] {
            if let State::Pending(product) = self.state(node, index)?
                && product.includes_bias(node)
            {
                let product = Rc::clone(product);
                self.check_single_reader(node)?;
                return Ok(State::Pending(product));
            }
        }
        let fused = self.check_single_reader(node).is_ok()
            && [0, 1].into_iter().all(|i| match self.state(node, i) {
                Ok(State::Real(_)) => self.dequantised(node, i).is_ok(),
                Ok(State::Weights(_)) => self.fuses_with_constant(node, i),
                _ => false,
            });
        if !fused {
            return self.binary(node);
        }
        let first = self.term(node, 0)?;
        let second = self.term(node, 1)?;
        let parts = self.add_parts(node, first, second, true)?;
        Ok(State::Pending(Rc::new(Pending::Add(parts))))
    }

    /// Whether the dequantised constant at `constant` has the type of the other operand.
    pub(super) fn fuses_with_constant(&self, node: &Node, constant: usize) -> bool {
        match (self.state(node, constant), self.state(node, 1 - constant)) {
            (Ok(State::Weights(w)), Ok(State::Real(r))) => {
                r.table.is_none() && r.direct && w.per_tensor().is_some_and(|q| q.int_type == r.effective)
            }
            _ => false,
        }
    }

    fn term(&self, node: &Node, index: usize) -> Result<Term, CompileError> {
        if let State::Weights(weights) = self.state(node, index)? {
            return constant_term(node, weights);
        }
        let real = self.dequantised(node, index)?;
        let shape = self.value_ref(real.value).shape.clone();
        let (source, quantisation) = (Source::Value(real.value), real.quantisation);
        Ok(Term { source, quantisation, effective: real.effective, shape })
    }

    pub(super) fn qlinear_add(&mut self, node: &Node) -> Result<State, CompileError> {
        let mut terms = Vec::with_capacity(2);
        for index in [0, 3] {
            let term = if let State::Constant(_) = self.state(node, index)? {
                constant_term(node, &self.integer_weights(node, index, index + 1, 0)?)?
            } else {
                let real = self.integer_operand(node, index, index + 1)?;
                let shape = self.value_ref(real.value).shape.clone();
                let (source, quantisation) = (Source::Value(real.value), real.quantisation);
                Term { source, quantisation, effective: quantisation.int_type, shape }
            };
            terms.push(term);
        }
        let (Some(second), Some(first)) = (terms.pop(), terms.pop()) else {
            return Err(node.bad_attribute("inputs", "missing"));
        };
        let quantisation = self.output_parameters(node, 6, first.quantisation.int_type)?;
        let parts = self.add_parts(node, first, second, false)?;
        self.complete(node, &Pending::Add(parts), quantisation, quantisation.int_type)
    }

    fn add_parts(&self, node: &Node, first: Term, second: Term, fused: bool) -> Result<AddParts, CompileError> {
        let shape = shapes::broadcast(&first.shape, &second.shape).ok_or_else(|| {
            node.bad_shape(format!("shapes {:?} and {:?} do not broadcast", first.shape, second.shape))
        })?;
        shapes::check(node, &shape)?;
        Ok(AddParts { node: node.clone(), first, second, shape, fused })
    }

    pub(super) fn complete_add(
        &mut self,
        at: &Node,
        parts: &AddParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let AddParts { node, first, second, shape, fused } = parts;
        if [first.effective, second.effective].iter().any(|&t| t != effective) {
            if !*fused {
                return Err(node.bad_attribute("inputs", "operands and result have different integer types"));
            }
            return self.unfused(at, node, quantisation, effective);
        }
        let rank = shape.len();
        let shapes_ab = [shapes::expand_rank(&first.shape, rank), shapes::expand_rank(&second.shape, rank)];
        // The kernel works on spans along the last axes; an operand that is constant along them goes inside.
        let constant_span = |s: &[u32]| shape.iter().zip(s).rfind(|(o, _)| **o > 1).is_some_and(|(_, &d)| d == 1);
        let swapped = constant_span(&shapes_ab[0]) && !constant_span(&shapes_ab[1]);
        let range = |term: &Term| match &term.source {
            Source::Value(_) => (term.quantisation.lo(), term.quantisation.hi()),
            Source::Constant(data) => data.iter().fold((i32::MAX, i32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v))),
        };
        let (range_a, range_b) = (range(first), range(second));
        let form = solve_add(
            first.quantisation.scale(),
            effective_zero_point(&first.quantisation, effective),
            second.quantisation.scale(),
            effective_zero_point(&second.quantisation, effective),
            quantisation.scale(),
            effective_zero_point(&quantisation, effective),
            effective,
            swapped,
            range_a,
            range_b,
        );
        // The program's first operand is a tensor of the output's shape.
        let full = |i: usize, term: &Term| matches!(term.source, Source::Value(_)) && shapes_ab[i] == *shape;
        let (a, b, form, b_range) = if full(0, first) {
            (first, (second, &shapes_ab[1]), form, range_b)
        } else if full(1, second) {
            (second, (first, &shapes_ab[0]), exchange(form, range_a, range_b), range_a)
        } else if matches!(first.source, Source::Value(_)) {
            (first, (second, &shapes_ab[1]), form, range_b)
        } else {
            (second, (first, &shapes_ab[0]), exchange(form, range_a, range_b), range_a)
        };
        let Source::Value(a) = a.source else {
            return Err(node.unsupported("both operands are constants", "fold the addition before quantising"));
        };
        let a = self.expanded(at, a, shape)?;
        let b = match &b.0.source {
            Source::Value(value) => Operand::Value(self.reshaped(at, *value, b.1.clone())?),
            Source::Constant(data) => {
                Operand::Constant { shape: b.1.clone(), data: data.to_vec(), lo: b_range.0, hi: b_range.1 }
            }
        };
        let output = self.value(node, at.output(), shape.clone(), quantisation)?;
        let operators = fused_name(*fused, &node.op);
        self.emit(&node.name, &operators, Op::Add(Add { a, b, output, form }), None);
        Ok(output)
    }
}

fn constant_term(node: &Node, weights: &Weights) -> Result<Term, CompileError> {
    let quantisation = weights.per_tensor().ok_or_else(|| {
        node.unsupported("the constant operand is not 8-bit per-tensor", "quantise it to uint8 per tensor")
    })?;
    if weights.raw.is_empty() {
        return Err(node.bad_shape("the constant operand is empty"));
    }
    Ok(Term {
        source: Source::Constant(Rc::new(weights.centred())),
        quantisation,
        effective: quantisation.int_type,
        shape: weights.dims.clone(),
    })
}

/// The same function with its operands exchanged.
fn exchange(form: AddForm, a: (i32, i32), b: (i32, i32)) -> AddForm {
    match form {
        AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
            AddForm::Line { multiplier_a: multiplier_b, multiplier_b: multiplier_a, offset, shift }
        }
        AddForm::Exact { multiplier_a, multiplier_b, offset } => {
            AddForm::Exact { multiplier_a: multiplier_b, multiplier_b: multiplier_a, offset }
        }
        AddForm::Table { table } => {
            let (rows, columns) = ((a.1 - a.0 + 1) as usize, (b.1 - b.0 + 1) as usize);
            let order = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
            AddForm::Table { table: order.filter_map(|at| table.get(at).copied()).collect() }
        }
    }
}
