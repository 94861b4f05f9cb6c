//! `vinfer compile`: ONNX model to program file.

use serde_json::json;
use vinfer_circuits::program;

use super::read_model;
use crate::args::Compile;
use crate::engine;
use crate::error::CliError;
use crate::files::Target;
use crate::measure::Stopwatch;
use crate::report::{self, Outcome, Progress};

/// Runs the command.
pub(crate) fn run(args: &Compile) -> Result<Outcome, CliError> {
    let target = Target::check(&args.output)?;
    let watch = Stopwatch::start();
    let progress = Progress::start("compiling");
    let (model, directory) = read_model(&args.model)?;
    let compiled = engine::compile(&model, Some(directory), &args.shapes.options())
        .map_err(|source| CliError::Engine { path: args.model.clone(), source })?;
    let bytes = program::to_bytes(&compiled.program);
    target.write(&bytes)?;
    drop(progress);
    let compile_seconds = watch.elapsed().wall;
    let (ops, macs) = (compiled.program.ops.len(), compiled.report.macs());
    let text = format!(
        "compiled {} to {}\n  {ops} operations, {} multiplications, {}, {}",
        args.model.display(),
        args.output.display(),
        report::count(macs),
        report::bytes(bytes.len() as u64),
        report::seconds(compile_seconds),
    );
    let json = json!({
        "program": args.output.to_string_lossy(),
        "program_bytes": bytes.len(),
        "operations": ops,
        "macs": macs,
        "compile_seconds": compile_seconds,
    });
    Ok(Outcome { text, json })
}
