//! What a tenant has used.

use super::desk::Desk;
use super::job::{Job, State};
use super::job_prefix;
use crate::error::ServiceError;
use crate::store::{Page, list_records};

/// Sums over a tenant's jobs that are still kept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Jobs proven.
    pub done: u64,
    /// Jobs failed.
    pub failed: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Seconds of proving.
    pub prove_seconds: f64,
    /// Bytes of proofs.
    pub proof_bytes: u64,
}

impl Desk {
    /// Sums over a tenant's jobs.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn usage(&self, tenant: &str) -> Result<Usage, ServiceError> {
        const PAGE: usize = 1000;
        let (prefix, mut usage, mut after) = (job_prefix(tenant), Usage::default(), None);
        loop {
            let page = Page { after, limit: Some(PAGE), descending: false };
            let jobs = list_records::<Job>(self.store().records.as_ref(), &prefix, &page).await?;
            for (_, job) in &jobs {
                match job.value.state() {
                    State::Done => usage.done += 1,
                    State::Failed => usage.failed += 1,
                    State::Cancelled => usage.cancelled += 1,
                    State::Queued | State::Proving => {}
                }
                if let Some(proved) = &job.value.proved {
                    usage.prove_seconds += proved.prove_seconds;
                    usage.proof_bytes += proved.bytes;
                }
            }
            if jobs.len() < PAGE {
                return Ok(usage);
            }
            after = jobs.last().map(|(key, _)| key.clone());
        }
    }
}
