//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// An error of the harness or of a measured step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The command line does not parse.
    #[error("{problem}")]
    Usage {
        /// What is wrong with it.
        problem: String,
    },
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program that does not start or cannot be waited for.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A step that ended badly.
    #[error("{step} failed ({status}): {last_words}")]
    Failed {
        /// Which step.
        step: String,
        /// Exit code or signal.
        status: String,
        /// Last line of its stderr.
        last_words: String,
    },
    /// A step stopped at its time limit.
    #[error("{step} stopped after {seconds} s")]
    TimedOut {
        /// Which step.
        step: String,
        /// The limit.
        seconds: u64,
    },
    /// A step whose output is not the expected JSON object.
    #[error("{step} printed no JSON object with `{field}`")]
    Output {
        /// Which step.
        step: String,
        /// What is missing.
        field: &'static str,
    },
    /// Steps that failed while others went on.
    #[error("{count} of the measurements failed")]
    Incomplete {
        /// How many.
        count: usize,
    },
}
