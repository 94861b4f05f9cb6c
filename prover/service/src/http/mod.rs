//! HTTP: the service's own resources under `/v1`, the Open Inference Protocol under `/v2`.

mod answer;
mod body;
mod events;
mod health;
mod jobs;
mod layers;
mod models;
mod oip;
mod proofs;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};

use crate::app::App;

pub(crate) use body::Staged;
pub(crate) use oip::{VERSION, check_version, parameters};

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let v1 = Router::new()
        .route("/v1/models", post(models::upload).get(models::list))
        .route("/v1/models/{name}", get(models::get))
        .route("/v1/models/{name}/vk", get(models::vk))
        .route("/v1/models/{name}/report", get(models::report))
        .route("/v1/models/{name}/disable", post(models::disable))
        .route("/v1/uploads", post(models::begin_upload))
        .route("/v1/uploads/{id}", patch(models::append_upload).get(models::get_upload))
        .route("/v1/uploads/{id}/complete", post(models::complete_upload))
        .route("/v1/jobs", post(jobs::submit).get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::get).delete(jobs::cancel))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel_by_post))
        .route("/v1/jobs/{id}/events", get(events::stream))
        .route("/v1/jobs/{id}/proof", get(proofs::of_job))
        .route("/v1/proofs/{statement}", get(proofs::of_statement))
        .route("/v1/verify", post(proofs::verify))
        .route("/v1/usage", get(jobs::usage));
    let v2 = Router::new()
        .route("/v2", get(oip::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/{name}", get(oip::metadata))
        .route("/v2/models/{name}/ready", get(oip::model_ready))
        .route("/v2/models/{name}/infer", post(oip::infer))
        .route("/v2/models/{name}/versions/{version}", get(oip::metadata))
        .route("/v2/models/{name}/versions/{version}/ready", get(oip::model_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(oip::infer));
    let rest = Router::new().route("/healthz", get(health::live)).route("/readyz", get(health::ready));
    layers::add(v1.merge(v2).merge(rest).fallback(answer::no_route), Arc::clone(&app)).with_state(app)
}
