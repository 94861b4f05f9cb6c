//! Models, inputs and honest proofs shared by the tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

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
    let mut npz = npyz::npz::NpzArchive::open(model_dir(name).join("inputs.npz")).unwrap();
    program
        .inputs
        .iter()
        .map(|port| {
            let value = &program.values[port.value as usize];
            let data: Vec<f32> = npz.by_name(&port.name).unwrap().unwrap().into_vec().unwrap();
            data[sample * value.len()..(sample + 1) * value.len()]
                .iter()
                .map(|&x| quantise(x, &value.quantisation).unwrap())
                .collect()
        })
        .collect()
}
