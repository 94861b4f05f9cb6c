//! The requantisation solver against golden vectors and against its floating-point reference.

mod solver_json;

use solver_json::{float, integer, integers, rows, string};
use vinfer_circuits::ops::Requant;
use vinfer_compiler::solver::{requant_reference, solve_requant};

const WIDE: i64 = 1 << 24;

/// Checks the rules a program imposes on a form.
fn assert_well_formed(form: &Requant, lo: i32, hi: i32, min: i64, max: i64) {
    let reach = i128::from(min.abs().max(max.abs()));
    match *form {
        Requant::Line { multiplier, offset, shift } | Requant::Parity { multiplier, offset, shift, .. } => {
            assert!(multiplier >= 0 && shift <= 44);
            assert!(reach * i128::from(multiplier) + i128::from(offset.abs()) < 1 << 62);
        }
        Requant::Table { ref thresholds } => {
            assert_eq!(thresholds.len() as i32, hi - lo);
            assert!(thresholds.is_sorted());
            assert!(thresholds.iter().all(|t| (min..=max + 1).contains(t)));
        }
        Requant::Exact => panic!("the solver is for step functions"),
    }
    if let Requant::Parity { odd_delta, shift, .. } = *form {
        assert!(odd_delta.abs() < 1 << shift);
        assert_eq!(odd_delta % (1 << shift.saturating_sub(Requant::PARITY_DELTA_BITS)), 0);
    }
}

/// Solves and compares with the reference around every threshold, at the ends, and at `extra` accumulators.
fn check(scale: f32, lo: i32, hi: i32, min: i64, max: i64, extra: impl Iterator<Item = i64>) -> Requant {
    let form = solve_requant(scale, lo, hi, min, max);
    assert_well_formed(&form, lo, hi, min, max);
    let compare = |acc: i64| {
        let acc = acc.clamp(min, max);
        assert_eq!(
            form.apply(acc, lo, hi),
            requant_reference(acc, scale, lo, hi),
            "acc {acc} scale {scale} ({:#x}) levels {lo}..={hi} range {min}..={max}: {form:?}",
            scale.to_bits()
        );
    };
    for level in lo + 1..=hi {
        // The threshold by plain bisection, independently of the solver.
        let (mut below, mut at) = (min - 1, max + 1);
        while at - below > 1 {
            let middle = below + (at - below) / 2;
            if requant_reference(middle, scale, lo, hi) >= level { at = middle } else { below = middle }
        }
        for acc in at - 2..=at + 2 {
            compare(acc);
        }
    }
    compare(min);
    compare(max);
    extra.for_each(compare);
    form
}

/// A deterministic stream of accumulators, both spread over the range and near zero.
fn samples(seed: u64, min: i64, max: i64, count: usize) -> impl Iterator<Item = i64> {
    let mut state = seed | 1;
    (0..count).map(move |i| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let r = (state >> 16) as i64;
        if i % 2 == 0 { min + r.rem_euclid(max - min + 1) } else { r >> (20 + i % 24) }
    })
}

fn levels(dtype: &str, zero_point: i64) -> (i32, i32) {
    let (min, max) = if dtype == "uint8" { (0, 255) } else { (-128, 127) };
    (min - zero_point as i32, max - zero_point as i32)
}

#[test]
fn golden_vectors() {
    let text = include_str!("vectors/requant.json");
    let rows = rows(text);
    assert_eq!(rows.len(), 240);
    for row in rows {
        let (scale, zero_point) = (float(row, "s"), integer(row, "zp"));
        assert_eq!(scale, float(row, "sx") * float(row, "sw") / float(row, "sy"));
        let (lo, hi) = levels(string(row, "dtype"), zero_point);
        let (accs, results) = (integers(row, "acc"), integers(row, "y"));
        assert_eq!(accs.len(), results.len());
        let extremes = (accs.iter().copied().fold(0, i64::min), accs.iter().copied().fold(0, i64::max));
        for (min, max) in [(-WIDE, WIDE), extremes] {
            let form = check(scale, lo, hi, min, max, accs.iter().copied());
            for (&acc, &y) in accs.iter().zip(&results) {
                let y = (y - zero_point) as i32;
                assert_eq!(requant_reference(acc, scale, lo, hi), y);
                if (min..=max).contains(&acc) {
                    assert_eq!(form.apply(acc, lo, hi), y);
                }
            }
        }
    }
}

#[test]
fn ties_are_solved_without_a_table() {
    for exponent in 1..=9 {
        for odd in [1, 3, 5, 7] {
            let scale = odd as f32 / (1 << exponent) as f32;
            for zero_point in [0, 128, 37] {
                let (lo, hi) = levels("uint8", zero_point);
                let form = check(scale, lo, hi, -WIDE, WIDE, samples(9, -WIDE, WIDE, 500));
                assert!(!matches!(form, Requant::Table { .. }), "scale {scale} zero point {zero_point}");
            }
        }
    }
}

#[test]
fn constants_are_lines() {
    let constant = |form: &Requant| matches!(form, Requant::Line { multiplier: 0, .. });
    assert!(constant(&check(1e-6, -128, 127, -1000, 1000, 0..0)));
    assert!(constant(&check(1.0, 0, 255, -5000, -1, 0..0)));
    assert!(constant(&check(0.5, 0, 255, 5000, 9000, 0..0)));
    assert!(constant(&check(0.01, -3, 252, 7, 7, 0..0)));
    assert!(constant(&check(0.01, 0, 0, -1000, 1000, 0..0)));
}

#[test]
fn extreme_ranges_and_scales() {
    let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
    for scale in [1e-38, 1e-9, 5e-8, 1.17e-7, 1e-6, 3.3e-5, 1e-3, 0.37, 1.0, 9.7, 300.0, 1e9, 3e38] {
        for (lo, hi) in [(0, 255), (-128, 127), (-255, 0), (-100, 155)] {
            for (min, max) in [(min, max), (min, min + 5), (max - 100_000, max), (0, max)] {
                check(scale, lo, hi, min, max, samples(3, min, max, 200));
            }
        }
    }
}

#[test]
fn unusable_scales_do_not_panic() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 4.0] {
        let form = solve_requant(scale, -128, 127, i64::from(i32::MIN), i64::from(i32::MAX));
        assert_well_formed(&form, -128, 127, i64::from(i32::MIN), i64::from(i32::MAX));
    }
}

/// A deterministic stream of numbers in `0..1`.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut stream = samples(seed, 0, (1 << 40) - 1, usize::MAX).step_by(2);
    move || stream.next().unwrap_or(0) as f64 / (1u64 << 40) as f64
}

#[test]
fn random_scales_equal_the_reference() {
    let mut random = uniform(11);
    for case in 0..3000 {
        let scale = (random() * 23.4 - 20.0).exp2() as f32;
        let zero_point = [0, 128, 255, (random() * 256.0) as i64][case % 4];
        let (lo, hi) = levels("uint8", zero_point);
        let bits = |r: f64| (r * 32.0) as u32;
        let (min, max) = (-(1i64 << bits(random())), (1i64 << bits(random())) - 1);
        check(scale, lo, hi, min, max, samples(case as u64, min, max, 300));
    }
}

#[test]
fn random_dyadic_scales_equal_the_reference() {
    let mut random = uniform(12);
    for case in 0..1500 {
        let odd = 2 * (random() * 32.0) as u32 + 1;
        let scale = odd as f32 / (1u64 << (random() * 21.0) as u32) as f32;
        let (lo, hi) = levels("uint8", (random() * 256.0) as i64);
        let bits = 4 + (random() * 28.0) as u32;
        let (min, max) = (-(1i64 << bits), (1i64 << bits) - 1);
        check(scale, lo, hi, min, max, samples(case, min, max, 300));
    }
}
