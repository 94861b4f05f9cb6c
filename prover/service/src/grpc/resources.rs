//! `vinfer.v1`: models, jobs, proofs, usage.

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::once::{fingerprint, once};
use super::refuse::{caller, in_time};
use super::{convert, v1};
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::engine;
use crate::error::{Code, ServiceError};
use crate::http::Staged;
use crate::ids::{Digest, check_name, is_id};
use crate::jobs::{Job, State, job_key};
use crate::models::{Model, ModelState, PortInfo, Shelf};
use crate::store::embedded::io_error;

/// The services.
#[derive(Clone)]
pub(super) struct Resources(pub(super) Arc<App>);

fn port(port: &PortInfo) -> v1::Tensor {
    v1::Tensor { name: port.name.clone(), datatype: port.datatype.clone(), shape: convert::shape(&port.shape) }
}

fn model(model: &Model) -> v1::Model {
    use v1::model::State as Wire;
    let state = match model.state {
        ModelState::Uploaded => Wire::Uploaded,
        ModelState::Compiling => Wire::Compiling,
        ModelState::Ready => Wire::Ready,
        ModelState::Failed => Wire::Failed,
        ModelState::Disabled => Wire::Disabled,
    };
    let ready = model.ready.as_ref();
    v1::Model {
        name: model.name.clone(),
        digest: model.digest.to_string(),
        bytes: model.bytes,
        state: state.into(),
        failure: model.failure.clone().unwrap_or_default(),
        vk_digest: ready.map(|ready| ready.vk.to_string()).unwrap_or_default(),
        proof_memory_bytes: ready.map_or(0, |ready| ready.memory_bytes),
        inputs: ready.map(|ready| ready.inputs.iter().map(port).collect()).unwrap_or_default(),
        outputs: ready.map(|ready| ready.outputs.iter().map(port).collect()).unwrap_or_default(),
    }
}

fn job(job: &Job) -> v1::Job {
    use v1::job::State as Wire;
    let state = match job.state() {
        State::Queued => Wire::Queued,
        State::Proving => Wire::Proving,
        State::Done => Wire::Done,
        State::Failed => Wire::Failed,
        State::Cancelled => Wire::Cancelled,
    };
    let (proved, failure) = (job.proved.as_ref(), job.failure.as_ref());
    v1::Job {
        id: job.id.clone(),
        state: state.into(),
        model: job.model.clone(),
        model_digest: job.model_digest.to_string(),
        statement: job.statement.to_string(),
        attempts: job.attempts,
        created_ms: job.created_ms,
        finished_ms: job.finished_ms.unwrap_or(0),
        failure_cause: failure.map(|failure| failure.cause.name().to_owned()).unwrap_or_default(),
        failure: failure.map(|failure| failure.message.clone()).unwrap_or_default(),
        proof_digest: proved.map(|proved| proved.digest.to_string()).unwrap_or_default(),
        proof_bytes: proved.map_or(0, |proved| proved.bytes),
        security_bits: proved.map_or(0.0, |proved| proved.security_bits),
        prove_seconds: proved.map_or(0.0, |proved| proved.prove_seconds),
    }
}

#[tonic::async_trait]
impl v1::models_server::Models for Resources {
    async fn upload(&self, request: Request<Streaming<v1::UploadRequest>>) -> Result<Response<v1::Model>, Status> {
        let app = &self.0;
        let caller = caller(app, &request).await?;
        caller.demand(Scope::Admin)?;
        let (metadata, _, mut pieces) = request.into_parts();
        let staged = async {
            let file = Staged::new(&app.config.data)?;
            let failed = |error: std::io::Error| ServiceError::from(io_error(&file.0, &error));
            let broken =
                |status: Status| ServiceError::invalid(format!("the upload does not arrive: {}", status.message()));
            let mut out = tokio::fs::File::create(&file.0).await.map_err(failed)?;
            let (mut name, mut len, mut hasher) = (None, 0u64, blake3::Hasher::new());
            while let Some(piece) = pieces.message().await.map_err(broken)? {
                let name = name.get_or_insert_with(|| piece.name.clone());
                if !piece.name.is_empty() && *name != piece.name {
                    return Err(ServiceError::invalid("an upload is of one model"));
                }
                len = len.saturating_add(piece.piece.len() as u64);
                if len > app.config.limits.max_model {
                    let most = app.config.limits.max_model;
                    return Err(ServiceError::new(Code::TooLarge, format!("a model has at most {most} bytes")));
                }
                hasher.update(&piece.piece);
                out.write_all(&piece.piece).await.map_err(failed)?;
            }
            out.flush().await.map_err(failed)?;
            let name = name.unwrap_or_default();
            check_name("the model's name", &name)?;
            if len == 0 {
                return Err(ServiceError::invalid("the model is empty"));
            }
            Ok((file, name, len, *hasher.finalize().as_bytes()))
        };
        let (file, name, len, content) = in_time(app, staged).await?;
        let request = fingerprint("Models.Upload", &[name.as_bytes(), &content]);
        let work = async {
            let digest = app.desk.store().blobs.put_file(&file.0).await?;
            let (stored, _) = app.shelf.add(&caller.tenant, &name, digest, len).await?;
            tracing::info!(tenant = caller.tenant, key = caller.key, model = name, %digest, "audit: model uploaded");
            Ok(model(&stored))
        };
        once(app, &caller, &metadata, request, work).await
    }

    async fn get(&self, request: Request<v1::ModelRequest>) -> Result<Response<v1::Model>, Status> {
        let caller = caller(&self.0, &request).await?;
        Ok(Response::new(model(&*self.0.shelf.find(&caller.tenant, &request.get_ref().name).await?)))
    }

    async fn list(&self, request: Request<v1::ListModelsRequest>) -> Result<Response<v1::ListModelsResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        let models = self.0.shelf.list(&caller.tenant).await?.iter().map(model).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_verifying_key(
        &self,
        request: Request<v1::ModelRequest>,
    ) -> Result<Response<v1::VerifyingKey>, Status> {
        let caller = caller(&self.0, &request).await?;
        let model = self.0.shelf.find(&caller.tenant, &request.get_ref().name).await?;
        let digest = match &model.ready {
            Some(ready) => ready.vk,
            None => Shelf::ready(&model)?.vk,
        };
        let vk = self.0.desk.store().blobs.get(&digest).await.map_err(ServiceError::from)?;
        Ok(Response::new(v1::VerifyingKey { vk }))
    }

    async fn disable(&self, request: Request<v1::ModelRequest>) -> Result<Response<v1::Model>, Status> {
        let caller = caller(&self.0, &request).await?;
        caller.demand(Scope::Admin)?;
        let name = &request.get_ref().name;
        let work = async {
            let disabled = self.0.shelf.disable(&caller.tenant, name).await?;
            tracing::info!(tenant = caller.tenant, key = caller.key, model = disabled.name, "audit: model disabled");
            Ok(model(&disabled))
        };
        let digest = fingerprint("Models.Disable", &[name.as_bytes()]);
        once(&self.0, &caller, request.metadata(), digest, work).await
    }
}

#[tonic::async_trait]
impl v1::jobs_server::Jobs for Resources {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::JobEvent, Status>> + Send>>;

    async fn get(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        let caller = caller(&self.0, &request).await?;
        Ok(Response::new(job(&self.0.desk.get(&caller.tenant, &request.get_ref().id).await?)))
    }

    async fn list(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        let v1::ListJobsRequest { before, limit } = request.get_ref();
        let limit = if *limit == 0 { 100 } else { (*limit).min(1000) as usize };
        let before = Some(before.as_str()).filter(|before| !before.is_empty());
        if before.is_some_and(|before| !is_id(before)) {
            return Err(Status::invalid_argument("before must be the id of a job"));
        }
        let jobs = self.0.desk.list(&caller.tenant, before, limit).await?;
        let next = jobs.last().filter(|_| jobs.len() == limit).map(|job| job.id.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListJobsResponse { jobs: jobs.iter().map(job).collect(), next }))
    }

    async fn cancel(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Job>, Status> {
        let caller = caller(&self.0, &request).await?;
        caller.demand(Scope::Infer)?;
        let id = &request.get_ref().id;
        let work = async { Ok(job(&self.0.desk.cancel(&caller.tenant, id).await?)) };
        once(&self.0, &caller, request.metadata(), fingerprint("Jobs.Cancel", &[id.as_bytes()]), work).await
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&self.0, &request).await?;
        let v1::WatchRequest { id, after } = request.into_inner();
        // A job of somebody else is refused before the stream begins.
        self.0.desk.get(&caller.tenant, &id).await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        tokio::spawn(watch(Arc::clone(&self.0), caller, id, after, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Tells a job's events until it is final, the client is gone, or the time for a request is over.
async fn watch(
    app: Arc<App>,
    caller: Caller,
    id: String,
    mut after: u64,
    client: tokio::sync::mpsc::Sender<Result<v1::JobEvent, Status>>,
) {
    let until = tokio::time::Instant::now() + app.config.limits.request;
    let mut changes = app.desk.board().watch(&job_key(&caller.tenant, &id));
    loop {
        changes.mark_unchanged();
        let job = match app.desk.get(&caller.tenant, &id).await {
            Ok(job) => job,
            Err(error) => {
                let _ = client.send(Err(error.into())).await;
                return;
            }
        };
        for event in job.events.iter().filter(|event| event.id > after) {
            let json = serde_json::to_string(event).unwrap_or_default();
            let message = v1::JobEvent { id: event.id, at_ms: event.at_ms, kind: event.kind.name().to_owned(), json };
            if client.send(Ok(message)).await.is_err() {
                return;
            }
        }
        after = job.events.last().map_or(after, |event| event.id.max(after));
        if job.state().is_final() {
            return;
        }
        tokio::select! {
            changed = tokio::time::timeout_at(until, changes.changed()) => if changed.is_err() {
                let message = "watch again with the id of the last event";
                let _ = client.send(Err(Status::deadline_exceeded(message))).await;
                return;
            },
            () = client.closed() => return,
        }
    }
}

#[tonic::async_trait]
impl v1::proofs_server::Proofs for Resources {
    async fn get_by_job(&self, request: Request<v1::JobRequest>) -> Result<Response<v1::Proof>, Status> {
        let caller = caller(&self.0, &request).await?;
        let job = self.0.desk.get(&caller.tenant, &request.get_ref().id).await?;
        let proof = self.0.desk.proof(&job).await?;
        Ok(Response::new(v1::Proof { job: job.id, statement: job.statement.to_string(), proof }))
    }

    async fn get_by_statement(&self, request: Request<v1::StatementRequest>) -> Result<Response<v1::Proof>, Status> {
        let caller = caller(&self.0, &request).await?;
        let statement: Digest = request.get_ref().statement.parse().map_err(ServiceError::from)?;
        let job = self.0.desk.of_statement(&caller.tenant, &statement).await?;
        let proof = self.0.desk.proof(&job).await?;
        Ok(Response::new(v1::Proof { job: job.id, statement: job.statement.to_string(), proof }))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        let (metadata, _, v1::VerifyRequest { vk, proof }) = request.into_parts();
        let digest = fingerprint("Proofs.Verify", &[&vk, &proof]);
        let work = async {
            let verdict = tokio::task::spawn_blocking(move || engine::verify(&vk, &proof)).await;
            let verdict = verdict.map_err(|error| ServiceError::internal(error.to_string()))?;
            Ok(match verdict {
                Ok((verified, _)) => v1::VerifyResponse {
                    valid: true,
                    error: String::new(),
                    statement: Digest(verified.statement).to_string(),
                    context: Digest(verified.context).to_string(),
                    security_bits: verified.security_bits,
                },
                Err(error) => v1::VerifyResponse { error: error.to_string(), ..v1::VerifyResponse::default() },
            })
        };
        once(&self.0, &caller, &metadata, digest, work).await
    }
}

#[tonic::async_trait]
impl v1::usage_server::Usage for Resources {
    async fn get(&self, request: Request<v1::UsageRequest>) -> Result<Response<v1::UsageResponse>, Status> {
        let caller = caller(&self.0, &request).await?;
        let usage = self.0.desk.usage(&caller.tenant).await?;
        let active = self.0.desk.board().of_tenant(&caller.tenant);
        Ok(Response::new(v1::UsageResponse {
            queued: active.queued as u64,
            proving: active.proving as u64,
            done: usage.done,
            failed: usage.failed,
            cancelled: usage.cancelled,
            prove_seconds: usage.prove_seconds,
            proof_bytes: usage.proof_bytes,
        }))
    }
}
