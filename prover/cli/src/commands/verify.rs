//! `vinfer verify`: checks a proof, and that it is about what the caller demands.

use std::path::Path;

use serde_json::json;

use super::{in_arrays, outputs_json, outputs_text, sample_arrays};
use crate::args::Verify;
use crate::engine::{Expected, VerifyingKey};
use crate::error::CliError;
use crate::files;
use crate::measure::Stopwatch;
use crate::ports::{PortSpec, Sample, read_expected_outputs, read_inputs};
use crate::report::{self, Outcome};
use crate::tensors::Data;

/// Longest verifying key or proof read.
const MAX_BYTES: u64 = 1 << 30;

/// Runs the command.
pub(crate) fn run(args: &Verify) -> Result<Outcome, CliError> {
    let vk = files::read(&args.vk, MAX_BYTES)?;
    let proof = files::read(&args.proof, MAX_BYTES)?;
    let watch = Stopwatch::start();
    let key = VerifyingKey::from_bytes(&vk).map_err(|source| CliError::Engine { path: args.vk.clone(), source })?;
    let key_seconds = watch.elapsed().wall;
    let output_ports = key.outputs();
    let index = args.index.unwrap_or(0);
    let inputs = args.input.as_deref().map(|path| read_input(path, &key.inputs(), index)).transpose()?;
    let outputs = args.output.as_deref().map(|path| read_output(path, &output_ports, index)).transpose()?;
    let expected = Expected { inputs, outputs: None, context: args.context };
    let watch = Stopwatch::start();
    let verified =
        key.verify(&proof, &expected).map_err(|source| CliError::Engine { path: args.proof.clone(), source })?;
    let verify_seconds = key_seconds + watch.elapsed().wall;
    if let Some((path, outputs)) = outputs {
        compare_outputs(&output_ports, &verified.outputs, &outputs, path)?;
    }
    let arrays = sample_arrays(&output_ports, verified.outputs);
    let given =
        [("input", args.input.is_some()), ("output", args.output.is_some()), ("context", args.context.is_some())];
    let compared: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(what, _)| *what).collect();
    let text = format!(
        "accepted: {:.1} proven bits ({} by proof of work), verified in {}\n  statement {}\n  compared with yours: {}\n{}",
        verified.security_bits,
        verified.grinding_bits,
        report::seconds(verify_seconds),
        hex::encode(verified.statement),
        if compared.is_empty() { String::from("nothing") } else { compared.join(", ") },
        outputs_text(&arrays),
    );
    let json = json!({
        "valid": true,
        "verify_seconds": verify_seconds,
        "key_seconds": key_seconds,
        "security_bits": verified.security_bits,
        "grinding_bits": verified.grinding_bits,
        "statement": hex::encode(verified.statement),
        "context": hex::encode(verified.context),
        "compared": compared,
        "outputs": outputs_json(&arrays),
        "proof_bytes": proof.len(),
        "vk_bytes": vk.len(),
    });
    Ok(Outcome { text, json })
}

fn read_input(path: &Path, ports: &[PortSpec], index: u64) -> Result<Sample, CliError> {
    let samples = in_arrays(path, read_inputs(path, ports, index..index.saturating_add(1)))?;
    Ok(samples.into_iter().next().unwrap_or_default())
}

fn read_output<'a>(path: &'a Path, ports: &[PortSpec], index: u64) -> Result<(&'a Path, Vec<Data>), CliError> {
    in_arrays(path, read_expected_outputs(path, ports, index)).map(|outputs| (path, outputs))
}

/// Demands that the proven outputs are the caller's, element by element in the declared type.
///
/// Compared here and not as centred integers, because not every float is the dequantised form of one.
fn compare_outputs(ports: &[PortSpec], proven: &Sample, expected: &[Data], path: &Path) -> Result<(), CliError> {
    for ((port, centred), expected) in ports.iter().zip(proven).zip(expected) {
        let proven = port.declare(centred);
        if let Some(element) = proven.first_difference(expected) {
            let show = |data: &Data| data.to_strings().get(element).cloned().unwrap_or_default();
            return Err(CliError::OtherOutput {
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
