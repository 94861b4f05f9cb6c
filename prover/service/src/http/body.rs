//! Reading bodies, with a limit.

use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tokio::io::AsyncWriteExt;

use crate::error::{Code, ServiceError};
use crate::ids::{Digest, new_id};
use crate::store::embedded::io_error;

fn too_large(limit: u64) -> ServiceError {
    ServiceError::new(Code::TooLarge, format!("the body is longer than {limit} bytes"))
}

/// The whole body in memory.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, ServiceError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large(limit as u64)),
        Err(error) => Err(ServiceError::invalid(format!("the body does not arrive: {error}"))),
    }
}

/// Digest of a request, for repeating it.
pub(super) fn fingerprint(route: &str, body: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(route.len() as u64).to_le_bytes());
    hasher.update(route.as_bytes());
    hasher.update(body);
    Digest(*hasher.finalize().as_bytes())
}

/// A file that is removed when it is not used.
pub(crate) struct Staged(pub(crate) PathBuf);

impl Staged {
    /// A new name in the directory for such files.
    pub(crate) fn new(data: &Path) -> Result<Self, ServiceError> {
        let directory = data.join("incoming");
        std::fs::create_dir_all(&directory).map_err(|error| io_error(&directory, &error))?;
        Ok(Self(directory.join(new_id()?)))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes the body to a file; returns its length and digest.
pub(super) async fn stage(mut body: Body, file: &Staged, limit: u64) -> Result<(u64, Digest), ServiceError> {
    let failed = |error: std::io::Error| ServiceError::from(io_error(&file.0, &error));
    let mut out = tokio::fs::File::create(&file.0).await.map_err(failed)?;
    let (mut len, mut hasher) = (0u64, blake3::Hasher::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ServiceError::invalid(format!("the body does not arrive: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        len = len.saturating_add(data.len() as u64);
        if len > limit {
            return Err(too_large(limit));
        }
        hasher.update(&data);
        out.write_all(&data).await.map_err(failed)?;
    }
    out.flush().await.map_err(failed)?;
    Ok((len, Digest(*hasher.finalize().as_bytes())))
}
