//! How long a connection may be silent: a head that has begun must end soon, so that slow senders do not hold places; between
//! two requests the client may take its time. The server beneath has one time for both.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Time for the head of a request once it has begun, and for the first byte of a connection.
pub(crate) const HEAD: Duration = Duration::from_secs(15);
/// Silence between two requests.
pub(crate) const IDLE: Duration = Duration::from_secs(75);
/// First bytes of HTTP/2, which has its own signs of life.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A head is arriving.
const READING: u8 = 0;
/// A request is being answered.
const ANSWERING: u8 = 1;
/// Nothing is going on.
const SILENT: u8 = 2;

/// Where a connection stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

/// Ends the answering of a request when it is dropped.
struct Answered(Phase);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.set(SILENT);
    }
}

/// A stream that fails when a head takes too long.
pub(crate) struct Patient<S> {
    stream: S,
    phase: Phase,
    until: Pin<Box<Sleep>>,
    /// Bytes of [`PREFACE`] that came; `None` once it is known that it is not coming.
    preface: Option<usize>,
}

impl<S> Patient<S> {
    /// A new connection.
    pub(crate) fn new(stream: S, phase: Phase) -> Self {
        Self { stream, phase, until: Box::pin(sleep(HEAD)), preface: Some(0) }
    }

    fn is_http2(&self) -> bool {
        self.preface == Some(PREFACE.len())
    }

    fn arrived(&mut self, bytes: &[u8]) {
        if let Some(seen) = self.preface.filter(|seen| *seen < PREFACE.len()) {
            let rest = PREFACE.get(seen..).unwrap_or_default();
            let len = rest.len().min(bytes.len());
            self.preface = (rest.get(..len) == bytes.get(..len)).then_some(seen.saturating_add(len));
        }
        if self.phase.is(SILENT) {
            self.phase.set(READING);
            self.until.as_mut().reset(Instant::now() + HEAD);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.arrived(bytes);
        }
        let late = self.phase.is(READING) && !self.is_http2() && self.until.as_mut().poll(cx).is_ready();
        if late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A body until whose end the request is being answered.
struct Held {
    body: Body,
    _answered: Answered,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A service that tells the connection when it answers.
#[derive(Debug, Clone)]
pub(crate) struct Telling<S> {
    pub(crate) service: S,
    pub(crate) phase: Phase,
}

impl<S> Service<Request<Incoming>> for Telling<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.phase.set(ANSWERING);
        let answered = Answered(self.phase.clone());
        let answer = self.service.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Body::new(Held { body, _answered: answered })))
        })
    }
}
