//! The graph as an inline drawing.

use maud::{Markup, html};

use super::graph::{Graph, Kind};
use super::layout::{NODE, place};
use super::words;

/// Most characters of a node's two lines.
const TITLE: usize = 17;
const NAME: usize = 27;

/// Draws the graph. `shares` has the predicted share of each row, where known; the hottest row is drawn hottest.
pub(super) fn draw(graph: &Graph, shares: &[f64]) -> Markup {
    let layout = place(graph);
    let hottest = shares.iter().copied().fold(0.0, f64::max);
    let (width, height) = layout.size;
    let drawn = graph.edges.iter().zip(&layout.edges);
    html! {
        svg #graph width=(words::fixed(width)) height=(words::fixed(height))
            viewBox=(format!("0 0 {width:.0} {height:.0}")) role="group" aria-label="Graph of the model" {
            defs {
                marker #tip viewBox="0 0 8 8" markerUnits="userSpaceOnUse" refX="7" refY="4" markerWidth="10" markerHeight="10" orient="auto" {
                    path d="M0 0.8 7 4 0 7.2z" {}
                }
            }
            @for (&(from, to), points) in drawn {
                path.edge.skip[points.len() > 2] data-a=(from) data-b=(to) d=(path(points)) marker-end="url(#tip)" {}
            }
            @for (index, (node, &(x, y))) in graph.nodes.iter().zip(&layout.nodes).enumerate() {
                @let share = if let Kind::Row(row) = node.kind { shares.get(row).copied() } else { None };
                @let row = if let Kind::Row(row) = node.kind { Some(row) } else { None };
                g.node.port[row.is_none()].bad[node.bad] id=(format!("n{index}")) data-row=[row]
                    transform=(format!("translate({} {})", words::fixed(x - NODE.0 / 2.0), words::fixed(y)))
                    style=[share.map(|share| format!("--h:{:.3}", words::heat(share, hottest)))]
                    tabindex=(if index == 0 { "0" } else { "-1" }) role="button"
                    aria-label=(label(&node.title, &node.name, share, node.bad)) {
                    rect.box width=(words::fixed(NODE.0)) height=(words::fixed(NODE.1)) rx=(if row.is_some() { 7 } else { 23 }) {}
                    text.title x="12" y="19" { (words::head(&node.title, TITLE)) }
                    @if let Some(share) = share {
                        text.share x=(words::fixed(NODE.0 - 12.0)) y="19" { (words::percent(share)) }
                    } @else if node.bad {
                        text.share x=(words::fixed(NODE.0 - 12.0)) y="19" { "refused" }
                    }
                    text.name x="12" y="36" { (words::tail(&node.name, NAME)) }
                }
            }
        }
    }
}

fn label(title: &str, name: &str, share: Option<f64>, bad: bool) -> String {
    let share = share.map_or_else(String::new, |share| format!(", {} of the predicted time", words::percent(share)));
    format!("{title} {name}{share}{}", if bad { ", stands in the way of compiling" } else { "" })
}

/// A line that leaves and enters every point vertically and passes nodes of a layer beside them.
fn path(points: &[(f64, f64)]) -> String {
    let Some(&(x, y)) = points.first() else { return String::new() };
    let mut text = format!("M{x:.1} {y:.1}");
    let mut from = (x, y);
    for (at, &(x, y)) in points.iter().enumerate().skip(1) {
        let middle = (from.1 + y) / 2.0;
        text += &format!("C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}", from.0);
        from = (x, y);
        if at + 1 < points.len() {
            from.1 += NODE.1;
            text += &format!("V{:.1}", from.1);
        }
    }
    text
}
