//! `Idempotency-Key`: a request that is sent twice under one key is done once, and answered the same.

use serde::{Deserialize, Serialize};

use crate::auth::Caller;
use crate::error::{Code, ServiceError};
use crate::ids::{Digest, now_ms};
use crate::jobs::Payload;
use crate::store::{Expect, Store, StoreError, Stored, delete_record, get_record, put_record, token};

/// A pending request of another process is given up after so long.
const PATIENCE_MS: u64 = 60_000;

/// An answer that can be given again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: value.to_string().into_bytes() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: Payload,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// Digest of the request.
    request: Digest,
    /// Process that works on it.
    instance: String,
    at_ms: u64,
    reply: Option<Kept>,
}

/// How a request goes on.
enum Turn {
    /// It is to be done; the entry is at this revision.
    Do(u64),
    /// It was done.
    Done(Reply),
}

/// Answers under keys.
#[derive(Clone)]
pub struct Idempotency {
    store: Store,
    instance: String,
}

impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Idempotency {
    /// In a storage; `instance` names this process.
    pub fn new(store: Store, instance: String) -> Self {
        Self { store, instance }
    }

    /// Does `work` unless it was done under this key before. Without a key it is done. Refusals that may pass are not kept.
    ///
    /// # Errors
    /// Those of the work; another request under the key; the same request being worked on.
    pub async fn once(
        &self,
        caller: &Caller,
        key: Option<&str>,
        request: Digest,
        work: impl Future<Output = Result<Reply, ServiceError>> + Send,
    ) -> Result<Reply, ServiceError> {
        let Some(key) = key else { return work.await };
        if key.is_empty() || key.len() > 255 {
            return Err(ServiceError::invalid("Idempotency-Key must have 1 to 255 characters"));
        }
        let record = format!("idem.{}.{}", token(&caller.tenant), Digest::of(key.as_bytes()));
        let revision = match self.turn(&record, request).await? {
            Turn::Done(reply) => return Ok(reply),
            Turn::Do(revision) => revision,
        };
        let records = self.store.records.as_ref();
        match work.await {
            Ok(reply) => {
                let body = if reply.body.len() <= Payload::INLINE {
                    Payload::inline(&reply.body)
                } else {
                    Payload::Blob(self.store.blobs.put(reply.body.clone()).await?)
                };
                let kept = Kept { status: reply.status, headers: reply.headers.clone(), body };
                let entry = Entry { request, instance: self.instance.clone(), at_ms: now_ms(), reply: Some(kept) };
                put_record(records, &record, &entry, Expect::Revision(revision)).await?;
                Ok(reply)
            }
            Err(error) => {
                // Asking again may go better; what the work did can be repeated.
                if let Err(error) = delete_record(records, &record, revision).await {
                    tracing::warn!(%error, "idempotency entry not removed");
                }
                Err(error)
            }
        }
    }

    async fn turn(&self, record: &str, request: Digest) -> Result<Turn, ServiceError> {
        let records = self.store.records.as_ref();
        let fresh = Entry { request, instance: self.instance.clone(), at_ms: now_ms(), reply: None };
        match put_record(records, record, &fresh, Expect::Absent).await {
            Ok(revision) => return Ok(Turn::Do(revision)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let stored: Option<Stored<Entry>> = get_record(records, record).await?;
        let Some(Stored { value: entry, revision }) = stored else {
            return Err(StoreError::Conflict.into());
        };
        if entry.request != request {
            return Err(ServiceError::new(
                Code::Conflict,
                "this Idempotency-Key was used for another request; use a new key for a new request",
            ));
        }
        if let Some(kept) = entry.reply {
            return self.again(kept).await.map(Turn::Done);
        }
        let abandoned = entry.instance != self.instance
            && (!self.store.shared || now_ms().saturating_sub(entry.at_ms) > PATIENCE_MS);
        if abandoned {
            let revision = put_record(records, record, &fresh, Expect::Revision(revision)).await?;
            return Ok(Turn::Do(revision));
        }
        let mut error = ServiceError::new(Code::Conflict, "the same request is being worked on; ask again");
        error.retry_after = Some(std::time::Duration::from_secs(1));
        Err(error)
    }

    async fn again(&self, kept: Kept) -> Result<Reply, ServiceError> {
        let body = match &kept.body {
            Payload::Inline(text) => Payload::decode(text).unwrap_or_default(),
            Payload::Blob(digest) => self.store.blobs.get(digest).await?,
        };
        Ok(Reply { status: kept.status, headers: kept.headers, body })
    }
}
