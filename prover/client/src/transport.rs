//! Requests and answers. A request is repeated only if that cannot do anything twice: it reads, or it carries an
//! `Idempotency-Key`, or it was refused before any work.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;

use crate::connect::{self, Connector};
use crate::error::{ClientError, Refusal, RefusalBody};

/// Longest answer taken.
const LONGEST: usize = 1 << 30;

/// An API key; it is not shown.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// Takes the text of a key, with or without a line end.
    ///
    /// # Errors
    /// It is no key.
    pub fn new(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ClientError::Key);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| ClientError::Key)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// How to reach a service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address, such as `https://proofs.example.org`.
    pub url: String,
    /// The caller's key.
    pub key: Option<ApiKey>,
    /// PEM certificates to trust in place of the machine's.
    pub authorities: Option<Vec<u8>>,
    /// Send the key to another machine without TLS.
    pub insecure: bool,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// How often a request is tried.
    pub attempts: u32,
    /// Longest pause between two attempts; a server that asks for a longer one is not asked again.
    pub longest_pause: Duration,
}

impl Settings {
    /// The defaults for an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key: None,
            authorities: None,
            insecure: false,
            timeout: Duration::from_secs(60),
            attempts: 6,
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// A client of one service. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    base: String,
    settings: Settings,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.base).finish_non_exhaustive()
    }
}

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads.
    Reads,
    /// The server does it once under this key.
    Keyed(String),
    /// The caller finds out.
    Never,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) repeat: Repeat,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let (method, headers) = (Method::GET, Vec::new());
        Self { method, path: path.into(), headers, body: Bytes::new(), repeat: Repeat::Reads }
    }

    /// A POST that is done once, however often it is sent.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Result<Self, ClientError> {
        let mut key = [0u8; 16];
        getrandom::fill(&mut key).map_err(|error| ClientError::Randomness(error.to_string()))?;
        let repeat = Repeat::Keyed(hex::encode(key));
        Ok(Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: body.into(), repeat })
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) call: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| self.wrong(error.to_string()))
    }

    pub(crate) fn wrong(&self, reason: impl Into<String>) -> ClientError {
        ClientError::Answer { call: self.call.clone(), reason: reason.into() }
    }
}

/// How one attempt ended.
enum Attempt {
    Done(Response<Incoming>),
    Refused(Refusal),
    Broken(ClientError),
}

impl Client {
    /// A client of the service at `settings.url`.
    ///
    /// # Errors
    /// The URL, the key or the certificates cannot be used.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let bad = |reason| ClientError::Url { url: settings.url.clone(), reason };
        let uri: Uri = settings.url.parse().map_err(|_| bad("it does not parse"))?;
        let host = uri.host().ok_or_else(|| bad("it has no host; write http://HOST:PORT or https://HOST"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it must begin with http:// or https://")),
        };
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        if !secure && settings.key.is_some() && !settings.insecure && !is_loopback(host) {
            return Err(ClientError::Cleartext { host: host.to_owned() });
        }
        let tls = secure.then(|| connect::tls(settings.authorities.as_deref())).transpose()?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(Connector { tls });
        Ok(Self { http, base: settings.url.trim_end_matches('/').to_owned(), settings })
    }

    /// Whether the service takes requests; needs no key.
    ///
    /// # Errors
    /// It does not, or does not answer.
    pub async fn ready(&self) -> Result<(), ClientError> {
        let call = Call { repeat: Repeat::Never, ..Call::get("/readyz") };
        self.send(&call).await.map(|_| ())
    }

    /// Sends a request, again where it may be, and takes the whole answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ClientError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = match self.open(call, &mut attempt).await {
                Ok(response) => self.collect(call, response).await,
                Err(error) => return Err(error),
            };
            // The answer broke off on the way.
            match answer {
                Err(ClientError::Unreachable { .. } | ClientError::Silent { .. })
                    if attempt < self.settings.attempts && call.repeat != Repeat::Never =>
                {
                    tokio::time::sleep(self.pause(attempt, None)).await;
                }
                other => return other,
            }
        }
    }

    /// Sends a request, again where it may be, until a good answer begins.
    pub(crate) async fn open(&self, call: &Call, attempt: &mut u32) -> Result<Response<Incoming>, ClientError> {
        loop {
            let (error, wait) = match self.try_once(call).await {
                Attempt::Done(response) => return Ok(response),
                Attempt::Refused(refusal) if may_come_back(&refusal, &call.repeat) => {
                    let wait = refusal.retry_after;
                    (ClientError::Refused(refusal), wait)
                }
                Attempt::Refused(refusal) => return Err(ClientError::Refused(refusal)),
                Attempt::Broken(error) if call.repeat == Repeat::Never => return Err(error),
                Attempt::Broken(error) => (error, None),
            };
            if *attempt >= self.settings.attempts || wait.is_some_and(|wait| wait > self.settings.longest_pause) {
                return Err(error);
            }
            tokio::time::sleep(self.pause(*attempt, wait)).await;
            *attempt += 1;
        }
    }

    /// Doubles, with half of it drawn at random, and is never shorter than the server asks for.
    pub(crate) fn pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let full = Duration::from_millis(100).saturating_mul(1 << attempt.min(16)).min(self.settings.longest_pause);
        let mut byte = [0u8; 1];
        // Without randomness the pause is only less spread.
        let _ = getrandom::fill(&mut byte);
        let drawn = full / 2 + full / 2 * u32::from(byte[0]) / 255;
        drawn.max(asked.unwrap_or_default())
    }

    async fn try_once(&self, call: &Call) -> Attempt {
        let request = match self.request(call) {
            Ok(request) => request,
            Err(error) => return Attempt::Broken(error),
        };
        let response = match tokio::time::timeout(self.settings.timeout, self.http.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Attempt::Broken(self.unreachable(&error)),
            Err(_) => return Attempt::Broken(self.silent()),
        };
        if response.status().is_success() {
            return Attempt::Done(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = match self.collect(call, response).await {
            Ok(answer) => answer.body,
            Err(error) => return Attempt::Broken(error),
        };
        Attempt::Refused(refusal(status, &headers, &body))
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, ClientError> {
        let unusable = |_| ClientError::Url { url: self.base.clone(), reason: "a path does not parse" };
        let mut request = Request::builder().method(call.method.clone()).uri(format!("{}{}", self.base, call.path));
        if let Some(key) = &self.settings.key {
            request = request.header(header::AUTHORIZATION, key.0.clone());
        }
        if let Repeat::Keyed(key) = &call.repeat {
            request = request.header("idempotency-key", key);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        request.body(Full::new(call.body.clone())).map_err(unusable)
    }

    async fn collect(&self, call: &Call, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let call = format!("{} {}", call.method, call.path);
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect();
        match tokio::time::timeout(self.settings.timeout, body).await {
            Ok(Ok(body)) => Ok(Answer { call, headers: head.headers, body: body.to_bytes() }),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(ClientError::Answer { call, reason: format!("it is longer than {LONGEST} bytes") })
            }
            Ok(Err(error)) => Err(self.unreachable(error.as_ref())),
            Err(_) => Err(self.silent()),
        }
    }

    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let (mut reason, mut next) = (error.to_string(), error.source());
        while let Some(cause) = next {
            reason = format!("{reason}: {cause}");
            next = cause.source();
        }
        ClientError::Unreachable { url: self.base.clone(), reason }
    }

    fn silent(&self) -> ClientError {
        ClientError::Silent { url: self.base.clone(), after: self.settings.timeout }
    }
}

/// Refusals that pass. Too many requests are refused before any work; the others say nothing about what was done.
fn may_come_back(refusal: &Refusal, repeat: &Repeat) -> bool {
    match refusal.status {
        429 => true,
        502..=504 => *repeat != Repeat::Never,
        // The same request is being worked on.
        409 => matches!(repeat, Repeat::Keyed(_)) && refusal.retry_after.is_some(),
        _ => false,
    }
}

fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let told: RefusalBody = serde_json::from_slice(body).unwrap_or_default();
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let retry_after = told.retry_after_ms.map(Duration::from_millis).or(seconds.map(Duration::from_secs));
    let message = match told.error.is_empty() {
        false => told.error,
        true => String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(200).collect(),
    };
    Refusal { status, code: told.code, message, retry_after }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A name in a path or query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> Refusal {
        let retry_after = retry_after.map(Duration::from_secs);
        Refusal { status, code: String::new(), message: String::new(), retry_after }
    }

    #[test]
    fn only_what_cannot_be_done_twice_is_repeated() {
        let keyed = Repeat::Keyed("k".to_owned());
        for repeat in [&Repeat::Reads, &keyed, &Repeat::Never] {
            assert!(may_come_back(&refused(429, None), repeat));
            assert_eq!(may_come_back(&refused(503, Some(1)), repeat), *repeat != Repeat::Never);
            assert!(!may_come_back(&refused(500, None), repeat));
            assert!(!may_come_back(&refused(404, None), repeat));
        }
        assert!(may_come_back(&refused(409, Some(1)), &keyed));
        assert!(!may_come_back(&refused(409, None), &keyed));
        assert!(!may_come_back(&refused(409, Some(1)), &Repeat::Reads));
    }

    #[test]
    fn pauses_grow_and_are_at_least_what_the_server_asks_for() {
        let client = Client::new(Settings::new("http://127.0.0.1:1")).unwrap();
        assert!(client.pause(1, None) <= Duration::from_millis(200));
        assert!(client.pause(40, None) <= Duration::from_secs(30));
        assert_eq!(client.pause(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }

    #[test]
    fn a_key_is_not_sent_in_the_clear_and_not_shown() {
        let settings = |url: &str| Settings { key: Some(ApiKey::new("vk_secret\n").unwrap()), ..Settings::new(url) };
        assert!(matches!(Client::new(settings("http://example.org")), Err(ClientError::Cleartext { .. })));
        assert!(Client::new(Settings { insecure: true, ..settings("http://example.org") }).is_ok());
        for url in ["http://127.0.0.1:8080/", "http://[::1]:8080", "http://localhost"] {
            assert!(Client::new(settings(url)).is_ok(), "{url}");
        }
        assert!(!format!("{:?}", settings("http://localhost")).contains("secret"));
        for url in ["example.org", "ftp://example.org", "http://", "http://h/?q=1"] {
            assert!(matches!(Client::new(settings(url)), Err(ClientError::Url { .. })), "{url}");
        }
        for key in ["", "a b", "a\nb"] {
            assert!(ApiKey::new(key).is_err());
        }
    }

    #[test]
    fn refusals_are_read_whoever_answers() {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("3"))]);
        let plain = refusal(503, &headers, b"<html>\nbusy");
        assert_eq!((plain.message.as_str(), plain.retry_after), ("<html>busy", Some(Duration::from_secs(3))));
        let body = br#"{"error":"later","code":"unavailable","retry_after_ms":1500}"#;
        let told = refusal(503, &headers, body);
        assert_eq!((told.code.as_str(), told.retry_after), ("unavailable", Some(Duration::from_millis(1500))));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a b/ä"), "a%20b%2F%C3%A4");
    }
}
