//! Operators with several results: Split and TopK.

use vinfer_circuits::ops::{Add, AddForm, ExtremumResult, Operand};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::extrema::indices;
use super::moves::Move;
use super::state::{Integer, Real, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// Most results of one TopK.
const MAX_TOP: usize = 32;

impl Lowering<'_> {
    pub(super) fn split(&mut self, node: &Node) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
        let axis = shapes::axis(node, node.int("axis", 0)?, shape.len())?;
        let count = node.outputs.len() as u32;
        let given = match node.ints("split")? {
            Some(list) => Some(list.to_vec()),
            None => self.integer_list(node, 1)?,
        };
        let sizes: Vec<u32> = match given {
            Some(list) => list.into_iter().map(|v| u32::try_from(v).unwrap_or(0)).collect(),
            None => {
                // Equal chunks; the last one may be smaller.
                let chunk = shape[axis].div_ceil(count);
                (0..count).map(|i| chunk.min(shape[axis].saturating_sub(i * chunk))).collect()
            }
        };
        let total = sizes.iter().try_fold(0u32, |n, &s| n.checked_add(s));
        if sizes.len() != node.outputs.len() || sizes.contains(&0) || total != Some(shape[axis]) {
            return Err(node.bad_attribute("split", format!("{sizes:?} does not fit axis {axis} of {shape:?}")));
        }
        let mut start = 0;
        let mut results = Vec::with_capacity(sizes.len());
        for (size, name) in sizes.into_iter().zip(&node.outputs) {
            let step = Move::along(&shape, axis, (start..start + size).collect());
            start += size;
            let own = Node { outputs: vec![name.clone()], ..node.clone() };
            results.push(if name.is_empty() {
                State::Unknown
            } else {
                self.arranged(&own, state.clone(), vec![step])?
            });
        }
        let rest = results.split_off(1);
        self.extras = rest;
        results.pop().ok_or_else(|| node.bad_attribute("outputs", "none"))
    }

    /// The k greatest elements, one maximum after the other.
    pub(super) fn top_k(&mut self, node: &Node) -> Result<State, CompileError> {
        let k = match self.integer_list(node, 1)?.as_deref() {
            Some([k]) => usize::try_from(*k).ok(),
            _ => None,
        };
        let k = k.ok_or_else(|| node.bad_attribute("K", "not one constant"))?;
        let least = node.int("largest", 1)? == 0;
        let (input, table) = match self.state(node, 0)?.clone() {
            State::Integer(integer) => (integer.value, None),
            State::Real(real) => {
                let real = self.ranked(node, &real)?;
                (real.value, Some(real))
            }
            _ => {
                self.dequantised(node, 0)?;
                return Err(node.bad_attribute("input 0", "not a quantised tensor"));
            }
        };
        let original = self.value_ref(input).quantisation;
        let shape = self.value_ref(input).shape.clone();
        let axis = shapes::axis(node, node.int("axis", -1)?, shape.len())?;
        let n = shape[axis];
        if k == 0 || k > MAX_TOP || k > n as usize || n > 1 << 10 {
            return Err(node.unsupported(
                format!("the {k} extremes of {n} elements"),
                format!("at most {MAX_TOP} of at most 1024 elements are supported"),
            ));
        }
        let mut iota_shape = vec![1; shape.len()];
        iota_shape[axis] = n;
        let iota = self.constant_value(node, iota_shape, (0..n as i32).collect(), indices(n))?;
        let iota = self.expanded(node, iota, &shape)?;
        let (mut x, mut values, mut found) = (input, Vec::new(), Vec::new());
        for round in 0..k {
            let own = self.value_ref(x).quantisation;
            let best = self.extremum(node, x, axis, (least, ExtremumResult::Value), own)?;
            values.push(self.clamped(node, best, original)?);
            let at = self.extremum(node, x, axis, (least, ExtremumResult::FirstIndex), indices(n))?;
            found.push(at);
            if round + 1 < k {
                x = self.struck(node, x, iota, at, (least, n))?;
            }
        }
        let values = self.concatenated(node, &values, axis)?;
        let found = self.concatenated(node, &found, axis)?;
        let effective = self.value_ref(found).quantisation.int_type;
        self.extras = vec![State::Integer(Integer { value: found, effective })];
        Ok(match table {
            Some(real) => State::Real(Real { value: values, direct: false, ..real }),
            None => State::Integer(Integer { value: values, effective: original.int_type }),
        })
    }

    /// The tensor with the element at an index replaced by one that never wins.
    fn struck(
        &mut self,
        node: &Node,
        x: ValueId,
        iota: ValueId,
        at: ValueId,
        (least, n): (bool, u32),
    ) -> Result<ValueId, CompileError> {
        let shape = self.value_ref(x).shape.clone();
        let own = self.value_ref(x).quantisation;
        let truth = Quantisation { scale_bits: 1f32.to_bits(), zero_point: 0, int_type: IntType::Bool };
        let hit = self.value(node, node.output(), shape.clone(), truth)?;
        let table = (0..n).flat_map(|i| (0..n).map(move |j| i32::from(i == j))).collect();
        let form = AddForm::Table { table };
        self.emit(&node.name, &node.op, Op::Add(Add { a: iota, b: Operand::Value(at), output: hit, form }), None);
        let (lo, hi) = (own.lo(), own.hi());
        let loser = if least { hi + 1 } else { lo - 1 };
        let int_type = IntType::Range { min: lo.min(loser), max: hi.max(loser) };
        let range = Quantisation { scale_bits: own.scale_bits, zero_point: 0, int_type };
        // Elements struck before stay where they are; only the new one moves.
        let output = self.value(node, node.output(), shape, range)?;
        let table = (lo..=hi).flat_map(|v| [v, loser]).collect();
        let form = AddForm::Table { table };
        self.emit(&node.name, &node.op, Op::Add(Add { a: x, b: Operand::Value(hit), output, form }), None);
        Ok(output)
    }

    /// The tensor with the original parameters; elements outside do not occur.
    fn clamped(&mut self, node: &Node, x: ValueId, original: Quantisation) -> Result<ValueId, CompileError> {
        let own = self.value_ref(x).quantisation;
        if own == original {
            return Ok(x);
        }
        let table = (own.lo()..=own.hi()).map(|v| v.clamp(original.lo(), original.hi())).collect();
        self.emit_lookup((&node.name, &node.op), node, x, table, original)
    }
}
