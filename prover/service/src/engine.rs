//! The only place that calls the proof system.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use vinfer_circuits::program::{self, Program};
use vinfer_circuits::statement::{Statement, centred_tensor, raw_tensor};
use vinfer_circuits::system::PublicPort;
use vinfer_prover::ProvingKey;
use vinfer_prover::execute::{ExecuteError, execute};
use vinfer_verifier::{Expected, PreparedKey, Verified, VerifyError};

use crate::error::ServiceError;
use crate::ids::Digest;
use crate::jobs::{Failure, FailureCause};

/// Centred integers, one vector per port.
pub type Tensors = Vec<Vec<i32>>;

/// A model that can be run, and whose proofs can be checked.
#[derive(Debug)]
pub struct Runner {
    program: Program,
    key: PreparedKey,
}

impl Runner {
    /// Decodes a program and its verifying key.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn new(program: &[u8], vk: &[u8]) -> Result<Self, ServiceError> {
        let program = program::from_bytes(program).map_err(|error| ServiceError::internal(error.to_string()))?;
        let key = PreparedKey::from_bytes(vk).map_err(|error| ServiceError::internal(error.to_string()))?;
        Ok(Self { program, key })
    }

    /// Inputs of the graph.
    pub fn inputs(&self) -> &[PublicPort] {
        &self.key.key().system.inputs
    }

    /// Outputs of the graph.
    pub fn outputs(&self) -> &[PublicPort] {
        &self.key.key().system.outputs
    }

    /// Runs the model.
    ///
    /// # Errors
    /// The inputs do not fit.
    pub fn run(&self, inputs: &[Vec<i32>]) -> Result<Tensors, ExecuteError> {
        let mut trace = execute(&self.program, inputs)?;
        let wanted: Vec<usize> = self.program.outputs.iter().map(|port| port.value as usize).collect();
        let take = |(at, &value): (usize, &usize)| {
            let again = wanted.iter().skip(at + 1).any(|&later| later == value);
            match trace.get_mut(value) {
                Some(tensor) if again => tensor.clone(),
                Some(tensor) => std::mem::take(tensor),
                None => Vec::new(),
            }
        };
        Ok(wanted.iter().enumerate().map(take).collect())
    }

    /// Raw input tensors one after the other, as the statement holds them.
    pub fn raw_inputs(&self, inputs: &[Vec<i32>]) -> Option<Vec<u8>> {
        Some(raw(self.inputs(), inputs)?.concat())
    }

    /// Digest of the statement that these inputs give these outputs.
    pub fn statement(&self, inputs: &[Vec<i32>], outputs: &[Vec<i32>], context: &Digest) -> Option<Digest> {
        let statement = Statement {
            key_digest: self.key.digest(),
            context: context.0,
            inputs: raw(self.inputs(), inputs)?,
            outputs: raw(self.outputs(), outputs)?,
        };
        Some(Digest(statement.digest(self.key.key())))
    }
}

fn raw(ports: &[PublicPort], tensors: &[Vec<i32>]) -> Option<Vec<Vec<u8>>> {
    ports.iter().zip(tensors).map(|(port, tensor)| raw_tensor(tensor, port)).collect()
}

/// Splits raw input tensors and centres them.
pub fn split_inputs(ports: &[PublicPort], mut bytes: &[u8]) -> Option<Tensors> {
    let mut tensors = Vec::with_capacity(ports.len());
    for port in ports {
        let (tensor, rest) = bytes.split_at_checked(usize::try_from(port.raw_len()).ok()?)?;
        tensors.push(centred_tensor(tensor, port)?);
        bytes = rest;
    }
    bytes.is_empty().then_some(tensors)
}

/// One statement to prove.
#[derive(Debug, Clone)]
pub struct Task {
    /// Raw input tensors one after the other.
    pub input: Vec<u8>,
    /// The caller's bytes.
    pub context: Digest,
    /// What the proof must be about.
    pub statement: Digest,
}

/// A proof that the verifier accepts.
#[derive(Debug, Clone)]
pub struct Made {
    /// The proof file.
    pub proof: Vec<u8>,
    /// Provable bits.
    pub security_bits: f64,
    /// Seconds of proving.
    pub prove_seconds: f64,
    /// Seconds of verifying.
    pub verify_seconds: f64,
}

/// Makes proofs of one proof system.
pub trait Engine: Send + Sync + 'static {
    /// A loaded proving key.
    type Key: Send + Sync + 'static;

    /// Loads a proving key file.
    ///
    /// # Errors
    /// It is damaged.
    fn load(&self, path: &Path) -> Result<Self::Key, Failure>;

    /// Most tasks that are proven together with profit.
    fn batch(&self) -> usize {
        1
    }

    /// Proves statements of one model together, and checks every proof. One outcome per task, in order.
    fn prove_batch(&self, key: &Self::Key, tasks: &[Task]) -> Vec<Result<Made, Failure>>;
}

/// The prover of this workspace. It has no batch proofs yet: a batch is proven one by one, with the key loaded once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Direct {
    fn prove_one(key: &ProvingKey, task: &Task) -> Result<Made, Failure> {
        let refused = |message: String| Failure { cause: FailureCause::Prover, message };
        let ports = &key.verifying_key().key().system.inputs;
        let inputs = split_inputs(ports, &task.input).ok_or_else(|| refused("the input does not fit".to_owned()))?;
        let start = Instant::now();
        let proved = vinfer_prover::prove(key, &inputs, task.context.0).map_err(|error| refused(error.to_string()))?;
        let prove_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let verified = check(key.verifying_key(), &proved.proof, task)
            .map_err(|message| Failure { cause: FailureCause::Rejected, message })?;
        let verify_seconds = start.elapsed().as_secs_f64();
        Ok(Made { proof: proved.proof, security_bits: verified.security_bits, prove_seconds, verify_seconds })
    }
}

/// Accepts a proof only if the verifier does and it is about the task.
fn check(key: &PreparedKey, proof: &[u8], task: &Task) -> Result<Verified, String> {
    let expected = Expected { context: Some(task.context.0), ..Expected::default() };
    let verified = key
        .verify(proof, &expected)
        .map_err(|error| format!("the finished proof was not accepted ({error}); the operator has been told"))?;
    if verified.statement == task.statement.0 {
        Ok(verified)
    } else {
        Err("the finished proof is about another statement; the operator has been told".to_owned())
    }
}

impl Engine for Direct {
    type Key = ProvingKey;

    fn load(&self, path: &Path) -> Result<ProvingKey, Failure> {
        let damaged = |message: String| Failure { cause: FailureCause::Artefact, message };
        let file = File::open(path).map_err(|error| damaged(format!("proving key: {error}")))?;
        let len = file.metadata().map_err(|error| damaged(format!("proving key: {error}")))?.len();
        ProvingKey::read_from(&mut BufReader::with_capacity(1 << 20, file), len)
            .map_err(|error| damaged(error.to_string()))
    }

    fn prove_batch(&self, key: &ProvingKey, tasks: &[Task]) -> Vec<Result<Made, Failure>> {
        tasks.iter().map(|task| Self::prove_one(key, task)).collect()
    }
}

/// Checks a proof file against a verifying key file.
///
/// # Errors
/// The key or the proof is not accepted.
pub fn verify(vk: &[u8], proof: &[u8]) -> Result<(Verified, PreparedKey), VerifyError> {
    let key = PreparedKey::from_bytes(vk)?;
    let verified = key.verify(proof, &Expected::default())?;
    Ok((verified, key))
}
