//! `vinfer run`: inference without a proof.

use rayon::prelude::*;
use serde_json::json;
use vinfer_prover::execute::{ExecuteError, execute};

use super::{in_arrays, outputs_text, read_program};
use crate::args::Run;
use crate::error::CliError;
use crate::files::Target;
use crate::measure::Stopwatch;
use crate::ports::{PortSpec, Sample, output_arrays, read_inputs};
use crate::report::{self, Outcome, Progress};
use crate::tensors::encode_npz;

/// Runs the command.
pub(crate) fn run(args: &Run) -> Result<Outcome, CliError> {
    let extension = args.output.extension().map(|e| e.to_ascii_lowercase());
    if extension.is_some_and(|e| e == "npy" || e == "json") {
        return Err(CliError::OutputFormat { path: args.output.clone() });
    }
    let target = Target::check(&args.output)?;
    let program = read_program(&args.program)?;
    let range = args.index.clone().unwrap_or(0..1);
    let inputs = in_arrays(&args.input, read_inputs(&args.input, &PortSpec::inputs(&program), range))?;
    let watch = Stopwatch::start();
    let progress = Progress::start("running");
    let outputs = inputs
        .par_iter()
        .map(|sample| {
            let trace = execute(&program, sample)?;
            Ok(program.outputs.iter().map(|port| trace[port.value as usize].clone()).collect())
        })
        .collect::<Result<Vec<Sample>, ExecuteError>>()?;
    drop(progress);
    let run_seconds = watch.elapsed().wall;
    let arrays = output_arrays(&PortSpec::outputs(&program), &outputs);
    target.write(&encode_npz(&arrays).map_err(CliError::Encode)?)?;
    let text = format!(
        "ran {} sample{} in {}, wrote {}\n{}",
        outputs.len(),
        if outputs.len() == 1 { "" } else { "s" },
        report::seconds(run_seconds),
        args.output.display(),
        if outputs.len() == 1 { outputs_text(&arrays) } else { String::new() },
    );
    let shapes: serde_json::Map<_, _> = arrays.iter().map(|(name, t)| (name.clone(), json!(t.shape))).collect();
    let json = json!({
        "output": args.output.to_string_lossy(),
        "samples": outputs.len(),
        "shapes": shapes,
        "run_seconds": run_seconds,
    });
    Ok(Outcome { text, json })
}
