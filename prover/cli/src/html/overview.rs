//! The head of the page: what the model is, whether it compiles, and what it costs in total.

use maud::{Markup, html};
use vinfer_circuits::ops::Operand;
use vinfer_circuits::program::{IntType, Op, Program};

use super::{Page, words};
use crate::report;

/// Name, size and ports.
pub(super) fn header(page: &Page<'_>) -> Markup {
    let inspection = page.inspection;
    let program = inspection.program.as_ref();
    let macs = inspection.report.as_ref().map(|report| report.macs());
    html! {
        header.page {
            p.eyebrow { "vinfer · model report" }
            h1 { (page.name) }
            ul.facts {
                li { "operator set " b { (inspection.opset) } }
                li { b { (inspection.nodes.len()) } " nodes" }
                @if let Some(program) = program { li { b { (program.ops.len()) } " operations" } }
                @if let Some(program) = program { li { b { (words::compact(parameters(program))) } " parameters" } }
                @if let Some(macs) = macs { li { b { (words::compact(macs)) } " multiply-adds" } }
                li { b { (report::bytes(page.model_bytes)) } }
            }
            p.digest { "BLAKE3 of the file " code { (page.digest) } }
            div.ports {
                @for (heading, output) in [("Inputs", false), ("Outputs", true)] {
                    section {
                        h2 { (heading) }
                        ul { @for port in page.inspection.ports.iter().filter(|port| port.output == output) {
                            li {
                                code.port { (port.name) }
                                span.type { (port.element) " "
                                    @match &port.shape { Some(shape) => { (words::shape(shape)) } None => { "of undeclared shape" } } }
                                @for q in quantisations(page, &port.name, output) { span.quantisation { (q) } }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// How the program holds a port: its integer type, scale and zero point.
fn quantisations(page: &Page<'_>, name: &str, output: bool) -> Vec<String> {
    let ports = if output { page.outputs } else { page.inputs };
    let shown = |port: &crate::ports::PortSpec| {
        let q = &port.quantisation;
        match q.int_type {
            IntType::F32 => "not quantised".to_owned(),
            IntType::Range { min, max } => format!("integers from {min} to {max}"),
            kind => format!("{kind:?}, scale {}, zero point {}", q.scale(), q.zero_point).to_lowercase(),
        }
    };
    ports.iter().filter(|port| port.name == name).map(shown).collect()
}

/// Constants of the program that come from weights: matrices, biases, embeddings and constant operands.
fn parameters(program: &Program) -> u64 {
    let operand = |operand: &Operand| if let Operand::Constant { data, .. } = operand { data.len() } else { 0 };
    let count = |op: &Op| match op {
        Op::Contract(c) => c.weights.len() + c.bias.len(),
        Op::Embed(e) => e.table.len(),
        Op::Add(a) => operand(&a.b),
        Op::Multiply(m) => operand(&m.b),
        _ => 0,
    };
    program.ops.iter().map(count).sum::<usize>() as u64
}

/// Whether the model compiles, and what stands in the way.
pub(super) fn verdict(page: &Page<'_>) -> Markup {
    let count = page.problems.len();
    html! {
        @if count == 0 {
            section.verdict.good aria-label="Verdict" {
                h2 { "Compiles and can be proven" }
                p { "Every operation gives bit for bit what ONNX Runtime gives; nothing is approximated." }
            }
        } @else {
            section.verdict.refused aria-label="Verdict" {
                h2 { @if page.inspection.program.is_some() { "Compiles, but cannot be proven" } @else { "Does not compile" } }
                p { (count) @if count == 1 { " thing stands" } @else { " things stand" } " in the way." }
                ol { @for problem in page.problems {
                    li {
                        @if let Some((node, operator)) = &problem.node {
                            p.where { b { (operator) } " " code { (node) } }
                        }
                        p.reason { (problem.reason) }
                        @if let Some(remedy) = &problem.remedy { p.remedy { b { "What to do: " } (remedy) } }
                    }
                } }
            }
        }
    }
}

/// The totals as tiles.
pub(super) fn totals(page: &Page<'_>) -> Markup {
    let Some(cost) = page.cost else { return html! {} };
    let tile = |value: &str, name: &str, note: &str| {
        html! { div.tile { dt { (name) } dd { (value) small { (note) } } } }
    };
    let cells = |cells: crate::cost::Cells| format!("{} without padding", report::count(cells.real));
    let both = cost.total.cells();
    html! {
        section.totals aria-label="Totals" {
            dl.tiles.large {
                (tile(&report::seconds(cost.prove_seconds()), "Proving time", "predicted, one thread"))
                (tile(&report::bytes(cost.prove_memory()), "Proving memory", "predicted, peak"))
                (tile(&report::bytes(cost.proof_bytes), "Proof", "predicted"))
                (tile(&format!("{:.1} bits", cost.security_bits), "Security", "provable, summed over all errors"))
            }
            dl.tiles {
                (tile(&words::compact(cost.total.witness.padded), "Witness cells", &cells(cost.total.witness)))
                (tile(&words::compact(cost.total.constants.padded), "Constant cells", &cells(cost.total.constants)))
                (tile(&words::compact(cost.total.lookups), "Lookups", &format!("{} leaves with tables", report::count(cost.leaves))))
                (tile(&report::count(cost.columns as u64), "Columns", "public ones included"))
                (tile(&format!("{:.2} ×", both.overhead()), "Padding", "committed cells per real cell"))
            }
        }
    }
}
