//! What makes a [`Program`] well formed. Everything downstream (executor, relations, prover) relies on these rules.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::{IntType, Op, Program, ValueId};
use crate::ops::{AddForm, Requant, RewireKind, Window};

mod activations;
mod float;
use activations::{broadcasts, is_float};
pub use float::IntegerTable;

/// A check that names the rule it finds broken.
type Rule<T> = Result<T, &'static str>;

/// A rule that a program breaks. Produced by damaged or hand-made program files; the compiler never emits one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// A value id is out of range.
    #[error("value {0} does not exist")]
    UnknownValue(ValueId),
    /// A value is read before it is defined, or defined twice.
    #[error("value {0} is used before its definition or defined twice")]
    Order(ValueId),
    /// A value has an impossible shape or quantisation.
    #[error("value `{0}` has an invalid shape or quantisation")]
    BadValue(String),
    /// The shapes or constants of an operation do not fit together.
    #[error("operation {index} ({what})")]
    BadOp {
        /// Position in `ops`.
        index: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// An accumulator can leave the range in which integer and float arithmetic agree.
    #[error("operation {index}: accumulator of channel {channel} can reach {bound}, outside int32")]
    Overflow {
        /// Position in `ops`.
        index: usize,
        /// Output channel.
        channel: usize,
        /// The offending bound.
        bound: i64,
    },
}

/// Bound on `|acc| * multiplier + |offset|`, and on every product of the relations: far below p / 2, so that equality in
/// the field is equality in the integers.
pub const MAX_PRODUCT: u128 = 1 << 61;

/// Most rows of one function table.
const MAX_TABLE: i64 = 1 << 20;

/// Most axes of a tensor: eight of a model, and the samples of a batch.
pub(super) const MAX_AXES: usize = 9;

/// Most elements one tensor may hold.
pub(super) const MAX_ELEMENTS: u64 = 1 << 28;

impl Program {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), ProgramError> {
        for value in &self.values {
            let count = value.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::from(d)));
            let q = &value.quantisation;
            let ok = value.shape.len() <= MAX_AXES
                && count.is_some_and(|n| (1..=MAX_ELEMENTS).contains(&n))
                && q.is_exact()
                && (q.int_type != IntType::F32 || q.zero_point == 0)
                && q.scale().is_finite()
                && q.scale() > 0.0;
            if !ok {
                return Err(ProgramError::BadValue(value.name.clone()));
            }
        }
        let mut defined = BTreeSet::new();
        for port in &self.inputs {
            self.value(port.value)?;
            if !defined.insert(port.value) {
                return Err(ProgramError::Order(port.value));
            }
        }
        for (index, op) in self.ops.iter().enumerate() {
            for input in op.inputs() {
                self.value(input)?;
                if !defined.contains(&input) {
                    return Err(ProgramError::Order(input));
                }
            }
            self.value(op.output())?;
            if !defined.insert(op.output()) {
                return Err(ProgramError::Order(op.output()));
            }
            self.validate_op(index, op)?;
        }
        for port in &self.outputs {
            self.value(port.value)?;
            if !defined.contains(&port.value) {
                return Err(ProgramError::Order(port.value));
            }
        }
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(ProgramError::BadOp { index: 0, what: "a program needs an input and an output" });
        }
        Ok(())
    }

    fn value(&self, id: ValueId) -> Result<&super::Value, ProgramError> {
        self.values.get(id as usize).ok_or(ProgramError::UnknownValue(id))
    }

    fn validate_op(&self, index: usize, op: &Op) -> Result<(), ProgramError> {
        let bad = |what| ProgramError::BadOp { index, what };
        let out = self.value(op.output())?;
        let integers = match op {
            Op::Contract(_) | Op::Sum(_) | Op::Add(_) | Op::Lookup(_) | Op::MaxPool(_) => true,
            Op::MatMul(_) | Op::Multiply(_) | Op::Extremum(_) | Op::Embed(_) => true,
            Op::Rewire(_) | Op::Arrange(_) | Op::Float(_) => false,
        };
        if integers && op.inputs().into_iter().chain([op.output()]).any(|id| is_float(&self.values[id as usize])) {
            return Err(bad("an integer operation on floats"));
        }
        let in_i32 = |(min, max): (i64, i64)| {
            let outside = [min, max].into_iter().find(|&bound| i32::try_from(bound).is_err());
            outside.map_or(Ok(()), |bound| Err(ProgramError::Overflow { index, channel: 0, bound }))
        };
        match op {
            Op::Arrange(a) => self.check_arrange(a, out).map_err(bad)?,
            Op::MatMul(m) => {
                let (a, b) = (self.value(m.a)?, self.value(m.b)?);
                in_i32(self.check_matmul(m, a, b, out).map_err(bad)?)?;
            }
            Op::Multiply(m) => in_i32(self.check_multiply(m, self.value(m.a)?, out).map_err(bad)?)?,
            Op::Extremum(e) => self.check_extremum(e, self.value(e.input)?, out).map_err(bad)?,
            Op::Embed(e) => self.check_embed(e, self.value(e.indices)?, out).map_err(bad)?,
            Op::Float(f) => self.check_float(f, out).map_err(bad)?,
            Op::Contract(c) => {
                let input = self.value(c.input)?;
                let channel = c.channel_axis as usize;
                if input.shape.len() != out.shape.len() || channel >= input.shape.len() {
                    return Err(bad("contraction: ranks differ"));
                }
                let in_channels = input.shape[channel];
                if c.groups == 0 || in_channels % c.groups != 0 || c.out_channels % c.groups != 0 {
                    return Err(bad("contraction: groups do not divide the channels"));
                }
                check_windows(&c.windows, &input.shape, &out.shape, Some(channel)).map_err(bad)?;
                let per_row =
                    u64::from(in_channels / c.groups) * c.windows.iter().map(|w| u64::from(w.kernel)).product::<u64>();
                if out.shape[channel] != c.out_channels
                    || Some(c.weights.len() as u64) != per_row.checked_mul(u64::from(c.out_channels))
                    || c.bias.len() != c.out_channels as usize
                    || c.requant.len() != c.out_channels as usize
                    || c.weights.iter().any(|w| !(-255..=255).contains(w))
                {
                    return Err(bad("contraction: weights, bias or requantisation have the wrong length"));
                }
                if c.bias.iter().any(|b| b.unsigned_abs() > 1 << 31) {
                    return Err(bad("contraction: bias outside int32"));
                }
                for (ch, (&(min, max), requant)) in c.reachable(input).iter().zip(&c.requant).enumerate() {
                    for bound in [min, max] {
                        if i32::try_from(bound).is_err() {
                            return Err(ProgramError::Overflow { index, channel: ch, bound });
                        }
                    }
                    check_requant(requant, min, max, out).map_err(bad)?;
                }
            }
            Op::Sum(s) => {
                let input = self.value(s.input)?;
                let distinct: BTreeSet<u8> = s.axes.iter().copied().collect();
                if input.shape.len() != out.shape.len()
                    || distinct.len() != s.axes.len()
                    || s.axes.iter().any(|&a| a as usize >= input.shape.len())
                {
                    return Err(bad("sum: axes do not fit"));
                }
                for (axis, (&i, &o)) in input.shape.iter().zip(&out.shape).enumerate() {
                    if o != if s.axes.contains(&(axis as u8)) { 1 } else { i } {
                        return Err(bad("sum: output shape"));
                    }
                }
                let (min, max) = s.reachable(input);
                for bound in [min, max] {
                    if i32::try_from(bound).is_err() {
                        return Err(ProgramError::Overflow { index, channel: 0, bound });
                    }
                }
                check_requant(&s.requant, min, max, out).map_err(bad)?;
            }
            Op::Add(add) => {
                let a = self.value(add.a)?;
                let (b_shape, (b_lo, b_hi)) = self.operand(&add.b).map_err(bad)?;
                if a.shape != out.shape || !broadcasts(b_shape, &out.shape) {
                    return Err(bad("add: shapes"));
                }
                let (a_lo, a_hi) = (i64::from(a.quantisation.lo()), i64::from(a.quantisation.hi()));
                let (lo, hi) = (out.quantisation.lo(), out.quantisation.hi());
                match &add.form {
                    AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
                        let reach = |m: i64, lo: i64, hi: i64| {
                            u128::from(m.unsigned_abs()) * u128::from(lo.unsigned_abs().max(hi.unsigned_abs()))
                        };
                        let bound = reach(*multiplier_a, a_lo, a_hi)
                            + reach(*multiplier_b, b_lo, b_hi)
                            + u128::from(offset.unsigned_abs());
                        if *shift > 44 || bound >= MAX_PRODUCT {
                            return Err(bad("add: constants too large"));
                        }
                    }
                    AddForm::Exact { multiplier_a, multiplier_b, offset } => {
                        let span = |m: i32, lo: i64, hi: i64| {
                            let (x, y) = (i64::from(m) * lo, i64::from(m) * hi);
                            (x.min(y), x.max(y))
                        };
                        let (sa, sb) = (span(*multiplier_a, a_lo, a_hi), span(*multiplier_b, b_lo, b_hi));
                        let least = sa.0.saturating_add(sb.0).saturating_add(i64::from(*offset));
                        let most = sa.1.saturating_add(sb.1).saturating_add(i64::from(*offset));
                        if least < i64::from(lo) || most > i64::from(hi) {
                            return Err(bad("add: the exact result can leave its range"));
                        }
                    }
                    AddForm::Table { table } => {
                        let (rows, width) = (a_hi - a_lo + 1, b_hi - b_lo + 1);
                        let count = rows.saturating_mul(width);
                        let small = count <= MAX_TABLE && table.len() as i64 == count;
                        if !small || table.iter().any(|y| !(lo..=hi).contains(y)) {
                            return Err(bad("add: table"));
                        }
                    }
                }
            }
            Op::Lookup(l) => {
                let input = self.value(l.input)?;
                let (lo, hi) = (out.quantisation.lo(), out.quantisation.hi());
                let rows = i64::from(input.quantisation.hi()) - i64::from(input.quantisation.lo()) + 1;
                if input.shape != out.shape
                    || rows > MAX_TABLE
                    || l.table.len() as i64 != rows
                    || l.table.iter().any(|y| !(lo..=hi).contains(y))
                {
                    return Err(bad("lookup: shape or table"));
                }
            }
            Op::MaxPool(m) => {
                let input = self.value(m.input)?;
                let (lo, hi) = (input.quantisation.lo(), input.quantisation.hi());
                if lo != out.quantisation.lo() || hi != out.quantisation.hi() {
                    return Err(bad("max pool: quantisation differs"));
                }
                if i64::from(hi) - i64::from(lo) >= 1 << 16 {
                    return Err(bad("max pool: more than 16 bits"));
                }
                check_windows(&m.windows, &input.shape, &out.shape, None).map_err(bad)?;
                if m.windows.is_empty() {
                    return Err(bad("max pool: no window"));
                }
                for w in &m.windows {
                    let (i, o) = (input.shape[w.axis as usize], out.shape[w.axis as usize]);
                    let empty = (0..o).any(|at| (0..w.kernel).all(|k| w.input_index(at, k, i).is_none()));
                    if empty {
                        return Err(bad("max pool: a window holds only padding"));
                    }
                }
            }
            Op::Rewire(r) => {
                let input = self.value(r.input)?;
                let same = is_float(input) == is_float(out)
                    && input.quantisation.lo() == out.quantisation.lo()
                    && input.quantisation.hi() == out.quantisation.hi();
                let fits = match &r.kind {
                    RewireKind::Reshape => input.len() == out.len(),
                    RewireKind::Transpose { permutation } => {
                        let seen: BTreeSet<u8> = permutation.iter().copied().collect();
                        permutation.len() == input.shape.len()
                            && out.shape.len() == input.shape.len()
                            && seen.len() == permutation.len()
                            && permutation
                                .iter()
                                .zip(&out.shape)
                                .all(|(&from, &o)| input.shape.get(from as usize) == Some(&o))
                    }
                };
                if !same || !fits {
                    return Err(bad("rewire: shapes or quantisation"));
                }
            }
        }
        Ok(())
    }
}

fn check_windows(
    windows: &[Window],
    input: &[u32],
    output: &[u32],
    channel: Option<usize>,
) -> Result<(), &'static str> {
    if input.len() != output.len() {
        return Err("windows: ranks differ");
    }
    let mut previous: Option<u8> = None;
    for w in windows {
        let axis = w.axis as usize;
        if axis >= input.len() || Some(axis) == channel || previous.is_some_and(|p| p >= w.axis) {
            return Err("windows: axes must be distinct, ascending and not the channel");
        }
        previous = Some(w.axis);
        let small = |v: u32| (1..=1 << 16).contains(&v);
        let extent = u64::from(w.kernel) * u64::from(w.dilation);
        if !small(w.kernel) || !small(w.stride) || !small(w.dilation) || w.pad_begin > 1 << 16 || extent > 1 << 24 {
            return Err("windows: kernel, stride, dilation or padding out of range");
        }
    }
    // Partial sums over the taps of one channel stay inside i32: 2^15 * 255 * 255 < 2^31.
    let taps = windows.iter().try_fold(1u64, |n, w| n.checked_mul(u64::from(w.kernel)));
    if taps.is_none_or(|n| n > 1 << 15) {
        return Err("windows: more than 2^15 taps");
    }
    for axis in 0..input.len() {
        let windowed = windows.iter().any(|w| w.axis as usize == axis);
        if !windowed && Some(axis) != channel && input[axis] != output[axis] {
            return Err("windows: an axis without window changes size");
        }
    }
    Ok(())
}

fn check_requant(requant: &Requant, min: i64, max: i64, out: &super::Value) -> Result<(), &'static str> {
    let reach = u128::from(min.unsigned_abs().max(max.unsigned_abs()));
    match requant {
        Requant::Line { multiplier, offset, shift } => {
            let bound = reach * u128::from(multiplier.unsigned_abs()) + u128::from(offset.unsigned_abs());
            if *multiplier < 0 || *shift > 44 || bound >= MAX_PRODUCT {
                return Err("LINE constants out of range");
            }
        }
        Requant::Parity { multiplier, offset, odd_delta, shift } => {
            let bound = reach * u128::from(multiplier.unsigned_abs()) + u128::from(offset.unsigned_abs());
            let grain = 1i64 << shift.saturating_sub(Requant::PARITY_DELTA_BITS).min(62);
            if *multiplier < 0
                || *shift > 44
                || bound >= MAX_PRODUCT
                || odd_delta.unsigned_abs() >= 1u64 << shift
                || odd_delta % grain != 0
            {
                return Err("PARITY constants out of range");
            }
        }
        Requant::Table { thresholds } => {
            let levels = i64::from(out.quantisation.hi()) - i64::from(out.quantisation.lo());
            if thresholds.len() as i64 != levels
                || thresholds.windows(2).any(|p| p[0] > p[1])
                || thresholds.iter().any(|&t| t < min || t > max.saturating_add(1))
            {
                return Err("TABLE thresholds out of range");
            }
        }
        Requant::Exact => {
            if min < i64::from(out.quantisation.lo()) || max > i64::from(out.quantisation.hi()) {
                return Err("an exact result can leave its range");
            }
        }
    }
    Ok(())
}
