//! Relations between floats and integers admit exactly one result: means of exact sums, and step functions.
#![allow(clippy::unwrap_used)]

mod common;

use common::Rng;
use common::float_bench::{Bench, Cells};
use common::programs::Builder;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{FloatForm, split_float};
use vinfer_circuits::ops::float::{from_key, key, to_bits};
use vinfer_circuits::ops::{Float, FloatKind};
use vinfer_circuits::program::{IntType, IntegerTable, Op, Program};
use vinfer_circuits::system::Source;

fn cells(x: f32) -> Cells {
    let [m, e, s] = split_float(to_bits(x));
    Cells { m, e: from_i64(e), s }
}

fn column(bench: &Bench, source: u16) -> u32 {
    let Source::Column { column, .. } = &bench.instance().sources[source as usize] else { panic!("a column") };
    *column
}

fn mean(count: u32) -> (Program, IntegerTable) {
    let mut b = Builder::new(1);
    let input = b.input(&[1, 1]);
    let q = b.program.values[input as usize].quantisation;
    let table: Vec<u32> = (q.lo()..=q.hi()).map(|c| to_bits(c as f32 * 0.37).cast_unsigned()).collect();
    let integers = IntegerTable::new(&table).unwrap();
    let output = b.float(&[1, 1], FloatKind::Mean { input, table, axes: vec![1], count });
    let port = b.port(output);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    (b.program, integers)
}

#[test]
fn means() {
    let mut rng = Rng::new(9);
    for count in [1, 3, 6, 768, 1 << 20] {
        let (program, integers) = mean(count);
        let mut bench = Bench::new(&program);
        let FloatForm::Mean { total, out, .. } = bench.step.form else { panic!("mean") };
        let total = column(&bench, total);
        for round in 0..60 {
            // Any sum below 2^45, as if of many elements.
            let bits = rng.range(0, 44);
            let n = match round % 4 {
                0 => rng.range(-(1 << bits), 1 << bits),
                1 => i64::from(count) * rng.range(-1000, 1000),
                2 => (1 << bits) + rng.range(-2, 2),
                // Near a tie: an odd number of half last bits.
                _ => ((i64::from(count) * (2 * rng.range(1 << 23, (1 << 24) - 1) + 1)) >> 1) + rng.range(-1, 1),
            };
            if n.abs() >= 1 << 45 {
                continue;
            }
            bench.set(total, 0, from_i64(n));
            let exact = n as f64 / f64::from(count) * 2f64.powi(integers.unit);
            let expected = exact as f32;
            let mut admitted = Vec::new();
            let around = (-2..=2).map(|d| from_key(key(expected) + d)).filter(|x| *x == 0.0 || x.is_normal());
            for candidate in around.chain([0.0, -expected, 2.0 * expected, 1.0]) {
                let own = cells(candidate);
                let double = Cells { m: 2 * own.m, e: own.e - F::ONE, s: own.s };
                for c in [own].into_iter().chain((own.m.abs() == 1 << 23).then_some(double)) {
                    bench.set_float(out, 0, c);
                    if bench.admits(0, &[0, 0]) {
                        admitted.push(to_bits(candidate));
                    }
                }
            }
            admitted.dedup();
            assert_eq!(admitted, [to_bits(expected)], "{n} / {count}: {expected:e}");
            // Zeros with an exponent.
            for e in [1, 60, 150, -900, 1024] {
                bench.set_float(out, 0, Cells { m: 0, e: from_i64(e), s: 0 });
                assert!(!bench.admits(0, &[0, 0]), "{n} / {count}: zero with exponent {e}");
            }
        }
    }
}

#[test]
fn step_functions() {
    let mut b = Builder::new(1);
    let input = b.value(&[1, 2], 0, IntType::F32);
    b.program.values[input as usize].quantisation.scale_bits = 1f32.to_bits();
    let port = b.port(input);
    b.program.inputs.push(port);
    let output = b.value(&[1, 2], 0, IntType::Range { min: -4, max: 3 });
    // One channel of thresholds of every size, one with equal and extreme ones.
    let steps = [-2.5e7f32, -1.5, -1.0, -1e-20, 0.0, 0.75, 3e30];
    let plain: Vec<i32> = steps.iter().map(|&t| key(t)).collect();
    let extreme = vec![i32::MIN, key(-1.0), key(-1.0), 0, 1 << 23, key(1.0), i32::MAX];
    let thresholds = vec![plain, extreme];
    let kind = FloatKind::Quantise { input, axis: Some(1), thresholds: thresholds.clone() };
    b.program.ops.push(Op::Float(Float { output, kind }));
    let port = b.port(output);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    let mut bench = Bench::new(&b.program);
    let FloatForm::Quantise { x, .. } = bench.step.form.clone() else { panic!("quantise") };
    // The result is the source behind the operand's three cells.
    let y = column(&bench, 3);
    let mut operands: Vec<f32> =
        steps.iter().flat_map(|&t| (-2..=2).map(move |d| from_key(key(t) + d))).filter(|x| x.is_normal()).collect();
    operands.extend([0.0, 1.0, -1.0, 2.0, 1.1754944e-38, -1.1754944e-38, 1.7e38, -1.7e38]);
    for (at, own) in thresholds.iter().enumerate() {
        for &v in &operands {
            let expected = -4 + own.partition_point(|&t| t <= key(v)) as i64;
            let plain = cells(v);
            let double = Cells { m: 2 * plain.m, e: plain.e - F::ONE, s: plain.s };
            for c in [plain].into_iter().chain((plain.m.abs() == 1 << 23).then_some(double)) {
                bench.set_float(x, at, c);
                let admitted: Vec<i64> = (-6..=6)
                    .filter(|&level| {
                        bench.set(y, at, from_i64(level));
                        bench.admits(at, &[0, at as u32])
                    })
                    .collect();
                assert_eq!(admitted, [expected], "channel {at}: {v:e} {c:?}");
            }
        }
    }
}
