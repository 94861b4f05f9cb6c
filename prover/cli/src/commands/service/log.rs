//! `vinfer log`: checks the transparency log of a service, offline.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use vinfer_service::ServiceError;
use vinfer_service::error::Code;
use vinfer_service::ids::Digest;
use vinfer_service::log::offline::audit;
use vinfer_service::log::{Evidence, Head, check_evidence, key_file};

use super::{open, wait_for};
use crate::args::{Log, LogCommand, LogNewKey, LogVerify};
use crate::error::CliError;
use crate::files;
use crate::report::Outcome;

/// Longest evidence read.
const MAX_BYTES: u64 = 16 << 20;

/// Runs the command.
pub(crate) fn run(args: &Log) -> Result<Outcome, CliError> {
    let args = match &args.command {
        LogCommand::Verify(args) => args,
        LogCommand::NewKey(args) => return new_key(args),
    };
    match (&args.entry, args.key) {
        (Some(entry), Some(key)) => verify_entry(entry, &key, args.since.as_deref()),
        _ => verify_storage(args),
    }
}

fn new_key(args: &LogNewKey) -> Result<Outcome, CliError> {
    let place = &args.place;
    let path = match (&args.output, &place.data) {
        (Some(path), _) => path.clone(),
        (None, Some(data)) => data.join(key_file::FILE),
        (None, None) => return Err(ServiceError::invalid("name the file to write with -o FILE").into()),
    };
    let public = wait_for(async {
        let (store, _cache) = open(place.data.as_deref(), place.nats.as_deref()).await?;
        key_file::new_key(&store, &path).await
    })?;
    let text = format!("wrote {}\n  new public key {public}: tell it to whoever checks the log", path.display());
    Ok(Outcome { text, json: json!({ "public_key": public }) })
}

/// Answer of `GET /v1/log/head`.
#[derive(Deserialize)]
struct HeadAnswer {
    head: Head,
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    let bytes = files::read(path, MAX_BYTES)?;
    let decoded = serde_json::from_slice(&bytes);
    Ok(decoded.map_err(|error| ServiceError::invalid(format!("{}: {error}", path.display())))?)
}

fn changed(reason: String) -> CliError {
    CliError::Service(ServiceError::new(Code::Conflict, reason))
}

fn verify_entry(entry: &Path, key: &Digest, since: Option<&Path>) -> Result<Outcome, CliError> {
    let evidence: Evidence = read(entry)?;
    let earlier = since.map(read::<HeadAnswer>).transpose()?;
    let leaf = check_evidence(&evidence, key, earlier.as_ref().map(|answer| &answer.head))
        .map_err(|error| changed(error.to_string()))?;
    let text = format!(
        "in the log: entry {} of {}\n  statement {}\n  verdict {:?} by {}{}",
        evidence.index,
        evidence.head.size,
        leaf.statement,
        leaf.verdict,
        leaf.verifier,
        earlier.map_or(String::new(), |earlier| format!("\n  the log continues the tree of {}", earlier.head.size)),
    );
    Ok(Outcome { text, json: json!({ "valid": true, "entry": leaf, "index": evidence.index, "head": evidence.head }) })
}

fn verify_storage(args: &LogVerify) -> Result<Outcome, CliError> {
    let audit = wait_for(async {
        let (store, _cache) = open(args.data.as_deref(), args.nats.as_deref()).await?;
        audit(&store, args.key.as_ref()).await
    })?;
    if !audit.findings.is_empty() {
        return Err(changed(format!("the log or what it speaks of was changed:\n  {}", audit.findings.join("\n  "))));
    }
    let text = format!(
        "the log is sound: {} entries, {} signed heads, {} finished jobs, key {}",
        audit.leaves, audit.heads, audit.jobs, audit.public_key
    );
    Ok(Outcome { text, json: json!({ "valid": true, "audit": audit }) })
}
