//! The tables: one row per operation of a compiled program, or per node of a model that does not compile.

use maud::{Markup, html};
use vinfer_circuits::ops::{AddForm, Requant};
use vinfer_circuits::program::{Op, Program};

use super::{graph, words};
use crate::cost::{Cost, Counts};
use crate::engine::{Measured, NodeInfo, Row};
use crate::report;

/// A column: heading, meaning, whether it holds numbers, and when it is shown.
type Column = (&'static str, &'static str, bool, When);

/// When a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Provable,
    Measured,
}

const SCALED: &str = "Predicted share of the measured processor time: an estimate, no measurement of the operation";

const COLUMNS: [Column; 14] = [
    ("#", "Order of execution", true, When::Always),
    ("Operation", "ONNX node and the operators that became this operation", false, When::Always),
    ("Predicted", "Share of the predicted proving time", true, When::Provable),
    ("Scaled", SCALED, true, When::Measured),
    ("Kind", "Primitive of the proof system", false, When::Always),
    ("Shape", "Shape of the result", true, When::Always),
    ("Elements", "Elements of the result", true, When::Always),
    ("Mult-adds", "Multiplications by weights", true, When::Always),
    ("Witness", "Committed witness cells, padding included", true, When::Provable),
    ("Constants", "Committed cells of weights and tables, padding included", true, When::Provable),
    ("Lookups", "Lookups, padding included", true, When::Provable),
    ("Padding", "Committed cells per real cell, witness and constants", true, When::Provable),
    ("Requantisation", "Channels by the form of their rounding", false, When::Always),
    ("Exactness", "Why the result equals ONNX Runtime's", false, When::Always),
];

/// Rows of a compiled program.
pub(super) fn operations(program: &Program, rows: &[Row], cost: Option<&Cost>, measured: Option<&Measured>) -> Markup {
    let shares = super::shares(cost);
    let most = |of: fn(&Counts) -> u64| cost.iter().flat_map(|cost| &cost.ops).map(of).max().unwrap_or(0);
    let (witness, constants, lookups) = (most(|c| c.witness.padded), most(|c| c.constants.padded), most(|c| c.lookups));
    let hottest = shares.iter().copied().fold(0.0, f64::max);
    let elements = rows.iter().map(|row| row.elements).max().unwrap_or(0);
    let macs = rows.iter().map(|row| row.macs).max().unwrap_or(0);
    let shown = |column: &&Column| match column.3 {
        When::Always => true,
        When::Provable => cost.is_some(),
        When::Measured => measured.is_some(),
    };
    html! {
        table #rows {
            thead { tr { @for (name, meaning, numeric, _) in COLUMNS.iter().filter(shown) {
                (heading(name, meaning, *numeric))
            } } }
            tbody {
                @for (at, (row, op)) in rows.iter().zip(&program.ops).enumerate() {
                    @let counts = cost.and_then(|cost| cost.ops.get(at));
                    @let share = shares.get(at).copied().unwrap_or(0.0);
                    tr id=(format!("r{at}")) data-node-row=(at) tabindex=(if at == 0 { "0" } else { "-1" }) {
                        td.index data-v=(at) { (at + 1) }
                        th.operation scope="row" data-v=(row.node) {
                            span.title { (graph::title(&row.operators, row.primitive)) }
                            span.name title=(row.node) { (words::tail(&row.node, 44)) }
                            span.operators title=(row.operators) { (row.operators) }
                        }
                        @if counts.is_some() { (bar(share, hottest, &words::percent(share))) }
                        @if let Some(m) = measured { (plain(share, &report::seconds(share * m.prove_cpu()))) }
                        td data-v=(row.primitive) { (row.primitive) }
                        (plain(row.elements as f64, &words::shape(&row.shape)))
                        (number(row.elements, elements))
                        (number(row.macs, macs))
                        @if let Some(c) = counts {
                            (number(c.witness.padded, witness))
                            (number(c.constants.padded, constants))
                            (number(c.lookups, lookups))
                            (padding(c))
                        }
                        td.forms data-v=(row.table * 1_000_000 + row.parity * 1_000 + row.line) { (forms(op, row)) }
                        td.note data-v=(row.primitive) { (exactness(op, row)) }
                    }
                }
            }
            @if let Some(cost) = cost { (totals(cost, measured)) }
        }
    }
}

/// Sums below the columns of a provable program.
fn totals(cost: &Cost, measured: Option<&Measured>) -> Markup {
    let whole = cost.prove_seconds();
    let every = cost.work().fixed / whole;
    let shared = cost.share(&cost.shared).seconds() / whole;
    let line = |name: &str, share: f64, counts: Option<&Counts>| {
        html! {
            tr {
                td {}
                th.operation scope="row" { span.title { (name) } }
                td.n { (words::percent(share)) }
                @if let Some(measured) = measured { td.n { (report::seconds(share * measured.prove_cpu())) } }
                td {} td {} td {}
                @if let Some(c) = counts {
                    td.n { (report::count(c.macs)) }
                    td.n { (report::count(c.witness.padded)) }
                    td.n { (report::count(c.constants.padded)) }
                    td.n { (report::count(c.lookups)) }
                    td.n { (format!("{:.2}", c.cells().overhead())) }
                } @else { td {} td {} td {} td {} td {} }
                td {} td {}
            }
        }
    };
    html! {
        tfoot {
            (line("Inputs and shared lookup tables", shared, Some(&cost.shared)))
            (line("Every proof, whatever its model", every, None))
            (line("Total", 1.0, Some(&cost.total)))
        }
    }
}

/// Rows of a model that does not compile.
pub(super) fn nodes(nodes: &[NodeInfo]) -> Markup {
    html! {
        table #rows {
            thead { tr {
                (heading("#", "Order of execution", true))
                (heading("Node", "Name and operator", false))
                (heading("Shape", "Shape of the first output, where known", true))
                (heading("State", "What stands in the way", false))
            } }
            tbody {
                @for (at, node) in nodes.iter().enumerate() {
                    @let problem = node.unsupported.as_ref().map(super::Problem::of);
                    tr.bad[problem.is_some()] id=(format!("r{at}")) data-node-row=(at) tabindex=(if at == 0 { "0" } else { "-1" }) {
                        td.index data-v=(at) { (at + 1) }
                        th.operation scope="row" data-v=(node.operator) {
                            span.title { (node.operator) }
                            span.name title=(node.node) { (words::tail(&node.node, 44)) }
                        }
                        @if let Some(shape) = &node.shape {
                            (plain(shape.iter().map(|&d| f64::from(d)).product(), &words::shape(shape)))
                        } @else { td.n data-v="-1" { "not known" } }
                        td.note.state data-v=(u8::from(problem.is_none())) {
                            @if let Some(problem) = problem {
                                span.reason { (problem.reason) }
                                @if let Some(remedy) = problem.remedy { span.remedy { (remedy) } }
                            } @else { "no problem of its own" }
                        }
                    }
                }
            }
        }
    }
}

fn heading(name: &str, meaning: &str, numeric: bool) -> Markup {
    html! { th.n[numeric] scope="col" title=(meaning) { button type="button" { (name) } } }
}

fn number(value: u64, most: u64) -> Markup {
    bar(value as f64, most as f64, &if value == 0 { "–".to_owned() } else { report::count(value) })
}

fn bar(value: f64, most: f64, text: &str) -> Markup {
    let width = if most > 0.0 { value / most } else { 0.0 };
    html! { td.n.bar data-v=(value) style=(format!("--w:{width:.3}")) { (text) } }
}

fn plain(value: f64, text: &str) -> Markup {
    html! { td.n data-v=(value) { (text) } }
}

fn padding(counts: &Counts) -> Markup {
    let overhead = counts.cells().overhead();
    let text = if counts.cells().real == 0 { "–".to_owned() } else { format!("{overhead:.2}") };
    html! { td.n.wasteful[overhead > super::PADDING_GOAL] data-v=(format!("{overhead:.4}")) { (text) } }
}

/// Channels in each form, as small labels.
fn forms(op: &Op, row: &Row) -> Markup {
    let exact = |requant: &Requant| usize::from(matches!(requant, Requant::Exact));
    let exact = match op {
        Op::Contract(c) => c.requant.iter().map(exact).sum(),
        Op::Sum(s) => exact(&s.requant),
        Op::MatMul(m) => exact(&m.requant),
        Op::Multiply(m) => exact(&m.requant),
        Op::Add(a) => usize::from(matches!(a.form, AddForm::Exact { .. })),
        _ => 0,
    };
    let forms = [("LINE", row.line), ("PARITY", row.parity), ("TABLE", row.table), ("EXACT", exact)];
    html! {
        @for (name, count) in forms.into_iter().filter(|(_, count)| *count > 0) {
            span class=(format!("form {}", name.to_lowercase())) { (count) " " (name) }
        }
    }
}

/// Why the operation gives the integers that ONNX Runtime gives.
fn exactness(op: &Op, row: &Row) -> String {
    if let Some((low, high)) = row.reachable {
        return format!("rounding checked on every reachable accumulator, {low} to {high}");
    }
    let why = match op {
        Op::Lookup(_) => "table of all inputs",
        Op::Add(a) if matches!(a.form, AddForm::Table { .. }) => "table of all pairs of inputs",
        Op::Add(_) | Op::Multiply(_) => "rounding checked on all pairs of inputs",
        Op::MaxPool(_) | Op::Extremum(_) => "comparison of integers",
        Op::Rewire(_) => "reshape or transpose: no cell, no cost",
        Op::Arrange(_) | Op::Embed(_) => "copies integers",
        Op::Float(_) => "IEEE 754 single precision, operation by operation",
        Op::Contract(_) | Op::Sum(_) | Op::MatMul(_) => "integer arithmetic",
    };
    why.to_owned()
}
