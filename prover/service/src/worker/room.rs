//! Memory: which keys stay loaded, and which proofs may start.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::Notify;

use crate::ids::Digest;

struct Held<K> {
    key: Arc<K>,
    bytes: u64,
}

struct Ledger<K> {
    running: u64,
    keys: LruCache<Digest, Held<K>>,
}

impl<K> Ledger<K> {
    fn idle(&self) -> u64 {
        self.keys.iter().filter(|(_, held)| Arc::strong_count(&held.key) == 1).map(|(_, held)| held.bytes).sum()
    }
}

/// Memory of all workers of a process, and the keys loaded in it.
pub struct KeyRoom<K> {
    budget: u64,
    /// Bytes of running proofs, also for those who do not know the type of keys.
    running_bytes: Arc<AtomicU64>,
    ledger: Mutex<Ledger<K>>,
    freed: Notify,
}

/// Memory set aside for one proof.
pub struct Room<K> {
    room: Arc<KeyRoom<K>>,
    bytes: u64,
}

impl<K> std::fmt::Debug for KeyRoom<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRoom").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl<K> std::fmt::Debug for Room<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<K> KeyRoom<K> {
    /// Most keys kept loaded.
    const KEYS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

    /// With so many bytes in all.
    pub fn new(budget: u64) -> Arc<Self> {
        let ledger = Ledger { running: 0, keys: LruCache::new(Self::KEYS) };
        Arc::new(Self { budget, running_bytes: Arc::default(), ledger: Mutex::new(ledger), freed: Notify::new() })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<K>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes in all.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Bytes set aside for running proofs, as they change.
    pub fn running_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.running_bytes)
    }

    /// Bytes set aside for running proofs.
    pub fn running(&self) -> u64 {
        self.ledger().running
    }

    /// Sets memory aside, unloading idle keys and waiting for other proofs where needed; `None` if it never fits.
    pub async fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Room<K>> {
        if bytes > self.budget {
            return None;
        }
        loop {
            let freed = self.freed.notified();
            if self.try_reserve(bytes) {
                return Some(Room { room: Arc::clone(self), bytes });
            }
            freed.await;
        }
    }

    fn try_reserve(&self, bytes: u64) -> bool {
        let mut ledger = self.ledger();
        if ledger.running + bytes > self.budget {
            return false;
        }
        while ledger.running + ledger.idle() + bytes > self.budget {
            let oldest = ledger.keys.iter().rev().find(|(_, held)| Arc::strong_count(&held.key) == 1);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else { break };
            ledger.keys.pop(&oldest);
        }
        ledger.running += bytes;
        self.running_bytes.store(ledger.running, Ordering::Relaxed);
        true
    }

    /// A loaded key.
    pub fn get(&self, digest: &Digest) -> Option<Arc<K>> {
        self.ledger().keys.get(digest).map(|held| Arc::clone(&held.key))
    }

    /// Keeps a key of so many bytes loaded, while there is room.
    pub fn keep(&self, digest: Digest, key: Arc<K>, bytes: u64) {
        self.ledger().keys.put(digest, Held { key, bytes });
    }
}

impl<K> Drop for Room<K> {
    fn drop(&mut self) {
        let mut ledger = self.room.ledger();
        ledger.running = ledger.running.saturating_sub(self.bytes);
        self.room.running_bytes.store(ledger.running, Ordering::Relaxed);
        drop(ledger);
        self.room.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_never_fits_is_refused_and_idle_keys_make_room() {
        let room = KeyRoom::<u8>::new(100);
        assert!(room.reserve(101).await.is_none());
        let digest = Digest::of(b"key");
        room.keep(digest, Arc::new(1), 60);
        let first = room.reserve(40).await.unwrap();
        assert!(room.get(&digest).is_some());
        let second = room.reserve(50).await.unwrap();
        assert!(room.get(&digest).is_none(), "the idle key was unloaded");
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), room.reserve(20));
        assert!(third.await.is_err(), "no room while both run");
        drop(first);
        assert!(room.reserve(20).await.is_some());
        drop(second);
        assert_eq!(room.running(), 0);
    }
}
