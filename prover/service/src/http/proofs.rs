//! Proofs by job and by statement, and checking one as a convenience.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::answer::{Refusal, bytes, idempotency_key};
use super::body::{self, fingerprint};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{Code, ServiceError};
use crate::idempotency::Reply;
use crate::ids::Digest;
use crate::jobs::Job;
use crate::verification::{Files, STRANGERS_BODY, STRANGERS_PATIENCE};

type Answer = Result<Reply, Refusal>;

async fn download(app: &App, job: &Job) -> Result<Reply, ServiceError> {
    let proof = app.desk.proof(job).await?;
    let mut reply = bytes("application/octet-stream", proof);
    reply.headers.push(("x-statement".to_owned(), job.statement.to_string()));
    reply.headers.push(("x-proof-job-id".to_owned(), job.id.clone()));
    Ok(reply)
}

pub(super) async fn of_job(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Answer {
    let job = app.desk.get(&caller.tenant, &id).await?;
    Ok(download(&app, &job).await?)
}

pub(super) async fn of_statement(State(app): State<Arc<App>>, caller: Caller, Path(text): Path<String>) -> Answer {
    let statement: Digest = text.parse()?;
    let job = app.desk.of_statement(&caller.tenant, &statement).await?;
    Ok(download(&app, &job).await?)
}

#[derive(Deserialize)]
struct VerifyRequest {
    /// Base64 of the key file.
    vk: String,
    /// Base64 of the proof file.
    proof: String,
    /// Base64 of a file with the input that the proof must be about.
    input: Option<String>,
    /// Sample of that file.
    #[serde(default)]
    index: u64,
}

fn files(body: &[u8]) -> Result<Files, ServiceError> {
    let request: VerifyRequest = serde_json::from_slice(body).map_err(|error| {
        ServiceError::invalid(format!("expected {{\"vk\": BASE64, \"proof\": BASE64, \"input\": BASE64}}: {error}"))
    })?;
    let decode = |what: &str, text: &str| {
        BASE64.decode(text).map_err(|_| ServiceError::invalid(format!("`{what}` is no base64")))
    };
    Ok(Files {
        vk: decode("vk", &request.vk)?,
        proof: decode("proof", &request.proof)?,
        input: request.input.map(|input| decode("input", &input)).transpose()?,
        index: request.index,
    })
}

/// With a key, or without one: clients of a provider have none, and checking needs nothing secret. See [`crate::verification`].
pub(super) async fn verify(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let check = &app.verifications;
    let limit = app.config.limits.max_body;
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        let turn = check.stranger().await?;
        let read = tokio::time::timeout(STRANGERS_PATIENCE, body::read(body, limit.min(STRANGERS_BODY)));
        let too_slow = |_| ServiceError::new(Code::DeadlineExceeded, "the request took too long to arrive");
        let body = read.await.map_err(too_slow)??;
        return Ok(Reply::json(200, &check.check(files(&body)?, turn).await?));
    };
    let caller = app.caller(authorization.to_str().ok()).await?;
    let body = body::read(body, limit).await?;
    let work = async { Ok(Reply::json(200, &check.check(files(&body)?, check.tenant()).await?)) };
    let request = fingerprint("POST /v1/verify", &body);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}
