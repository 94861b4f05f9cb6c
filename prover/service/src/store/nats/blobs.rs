//! Blobs in an object store, with local copies of those that are read as files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{self, GetErrorKind, InfoErrorKind, ObjectStore};
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::BUCKET;
use super::records::is_full;
use crate::ids::{Digest, new_id};
use crate::store::embedded::{FileBlobs, digest_of_file, io_error};
use crate::store::{Blobs, StoreError};

/// Blobs in one object store.
pub struct ObjectBlobs {
    objects: ObjectStore,
    cache: FileBlobs,
    incoming: PathBuf,
}

impl std::fmt::Debug for ObjectBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBlobs").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl ObjectBlobs {
    /// Opens or creates the object store.
    ///
    /// # Errors
    /// The server does not answer, or the directory cannot be used.
    pub async fn open(context: &Context, cache: &Path, replicas: usize) -> Result<Self, StoreError> {
        let objects = match context.get_object_store(BUCKET).await {
            Ok(objects) => objects,
            Err(_) => {
                let config = object_store::Config {
                    bucket: BUCKET.to_owned(),
                    num_replicas: replicas,
                    ..object_store::Config::default()
                };
                context.create_object_store(config).await.map_err(StoreError::unavailable)?
            }
        };
        let incoming = cache.join("incoming");
        std::fs::create_dir_all(&incoming).map_err(|error| io_error(&incoming, &error))?;
        Ok(Self { objects, cache: FileBlobs::open(&cache.join("blobs"))?, incoming })
    }

    async fn upload(
        &self,
        digest: &Digest,
        data: &mut (impl tokio::io::AsyncRead + Unpin + Send),
    ) -> Result<(), StoreError> {
        if self.contains(digest).await? {
            return Ok(());
        }
        let stored = self.objects.put(digest.to_string().as_str(), data).await;
        stored.map(|_| ()).map_err(|error| {
            if is_full(&error.to_string()) { StoreError::Full } else { StoreError::unavailable(error) }
        })
    }

    async fn object(&self, digest: &Digest) -> Result<object_store::Object, StoreError> {
        self.objects.get(digest.to_string()).await.map_err(|error| match error.kind() {
            GetErrorKind::NotFound => StoreError::Missing(*digest),
            _ => StoreError::unavailable(error),
        })
    }
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn put(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let digest = Digest::of(&bytes);
        self.upload(&digest, &mut bytes.as_slice()).await?;
        Ok(digest)
    }

    async fn put_file(&self, path: &Path) -> Result<Digest, StoreError> {
        let owned = path.to_owned();
        let digest = tokio::task::spawn_blocking(move || digest_of_file(&owned)).await;
        let digest = digest.map_err(StoreError::unavailable)??;
        let mut file = tokio::fs::File::open(path).await.map_err(|error| io_error(path, &error))?;
        self.upload(&digest, &mut file).await?;
        // This machine will read it next.
        self.cache.put_file(path).await
    }

    async fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        if let Ok(bytes) = self.cache.get(digest).await
            && self.contains(digest).await?
        {
            return Ok(bytes);
        }
        let mut object = self.object(digest).await?;
        let mut bytes = Vec::with_capacity(object.info().size);
        object.read_to_end(&mut bytes).await.map_err(StoreError::unavailable)?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::Corrupt { digest: *digest, found }) }
    }

    async fn file(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        if !self.contains(digest).await? {
            return Err(StoreError::Missing(*digest));
        }
        if let Ok(path) = self.cache.file(digest).await {
            return Ok(path);
        }
        let mut object = self.object(digest).await?;
        let path = self.incoming.join(new_id().map_err(StoreError::unavailable)?);
        let failed = |error: std::io::Error| io_error(&path, &error);
        let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
        let copied = tokio::io::copy(&mut object, &mut file).await;
        drop(file);
        let cached = match copied {
            Ok(_) => self.cache.put_file(&path).await,
            Err(error) => Err(StoreError::unavailable(error)),
        };
        let _ = std::fs::remove_file(&path);
        let found = cached?;
        if found != *digest {
            self.cache.remove(&found).await?;
            return Err(StoreError::Corrupt { digest: *digest, found });
        }
        self.cache.file(digest).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.objects.info(digest.to_string()).await {
            Ok(info) => Ok(!info.deleted),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    async fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        self.cache.remove(digest).await?;
        if !self.contains(digest).await? {
            return Ok(());
        }
        self.objects.delete(digest.to_string()).await.map_err(StoreError::unavailable)
    }

    async fn list(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let mut listed = self.objects.list().await.map_err(StoreError::unavailable)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut found = Vec::new();
        while let Some(info) = listed.next().await {
            let info = info.map_err(StoreError::unavailable)?;
            let written = info.modified.and_then(|time| u64::try_from(time.unix_timestamp()).ok()).unwrap_or(now);
            if let Ok(digest) = info.name.parse::<Digest>()
                && !info.deleted
            {
                found.push((digest, now.saturating_sub(written)));
            }
        }
        Ok(found)
    }
}
