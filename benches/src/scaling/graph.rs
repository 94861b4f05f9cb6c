//! ONNX graphs with random int8 weights, in QDQ form.

use prost::Message;
use vinfer_compiler::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

/// Standard deviation of uniform int8 weights.
const WEIGHT_DEVIATION: f32 = 73.3;

/// The value of a node's attribute.
pub(super) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
}

/// A graph under construction.
pub(super) struct Graph {
    proto: GraphProto,
    names: usize,
    random: u64,
    /// Weights so far.
    pub(super) parameters: u64,
    /// Elements of quantised activations so far.
    pub(super) activations: u64,
}

impl Graph {
    /// An empty graph; equal seeds give equal weights.
    pub(super) fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            proto: GraphProto { name: Some(b"random".to_vec()), ..GraphProto::default() },
            names: 0,
            random,
            parameters: 0,
            activations: 0,
        }
    }

    fn byte(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u8
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}_{}", self.names)
    }

    fn constant(&mut self, kind: i32, dims: &[i64], raw: Vec<u8>) -> String {
        let name = self.name("constant");
        self.proto.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Some(kind),
            name: Some(name.clone()),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
        name
    }

    fn float(&mut self, x: f32) -> String {
        self.constant(data_type::FLOAT, &[], x.to_le_bytes().to_vec())
    }

    /// A tensor of a shape, for `Reshape`.
    pub(super) fn shape(&mut self, dims: &[i64]) -> String {
        self.constant(data_type::INT64, &[dims.len() as i64], dims.iter().flat_map(|d| d.to_le_bytes()).collect())
    }

    /// A node with one output.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)]) -> String {
        let name = self.name(op);
        let attribute = |(name, value): &(&str, Attribute<'_>)| {
            let named = AttributeProto { name: Some((*name).to_owned()), ..AttributeProto::default() };
            match value {
                Attribute::Int(i) => AttributeProto { i: Some(*i), kind: Some(2), ..named },
                Attribute::Ints(ints) => AttributeProto { ints: ints.to_vec(), kind: Some(7), ..named },
            }
        };
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(op.to_owned()),
            attribute: attributes.iter().map(attribute).collect(),
            domain: None,
        });
        name
    }

    /// A graph input of floats.
    pub(super) fn input(&mut self, dims: &[i64]) -> String {
        self.proto.input.push(port("x", dims));
        "x".to_owned()
    }

    /// Quantises to uint8 and back; `len` elements are activations of the model.
    pub(super) fn quantised(&mut self, x: &str, scale: f32, zero_point: u8, len: u64) -> String {
        self.activations += len;
        let scale = self.float(scale);
        let zero = self.constant(data_type::UINT8, &[], vec![zero_point]);
        let integers = self.node("QuantizeLinear", &[x, &scale, &zero], &[]);
        self.node("DequantizeLinear", &[&integers, &scale, &zero], &[])
    }

    /// Random int8 weights of a standard deviation; returns the tensor and its scale.
    pub(super) fn weights(&mut self, dims: &[i64], deviation: f32) -> (String, f32) {
        let count: i64 = dims.iter().product();
        // -128 is no symmetric weight.
        let raw = (0..count).map(|_| self.byte()).map(|b| if b == 0x80 { 0x81 } else { b }).collect();
        self.parameters += count as u64;
        let scale = deviation / WEIGHT_DEVIATION;
        let integers = self.constant(data_type::INT8, dims, raw);
        let (scale_name, zero) = (self.float(scale), self.constant(data_type::INT8, &[], vec![0]));
        (self.node("DequantizeLinear", &[&integers, &scale_name, &zero], &[]), scale)
    }

    /// Random biases in units of an accumulator.
    pub(super) fn biases(&mut self, count: i64, unit: f32) -> String {
        let raw = (0..count).flat_map(|_| ((i32::from(self.byte()) - 128) * 8).to_le_bytes()).collect();
        self.parameters += count as u64;
        let integers = self.constant(data_type::INT32, &[count], raw);
        let (scale, zero) = (self.float(unit), self.constant(data_type::INT32, &[], vec![0; 4]));
        self.node("DequantizeLinear", &[&integers, &scale, &zero], &[])
    }

    /// Random uint8 biases of a standard deviation, for sums.
    pub(super) fn offsets(&mut self, count: i64, deviation: f32) -> String {
        let raw = (0..count).map(|_| self.byte()).collect();
        self.parameters += count as u64;
        let integers = self.constant(data_type::UINT8, &[count], raw);
        let (scale, zero) = (self.float(deviation / WEIGHT_DEVIATION), self.constant(data_type::UINT8, &[], vec![128]));
        self.node("DequantizeLinear", &[&integers, &scale, &zero], &[])
    }

    /// The model file with this tensor as its output.
    pub(super) fn finish(mut self, output: &str, dims: &[i64]) -> Vec<u8> {
        self.proto.output.push(port(output, dims));
        let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(20) };
        let model = ModelProto {
            ir_version: Some(9),
            producer_name: Some(b"vinfer-benches".to_vec()),
            graph: Some(self.proto),
            opset_import: vec![opset],
        };
        model.encode_to_vec()
    }
}

fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| DimensionProto { dim_value: Some(d), dim_param: None }).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: Some(data_type::FLOAT), shape });
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type }) }
}
