//! The quantised model as a QDQ file: a QuantizeLinear and DequantizeLinear after every operator, so that ONNX Runtime
//! fuses each operator with its neighbours into an integer kernel.

use std::collections::{BTreeMap, HashSet};

use vinfer_compiler::onnx::proto::{GraphProto, data_type};

use crate::error::QuantiseError;
use crate::graph::{Attribute, Graph, Node};
use crate::onnx::encode;
use crate::plan::{Activation, Plan, Weights};
use crate::prepare::Shapes;
use crate::roles::{Role, role};
use crate::tensor::{Data, Tensor};

/// Operator set of the file; 16-bit tensors need a newer one.
const OPSET: i64 = 20;
const OPSET_SIXTEEN: i64 = 21;

/// Writes the model.
///
/// # Errors
/// A tensor between operators has no quantisation.
pub(crate) fn export(graph: &Graph, plan: &Plan, shapes: &Shapes) -> Result<Vec<u8>, QuantiseError> {
    let mut writer = Writer {
        graph,
        plan,
        file: GraphProto::default(),
        names: used_names(graph),
        levels: BTreeMap::new(),
        dequantised: BTreeMap::new(),
    };
    writer.file.name = Some(b"quantised".to_vec());
    for input in &graph.inputs {
        let dims = shapes.get(&input.name).cloned().unwrap_or_default();
        writer.file.input.push(encode::port(&input.name, input.data_type, &dims));
        if plan.activations.contains_key(&input.name) {
            writer.round(&input.name, &input.name)?;
        }
    }
    for node in &graph.nodes {
        writer.node(node, shapes)?;
    }
    for output in &graph.outputs {
        let dims = shapes.get(&output.name).cloned().unwrap_or_default();
        writer.file.output.push(encode::port(&output.name, data_type::FLOAT, &dims));
    }
    let wide = plan.activations.values().any(|a| a.top > 255);
    Ok(encode::model(writer.file, if wide { OPSET_SIXTEEN } else { OPSET }))
}

fn used_names(graph: &Graph) -> HashSet<String> {
    let nodes = graph.nodes.iter().flat_map(|n| n.inputs.iter().chain(&n.outputs));
    let ports = graph.inputs.iter().chain(&graph.outputs).map(|p| &p.name);
    nodes.chain(ports).chain(graph.constants.keys()).cloned().collect()
}

struct Writer<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    file: GraphProto,
    names: HashSet<String>,
    /// The quantised form of each tensor that has been written.
    levels: BTreeMap<String, String>,
    /// The dequantised form.
    dequantised: BTreeMap<String, String>,
}

impl Writer<'_> {
    fn fresh(&mut self, base: String) -> String {
        let mut name = base.clone();
        let mut index = 1;
        while !self.names.insert(name.clone()) {
            name = format!("{base}_{index}");
            index += 1;
        }
        name
    }

    fn initialiser(&mut self, base: String, tensor: &Tensor) -> String {
        let name = self.fresh(base);
        self.file.initializer.push(encode::tensor(&name, tensor));
        name
    }

    fn push(&mut self, node: &Node) {
        self.file.node.push(encode::node(node));
    }

    /// Scale and zero point of an activation as initialisers; with `factors` one of each per channel.
    fn parameters(&mut self, base: &str, activation: &Activation, factors: &[f32]) -> [String; 2] {
        let dims = if factors.is_empty() { Vec::new() } else { vec![factors.len()] };
        let factors = if factors.is_empty() { &[1.0][..] } else { factors };
        let scales = Tensor::floats(dims.clone(), factors.iter().map(|f| activation.scale * f).collect());
        let zero = if activation.top > 255 {
            Data::U16(vec![activation.zero as u16; factors.len()])
        } else {
            Data::U8(vec![activation.zero as u8; factors.len()])
        };
        [
            self.initialiser(format!("{base}_scale"), &scales),
            self.initialiser(format!("{base}_zero_point"), &Tensor { dims, data: zero }),
        ]
    }

    /// Writes the Q/DQ pair of tensor `name`, whose float form is `float`.
    fn round(&mut self, name: &str, float: &str) -> Result<(), QuantiseError> {
        let missing = || QuantiseError::Graph { reason: format!("tensor `{name}` has no range") };
        let activation = *self.plan.activation(name).ok_or_else(missing)?;
        let [scale, zero] = self.parameters(name, &activation, &[]);
        let level = self.fresh(format!("{name}_quantized"));
        let mut quantise = Node::new("QuantizeLinear", &[float, &scale, &zero], &level);
        quantise.name = format!("{name}_quantize");
        self.push(&quantise);
        self.levels.insert(name.to_owned(), level.clone());
        // A tensor that is only read with factors per channel is dequantised there.
        let output = self.graph.is_output(name);
        if !output && self.graph.readers(name).iter().all(|&r| self.graph.nodes[r].op == "ChannelScale") {
            return Ok(());
        }
        let output = if output { name.to_owned() } else { self.fresh(format!("{name}_dequantized")) };
        let mut dequantise = Node::new("DequantizeLinear", &[&level, &scale, &zero], &output);
        dequantise.name = format!("{name}_dequantize");
        self.push(&dequantise);
        self.dequantised.insert(name.to_owned(), output);
        Ok(())
    }

    fn node(&mut self, node: &Node, shapes: &Shapes) -> Result<(), QuantiseError> {
        if node.op == "ChannelScale" {
            return self.channel_scale(node, shapes);
        }
        let mut written = node.clone();
        written.attributes.remove("coerce");
        for slot in 0..node.inputs.len() {
            if node.input(slot).is_some() {
                written.inputs[slot] = self.operand(node, slot)?;
            }
        }
        let floats = self.plan.activation(node.output()).is_some();
        for output in written.outputs.iter_mut().filter(|o| floats && self.graph.is_output(o)) {
            *output = self.fresh(format!("{output}_float"));
        }
        self.push(&written);
        if floats {
            for (name, float) in node.outputs.iter().zip(&written.outputs).filter(|(name, _)| !name.is_empty()) {
                self.round(name, float)?;
            }
        }
        Ok(())
    }

    /// What the operand is called in the file; constants are written when they are read.
    fn operand(&mut self, node: &Node, slot: usize) -> Result<String, QuantiseError> {
        let name = &node.inputs[slot];
        let Some(constant) = self.graph.constant(name) else {
            return Ok(self.dequantised.get(name).unwrap_or(name).clone());
        };
        match role(self.graph, node, slot) {
            Role::Activation if constant.as_floats().is_some() => self.constant_activation(name, constant),
            Role::Weight | Role::Bias => {
                let weights = self.plan.weights.get(node.output());
                let weights = weights.ok_or_else(|| node.fail("its weights were not rounded"))?;
                Ok(self.weights(node, slot, constant, weights))
            }
            _ if self.dequantised.contains_key(name) => Ok(self.dequantised[name].clone()),
            _ => {
                let written = self.file_constant(name, constant);
                self.dequantised.insert(name.clone(), written.clone());
                Ok(written)
            }
        }
    }

    fn file_constant(&mut self, name: &str, constant: &Tensor) -> String {
        self.file.initializer.push(encode::tensor(name, constant));
        name.to_owned()
    }

    fn constant_activation(&mut self, name: &str, constant: &Tensor) -> Result<String, QuantiseError> {
        if let Some(written) = self.dequantised.get(name) {
            return Ok(written.clone());
        }
        let missing = || QuantiseError::Graph { reason: format!("constant `{name}` has no range") };
        let activation = *self.plan.activation(name).ok_or_else(missing)?;
        let levels = constant.as_floats().unwrap_or_default().iter().map(|&v| activation.level(v) as u8).collect();
        let level = self
            .initialiser(format!("{name}_quantized"), &Tensor { dims: constant.dims.clone(), data: Data::U8(levels) });
        let [scale, zero] = self.parameters(name, &activation, &[]);
        let output = self.fresh(format!("{name}_dequantized"));
        self.push(&Node::new("DequantizeLinear", &[&level, &scale, &zero], &output));
        self.dequantised.insert(name.to_owned(), output.clone());
        Ok(output)
    }

    /// Weights or bias of a node, dequantised per output channel.
    fn weights(&mut self, node: &Node, slot: usize, constant: &Tensor, weights: &Weights) -> String {
        let name = &node.inputs[slot];
        let (data, scales, zeros) = match &weights.bias {
            Some((bias, units)) if slot == 2 => (Data::I32(bias.clone()), units, Data::I32(vec![0; units.len()])),
            _ => (Data::I8(weights.values.clone()), &weights.scales, Data::I8(vec![0; weights.scales.len()])),
        };
        let axis = if slot == 2 || node.op == "Conv" { 0 } else { constant.dims.len() as i64 - 1 };
        let per_channel = vec![scales.len()];
        let level = self.initialiser(format!("{name}_quantized"), &Tensor { dims: constant.dims.clone(), data });
        let scale = self.initialiser(format!("{name}_scale"), &Tensor::floats(per_channel.clone(), scales.clone()));
        let zero = self.initialiser(format!("{name}_zero_point"), &Tensor { dims: per_channel, data: zeros });
        let output = self.fresh(format!("{name}_dequantized"));
        self.push(&Node::new("DequantizeLinear", &[&level, &scale, &zero], &output).with("axis", Attribute::Int(axis)));
        output
    }

    /// A factor per channel becomes a second dequantisation, with one scale per channel.
    fn channel_scale(&mut self, node: &Node, shapes: &Shapes) -> Result<(), QuantiseError> {
        let input = &node.inputs[0];
        let activation = *self.plan.activation(input).ok_or_else(|| node.fail("its operand has no range"))?;
        let factors = self.graph.constant_floats(&node.inputs[1]).map(|(_, f)| f.to_vec()).unwrap_or_default();
        let [scale, zero] = self.parameters(node.output(), &activation, &factors);
        let rank = shapes.get(input).map_or(1, Vec::len);
        let level = self.levels.get(input).cloned().ok_or_else(|| node.fail("its operand was not written"))?;
        let dequantise = Node::new("DequantizeLinear", &[&level, &scale, &zero], node.output())
            .with("axis", Attribute::Int(rank as i64 - 1));
        self.push(&dequantise);
        self.dequantised.insert(node.output().to_owned(), node.output().to_owned());
        Ok(())
    }
}
