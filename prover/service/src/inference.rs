//! One inference: check, run, state, and order the proof.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::Caller;
use crate::engine::Runner;
use crate::error::{Code, ServiceError};
use crate::ids::{Digest, now_ms};
use crate::jobs::{Desk, Job, Order};
use crate::metrics::Metrics;
use crate::models::{Model, Shelf};
use crate::tensors::{self, Tensor};

/// When a proof is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProofMode {
    /// Never.
    None,
    /// After the answer.
    #[default]
    Async,
    /// Before the answer, if it does not take too long.
    Wait,
}

impl std::str::FromStr for ProofMode {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        match text {
            "none" => Ok(Self::None),
            "async" => Ok(Self::Async),
            "wait" => Ok(Self::Wait),
            _ => Err(ServiceError::invalid("parameter `proof` must be none, async or wait")),
        }
    }
}

/// Parameters of a request beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// When a proof is made.
    pub proof: ProofMode,
    /// 32 bytes that the statement carries.
    pub context: Digest,
    /// Larger is sooner, 0 to 9.
    pub priority: u8,
    /// The proof is of no use after so long.
    pub deadline: Option<Duration>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { proof: ProofMode::Async, context: Digest([0; 32]), priority: 5, deadline: None }
    }
}

impl Wishes {
    /// Takes a request parameter; parameters that are not of this service are left to others.
    ///
    /// # Errors
    /// The value is none that the parameter has.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ServiceError> {
        let bad = |what: &str| ServiceError::invalid(format!("parameter `{name}` must be {what}"));
        match name {
            "proof" => self.proof = value.parse()?,
            "context" => self.context = value.parse().map_err(|_| bad("64 hexadecimal digits"))?,
            "priority" => {
                self.priority = value.parse().ok().filter(|p| *p <= 9).ok_or_else(|| bad("a number from 0 to 9"))?;
            }
            "deadline_ms" => {
                let ms = value.parse().ok().filter(|ms| *ms > 0).ok_or_else(|| bad("a number of milliseconds"))?;
                self.deadline = Some(Duration::from_millis(ms));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The model.
    pub model: Arc<Model>,
    /// Its outputs, in the graph's order.
    pub outputs: Vec<Tensor>,
    /// Digest of the statement that these inputs give these outputs.
    pub statement: Digest,
    /// The job that proves it.
    pub job: Option<Job>,
}

/// Runs models.
#[derive(Debug, Clone)]
pub struct Inference {
    desk: Desk,
    shelf: Shelf,
    running: Arc<Semaphore>,
    metrics: Metrics,
    /// Memory that proofs may take here; `None` where other processes prove.
    memory: Option<u64>,
    /// Longest wait for a proof.
    wait: Duration,
}

impl Inference {
    /// Models of a shelf, jobs at a desk.
    pub fn new(desk: Desk, shelf: Shelf, metrics: Metrics, memory: Option<u64>, wait: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { desk, shelf, running: Arc::new(Semaphore::new(cores)), metrics, memory, wait }
    }

    /// The model of a request, loaded.
    ///
    /// # Errors
    /// There is none, or it is not ready.
    pub async fn model(&self, caller: &Caller, name: &str) -> Result<(Arc<Model>, Arc<Runner>), ServiceError> {
        let model = self.shelf.find(&caller.tenant, name).await?;
        let runner = self.shelf.runner(&model).await?;
        Ok((model, runner))
    }

    /// Runs a model on tensors, and orders the proof.
    ///
    /// # Errors
    /// The tensors do not fit, a limit is reached, or the storage fails.
    pub async fn infer(
        &self,
        caller: &Caller,
        model: Arc<Model>,
        runner: Arc<Runner>,
        inputs: Vec<Tensor>,
        wishes: Wishes,
    ) -> Result<Answer, ServiceError> {
        let ready = Shelf::ready(&model)?;
        if let Some(memory) =
            self.memory.filter(|memory| wishes.proof != ProofMode::None && ready.memory_bytes > *memory)
        {
            return Err(ServiceError::new(
                Code::DoesNotFit,
                format!(
                    "a proof of `{}` takes about {} MiB of memory, this service has {} MiB for proofs; use a larger \
                     one, or proof=none",
                    model.name,
                    ready.memory_bytes >> 20,
                    memory >> 20
                ),
            ));
        }
        let stopped = || ServiceError::new(Code::Unavailable, "the service is stopping");
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| stopped())?;
        let start = std::time::Instant::now();
        let ran = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            run(&runner, &inputs, &wishes.context)
        });
        let ran = ran.await.map_err(|error| ServiceError::internal(format!("the model ended early: {error}")))??;
        let (outputs, statement, input) = ran;
        self.metrics.executed(start.elapsed().as_secs_f64());
        let job = match wishes.proof {
            ProofMode::None => None,
            ProofMode::Async | ProofMode::Wait => {
                let order = Order {
                    tenant: caller.tenant.clone(),
                    model_tenant: model.tenant.clone(),
                    model: model.name.clone(),
                    model_digest: model.digest,
                    statement,
                    context: wishes.context,
                    input,
                    priority: wishes.priority,
                    deadline_ms: wishes.deadline.map(|d| now_ms().saturating_add(d.as_millis() as u64)),
                };
                Some(self.desk.submit(order).await?)
            }
        };
        let job = match job {
            Some(job) if wishes.proof == ProofMode::Wait => {
                Some(self.desk.wait(&caller.tenant, &job.id, self.wait).await?)
            }
            job => job,
        };
        Ok(Answer { model, outputs, statement, job })
    }
}

type Ran = (Vec<Tensor>, Digest, Vec<u8>);

fn run(runner: &Runner, inputs: &[Tensor], context: &Digest) -> Result<Ran, ServiceError> {
    let centred = tensors::centre(runner.inputs(), inputs)?;
    let outputs = runner.run(&centred).map_err(|error| ServiceError::invalid(error.to_string()))?;
    let outside = || ServiceError::invalid("a tensor of the model left its type on this input; no statement exists");
    let statement = runner.statement(&centred, &outputs, context).ok_or_else(outside)?;
    let input = runner.raw_inputs(&centred).ok_or_else(outside)?;
    Ok((tensors::declare(runner.outputs(), &outputs), statement, input))
}
