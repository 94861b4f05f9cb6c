//! Random graphs (made by `gen/random_graphs.py`) compute what ONNX Runtime computes, bit for bit.
//!
//! `VINFER_GRAPHS=DIR` runs the graphs of another directory instead and writes `DIR/report.txt`, one line per graph:
//! `NAME equal`, `NAME refused KIND MESSAGE`, `NAME mismatch MESSAGE` or `NAME panic MESSAGE`. There, graphs may be
//! refused. `gen/fuzz.sh` makes and sums up such runs.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What became of one graph: one word, and for a human why.
fn run(directory: &Path) -> String {
    let run = || match vinfer_compiler::compile_file(&directory.join("model.onnx")) {
        Err(error) => format!("refused {} {error}", common::variant(&error)),
        Ok(compiled) => match common::compare(&compiled, directory) {
            Ok(_) => "equal".to_owned(),
            Err(difference) => format!("mismatch {difference}"),
        },
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        format!("panic {}", text.unwrap_or_default())
    })
}

/// All graph directories below `root`.
fn graphs(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("graphs").map(|e| e.expect("entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|p| p.join("model.onnx").is_file()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[test]
fn random_graphs() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs");
    let given = std::env::var_os("VINFER_GRAPHS").map(PathBuf::from);
    let root = given.clone().unwrap_or(own);
    let lines: Vec<String> = graphs(&root).iter().map(|d| format!("{} {}", name(d), run(d))).collect();
    let count = |word: &str| lines.iter().filter(|l| l.split(' ').nth(1) == Some(word)).count();
    println!("{} equal, {} refused", count("equal"), count("refused"));
    if given.is_some() {
        std::fs::write(root.join("report.txt"), lines.join("\n") + "\n").expect("a report");
    }
    let bad = |l: &&String| l.split(' ').nth(1).is_some_and(|w| w != "equal" && (w != "refused" || given.is_none()));
    let bad: Vec<&String> = lines.iter().filter(bad).collect();
    assert!(bad.is_empty(), "not bit-exact: {bad:#?}");
    assert!(!lines.is_empty());
}
