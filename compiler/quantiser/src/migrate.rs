//! Scales per channel in front of layer normalisations.
//!
//! In transformers a few channels of the tensors that LayerNormalization reads are hundreds of times larger than the
//! rest, so that one scale for all of them loses the rest. The sums that lead there are linear: dividing channel `j`
//! of every summand by `c_j` (columns of weights, gains of earlier normalisations) divides channel `j` of the sum,
//! and multiplying it back costs nothing where the sum is dequantised, with one scale per channel. Factors are powers
//! of two, so both directions are exact in floating point.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::calibrate::Observations;
use crate::graph::{Graph, Node};
use crate::prepare::Shapes;
use crate::tensor::Tensor;

/// Largest exponent of a factor.
const MAX_EXPONENT: f32 = 8.0;

/// Sums are left alone if no factor would be as large.
const WORTHWHILE: f32 = 2.0;

/// Most tensors that are divided together; bounds the recursion.
const MAX_MEMBERS: usize = 4000;

/// How far scales are migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Migration {
    /// Not at all.
    None,
    /// Weights that read a normalisation are multiplied by the factors its result was divided by.
    Shared,
    /// A normalisation that weights read is computed twice, with and without factors.
    Split,
}

/// The linear part of the graph that leads to layer normalisations.
#[derive(Default)]
struct Component {
    /// Tensors that are divided.
    members: BTreeSet<String>,
    /// Outputs of nodes with weights.
    linear: BTreeSet<String>,
    /// Outputs of earlier normalisations.
    normals: BTreeSet<String>,
    /// Constants among the summands, and tables of embeddings.
    constants: BTreeSet<String>,
    /// Outputs of normalisations that read a member.
    readers: BTreeSet<String>,
}

/// Migrates scales wherever it helps; whether anything changed.
pub(crate) fn migrate(graph: &mut Graph, shapes: &Shapes, seen: &Observations, migration: Migration) -> bool {
    let starts: Vec<String> = graph.nodes.iter().filter(|n| is_normal(n)).map(|n| n.inputs[0].clone()).collect();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut changed = false;
    for start in starts {
        if migration == Migration::None || done.contains(&start) {
            continue;
        }
        let mut component = Component::default();
        let Some(width) = shapes.get(&start).and_then(|d| d.last()).copied() else { continue };
        let complete = explore(graph, shapes, &start, width, &mut component);
        done.extend(component.members.iter().cloned());
        let Some(factors) = complete.then(|| factors(&component, seen, width, migration)).flatten() else { continue };
        if migration == Migration::Shared && !shareable(graph, &component) {
            continue;
        }
        apply(graph, &component, &factors, migration);
        changed = true;
    }
    changed
}

fn is_normal(node: &Node) -> bool {
    node.op == "LayerNormalization" && node.int("axis", -1) == -1
}

/// Collects everything that must be divided along with `name`; `false` if something cannot.
fn explore(graph: &Graph, shapes: &Shapes, name: &str, width: usize, found: &mut Component) -> bool {
    if let Some((dims, _)) = graph.constant_floats(name) {
        found.constants.insert(name.to_owned());
        return dims.last() == Some(&width) && graph.readers(name).len() == 1;
    }
    if shapes.get(name).and_then(|d| d.last()) != Some(&width) || graph.is_output(name) {
        return false;
    }
    if !found.members.insert(name.to_owned()) {
        return true;
    }
    if found.members.len() > MAX_MEMBERS {
        return false;
    }
    let Some(producer) = graph.producer(name) else { return false };
    let node = &graph.nodes[producer];
    if node.clamp.is_some() {
        return false;
    }
    let weights = node.input(1).is_some_and(|n| graph.constant_floats(n).is_some_and(|(d, _)| d.len() == 2));
    let goes_on = match node.op.as_str() {
        "Add" => node.inputs.iter().all(|input| explore(graph, shapes, input, width, found)),
        "Reshape" => explore(graph, shapes, &node.inputs[0], width, found),
        "Gather" => node.int("axis", 0) == 0 && explore(graph, shapes, &node.inputs[0], width, found),
        "Gemm" | "MatMul" if weights => found.linear.insert(name.to_owned()),
        "LayerNormalization" if is_normal(node) => {
            // Its other readers keep the undivided result.
            found.normals.insert(name.to_owned());
            let sums: Vec<String> = graph
                .readers(name)
                .into_iter()
                .filter(|&r| graph.nodes[r].op == "Add")
                .map(|r| graph.nodes[r].output().to_owned())
                .collect();
            return sums.iter().all(|sum| explore(graph, shapes, sum, width, found));
        }
        _ => false,
    };
    goes_on
        && graph.readers(name).into_iter().all(|reader| {
            let node = &graph.nodes[reader];
            match node.op.as_str() {
                "Add" | "Reshape" => explore(graph, shapes, node.output(), width, found),
                "LayerNormalization" if is_normal(node) => {
                    found.readers.insert(node.output().to_owned());
                    true
                }
                _ => false,
            }
        })
}

/// Powers of two that bring large channels to the size of the others; `None` if there is nothing to do.
fn factors(component: &Component, seen: &Observations, width: usize, migration: Migration) -> Option<Vec<f32>> {
    let mut sizes = vec![0.0f32; width];
    for observation in component.members.iter().filter_map(|name| seen.get(name)) {
        sizes.iter_mut().zip(&observation.channels).for_each(|(s, &c)| *s = s.max(c));
    }
    let mut sorted = sizes.clone();
    sorted.sort_by(f32::total_cmp);
    // Factors on shared weights cost the weights precision, so only outliers get them.
    let (percent, less) = if migration == Migration::Split { (90, 0.0) } else { (98, 1.0) };
    let base = sorted[(width * percent / 100).min(width - 1)];
    if !(base > 0.0 && base.is_finite()) {
        return None;
    }
    let factors: Vec<f32> =
        sizes.iter().map(|s| ((s / base).log2().ceil() - less).clamp(0.0, MAX_EXPONENT).exp2()).collect();
    factors.iter().any(|f| *f >= WORTHWHILE).then_some(factors)
}

/// Whether everything that reads a normalisation can take factors into its weights.
fn shareable(graph: &Graph, component: &Component) -> bool {
    component.normals.iter().all(|name| !graph.is_output(name) && weight_readers(graph, name).is_some())
}

/// The nodes with weights that read a normalisation beside sums, directly or through a reshape to rows.
fn weight_readers(graph: &Graph, name: &str) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for reader in graph.readers(name) {
        let node = &graph.nodes[reader];
        match node.op.as_str() {
            "Add" => {}
            "Gemm" | "MatMul"
                if node.inputs[0] == name && node.inputs.get(1).is_some_and(|n| graph.constant_floats(n).is_some()) =>
            {
                found.push(reader);
            }
            "Reshape" => found.extend(weight_readers(graph, node.output())?),
            _ => return None,
        }
    }
    Some(found)
}

fn apply(graph: &mut Graph, component: &Component, factors: &[f32], migration: Migration) {
    let divided = |t: &Tensor| over_channels(t, factors, |v, c| v / c);
    for output in &component.linear {
        let Some(index) = graph.producer(output) else { continue };
        rewrite_constants(graph, index, 1, &divided);
    }
    for name in &component.constants {
        if let Some(constant) = graph.constant(name).cloned() {
            graph.constants.insert(name.clone(), Arc::new(divided(&constant)));
        }
    }
    for output in &component.normals {
        let Some(mut index) = graph.producer(output) else { continue };
        let others = graph.is_output(output) || graph.readers(output).iter().any(|&r| graph.nodes[r].op != "Add");
        if others && migration == Migration::Split {
            let copy = graph.fresh(&format!("{output}_divided"));
            let mut node = graph.nodes[index].clone();
            node.outputs = vec![copy.clone()];
            node.name.clone_from(&copy);
            for node in graph.nodes.iter_mut().filter(|n| n.op == "Add") {
                for input in node.inputs.iter_mut().filter(|i| *i == output) {
                    input.clone_from(&copy);
                }
            }
            index += 1;
            graph.nodes.insert(index, node);
        } else {
            for reader in weight_readers(graph, output).unwrap_or_default() {
                rewrite_constant(graph, reader, 1, &|t| multiplied_rows(t, factors));
            }
        }
        rewrite_constants(graph, index, 1, &divided);
    }
    for output in &component.readers {
        let Some(index) = graph.producer(output) else { continue };
        let input = graph.nodes[index].inputs[0].clone();
        let scaled = graph.fresh(&format!("{input}_channels"));
        let constant =
            graph.add_constant(&format!("{input}_factors"), Tensor::floats(vec![factors.len()], factors.to_vec()));
        graph.nodes[index].inputs[0].clone_from(&scaled);
        graph.nodes.insert(index, Node::new("ChannelScale", &[&input, &constant], &scaled));
    }
}

fn rewrite_constants(graph: &mut Graph, index: usize, from: usize, f: &dyn Fn(&Tensor) -> Tensor) {
    for slot in from..graph.nodes[index].inputs.len() {
        rewrite_constant(graph, index, slot, f);
    }
}

fn rewrite_constant(graph: &mut Graph, index: usize, slot: usize, f: &dyn Fn(&Tensor) -> Tensor) {
    let name = graph.nodes[index].inputs[slot].clone();
    if let Some(constant) = graph.constant(&name).cloned() {
        graph.nodes[index].inputs[slot] = graph.add_constant(&format!("{name}_scaled"), f(&constant));
    }
}

/// Combines every element with the factor of its place along the last axis.
fn over_channels(tensor: &Tensor, factors: &[f32], f: impl Fn(f32, f32) -> f32) -> Tensor {
    let values = tensor.as_floats().unwrap_or_default();
    let values = values.iter().enumerate().map(|(i, &v)| f(v, factors[i % factors.len()])).collect();
    Tensor::floats(tensor.dims.clone(), values)
}

fn multiplied_rows(tensor: &Tensor, factors: &[f32]) -> Tensor {
    let columns = tensor.dims.last().copied().unwrap_or(1).max(1);
    let values = tensor.as_floats().unwrap_or_default();
    let values = values.iter().enumerate().map(|(i, &v)| v * factors[i / columns % factors.len()]).collect();
    Tensor::floats(tensor.dims.clone(), values)
}
