//! Arguments of the commands of the proving service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vinfer_service::auth::Scope;
use vinfer_service::ids::Digest;

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

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub(crate) struct Work {
    /// NATS server that the gateways share too
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// Directory for copies of models and keys [default: one that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Settings in a TOML file; flags and VINFER_* variables beat it
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Check the settings and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Any other setting; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) set: Vec<(String, String)>,
}

/// Where keys are kept.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeyPlace {
    /// Directory of the service
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// NATS server of the service, so that every gateway knows the key
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
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
        /// What it may do: infer (inference, jobs, proofs), admin (the tenant's models), operator (numbers of the whole
        /// service), or several
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

/// Where a service keeps everything.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Place {
    /// Directory of the service
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// NATS server of the service
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

/// What can be done with the transparency log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Check, offline, an entry of GET /v1/log/entries/STATEMENT, or the whole storage of a stopped service
    Verify(LogVerify),
    /// Begin a new signing key, for a stopped service whose file log.key is lost; clients have to be told
    NewKey(LogNewKey),
}

/// Arguments of `log new-key`.
#[derive(Debug, Args)]
pub(crate) struct LogNewKey {
    /// Where the log is kept.
    #[command(flatten)]
    pub(crate) place: Place,
    /// File to write [default: log.key in the directory of the service]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Arguments of `log verify`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["entry", "data", "nats"]))]
pub(crate) struct LogVerify {
    /// Answer of GET /v1/log/entries/STATEMENT
    #[arg(long, value_name = "FILE.json", requires = "key")]
    pub(crate) entry: Option<PathBuf>,
    /// Public key of the log, 64 hexadecimal digits
    #[arg(long, value_name = "HEX32")]
    pub(crate) key: Option<Digest>,
    /// Earlier answer of GET /v1/log/head, which the entry's head must continue
    #[arg(long, value_name = "FILE.json", requires = "entry")]
    pub(crate) since: Option<PathBuf>,
    /// Directory of a stopped service
    #[arg(long, value_name = "DIR", conflicts_with_all = ["entry", "nats"])]
    pub(crate) data: Option<PathBuf>,
    /// NATS server of a service
    #[arg(long, value_name = "URL", conflicts_with = "entry")]
    pub(crate) nats: Option<String>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Directory of a stopped service
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Settings in a TOML file; VINFER_* variables beat it
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Any setting; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) set: Vec<(String, String)>,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// What to copy; a service on one machine must be stopped.
    #[command(flatten)]
    pub(crate) place: Place,
    /// New directory for the copy
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Copy the secret key of the transparency log too: DATA/log.key, or the file named
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) with_keys: Option<Option<PathBuf>>,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Copy that `backup` made
    #[arg(value_name = "COPY")]
    pub(crate) from: PathBuf,
    /// Empty storage to fill.
    #[command(flatten)]
    pub(crate) place: Place,
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

/// Arguments of the process that checks one proof for `serve`.
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// Directory with what is to be checked.
    pub(crate) directory: PathBuf,
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
