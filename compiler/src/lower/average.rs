//! Averages over windows, in single precision in the order in which ONNX Runtime adds.

use vinfer_circuits::ops::{AxisIndices, Part, PartSource, Window};
use vinfer_circuits::program::{Quantisation, ValueId};

use super::Lowering;
use super::float::{constant, thresholds};
use super::operands::effective_zero_point;
use super::pad::Frame;
use super::state::Real;
use crate::error::CompileError;
use crate::graph::Node;

/// Most elements of one window.
const MAX_TAPS: u32 = 1 << 12;

/// Windows of an average, and how many elements each counts.
#[derive(Clone, Debug)]
pub(super) struct Averages {
    pub(super) windows: Vec<Window>,
    pub(super) lengths: Vec<u32>,
    /// For each position, row-major.
    pub(super) counts: Vec<f32>,
}

impl Averages {
    /// `clipped`: with `count_include_pad`, padding behind the declared one does not count (operator set 19 on).
    pub(super) fn new(
        node: &Node,
        shape: &[u32],
        windows: Vec<Window>,
        lengths: Vec<u32>,
        include_pad: bool,
    ) -> Result<Self, CompileError> {
        let taps = windows.iter().try_fold(1u32, |n, w| n.checked_mul(w.kernel)).filter(|&n| n <= MAX_TAPS);
        let taps = taps.ok_or_else(|| node.unsupported("windows of more than 4096 elements", "use smaller windows"))?;
        let mut counts = vec![1u32];
        for (w, &length) in windows.iter().zip(&lengths) {
            let len = shape[w.axis as usize];
            let own = (0..length).map(|o| (0..w.kernel).filter(|&k| w.input_index(o, k, len).is_some()).count() as u32);
            let own: Vec<u32> = own.collect();
            counts = counts.iter().flat_map(|&n| own.iter().map(move |&m| n * m)).collect();
        }
        if counts.contains(&0) {
            return Err(node.bad_shape("a window holds only padding"));
        }
        let counts = counts.into_iter().map(|n| if include_pad { taps as f32 } else { n as f32 }).collect();
        Ok(Self { windows, lengths, counts })
    }
}

impl Lowering<'_> {
    /// QLinearAveragePool: `sat(rne(f32(f32(avg / sy) + zy)))`.
    pub(super) fn complete_average(
        &mut self,
        at: &Node,
        node: &Node,
        real: &Real,
        averages: &Averages,
        quantisation: Quantisation,
        effective: vinfer_circuits::program::IntType,
    ) -> Result<ValueId, CompileError> {
        let average = self.average_floats(node, real, averages)?;
        let zero_point = effective_zero_point(&quantisation, effective);
        let (lo, hi) = (quantisation.lo(), quantisation.hi());
        let own = thresholds(lo, hi, |x| {
            let level = (x / quantisation.scale() + zero_point as f32).round_ties_even();
            level.clamp((lo + zero_point) as f32, (hi + zero_point) as f32) as i32 - zero_point
        });
        self.emit_quantise(at, average, None, vec![own], quantisation)
    }

    /// Window averages, each window summed in row-major order.
    pub(super) fn average_floats(
        &mut self,
        node: &Node,
        real: &Real,
        averages: &Averages,
    ) -> Result<ValueId, CompileError> {
        let shape = self.value_ref(real.value).shape.clone();
        let (windows, taps) = self.unfolded(node, real.value, averages)?;
        let floats = self.table_of(node, windows, &real.table())?;
        let rank = shape.len();
        let sum = self.running_sum(node, floats, rank)?;
        let mut out = shape[..2].to_vec();
        out.extend(&averages.lengths);
        let sum = self.reshaped(node, sum, out.clone())?;
        let first = averages.counts.first().copied().unwrap_or(taps as f32);
        if averages.counts.iter().all(|&c| c == first) {
            return self.over_count(node, sum, first as usize);
        }
        let counted: Vec<u32> = out.iter().enumerate().map(|(i, &d)| if i < 2 { 1 } else { d }).collect();
        self.over(node, sum, constant(&averages.counts, counted))
    }

    /// The windows of an integer tensor side by side along a new last axis; zeros (centred) in the padding.
    fn unfolded(&mut self, node: &Node, input: ValueId, averages: &Averages) -> Result<(ValueId, u32), CompileError> {
        let shape = self.value_ref(input).shape.clone();
        let quantisation = self.value_ref(input).quantisation;
        let rank = shape.len();
        let (mut pads, mut lengths) = (vec![0i64; rank], shape.clone());
        for (w, &length) in averages.windows.iter().zip(&averages.lengths) {
            let axis = w.axis as usize;
            pads[axis] = i64::from(w.pad_begin);
            let extent =
                u64::from(length - 1) * u64::from(w.stride) + u64::from(w.kernel - 1) * u64::from(w.dilation) + 1;
            let extent = extent.max(u64::from(w.pad_begin) + 1);
            lengths[axis] = u32::try_from(extent).map_err(|_| node.bad_shape("the window is too large"))?;
        }
        let frame = Frame::new(&shape, &pads, &lengths).ok_or_else(|| node.bad_shape("the window is too large"))?;
        let padded = self.framed(node, input, &frame, 0)?;
        let mut own = self.value_ref(padded).shape.clone();
        own.push(1);
        let padded = self.reshaped(node, padded, own)?;
        let taps: u32 = averages.windows.iter().map(|w| w.kernel).product();
        let mut out = shape[..2].to_vec();
        out.extend(&averages.lengths);
        out.push(taps);
        let mut box_shape = out.clone();
        box_shape[rank] = 1;
        let part = |tap: u32| {
            let mut rest = tap;
            let mut indices = vec![AxisIndices::Run { start: 0, step: 1 }; rank + 1];
            for w in averages.windows.iter().rev() {
                let k = rest % w.kernel;
                rest /= w.kernel;
                indices[w.axis as usize] = AxisIndices::Run { start: k * w.dilation, step: w.stride as i32 };
            }
            let mut at = vec![0; rank + 1];
            at[rank] = tap;
            Part { at, shape: box_shape.clone(), source: PartSource::Value { input: padded, indices } }
        };
        let parts = (0..taps).map(part).collect();
        Ok((self.emit_arrange(node, out, parts, quantisation)?, taps))
    }
}
