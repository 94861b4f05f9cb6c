//! The record of a job, its states, and the only transitions there are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::lease::Lease;
use crate::ids::{Digest, now_ms};

/// Whether the model ran on the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// The outputs are known. Jobs are accepted after their execution.
    Done,
}

/// Where the proof stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Waiting for a worker.
    Queued,
    /// A worker has a lease on it.
    Leased,
    /// Proven, and accepted by the verifier.
    Done,
    /// It will not be proven.
    Failed,
    /// Its owner does not want it any more.
    Cancelled,
}

/// Whether anybody has fetched the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivered {
    /// There is nothing to fetch yet.
    NotReady,
    /// It can be fetched.
    Ready,
    /// It was fetched.
    Fetched,
}

/// The one word for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for a worker.
    Queued,
    /// Being proven.
    Proving,
    /// Proven; the proof can be fetched.
    Done,
    /// Failed for good; the failure says why.
    Failed,
    /// Cancelled by its owner.
    Cancelled,
}

impl State {
    /// Name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Proving => "proving",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The deadline passed before the proof was made.
    Deadline,
    /// Workers with the job died too often.
    WorkersLost,
    /// No worker has the memory.
    Memory,
    /// An artefact of the model is missing or damaged.
    Artefact,
    /// The prover refuses the input.
    Prover,
    /// The finished proof was not accepted by the verifier: a defect.
    Rejected,
    /// The storage failed again and again.
    Storage,
}

impl FailureCause {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Deadline, Self::WorkersLost, Self::Memory, Self::Artefact, Self::Prover, Self::Rejected, Self::Storage];

    /// Name in metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::WorkersLost => "workers_lost",
            Self::Memory => "memory",
            Self::Artefact => "artefact",
            Self::Prover => "prover",
            Self::Rejected => "rejected",
            Self::Storage => "storage",
        }
    }

    /// Whether another attempt may do better.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::WorkersLost | Self::Storage | Self::Artefact)
    }
}

/// A failure, for the owner of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Cause.
    pub cause: FailureCause,
    /// What happened and what to do.
    pub message: String,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// Accepted.
    Queued,
    /// A worker began.
    Leased {
        /// Number of the attempt, from 1.
        attempt: u32,
        /// The worker.
        worker: String,
    },
    /// The attempt ended without a proof, another one follows.
    Retrying {
        /// Why.
        failure: Failure,
    },
    /// Proven and verified.
    Done {
        /// Digest of the proof file.
        proof: Digest,
    },
    /// Failed for good.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Cancelled.
    Cancelled,
}

impl EventKind {
    /// Name in the protocols.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased { .. } => "proving",
            Self::Retrying { .. } => "retrying",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One entry of a job's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number, from 1 without gaps.
    pub id: u64,
    /// Wall clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Bytes of a record, or of a blob when they are long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// In the record, as base64.
    Inline(String),
    /// In a blob.
    Blob(Digest),
}

impl Payload {
    /// Longest payload kept in a record.
    pub const INLINE: usize = 16 << 10;

    /// A short payload.
    pub fn inline(bytes: &[u8]) -> Self {
        Self::Inline(BASE64.encode(bytes))
    }

    /// Bytes of an inline payload.
    pub fn decode(text: &str) -> Option<Vec<u8>> {
        BASE64.decode(text).ok()
    }
}

/// What a finished proof is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proved {
    /// Digest of the proof file.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// Provable bits that the verifier reported.
    pub security_bits: f64,
    /// Seconds the prover took.
    pub prove_seconds: f64,
    /// Seconds the verifier took.
    pub verify_seconds: f64,
    /// Its entry in the transparency log.
    pub log_index: u64,
}

/// The record of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Identifier.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Whose the model is.
    pub model_tenant: String,
    /// Name of the model.
    pub model: String,
    /// Digest of the model file.
    pub model_digest: Digest,
    /// Statement that is to be proven.
    pub statement: Digest,
    /// The caller's 32 bytes in the statement.
    pub context: Digest,
    /// Raw input tensors one after the other, as the statement holds them.
    pub input: Payload,
    /// Where the execution stands.
    pub execution: Execution,
    /// Where the proof stands.
    pub proof: Proof,
    /// Whether the proof was fetched.
    pub delivery: Delivered,
    /// Larger is sooner, 0 to 9.
    pub priority: u8,
    /// When it was accepted.
    pub created_ms: u64,
    /// When it reached its final state.
    pub finished_ms: Option<u64>,
    /// When it is of no use any more.
    pub deadline_ms: Option<u64>,
    /// Attempts begun.
    pub attempts: u32,
    /// The worker that has it.
    pub lease: Option<Lease>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The proof.
    pub proved: Option<Proved>,
    /// Its history; only ever appended to.
    pub events: Vec<Event>,
}

impl Job {
    /// The one word for where it stands.
    pub const fn state(&self) -> State {
        match self.proof {
            Proof::Queued => State::Queued,
            Proof::Leased => State::Proving,
            Proof::Done => State::Done,
            Proof::Failed => State::Failed,
            Proof::Cancelled => State::Cancelled,
        }
    }

    /// Appends to the history.
    pub(super) fn record(&mut self, kind: EventKind) {
        let id = self.events.last().map_or(0, |event| event.id) + 1;
        self.events.push(Event { id, at_ms: now_ms(), kind });
    }

    /// Gives the job back to the queue, or fails it when its attempts are used up or the failure is final.
    pub(super) fn fail_attempt(&mut self, failure: Failure, max_attempts: u32) {
        self.lease = None;
        if failure.cause.is_retryable() && self.attempts < max_attempts {
            self.proof = Proof::Queued;
            self.record(EventKind::Retrying { failure });
        } else {
            self.fail(failure);
        }
    }

    /// Fails it for good.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.lease = None;
        self.proof = Proof::Failed;
        self.failure = Some(failure.clone());
        self.finished_ms = Some(now_ms());
        self.record(EventKind::Failed { failure });
    }

    /// Cancels it; `false` if it is final already.
    pub(super) fn cancel(&mut self) -> bool {
        if self.state().is_final() {
            return false;
        }
        self.lease = None;
        self.proof = Proof::Cancelled;
        self.finished_ms = Some(now_ms());
        self.record(EventKind::Cancelled);
        true
    }

    /// Completes it with a verified proof.
    pub(super) fn complete(&mut self, proved: Proved) {
        self.lease = None;
        self.proof = Proof::Done;
        self.delivery = Delivered::Ready;
        self.finished_ms = Some(now_ms());
        self.record(EventKind::Done { proof: proved.digest });
        self.proved = Some(proved);
    }
}
