//! Planes through two-input step functions: the numerical optimisation behind the LINE form of `QLinearAdd`.
//!
//! The result of a pair `(a, b)` is at least `h` iff the plane `a*ma + b*mb + c` is at least `h` there. Only the ends
//! of runs of equal results constrain it. The slopes sought differ from the true scale ratios by tiny amounts `da`,
//! `db` that absorb the rounding of the float arithmetic; the gap between the constraints is concave in `(da, db)`.
//! Floating point suffices here: whatever comes out is rounded to integers and those are checked exactly.

/// The plane must be at or above `height` at `(a, b)`, or strictly below it.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) a: i64,
    pub(super) b: i64,
    pub(super) height: i64,
}

/// All constraints of one step function.
#[derive(Default)]
pub(super) struct Bounds {
    /// The plane is at or above these.
    pub(super) lower: Vec<Bound>,
    /// The plane is strictly below these.
    pub(super) upper: Vec<Bound>,
}

/// A constraint relative to the plane of the true ratios: `slack + a*da + b*db` is its distance.
struct Near {
    a: f64,
    b: f64,
    slack: f64,
}

/// A supporting plane of the gap at one pair of deviations.
#[derive(Clone, Copy)]
struct Support {
    gap: f64,
    by_a: f64,
    by_b: f64,
}

/// Largest deviation of a slope.
const DEVIATION: f64 = 1e-5;
/// Constraints with more slack than this cannot become active within the permitted deviations.
const NEAR: f64 = 0.03;

impl Bounds {
    /// Greatest lower and least upper (exclusive) offset of the plane with slopes `ma / 2^shift` and `mb / 2^shift`.
    ///
    /// Callers keep multipliers below 2^52 and the shift at most 44, so nothing overflows.
    pub(super) fn offsets(&self, ma: i64, mb: i64, shift: u8) -> (Option<i64>, Option<i64>) {
        let bound = |p: &Bound| (p.height << shift) - p.a * ma - p.b * mb;
        (self.lower.iter().map(bound).max(), self.upper.iter().map(bound).min())
    }

    /// Slopes near `ma`, `mb` for which the range of offsets is widest, and its width; `None` if it is empty.
    ///
    /// If nothing comes close to constraining the slopes, they are returned as they are, with the width of a level.
    pub(super) fn widest(&self, ma: f64, mb: f64) -> Option<(f64, f64, f64)> {
        let level = |p: &Bound| p.a as f64 * ma + p.b as f64 * mb + 0.5 - p.height as f64;
        let near = |points: &[Bound], sign: f64| -> Vec<Near> {
            let relative = |p: &Bound| Near { a: sign * p.a as f64, b: sign * p.b as f64, slack: sign * level(p) };
            points.iter().map(relative).filter(|p| p.slack < NEAR).collect()
        };
        let sides = [near(&self.lower, 1.0), near(&self.upper, -1.0)];
        if sides.iter().any(Vec::is_empty) {
            return Some((ma, mb, 1.0));
        }
        let ((da, db), best) = maximise(|da| {
            let (db, best) = maximise(|db| {
                let support = support(&sides, da, db);
                (db, Cut { value: support.gap, rise: support.by_b, other: support.by_a })
            });
            ((da, db), Cut { value: best.value, rise: best.other, other: 0.0 })
        });
        (best.value > 0.0).then_some((ma + da, mb + db, best.value))
    }
}

/// The gap at the given deviations, with its gradient.
fn support(sides: &[Vec<Near>; 2], da: f64, db: f64) -> Support {
    let mut total = Support { gap: 0.0, by_a: 0.0, by_b: 0.0 };
    for side in sides {
        let distance = |p: &Near| p.slack + p.a * da + p.b * db;
        if let Some(p) = side.iter().min_by(|p, q| distance(p).total_cmp(&distance(q))) {
            total = Support { gap: total.gap + distance(p), by_a: total.by_a + p.a, by_b: total.by_b + p.b };
        }
    }
    total
}

/// A concave function at one point: value, slope, and a second slope carried along in another direction.
#[derive(Clone, Copy)]
struct Cut {
    value: f64,
    rise: f64,
    other: f64,
}

/// Maximises a concave piecewise linear function on the permitted deviations by cutting planes.
///
/// `other` of the result is the carried slope of a supporting plane that is flat in the direction maximised: the
/// convex combination of the two cuts around the maximum.
fn maximise<T>(at: impl Fn(f64) -> (T, Cut)) -> (T, Cut) {
    let (mut left, mut right) = (-DEVIATION, DEVIATION);
    let ((left_witness, mut below), (right_witness, mut above)) = (at(left), at(right));
    if below.rise <= 0.0 {
        return (left_witness, below);
    }
    if above.rise >= 0.0 {
        return (right_witness, above);
    }
    let mut best = if below.value > above.value { (left_witness, below) } else { (right_witness, above) };
    for _ in 0..60 {
        // Where the two cuts meet.
        let middle = (above.value - below.value + below.rise * left - above.rise * right) / (below.rise - above.rise);
        let meeting = below.value + below.rise * (middle - left);
        let (witness, cut) = at(middle);
        if cut.value >= best.1.value {
            best = (witness, cut);
        }
        if meeting - cut.value < 1e-13 || cut.rise == 0.0 {
            break;
        }
        if cut.rise > 0.0 {
            (left, below) = (middle, cut);
        } else {
            (right, above) = (middle, cut);
        }
    }
    if best.1.rise != 0.0 {
        let share = -above.rise / (below.rise - above.rise);
        best.1.other = share * below.other + (1.0 - share) * above.other;
    }
    best
}
