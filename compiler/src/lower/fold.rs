//! Constant folding of shape computations, and data movement on constants.

use std::rc::Rc;

use vinfer_circuits::ops::RewireKind;

use super::Lowering;
use super::state::{State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::tensor::{Data, Tensor};
use crate::shapes;

/// Operators that exist here only on constants.
pub(super) fn known(op: &str) -> bool {
    matches!(op, "Shape" | "Gather" | "Concat" | "Cast")
}

impl Lowering<'_> {
    /// The result of a node that depends on constants (or shapes) alone.
    pub(super) fn fold(&mut self, node: &Node) -> Result<Option<State>, CompileError> {
        let integers = |values: Vec<i64>, dims: Vec<usize>| {
            Ok(Some(State::Constant(Rc::new(Tensor { dims, data: Data::I64(values) }))))
        };
        let only_constants =
            || node.unsupported("it is supported on constants only", "simplify the model first, e.g. with onnxsim");
        match node.op.as_str() {
            "Shape" => {
                let shape = self.shape_of(self.state(node, 0)?).ok_or_else(only_constants)?;
                let rank = shape.len() as i64;
                let clip = |v: i64| (if v < 0 { v + rank } else { v }).clamp(0, rank) as usize;
                let (start, end) = (clip(node.int("start", 0)?), clip(node.int("end", rank)?));
                let dims: Vec<i64> = shape.get(start..end).unwrap_or_default().iter().map(|&d| i64::from(d)).collect();
                let len = dims.len();
                integers(dims, vec![len])
            }
            "Gather" if matches!(self.state(node, 1), Ok(State::Indices(_))) => {
                let State::Indices(indices) = self.state(node, 1)?.clone() else { return Ok(None) };
                self.embedding(node, &indices).map(Some)
            }
            "Gather" | "Concat" | "Cast" => {
                let mut lists = Vec::new();
                for index in 0..node.inputs.len() {
                    let State::Constant(t) = self.state(node, index)? else { return Err(only_constants()) };
                    let values = t.integers().filter(|_| t.dims.len() <= 1).ok_or_else(only_constants)?;
                    lists.push((values, t.dims.clone()));
                }
                match (node.op.as_str(), lists.as_slice()) {
                    ("Concat", _) => {
                        let all: Vec<i64> = lists.into_iter().flat_map(|(v, _)| v).collect();
                        let len = all.len();
                        integers(all, vec![len])
                    }
                    ("Cast", [(values, dims)]) if node.int("to", 0)? == 7 => integers(values.clone(), dims.clone()),
                    ("Gather", [(data, _), (indices, dims)]) if node.int("axis", 0)? == 0 => {
                        let len = data.len() as i64;
                        let pick = |&i: &i64| usize::try_from(if i < 0 { i + len } else { i }).ok();
                        let picked = indices.iter().map(|i| pick(i).and_then(|i| data.get(i).copied()));
                        let picked: Option<Vec<i64>> = picked.collect();
                        integers(picked.ok_or_else(|| node.bad_shape("index out of range"))?, dims.clone())
                    }
                    _ => Err(only_constants()),
                }
            }
            "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" => match self.state(node, 0)?.clone() {
                State::Constant(tensor) => {
                    let shape: Vec<u32> = tensor.dims.iter().map(|&d| d as u32).collect();
                    let (kind, out) = self.movement_of(node, &shape)?;
                    let order = order(&kind, &shape, &out);
                    Ok(Some(State::Constant(Rc::new(permuted(&tensor, &order, &out)))))
                }
                State::Weights(weights) => {
                    let (kind, out) = self.movement_of(node, &weights.dims)?;
                    let axis = match (weights.axis, &kind) {
                        (None, _) => None,
                        (Some(axis), RewireKind::Transpose { permutation }) => {
                            permutation.iter().position(|&p| usize::from(p) == axis)
                        }
                        (Some(axis), RewireKind::Reshape) if node.op == "Transpose" => {
                            self.permuted_axis(node, axis, weights.dims.len())?
                        }
                        (Some(_), RewireKind::Reshape) => {
                            return Err(node.unsupported(
                                "it reshapes constants that are quantised per channel",
                                "apply it to the weights before quantising",
                            ));
                        }
                    };
                    let order = order(&kind, &weights.dims, &out);
                    let raw = order.iter().filter_map(|&i| weights.raw.get(i).copied()).collect();
                    Ok(Some(State::Weights(Rc::new(Weights { dims: out, raw, axis, ..Weights::clone(&weights) }))))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Where a Transpose node moves an axis.
    fn permuted_axis(&self, node: &Node, axis: usize, rank: usize) -> Result<Option<usize>, CompileError> {
        Ok(match node.ints("perm")? {
            None => rank.checked_sub(axis + 1),
            Some(permutation) => permutation.iter().position(|&p| p == axis as i64),
        })
    }
}

/// Source index of each element of the result.
fn order(kind: &RewireKind, shape: &[u32], out: &[u32]) -> Vec<usize> {
    let count = shapes::elements(out).unwrap_or(0);
    let RewireKind::Transpose { permutation } = kind else { return (0..count).collect() };
    let strides = |s: &[u32]| {
        let mut strides = vec![1usize; s.len()];
        for axis in (1..s.len()).rev() {
            strides[axis - 1] = strides[axis] * s[axis] as usize;
        }
        strides
    };
    let (from, to) = (strides(shape), strides(out));
    (0..count)
        .map(|at| {
            let terms = permutation.iter().enumerate();
            terms.map(|(axis, &p)| at / to[axis] % out[axis] as usize * from[p as usize]).sum()
        })
        .collect()
}

fn permuted(tensor: &Tensor, order: &[usize], out: &[u32]) -> Tensor {
    fn pick<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
        order.iter().filter_map(|&i| values.get(i).copied()).collect()
    }
    let data = match &tensor.data {
        Data::F32(v) => Data::F32(pick(v, order)),
        Data::U8(v) => Data::U8(pick(v, order)),
        Data::I8(v) => Data::I8(pick(v, order)),
        Data::I32(v) => Data::I32(pick(v, order)),
        Data::I64(v) => Data::I64(pick(v, order)),
        Data::Other(kind) => Data::Other(*kind),
    };
    Tensor { dims: out.iter().map(|&d| d as usize).collect(), data }
}
