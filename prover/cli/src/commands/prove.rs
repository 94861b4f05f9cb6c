//! `vinfer prove`: inference with a proof.

use serde_json::json;

use super::{in_arrays, outputs_json, outputs_text, sample_arrays};
use crate::args::Prove;
use crate::engine;
use crate::error::CliError;
use crate::files::{self, Target};
use crate::measure::{Stopwatch, peak_rss_bytes, phases};
use crate::ports::{PortSpec, read_inputs};
use crate::report::{self, Outcome, Progress};

/// Runs the command.
pub(crate) fn run(args: &Prove) -> Result<Outcome, CliError> {
    let target = Target::check(&args.output)?;
    let in_key = |source| CliError::Engine { path: args.pk.clone(), source };
    let load = Stopwatch::start();
    let (mut file, len) = files::open(&args.pk)?;
    let key = engine::proving_key(&mut file, len).map_err(in_key)?;
    let load_seconds = load.elapsed().wall;
    let input_ports = PortSpec::inputs(key.program());
    let output_ports = PortSpec::outputs(key.program());
    let samples = in_arrays(&args.input, read_inputs(&args.input, &input_ports, args.index..args.index + 1))?;
    // A range of one sample gives one.
    let input = samples.into_iter().next().unwrap_or_default();
    let watch = Stopwatch::start();
    let progress = Progress::start("proving");
    let (proved, phases) = phases(|| engine::prove(&key, &input, args.context.unwrap_or_default()));
    let proved = proved.map_err(in_key)?;
    drop(progress);
    let elapsed = watch.elapsed();
    target.write(&proved.proof)?;
    let arrays = sample_arrays(&output_ports, proved.outputs);
    let text = format!(
        "proved sample {} in {} ({} of processor time), wrote {}, {}\n  statement {}\n{}",
        args.index,
        report::seconds(elapsed.wall),
        report::seconds(elapsed.cpu),
        args.output.display(),
        report::bytes(proved.proof.len() as u64),
        hex::encode(proved.statement),
        outputs_text(&arrays),
    );
    let json = json!({
        "proof": args.output.to_string_lossy(),
        "prove_seconds": elapsed.wall,
        "cpu_seconds": elapsed.cpu,
        "phase_cpu_seconds": phases.into_iter().map(|(name, s)| (name.to_owned(), json!(s))).collect::<serde_json::Map<_, _>>(),
        "load_seconds": load_seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "proof_bytes": proved.proof.len(),
        "outputs": outputs_json(&arrays),
        "statement": hex::encode(proved.statement),
    });
    Ok(Outcome { text, json })
}
