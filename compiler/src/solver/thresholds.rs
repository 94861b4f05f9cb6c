//! Exact thresholds of the requantisation step function.

/// `thresholds[i]` is the least accumulator in `min..=max` whose level is at least `lo + 1 + i`, or `max + 1`.
///
/// The level is monotone in the accumulator: integer-to-float conversion, multiplication by a positive constant and
/// rounding all are. So a bisection finds each threshold exactly.
pub(super) fn thresholds(scale: f32, lo: i32, hi: i32, min: i64, max: i64) -> Vec<i64> {
    let mut from = min;
    (lo + 1..=hi)
        .map(|level| {
            let boundary = level as f32 - 0.5;
            let guess = (f64::from(boundary) / f64::from(scale)).ceil() as i64;
            from = least(from, max + 1, guess, |acc| reaches(acc, scale, level, boundary));
            from
        })
        .collect()
}

/// Whether `rne(f32(f32(acc) * scale)) >= level`, with `boundary = level - 1/2` (exact: levels are small integers).
///
/// The value exactly on the boundary rounds to the even neighbour.
fn reaches(acc: i64, scale: f32, level: i32, boundary: f32) -> bool {
    let value = acc as f32 * scale;
    if level % 2 == 0 { value >= boundary } else { value > boundary }
}

/// The least `x` in `from..to` with `holds(x)`, or `to`; `holds` is monotone. Searches outwards from `guess`.
pub(super) fn least(from: i64, to: i64, guess: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut from, mut to) = (from, to);
    let mut at = guess.clamp(from, to);
    let mut step = 1;
    // Invariant: the answer lies in from..=to.
    while from < to {
        at = at.clamp(from, to - 1);
        if holds(at) {
            to = at;
            at -= step;
        } else {
            from = at + 1;
            at += step;
        }
        step *= 2;
        if at < from || at >= to || step > 1 << 8 {
            at = from + (to - from) / 2;
        }
    }
    from
}
