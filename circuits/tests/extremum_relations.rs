//! The relations of `Extremum` admit no other result: every choice of extreme element, marks and index is tried for every
//! input of a small range.
#![allow(clippy::unwrap_used)]

mod common;

use common::interpreter::{Columns, indices, violation};
use common::programs::Builder;
use p3_field::PrimeCharacteristicRing;
use vinfer_circuits::field::{F, from_i64};
use vinfer_circuits::lower::{Lowered, Step, lower};
use vinfer_circuits::ops::{Extremum, ExtremumResult};
use vinfer_circuits::program::{IntType, Op, Program};

const LEN: u32 = 3;
const MOST: i64 = 2;

fn program(least: bool, result: ExtremumResult) -> Program {
    let mut b = Builder::new(1);
    let input = b.value(&[1, LEN], 0, IntType::Range { min: 0, max: MOST as i32 });
    let output = b.value(&[1, 1], 0, IntType::Range { min: 0, max: MOST as i32 });
    let (from, to) = (b.port(input), b.port(output));
    b.program.inputs.push(from);
    b.program.outputs.push(to);
    b.program.ops.push(Op::Extremum(Extremum { input, output, axis: 1, least, result }));
    b.program.validate().unwrap();
    b.program
}

/// All results that some extreme element and marks admit.
fn admitted(lowered: &Lowered, columns: &mut Columns, x: &[i64]) -> Vec<i64> {
    let step = lowered.plan.iter().find_map(|s| match s {
        Step::Extremum { extreme, marks, output, .. } => Some((*extreme, *marks, *output)),
        _ => None,
    });
    let (extreme, marks, output) = step.unwrap();
    let input = lowered.system.inputs[0].column;
    columns[input as usize] = x.iter().map(|&v| from_i64(v)).collect();
    let extremes = if extreme.is_some() { -2..=MOST + 2 } else { 0..=0 };
    let mut found = Vec::new();
    for result in -2..=MOST + 2 {
        columns[output as usize] = vec![from_i64(result)];
        for m in extremes.clone() {
            if let Some(extreme) = extreme {
                columns[extreme as usize] = vec![from_i64(m)];
            }
            for choice in indices(&[4; LEN as usize]) {
                columns[marks as usize] = choice.iter().map(|&c| from_i64(i64::from(c) - 1)).collect();
                if violation(&lowered.system, columns).is_none() {
                    found.push(result);
                }
            }
        }
    }
    found
}

#[test]
fn only_the_extremum_has_marks() {
    for (least, result) in [
        (false, ExtremumResult::Value),
        (true, ExtremumResult::Value),
        (false, ExtremumResult::FirstIndex),
        (true, ExtremumResult::LastIndex),
    ] {
        let program = program(least, result);
        let Op::Extremum(op) = &program.ops[0] else { unreachable!() };
        let lowered = lower(&program).unwrap();
        let mut columns: Columns =
            lowered.system.columns.iter().map(|c| vec![F::ZERO; c.real_cells() as usize]).collect();
        for (column, cells) in &lowered.constants {
            columns[*column as usize].clone_from(cells);
        }
        for x in indices(&[MOST as u32 + 1; LEN as usize]) {
            let data: Vec<i32> = x.iter().map(|&v| v as i32).collect();
            let expected = op.evaluate(&data, &program.values[0], &program.values[1]);
            let x: Vec<i64> = x.into_iter().map(i64::from).collect();
            let found = admitted(&lowered, &mut columns, &x);
            assert_eq!(found, [i64::from(expected[0])], "{result:?}, least {least}: {x:?}");
        }
    }
}
