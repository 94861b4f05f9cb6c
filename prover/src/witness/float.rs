//! Hints of float operations, computed with integers exactly as the relations of `circuits/src/lower/float.rs` say.

use std::collections::BTreeMap;

use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{
    FloatForm, FloatSources, FloatStep, Limbs, MAX_BOOST, RoundHints, align_squares, align_sum,
};

use super::{Positions, Reader as Sources, Witness, to_i64};
use crate::keys::ProvingKey;

/// Bias of exponent cells.
const BIAS: i64 = 160;

/// A float's cells at one position.
#[derive(Debug, Clone, Copy)]
struct Cells {
    m: i64,
    e: i64,
    s: i64,
}

/// Integer values of instance sources over the real domain.
struct Reader<'a>(Sources<'a>);

impl Reader<'_> {
    fn integers(&self, source: u16) -> Vec<i64> {
        self.0.whole(source as usize).into_iter().map(to_i64).collect()
    }

    fn floats(&self, sources: FloatSources) -> Vec<Cells> {
        let [m, e, s] = sources.map(|source| self.integers(source));
        m.into_iter().zip(e).zip(s).map(|((m, e), s)| Cells { m, e, s }).collect()
    }
}

/// Columns being filled.
#[derive(Default)]
struct Filler(BTreeMap<u32, Vec<F>>);

impl Filler {
    fn push(&mut self, column: u32, value: i64) {
        self.0.entry(column).or_default().push(from_i64(value));
    }

    fn limbs(&mut self, limbs: &Limbs, value: i128) {
        for (i, &column) in limbs.columns.iter().enumerate() {
            let limb = (value >> (i * limbs.bits as usize)) & ((1 << limbs.bits) - 1);
            self.push(column, limb as i64);
        }
    }

    /// Hints of a rounding of `z` with the last bit's weight `unit`.
    fn round(&mut self, hints: &RoundHints, out: Cells, z: i64, unit: i64) {
        let m = if out.s == 0 { (1 << 23) + 1 } else { out.m.abs() };
        let least = m == 1 << 23;
        let carries = [i64::from(least && out.s > 0), i64::from(least && out.s < 0)];
        let carry = carries[0] + carries[1];
        let g = m - (1 << 23) - 1 + carry;
        self.push(hints.magnitude, m);
        self.push(hints.carries[0], carries[0]);
        self.push(hints.carries[1], carries[1]);
        self.push(hints.parity, g & 1);
        self.push(hints.low, g & 0x7ff);
        let rem = i128::from(z) - i128::from(out.m) * i128::from(unit);
        let unit = i128::from(unit);
        let bound = 2 * unit + 2 * i128::from((g & 1) + carry) - 2;
        self.limbs(&hints.room[0], bound + 4 * rem - i128::from(carries[0]) * unit);
        self.limbs(&hints.room[1], bound - 4 * rem - i128::from(carries[1]) * unit);
    }
}

/// Power of two with exponent clamped to what the tables hold.
fn power(k: i64) -> i64 {
    1 << k.clamp(0, 61)
}

impl Witness {
    pub(super) fn fill_float(&mut self, key: &ProvingKey, step: &FloatStep) {
        let reader = Reader(self.reader(key, step.instance as usize, Positions::Real));
        let filler = fill(&reader, &step.form);
        for (column, cells) in filler.0 {
            self.columns[column as usize] = cells;
        }
    }
}

fn fill(reader: &Reader<'_>, form: &FloatForm) -> Filler {
    let mut f = Filler::default();
    match form {
        FloatForm::Integers { input, class, lo, table, column } => {
            let inputs = reader.integers(*input);
            let (classes, length) =
                class.map_or_else(|| (vec![0; inputs.len()], 0), |(source, length)| (reader.integers(source), length));
            for (v, class) in inputs.into_iter().zip(classes) {
                f.push(*column, table[class as usize * length + (v - lo) as usize]);
            }
        }
        FloatForm::Sum { a, b, sign, out, base, scales, unit, round } => {
            let operands = reader.floats(*a).into_iter().zip(reader.floats(*b));
            for ((a, b), out) in operands.zip(reader.floats(*out)) {
                let diff = a.e - b.e;
                let sum = |boost: u32| {
                    let (offset, i, j) = align_sum(diff, boost);
                    (offset, i, j, a.m * i + sign * b.m * j)
                };
                let most = if diff.abs() <= 1 { MAX_BOOST } else { 0 };
                let enough = |z: i64| z == 0 || z.abs() >= 1 << 23;
                let (offset, i, j, z) = (0..=most).map(sum).find(|&(.., z)| enough(z)).unwrap_or_else(|| sum(most));
                let k = if out.s == 0 { 0 } else { out.e - (b.e + offset) };
                f.push(*base, b.e + offset);
                f.push(scales[0], i);
                f.push(scales[1], j);
                f.push(*unit, power(k));
                f.round(round, out, z, power(k));
            }
        }
        FloatForm::Product { a, b, out, unit, round } => {
            let operands = reader.floats(*a).into_iter().zip(reader.floats(*b));
            for ((a, b), out) in operands.zip(reader.floats(*out)) {
                let k = if out.s == 0 { 0 } else { out.e - a.e - b.e + BIAS };
                f.push(*unit, power(k));
                f.round(round, out, a.m * b.m, power(k));
            }
        }
        FloatForm::Quotient { a, b, out, scale, round } => {
            let operands = reader.floats(*a).into_iter().zip(reader.floats(*b));
            for ((a, b), out) in operands.zip(reader.floats(*out)) {
                let x = if out.s == 0 { 26 } else { a.e - b.e - out.e + BIAS };
                f.push(*scale, power(x));
                f.round(round, out, a.m.saturating_mul(power(x)), b.m);
            }
        }
        FloatForm::Root { a, out, scale, low, room } => {
            for (a, out) in reader.floats(*a).into_iter().zip(reader.floats(*out)) {
                let x = a.e - 2 * out.e + BIAS;
                let operand = i128::from(a.m) * i128::from(power(x));
                let m = i128::from(out.m);
                f.push(*scale, power(x));
                f.push(*low, out.m & 0x7ff);
                f.limbs(&room[0], m * m + m - operand);
                f.limbs(&room[1], operand - m * m + m - 1);
            }
        }
        FloatForm::Squares { x, before, out, row, parts, remainder, inside, unit, round } => {
            let operands = reader.floats(*x).into_iter().zip(reader.floats(*before));
            for ((x, before), out) in operands.zip(reader.floats(*out)) {
                let [offset, i, j, shift_square, shift_sum, q, limit] = align_squares(before.e - 2 * x.e + BIAS);
                let base = before.e + offset;
                for (&column, v) in row.iter().zip([base, i, j, shift_square, shift_sum, q, limit]) {
                    f.push(column, v);
                }
                let square = x.m * x.m;
                let shifted = shift_square * square + shift_sum * before.m;
                let quotient = shifted / q;
                let rest = shifted - quotient * q;
                let lost = i64::from(rest != 0);
                for (&column, v) in parts.iter().zip([square, shifted, quotient, lost]) {
                    f.push(column, v);
                }
                f.limbs(&remainder[0], i128::from(rest - lost));
                f.limbs(&remainder[1], i128::from(lost * q - lost - rest));
                f.limbs(&inside[0], i128::from(quotient));
                f.limbs(&inside[1], i128::from(limit - quotient));
                let k = if out.s == 0 { 0 } else { out.e - base };
                f.push(*unit, power(k));
                f.round(round, out, i * square + j * before.m + 2 * quotient + lost, power(k));
            }
        }
        FloatForm::Mean { total, unit_exponent, count, out, row, inside, round } => {
            for (total, out) in reader.integers(*total).into_iter().zip(reader.floats(*out)) {
                let k = out.e - unit_exponent;
                let [up, down, bound] = if out.s == 0 {
                    [1 << 24, 1, 1 << 33]
                } else {
                    [power(-k), power(k), 1 << (57 - (-k).clamp(0, 57))]
                };
                for (&column, v) in row.iter().zip([up, down, bound]) {
                    f.push(column, v);
                }
                f.limbs(&inside[0], i128::from(bound + total));
                f.limbs(&inside[1], i128::from(bound - total));
                f.round(round, out, total * up, count * down);
            }
        }
        FloatForm::Quantise { x, channel, starts, bounds, room } => {
            let cells = reader.floats(*x);
            let channels = channel.map_or_else(|| vec![0; cells.len()], |source| reader.integers(source));
            for (x, channel) in cells.into_iter().zip(channels) {
                let key = ((x.s * (x.e - 11)) << 23) + x.m;
                let own = &starts[channel as usize];
                let at = own.partition_point(|&t| t <= key).clamp(1, own.len() - 1);
                let (from, to) = (own[at - 1], own[at]);
                f.push(bounds[0], from);
                f.push(bounds[1], to);
                f.limbs(&room[0], i128::from(key - from));
                f.limbs(&room[1], i128::from(to - 1 - key));
            }
        }
    }
    f
}
