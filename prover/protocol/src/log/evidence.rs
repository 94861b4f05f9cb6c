//! Entries of the log, and evidence that one is in it.

use serde::{Deserialize, Serialize};

use super::head::{Head, HeadError, PublicKey};
use super::tree;
use crate::digest::Digest;

/// What the verifier said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The proof shows the statement.
    Accepted,
    /// It does not.
    Rejected,
}

/// An entry. Its JSON bytes, as stored, are the leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Whose proof.
    pub tenant: String,
    /// Its job.
    pub job: String,
    /// What was to be shown.
    pub statement: Digest,
    /// Digest of the proof file.
    pub proof: Option<Digest>,
    /// Digest of the model file.
    pub model: Digest,
    /// Version of the verifier.
    pub verifier: String,
    /// What the verifier said.
    pub verdict: Verdict,
    /// When.
    pub at_ms: u64,
    /// 16 random bytes, so that the leaf's hash tells nothing.
    pub nonce: String,
}

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
