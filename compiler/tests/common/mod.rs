//! Shared by the tests: NumPy archives, and bit-for-bit comparison of a compiled model with ONNX Runtime.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::path::Path;

use vinfer_circuits::boundary::{dequantise, quantise};
use vinfer_circuits::program::{PortType, Program};
use vinfer_compiler::Compiled;

/// Element data of an array in an `.npz` file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// `float32`.
    Float(Vec<f32>),
    /// `uint8` or `int8`.
    Integer(Vec<i32>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Integer(v) => v.len(),
        }
    }
}

/// An array whose first axis is the sample.
pub(crate) struct Array {
    /// Number of samples.
    pub(crate) samples: usize,
    /// Row-major elements.
    pub(crate) data: Data,
}

/// Reads all arrays of an `.npz` file.
pub(crate) fn read_npz(path: &Path) -> BTreeMap<String, Array> {
    let mut npz = npyz::npz::NpzArchive::open(path).expect("an npz file");
    let names: Vec<String> = npz.array_names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let array = npz.by_name(&name).expect("readable").expect("listed");
            let samples = array.shape().first().copied().unwrap_or(1) as usize;
            let descriptor = array.dtype().descr();
            let data = if descriptor.contains("f4") {
                Data::Float(array.into_vec().expect("floats"))
            } else if descriptor.contains("u1") {
                Data::Integer(array.into_vec::<u8>().expect("bytes").into_iter().map(i32::from).collect())
            } else {
                Data::Integer(array.into_vec::<i8>().expect("bytes").into_iter().map(i32::from).collect())
            };
            (name, Array { samples, data })
        })
        .collect()
}

/// Centred inputs of one sample.
fn inputs(program: &Program, arrays: &BTreeMap<String, Array>, sample: usize) -> Vec<Vec<i32>> {
    let port_inputs = program.inputs.iter().map(|port| {
        let value = &program.values[port.value as usize];
        let range = sample * value.len()..(sample + 1) * value.len();
        let q = &value.quantisation;
        match &arrays[&port.name].data {
            Data::Float(v) => v[range].iter().map(|&x| quantise(x, q).expect("finite")).collect(),
            Data::Integer(v) => v[range].iter().map(|&x| x - q.zero_point).collect(),
        }
    });
    port_inputs.collect()
}

/// Runs every sample of `inputs.npz` and compares every output bit with `ort_outputs.npz`; returns the number of
/// output elements compared.
pub(crate) fn compare(compiled: &Compiled, directory: &Path) -> usize {
    let program = &compiled.program;
    let given = read_npz(&directory.join("inputs.npz"));
    let expected = read_npz(&directory.join("ort_outputs.npz"));
    let samples = given.values().map(|a| a.samples).min().expect("an input");
    let mut compared = 0;
    for sample in 0..samples {
        let trace = vinfer_prover::execute::execute(program, &inputs(program, &given, sample)).expect("executes");
        for port in &program.outputs {
            let value = &program.values[port.value as usize];
            let centred = &trace[port.value as usize];
            let want = &expected[&port.name].data;
            assert_eq!(want.len(), samples * centred.len(), "{}: output size", directory.display());
            let range = sample * centred.len()..(sample + 1) * centred.len();
            match (port.port_type, want) {
                (PortType::Float32, Data::Float(want)) => {
                    for (i, (&c, w)) in centred.iter().zip(&want[range]).enumerate() {
                        let got = dequantise(c, &value.quantisation);
                        assert!(
                            got.to_bits() == w.to_bits(),
                            "{} sample {sample} {}[{i}]: {got} instead of {w}",
                            directory.display(),
                            port.name
                        );
                    }
                }
                (PortType::Integer, Data::Integer(want)) => {
                    let got: Vec<i32> = centred.iter().map(|c| c + value.quantisation.zero_point).collect();
                    assert_eq!(got, want[range], "{} sample {sample} {}", directory.display(), port.name);
                }
                _ => panic!("{}: output `{}` has another type", directory.display(), port.name),
            }
            compared += centred.len();
        }
    }
    compared
}
