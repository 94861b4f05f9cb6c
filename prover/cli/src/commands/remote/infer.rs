//! `vinfer remote infer`: one inference, and if asked for its proof, checked here.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use vinfer_circuits::system::PublicPort;
use vinfer_client::log::{Evidence, Head};
use vinfer_client::tensors::{self as wire, DataType, Elements};
use vinfer_client::trust::check_entry;
use vinfer_client::{Claim, Client, ClientError, Digest, Inferred, ProofMode, Trust, Wishes};

use super::{LogState, MAX_BYTES, client, decode, wait_for};
use crate::args::{RemoteInfer, RemotePlace};
use crate::commands::{in_arrays, outputs_json, outputs_text};
use crate::error::CliError;
use crate::files::{self, Target};
use crate::ports::{PortSpec, read_sample};
use crate::report::Outcome;
use crate::tensors::{Data, Kind, Tensor, encode_npz};

/// Runs the command.
pub(super) fn run(place: &RemotePlace, args: &RemoteInfer, patience: Duration) -> Result<Outcome, CliError> {
    let targets = [&args.output, &args.proof].map(|path| path.as_deref().map(Target::check).transpose());
    let [output, proof_file] = targets;
    let (output, proof_file) = (output?, proof_file?);
    let state = args.log_state.as_deref().map(read_state).transpose()?;
    let client = client(place)?;
    // Without a pinned key the server's own tells the shapes, and shows nothing.
    let vk = match &args.vk {
        Some(path) => files::read(path, MAX_BYTES)?,
        None => wait_for(client.verifying_key(&args.model))?,
    };
    let trust = Trust::new(&vk).map_err(ClientError::from)?;
    let sent = read_tensors(&args.input, trust.inputs(), args.index)?;
    let proving = args.prove || args.verify || args.proof.is_some();
    let wishes = Wishes {
        proof: if proving { ProofMode::Async } else { ProofMode::None },
        context: context(args)?,
        ..Wishes::default()
    };
    let earlier = state.as_ref().and_then(|(_, state)| state.as_ref()).map(|state| &state.head);
    let done = wait_for(exchange(&client, args, &sent, &wishes, patience, earlier))?;
    let arrays = arrays(&done.inferred, trust.outputs());
    let mut text = outputs_text(&arrays);
    let mut json = json!({ "outputs": outputs_json(&arrays), "statement": done.inferred.statement, "verified": false });
    if let Some(job) = &done.inferred.job {
        json["job"] = json!(job);
        text += &format!("  job {job}\n");
    }
    if let (Some(target), Some(proof)) = (&proof_file, &done.proof) {
        target.write(proof)?;
    }
    if args.verify {
        let claim = Claim {
            inputs: Some(&sent),
            outputs: Some(&done.inferred.outputs),
            context: Some(wishes.context),
            statement: Some(done.inferred.statement),
        };
        let proof = done.proof.as_deref().unwrap_or_default();
        let verified = trust.check(proof, &claim)?;
        text += &format!(
            "verified locally: {:.1} proven bits, statement {}\n  key {} as pinned, inputs as sent, outputs as received\n",
            verified.security_bits,
            done.inferred.statement,
            trust.digest(),
        );
        json["verified"] = json!(true);
        json["security_bits"] = json!(verified.security_bits);
        json["context"] = json!(wishes.context);
        json["vk_digest"] = json!(trust.digest());
        if let (Some(key), Some(evidence)) = (&args.log_key, &done.evidence) {
            check_entry(evidence, key, earlier, &done.inferred.statement, proof).map_err(ClientError::from)?;
            text += &format!("  in the log: entry {} of {}", evidence.index, evidence.head.size);
            text += &earlier.map_or("\n".to_owned(), |head| format!(", which continues the tree of {}\n", head.size));
            json["log"] = json!({ "index": evidence.index, "head": evidence.head });
            if let Some((target, _)) = &state {
                let state = LogState { head: evidence.head.clone(), public_key: *key };
                target.write(json!(state).to_string().as_bytes())?;
            }
        }
    } else if proving {
        text += "  not verified: --verify --vk FILE checks the proof here\n";
    }
    // Last, so that outputs that were to be verified and are not are never written.
    if let Some(target) = &output {
        target.write(&encode_npz(&arrays).map_err(CliError::Encode)?)?;
    }
    Ok(Outcome { text, json })
}

/// What came from the server.
struct Exchange {
    inferred: Inferred,
    proof: Option<Vec<u8>>,
    evidence: Option<Evidence>,
}

async fn exchange(
    client: &Client,
    args: &RemoteInfer,
    sent: &[wire::Tensor],
    wishes: &Wishes,
    patience: Duration,
    earlier: Option<&Head>,
) -> Result<Exchange, ClientError> {
    let inferred = client.infer(&args.model, sent, wishes).await?;
    let (mut proof, mut evidence) = (None, None);
    if args.verify || args.proof.is_some() {
        let job = inferred.job.as_deref().ok_or_else(|| ClientError::Answer {
            call: "infer".to_owned(),
            reason: "it names no job, although a proof was asked for".to_owned(),
        })?;
        client.wait(job, patience).await?;
        proof = Some(client.proof(&inferred.statement).await?);
        if args.log_key.is_some() {
            evidence = Some(client.log_entry(&inferred.statement, earlier.map(|head| head.size)).await?);
        }
    }
    Ok(Exchange { inferred, proof, evidence })
}

fn context(args: &RemoteInfer) -> Result<Digest, CliError> {
    if args.fresh {
        return Ok(Digest(vinfer_service::ids::random()?));
    }
    Ok(args.context.unwrap_or(Digest([0; 32])))
}

/// The file to bring up to date, and the head in it, if there is one yet.
fn read_state(path: &Path) -> Result<(Target, Option<LogState>), CliError> {
    let target = Target::check(path)?;
    let state = if path.exists() { Some(decode(&files::read(path, MAX_BYTES)?, "log state")?) } else { None };
    Ok((target, state))
}

fn specs(ports: &[PublicPort]) -> Vec<PortSpec> {
    let spec = |p: &PublicPort| PortSpec::new(&p.name, p.port_type, &p.shape, p.leading_batch, p.quantisation);
    ports.iter().map(spec).collect()
}

/// One sample of a file, as the protocol sends it.
fn read_tensors(path: &Path, ports: &[PublicPort], index: u64) -> Result<Vec<wire::Tensor>, CliError> {
    let arrays = in_arrays(path, read_sample(path, &specs(ports), index))?;
    let mut tensors: Vec<wire::Tensor> = Vec::with_capacity(ports.len());
    for (port, data) in ports.iter().zip(arrays) {
        if tensors.iter().any(|tensor| tensor.name == port.name) {
            continue;
        }
        let elements = match data {
            Data::F32(values) => Elements::Floats(values),
            Data::Integer(_, values) => Elements::Integers(values),
        };
        let (name, shape) = (port.name.clone(), wire::port_shape(port));
        tensors.push(wire::Tensor { name, data_type: DataType::of(port), shape, elements });
    }
    Ok(tensors)
}

/// Outputs as files and people have them: with a sample axis where the model has one.
fn arrays(inferred: &Inferred, ports: &[PublicPort]) -> Vec<(String, Tensor)> {
    let specs = specs(ports);
    let array = |tensor: &wire::Tensor| {
        let data = match &tensor.elements {
            Elements::Floats(values) => Data::F32(values.clone()),
            Elements::Integers(values) => Data::Integer(kind(tensor.data_type), values.clone()),
        };
        let spec = specs.iter().find(|spec| spec.name == tensor.name);
        let shape = spec.map_or_else(|| tensor.shape.clone(), |spec| spec.sample_shape.clone());
        let fits = shape.iter().product::<u64>() == tensor.elements.len() as u64;
        let mut shape = if fits { shape } else { tensor.shape.clone() };
        shape.insert(0, 1);
        (tensor.name.clone(), Tensor { shape, data })
    };
    inferred.outputs.iter().map(array).collect()
}

const fn kind(data_type: DataType) -> Kind {
    match data_type {
        DataType::Fp32 => Kind::F32,
        DataType::Uint8 => Kind::U8,
        DataType::Int8 => Kind::I8,
        DataType::Uint16 => Kind::U16,
        DataType::Int16 => Kind::I16,
        DataType::Int32 => Kind::I32,
        DataType::Int64 => Kind::I64,
        DataType::Bool => Kind::Bool,
    }
}
