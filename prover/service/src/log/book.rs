//! The log in the storage: one record per leaf, written once, and the heads that were signed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::tree::{self, Hash};
use super::{Head, Leaf, PublicKey, Signer, Verdict};
use crate::error::ServiceError;
use crate::ids::{Digest, now_ms, random};
use crate::store::{Change, Expect, Store, StoreError, WatchEvent, put_record};

/// An entry of now.
///
/// # Errors
/// There is no randomness.
pub fn new_leaf(job: &crate::jobs::Job, proof: Option<Digest>, verdict: Verdict) -> Result<Leaf, ServiceError> {
    Ok(Leaf {
        tenant: job.tenant.clone(),
        job: job.id.clone(),
        statement: job.statement,
        proof,
        model: job.model_digest,
        verifier: format!(
            "vinfer-verifier {} protocol {}",
            env!("CARGO_PKG_VERSION"),
            vinfer_circuits::statement::PROTOCOL_VERSION
        ),
        verdict,
        at_ms: now_ms(),
        nonce: hex::encode(random::<16>()?),
    })
}

const LEAVES: &str = "log.leaf.";
const HEADS: &str = "log.head.";

/// Key of a leaf's record.
pub(super) fn leaf_key(index: u64) -> String {
    format!("{LEAVES}{index:016x}")
}

struct Inner {
    store: Store,
    signer: Option<Signer>,
    leaves: Mutex<Vec<Hash>>,
    grown: Notify,
}

/// The log.
#[derive(Clone)]
pub struct LogBook(Arc<Inner>);

impl std::fmt::Debug for LogBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogBook").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl LogBook {
    /// Opens the log and follows it; knows every leaf when it returns. Without a signer it has no heads: workers only append.
    ///
    /// # Errors
    /// The storage does not answer, or a leaf is missing in between.
    pub async fn open(store: Store, signer: Option<Signer>) -> Result<Self, ServiceError> {
        let mut events = store.records.watch(LEAVES).await?;
        let inner = Inner { store, signer, leaves: Mutex::default(), grown: Notify::new() };
        let book = Self(Arc::new(inner));
        let mut existing = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                WatchEvent::Change(change) => existing.push(change),
                WatchEvent::CaughtUp => break,
            }
        }
        existing.sort_by(|a, b| a.key.cmp(&b.key));
        let found = existing.len() as u64;
        existing.iter().for_each(|change| book.learn(change));
        if book.size() != found {
            return Err(ServiceError::internal(format!(
                "the transparency log has a gap behind leaf {}; `vinfer log verify --data DIR` says more",
                book.size()
            )));
        }
        let following = book.clone();
        book.0.store.follow(LEAVES, events, move |change| following.learn(change));
        Ok(book)
    }

    fn leaves(&self) -> MutexGuard<'_, Vec<Hash>> {
        self.0.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the next leaf; others are known, or come again.
    fn learn(&self, change: &Change) {
        let Some(value) = &change.value else { return };
        let mut leaves = self.leaves();
        if change.key == leaf_key(leaves.len() as u64) {
            leaves.push(tree::leaf_hash(&value.value));
            drop(leaves);
            self.0.grown.notify_waiters();
        }
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.leaves().len() as u64
    }

    fn signer(&self) -> Result<&Signer, ServiceError> {
        self.0.signer.as_ref().ok_or_else(|| ServiceError::internal("this process does not sign the log"))
    }

    /// Public key of the heads.
    ///
    /// # Errors
    /// This process does not sign.
    pub fn public(&self) -> Result<PublicKey, ServiceError> {
        self.signer().map(Signer::public)
    }

    /// Appends an entry; returns its index.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn append(&self, leaf: &Leaf) -> Result<u64, StoreError> {
        let records = self.0.store.records.as_ref();
        loop {
            let index = self.size();
            match put_record(records, &leaf_key(index), leaf, Expect::Absent).await {
                Ok(_) => {
                    self.read(index).await?;
                    return Ok(index);
                }
                // Another entry is there already.
                Err(StoreError::Conflict) => {
                    self.read(index).await?;
                    if self.size() == index {
                        return Err(StoreError::Conflict);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes note of a leaf that is stored.
    async fn read(&self, index: u64) -> Result<(), StoreError> {
        let key = leaf_key(index);
        let value = self.0.store.records.get(&key).await?;
        self.learn(&Change { key, value });
        Ok(())
    }

    /// A signed head of now.
    ///
    /// # Errors
    /// This process does not sign.
    pub fn head(&self) -> Result<Head, ServiceError> {
        let (size, root) = {
            let leaves = self.leaves();
            (leaves.len() as u64, tree::root(&leaves))
        };
        Ok(self.signer()?.sign(size, root))
    }

    /// Stores a signed head whenever the log has grown, until the returned future is dropped.
    pub async fn keep_heads(self) {
        let mut last = None;
        loop {
            let size = self.size();
            if last != Some(size) && size > 0 {
                let Ok(head) = self.head() else { return };
                let key = format!("{HEADS}{:016x}", head.size);
                match put_record(self.0.store.records.as_ref(), &key, &head, Expect::Absent).await {
                    Ok(_) | Err(StoreError::Conflict) => last = Some(head.size),
                    Err(error) => tracing::warn!(%error, "tree head not stored"),
                }
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            let _ = tokio::time::timeout(Duration::from_secs(60), self.0.grown.notified()).await;
        }
    }

    /// An entry, if it is the tenant's, with its audit path in the tree of a head of now.
    ///
    /// # Errors
    /// There is no such entry of the tenant's.
    pub async fn prove(&self, tenant: &str, index: u64) -> Result<(String, Vec<Digest>, Head), ServiceError> {
        let missing = || ServiceError::not_found("the log has no such entry of yours");
        let stored = self.0.store.records.get(&leaf_key(index)).await?.ok_or_else(missing)?;
        let leaf: Leaf = serde_json::from_slice(&stored.value).map_err(|_| missing())?;
        if leaf.tenant != tenant {
            return Err(missing());
        }
        let leaves = self.leaves().clone();
        let at = usize::try_from(index).map_err(|_| missing())?;
        let path = tree::inclusion(&leaves, at).ok_or_else(missing)?;
        let head = self.signer()?.sign(leaves.len() as u64, tree::root(&leaves));
        let text = String::from_utf8(stored.value).map_err(|_| missing())?;
        Ok((text, path.into_iter().map(Digest).collect(), head))
    }

    /// Proof that the tree of `second` leaves continues that of `first`.
    ///
    /// # Errors
    /// The log has never had these sizes.
    pub fn consistency(&self, first: u64, second: u64) -> Result<Vec<Digest>, ServiceError> {
        let size = self.size();
        let wrong = || ServiceError::invalid(format!("the sizes must be 1 <= first <= second <= {size}"));
        let (first, second) =
            (usize::try_from(first).map_err(|_| wrong())?, usize::try_from(second).map_err(|_| wrong())?);
        let leaves = self.leaves().get(..second).ok_or_else(wrong)?.to_vec();
        let proof = tree::consistency(&leaves, first).ok_or_else(wrong)?;
        Ok(proof.into_iter().map(Digest).collect())
    }

    /// Hashes of leaves, for whoever follows the whole tree.
    pub fn hashes(&self, start: u64, limit: usize) -> Vec<Digest> {
        let leaves = self.leaves();
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(leaves.len());
        leaves.iter().skip(start).take(limit).map(|hash| Digest(*hash)).collect()
    }
}

/// Prefixes of the log's records, for checking them offline.
pub(super) const PREFIXES: (&str, &str) = (LEAVES, HEADS);
