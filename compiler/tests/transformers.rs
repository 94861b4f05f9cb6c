//! Compiled transformers compute what ONNX Runtime computes, bit for bit.

mod common;

use std::path::Path;

fn check(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
    let compiled = vinfer_compiler::compile_file(&directory.join("model.onnx")).expect("compiles");
    assert_eq!(compiled.program.ops.len(), compiled.report.rows.len());
    assert!(common::compare(&compiled, &directory).expect("bit-exact") > 0);
}

#[test]
fn tiny_transformer() {
    check("tiny_transformer_int8");
}

#[test]
fn tiny_transformer_relu() {
    check("tiny_transformer_relu_int8");
}
