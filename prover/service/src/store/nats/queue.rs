//! The queue as a JetStream work queue: a message per piece of work, one subject and consumer per class of priority. The
//! time to acknowledge is the patience; a lost message is queued again by the sweep.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::stream::{self, RetentionPolicy, StorageType};
use async_nats::jetstream::{AckKind, Context, Message};
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::records::is_full;
use crate::store::embedded::PATIENCE;
use crate::store::{Delivery, Queue, StoreError, Work};

const STREAM: &str = "VINFER_WORK";
/// Classes of priority, the first is served first, with the least priority of each.
const CLASSES: [(&str, u8); 3] = [("high", 7), ("normal", 4), ("low", 0)];
/// A server that is there answers sooner.
const ANSWER: Duration = Duration::from_secs(2);
/// Core subject that tells every worker that something was queued.
const WAKE: &str = "vinfer.wake";

/// Work in a stream.
pub struct StreamQueue {
    client: async_nats::Client,
    context: Context,
    consumers: Vec<Consumer<pull::Config>>,
    arrived: Arc<Notify>,
}

impl std::fmt::Debug for StreamQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamQueue").finish_non_exhaustive()
    }
}

fn subject(class: &str) -> String {
    format!("vinfer.work.{class}")
}

impl StreamQueue {
    /// Opens or creates the stream and its consumers.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn open(client: async_nats::Client, context: &Context, replicas: usize) -> Result<Self, StoreError> {
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![subject("*")],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            num_replicas: replicas,
            ..stream::Config::default()
        };
        let stream = context.get_or_create_stream(config).await.map_err(StoreError::unavailable)?;
        let mut consumers = Vec::with_capacity(CLASSES.len());
        for (class, _) in CLASSES {
            let name = format!("workers-{class}");
            let config = pull::Config {
                durable_name: Some(name.clone()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: PATIENCE,
                filter_subject: subject(class),
                max_ack_pending: 100_000,
                ..pull::Config::default()
            };
            let consumer = stream.get_or_create_consumer(&name, config).await;
            consumers.push(consumer.map_err(StoreError::unavailable)?);
        }
        let arrived = Arc::new(Notify::new());
        let mut wakes = client.subscribe(WAKE).await.map_err(StoreError::unavailable)?;
        let notify = Arc::downgrade(&arrived);
        tokio::spawn(async move {
            while wakes.next().await.is_some() {
                match notify.upgrade() {
                    Some(notify) => notify.notify_waiters(),
                    None => return,
                }
            }
        });
        Ok(Self { client, context: context.clone(), consumers, arrived })
    }

    async fn take(&self, max: usize) -> Result<Vec<Box<dyn Delivery>>, StoreError> {
        let mut taken: Vec<Box<dyn Delivery>> = Vec::new();
        for consumer in &self.consumers {
            let missing = max.saturating_sub(taken.len());
            if missing == 0 {
                break;
            }
            // Without a time the server answers at once, be it that there is nothing.
            let fetched = consumer.fetch().max_messages(missing).messages().await;
            let mut fetched = fetched.map_err(StoreError::unavailable)?;
            while let Some(message) = tokio::time::timeout(ANSWER, fetched.next()).await.unwrap_or(None) {
                let message = message.map_err(StoreError::unavailable)?;
                let priority = message.headers.as_ref().and_then(|headers| headers.get("Priority"));
                let priority = priority.and_then(|text| text.as_str().parse().ok()).unwrap_or(5);
                let key = String::from_utf8_lossy(&message.payload).into_owned();
                taken.push(Box::new(Taken { work: Work { key, priority }, message }));
            }
        }
        Ok(taken)
    }
}

struct Taken {
    work: Work,
    message: Message,
}

impl Taken {
    async fn answer(&self, kind: AckKind) -> Result<(), StoreError> {
        self.message.ack_with(kind).await.map_err(StoreError::unavailable)
    }
}

#[async_trait]
impl Delivery for Taken {
    fn work(&self) -> &Work {
        &self.work
    }

    async fn ack(&self) -> Result<(), StoreError> {
        self.answer(AckKind::Ack).await
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        self.answer(AckKind::Nak((!delay.is_zero()).then_some(delay))).await
    }

    async fn progress(&self) -> Result<(), StoreError> {
        self.answer(AckKind::Progress).await
    }
}

#[async_trait]
impl Queue for StreamQueue {
    async fn push(&self, work: Work) -> Result<(), StoreError> {
        let class = CLASSES.iter().find(|(_, least)| work.priority >= *least).map_or("low", |(class, _)| class);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Priority", work.priority.to_string().as_str());
        let published = self.context.publish_with_headers(subject(class), headers, work.key.into()).await;
        let answered = published.map_err(StoreError::unavailable)?.await;
        answered.map_err(|error| {
            if is_full(&error.to_string()) { StoreError::Full } else { StoreError::unavailable(error) }
        })?;
        self.client.publish(WAKE, bytes::Bytes::new()).await.map_err(StoreError::unavailable)
    }

    async fn pull(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, StoreError> {
        /// A wake may be lost.
        const LOOK_AGAIN: Duration = Duration::from_millis(300);
        let until = Instant::now() + wait;
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let taken = self.take(max).await?;
            let now = Instant::now();
            if !taken.is_empty() || now >= until {
                return Ok(taken);
            }
            let _ = tokio::time::timeout(LOOK_AGAIN.min(until - now), arrived).await;
        }
    }

    async fn depth(&self) -> Result<u64, StoreError> {
        let mut depth = 0;
        for consumer in &self.consumers {
            let info = consumer.get_info().await.map_err(StoreError::unavailable)?;
            depth += info.num_pending + info.num_ack_pending as u64;
        }
        Ok(depth)
    }
}
