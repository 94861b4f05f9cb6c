//! Gemm and MatMul.

use super::elementwise::{broadcast_dims, steps};
use super::{Operands, floats, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::Tensor;

/// `out += a b` for row-major `a` (m x k) and `b` (k x n).
pub(super) fn multiply(out: &mut [f32], a: &[f32], b: &[f32], k: usize, n: usize) {
    if k == 0 || n == 0 {
        return;
    }
    // Four rows at a time, so that each row of `b` is read once for them.
    for (out, a) in out.chunks_mut(4 * n).zip(a.chunks(4 * k)) {
        for (index, row) in b.chunks_exact(n).enumerate() {
            for (out, a) in out.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
                let factor = a[index];
                if factor != 0.0 {
                    for (o, &x) in out.iter_mut().zip(row) {
                        *o += factor * x;
                    }
                }
            }
        }
    }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// Gemm.
pub(super) fn gemm(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let ((a_dims, a), (b_dims, b)) = (floats(node, operands, 0)?, floats(node, operands, 1)?);
    let (&[a0, a1], &[b0, b1]) = (a_dims, b_dims) else {
        return Err(node.fail("operands are not matrices"));
    };
    let (flip_a, flip_b) = (node.int("transA", 0) != 0, node.int("transB", 0) != 0);
    let (m, k) = if flip_a { (a1, a0) } else { (a0, a1) };
    let (k2, n) = if flip_b { (b1, b0) } else { (b0, b1) };
    if k != k2 {
        return Err(node.fail(format!("inner dimensions {k} and {k2} differ")));
    }
    let (a_flipped, b_flipped);
    let a = if flip_a {
        a_flipped = transposed(a, a0, a1);
        &a_flipped
    } else {
        a
    };
    let b = if flip_b {
        b_flipped = transposed(b, b0, b1);
        &b_flipped
    } else {
        b
    };
    let mut out = vec![0.0; size(node, &[m, n])?];
    multiply(&mut out, a, b, k, n);
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    if alpha != 1.0 {
        out.iter_mut().for_each(|v| *v *= alpha);
    }
    if operands.get(2).copied().flatten().is_some() {
        let (c_dims, c) = floats(node, operands, 2)?;
        if broadcast_dims(&[m, n], c_dims).is_none_or(|dims| dims != [m, n]) {
            return Err(node.fail(format!("operand C of shape {c_dims:?} does not broadcast to {:?}", [m, n])));
        }
        let step = steps(c_dims, 2);
        for (index, v) in out.iter_mut().enumerate() {
            *v += beta * c[index / n * step[0] + index % n * step[1]];
        }
    }
    Ok(Tensor::floats(vec![m, n], out))
}

/// MatMul with broadcasting over leading axes.
pub(super) fn matmul(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let ((a_dims, a), (b_dims, b)) = (floats(node, operands, 0)?, floats(node, operands, 1)?);
    let (&[ref a_lead @ .., m, k], &[ref b_lead @ .., k2, n]) = (a_dims, b_dims) else {
        return Err(node.fail("operands are not matrices"));
    };
    let lead = broadcast_dims(a_lead, b_lead).filter(|_| k == k2);
    let lead = lead.ok_or_else(|| node.fail(format!("shapes {a_dims:?} and {b_dims:?} do not fit")))?;
    let dims = [lead.as_slice(), &[m, n]].concat();
    let mut out = vec![0.0; size(node, &dims)?];
    if out.is_empty() {
        return Ok(Tensor::floats(dims, out));
    }
    let (a_steps, b_steps) = (steps(a_lead, lead.len()), steps(b_lead, lead.len()));
    for (index, out) in out.chunks_mut(m * n).enumerate() {
        let (mut rest, mut i, mut j) = (index, 0, 0);
        for d in (0..lead.len()).rev() {
            i += rest % lead[d] * a_steps[d];
            j += rest % lead[d] * b_steps[d];
            rest /= lead[d];
        }
        multiply(out, &a[i * m * k..(i + 1) * m * k], &b[j * k * n..(j + 1) * k * n], k, n);
    }
    Ok(Tensor::floats(dims, out))
}
