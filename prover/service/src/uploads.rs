//! Uploads in pieces, which can go on after a broken connection.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::error::{Code, ServiceError};
use crate::ids::{Digest, is_id, new_id, now_ms};
use crate::store::embedded::io_error;
use crate::store::{Expect, Store, Stored, delete_record, get_record, put_record, token};

/// Most pieces of one upload.
const MAX_PIECES: usize = 16_384;

/// The record of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upload {
    /// Identifier.
    pub id: String,
    /// Bytes that have arrived.
    pub offset: u64,
    /// When it began.
    pub created_ms: u64,
    /// Blobs with the bytes.
    pub pieces: Vec<Digest>,
}

/// Uploads of all tenants.
#[derive(Clone)]
pub struct Uploads {
    store: Store,
    limit: u64,
}

impl std::fmt::Debug for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").field("limit", &self.limit).finish_non_exhaustive()
    }
}

fn key(tenant: &str, id: &str) -> String {
    format!("upload.{}.{}", token(tenant), token(id))
}

impl Uploads {
    /// In a storage, each of at most `limit` bytes.
    pub fn new(store: Store, limit: u64) -> Self {
        Self { store, limit }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn begin(&self, tenant: &str) -> Result<Upload, ServiceError> {
        let upload = Upload { id: new_id()?, offset: 0, created_ms: now_ms(), pieces: Vec::new() };
        put_record(self.store.records.as_ref(), &key(tenant, &upload.id), &upload, Expect::Absent).await?;
        Ok(upload)
    }

    async fn stored(&self, tenant: &str, id: &str) -> Result<Stored<Upload>, ServiceError> {
        let missing =
            || ServiceError::not_found(format!("you have no upload `{}`", id.chars().take(64).collect::<String>()));
        if !is_id(id) {
            return Err(missing());
        }
        get_record(self.store.records.as_ref(), &key(tenant, id)).await?.ok_or_else(missing)
    }

    /// How far an upload is.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, tenant: &str, id: &str) -> Result<Upload, ServiceError> {
        Ok(self.stored(tenant, id).await?.value)
    }

    /// Adds a piece at the end.
    ///
    /// # Errors
    /// `offset` is not where the upload is.
    pub async fn append(&self, tenant: &str, id: &str, offset: u64, piece: Vec<u8>) -> Result<Upload, ServiceError> {
        let mut stored = self.stored(tenant, id).await?;
        if stored.value.offset != offset {
            return Err(ServiceError::new(
                Code::Conflict,
                format!("the upload is at offset {}, not {offset}; go on from there", stored.value.offset),
            ));
        }
        let end = offset.saturating_add(piece.len() as u64);
        if end > self.limit || stored.value.pieces.len() >= MAX_PIECES {
            return Err(ServiceError::new(
                Code::TooLarge,
                format!("a model has at most {} bytes in at most {MAX_PIECES} pieces", self.limit),
            ));
        }
        if !piece.is_empty() {
            stored.value.pieces.push(self.store.blobs.put(piece).await?);
            stored.value.offset = end;
        }
        let expect = Expect::Revision(stored.revision);
        put_record(self.store.records.as_ref(), &key(tenant, id), &stored.value, expect).await?;
        Ok(stored.value)
    }

    /// Joins the pieces to one file.
    ///
    /// # Errors
    /// There is no such upload, or it is empty.
    pub async fn join(&self, tenant: &str, id: &str, path: &Path) -> Result<(), ServiceError> {
        let upload = self.get(tenant, id).await?;
        if upload.pieces.is_empty() {
            return Err(ServiceError::invalid("the upload is empty"));
        }
        let failed = |error: std::io::Error| ServiceError::from(io_error(path, &error));
        let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
        for piece in &upload.pieces {
            file.write_all(&self.store.blobs.get(piece).await?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }

    /// Forgets an upload.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn end(&self, tenant: &str, id: &str) -> Result<(), ServiceError> {
        let stored = self.stored(tenant, id).await?;
        delete_record(self.store.records.as_ref(), &key(tenant, id), stored.revision).await?;
        Ok(())
    }
}
