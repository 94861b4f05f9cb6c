//! Forgets what is old: finished jobs, kept answers, unfinished uploads, and blobs that nothing names.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::ids::{Digest, now_ms};
use crate::jobs::{Job, claim_key};
use crate::store::{Page, Store, StoreError, get_record, list_records};

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Finished jobs with their proofs.
    pub jobs: usize,
    /// Kept answers and unfinished uploads.
    pub leftovers: usize,
    /// Blobs.
    pub blobs: usize,
}

/// Answers are repeated, and uploads can go on, for a day.
const LEFTOVERS: Duration = Duration::from_secs(24 * 3600);
/// A blob is named by a record soon after it is written.
const FRESH_BLOB: u64 = 3600;

/// Removes a record that nobody has changed since it was read; one that was changed is left alone.
async fn remove(store: &Store, key: &str, revision: u64) -> Result<bool, StoreError> {
    match store.records.delete(key, revision).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Forgets once. Models and the transparency log are kept for ever.
///
/// # Errors
/// The storage fails.
pub async fn forget(store: &Store, keep_jobs: Duration) -> Result<Forgotten, StoreError> {
    let mut forgotten = Forgotten::default();
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let now = now_ms();
    let records = store.records.as_ref();
    for (key, job) in list_records::<Job>(records, "job.", &Page::default()).await? {
        let finished = job.value.finished_ms.filter(|_| job.value.state().is_final());
        if finished.is_some_and(|at| at.saturating_add(ms(keep_jobs)) < now)
            && remove(store, &key, job.revision).await?
        {
            forgotten.jobs += 1;
            let claim_key = claim_key(&job.value.tenant, &job.value.statement);
            if let Some(claim) = get_record::<Value>(records, &claim_key).await?
                && claim.value["job"] == job.value.id
            {
                remove(store, &claim_key, claim.revision).await?;
            }
        }
    }
    for (prefix, time) in [("idem.", "at_ms"), ("upload.", "created_ms")] {
        for (key, leftover) in list_records::<Value>(records, prefix, &Page::default()).await? {
            let at = leftover.value[time].as_u64().unwrap_or(now);
            if at.saturating_add(ms(LEFTOVERS)) < now && remove(store, &key, leftover.revision).await? {
                forgotten.leftovers += 1;
            }
        }
    }
    // Blobs of a storage that others write to may be named at any moment by a record that is not there yet.
    if !store.shared {
        let blobs = store.blobs.list().await?;
        let named = named(store).await?;
        for (digest, age) in blobs {
            if age > FRESH_BLOB && !named.contains(&digest) {
                store.blobs.remove(&digest).await?;
                forgotten.blobs += 1;
            }
        }
    }
    Ok(forgotten)
}

/// Every digest that any record names.
async fn named(store: &Store) -> Result<HashSet<Digest>, StoreError> {
    fn collect(value: &Value, named: &mut HashSet<Digest>) {
        match value {
            Value::String(text) if text.len() == 64 => named.extend(text.parse::<Digest>()),
            Value::Array(values) => values.iter().for_each(|value| collect(value, named)),
            Value::Object(values) => values.values().for_each(|value| collect(value, named)),
            _ => {}
        }
    }
    let mut found = HashSet::new();
    for prefix in ["job.", "model.", "idem.", "upload."] {
        for (_, record) in list_records::<Value>(store.records.as_ref(), prefix, &Page::default()).await? {
            collect(&record.value, &mut found);
        }
    }
    Ok(found)
}
