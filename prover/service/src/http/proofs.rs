//! Proofs by job and by statement, and checking one as a convenience.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Refusal, bytes, idempotency_key};
use super::body::{self, fingerprint};
use crate::app::App;
use crate::auth::Caller;
use crate::engine;
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::ids::Digest;
use crate::jobs::Job;
use crate::tensors;

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
}

pub(super) async fn verify(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap, body: Body) -> Answer {
    let body = body::read(body, app.config.limits.max_body).await?;
    let work = async {
        let request: VerifyRequest = serde_json::from_slice(&body).map_err(|error| {
            ServiceError::invalid(format!("expected {{\"vk\": BASE64, \"proof\": BASE64}}: {error}"))
        })?;
        let decode = |what: &str, text: &str| {
            BASE64.decode(text).map_err(|_| ServiceError::invalid(format!("`{what}` is no base64")))
        };
        let (vk, proof) = (decode("vk", &request.vk)?, decode("proof", &request.proof)?);
        let verdict = tokio::task::spawn_blocking(move || verdict(&vk, &proof)).await;
        Ok(Reply::json(200, &verdict.map_err(|error| ServiceError::internal(error.to_string()))?))
    };
    let request = fingerprint("POST /v1/verify", &body);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

fn verdict(vk: &[u8], proof: &[u8]) -> serde_json::Value {
    match engine::verify(vk, proof) {
        Err(error) => json!({ "valid": false, "error": error.to_string(), "rejected": error.is_rejection() }),
        Ok((verified, key)) => {
            let system = &key.key().system;
            let show = |ports, values: &Vec<Vec<i32>>| -> Vec<serde_json::Value> {
                let tensors = tensors::declare(ports, values);
                tensors
                    .iter()
                    .map(|tensor| {
                        json!({
                            "name": tensor.name,
                            "datatype": tensor.data_type.name(),
                            "shape": tensor.shape,
                            "data": tensor.elements.to_json(tensor.data_type),
                        })
                    })
                    .collect()
            };
            json!({
                "valid": true,
                "statement": Digest(verified.statement),
                "key_digest": Digest(verified.key_digest),
                "context": Digest(verified.context),
                "security_bits": verified.security_bits,
                "inputs": show(&system.inputs, &verified.inputs),
                "outputs": show(&system.outputs, &verified.outputs),
            })
        }
    }
}
