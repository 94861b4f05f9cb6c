//! `vinfer backup` and `vinfer restore`.

use serde_json::json;
use vinfer_service::ServiceError;
use vinfer_service::log::key_file;
use vinfer_service::maintenance::backup::{Manifest, backup, restore};

use super::{open, wait_for};
use crate::args::{Backup, Restore};
use crate::error::CliError;
use crate::report::Outcome;

/// Runs `backup`.
pub(crate) fn run(args: &Backup) -> Result<Outcome, CliError> {
    let (data, nats) = (args.place.data.as_deref(), args.place.nats.as_deref());
    let log_key = match (&args.with_keys, data) {
        (None, _) => None,
        (Some(Some(path)), _) => Some(path.clone()),
        (Some(None), Some(data)) => Some(data.join(key_file::FILE)),
        (Some(None), None) => return Err(ServiceError::invalid("name the file with --with-keys FILE").into()),
    };
    let manifest = wait_for(async {
        let (store, _cache) = open(data, nats).await?;
        backup(&store, data, log_key.as_deref(), &args.output).await
    })?;
    let rest = if manifest.log_key { "" } else { "; without the log's secret key, which --with-keys copies too" };
    Ok(outcome("copied", &manifest, rest))
}

/// Runs `restore`.
pub(crate) fn restore_copy(args: &Restore) -> Result<Outcome, CliError> {
    let (data, nats) = (args.place.data.as_deref(), args.place.nats.as_deref());
    let manifest = wait_for(async {
        let (store, _cache) = open(data, nats).await?;
        restore(&store, data, &args.from).await
    })?;
    let rest = match (manifest.log_key, data) {
        (true, Some(_)) => "",
        (true, None) => "; give log.key of the copy to the gateways (setting log_key)",
        (false, _) => "; the copy has not the log's secret key: put log.key back before the service starts",
    };
    Ok(outcome("restored", &manifest, rest))
}

fn outcome(done: &str, manifest: &Manifest, rest: &str) -> Outcome {
    let Manifest { records, blobs, keys, log_key, .. } = manifest;
    Outcome {
        text: format!("{done} {records} records, {blobs} blobs, {keys} API keys{rest}"),
        json: json!({ "records": records, "blobs": blobs, "keys": keys, "log_key": log_key }),
    }
}
