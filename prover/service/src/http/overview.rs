//! `/v1/overview`: how it goes, for the page at `/`. A tenant sees its own numbers; those of all tenants together, without
//! a name, take a key with scope operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use serde_json::{Value, json};

use super::answer::Refusal;
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::idempotency::Reply;
use crate::ids::now_ms;
use crate::jobs::{Activity, Counts, Ended};
use crate::models::Model;

type Answer = Result<Reply, Refusal>;

pub(super) async fn of_tenant(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let board = app.desk.board();
    let (active, activity) = (board.of_tenant(&caller.tenant), board.activity(Some(&caller.tenant)));
    let models = app.shelf.list(&caller.tenant).await?;
    let mut overview = common(&app, active, &activity, models.iter());
    let failures = activity.failures().map(|failed| {
        json!({
            "job": failed.job,
            "model": failed.model,
            "at_ms": failed.at_ms,
            "cause": failed.failure.cause,
            "message": failed.failure.message,
        })
    });
    overview["recent_failures"] = failures.collect();
    overview["tenant"] = caller.tenant.as_str().into();
    overview["scopes"] = caller.scopes.iter().map(|scope| scope.name()).collect();
    overview["limits"] = json!({
        "active_jobs": app.desk.rules().max_active_per_tenant,
        "body_bytes": app.config.limits.max_body,
        "model_bytes": app.config.limits.max_model,
    });
    Ok(Reply::json(200, &overview))
}

pub(super) async fn of_service(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    caller.demand(Scope::Operator)?;
    let board = app.desk.board();
    let models: Vec<Arc<Model>> = app.shelf.all().into_iter().map(|(_, seen)| seen.model).collect();
    let mut overview = common(&app, board.total(), &board.activity(None), models.iter().map(AsRef::as_ref));
    overview["limits"] = json!({ "queued_jobs": app.desk.rules().max_queued });
    overview["process"] = json!({
        "uptime_seconds": app.started.elapsed().as_secs_f64(),
        "resident_bytes": crate::metrics::resident_bytes(),
        "proves": app.config.proves(),
        "workers": app.config.proving.worker_count(),
        "proof_memory_bytes": app.proof_memory.load(Ordering::Relaxed),
        "proof_memory_limit_bytes": app.config.proving.memory_budget(),
        "shared_storage": app.desk.store().shared,
    });
    overview["log_entries"] = app.log.size().into();
    Ok(Reply::json(200, &overview))
}

fn common<'a>(app: &App, active: Counts, activity: &Activity, models: impl Iterator<Item = &'a Model>) -> Value {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    models.for_each(|model| *states.entry(model.state.name()).or_default() += 1);
    let (first, minutes) = activity.minutes();
    let minutes: Vec<&Ended> = minutes.collect();
    let row = |count: fn(&Ended) -> u64| -> Vec<u64> { minutes.iter().map(|minute| count(minute)).collect() };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": now_ms(),
        "draining": app.draining.load(Ordering::Relaxed),
        "models": states,
        "queued": active.queued,
        "proving": active.proving,
        "minutes": {
            "first_ms": first,
            "done": row(|minute| minute.done),
            "failed": row(|minute| minute.failed),
            "cancelled": row(|minute| minute.cancelled),
        },
        "hour": ended(&activity.hour()),
        "day": ended(&activity.day()),
        "proof_after_seconds": { "median": activity.quantile(0.5), "p95": activity.quantile(0.95) },
    })
}

fn ended(ended: &Ended) -> Value {
    let causes: BTreeMap<&str, u64> = ended.causes().map(|(cause, count)| (cause.name(), count)).collect();
    json!({
        "done": ended.done,
        "failed": ended.failed,
        "cancelled": ended.cancelled,
        "prove_seconds": ended.prove_seconds,
        "proof_bytes": ended.proof_bytes,
        "failures": causes,
    })
}
