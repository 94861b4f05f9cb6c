//! ReduceMax, ReduceMin, GlobalMaxPool, ArgMax, ArgMin: the order of the elements decides, whatever they stand for.

use std::rc::Rc;

use vinfer_circuits::ops::{Extremum, ExtremumResult};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// Parameters of indices below `count`.
pub(super) fn indices(count: u32) -> Quantisation {
    let int_type = IntType::Range { min: 0, max: count.saturating_sub(1).min(i32::MAX as u32) as i32 };
    Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type }
}

impl Lowering<'_> {
    /// The tensor with integers in the order of the numbers they stand for.
    pub(super) fn ranked(&mut self, node: &Node, real: &Real) -> Result<Real, CompileError> {
        let table = real.table();
        if real.table.is_none() || table.windows(2).all(|p| p[0] < p[1]) {
            return Ok(real.clone());
        }
        if table.iter().any(|x| x.is_nan()) {
            return Err(
                node.unsupported("some elements can be NaN", "keep the function defined on the whole input range")
            );
        }
        let mut sorted: Vec<f32> = table.iter().map(|x| x + 0.0).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.dedup();
        let ranks = table.iter().map(|x| sorted.partition_point(|s| s < x) as i32).collect();
        let quantisation = indices(sorted.len() as u32);
        let value = self.emit_lookup((&node.name, &node.op), node, real.value, ranks, quantisation)?;
        Ok(Real { value, quantisation, table: Some(Rc::new(sorted)), direct: false, ..real.clone() })
    }

    pub(super) fn reduce_extremum(&mut self, node: &Node) -> Result<State, CompileError> {
        let least = node.op == "ReduceMin";
        let state = self.state(node, 0)?.clone();
        let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
        let axes = if node.op == "GlobalMaxPool" {
            if shape.len() < 3 {
                return Err(node.bad_shape(format!("no spatial axes in {shape:?}")));
            }
            (2..shape.len()).collect()
        } else {
            match self.reduced_axes(node, shape.len())? {
                Some(axes) => axes,
                None => return Ok(state),
            }
        };
        let keep = node.int("keepdims", 1)? != 0;
        match state {
            State::Integer(Integer { value, effective }) => {
                let value = self.extremum_over(node, value, &shape, &axes, keep, least)?;
                Ok(State::Integer(Integer { value, effective }))
            }
            State::Real(real) => {
                let real = self.ranked(node, &real)?;
                let value = self.extremum_over(node, real.value, &shape, &axes, keep, least)?;
                Ok(State::Real(Real { value, direct: false, ..real }))
            }
            _ => {
                self.dequantised(node, 0)?;
                Err(node.bad_attribute("input 0", "not a quantised tensor"))
            }
        }
    }

    fn extremum_over(
        &mut self,
        node: &Node,
        input: ValueId,
        shape: &[u32],
        axes: &[usize],
        keep: bool,
        least: bool,
    ) -> Result<ValueId, CompileError> {
        let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        let permutation = kept.iter().chain(axes).map(|&a| a as u8).collect();
        let outer: u32 = kept.iter().map(|&a| shape[a]).product();
        let count: u32 = axes.iter().map(|&a| shape[a]).product();
        let rows = self.transposed(node, input, permutation)?;
        let rows = self.reshaped(node, rows, vec![outer, count])?;
        let quantisation = self.value_ref(rows).quantisation;
        let value = self.extremum(node, rows, 1, (least, ExtremumResult::Value), quantisation)?;
        let out = if keep {
            (0..shape.len()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect()
        } else {
            kept.iter().map(|&a| shape[a]).collect()
        };
        self.reshaped(node, value, out)
    }

    /// The extremum along an axis, or its index.
    pub(super) fn extremum(
        &mut self,
        node: &Node,
        input: ValueId,
        axis: usize,
        (least, result): (bool, ExtremumResult),
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let value = self.value_ref(input);
        let mut shape = value.shape.clone();
        if shape[axis] > 1 << 16 {
            return Err(node.unsupported("an extremum over more than 65536 elements", "reduce in two steps"));
        }
        if i64::from(value.quantisation.hi()) - i64::from(value.quantisation.lo()) >= 1 << 16 {
            return Err(node.unsupported("an extremum of 32-bit integers", "use integers of at most 16 bits"));
        }
        if shape[axis] == 1 && result == ExtremumResult::Value {
            return Ok(input);
        }
        shape[axis] = 1;
        let output = self.value(node, node.output(), shape, quantisation)?;
        let op = Extremum { input, output, axis: axis as u8, least, result };
        self.emit(&node.name, &node.op, Op::Extremum(op), None);
        Ok(output)
    }

    pub(super) fn arg_extremum(&mut self, node: &Node) -> Result<State, CompileError> {
        let least = node.op == "ArgMin";
        let result = match node.int("select_last_index", 0)? {
            0 => ExtremumResult::FirstIndex,
            _ => ExtremumResult::LastIndex,
        };
        let input = match self.state(node, 0)?.clone() {
            State::Integer(integer) => integer.value,
            State::Real(real) => {
                let real = self.ranked(node, &real)?;
                real.value
            }
            _ => {
                self.dequantised(node, 0)?;
                return Err(node.bad_attribute("input 0", "not a quantised tensor"));
            }
        };
        let shape = self.value_ref(input).shape.clone();
        let axis = shapes::axis(node, node.int("axis", 0)?, shape.len())?;
        let mut value = self.extremum(node, input, axis, (least, result), indices(shape[axis]))?;
        if node.int("keepdims", 1)? == 0 {
            let mut out = shape;
            out.remove(axis);
            value = self.reshaped(node, value, out)?;
        }
        let effective = self.value_ref(value).quantisation.int_type;
        Ok(State::Integer(Integer { value, effective }))
    }
}
