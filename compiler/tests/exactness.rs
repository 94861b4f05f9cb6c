//! Compiled models compute what ONNX Runtime computes, bit for bit.

mod common;

use std::path::Path;

/// Compiles `tests/models/NAME` and compares all its samples.
fn check(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
    let compiled = vinfer_compiler::compile_file(&directory.join("model.onnx")).expect("compiles");
    compiled.program.validate().expect("valid");
    assert_eq!(compiled.program.ops.len(), compiled.report.rows.len());
    assert!(common::compare(&compiled, &directory).expect("bit-exact") > 0);
}

macro_rules! models {
    ($($name:ident),*) => { $(#[test] fn $name() { check(stringify!($name)); })* };
}

models!(
    digits_mlp_int8,
    digits_cnn_int8,
    digits_cnn_qop_int8,
    digits_cnn_s8s8_int8,
    iris_mlp_int8,
    breast_cancer_mlp_int8,
    lenet5_int8,
    cnn62k_int8,
    cnn264k_int8,
    mlp4m_int8
);
