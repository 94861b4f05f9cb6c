//! `vinfer inspect`: what is in a model, what it costs, and what stands in the way.

use std::path::Path;

use serde_json::{Value, json};

use super::{in_arrays, read_model};
use crate::args::Inspect;
use crate::cost::{Cost, most_padded};
use crate::engine::{self, EngineError, Inspection, Measured, Row};
use crate::error::CliError;
use crate::files::Target;
use crate::html::{Page, Problem};
use crate::ports::{PortSpec, read_inputs};
use crate::report::{self, Outcome, Progress};

/// Columns listed for their padding.
const PADDED_COLUMNS: usize = 10;

/// Runs the command.
pub(crate) fn run(args: &Inspect) -> Result<Outcome, CliError> {
    let failed = |source| CliError::Engine { path: args.model.clone(), source };
    let target = args.html.as_deref().map(Target::check).transpose()?;
    let (model, directory) = read_model(&args.model)?;
    let progress = Progress::start("inspecting");
    let inspection = engine::inspect(&model, directory, &args.shapes.options()).map_err(failed)?;
    let mut problems: Vec<String> = inspection.problems.iter().map(ToString::to_string).collect();
    let mut parts: Vec<Problem> = inspection.problems.iter().map(Problem::of).collect();
    let (mut cost, mut padded, mut ports) = (None, Vec::new(), (Vec::new(), Vec::new()));
    if problems.is_empty()
        && let (Some(program), Some(compiled)) = (&inspection.program, &inspection.report)
    {
        ports = (PortSpec::inputs(program), PortSpec::outputs(program));
        match engine::lower(program) {
            Ok(lowered) => {
                cost = Some(Cost::of(&lowered, &compiled.rows));
                padded = most_padded(&lowered, PADDED_COLUMNS);
            }
            Err(EngineError::Lower(error)) => {
                parts.push(Problem::of_lowering(&error));
                problems.push(EngineError::Lower(error).to_string());
            }
            Err(error) => return Err(failed(error)),
        }
    }
    drop(progress);
    let measured = if cost.is_some() { measure(args, &inspection, &ports.0)? } else { None };
    if let Some(target) = &target {
        let page = Page {
            name: &shown_name(&args.model),
            digest: &blake3::hash(&model).to_hex(),
            model_bytes: model.len() as u64,
            inspection: &inspection,
            inputs: &ports.0,
            outputs: &ports.1,
            problems: &parts,
            cost: cost.as_ref(),
            padded: &padded,
            measured: measured.as_ref(),
        };
        target.write(page.render().as_bytes())?;
    }
    let rows = inspection.report.iter().flat_map(|compiled| &compiled.rows);
    let lookups = |index: usize| cost.as_ref().and_then(|cost| cost.ops.get(index)).map(|counts| counts.lookups);
    let json = json!({
        "supported": problems.is_empty(),
        "opset": inspection.opset,
        "inputs": ports.0.iter().map(port_json).collect::<Vec<_>>(),
        "outputs": ports.1.iter().map(port_json).collect::<Vec<_>>(),
        "nodes": inspection.nodes.iter().map(|node| json!({
            "node": node.node,
            "operator": node.operator,
            "shape": node.shape,
            "unsupported": node.unsupported.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "operations": rows.enumerate().map(|(index, row)| row_json(row, lookups(index))).collect::<Vec<_>>(),
        "macs": inspection.report.as_ref().map(|compiled| compiled.macs()),
        "cost": cost.as_ref().map(Cost::json),
        "measured": measured.as_ref().map(measured_json),
        "html": args.html.as_ref().map(|path| path.to_string_lossy()),
        "problems": problems,
    });
    let mut text = operators_text(&inspection);
    for (what, ports) in [("input", &ports.0), ("output", &ports.1)] {
        for port in ports {
            text += &format!("{what} `{}`: {} {}\n", port.name, port.kind, port.file_shape());
        }
    }
    for (index, row) in inspection.report.iter().flat_map(|compiled| &compiled.rows).enumerate() {
        text += &row_text(row, lookups(index));
    }
    text += &cost.as_ref().map_or_else(String::new, Cost::text);
    text += &measured.as_ref().map_or_else(String::new, measured_text);
    if let Some(path) = &args.html {
        text += &format!("wrote {}\n", path.display());
    }
    text += if problems.is_empty() { "supported\n" } else { "not supported:\n" };
    for problem in &problems {
        text += &format!("  {problem}\n");
    }
    Ok(Outcome { text, json })
}

/// The file's name, with its directory's where the file alone is called `model.onnx`.
fn shown_name(model: &Path) -> String {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let directory = model.parent().and_then(Path::file_name).filter(|_| name == "model.onnx");
    directory.map_or_else(|| name.to_string(), |directory| format!("{}/{name}", directory.to_string_lossy()))
}

/// Makes one real proof, if the caller asks for it.
fn measure(args: &Inspect, inspection: &Inspection, ports: &[PortSpec]) -> Result<Option<Measured>, CliError> {
    let Some(program) = inspection.program.as_ref().filter(|_| args.measure || args.input.is_some()) else {
        return Ok(None);
    };
    let (input, name) = match &args.input {
        Some(path) => {
            let samples = in_arrays(path, read_inputs(path, ports, 0..1))?;
            (samples.into_iter().next().unwrap_or_default(), "sample 0 of the given file")
        }
        None => (engine::arbitrary_input(program), "made-up values; the work does not depend on them"),
    };
    let _progress = Progress::start("measuring");
    let measured = engine::measure(program, &input, name);
    measured.map(Some).map_err(|source| CliError::Engine { path: args.model.clone(), source })
}

fn measured_json(measured: &Measured) -> Value {
    json!({
        "setup_cpu_seconds": measured.setup.cpu,
        "stages": measured.stages.iter().map(|(name, elapsed)| json!({
            "name": name,
            "cpu_seconds": elapsed.cpu,
            "seconds": elapsed.wall,
        })).collect::<Vec<_>>(),
        "prove_cpu_seconds": measured.prove_cpu(),
        "prove_seconds": measured.prove_wall(),
        "verify_cpu_seconds": measured.verify.cpu,
        "proof_bytes": measured.proof_bytes,
        "vk_bytes": measured.vk_bytes,
        "peak_rss_bytes": measured.peak_bytes,
    })
}

fn measured_text(measured: &Measured) -> String {
    let mut text = String::new();
    for (name, elapsed) in &measured.stages {
        text += &format!("  {:>9}  {name}\n", report::seconds(elapsed.cpu));
    }
    format!(
        "measured: {} of processor time, {} elapsed, proof {}\n{text}",
        report::seconds(measured.prove_cpu()),
        report::seconds(measured.prove_wall()),
        report::bytes(measured.proof_bytes),
    )
}

fn port_json(port: &PortSpec) -> Value {
    json!({
        "name": port.name,
        "type": port.kind.to_string(),
        "sample_shape": port.sample_shape,
        "scale": port.quantisation.scale(),
        "zero_point": port.quantisation.zero_point,
    })
}

fn row_json(row: &Row, lookups: Option<u64>) -> Value {
    json!({
        "node": row.node,
        "operators": row.operators,
        "primitive": row.primitive,
        "exactness": row.exactness,
        "shape": row.shape,
        "elements": row.elements,
        "macs": row.macs,
        "lookups": lookups,
        "line": row.line,
        "parity": row.parity,
        "table": row.table,
        "reachable": row.reachable,
    })
}

/// The model's operators and how often each occurs, in order of appearance.
fn operators_text(inspection: &Inspection) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for node in &inspection.nodes {
        match counts.iter_mut().find(|(operator, _)| *operator == node.operator) {
            Some((_, count)) => *count += 1,
            None => counts.push((&node.operator, 1)),
        }
    }
    let list: Vec<String> = counts.iter().map(|(operator, count)| format!("{count} {operator}")).collect();
    format!("operator set {}, {} nodes: {}\n", inspection.opset, inspection.nodes.len(), list.join(", "))
}

fn row_text(row: &Row, lookups: Option<u64>) -> String {
    let mut parts = vec![row.operators.clone()];
    if row.macs > 0 {
        parts.push(format!("{} multiplications", report::count(row.macs)));
    }
    let forms = [("line", row.line), ("parity", row.parity), ("table", row.table)];
    let forms: Vec<String> = forms.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}")).collect();
    if !forms.is_empty() {
        parts.push(forms.join(" + "));
    }
    if let Some((low, high)) = row.reachable {
        parts.push(format!("accumulator {low}..={high}"));
    }
    if let Some(lookups) = lookups {
        parts.push(format!("{} lookups", report::count(lookups)));
    }
    format!("  {:<9} {:<18} {}\n", row.primitive, format!("{:?}", row.shape), parts.join(", "))
}
