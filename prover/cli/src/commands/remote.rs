//! `vinfer remote`: a client of the proving service that checks proofs itself.

mod infer;

use std::future::Future;
use std::time::Duration;

use serde_json::json;
use vinfer_client::log::{Evidence, Head};
use vinfer_client::{ApiKey, Client, ClientError, Digest, Model, Settings, Trust, Untrusted};

use crate::args::{Remote, RemoteCommand, RemotePlace, RemoteProof, RemoteUpload, RemoteVerify, RemoteVk};
use crate::error::CliError;
use crate::files::{self, Target};
use crate::report::{self, Outcome};

/// Longest file of a proof, a key or an entry.
const MAX_BYTES: u64 = 1 << 30;

/// Runs the command.
pub(crate) fn run(args: &Remote) -> Result<Outcome, CliError> {
    let place = &args.place;
    let patience = Duration::from_secs(place.patience);
    match &args.command {
        RemoteCommand::Health => health(place),
        RemoteCommand::Upload(upload) => send_model(place, upload, patience),
        RemoteCommand::Models => models(place),
        RemoteCommand::Vk(args) => vk(place, args),
        RemoteCommand::Infer(args) => infer::run(place, args, patience),
        RemoteCommand::Wait { job } => wait(place, job, patience),
        RemoteCommand::Proof(args) => proof(place, args),
        RemoteCommand::Verify(args) => verify(args),
    }
}

/// A client as the command line asks for it.
fn client(place: &RemotePlace) -> Result<Client, CliError> {
    let mut settings = keyless(place)?;
    settings.key = match (&place.key_file, std::env::var("VINFER_API_KEY")) {
        (Some(path), _) => {
            let bytes = files::read(path, 4096)?;
            Some(ApiKey::new(&String::from_utf8_lossy(&bytes))?)
        }
        (None, Ok(text)) => Some(ApiKey::new(&text)?),
        (None, Err(_)) => return Err(CliError::NoApiKey),
    };
    Ok(Client::new(settings)?)
}

fn keyless(place: &RemotePlace) -> Result<Settings, CliError> {
    let url = place.url.clone().or_else(|| std::env::var("VINFER_URL").ok());
    let mut settings = Settings::new(url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned()));
    settings.insecure = place.insecure;
    settings.authorities = place.ca.as_deref().map(|path| files::read(path, 1 << 20)).transpose()?;
    Ok(settings)
}

/// Runs calls to the end.
fn wait_for<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    Ok(runtime.block_on(work)?)
}

fn health(place: &RemotePlace) -> Result<Outcome, CliError> {
    let client = Client::new(keyless(place)?)?;
    match wait_for(async { client.ready().await }) {
        Ok(()) => Ok(Outcome { text: "ready".to_owned(), json: json!({ "ready": true }) }),
        Err(CliError::Client(error)) => Err(CliError::NotReady(error)),
        Err(error) => Err(error),
    }
}

fn line(model: &Model) -> String {
    let vk = model.vk_digest.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
    let failure = model.failure.as_ref().map_or(String::new(), |failure| format!("  {failure}"));
    format!("{:24} {:9} vk {vk}{failure}", model.name, model.state)
}

fn send_model(place: &RemotePlace, args: &RemoteUpload, patience: Duration) -> Result<Outcome, CliError> {
    let client = client(place)?;
    let model = wait_for(async {
        let model = client.upload(&args.name, &args.model).await?;
        if args.no_wait { Ok(model) } else { client.wait_ready(&args.name, patience).await }
    })?;
    Ok(Outcome { text: line(&model), json: json!(model) })
}

fn models(place: &RemotePlace) -> Result<Outcome, CliError> {
    let client = client(place)?;
    let models = wait_for(client.models())?;
    let lines: Vec<String> = models.iter().map(line).collect();
    let text =
        if lines.is_empty() { "no models; `vinfer remote upload` sends one".to_owned() } else { lines.join("\n") };
    Ok(Outcome { text, json: json!({ "models": models }) })
}

fn vk(place: &RemotePlace, args: &RemoteVk) -> Result<Outcome, CliError> {
    let target = Target::check(&args.output)?;
    let client = client(place)?;
    let vk = wait_for(client.verifying_key(&args.model))?;
    let trust = match &args.digest {
        Some(digest) => Trust::pinned(&vk, digest),
        None => Trust::new(&vk),
    };
    let digest = trust.map_err(ClientError::from)?.digest();
    target.write(&vk)?;
    let note = match args.digest {
        Some(_) => "as pinned",
        None => "compare it with what the model's publisher says, or with `vinfer setup` of the model",
    };
    let text =
        format!("wrote {} ({})\n  digest {digest}: {note}", args.output.display(), report::bytes(vk.len() as u64));
    Ok(Outcome { text, json: json!({ "digest": digest, "bytes": vk.len(), "pinned": args.digest.is_some() }) })
}

fn wait(place: &RemotePlace, job: &str, patience: Duration) -> Result<Outcome, CliError> {
    let client = client(place)?;
    let job = wait_for(client.wait(job, patience))?;
    let text = format!("done: job {}, statement {}", job.id, job.statement);
    Ok(Outcome { text, json: json!(job) })
}

fn proof(place: &RemotePlace, args: &RemoteProof) -> Result<Outcome, CliError> {
    let target = Target::check(&args.output)?;
    let entry_target = args.entry.as_deref().map(Target::check).transpose()?;
    let client = client(place)?;
    let (proof, entry) = wait_for(async {
        let statement = match (&args.statement, &args.job) {
            (Some(statement), _) => *statement,
            (None, job) => client.job(job.as_deref().unwrap_or_default()).await?.statement,
        };
        let proof = client.proof(&statement).await?;
        let entry = match &entry_target {
            Some(_) => Some(client.log_entry(&statement, None).await?),
            None => None,
        };
        Ok((proof, entry))
    })?;
    target.write(&proof)?;
    if let (Some(target), Some(entry)) = (entry_target, entry) {
        target.write(json!(entry).to_string().as_bytes())?;
    }
    let text = format!(
        "wrote {} ({}); `vinfer remote verify` or `vinfer verify` checks it",
        args.output.display(),
        report::bytes(proof.len() as u64)
    );
    Ok(Outcome { text, json: json!({ "proof": args.output.to_string_lossy(), "proof_bytes": proof.len() }) })
}

fn verify(args: &RemoteVerify) -> Result<Outcome, CliError> {
    let mut outcome = super::verify::run(&args.proof)?;
    let (Some(entry), Some(key)) = (&args.entry, args.log_key) else { return Ok(outcome) };
    let evidence: Evidence = decode(&files::read(entry, MAX_BYTES)?, "log entry")?;
    let proof = files::read(&args.proof.proof, MAX_BYTES)?;
    let statement = outcome.json["statement"].as_str().and_then(|text| text.parse::<Digest>().ok());
    let statement = statement.ok_or(CliError::Client(Untrusted::OtherEntry("statement").into()))?;
    vinfer_client::trust::check_entry(&evidence, &key, None, &statement, &proof).map_err(ClientError::from)?;
    outcome.text += &format!("\n  in the log: entry {} of {}", evidence.index, evidence.head.size);
    outcome.json["log"] = json!({ "index": evidence.index, "head": evidence.head });
    Ok(outcome)
}

/// JSON of a file that the client wrote before.
fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, CliError> {
    serde_json::from_slice(bytes).map_err(|error| CliError::Decode { what, reason: error.to_string() })
}

/// The last head seen, as a file. The form is that of `GET /v1/log/head`, so that `vinfer log verify --since` reads it.
#[derive(serde::Serialize, serde::Deserialize)]
struct LogState {
    head: Head,
    public_key: Digest,
}
