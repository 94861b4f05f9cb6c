//! `vinfer backup` and `vinfer restore`.

use serde_json::json;
use vinfer_service::maintenance::backup::{Manifest, backup, restore};

use super::{open, wait_for};
use crate::args::{Backup, Restore};
use crate::error::CliError;
use crate::report::Outcome;

/// Runs `backup`.
pub(crate) fn run(args: &Backup) -> Result<Outcome, CliError> {
    let (data, nats) = (args.place.data.as_deref(), args.place.nats.as_deref());
    let manifest = wait_for(async {
        let (store, _cache) = open(data, nats).await?;
        backup(&store, data, &args.output).await
    })?;
    Ok(outcome("copied", &manifest))
}

/// Runs `restore`.
pub(crate) fn restore_copy(args: &Restore) -> Result<Outcome, CliError> {
    let (data, nats) = (args.place.data.as_deref(), args.place.nats.as_deref());
    let manifest = wait_for(async {
        let (store, _cache) = open(data, nats).await?;
        restore(&store, data, &args.from).await
    })?;
    Ok(outcome("restored", &manifest))
}

fn outcome(done: &str, manifest: &Manifest) -> Outcome {
    let Manifest { records, blobs, keys, .. } = manifest;
    Outcome {
        text: format!("{done} {records} records, {blobs} blobs, {keys} keys"),
        json: json!({ "records": records, "blobs": blobs, "keys": keys }),
    }
}
