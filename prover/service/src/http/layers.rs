//! Around every request: an id, a log line, a time limit.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::answer::{Refusal, field};
use crate::app::App;
use crate::error::{Code, ServiceError};
use crate::ids::new_id;

const REQUEST_ID: &str = "x-request-id";

pub(super) fn add(router: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    router.layer(middleware::from_fn_with_state(app, around))
}

async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = field(request.headers(), REQUEST_ID).filter(|id| {
        id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    });
    let id = match given {
        Some(id) => id.to_owned(),
        None => new_id().unwrap_or_default(),
    };
    // The route and not the path: paths hold names that tenants chose.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", id, %method, route);
    let start = std::time::Instant::now();
    let limit = app.config.limits.request + std::time::Duration::from_secs(4);
    let mut response = match tokio::time::timeout(limit, next.run(request).instrument(span.clone())).await {
        Ok(response) => response,
        Err(_) => Refusal(ServiceError::new(
            Code::DeadlineExceeded,
            "the request took too long; upload large models in pieces (POST /v1/uploads)",
        ))
        .into_response(),
    };
    let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    app.metrics.request(&route, method.as_str(), status, seconds);
    span.in_scope(|| tracing::debug!(status, seconds, "answered"));
    // No answer is taken for something else than it says, such as a script.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
