//! Tables of float operations: which exponents go with which powers of two. Keys are shifted by `KEY`; the first row is
//! the all-zero tuple of pads, which no real position can use.

use alloc::vec;
use alloc::vec::Vec;

use super::super::Lowering;
use super::{BIAS, KEY};

/// Rows, collected column by column.
struct Rows(Vec<Vec<i64>>);

impl Rows {
    fn new(arity: usize) -> Self {
        Self(vec![vec![0]; arity])
    }

    fn push(&mut self, key: i64, values: &[i64]) {
        for (column, v) in self.0.iter_mut().zip(core::iter::once(key + KEY).chain(values.iter().copied())) {
            column.push(v);
        }
    }
}

/// Exponent differences of two floats, at most.
const SPAN: i64 = 420;

/// Row of the alignment of a sum: `(base - e_b, scale of a, scale of b)` for `diff = e_a - e_b`, with the significands
/// boosted by `2^boost` after cancellation (only for `|diff| <= 1`; otherwise the sum keeps 23 bits).
///
/// Beyond 26 bits the smaller operand is below an eighth of the larger one's last bit and does not change the result.
pub fn align_sum(diff: i64, boost: u32) -> (i64, i64, i64) {
    if diff > 26 {
        (diff, 1, 0)
    } else if diff < -26 {
        (0, 0, 1)
    } else {
        (
            diff.min(0) - i64::from(boost),
            1 << (diff.max(0) + i64::from(boost)),
            1 << ((-diff).max(0) + i64::from(boost)),
        )
    }
}

/// Most bits lost by cancellation.
pub const MAX_BOOST: u32 = 24;

/// Row of the alignment of a square and a running sum, `diff = (e_sum - e_square)` of their last bits:
/// `[base - e_sum, factor of the square, factor of the sum, square is shifted, sum is shifted, 2^shift, bound of the
/// quotient]`.
///
/// Both are brought to the base's unit. Where they lie too far apart for 62 bits, the smaller one is shifted right (at most until nothing of
/// it is left) and its quotient doubled, plus one if any bit was lost: the result's rounding does not see more.
pub fn align_squares(diff: i64) -> [i64; 7] {
    if (0..=33).contains(&diff) {
        [-diff, 1, 1 << diff, 0, 0, 1, 0]
    } else if (-9..0).contains(&diff) {
        [0, 1 << -diff, 1, 0, 0, 1, 0]
    } else if diff > 33 {
        // Unit: 2^-9 of the sum's last bit; the square shifted into half units of it. A square is below 2^48, so more
        // than 48 bits would shift out no more, and its remainder would not fit the range checks.
        let shift = (diff - 8).min(48);
        [-9, 0, 1 << 9, 1, 0, 1 << shift, (1 << 48) >> shift]
    } else {
        // Unit: half of the square's last bit.
        let shift = (-diff).min(25);
        [-diff - 1, 2, 0, 0, 1, 1 << shift, (1 << 24) >> shift]
    }
}

impl Lowering<'_> {
    /// `(e_a - e_b, base - e_b, scale of a, scale of b)`.
    pub(super) fn sum_table(&mut self) -> u32 {
        let mut rows = Rows::new(4);
        for diff in -SPAN..=SPAN {
            for boost in 0..=if diff.abs() <= 1 { MAX_BOOST } else { 0 } {
                let (base, a, b) = align_sum(diff, boost);
                rows.push(diff, &[base, a, b]);
            }
        }
        self.row_table(rows.0)
    }

    /// `(e_out - base, s, 2^(e_out - base))`; a zero result has any exponent and unit 1.
    pub(super) fn unit_table(&mut self) -> u32 {
        let mut rows = Rows::new(3);
        for k in 0..=36 {
            rows.push(k, &[1, 1 << k]);
            rows.push(k, &[-1, 1 << k]);
        }
        (-KEY + 1..KEY).for_each(|k| rows.push(k, &[0, 1]));
        self.row_table(rows.0)
    }

    /// `(e, s)` of every result: zero has exponent cell 0, a normal number one of 1 to 253 (plus the bias). Exponents are
    /// thereby small integers, so that no key of another table wraps or meets its row of pads; a zero cannot pretend a
    /// magnitude in a later alignment; and nothing passes that IEEE 754 would round as a subnormal or an infinity (the
    /// topmost binade is left out, as a significand of `2^24` there is an infinity).
    pub(super) fn exponent_table(&mut self) -> u32 {
        let mut rows = vec![vec![0], vec![0]];
        for field in 1..=253 {
            for sign in [1, -1] {
                for (column, v) in rows.iter_mut().zip([field - 150 + BIAS, sign]) {
                    column.push(v);
                }
            }
        }
        self.row_table(rows)
    }

    /// `(x, s, 2^x)`: a quotient's scaling; a zero dividend is scaled to exceed any divisor.
    pub(super) fn quotient_table(&mut self) -> u32 {
        let mut rows = Rows::new(3);
        for x in 22..=25 {
            rows.push(x, &[1, 1 << x]);
            rows.push(x, &[-1, 1 << x]);
        }
        (-KEY + 1..KEY).for_each(|x| rows.push(x, &[0, 1 << 26]));
        self.row_table(rows.0)
    }

    /// `(x, 1, 2^x)`: a root's scaling. It brings the operand to `2^46..2^48`, so that the significand of the root is
    /// rounded in the root's own binade: with `x = 22`, `2^24 - 1` would round up to the binade above.
    pub(super) fn root_table(&mut self) -> u32 {
        let mut rows = Rows::new(3);
        (23..=24).for_each(|x| rows.push(x, &[1, 1 << x]));
        self.row_table(rows.0)
    }

    /// `(diff, ..)` of [`align_squares`].
    pub(super) fn squares_table(&mut self) -> u32 {
        let mut rows = Rows::new(8);
        (-2 * SPAN..=SPAN).for_each(|diff| rows.push(diff, &align_squares(diff)));
        self.row_table(rows.0)
    }

    /// `(k, s, 2^max(-k, 0), 2^max(k, 0), bound of the total)`: a mean's scaling.
    /// `k <= most` keeps `U` times a significand below 2^61.
    pub(super) fn mean_table(&mut self, most: i64) -> u32 {
        let mut rows = Rows::new(5);
        for k in LEAST_MEAN..=most {
            let (up, down) = (k.min(0).unsigned_abs(), k.max(0));
            for sign in [1, -1] {
                rows.push(k, &[sign, 1 << up, 1 << down, 1 << (57 - up)]);
            }
        }
        (-KEY + 1..KEY).for_each(|k| rows.push(k, &[0, 1 << 24, 1, 1 << 33]));
        self.row_table(rows.0)
    }
}

/// Least exponent of a mean's last bit over its total's unit.
const LEAST_MEAN: i64 = -45;
