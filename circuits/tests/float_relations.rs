//! Float relations admit exactly the correctly rounded result: for many operand pairs (ties, powers of two, cancellation,
//! zeros, far-apart and extreme exponents, significands of `2^24`), every candidate near the true result, in every
//! representation, is tried with all hints. A candidate that is admitted has the value that IEEE 754 demands.
#![allow(clippy::unwrap_used)]

mod common;

use common::Rng;
use common::float_bench::{Bench, Cells};
use common::programs::Builder;
use p3_field::{Field, PrimeCharacteristicRing};
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{FloatForm, FloatSources, split_float};
use vinfer_circuits::ops::float::{from_key, key, to_bits};
use vinfer_circuits::ops::{Float, FloatKind, Operand};
use vinfer_circuits::program::{IntType, Op, Program};

const BIAS: i64 = 160;
/// Exponent cells of the least and the greatest result that a proof can hold.
const RESULTS: std::ops::RangeInclusive<i64> = 11..=263;

fn cells(m: i64, e: i64) -> Cells {
    Cells { m, e: from_i64(e), s: m.signum() }
}

fn of(x: f32) -> Cells {
    let [m, e, s] = split_float(to_bits(x));
    Cells { m, e: from_i64(e), s }
}

/// The other representation of a power of two, if a relation could produce it.
fn doubled(c: Cells) -> Option<Cells> {
    (c.m.abs() == 1 << 23).then(|| Cells { m: 2 * c.m, e: c.e - F::ONE, s: c.s })
}

/// A program of one float operation on float inputs.
fn program(inputs: &[&[u32]], shape: &[u32], kind: impl Fn(&[u32]) -> FloatKind) -> Program {
    let mut b = Builder::new(1);
    let float = |b: &mut Builder, shape: &[u32]| {
        let id = b.value(shape, 0, IntType::F32);
        b.program.values[id as usize].quantisation.scale_bits = 1f32.to_bits();
        id
    };
    let ids: Vec<u32> = inputs.iter().map(|shape| float(&mut b, shape)).collect();
    b.program.inputs = ids.iter().map(|&id| b.port(id)).collect();
    let output = float(&mut b, shape);
    b.program.ops.push(Op::Float(Float { output, kind: kind(&ids) }));
    let port = b.port(output);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    b.program
}

/// A random normal float, with exponents and significands of every kind.
fn draw(rng: &mut Rng) -> f32 {
    let field = match rng.range(0, 5) {
        0 => rng.range(1, 254),
        1 => rng.range(60, 190),
        _ => rng.range(115, 140),
    };
    let mantissa = match rng.range(0, 5) {
        0 => 0,
        1 => 0x7f_ffff,
        2 => 1 << rng.range(0, 22),
        3 => 0x7f_ffff ^ (1 << rng.range(0, 22)),
        _ => rng.range(0, 0x7f_ffff),
    };
    let sign = rng.range(0, 1) << 31;
    f32::from_bits((sign | (field << 23) | mantissa) as u32)
}

/// A second operand that makes a sum hard: equal or neighbouring magnitude, half a last bit, at the edge of its reach.
fn partner(rng: &mut Rng, a: f32) -> f32 {
    let near = from_key(key(a) + rng.range(-3, 3) as i32);
    let scaled = |steps: i64, factor: f32| {
        let field = (i64::from(a.to_bits() >> 23) & 0xff) + steps;
        f32::from_bits(
            ((field.clamp(1, 254) << 23) as u32) | (draw(&mut Rng::new(steps as u64 + 7)).to_bits() & 0x7f_ffff),
        ) * factor
    };
    let sign = if rng.range(0, 1) == 0 { 1.0 } else { -1.0 };
    match rng.range(0, 7) {
        0 => -near,
        1 => near,
        2 => 0.0,
        3 => f32::from_bits(((i64::from(a.to_bits() >> 23) & 0xff) - rng.range(22, 29)).clamp(1, 254) as u32) * sign,
        4 => {
            f32::from_bits((((i64::from(a.to_bits() >> 23) & 0xff) - rng.range(22, 29)).clamp(1, 254) << 23) as u32)
                * sign
        }
        5 => scaled(-rng.range(22, 29), sign),
        6 => scaled(rng.range(-2, 2), sign),
        _ => draw(rng),
    }
}

/// The nearest float with an unbounded exponent, as cells, of a finite non-zero number.
fn unbounded(x: f64) -> Cells {
    let (mut m, mut e) = (x.abs(), BIAS);
    while m >= f64::from(1 << 24) {
        (m, e) = (m / 2.0, e + 1);
    }
    while m < f64::from(1 << 23) {
        (m, e) = (m * 2.0, e - 1);
    }
    cells((m.round_ties_even() * x.signum()) as i64, e)
}

/// Everything a prover might claim near a result; `exact` is close to the number before rounding.
fn candidates(exact: f64, at: i64) -> Vec<Cells> {
    let mut out: Vec<Cells> = Vec::new();
    let zero = |e: i64| Cells { m: 0, e: from_i64(e), s: 0 };
    // Zeros of any exponent: also those whose keys meet the rows of pads.
    out.extend([0, 1, at, at + 40, at - 1024, at + 1024, at + BIAS + 1024, at - BIAS - 1024, 150].map(zero));
    out.push(Cells { m: 0, e: F::ZERO, s: 1 });
    out.push(cells(1 << 23, 11));
    if exact != 0.0 && exact.is_finite() {
        let near = unbounded(exact);
        let magnitude = near.m.abs();
        for d in -2..=2 {
            let m = magnitude + d;
            // Below the least significand: the binade below is twice as dense.
            let steps = [(m, 0i64), (2 * m, -1), ((1 << 24) + d, -1), ((1 << 23) + d, 1)];
            for (m, shift) in steps {
                let e = near.e + from_i64(shift);
                out.push(Cells { m: near.s * m, e, s: near.s });
                out.push(Cells { m: -near.s * m, e, s: -near.s });
            }
            for shift in [-1, 1] {
                out.push(Cells { e: near.e + from_i64(shift), m: near.s * m, s: near.s });
            }
            out.push(Cells { m: near.s * m, e: near.e, s: 0 });
        }
        // Half exponents: what a square root of an operand of the other parity would need.
        let half = F::TWO.inverse();
        for (scale, e) in [(2f64.sqrt(), near.e - half), (0.5f64.sqrt(), near.e + half)] {
            let m = (magnitude as f64 * scale).round() as i64;
            out.extend((-1..=1).map(|d| Cells { m: near.s * (m + d), e, s: near.s }));
        }
    }
    out
}

fn small(v: F) -> i64 {
    common::interpreter::signed(v)
}

/// The value of cells, exactly, brought to the canonical representation.
fn canonical(c: Cells) -> (i64, i64) {
    if c.m.abs() == 1 << 24 { (c.m / 2, small(c.e) + 1) } else { (c.m, small(c.e)) }
}

/// Checks all candidates of one position; returns how many were tried.
fn check(
    bench: &mut Bench,
    out: FloatSources,
    at: usize,
    index: &[u32],
    (expected, exact): (f32, f64),
    honest: bool,
    what: &str,
) -> usize {
    let truth = of(expected);
    let proven = truth.s == 0 && expected == 0.0 && exact == 0.0
        || expected.is_finite() && expected != 0.0 && RESULTS.contains(&small(truth.e));
    let around = if exact == 0.0 || !exact.is_finite() { 150 } else { small(unbounded(exact).e) };
    let mut all = candidates(exact, around);
    all.push(truth);
    all.extend(doubled(truth));
    let tried = all.len();
    let mut admitted = false;
    for c in all {
        bench.set_float(out, at, c);
        if bench.admits(at, index) {
            assert!(proven, "{what}: {c:?} is admitted, but {expected:e} cannot be held");
            assert_eq!(canonical(c), canonical(truth), "{what}: {c:?} is admitted for {expected:e}");
            assert!((0..=263).contains(&small(c.e)) && c.s == c.m.signum(), "{what}: {c:?}");
            admitted |= c == truth;
        }
    }
    // An honest prover has canonical operands; for those the true result must be provable.
    assert!(admitted == proven || !honest && !admitted, "{what}: the true result {expected:e} ({truth:?})");
    tried
}

/// The representations of an operand that may reach an operation.
fn representations(x: f32) -> Vec<Cells> {
    core::iter::once(of(x)).chain(doubled(of(x))).collect()
}

/// Runs an elementwise operation of two operands.
fn pairs(name: &str, count: usize, kind: impl Fn(&[u32]) -> FloatKind, f: impl Fn(f32, f32) -> (f32, f64), any: bool) {
    let mut bench = Bench::new(&program(&[&[1, 1], &[1, 1]], &[1, 1], kind));
    let (a, b, out) = match &bench.step.form {
        FloatForm::Sum { a, b, out, .. }
        | FloatForm::Product { a, b, out, .. }
        | FloatForm::Quotient { a, b, out, .. } => (*a, *b, *out),
        other => panic!("{other:?}"),
    };
    let mut rng = Rng::new(11);
    let mut tried = 0;
    for round in 0..count {
        let x = if round % 17 == 0 { 0.0 } else { draw(&mut rng) };
        let y = if any { partner(&mut rng, x) } else { draw(&mut rng).abs() };
        if y != 0.0 && !y.is_normal() {
            continue;
        }
        let (expected, exact) = f(x, y);
        for p in representations(x) {
            for q in representations(y) {
                bench.set_float(a, 0, p);
                bench.set_float(b, 0, q);
                tried += check(
                    &mut bench,
                    out,
                    0,
                    &[0, 0],
                    (expected, exact),
                    p == of(x) && q == of(y),
                    &format!("{name} {x:e} {y:e}"),
                );
            }
        }
    }
    assert!(tried > 20 * count, "{name}: {tried} candidates");
}

fn values(ids: &[u32]) -> (Operand, Operand) {
    (Operand::Value(ids[0]), Operand::Value(ids[1]))
}

#[test]
fn sums() {
    let kind = |ids: &[u32]| {
        let (a, b) = values(ids);
        FloatKind::Add { a, b, subtract: false }
    };
    pairs("sum", 80, kind, |x, y| (x + y, f64::from(x) + f64::from(y)), true);
}

#[test]
fn differences() {
    let kind = |ids: &[u32]| {
        let (a, b) = values(ids);
        FloatKind::Add { a, b, subtract: true }
    };
    pairs("difference", 40, kind, |x, y| (x - y, f64::from(x) - f64::from(y)), true);
}

#[test]
fn products() {
    let kind = |ids: &[u32]| {
        let (a, b) = values(ids);
        FloatKind::Multiply { a, b }
    };
    pairs("product", 300, kind, |x, y| (x * y, f64::from(x) * f64::from(y)), true);
}

#[test]
fn quotients() {
    let kind = |ids: &[u32]| {
        let (a, b) = values(ids);
        FloatKind::Divide { a, b }
    };
    pairs("quotient", 300, kind, |x, y| (x / y, f64::from(x) / f64::from(y)), false);
}

#[test]
fn no_quotient_by_zero_or_less() {
    let kind = |ids: &[u32]| {
        let (a, b) = values(ids);
        FloatKind::Divide { a, b }
    };
    let mut bench = Bench::new(&program(&[&[1, 1], &[1, 1]], &[1, 1], kind));
    let FloatForm::Quotient { a, b, out, .. } = bench.step.form else { panic!("quotient") };
    for divisor in [0.0, -1.5, -3e20] {
        bench.set_float(a, 0, of(2.5));
        bench.set_float(b, 0, of(divisor));
        for c in candidates(2.5 / 1.5, 160).into_iter().chain(candidates(-2.5 / 1.5, 160)) {
            bench.set_float(out, 0, c);
            assert!(!bench.admits(0, &[0, 0]), "2.5 / {divisor}: {c:?}");
        }
    }
}

#[test]
fn roots() {
    let mut bench = Bench::new(&program(&[&[1, 1]], &[1, 1], |ids| FloatKind::SquareRoot { a: ids[0] }));
    let FloatForm::Root { a, out, .. } = bench.step.form else { panic!("root") };
    let mut rng = Rng::new(3);
    let mut operands: Vec<f32> = (0..300).map(|_| draw(&mut rng).abs()).collect();
    // All ones, in both parities of the exponent, and squares with their neighbours.
    operands.extend([120, 121, 130, 131].map(|field: u32| f32::from_bits((field << 23) | 0x7f_ffff)));
    operands.extend((1..20).flat_map(|i| [-1, 0, 1].map(|d| from_key(key((i * i) as f32) + d))));
    for x in operands {
        for p in representations(x) {
            bench.set_float(a, 0, p);
            check(&mut bench, out, 0, &[0, 0], (x.sqrt(), f64::from(x).sqrt()), p == of(x), &format!("root {x:e}"));
        }
    }
    for x in [0.0, -1.0, -2.0] {
        bench.set_float(a, 0, of(x));
        for c in candidates(f64::from(x.abs()).sqrt(), 137) {
            bench.set_float(out, 0, c);
            assert!(!bench.admits(0, &[0, 0]), "root {x}: {c:?}");
        }
    }
}

#[test]
fn running_squares() {
    let kind = |ids: &[u32]| FloatKind::RunningSquares { input: ids[0], axis: 0 };
    let mut bench = Bench::new(&program(&[&[2, 1]], &[2, 1], kind));
    let FloatForm::Squares { x, out, .. } = bench.step.form else { panic!("squares") };
    let mut rng = Rng::new(5);
    for round in 0..250 {
        let v = if round % 19 == 0 { 0.0 } else { draw(&mut rng) };
        let square = f64::from(v) * f64::from(v);
        // Sums near the square, and at the edges of the alignment's cases.
        let before = match rng.range(0, 4) {
            0 => 0.0,
            1 => draw(&mut rng).abs(),
            2 => (square * 2f64.powi(rng.range(-30, 30) as i32)) as f32,
            3 => from_key(key((square * 2f64.powi(rng.range(8, 60) as i32)) as f32) + rng.range(-2, 2) as i32),
            _ => (square * 2f64.powi(-rng.range(8, 60) as i32)) as f32,
        };
        if before < 0.0 || before != 0.0 && !before.is_normal() {
            continue;
        }
        let expected = v.mul_add(v, before);
        for p in representations(v) {
            for q in representations(before) {
                bench.set_float(x, 1, p);
                bench.set_float(out, 0, q);
                let exact = square + f64::from(before);
                check(
                    &mut bench,
                    out,
                    1,
                    &[1, 0],
                    (expected, exact),
                    p == of(v) && q == of(before),
                    &format!("{v:e}^2 + {before:e}"),
                );
            }
        }
    }
}
