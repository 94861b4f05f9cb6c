//! Small graphs around single operators (made by `gen/operator_graphs.py`) all compile, and compute what ONNX Runtime
//! computes, bit for bit.

mod common;

use std::path::Path;

#[test]
fn operators() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators");
    let mut directories: Vec<_> = std::fs::read_dir(root).expect("graphs").map(|e| e.expect("entry").path()).collect();
    directories.sort();
    let mut compared = 0;
    for directory in &directories {
        let compiled = vinfer_compiler::compile_file(&directory.join("model.onnx"));
        let compiled = compiled.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        assert_eq!(compiled.program.ops.len(), compiled.report.rows.len());
        let result = common::compare(&compiled, directory);
        compared += result.unwrap_or_else(|difference| panic!("{}: {difference}", directory.display()));
    }
    assert!(directories.len() >= 50 && compared > 5000, "{} graphs, {compared} elements", directories.len());
}
