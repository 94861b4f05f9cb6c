//! Where jobs are accepted, looked up, cancelled, and where workers report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::board::Board;
use super::job::{Delivered, EventKind, Execution, Job, Payload, Proof, State};
use super::lease::{self, Finish, LeaseError, Ticket};
use super::{claim_key, job_key, job_prefix};
use crate::config::Rules;
use crate::error::{Code, ServiceError};
use crate::ids::{Digest, new_id, now_ms};
use crate::store::{
    Expect, Page, Store, StoreError, Stored, Work, get_record, list_records, put_record, update_record,
};

/// What is to be proven, and for whom.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose job.
    pub tenant: String,
    /// Whose model.
    pub model_tenant: String,
    /// Name of the model.
    pub model: String,
    /// Digest of the model file.
    pub model_digest: Digest,
    /// The statement.
    pub statement: Digest,
    /// The caller's bytes in it.
    pub context: Digest,
    /// Raw input tensors one after the other.
    pub input: Vec<u8>,
    /// Larger is sooner, 0 to 9.
    pub priority: u8,
    /// When it is of no use any more.
    pub deadline_ms: Option<u64>,
}

/// Which job proves a statement.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Claim {
    job: String,
}

struct Inner {
    store: Store,
    board: Board,
    rules: Rules,
    instance: String,
    started: Instant,
    finished: AtomicU64,
}

/// Jobs.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

impl Desk {
    /// Opens the desk; knows every job of the storage when it returns.
    ///
    /// # Errors
    /// The storage does not answer.
    pub async fn open(store: Store, rules: Rules) -> Result<Self, ServiceError> {
        let board = Board::default();
        board.follow(&store).await?;
        let (instance, started, finished) = (new_id()?, Instant::now(), AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { store, board, rules, instance, started, finished })))
    }

    /// The storage.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Jobs that are not final.
    pub fn board(&self) -> &Board {
        &self.0.board
    }

    /// Limits and durations.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Name of this process.
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// Accepts a job; the job that proves the same statement already is returned instead of a second one.
    ///
    /// # Errors
    /// A limit is reached, or the storage fails. Nothing is accepted then.
    pub async fn submit(&self, order: Order) -> Result<Job, ServiceError> {
        /// Times another submitter of the same statement may be faster.
        const TRIES: usize = 16;
        let records = self.store().records.as_ref();
        let claim_key = claim_key(&order.tenant, &order.statement);
        let mut draft: Option<Job> = None;
        for _ in 0..TRIES {
            let claim: Option<Stored<Claim>> = get_record(records, &claim_key).await?;
            let (id, expect) = match claim {
                Some(claim) => {
                    let key = job_key(&order.tenant, &claim.value.job);
                    match get_record::<Job>(records, &key).await? {
                        Some(job) if !matches!(job.value.state(), State::Failed | State::Cancelled) => {
                            return Ok(job.value);
                        }
                        Some(_) => (new_id()?, Some(Expect::Revision(claim.revision))),
                        // Claimed by a submitter that has not written, or will not write, its job.
                        None => (claim.value.job, None),
                    }
                }
                None => (new_id()?, Some(Expect::Absent)),
            };
            self.admit(&order.tenant)?;
            let mut job = match draft.take() {
                Some(job) => job,
                None => self.draft(&order).await?,
            };
            job.id.clone_from(&id);
            if let Some(expect) = expect
                && !written(put_record(records, &claim_key, &Claim { job: id.clone() }, expect).await)?
            {
                draft = Some(job);
                continue;
            }
            let key = job_key(&order.tenant, &id);
            match put_record(records, &key, &job, Expect::Absent).await {
                Ok(revision) => {
                    self.board().note(&key, Some(&job), revision);
                    // The sweep queues what does not arrive here.
                    if let Err(error) = self.store().queue.push(Work { key, priority: job.priority }).await {
                        tracing::warn!(%error, job = %job.id, "not queued; the sweep will");
                    }
                    return Ok(job);
                }
                Err(StoreError::Conflict) => draft = Some(job),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn draft(&self, order: &Order) -> Result<Job, ServiceError> {
        let input = if order.input.len() <= Payload::INLINE {
            Payload::inline(&order.input)
        } else {
            Payload::Blob(self.store().blobs.put(order.input.clone()).await?)
        };
        let mut job = Job {
            id: String::new(),
            tenant: order.tenant.clone(),
            model_tenant: order.model_tenant.clone(),
            model: order.model.clone(),
            model_digest: order.model_digest,
            statement: order.statement,
            context: order.context,
            input,
            execution: Execution::Done,
            proof: Proof::Queued,
            delivery: Delivered::NotReady,
            priority: order.priority.min(9),
            created_ms: now_ms(),
            finished_ms: None,
            deadline_ms: order.deadline_ms,
            attempts: 0,
            lease: None,
            failure: None,
            proved: None,
            events: Vec::new(),
        };
        job.record(EventKind::Queued);
        Ok(job)
    }

    /// Whether another job may be accepted now.
    fn admit(&self, tenant: &str) -> Result<(), ServiceError> {
        let (rules, total) = (self.rules(), self.board().total());
        if total.queued >= rules.max_queued {
            return Err(ServiceError::busy(
                format!("the queue is full ({} jobs wait); try again later", total.queued),
                self.drain_time(total.queued),
            ));
        }
        let own = self.board().of_tenant(tenant).active();
        if own >= rules.max_active_per_tenant {
            return Err(ServiceError::busy(
                format!("{own} of your jobs are not finished, which is the limit; try again later"),
                self.drain_time(own),
            ));
        }
        Ok(())
    }

    /// Time until a tenth of the jobs is gone, at the pace since the start.
    fn drain_time(&self, jobs: usize) -> Duration {
        let finished = self.0.finished.load(Ordering::Relaxed) as f64;
        let pace = finished / self.0.started.elapsed().as_secs_f64().max(1.0);
        let seconds = if pace > 0.0 { jobs as f64 / 10.0 / pace } else { 5.0 };
        Duration::from_secs_f64(seconds.clamp(1.0, 60.0).ceil())
    }

    /// A tenant's job.
    ///
    /// # Errors
    /// The tenant has no such job.
    pub async fn get(&self, tenant: &str, id: &str) -> Result<Job, ServiceError> {
        let key = job_key(tenant, id);
        let stored = if crate::ids::is_id(id) { get_record(self.store().records.as_ref(), &key).await? } else { None };
        stored.map(|stored: Stored<Job>| stored.value).ok_or_else(|| no_job(id))
    }

    /// A tenant's jobs, newest first.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn list(&self, tenant: &str, before: Option<&str>, limit: usize) -> Result<Vec<Job>, ServiceError> {
        let after = before.map(|id| job_key(tenant, id));
        let page = Page { after, limit: Some(limit), descending: true };
        let listed = list_records(self.store().records.as_ref(), &job_prefix(tenant), &page).await?;
        Ok(listed.into_iter().map(|(_, stored)| stored.value).collect())
    }

    /// The job that proves a statement for a tenant.
    ///
    /// # Errors
    /// None does.
    pub async fn of_statement(&self, tenant: &str, statement: &Digest) -> Result<Job, ServiceError> {
        let key = claim_key(tenant, statement);
        let claim: Option<Stored<Claim>> = get_record(self.store().records.as_ref(), &key).await?;
        let missing = || ServiceError::not_found(format!("no job of yours proves statement {statement}"));
        let claim = claim.ok_or_else(missing)?;
        self.get(tenant, &claim.value.job).await.map_err(|error| match error.code {
            Code::NotFound => missing(),
            _ => error,
        })
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// There is none, or it is final.
    pub async fn cancel(&self, tenant: &str, id: &str) -> Result<Job, ServiceError> {
        if !crate::ids::is_id(id) {
            return Err(no_job(id));
        }
        let key = job_key(tenant, id);
        let cancelled = update_record::<Job, ServiceError>(self.store().records.as_ref(), &key, |job| {
            if job.proof == Proof::Cancelled || job.cancel() {
                return Ok(());
            }
            let message = format!("the job is {} already and cannot be cancelled", job.state().name());
            Err(ServiceError::new(Code::FailedPrecondition, message))
        });
        cancelled.await?.ok_or_else(|| no_job(id))?
    }

    /// The bytes of a finished job's proof.
    ///
    /// # Errors
    /// The job is not done, or the storage is damaged.
    pub async fn proof(&self, job: &Job) -> Result<Vec<u8>, ServiceError> {
        let proved = job.proved.as_ref().filter(|_| job.state() == State::Done).ok_or_else(|| {
            let why = job.failure.as_ref().map_or(String::new(), |failure| format!(": {}", failure.message));
            ServiceError::new(Code::FailedPrecondition, format!("job {} is {}{why}", job.id, job.state().name()))
        })?;
        let bytes = self.store().blobs.get(&proved.digest).await?;
        if job.delivery != Delivered::Fetched {
            let key = job_key(&job.tenant, &job.id);
            let marked = update_record::<Job, ()>(self.store().records.as_ref(), &key, |job| {
                job.delivery = Delivered::Fetched;
                Ok(())
            });
            // The bytes are what was asked for; the mark is for statistics.
            if let Err(error) = marked.await {
                tracing::warn!(%error, job = %job.id, "delivery not marked");
            }
        }
        Ok(bytes)
    }

    /// Raw input tensors of a job.
    ///
    /// # Errors
    /// The storage is damaged.
    pub async fn input(&self, job: &Job) -> Result<Vec<u8>, ServiceError> {
        match &job.input {
            Payload::Inline(text) => {
                Payload::decode(text).ok_or_else(|| ServiceError::internal("the job's input does not decode"))
            }
            Payload::Blob(digest) => Ok(self.store().blobs.get(digest).await?),
        }
    }

    /// Takes a waiting job for a worker of this process.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn acquire(&self, key: &str, worker: &str) -> Result<(Job, Ticket), LeaseError> {
        lease::acquire(self.store().records.as_ref(), key, worker, self.instance(), self.rules().lease).await
    }

    /// Says that a worker still works.
    ///
    /// # Errors
    /// [`LeaseError::Stale`] if its result will not count.
    pub async fn heartbeat(&self, ticket: &Ticket) -> Result<(), LeaseError> {
        lease::heartbeat(self.store().records.as_ref(), ticket, self.rules().lease).await
    }

    /// Ends a worker's attempt.
    ///
    /// # Errors
    /// [`LeaseError::Stale`] if the job is no longer the worker's.
    pub async fn finish(&self, ticket: &Ticket, finish: Finish) -> Result<Job, LeaseError> {
        let records = self.store().records.as_ref();
        let job = lease::finish(records, ticket, finish, self.rules().max_attempts).await?;
        if job.state().is_final() {
            self.0.finished.fetch_add(1, Ordering::Relaxed);
        }
        Ok(job)
    }

    /// Waits until a job is final, or for so long.
    ///
    /// # Errors
    /// There is no such job.
    pub async fn wait(&self, tenant: &str, id: &str, patience: Duration) -> Result<Job, ServiceError> {
        let until = tokio::time::Instant::now() + patience;
        let mut changes = self.board().watch(&job_key(tenant, id));
        loop {
            changes.mark_unchanged();
            let job = self.get(tenant, id).await?;
            if job.state().is_final() {
                return Ok(job);
            }
            if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                return Ok(job);
            }
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("instance", &self.0.instance).finish_non_exhaustive()
    }
}

fn no_job(id: &str) -> ServiceError {
    ServiceError::not_found(format!("you have no job `{}`", id.chars().take(64).collect::<String>()))
}

/// `false` if another writer was faster.
fn written(outcome: Result<u64, StoreError>) -> Result<bool, StoreError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}
