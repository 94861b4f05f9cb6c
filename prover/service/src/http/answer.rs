//! Answers: refusals as JSON, repeated replies as they were.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{Code, ServiceError};
use crate::idempotency::Reply;

/// A refusal on its way to a client.
#[derive(Debug)]
pub struct Refusal(pub ServiceError);

impl<E: Into<ServiceError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        if error.code == Code::Internal {
            tracing::error!(reason = error.message, "internal error");
        }
        let mut body = serde_json::json!({ "error": error.message, "code": error.code.name() });
        if let (Some(wait), Some(body)) = (error.retry_after, body.as_object_mut()) {
            body.insert("retry_after_ms".to_owned(), (wait.as_millis() as u64).into());
        }
        let mut response = Reply::json(error.code.status(), &body).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = error.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
        }
        if error.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Bytes with a type.
pub(super) fn bytes(content_type: &str, body: Vec<u8>) -> Reply {
    Reply { status: 200, headers: vec![("content-type".to_owned(), content_type.to_owned())], body }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        Ok(app.caller(value).await?)
    }
}

/// A header field as text.
pub(super) fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The request's key against doing it twice.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("idempotency-key").map(|value| value.to_str().unwrap_or_default())
}

pub(super) async fn no_route() -> Refusal {
    Refusal(ServiceError::not_found("there is nothing at this path; GET /openapi.json describes the interface"))
}
