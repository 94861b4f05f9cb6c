//! Slice, Gather, Expand and Tile as selections of indices.

use std::rc::Rc;

use vinfer_circuits::ops::AxisIndices;

use super::Lowering;
use super::moves::{Move, MoveKind};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::tensor::MAX_ELEMENTS;
use crate::shapes;

impl Lowering<'_> {
    pub(super) fn slice_moves(&self, node: &Node, shape: &[u32]) -> Result<Vec<Move>, CompileError> {
        let missing = |name: &str| node.bad_attribute(name, "missing");
        let starts = self.integer_list(node, 1)?.ok_or_else(|| missing("starts"))?;
        let ends = self.integer_list(node, 2)?.ok_or_else(|| missing("ends"))?;
        let axes = match self.integer_list(node, 3)? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = self.integer_list(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) || starts.len() > shape.len() {
            return Err(node.bad_attribute("axes", "starts, ends, axes and steps differ in number"));
        }
        let mut all = vec![AxisIndices::Run { start: 0, step: 1 }; shape.len()];
        let mut out = shape.to_vec();
        let mut seen = vec![false; shape.len()];
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = shapes::axis(node, axis, shape.len())?;
            if std::mem::replace(&mut seen[axis], true) {
                return Err(node.bad_attribute("axes", "repeated axes"));
            }
            let len = i64::from(shape[axis]);
            let step = i32::try_from(step).ok().filter(|&s| s != 0 && s != i32::MIN);
            let step = step.ok_or_else(|| node.bad_attribute("steps", "zero or too large"))?;
            let wrap = |v: i64| if v < 0 { v.saturating_add(len) } else { v };
            let (start, end) = if step > 0 {
                (wrap(start).clamp(0, len), wrap(end).clamp(0, len))
            } else {
                (wrap(start).clamp(0, len - 1), wrap(end).clamp(-1, len - 1))
            };
            let distance = if step > 0 { end - start } else { start - end };
            let count = (distance.max(0) as u64).div_ceil(u64::from(step.unsigned_abs()));
            if count == 0 {
                return Err(node.bad_shape("the slice is empty"));
            }
            out[axis] = count as u32;
            all[axis] = AxisIndices::Run { start: start as u32, step: if count == 1 { 1 } else { step } };
        }
        Ok(vec![Move { kind: MoveKind::Select(all), shape: out }])
    }

    pub(super) fn gather_move(&self, node: &Node, shape: &[u32]) -> Result<Move, CompileError> {
        let Some(tensor) = self.constant(node, 1)? else { return Err(node.bad_attribute("indices", "missing")) };
        let dims: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        let raw = tensor.integers().ok_or_else(|| node.bad_attribute("indices", "not integers"))?;
        let inside = |i: i64, len: u32| {
            u32::try_from(if i < 0 { i.saturating_add(i64::from(len)) } else { i })
                .ok()
                .filter(|&i| i < len)
                .ok_or_else(|| node.bad_attribute("indices", format!("{i} is out of range")))
        };
        if node.op == "GatherND" {
            return self.gather_nd(node, shape, &dims, &raw, inside);
        }
        let axis = shapes::axis(node, node.int("axis", 0)?, shape.len())?;
        let list = raw.iter().map(|&i| inside(i, shape[axis])).collect::<Result<Vec<u32>, _>>()?;
        if node.op == "Gather" {
            let mut step = Move::along(shape, axis, list);
            shapes::check(node, &step.shape)?;
            let out: Vec<u32> = shape[..axis].iter().chain(&dims).chain(&shape[axis + 1..]).copied().collect();
            shapes::check(node, &out)?;
            if out != step.shape {
                // The gathered axis becomes the axes of the indices: same elements in the same order.
                let order = step.order(shape);
                step = flat(node, order, out)?;
            }
            return Ok(step);
        }
        if dims.len() != shape.len() || dims.iter().zip(shape).enumerate().any(|(i, (a, b))| i != axis && a > b) {
            return Err(node.bad_shape(format!("indices of shape {dims:?} do not fit {shape:?}")));
        }
        shapes::check(node, &dims)?;
        let identity = Move {
            kind: MoveKind::Select(vec![AxisIndices::Run { start: 0, step: 1 }; shape.len()]),
            shape: dims.clone(),
        };
        let stride: usize = shape[axis + 1..].iter().map(|&d| d as usize).product();
        let inner: usize = dims[axis + 1..].iter().map(|&d| d as usize).product();
        let order = identity.order(shape).into_iter().zip(&list).enumerate();
        let order = order.map(|(at, (own, &i))| own - at / inner % dims[axis] as usize * stride + i as usize * stride);
        flat(node, order.collect(), dims)
    }

    fn gather_nd(
        &self,
        node: &Node,
        shape: &[u32],
        dims: &[u32],
        raw: &[i64],
        inside: impl Fn(i64, u32) -> Result<u32, CompileError>,
    ) -> Result<Move, CompileError> {
        let depth = dims.last().map_or(0, |&d| d as usize);
        if node.int("batch_dims", 0)? != 0 || depth == 0 || depth > shape.len() {
            return Err(node.unsupported("batch_dims, or indices that do not fit", "use Gather"));
        }
        let inner: usize = shape[depth..].iter().map(|&d| d as usize).product();
        let mut order = Vec::new();
        for tuple in raw.chunks(depth) {
            let mut at = 0usize;
            for (&i, &len) in tuple.iter().zip(shape) {
                at = at * len as usize + inside(i, len)? as usize;
            }
            order.extend((0..inner).map(|i| at * inner + i));
            if order.len() > MAX_ELEMENTS {
                return Err(node.bad_shape("the result is too large"));
            }
        }
        let out: Vec<u32> = dims[..dims.len() - 1].iter().chain(&shape[depth..]).copied().collect();
        flat(node, order, out)
    }

    pub(super) fn expand_moves(&self, node: &Node, shape: &[u32]) -> Result<Vec<Move>, CompileError> {
        let target = self.integer_list(node, 1)?.ok_or_else(|| node.bad_attribute("shape", "missing"))?;
        let target: Option<Vec<u32>> = target.into_iter().map(|d| u32::try_from(d).ok()).collect();
        let out = target.and_then(|t| shapes::broadcast(shape, &t));
        let out = out.ok_or_else(|| node.bad_attribute("shape", format!("does not fit {shape:?}")))?;
        shapes::check(node, &out)?;
        let own = shapes::expand_rank(shape, out.len());
        let step = |(&o, &s): (&u32, &u32)| AxisIndices::Run { start: 0, step: i32::from(o == s) };
        let all = own.iter().zip(&out).map(step).collect();
        Ok(vec![Move::reshape(own), Move { kind: MoveKind::Select(all), shape: out }])
    }

    pub(super) fn tile_move(&self, node: &Node, shape: &[u32]) -> Result<Move, CompileError> {
        let repeats = self.integer_list(node, 1)?.ok_or_else(|| node.bad_attribute("repeats", "missing"))?;
        let bad = || node.bad_attribute("repeats", format!("do not fit {shape:?}"));
        let repeats: Option<Vec<u32>> = repeats.into_iter().map(|r| u32::try_from(r).ok()).collect();
        let repeats = repeats.filter(|r| r.len() == shape.len()).ok_or_else(bad)?;
        let sizes = shape.iter().zip(&repeats).map(|(&d, &r)| d.checked_mul(r));
        let out = sizes.collect::<Option<Vec<u32>>>().ok_or_else(bad)?;
        shapes::check(node, &out)?;
        let lists = shape.iter().zip(&out).map(|(&d, &o)| super::arrange::indices((0..o).map(|i| i % d).collect()));
        Ok(Move { kind: MoveKind::Select(lists.collect()), shape: out })
    }
}

/// An arbitrary movement.
pub(super) fn flat(node: &Node, order: Vec<usize>, shape: Vec<u32>) -> Result<Move, CompileError> {
    shapes::check(node, &shape)?;
    let order = order.into_iter().map(|i| i as u32).collect();
    Ok(Move { kind: MoveKind::Flat(Rc::new(order)), shape })
}
