//! The committed ONNX node tests, see `gen/conformance.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Arrays, Data};

/// The sets of node tests.
pub(crate) const SETS: [&str; 5] = ["A_quant", "A_quant_ext", "B_struct", "C_int", "D_float_qdq"];
/// Where the cases are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/tests/conformance")
}

/// A node test: a model with inputs and outputs.
#[derive(Default)]
pub(crate) struct Case {
    /// The ONNX file.
    pub(crate) model: Vec<u8>,
    /// Inputs by name.
    pub(crate) given: Arrays,
    /// What ONNX Runtime computes.
    pub(crate) expected: Arrays,
}

/// All node tests of a set.
pub(crate) fn read_set(set: &str) -> BTreeMap<String, Case> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (member, array) in super::read_npz(&directory().join(format!("{set}.npz"))) {
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
