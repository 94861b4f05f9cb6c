//! Rules of the operations between activations: products, movement, extrema, embeddings.

use alloc::collections::BTreeSet;

use super::{MAX_AXES, Rule, check_requant};
use crate::ops::{Arrange, AxisIndices, Embed, Extremum, ExtremumResult, MatMul, Multiply, Operand, PartSource};
use crate::program::{IntType, Program, Value};

/// Most boxes of one [`Arrange`].
const MAX_PARTS: usize = 1 << 12;

pub(super) fn is_float(value: &Value) -> bool {
    value.quantisation.int_type == IntType::F32
}

pub(super) fn len_of(shape: &[u32]) -> u64 {
    shape.iter().fold(1, |n, &d| n.saturating_mul(u64::from(d)))
}

/// Whether `shape` broadcasts to `output`.
pub(super) fn broadcasts(shape: &[u32], output: &[u32]) -> bool {
    shape.len() == output.len() && shape.iter().zip(output).all(|(&s, &o)| s == o || s == 1)
}

impl Program {
    /// Shape and centred range of an operand.
    pub(super) fn operand<'a>(&'a self, operand: &'a Operand) -> Rule<(&'a [u32], (i64, i64))> {
        match operand {
            Operand::Value(id) => {
                let value = self.values.get(*id as usize).ok_or("unknown operand")?;
                let q = &value.quantisation;
                Ok((&value.shape, (i64::from(q.lo()), i64::from(q.hi()))))
            }
            Operand::Constant { shape, data, lo, hi } => {
                let ok = shape.len() <= MAX_AXES
                    && len_of(shape) == data.len() as u64
                    && lo <= hi
                    && *lo >= -65535
                    && *hi <= 65535
                    && data.iter().all(|v| (lo..=hi).contains(&v));
                if ok { Ok((shape, (i64::from(*lo), i64::from(*hi)))) } else { Err("constant operand") }
            }
        }
    }

    pub(super) fn check_matmul(&self, op: &MatMul, a: &Value, b: &Value, out: &Value) -> Rule<(i64, i64)> {
        let rank = out.shape.len();
        let (Some(batch), true) = (rank.checked_sub(2), a.shape.len() == rank && b.shape.len() == rank) else {
            return Err("matrix product: ranks differ or are below 2");
        };
        let fits = broadcasts(&a.shape[..batch], &out.shape[..batch])
            && broadcasts(&b.shape[..batch], &out.shape[..batch])
            && a.shape[batch] == out.shape[batch]
            && a.shape[batch + 1] == b.shape[batch]
            && b.shape[batch + 1] == out.shape[batch + 1];
        if !fits || is_float(a) || is_float(b) {
            return Err("matrix product: shapes or types");
        }
        let (min, max) = op.reachable(a, b);
        check_requant(&op.requant, min, max, out)?;
        Ok((min, max))
    }

    pub(super) fn check_multiply(&self, op: &Multiply, a: &Value, out: &Value) -> Rule<(i64, i64)> {
        let (shape, range) = self.operand(&op.b)?;
        let float = op.b.value().is_some_and(|b| is_float(&self.values[b as usize]));
        if a.shape != out.shape || !broadcasts(shape, &out.shape) || is_float(a) || float {
            return Err("product: shapes or types");
        }
        let (min, max) = op.reachable(a, range);
        check_requant(&op.requant, min, max, out)?;
        Ok((min, max))
    }

    pub(super) fn check_arrange(&self, op: &Arrange, out: &Value) -> Rule<()> {
        if op.parts.is_empty() || op.parts.len() > MAX_PARTS {
            return Err("arrange: number of parts");
        }
        let rank = out.shape.len();
        let (lo, hi) = (out.quantisation.lo(), out.quantisation.hi());
        let mut covered = 0u64;
        for part in &op.parts {
            let inside = part.at.len() == rank
                && part.shape.len() == rank
                && part
                    .at
                    .iter()
                    .zip(&part.shape)
                    .zip(&out.shape)
                    .all(|((&at, &size), &whole)| size > 0 && u64::from(at) + u64::from(size) <= u64::from(whole));
            if !inside {
                return Err("arrange: a part leaves the output");
            }
            covered = covered.saturating_add(len_of(&part.shape));
            match &part.source {
                PartSource::Constant { data } => {
                    let fits = data.len() == 1 || data.len() as u64 == len_of(&part.shape);
                    let valid =
                        |&v: &i32| if is_float(out) { held_float(v.cast_unsigned()) } else { lo <= v && v <= hi };
                    if !fits || !data.iter().all(valid) {
                        return Err("arrange: constants");
                    }
                }
                PartSource::Value { input, indices } => {
                    let input = self.values.get(*input as usize).ok_or("unknown operand")?;
                    let q = &input.quantisation;
                    if is_float(input) != is_float(out) || q.lo() < lo || q.hi() > hi {
                        return Err("arrange: quantisation");
                    }
                    let fits = indices.len() == rank
                        && input.shape.len() == rank
                        && indices.iter().zip(&part.shape).zip(&input.shape).all(|((i, &n), &len)| reads(i, n, len));
                    if !fits {
                        return Err("arrange: indices");
                    }
                }
            }
        }
        let disjoint = |a: &crate::ops::Part, b: &crate::ops::Part| {
            (0..rank).any(|i| a.at[i] + a.shape[i] <= b.at[i] || b.at[i] + b.shape[i] <= a.at[i])
        };
        let apart = op.parts.iter().enumerate().all(|(i, a)| op.parts[..i].iter().all(|b| disjoint(a, b)));
        if covered != out.len() as u64 || !apart {
            return Err("arrange: the parts do not tile the output");
        }
        Ok(())
    }

    pub(super) fn check_extremum(&self, op: &Extremum, input: &Value, out: &Value) -> Rule<()> {
        let axis = op.axis as usize;
        let same = input.shape.len() == out.shape.len() && axis < input.shape.len();
        let shape_ok = same
            && input
                .shape
                .iter()
                .zip(&out.shape)
                .enumerate()
                .all(|(i, (&a, &b))| if i == axis { b == 1 } else { a == b });
        let (qi, qo) = (&input.quantisation, &out.quantisation);
        let narrow = i64::from(qi.hi()) - i64::from(qi.lo()) < 1 << 16;
        if !shape_ok || is_float(input) || is_float(out) || !narrow || input.shape[axis] > 1 << 16 {
            return Err("extremum: shapes or types");
        }
        let fits = match op.result {
            ExtremumResult::Value => qi.lo() == qo.lo() && qi.hi() == qo.hi(),
            _ => qo.zero_point == 0 && i64::from(qo.hi()) >= i64::from(input.shape[axis]) - 1,
        };
        if fits { Ok(()) } else { Err("extremum: range of the result") }
    }

    pub(super) fn check_embed(&self, op: &Embed, indices: &Value, out: &Value) -> Rule<()> {
        let q = &indices.quantisation;
        let public = self.inputs.iter().any(|p| p.value == op.indices);
        let shape = out.shape.split_last().filter(|(_, outer)| **outer == *indices.shape.as_slice());
        let Some((&width, _)) = shape else { return Err("embedding: shapes") };
        if !public || q.zero_point != 0 || q.lo() < 0 || i64::from(q.hi()) >= i64::from(op.rows) || is_float(indices) {
            return Err("embedding: the indices must be a graph input in the range of the table");
        }
        let (lo, hi) = (out.quantisation.lo(), out.quantisation.hi());
        let inside = op.table.iter().all(|&v| (lo..=hi).contains(&i32::from(v)));
        let size = u64::from(op.rows) * u64::from(width);
        if is_float(out) || op.table.len() as u64 != size || !inside {
            return Err("embedding: table");
        }
        Ok(())
    }
}

/// Whether the indices of `n` box elements are inside an axis of `len`.
fn reads(indices: &AxisIndices, n: u32, len: u32) -> bool {
    let below = |i: Option<u32>| i.is_some_and(|i| i < len);
    match indices {
        AxisIndices::Run { .. } => below(indices.at(0)) && below(indices.at(n - 1)),
        AxisIndices::List(list) => list.len() == n as usize && list.iter().all(|&i| i < len),
    }
}

/// Whether a float constant may appear: positive zero, or normal and of moderate size, so that every intermediate result
/// of a proof's exponents is in range.
pub(super) fn held_float(bits: u32) -> bool {
    let exponent = (bits >> 23) & 0xff;
    bits == 0 || (127 - 80..=127 + 80).contains(&exponent)
}

/// Distinct axes below a rank.
pub(super) fn distinct_axes(axes: &[u8], rank: usize) -> bool {
    let distinct: BTreeSet<u8> = axes.iter().copied().collect();
    distinct.len() == axes.len() && axes.iter().all(|&a| (a as usize) < rank)
}
