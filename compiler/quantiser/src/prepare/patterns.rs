//! Functions that exporters write as several nodes.

use crate::graph::{Attribute, Graph, Node};

/// Index of the node of kind `op` that makes operand `slot` of `node`.
fn maker(graph: &Graph, node: &Node, slot: usize, op: &str) -> Option<usize> {
    graph.producer(node.input(slot)?).filter(|&p| graph.nodes[p].op == op)
}

/// The operand of a two-operand node beside a single constant near `value`.
fn beside(graph: &Graph, node: &Node, value: f32) -> Option<String> {
    let near = |slot: usize| {
        let c = graph.constant(node.input(slot)?)?.scalar()?;
        ((c - value).abs() <= 1e-3 * value.abs()).then_some(())
    };
    match (near(0), near(1)) {
        (_, Some(())) => node.input(0).map(str::to_owned),
        (Some(()), None) => node.input(1).map(str::to_owned),
        _ => None,
    }
}

/// `x / sqrt(2)`, erf, `+ 1`, and products with `x` and `1/2` in either order become Gelu.
pub(super) fn gelu(graph: &mut Graph) {
    for erf in 0..graph.nodes.len() {
        if graph.nodes[erf].op == "Erf"
            && let Some((last, x)) = match_gelu(graph, erf)
        {
            let mut node = Node::new("Gelu", &[&x], graph.nodes[last].output());
            node.name.clone_from(&graph.nodes[last].name);
            graph.nodes[last] = node;
        }
    }
    graph.prune();
}

fn match_gelu(graph: &Graph, erf: usize) -> Option<(usize, String)> {
    let inner = &graph.nodes[graph.producer(graph.nodes[erf].input(0)?)?];
    let x = match inner.op.as_str() {
        "Div" => inner
            .input(0)
            .map(str::to_owned)
            .filter(|x| beside(graph, inner, std::f32::consts::SQRT_2).as_ref() == Some(x))?,
        "Mul" => beside(graph, inner, std::f32::consts::FRAC_1_SQRT_2)?,
        _ => return None,
    };
    let add = graph.only_reader(graph.nodes[erf].output()).filter(|&i| graph.nodes[i].op == "Add")?;
    beside(graph, &graph.nodes[add], 1.0)?;
    let product = graph.only_reader(graph.nodes[add].output()).filter(|&i| graph.nodes[i].op == "Mul")?;
    let node = &graph.nodes[product];
    let other = node.inputs.iter().find(|i| *i != graph.nodes[add].output())?;
    if *other == x {
        let half = graph.only_reader(node.output()).filter(|&i| graph.nodes[i].op == "Mul")?;
        beside(graph, &graph.nodes[half], 0.5)?;
        return Some((half, x));
    }
    let half = &graph.nodes[graph.producer(other).filter(|&p| graph.nodes[p].op == "Mul")?];
    (beside(graph, half, 0.5)? == x).then_some((product, x))
}

/// The eight or nine nodes of a decomposed layer normalisation become one.
pub(super) fn layer_normalisation(graph: &mut Graph) {
    for div in 0..graph.nodes.len() {
        if graph.nodes[div].op == "Div"
            && let Some((last, node)) = match_layer_normalisation(graph, div)
        {
            graph.nodes[last] = node;
        }
    }
    graph.prune();
}

fn match_layer_normalisation(graph: &Graph, div: usize) -> Option<(usize, Node)> {
    let node = &graph.nodes[div];
    let centred = maker(graph, node, 0, "Sub")?;
    let sqrt = maker(graph, node, 1, "Sqrt")?;
    let add = maker(graph, &graph.nodes[sqrt], 0, "Add")?;
    let variance = (0..2).find_map(|slot| maker(graph, &graph.nodes[add], slot, "ReduceMean"))?;
    let epsilon = graph.nodes[add].inputs.iter().find_map(|n| graph.constant(n))?.scalar()?;
    let square = &graph.nodes[graph.producer(graph.nodes[variance].input(0)?)?];
    let squared = match square.op.as_str() {
        "Pow" => graph.constant(square.input(1)?)?.scalar() == Some(2.0),
        "Mul" => square.inputs[0] == square.inputs[1],
        _ => false,
    };
    let x = graph.nodes[centred].input(0)?;
    let mean = maker(graph, &graph.nodes[centred], 1, "ReduceMean")?;
    let last_axis = |reduce: usize| {
        let node = &graph.nodes[reduce];
        let axes = node.input(1).and_then(|n| graph.constant(n)).and_then(|t| t.as_integers());
        axes == Some(&[-1]) && node.int("keepdims", 1) != 0
    };
    if !squared || square.input(0)? != graph.nodes[centred].output() || graph.nodes[mean].input(0)? != x {
        return None;
    }
    if !last_axis(mean) || !last_axis(variance) {
        return None;
    }
    let constant_beside = |index: usize, made: &str| {
        let other = graph.nodes[index].inputs.iter().find(|i| *i != made)?;
        graph.constant_floats(other).filter(|(dims, _)| dims.len() == 1).map(|_| other.clone())
    };
    let mul = graph.only_reader(node.output()).filter(|&i| graph.nodes[i].op == "Mul")?;
    let gain = constant_beside(mul, node.output())?;
    let add = graph.only_reader(graph.nodes[mul].output()).filter(|&i| graph.nodes[i].op == "Add")?;
    let shift = constant_beside(add, graph.nodes[mul].output())?;
    let normal = Node::new("LayerNormalization", &[x, &gain, &shift], graph.nodes[add].output())
        .with("axis", Attribute::Int(-1))
        .with("epsilon", Attribute::Float(epsilon));
    Some((add, normal))
}
