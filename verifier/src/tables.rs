//! Closed-form multilinear extensions of tables, in O(bits).

use alloc::vec;
use alloc::vec::Vec;

use crate::context::Context;
use vinfer_circuits::field::{K, from_i64};
use vinfer_circuits::mle::{below_and_weighted, index_value};
use vinfer_circuits::system::TableRows;

/// Tuple components of a closed-form table at `point`; empty for explicit tables.
pub(crate) fn closed_form<C: Context>(ctx: &C, rows: &TableRows, point: &[C::Element]) -> Vec<C::Element> {
    let small = |v: i64| K::from(from_i64(v));
    match rows {
        TableRows::Range { .. } => vec![index_value(ctx, point)],
        TableRows::Clamp { bits, fraction_bits, lo, hi } => {
            let value = index_value(ctx, point) - ctx.constant(small(half(u32::from(*bits))));
            let level_bits = bits.saturating_sub(*fraction_bits);
            let (levels, _) = point.split_at_checked(usize::from(level_bits)).unwrap_or((point, &[]));
            vec![value, clamped(ctx, levels, *lo, *hi)]
        }
        TableRows::ParityClamp { bits, lo, hi } => {
            let value = index_value(ctx, point) - ctx.constant(small(half(u32::from(*bits))));
            // w = index - 2^(bits-1) has the parity of the index for bits > 1.
            let parity = point.last().cloned().unwrap_or_else(|| ctx.constant(small(0)));
            vec![value, parity, clamped(ctx, point, *lo, *hi)]
        }
        TableRows::Columns { .. } => Vec::new(),
    }
}

/// Extension of `clamp(index - 2^(bits-1), lo, hi)`.
fn clamped<C: Context>(ctx: &C, point: &[C::Element], lo: i32, hi: i32) -> C::Element {
    let constant = |v: i64| ctx.constant(K::from(from_i64(v)));
    let half = half(u32::try_from(point.len()).unwrap_or(u32::MAX));
    let index = |v: i32| u64::try_from(half.saturating_add(i64::from(v))).unwrap_or(0);
    // Indices below index(lo) give lo, those from index(hi) on give hi, those between give index - half.
    let (low_count, low_sum) = below_and_weighted(ctx, point, index(lo));
    let (high_count, high_sum) = below_and_weighted(ctx, point, index(hi));
    let middle = (high_sum - low_sum) - constant(half) * (high_count.clone() - low_count.clone());
    constant(i64::from(lo)) * low_count + middle + constant(i64::from(hi)) * (constant(1) - high_count)
}

fn half(bits: u32) -> i64 {
    bits.checked_sub(1).and_then(|b| 1i64.checked_shl(b)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::NativeContext;
    use p3_field::PrimeCharacteristicRing;
    use vinfer_circuits::mle::eq_table;
    use vinfer_circuits::transcript::Transcript;

    #[test]
    fn closed_forms_equal_the_tables() {
        let mut transcript = Transcript::new("tables");
        let point = transcript.challenges("r", 7);
        let ctx = NativeContext { transcript };
        let eq = eq_table(&ctx, &point);
        let sum = |f: &dyn Fn(i64) -> i64| -> K {
            (0i64..).zip(&eq).map(|(i, e)| *e * K::from(from_i64(f(i)))).fold(K::ZERO, |a, b| a + b)
        };
        for (lo, hi) in [(-3i32, 4i32), (0, 7), (-8, 7), (0, 0)] {
            let rows = TableRows::Clamp { bits: 7, fraction_bits: 3, lo, hi };
            let (lo64, hi64) = (i64::from(lo), i64::from(hi));
            let got = closed_form(&ctx, &rows, &point);
            assert_eq!(got, [sum(&|i| i - 64), sum(&|i| ((i - 64) >> 3).clamp(lo64, hi64))]);
            let rows = TableRows::ParityClamp { bits: 7, lo, hi };
            let got = closed_form(&ctx, &rows, &point);
            assert_eq!(got, [sum(&|i| i - 64), sum(&|i| (i - 64) & 1), sum(&|i| (i - 64).clamp(lo64, hi64))]);
        }
        assert_eq!(closed_form(&ctx, &TableRows::Range { bits: 7 }, &point), [sum(&|i| i)]);
    }
}
