//! `vinfer demo`: the whole path on a built-in digit classifier, and a forgery being rejected.

use std::io::Write;

use serde_json::json;
use tempfile::NamedTempFile;

use super::{outputs_json, sample_arrays};
use crate::engine::{self, EngineError, Expected, VerifyingKey};
use crate::error::{CliError, DemoError};
use crate::measure::Stopwatch;
use crate::ports::{PortSpec, Sample, read_inputs};
use crate::report::{self, Outcome, Progress};
use crate::tensors::{ArrayFile, Data, Kind};

const MODEL: &[u8] = include_bytes!("../../assets/digits_cnn/model.onnx");
const INPUTS: &[u8] = include_bytes!("../../assets/digits_cnn/inputs.npz");
const INPUT_NAME: &str = "x";
const SIDE: usize = 8;

/// Runs the command; each step is printed as it ends, unless `json`.
pub(crate) fn run(json: bool) -> Result<Outcome, CliError> {
    let say = |line: String| {
        if !json {
            report::print(&line);
        }
    };
    let failed = |source: EngineError| CliError::Engine { path: "built-in model".into(), source };
    let mut inputs = NamedTempFile::new().map_err(temporary_error)?;
    inputs.write_all(INPUTS).map_err(temporary_error)?;

    let pixels = pixels(inputs.path()).ok_or(CliError::Demo(DemoError::Sample))?;
    say(format!("A handwritten digit, 8 x 8 pixels:\n\n{}\n", picture(&pixels)));

    let program = engine::compile(MODEL, None, &engine::Options::default()).map_err(failed)?.program;
    say(format!("compile  {} operations", program.ops.len()));

    let progress = Progress::start("making keys");
    let keys = engine::setup(&program, 1).map_err(failed)?;
    let key = keys.pk;
    drop(progress);
    say(format!("setup    verifying key {}", report::bytes(keys.vk.len() as u64)));

    let samples = read_inputs(inputs.path(), &PortSpec::inputs(&program), 0..1)
        .map_err(|source| CliError::Arrays { path: "built-in sample".into(), source })?;
    let input = samples.into_iter().next().unwrap_or_default();
    let progress = Progress::start("proving");
    let watch = Stopwatch::start();
    let proved = engine::prove(&key, std::slice::from_ref(&input), [0; 32]).map_err(failed)?;
    let prove_seconds = watch.elapsed().wall;
    drop(progress);
    let ports = PortSpec::outputs(&program);
    let digit = largest(&proved.outputs);
    say(format!(
        "prove    the model says {digit}: {}, proof {}",
        report::seconds(prove_seconds),
        report::bytes(proved.proof.len() as u64)
    ));

    let watch = Stopwatch::start();
    let expected = Expected { inputs: Some(input), outputs: Some(proved.outputs.clone()), context: Some([0; 32]) };
    let vk = VerifyingKey::from_bytes(&keys.vk).map_err(failed)?;
    let verified = vk.verify(&proved.proof, &expected).map_err(failed)?;
    let verify_seconds = watch.elapsed().wall;
    say(format!(
        "verify   accepted in {}, {} proven bits",
        report::seconds(verify_seconds),
        verified.security_bits.floor()
    ));

    let forged = forge(&proved.outputs, digit);
    let rejection = reject(&vk, &proved.proof, &forged)?;
    let text = format!("forge    the same proof, claiming the model says {}: rejected ({rejection})", largest(&forged));
    let json = json!({
        "digit": digit,
        "outputs": outputs_json(&sample_arrays(&ports, proved.outputs)),
        "prove_seconds": prove_seconds,
        "proof_bytes": proved.proof.len(),
        "verify_seconds": verify_seconds,
        "security_bits": verified.security_bits,
        "statement": hex::encode(verified.statement),
        "valid": true,
        "forgery_rejected": true,
        "forgery_error": rejection,
    });
    Ok(Outcome { text, json })
}

fn temporary_error(source: std::io::Error) -> CliError {
    CliError::Write { path: std::env::temp_dir(), source }
}

/// Pixels of the first sample, 0 to 1.
fn pixels(path: &std::path::Path) -> Option<Vec<f32>> {
    let count = (SIDE * SIDE) as u64;
    match ArrayFile::open(path).ok()?.read(INPUT_NAME, Kind::F32, 0..count).ok()? {
        Data::F32(pixels) => Some(pixels),
        Data::Integer(..) => None,
    }
}

/// Two characters per pixel, darker for more ink.
fn picture(pixels: &[f32]) -> String {
    const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];
    let mut text = String::new();
    for row in pixels.chunks(SIDE) {
        text.push_str("    ");
        for pixel in row {
            let shade = (pixel.clamp(0.0, 1.0) * (SHADES.len() - 1) as f32).round() as usize;
            text.push_str(SHADES[shade]);
        }
        text.push('\n');
    }
    text
}

/// Position of the largest value of the first output.
fn largest(outputs: &Sample) -> usize {
    let scores = outputs.iter().flatten().enumerate();
    scores.max_by_key(|&(at, score)| (score, std::cmp::Reverse(at))).map_or(0, |(at, _)| at)
}

/// Outputs in which another digit has the largest score.
fn forge(outputs: &Sample, digit: usize) -> Sample {
    let mut forged = outputs.clone();
    if let Some(scores) = forged.first_mut().filter(|scores| !scores.is_empty()) {
        let other = (digit + 1) % scores.len();
        scores.swap(digit, other);
    }
    forged
}

/// Sends the proof with forged outputs to the verifier; returns its reason for rejecting.
fn reject(vk: &VerifyingKey, proof: &[u8], forged: &Sample) -> Result<String, CliError> {
    let failed = |source: EngineError| CliError::Engine { path: "built-in model".into(), source };
    let forged_proof = vk.with_outputs(proof, forged).map_err(failed)?;
    match vk.verify(&forged_proof, &Expected::default()) {
        Ok(_) => Err(CliError::Demo(DemoError::ForgeryAccepted)),
        Err(error) if error.is_rejection() => Ok(error.to_string()),
        Err(error) => Err(failed(error)),
    }
}
