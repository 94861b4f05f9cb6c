//! The choice of methods: those that were asked for, or the best of several.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::Options;
use crate::calibrate::calibrate;
use crate::emulate::Emulation;
use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::histogram::Method;
use crate::migrate::{Migration, migrate};
use crate::plan::Plan;
use crate::prepare::{Shapes, shapes};
use crate::report::{Accuracy, Layer, compare, cosine, max_error};
use crate::run::run;
use crate::tensor::Tensor;

/// Samples on which candidates are compared.
const SEARCH_SAMPLES: usize = 32;

/// Samples on which layers are compared.
const LAYER_SAMPLES: usize = 4;

/// A cheaper candidate is kept unless another is better by more than this cosine.
const WORTH: f64 = 0.002;

/// A candidate: the graph with migrated scales, and its quantisation.
pub(crate) struct Candidate {
    pub graph: Graph,
    pub shapes: Shapes,
    pub plan: Plan,
    pub method: Method,
    pub migration: Migration,
}

/// Outputs of all samples, one list of values per output.
pub(crate) type Outputs = Vec<Vec<Vec<f32>>>;

/// Float values of tensors.
pub(crate) fn values(tensors: Vec<Tensor>) -> Vec<Vec<f32>> {
    tensors.into_iter().map(|t| t.as_floats().unwrap_or_default().to_vec()).collect()
}

/// Runs the float graph.
pub(crate) fn float_outputs(graph: &Graph, samples: &[Vec<Tensor>]) -> Result<Outputs, QuantiseError> {
    samples.par_iter().map(|s| run(graph, s, &mut |_, _| {}).map(values)).collect()
}

/// Runs the emulated integer graph.
pub(crate) fn emulated_outputs(graph: &Graph, plan: &Plan, samples: &[Vec<Tensor>]) -> Result<Outputs, QuantiseError> {
    let emulation = Emulation::new(graph, plan);
    samples.par_iter().map(|s| emulation.run(s, &mut |_, _| {}).map(values)).collect()
}

/// Quantises with every method given, with and without migrated scales, and returns the best; among equals the first.
pub(crate) fn search(
    graph: &Graph,
    samples: &[Vec<Tensor>],
    options: &Options,
    float: &Outputs,
) -> Result<(Candidate, Accuracy), QuantiseError> {
    let few = &samples[..samples.len().min(SEARCH_SAMPLES)];
    let keep: BTreeSet<String> = options.keep_sixteen.iter().cloned().collect();
    let mut best: Option<(Candidate, Accuracy)> = None;
    let first = few.first().map_or(&[][..], Vec::as_slice);
    let base = (shapes(graph, first)?, calibrate(graph, samples)?);
    for migration in [Migration::None, Migration::Shared, Migration::Split] {
        let mut migrated = graph.clone();
        let changed = migrate(&mut migrated, &base.0, &base.1, migration);
        if migration != Migration::None && !(changed && options.channel_factors) {
            continue;
        }
        let (shapes, seen) =
            if changed { (shapes(&migrated, first)?, calibrate(&migrated, samples)?) } else { base.clone() };
        for &method in &options.methods {
            let plan = Plan::new(&migrated, &seen, method, &keep)?;
            let accuracy = compare(float, &emulated_outputs(&migrated, &plan, few)?);
            if best.as_ref().is_none_or(|(_, b)| accuracy.cosine > b.cosine + WORTH) {
                let candidate = Candidate { graph: migrated.clone(), shapes: shapes.clone(), plan, method, migration };
                best = Some((candidate, accuracy));
            }
        }
    }
    best.ok_or_else(|| QuantiseError::Data { reason: "no calibration method was given".to_owned() })
}

/// Compares every layer with the float model, all layers quantised and each alone.
pub(crate) fn layers(
    candidate: &Candidate,
    samples: &[Vec<Tensor>],
    float: &Outputs,
) -> Result<Vec<Layer>, QuantiseError> {
    let (graph, plan) = (&candidate.graph, &candidate.plan);
    let few = &samples[..samples.len().min(LAYER_SAMPLES)];
    let emulation = Emulation::new(graph, plan);
    let mut errors: BTreeMap<String, (f32, f64)> = BTreeMap::new();
    for sample in few {
        let mut exact: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        run(graph, sample, &mut |name, tensor| {
            if let Some(values) = tensor.as_floats().filter(|_| plan.activations.contains_key(name)) {
                exact.insert(name.to_owned(), values.to_vec());
            }
        })?;
        emulation.run(sample, &mut |name, tensor| {
            if let (Some(exact), Some(values)) = (exact.get(name), tensor.as_floats()) {
                let entry = errors.entry(name.to_owned()).or_insert((0.0, 1.0));
                *entry = (entry.0.max(max_error(exact, values)), entry.1.min(cosine(exact, values)));
            }
        })?;
    }
    graph
        .nodes
        .par_iter()
        .filter_map(|node| {
            let output = node.output();
            let (activation, &(max_error, cosine)) = (plan.activations.get(output)?, errors.get(output)?);
            let alone = Emulation::of_node(graph, plan, output);
            let outputs = few.iter().map(|s| alone.run(s, &mut |_, _| {}).map(values)).collect::<Result<Outputs, _>>();
            Some(outputs.map(|outputs| Layer {
                output: output.to_owned(),
                operator: node.op.clone(),
                scale: activation.scale,
                zero_point: activation.zero,
                max_error,
                cosine,
                sensitivity: (1.0 - compare(float, &outputs).cosine).max(0.0),
                forms: plan.forms.get(output).copied(),
            }))
        })
        .collect()
}
