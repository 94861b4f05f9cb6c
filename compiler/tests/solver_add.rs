//! The `QLinearAdd` solver against golden vectors and against its floating-point reference.

mod solver_json;

use solver_json::{float, integer, integers, rows, string};
use vinfer_circuits::ops::AddForm;
use vinfer_circuits::program::IntType;
use vinfer_compiler::solver::{AddScales, add_reference, solve_add};

type Range = (i32, i32);

fn evaluate(form: &AddForm, a: i32, b: i32, a_range: Range, b_range: Range, out: Range) -> i32 {
    match form {
        AddForm::Line { multiplier_a, multiplier_b, offset, shift } => {
            let sum = i64::from(a) * multiplier_a + i64::from(b) * multiplier_b + offset;
            (sum >> shift).clamp(i64::from(out.0), i64::from(out.1)) as i32
        }
        AddForm::Table { table } => {
            let width = (b_range.1 - b_range.0 + 1) as usize;
            i32::from(table[(a - a_range.0) as usize * width + (b - b_range.0) as usize])
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
        AddForm::Table { table } => {
            let size = (a_range.1 - a_range.0 + 1) * (b_range.1 - b_range.0 + 1);
            assert_eq!(table.len() as i32, size);
            assert!(table.iter().all(|&y| (limits.0..=limits.1).contains(&i32::from(y))));
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
    }
    assert_eq!(seen, 22);
}
