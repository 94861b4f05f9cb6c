//! `OPERATORS.md` says what the code says. `VINFER_UPDATE_OPERATORS=1` rewrites it.

use std::path::Path;

#[test]
fn operators_doc() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATORS.md");
    let generated = vinfer_compiler::catalogue::markdown();
    if std::env::var_os("VINFER_UPDATE_OPERATORS").is_some() {
        std::fs::write(&path, &generated).expect("written");
    }
    let committed = std::fs::read_to_string(&path).expect("the committed file");
    assert!(committed == generated, "OPERATORS.md is out of date; VINFER_UPDATE_OPERATORS=1 rewrites it");
}

/// Every operator of the compiler's lists appears.
#[test]
fn every_operator_is_listed() {
    let text = vinfer_compiler::catalogue::markdown();
    for name in vinfer_compiler::catalogue::operators() {
        let short = name.trim_start_matches("com.microsoft.");
        assert!(text.contains(short), "{short} is not in the catalogue");
    }
}
