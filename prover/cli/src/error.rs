//! Everything that ends a command early, with its exit code and what to do about it.

use std::io;
use std::path::PathBuf;

use vinfer_circuits::program::ProgramFileError;
use vinfer_prover::execute::ExecuteError;

use crate::engine::EngineError;
use crate::ports::PortError;
use crate::tensors::TensorError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is longer than any file of its kind.
    #[error("{path} is larger than {limit} bytes, which no such file is")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes read.
        limit: u64,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Outputs asked for in a format that is not written.
    #[error("cannot write {path}: outputs are written as .npz only")]
    OutputFormat {
        /// The file asked for.
        path: PathBuf,
    },
    /// The outputs cannot be encoded.
    #[error("cannot encode the outputs: {0}")]
    Encode(TensorError),
    /// The thread pool cannot be started.
    #[error("cannot start the threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A file of arrays is not what the model takes.
    #[error("{path}: {source}")]
    Arrays {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: PortError,
    },
    /// A program file is not one, or is damaged.
    #[error("{path}: {source}")]
    Program {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ProgramFileError,
    },
    /// The program cannot be run on the input.
    #[error("{0}")]
    Execute(#[from] ExecuteError),
    /// The compiler or the proof system refuses; `path` is the file at fault.
    #[error("{path}: {source}")]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: EngineError,
    },
    /// The proof is valid for another output than the caller's.
    #[error(
        "the proof is for another output: {}`{name}` element {element} is {proven} in the proof, {expected} in {path}",
        inference.map_or_else(String::new, |k| format!("inference {k}, "))
    )]
    OtherOutput {
        /// Position in the batch, of a proof of several.
        inference: Option<u32>,
        /// Name of the output.
        name: String,
        /// Flat index of the first difference.
        element: usize,
        /// Value that the proof speaks of.
        proven: String,
        /// Value that the caller expects.
        expected: String,
        /// The caller's file.
        path: PathBuf,
    },
    /// No inference of the batch has the caller's output.
    #[error("the proof is for other outputs: none of its {batch} inferences has the output in {path}")]
    NoSuchOutput {
        /// Inferences in the proof.
        batch: u32,
        /// The caller's file.
        path: PathBuf,
    },
    /// Neither one sample nor as many as the batch has.
    #[error(
        "the proof is for {batch} inferences: compare one sample (`--index I`) or all of them in order \
         (`--index A..B` of {batch} samples), not {given}"
    )]
    BatchSamples {
        /// Inferences in the proof.
        batch: u32,
        /// Samples given.
        given: u64,
    },
    /// The key is that of another program, or of another batch of it.
    #[error("{path} is not the verifying key of {program}")]
    OtherKey {
        /// The key.
        path: PathBuf,
        /// The program.
        program: PathBuf,
    },
    /// The key is for another batch than demanded.
    #[error("{path} is for {batch} inferences in one proof, not {expected}")]
    OtherBatch {
        /// The key.
        path: PathBuf,
        /// Its batch.
        batch: u32,
        /// The batch demanded.
        expected: u32,
    },
    /// Nowhere to write keys to, and none to check.
    #[error("name a directory for the keys (`-o KEYDIR`), or a key to check (`--check VK`)")]
    NoKeyPath,
    /// The proving service refuses.
    #[error(transparent)]
    Service(#[from] vinfer_service::ServiceError),
    /// A call to a proving service fails, or its answer is not believed.
    #[error(transparent)]
    Client(#[from] vinfer_client::ClientError),
    /// The service does not take requests.
    #[error("not ready: {0}")]
    NotReady(vinfer_client::ClientError),
    /// There is no key to call a service with.
    #[error("no API key")]
    NoApiKey,
    /// A file that a client wrote earlier was changed.
    #[error("the {what} does not decode: {reason}")]
    Decode {
        /// What the file should hold.
        what: &'static str,
        /// The decoder's reason.
        reason: String,
    },
    /// The asynchronous runtime cannot be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// A step of the demonstration did not go as it must.
    #[error("the demonstration failed: {0}")]
    Demo(DemoError),
}

/// A step of `vinfer demo` that did not go as it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DemoError {
    /// The verifier accepted an output that the model does not return.
    #[error("a forged output was accepted")]
    ForgeryAccepted,
    /// The built-in sample is not readable.
    #[error("the built-in sample is damaged")]
    Sample,
}

impl CliError {
    /// Whether a proof was checked and found false, or about something else than the caller demands.
    pub(crate) fn is_rejection(&self) -> bool {
        match self {
            Self::OtherOutput { .. } | Self::NoSuchOutput { .. } => true,
            Self::OtherKey { .. } | Self::OtherBatch { .. } => true,
            // The transparency log is not what it says.
            Self::Service(error) => error.code == vinfer_service::error::Code::Conflict,
            Self::Client(error) => matches!(error, vinfer_client::ClientError::Untrusted(_)),
            Self::Engine { source, .. } => source.is_rejection(),
            _ => false,
        }
    }

    /// 1 for a rejected proof or a service that is not ready, 2 for bad input or usage.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.is_rejection() || matches!(self, Self::NotReady(_)) { 1 } else { 2 }
    }

    /// A short stable name for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Read { .. } => "read",
            Self::TooLarge { .. } => "too_large",
            Self::Write { .. } => "write",
            Self::OutputFormat { .. } => "output_format",
            Self::Encode(_) => "encode",
            Self::Threads(_) => "threads",
            Self::Arrays { .. } => "arrays",
            Self::Program { .. } => "program",
            Self::Execute(_) => "execute",
            Self::Engine { source, .. } => source.code(),
            Self::OtherOutput { .. } | Self::NoSuchOutput { .. } => "other_output",
            Self::BatchSamples { .. } => "batch",
            Self::OtherKey { .. } | Self::OtherBatch { .. } => "other_key",
            Self::NoKeyPath => "usage",
            Self::Service(error) => error.code.name(),
            Self::Client(error) => error.code(),
            Self::NotReady(_) => "not_ready",
            Self::NoApiKey => "no_api_key",
            Self::Decode { .. } => "decode",
            Self::Runtime(_) => "runtime",
            Self::Demo(_) => "demo",
        }
    }

    /// What the user can do, where the message does not say it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Some("check the path"),
            Self::Write { .. } => Some("choose an output path in a directory that exists and is writable"),
            Self::OutputFormat { .. } => Some("name the output file *.npz"),
            Self::NoApiKey => Some("put it into a file and name that with --key-file, or set VINFER_API_KEY"),
            Self::Threads(_) => Some("try a smaller --threads"),
            Self::Arrays { source: PortError::Extra { .. }, .. } => Some("leave it out of the file"),
            Self::Arrays { source: PortError::Missing { .. } | PortError::Shape { .. }, .. } => {
                Some("`vinfer inspect` lists the names and shapes a model takes")
            }
            _ => None,
        }
    }
}
