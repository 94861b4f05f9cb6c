//! Data movement that copies elements.

use vinfer_circuits::ops::{Arrange, AxisIndices, Part, PartSource};
use vinfer_circuits::program::{Op, Quantisation, ValueId};

use super::Lowering;
use crate::error::CompileError;
use crate::graph::Node;

/// Most boxes of one movement.
pub(super) const MAX_PARTS: usize = 1 << 12;

/// The shortest description of a list of indices.
pub(super) fn indices(list: Vec<u32>) -> AxisIndices {
    let step = match list.as_slice() {
        [a, b, ..] => i64::from(*b) - i64::from(*a),
        _ => 1,
    };
    let run = list.windows(2).all(|p| i64::from(p[1]) - i64::from(p[0]) == step);
    match (run, list.first(), i32::try_from(step)) {
        (true, Some(&start), Ok(step)) => AxisIndices::Run { start, step },
        _ => AxisIndices::List(list),
    }
}

impl Lowering<'_> {
    /// Appends a data movement.
    pub(super) fn emit_arrange(
        &mut self,
        node: &Node,
        shape: Vec<u32>,
        parts: Vec<Part>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        if parts.is_empty() || parts.len() > MAX_PARTS {
            return Err(node.unsupported(
                format!("it moves {} blocks of elements", parts.len()),
                format!("at most {MAX_PARTS} blocks are supported"),
            ));
        }
        let output = self.value(node, node.output(), shape, quantisation)?;
        self.emit(&node.name, &node.op, Op::Arrange(Arrange { output, parts }), None);
        Ok(output)
    }

    /// The elements at these indices, axis by axis.
    pub(super) fn selected(
        &mut self,
        node: &Node,
        input: ValueId,
        indices: Vec<AxisIndices>,
        shape: Vec<u32>,
    ) -> Result<ValueId, CompileError> {
        let value = self.value_ref(input);
        if value.shape == shape && indices.iter().all(AxisIndices::is_identity) {
            return Ok(input);
        }
        let quantisation = value.quantisation;
        let part =
            Part { at: vec![0; shape.len()], shape: shape.clone(), source: PartSource::Value { input, indices } };
        self.emit_arrange(node, shape, vec![part], quantisation)
    }

    /// `len` elements from `start` along one axis.
    pub(super) fn sliced(
        &mut self,
        node: &Node,
        input: ValueId,
        axis: usize,
        start: u32,
        len: u32,
    ) -> Result<ValueId, CompileError> {
        let mut shape = self.value_ref(input).shape.clone();
        let mut all = vec![AxisIndices::Run { start: 0, step: 1 }; shape.len()];
        all[axis] = AxisIndices::Run { start, step: 1 };
        shape[axis] = len;
        self.selected(node, input, all, shape)
    }

    /// The value broadcast to a shape of at least its rank.
    pub(super) fn expanded(&mut self, node: &Node, input: ValueId, shape: &[u32]) -> Result<ValueId, CompileError> {
        let own = crate::shapes::expand_rank(&self.value_ref(input).shape, shape.len());
        let input = self.reshaped(node, input, own.clone())?;
        let step = |(&o, &s): (&u32, &u32)| AxisIndices::Run { start: 0, step: i32::from(o == s) };
        let all: Vec<AxisIndices> = own.iter().zip(shape).map(step).collect();
        self.selected(node, input, all, shape.to_vec())
    }

    /// A tensor of constants (centred).
    pub(super) fn constant_value(
        &mut self,
        node: &Node,
        shape: Vec<u32>,
        data: Vec<i32>,
        quantisation: Quantisation,
    ) -> Result<ValueId, CompileError> {
        let one = data.first().is_some_and(|first| data.iter().all(|v| v == first));
        let data = if one { data[..1].to_vec() } else { data };
        let part = Part { at: vec![0; shape.len()], shape: shape.clone(), source: PartSource::Constant { data } };
        self.emit_arrange(node, shape, vec![part], quantisation)
    }
}

impl Lowering<'_> {
    /// Tensors of one quantisation side by side along an axis.
    pub(super) fn concatenated(
        &mut self,
        node: &Node,
        inputs: &[ValueId],
        axis: usize,
    ) -> Result<ValueId, CompileError> {
        let Some(first) = inputs.first() else { return Err(node.bad_attribute("inputs", "none")) };
        let first = self.value_ref(*first).clone();
        let mut at = vec![0u32; first.shape.len()];
        let mut parts = Vec::with_capacity(inputs.len());
        for &input in inputs {
            let own = self.value_ref(input).shape.clone();
            let same = own.len() == at.len()
                && own.iter().zip(&first.shape).enumerate().all(|(i, (a, b))| i == axis || a == b);
            let end = own.get(axis).and_then(|n| at[axis].checked_add(*n));
            let (true, Some(end)) = (same, end) else {
                return Err(node.bad_shape("the shapes of its inputs do not fit together"));
            };
            let indices = vec![AxisIndices::Run { start: 0, step: 1 }; own.len()];
            parts.push(Part { at: at.clone(), shape: own, source: PartSource::Value { input, indices } });
            at[axis] = end;
        }
        let mut shape = first.shape;
        shape[axis] = at[axis];
        self.emit_arrange(node, shape, parts, first.quantisation)
    }
}
