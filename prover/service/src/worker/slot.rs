//! One proof after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::room::KeyRoom;
use crate::config::Proving;
use crate::engine::{Engine, Made, Task};
use crate::error::ServiceError;
use crate::ids::Digest;
use crate::jobs::{Desk, Failure, FailureCause, Finish, Job, LeaseError, Proved, State, Ticket, job_key};
use crate::log::{LogBook, Verdict, new_leaf};
use crate::metrics::Metrics;
use crate::models::{Ready, Shelf};
use crate::store::Delivery;

/// Keys beyond this many bytes are proven on all cores, one proof at a time profits from it; smaller ones each on one.
const MANY_CORES: u64 = 16 << 20;
/// How long a worker waits before it looks at the storage again.
const PULL: Duration = Duration::from_millis(500);

/// What the workers of one process share.
pub struct Worker<E: Engine> {
    /// Jobs.
    pub desk: Desk,
    /// Models.
    pub shelf: Shelf,
    /// Proof system.
    pub engine: E,
    /// Memory and keys.
    pub room: Arc<KeyRoom<E::Key>>,
    /// Settings.
    pub proving: Proving,
    /// Transparency log.
    pub log: LogBook,
    /// Numbers.
    pub metrics: Metrics,
    /// Most tasks that the engine proves together with profit.
    pub batch: usize,
}

/// One job of a batch.
struct Held {
    job: Job,
    ticket: Ticket,
    delivery: Box<dyn Delivery>,
}

/// Running workers.
pub struct Workers {
    stop: Arc<AtomicBool>,
    stopped: Arc<Notify>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts `count` workers.
    pub fn start<E: Engine>(worker: Arc<Worker<E>>, count: usize) -> Self {
        let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let tasks = (0..count)
            .map(|number| {
                let (worker, stop, stopped) = (Arc::clone(&worker), Arc::clone(&stop), Arc::clone(&stopped));
                tokio::spawn(async move { worker.run(&format!("worker-{number}"), &stop, &stopped).await })
            })
            .collect();
        Self { stop, stopped, tasks }
    }

    /// Takes no more jobs, and waits for the running ones.
    pub async fn drain(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.stopped.notify_waiters();
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

impl<E: Engine> std::fmt::Debug for Worker<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<E: Engine> Worker<E> {
    async fn run(self: &Arc<Self>, name: &str, stop: &AtomicBool, stopped: &Notify) {
        while !stop.load(Ordering::SeqCst) {
            let pulled = tokio::select! {
                pulled = self.desk.store().queue.pull(self.batch, PULL) => pulled,
                () = stopped.notified() => continue,
            };
            match pulled {
                Ok(deliveries) => {
                    let deliveries = self.fill(deliveries).await;
                    self.take(name, deliveries).await;
                }
                Err(error) => {
                    tracing::warn!(%error, worker = name, "no work from the queue");
                    tokio::time::sleep(PULL).await;
                }
            }
        }
    }

    /// Waits a moment for more work, where it is proven together.
    async fn fill(&self, mut deliveries: Vec<Box<dyn Delivery>>) -> Vec<Box<dyn Delivery>> {
        let missing = self.batch.saturating_sub(deliveries.len());
        if !deliveries.is_empty()
            && missing > 0
            && let Ok(more) = self.desk.store().queue.pull(missing, self.proving.batch_window).await
        {
            deliveries.extend(more);
        }
        deliveries
    }

    /// Leases what is delivered and proves it, the jobs of one model together.
    async fn take(self: &Arc<Self>, name: &str, deliveries: Vec<Box<dyn Delivery>>) {
        let mut batches: Vec<Vec<Held>> = Vec::new();
        for delivery in deliveries {
            match self.desk.acquire(&delivery.work().key, name).await {
                Ok((job, ticket)) => {
                    let held = Held { job, ticket, delivery };
                    let same = |batch: &&mut Vec<Held>| {
                        batch.first().is_some_and(|first| {
                            first.job.model_tenant == held.job.model_tenant && first.job.model == held.job.model
                        })
                    };
                    match batches.iter_mut().find(same) {
                        Some(batch) => batch.push(held),
                        None => batches.push(vec![held]),
                    }
                }
                // Cancelled, finished, or another worker has it: nothing is left to do.
                Err(LeaseError::NotQueued | LeaseError::Gone) => answer(delivery.ack().await),
                Err(error) => {
                    tracing::warn!(%error, "no lease");
                    answer(delivery.nak(Duration::from_secs(1)).await);
                }
            }
        }
        for batch in batches {
            self.prove(batch).await;
        }
    }

    async fn prove(self: &Arc<Self>, batch: Vec<Held>) {
        let tickets: Vec<Ticket> = batch.iter().map(|held| held.ticket.clone()).collect();
        let outcomes = tokio::select! {
            outcomes = self.attempt(&batch) => outcomes,
            () = self.beat(&tickets, &batch) => {
                // Cancelled, or given to another worker: what the prover still finds is dropped.
                for held in &batch {
                    answer(held.delivery.ack().await);
                }
                return;
            }
        };
        for (held, outcome) in batch.iter().zip(outcomes) {
            self.report(held, outcome).await;
        }
    }

    /// Keeps the leases; ends when none is left.
    async fn beat(&self, tickets: &[Ticket], batch: &[Held]) {
        let mut alive: Vec<bool> = vec![true; tickets.len()];
        while alive.contains(&true) {
            tokio::time::sleep(self.desk.rules().lease / 3).await;
            for ((ticket, held), alive) in tickets.iter().zip(batch).zip(&mut alive).filter(|(_, alive)| **alive) {
                match self.desk.heartbeat(ticket).await {
                    Err(LeaseError::Stale | LeaseError::Gone) => *alive = false,
                    Err(error) => tracing::warn!(%error, job = ticket.job, "no heartbeat"),
                    Ok(()) => answer(held.delivery.progress().await),
                }
            }
        }
    }

    async fn attempt(self: &Arc<Self>, batch: &[Held]) -> Vec<Result<Made, Failure>> {
        let all = |failure: Failure| batch.iter().map(|_| Err(failure.clone())).collect();
        let Some(first) = batch.first() else { return Vec::new() };
        let ready = match self.model(&first.job).await {
            Ok(ready) => ready,
            Err(failure) => return all(failure),
        };
        let Some(room) = self.room.reserve(ready.memory_bytes).await else {
            return all(Failure {
                cause: FailureCause::Memory,
                message: format!(
                    "a proof takes about {} MiB, the worker has {} MiB",
                    ready.memory_bytes >> 20,
                    self.room.budget() >> 20
                ),
            });
        };
        let key = match self.key(&ready).await {
            Ok(key) => key,
            Err(failure) => return all(failure),
        };
        let mut tasks = Vec::with_capacity(batch.len());
        for held in batch {
            match self.desk.input(&held.job).await {
                Ok(input) => {
                    tasks.push(Task { input, context: held.job.context, statement: held.job.statement });
                }
                Err(error) => return all(artefact(&error)),
            }
        }
        let worker = Arc::clone(self);
        let many_cores = ready.pk_bytes > MANY_CORES;
        let proving = tokio::task::spawn_blocking(move || {
            // Held until the proof is made, also where nobody waits for it any more.
            let _room = room;
            let prove = || worker.engine.prove_batch(&key, &tasks);
            if many_cores {
                return Ok(prove());
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| error.to_string())?;
            Ok::<_, String>(pool.install(prove))
        });
        match proving.await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(message)) => all(Failure { cause: FailureCause::Prover, message }),
            Err(error) => all(Failure {
                cause: FailureCause::Prover,
                message: format!("internal error: the prover ended early ({error}); please report the model"),
            }),
        }
    }

    async fn model(&self, job: &Job) -> Result<Ready, Failure> {
        let found = self.shelf.fresh(&job.model_tenant, &job.model).await.map_err(|error| artefact(&error))?;
        let same = found.digest == job.model_digest;
        found.ready.clone().filter(|_| same).ok_or_else(|| Failure {
            cause: FailureCause::Artefact,
            message: format!("model `{}` has no proving key any more", job.model),
        })
    }

    async fn key(self: &Arc<Self>, ready: &Ready) -> Result<Arc<E::Key>, Failure> {
        if let Some(key) = self.room.get(&ready.pk) {
            return Ok(key);
        }
        let path = self.desk.store().blobs.file(&ready.pk).await.map_err(|error| artefact(&error.into()))?;
        let worker = Arc::clone(self);
        let loaded = tokio::task::spawn_blocking(move || worker.engine.load(&path)).await;
        let key = loaded.map_err(|error| artefact(&ServiceError::internal(error.to_string())))??;
        let key = Arc::new(key);
        self.room.keep(ready.pk, Arc::clone(&key), ready.pk_bytes.saturating_mul(2));
        Ok(key)
    }

    async fn report(&self, held: &Held, outcome: Result<Made, Failure>) {
        let finish = match outcome {
            Ok(made) => self.keep(&held.job, made).await,
            Err(failure) => Finish::Failed(failure),
        };
        if let Finish::Failed(failure) = &finish {
            self.metrics.failed(failure.cause.name());
            if failure.cause == FailureCause::Rejected {
                tracing::error!(job = held.job.id, reason = failure.message, "ALERT: a proof was not accepted");
                if let Err(error) = self.enter(&held.job, None, Verdict::Rejected).await {
                    tracing::error!(%error, job = held.job.id, "the rejection is not in the log");
                }
            } else {
                tracing::warn!(job = held.job.id, cause = failure.cause.name(), reason = failure.message, "no proof");
            }
        }
        match self.finish(&held.ticket, finish).await {
            Ok(job) if job.state() == State::Queued => {
                answer(held.delivery.nak(Duration::from_millis(200)).await);
            }
            Ok(job) => {
                self.metrics.finished(&job);
                answer(held.delivery.ack().await);
            }
            Err(LeaseError::Stale | LeaseError::Gone) => answer(held.delivery.ack().await),
            Err(error) => {
                tracing::warn!(%error, job = held.job.id, "result not written; the lease will end");
                answer(held.delivery.nak(self.desk.rules().lease).await);
            }
        }
    }

    /// Reports, again while the storage fails and the lease holds.
    async fn finish(&self, ticket: &Ticket, finish: Finish) -> Result<Job, LeaseError> {
        const TRIES: u32 = 5;
        for try_number in 1..TRIES {
            match self.desk.finish(ticket, finish.clone()).await {
                Err(LeaseError::Store(error)) => {
                    tracing::warn!(%error, job = ticket.job, "result not written, trying again");
                    tokio::time::sleep(Duration::from_millis(100) * try_number).await;
                }
                // An earlier try may have been written although it was reported as failed.
                Err(LeaseError::Stale) if try_number > 1 => {
                    let job = self.desk.get(&ticket.tenant, &ticket.job).await;
                    return job.map_err(LeaseError::Service);
                }
                other => return other,
            }
        }
        self.desk.finish(ticket, finish).await
    }

    async fn keep(&self, job: &Job, made: Made) -> Finish {
        let bytes = made.proof.len() as u64;
        // The log knows of a proof before anybody can have it. An attempt whose lease is over leaves an entry that is true.
        let kept = async {
            let digest = self.desk.store().blobs.put(made.proof).await?;
            let log_index = self.enter(job, Some(digest), Verdict::Accepted).await?;
            Ok::<_, ServiceError>((digest, log_index))
        };
        match kept.await {
            Ok((digest, log_index)) => Finish::Proved(Proved {
                digest,
                bytes,
                security_bits: made.security_bits,
                prove_seconds: made.prove_seconds,
                verify_seconds: made.verify_seconds,
                log_index,
            }),
            Err(error) => Finish::Failed(Failure { cause: FailureCause::Storage, message: error.message }),
        }
    }

    /// Enters a verdict in the transparency log.
    async fn enter(&self, job: &Job, proof: Option<Digest>, verdict: Verdict) -> Result<u64, ServiceError> {
        Ok(self.log.append(&new_leaf(job, proof, verdict)?).await?)
    }
}

fn artefact(error: &ServiceError) -> Failure {
    Failure { cause: FailureCause::Artefact, message: error.message.clone() }
}

/// The queue repeats what it did not hear.
fn answer(answered: Result<(), crate::store::StoreError>) {
    if let Err(error) = answered {
        tracing::warn!(%error, "the queue did not hear the answer");
    }
}

impl Ticket {
    /// Key of the job's record.
    pub fn key(&self) -> String {
        job_key(&self.tenant, &self.job)
    }
}
