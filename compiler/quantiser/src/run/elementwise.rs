//! Functions of one tensor, and of two with broadcasting.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::{Operands, floats, required, size};
use crate::error::QuantiseError;
use crate::graph::Node;
use crate::tensor::{Data, Tensor};

/// The function of a node, if it is one of its first operand alone.
pub(crate) fn unary(node: &Node) -> Option<Box<dyn Fn(f32) -> f32>> {
    let wide =
        |f: fn(f64) -> f64| -> Option<Box<dyn Fn(f32) -> f32>> { Some(Box::new(move |x| f(f64::from(x)) as f32)) };
    match node.op.as_str() {
        "Relu" => Some(Box::new(|x: f32| x.max(0.0))),
        "Neg" => Some(Box::new(|x: f32| -x)),
        "Abs" => Some(Box::new(f32::abs)),
        "Sqrt" => Some(Box::new(f32::sqrt)),
        "Sigmoid" => wide(|x| 1.0 / (1.0 + libm::exp(-x))),
        "Tanh" => wide(libm::tanh),
        "Exp" => wide(libm::exp),
        "Erf" => wide(libm::erf),
        "Softplus" => wide(|x| x.max(0.0) + libm::log1p(libm::exp(-x.abs()))),
        "HardSwish" => Some(Box::new(|x: f32| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
        "LeakyRelu" => {
            let alpha = node.float("alpha", 0.01);
            Some(Box::new(move |x: f32| if x >= 0.0 { x } else { alpha * x }))
        }
        "Elu" => {
            let alpha = f64::from(node.float("alpha", 1.0));
            Some(Box::new(move |x: f32| if x >= 0.0 { x } else { (alpha * libm::expm1(f64::from(x))) as f32 }))
        }
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
            Some(Box::new(move |x: f32| (alpha * x + beta).clamp(0.0, 1.0)))
        }
        "Gelu" if node.text("approximate") == "tanh" => {
            wide(|x| 0.5 * x * (1.0 + libm::tanh((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x))))
        }
        "Gelu" => wide(|x| 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2))),
        _ => None,
    }
}

/// Clip with constant bounds.
pub(super) fn clip(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    floats(node, operands, 0)?;
    let bound =
        |index: usize, default: f32| operands.get(index).copied().flatten().map_or(Some(default), Tensor::scalar);
    match (bound(1, f32::MIN), bound(2, f32::MAX)) {
        (Some(lo), Some(hi)) => Ok(required(node, operands, 0)?.map(|x| x.max(lo).min(hi))),
        _ => Err(node.fail("its bounds are not single numbers")),
    }
}

/// Add, Sub, Mul, Div, Pow, Min, Max.
pub(super) fn binary(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let (a, b) = (required(node, operands, 0)?, required(node, operands, 1)?);
    match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) => {
            let f: fn(f32, f32) -> f32 = match node.op.as_str() {
                "Add" => |x, y| x + y,
                "Sub" => |x, y| x - y,
                "Mul" | "ChannelScale" => |x, y| x * y,
                "Div" => |x, y| x / y,
                "Pow" => f32::powf,
                "Min" => f32::min,
                _ => f32::max,
            };
            let (dims, values) = broadcast(node, (&a.dims, x), (&b.dims, y), f)?;
            Ok(Tensor::floats(dims, values))
        }
        (Data::I64(x), Data::I64(y)) => {
            let f: fn(i64, i64) -> i64 = match node.op.as_str() {
                "Add" => i64::wrapping_add,
                "Sub" => i64::wrapping_sub,
                "Mul" => i64::wrapping_mul,
                "Div" => |x, y| x.checked_div(y).unwrap_or(0),
                "Min" => i64::min,
                "Max" => i64::max,
                _ => return Err(node.fail("operands hold integers")),
            };
            let (dims, values) = broadcast(node, (&a.dims, x), (&b.dims, y), f)?;
            Ok(Tensor::integers(dims, values))
        }
        _ => Err(node.fail("the operands are of different types")),
    }
}

fn broadcast<T: Copy>(
    node: &Node,
    (a_dims, a): (&[usize], &[T]),
    (b_dims, b): (&[usize], &[T]),
    f: fn(T, T) -> T,
) -> Result<(Vec<usize>, Vec<T>), QuantiseError> {
    if a_dims == b_dims {
        return Ok((a_dims.to_vec(), a.iter().zip(b).map(|(&x, &y)| f(x, y)).collect()));
    }
    let rank = a_dims.len().max(b_dims.len());
    let dims = broadcast_dims(a_dims, b_dims)
        .ok_or_else(|| node.fail(format!("shapes {a_dims:?} and {b_dims:?} do not broadcast")))?;
    let total = size(node, &dims)?;
    if b.len() == 1 && dims == a_dims {
        return Ok((dims, a.iter().map(|&x| f(x, b[0])).collect()));
    }
    let (a_steps, b_steps) = (steps(a_dims, rank), steps(b_dims, rank));
    let mut out = Vec::with_capacity(total);
    let mut at = vec![0usize; rank];
    let (mut i, mut j) = (0usize, 0usize);
    for _ in 0..total {
        out.push(f(a[i], b[j]));
        for d in (0..rank).rev() {
            at[d] += 1;
            i += a_steps[d];
            j += b_steps[d];
            if at[d] < dims[d] {
                break;
            }
            i -= a_steps[d] * dims[d];
            j -= b_steps[d] * dims[d];
            at[d] = 0;
        }
    }
    Ok((dims, out))
}

/// The shape that two shapes broadcast to.
pub(crate) fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], d: usize| (d + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    (0..rank)
        .map(|d| match (dim(a, d), dim(b, d)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Distance in memory between neighbours along each axis of the result; 0 along broadcast axes.
pub(super) fn steps(dims: &[usize], rank: usize) -> Vec<usize> {
    let mut out = vec![0; rank];
    let mut step = 1;
    for (at, &dim) in dims.iter().enumerate().rev() {
        out[at + rank - dims.len()] = if dim == 1 { 0 } else { step };
        step *= dim;
    }
    out
}
