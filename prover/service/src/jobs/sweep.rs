//! Finds what would otherwise wait for ever: passed deadlines, leases of dead workers, work that the queue lost.

use std::time::Duration;

use super::desk::Desk;
use super::job::{Failure, FailureCause, Job, Proof, State};
use crate::ids::now_ms;
use crate::store::{StoreError, Work, update_record};

/// What a sweep changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs failed for their deadline.
    pub late: usize,
    /// Leases ended.
    pub expired: usize,
    /// Jobs queued again.
    pub queued_again: usize,
}

/// The job is not what the sweep took it for.
struct Changed;

/// Looks once at every job that is not final.
///
/// # Errors
/// The storage fails.
pub async fn sweep(desk: &Desk) -> Result<Swept, StoreError> {
    /// A queued job that did not change for so long while the queue is empty was lost by it.
    const LOST: Duration = Duration::from_secs(2);
    let mut swept = Swept::default();
    let now = now_ms();
    let mut waiting = Vec::new();
    for (key, active) in desk.board().active() {
        if active.deadline_ms.is_some_and(|deadline| deadline <= now) {
            swept.late += usize::from(end_late(desk, &key).await?);
        } else if active.state == State::Proving {
            // Workers of an earlier process on this storage are dead if only one process can use it.
            let orphan = !desk.store().shared && active.instance.as_deref() != Some(desk.instance());
            if orphan || active.seen.elapsed() > desk.rules().lease {
                swept.expired += usize::from(end_lease(desk, &key, active.revision).await?);
            }
        } else if active.seen.elapsed() > LOST {
            waiting.push(Work { key, priority: active.priority });
        }
    }
    if !waiting.is_empty() && desk.store().queue.depth().await? == 0 {
        waiting.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.key.cmp(&b.key)));
        for work in waiting {
            // What is known here may be older than the record.
            let stored = crate::store::get_record::<Job>(desk.store().records.as_ref(), &work.key).await?;
            match stored.filter(|job| !job.value.state().is_final()) {
                Some(job) if job.value.state() == State::Queued => {
                    desk.store().queue.push(work).await?;
                    swept.queued_again += 1;
                }
                Some(job) => desk.board().note(&work.key, Some(&job.value), job.revision),
                None => desk.board().note(&work.key, None, u64::MAX),
            }
        }
    }
    Ok(swept)
}

async fn end_late(desk: &Desk, key: &str) -> Result<bool, StoreError> {
    let ended = update_record::<Job, Changed>(desk.store().records.as_ref(), key, |job| {
        if job.state().is_final() || job.deadline_ms.is_none_or(|deadline| deadline > now_ms()) {
            return Err(Changed);
        }
        let message = "the deadline passed before the proof was made; submit again with a later one".to_owned();
        job.fail(Failure { cause: FailureCause::Deadline, message });
        Ok(())
    });
    Ok(matches!(ended.await?, Some(Ok(_))))
}

async fn end_lease(desk: &Desk, key: &str, revision: u64) -> Result<bool, StoreError> {
    // A heartbeat between the look and the write changes the record; the next sweep decides then.
    let stored = crate::store::get_record::<Job>(desk.store().records.as_ref(), key).await?;
    let Some(seen) = stored.filter(|stored| stored.revision == revision) else {
        return Ok(false);
    };
    let ended = update_record::<Job, Changed>(desk.store().records.as_ref(), key, |job| {
        if job.proof != Proof::Leased || job.lease != seen.value.lease {
            return Err(Changed);
        }
        let worker = job.lease.as_ref().map_or("", |lease| &lease.worker);
        let message = format!("worker {worker} stopped working on it without a word");
        job.fail_attempt(Failure { cause: FailureCause::WorkersLost, message }, desk.rules().max_attempts);
        Ok(())
    });
    let Some(Ok(job)) = ended.await? else { return Ok(false) };
    if job.state() == State::Queued {
        desk.store().queue.push(Work { key: key.to_owned(), priority: job.priority }).await?;
    }
    Ok(true)
}
