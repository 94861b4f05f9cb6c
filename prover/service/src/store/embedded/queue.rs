//! The queue in memory. What a process that ends leaves behind is queued again from the records of its jobs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::store::{Delivery, Queue, StoreError, Work};

/// Order of waiting work: priority first, then age.
type Place = (u8, u64);

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Place, Work>,
    /// Key to its place, so that work queued twice waits once.
    places: HashMap<String, Place>,
    /// Work handed out, and when it is handed out again.
    taken: HashMap<u64, (Work, Instant)>,
    next: u64,
}

impl State {
    fn add(&mut self, work: Work) {
        if self.places.contains_key(&work.key) {
            return;
        }
        let place = (u8::MAX - work.priority, self.next);
        self.next += 1;
        self.places.insert(work.key.clone(), place);
        self.waiting.insert(place, work);
    }

    /// Queues again what was handed out and not answered, and what was put off until now.
    fn give_back(&mut self, now: Instant) {
        let late: Vec<u64> = self.taken.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        for id in late {
            if let Some((work, _)) = self.taken.remove(&id) {
                self.add(work);
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Notify,
    patience: Duration,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work by priority and age.
#[derive(Debug, Clone)]
pub struct MemoryQueue(Arc<Shared>);

impl MemoryQueue {
    /// An empty queue; work not answered for `patience` is handed out again.
    pub fn new(patience: Duration) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), arrived: Notify::new(), patience }))
    }

    fn take(&self, max: usize) -> Vec<Box<dyn Delivery>> {
        let now = Instant::now();
        let mut state = self.0.state();
        state.give_back(now);
        let mut taken: Vec<Box<dyn Delivery>> = Vec::new();
        while taken.len() < max
            && let Some((_, work)) = state.waiting.pop_first()
        {
            state.places.remove(&work.key);
            let id = state.next;
            state.next += 1;
            state.taken.insert(id, (work.clone(), now + self.0.patience));
            taken.push(Box::new(Taken { shared: Arc::clone(&self.0), id, work }));
        }
        taken
    }
}

struct Taken {
    shared: Arc<Shared>,
    id: u64,
    work: Work,
}

#[async_trait]
impl Delivery for Taken {
    fn work(&self) -> &Work {
        &self.work
    }

    async fn ack(&self) -> Result<(), StoreError> {
        self.shared.state().taken.remove(&self.id);
        Ok(())
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        let mut state = self.shared.state();
        if delay.is_zero() {
            if let Some((work, _)) = state.taken.remove(&self.id) {
                state.add(work);
                drop(state);
                self.shared.arrived.notify_one();
            }
        } else if let Some((_, until)) = state.taken.get_mut(&self.id) {
            *until = Instant::now() + delay;
        }
        Ok(())
    }

    async fn progress(&self) -> Result<(), StoreError> {
        let until = Instant::now() + self.shared.patience;
        if let Some(taken) = self.shared.state().taken.get_mut(&self.id) {
            taken.1 = until;
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, work: Work) -> Result<(), StoreError> {
        self.0.state().add(work);
        self.0.arrived.notify_one();
        Ok(())
    }

    async fn pull(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, StoreError> {
        const LOOK_AGAIN: Duration = Duration::from_millis(200);
        let until = Instant::now() + wait;
        loop {
            let taken = self.take(max);
            let now = Instant::now();
            if !taken.is_empty() {
                // Another puller may have slept through the notice of what is left.
                self.0.arrived.notify_one();
                return Ok(taken);
            }
            if now >= until {
                return Ok(taken);
            }
            let _ = tokio::time::timeout(LOOK_AGAIN.min(until - now), self.0.arrived.notified()).await;
        }
    }

    async fn depth(&self) -> Result<u64, StoreError> {
        let state = self.0.state();
        Ok((state.waiting.len() + state.taken.len()) as u64)
    }
}
