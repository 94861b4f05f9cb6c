//! `vinfer serve`: the proving service.

use serde_json::json;
use vinfer_service::settings::{self, SETTINGS, Values};
use vinfer_service::{Config, ServiceError, server};

use super::wait_for;
use crate::args::Serve;
use crate::error::CliError;
use crate::report::{self, Outcome};

/// Runs the command.
pub(crate) fn run(args: &Serve, json: bool) -> Result<Outcome, CliError> {
    let config = configuration(args)?;
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

/// The file's settings, then the environment's, then the flags'.
fn configuration(args: &Serve) -> Result<Config, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| ServiceError::internal(format!("the path of this program is unknown: {error}")))?;
    let mut values = match &args.config {
        Some(path) => settings::from_file(path)?,
        None => Values::new(),
    };
    values.extend(settings::from_environment());
    let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let flags = [
        ("http", args.http.clone()),
        ("grpc", args.grpc.clone()),
        ("nats", args.nats.clone()),
        ("tls_cert", args.tls_cert.as_ref().map(path)),
        ("tls_key", args.tls_key.as_ref().map(path)),
        ("insecure", args.insecure.then(|| "true".to_owned())),
        ("provider", args.provider.clone()),
    ];
    values.extend(flags.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))));
    values.extend(args.set.iter().cloned());
    let mut config = Config::new(args.data.clone(), program);
    settings::apply(&mut config, &values)?;
    Ok(config)
}

/// Log lines go to standard error; `RUST_LOG` chooses.
fn start_log(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}
