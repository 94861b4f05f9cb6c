//! Refusals as gRPC statuses, and who calls.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code as GrpcCode, Request, Status};

use crate::app::App;
use crate::auth::Caller;
use crate::error::{Code, ServiceError};

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let code = match error.code {
            Code::InvalidArgument => GrpcCode::InvalidArgument,
            Code::Unauthenticated => GrpcCode::Unauthenticated,
            Code::PermissionDenied => GrpcCode::PermissionDenied,
            Code::NotFound => GrpcCode::NotFound,
            Code::Conflict => GrpcCode::AlreadyExists,
            Code::FailedPrecondition => GrpcCode::FailedPrecondition,
            Code::TooLarge | Code::ResourceExhausted | Code::DoesNotFit | Code::StorageFull => {
                GrpcCode::ResourceExhausted
            }
            Code::DeadlineExceeded => GrpcCode::DeadlineExceeded,
            Code::Unavailable => GrpcCode::Unavailable,
            Code::Internal => GrpcCode::Internal,
        };
        if error.code == Code::Internal {
            tracing::error!(reason = error.message, "internal error");
        }
        let mut metadata = MetadataMap::new();
        if let Ok(name) = MetadataValue::try_from(error.code.name()) {
            metadata.insert("vinfer-code", name);
        }
        if let Some(wait) = error.retry_after {
            metadata.insert("retry-after", MetadataValue::from(wait.as_secs_f64().ceil() as u64));
            metadata.insert("retry-after-ms", MetadataValue::from(wait.as_millis() as u64));
        }
        Self::with_metadata(code, error.message, metadata)
    }
}

/// Whose request this is.
pub(super) async fn caller<T>(app: &App, request: &Request<T>) -> Result<Caller, ServiceError> {
    app.caller(text(request.metadata(), "authorization")).await
}

/// A metadata field as text.
pub(super) fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).and_then(|value| value.to_str().ok())
}

/// Ends work that takes longer than requests may.
pub(super) async fn in_time<T>(app: &App, work: impl Future<Output = Result<T, ServiceError>>) -> Result<T, Status> {
    match tokio::time::timeout(app.config.limits.request + Duration::from_secs(4), work).await {
        Ok(done) => done.map_err(Status::from),
        Err(_) => Err(Status::deadline_exceeded("the request took too long")),
    }
}
