//! Looks up keys. Keys made with `vinfer keys` lie as one file each in the data directory, so that they can be made while
//! the service runs; with NATS they are records too. A key is hashed slowly once and then known by a keyed fast hash,
//! in memory only.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::key::{KeyRecord, NewKey, Scope, refused, split};
use crate::error::{Code, ServiceError};
use crate::ids::random;
use crate::store::embedded::io_error;
use crate::store::{Expect, Page, Records, Stored, get_record, list_records, put_record, update_record};

/// A known key is looked up again after so long, so that revoking works.
const TRUST: Duration = Duration::from_secs(1);
/// Known keys.
const KNOWN: usize = 10_000;
/// Slow hashes that may wait for one another.
const WAITING: usize = 32;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Public part of the key.
    pub key: String,
    /// Whom it stands for.
    pub tenant: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Demands a scope.
    ///
    /// # Errors
    /// The key has not got it.
    pub fn demand(&self, scope: Scope) -> Result<(), ServiceError> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(ServiceError::new(
            Code::PermissionDenied,
            format!("this needs a key with scope {}; `vinfer keys create --scope {}`", scope.name(), scope.name()),
        ))
    }
}

struct Known {
    record: KeyRecord,
    checked: Instant,
}

/// All keys.
pub struct Keyring {
    directory: PathBuf,
    records: Option<Arc<dyn Records>>,
    /// Key of the fast hash, of this process.
    pepper: [u8; 32],
    known: Mutex<HashMap<[u8; 32], Known>>,
    hashing: Arc<Semaphore>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Keyring {
    /// The keys of a data directory, and of the records where those are shared.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn open(data: &Path, records: Option<Arc<dyn Records>>) -> Result<Self, ServiceError> {
        Ok(Self {
            directory: key_directory(data),
            records,
            pepper: random()?,
            known: Mutex::default(),
            hashing: Arc::new(Semaphore::new(2)),
        })
    }

    async fn record(&self, id: &str) -> Result<Option<KeyRecord>, ServiceError> {
        if let Some(records) = &self.records
            && let Some(stored) = get_record::<KeyRecord>(records.as_ref(), &record_key(id)).await?
        {
            return Ok(Some(stored.value));
        }
        Ok(read_key(&self.directory, id))
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// Nobody's, or too many keys are being looked at.
    pub async fn authenticate(&self, text: &str) -> Result<Caller, ServiceError> {
        let (id, secret) = split(text).ok_or_else(refused)?;
        let name = *blake3::keyed_hash(&self.pepper, text.as_bytes()).as_bytes();
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&name).map(|known| (known.record.clone(), known.checked.elapsed() < TRUST))
        };
        let record = match known {
            Some((record, true)) => record,
            // The secret was right before; only the record may have changed.
            Some((before, false)) => match self.record(id).await? {
                Some(record) if record.hash == before.hash && !record.revoked => self.remember(name, record),
                _ => {
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                    return Err(refused());
                }
            },
            None => {
                let record = self.record(id).await?.filter(|record| !record.revoked).ok_or_else(refused)?;
                if !self.accepts(&record, secret).await? {
                    return Err(refused());
                }
                self.remember(name, record)
            }
        };
        Ok(Caller { key: record.id, tenant: record.tenant, scopes: record.scopes })
    }

    async fn accepts(&self, record: &KeyRecord, secret: &str) -> Result<bool, ServiceError> {
        let overloaded = || ServiceError::busy("too many keys are being checked", Duration::from_secs(1));
        if Arc::strong_count(&self.hashing) > WAITING {
            return Err(overloaded());
        }
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| overloaded())?;
        let (record, secret) = (record.clone(), secret.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            record.accepts(&secret)
        });
        checked.await.map_err(|error| ServiceError::internal(error.to_string()))?
    }

    fn remember(&self, name: [u8; 32], record: KeyRecord) -> KeyRecord {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(name, Known { record: record.clone(), checked: Instant::now() });
        record
    }
}

fn key_directory(data: &Path) -> PathBuf {
    data.join("keys")
}

fn record_key(id: &str) -> String {
    format!("key.{id}")
}

fn read_key(directory: &Path, id: &str) -> Option<KeyRecord> {
    let bytes = fs::read(directory.join(format!("{id}.json"))).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write_key(directory: &Path, record: &KeyRecord) -> Result<(), ServiceError> {
    let failed = |error: std::io::Error| ServiceError::from(io_error(directory, &error));
    create_private(directory).map_err(failed)?;
    let path = directory.join(format!("{}.json", record.id));
    let staged = directory.join(format!("{}.staged", record.id));
    let bytes = serde_json::to_vec_pretty(record).map_err(|error| ServiceError::internal(error.to_string()))?;
    let mut file = private_file(&staged).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&staged, &path).map_err(failed)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// A directory that only its owner reads.
pub(crate) fn create_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// A new file that only its owner reads.
pub(crate) fn private_file(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Makes a key and stores what is to be stored of it.
///
/// # Errors
/// The tenant has no valid name, or the storage fails.
pub async fn create_key(
    data: &Path,
    records: Option<&dyn Records>,
    tenant: &str,
    scopes: &[Scope],
) -> Result<NewKey, ServiceError> {
    let key = NewKey::draw(tenant, scopes)?;
    match records {
        Some(records) => {
            put_record(records, &record_key(&key.record.id), &key.record, Expect::Absent).await?;
        }
        None => write_key(&key_directory(data), &key.record)?,
    }
    Ok(key)
}

/// All keys, oldest first.
///
/// # Errors
/// The storage fails.
pub async fn list_keys(data: Option<&Path>, records: Option<&dyn Records>) -> Result<Vec<KeyRecord>, ServiceError> {
    let mut keys = Vec::new();
    if let Some(records) = records {
        let listed: Vec<(String, Stored<KeyRecord>)> = list_records(records, "key.", &Page::default()).await?;
        keys.extend(listed.into_iter().map(|(_, stored)| stored.value));
    }
    let directory = data.map(key_directory).unwrap_or_default();
    let files = data.and_then(|_| fs::read_dir(&directory).ok()).into_iter().flatten().flatten();
    let name = |file: &fs::DirEntry| file.file_name().to_string_lossy().strip_suffix(".json").map(str::to_owned);
    keys.extend(files.filter_map(|file| read_key(&directory, &name(&file)?)));
    keys.sort_by_key(|key| key.created_ms);
    Ok(keys)
}

/// Revokes a key; it stops working within a second.
///
/// # Errors
/// There is no such key, or the storage fails.
pub async fn revoke_key(data: &Path, records: Option<&dyn Records>, id: &str) -> Result<KeyRecord, ServiceError> {
    let key = record_key(id);
    if let Some(records) = records
        && crate::store::check_key(&key).is_ok()
    {
        let revoked = update_record::<KeyRecord, ServiceError>(records, &key, |key| {
            key.revoked = true;
            Ok(())
        });
        if let Some(revoked) = revoked.await? {
            return revoked;
        }
    }
    let directory = key_directory(data);
    let plain = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let record = plain.then(|| read_key(&directory, id)).flatten();
    let mut record = record
        .ok_or_else(|| ServiceError::not_found(format!("there is no key `{id}`; `vinfer keys list` shows the keys")))?;
    record.revoked = true;
    write_key(&directory, &record)?;
    Ok(record)
}
