//! HTTP: the service's own resources under `/v1`, the Open Inference Protocol under `/v2`.

mod answer;
mod body;
mod events;
mod health;
mod jobs;
mod layers;
mod log;
mod models;
mod oip;
mod overview;
mod page;
mod proofs;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch, post};

use crate::app::App;

pub(crate) use body::Staged;
pub(crate) use oip::{Request, VERSION, check_version, parameters};

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
        .route("/v1/usage", get(jobs::usage))
        .route("/v1/overview", get(overview::of_tenant))
        .route("/v1/overview/service", get(overview::of_service))
        .route("/v1/log/head", get(log::head))
        .route("/v1/log/consistency", get(log::consistency))
        .route("/v1/log/hashes", get(log::hashes))
        .route("/v1/log/entries/{statement}", get(log::entry));
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
    let rest = Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(health::openapi))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready));
    layers::add(v1.merge(v2).merge(rest).fallback(answer::no_route), Arc::clone(&app)).with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The routes above and the document name the same paths and methods.
    #[test]
    fn the_document_describes_every_route() {
        let document: serde_json::Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert(format!("{method} {path}"));
            }
        }
        let mut routed = BTreeSet::new();
        let source = include_str!("mod.rs").split("#[cfg(test)]").next().unwrap();
        for route in source.split(".route(\"").skip(1) {
            let (path, handlers) = route.split_once('"').unwrap();
            for method in ["get", "post", "patch", "delete"] {
                if handlers.lines().next().unwrap().contains(&format!("{method}(")) {
                    routed.insert(format!("{method} {path}"));
                }
            }
        }
        assert_eq!(routed, described);
        assert!(routed.len() > 30);
    }
}
