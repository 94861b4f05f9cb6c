//! Where the log's secret key lies: in a file of its own that only its owner reads, and not in the storage, so that copies of the
//! storage cannot sign. The storage holds the public keys.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{PublicKey, Signer};
use crate::auth::private_file;
use crate::error::{Code, ServiceError};
use crate::ids::{Digest, random};
use crate::store::embedded::io_error;
use crate::store::{Expect, Store, StoreError, Stored, delete_record, get_record, put_record};

/// Name of the file in a data directory.
pub const FILE: &str = "log.key";
/// Record of the public keys.
pub(crate) const PUBLIC: &str = "logkey.public";
/// Record in which earlier versions kept the secret.
pub(crate) const SECRET: &str = "logkey.ed25519";

/// The public keys of a log; the last one signs, earlier ones signed earlier heads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PublicKeys(pub Vec<PublicKey>);

impl PublicKeys {
    /// The one that signs.
    pub fn current(&self) -> Option<PublicKey> {
        self.0.last().copied()
    }
}

/// The public keys that a storage names.
///
/// # Errors
/// The storage does not answer.
pub async fn public_keys(store: &Store) -> Result<PublicKeys, StoreError> {
    let records = store.records.as_ref();
    if let Some(keys) = get_record::<PublicKeys>(records, PUBLIC).await? {
        return Ok(keys.value);
    }
    let secret = get_record::<Digest>(records, SECRET).await?;
    Ok(PublicKeys(secret.map(|secret| Signer::new(&secret.value.0).public()).into_iter().collect()))
}

/// The secret in a file; `None` if there is no file.
fn read(path: &Path) -> Result<Option<[u8; 32]>, ServiceError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let secret = text.trim().parse::<Digest>();
            let secret = secret.map_err(|_| {
                ServiceError::invalid(format!(
                    "{} is no key of the log: expected 64 hexadecimal digits",
                    path.display()
                ))
            })?;
            Ok(Some(secret.0))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ServiceError::invalid(format!("the log's key {}: {error}", path.display()))),
    }
}

/// Writes the file, whole or not at all.
pub(crate) fn write(path: &Path, secret: &[u8; 32]) -> Result<(), ServiceError> {
    let failed = |error: std::io::Error| ServiceError::from(io_error(path, &error));
    let staged = path.with_extension("staged");
    let mut file = private_file(&staged).map_err(failed)?;
    writeln!(file, "{}", Digest(*secret)).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&staged, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn missing(path: &Path, public: PublicKey) -> ServiceError {
    ServiceError::new(
        Code::FailedPrecondition,
        format!(
            "{} with the secret key of the transparency log is missing; the log's public key is {public}. Copy the file \
             from another gateway or from a copy made with `vinfer backup --with-keys`; if it is lost, `vinfer log new-key` \
             begins a new key, which clients have to be told",
            path.display()
        ),
    )
}

/// The signer of a storage's log. Moves a secret that an earlier version kept in the storage into the file; draws one for a new
/// log.
///
/// # Errors
/// The file is missing or another log's, or the storage does not answer.
pub async fn signer(store: &Store, path: &Path) -> Result<Signer, ServiceError> {
    let records = store.records.as_ref();
    for _ in 0..3 {
        let known: Option<Stored<PublicKeys>> = get_record(records, PUBLIC).await?;
        let old: Option<Stored<Digest>> = get_record(records, SECRET).await?;
        let file = read(path)?;
        let current = known.as_ref().and_then(|known| known.value.current());
        let (secret, drawn) = match (file, current, &old) {
            (Some(secret), _, _) => (secret, false),
            (None, Some(public), None) => return Err(missing(path, public)),
            (None, _, Some(old)) => {
                write(path, &old.value.0)?;
                tracing::info!(path = %path.display(), "the log's key was moved out of the storage");
                (old.value.0, false)
            }
            (None, None, None) => {
                let secret = random()?;
                write(path, &secret)?;
                (secret, true)
            }
        };
        let signer = Signer::new(&secret);
        let public = signer.public();
        let expected = current.or(old.as_ref().map(|old| Signer::new(&old.value.0).public()));
        if let Some(expected) = expected.filter(|expected| *expected != public) {
            return Err(ServiceError::new(
                Code::FailedPrecondition,
                format!(
                    "{} is not the key of this log: it signs as {public}, the log's key is {expected}",
                    path.display()
                ),
            ));
        }
        if current.is_none() {
            match put_record(records, PUBLIC, &PublicKeys(vec![public]), Expect::Absent).await {
                Ok(_) => {}
                Err(StoreError::Conflict) => {
                    // Another gateway was faster; what was drawn here signs nothing.
                    if drawn {
                        let _ = fs::remove_file(path);
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(old) = old {
            match delete_record(records, SECRET, old.revision).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(signer);
    }
    Err(ServiceError::internal("the log's key cannot be stored"))
}

/// Begins a new key, for a log whose secret is lost.
///
/// # Errors
/// There is a file already, or the storage does not answer.
pub async fn new_key(store: &Store, path: &Path) -> Result<PublicKey, ServiceError> {
    if path.exists() {
        return Err(ServiceError::invalid(format!("{} is there; move it away first", path.display())));
    }
    let secret = random()?;
    let public = Signer::new(&secret).public();
    let records = store.records.as_ref();
    let known: Option<Stored<PublicKeys>> = get_record(records, PUBLIC).await?;
    let expect = known.as_ref().map_or(Expect::Absent, |known| Expect::Revision(known.revision));
    let mut keys = public_keys(store).await?;
    keys.0.push(public);
    write(path, &secret)?;
    put_record(records, PUBLIC, &keys, expect).await?;
    if let Some(old) = get_record::<Digest>(records, SECRET).await? {
        delete_record(records, SECRET, old.revision).await?;
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::embedded;

    #[tokio::test]
    async fn a_secret_in_the_storage_moves_to_a_file_of_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let store = embedded::open(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        put_record(store.records.as_ref(), SECRET, &Digest([7; 32]), Expect::Absent).await.unwrap();
        let public = Signer::new(&[7; 32]).public();
        assert_eq!(public_keys(&store).await.unwrap().current(), Some(public));
        assert_eq!(signer(&store, &path).await.unwrap().public(), public);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(get_record::<Digest>(store.records.as_ref(), SECRET).await.unwrap().is_none());
        assert_eq!(public_keys(&store).await.unwrap().current(), Some(public));
        assert_eq!(signer(&store, &path).await.unwrap().public(), public);
    }

    #[tokio::test]
    async fn a_missing_or_foreign_file_is_refused_and_a_lost_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let store = embedded::open(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        let first = signer(&store, &path).await.unwrap().public();
        assert!(new_key(&store, &path).await.is_err());
        fs::rename(&path, directory.path().join("away")).unwrap();
        assert!(signer(&store, &path).await.unwrap_err().message.contains(&first.to_string()));
        write(&path, &[9; 32]).unwrap();
        assert!(signer(&store, &path).await.unwrap_err().message.contains("not the key of this log"));
        fs::write(&path, "no key").unwrap();
        assert!(signer(&store, &path).await.is_err());
        fs::remove_file(&path).unwrap();
        let second = new_key(&store, &path).await.unwrap();
        assert_eq!(signer(&store, &path).await.unwrap().public(), second);
        assert_eq!(public_keys(&store).await.unwrap().0, [first, second]);
    }
}
