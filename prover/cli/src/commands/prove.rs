//! `vinfer prove`: inference with a proof.

use serde_json::json;

use super::{in_arrays, inferences_text, outputs_json, split_batch};
use crate::args::Prove;
use crate::engine::{self, EngineError, ProveError};
use crate::error::CliError;
use crate::files::{self, Target};
use crate::measure::{Stopwatch, peak_rss_bytes, phases};
use crate::ports::{PortSpec, output_arrays, read_inputs};
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
    let batch = key.batch();
    let range = args.index.clone().unwrap_or(0..u64::from(batch));
    let given = range.end - range.start;
    if given != u64::from(batch) {
        let given = usize::try_from(given).unwrap_or(usize::MAX);
        return Err(in_key(EngineError::Prove(ProveError::Batch { batch, given })));
    }
    let samples = in_arrays(&args.input, read_inputs(&args.input, &input_ports, range.clone()))?;
    let watch = Stopwatch::start();
    let progress = Progress::start("proving");
    let (proved, phases) = phases(|| engine::prove(&key, &samples, args.context.unwrap_or_default()));
    let proved = proved.map_err(in_key)?;
    drop(progress);
    let elapsed = watch.elapsed();
    target.write(&proved.proof)?;
    let outputs = split_batch(&proved.outputs, batch);
    let what =
        if batch == 1 { format!("sample {}", range.start) } else { format!("samples {}..{}", range.start, range.end) };
    let text = format!(
        "proved {what} in {} ({} of processor time), wrote {}, {}\n  statement {}\n{}",
        report::seconds(elapsed.wall),
        report::seconds(elapsed.cpu),
        args.output.display(),
        report::bytes(proved.proof.len() as u64),
        hex::encode(proved.statement),
        inferences_text(&output_ports, &outputs, &proved.inferences),
    );
    let json = json!({
        "proof": args.output.to_string_lossy(),
        "prove_seconds": elapsed.wall,
        "cpu_seconds": elapsed.cpu,
        "phase_cpu_seconds": phases.into_iter().map(|(name, s)| (name.to_owned(), json!(s))).collect::<serde_json::Map<_, _>>(),
        "load_seconds": load_seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "proof_bytes": proved.proof.len(),
        "outputs": outputs_json(&output_arrays(&output_ports, &outputs)),
        "statement": hex::encode(proved.statement),
        "batch": batch,
        "inferences": proved.inferences.iter().map(hex::encode).collect::<Vec<_>>(),
    });
    Ok(Outcome { text, json })
}
