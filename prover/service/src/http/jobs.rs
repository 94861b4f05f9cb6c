//! `/v1/jobs` and `/v1/usage`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Refusal, idempotency_key};
use super::body::{self, fingerprint};
use super::oip;
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::ids::is_id;
use crate::inference::ProofMode;
use crate::jobs::Job;

type Answer = Result<Reply, Refusal>;

/// A job as JSON.
pub(crate) fn job_json(job: &Job) -> Value {
    let proved = job.proved.as_ref();
    json!({
        "id": job.id,
        "state": job.state().name(),
        "execution": job.execution,
        "proof": job.proof,
        "delivery": job.delivery,
        "model": job.model,
        "model_digest": job.model_digest,
        "statement": job.statement,
        "context": job.context,
        "priority": job.priority,
        "attempts": job.attempts,
        "created_ms": job.created_ms,
        "finished_ms": job.finished_ms,
        "deadline_ms": job.deadline_ms,
        "failure": job.failure,
        "proof_digest": proved.map(|proved| proved.digest),
        "proof_bytes": proved.map(|proved| proved.bytes),
        "security_bits": proved.map(|proved| proved.security_bits),
        "prove_seconds": proved.map(|proved| proved.prove_seconds),
        "verify_seconds": proved.map(|proved| proved.verify_seconds),
        "last_event": job.events.last().map(|event| event.id),
    })
}

pub(super) async fn submit(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap, body: Body) -> Answer {
    caller.demand(Scope::Infer)?;
    let body = body::read(body, app.config.limits.max_body).await?;
    let work = async {
        let request = oip::Request::parse(&body, None)?;
        let name = request
            .model()
            .ok_or_else(|| ServiceError::invalid("the request needs \"model\": NAME beside \"inputs\""))?;
        let (model, runner) = app.inference.model(&caller, name).await?;
        let inputs = request.tensors(runner.inputs())?;
        let mut wishes = request.wishes()?;
        if wishes.proof == ProofMode::None {
            return Err(ServiceError::invalid("a job is a proof; proof=none is for POST /v2/models/NAME/infer"));
        }
        wishes.proof = ProofMode::Async;
        let answer = app.inference.infer(&caller, model, runner, inputs, wishes).await?;
        let job = answer.job.ok_or_else(|| ServiceError::internal("no job was made"))?;
        Ok(Reply::json(201, &job_json(&job)))
    };
    let request = fingerprint("POST /v1/jobs", &body);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Query<HashMap<String, String>>,
) -> Answer {
    const MOST: usize = 1000;
    let limit = match parameters.get("limit") {
        None => 100,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| ServiceError::invalid(format!("limit must be a number from 1 to {MOST}")))?,
    };
    let before = parameters.get("before").map(String::as_str);
    if before.is_some_and(|before| !is_id(before)) {
        return Err(Refusal(ServiceError::invalid("before must be the id of a job")));
    }
    let jobs = app.desk.list(&caller.tenant, before, limit).await?;
    let next = (jobs.len() == limit).then(|| jobs.last().map(|job| job.id.clone())).flatten();
    Ok(Reply::json(200, &json!({ "jobs": jobs.iter().map(job_json).collect::<Vec<_>>(), "next": next })))
}

pub(super) async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Answer {
    Ok(Reply::json(200, &job_json(&app.desk.get(&caller.tenant, &id).await?)))
}

pub(super) async fn cancel(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Answer {
    caller.demand(Scope::Infer)?;
    Ok(Reply::json(200, &job_json(&app.desk.cancel(&caller.tenant, &id).await?)))
}

pub(super) async fn cancel_by_post(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    caller.demand(Scope::Infer)?;
    let work = async { Ok(Reply::json(200, &job_json(&app.desk.cancel(&caller.tenant, &id).await?))) };
    let request = fingerprint(&format!("POST /v1/jobs/{id}/cancel"), &[]);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

pub(super) async fn usage(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let usage = app.desk.usage(&caller.tenant).await?;
    let active = app.desk.board().of_tenant(&caller.tenant);
    Ok(Reply::json(
        200,
        &json!({
            "tenant": caller.tenant,
            "queued": active.queued,
            "proving": active.proving,
            "done": usage.done,
            "failed": usage.failed,
            "cancelled": usage.cancelled,
            "prove_seconds": usage.prove_seconds,
            "proof_bytes": usage.proof_bytes,
        }),
    ))
}
