//! The process that checks one proof.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use vinfer_circuits::program::batch::slice;
use vinfer_circuits::system::PublicPort;
use vinfer_verifier::{Expected, PreparedKey, Verified, VerifyError};

use crate::confine::confine;
use crate::engine::Tensors;
use crate::http::Request;
use crate::ids::Digest;
use crate::tensors::{self, Tensor};

/// Files in the directory of a task: key, proof, and where an input is given, the input and the number of its sample.
pub const FILES: [&str; 4] = ["vk", "proof", "input", "index"];

/// What the process is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Directory with [`FILES`].
    pub directory: PathBuf,
    /// Address space, in bytes.
    pub memory: u64,
    /// Processor time, in seconds.
    pub seconds: u64,
}

/// Reads one sample of a file of arrays as centred integers of the ports, or says what is wrong.
pub type InputReader = fn(&Path, &[PublicPort], u64) -> Result<Tensors, String>;

/// Checks the proof and writes the verdict to standard output.
///
/// # Errors
/// The files cannot be read, or the verdict not be written.
pub fn run(task: &Task, read_input: InputReader) -> std::io::Result<()> {
    confine(task.memory, task.seconds)?;
    let verdict = match verdict(&task.directory, read_input) {
        // As where memory is missing anywhere else.
        Err(error) if error.kind() == ErrorKind::OutOfMemory => std::process::abort(),
        verdict => verdict?,
    };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &verdict)?;
    out.flush()
}

fn verdict(directory: &Path, read_input: InputReader) -> std::io::Result<Value> {
    let [vk, proof, input, index] = FILES.map(|name| directory.join(name));
    let (vk, proof) = (fs::read(vk)?, fs::read(proof)?);
    let index = fs::read_to_string(index).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let start = Instant::now();
    let checked = check(&vk, &proof);
    let seconds = start.elapsed().as_secs_f64();
    let (key, verified) = match checked {
        Ok(checked) => checked,
        Err(error) => return Ok(refused(code(&error), error.is_rejection(), &error.to_string())),
    };
    let mut accepted = accepted(&key, &verified, seconds);
    if input.exists() {
        let batch = key.key().batch;
        let ports = one_inference(&key.key().system.inputs, batch);
        let given = match given_input(&input, &ports, index, read_input) {
            Ok(given) => given,
            Err(reason) => {
                return Ok(refused("input", false, &format!("the input cannot be compared: {reason}")));
            }
        };
        let found = (0..batch).find(|&inference| sample(&verified.inputs, inference, batch) == given);
        match found {
            Some(inference) => {
                accepted["compared"] = json!(["input"]);
                accepted["compared_inference"] = json!((batch > 1).then_some(inference));
            }
            None if batch == 1 => {
                return Ok(refused("other_input", true, &difference(&ports, &verified.inputs, &given)));
            }
            None => {
                let reason = format!("none of the {batch} inferences of this proof has the input in your file");
                return Ok(refused("other_input", true, &reason));
            }
        }
    }
    Ok(accepted)
}

/// Ports of one inference: the samples of a batch are the outermost axis.
fn one_inference(ports: &[PublicPort], batch: u32) -> Vec<PublicPort> {
    let single = |port: &PublicPort| {
        let skipped = usize::from(batch > 1);
        PublicPort { shape: port.shape.get(skipped..).unwrap_or_default().to_vec(), ..port.clone() }
    };
    ports.iter().map(single).collect()
}

/// Tensors of one inference of a batch.
fn sample(tensors: &[Vec<i32>], inference: u32, batch: u32) -> Tensors {
    tensors.iter().map(|tensor| slice(tensor, inference, batch).to_vec()).collect()
}

fn check(vk: &[u8], proof: &[u8]) -> Result<(PreparedKey, Verified), VerifyError> {
    let key = PreparedKey::from_bytes(vk)?;
    let verified = key.verify(proof, &Expected::default())?;
    Ok((key, verified))
}

const fn code(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::Key(_) => "key",
        VerifyError::Proof(_) => "proof",
        VerifyError::WrongKey => "wrong_key",
        VerifyError::Expectation { .. } => "input",
        VerifyError::Rejected(_) => "rejected",
    }
}

fn refused(code: &str, rejected: bool, error: &str) -> Value {
    json!({ "valid": false, "rejected": rejected, "code": code, "error": error })
}

fn accepted(key: &PreparedKey, verified: &Verified, seconds: f64) -> Value {
    let (key, system) = (key.key(), &key.key().system);
    let show = |ports: &[PublicPort], values: &[Vec<i32>]| -> Vec<Value> {
        let tensors = tensors::declare(ports, values);
        let show = |tensor: &Tensor| {
            json!({
                "name": tensor.name,
                "datatype": tensor.data_type.name(),
                "shape": tensor.shape,
                "data": tensor.elements.to_json(tensor.data_type),
            })
        };
        tensors.iter().map(show).collect()
    };
    json!({
        "valid": true,
        "statement": Digest(verified.statement),
        "key_digest": Digest(verified.key_digest),
        "program_digest": Digest(key.program_digest),
        "context": Digest(verified.context),
        "profile": key.profile.name(),
        "security_bits": verified.security_bits,
        "grinding_bits": verified.grinding_bits,
        "verify_seconds": seconds,
        "batch": key.batch,
        "inferences": verified.inferences.iter().map(|digest| Digest(*digest)).collect::<Vec<_>>(),
        "compared": [],
        "inputs": show(&system.inputs, &verified.inputs),
        "outputs": show(&system.outputs, &verified.outputs),
    })
}

/// The input of the file: an inference request of the Open Inference Protocol, or a file of arrays.
fn given_input(path: &Path, ports: &[PublicPort], index: u64, read: InputReader) -> Result<Tensors, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bytes = fs::read(path).map_err(|error| text(&error))?;
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let request = (start == Some(&b'{')).then(|| Request::parse(&bytes.into(), None));
    match request {
        Some(Ok(request)) => {
            let tensors = request.tensors(ports).map_err(|error| text(&error))?;
            tensors::centre(ports, &tensors).map_err(|error| text(&error))
        }
        _ => read(path, ports, index),
    }
}

/// What tells two inputs apart that are not the same, as a sentence.
fn difference(ports: &[PublicPort], proven: &[Vec<i32>], given: &[Vec<i32>]) -> String {
    let general = || "the proof is about another input than the one in your file".to_owned();
    let at = proven.iter().zip(given).position(|(proven, given)| proven != given);
    let port = at.and_then(|at| ports.get(at));
    let element = at.and_then(|at| {
        let (proven, given) = (proven.get(at)?, given.get(at)?);
        let first = proven.iter().zip(given).position(|(proven, given)| proven != given)?;
        let differing = proven.iter().zip(given).filter(|(proven, given)| proven != given).count();
        let show = |values: &[i32]| -> Option<Value> {
            let tensors = tensors::declare(std::slice::from_ref(port?), &[values.to_vec()]);
            let tensor: &Tensor = tensors.first()?;
            tensor.elements.to_json(tensor.data_type).get(first).cloned()
        };
        Some((first, differing, proven.len(), show(proven)?, show(given)?))
    });
    let (Some(port), Some((first, differing, all, proven, given))) = (port, element) else {
        return general();
    };
    format!(
        "{}: {differing} of {all} elements of `{}` differ, the first at {first}, which is {proven} in the proof and \
         {given} in your file",
        general(),
        port.name
    )
}
