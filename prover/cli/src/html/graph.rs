//! The graph that the page draws: operations of a compiled program, or nodes of a model that does not compile.

use std::collections::HashMap;

use vinfer_circuits::program::{Port, Program};

use crate::engine::{NodeInfo, Row};

/// What a node of the drawing stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A graph input.
    Input,
    /// A graph output.
    Output,
    /// The table row of this index.
    Row(usize),
}

/// A node of the drawing.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// What it stands for.
    pub(super) kind: Kind,
    /// First line.
    pub(super) title: String,
    /// Second line.
    pub(super) name: String,
    /// Whether it stands in the way of compiling.
    pub(super) bad: bool,
}

/// Nodes, and edges from a node to one that reads its result, without repetition.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// Nodes, readers after what they read.
    pub(super) nodes: Vec<Node>,
    /// `(from, to)`.
    pub(super) edges: Vec<(usize, usize)>,
}

impl Graph {
    /// Ports and operations of a program; `rows` is the compiler's report on it, `bad` the tensors at fault.
    pub(super) fn of_program(program: &Program, rows: &[Row], bad: &[&str]) -> Self {
        let mut graph = Self::default();
        // The node behind each value, as far as known.
        let mut sources: Vec<Option<usize>> = vec![None; program.values.len()];
        graph.add_ports(&program.inputs, Kind::Input, |node, port, _| {
            if let Some(source) = sources.get_mut(port.value as usize) {
                *source = Some(node);
            }
        });
        for (index, (op, row)) in program.ops.iter().zip(rows).enumerate() {
            let to = graph.nodes.len();
            let output = program.values.get(op.output() as usize);
            let inputs = op.inputs();
            let names = inputs.iter().filter_map(|&v| program.values.get(v as usize)).chain(output);
            graph.nodes.push(Node {
                kind: Kind::Row(index),
                title: title(&row.operators, row.primitive),
                name: row.node.clone(),
                bad: names.into_iter().any(|value| bad.contains(&value.name.as_str())),
            });
            for value in inputs {
                if let Some(from) = sources.get(value as usize).copied().flatten() {
                    graph.add_edge(from, to);
                }
            }
            if let Some(source) = sources.get_mut(op.output() as usize) {
                *source = Some(to);
            }
        }
        graph.add_ports(&program.outputs, Kind::Output, |node, port, graph| {
            if let Some(from) = sources.get(port.value as usize).copied().flatten() {
                graph.add_edge(from, node);
            }
        });
        graph
    }

    /// All nodes of a model.
    pub(super) fn of_nodes(nodes: &[NodeInfo]) -> Self {
        let mut graph = Self::default();
        for (index, node) in nodes.iter().enumerate() {
            graph.nodes.push(Node {
                kind: Kind::Row(index),
                title: node.operator.clone(),
                name: node.node.clone(),
                bad: node.unsupported.is_some(),
            });
            for &from in node.sources.iter().filter(|&&from| from < index) {
                graph.add_edge(from, index);
            }
        }
        graph
    }

    /// One node per name; `each` is called for every port.
    fn add_ports(&mut self, ports: &[Port], kind: Kind, mut each: impl FnMut(usize, &Port, &mut Self)) {
        let mut known: HashMap<&str, usize> = HashMap::new();
        for port in ports {
            let node = *known.entry(&port.name).or_insert_with(|| {
                let title = if kind == Kind::Input { "input" } else { "output" };
                self.nodes.push(Node { kind, title: title.to_owned(), name: port.name.clone(), bad: false });
                self.nodes.len() - 1
            });
            each(node, port, self);
        }
    }

    fn add_edge(&mut self, from: usize, to: usize) {
        if !self.edges.iter().rev().take_while(|edge| edge.1 == to).any(|edge| edge.0 == from) {
            self.edges.push((from, to));
        }
    }
}

/// The operators without the conversions around them; the primitive where nothing else is left.
pub(super) fn title(operators: &str, primitive: &str) -> String {
    let plain = |op: &&str| !op.ends_with("QuantizeLinear") && !op.ends_with("DequantizeLinear");
    let core: Vec<&str> =
        operators.split('+').filter(plain).map(|op| op.trim_start_matches("com.microsoft.")).collect();
    if core.is_empty() { primitive.to_owned() } else { core.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_name_the_operator_itself() {
        assert_eq!(title("DequantizeLinear+Conv+QuantizeLinear", "Contract"), "Conv");
        assert_eq!(title("com.microsoft.QLinearAdd", "Add"), "QLinearAdd");
        assert_eq!(title("DequantizeLinear+QuantizeLinear", "Lookup"), "Lookup");
    }

    #[test]
    fn edges_are_not_repeated() {
        let mut graph = Graph::default();
        for (from, to) in [(0, 2), (1, 2), (0, 2), (0, 3), (0, 3)] {
            graph.add_edge(from, to);
        }
        assert_eq!(graph.edges, [(0, 2), (1, 2), (0, 3)]);
    }
}
