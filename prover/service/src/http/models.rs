//! `/v1/models` and `/v1/uploads`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Refusal, bytes, idempotency_key};
use super::body::{self, Staged, fingerprint};
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::error::ServiceError;
use crate::idempotency::Reply;
use crate::ids::{Digest, check_name};
use crate::models::{Model, Shelf};
use crate::uploads::Upload;

type Answer = Result<Reply, Refusal>;
type Parameters = Query<HashMap<String, String>>;

/// A model as JSON.
pub(crate) fn model_json(model: &Model) -> Value {
    let ready = model.ready.as_ref();
    json!({
        "name": model.name,
        "digest": model.digest,
        "bytes": model.bytes,
        "owner": model.tenant,
        "state": model.state.name(),
        "created_ms": model.created_ms,
        "failure": model.failure,
        "vk_digest": ready.map(|ready| ready.vk),
        "vk_bytes": ready.map(|ready| ready.vk_bytes),
        "pk_bytes": ready.map(|ready| ready.pk_bytes),
        "proof_memory_bytes": ready.map(|ready| ready.memory_bytes),
        "prove_seconds": ready.map(|ready| ready.prove_seconds),
        "proof_bytes": ready.map(|ready| ready.proof_bytes),
        "inputs": ready.map(|ready| &ready.inputs),
        "outputs": ready.map(|ready| &ready.outputs),
    })
}

fn model_name(parameters: &HashMap<String, String>) -> Result<&str, ServiceError> {
    let name = parameters.get("name").ok_or_else(|| ServiceError::invalid("the query needs name=NAME"))?;
    check_name("the model's name", name)?;
    Ok(name)
}

/// Takes a staged file in as a model.
async fn take_in(app: &App, caller: &Caller, name: &str, file: Staged, len: u64) -> Result<Reply, ServiceError> {
    if len == 0 {
        return Err(ServiceError::invalid("the model is empty; send the bytes of an ONNX file as the body"));
    }
    let digest = app.desk.store().blobs.put_file(&file.0).await?;
    let (model, new) = app.shelf.add(&caller.tenant, name, digest, len).await?;
    tracing::info!(tenant = caller.tenant, key = caller.key, model = name, %digest, "audit: model uploaded");
    Ok(Reply::json(if new { 201 } else { 200 }, &model_json(&model)))
}

pub(super) async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    caller.demand(Scope::Admin)?;
    let name = model_name(&parameters)?;
    let file = Staged::new(&app.config.data)?;
    let (len, digest) = body::stage(body, &file, app.config.limits.max_model).await?;
    let request = fingerprint(&format!("POST /v1/models {name}"), &digest.0);
    let work = take_in(&app, &caller, name, file, len);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let models: Vec<Value> = app.shelf.list(&caller.tenant).await?.iter().map(model_json).collect();
    Ok(Reply::json(200, &json!({ "models": models })))
}

pub(super) async fn get(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Answer {
    Ok(Reply::json(200, &model_json(&*app.shelf.find(&caller.tenant, &name).await?)))
}

/// A file that setup made. Those of a disabled model can still be had: its proofs are still checked.
async fn made(app: &App, model: &Model, which: fn(&crate::models::Ready) -> Digest) -> Result<Vec<u8>, ServiceError> {
    let digest = match &model.ready {
        Some(ready) => which(ready),
        None => which(Shelf::ready(model)?),
    };
    Ok(app.desk.store().blobs.get(&digest).await?)
}

pub(super) async fn vk(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Answer {
    let model = app.shelf.find(&caller.tenant, &name).await?;
    Ok(bytes("application/octet-stream", made(&app, &model, |ready| ready.vk).await?))
}

pub(super) async fn report(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Answer {
    let model = app.shelf.find(&caller.tenant, &name).await?;
    Ok(bytes("application/json", made(&app, &model, |ready| ready.report).await?))
}

pub(super) async fn disable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    caller.demand(Scope::Admin)?;
    let work = async {
        let model = app.shelf.disable(&caller.tenant, &name).await?;
        tracing::info!(tenant = caller.tenant, key = caller.key, model = name, "audit: model disabled");
        Ok(Reply::json(200, &model_json(&model)))
    };
    let request = fingerprint(&format!("POST /v1/models/{name}/disable"), &[]);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

fn upload_json(app: &App, upload: &Upload) -> Value {
    json!({ "id": upload.id, "offset": upload.offset, "max_piece_bytes": app.config.limits.max_body })
}

pub(super) async fn begin_upload(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap) -> Answer {
    caller.demand(Scope::Admin)?;
    let work = async { Ok(Reply::json(201, &upload_json(&app, &app.uploads.begin(&caller.tenant).await?))) };
    let request = fingerprint("POST /v1/uploads", &[]);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}

pub(super) async fn get_upload(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Answer {
    caller.demand(Scope::Admin)?;
    Ok(Reply::json(200, &upload_json(&app, &app.uploads.get(&caller.tenant, &id).await?)))
}

pub(super) async fn append_upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
    body: Body,
) -> Answer {
    caller.demand(Scope::Admin)?;
    let offset = parameters.get("offset").and_then(|offset| offset.parse::<u64>().ok());
    let offset = offset.ok_or_else(|| ServiceError::invalid("the query needs offset=BYTES"))?;
    let piece = body::read(body, app.config.limits.max_body).await?;
    let upload = app.uploads.append(&caller.tenant, &id, offset, piece.to_vec()).await?;
    Ok(Reply::json(200, &upload_json(&app, &upload)))
}

pub(super) async fn complete_upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Parameters,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Answer {
    caller.demand(Scope::Admin)?;
    let name = model_name(&parameters)?;
    let work = async {
        let file = Staged::new(&app.config.data)?;
        app.uploads.join(&caller.tenant, &id, &file.0).await?;
        let len = std::fs::metadata(&file.0).map_or(0, |data| data.len());
        let reply = take_in(&app, &caller, name, file, len).await?;
        app.uploads.end(&caller.tenant, &id).await?;
        Ok(reply)
    };
    let request = fingerprint(&format!("POST {uri}"), &[]);
    Ok(app.idempotency.once(&caller, idempotency_key(&headers), request, work).await?)
}
