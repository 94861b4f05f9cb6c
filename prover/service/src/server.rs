//! The whole service: opens the storage, starts everything, ends everything in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::auth::{Keyring, RateLimits};
use crate::config::Config;
use crate::engine::{Direct, Engine};
use crate::error::ServiceError;
use crate::grpc;
use crate::http;
use crate::idempotency::Idempotency;
use crate::inference::Inference;
use crate::jobs::{Desk, sweep};
use crate::listen::{self, Port};
use crate::models::{Setup, Shelf};
use crate::store::{Store, Work, embedded};
use crate::uploads::Uploads;
use crate::worker::{KeyRoom, Worker, Workers};

/// Where a started service listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// HTTP.
    pub http: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// Opens the storage that a configuration names.
///
/// # Errors
/// It does not answer, or another process has it open.
pub async fn open_store(config: &Config) -> Result<Store, ServiceError> {
    match &config.nats {
        None => Ok(embedded::open(&config.data)?),
        Some(_) => Err(ServiceError::invalid("NATS is not built in")),
    }
}

/// Serves until SIGTERM or SIGINT. `listening` is called once requests are taken.
///
/// # Errors
/// The configuration does not work here, or the storage does not answer.
pub async fn serve(config: Config, listening: impl FnOnce(Listening) + Send) -> Result<(), ServiceError> {
    config.check()?;
    std::fs::create_dir_all(&config.data)
        .map_err(|error| ServiceError::invalid(format!("{}: {error}", config.data.display())))?;
    let tls = config.tls.as_ref().map(listen::acceptor).transpose()?;
    // Bound first: a port in use is found before anything is changed.
    let http_port = Port::bind(config.http, tls.clone(), config.limits.connections).await?;
    let grpc_port = Port::bind(config.grpc, tls, config.limits.connections).await?;
    let store = open_store(&config).await?;
    let desk = Desk::open(store.clone(), config.rules.clone()).await?;
    let shelf = Shelf::open(store.clone(), config.provider.clone()).await?;
    let memory = config.proving.memory_budget();
    let app = Arc::new(App {
        keyring: Keyring::open(&config.data, store.shared.then(|| Arc::clone(&store.records)))?,
        rates: RateLimits::new(config.limits.rate, config.limits.burst),
        inference: Inference::new(
            desk.clone(),
            shelf.clone(),
            (!store.shared).then_some(memory),
            config.limits.request.saturating_sub(Duration::from_secs(5)),
        ),
        idempotency: Idempotency::new(store.clone(), desk.instance().to_owned()),
        uploads: Uploads::new(store.clone(), config.limits.max_model),
        draining: AtomicBool::new(false),
        started: Instant::now(),
        desk: desk.clone(),
        shelf: shelf.clone(),
        config: config.clone(),
    });
    let setup = tokio::spawn(Setup::new(shelf.clone(), config.clone(), desk.instance().to_owned()).run());
    let sweeping = tokio::spawn(sweep_for_ever(desk.clone()));
    if !store.shared {
        queue_again(&desk).await?;
    }
    let workers = start_workers(&config, &desk, &shelf, Direct);
    let (stop, stopped) = watch::channel(false);
    let grpc_router = grpc::router(Arc::clone(&app)).await?;
    listening(Listening { http: http_port.address()?, grpc: grpc_port.address()? });
    let http_task = tokio::spawn(http_port.serve(http::router(Arc::clone(&app)), stopped.clone(), config.drain));
    let grpc_task = tokio::spawn(grpc_port.serve(grpc_router, stopped, config.drain));
    ended().await?;
    tracing::info!("draining: no new requests, running ones are finished");
    app.draining.store(true, Ordering::SeqCst);
    stop.send_replace(true);
    setup.abort();
    let rest = async {
        if let Some(workers) = workers {
            workers.drain().await;
        }
        let _ = http_task.await;
        let _ = grpc_task.await;
    };
    if tokio::time::timeout(config.drain, rest).await.is_err() {
        tracing::warn!("proofs were cut off after {} s; they are made again at the next start", config.drain.as_secs());
    }
    sweeping.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Starts the workers of a process, if it proves.
pub(crate) fn start_workers<E: Engine>(config: &Config, desk: &Desk, shelf: &Shelf, engine: E) -> Option<Workers> {
    if !config.prove {
        return None;
    }
    let batch = engine.batch().min(config.proving.max_batch).max(1);
    let worker = Worker {
        desk: desk.clone(),
        shelf: shelf.clone(),
        room: KeyRoom::new(config.proving.memory_budget()),
        proving: config.proving.clone(),
        batch,
        engine,
    };
    Some(Workers::start(Arc::new(worker), config.proving.worker_count()))
}

/// Everything that waited when the last process ended waits in the queue again.
async fn queue_again(desk: &Desk) -> Result<(), ServiceError> {
    let mut waiting = desk.board().active();
    waiting.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, active) in waiting {
        if active.state == crate::jobs::State::Queued {
            desk.store().queue.push(Work { key, priority: active.priority }).await?;
        }
    }
    Ok(())
}

pub(crate) async fn sweep_for_ever(desk: Desk) {
    loop {
        if let Err(error) = sweep(&desk).await {
            tracing::warn!(%error, "sweep failed");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// SIGTERM or SIGINT.
pub(crate) async fn ended() -> Result<(), ServiceError> {
    let no_signals = |error: std::io::Error| ServiceError::internal(format!("no signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
