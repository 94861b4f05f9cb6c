//! Copies of a whole storage: records as lines of JSON, blobs as files, keys as they are, and a manifest with digests.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::auth::{create_private, private_file};
use crate::error::ServiceError;
use crate::ids::{Digest, now_ms};
use crate::log::key_file;
use crate::store::embedded::{digest_of_file, io_error};
use crate::store::{Expect, Page, Store};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the copy.
    pub format: u32,
    /// When it was begun.
    pub created_ms: u64,
    /// Records.
    pub records: u64,
    /// Digest of the file of records.
    pub records_digest: Digest,
    /// Blobs, which are checked by their names.
    pub blobs: u64,
    /// Files of API keys.
    pub keys: u64,
    /// Whether the secret key of the transparency log is there.
    #[serde(default)]
    pub log_key: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    value: String,
}

const FORMAT: u32 = 1;

/// Copies a storage, and the files of API keys of a data directory, into a new directory. The secret key of the transparency log is
/// copied only from a file named here, so that a copy cannot sign.
///
/// # Errors
/// The directory exists, or something cannot be read or written.
pub async fn backup(
    store: &Store,
    data: Option<&Path>,
    log_key: Option<&Path>,
    to: &Path,
) -> Result<Manifest, ServiceError> {
    let failed = |error: std::io::Error| ServiceError::from(io_error(to, &error));
    if to.exists() {
        return Err(ServiceError::invalid(format!("{} exists already; name a new directory", to.display())));
    }
    create_private(&to.join("blobs")).map_err(failed)?;
    // Records first: blobs do not change, and what the records name is there.
    let mut records = BufWriter::new(fs::File::create(to.join("records.jsonl")).map_err(failed)?);
    let mut count = 0;
    let public = key_file::public_keys(store).await?;
    for (key, stored) in store.records.list("", &Page::default()).await? {
        // A secret that an earlier version kept in the storage stays behind; its public key does not.
        let line = if key == key_file::SECRET {
            let value = serde_json::to_vec(&public).map_err(|error| ServiceError::internal(error.to_string()))?;
            Line { key: key_file::PUBLIC.to_owned(), value: BASE64.encode(&value) }
        } else {
            Line { key, value: BASE64.encode(&stored.value) }
        };
        let line = serde_json::to_string(&line).map_err(|error| ServiceError::internal(error.to_string()))?;
        writeln!(records, "{line}").map_err(failed)?;
        count += 1;
    }
    let records = records.into_inner().map_err(|error| failed(error.into_error()))?;
    records.sync_all().map_err(failed)?;
    let mut blobs = 0;
    for (digest, _) in store.blobs.list().await? {
        let from = store.blobs.file(&digest).await?;
        let copy = to.join("blobs").join(digest.to_string());
        fs::copy(from, &copy).and_then(|_| fs::File::open(&copy)?.sync_all()).map_err(failed)?;
        blobs += 1;
    }
    let mut keys = 0;
    create_private(&to.join("keys")).map_err(failed)?;
    for file in data.and_then(|data| fs::read_dir(data.join("keys")).ok()).into_iter().flatten().flatten() {
        fs::copy(file.path(), to.join("keys").join(file.file_name())).map_err(failed)?;
        keys += 1;
    }
    if let Some(path) = log_key {
        let bytes = fs::read(path).map_err(|error| ServiceError::from(io_error(path, &error)))?;
        let mut file = private_file(&to.join(key_file::FILE)).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    let records_digest = digest_of_file(&to.join("records.jsonl"))?;
    let log_key = log_key.is_some();
    let created_ms = now_ms();
    let manifest = Manifest { format: FORMAT, created_ms, records: count, records_digest, blobs, keys, log_key };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| ServiceError::internal(error.to_string()))?;
    fs::write(to.join("manifest.json"), text).map_err(failed)?;
    Ok(manifest)
}

/// Puts a copy into an empty storage, and its key files into a data directory. Everything is checked against its digest.
///
/// # Errors
/// The storage is not empty, or the copy is damaged.
pub async fn restore(store: &Store, data: Option<&Path>, from: &Path) -> Result<Manifest, ServiceError> {
    let failed = |error: std::io::Error| ServiceError::from(io_error(from, &error));
    let damaged = |what: &str| ServiceError::invalid(format!("{}: {what}", from.display()));
    let manifest = fs::read(from.join("manifest.json")).map_err(failed)?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| damaged("the manifest does not decode"))?;
    if manifest.format != FORMAT {
        return Err(damaged("the copy has another format"));
    }
    if digest_of_file(&from.join("records.jsonl"))? != manifest.records_digest {
        return Err(damaged("the records are not those of the manifest"));
    }
    if !store.records.list("", &Page { limit: Some(1), ..Page::default() }).await?.is_empty() {
        return Err(ServiceError::invalid("the storage is not empty; restore into a new one"));
    }
    let mut blobs = 0;
    for file in fs::read_dir(from.join("blobs")).map_err(failed)?.flatten() {
        let bytes = fs::read(file.path()).map_err(failed)?;
        let digest = store.blobs.put(bytes).await?;
        if digest.to_string() != file.file_name().to_string_lossy() {
            return Err(damaged(&format!("blob {} is damaged", file.file_name().to_string_lossy())));
        }
        blobs += 1;
    }
    if blobs != manifest.blobs {
        return Err(damaged(&format!("{blobs} blobs are there, the manifest has {}", manifest.blobs)));
    }
    // Blobs first: a record never names what is not there.
    let lines = BufReader::new(fs::File::open(from.join("records.jsonl")).map_err(failed)?).lines();
    for line in lines {
        let line: Line =
            serde_json::from_str(&line.map_err(failed)?).map_err(|_| damaged("a record does not decode"))?;
        let value = BASE64.decode(&line.value).map_err(|_| damaged("a record does not decode"))?;
        store.records.put(&line.key, value, Expect::Absent).await?;
    }
    if let Some(data) = data {
        let keys = data.join("keys");
        create_private(&keys).map_err(failed)?;
        for file in fs::read_dir(from.join("keys")).into_iter().flatten().flatten() {
            fs::copy(file.path(), keys.join(file.file_name())).map_err(failed)?;
        }
        if manifest.log_key {
            let bytes = fs::read(from.join(key_file::FILE)).map_err(failed)?;
            let mut file = private_file(&data.join(key_file::FILE)).map_err(failed)?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        }
    }
    Ok(manifest)
}
