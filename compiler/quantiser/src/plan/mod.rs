//! The integers: scales, zero points, weights and biases.

mod activations;
mod nudge;
mod weights;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::calibrate::Observations;
use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::histogram::Method;
use crate::prepare::Shapes;
use crate::roles::{is_linear, roots};

/// Quantisation of one activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Activation {
    pub scale: f32,
    pub zero: i32,
    /// Highest level: 255, or 65535 for a tensor kept at 16 bits.
    pub top: i32,
}

impl Activation {
    /// The nearest level.
    pub(crate) fn level(&self, v: f32) -> i32 {
        // `as` saturates.
        ((v / self.scale).round_ties_even() as i32).saturating_add(self.zero).clamp(0, self.top)
    }

    /// The nearest value that has a level.
    pub(crate) fn round(&self, v: f32) -> f32 {
        (self.level(v) - self.zero) as f32 * self.scale
    }
}

/// Quantised weights of one node.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// One scale per output channel.
    pub scales: Vec<f32>,
    pub values: Vec<i8>,
    /// Bias, and its scale per channel: exactly `f32(input scale * weight scale)`.
    pub bias: Option<(Vec<i32>, Vec<f32>)>,
}

/// How many steps of rescaling have which exact form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// One division.
    pub line: usize,
    /// One division with an offset for odd levels.
    pub parity: usize,
    /// A table.
    pub table: usize,
}

/// The whole quantisation.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// By tensor; tensors that were moved from another have its quantisation.
    pub activations: BTreeMap<String, Activation>,
    /// The tensor whose quantisation each tensor has.
    pub roots: HashMap<String, String>,
    /// By node output.
    pub weights: BTreeMap<String, Weights>,
    /// By node output; filled by [`Plan::nudge`].
    pub forms: BTreeMap<String, Forms>,
}

impl Plan {
    /// Chooses all scales with one method and rounds the weights.
    ///
    /// # Errors
    /// A constant holds NaN or infinite values, or a tensor cannot be kept at 16 bits.
    pub(crate) fn new(
        graph: &Graph,
        observations: &Observations,
        method: Method,
        keep: &BTreeSet<String>,
    ) -> Result<Self, QuantiseError> {
        let roots = roots(graph);
        let activations = activations::choose(graph, observations, &roots, method, keep)?;
        let mut plan = Self { activations, roots, weights: BTreeMap::new(), forms: BTreeMap::new() };
        plan.round_weights(graph)?;
        Ok(plan)
    }

    /// Changes scales by a few units in the last place until rescaling has the cheap exact form, where that succeeds.
    pub(crate) fn nudge(&mut self, graph: &Graph, shapes: &Shapes) -> Result<(), QuantiseError> {
        nudge::activations(self, graph, shapes);
        self.round_weights(graph)?;
        nudge::weights(self, graph);
        Ok(())
    }

    /// Quantisation of a tensor; `None` for integers and parameters.
    pub(crate) fn activation(&self, name: &str) -> Option<&Activation> {
        self.activations.get(self.roots.get(name).map_or(name, String::as_str))
    }

    fn round_weights(&mut self, graph: &Graph) -> Result<(), QuantiseError> {
        for node in graph.nodes.iter().filter(|n| is_linear(graph, n)) {
            let input = self.activation(&node.inputs[0]).map(|a| a.scale);
            let input = input.ok_or_else(|| node.fail("its first operand is no float activation"))?;
            self.weights.insert(node.output().to_owned(), weights::round(graph, node, input)?);
        }
        Ok(())
    }
}
