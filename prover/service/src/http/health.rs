//! Whether the service lives, and whether it takes requests, without a key; and numbers for Prometheus.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;

use super::answer::{Refusal, bytes, field};
use crate::app::App;
use crate::auth::Scope;
use crate::error::{Code, ServiceError};
use crate::idempotency::Reply;

pub(super) async fn live() -> Reply {
    Reply::json(200, &json!({ "live": true }))
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Reply, Refusal> {
    let not_now = |message: &str| ServiceError {
        code: Code::Unavailable,
        message: message.to_owned(),
        retry_after: Some(Duration::from_secs(1)),
    };
    if app.draining.load(Ordering::SeqCst) {
        return Err(Refusal(not_now("the service is stopping")));
    }
    app.desk.store().records.get("health").await?;
    Ok(Reply::json(200, &json!({ "ready": true })))
}

/// Numbers of all tenants together, for Prometheus. They name nobody, but tell how much business there is: who may ask without
/// a key is for the operator to say.
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Reply, Refusal> {
    if !app.config.open_metrics {
        app.caller(field(&headers, "authorization")).await?.demand(Scope::Operator)?;
    }
    let memory = app.proof_memory.load(Ordering::Relaxed);
    let text = app.metrics.text(app.desk.board().total(), memory, app.log.size())?;
    Ok(bytes("text/plain; version=0.0.4", text))
}

/// The description of this interface.
pub(super) async fn openapi() -> Reply {
    bytes("application/json", include_bytes!("../../openapi.json").to_vec())
}
