//! Random graphs (made by `gen/random_graphs.py`) compute what ONNX Runtime computes, bit for bit.
//!
//! `VINFER_GRAPHS=DIR` runs the graphs of another directory; there, graphs may be refused, and the reasons are listed.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[test]
fn random_graphs() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs");
    let given = std::env::var_os("VINFER_GRAPHS").map(PathBuf::from);
    let root = given.clone().unwrap_or(own);
    let mut directories: Vec<PathBuf> =
        std::fs::read_dir(&root).expect("graphs").map(|e| e.expect("entry").path()).filter(|p| p.is_dir()).collect();
    directories.sort();
    let (mut exact, mut refused, mut wrong) = (0, 0, Vec::new());
    for directory in &directories {
        match vinfer_compiler::compile_file(&directory.join("model.onnx")) {
            Ok(compiled) => match catch_unwind(AssertUnwindSafe(|| common::compare(&compiled, directory))) {
                Ok(_) => exact += 1,
                Err(_) => wrong.push(directory.clone()),
            },
            Err(error) => {
                println!("{}: {error}", directory.display());
                refused += 1;
                assert!(given.is_some(), "{} is refused: {error}", directory.display());
            }
        }
    }
    println!("{exact} exact, {refused} refused, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "not bit-exact: {wrong:?}");
    assert!(exact > 0);
}
