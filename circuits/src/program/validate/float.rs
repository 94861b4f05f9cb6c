//! Rules of float operations.

use super::Rule;
use super::activations::{broadcasts, distinct_axes, held_float, is_float, len_of};
use crate::ops::{Float, FloatKind, Operand};
use crate::program::{Program, Value, ValueId};

/// Most entries of one table.
const MAX_ROWS: i64 = 1 << 17;

/// A float table over the integers of a tensor, scaled to integers with a common unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerTable {
    /// `table[i] = integers[i] * 2^unit`.
    pub integers: Vec<i64>,
    /// Exponent of the unit.
    pub unit: i32,
}

use alloc::vec::Vec;

impl IntegerTable {
    /// The integers behind a table of floats; `None` if they exceed 2^44.
    pub fn new(table: &[u32]) -> Option<Self> {
        let split = |bits: u32| {
            let exponent = ((bits >> 23) & 0xff) as i32 - 150;
            let mantissa = i64::from((bits & 0x7f_ffff) | 0x80_0000);
            (if bits >> 31 == 1 { -mantissa } else { mantissa }, exponent)
        };
        let unit = table.iter().filter(|&&b| b != 0).map(|&b| split(b).1).min().unwrap_or(0);
        let integers = table
            .iter()
            .map(|&bits| {
                if bits == 0 {
                    return Some(0);
                }
                let (mantissa, exponent) = split(bits);
                let shift = u32::try_from(exponent - unit).ok().filter(|&s| s <= 20)?;
                Some(mantissa << shift)
            })
            .collect::<Option<Vec<i64>>>()?;
        Some(Self { integers, unit })
    }

    /// Largest magnitude.
    pub fn reach(&self) -> u64 {
        self.integers.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0)
    }
}

impl Program {
    pub(super) fn check_float(&self, op: &Float, out: &Value) -> Rule<()> {
        let value = |id: ValueId| self.values.get(id as usize).ok_or("unknown operand");
        let ensure = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(what) };
        let table_fits = |input: &Value, table: &[u32]| {
            let rows = i64::from(input.quantisation.hi()) - i64::from(input.quantisation.lo()) + 1;
            !is_float(input) && rows <= MAX_ROWS && table.len() as i64 == rows && table.iter().all(|&b| held_float(b))
        };
        let operand = |operand: &Operand| match operand {
            Operand::Value(id) => {
                let v = value(*id)?;
                ensure(is_float(v) && broadcasts(&v.shape, &out.shape), "float: operand")
            }
            Operand::Constant { shape, data, .. } => {
                let ok = len_of(shape) == data.len() as u64 && data.iter().all(|&v| held_float(v.cast_unsigned()));
                ensure(ok && broadcasts(shape, &out.shape), "float: constant operand")
            }
        };
        if let FloatKind::Quantise { input, axis, thresholds } = &op.kind {
            let input = value(*input)?;
            ensure(is_float(input) && !is_float(out) && input.shape == out.shape, "quantise: types or shapes")?;
            let channels = match axis {
                None => 1,
                Some(a) => *out.shape.get(*a as usize).ok_or("quantise: axis")?,
            };
            let levels = i64::from(out.quantisation.hi()) - i64::from(out.quantisation.lo());
            let ok = |t: &Vec<i32>| t.len() as i64 == levels && t.is_sorted();
            let fits = levels < MAX_ROWS && thresholds.len() == channels as usize && thresholds.iter().all(ok);
            return ensure(fits, "quantise: thresholds");
        }
        ensure(is_float(out), "float: the output is not a float tensor")?;
        match &op.kind {
            FloatKind::Table { input, table } => {
                let input = value(*input)?;
                ensure(input.shape == out.shape && table_fits(input, table), "float table: shape or entries")
            }
            FloatKind::Add { a, b, .. } | FloatKind::Multiply { a, b } => {
                operand(a)?;
                operand(b)
            }
            FloatKind::Divide { a, b } => {
                operand(a)?;
                operand(b)?;
                let positive = match b {
                    Operand::Value(_) => true,
                    Operand::Constant { data, .. } => data.iter().all(|&v| v > 0),
                };
                ensure(positive, "float: division by a constant that is not positive")
            }
            FloatKind::SquareRoot { a } => {
                let a = value(*a)?;
                ensure(is_float(a) && a.shape == out.shape, "float: operand")
            }
            FloatKind::RunningSum { input, axis } | FloatKind::RunningSquares { input, axis } => {
                let input = value(*input)?;
                let ok = is_float(input) && input.shape == out.shape && (*axis as usize) < out.shape.len();
                ensure(ok, "running sum: operand or axis")
            }
            FloatKind::Mean { input, table, axes, count } => {
                let input = value(*input)?;
                ensure(table_fits(input, table) && distinct_axes(axes, input.shape.len()), "mean: table or axes")?;
                let reduced = input.shape.len() == out.shape.len()
                    && input
                        .shape
                        .iter()
                        .zip(&out.shape)
                        .enumerate()
                        .all(|(axis, (&i, &o))| o == if axes.contains(&(axis as u8)) { 1 } else { i });
                let terms: u64 = axes.iter().map(|&a| u64::from(input.shape[a as usize])).product();
                let reach = IntegerTable::new(table).map(|t| t.reach().saturating_mul(terms));
                let exact = reach.is_some_and(|r| r < 1 << 45) && (1..=1 << 20).contains(count);
                ensure(reduced && exact, "mean: shapes, or the sum is not exact")
            }
            FloatKind::WeightedMean { input, table, weights, count } => {
                let input = value(*input)?;
                ensure(table_fits(input, table), "mean: table")?;
                let reduced = match (input.shape.split_last(), out.shape.split_last()) {
                    (Some((&len, outer)), Some((1, out_outer))) => outer == out_outer && len as usize == weights.len(),
                    _ => false,
                };
                let total: u64 = weights.iter().map(|w| u64::from(w.unsigned_abs())).fold(0, u64::saturating_add);
                let reach = IntegerTable::new(table).map(|t| t.reach().saturating_mul(total));
                let mut distinct = weights.clone();
                distinct.sort_unstable();
                distinct.dedup();
                let exact = reach.is_some_and(|r| r < 1 << 45)
                    && (1..=1 << 20).contains(count)
                    && distinct.len() as i64 * table.len() as i64 <= MAX_ROWS;
                ensure(reduced && exact, "mean: shapes, or the sum is not exact")
            }
            FloatKind::Quantise { .. } => Err("quantise"),
        }
    }
}
