//! Where the cost comes from: predicted work, measured stages, padding, and the model behind the predictions.

use maud::{Markup, html};
use vinfer_circuits::system::Home;

use super::{PADDING_GOAL, Page, words};
use crate::cost::{COEFFICIENTS, Cells, Cost, ERROR, MEMORY_COEFFICIENTS, PaddedColumn, SIZE_ERROR, Term};
use crate::engine::Measured;
use crate::report;

/// The predicted time by kind of work, and the measured one by stage.
pub(super) fn time(cost: &Cost, measured: Option<&Measured>) -> Markup {
    let work = cost.work();
    let parts = [
        ("lookups", work.lookups),
        ("witness", work.witness),
        ("constants", work.constants),
        ("contractions", work.contractions),
        ("every proof", work.fixed),
    ];
    html! {
        section.card aria-label="Time" {
            h2 { "Where the time goes" }
            h3 { span.badge { "predicted" } " " (report::seconds(work.seconds())) " of processor time, one thread" }
            (stack(&parts, 'p'))
            @if let Some(m) = measured {
                @let stages: Vec<(&str, f64)> = m.stages.iter().map(|(name, elapsed)| (*name, elapsed.cpu)).collect();
                h3 { span.badge.measured { "measured" } " " (report::seconds(m.prove_cpu())) " of processor time, "
                    (report::seconds(m.prove_wall())) " elapsed, on this machine" }
                (stack(&stages, 's'))
                dl.figures {
                    div { dt { "Keys" } dd { (report::seconds(m.setup.cpu)) } }
                    div { dt { "Verification" } dd { (report::seconds(m.verify.cpu)) } }
                    div { dt { "Proof" } dd { (report::bytes(m.proof_bytes)) } }
                    div { dt { "Verifying key" } dd { (report::bytes(m.vk_bytes)) } }
                    div { dt { "Peak memory, keys and proof" } dd { (report::bytes(m.peak_bytes)) } }
                    div { dt { "Provable bits" } dd { (format!("{:.1}", m.verified.security_bits)) } }
                }
                p.hint { "Input: " (m.input) ". Times of single operations are not measured; the column “Scaled” "
                    "spreads the measured time over them as predicted." }
            } @else {
                p.hint { "Nothing here is measured. " code { "vinfer inspect MODEL.onnx --html REPORT.html --measure" }
                    " makes one real proof and adds its times." }
            }
        }
    }
}

/// A bar of parts with its legend; `hue` is the first letter of their colours.
fn stack(parts: &[(&str, f64)], hue: char) -> Markup {
    let whole: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let share = |seconds: f64| if whole > 0.0 { seconds / whole } else { 0.0 };
    html! {
        div.stack role="presentation" {
            @for (at, (name, seconds)) in parts.iter().enumerate() {
                span class=(format!("part {hue}{at}")) style=(format!("flex-grow:{:.4}", share(*seconds))) title=(name) {}
            }
        }
        ul.legend {
            @for (at, (name, seconds)) in parts.iter().enumerate() {
                li { span class=(format!("swatch {hue}{at}")) {} (name) " " b { (words::percent(share(*seconds))) } " "
                    span.quiet { (report::seconds(*seconds)) } }
            }
        }
    }
}

/// Padding of the whole, and the columns behind it.
pub(super) fn padding(page: &Page<'_>, cost: &Cost) -> Markup {
    let kinds = [("Witness", cost.total.witness), ("Constants", cost.total.constants), ("Both", cost.total.cells())];
    let waste: u64 = cost.total.cells().padded - cost.total.cells().real;
    html! {
        section.card aria-label="Padding" {
            h2 { "Padding" }
            p.hint { "Every axis of a column but the outermost is padded to a power of two. The project aims at "
                (format!("{PADDING_GOAL:.2}")) " committed cells per real cell." }
            div.halves {
                table.small {
                    thead { tr { th { "Commitment" } th.n { "Real cells" } th.n { "Committed" } th.n { "Overhead" } } }
                    tbody { @for (name, cells) in kinds { tr {
                        th scope="row" { (name) }
                        td.n { (report::count(cells.real)) }
                        td.n { (report::count(cells.padded)) }
                        td.n.wasteful[cells.overhead() > PADDING_GOAL] { (format!("{:.2} ×", cells.overhead())) }
                    } } }
                }
                @if !page.padded.is_empty() {
                    table.small {
                        thead { tr {
                            th { "Column with most pad cells" } th.n { "Axes" } th.n { "Pad cells" } th.n { "Overhead" }
                            th.n { "Of all pads" }
                        } }
                        tbody { @for column in page.padded { tr {
                            th scope="row" { (owner(page, column)) }
                            td.n { (words::shape(&column.dims)) }
                            td.n { (report::count(pads(column.cells))) }
                            td.n { (format!("{:.2} ×", column.cells.overhead())) }
                            td.n { (words::percent(pads(column.cells) as f64 / waste.max(1) as f64)) }
                        } } }
                    }
                }
            }
        }
    }
}

fn pads(cells: Cells) -> u64 {
    cells.padded - cells.real
}

/// What a column holds, and the operation it belongs to as a link into the table.
fn owner(page: &Page<'_>, column: &PaddedColumn) -> Markup {
    let home = if column.home == Home::Constants { "constant" } else { "witness" };
    let rows = page.inspection.report.iter().flat_map(|report| &report.rows);
    let row = column.op.and_then(|op| rows.into_iter().nth(op).map(|row| (op, row)));
    html! {
        (column.role) " " span.quiet { "(" (home) ")" }
        @if let Some((op, row)) = row {
            " of " a.to-row href=(format!("#r{op}")) data-to=(op) { (words::tail(&row.node, 36)) }
        }
    }
}

/// How the predictions are made.
pub(super) fn method() -> Markup {
    let list = |terms: &[Term], shown: fn(f64) -> String| {
        html! { ul { @for term in terms { li { b { (shown(term.each)) } " for each " (term.name) } } } }
    };
    let time =
        |seconds: f64| if seconds >= 1e-3 { report::seconds(seconds) } else { format!("{:.3} ns", seconds * 1e9) };
    html! {
        details.card {
            summary { "How the predictions are made" }
            p { "Counts are exact: they are read off the constraint system that a key would hold. Time and memory are sums "
                "of counts times coefficients, fitted to " code { "vinfer prove --threads 1" } " (default build, shared x86-64 server) on "
                "the models of the project's tests:" }
            div.columns {
                div { h3 { "Processor time" } (list(&COEFFICIENTS, time)) }
                div { h3 { "Memory" } (list(&MEMORY_COEFFICIENTS, |bytes| report::bytes(bytes as u64))) }
            }
            p { (ERROR) }
            p { (SIZE_ERROR) }
            p { "The share of an operation counts its own cells, lookups and multiplications; tables that several operations "
                "look up are listed by themselves, and the room between columns is spread over all." }
        }
    }
}
