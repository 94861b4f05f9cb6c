//! Leases: who works on a job, and whose result counts.
//!
//! A lease is a number of an attempt, a random fencing token, a heartbeat count and an expiry. Only a writer that shows
//! the token of the current lease changes the job. The expiry in the record is for people: whoever watches decides by its
//! own monotonic clock that a lease has not changed for too long, so that a jump of the wall clock expires nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::{EventKind, Failure, Job, Proof, Proved};
use super::job_key;
use crate::error::ServiceError;
use crate::ids::{Digest, now_ms, random};
use crate::store::{Records, StoreError, update_record};

/// A worker's hold on a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Fencing token: 16 random bytes in hexadecimal.
    pub token: String,
    /// The worker.
    pub worker: String,
    /// The process of the worker.
    pub instance: String,
    /// Times the worker has said that it still works.
    pub heartbeat: u64,
    /// Wall clock at which the lease ends without another heartbeat.
    pub expires_ms: u64,
}

/// A worker's right to finish a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Whose job.
    pub tenant: String,
    /// Which job.
    pub job: String,
    /// Token of the lease.
    pub token: String,
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// With a verified proof.
    Proved(Proved),
    /// Without one.
    Failed(Failure),
}

/// Why a lease is not given, kept or honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The job is not waiting.
    #[error("the job is not waiting for a worker")]
    NotQueued,
    /// The token is not that of the current lease: the job was cancelled, has failed, or another worker has it.
    #[error("the lease is over; its result does not count")]
    Stale,
    /// There is no such job any more.
    #[error("the job does not exist")]
    Gone,
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token could be drawn.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn after(duration: Duration) -> u64 {
    now_ms().saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Takes a waiting job.
///
/// # Errors
/// [`LeaseError::NotQueued`] if another worker was faster, or the job is final.
pub(crate) async fn acquire(
    records: &dyn Records,
    key: &str,
    worker: &str,
    instance: &str,
    duration: Duration,
) -> Result<(Job, Ticket), LeaseError> {
    let token = hex::encode(random::<16>()?);
    let taken = update_record::<Job, LeaseError>(records, key, |job| {
        if job.proof != Proof::Queued {
            return Err(LeaseError::NotQueued);
        }
        job.attempts += 1;
        job.proof = Proof::Leased;
        job.lease = Some(Lease {
            attempt: job.attempts,
            token: token.clone(),
            worker: worker.to_owned(),
            instance: instance.to_owned(),
            heartbeat: 0,
            expires_ms: after(duration),
        });
        job.record(EventKind::Leased { attempt: job.attempts, worker: worker.to_owned() });
        Ok(())
    });
    let job = taken.await?.ok_or(LeaseError::Gone)??;
    let ticket = Ticket { tenant: job.tenant.clone(), job: job.id.clone(), token };
    Ok((job, ticket))
}

fn current<'a>(job: &'a mut Job, ticket: &Ticket) -> Result<&'a mut Lease, LeaseError> {
    let leased = job.proof == Proof::Leased;
    job.lease.as_mut().filter(|lease| leased && lease.token == ticket.token).ok_or(LeaseError::Stale)
}

/// Says that the worker still works.
///
/// # Errors
/// [`LeaseError::Stale`] if the job is no longer the worker's.
pub(crate) async fn heartbeat(records: &dyn Records, ticket: &Ticket, duration: Duration) -> Result<(), LeaseError> {
    let key = job_key(&ticket.tenant, &ticket.job);
    let kept = update_record::<Job, LeaseError>(records, &key, |job| {
        let lease = current(job, ticket)?;
        lease.heartbeat += 1;
        lease.expires_ms = after(duration);
        Ok(())
    });
    kept.await?.ok_or(LeaseError::Gone)?.map(|_| ())
}

/// Ends an attempt; returns the job as it is now. Repeating the report of the same proof is no error.
///
/// # Errors
/// [`LeaseError::Stale`] if the job is no longer the worker's: the result is dropped.
pub(crate) async fn finish(
    records: &dyn Records,
    ticket: &Ticket,
    finish: Finish,
    max_attempts: u32,
) -> Result<Job, LeaseError> {
    let key = job_key(&ticket.tenant, &ticket.job);
    let ended = update_record::<Job, LeaseError>(records, &key, |job| {
        current(job, ticket)?;
        match finish.clone() {
            Finish::Proved(proved) => job.complete(proved),
            Finish::Failed(failure) => job.fail_attempt(failure, max_attempts),
        }
        Ok(())
    });
    ended.await?.ok_or(LeaseError::Gone)?
}

impl Ticket {
    /// Digest that names the lease in logs without its token.
    pub fn name(&self) -> String {
        Digest::of(self.token.as_bytes()).to_string().chars().take(8).collect()
    }
}
