//! Storage shared by many machines, in NATS JetStream: a key-value bucket for records, an object store for blobs, a work
//! queue for jobs.

mod blobs;
mod queue;
mod records;

use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream::{self, Context};

use super::{Records, Store, StoreError};

pub use blobs::ObjectBlobs;
pub use queue::StreamQueue;
pub use records::BucketRecords;

/// Name of the bucket of records and of the object store.
const BUCKET: &str = "vinfer";

async fn connect(url: &str) -> Result<async_nats::Client, StoreError> {
    let connecting = async_nats::ConnectOptions::new().name("vinfer").connect(url);
    connecting.await.map_err(|error| StoreError::Unavailable(format!("NATS does not answer: {error}")))
}

/// Connects to the records of a server alone.
///
/// # Errors
/// The server does not answer, or has no JetStream.
pub async fn records(url: &str) -> Result<Arc<dyn Records>, StoreError> {
    let context: Context = jetstream::new(connect(url).await?);
    Ok(Arc::new(BucketRecords::open(&context, 1).await?))
}

/// Connects to a server; `cache` is a directory for local copies of blobs.
///
/// # Errors
/// The server does not answer, or has no JetStream.
pub async fn open(url: &str, cache: &Path, replicas: usize) -> Result<Store, StoreError> {
    let client = connect(url).await?;
    let context: Context = jetstream::new(client.clone());
    Ok(Store {
        records: Arc::new(BucketRecords::open(&context, replicas).await?),
        blobs: Arc::new(ObjectBlobs::open(&context, cache, replicas).await?),
        queue: Arc::new(StreamQueue::open(client, &context, replicas).await?),
        shared: true,
    })
}
