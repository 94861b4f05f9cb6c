//! False executions: the result of one operation is changed, and everything behind it follows.

use vinfer_circuits::ops::float;
use vinfer_circuits::program::{IntType, Op, Port, PortType, Program};
use vinfer_circuits::statement::Statement;
use vinfer_prover::Witness;
use vinfer_prover::execute::{Execution, run};

use crate::common::honest::{Honest, statement};

/// A step away from a value, inside its type: to the next float, or the next integer.
pub(crate) fn neighbour(program: &Program, value: u32, v: i32, up: bool) -> i32 {
    let q = &program.values[value as usize].quantisation;
    if q.int_type == IntType::F32 {
        // Never to a number that cannot be held.
        let least = float::key(f32::MIN_POSITIVE * 4.0);
        let key = float::key(float::from_bits(v)) + if up { 1 } else { -1 };
        return float::from_key(if key.abs() < least { least } else { key }).to_bits().cast_signed();
    }
    let step = if up && v < q.hi() || v == q.lo() { 1 } else { -1 };
    v + step
}

/// The execution with the result of operation `index` replaced by `change(cells)`.
pub(crate) fn execution(honest: &Honest, index: usize, change: impl FnOnce(&mut Vec<i32>)) -> Execution {
    let program = honest.key.proven();
    let mut whole = run(program, &honest.inputs).unwrap();
    let forged = program.ops[index].output() as usize;
    change(&mut whole.trace[forged]);
    // The operations behind it, on everything that is known by then.
    let rest = program.ops[index + 1..].to_vec();
    let later: Vec<u32> = rest.iter().map(Op::output).collect();
    let known = (0..program.values.len() as u32).filter(|v| !later.contains(v) && !whole.trace[*v as usize].is_empty());
    let port = |value| Port { name: String::new(), port_type: PortType::Integer, value, leading_batch: false };
    let inputs: Vec<Port> = known.map(port).collect();
    let data: Vec<Vec<i32>> = inputs.iter().map(|p| whole.trace[p.value as usize].clone()).collect();
    let tail = Program { inputs, ops: rest, ..program.clone() };
    let tail = run(&tail, &data).unwrap();
    let mut accumulators = whole.accumulators[..=index].to_vec();
    accumulators.extend(tail.accumulators);
    Execution { trace: tail.trace, accumulators }
}

/// Statement and witness of an execution.
pub(crate) fn claim(honest: &Honest, execution: &Execution) -> (Statement, Witness) {
    let outputs: Vec<Vec<i32>> =
        honest.key.proven().outputs.iter().map(|p| execution.trace[p.value as usize].clone()).collect();
    (statement(&honest.verifier, &honest.inputs, &outputs), Witness::new(&honest.key, execution))
}
