//! Storage shared by many machines, in NATS JetStream: a key-value bucket for records, an object store for blobs, a work
//! queue for jobs.

mod blobs;
mod queue;
mod records;

use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, ServerAddr};

use super::{Records, Store, StoreError};

pub use blobs::ObjectBlobs;
pub use queue::StreamQueue;
pub use records::BucketRecords;

/// Name of the bucket of records and of the object store.
const BUCKET: &str = "vinfer";

/// `nats://USER:PASSWORD@HOST` and `nats://TOKEN@HOST` say who connects, which the client library leaves to its options.
async fn connect(url: &str) -> Result<async_nats::Client, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("NATS does not answer: {error}"));
    let address: ServerAddr = url.parse().map_err(|error| failed(&error))?;
    let mut options = ConnectOptions::new().name("vinfer");
    options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        (Some(token), None) => options.token(token.to_owned()),
        (None, _) => options,
    };
    options.connect(address).await.map_err(|error| failed(&error))
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
