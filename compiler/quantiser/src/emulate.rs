//! The quantised model in floating point: every tensor is rounded to its levels as soon as it exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::plan::{Plan, Weights};
use crate::roles::{Role, is_linear, role};
use crate::run::run;
use crate::tensor::Tensor;

/// A graph whose constants are rounded as a plan says.
pub(crate) struct Emulation<'a> {
    graph: Graph,
    plan: &'a Plan,
    /// If given, only these tensors are rounded.
    only: Option<BTreeSet<String>>,
}

impl<'a> Emulation<'a> {
    /// The whole quantised model.
    pub(crate) fn new(graph: &Graph, plan: &'a Plan) -> Self {
        Self::with(graph, plan, None)
    }

    /// The float model with one node quantised: its weights and its result.
    pub(crate) fn of_node(graph: &Graph, plan: &'a Plan, output: &str) -> Self {
        Self::with(graph, plan, Some(BTreeSet::from([output.to_owned()])))
    }

    fn with(graph: &Graph, plan: &'a Plan, only: Option<BTreeSet<String>>) -> Self {
        let mut rounded = graph.clone();
        for node in &graph.nodes {
            if only.as_ref().is_some_and(|only| !only.contains(node.output())) {
                continue;
            }
            for (slot, name) in node.inputs.iter().enumerate() {
                let Some(constant) = graph.constant(name) else { continue };
                let value = match role(graph, node, slot) {
                    Role::Activation => plan.activation(name).map(|a| constant.map(|v| a.round(v))),
                    Role::Weight => {
                        plan.weights.get(node.output()).map(|w| rounded_weights(node.op == "Conv", &constant.dims, w))
                    }
                    Role::Bias => plan.weights.get(node.output()).and_then(|w| rounded_bias(&constant.dims, w)),
                    Role::Parameter => None,
                };
                if let Some(value) = value {
                    rounded.constants.insert(name.clone(), Arc::new(value));
                }
            }
        }
        debug_assert!(graph.nodes.iter().all(|n| !is_linear(graph, n) || plan.weights.contains_key(n.output())));
        Self { graph: rounded, plan, only }
    }

    /// Runs one sample; `observe` sees every rounded tensor.
    pub(crate) fn run(
        &self,
        sample: &[Tensor],
        observe: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, QuantiseError> {
        run(&self.graph, sample, &mut |name, tensor| {
            let wanted = self.only.as_ref().is_none_or(|only| only.contains(name));
            // A tensor that was moved from another has levels already.
            if let Some(activation) = self.plan.activations.get(name).filter(|_| wanted && tensor.as_floats().is_some())
            {
                *tensor = tensor.map(|v| activation.round(v));
            }
            observe(name, tensor);
        })
    }
}

fn rounded_weights(first_axis: bool, dims: &[usize], weights: &Weights) -> Tensor {
    let (channels, per_channel) = (weights.scales.len().max(1), weights.values.len() / weights.scales.len().max(1));
    let channel = |i: usize| if first_axis { i / per_channel.max(1) } else { i % channels };
    let values = weights.values.iter().enumerate().map(|(i, &w)| f32::from(w) * weights.scales[channel(i)]).collect();
    Tensor::floats(dims.to_vec(), values)
}

fn rounded_bias(dims: &[usize], weights: &Weights) -> Option<Tensor> {
    let (bias, units) = weights.bias.as_ref()?;
    Some(Tensor::floats(dims.to_vec(), bias.iter().zip(units).map(|(&b, &u)| b as f32 * u).collect()))
}
