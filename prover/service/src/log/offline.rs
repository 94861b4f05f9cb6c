//! Checking the log without the service: an entry that a client was given, or the whole storage of an operator.

use serde::{Deserialize, Serialize};

use super::book::{Leaf, PREFIXES, Verdict, leaf_key};
use super::head::{Head, HeadError, PublicKey, Signer};
use super::tree;
use crate::error::ServiceError;
use crate::ids::Digest;
use crate::jobs::{Job, State};
use crate::store::{Page, Store, get_record, list_records};

/// What `GET /v1/log/entries/STATEMENT` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The leaf's bytes.
    pub leaf: String,
    /// Its place.
    pub index: u64,
    /// Its audit path.
    pub path: Vec<Digest>,
    /// Head of the tree that it is in.
    pub head: Head,
    /// Where asked for with `since`: that the head continues the tree of so many leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Vec<Digest>>,
}

/// Why evidence is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The head is not the log's.
    #[error("tree head: {0}")]
    Head(#[from] HeadError),
    /// The earlier head is not the log's.
    #[error("earlier tree head: {0}")]
    EarlierHead(HeadError),
    /// The leaf is not in the tree.
    #[error("the audit path does not lead from the entry to the root of the tree head")]
    Inclusion,
    /// The later tree does not continue the earlier one.
    #[error("the tree does not continue the earlier one: the log was changed")]
    Consistency,
    /// The leaf does not decode.
    #[error("the entry does not decode")]
    Leaf,
}

fn hashes(digests: &[Digest]) -> Vec<tree::Hash> {
    digests.iter().map(|digest| digest.0).collect()
}

/// Checks evidence against the log's key, and against an earlier head where the client has one.
///
/// # Errors
/// [`EvidenceError`].
pub fn check_evidence(evidence: &Evidence, key: &PublicKey, earlier: Option<&Head>) -> Result<Leaf, EvidenceError> {
    let Evidence { leaf, index, path, head, consistency } = evidence;
    head.verify(key)?;
    let hash = tree::leaf_hash(leaf.as_bytes());
    if !tree::verify_inclusion(&hash, *index, head.size, &hashes(path), &head.root.0) {
        return Err(EvidenceError::Inclusion);
    }
    if let Some(earlier) = earlier {
        earlier.verify(key).map_err(EvidenceError::EarlierHead)?;
        let proof = hashes(consistency.as_deref().unwrap_or_default());
        if !tree::verify_consistency(earlier.size, head.size, &proof, &earlier.root.0, &head.root.0) {
            return Err(EvidenceError::Consistency);
        }
    }
    serde_json::from_str(leaf).map_err(|_| EvidenceError::Leaf)
}

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
    let (leaf_prefix, head_prefix, secret) = PREFIXES;
    let records = store.records.as_ref();
    let mut findings = Vec::new();
    let secret = get_record::<Digest>(records, secret).await?;
    let own_key = secret.map(|secret| Signer::new(&secret.value.0).public());
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
        if let Err(error) = head.verify(&key) {
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
