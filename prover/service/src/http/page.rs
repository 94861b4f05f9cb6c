//! The page for people, part of the program: no file on disk, nothing from another host. Loading it needs no key; what it
//! asks for does.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Refusal, field, no_route};
use crate::ids::Digest;

/// A part of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal: $type:literal),* $(,)?) => {
        &[$(File { name: $name, content_type: $type, bytes: include_bytes!(concat!("../../page/", $name)) }),*]
    };
}

const FILES: &[File] = files! {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "main.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "files.js": "text/javascript; charset=utf-8",
    "session.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "models.js": "text/javascript; charset=utf-8",
    "model.js": "text/javascript; charset=utf-8",
    "run.js": "text/javascript; charset=utf-8",
    "jobs.js": "text/javascript; charset=utf-8",
    "job.js": "text/javascript; charset=utf-8",
    "verify.js": "text/javascript; charset=utf-8",
    "verdict.js": "text/javascript; charset=utf-8",
};

/// Nothing but the page's own files, which run no text as code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Digests of the files, in their order: what a browser has is what this program has, or it is loaded again.
static TAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|file| format!("\"{}\"", &Digest::of(file.bytes).to_string()[..32])).collect());

pub(super) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    answer("index.html", &headers).await
}

pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refusal> {
    answer(&name, &headers).await
}

async fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let found = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name);
    let Some((file, tag)) = found else { return Err(no_route().await) };
    let known = field(headers, "if-none-match").is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    fields.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    fields.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    fields.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    fields.insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
    if let Ok(tag) = HeaderValue::try_from(tag.as_str()) {
        fields.insert(header::ETAG, tag);
    }
    Ok(response)
}
