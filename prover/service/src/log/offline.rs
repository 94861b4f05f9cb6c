//! Checking the whole storage of an operator.

use serde::Serialize;

use super::book::{PREFIXES, leaf_key};
use super::key_file::public_keys;
use super::{Head, Leaf, PublicKey, Verdict, tree};
use crate::error::ServiceError;
use crate::ids::Digest;
use crate::jobs::{Job, State};
use crate::store::{Page, Store, list_records};

/// What checking a whole storage found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Leaves of the log.
    pub leaves: u64,
    /// Signed heads checked against them.
    pub heads: u64,
    /// Finished jobs checked against them.
    pub jobs: u64,
    /// Public key of the log.
    pub public_key: PublicKey,
    /// What does not fit.
    pub findings: Vec<String>,
}

/// Checks every leaf, head, finished job and proof of a storage against one another.
///
/// # Errors
/// The storage cannot be read.
pub async fn audit(store: &Store, expected_key: Option<&PublicKey>) -> Result<Audit, ServiceError> {
    let (leaf_prefix, head_prefix) = PREFIXES;
    let records = store.records.as_ref();
    let mut findings = Vec::new();
    let known = public_keys(store).await?;
    let own_key = known.current();
    let key = expected_key.copied().or(own_key);
    let Some(key) = key else {
        return Ok(Audit { leaves: 0, heads: 0, jobs: 0, public_key: Digest([0; 32]), findings });
    };
    if own_key != Some(key) {
        findings.push(format!("the storage's key is not {key}"));
    }
    let (mut hashes, mut leaves) = (Vec::new(), Vec::new());
    for (key, stored) in records.list(leaf_prefix, &Page::default()).await? {
        if key != leaf_key(hashes.len() as u64) {
            findings.push(format!("leaf {} is missing", hashes.len()));
            break;
        }
        hashes.push(tree::leaf_hash(&stored.value));
        match serde_json::from_slice::<Leaf>(&stored.value) {
            Ok(leaf) => leaves.push(Some(leaf)),
            Err(_) => {
                findings.push(format!("leaf {} does not decode", hashes.len() - 1));
                leaves.push(None);
            }
        }
    }
    let heads = list_records::<Head>(records, head_prefix, &Page::default()).await?;
    for (_, head) in &heads {
        let head = &head.value;
        let covered = usize::try_from(head.size).ok().and_then(|size| hashes.get(..size));
        // A head may be older than the key.
        let earlier = known.0.iter().any(|known| head.verify(known).is_ok());
        if let Err(error) = head.verify(&key)
            && !earlier
        {
            findings.push(format!("head of size {}: {error}", head.size));
        } else if covered.is_none_or(|covered| tree::root(covered) != head.root.0) {
            findings.push(format!("the leaves are not those of the signed head of size {}", head.size));
        }
    }
    let jobs = list_records::<Job>(records, "job.", &Page::default()).await?;
    let mut checked = 0;
    for job in jobs.iter().map(|(_, job)| &job.value).filter(|job| job.state() == State::Done) {
        checked += 1;
        let Some(proved) = &job.proved else {
            findings.push(format!("job {} is done without a proof", job.id));
            continue;
        };
        let leaf = usize::try_from(proved.log_index).ok().and_then(|at| leaves.get(at)?.as_ref());
        let fits = leaf.is_some_and(|leaf| {
            (leaf.statement, leaf.proof, leaf.verdict) == (job.statement, Some(proved.digest), Verdict::Accepted)
        });
        if !fits {
            findings.push(format!("job {} is not what entry {} of the log says", job.id, proved.log_index));
        }
        if let Err(error) = store.blobs.file(&proved.digest).await {
            findings.push(format!("job {}: {error}", job.id));
        }
    }
    Ok(Audit { leaves: hashes.len() as u64, heads: heads.len() as u64, jobs: checked, public_key: key, findings })
}
