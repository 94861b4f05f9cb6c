//! Merging of `Q1 -> DQ1 -> Q2 -> DQ2` into one pair. Where the parameters differ, ONNX Runtime replaces both by new
//! ones that cover the intersection of the two ranges.

use std::rc::Rc;

use vinfer_circuits::program::{IntType, Quantisation};

use super::params::{is_dequantise, is_quantise, per_tensor};
use crate::graph::Graph;
use crate::onnx::tensor::{Data, Tensor};

/// Merges all double pairs.
pub(super) fn merge(graph: &mut Graph) {
    while merge_one(graph) {}
    graph.prune();
}

fn merge_one(graph: &mut Graph) -> bool {
    let Some((parent, own, child, grandchild)) = find(graph) else { return false };
    let (first, second) = (per_tensor(graph, &graph.nodes[own]), per_tensor(graph, &graph.nodes[child]));
    let (Some(first), Some(second)) = (first, second) else { return false };
    let name = graph.nodes[parent].output().to_owned();
    if let Some(slot) = graph.nodes[grandchild].inputs.first_mut() {
        *slot = name;
    }
    if first != second {
        let merged = intersection(&first, &second);
        let zero_point = match merged.int_type {
            IntType::U8 => Data::U8(vec![merged.zero_point as u8]),
            IntType::I8 => Data::I8(vec![merged.zero_point as i8]),
            _ => return false,
        };
        for (slot, data) in [(1, Data::F32(vec![merged.scale()])), (2, zero_point)] {
            let name = graph.fresh_name("merged");
            graph.constants.insert(name.clone(), Rc::new(Tensor { dims: Vec::new(), data }));
            for index in [parent, grandchild] {
                graph.nodes[index].inputs[slot].clone_from(&name);
            }
        }
    }
    // The two middle nodes have no reader any more.
    graph.prune();
    true
}

/// The nodes of the first double pair in topological order.
fn find(graph: &Graph) -> Option<(usize, usize, usize, usize)> {
    let consumers = graph.consumers();
    let producers = graph.producers();
    let only_reader = |index: usize| {
        let name = graph.nodes[index].output();
        match consumers.get(name).map(Vec::as_slice) {
            Some(&[reader]) if !graph.is_output(name) => Some(reader),
            _ => None,
        }
    };
    (0..graph.nodes.len()).filter(|&i| is_dequantise(&graph.nodes[i])).find_map(|own| {
        let parent = *producers.get(graph.nodes[own].input(0)?)?;
        let child = only_reader(own)?;
        let grandchild = only_reader(child)?;
        let chain = [parent, own, child, grandchild].map(|i| &graph.nodes[i]);
        let kinds = is_quantise(chain[0]) && is_quantise(chain[2]) && is_dequantise(chain[3]);
        if !kinds || only_reader(parent) != Some(own) || chain.iter().any(|n| n.input(2).is_none()) {
            return None;
        }
        let [a, b, c, d] = chain.map(|n| per_tensor(graph, n));
        let pairs = a.is_some() && a == b && c.is_some() && c == d;
        (pairs && a?.int_type == c?.int_type).then_some((parent, own, child, grandchild))
    })
}

/// Parameters of the intersection of the ranges of `a` and `b`, in the runtime's single-precision arithmetic.
fn intersection(a: &Quantisation, b: &Quantisation) -> Quantisation {
    let low = (a.lo() as f32 * a.scale()).max(b.lo() as f32 * b.scale());
    let high = (a.hi() as f32 * a.scale()).min(b.hi() as f32 * b.scale());
    let scale = (high - low) / 255.0;
    let zero_point = (a.int_type.min() as f32 - low / scale).round() as i32;
    let zero_point = zero_point.clamp(a.int_type.min(), a.int_type.max());
    Quantisation { scale_bits: scale.to_bits(), zero_point, int_type: a.int_type }
}
