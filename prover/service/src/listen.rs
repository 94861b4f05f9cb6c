//! Accepts connections: TLS, limits, and an end in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::config::Tls;
use crate::error::ServiceError;
use crate::patience::{HEAD, IDLE, Patient, Phase, Telling};

/// A bound port.
pub(crate) struct Port {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: usize,
}

/// Reads certificate and key.
///
/// # Errors
/// They are not readable or do not fit.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServiceError> {
    let bad = |what: &std::path::Path, error: &dyn std::fmt::Display| {
        ServiceError::invalid(format!("TLS: {}: {error}", what.display()))
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&tls.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| bad(&tls.key, &error))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&tls.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Port {
    /// Binds an address.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        connections: usize,
    ) -> Result<Self, ServiceError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| ServiceError::invalid(format!("cannot listen on {address}: {error}")))?;
        Ok(Self { listener, tls, connections })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub(crate) fn address(&self) -> Result<SocketAddr, ServiceError> {
        self.listener.local_addr().map_err(|error| ServiceError::internal(error.to_string()))
    }

    /// Serves until told to stop, then finishes what runs, for at most `drain`.
    pub(crate) async fn serve(self, router: Router, mut stop: watch::Receiver<bool>, drain: Duration) {
        let graceful = GracefulShutdown::new();
        let free = Arc::new(Semaphore::new(self.connections));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(1024)
            .max_header_list_size(32 << 10)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(20));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Such as too many open files: those who are connected go on.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&free).try_acquire_owned() else {
                tracing::warn!("connection refused: {} are open", self.connections);
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (builder, router, tls) = (builder.clone(), router.clone(), self.tls.clone());
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let _slot = slot;
                let phase = Phase::default();
                let service = Telling { service: TowerToHyperService::new(router), phase: phase.clone() };
                match tls {
                    None => {
                        let stream = TokioIo::new(Patient::new(stream, phase));
                        serve_one(builder.serve_connection(stream, service), watcher).await;
                    }
                    Some(tls) => {
                        if let Some(stream) = handshake(tls, stream).await {
                            let stream = TokioIo::new(Patient::new(stream, phase));
                            serve_one(builder.serve_connection(stream, service), watcher).await;
                        }
                    }
                }
            });
        }
        drop(self.listener);
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were cut off after {} s", drain.as_secs());
        }
    }
}

async fn serve_one<C>(connection: C, watcher: hyper_util::server::graceful::Watcher)
where
    C: hyper_util::server::graceful::GracefulConnection,
    C::Error: std::fmt::Debug,
{
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(?error, "connection ended");
    }
}

async fn handshake(tls: TlsAcceptor, stream: TcpStream) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match tokio::time::timeout(HEAD, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS handshake");
            None
        }
        Err(_) => None,
    }
}
