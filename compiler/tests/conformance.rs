//! The ONNX node tests of the operators that quantised models use, as made by `gen/conformance.py`: what compiles
//! computes what ONNX Runtime computes, bit for bit; what does not compile is refused for the reason in
//! `conformance/refused.txt`. `conformance/index.txt` says how each test became a quantised model.
//!
//! `VINFER_UPDATE_REFUSED=1` rewrites the list of refusals; wrong results and panics fail all the same.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use common::{Arrays, Data};
use vinfer_compiler::{CompileError, compile_bytes};

const SETS: [&str; 5] = ["A_quant", "A_quant_ext", "B_struct", "C_int", "D_float_qdq"];
const TOTAL: usize = 256;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// A node test: a model with inputs and outputs.
#[derive(Default)]
struct Case {
    model: Vec<u8>,
    given: Arrays,
    expected: Arrays,
}

/// All node tests of a set.
fn read_set(set: &str) -> BTreeMap<String, Case> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (member, array) in common::read_npz(&directory().join(format!("{set}.npz"))) {
        let mut parts = member.splitn(3, '/');
        let case = cases.entry(parts.next().unwrap_or_default().to_owned()).or_default();
        match (parts.next(), parts.next(), &array.data) {
            (Some("model"), None, Data::Integer(bytes)) => {
                case.model = bytes.iter().map(|&b| u8::try_from(b).expect("a byte")).collect();
            }
            (Some("in"), Some(name), _) => drop(case.given.insert(name.to_owned(), array)),
            (Some("out"), Some(name), _) => drop(case.expected.insert(name.to_owned(), array)),
            _ => panic!("{set}: member {member}"),
        }
    }
    cases
}

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
