//! Integer inference: evaluates every value of a [`Program`].

use vinfer_circuits::ops::AddOperand;
use vinfer_circuits::program::{Op, Program};

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

/// Runs a validated program on centred integer inputs (one per input port, in port order).
///
/// # Errors
/// [`ExecuteError`] when the inputs do not fit the program.
pub fn execute(program: &Program, inputs: &[Vec<i32>]) -> Result<Trace, ExecuteError> {
    if inputs.len() != program.inputs.len() {
        return Err(ExecuteError::InputCount { expected: program.inputs.len(), got: inputs.len() });
    }
    let mut trace: Trace = vec![Vec::new(); program.values.len()];
    for (port, data) in program.inputs.iter().zip(inputs) {
        let value = &program.values[port.value as usize];
        if data.len() != value.len() {
            return Err(ExecuteError::InputLength {
                name: port.name.clone(),
                expected: value.len(),
                got: data.len(),
            });
        }
        let (lo, hi) = (value.quantisation.lo(), value.quantisation.hi());
        if let Some(index) = data.iter().position(|v| !(lo..=hi).contains(v)) {
            let name = port.name.clone();
            return Err(ExecuteError::InputRange { name, index, value: data[index], lo, hi });
        }
        trace[port.value as usize] = data.clone();
    }
    for op in &program.ops {
        let output = &program.values[op.output() as usize];
        let result = match op {
            Op::Contract(c) => c.evaluate(&trace[c.input as usize], &program.values[c.input as usize], output),
            Op::Sum(s) => s.evaluate(&trace[s.input as usize], &program.values[s.input as usize], output),
            Op::Lookup(l) => l.evaluate(&trace[l.input as usize], &program.values[l.input as usize]),
            Op::MaxPool(m) => m.evaluate(&trace[m.input as usize], &program.values[m.input as usize], output),
            Op::Rewire(r) => r.evaluate(&trace[r.input as usize], &program.values[r.input as usize], output),
            Op::Add(add) => {
                let a_value = &program.values[add.a as usize];
                let (data, shape, range) = match &add.b {
                    AddOperand::Value(b) => {
                        let value = &program.values[*b as usize];
                        let range = (value.quantisation.lo(), value.quantisation.hi());
                        (trace[*b as usize].as_slice(), &value.shape, range)
                    }
                    AddOperand::Constant { shape, data, lo, hi } => (data.as_slice(), shape, (*lo, *hi)),
                };
                add.evaluate(&trace[add.a as usize], a_value, data, shape, range, output)
            }
        };
        trace[op.output() as usize] = result;
    }
    Ok(trace)
}
