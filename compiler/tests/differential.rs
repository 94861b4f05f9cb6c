//! Random graphs (made by `gen/random_graphs.py` and `gen/fuzz_graphs.py`) compute what ONNX Runtime computes, bit for
//! bit.
//!
//! `VINFER_GRAPHS=DIR` runs the graphs of another directory instead and writes `DIR/report.txt`: `NAME begin`, then
//! `NAME equal`, `NAME refused KIND MESSAGE`, `NAME mismatch MESSAGE` or `NAME panic MESSAGE`. There, graphs may be
//! refused; here, `graphs/refused.txt` lists the refusals. `gen/fuzz.sh` makes and sums up such runs.

mod common;

use std::fs::File;
use std::io::Write;
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
    let mut report = given.as_ref().map(|d| File::create(d.join("report.txt")).expect("a report"));
    let mut note = |line: &str| report.as_mut().map(|f| writeln!(f, "{line}").expect("a report"));
    let mut lines = Vec::new();
    for directory in graphs(&root) {
        note(&format!("{} begin", name(&directory)));
        let line = format!("{} {}", name(&directory), run(&directory).replace('\n', " "));
        note(&line);
        lines.push(line);
    }
    let of = |word: &str| lines.iter().filter(|l| l.split(' ').nth(1) == Some(word)).cloned().collect::<Vec<_>>();
    let (equal, refused) = (of("equal").len(), of("refused"));
    println!("{equal} equal, {} refused", refused.len());
    let wrong = [of("mismatch"), of("panic")].concat();
    assert!(wrong.is_empty(), "not bit-exact: {wrong:#?}");
    if given.is_none() {
        let short = |l: &String| l.split(' ').take(3).filter(|w| *w != "refused").collect::<Vec<_>>().join(" ");
        common::check_refused(&root.join("refused.txt"), equal, &refused.iter().map(short).collect());
    }
}
