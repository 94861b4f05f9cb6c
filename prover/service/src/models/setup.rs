//! Compiles uploaded models, one at a time, each in a process of its own.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::child::{OUTCOME, Outcome};
use super::record::{Model, ModelState, Ready};
use super::shelf::{Seen, Shelf};
use crate::config::{Config, Rules};
use crate::error::ServiceError;
use crate::ids::new_id;
use crate::store::{StoreError, update_record};

/// Why an attempt ends without keys.
enum Ended {
    /// The model is at fault.
    Refused(String),
    /// It may go better next time.
    Again(String),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Again(error.to_string())
    }
}

/// The model was changed by somebody else.
struct Changed;

/// Compiles models.
#[derive(Debug, Clone)]
pub struct Setup {
    shelf: Shelf,
    config: Config,
    rules: Rules,
    instance: String,
}

impl Setup {
    /// For the models of a shelf; `instance` names this process.
    pub fn new(shelf: Shelf, config: Config, instance: String) -> Self {
        let rules = config.rules.clone();
        Self { shelf, config, rules, instance }
    }

    /// Compiles whatever is uploaded, until the returned future is dropped.
    pub async fn run(self) {
        loop {
            let next = self.shelf.all().into_iter().find(|(_, seen)| self.is_free(seen));
            match next {
                None => self.shelf.changed(Duration::from_millis(500)).await,
                Some((key, _)) => {
                    if let Err(error) = self.attempt(&key).await {
                        tracing::error!(%error, model = key, "model not set up");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
    }

    fn is_free(&self, seen: &Seen) -> bool {
        match seen.model.state {
            ModelState::Uploaded => true,
            ModelState::Compiling => {
                let own = seen.model.instance.as_deref() == Some(&self.instance);
                let orphan = !self.shelf.store().shared && !own;
                orphan || seen.at.elapsed() > self.rules.lease * 2
            }
            ModelState::Ready | ModelState::Failed | ModelState::Disabled => false,
        }
    }

    async fn attempt(&self, key: &str) -> Result<(), ServiceError> {
        let records = self.shelf.store().records.as_ref();
        let attempt = new_id()?;
        let seen = self.shelf.all().into_iter().find(|(known, _)| known == key).map(|(_, seen)| seen.model);
        let taken = update_record::<Model, Changed>(records, key, |model| {
            let free = model.state == ModelState::Uploaded
                || seen.as_ref().is_some_and(|seen| {
                    model.state == ModelState::Compiling
                        && model.instance == seen.instance
                        && model.heartbeat == seen.heartbeat
                });
            if !free {
                return Err(Changed);
            }
            model.state = ModelState::Compiling;
            model.instance = Some(self.instance.clone());
            model.heartbeat = 0;
            model.attempts += 1;
            Ok(())
        });
        let Some(Ok(model)) = taken.await? else { return Ok(()) };
        tracing::info!(tenant = model.tenant, model = model.name, "compiling");
        let directory = self.config.data.join("setup").join(&attempt);
        let heart = self.beat(key);
        let made = tokio::select! {
            made = self.make(&model, &directory) => made,
            () = heart => Err(Ended::Again("the model was taken by another process".to_owned())),
        };
        let _ = tokio::fs::remove_dir_all(&directory).await;
        let max_attempts = self.rules.max_attempts.min(3);
        let finished = update_record::<Model, Changed>(records, key, |model| {
            if model.state != ModelState::Compiling || model.instance.as_deref() != Some(&self.instance) {
                return Err(Changed);
            }
            model.instance = None;
            match &made {
                Ok(ready) => {
                    model.state = ModelState::Ready;
                    model.ready = Some(ready.clone());
                }
                Err(Ended::Again(_)) if model.attempts < max_attempts => model.state = ModelState::Uploaded,
                Err(Ended::Again(reason) | Ended::Refused(reason)) => {
                    model.state = ModelState::Failed;
                    model.failure = Some(reason.clone());
                }
            }
            Ok(())
        });
        match (finished.await?, &made) {
            (Some(Ok(model)), Ok(_)) => tracing::info!(tenant = model.tenant, model = model.name, "ready"),
            (Some(Ok(model)), Err(Ended::Refused(reason) | Ended::Again(reason))) => {
                tracing::warn!(tenant = model.tenant, model = model.name, reason, "not compiled");
            }
            _ => {}
        }
        Ok(())
    }

    /// Says that the model is being worked on; ends when it is no longer this process's.
    async fn beat(&self, key: &str) {
        loop {
            tokio::time::sleep(self.rules.lease / 3).await;
            let beat = update_record::<Model, Changed>(self.shelf.store().records.as_ref(), key, |model| {
                if model.state != ModelState::Compiling || model.instance.as_deref() != Some(&self.instance) {
                    return Err(Changed);
                }
                model.heartbeat += 1;
                Ok(())
            });
            if matches!(beat.await, Ok(None | Some(Err(Changed)))) {
                return;
            }
        }
    }

    async fn make(&self, model: &Model, directory: &Path) -> Result<Ready, Ended> {
        let again = |error: &dyn std::fmt::Display| Ended::Again(error.to_string());
        let blobs = &self.shelf.store().blobs;
        let input = blobs.file(&model.digest).await?;
        tokio::fs::create_dir_all(directory).await.map_err(|error| again(&error))?;
        let status = self.child(&input, directory).await?;
        let outcome = tokio::fs::read(directory.join(OUTCOME)).await.ok();
        let outcome = outcome.and_then(|bytes| serde_json::from_slice::<Outcome>(&bytes).ok());
        let Some(outcome) = outcome.filter(|_| status.success()) else {
            return Err(Ended::Refused(format!(
                "compiling it ended with {status}: it needs more than {} MiB of memory or {} s, the limits of this \
                 service, or is malformed",
                self.config.proving.compile_memory >> 20,
                self.config.proving.compile_time.as_secs()
            )));
        };
        match outcome {
            Outcome::Refused(reason) => Err(Ended::Refused(reason)),
            Outcome::Ready { memory_bytes, prove_seconds, proof_bytes, inputs, outputs } => {
                let size = |name: &str| std::fs::metadata(directory.join(name)).map_or(0, |data| data.len());
                let (vk_bytes, pk_bytes) = (size("vk"), size("pk"));
                Ok(Ready {
                    program: blobs.put_file(&directory.join("program")).await?,
                    vk: blobs.put_file(&directory.join("vk")).await?,
                    pk: blobs.put_file(&directory.join("pk")).await?,
                    report: blobs.put_file(&directory.join("report.json")).await?,
                    vk_bytes,
                    pk_bytes,
                    memory_bytes,
                    prove_seconds,
                    proof_bytes,
                    inputs,
                    outputs,
                })
            }
        }
    }

    async fn child(&self, input: &Path, output: &Path) -> Result<ExitStatus, Ended> {
        let again = |error: std::io::Error| Ended::Again(format!("cannot start the compiler: {error}"));
        let limits = &self.config.proving;
        let mut child = Command::new(&self.config.program)
            .arg("compile-model")
            .arg(input)
            .arg(output)
            .arg(limits.compile_memory.to_string())
            .arg(limits.compile_time.as_secs().to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(again)?;
        match tokio::time::timeout(limits.compile_time, child.wait()).await {
            Ok(status) => status.map_err(again),
            Err(_) => {
                let _ = child.kill().await;
                child.wait().await.map_err(again)
            }
        }
    }
}
