//! The process that compiles one model, with limits of memory and time that it sets itself before it reads a byte.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vinfer_circuits::program::{self, IntType, Program, Value};
use vinfer_circuits::system::PublicPort;
use vinfer_verifier::Expected;

use super::record::PortInfo;
use super::report::report;
use crate::confine::confine;
use crate::tensors::{DataType, port_shape};

/// First bytes of a program file, which needs no compilation.
const PROGRAM_MAGIC: &[u8] = b"VINFERP";

/// What the process is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// ONNX model or program file.
    pub model: PathBuf,
    /// Directory for what is made.
    pub output: PathBuf,
    /// Address space, in bytes.
    pub memory: u64,
    /// Processor time, in seconds.
    pub seconds: u64,
}

/// What the process says at its end, in `outcome.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `program`, `vk`, `pk` and `report.json` are made.
    Ready {
        /// Peak memory.
        memory_bytes: u64,
        /// Seconds of the trial proof.
        prove_seconds: f64,
        /// Bytes of the trial proof.
        proof_bytes: u64,
        /// Inputs.
        inputs: Vec<PortInfo>,
        /// Outputs.
        outputs: Vec<PortInfo>,
    },
    /// The model is refused.
    Refused(String),
}

/// Name of the file with the [`Outcome`].
pub const OUTCOME: &str = "outcome.json";

/// Runs the task in this process. The process is of no other use afterwards: its limits stay.
///
/// # Errors
/// The outcome cannot be written.
pub fn run(task: &Task) -> std::io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    confine(task.memory, task.seconds.saturating_mul(threads))?;
    let outcome = match make(task) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Refused(reason),
    };
    write(&task.output.join(OUTCOME), &serde_json::to_vec(&outcome)?)
}

fn make(task: &Task) -> Result<Outcome, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let model = fs::read(&task.model).map_err(|error| text(&error))?;
    let (program, rows) = if model.starts_with(PROGRAM_MAGIC) {
        (program::from_bytes(&model).map_err(|error| text(&error))?, Vec::new())
    } else {
        let compiled = vinfer_compiler::compile_bytes(&model, None).map_err(|error| text(&error))?;
        (compiled.program, compiled.report.rows)
    };
    drop(model);
    let (key, vk) = vinfer_prover::setup(&program).map_err(|error| text(&error))?;
    // A trial proof shows that the model can be proven, and what that costs.
    let input = arbitrary_input(&program);
    let start = Instant::now();
    let proved = vinfer_prover::prove(&key, &input, [0; 32]).map_err(|error| text(&error))?;
    let prove_seconds = start.elapsed().as_secs_f64();
    key.verifying_key()
        .verify(&proved.proof, &Expected::default())
        .map_err(|error| format!("internal error: the trial proof does not verify ({error})"))?;
    let failed = |error: std::io::Error| format!("cannot write the keys: {error}");
    write(&task.output.join("program"), &program::to_bytes(&program)).map_err(failed)?;
    write(&task.output.join("vk"), &vk).map_err(failed)?;
    write(&task.output.join("report.json"), report(&key, &rows).to_string().as_bytes()).map_err(failed)?;
    let mut pk = std::io::BufWriter::new(fs::File::create(task.output.join("pk")).map_err(failed)?);
    key.write_to(&mut pk).map_err(failed)?;
    pk.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    let system = &key.verifying_key().key().system;
    Ok(Outcome::Ready {
        memory_bytes: peak_memory(),
        prove_seconds,
        proof_bytes: proved.proof.len() as u64,
        inputs: ports(&system.inputs),
        outputs: ports(&system.outputs),
    })
}

fn ports(ports: &[PublicPort]) -> Vec<PortInfo> {
    let mut infos: Vec<PortInfo> = Vec::new();
    for port in ports {
        if infos.iter().all(|info| info.name != port.name) {
            let datatype = DataType::of(port).name().to_owned();
            infos.push(PortInfo { name: port.name.clone(), datatype, shape: port_shape(port) });
        }
    }
    infos
}

/// An input of the program's types and shapes that says nothing.
fn arbitrary_input(program: &Program) -> Vec<Vec<i32>> {
    let fill = |value: &Value| {
        let element = if value.quantisation.int_type == IntType::F32 {
            1f32.to_bits().cast_signed()
        } else {
            0i32.clamp(value.quantisation.lo(), value.quantisation.hi())
        };
        vec![element; value.len()]
    };
    program.inputs.iter().filter_map(|port| program.values.get(port.value as usize)).map(fill).collect()
}

/// Peak resident memory of this process, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
