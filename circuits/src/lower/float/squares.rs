//! One step of a running sum of squares: `out = x * x + before`, rounded once.
//!
//! `P = M_x^2` has up to 48 bits. An alignment row chosen by the exponents says how both terms become integers of one
//! unit, `Z = i P + j M_before + 2 H + h`, where `H` is the quotient of the operand that is shifted right by a power of
//! two `q` (or 0), and `h` says whether the remainder `R` is not zero: `W = H q + R`, `h <= R <= h (q - 1)`,
//! `0 <= H <= 2^48 / q`.

use alloc::vec;

use super::super::Lowering;
use super::super::constants::single;
use super::{BIAS, FloatForm, Frame, Linear, keyed};

impl Lowering<'_> {
    pub(super) fn float_squares(&mut self, frame: &Frame) {
        let (instance, out) = (frame.instance, frame.out);
        let &[before, x] = frame.operands.as_slice() else { return };
        let (row, [base, i, j, shift_square, shift_sum, q, limit]) = self.hints::<7>(instance);
        let (parts, [p, w, quotient, lost]) = self.hints::<4>(instance);
        let ([unit], [u]) = self.hints::<1>(instance);
        // diff = (e_before - bias) - 2 (e_x - bias).
        let table = self.squares_table();
        let mut tuple = keyed(&Linear::of(&[(1, before[1]), (-2, x[1])]).plus(BIAS), &[]);
        tuple.push(Linear::of(&[(1, base), (-1, before[1])]).expr(0));
        tuple.extend([i, j, shift_square, shift_sum, q, limit].map(single));
        self.push_lookup(instance, table, tuple);
        // P and W.
        let square = self.times(instance, x[0], x[0]);
        self.zero(instance, &Linear::of(&[(1, p), (-1, square)]));
        let (from_square, from_sum) =
            (self.times(instance, p, shift_square), self.times(instance, before[0], shift_sum));
        self.zero(instance, &Linear::of(&[(1, w), (-1, from_square), (-1, from_sum)]));
        // W = H q + R with h <= R <= h (q - 1), and h a bit.
        let bit = self.range_table(1);
        self.push_lookup(instance, bit, vec![single(lost)]);
        let (whole, span) = (self.times(instance, quotient, q), self.times(instance, lost, q));
        let remainder = Linear::of(&[(1, w), (-1, whole)]);
        let least = remainder.clone().and(1, &Linear::of(&[(-1, lost)]));
        let most = Linear::of(&[(1, span), (-1, lost)]).and(-1, &remainder);
        // Both are below q <= 2^48.
        let remainder = [least, most].map(|v| self.non_negative(instance, &v, 48));
        // 0 <= H <= 2^48 / q, so that H q does not wrap.
        let inside = [Linear::of(&[(1, quotient)]), Linear::of(&[(1, limit), (-1, quotient)])];
        let inside = inside.map(|v| self.non_negative(instance, &v, 24));
        let units = self.unit_table();
        self.push_lookup(instance, units, keyed(&Linear::of(&[(1, out[1]), (-1, base)]), &[out[2], u]));
        let (left, right) = (self.times(instance, p, i), self.times(instance, before[0], j));
        let z = Linear::of(&[(1, left), (1, right), (2, quotient), (1, lost)]);
        let round = self.round(instance, out, &z, (u, 1), 40);
        self.float_step(instance, FloatForm::Squares { x, before, out, row, parts, remainder, inside, unit, round });
    }
}
