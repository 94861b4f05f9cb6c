//! Storages to run a test on.

#[path = "../nats/mod.rs"]
mod nats_server;

use tempfile::TempDir;
use vinfer_service::store::{Store, embedded, nats};

use nats_server::NatsServer;

/// An empty storage.
pub(crate) struct Backend {
    pub(crate) store: Store,
    #[allow(dead_code, reason = "not every test needs files")]
    pub(crate) directory: TempDir,
}

/// Runs a test on an empty storage of every kind.
pub(crate) fn on_each(test: impl AsyncFn(Backend)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = embedded::open(&directory.path().join("data")).expect("a storage");
    runtime.block_on(test(Backend { store, directory }));
    let Some(server) = NatsServer::start() else { return };
    let directory = tempfile::tempdir().expect("temporary directory");
    let cache = directory.path().join("cache");
    runtime.block_on(async {
        let store = nats::open(&server.url(), &cache, 1).await.expect("a storage");
        test(Backend { store, directory }).await;
    });
}
