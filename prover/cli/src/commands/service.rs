//! The commands of the proving service.

pub(crate) mod backup;
pub(crate) mod check_proof;
pub(crate) mod compile_model;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod serve;
pub(crate) mod worker;

use std::future::Future;
use std::path::Path;

use tempfile::TempDir;
use tracing_subscriber::EnvFilter;
use vinfer_service::settings::{self, Values};
use vinfer_service::store::{Store, embedded, nats};
use vinfer_service::{Config, ServiceError};

use crate::error::CliError;

/// The file's settings, then the environment's, then the flags'.
fn settings(
    file: Option<&Path>,
    flags: impl IntoIterator<Item = (&'static str, Option<String>)>,
    set: &[(String, String)],
) -> Result<Values, CliError> {
    let mut values = match file {
        Some(path) => settings::from_file(path)?,
        None => Values::new(),
    };
    values.extend(settings::from_environment());
    values.extend(flags.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))));
    values.extend(set.iter().cloned());
    Ok(values)
}

/// Opens the storage of a place; a directory for copies of blobs lives as long as the answer.
async fn open(data: Option<&Path>, nats: Option<&str>) -> Result<(Store, Option<TempDir>), ServiceError> {
    match (nats, data) {
        (Some(url), _) => {
            let cache = tempfile::tempdir().map_err(|error| ServiceError::internal(error.to_string()))?;
            Ok((nats::open(url, cache.path(), 1).await?, Some(cache)))
        }
        (None, Some(data)) => Ok((embedded::open(data)?, None)),
        (None, None) => Err(ServiceError::invalid("name a storage with --data DIR or --nats URL")),
    }
}

/// A configuration for a directory.
fn configuration(data: &Path, values: &Values) -> Result<Config, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| ServiceError::internal(format!("the path of this program is unknown: {error}")))?;
    let mut config = Config::new(data.to_owned(), program);
    settings::apply(&mut config, values)?;
    Ok(config)
}

/// Log lines go to standard error; `RUST_LOG` chooses.
fn start_log(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}

/// Runs a command that waits for things.
fn wait_for<T>(work: impl Future<Output = Result<T, ServiceError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ServiceError::internal(format!("cannot start the threads: {error}")))?;
    let outcome = runtime.block_on(work);
    // A proof that runs on beyond the time to drain is left to the end of the process.
    runtime.shutdown_background();
    Ok(outcome?)
}
