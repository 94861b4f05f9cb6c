//! Models, inputs and honest proofs shared by the tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use vinfer_circuits::boundary::quantise;
use vinfer_circuits::program::Program;

pub(crate) mod honest;

/// Directory of a test model.
pub(crate) fn model_dir(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/models").join(name)
}

/// Compiles a test model.
pub(crate) fn program(name: &str) -> Program {
    vinfer_compiler::compile_file(&model_dir(name).join("model.onnx")).unwrap().program
}

/// Centred inputs of one sample.
pub(crate) fn inputs(name: &str, program: &Program, sample: usize) -> Vec<Vec<i32>> {
    inputs_from(&model_dir(name), program, sample)
}

/// Centred inputs of one sample of `inputs.npz` in a directory.
pub(crate) fn inputs_from(directory: &Path, program: &Program, sample: usize) -> Vec<Vec<i32>> {
    let mut npz = npyz::npz::NpzArchive::open(directory.join("inputs.npz")).unwrap();
    program
        .inputs
        .iter()
        .map(|port| {
            let value = &program.values[port.value as usize];
            let q = &value.quantisation;
            let array = npz.by_name(&port.name).unwrap().unwrap();
            let range = sample * value.len()..(sample + 1) * value.len();
            match array.dtype().descr() {
                d if d.contains("f4") => {
                    array.into_vec::<f32>().unwrap()[range].iter().map(|&x| quantise(x, q).unwrap()).collect()
                }
                d if d.contains("u1") => {
                    array.into_vec::<u8>().unwrap()[range].iter().map(|&x| i32::from(x) - q.zero_point).collect()
                }
                _ => array.into_vec::<i8>().unwrap()[range].iter().map(|&x| i32::from(x) - q.zero_point).collect(),
            }
        })
        .collect()
}
