//! `vinfer worker`: proves for gateways that share a NATS server.

use serde_json::json;
use vinfer_service::{ServiceError, server};

use super::{configuration, settings, start_log, wait_for};
use crate::args::Work;
use crate::error::CliError;
use crate::report::{self, Outcome};

/// Runs the command.
pub(crate) fn run(args: &Work, json: bool) -> Result<Outcome, CliError> {
    let temporary = tempfile::tempdir().map_err(|error| ServiceError::internal(error.to_string()))?;
    let data = args.data.as_deref().unwrap_or(temporary.path());
    let values = settings(args.config.as_deref(), [("nats", args.nats.clone())], &args.set)?;
    let mut config = configuration(data, &values)?;
    config.prove = Some(true);
    if config.nats.is_none() {
        return Err(
            ServiceError::invalid("a worker needs --nats URL; without NATS, `vinfer serve` proves itself").into()
        );
    }
    if args.check {
        config.check()?;
        return Ok(Outcome { text: "the settings are sound".to_owned(), json: json!({ "sound": true }) });
    }
    start_log(config.log_json);
    wait_for(server::work(config, move || {
        report::print(&if json { json!({ "working": true }).to_string() } else { "working".to_owned() });
    }))?;
    Ok(Outcome { text: "stopped".to_owned(), json: json!({ "stopped": true }) })
}
