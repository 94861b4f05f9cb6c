//! Rounding: `out` is the float nearest to `Z / U`, ties to even, in the unit of its last bit.
//!
//! `Z` is an exact integer combination, `U > 0` the weight of the result's last bit, `M = s m` the result's significand
//! with `m` in `[2^23, 2^24]`, and `rem = Z - M U`. Nearest means `2 |rem| <= U`, with equality only for even `m`.
//! Below the least significand of a binade the floats lie twice as dense: for `m = 2^23` the condition towards zero is
//! `4 |rem| <= U`. The carry bit `c+` (for `s = 1`) or `c-` (for `s = -1`) marks that case: without it
//! `m - 2^23 - 1` must be non-negative. With `p' = 1 - parity(m - 2^23 - 1 + c) - c`, which is the parity of `m`:
//! `2 U - 2 p' + 4 rem - c+ U >= 0` and `2 U - 2 p' - 4 rem - c- U >= 0`.

use alloc::vec;
use alloc::vec::Vec;

use super::super::Lowering;
use super::super::constants::single;
use super::{FloatSources, Limbs, Linear};
use crate::system::ColumnId;

/// Hints of one rounding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundHints {
    /// Magnitude `m`.
    pub magnitude: ColumnId,
    /// Carry bits `c+` and `c-`.
    pub carries: [ColumnId; 2],
    /// Parity of `m - 2^23 - 1 + c`.
    pub parity: ColumnId,
    /// Its low bits.
    pub low: ColumnId,
    /// The two distances.
    pub room: [Limbs; 2],
}

/// Bits of the low limb of a significand.
pub(super) const LOW_BITS: u32 = 11;

impl Lowering<'_> {
    /// `Z` and `U` (times `unit_factor`) are given; `bits` bounds `8 U`. The caller proves how `U`, the exponents and the
    /// sign belong together, and that a result of sign 0 has `4 |Z| < 2 U` only for `Z = 0`.
    pub(super) fn round(
        &mut self,
        instance: usize,
        out: FloatSources,
        z: &Linear,
        (unit, unit_factor): (u16, i64),
        bits: u32,
    ) -> RoundHints {
        let ([magnitude, up, down, parity, low], [m, c_up, c_down, p, l]) = self.hints::<5>(instance);
        self.exponent_in_range(instance, out);
        // M = s m.
        let sm = self.times(instance, out[2], m);
        self.zero(instance, &Linear::of(&[(1, out[0]), (-1, sm)]));
        // g = m - 2^23 - 1 + c in 0..2^23, its low bits with their parity, carries only of the sign's side and for g = 0.
        let table = self.significand_table();
        let tuple = [l, p, c_up, c_down, out[2]].map(single);
        self.push_lookup(instance, table, tuple.to_vec());
        let high = Linear::of(&[(1, m), (1, c_up), (1, c_down), (-1, l)]).plus(-(1 << 23) - 1);
        let range = self.range_table((23 - LOW_BITS) as u8);
        self.push_lookup(instance, range, vec![high.expr(LOW_BITS)]);
        // The two distances.
        let mu = self.times(instance, out[0], unit);
        let up_u = self.times(instance, c_up, unit);
        let down_u = self.times(instance, c_down, unit);
        let rem = z.clone().and(1, &Linear::of(&[(-unit_factor, mu)]));
        let bound = Linear::of(&[(2 * unit_factor, unit), (2, p), (2, c_up), (2, c_down)]).plus(-2);
        let above = bound.clone().and(4, &rem).and(1, &Linear::of(&[(-unit_factor, up_u)]));
        let below = bound.and(-4, &rem).and(1, &Linear::of(&[(-unit_factor, down_u)]));
        let room = [above, below].map(|v| self.non_negative(instance, &v, bits));
        RoundHints { magnitude, carries: [up, down], parity, low, room }
    }

    /// The exponent and sign of a result: those of a normal number, or of the one zero.
    pub(super) fn exponent_in_range(&mut self, instance: usize, out: FloatSources) {
        let table = self.exponent_table();
        self.push_lookup(instance, table, [out[1], out[2]].map(single).to_vec());
    }

    /// `(low bits, parity, c+, c-, s)`.
    pub(super) fn significand_table(&mut self) -> u32 {
        let mut rows: Vec<Vec<i64>> = vec![Vec::new(); 5];
        let mut row = |values: [i64; 5]| rows.iter_mut().zip(values).for_each(|(column, v)| column.push(v));
        for low in 0..1i64 << LOW_BITS {
            for sign in [0, 1, -1] {
                row([low, low & 1, 0, 0, sign]);
            }
        }
        row([0, 0, 1, 0, 1]);
        row([0, 0, 0, 1, -1]);
        self.row_table(rows)
    }
}
