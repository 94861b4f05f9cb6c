//! `vinfer inspect`: what is in a model, what it costs, and what stands in the way.

use serde_json::{Value, json};

use super::cost::Cost;
use super::read_model;
use crate::args::Inspect;
use crate::engine::{self, EngineError, Inspection, Row};
use crate::error::CliError;
use crate::ports::PortSpec;
use crate::report::{self, Outcome, Progress};

/// Runs the command.
pub(crate) fn run(args: &Inspect) -> Result<Outcome, CliError> {
    let failed = |source| CliError::Engine { path: args.model.clone(), source };
    let (model, directory) = read_model(&args.model)?;
    let progress = Progress::start("inspecting");
    let inspection = engine::inspect(&model, directory).map_err(failed)?;
    let mut problems: Vec<String> = inspection.problems.iter().map(ToString::to_string).collect();
    let (mut cost, mut ports) = (None, (Vec::new(), Vec::new()));
    if problems.is_empty()
        && let Some(program) = &inspection.program
    {
        ports = (PortSpec::inputs(program), PortSpec::outputs(program));
        match engine::lower(program) {
            Ok(lowered) => cost = Some(Cost::of(&lowered)),
            Err(error @ EngineError::Lower(_)) => problems.push(error.to_string()),
            Err(error) => return Err(failed(error)),
        }
    }
    drop(progress);
    let rows = inspection.report.iter().flat_map(|compiled| &compiled.rows);
    let lookups = |index: usize| cost.as_ref().and_then(|cost| cost.lookups_of_op.get(index).copied());
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
    text += if problems.is_empty() { "supported\n" } else { "not supported:\n" };
    for problem in &problems {
        text += &format!("  {problem}\n");
    }
    Ok(Outcome { text, json })
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
