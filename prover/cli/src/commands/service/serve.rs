//! `vinfer serve`: the proving service.

use std::path::PathBuf;

use serde_json::json;
use vinfer_service::settings::SETTINGS;
use vinfer_service::{Config, server};

use super::{configuration, settings, start_log, wait_for};
use crate::args::Serve;
use crate::error::CliError;
use crate::report::{self, Outcome};

/// Runs the command.
pub(crate) fn run(args: &Serve, json: bool) -> Result<Outcome, CliError> {
    let config = asked(args)?;
    if args.check {
        config.check()?;
        let rest = |(name, what): &(&str, &str)| format!("  {name:22} {what}");
        let text = format!(
            "the settings are sound: http {}, grpc {}\nevery setting:\n{}",
            config.http,
            config.grpc,
            SETTINGS.iter().map(rest).collect::<Vec<_>>().join("\n")
        );
        let json = json!({ "sound": true, "http": config.http.to_string(), "grpc": config.grpc.to_string() });
        return Ok(Outcome { text, json });
    }
    start_log(config.log_json);
    wait_for(server::serve(config, move |listening| {
        let text = format!("serving http={} grpc={}", listening.http, listening.grpc);
        let object = json!({ "http": listening.http.to_string(), "grpc": listening.grpc.to_string() });
        report::print(&if json { object.to_string() } else { text });
    }))?;
    Ok(Outcome { text: "stopped".to_owned(), json: json!({ "stopped": true }) })
}

/// What the command line and everything behind it asks for.
fn asked(args: &Serve) -> Result<Config, CliError> {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let flags = [
        ("http", args.http.clone()),
        ("grpc", args.grpc.clone()),
        ("nats", args.nats.clone()),
        ("tls_cert", args.tls_cert.as_ref().map(path)),
        ("tls_key", args.tls_key.as_ref().map(path)),
        ("insecure", args.insecure.then(|| "true".to_owned())),
        ("provider", args.provider.clone()),
    ];
    configuration(&args.data, &settings(args.config.as_deref(), flags, &args.set)?)
}
