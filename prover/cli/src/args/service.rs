//! Arguments of the commands of the proving service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vinfer_service::auth::Scope;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Directory for everything that is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Settings in a TOML file; flags and VINFER_* variables beat it
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Check the settings and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Address of HTTP [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Address of gRPC [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc: Option<String>,
    /// Share storage with other machines through this NATS server
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Serve other machines without TLS, for use behind a proxy that adds it
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Tenant whose models every tenant may use
    #[arg(long, value_name = "TENANT")]
    pub(crate) provider: Option<String>,
    /// Any other setting; may be repeated. `--check` lists them all
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) set: Vec<(String, String)>,
}

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// Where keys are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyPlace {
    /// Directory of the service
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it; it cannot be shown again
    Create {
        /// Where keys are kept.
        #[command(flatten)]
        place: KeyPlace,
        /// Whom the key stands for
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// What it may do: admin (models, usage), infer (inference, jobs, proofs), or both
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "infer")]
        scope: Vec<Scope>,
    },
    /// List the keys, without their secrets
    List {
        /// Where keys are kept.
        #[command(flatten)]
        place: KeyPlace,
    },
    /// Revoke a key
    Revoke {
        /// Where keys are kept.
        #[command(flatten)]
        place: KeyPlace,
        /// Public part of the key, as `list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Arguments of the process that compiles one model for `serve`.
#[derive(Debug, Args)]
pub(crate) struct CompileModel {
    /// ONNX model or program file.
    pub(crate) model: PathBuf,
    /// Directory for what is made.
    pub(crate) output: PathBuf,
    /// Address space, in bytes.
    pub(crate) memory: u64,
    /// Processor time, in seconds.
    pub(crate) seconds: u64,
}

/// A setting that is not `NAME=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=VALUE")]
pub(crate) struct NoSetting;

fn parse_setting(text: &str) -> Result<(String, String), NoSetting> {
    let (name, value) = text.split_once('=').ok_or(NoSetting)?;
    Ok((name.trim().replace('-', "_"), value.trim().to_owned()))
}
