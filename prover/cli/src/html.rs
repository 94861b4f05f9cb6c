//! `vinfer inspect --html`: one page about a model that needs nothing but itself.
//!
//! Everything a model supplies is escaped by the templates; the page's own policy forbids every request, and every
//! script but its own.

mod costs;
mod graph;
mod layout;
mod overview;
mod problem;
mod svg;
mod table;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use problem::Problem;

use crate::cost::{Cost, PaddedColumn};
use crate::engine::{Inspection, Measured};
use crate::ports::PortSpec;
use graph::Graph;

/// Committed cells per real cell that the project aims at.
const PADDING_GOAL: f64 = 1.35;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// All that the page tells.
pub(crate) struct Page<'a> {
    /// File name of the model.
    pub(crate) name: &'a str,
    /// BLAKE3 of the model file, in hexadecimal.
    pub(crate) digest: &'a str,
    /// Length of the model file.
    pub(crate) model_bytes: u64,
    /// What the compiler says.
    pub(crate) inspection: &'a Inspection,
    /// Inputs of the program.
    pub(crate) inputs: &'a [PortSpec],
    /// Outputs of the program.
    pub(crate) outputs: &'a [PortSpec],
    /// What stands in the way.
    pub(crate) problems: &'a [Problem],
    /// What a proof costs, if there can be one.
    pub(crate) cost: Option<&'a Cost>,
    /// Columns with the most pad cells.
    pub(crate) padded: &'a [PaddedColumn],
    /// One real proof, if it was asked for.
    pub(crate) measured: Option<&'a Measured>,
}

/// Predicted share of each operation in the time of a proof.
fn shares(cost: Option<&Cost>) -> Vec<f64> {
    let Some(cost) = cost else { return Vec::new() };
    let whole = cost.prove_seconds();
    cost.ops.iter().map(|counts| cost.share(counts).seconds() / whole).collect()
}

impl Page<'_> {
    /// The whole document.
    pub(crate) fn render(&self) -> String {
        // A model cannot hold its own digest, so no name in it can pass for this page's script.
        let nonce = self.digest;
        let policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
        );
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("vinfer ", env!("CARGO_PKG_VERSION")));
                    title { (self.name) " · vinfer" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (overview::header(self))
                    main {
                        (overview::verdict(self))
                        (overview::totals(self))
                        @if let Some(cost) = self.cost { (costs::time(cost, self.measured)) }
                        (self.explorer())
                        @if let Some(cost) = self.cost { (costs::padding(self, cost)) (costs::method()) }
                    }
                    footer { "Made by vinfer " (env!("CARGO_PKG_VERSION")) ". This page loads nothing and sends nothing." }
                    script nonce=(nonce) { (PreEscaped(SCRIPT)) }
                }
            }
        }
        .into_string()
    }

    /// Graph and table side by side.
    fn explorer(&self) -> Markup {
        let inspection = self.inspection;
        let shares = shares(self.cost);
        let bad: Vec<&str> = self.problems.iter().filter_map(|problem| problem.tensor.as_deref()).collect();
        let (graph, table, what) = match (&inspection.program, &inspection.report) {
            (Some(program), Some(report)) => (
                Graph::of_program(program, &report.rows, &bad),
                table::operations(program, &report.rows, self.cost, self.measured),
                "Operations",
            ),
            _ => (Graph::of_nodes(&inspection.nodes), table::nodes(&inspection.nodes), "Nodes"),
        };
        let hottest = shares.iter().copied().fold(0.0, f64::max);
        html! {
            section.explore aria-label=(what) {
                div.panel.graph {
                    div.bar {
                        h2 { "Graph" }
                        div.zoom hidden {
                            button #zoom-out type="button" aria-label="Smaller" { "−" }
                            button #zoom-fit type="button" { "Fit" }
                            button #zoom-in type="button" aria-label="Larger" { "+" }
                        }
                    }
                    div.scroll #graph-scroll { (svg::draw(&graph, &shares)) }
                    div.heat {
                        @if self.cost.is_some() { "0 %" span.scale {} (words::percent(hottest)) " of predicted time" }
                        @else { span.swatch.bad {} "stands in the way" }
                    }
                    div.detail #detail aria-live="polite" { p.quiet { "Point at a node for its figures; select it to find its row. Arrow keys follow the edges." } }
                }
                div.panel.table {
                    div.bar {
                        h2 { (what) }
                        input #find type="search" placeholder="Find an operation" aria-label="Find an operation" hidden;
                    }
                    div.scroll #table-scroll { (table) }
                }
            }
        }
    }
}
