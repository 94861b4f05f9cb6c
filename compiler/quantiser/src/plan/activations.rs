//! Scales and zero points of activations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Activation;
use crate::calibrate::{Observation, Observations};
use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::histogram::Method;
use crate::roles::{Role, is_rounded, role};
use crate::tensor::check_finite;

/// Distance of neighbouring scales of 16 significant bits, in units in the last place.
pub(super) const SHORT_STEP: u32 = 1 << 8;

/// Chooses the quantisation of every activation, constants among the operands included.
pub(super) fn choose(
    graph: &Graph,
    observations: &Observations,
    roots: &HashMap<String, String>,
    method: Method,
    keep: &BTreeSet<String>,
) -> Result<BTreeMap<String, Activation>, QuantiseError> {
    let mut chosen = BTreeMap::new();
    let exact = read_by_means(graph, roots);
    for name in keep {
        check_sixteen(graph, roots, name)?;
    }
    for input in &graph.inputs {
        if let Some(observation) = observations.get(&input.name) {
            chosen.insert(input.name.clone(), of_range(observation.histogram.range(method), 255));
        }
    }
    for node in &graph.nodes {
        for (slot, name) in node.inputs.iter().enumerate() {
            let constant = graph.constant(name).filter(|_| role(graph, node, slot) == Role::Activation);
            if let Some((tensor, values)) = constant.and_then(|t| Some((t, t.as_floats()?))) {
                check_finite(name, tensor)?;
                let all = Observation::new(values);
                chosen.entry(name.clone()).or_insert_with(|| of_range((all.min, all.max), 255));
            }
        }
        let output = node.output();
        if roots.get(output).is_some_and(|root| root != output) || !is_rounded(node) {
            continue;
        }
        let Some(observation) = observations.get(output) else { continue };
        let top = if keep.contains(output) { 65535 } else { 255 };
        let method = if top == 255 { method } else { Method::MinMax };
        let (mut lo, mut hi) = observation.histogram.range(method);
        if let Some((least, most)) = node.clamp {
            (lo, hi) = (lo.max(least), hi.min(most));
        }
        let activation = match node.op.as_str() {
            // The runtime's Softmax kernel multiplies by the integer part of 1 / scale: a power of two loses nothing.
            "Softmax" | "Sigmoid" => Activation { scale: 1.0 / (top + 1) as f32, zero: 0, top },
            _ => of_range((lo, hi), top),
        };
        chosen.insert(output.to_owned(), activation);
    }
    for (_, activation) in chosen.iter_mut().filter(|(name, _)| exact.contains(name.as_str())) {
        activation.scale = short(activation.scale);
    }
    Ok(chosen)
}

/// Tensors that normalisations and means read, which add them up in floating point.
fn read_by_means<'a>(graph: &'a Graph, roots: &'a HashMap<String, String>) -> BTreeSet<&'a str> {
    let means = |op: &str| matches!(op, "LayerNormalization" | "ReduceMean" | "ChannelScale");
    let inputs = graph.nodes.iter().filter(|n| means(&n.op)).filter_map(|n| n.input(0));
    inputs.map(|name| roots.get(name).map_or(name, String::as_str)).collect()
}

/// A scale of 16 significant bits: its products with 8-bit levels are exact in single precision, so that sums of
/// dequantised values are multiples of the scale.
fn short(scale: f32) -> f32 {
    f32::from_bits(scale.to_bits().saturating_add(0x80) & !(SHORT_STEP - 1))
}

/// The quantisation that covers a range; zero is a level.
fn of_range((lo, hi): (f32, f32), top: i32) -> Activation {
    let (lo, hi) = (f64::from(lo.min(0.0)), f64::from(hi.max(0.0)));
    let scale = ((hi - lo) / f64::from(top)) as f32;
    if !(scale.is_finite() && scale >= 1e-30) {
        return Activation { scale: 1.0, zero: 0, top };
    }
    let zero = (-lo / f64::from(scale)).round_ties_even() as i32;
    Activation { scale, zero: zero.clamp(0, top), top }
}

/// Operators whose float bits between 16-bit tensors are known: one rounding per element, or the kernel that also runs
/// between 8-bit tensors. Conv, Gemm and MatMul add in an order that depends on the machine; functions such as Gelu
/// are only known at the 256 values of an 8-bit tensor.
const FLOAT_AT_SIXTEEN: [&str; 5] = ["Add", "LayerNormalization", "ReduceMean", "Sqrt", "ChannelScale"];

fn check_sixteen(graph: &Graph, roots: &HashMap<String, String>, name: &str) -> Result<(), QuantiseError> {
    let refuse = |reason: String| QuantiseError::KeepSixteen { tensor: name.to_owned(), reason };
    let producer = graph.nodes.iter().find(|n| n.output() == name);
    let producer = producer.filter(|_| roots.get(name).is_some_and(|root| root == name)).ok_or_else(|| {
        let exact = graph.nodes.iter().filter(|n| n.op == "Add").map(|n| n.output()).take(8).collect::<Vec<_>>();
        refuse(format!("no node computes a tensor of this name (some that can be kept: {})", exact.join(", ")))
    })?;
    let readers = graph.nodes.iter().filter(|n| n.inputs.iter().any(|i| i == name));
    match std::iter::once(producer).chain(readers).find(|n| !FLOAT_AT_SIXTEEN.contains(&n.op.as_str())) {
        Some(node) => Err(refuse(format!(
            "ONNX Runtime computes node `{}` ({}) at 16 bits in floating point with bits that are not reproducible; \
             only tensors between Add, LayerNormalization and ReduceMean can be kept",
            node.name, node.op
        ))),
        None => Ok(()),
    }
}
