//! Records in a key-value bucket. Writes go to the bucket's stream with the expected sequence of the key; reads ask the
//! stream's leader, so that a process reads what another has just written.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, LastRawMessageErrorKind, StorageType, Stream};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::BUCKET;
use crate::store::{Change, Expect, Page, Records, StoreError, Versioned, WatchEvent, check_key};

/// Header of a deletion, as every client of the bucket writes it.
const OPERATION: &str = "KV-Operation";
const DELETED: &str = "DEL";
/// Largest record: the server's own limit is one mebibyte for all of a message.
const MAX_RECORD: usize = 900 << 10;
/// A listing that brings nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Records in one bucket.
#[derive(Debug, Clone)]
pub struct BucketRecords {
    context: Context,
    stream: Stream,
}

/// The last message under a key.
struct Last {
    revision: u64,
    /// `None` when it says that the key was deleted.
    value: Option<Vec<u8>>,
}

fn subject(key: &str) -> String {
    format!("$KV.{BUCKET}.{key}")
}

fn key_of(subject: &str) -> &str {
    subject
        .strip_prefix("$KV.")
        .and_then(|rest| rest.strip_prefix(BUCKET))
        .map_or("", |rest| rest.trim_start_matches('.'))
}

fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    headers.and_then(|headers| headers.get(OPERATION)).is_some_and(|operation| operation.as_str() != "PUT")
}

impl BucketRecords {
    /// Opens or creates the bucket.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn open(context: &Context, replicas: usize) -> Result<Self, StoreError> {
        // The stream of a key-value bucket as every client makes it. Made here because the library's own way asks the server
        // for more than servers before 2.10 tell.
        let config = stream::Config {
            name: format!("KV_{BUCKET}"),
            subjects: vec![subject(">")],
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            storage: StorageType::File,
            num_replicas: replicas,
            ..stream::Config::default()
        };
        let stream = context.get_or_create_stream(config).await.map_err(StoreError::unavailable)?;
        Ok(Self { context: context.clone(), stream })
    }

    async fn last(&self, key: &str) -> Result<Option<Last>, StoreError> {
        match self.stream.get_last_raw_message_by_subject(&subject(key)).await {
            Ok(message) => {
                let value = (!is_deletion(Some(&message.headers))).then(|| message.payload.to_vec());
                Ok(Some(Last { revision: message.sequence, value }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    async fn publish(&self, key: &str, value: Option<Vec<u8>>, last: u64) -> Result<u64, StoreError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(last));
        if value.is_none() {
            headers.insert(OPERATION, DELETED);
        }
        let published =
            self.context.publish_with_headers(subject(key), headers, Bytes::from(value.unwrap_or_default()));
        let answered = published.await.map_err(StoreError::unavailable)?.await;
        answered.map(|ack| ack.sequence).map_err(|error| match error.kind() {
            PublishErrorKind::WrongLastSequence => StoreError::Conflict,
            PublishErrorKind::MaxPayloadExceeded => StoreError::TooLarge,
            _ if is_full(&error.to_string()) => StoreError::Full,
            _ => StoreError::unavailable(error),
        })
    }

    /// The last message of every key that begins with `prefix`, and, where `live`, every later one.
    async fn read(&self, prefix: &str) -> Result<(u64, push::Ordered), StoreError> {
        // Whole tokens are matched by the server; the rest is left to the caller.
        let filter = match prefix.rfind('.') {
            Some(end) => format!("{}>", subject(prefix.get(..=end).unwrap_or_default())),
            None => subject(">"),
        };
        let config = push::OrderedConfig {
            deliver_subject: self.context.client().new_inbox(),
            filter_subject: filter,
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..push::OrderedConfig::default()
        };
        let consumer = self.stream.create_consumer(config).await.map_err(StoreError::unavailable)?;
        let pending = consumer.cached_info().num_pending;
        Ok((pending, consumer.messages().await.map_err(StoreError::unavailable)?))
    }
}

/// Whether the server's words say that it has no space left.
pub(super) fn is_full(text: &str) -> bool {
    ["insufficient", "no space", "maximum bytes", "resource limits"].iter().any(|words| text.contains(words))
}

/// One message as a change; the second says how many more wait.
fn change(message: &async_nats::jetstream::Message) -> Result<(Change, u64), StoreError> {
    let info = message.info().map_err(StoreError::unavailable)?;
    let value = (!is_deletion(message.headers.as_ref()))
        .then(|| Versioned { value: message.payload.to_vec(), revision: info.stream_sequence });
    Ok((Change { key: key_of(&message.subject).to_owned(), value }, info.pending))
}

#[async_trait]
impl Records for BucketRecords {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        check_key(key)?;
        let last = self.last(key).await?;
        Ok(last.and_then(|last| last.value.map(|value| Versioned { value, revision: last.revision })))
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expect) -> Result<u64, StoreError> {
        check_key(key)?;
        if value.len() > MAX_RECORD {
            return Err(StoreError::TooLarge);
        }
        match expect {
            // A deletion has a later sequence, so that an old revision is never that of a deleted key.
            Expect::Revision(revision) => self.publish(key, Some(value), revision).await,
            Expect::Absent => match self.publish(key, Some(value.clone()), 0).await {
                Err(StoreError::Conflict) => match self.last(key).await? {
                    Some(Last { revision, value: None }) => self.publish(key, Some(value), revision).await,
                    _ => Err(StoreError::Conflict),
                },
                other => other,
            },
        }
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<(), StoreError> {
        check_key(key)?;
        self.publish(key, None, revision).await.map(|_| ())
    }

    async fn list(&self, prefix: &str, page: &Page) -> Result<Vec<(String, Versioned)>, StoreError> {
        let (pending, mut messages) = self.read(prefix).await?;
        let mut found = Vec::new();
        let mut left = pending;
        while left > 0 {
            let next = tokio::time::timeout(PATIENCE, messages.next()).await;
            let message = next.map_err(StoreError::unavailable)?;
            let message = message.ok_or_else(|| StoreError::unavailable("the listing was cut off"))?;
            let (change, more) = change(&message.map_err(StoreError::unavailable)?)?;
            left = more;
            if let Some(value) = change.value
                && change.key.starts_with(prefix)
            {
                found.push((change.key, value));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if page.descending {
            found.reverse();
        }
        if let Some(after) = page.after.as_deref().filter(|after| after.starts_with(prefix)) {
            found.retain(|(key, _)| if page.descending { key.as_str() < after } else { key.as_str() > after });
        }
        found.truncate(page.limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn watch(&self, prefix: &str) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        let (pending, mut messages) = self.read(prefix).await?;
        let (sender, receiver) = mpsc::channel(1024);
        let prefix = prefix.to_owned();
        tokio::spawn(async move {
            let mut catching_up = pending > 0;
            if !catching_up && sender.send(WatchEvent::CaughtUp).await.is_err() {
                return;
            }
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    () = sender.closed() => return,
                };
                let Some(Ok(message)) = message else { return };
                let Ok((change, more)) = change(&message) else { return };
                // What was deleted before the watch began is no news.
                let told = change.key.starts_with(&prefix) && (change.value.is_some() || !catching_up);
                if told && sender.send(WatchEvent::Change(change)).await.is_err() {
                    return;
                }
                if catching_up && more == 0 {
                    catching_up = false;
                    if sender.send(WatchEvent::CaughtUp).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(receiver)
    }
}
