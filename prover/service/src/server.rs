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
use crate::log::{LogBook, key_file};
use crate::maintenance::retention::{Forgotten, forget};
use crate::metrics::Metrics;
use crate::models::{Setup, Shelf};
use crate::store::{Store, Work, embedded, nats};
use crate::uploads::Uploads;
use crate::verification::Verifications;
use crate::worker::{KeyRoom, Worker, Workers};

/// Where a started service listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// HTTP.
    pub http: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// Every connection is an open file; the soft limit is often far below what the machine allows.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit of open files stays at {soft}");
    }
}

/// Opens the storage that a configuration names.
///
/// # Errors
/// It does not answer, or another process has it open.
pub async fn open_store(config: &Config) -> Result<Store, ServiceError> {
    match &config.nats {
        None => Ok(embedded::open(&config.data)?),
        Some(url) => Ok(nats::open(url, &config.data.join("cache"), config.nats_replicas).await?),
    }
}

/// Serves until SIGTERM or SIGINT. `listening` is called once requests are taken.
///
/// # Errors
/// The configuration does not work here, or the storage does not answer.
pub async fn serve(config: Config, listening: impl FnOnce(Listening) + Send) -> Result<(), ServiceError> {
    config.check()?;
    raise_file_limit();
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
    let signer = key_file::signer(&store, &config.log_key()).await?;
    let (log, metrics) = (LogBook::open(store.clone(), Some(signer)).await?, Metrics::new()?);
    let heads = tokio::spawn(log.clone().keep_heads());
    let room = KeyRoom::new(memory);
    let app = Arc::new(App {
        keyring: Keyring::open(&config.data, store.shared.then(|| Arc::clone(&store.records)))?,
        rates: RateLimits::new(config.limits.rate, config.limits.burst),
        inference: Inference::new(
            desk.clone(),
            shelf.clone(),
            metrics.clone(),
            config.proves().then_some(memory),
            config.limits.request.saturating_sub(Duration::from_secs(5)),
        ),
        idempotency: Idempotency::new(store.clone(), desk.instance().to_owned()),
        uploads: Uploads::new(store.clone(), config.limits.max_model),
        verifications: Verifications::new(config.clone()),
        log: log.clone(),
        metrics: metrics.clone(),
        proof_memory: room.running_bytes(),
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
    let shared = Shared { desk: &desk, shelf: &shelf, log: &log, metrics: &metrics, room };
    let forgetting = tokio::spawn(forget_for_ever(store.clone(), config.keep_jobs));
    let workers = start_workers(&config, shared, Direct);
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
    heads.abort();
    forgetting.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Proves jobs of a shared storage until SIGTERM or SIGINT. `working` is called once jobs are taken.
///
/// # Errors
/// The configuration does not work here, or the storage does not answer.
pub async fn work(config: Config, working: impl FnOnce() + Send) -> Result<(), ServiceError> {
    config.check()?;
    std::fs::create_dir_all(&config.data)
        .map_err(|error| ServiceError::invalid(format!("{}: {error}", config.data.display())))?;
    let store = open_store(&config).await?;
    let desk = Desk::open(store.clone(), config.rules.clone()).await?;
    let shelf = Shelf::open(store, config.provider.clone()).await?;
    let setup = tokio::spawn(Setup::new(shelf.clone(), config.clone(), desk.instance().to_owned()).run());
    let sweeping = tokio::spawn(sweep_for_ever(desk.clone()));
    let (log, metrics) = (LogBook::open(desk.store().clone(), None).await?, Metrics::new()?);
    let room = KeyRoom::new(config.proving.memory_budget());
    let shared = Shared { desk: &desk, shelf: &shelf, log: &log, metrics: &metrics, room };
    let workers = start_workers(&config, shared, Direct);
    working();
    ended().await?;
    tracing::info!("draining: no new jobs, running ones are finished");
    setup.abort();
    if let Some(workers) = workers
        && tokio::time::timeout(config.drain, workers.drain()).await.is_err()
    {
        tracing::warn!("proofs were cut off after {} s; other workers make them", config.drain.as_secs());
    }
    sweeping.abort();
    Ok(())
}

/// What workers share with the rest of their process.
struct Shared<'a, K> {
    desk: &'a Desk,
    shelf: &'a Shelf,
    log: &'a LogBook,
    metrics: &'a Metrics,
    room: Arc<KeyRoom<K>>,
}

/// Starts the workers of a process, if it proves.
fn start_workers<E: Engine>(config: &Config, shared: Shared<'_, E::Key>, engine: E) -> Option<Workers> {
    if !config.proves() {
        return None;
    }
    let batch = engine.batch().min(config.proving.max_batch).max(1);
    let worker = Worker {
        desk: shared.desk.clone(),
        shelf: shared.shelf.clone(),
        log: shared.log.clone(),
        metrics: shared.metrics.clone(),
        room: shared.room,
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

/// Forgets what is old, every quarter of an hour.
async fn forget_for_ever(store: Store, keep_jobs: Duration) {
    loop {
        match forget(&store, keep_jobs).await {
            Ok(forgotten) if forgotten != Forgotten::default() => {
                let Forgotten { jobs, leftovers, blobs } = forgotten;
                tracing::info!(jobs, leftovers, blobs, "forgot what is old");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "nothing forgotten"),
        }
        tokio::time::sleep(Duration::from_secs(900)).await;
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
