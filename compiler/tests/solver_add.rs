//! The `QLinearAdd` solver against golden vectors and against its floating-point reference.

mod solver_json;
mod solver_sha256;

use solver_json::{float, integer, integers, rows, string};
use solver_sha256::sha256;
use vinfer_circuits::ops::AddForm;
use vinfer_circuits::program::IntType;
use vinfer_compiler::solver::{AddScales, add_is_swapped, add_reference, solve_add};

type Range = (i32, i32);

fn evaluate(form: &AddForm, a: i32, b: i32, a_range: Range, b_range: Range, out: Range) -> i32 {
    match form {
        AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
            let sum = i64::from(a) * multiplier_a + i64::from(b) * multiplier_b + offset;
            (sum >> shift).clamp(i64::from(out.0), i64::from(out.1)) as i32
        }
        AddForm::Exact { multiplier_a, multiplier_b, offset } => a * multiplier_a + b * multiplier_b + offset,
        AddForm::Table { table } => {
            let width = (b_range.1 - b_range.0 + 1) as usize;
            table[(a - a_range.0) as usize * width + (b - b_range.0) as usize]
        }
    }
}

/// Solves, compares with the reference on every pair, and returns the form.
fn check(scales: &AddScales, a_range: Range, b_range: Range) -> AddForm {
    let &AddScales { sa, za, sb, zb, sc, zc, out, swapped } = scales;
    let form = solve_add(sa, za, sb, zb, sc, zc, out, swapped, a_range, b_range);
    let limits = (out.min() - zc, out.max() - zc);
    for a in a_range.0..=a_range.1 {
        for b in b_range.0..=b_range.1 {
            let got = evaluate(&form, a, b, a_range, b_range, limits);
            assert_eq!(got, add_reference(scales, a, b), "{a} {b} {scales:?} {form:?}");
        }
    }
    match &form {
        AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
            let bound = 255 * (i128::from(multiplier_a.abs()) + i128::from(multiplier_b.abs()));
            assert!(*shift <= 44 && bound + i128::from(offset.abs()) < 1 << 62);
        }
        AddForm::Exact { .. } => panic!("the sum of QLinearAdd is requantised"),
        AddForm::Table { table } => {
            let size = (a_range.1 - a_range.0 + 1) * (b_range.1 - b_range.0 + 1);
            assert_eq!(table.len() as i32, size);
            assert!(table.iter().all(|&y| (limits.0..=limits.1).contains(&y)));
        }
    }
    form
}

fn full(out: IntType, zero_point: i32) -> Range {
    (out.min() - zero_point, out.max() - zero_point)
}

#[test]
fn golden_vectors() {
    let text = include_str!("vectors/binary.json");
    let mut seen = 0;
    for row in rows(text).into_iter().filter(|row| string(row, "op") == "QLinearAdd") {
        seen += 1;
        let out = if string(row, "dtype") == "uint8" { IntType::U8 } else { IntType::I8 };
        let zero = |key| integer(row, key) as i32;
        let scales = AddScales {
            sa: float(row, "sa"),
            za: zero("za"),
            sb: float(row, "sb"),
            zb: zero("zb"),
            sc: float(row, "sc"),
            zc: zero("zc"),
            out,
            swapped: false,
        };
        check(&scales, full(out, scales.za), full(out, scales.zb));
        let (a, b, y) = (integers(row, "a"), integers(row, "b"), integers(row, "y"));
        for ((&a, &b), &y) in a.iter().zip(&b).zip(&y) {
            let got = add_reference(&scales, a as i32 - scales.za, b as i32 - scales.zb);
            assert_eq!(got, y as i32 - scales.zc);
        }
        // The digest is that of ONNX Runtime's raw results on all pairs, `a` outermost.
        let raw = || out.min()..=out.max();
        let result = |a: i32, b: i32| (add_reference(&scales, a - scales.za, b - scales.zb) + scales.zc) as u8;
        let table: Vec<u8> = raw().flat_map(|a| raw().map(move |b| (a, b))).map(|(a, b)| result(a, b)).collect();
        assert_eq!(sha256(&table), string(row, "table_sha256"));
    }
    assert_eq!(seen, 22);
}

/// A deterministic stream of numbers in `0..1`.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn random_additions_equal_the_reference() {
    let mut random = uniform(5);
    let mut lines = 0;
    for case in 0..60 {
        let out = if case % 2 == 0 { IntType::U8 } else { IntType::I8 };
        let mut zero = || out.min() + (random() * 256.0) as i32;
        let (za, zb, zc) = (zero(), zero(), zero());
        // Scales within a factor of 20 of each other; every fifth case wildly different.
        let spread = if case % 5 == 4 { 30.0 } else { 3.0 };
        let mut scale = || (0.01 * ((random() - 0.5) * spread).exp()) as f32;
        let scales = AddScales { sa: scale(), za, sb: scale(), zb, sc: scale(), zc, out, swapped: case % 3 == 1 };
        let b_range = match case % 4 {
            0 => (-7, 91),
            1 => (13, 13),
            _ => full(out, zb),
        };
        lines += usize::from(matches!(check(&scales, full(out, za), b_range), AddForm::Line { .. }));
    }
    assert!(lines > 45, "{lines}");
}

#[test]
fn exact_ratios_are_lines_and_ties_are_tables() {
    let scales = |sb: f32| AddScales { sa: 1.0, za: 7, sb, zb: 9, sc: 1.0, zc: 200, out: IntType::U8, swapped: false };
    let forms = [1.0, 2.0, 0.5].map(|sb| check(&scales(sb), full(IntType::U8, 7), full(IntType::U8, 9)));
    assert!(matches!(forms[0], AddForm::Line { shift: 0, .. }), "{:?}", forms[0]);
    assert!(matches!(forms[1], AddForm::Line { shift: 0, .. }));
    // Half-way sums round to even, which no plane does.
    assert!(matches!(forms[2], AddForm::Table { .. }));
}

#[test]
fn unusable_scales_do_not_panic() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45, f32::MAX] {
        for (sa, sb, sc) in [(scale, 1.0, 1.0), (1.0, scale, 1.0), (1.0, 1.0, scale)] {
            for swapped in [false, true] {
                let scales = AddScales { sa, za: 3, sb, zb: 250, sc, zc: 128, out: IntType::U8, swapped };
                check(&scales, (-3, 252), (-250, 5));
            }
        }
    }
}

/// Observed with ONNX Runtime 1.31.1 on operands for which the two formulas differ.
#[test]
fn exchanged_operands() {
    let swapped: [(&[u32], &[u32]); 9] = [
        (&[1], &[4096]),
        (&[64, 1, 1], &[1, 64, 8, 16]),
        (&[64, 1], &[64, 64]),
        (&[4, 16, 1], &[4, 1, 16]),
        (&[1], &[1]),
        (&[], &[1, 1, 1]),
        (&[1, 1], &[50, 1]),
        (&[2, 1, 1], &[2, 3, 1]),
        (&[], &[]),
    ];
    let straight: [(&[u32], &[u32]); 7] = [
        (&[8, 2048], &[8, 2048]),
        (&[4096], &[1]),
        (&[256], &[16, 256]),
        (&[16, 256], &[256]),
        (&[64, 1, 1], &[1, 64, 1, 1]),
        (&[1, 50, 1], &[7, 50, 1]),
        (&[1, 64, 8, 16], &[1, 64, 1, 1]),
    ];
    assert!(swapped.iter().all(|(a, b)| add_is_swapped(a, b)));
    assert!(!straight.iter().any(|(a, b)| add_is_swapped(a, b)));
}
