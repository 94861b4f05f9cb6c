//! Scales for which the runtime's rescaling has its cheapest exact form.
//!
//! Rescaling is a step function of the accumulator. Whether it equals one integer division (LINE) depends on the last
//! bits of its scale, so scales are tried a few units in the last place apart. The rounded weights stay as they are:
//! the change is far below their rounding.

use rayon::prelude::*;
use vinfer_circuits::ops::{AddForm, Requant};
use vinfer_circuits::program::IntType;
use vinfer_compiler::solver::{add_is_swapped, solve_add, solve_requant};

use super::activations::SHORT_STEP;
use super::weights::{channels, indices, round_bias};
use super::{Activation, Forms, Plan};
use crate::graph::Graph;
use crate::prepare::Shapes;
use crate::roles::is_linear;

/// Scales tried per channel.
const WEIGHT_TRIES: i32 = 48;

/// Scales tried per activation.
const ACTIVATION_TRIES: i32 = 8;

/// The scale `step` units in the last place away, alternating around the given one; a scale of 16 significant bits
/// stays one.
fn neighbour(scale: f32, step: i32) -> f32 {
    let distance = (step + 1) / 2 * if step % 2 == 0 { 1 } else { -1 };
    let unit = if scale.to_bits().is_multiple_of(SHORT_STEP) { SHORT_STEP.cast_signed() } else { 1 };
    f32::from_bits(scale.to_bits().saturating_add_signed(distance * unit))
}

/// How costly a form is.
fn cost(form: &Requant) -> u8 {
    match form {
        Requant::Line { .. } => 0,
        Requant::Parity { .. } => 1,
        _ => 2,
    }
}

/// The cheapest step near 0, with its cost.
fn search(tries: i32, cost: impl Fn(i32) -> u8) -> (i32, u8) {
    let mut best = (0, u8::MAX);
    for step in 0..tries {
        let cost = cost(step);
        if cost < best.1 {
            best = (step, cost);
        }
        if cost == 0 {
            break;
        }
    }
    best
}

fn forms(costs: impl IntoIterator<Item = u8>) -> Forms {
    let mut forms = Forms::default();
    for cost in costs {
        match cost {
            0 => forms.line += 1,
            1 => forms.parity += 1,
            _ => forms.table += 1,
        }
    }
    forms
}

/// Nudges the scales of results of products and sums of activations.
pub(super) fn activations(plan: &mut Plan, graph: &Graph, shapes: &Shapes) {
    for node in &graph.nodes {
        let name = node.output();
        let Some(out) = plan.activations.get(name).copied().filter(|a| a.top == 255) else { continue };
        let operand = |slot: usize| node.input(slot).and_then(|n| plan.activation(n)).filter(|a| a.top == 255);
        let dims = |slot: usize| node.input(slot).and_then(|n| shapes.get(n)).map_or(&[][..], Vec::as_slice);
        let try_scale = |step: i32| -> Option<u8> {
            let sy = neighbour(out.scale, step);
            let range = (-out.zero, 255 - out.zero);
            let requant = |scale: f32, reach: i64| cost(&solve_requant(scale, range.0, range.1, -reach, reach));
            match node.op.as_str() {
                "MatMul" if !is_linear(graph, node) => {
                    let (a, b) = (operand(0)?, operand(1)?);
                    let depth = dims(0).last().copied()? as i64;
                    Some(requant(a.scale * b.scale / sy, (depth * 255 * 255).min(i64::from(i32::MAX))))
                }
                "GlobalAveragePool" => {
                    let n = dims(0).get(2..)?.iter().product::<usize>();
                    Some(requant(operand(0)?.scale / (sy * n as f32), n as i64 * 255))
                }
                "Add" => add_cost(operand(0)?, operand(1)?, (sy, out.zero), (dims(0), dims(1))),
                _ => None,
            }
        };
        if try_scale(0).is_none() {
            continue;
        }
        let (step, cost) = search(ACTIVATION_TRIES, |step| try_scale(step).unwrap_or(2));
        if let Some(activation) = plan.activations.get_mut(name) {
            activation.scale = neighbour(out.scale, step);
        }
        plan.forms.insert(name.to_owned(), forms([cost]));
    }
}

fn add_cost(
    a: &Activation,
    b: &Activation,
    (sc, zc): (f32, i32),
    (a_dims, b_dims): (&[usize], &[usize]),
) -> Option<u8> {
    let narrow = |dims: &[usize]| dims.iter().map(|&d| u32::try_from(d).ok()).collect::<Option<Vec<u32>>>();
    let swapped = add_is_swapped(&narrow(a_dims)?, &narrow(b_dims)?);
    let range = |x: &Activation| (-x.zero, 255 - x.zero);
    let form = solve_add(a.scale, a.zero, b.scale, b.zero, sc, zc, IntType::U8, swapped, range(a), range(b));
    Some(if matches!(form, AddForm::Line { .. }) { 0 } else { 2 })
}

/// Nudges the scales of weights, channel by channel; biases follow.
pub(super) fn weights(plan: &mut Plan, graph: &Graph) {
    for node in graph.nodes.iter().filter(|n| is_linear(graph, n)) {
        let (Some(input), Some(output)) =
            (plan.activation(&node.inputs[0]).copied(), plan.activation(node.output()).copied())
        else {
            continue;
        };
        let Some((dims, _)) = node.input(1).and_then(|n| graph.constant_floats(n)) else { continue };
        let Some(weights) = plan.weights.get(node.output()) else { continue };
        let (count, last) = channels(node, dims);
        let found: Vec<(f32, u8)> = (0..count)
            .into_par_iter()
            .map(|channel| {
                let taps = indices(weights.values.len(), count, last, channel).map(|i| i64::from(weights.values[i]));
                let bias = weights.bias.as_ref().map_or(0, |(b, _)| i64::from(b[channel]));
                let reach = reach(taps, &input, bias);
                let scale = weights.scales[channel];
                let (step, cost) = search(WEIGHT_TRIES, |step| {
                    let s = input.scale * neighbour(scale, step) / output.scale;
                    cost(&solve_requant(s, -output.zero, 255 - output.zero, reach.0, reach.1))
                });
                (neighbour(scale, step), cost)
            })
            .collect();
        let bias = node.input(2).and_then(|n| graph.constant_floats(n)).map(|(_, b)| b.to_vec());
        plan.forms.insert(node.output().to_owned(), forms(found.iter().map(|(_, cost)| *cost)));
        if let Some(weights) = plan.weights.get_mut(node.output()) {
            weights.scales = found.into_iter().map(|(scale, _)| scale).collect();
            weights.bias = bias.map(|b| round_bias(&b, &weights.scales, input.scale));
        }
    }
}

/// Least and largest accumulator of a channel; a nudged scale may move the bias by one.
fn reach(taps: impl Iterator<Item = i64>, input: &Activation, bias: i64) -> (i64, i64) {
    let (low, high) = (i64::from(-input.zero), i64::from(input.top - input.zero));
    let (mut min, mut max) = (bias - 1, bias + 1);
    for w in taps {
        min += (w * low).min(w * high);
        max += (w * low).max(w * high);
    }
    let limit = i64::from(i32::MAX);
    (min.clamp(-limit, limit), max.clamp(-limit, limit))
}
