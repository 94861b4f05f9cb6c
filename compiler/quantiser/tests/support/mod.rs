//! Models and data of the tests.

use std::fs;
use std::path::PathBuf;

use vinfer_quantiser::{Options, Quantised, Tensor, quantise, read_npz};

/// A file of the tests.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The data of a model.
pub(crate) fn arrays(name: &str) -> Vec<(String, Tensor)> {
    read_npz(&file(&format!("{name}.npz"))).expect("arrays")
}

/// One array of the data of a model.
pub(crate) fn array(name: &str, array: &str) -> Tensor {
    arrays(name).into_iter().find(|(n, _)| n == array).expect("array").1
}

/// Quantises a model on its data.
pub(crate) fn quantised(name: &str, options: &Options) -> Quantised {
    quantise(&file(&format!("{name}.onnx")), None, &arrays(name), options).unwrap_or_else(|e| panic!("{name}: {e}"))
}
