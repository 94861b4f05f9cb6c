//! Integer inference: evaluates every value of a [`Program`].

use vinfer_circuits::ops::Operand;
use vinfer_circuits::program::{Op, Program};

mod contract;
mod integer;
mod matmul;
mod requantise;

/// Why an execution cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// The number of input tensors differs from the program's.
    #[error("the program takes {expected} input tensors, got {got}")]
    InputCount {
        /// Tensors the program takes.
        expected: usize,
        /// Tensors given.
        got: usize,
    },
    /// An input tensor has the wrong number of elements.
    #[error("input `{name}` has {got} elements, the program takes {expected}")]
    InputLength {
        /// Name of the input.
        name: String,
        /// Elements the program takes.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// An input element lies outside the input's integer type.
    #[error("input `{name}` element {index} is {value}, outside {lo}..={hi} (centred)")]
    InputRange {
        /// Name of the input.
        name: String,
        /// Flat index of the element.
        index: usize,
        /// Its centred value.
        value: i32,
        /// Smallest centred value allowed.
        lo: i32,
        /// Largest centred value allowed.
        hi: i32,
    },
}

/// All values of one execution, centred, indexed by `ValueId`, each in row-major order of its logical shape.
pub type Trace = Vec<Vec<i32>>;

/// A trace, and the accumulators behind requantised operations (empty for all others), indexed by operation.
#[derive(Debug, Clone)]
pub struct Execution {
    /// All values.
    pub trace: Trace,
    /// Accumulators in the output's row-major order, bias included.
    pub accumulators: Vec<Vec<i64>>,
}

/// Runs a validated program on centred integer inputs (one per input port, in port order).
///
/// # Errors
/// [`ExecuteError`] when the inputs do not fit the program.
pub fn execute(program: &Program, inputs: &[Vec<i32>]) -> Result<Trace, ExecuteError> {
    run(program, inputs).map(|e| e.trace)
}

/// Like [`execute`], and keeps the accumulators that a proof needs.
///
/// # Errors
/// [`ExecuteError`] when the inputs do not fit the program.
pub fn run(program: &Program, inputs: &[Vec<i32>]) -> Result<Execution, ExecuteError> {
    let mut trace = load_inputs(program, inputs)?;
    let mut accumulators = Vec::with_capacity(program.ops.len());
    for op in &program.ops {
        let output = &program.values[op.output() as usize];
        let value = |id: u32| (trace[id as usize].as_slice(), &program.values[id as usize]);
        let (result, accumulator) = match op {
            Op::Contract(c) => {
                let (x, input) = value(c.input);
                let acc = contract::accumulate(c, x, input, output);
                let inner = output.shape[c.channel_axis as usize + 1..].iter().map(|&d| d as usize).product();
                (requantise::channels(&c.requant, inner, &acc, output), acc)
            }
            Op::Sum(s) => {
                let (x, input) = value(s.input);
                let acc = s.accumulate(x, input, output);
                (s.requantise(&acc, output), acc)
            }
            Op::Lookup(l) => {
                let (x, input) = value(l.input);
                (l.evaluate(x, input), Vec::new())
            }
            Op::MaxPool(m) => {
                let (x, input) = value(m.input);
                (m.evaluate(x, input, output), Vec::new())
            }
            Op::Rewire(r) => {
                let (x, input) = value(r.input);
                (r.evaluate(x, input, output), Vec::new())
            }
            Op::Add(add) => {
                let (a, a_value) = value(add.a);
                let (b, shape, b_range) = operand(program, &trace, &add.b);
                let acc = add.accumulate(a, b, shape, output).unwrap_or_default();
                (add.evaluate(a, a_value, b, shape, b_range, output), acc)
            }
            Op::Multiply(m) => {
                let (b, shape, _) = operand(program, &trace, &m.b);
                let acc = m.accumulate(value(m.a).0, b, shape, output);
                (requantise::whole(&m.requant, &acc, output), acc)
            }
            Op::MatMul(m) => {
                let acc = matmul::accumulate(m, value(m.a), value(m.b), output);
                (requantise::whole(&m.requant, &acc, output), acc)
            }
            Op::Arrange(a) => (
                a.evaluate(output, |id| {
                    let (data, v) = value(id);
                    (data, v.shape.as_slice())
                }),
                Vec::new(),
            ),
            Op::Extremum(e) => {
                let (x, input) = value(e.input);
                (e.evaluate(x, input, output), Vec::new())
            }
            Op::Embed(e) => (e.evaluate(value(e.indices).0, output), Vec::new()),
            Op::Float(f) => (f.evaluate(output, value), Vec::new()),
        };
        trace[op.output() as usize] = result;
        accumulators.push(accumulator);
    }
    Ok(Execution { trace, accumulators })
}

/// Data, shape and centred range of a second operand.
fn operand<'a>(program: &'a Program, trace: &'a Trace, operand: &'a Operand) -> (&'a [i32], &'a [u32], (i32, i32)) {
    match operand {
        Operand::Value(id) => {
            let value = &program.values[*id as usize];
            (&trace[*id as usize], &value.shape, (value.quantisation.lo(), value.quantisation.hi()))
        }
        Operand::Constant { shape, data, lo, hi } => (data, shape, (*lo, *hi)),
    }
}

/// Checks that inputs fit a program: their number, lengths and ranges.
///
/// # Errors
/// [`ExecuteError`].
pub fn check_inputs(program: &Program, inputs: &[Vec<i32>]) -> Result<(), ExecuteError> {
    if inputs.len() != program.inputs.len() {
        return Err(ExecuteError::InputCount { expected: program.inputs.len(), got: inputs.len() });
    }
    for (port, data) in program.inputs.iter().zip(inputs) {
        let value = &program.values[port.value as usize];
        if data.len() != value.len() {
            return Err(ExecuteError::InputLength { name: port.name.clone(), expected: value.len(), got: data.len() });
        }
        let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
        if let Some(index) = data.iter().position(|v| !(lo..=hi).contains(v)) {
            let name = port.name.clone();
            return Err(ExecuteError::InputRange { name, index, value: data[index], lo, hi });
        }
    }
    Ok(())
}

fn load_inputs(program: &Program, inputs: &[Vec<i32>]) -> Result<Trace, ExecuteError> {
    check_inputs(program, inputs)?;
    let mut trace: Trace = vec![Vec::new(); program.values.len()];
    for (port, data) in program.inputs.iter().zip(inputs) {
        trace[port.value as usize].clone_from(data);
    }
    Ok(trace)
}
