//! Blobs as files named by their digest. A file has its name only after its bytes are on disk.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;

use super::io_error;
use crate::ids::Digest;
use crate::store::{Blobs, StoreError};

/// Blobs in a directory.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    directory: PathBuf,
    staged: Arc<AtomicU64>,
}

impl FileBlobs {
    /// Opens or creates the directory; what a killed process left half written is removed.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let staging = directory.join("staging");
        let _ = fs::remove_dir_all(&staging);
        fs::create_dir_all(&staging).map_err(|error| io_error(&staging, &error))?;
        Ok(Self { directory: directory.to_owned(), staged: Arc::default() })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (shard, rest) = name.split_at(2);
        self.directory.join(shard).join(rest)
    }

    fn staging_path(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.directory.join("staging").join(format!("{}-{number}", std::process::id()))
    }

    /// Gives a staged, synced file its name.
    fn publish(&self, staged: &Path, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        let shard = path.parent().unwrap_or(&self.directory);
        if !shard.is_dir() {
            fs::create_dir_all(shard).map_err(|error| io_error(shard, &error))?;
            sync_directory(&self.directory)?;
        }
        fs::rename(staged, &path).map_err(|error| io_error(&path, &error))?;
        sync_directory(shard)
    }

    fn put_now(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.intact(&digest) {
            self.refresh(&digest);
            return Ok(digest);
        }
        let staged = self.staging_path();
        let written = File::create(&staged).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let published =
            written.map_err(|error| io_error(&staged, &error)).and_then(|()| self.publish(&staged, &digest));
        if published.is_err() {
            let _ = fs::remove_file(&staged);
        }
        published.map(|()| digest)
    }

    fn put_file_now(&self, path: &Path) -> Result<Digest, StoreError> {
        let digest = digest_of_file(path)?;
        if self.intact(&digest) {
            let _ = fs::remove_file(path);
            self.refresh(&digest);
            return Ok(digest);
        }
        let staged = self.staging_path();
        // The file may lie on another file system.
        if fs::rename(path, &staged).is_err() {
            fs::copy(path, &staged).map_err(|error| io_error(&staged, &error))?;
            let _ = fs::remove_file(path);
        }
        File::open(&staged).and_then(|file| file.sync_all()).map_err(|error| io_error(&staged, &error))?;
        self.publish(&staged, &digest)?;
        Ok(digest)
    }

    /// Whether the blob is there undamaged; a damaged one is written again.
    fn intact(&self, digest: &Digest) -> bool {
        digest_of_file(&self.path(digest)).is_ok_and(|found| found == *digest)
    }

    /// A blob that is wanted again is as good as new: it is not forgotten before a record names it.
    fn refresh(&self, digest: &Digest) {
        let touched = File::options().append(true).open(self.path(digest));
        if let Err(error) = touched.and_then(|file| file.set_modified(SystemTime::now())) {
            tracing::warn!(%error, %digest, "blob not marked as used");
        }
    }

    fn get_now(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|error| missing(digest, &path, &error))?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::Corrupt { digest: *digest, found }) }
    }

    fn file_now(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        if !path.exists() {
            return Err(StoreError::Missing(*digest));
        }
        let found = digest_of_file(&path)?;
        if found == *digest { Ok(path) } else { Err(StoreError::Corrupt { digest: *digest, found }) }
    }

    fn list_now(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let mut found = Vec::new();
        let shards = fs::read_dir(&self.directory).map_err(|error| io_error(&self.directory, &error))?;
        for shard in shards.flatten() {
            let Ok(files) = fs::read_dir(shard.path()) else { continue };
            for file in files.flatten() {
                let name = format!("{}{}", shard.file_name().to_string_lossy(), file.file_name().to_string_lossy());
                let modified = file.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::now());
                let age = SystemTime::now().duration_since(modified).map_or(0, |age| age.as_secs());
                if let Ok(digest) = name.parse::<Digest>() {
                    found.push((digest, age));
                }
            }
        }
        Ok(found)
    }
}

fn missing(digest: &Digest, path: &Path, error: &std::io::Error) -> StoreError {
    if error.kind() == std::io::ErrorKind::NotFound { StoreError::Missing(*digest) } else { io_error(path, error) }
}

/// BLAKE3 of a file's bytes.
pub(crate) fn digest_of_file(path: &Path) -> Result<Digest, StoreError> {
    let failed = |error: std::io::Error| io_error(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0u8; 1 << 16];
    loop {
        let read = file.read(&mut block).map_err(failed)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| io_error(path, &error))
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(StoreError::unavailable)?
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let blobs = self.clone();
        blocking(move || blobs.put_now(&bytes)).await
    }

    async fn put_file(&self, path: &Path) -> Result<Digest, StoreError> {
        let (blobs, path) = (self.clone(), path.to_owned());
        blocking(move || blobs.put_file_now(&path)).await
    }

    async fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let (blobs, digest) = (self.clone(), *digest);
        blocking(move || blobs.get_now(&digest)).await
    }

    async fn file(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let (blobs, digest) = (self.clone(), *digest);
        blocking(move || blobs.file_now(&digest)).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.path(digest).exists())
    }

    async fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(&path, &error)),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let blobs = self.clone();
        blocking(move || blobs.list_now()).await
    }
}
