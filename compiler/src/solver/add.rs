//! The cheapest exact form of one `QLinearAdd`.

use vinfer_circuits::ops::{AddForm, floor_div_pow2};
use vinfer_circuits::program::IntType;

use super::plane::{Bound, Bounds};
use super::reference::{AddKernel, AddScales};
use super::stab::MAX_SHIFT;

/// Multipliers stay below this, so that all sums with 9-bit operands stay below 2^62.
const LIMIT: f64 = (1u64 << 50) as f64;

/// Finds the cheapest exact form of `QLinearAdd` (see [`add_reference`](super::add_reference)) on every pair of
/// centred operands in `a_range` and `b_range` (inclusive).
///
/// Zero points are raw; the result is centred and clamped to the type `out`. `swapped` selects the kernel with
/// exchanged operands, see [`add_is_swapped`](super::add_is_swapped). A constant operand may have any narrower or
/// wider range than its type. LINE is found in a few milliseconds where one exists near the true ratios.
#[expect(clippy::too_many_arguments, reason = "the parameters of one ONNX node, in ONNX order")]
pub fn solve_add(
    sa: f32,
    za: i32,
    sb: f32,
    zb: i32,
    sc: f32,
    zc: i32,
    out: IntType,
    swapped: bool,
    a_range: (i32, i32),
    b_range: (i32, i32),
) -> AddForm {
    let scales = AddScales { sa, za, sb, zb, sc, zc, out, swapped };
    let problem = Problem {
        a_range,
        b_range,
        lo: out.min() - zc,
        hi: out.max() - zc,
        results: results(&scales, a_range, b_range),
    };
    let form = problem.line(f64::from(sa / sc), f64::from(sb / sc)).filter(|form| problem.equal(form));
    form.unwrap_or(AddForm::Table { table: problem.results })
}

/// A two-input step function, given by all its results.
struct Problem {
    a_range: (i32, i32),
    b_range: (i32, i32),
    lo: i32,
    hi: i32,
    /// As in [`AddForm::Table`].
    results: Vec<i32>,
}

impl Problem {
    /// The results of each `a`.
    fn rows(&self) -> impl Iterator<Item = (i64, &[i32])> {
        let width = (i64::from(self.b_range.1) - i64::from(self.b_range.0) + 1).max(1);
        (i64::from(self.a_range.0)..).zip(self.results.chunks(width as usize))
    }

    /// Constraints on a plane that does not fall with `b`: there the ends of each run of equal results imply the rest.
    fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::default();
        for (a, row) in self.rows() {
            let mut b = i64::from(self.b_range.0);
            for run in row.chunk_by(|x, y| x == y) {
                let (height, last) = (i64::from(run[0]), b + run.len() as i64 - 1);
                if height > i64::from(self.lo) {
                    bounds.lower.push(Bound { a, b, height });
                }
                if height < i64::from(self.hi) {
                    bounds.upper.push(Bound { a, b: last, height: height + 1 });
                }
                b = last + 1;
            }
        }
        bounds
    }

    /// The LINE form of least shift that rounding the best slopes leads to.
    fn line(&self, ratio_a: f64, ratio_b: f64) -> Option<AddForm> {
        let bounds = self.bounds();
        let (slope_a, slope_b, gap) = bounds.widest(ratio_a, ratio_b)?;
        // The integer range of offsets is the real one times 2^shift, and must not be empty.
        let first = (0..=MAX_SHIFT).find(|&shift| gap * f64::from(shift).exp2() >= 0.999)?;
        for shift in first.saturating_sub(1)..=MAX_SHIFT {
            let unit = f64::from(shift).exp2();
            let near = |slope: f64| {
                let at = (slope * unit).round();
                (at.abs() < LIMIT).then(|| [at as i64, at as i64 - 1, at as i64 + 1].map(|m| m.max(0)))
            };
            let (choices_a, choices_b) = (near(slope_a)?, near(slope_b)?);
            for (multiplier_a, multiplier_b) in choices_a.into_iter().flat_map(|a| choices_b.map(|b| (a, b))) {
                let offset = match bounds.offsets(multiplier_a, multiplier_b, shift) {
                    (Some(low), Some(high)) if low < high => low + (high - 1 - low) / 2,
                    (Some(low), None) => low,
                    (None, Some(high)) => high - 1,
                    _ => continue,
                };
                return Some(AddForm::Line { multiplier_a, multiplier_b, offset, shift });
            }
        }
        None
    }

    /// Whether a LINE form gives every result.
    fn equal(&self, form: &AddForm) -> bool {
        let &AddForm::Line { multiplier_a, multiplier_b, offset, shift } = form else { return false };
        let (lo, hi) = (i64::from(self.lo), i64::from(self.hi));
        self.rows().all(|(a, row)| {
            (i64::from(self.b_range.0)..).zip(row).all(|(b, &y)| {
                let sum = a * multiplier_a + b * multiplier_b + offset;
                floor_div_pow2(sum, shift).clamp(lo, hi) == i64::from(y)
            })
        })
    }
}

/// All results, `a` outermost.
fn results(scales: &AddScales, a_range: (i32, i32), b_range: (i32, i32)) -> Vec<i32> {
    let kernel = AddKernel::new(scales);
    let (a_values, b_values) = (a_range.0..=a_range.1, b_range.0..=b_range.1);
    if scales.swapped {
        let result = |inner: f32| b_values.clone().map(move |b| (b, inner));
        a_values.flat_map(|a| result(kernel.inner(a))).map(|(b, inner)| kernel.outer(b, inner)).collect()
    } else {
        let inner: Vec<f32> = b_values.map(|b| kernel.inner(b)).collect();
        a_values.flat_map(|a| inner.iter().map(move |&inner| (a, inner))).map(|(a, i)| kernel.outer(a, i)).collect()
    }
}
