//! Checking a proof that anybody brings, in a process of its own: what is checked comes from strangers, and a hostile key
//! may ask for much memory or time. The process limits itself, answers one question, and ends.

mod child;

pub use child::{FILES, InputReader, Task, run};

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::{RateLimits, create_private};
use crate::config::Config;
use crate::error::{Code, ServiceError};
use crate::ids::new_id;
use crate::store::embedded::io_error;

/// Longest request of a caller without a key.
pub const STRANGERS_BODY: usize = 8 << 20;
/// Requests of callers without a key that are read at the same time; one of them is checked.
const STRANGERS: usize = 4;
/// How many of them are taken a second, and how many at once after a pause.
const STRANGERS_RATE: f64 = 4.0;
const STRANGERS_BURST: f64 = 20.0;
/// How long a caller without a key waits for its turn, and how long its request may take to arrive.
pub const STRANGERS_PATIENCE: Duration = Duration::from_secs(10);
/// Longest verdict that is taken from the process.
const MAX_VERDICT: u64 = 256 << 20;

/// What is to be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Verifying key file.
    pub vk: Vec<u8>,
    /// Proof file.
    pub proof: Vec<u8>,
    /// File with the input that the proof must be about.
    pub input: Option<Vec<u8>>,
    /// Sample of that file.
    pub index: u64,
}

/// Checks proofs.
#[derive(Debug)]
pub struct Verifications {
    config: Config,
    /// Proofs of callers with a key that are checked at the same time.
    running: Semaphore,
    /// The same of callers without one, so that they do not hinder the others.
    running_strangers: Semaphore,
    strangers: Arc<Semaphore>,
    /// All callers without a key share one bucket.
    rate: RateLimits,
}

/// A caller's right to have a proof checked; `Some` where it has no key.
#[derive(Debug)]
pub struct Turn(Option<OwnedSemaphorePermit>);

impl Verifications {
    /// With the limits of the settings.
    pub fn new(config: Config) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            config,
            running: Semaphore::new(cores),
            running_strangers: Semaphore::new(1),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            rate: RateLimits::new(STRANGERS_RATE, STRANGERS_BURST),
        }
    }

    /// The turn of a caller without a key, before a byte of its request is read.
    ///
    /// # Errors
    /// This service checks nothing without a key, or too many want it.
    pub async fn stranger(&self) -> Result<Turn, ServiceError> {
        if !self.config.verifying.open {
            return Err(ServiceError::new(
                Code::Unauthenticated,
                "this service checks proofs only with an API key; `vinfer verify` checks them without a service",
            ));
        }
        self.rate.take("")?;
        let busy = || ServiceError::busy("others are having proofs checked; try again shortly", Duration::from_secs(2));
        let turn = tokio::time::timeout(STRANGERS_PATIENCE, Arc::clone(&self.strangers).acquire_owned());
        Ok(Turn(Some(turn.await.map_err(|_| busy())?.map_err(|_| busy())?)))
    }

    /// The turn of a caller with a key; the key's own limits apply.
    pub const fn tenant(&self) -> Turn {
        Turn(None)
    }

    /// Checks a proof.
    ///
    /// # Errors
    /// The process cannot be run.
    pub async fn check(&self, files: Files, turn: Turn) -> Result<Value, ServiceError> {
        let stopped = |_| ServiceError::new(Code::Unavailable, "the service is stopping");
        let running = if turn.0.is_some() { &self.running_strangers } else { &self.running };
        let _running = running.acquire().await.map_err(stopped)?;
        let directory = Scratch::new(&self.config.data)?;
        let path = directory.0.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &files)).await;
        written.map_err(|error| ServiceError::internal(error.to_string()))??;
        self.process(&directory.0).await
    }

    async fn process(&self, directory: &Path) -> Result<Value, ServiceError> {
        let limits = &self.config.verifying;
        let failed = |error: std::io::Error| ServiceError::internal(format!("the verifier does not run: {error}"));
        let mut child = Command::new(&self.config.program)
            .args(["--threads", "1", "check-proof"])
            .arg(directory)
            .arg(limits.memory.to_string())
            .arg(limits.time.as_secs().max(1).to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut verdict = Vec::new();
        let stdout = child.stdout.take();
        let work = async {
            if let Some(stdout) = stdout {
                stdout.take(MAX_VERDICT).read_to_end(&mut verdict).await?;
            }
            child.wait().await
        };
        // Twice the processor time: others work on this machine too.
        let ended = tokio::time::timeout(limits.time.saturating_mul(2), work).await;
        let status = ended.map(|status| status.map_err(failed)).ok().transpose()?;
        match status {
            Some(status) if status.success() => serde_json::from_slice(&verdict)
                .map_err(|error| ServiceError::internal(format!("the verifier's answer is cut off: {error}"))),
            Some(status) if status.code().is_some() => {
                Err(ServiceError::internal(format!("the verifier ended with {status}")))
            }
            // Ended by a signal, or too late.
            _ => Ok(json!({
                "valid": false,
                "rejected": false,
                "code": "limits",
                "error": format!(
                    "checking this key and proof takes more than {} MiB of memory or {} s, the limits of this service; \
                     `vinfer verify` has none",
                    limits.memory >> 20,
                    limits.time.as_secs()
                ),
            })),
        }
    }
}

/// A directory that is removed when it is not used.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(data: &Path) -> Result<Self, ServiceError> {
        let directory = data.join("incoming").join(new_id()?);
        create_private(&directory).map_err(|error| io_error(&directory, &error))?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(directory: &Path, files: &Files) -> Result<(), ServiceError> {
    let [vk, proof, input, index] = FILES;
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).map_err(|error| ServiceError::from(io_error(&path, &error)))
    };
    write(vk, &files.vk)?;
    write(proof, &files.proof)?;
    if let Some(bytes) = &files.input {
        write(input, bytes)?;
        write(index, files.index.to_string().as_bytes())?;
    }
    Ok(())
}
