//! One false value in an otherwise consistent execution: the result of an operation is off by one step, and all later
//! values, hints, multiplicities and the statement follow. The operation's own lookups are the only ones without a row,
//! and the proof is refused for them.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/faults.rs"]
mod faults;
#[path = "common/forged.rs"]
mod forged;
#[path = "../../circuits/tests/common/mod.rs"]
mod tiny;

use common::honest::Honest;
use faults::all_columns;
use p3_field::PrimeCharacteristicRing;
use tiny::interpreter::violation;
use tiny::programs::Builder;
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::Step;
use vinfer_circuits::ops::{Add, AddForm, Extremum, ExtremumResult, Float, FloatKind, Operand};
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program};
use vinfer_prover::count_multiplicities;
use vinfer_verifier::RejectReason;

/// Expects that a false result of operation `op` is refused, for a lookup of that operation.
fn refuse(name: &str, honest: &Honest, op: usize, change: impl FnOnce(&mut Vec<i32>)) {
    let execution = forged::execution(honest, op, change);
    let (statement, mut witness) = forged::claim(honest, &execution);
    let found = violation(&witness.system, &all_columns(honest, &witness)).unwrap_or_else(|| panic!("{name}: true"));
    let (start, end) = honest.key.lowered().instances_of_op[op];
    assert!((start..end).contains(&found.instance), "{name}: {found:?}, not of operation {op}");
    count_multiplicities(&honest.key, &mut witness);
    assert_eq!(honest.judge(&statement, &witness), Err(RejectReason::LogupRoot), "{name}");
}

fn new(program: &Program, seed: u64) -> Honest {
    Honest::new(program, tiny::programs::inputs(program, seed))
}

#[test]
fn every_operation_of_every_program() {
    let mut cases = 0;
    for (name, program) in tiny::activations::all(41) {
        let honest = new(&program, 9);
        for (op, own) in program.ops.iter().enumerate().filter(|(_, op)| !matches!(op, Op::Rewire(_))) {
            for (at, up) in [(0, true), (usize::MAX, false)] {
                refuse(&format!("{name}, operation {op}"), &honest, op, |cells| {
                    let at = at.min(cells.len() - 1);
                    cells[at] = forged::neighbour(&program, own.output(), cells[at], up);
                });
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

fn named(name: &str) -> Program {
    tiny::activations::all(42).into_iter().find(|p| p.0 == name).unwrap().1
}

/// Position of the n-th operation that a predicate picks.
fn position(program: &Program, nth: usize, is: impl Fn(&Op) -> bool) -> usize {
    program.ops.iter().enumerate().filter(|(_, op)| is(op)).nth(nth).unwrap().0
}

fn float(op: &Op) -> Option<&FloatKind> {
    if let Op::Float(Float { kind, .. }) = op { Some(kind) } else { None }
}

#[test]
fn statistics_of_a_normalisation() {
    let program = named("float normalisation");
    let honest = new(&program, 3);
    let divide = |op: &Op| matches!(float(op), Some(FloatKind::Divide { .. }));
    let cases = [
        ("mean", position(&program, 0, |op| matches!(float(op), Some(FloatKind::Mean { .. })))),
        ("sum of squares", position(&program, 0, |op| matches!(float(op), Some(FloatKind::RunningSquares { .. })))),
        ("variance", position(&program, 0, divide)),
        ("deviation", position(&program, 0, |op| matches!(float(op), Some(FloatKind::SquareRoot { .. })))),
        ("inverse", position(&program, 1, divide)),
        ("product", position(&program, 0, |op| matches!(float(op), Some(FloatKind::Multiply { .. })))),
        ("level", position(&program, 0, |op| matches!(float(op), Some(FloatKind::Quantise { .. })))),
    ];
    for (name, op) in cases {
        let output = program.ops[op].output();
        for up in [true, false] {
            refuse(name, &honest, op, |cells| cells[0] = forged::neighbour(&program, output, cells[0], up));
        }
    }
}

#[test]
fn parts_of_a_softmax() {
    let program = named("float softmax");
    let honest = new(&program, 3);
    let cases = [
        ("maximum", position(&program, 0, |op| matches!(op, Op::Extremum(_)))),
        ("difference", position(&program, 0, |op| matches!(op, Op::Add(_)))),
        ("exponential", position(&program, 0, |op| matches!(float(op), Some(FloatKind::Table { .. })))),
        ("sum", position(&program, 0, |op| matches!(float(op), Some(FloatKind::RunningSum { .. })))),
        ("last sum", position(&program, 0, |op| matches!(op, Op::Arrange(_)))),
        ("quotient", position(&program, 0, |op| matches!(float(op), Some(FloatKind::Divide { .. })))),
    ];
    for (name, op) in cases {
        let output = program.ops[op].output();
        // Differences have no room above the maximum.
        let up = name != "difference" && name != "maximum";
        refuse(name, &honest, op, |cells| cells[0] = forged::neighbour(&program, output, cells[0], up));
    }
}

#[test]
fn causal_mask() {
    // Where(mask, x, -128), the mask being constant: a table of both.
    let mut b = Builder::new(7);
    let x = b.value(&[1, 3, 3], 0, IntType::I8);
    let port = b.port(x);
    b.program.inputs.push(port);
    let y = b.value(&[1, 3, 3], 0, IntType::I8);
    let table = (-128..=127).flat_map(|x: i32| [-128, x]).collect();
    let mask = (0..9).map(|i| i32::from(i % 3 <= i / 3)).collect();
    let mask = Operand::Constant { shape: vec![1, 3, 3], data: mask, lo: 0, hi: 1 };
    b.program.ops.push(Op::Add(Add { a: x, b: mask, output: y, form: AddForm::Table { table } }));
    let port = b.port(y);
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    let program = b.program;
    let honest = Honest::new(&program, vec![(1..=9).collect()]);
    assert_eq!(honest.outputs[0], [1, -128, -128, 4, 5, -128, 7, 8, 9]);
    for (at, v) in [(1, 2), (5, 6), (0, -128), (8, -128), (2, 0)] {
        refuse(&format!("mask at {at}"), &honest, 0, |cells| cells[at] = v);
    }
}

fn arg(result: ExtremumResult) -> Program {
    let mut b = Builder::new(7);
    let x = b.value(&[1, 5], 0, IntType::U8);
    let port = b.port(x);
    b.program.inputs.push(port);
    let y = b.value(&[1, 1], 0, IntType::Range { min: 0, max: 4 });
    b.program.ops.push(Op::Extremum(Extremum { input: x, output: y, axis: 1, least: false, result }));
    let port = Port { port_type: PortType::Int64, ..b.port(y) };
    b.program.outputs.push(port);
    b.program.validate().unwrap();
    b.program
}

#[test]
fn another_of_equal_maxima() {
    for (result, index, others) in
        [(ExtremumResult::FirstIndex, 1, [3, 0, 4]), (ExtremumResult::LastIndex, 3, [1, 4, 2])]
    {
        let program = arg(result);
        let honest = Honest::new(&program, vec![vec![7, 9, 8, 9, 8]]);
        assert_eq!(honest.outputs[0], [index]);
        let marks = honest.key.lowered().plan.iter().find_map(|s| match s {
            Step::Extremum { marks, extreme, .. } => Some((*marks as usize, extreme.unwrap() as usize)),
            _ => None,
        });
        let (marks, extreme) = marks.unwrap();
        for other in others {
            refuse(&format!("{result:?} {other}"), &honest, 0, |cells| cells[0] = other);
            // With marks that count to the false index, and the element there as the maximum.
            for maximum in [9, 8] {
                let execution = forged::execution(&honest, 0, |cells| cells[0] = other);
                let (statement, mut witness) = forged::claim(&honest, &execution);
                let first = result == ExtremumResult::FirstIndex;
                witness.columns[marks] =
                    (0..5).map(|i| F::from_bool(if first { i >= other } else { i <= other })).collect();
                witness.columns[extreme] = vec![from_i64(maximum)];
                let found = violation(&witness.system, &all_columns(&honest, &witness));
                assert!(found.is_some(), "{result:?} {other} of {maximum}");
                count_multiplicities(&honest.key, &mut witness);
                assert_eq!(honest.judge(&statement, &witness), Err(RejectReason::LogupRoot), "{result:?} {other}");
            }
        }
    }
}

#[test]
fn order_of_a_concatenation() {
    let program = named("arrange");
    let honest = new(&program, 3);
    let op = position(&program, 0, |op| matches!(op, Op::Arrange(_)));
    // Two rows of different parts change places.
    refuse("concatenation", &honest, op, |cells| {
        assert_ne!(cells[..2], cells[6..8]);
        for i in 0..2 {
            cells.swap(i, 6 + i);
        }
    });
}

#[test]
fn rows_of_an_embedding() {
    let program = named("embed");
    let honest = Honest::new(&program, vec![vec![4, 0, 2]]);
    let op = position(&program, 0, |op| matches!(op, Op::Embed(_)));
    let Op::Embed(embed) = &program.ops[op] else { unreachable!() };
    let row = |r: usize| embed.table[r * 6..][..6].iter().map(|&v| i32::from(v)).collect::<Vec<i32>>();
    // The rows of other indices, and rows that change places.
    refuse("another row", &honest, op, |cells| cells[..6].copy_from_slice(&row(3)));
    refuse("swapped rows", &honest, op, |cells| cells.rotate_left(6));
    // The honest values for other public indices: their rows are not selected.
    for ids in [[4, 0, 3], [0, 4, 2]] {
        let mut statement = honest.statement.clone();
        statement.inputs[0] = ids.iter().flat_map(|&i: &i32| i.to_le_bytes()).collect();
        assert_eq!(honest.judge(&statement, &honest.witness), Err(RejectReason::Opening), "{ids:?}");
    }
    // Indices that no row has.
    let mut statement = honest.statement.clone();
    statement.inputs[0][..4].copy_from_slice(&5i32.to_le_bytes());
    assert_eq!(honest.judge(&statement, &honest.witness), Err(RejectReason::PublicTensor { port: 0 }));
    statement.inputs[0][..4].copy_from_slice(&(-1i32).to_le_bytes());
    assert_eq!(honest.judge(&statement, &honest.witness), Err(RejectReason::PublicTensor { port: 0 }));
}
