//! Jobs: waiting until a proof is made, and downloading it with its entry in the transparency log.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use vinfer_protocol::Digest;
use vinfer_protocol::log::{Evidence, Head, PublicKey};

use crate::error::ClientError;
use crate::transport::{Call, Client, escaped};

/// The server says every 10 s that the connection lives.
const QUIET: Duration = Duration::from_secs(25);

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits.
    Queued,
    /// A worker is at it.
    Proving,
    /// There is a proof.
    Done,
    /// There will be none.
    Failed,
    /// Nobody wants it any more.
    Cancelled,
}

impl JobState {
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

    /// Whether it will not change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In words.
    #[serde(default)]
    pub message: String,
}

/// A job as the server tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Identifier.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// Its model.
    pub model: String,
    /// Statement to be proven.
    pub statement: Digest,
    /// Why there is no proof.
    pub failure: Option<Failure>,
    /// Bytes of the proof.
    pub proof_bytes: Option<u64>,
    /// Seconds that proving took.
    pub prove_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct HeadAnswer {
    head: Head,
    public_key: PublicKey,
}

impl Client {
    /// One job.
    ///
    /// # Errors
    /// There is none.
    pub async fn job(&self, id: &str) -> Result<Job, ClientError> {
        self.send(&Call::get(format!("/v1/jobs/{}", escaped(id)))).await?.json()
    }

    /// Waits until a job is done. Its events are followed where they come through; without them it is asked for, less and
    /// less often.
    ///
    /// # Errors
    /// It ended without a proof, or takes longer than `patience`.
    pub async fn wait(&self, id: &str, patience: Duration) -> Result<Job, ClientError> {
        let (start, mut asked, mut after) = (Instant::now(), 0u32, 0u64);
        loop {
            let job = self.job(id).await?;
            if job.state.is_final() {
                return done(job);
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(ClientError::Unfinished { what: format!("job {id}"), after: patience });
            }
            let before = after;
            let followed = tokio::time::timeout(left, self.follow(id, &mut after)).await;
            // Nothing new came, so the next look is later.
            if !matches!(followed, Ok(Ok(()))) || after == before {
                asked += 1;
                tokio::time::sleep(self.pause(asked, None).min(Duration::from_secs(5)).min(left)).await;
            } else {
                asked = 0;
            }
        }
    }

    /// Reads events until they end.
    async fn follow(&self, id: &str, after: &mut u64) -> Result<(), ClientError> {
        let mut call = Call::get(format!("/v1/jobs/{}/events", escaped(id)));
        call.headers.push(("last-event-id", after.to_string()));
        // One attempt: the caller goes on in another way.
        let mut attempt = u32::MAX;
        let mut body: Incoming = self.open(&call, &mut attempt).await?.into_body();
        let mut line = Vec::new();
        loop {
            let frame = match tokio::time::timeout(QUIET, body.frame()).await {
                Ok(Some(frame)) => frame.map_err(|error| self.unreachable(&error))?,
                // The end, or silence: the job itself is asked.
                Ok(None) | Err(_) => return Ok(()),
            };
            for &byte in frame.data_ref().map_or(&[][..], |data| data.as_ref()) {
                if byte != b'\n' {
                    // Only short lines are of interest.
                    if line.len() < 64 {
                        line.push(byte);
                    }
                    continue;
                }
                let text = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("id:"));
                if let Some(id) = text.and_then(|text| text.trim().parse::<u64>().ok()) {
                    *after = id.max(*after);
                }
                line.clear();
            }
        }
    }

    /// The proof file of a statement.
    ///
    /// # Errors
    /// It is not proven.
    pub async fn proof(&self, statement: &Digest) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(&Call::get(format!("/v1/proofs/{statement}"))).await?.body.to_vec())
    }

    /// The proof file of a job.
    ///
    /// # Errors
    /// It is not done.
    pub async fn proof_of_job(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(&Call::get(format!("/v1/jobs/{}/proof", escaped(id)))).await?.body.to_vec())
    }

    /// Evidence that the verdict about a statement is in the log, and that the log continues a tree of `since` leaves.
    ///
    /// # Errors
    /// The statement is not proven.
    pub async fn log_entry(&self, statement: &Digest, since: Option<u64>) -> Result<Evidence, ClientError> {
        let query = since.map_or(String::new(), |since| format!("?since={since}"));
        self.send(&Call::get(format!("/v1/log/entries/{statement}{query}"))).await?.json()
    }

    /// The signed head of the log, and the key that the server says signs it. The key shows something only where it is
    /// known from elsewhere.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn log_head(&self) -> Result<(Head, PublicKey), ClientError> {
        let answer: HeadAnswer = self.send(&Call::get("/v1/log/head")).await?.json()?;
        Ok((answer.head, answer.public_key))
    }
}

fn done(job: Job) -> Result<Job, ClientError> {
    if job.state == JobState::Done {
        return Ok(job);
    }
    let reason = job.failure.map(|failure| failure.message).unwrap_or_default();
    Err(ClientError::Job { id: job.id, state: job.state.name(), reason })
}
