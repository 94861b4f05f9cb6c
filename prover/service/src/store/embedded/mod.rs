//! Storage of one machine: a database file for records, files for blobs, memory for the queue.

mod blobs;
mod queue;
mod records;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Store, StoreError};

pub use blobs::FileBlobs;
pub(crate) use blobs::digest_of_file;
pub use queue::MemoryQueue;
pub use records::FileRecords;

/// How long handed out work may stay unanswered.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Opens or creates the storage in a directory. One process at a time may have it open.
///
/// # Errors
/// The directory cannot be used, or another process has it open.
pub fn open(directory: &Path) -> Result<Store, StoreError> {
    std::fs::create_dir_all(directory).map_err(|error| io_error(directory, &error))?;
    Ok(Store {
        records: Arc::new(FileRecords::open(&directory.join("records.redb"))?),
        blobs: Arc::new(FileBlobs::open(&directory.join("blobs"))?),
        queue: Arc::new(MemoryQueue::new(PATIENCE)),
        shared: false,
    })
}

pub(crate) fn io_error(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge => {
            StoreError::Full
        }
        _ => StoreError::Unavailable(format!("{}: {error}", path.display())),
    }
}
