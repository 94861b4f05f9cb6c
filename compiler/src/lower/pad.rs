//! Pad.

use std::rc::Rc;

use vinfer_circuits::ops::{AxisIndices, Part, PartSource};
use vinfer_circuits::program::ValueId;

use super::Lowering;
use super::moves::{Move, MoveKind};
use super::pieces::{Piece, Pieces, Source};
use super::state::{Integer, State};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::tensor::Data;
use crate::shapes;

/// Elements that a constant pad keeps, and where they go.
pub(super) struct Frame {
    /// Shape of the result.
    pub(super) shape: Vec<u32>,
    /// Where the kept box begins in the result.
    at: Vec<u32>,
    /// Its size.
    kept: Vec<u32>,
    /// Where it begins in the tensor.
    from: Vec<u32>,
}

impl Frame {
    /// `pads[i]` elements before axis `i` (cut off if negative), and `lengths[i]` in the result.
    pub(super) fn new(shape: &[u32], pads: &[i64], lengths: &[u32]) -> Option<Self> {
        let mut frame = Self { shape: lengths.to_vec(), at: vec![], kept: vec![], from: vec![] };
        for ((&len, &pad), &out) in shape.iter().zip(pads).zip(lengths) {
            let (at, from) = (pad.max(0), (-pad).max(0));
            let kept = (i64::from(len) - from).min(i64::from(out) - at);
            frame.at.push(u32::try_from(at).ok()?);
            frame.from.push(u32::try_from(from).ok()?);
            frame.kept.push(u32::try_from(kept).ok().filter(|&k| k > 0)?);
        }
        Some(frame)
    }

    /// Boxes around the kept one, as (first index, size).
    fn borders(&self) -> Vec<(Vec<u32>, Vec<u32>)> {
        let mut found = Vec::new();
        for axis in 0..self.shape.len() {
            // Earlier axes are inside the kept box, later ones take everything.
            let side = |start: u32, len: u32| {
                let mut at = vec![0; self.shape.len()];
                let mut shape = self.shape.clone();
                at[..axis].copy_from_slice(&self.at[..axis]);
                shape[..axis].copy_from_slice(&self.kept[..axis]);
                (at[axis], shape[axis]) = (start, len);
                (at, shape)
            };
            let end = self.at[axis] + self.kept[axis];
            for (start, len) in [(0, self.at[axis]), (end, self.shape[axis] - end)] {
                if len > 0 {
                    found.push(side(start, len));
                }
            }
        }
        found
    }

    fn indices(&self) -> Vec<AxisIndices> {
        self.from.iter().map(|&start| AxisIndices::Run { start, step: 1 }).collect()
    }
}

impl Lowering<'_> {
    pub(super) fn pad(&mut self, node: &Node) -> Result<State, CompileError> {
        let state = self.state(node, 0)?.clone();
        let shape = self.shape_of(&state).ok_or_else(|| node.bad_shape("the input shape is unknown"))?;
        let (begins, lengths) = self.pads(node, &shape)?;
        match node.text("mode", "constant")? {
            "constant" => {}
            mode @ ("reflect" | "edge" | "wrap") => {
                let lists = (0..shape.len()).map(|axis| {
                    let (len, begin) = (i64::from(shape[axis]), begins[axis]);
                    let all = (0..i64::from(lengths[axis])).map(|i| reflected(i - begin, len, mode).map(|i| i as u32));
                    all.collect::<Option<Vec<u32>>>().map(super::arrange::indices)
                });
                let all = lists.collect::<Option<Vec<_>>>();
                let all = all.ok_or_else(|| node.bad_attribute("pads", "longer than the tensor"))?;
                return self.arranged(node, state, vec![Move { kind: MoveKind::Select(all), shape: lengths }]);
            }
            other => return Err(node.bad_attribute("mode", format!("unknown value `{other}`"))),
        }
        let frame = Frame::new(&shape, &begins, &lengths);
        let frame = frame.ok_or_else(|| node.bad_attribute("pads", "nothing of the tensor remains"))?;
        match state {
            State::Integer(Integer { value, effective }) => {
                let quantisation = self.value_ref(value).quantisation;
                let fill = match self.constant(node, 2)? {
                    None => 0,
                    Some(t) => match t.integers().as_deref() {
                        Some([one]) => i32::try_from(*one).unwrap_or(i32::MAX),
                        _ => return Err(node.bad_attribute("constant_value", "not one integer")),
                    },
                };
                let value = self.framed(node, value, &frame, fill.saturating_sub(quantisation.zero_point))?;
                Ok(State::Integer(Integer { value, effective }))
            }
            State::Real(real) => {
                let fill = self.fill(node)?;
                let mut parts = vec![Piece {
                    at: frame.at.clone(),
                    shape: frame.kept.clone(),
                    source: Source::Tensor(real, frame.indices()),
                }];
                let border = |(at, shape)| Piece { at, shape, source: Source::Numbers(Rc::new(vec![fill])) };
                parts.extend(frame.borders().into_iter().map(border));
                self.pieces_state(node, Pieces { node: node.clone(), shape: frame.shape, parts })
            }
            State::Constant(_) | State::Weights(_) => {
                Err(node.unsupported("it pads a constant", "pad the constant before exporting the model"))
            }
            other => {
                let tensor = self.floats(node, other)?;
                let fill = vinfer_circuits::ops::float::to_bits(self.fill(node)?);
                let value = self.framed(node, tensor.value, &frame, fill)?;
                let shape = frame.shape;
                Ok(State::Float(super::float::FloatTensor { value, shape, curves: None }))
            }
        }
    }

    /// A tensor inside a frame of one constant (centred).
    pub(super) fn framed(
        &mut self,
        node: &Node,
        input: ValueId,
        frame: &Frame,
        fill: i32,
    ) -> Result<ValueId, CompileError> {
        let value = self.value_ref(input);
        if value.shape == frame.shape && frame.from.iter().all(|&f| f == 0) && frame.kept == frame.shape {
            return Ok(input);
        }
        let quantisation = value.quantisation;
        let float = quantisation.int_type == vinfer_circuits::program::IntType::F32;
        if !float && !(quantisation.lo()..=quantisation.hi()).contains(&fill) {
            return Err(node.bad_attribute("constant_value", "outside the element type"));
        }
        let mut parts = vec![Part {
            at: frame.at.clone(),
            shape: frame.kept.clone(),
            source: PartSource::Value { input, indices: frame.indices() },
        }];
        let border = |(at, shape)| Part { at, shape, source: PartSource::Constant { data: vec![fill] } };
        parts.extend(frame.borders().into_iter().map(border));
        self.emit_arrange(node, frame.shape.clone(), parts, quantisation)
    }

    /// The number to pad with.
    fn fill(&self, node: &Node) -> Result<f32, CompileError> {
        if self.graph.opset < 11 {
            return node.float("value", 0.0);
        }
        if node.input(2).is_none() {
            return Ok(0.0);
        }
        let fill = self.scalar(self.state(node, 2)?);
        fill.ok_or_else(|| node.bad_attribute("constant_value", "not one constant float"))
    }

    /// Elements before each axis, and the length of each axis of the result.
    fn pads(&self, node: &Node, shape: &[u32]) -> Result<(Vec<i64>, Vec<u32>), CompileError> {
        let rank = shape.len();
        let list = match node.ints("pads")? {
            Some(pads) => pads.to_vec(),
            None => self.integer_list(node, 1)?.ok_or_else(|| node.bad_attribute("pads", "missing"))?,
        };
        let axes: Vec<usize> = match self.integer_list(node, 3)? {
            Some(axes) => axes.into_iter().map(|a| shapes::axis(node, a, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        if list.len() != 2 * axes.len() {
            return Err(node.bad_attribute("pads", format!("{} values for {} axes", list.len(), axes.len())));
        }
        let (mut begins, mut lengths) = (vec![0; rank], shape.to_vec());
        for (i, &axis) in axes.iter().enumerate() {
            let (begin, end) = (list[i], list[i + axes.len()]);
            let len = i64::from(shape[axis]).checked_add(begin).and_then(|l| l.checked_add(end));
            let len = len.and_then(|l| u32::try_from(l).ok()).filter(|_| begin.unsigned_abs() < 1 << 32);
            begins[axis] = begin;
            lengths[axis] = len.ok_or_else(|| node.bad_attribute("pads", "out of range"))?;
        }
        shapes::check(node, &lengths)?;
        Ok((begins, lengths))
    }

    /// A constant integer tensor of the program.
    pub(super) fn integer_constant(
        &mut self,
        node: &Node,
        tensor: &crate::onnx::tensor::Tensor,
        quantisation: vinfer_circuits::program::Quantisation,
    ) -> Result<ValueId, CompileError> {
        let shape: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
        shapes::check(node, &shape)?;
        let (lo, hi) = (i64::from(quantisation.lo()), i64::from(quantisation.hi()));
        let centred = |v: i64| {
            let c = v.saturating_sub(i64::from(quantisation.zero_point));
            (lo..=hi).contains(&c).then_some(c as i32)
        };
        let raw = match &tensor.data {
            Data::F32(_) | Data::Other(_) => None,
            _ => tensor.integers(),
        };
        let data = raw.and_then(|raw| raw.into_iter().map(centred).collect::<Option<Vec<i32>>>());
        let data =
            data.ok_or_else(|| node.bad_attribute("constant", "not integers in the range of the element type"))?;
        self.constant_value(node, shape, data, quantisation)
    }
}

/// Position in a tensor of `len` elements of position `at` of a padded one.
fn reflected(at: i64, len: i64, mode: &str) -> Option<i64> {
    match mode {
        "edge" => Some(at.clamp(0, len - 1)),
        "wrap" => Some(at.rem_euclid(len)),
        _ => {
            let at = if at < 0 { -at } else { at };
            let at = if at >= len { 2 * (len - 1) - at } else { at };
            (0..len).contains(&at).then_some(at)
        }
    }
}
