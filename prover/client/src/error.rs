//! Why a call fails, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use vinfer_protocol::tensors::TensorError;

use crate::trust::Untrusted;

/// The server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable name of the reason, such as `not_found`; empty where something else than the service answered.
    pub code: String,
    /// The reason for people.
    pub message: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, code, message, retry_after } = self;
        write!(f, "the server refuses ({status}")?;
        if !code.is_empty() {
            write!(f, " {code}")?;
        }
        write!(f, "): {message}")?;
        match retry_after {
            Some(wait) => write!(f, "; come back in {} s", wait.as_secs_f64().ceil()),
            None => Ok(()),
        }
    }
}

impl ClientError {
    /// A short stable name for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::Url { .. } => "url",
            Self::Cleartext { .. } => "cleartext",
            Self::Key => "api_key",
            Self::Certificates(_) => "certificates",
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "silent",
            Self::Refused(refusal) if refusal.code.is_empty() => "refused",
            Self::Refused(refusal) => &refusal.code,
            Self::Answer { .. } => "answer",
            Self::File { .. } => "read",
            Self::Model { .. } => "model",
            Self::Job { .. } => "job",
            Self::Unfinished { .. } => "unfinished",
            Self::Tensor(_) => "arrays",
            Self::Untrusted(untrusted) => untrusted.code(),
            Self::Randomness(_) => "randomness",
        }
    }
}

/// Body of a refusal.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RefusalBody {
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) code: String,
    pub(crate) retry_after_ms: Option<u64>,
}

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("`{url}` is no address of a service: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key would be sent to another machine in the clear.
    #[error(
        "{host} is another machine and http:// is not encrypted, so the API key could be read on the way; use https://"
    )]
    Cleartext {
        /// Host of the URL.
        host: String,
    },
    /// The API key is none.
    #[error("the API key holds characters that no key has")]
    Key,
    /// The certificates to trust cannot be read.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The server cannot be reached, or the connection broke, as often as it was tried.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// The last failure.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("{url} did not answer within {} s", .after.as_secs())]
    Silent {
        /// Where.
        url: String,
        /// Waited for so long.
        after: Duration,
    },
    /// The server refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is not what the interface promises.
    #[error("the server's answer to {call} is not understood: {reason}")]
    Answer {
        /// The call.
        call: String,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not compiled.
    #[error("the model `{name}` cannot be served: {reason}")]
    Model {
        /// Its name.
        name: String,
        /// The compiler's reason.
        reason: String,
    },
    /// No proof was made.
    #[error("job {id} is {state}: {reason}")]
    Job {
        /// The job.
        id: String,
        /// How it ended.
        state: &'static str,
        /// Why.
        reason: String,
    },
    /// It takes longer than the caller waits.
    #[error("{what} is not done after {} s; it goes on, ask again", .after.as_secs())]
    Unfinished {
        /// What.
        what: String,
        /// Waited for so long.
        after: Duration,
    },
    /// The tensors are not what the model takes.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The server did not tell the truth, or cannot show that it did.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The operating system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
}
