//! `vinfer verify`: checks a proof, and that it is about what the caller demands.

use std::path::Path;

use serde_json::json;
use vinfer_circuits::program::batch::join;

use super::{MAX_KEY_BYTES, in_arrays, inferences_text, outputs_json, split_batch};
use crate::args::Verify;
use crate::engine::{Expected, VerifyingKey};
use crate::error::CliError;
use crate::files;
use crate::measure::Stopwatch;
use crate::ports::{PortSpec, Sample, output_arrays, read_expected_outputs, read_inputs};
use crate::report::{self, Outcome};
use crate::tensors::Data;

/// Runs the command.
pub(crate) fn run(args: &Verify) -> Result<Outcome, CliError> {
    let vk = files::read(&args.vk, MAX_KEY_BYTES)?;
    let proof = files::read(&args.proof, MAX_KEY_BYTES)?;
    let watch = Stopwatch::start();
    let key = VerifyingKey::from_bytes(&vk).map_err(|source| CliError::Engine { path: args.vk.clone(), source })?;
    let key_seconds = watch.elapsed().wall;
    let batch = key.batch();
    let output_ports = key.outputs();
    // What is compared: the whole batch in order, or one inference of it.
    let whole = if args.inference.is_some() { 1 } else { u64::from(batch) };
    let range = args.index.clone().unwrap_or(0..whole);
    let given = range.end - range.start;
    let one = given == 1 && (batch > 1 || args.inference.is_some());
    if given != whole && !one {
        return Err(CliError::BatchSamples { batch, given });
    }
    let inputs = args.input.as_deref();
    let inputs = inputs.map(|path| in_arrays(path, read_inputs(path, &key.inputs(), range.clone()))).transpose()?;
    let outputs = args.output.as_deref();
    let read = |path: &Path| in_arrays(path, read_expected_outputs(path, &output_ports, range.clone()));
    let outputs = outputs.map(read).transpose()?;
    let expected = Expected { inputs: inputs.map(|samples| join(&samples)), outputs: None, context: args.context };
    let watch = Stopwatch::start();
    let in_proof = |source| CliError::Engine { path: args.proof.clone(), source };
    let (verified, mut at) = if one {
        key.verify_inference(&proof, &expected, args.inference).map(|(v, at)| (v, Some(at))).map_err(in_proof)?
    } else {
        (key.verify(&proof, &expected).map_err(in_proof)?, None)
    };
    let verify_seconds = key_seconds + watch.elapsed().wall;
    let proven = split_batch(&verified.outputs, batch);
    if let (Some(path), Some(outputs)) = (args.output.as_deref(), outputs) {
        let anywhere = one && args.input.is_none() && args.inference.is_none();
        at = compare(&output_ports, &proven, &outputs, path, at, anywhere)?;
    }
    let given =
        [("input", args.input.is_some()), ("output", args.output.is_some()), ("context", args.context.is_some())];
    let compared: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(what, _)| *what).collect();
    let arrays_given = args.input.is_some() || args.output.is_some();
    let at = at.filter(|_| batch > 1 && arrays_given);
    let text = format!(
        "accepted: {:.1} proven bits ({} by proof of work), verified in {}\n  statement {}\n  compared with yours: {}{}\n{}",
        verified.security_bits,
        verified.grinding_bits,
        report::seconds(verify_seconds),
        hex::encode(verified.statement),
        if compared.is_empty() { String::from("nothing") } else { compared.join(", ") },
        at.map_or_else(String::new, |at| format!(" of inference {at}")),
        inferences_text(&output_ports, &proven, &verified.inferences),
    );
    let json = json!({
        "valid": true,
        "verify_seconds": verify_seconds,
        "key_seconds": key_seconds,
        "security_bits": verified.security_bits,
        "grinding_bits": verified.grinding_bits,
        "statement": hex::encode(verified.statement),
        "batch": batch,
        "inferences": verified.inferences.iter().map(hex::encode).collect::<Vec<_>>(),
        "context": hex::encode(verified.context),
        "compared": compared,
        "compared_inference": at,
        "outputs": outputs_json(&output_arrays(&output_ports, &proven)),
        "proof_bytes": proof.len(),
        "vk_bytes": vk.len(),
    });
    Ok(Outcome { text, json })
}

/// Demands that the proven outputs are the caller's: those of inference `at`, of `anywhere` in the batch, or of all
/// inferences in order. Returns the inference compared, if it is one.
fn compare(
    ports: &[PortSpec],
    proven: &[Sample],
    expected: &[Vec<Data>],
    path: &Path,
    at: Option<u32>,
    anywhere: bool,
) -> Result<Option<u32>, CliError> {
    let batch = proven.len() as u32;
    let several = |k: u32| (batch > 1).then_some(k);
    match (at, expected) {
        (Some(_), [expected]) if anywhere => {
            let same = |sample: &Sample| compare_outputs(ports, sample, expected, path, None).is_ok();
            let found = proven.iter().position(same).map(|at| Some(at as u32));
            found.ok_or_else(|| CliError::NoSuchOutput { batch, path: path.to_owned() })
        }
        (Some(k), [expected]) => {
            let sample = proven.get(k as usize).map_or(&[][..], Vec::as_slice);
            compare_outputs(ports, sample, expected, path, several(k)).map(|()| Some(k))
        }
        _ => {
            for ((sample, expected), k) in proven.iter().zip(expected).zip(0..) {
                compare_outputs(ports, sample, expected, path, several(k))?;
            }
            Ok(at)
        }
    }
}

/// Demands that the proven outputs are the caller's, element by element in the declared type.
///
/// Compared here and not as centred integers, because not every float is the dequantised form of one.
fn compare_outputs(
    ports: &[PortSpec],
    proven: &[Vec<i32>],
    expected: &[Data],
    path: &Path,
    inference: Option<u32>,
) -> Result<(), CliError> {
    for ((port, centred), expected) in ports.iter().zip(proven).zip(expected) {
        let proven = port.declare(centred);
        if let Some(element) = proven.first_difference(expected) {
            let show = |data: &Data| data.to_strings().get(element).cloned().unwrap_or_default();
            return Err(CliError::OtherOutput {
                inference,
                name: port.name.clone(),
                element,
                proven: show(&proven),
                expected: show(expected),
                path: path.to_owned(),
            });
        }
    }
    Ok(())
}
