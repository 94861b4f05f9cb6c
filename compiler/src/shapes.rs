//! Shape arithmetic of windows, broadcasts and reshapes.

use vinfer_circuits::ops::Window;

use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::tensor::MAX_ELEMENTS;

/// Number of elements, if a tensor of this shape is allowed.
pub(crate) fn elements(shape: &[u32]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d as usize))?;
    (shape.len() <= 8 && (1..=MAX_ELEMENTS).contains(&count)).then_some(count)
}

/// Checks that a tensor of this shape is allowed.
pub(crate) fn check(node: &Node, shape: &[u32]) -> Result<(), CompileError> {
    match elements(shape) {
        Some(_) => Ok(()),
        None => Err(node.bad_shape(format!("the tensor shape {shape:?} is empty, too large or has more than 8 axes"))),
    }
}

/// An axis attribute as an index below `rank`.
pub(crate) fn axis(node: &Node, value: i64, rank: usize) -> Result<usize, CompileError> {
    let at = if value < 0 { value + rank as i64 } else { value };
    usize::try_from(at)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| node.bad_attribute("axis", format!("{value} is out of range for rank {rank}")))
}

/// The shape of `a op b` under NumPy broadcasting.
pub(crate) fn broadcast(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let rank = a.len().max(b.len());
    let dim = |s: &[u32], i: usize| (i + s.len()).checked_sub(rank).and_then(|at| s.get(at).copied()).unwrap_or(1);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// `shape` with ones in front, up to `rank` axes.
pub(crate) fn expand_rank(shape: &[u32], rank: usize) -> Vec<u32> {
    let mut out = vec![1; rank.saturating_sub(shape.len())];
    out.extend_from_slice(shape);
    out
}

/// Windows over the spatial axes (2..) of `input`, and their output lengths.
pub(crate) fn windows(
    node: &Node,
    input: &[u32],
    kernel: &[u32],
    ceil_mode: bool,
) -> Result<(Vec<Window>, Vec<u32>), CompileError> {
    let spatial = kernel.len();
    if input.len() != spatial + 2 {
        return Err(node.bad_shape(format!("a window of {spatial} axes does not fit the input shape {input:?}")));
    }
    let strides = list(node, "strides", spatial, 1, 1)?;
    let dilations = list(node, "dilations", spatial, 1, 1)?;
    let pads = list(node, "pads", 2 * spatial, 0, 0)?;
    let auto_pad = node.text("auto_pad", "NOTSET")?;
    let mut windows = Vec::with_capacity(spatial);
    let mut lengths = Vec::with_capacity(spatial);
    for i in 0..spatial {
        let (len, stride) = (i64::from(input[i + 2]), i64::from(strides[i]));
        let extent = i64::from(dilations[i]) * (i64::from(kernel[i]) - 1) + 1;
        let needed = (len + stride - 1) / stride * stride - stride + i64::from(kernel[i]) - len;
        if auto_pad.starts_with("SAME") && (needed < 0 || (dilations[i] != 1 && node.op.contains("Conv"))) {
            return Err(node.unsupported(
                "auto_pad with a stride larger than the window, or with dilations",
                "give explicit pads",
            ));
        }
        let same = || needed;
        let (begin, end) = match auto_pad {
            "NOTSET" | "" => (i64::from(pads[i]), i64::from(pads[i + spatial])),
            "VALID" => (0, 0),
            "SAME_UPPER" => (same() / 2, same() - same() / 2),
            "SAME_LOWER" => (same() - same() / 2, same() / 2),
            other => return Err(node.bad_attribute("auto_pad", format!("unknown value `{other}`"))),
        };
        let room = len + begin + end - extent;
        if room < 0 {
            return Err(node.bad_shape(format!("the window does not fit into axis {} of {input:?}", i + 2)));
        }
        let mut out = if ceil_mode { (room + stride - 1) / stride } else { room / stride } + 1;
        if ceil_mode && (out - 1) * stride >= len + begin {
            out -= 1; // the last window must start inside the image or its leading padding
        }
        let small = |v: i64| u32::try_from(v).ok().filter(|&v| v <= 1 << 16);
        let (Some(pad_begin), Ok(out)) = (small(begin), u32::try_from(out)) else {
            return Err(node.bad_attribute("pads", "too large"));
        };
        lengths.push(out);
        windows.push(Window {
            axis: (i + 2) as u8,
            kernel: kernel[i],
            stride: strides[i],
            dilation: dilations[i],
            pad_begin,
        });
    }
    Ok((windows, lengths))
}

/// A list attribute of window constants, each in `min..=2^16`.
pub(crate) fn list(node: &Node, name: &str, len: usize, default: u32, min: i64) -> Result<Vec<u32>, CompileError> {
    match node.ints(name)? {
        None => Ok(vec![default; len]),
        Some([]) => Ok(vec![default; len]),
        Some(v) if v.len() == len => v
            .iter()
            .map(|&x| {
                u32::try_from(x)
                    .ok()
                    .filter(|&u| i64::from(u) >= min && u <= 1 << 16)
                    .ok_or_else(|| node.bad_attribute(name, format!("{x} is out of range")))
            })
            .collect(),
        Some(v) => Err(node.bad_attribute(name, format!("{} values, expected {len}", v.len()))),
    }
}

/// The target of a Reshape, with 0 and -1 resolved.
pub(crate) fn reshape(node: &Node, input: &[u32], target: &[i64], allow_zero: bool) -> Result<Vec<u32>, CompileError> {
    let bad = || node.bad_shape(format!("cannot reshape {input:?} to {target:?}"));
    let total = elements(input).ok_or_else(bad)? as u64;
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = None;
    let mut known = 1u64;
    for (i, &d) in target.iter().enumerate() {
        let dim = match d {
            -1 if inferred.is_none() => {
                inferred = Some(i);
                1
            }
            0 if !allow_zero => *input.get(i).ok_or_else(bad)?,
            d => u32::try_from(d).map_err(|_| bad())?,
        };
        known = known.checked_mul(u64::from(dim)).filter(|&k| k > 0 && k <= total).ok_or_else(bad)?;
        shape.push(dim);
    }
    if let Some(i) = inferred {
        shape[i] = u32::try_from(total / known).map_err(|_| bad())?;
        known *= total / known;
    }
    if known == total && shape.len() <= 8 { Ok(shape) } else { Err(bad()) }
}
