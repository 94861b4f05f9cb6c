//! Programs at and beyond the limits: validation refuses them or they behave; nothing overflows, hangs or runs out of
//! memory.
#![allow(clippy::unwrap_used)]

mod common;

use common::programs::Builder;
use vinfer_circuits::lower::{LowerError, Widths, lower, lower_with};
use vinfer_circuits::ops::{Add, AddForm, Contract, MatMul, MaxPool, Multiply, Operand, Requant, Window};
use vinfer_circuits::program::{IntType, Op, Program, ProgramError};
use vinfer_circuits::statement::{centred_tensor, raw_tensor};

fn range(min: i32, max: i32) -> IntType {
    IntType::Range { min, max }
}

/// A program of one operation on inputs of the given shapes and types.
fn single(inputs: &[(&[u32], IntType)], out: (&[u32], IntType), op: impl Fn(&[u32], u32) -> Op) -> Program {
    let mut b = Builder::new(1);
    let ids: Vec<u32> = inputs.iter().map(|(shape, t)| b.value(shape, 0, *t)).collect();
    b.program.inputs = ids.iter().map(|&id| b.port(id)).collect();
    let output = b.value(out.0, 0, out.1);
    let port = b.port(output);
    b.program.outputs.push(port);
    b.program.ops.push(op(&ids, output));
    b.program
}

fn refused(program: &Program) -> &'static str {
    match program.validate() {
        Err(ProgramError::BadOp { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn centred_ranges_are_exact() {
    // Raw i32::MIN and i32::MIN + 4 would both be held as i32::MIN: two statements with one proof.
    let mut program = single(&[(&[1, 2], IntType::I32)], (&[1, 2], IntType::I32), |x, output| {
        let form = AddForm::Exact { multiplier_a: 0, multiplier_b: 0, offset: 0 };
        Op::Add(Add { a: x[0], b: Operand::Value(x[0]), output, form })
    });
    assert_eq!(program.validate(), Ok(()));
    let mut system = lower(&program).unwrap().system;
    assert_eq!(system.validate(), Ok(()));
    for zero_point in [5, -5, i32::MIN, i32::MAX] {
        program.values[0].quantisation.zero_point = zero_point;
        assert_eq!(program.validate(), Err(ProgramError::BadValue("v0".to_owned())), "{zero_point}");
        system.inputs[0].quantisation.zero_point = zero_point;
        assert_eq!(system.validate().unwrap_err().rule, "port quantisation", "{zero_point}");
    }
}

#[test]
fn float_statements_hold_zero_and_normal_numbers_only() {
    let mut program = single(&[(&[1, 1], IntType::U8)], (&[1, 1], IntType::F32), |x, output| {
        let table = vec![0; 256];
        let kind = vinfer_circuits::ops::FloatKind::Table { input: x[0], table };
        Op::Float(vinfer_circuits::ops::Float { output, kind })
    });
    program.values[1].quantisation.scale_bits = 1f32.to_bits();
    program.validate().unwrap();
    let port = &lower(&program).unwrap().system.outputs[0];
    for x in [-0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40, -1e-45, f32::MAX, -1.8e38] {
        let bits = x.to_bits();
        assert_eq!(centred_tensor(&bits.to_le_bytes(), port), None, "{x}");
        assert_eq!(raw_tensor(&[bits.cast_signed()], port), None, "{x}");
    }
    for x in [0.0, 1.0, -1.0, 1.7e38, f32::MIN_POSITIVE] {
        let raw = raw_tensor(&[x.to_bits().cast_signed()], port).unwrap();
        assert_eq!(raw, x.to_bits().to_le_bytes());
        assert_eq!(centred_tensor(&raw, port), Some(vec![x.to_bits().cast_signed()]));
    }
}

#[test]
fn exact_sums_of_wide_summands() {
    // 2 a - 2^31 fits an i32, 2 a alone does not.
    let form = AddForm::Exact { multiplier_a: 2, multiplier_b: 0, offset: i32::MIN };
    let program = single(&[(&[1, 1], range(0, i32::MAX))], (&[1, 1], IntType::I32), |x, output| {
        Op::Add(Add { a: x[0], b: Operand::Value(x[0]), output, form: form.clone() })
    });
    assert_eq!(program.validate(), Ok(()));
    let Op::Add(add) = &program.ops[0] else { unreachable!() };
    assert_eq!(add.apply(i32::MAX, i32::MAX, 0, (0, i32::MAX), (i32::MIN, i32::MAX)), i32::MAX - 1);
}

#[test]
fn accumulators_beyond_every_integer_are_refused() {
    let wide = IntType::I32;
    let program = single(&[(&[1, 1 << 14], wide), (&[1 << 14, 1], wide)], (&[1, 1], IntType::I8), |x, output| {
        let requant = Requant::Table { thresholds: vec![i64::MAX; 255] };
        Op::MatMul(MatMul { a: x[0], b: x[1], output, requant })
    });
    assert!(matches!(program.validate(), Err(ProgramError::Overflow { .. } | ProgramError::BadOp { .. })));
    let program = single(&[(&[1, 1 << 20], wide)], (&[1, 1], IntType::I8), |x, output| {
        Op::Contract(Contract {
            input: x[0],
            output,
            channel_axis: 1,
            windows: Vec::new(),
            groups: 1,
            out_channels: 1,
            weights: vec![255; 1 << 20],
            bias: vec![0],
            requant: vec![Requant::Exact],
        })
    });
    assert!(matches!(program.validate(), Err(ProgramError::Overflow { .. })));
}

#[test]
fn weights_whose_number_wraps_are_refused() {
    // 2^28 channels, 2^15 taps, 2^21 rows: 2^64 weights, of which there is none.
    let rows = 1u32 << 21;
    let program = single(&[(&[1 << 28, 1], IntType::U8)], (&[rows, 1], IntType::I8), |x, output| {
        Op::Contract(Contract {
            input: x[0],
            output,
            channel_axis: 0,
            windows: vec![Window { axis: 1, kernel: 1 << 15, stride: 1, dilation: 1, pad_begin: 0 }],
            groups: 1,
            out_channels: rows,
            weights: Vec::new(),
            bias: vec![0; rows as usize],
            requant: vec![Requant::Exact; rows as usize],
        })
    });
    assert_eq!(refused(&program), "contraction: weights, bias or requantisation have the wrong length");
}

#[test]
fn step_functions_of_too_many_levels_are_refused() {
    let half = IntType::I16;
    let program = single(&[(&[1, 1], half), (&[1, 1], half)], (&[1, 1], IntType::I32), |x, output| {
        let requant = Requant::Line { multiplier: 1, offset: 0, shift: 0 };
        Op::Multiply(Multiply { a: x[0], b: Operand::Value(x[1]), output, requant })
    });
    assert_eq!(program.validate(), Ok(()));
    // `lower` tries many widths, each of which counts millions of levels; one is enough here.
    let lowered = lower_with(&program, Widths { limb: 12, clamp: 15 });
    assert!(matches!(lowered, Err(LowerError::TooLarge(_))));
}

#[test]
fn maxima_of_up_to_16_bits() {
    let pool = |t: IntType| {
        single(&[(&[1, 4], t)], (&[1, 2], t), |x, output| {
            let windows = vec![Window { axis: 1, kernel: 2, stride: 2, dilation: 1, pad_begin: 0 }];
            Op::MaxPool(MaxPool { input: x[0], output, windows })
        })
    };
    for t in [IntType::U8, IntType::I8, IntType::U16, IntType::I16, range(-3, 900)] {
        let program = pool(t);
        assert_eq!(program.validate(), Ok(()), "{t:?}");
        assert!(lower(&program).is_ok(), "{t:?}");
    }
    assert_eq!(refused(&pool(IntType::I32)), "max pool: more than 16 bits");
    assert_eq!(refused(&pool(range(0, 1 << 16))), "max pool: more than 16 bits");
}

#[test]
fn shapes_of_operands_do_not_overflow() {
    let huge = Operand::Constant { shape: vec![u32::MAX; 8], data: vec![1], lo: 0, hi: 1 };
    let mut program = single(&[(&[1, 1], IntType::U8)], (&[1, 1], IntType::I32), |x, output| {
        Op::Multiply(Multiply { a: x[0], b: huge.clone(), output, requant: Requant::Exact })
    });
    assert_eq!(refused(&program), "constant operand");
    program.ops.clear();
    program.outputs[0].value = 0;
    let mut system = lower(&program).unwrap().system;
    system.inputs[0].shape = vec![u32::MAX; 16];
    assert!(system.validate().is_err());
}

#[test]
fn outputs_that_are_copies_of_hidden_tensors() {
    // The reshape regroups elements, so that the output is a copy: the tensor before it has no port.
    let mut b = Builder::new(1);
    let x = b.input(&[2, 3]);
    let y = b.sum(x, &[], common::programs::Form::Line);
    let z = b.rewire(y, &[3, 2], vinfer_circuits::ops::RewireKind::Reshape);
    let port = b.port(z);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    assert!(lower(&b.program).is_ok());
}
