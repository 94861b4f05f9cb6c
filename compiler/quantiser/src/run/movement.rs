//! Operators that only move elements.

use super::elementwise::{broadcast_dims, steps};
use super::{Operands, axis, integers, required, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::{Data, Tensor};

/// A tensor of shape `dims` whose element `i` is element `source(i)` of `tensor`.
fn pick(tensor: &Tensor, dims: Vec<usize>, sources: impl Iterator<Item = usize> + Clone) -> Tensor {
    let data = match &tensor.data {
        Data::F32(v) => Data::F32(sources.map(|i| v[i]).collect()),
        Data::I64(v) => Data::I64(sources.map(|i| v[i]).collect()),
        other => other.clone(),
    };
    Tensor { dims, data }
}

/// Memory offsets of all elements of a box with the given distances along its axes.
fn offsets(dims: &[usize], step: &[isize], start: usize) -> Vec<usize> {
    let mut out = vec![start as isize];
    for (&dim, &step) in dims.iter().zip(step) {
        out = out.iter().flat_map(|&base| (0..dim as isize).map(move |i| base + i * step)).collect();
    }
    out.into_iter().map(|i| i as usize).collect()
}

fn plain_steps(dims: &[usize]) -> Vec<isize> {
    let mut out = vec![1isize; dims.len()];
    for d in (1..dims.len()).rev() {
        out[d - 1] = out[d] * dims[d] as isize;
    }
    out
}

/// Reshape, Flatten, Squeeze and Unsqueeze.
pub(super) fn reshape(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let tensor = required(node, operands, 0)?;
    let dims = match node.op.as_str() {
        "Flatten" => {
            let at = node.int("axis", 1);
            let rank = tensor.dims.len() as i64;
            let at = usize::try_from(if at < 0 { at + rank } else { at }).ok().filter(|&a| a <= tensor.dims.len());
            let (left, right) = tensor.dims.split_at(at.ok_or_else(|| node.fail("attribute `axis`"))?);
            vec![left.iter().product(), right.iter().product()]
        }
        "Reshape" => reshape_dims(node, operands, tensor)?,
        _ => squeeze_dims(node, operands, tensor)?,
    };
    if crate::tensor::count(&dims) != Some(tensor.len()) {
        return Err(node.fail(format!("shape {:?} does not become {dims:?}", tensor.dims)));
    }
    Ok(tensor.reshaped(dims))
}

fn reshape_dims(node: &Node, operands: &Operands<'_>, tensor: &Tensor) -> Result<Vec<usize>, QuantiseError> {
    let shape = integers(node, operands, 1)?.ok_or_else(|| node.fail("no shape"))?;
    let mut dims = Vec::with_capacity(shape.len());
    let mut rest = None;
    for (index, &d) in shape.iter().enumerate() {
        dims.push(match d {
            -1 if rest.is_none() => {
                rest = Some(index);
                1
            }
            0 if node.int("allowzero", 0) == 0 => *tensor.dims.get(index).ok_or_else(|| node.fail("shape"))?,
            d => usize::try_from(d).map_err(|_| node.fail(format!("shape {shape:?}")))?,
        });
    }
    if let Some(index) = rest {
        let known = crate::tensor::count(&dims).filter(|&n| n > 0);
        dims[index] = tensor.len() / known.ok_or_else(|| node.fail(format!("shape {shape:?}")))?;
    }
    Ok(dims)
}

fn squeeze_dims(node: &Node, operands: &Operands<'_>, tensor: &Tensor) -> Result<Vec<usize>, QuantiseError> {
    let axes = integers(node, operands, 1)?;
    if node.op == "Squeeze" {
        let mut gone: Vec<bool> = tensor.dims.iter().map(|&d| axes.is_none() && d == 1).collect();
        for &a in axes.unwrap_or_default() {
            gone[axis(node, a, tensor.dims.len())?] = true;
        }
        return Ok(tensor.dims.iter().zip(&gone).filter(|(_, g)| !**g).map(|(&d, _)| d).collect());
    }
    let axes = axes.ok_or_else(|| node.fail("no axes"))?;
    let rank = tensor.dims.len() + axes.len();
    let mut new = vec![false; rank];
    for &a in axes {
        new[axis(node, a, rank)?] = true;
    }
    if new.iter().filter(|n| **n).count() != axes.len() {
        return Err(node.fail("an axis is repeated"));
    }
    let mut old = tensor.dims.iter();
    Ok(new.iter().map(|&n| if n { 1 } else { old.next().copied().unwrap_or(1) }).collect())
}

/// Transpose.
pub(super) fn transpose(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let tensor = required(node, operands, 0)?;
    let rank = tensor.dims.len();
    let order: Vec<usize> = match node.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.iter().map(|&p| axis(node, p, rank)).collect::<Result<_, _>>()?,
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen != (0..rank).collect::<Vec<_>>() {
        return Err(node.fail("attribute `perm`"));
    }
    let step = plain_steps(&tensor.dims);
    let dims: Vec<usize> = order.iter().map(|&o| tensor.dims[o]).collect();
    let step: Vec<isize> = order.iter().map(|&o| step[o]).collect();
    let sources = offsets(&dims, &step, 0);
    Ok(pick(tensor, dims, sources.into_iter()))
}

/// Concat.
pub(super) fn concat(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let first = required(node, operands, 0)?;
    let at = axis(node, node.int("axis", 0), first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[at] = 0;
    let mut parts = Vec::with_capacity(operands.len());
    for index in 0..operands.len() {
        let part = required(node, operands, index)?;
        let fits = part.dims.len() == dims.len() && (0..dims.len()).all(|d| d == at || part.dims[d] == dims[d]);
        if !fits || std::mem::discriminant(&part.data) != std::mem::discriminant(&first.data) {
            return Err(node.fail(format!("shapes {:?} and {:?} do not fit", first.dims, part.dims)));
        }
        dims[at] += part.dims[at];
        parts.push(part);
    }
    size(node, &dims)?;
    let outer: usize = dims[..at].iter().product();
    let inner = |part: &Tensor| part.dims[at..].iter().product::<usize>();
    let data = if first.as_integers().is_some() {
        let rows = (0..outer).flat_map(|o| parts.iter().map(move |p| (o, *p)));
        Data::I64(
            rows.flat_map(|(o, p)| p.as_integers().unwrap_or_default()[o * inner(p)..][..inner(p)].to_vec()).collect(),
        )
    } else {
        let rows = (0..outer).flat_map(|o| parts.iter().map(move |p| (o, *p)));
        Data::F32(
            rows.flat_map(|(o, p)| p.as_floats().unwrap_or_default()[o * inner(p)..][..inner(p)].to_vec()).collect(),
        )
    };
    Ok(Tensor { dims, data })
}

/// Gather.
pub(super) fn gather(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (tensor, indices) = (required(node, operands, 0)?, required(node, operands, 1)?);
    let at = axis(node, node.int("axis", 0), tensor.dims.len())?;
    let list = indices.as_integers().ok_or_else(|| node.fail("indices are not integers"))?;
    let len = tensor.dims[at];
    let list = list
        .iter()
        .map(|&i| usize::try_from(if i < 0 { i + len as i64 } else { i }).ok().filter(|&i| i < len))
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| node.fail(format!("an index is outside 0..{len}")))?;
    let inner: usize = tensor.dims[at + 1..].iter().product();
    let outer: usize = tensor.dims[..at].iter().product();
    let dims = [&tensor.dims[..at], &indices.dims, &tensor.dims[at + 1..]].concat();
    size(node, &dims)?;
    let list = &list;
    let sources = (0..outer)
        .flat_map(move |o| list.iter().flat_map(move |&i| (0..inner).map(move |k| (o * len + i) * inner + k)));
    Ok(pick(tensor, dims, sources))
}

/// Slice with starts, ends, axes and steps as operands.
pub(super) fn slice(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let tensor = required(node, operands, 0)?;
    let need = |index| integers(node, operands, index)?.ok_or_else(|| node.fail("starts or ends are missing"));
    let (starts, ends) = (need(1)?, need(2)?);
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let axes = integers(node, operands, 3)?.unwrap_or(&all);
    let ones = vec![1; starts.len()];
    let strides = integers(node, operands, 4)?.unwrap_or(&ones);
    if [ends.len(), axes.len(), strides.len()].iter().any(|&n| n != starts.len()) {
        return Err(node.fail("starts, ends, axes and steps differ in length"));
    }
    let mut dims = tensor.dims.clone();
    let mut step = plain_steps(&dims);
    let mut origin = 0usize;
    for index in 0..starts.len() {
        let at = axis(node, axes[index], tensor.dims.len())?;
        let (len, stride) = (tensor.dims[at] as i64, strides[index]);
        if stride == 0 || stride.unsigned_abs() > 1 << 32 {
            return Err(node.fail("a step is 0 or too large"));
        }
        let wrap = |v: i64| if v < 0 { v.saturating_add(len) } else { v };
        let (start, end) = if stride > 0 {
            (wrap(starts[index]).clamp(0, len), wrap(ends[index]).clamp(0, len))
        } else {
            (wrap(starts[index]).clamp(0, len - 1), wrap(ends[index]).clamp(-1, len - 1))
        };
        let span = if stride > 0 { end - start } else { start - end };
        dims[at] = (span.max(0) as u64).div_ceil(stride.unsigned_abs()) as usize;
        if dims[at] > 0 {
            origin += start as usize * step[at] as usize;
        }
        step[at] *= stride as isize;
    }
    let sources = offsets(&dims, &step, origin);
    Ok(pick(tensor, dims, sources.into_iter()))
}

/// Split into parts of given or equal sizes.
pub(super) fn split(node: &Node, operands: &Operands<'_>) -> Result<Vec<Tensor>, QuantiseError> {
    let tensor = required(node, operands, 0)?;
    let at = axis(node, node.int("axis", 0), tensor.dims.len())?;
    let parts = node.outputs.len().max(1);
    let sizes: Vec<usize> = match integers(node, operands, 1)? {
        Some(list) => list.iter().filter_map(|&n| usize::try_from(n).ok()).collect(),
        None => {
            let each = tensor.dims[at].div_ceil(parts);
            (0..parts).map(|p| each.min(tensor.dims[at].saturating_sub(p * each))).collect()
        }
    };
    let total = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    if sizes.len() != parts || total != Some(tensor.dims[at]) {
        return Err(node.fail(format!("{} elements in parts of {sizes:?}", tensor.dims[at])));
    }
    let step = plain_steps(&tensor.dims);
    let mut start = 0;
    Ok(sizes
        .into_iter()
        .map(|len| {
            let mut dims = tensor.dims.clone();
            dims[at] = len;
            let sources = offsets(&dims, &step, start * step[at] as usize);
            start += len;
            pick(tensor, dims, sources.into_iter())
        })
        .collect())
}

/// Expand.
pub(super) fn expand(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let tensor = required(node, operands, 0)?;
    let shape = integers(node, operands, 1)?.ok_or_else(|| node.fail("no shape"))?;
    let shape: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let dims = shape.and_then(|shape| broadcast_dims(&tensor.dims, &shape));
    let dims = dims.ok_or_else(|| node.fail("the shapes do not broadcast"))?;
    size(node, &dims)?;
    let step: Vec<isize> = steps(&tensor.dims, dims.len()).into_iter().map(|s| s as isize).collect();
    let sources = offsets(&dims, &step, 0);
    Ok(pick(tensor, dims, sources.into_iter()))
}
