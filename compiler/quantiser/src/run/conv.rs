//! Convolution over one to three axes, and the windows it shares with pools.

use super::linear::multiply;
use super::{Operands, floats, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::Tensor;

/// Windows over up to three axes; axes that are not there have length 1.
pub(crate) struct Windows {
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    before: [usize; 3],
}

impl Windows {
    /// From the attributes of a node; `spatial` are the input's axes behind batch and channels.
    pub(crate) fn new(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<Self, QuantiseError> {
        let rank = spatial.len();
        if !(1..=3).contains(&rank) || kernel.len() != rank {
            return Err(node.fail(format!("windows {kernel:?} over axes {spatial:?}")));
        }
        let list = |name: &str, default: usize| -> Result<Vec<usize>, QuantiseError> {
            let values = match node.ints(name) {
                None => vec![default; rank],
                Some(v) => v.iter().filter_map(|&v| usize::try_from(v).ok()).collect(),
            };
            let enough = values.len() == rank && values.iter().all(|&v| v > 0 && v < 1 << 20);
            enough.then_some(values).ok_or_else(|| node.fail(format!("attribute `{name}`")))
        };
        let (stride, dilation) = (list("strides", 1)?, list("dilations", 1)?);
        let pads: Vec<usize> = match node.ints("pads") {
            None => vec![0; 2 * rank],
            Some(v) => v.iter().filter_map(|&v| usize::try_from(v).ok()).filter(|&v| v < 1 << 20).collect(),
        };
        if pads.len() != 2 * rank || kernel.contains(&0) || kernel.iter().any(|&k| k >= 1 << 20) {
            return Err(node.fail("attribute `pads` or `kernel_shape`"));
        }
        let mut w =
            Self { input: [1; 3], output: [1; 3], kernel: [1; 3], stride: [1; 3], dilation: [1; 3], before: [0; 3] };
        for axis in 0..rank {
            let (at, len) = (axis + 3 - rank, spatial[axis]);
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let (before, after) = match node.text("auto_pad") {
                "" | "NOTSET" => (pads[axis], pads[axis + rank]),
                "VALID" => (0, 0),
                same => {
                    let steps = len.div_ceil(stride[axis]);
                    let total = (steps.saturating_sub(1) * stride[axis] + reach).saturating_sub(len);
                    let less = total / 2;
                    if same == "SAME_LOWER" { (total - less, less) } else { (less, total - less) }
                }
            };
            let room = (len + before + after).checked_sub(reach);
            let room = room.ok_or_else(|| node.fail(format!("a window of {reach} over {len} elements")))?;
            let mut steps = room / stride[axis] + 1;
            if node.int("ceil_mode", 0) != 0 && room % stride[axis] != 0 && steps * stride[axis] < len + before {
                steps += 1;
            }
            (w.input[at], w.output[at], w.kernel[at]) = (len, steps, kernel[axis]);
            (w.stride[at], w.dilation[at], w.before[at]) = (stride[axis], dilation[axis], before);
        }
        Ok(w)
    }

    /// The output's axes behind batch and channels.
    pub(crate) fn output_dims(&self, rank: usize) -> &[usize] {
        &self.output[3 - rank..]
    }

    /// Input offset of window element `kernel` at output position `output`, unless it lies in the padding.
    pub(crate) fn at(&self, output: [usize; 3], kernel: [usize; 3]) -> Option<usize> {
        let mut offset = 0;
        for axis in 0..3 {
            let at = (output[axis] * self.stride[axis] + kernel[axis] * self.dilation[axis])
                .checked_sub(self.before[axis])?;
            if at >= self.input[axis] {
                return None;
            }
            offset = offset * self.input[axis] + at;
        }
        Some(offset)
    }
}

/// All positions of a box, last axis fastest.
pub(crate) fn positions(dims: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..dims[0]).flat_map(move |a| (0..dims[1]).flat_map(move |b| (0..dims[2]).map(move |c| [a, b, c])))
}

/// Conv.
pub(super) fn conv(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let ((x_dims, x), (w_dims, w)) = (floats(node, operands, 0)?, floats(node, operands, 1)?);
    let (&[batch, channels, ref spatial @ ..], &[outs, group_channels, ref kernel @ ..]) = (x_dims, w_dims) else {
        return Err(node.fail("operands have too few axes"));
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if groups == 0 || outs % groups != 0 || channels != groups * group_channels {
        return Err(node.fail(format!("{channels} channels, weights {w_dims:?}, {groups} groups")));
    }
    let windows = Windows::new(node, spatial, kernel)?;
    let positions_out: usize = windows.output.iter().product();
    let dims = [&[batch, outs], windows.output_dims(spatial.len())].concat();
    let mut out = vec![0.0; size(node, &dims)?];
    let bias = match operands.get(2).copied().flatten() {
        Some(_) => Some(floats(node, operands, 2)?.1),
        None => None,
    };
    if bias.is_some_and(|b| b.len() != outs) {
        return Err(node.fail("the bias does not have one element per output channel"));
    }
    let (area, taps) = (windows.input.iter().product::<usize>(), windows.kernel.iter().product::<usize>());
    let depth = group_channels * taps;
    size(node, &[depth, positions_out])?;
    let mut columns = vec![0.0; depth * positions_out];
    let per_group = outs / groups;
    for (slot, out) in out.chunks_mut((per_group * positions_out).max(1)).enumerate() {
        let (sample, group) = (slot / groups, slot % groups);
        let image = &x[(sample * channels + group * group_channels) * area..][..group_channels * area];
        for (row, columns) in columns.chunks_mut(positions_out.max(1)).enumerate() {
            let (plane, tap) = (&image[row / taps * area..][..area], row % taps);
            let tap = [
                tap / (windows.kernel[1] * windows.kernel[2]),
                tap / windows.kernel[2] % windows.kernel[1],
                tap % windows.kernel[2],
            ];
            for (c, at) in columns.iter_mut().zip(positions(windows.output)) {
                *c = windows.at(at, tap).map_or(0.0, |i| plane[i]);
            }
        }
        if let Some(bias) = bias {
            for (o, row) in out.chunks_mut(positions_out.max(1)).enumerate() {
                row.fill(bias[group * per_group + o]);
            }
        }
        multiply(out, &w[group * per_group * depth..][..per_group * depth], &columns, depth, positions_out);
    }
    Ok(Tensor::floats(dims, out))
}
