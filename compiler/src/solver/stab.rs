//! Lines through step functions: the exact optimisation behind the LINE and PARITY forms.
//!
//! A step function reaches level `w` at the accumulator `t` iff a line `acc * m + c` satisfies `t*m + c >= w` and
//! `(t-1)*m + c < w`. Over all steps these are lower and upper points for the line. For a fixed slope the feasible
//! offsets are an interval; its width, the *gap*, is a concave function of the slope and linear between finitely many
//! rational slopes. Everything here is integer arithmetic; magnitudes are noted where they matter.

/// A point `(accumulator, level)` that the line must pass on or above ([`Points::lower`]) or strictly below.
type Point = (i64, i64);

/// Constraints on a line. Accumulators are int32; levels are below 2^8 in size, times 2^[`MAX_FRACTION`] when scaled.
#[derive(Default)]
pub(super) struct Points {
    /// The line is at or above these.
    pub(super) lower: Vec<Point>,
    /// The line is strictly below these.
    pub(super) upper: Vec<Point>,
}

/// A positive rational slope, `num / den`, and the range of offsets there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    pub(super) num: i64,
    pub(super) den: i64,
    /// Gap at this slope, times `den`; positive.
    pub(super) gap: i64,
}

/// One linear piece of the gap: `rise * m + base`.
#[derive(Clone, Copy)]
struct Piece {
    rise: i64,
    base: i64,
}

/// Constants of `floor((acc * multiplier + offset) / 2^shift)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) multiplier: i64,
    pub(super) offset: i64,
    pub(super) shift: u8,
}

/// Largest exponent of a divisor.
pub(super) const MAX_SHIFT: u8 = 44;

/// Levels may be in units down to `2^-20`. With that, slopes have numerators up to 2^29 and denominators up to 2^33,
/// and every product and sum below stays within 2^62.
pub(super) const MAX_FRACTION: u8 = 20;

impl Points {
    /// Largest lower bound and least upper bound of the offset at slope `num / den`, times `den`.
    pub(super) fn offsets(&self, num: i64, den: i64) -> (Option<i64>, Option<i64>) {
        let bound = |&(a, w): &Point| w * den - a * num;
        (self.lower.iter().map(bound).max(), self.upper.iter().map(bound).min())
    }

    /// The linear piece of the gap that is active at slope `num / den`, and its value times `den`.
    fn piece(&self, num: i64, den: i64) -> Option<(Piece, i64)> {
        let bound = |p: &Point| p.1 * den - p.0 * num;
        let below = extreme(&self.lower, |p| -bound(p))?;
        let above = extreme(&self.upper, bound)?;
        let piece = Piece { rise: below.0 - above.0, base: above.1 - below.1 };
        Some((piece, piece.base * den + piece.rise * num))
    }

    /// The least shift for which integer constants satisfy every point, with levels in units of `2^-fraction`.
    ///
    /// `best` maximises the gap, and the gap is concave: at each shift the integer multiplier of largest gap is one
    /// of the two next to the optimum, so trying both decides the shift exactly.
    pub(super) fn least_shift(&self, best: Slope, fraction: u8, reach: u64) -> Option<Line> {
        // The integer gap is the real gap times 2^scaling, and must be at least one.
        let first = (0..62u8).find(|&k| i128::from(best.gap) << k >= i128::from(best.den))?;
        for scaling in first..=MAX_SHIFT.checked_sub(fraction)? {
            let floor = (i128::from(best.num) << scaling) / i128::from(best.den);
            for multiplier in [floor, floor + 1] {
                let Ok(multiplier) = i64::try_from(multiplier) else { return None };
                if u128::from(reach) * u128::from(multiplier.unsigned_abs()) >= 1 << 61 {
                    continue;
                }
                if let (Some(low), Some(high)) = self.offsets_at(multiplier, scaling)
                    && low < high
                {
                    let offset = low + (high - 1 - low) / 2;
                    if fits(reach, multiplier, offset) {
                        return Some(Line { multiplier, offset, shift: scaling + fraction });
                    }
                }
            }
        }
        None
    }

    /// Like [`Points::offsets`] for the slope `multiplier / 2^scaling`, in units of `2^-scaling`.
    ///
    /// No overflow: products with the multiplier stay below 2^61, scaled levels below 2^8 * 2^44.
    fn offsets_at(&self, multiplier: i64, scaling: u8) -> (Option<i64>, Option<i64>) {
        let bound = |&(a, w): &Point| (w << scaling) - a * multiplier;
        (self.lower.iter().map(bound).max(), self.upper.iter().map(bound).min())
    }
}

/// Whether every value `acc * multiplier + offset` stays below 2^62.
fn fits(reach: u64, multiplier: i64, offset: i64) -> bool {
    u128::from(reach) * u128::from(multiplier.unsigned_abs()) + u128::from(offset.unsigned_abs()) < 1 << 62
}

/// The point of least key.
fn extreme(points: &[Point], key: impl Fn(&Point) -> i64) -> Option<Point> {
    points.iter().min_by_key(|p| key(p)).copied()
}

/// The slope that maximises the smallest gap over `sets` (one offset per set), if that gap is positive.
///
/// Levels are in units of `2^-fraction`; slopes up to 512 are considered (none needs more: levels span less).
///
/// Cutting planes in one dimension: the pieces active at two slopes around the optimum meet at the next slope to try,
/// until the gap there attains their common value. Exact, and finite since the pieces are finitely many.
pub(super) fn widest(sets: &[Points], fraction: u8) -> Option<Slope> {
    // A set without lower or without upper points never limits the gap.
    let at = |num: i64, den: i64| sets.iter().filter_map(|s| s.piece(num, den)).min_by_key(|&(_, gap)| gap);
    let found = |num, den, gap| (gap > 0).then_some(Slope { num, den, gap });
    let steepest = 512 << fraction;
    let (mut left, gap) = at(0, 1)?;
    if left.rise <= 0 {
        return found(0, 1, gap);
    }
    let (mut right, gap) = at(steepest, 1)?;
    if right.rise >= 0 {
        return found(steepest, 1, gap);
    }
    for _ in 0..200 {
        let (num, den) = (right.base - left.base, left.rise - right.rise);
        let meeting = left.rise * num + left.base * den;
        if meeting <= 0 {
            return None;
        }
        let (piece, gap) = at(num, den)?;
        if gap >= meeting || piece.rise == 0 {
            return found(num, den, gap);
        }
        if piece.rise > 0 {
            left = piece;
        } else {
            right = piece;
        }
    }
    None
}
