//! Where everything is kept: records with compare-and-swap, blobs by digest, and a queue of work.
//!
//! All semantics of jobs are built on these traits alone, so that one machine (`embedded`) and many (`nats`) behave
//! the same; `tests/store_conformance.rs` runs one suite on both.

pub mod embedded;
mod key;
pub mod nats;
mod typed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use key::{KeyError, check_key, token};
pub use typed::{Stored, delete_record, get_record, list_records, put_record, update_record};

use crate::ids::Digest;

/// Why the storage refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The record is not at the expected revision.
    #[error("the record was changed by another writer")]
    Conflict,
    /// No such blob.
    #[error("blob {0} is missing from the storage")]
    Missing(Digest),
    /// The bytes of a blob are not those of its digest.
    #[error("blob {digest} is damaged: its bytes have digest {found}")]
    Corrupt {
        /// Digest asked for.
        digest: Digest,
        /// Digest of what is there.
        found: Digest,
    },
    /// A record does not decode.
    #[error("record `{key}` does not decode: {reason}")]
    Record {
        /// Its key.
        key: String,
        /// What the decoder says.
        reason: String,
    },
    /// A key that cannot be stored.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The value is larger than the storage takes.
    #[error("the record is too large for the storage")]
    TooLarge,
    /// No space is left.
    #[error("the storage is full")]
    Full,
    /// The storage does not answer, or cannot be read or written.
    #[error("the storage does not work: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// The storage's reason not to work.
    pub fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable(reason.to_string())
    }
}

/// A value and the revision of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Bytes.
    pub value: Vec<u8>,
    /// Revision; grows with every change.
    pub revision: u64,
}

/// What a write demands of the record before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It is at this revision.
    Revision(u64),
}

/// A part of a listing, in order of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Only keys beyond this one.
    pub after: Option<String>,
    /// At most so many; `None`: all.
    pub limit: Option<usize>,
    /// Largest keys first.
    pub descending: bool,
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// The new value; `None` when deleted.
    pub value: Option<Versioned>,
}

/// What a watcher hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A record that exists, or has changed.
    Change(Change),
    /// Every record that existed when the watch began has been told.
    CaughtUp,
}

/// Records under keys, each write conditional.
#[async_trait]
pub trait Records: Send + Sync {
    /// Reads a record.
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError>;
    /// Writes a record durably if it is as expected; returns the new revision.
    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<u64, StoreError>;
    /// Deletes a record if it is at the revision.
    async fn delete(&self, key: &str, revision: u64) -> Result<(), StoreError>;
    /// Records whose keys begin with `prefix`.
    async fn list(&self, prefix: &str, page: &Page) -> Result<Vec<(String, Versioned)>, StoreError>;
    /// Existing records whose keys begin with `prefix`, then every change. The channel ends when the storage fails or the
    /// watcher is too slow; watch again then.
    async fn watch(&self, prefix: &str) -> Result<mpsc::Receiver<WatchEvent>, StoreError>;
}

/// Bytes under their digest.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores bytes durably.
    async fn put(&self, bytes: Vec<u8>) -> Result<Digest, StoreError>;
    /// Stores a file durably; the file is consumed.
    async fn put_file(&self, path: &Path) -> Result<Digest, StoreError>;
    /// Reads bytes, and checks them against the digest.
    async fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError>;
    /// A local file with the bytes, checked against the digest.
    async fn file(&self, digest: &Digest) -> Result<PathBuf, StoreError>;
    /// Whether it is there.
    async fn contains(&self, digest: &Digest) -> Result<bool, StoreError>;
    /// Removes a blob; removing none is no error.
    async fn remove(&self, digest: &Digest) -> Result<(), StoreError>;
    /// Digests of all blobs, with the seconds since they were written.
    async fn list(&self) -> Result<Vec<(Digest, u64)>, StoreError>;
}

/// One piece of work: the key of the record that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Key of the record.
    pub key: String,
    /// Larger is sooner, 0 to 9.
    pub priority: u8,
}

/// Work handed out. Dropped without an answer it is handed out again after the queue's patience.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// What to do.
    fn work(&self) -> &Work;
    /// It is done, or needs not be done.
    async fn ack(&self) -> Result<(), StoreError>;
    /// Hand it out again after the delay.
    async fn nak(&self, delay: Duration) -> Result<(), StoreError>;
    /// It is still being worked on.
    async fn progress(&self) -> Result<(), StoreError>;
}

/// The queue. It may lose or repeat work: the record of the job decides, and a sweep queues again what was lost.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Adds work.
    async fn push(&self, work: Work) -> Result<(), StoreError>;
    /// Takes up to `max` pieces, waiting up to `wait` for the first.
    async fn pull(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, StoreError>;
    /// Pieces waiting or handed out and not answered.
    async fn depth(&self) -> Result<u64, StoreError>;
}

/// The three together.
#[derive(Clone)]
pub struct Store {
    /// Records.
    pub records: Arc<dyn Records>,
    /// Blobs.
    pub blobs: Arc<dyn Blobs>,
    /// Work.
    pub queue: Arc<dyn Queue>,
    /// Whether other processes write to this storage too.
    pub shared: bool,
}

impl Store {
    /// Tells every further change of the records with a prefix from now on, beginning with what `events` still holds; a
    /// watch that ends is begun anew.
    pub(crate) fn follow(
        &self,
        prefix: &'static str,
        mut events: mpsc::Receiver<WatchEvent>,
        learn: impl Fn(&Change) + Send + 'static,
    ) {
        let records = Arc::clone(&self.records);
        tokio::spawn(async move {
            loop {
                while let Some(event) = events.recv().await {
                    if let WatchEvent::Change(change) = event {
                        learn(&change);
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                if let Ok(again) = records.watch(prefix).await {
                    events = again;
                }
            }
        });
    }
}
