//! Models by name, and those loaded to run.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::{Notify, OnceCell};

use super::model_key;
use super::record::{Model, ModelState, Ready};
use crate::engine::Runner;
use crate::error::{Code, ServiceError};
use crate::ids::{Digest, check_name, now_ms};
use crate::store::{
    Change, Expect, Page, Store, StoreError, Stored, WatchEvent, get_record, list_records, put_record, token,
    update_record,
};

/// Models kept loaded to run.
const LOADED: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A model's record and when this process saw it change last.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) model: Arc<Model>,
    pub(crate) revision: u64,
    pub(crate) at: Instant,
}

struct Inner {
    store: Store,
    provider: Option<String>,
    known: Mutex<HashMap<String, Seen>>,
    loaded: Mutex<LruCache<Digest, Arc<OnceCell<Arc<Runner>>>>>,
    changed: Notify,
}

/// Models.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl Shelf {
    /// Opens the shelf; every tenant may use the models of `provider`.
    ///
    /// # Errors
    /// The storage does not answer.
    pub async fn open(store: Store, provider: Option<String>) -> Result<Self, StoreError> {
        let mut events = store.records.watch("model.").await?;
        let inner = Inner {
            store,
            provider,
            known: Mutex::default(),
            loaded: Mutex::new(LruCache::new(LOADED)),
            changed: Notify::new(),
        };
        let shelf = Self(Arc::new(inner));
        while let Some(event) = events.recv().await {
            match event {
                WatchEvent::Change(change) => shelf.learn(&change),
                WatchEvent::CaughtUp => break,
            }
        }
        let following = shelf.clone();
        shelf.0.store.follow("model.", events, move |change| following.learn(change));
        Ok(shelf)
    }

    /// The storage.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, change: &Change) {
        let mut known = self.known();
        match &change.value {
            None => {
                known.remove(&change.key);
            }
            Some(stored) => match serde_json::from_slice::<Model>(&stored.value) {
                Ok(model) => {
                    if known.get(&change.key).is_none_or(|seen| seen.revision < stored.revision) {
                        let seen = Seen { model: Arc::new(model), revision: stored.revision, at: Instant::now() };
                        known.insert(change.key.clone(), seen);
                    }
                }
                Err(error) => tracing::error!(key = change.key, %error, "model record does not decode"),
            },
        }
        drop(known);
        self.0.changed.notify_waiters();
    }

    /// Every known model.
    pub(crate) fn all(&self) -> Vec<(String, Seen)> {
        self.known().iter().map(|(key, seen)| (key.clone(), seen.clone())).collect()
    }

    /// Waits for a change of any model, or for so long.
    pub(crate) async fn changed(&self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.0.changed.notified()).await;
    }

    /// Stores a model under a name; `true` if it is new.
    ///
    /// # Errors
    /// The name stands for another file.
    pub async fn add(
        &self,
        tenant: &str,
        name: &str,
        digest: Digest,
        bytes: u64,
    ) -> Result<(Arc<Model>, bool), ServiceError> {
        let model = Model {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            digest,
            bytes,
            state: ModelState::Uploaded,
            created_ms: now_ms(),
            ready: None,
            failure: None,
            instance: None,
            heartbeat: 0,
            attempts: 0,
        };
        let key = model_key(tenant, name);
        let records = self.store().records.as_ref();
        match put_record(records, &key, &model, Expect::Absent).await {
            Ok(_) => return Ok((Arc::new(model), true)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let existing: Option<Stored<Model>> = get_record(records, &key).await?;
        let existing = existing.ok_or(StoreError::Conflict)?.value;
        if existing.digest != digest {
            return Err(ServiceError::new(
                Code::Conflict,
                format!(
                    "`{name}` is another model already ({}); models are immutable, use another name",
                    existing.digest
                ),
            ));
        }
        // What failed may have failed for limits that were raised since.
        if existing.state == ModelState::Failed {
            let again = update_record::<Model, ()>(records, &key, |model| {
                model.state = ModelState::Uploaded;
                model.failure = None;
                model.attempts = 0;
                Ok(())
            });
            if let Some(Ok(model)) = again.await? {
                return Ok((Arc::new(model), false));
            }
        }
        Ok((Arc::new(existing), false))
    }

    /// A model that the tenant may use: its own, or the provider's.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn find(&self, tenant: &str, name: &str) -> Result<Arc<Model>, ServiceError> {
        // No model has a name that is none.
        let owners = std::iter::once(tenant).chain(self.0.provider.as_deref());
        for owner in owners.filter(|_| check_name("the model's name", name).is_ok()) {
            let key = model_key(owner, name);
            if let Some(seen) = self.known().get(&key) {
                return Ok(Arc::clone(&seen.model));
            }
            if let Some(stored) = get_record::<Model>(self.store().records.as_ref(), &key).await? {
                return Ok(Arc::new(stored.value));
            }
        }
        let shown: String = name.chars().take(64).collect();
        Err(ServiceError::not_found(format!("there is no model `{shown}`; POST /v1/models?name={shown} uploads one")))
    }

    /// A tenant's own model with its keys, asking the storage where what is known has none.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) async fn fresh(&self, tenant: &str, name: &str) -> Result<Arc<Model>, ServiceError> {
        let key = model_key(tenant, name);
        let known = self.known().get(&key).map(|seen| Arc::clone(&seen.model));
        if let Some(model) = known.filter(|model| model.ready.is_some()) {
            return Ok(model);
        }
        let stored: Option<Stored<Model>> = get_record(self.store().records.as_ref(), &key).await?;
        let stored = stored.ok_or_else(|| ServiceError::not_found(format!("model `{name}` is gone")))?;
        Ok(Arc::new(stored.value))
    }

    /// Models that the tenant may use, by name.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn list(&self, tenant: &str) -> Result<Vec<Model>, ServiceError> {
        let mut models = Vec::new();
        let provider = self.0.provider.as_deref().filter(|provider| *provider != tenant);
        for owner in std::iter::once(tenant).chain(provider) {
            let prefix = format!("model.{}.", token(owner));
            let listed = list_records::<Model>(self.store().records.as_ref(), &prefix, &Page::default()).await?;
            models.extend(listed.into_iter().map(|(_, stored)| stored.value));
        }
        Ok(models)
    }

    /// Takes a tenant's own model out of service.
    ///
    /// # Errors
    /// There is none.
    pub async fn disable(&self, tenant: &str, name: &str) -> Result<Model, ServiceError> {
        let missing =
            || ServiceError::not_found(format!("you have no model `{}`", name.chars().take(64).collect::<String>()));
        check_name("the model's name", name).map_err(|_| missing())?;
        let key = model_key(tenant, name);
        let disabled = update_record::<Model, ServiceError>(self.store().records.as_ref(), &key, |model| {
            model.state = ModelState::Disabled;
            Ok(())
        });
        disabled.await?.ok_or_else(missing)?
    }

    /// What setup made of a model that is ready.
    ///
    /// # Errors
    /// The model is not ready.
    pub fn ready(model: &Model) -> Result<&Ready, ServiceError> {
        let why = match model.state {
            ModelState::Ready => None,
            ModelState::Uploaded | ModelState::Compiling => Some("is being compiled; try again shortly".to_owned()),
            ModelState::Disabled => Some("is disabled".to_owned()),
            ModelState::Failed => {
                Some(format!("does not compile: {}", model.failure.as_deref().unwrap_or("unknown reason")))
            }
        };
        match (why, &model.ready) {
            (None, Some(ready)) => Ok(ready),
            (why, _) => {
                let why = why.unwrap_or_else(|| "has no keys".to_owned());
                let mut error = ServiceError::new(Code::FailedPrecondition, format!("model `{}` {why}", model.name));
                if matches!(model.state, ModelState::Uploaded | ModelState::Compiling) {
                    error.retry_after = Some(Duration::from_secs(1));
                }
                Err(error)
            }
        }
    }

    /// A model loaded to run.
    ///
    /// # Errors
    /// It is not ready, or its files are damaged.
    pub async fn runner(&self, model: &Model) -> Result<Arc<Runner>, ServiceError> {
        let ready = Self::ready(model)?;
        let cell = {
            let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loaded.get_or_insert(ready.vk, Arc::default))
        };
        let load = || async {
            let program = self.store().blobs.get(&ready.program).await?;
            let vk = self.store().blobs.get(&ready.vk).await?;
            let runner = tokio::task::spawn_blocking(move || Runner::new(&program, &vk)).await;
            runner.map_err(|error| ServiceError::internal(error.to_string()))?.map(Arc::new)
        };
        cell.get_or_try_init(load).await.map(Arc::clone)
    }
}
