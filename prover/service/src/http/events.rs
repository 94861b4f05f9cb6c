//! A job's history as server-sent events. Events have ids; a client that was cut off goes on with `Last-Event-ID`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Refusal, field};
use crate::app::App;
use crate::auth::Caller;
use crate::error::ServiceError;
use crate::jobs::{Event, job_key};

/// Silence after which a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(10);

struct Reader {
    app: Arc<App>,
    tenant: String,
    job: String,
    changes: watch::Receiver<u64>,
    after: u64,
    until: Instant,
    ended: bool,
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let after = field(&headers, "last-event-id").or(parameters.get("after").map(String::as_str)).unwrap_or("0");
    let after = after.trim().parse().map_err(|_| ServiceError::invalid("Last-Event-ID must be a number"))?;
    // Before the first byte, so that a job of somebody else is refused with a status.
    app.desk.get(&caller.tenant, &id).await?;
    let reader = Reader {
        changes: app.desk.board().watch(&job_key(&caller.tenant, &id)),
        until: Instant::now() + app.config.limits.request,
        tenant: caller.tenant,
        job: id,
        app,
        after,
        ended: false,
    };
    let chunks = stream::unfold(reader, |reader| async move { reader.next().await });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if self.ended {
            return None;
        }
        let silent_until = (Instant::now() + ALIVE).min(self.until);
        loop {
            self.changes.mark_unchanged();
            let Ok(job) = self.app.desk.get(&self.tenant, &self.job).await else {
                return None;
            };
            let mut text = String::new();
            for event in job.events.iter().filter(|event| event.id > self.after) {
                push(&mut text, event);
            }
            if let Some(event) = job.events.last() {
                self.after = self.after.max(event.id);
            }
            self.ended = job.state().is_final();
            if self.ended || !text.is_empty() {
                return Some((Ok(Bytes::from(text)), self));
            }
            if tokio::time::timeout_at(silent_until, self.changes.changed()).await.is_err() {
                self.ended = Instant::now() >= self.until;
                // The client comes back with the id of the last event it has.
                let text = if self.ended { "retry: 500\n\n" } else { ": still here\n\n" };
                return Some((Ok(Bytes::from_static(text.as_bytes())), self));
            }
        }
    }
}

fn push(text: &mut String, event: &Event) {
    let name = event.kind.name();
    let data = serde_json::to_string(event).unwrap_or_default();
    // Writing to a string does not fail.
    let _ = write!(text, "id: {}\nevent: {name}\ndata: {data}\n\n", event.id);
}
