//! Records as JSON values of one type.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Expect, Page, Records, StoreError, Versioned};

/// Times a change is tried again when another writer was faster.
const TRIES: usize = 32;

/// A decoded record.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: u64,
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, stored: &Versioned) -> Result<Stored<T>, StoreError> {
    let value = serde_json::from_slice(&stored.value)
        .map_err(|error| StoreError::Record { key: key.to_owned(), reason: error.to_string() })?;
    Ok(Stored { value, revision: stored.revision })
}

fn encode<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Record { key: key.to_owned(), reason: error.to_string() })
}

/// Reads a record.
///
/// # Errors
/// [`StoreError`].
pub async fn get_record<T: DeserializeOwned>(
    records: &dyn Records,
    key: &str,
) -> Result<Option<Stored<T>>, StoreError> {
    records.get(key).await?.map(|stored| decode(key, &stored)).transpose()
}

/// Writes a record if it is as expected.
///
/// # Errors
/// [`StoreError::Conflict`] if it is not.
pub async fn put_record<T: Serialize + Sync>(
    records: &dyn Records,
    key: &str,
    value: &T,
    expect: Expect,
) -> Result<u64, StoreError> {
    records.put(key, encode(key, value)?, expect).await
}

/// Deletes a record if it is at the revision.
///
/// # Errors
/// [`StoreError::Conflict`] if it is not.
pub async fn delete_record(records: &dyn Records, key: &str, revision: u64) -> Result<(), StoreError> {
    records.delete(key, revision).await
}

/// Decoded records under a prefix.
///
/// # Errors
/// [`StoreError`].
pub async fn list_records<T: DeserializeOwned>(
    records: &dyn Records,
    prefix: &str,
    page: &Page,
) -> Result<Vec<(String, Stored<T>)>, StoreError> {
    let listed = records.list(prefix, page).await?;
    listed.into_iter().map(|(key, stored)| decode(&key, &stored).map(|value| (key, value))).collect()
}

/// Reads, changes and writes a record, again if another writer was faster. `change` answers `Err` to leave it as it is.
///
/// # Errors
/// The outer one is the storage's, the inner one is `change`'s; a record that does not exist gives `Ok(None)`.
pub async fn update_record<T, E>(
    records: &dyn Records,
    key: &str,
    mut change: impl FnMut(&mut T) -> Result<(), E> + Send,
) -> Result<Option<Result<T, E>>, StoreError>
where
    T: Serialize + DeserializeOwned + Send + Sync,
    E: Send,
{
    for _ in 0..TRIES {
        let Some(mut stored) = get_record::<T>(records, key).await? else {
            return Ok(None);
        };
        if let Err(error) = change(&mut stored.value) {
            return Ok(Some(Err(error)));
        }
        match put_record(records, key, &stored.value, Expect::Revision(stored.revision)).await {
            Ok(_) => return Ok(Some(Ok(stored.value))),
            Err(StoreError::Conflict) => tokio::task::yield_now().await,
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict)
}
