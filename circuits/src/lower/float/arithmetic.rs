//! Sums, products, quotients and square roots of floats.

use super::super::Lowering;
use super::super::constants::single;
use super::round::LOW_BITS;
use super::{BIAS, FloatForm, Frame, Linear, keyed};

impl Lowering<'_> {
    /// `Z = M_a 2^i + sign M_b 2^j` in the unit `2^base`, with `i`, `j` and `base` a row of the alignment table.
    /// `|Z| < 2^51`.
    pub(super) fn float_sum(&mut self, frame: &Frame, sign: i64) {
        let (instance, out) = (frame.instance, frame.out);
        let &[a, b] = frame.operands.as_slice() else { return };
        let ([base, scale_a, scale_b, unit], [at, ia, ib, u]) = self.hints::<4>(instance);
        let align = self.sum_table();
        let mut tuple = keyed(&Linear::of(&[(1, a[1]), (-1, b[1])]), &[]);
        tuple.push(Linear::of(&[(1, at), (-1, b[1])]).expr(0));
        tuple.extend([single(ia), single(ib)]);
        self.push_lookup(instance, align, tuple);
        let units = self.unit_table();
        self.push_lookup(instance, units, keyed(&Linear::of(&[(1, out[1]), (-1, at)]), &[out[2], u]));
        let (left, right) = (self.times(instance, a[0], ia), self.times(instance, b[0], ib));
        let z = Linear::of(&[(1, left), (sign, right)]);
        let round = self.round(instance, out, &z, (u, 1), 32);
        self.float_step(instance, FloatForm::Sum { a, b, sign, out, base, scales: [scale_a, scale_b], unit, round });
    }

    /// `Z = M_a M_b`, `e_out = e_a + e_b - bias + k`, `U = 2^k`.
    pub(super) fn float_product(&mut self, frame: &Frame) {
        let (instance, out) = (frame.instance, frame.out);
        let &[a, b] = frame.operands.as_slice() else { return };
        let ([unit], [u]) = self.hints::<1>(instance);
        let units = self.unit_table();
        let k = Linear::of(&[(1, out[1]), (-1, a[1]), (-1, b[1])]).plus(BIAS);
        self.push_lookup(instance, units, keyed(&k, &[out[2], u]));
        let product = self.times(instance, a[0], b[0]);
        let round = self.round(instance, out, &Linear::of(&[(1, product)]), (u, 1), 29);
        self.float_step(instance, FloatForm::Product { a, b, out, unit, round });
    }

    /// `Z = M_a 2^x`, `U = M_b > 0`, `e_out = e_a - e_b + bias - x`.
    pub(super) fn float_quotient(&mut self, frame: &Frame) {
        let (instance, out) = (frame.instance, frame.out);
        let &[a, b] = frame.operands.as_slice() else { return };
        let ([scale], [power]) = self.hints::<1>(instance);
        let table = self.quotient_table();
        let x = Linear::of(&[(1, a[1]), (-1, b[1]), (-1, out[1])]).plus(BIAS);
        self.push_lookup(instance, table, keyed(&x, &[out[2], power]));
        self.zero(instance, &Linear::of(&[(1, b[2])]).plus(-1));
        let dividend = self.times(instance, a[0], power);
        let round = self.round(instance, out, &Linear::of(&[(1, dividend)]), (b[0], 1), 29);
        self.float_step(instance, FloatForm::Quotient { a, b, out, scale, round });
    }

    /// `A = M_a 2^x`, `2 e_out = e_a + bias - x`; `m` is nearest to `sqrt(A)` if `m^2 - m + 1 <= A <= m^2 + m`.
    pub(super) fn float_root(&mut self, frame: &Frame) {
        let (instance, out) = (frame.instance, frame.out);
        let &[a] = frame.operands.as_slice() else { return };
        let ([scale, low], [power, l]) = self.hints::<2>(instance);
        // The exponent is an integer: without its table, an operand of the other parity would get half a one.
        self.exponent_in_range(instance, out);
        let table = self.root_table();
        let x = Linear::of(&[(1, a[1]), (-2, out[1])]).plus(BIAS);
        self.push_lookup(instance, table, keyed(&x, &[out[2], power]));
        // m in 2^23..2^24.
        let (low_range, high_range) = (self.range_table(LOW_BITS as u8), self.range_table((23 - LOW_BITS) as u8));
        self.push_lookup(instance, low_range, alloc::vec![single(l)]);
        let high = Linear::of(&[(1, out[0]), (-1, l)]).plus(-(1 << 23));
        self.push_lookup(instance, high_range, alloc::vec![high.expr(LOW_BITS)]);
        let (operand, square) = (self.times(instance, a[0], power), self.times(instance, out[0], out[0]));
        let above = Linear::of(&[(1, square), (1, out[0]), (-1, operand)]);
        let below = Linear::of(&[(1, operand), (-1, square), (1, out[0])]).plus(-1);
        let room = [above, below].map(|v| self.non_negative(instance, &v, 26));
        self.float_step(instance, FloatForm::Root { a, out, scale, low, room });
    }
}
