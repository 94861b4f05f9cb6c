//! The ONNX node tests of the operators that quantised models use, as made by `gen/conformance.py`: what compiles
//! computes what ONNX Runtime computes, bit for bit; what does not compile is refused for the reason in
//! `conformance/refused.txt`. `conformance/index.txt` says how each test became a quantised model.
//!
//! `VINFER_UPDATE_REFUSED=1` rewrites the list of refusals; wrong results and panics fail all the same.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::conformance::{Case, SETS, directory, read_set};
use vinfer_compiler::{CompileError, compile_bytes};

const TOTAL: usize = 256;

enum Outcome {
    Passed,
    Refused(CompileError),
    Wrong(String),
}

fn outcome(case: &Case) -> Outcome {
    let run = || match compile_bytes(&case.model, None) {
        Err(error) => Outcome::Refused(error),
        Ok(compiled) => match common::differences(&compiled, &case.given, &case.expected) {
            Ok(_) => Outcome::Passed,
            Err(difference) => Outcome::Wrong(difference),
        },
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Outcome::Wrong("panic".to_owned()))
}

#[test]
fn node_tests() {
    let (mut passed, mut wrong, mut refused, mut table) = (0, Vec::new(), BTreeSet::new(), String::new());
    for set in SETS {
        let (mut set_passed, mut set_refused, mut set_wrong) = (0, 0, 0);
        for (name, case) in read_set(set) {
            match outcome(&case) {
                Outcome::Passed => set_passed += 1,
                Outcome::Refused(error) => {
                    println!("{set} {name} refused: {error}");
                    refused.insert(format!("{name} {}", common::variant(&error)));
                    set_refused += 1;
                }
                Outcome::Wrong(difference) => {
                    wrong.push(format!("{set} {name}: {difference}"));
                    set_wrong += 1;
                }
            }
        }
        passed += set_passed;
        writeln!(table, "{set:12} {set_passed:3} passed {set_refused:3} refused {set_wrong:3} wrong").expect("text");
    }
    println!("{table}{passed} of {TOTAL} passed");
    assert!(wrong.is_empty(), "not bit-exact:\n{}", wrong.join("\n"));
    assert_eq!(passed + refused.len(), TOTAL, "a node test is missing");
    common::check_refused(&directory().join("refused.txt"), passed, &refused);
}
