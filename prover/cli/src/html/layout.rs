//! Where the nodes of a drawing go: in layers from top to bottom, in each layer ordered so that few edges cross, and as
//! near to their neighbours as the order allows.

use super::graph::Graph;

/// Size of a node.
pub(super) const NODE: (f64, f64) = (216.0, 46.0);
/// Height of a layer with the room below it.
const LAYER: f64 = 76.0;
/// Room between two nodes of a layer.
const GAP: f64 = 18.0;
/// Width of an edge that passes a layer.
const PASSING: f64 = 14.0;
/// Room around everything.
const MARGIN: f64 = 16.0;
/// Sweeps that order the layers, and sweeps that place the nodes.
const SWEEPS: usize = 12;
/// Most passing points; beyond them long edges go straight.
const MAX_PASSING: usize = 20_000;

/// A finished drawing.
pub(super) struct Layout {
    /// Width and height.
    pub(super) size: (f64, f64),
    /// Centre of the top side of each node.
    pub(super) nodes: Vec<(f64, f64)>,
    /// Points of each edge: bottom of its source, tops of the layers it passes, top of its target.
    pub(super) edges: Vec<Vec<(f64, f64)>>,
}

/// A node, or the point where a long edge passes a layer.
struct Item {
    layer: usize,
    width: f64,
    x: f64,
}

/// Places a graph whose edges go from lower to higher indices.
pub(super) fn place(graph: &Graph) -> Layout {
    let layers = layers(graph);
    let mut items: Vec<Item> = layers.iter().map(|&layer| Item { layer, width: NODE.0, x: 0.0 }).collect();
    // Neighbours above and below of each item.
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut below = above.clone();
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for &(from, to) in &graph.edges {
        let mut chain = vec![from];
        for layer in layers[from] + 1..layers[to] {
            if items.len() >= graph.nodes.len() + MAX_PASSING {
                break;
            }
            items.push(Item { layer, width: PASSING, x: 0.0 });
            above.push(Vec::new());
            below.push(Vec::new());
            chain.push(items.len() - 1);
        }
        chain.push(to);
        for pair in chain.windows(2) {
            below[pair[0]].push(pair[1]);
            above[pair[1]].push(pair[0]);
        }
        chains.push(chain);
    }
    let depth = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (index, item) in items.iter().enumerate() {
        rows[item.layer].push(index);
    }
    for sweep in 0..SWEEPS {
        sort_rows(&mut rows, if sweep % 2 == 0 { &above } else { &below }, sweep % 2 == 0);
    }
    for row in &rows {
        spread(row, &mut items, &[]);
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let near = if down { &above } else { &below };
        for step in 0..depth {
            let row = &rows[if down { step } else { depth - 1 - step }];
            spread(row, &mut items, near);
        }
    }
    let left = items.iter().map(|item| item.x - item.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = items.iter().map(|item| item.x + item.width / 2.0).fold(0.0, f64::max);
    let shift = if left.is_finite() { MARGIN - left } else { MARGIN };
    let point = |index: usize| (items[index].x + shift, MARGIN + items[index].layer as f64 * LAYER);
    let edges = chains.iter().map(|chain| {
        let mut points: Vec<(f64, f64)> = chain.iter().map(|&index| point(index)).collect();
        if let Some(first) = points.first_mut() {
            first.1 += NODE.1;
        }
        points
    });
    Layout {
        size: (right + shift + MARGIN, 2.0 * MARGIN + NODE.1 + depth.saturating_sub(1) as f64 * LAYER),
        edges: edges.collect(),
        nodes: (0..graph.nodes.len()).map(point).collect(),
    }
}

/// The layer of each node: below everything it reads; what reads nothing stands right above its first reader.
fn layers(graph: &Graph) -> Vec<usize> {
    let mut layers = vec![0; graph.nodes.len()];
    let mut roots = vec![true; graph.nodes.len()];
    let mut edges = graph.edges.clone();
    edges.sort_by_key(|&(_, to)| to);
    for &(from, to) in &edges {
        layers[to] = layers[to].max(layers[from] + 1);
        roots[to] = false;
    }
    let mut first = vec![usize::MAX; graph.nodes.len()];
    for &(from, to) in &edges {
        first[from] = first[from].min(layers[to]);
    }
    for (node, layer) in layers.iter_mut().enumerate() {
        if roots[node] && first[node] != usize::MAX {
            *layer = first[node] - 1;
        }
    }
    layers
}

/// Orders every row by the mean position of each item's neighbours in the row before (or, upwards, after) it.
fn sort_rows(rows: &mut [Vec<usize>], near: &[Vec<usize>], down: bool) {
    let mut position = vec![0.0; near.len()];
    let count = rows.len();
    for step in 0..count {
        let row = &mut rows[if down { step } else { count - 1 - step }];
        let middle = (row.len().saturating_sub(1)) as f64 / 2.0;
        let mut keyed: Vec<(f64, usize)> = Vec::with_capacity(row.len());
        for (at, &item) in row.iter().enumerate() {
            let places = near[item].iter().map(|&n| position[n]);
            let mean = places.sum::<f64>() / near[item].len().max(1) as f64;
            keyed.push((if near[item].is_empty() { at as f64 - middle } else { mean }, item));
        }
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, (_, item)) in keyed.iter().enumerate() {
            position[*item] = at as f64 - middle;
        }
        *row = keyed.into_iter().map(|(_, item)| item).collect();
    }
}

/// Moves the items of a row to the mean of their neighbours, as far as order and room allow: least squares under
/// minimal distances, by pooling adjacent violators.
fn spread(row: &[usize], items: &mut [Item], near: &[Vec<usize>]) {
    // (sum of weighted wishes, weight, items), wishes measured from the items' own offsets.
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(row.len());
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (at, &item) in row.iter().enumerate() {
        if let Some(&before) = at.checked_sub(1).and_then(|before| row.get(before)) {
            offset += (items[before].width + items[item].width) / 2.0 + GAP;
        }
        offsets.push(offset);
        let around = near.get(item).map_or(&[][..], Vec::as_slice);
        // Nodes follow nodes and passing edges passing edges, so that the trunk stays straight beside its shortcuts.
        let pull = |n: usize| if items[n].width == items[item].width { 1.0 } else { 0.02 };
        let pulls: f64 = around.iter().map(|&n| pull(n)).sum();
        let mean = around.iter().map(|&n| items[n].x * pull(n)).sum::<f64>() / pulls;
        let wish = if around.is_empty() { items[item].x } else { mean };
        // Passing edges give way to nodes; what has no neighbours goes where the others leave room.
        let weight = match (around.is_empty(), items[item].width == PASSING) {
            (true, _) => 0.01,
            (false, true) => 1.0,
            (false, false) => 100.0,
        };
        let mut pool = ((wish - offset) * weight, weight, 1);
        while let Some(&last) = pools.last() {
            if last.0 / last.1 <= pool.0 / pool.1 {
                break;
            }
            pool = (pool.0 + last.0, pool.1 + last.1, pool.2 + last.2);
            pools.pop();
        }
        pools.push(pool);
    }
    let mut at = 0;
    for (sum, weight, count) in pools {
        for _ in 0..count {
            items[row[at]].x = sum / weight + offsets[at];
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Kind, Node};
    use super::*;

    fn graph(nodes: usize, edges: &[(usize, usize)]) -> Graph {
        let node = |at| Node { kind: Kind::Row(at), title: String::new(), name: String::new(), bad: false };
        Graph { nodes: (0..nodes).map(node).collect(), edges: edges.to_vec() }
    }

    #[test]
    fn nodes_of_a_layer_do_not_overlap_and_edges_go_down() {
        // A chain with two residual edges, a fan of eight and an orphan.
        let mut edges = vec![(0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (4, 5), (3, 5)];
        edges.extend((6..14).map(|n| (5, n)));
        edges.extend((6..14).map(|n| (n, 14)));
        let layout = place(&graph(16, &edges));
        for (a, &(ax, ay)) in layout.nodes.iter().enumerate() {
            assert!(ax >= NODE.0 / 2.0 && ax + NODE.0 / 2.0 <= layout.size.0 && ay + NODE.1 <= layout.size.1);
            for &(bx, by) in &layout.nodes[a + 1..] {
                assert!(ay != by || (ax - bx).abs() >= NODE.0, "{ax} {bx}");
            }
        }
        for points in &layout.edges {
            assert!(points.windows(2).all(|pair| pair[0].1 < pair[1].1), "{points:?}");
        }
    }

    #[test]
    fn a_trunk_with_shortcuts_stays_straight() {
        // Forty residual blocks of two operations and a sum.
        let edges: Vec<(usize, usize)> =
            (0..120).flat_map(|n| [Some((n, n + 1)), (n % 3 == 0).then_some((n, n + 3))]).flatten().collect();
        let layout = place(&graph(121, &edges));
        assert!(layout.size.0 < 2.0 * NODE.0, "{}", layout.size.0);
    }

    #[test]
    fn an_empty_graph_has_a_size() {
        let layout = place(&graph(0, &[]));
        assert!(layout.size.0.is_finite() && layout.size.1.is_finite());
    }
}
