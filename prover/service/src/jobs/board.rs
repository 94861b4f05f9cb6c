//! What every process knows of the jobs that are not final: from the storage's changes, for limits, for waiting, and for
//! finding leases that ended.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::{mpsc, watch};

use super::activity::Activity;
use super::job::{Job, Proof, State};
use crate::ids::now_ms;
use crate::store::{Change, Store, StoreError, WatchEvent};

/// Jobs that are known to be counted.
const COUNTED: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// A job that is not final.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(crate) tenant: String,
    pub(crate) state: State,
    pub(crate) priority: u8,
    pub(crate) deadline_ms: Option<u64>,
    /// Process of the lease's worker.
    pub(crate) instance: Option<String>,
    /// When this process saw the record change last, by the monotonic clock.
    pub(crate) seen: Instant,
    pub(crate) revision: u64,
}

/// Jobs that are not final.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting for a worker.
    pub queued: usize,
    /// Being proven.
    pub proving: usize,
}

impl Counts {
    /// Both.
    pub const fn active(self) -> usize {
        self.queued + self.proving
    }

    fn of(&mut self, state: State) -> Option<&mut usize> {
        match state {
            State::Queued => Some(&mut self.queued),
            State::Proving => Some(&mut self.proving),
            State::Done | State::Failed | State::Cancelled => None,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    active: HashMap<String, Active>,
    tenants: HashMap<String, Counts>,
    total: Counts,
    watched: HashMap<String, watch::Sender<u64>>,
    /// Whether the storage is telling what exists: a job is told once then, and a final one was not counted before.
    catching_up: bool,
    /// Jobs counted lately, as a change may be told twice.
    counted: Option<LruCache<String, ()>>,
    activity: HashMap<String, Activity>,
    all_activity: Activity,
}

impl Known {
    fn count(&mut self, tenant: &str, state: State, add: bool) {
        let tenant_counts = self.tenants.entry(tenant.to_owned()).or_default();
        for counts in [tenant_counts, &mut self.total] {
            if let Some(count) = counts.of(state) {
                *count = if add { *count + 1 } else { count.saturating_sub(1) };
            }
        }
        if self.tenants.get(tenant).is_some_and(|counts| counts.active() == 0) {
            self.tenants.remove(tenant);
        }
    }

    /// Whether the job was known.
    fn remove(&mut self, key: &str) -> bool {
        let old = self.active.remove(key);
        if let Some(old) = &old {
            self.count(&old.tenant, old.state, false);
        }
        old.is_some()
    }

    /// Counts a job that reached its end, once.
    fn ended(&mut self, key: &str, job: &Job) {
        let counted = self.counted.get_or_insert_with(|| LruCache::new(COUNTED));
        if counted.put(key.to_owned(), ()).is_some() {
            return;
        }
        let now = now_ms();
        self.all_activity.add(job, now);
        self.activity.entry(job.tenant.clone()).or_default().add(job, now);
    }
}

/// The jobs that are not final.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Known>>);

impl Board {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the storage's jobs; returns when every job that exists now is known. Reconnects when the storage fails.
    ///
    /// # Errors
    /// The storage does not answer now.
    pub async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        self.known().catching_up = true;
        let mut events = store.records.watch("job.").await?;
        self.catch_up(&mut events).await;
        let (board, store) = (self.clone(), store.clone());
        tokio::spawn(async move {
            loop {
                while let Some(event) = events.recv().await {
                    board.hear(event);
                }
                tracing::warn!("lost the watch on jobs; watching again");
                tokio::time::sleep(Duration::from_millis(200)).await;
                if let Ok(again) = store.records.watch("job.").await {
                    board.forget();
                    events = again;
                }
            }
        });
        Ok(())
    }

    async fn catch_up(&self, events: &mut mpsc::Receiver<WatchEvent>) {
        while let Some(event) = events.recv().await {
            let caught_up = event == WatchEvent::CaughtUp;
            self.hear(event);
            if caught_up {
                return;
            }
        }
    }

    /// Drops everything but who waits: the watch tells it all again.
    fn forget(&self) {
        let mut known = self.known();
        known.active.clear();
        known.tenants.clear();
        known.total = Counts::default();
        known.activity.clear();
        known.counted = None;
        known.all_activity = Activity::default();
        known.catching_up = true;
    }

    fn hear(&self, event: WatchEvent) {
        match event {
            WatchEvent::Change(change) => self.learn(&change),
            WatchEvent::CaughtUp => self.known().catching_up = false,
        }
    }

    /// Takes note of a change. Changes are also told by whoever makes them, so that limits count at once.
    pub(crate) fn learn(&self, change: &Change) {
        let job = change.value.as_ref().and_then(|stored| serde_json::from_slice::<Job>(&stored.value).ok());
        let revision = change.value.as_ref().map_or(u64::MAX, |stored| stored.revision);
        self.note(&change.key, job.as_ref(), revision);
    }

    pub(crate) fn note(&self, key: &str, job: Option<&Job>, revision: u64) {
        let mut known = self.known();
        if known.active.get(key).is_some_and(|old| old.revision >= revision) {
            return;
        }
        let was_active = known.remove(key);
        if let Some(job) = job.filter(|job| job.state().is_final() && (was_active || known.catching_up)) {
            known.ended(key, job);
        }
        if let Some(job) = job.filter(|job| !job.state().is_final()) {
            known.count(&job.tenant, job.state(), true);
            known.active.insert(
                key.to_owned(),
                Active {
                    tenant: job.tenant.clone(),
                    state: job.state(),
                    priority: job.priority,
                    deadline_ms: job.deadline_ms,
                    instance: job.lease.as_ref().filter(|_| job.proof == Proof::Leased).map(|l| l.instance.clone()),
                    seen: Instant::now(),
                    revision,
                },
            );
        }
        let unheard = match known.watched.get(key) {
            Some(watched) if watched.receiver_count() > 0 => {
                watched.send_replace(revision);
                false
            }
            Some(_) => true,
            None => false,
        };
        if unheard {
            known.watched.remove(key);
        }
    }

    /// Tells of every later change of a job.
    pub fn watch(&self, key: &str) -> watch::Receiver<u64> {
        let mut known = self.known();
        if known.watched.len() > 1024 {
            known.watched.retain(|_, watched| watched.receiver_count() > 0);
        }
        known.watched.entry(key.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Jobs of all tenants.
    pub fn total(&self) -> Counts {
        self.known().total
    }

    /// Jobs of one tenant.
    pub fn of_tenant(&self, tenant: &str) -> Counts {
        self.known().tenants.get(tenant).copied().unwrap_or_default()
    }

    /// What has become of one tenant's jobs lately, or of all tenants'.
    pub fn activity(&self, tenant: Option<&str>) -> Activity {
        let known = self.known();
        let activity = match tenant {
            None => Some(&known.all_activity),
            Some(tenant) => known.activity.get(tenant),
        };
        activity.cloned().unwrap_or_default().at(now_ms())
    }

    /// All of them.
    pub(crate) fn active(&self) -> Vec<(String, Active)> {
        self.known().active.iter().map(|(key, active)| (key.clone(), active.clone())).collect()
    }
}
