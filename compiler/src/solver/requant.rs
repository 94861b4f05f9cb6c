//! The cheapest exact form of one requantisation.

use vinfer_circuits::ops::Requant;

use super::stab::{Line, MAX_FRACTION, Points, widest};
use super::thresholds::thresholds;

/// Finds the cheapest exact form of `clamp(rne(f32(f32(acc) * scale)), lo, hi)` on every `acc` in `min_acc..=max_acc`.
///
/// All quantities are centred: `lo = qmin - zp <= 0 <= hi = qmax - zp`. The range must lie within int32 and `scale`
/// must be positive and finite (callers refuse other models; for them the result is meaningless, but no panic).
/// LINE with the smallest possible shift is preferred, then PARITY, then TABLE.
pub fn solve_requant(scale: f32, lo: i32, hi: i32, min_acc: i64, max_acc: i64) -> Requant {
    solve_with_grain(scale, lo, hi, min_acc, max_acc, Requant::PARITY_DELTA_BITS)
}

/// [`solve_requant`] with PARITY deltas that are multiples of `2^(shift - grain)`.
fn solve_with_grain(scale: f32, lo: i32, hi: i32, min: i64, max: i64, grain: u8) -> Requant {
    let grain = grain.min(MAX_FRACTION);
    Steps { lo, hi, min, max, thresholds: thresholds(scale, lo, hi, min, max) }.solve(grain)
}

/// A step function, given by its exact thresholds.
pub(super) struct Steps {
    pub(super) lo: i32,
    pub(super) hi: i32,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) thresholds: Vec<i64>,
}

impl Steps {
    /// The cheapest exact form.
    pub(super) fn solve(self, grain: u8) -> Requant {
        [self.line(), self.parity(grain)]
            .into_iter()
            .flatten()
            .find(|form| self.equal(form))
            .unwrap_or(Requant::Table { thresholds: self.thresholds })
    }

    /// Every level above the lowest, with its threshold.
    fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        (i64::from(self.lo) + 1..).zip(self.thresholds.iter().copied())
    }

    /// Largest size of a reachable accumulator.
    fn reach(&self) -> u64 {
        self.min.unsigned_abs().max(self.max.unsigned_abs())
    }

    /// The value, if it is the same on the whole range.
    fn constant(&self) -> Option<i64> {
        let reached = self.thresholds.iter().filter(|&&t| t <= self.min).count();
        let inside = self.thresholds.iter().any(|&t| t > self.min && t <= self.max);
        (!inside).then_some(i64::from(self.lo) + reached as i64)
    }

    /// Constraints on a line from the levels for which `keep` holds; `lift` maps a level to its height.
    fn points(&self, keep: impl Fn(i64) -> bool, lift: impl Fn(i64) -> i64) -> Points {
        let mut points = Points::default();
        for (level, t) in self.iter().filter(|&(level, _)| keep(level)) {
            // A level reached everywhere constrains at the first accumulator, one never reached at the last.
            if t <= self.max {
                points.lower.push((t, lift(level)));
            }
            if t > self.min {
                points.upper.push((t - 1, lift(level)));
            }
        }
        points
    }

    fn line(&self) -> Option<Requant> {
        if let Some(offset) = self.constant() {
            return Some(Requant::Line { multiplier: 0, offset, shift: 0 });
        }
        let points = [self.points(|_| true, |level| level)];
        let best = widest(&points, 0)?;
        let Line { multiplier, offset, shift } = points[0].least_shift(best, 0, self.reach())?;
        Some(Requant::Line { multiplier, offset, shift })
    }

    fn parity(&self, grain: u8) -> Option<Requant> {
        self.deltas(grain)?
            .into_iter()
            .filter_map(|delta| self.parity_with(delta, grain))
            .min_by_key(|&(Line { shift, .. }, _)| shift)
            .map(|(Line { multiplier, offset, shift }, odd_delta)| Requant::Parity {
                multiplier,
                offset,
                odd_delta,
                shift,
            })
    }

    /// Candidate deltas for odd levels, in units of `2^-grain`; `None` if no delta at all can work.
    fn deltas(&self, grain: u8) -> Option<Vec<i64>> {
        let sets = [self.points(|level| level % 2 == 0, |l| l), self.points(|level| level % 2 != 0, |l| l)];
        let best = widest(&sets, 0)?;
        // At the best slope the two offset ranges are [l0, h0) and [l1, h1), so the delta lies between l1 - h0 and
        // h1 - l0. Other slopes admit slightly different ranges, so neighbours are tried too.
        let (even, odd) = (sets[0].offsets(best.num, best.den), sets[1].offsets(best.num, best.den));
        let unit = |numerator: i64| (i128::from(numerator) << grain).div_euclid(i128::from(best.den)) as i64;
        let limit = (1i64 << grain) - 1;
        let low = odd.0.zip(even.1).map_or(-limit, |(l, h)| unit(l - h)).clamp(-limit, limit);
        let high = odd.1.zip(even.0).map_or(limit, |(h, l)| unit(h - l)).clamp(-limit, limit);
        let middle = low + (high - low) / 2;
        let mut candidates: Vec<i64> = (middle - 3..=middle + 3).collect();
        candidates.extend(coarsest(low, high, grain));
        candidates.retain(|d| *d != 0 && d.abs() <= limit);
        candidates.sort_unstable();
        candidates.dedup();
        Some(candidates)
    }

    /// The PARITY form with the given delta: the LINE problem with odd levels lowered by the delta.
    fn parity_with(&self, delta: i64, grain: u8) -> Option<(Line, i64)> {
        let common = (delta.trailing_zeros() as u8).min(grain);
        let (fraction, delta) = (grain - common, delta >> common);
        let lift = |level: i64| (level << fraction) - if level % 2 == 0 { 0 } else { delta };
        let points = [self.points(|_| true, lift)];
        let line = points[0].least_shift(widest(&points, fraction)?, fraction, self.reach())?;
        Some((line, delta << (line.shift - fraction)))
    }

    /// Whether `form` equals the step function on every accumulator of the range.
    ///
    /// Both are monotone and have values in `lo..=hi`, so they are equal iff for every level the form is below it
    /// just before its threshold and not below it at the threshold. LINE is monotone since its multiplier is not
    /// negative. PARITY maps `v = acc * multiplier + offset` to the number of boundaries at or below `v`, counted
    /// from 0, where level `w` has the boundary `w * 2^shift` if even and `w * 2^shift - odd_delta` if odd; these
    /// alternate in increasing order exactly because `|odd_delta| < 2^shift`, so it is monotone too.
    fn equal(&self, form: &Requant) -> bool {
        if let Requant::Parity { odd_delta, shift, .. } = form
            && odd_delta.unsigned_abs() >= 1 << shift
        {
            return false;
        }
        self.iter().all(|(level, t)| {
            let below = |acc: i64| i64::from(form.apply(acc, self.lo, self.hi)) < level;
            (t > self.max || !below(t)) && (t <= self.min || below(t - 1))
        })
    }
}

/// The multiple of the largest power of two (at most `2^bits`) in `low..=high`, apart from 0.
fn coarsest(low: i64, high: i64, bits: u8) -> Option<i64> {
    (0..=bits).rev().find_map(|bit| {
        let least = (low + (1 << bit) - 1) >> bit << bit;
        [least, least + (1 << bit)].into_iter().find(|&d| d != 0 && d <= high)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arithmetic limits and exactness do not depend on the grain, which the proof format fixes.
    #[test]
    fn every_grain_is_exact() {
        let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
        let mut parities = 0;
        for step in 0..240 {
            let scale = (f64::from(step) * -0.1).exp2() as f32 * 4.7;
            for grain in [0, 11, 16, 18, 20, 60] {
                for (lo, hi, min, max) in [(0, 255, -1 << 20, 1 << 22), (-128, 127, min, max)] {
                    let form = solve_with_grain(scale, lo, hi, min, max, grain);
                    let steps = Steps { lo, hi, min, max, thresholds: thresholds(scale, lo, hi, min, max) };
                    assert!(steps.equal(&form));
                    if let Requant::Parity { odd_delta, shift, .. } = form {
                        parities += 1;
                        assert_eq!(odd_delta % (1 << shift.saturating_sub(grain)), 0);
                    }
                }
            }
        }
        assert!(parities > 0);
    }

    #[test]
    fn coarsest_multiples() {
        assert_eq!(coarsest(-70, 70, 11), Some(-64));
        assert_eq!(coarsest(-70, -3, 11), Some(-64));
        assert_eq!(coarsest(5, 7, 11), Some(6));
        assert_eq!(coarsest(0, 0, 11), None);
        assert_eq!(coarsest(3, 2, 11), None);
    }
}
