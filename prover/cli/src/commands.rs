//! The commands, one file each.

pub(crate) mod compile;
pub(crate) mod demo;
pub(crate) mod inspect;
pub(crate) mod prove;
pub(crate) mod quantize;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod verify;

use std::path::Path;

use serde_json::{Map, Value};
use vinfer_circuits::program::{self, Program, batch};

use crate::error::CliError;
use crate::files;
use crate::ports::{PortError, PortSpec, Sample, output_arrays};
use crate::tensors::Tensor;

/// Longest program or proving key read.
const MAX_PROGRAM_BYTES: u64 = 16 << 30;

/// Longest model read: ONNX files end at 2 GiB, larger weights lie beside them.
const MAX_MODEL_BYTES: u64 = 2 << 30;

/// Longest verifying key or proof read.
const MAX_KEY_BYTES: u64 = 1 << 30;

/// Reads and validates a program file.
fn read_program(path: &Path) -> Result<Program, CliError> {
    let bytes = files::read(path, MAX_PROGRAM_BYTES)?;
    program::from_bytes(&bytes).map_err(|source| CliError::Program { path: path.to_owned(), source })
}

/// Reads a model file; with it the directory in which its external data lies.
fn read_model(path: &Path) -> Result<(Vec<u8>, &Path), CliError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((files::read(path, MAX_MODEL_BYTES)?, directory))
}

/// Names the file in an error about its arrays.
fn in_arrays<T>(path: &Path, result: Result<T, PortError>) -> Result<T, CliError> {
    result.map_err(|source| CliError::Arrays { path: path.to_owned(), source })
}

/// Outputs of one sample as `{"name": nested lists}`, shaped as in an output file.
fn outputs_json(arrays: &[(String, Tensor)]) -> Value {
    Value::Object(arrays.iter().map(|(name, tensor)| (name.clone(), tensor.to_json())).collect::<Map<_, _>>())
}

/// One sample's outputs as arrays in their declared type.
fn sample_arrays(ports: &[PortSpec], outputs: Sample) -> Vec<(String, Tensor)> {
    output_arrays(ports, &[outputs])
}

/// The samples of a batch's tensors.
fn split_batch(tensors: &Sample, count: u32) -> Vec<Sample> {
    (0..count).map(|index| batch::sample(tensors, index, count)).collect()
}

/// What a proof says, for people: the digest of every inference, if it is not that of the statement, and its outputs.
fn inferences_text(ports: &[PortSpec], samples: &[Sample], digests: &[[u8; 32]]) -> String {
    let line = |(index, (sample, digest)): (usize, (&Sample, &[u8; 32]))| {
        let own = outputs_text(&sample_arrays(ports, sample.clone()));
        if samples.len() == 1 { own } else { format!("  inference {index}  {}\n{own}", hex::encode(digest)) }
    };
    samples.iter().zip(digests).enumerate().map(line).collect()
}

/// Short lines that show outputs to people: `  y  float32 [1, 10]  -3.2 7.1 ..  (largest: 1)`.
fn outputs_text(arrays: &[(String, Tensor)]) -> String {
    const SHOWN: usize = 10;
    let mut text = String::new();
    for (name, tensor) in arrays {
        let values = tensor.data.to_strings();
        let shown = values.get(..SHOWN).map_or_else(|| values.join(" "), |some| some.join(" "));
        let more = if values.len() > SHOWN { " .." } else { "" };
        let largest = tensor.data.argmax().map_or_else(String::new, |at| format!("  (largest at {at})"));
        text += &format!("  {name}  {} {:?}  {shown}{more}{largest}\n", tensor.data.kind(), tensor.shape);
    }
    text
}
