//! The commands of the proving service.

pub(crate) mod compile_model;
pub(crate) mod keys;
pub(crate) mod serve;

use std::future::Future;

use vinfer_service::ServiceError;

use crate::error::CliError;

/// Runs a command that waits for things.
fn wait_for<T>(work: impl Future<Output = Result<T, ServiceError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ServiceError::internal(format!("cannot start the threads: {error}")))?;
    let outcome = runtime.block_on(work);
    // A proof that runs on beyond the time to drain is left to the end of the process.
    runtime.shutdown_background();
    Ok(outcome?)
}
