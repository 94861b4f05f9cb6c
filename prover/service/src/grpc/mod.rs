//! gRPC: the Open Inference Protocol, the service's own resources, health and reflection.

mod convert;
mod inference;
mod once;
mod refuse;
mod resources;

use std::sync::Arc;

use axum::Router;
use tonic::service::Routes;

use crate::app::App;
use crate::error::ServiceError;

/// Generated from `proto/grpc_predict_v2.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
pub(crate) mod oip {
    tonic::include_proto!("inference");
}

/// Generated from `proto/vinfer_v1.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
pub(crate) mod v1 {
    tonic::include_proto!("vinfer.v1");
}

/// Descriptions of all services, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All services.
///
/// # Errors
/// The descriptions do not decode.
pub(crate) async fn router(app: Arc<App>) -> Result<Router, ServiceError> {
    let broken = |error: tonic_reflection::server::Error| ServiceError::internal(format!("reflection: {error}"));
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    health.set_service_status("inference.GRPCInferenceService", tonic_health::ServingStatus::Serving).await;
    // The reporter ends with the service: dropping it would end the watchers of health.
    let draining = Arc::clone(&app);
    tokio::spawn(async move {
        while !draining.draining.load(std::sync::atomic::Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        health.set_service_status("inference.GRPCInferenceService", tonic_health::ServingStatus::NotServing).await;
    });
    let longest = app.config.limits.max_body;
    let inference =
        oip::grpc_inference_service_server::GrpcInferenceServiceServer::new(inference::Inference(Arc::clone(&app)))
            .max_decoding_message_size(longest)
            .max_encoding_message_size(usize::MAX);
    let resources = resources::Resources(app);
    let routes = Routes::new(health_service)
        .add_service(describe().build_v1().map_err(broken)?)
        .add_service(describe().build_v1alpha().map_err(broken)?)
        .add_service(inference)
        .add_service(v1::models_server::ModelsServer::new(resources.clone()).max_decoding_message_size(longest))
        .add_service(v1::jobs_server::JobsServer::new(resources.clone()))
        .add_service(
            v1::proofs_server::ProofsServer::new(resources.clone())
                .max_decoding_message_size(longest)
                .max_encoding_message_size(usize::MAX),
        )
        .add_service(v1::usage_server::UsageServer::new(resources));
    Ok(routes.prepare().into_axum_router())
}
