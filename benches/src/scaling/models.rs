//! Models of a wanted size: perceptrons, convolutional networks, transformers.

use super::graph::{Attribute, Graph};

/// Scale of activations: 127 steps are three standard deviations.
const SCALE: f32 = 3.0 / 127.0;
/// Layers of perceptrons and convolutional networks.
const DEPTH: usize = 3;

/// A generated model.
pub(super) struct Model {
    /// Its name.
    pub(super) name: String,
    /// The ONNX file.
    pub(super) onnx: Vec<u8>,
    /// Shape of its input `x`.
    pub(super) input: Vec<usize>,
    /// Weights and biases.
    pub(super) parameters: u64,
    /// Elements of quantised activations.
    pub(super) activations: u64,
}

impl Model {
    fn new(name: String, graph: Graph, input: &[i64], output: &str, dims: &[i64]) -> Self {
        let (parameters, activations) = (graph.parameters, graph.activations);
        let input = input.iter().map(|&d| d as usize).collect();
        Self { name, onnx: graph.finish(output, dims), input, parameters, activations }
    }

    /// Random inputs, as a `.npy` file of `samples` samples.
    pub(super) fn inputs(&self, samples: usize) -> Vec<u8> {
        let len: usize = self.input.iter().product();
        let dims: Vec<String> = self.input[1..].iter().map(ToString::to_string).collect();
        let mut head =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({samples}, {}), }}", dims.join(", "));
        while (head.len() + 11) % 64 != 0 {
            head.push(' ');
        }
        head.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend_from_slice(&(head.len() as u16).to_le_bytes());
        file.extend_from_slice(head.as_bytes());
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..samples * len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1u64 << 24) as f32;
            file.extend_from_slice(&((uniform - 0.5) * 3.4).to_le_bytes());
        }
        file
    }
}

/// A perceptron of three equal layers with about this many parameters.
pub(super) fn perceptron(parameters: f64) -> Model {
    let width = (parameters / DEPTH as f64).sqrt().round().max(2.0) as i64;
    let mut g = Graph::new(width as u64);
    let x = g.input(&[1, width]);
    let mut x = g.quantised(&x, SCALE, 128, width as u64);
    for _ in 0..DEPTH {
        let (w, scale) = g.weights(&[width, width], 1.0 / (width as f32).sqrt());
        let b = g.biases(width, SCALE * scale);
        let y = g.node("Gemm", &[&x, &w, &b], &[]);
        x = g.quantised(&y, SCALE, 128, width as u64);
    }
    Model::new(format!("mlp {width}"), g, &[1, width], &x, &[1, width])
}

/// Three convolutions of 3 x 3 over an image of `side` x `side`, with about this many parameters.
pub(super) fn convolutional(parameters: f64, side: i64) -> Model {
    let channels = (parameters / (9 * DEPTH) as f64).sqrt().round().max(2.0) as i64;
    let dims = [1, channels, side, side];
    let len = (channels * side * side) as u64;
    let mut g = Graph::new(channels as u64);
    let x = g.input(&dims);
    let mut x = g.quantised(&x, SCALE, 128, len);
    for _ in 0..DEPTH {
        let (w, scale) = g.weights(&[channels, channels, 3, 3], 1.0 / (9.0 * channels as f32).sqrt());
        let b = g.biases(channels, SCALE * scale);
        let y = g.node("Conv", &[&x, &w, &b], &[("pads", Attribute::Ints(&[1, 1, 1, 1]))]);
        x = g.quantised(&y, SCALE, 128, len);
    }
    Model::new(format!("conv {channels} x {side} x {side}"), g, &dims, &x, &dims)
}

/// Shape of a transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transformer {
    /// Tokens.
    pub(super) tokens: i64,
    /// Width of the residual stream.
    pub(super) width: i64,
    /// Attention heads.
    pub(super) heads: i64,
    /// Blocks.
    pub(super) layers: usize,
    /// Rows of the output head; 0: none.
    pub(super) vocabulary: i64,
    /// Whether layer normalisations stand where GPT-2 has them.
    pub(super) normalised: bool,
}

/// A decoder's blocks on embedded tokens: attention over all tokens (no mask), GELU, residual sums.
pub(super) fn transformer(t: Transformer) -> Model {
    let Transformer { tokens, width, heads, layers, vocabulary, normalised } = t;
    let dims = [1, tokens, width];
    let (len, head) = ((tokens * width) as u64, width / heads);
    let scores = (heads * tokens * tokens) as u64;
    let mut g = Graph::new(layers as u64);
    let x = g.input(&dims);
    let mut x = g.quantised(&x, SCALE, 128, len);
    let (split, joined) = (g.shape(&[1, tokens, heads, head]), g.shape(&dims));
    let linear = |g: &mut Graph, x: &str, from: i64, to: i64| {
        let (w, _) = g.weights(&[from, to], 1.0 / (from as f32).sqrt());
        let y = g.node("MatMul", &[x, &w], &[]);
        let y = g.quantised(&y, SCALE, 128, (tokens * to) as u64);
        let b = g.offsets(to, 0.02);
        let y = g.node("Add", &[&y, &b], &[]);
        g.quantised(&y, SCALE, 128, (tokens * to) as u64)
    };
    let normal = |g: &mut Graph, x: &str| {
        if !normalised {
            return x.to_owned();
        }
        let (gain, _) = g.weights(&[width], 1.0);
        let bias = g.biases(width, 1e-4);
        let y = g.node("LayerNormalization", &[x, &gain, &bias], &[("axis", Attribute::Int(-1))]);
        g.quantised(&y, SCALE, 128, len)
    };
    for _ in 0..layers {
        let n = normal(&mut g, &x);
        let part = |g: &mut Graph, order: &[i64]| {
            let y = linear(g, &n, width, width);
            let y = g.node("Reshape", &[&y, &split], &[]);
            let y = g.quantised(&y, SCALE, 128, 0);
            let y = g.node("Transpose", &[&y], &[("perm", Attribute::Ints(order))]);
            g.quantised(&y, SCALE, 128, 0)
        };
        let q = part(&mut g, &[0, 2, 1, 3]);
        let k = part(&mut g, &[0, 2, 3, 1]);
        let v = part(&mut g, &[0, 2, 1, 3]);
        let a = g.node("MatMul", &[&q, &k], &[]);
        let a = g.quantised(&a, SCALE, 128, scores);
        let a = g.node("Softmax", &[&a], &[("axis", Attribute::Int(-1))]);
        let a = g.quantised(&a, 1.0 / 255.0, 0, scores);
        let a = g.node("MatMul", &[&a, &v], &[]);
        let a = g.quantised(&a, SCALE, 128, len);
        let a = g.node("Transpose", &[&a], &[("perm", Attribute::Ints(&[0, 2, 1, 3]))]);
        let a = g.quantised(&a, SCALE, 128, 0);
        let a = g.node("Reshape", &[&a, &joined], &[]);
        let a = g.quantised(&a, SCALE, 128, 0);
        let a = linear(&mut g, &a, width, width);
        let sum = g.node("Add", &[&x, &a], &[]);
        x = g.quantised(&sum, SCALE, 128, len);
        let n = normal(&mut g, &x);
        let m = linear(&mut g, &n, width, 4 * width);
        let m = g.node("Gelu", &[&m], &[]);
        let m = g.quantised(&m, SCALE / 2.0, 15, 4 * len);
        let m = linear(&mut g, &m, 4 * width, width);
        let sum = g.node("Add", &[&x, &m], &[]);
        x = g.quantised(&sum, SCALE, 128, len);
    }
    let mut out = dims;
    let mut x = normal(&mut g, &x);
    if vocabulary > 0 {
        x = linear(&mut g, &x, width, vocabulary);
        out[2] = vocabulary;
    }
    let name = format!("transformer {layers} x {width}");
    Model::new(name, g, &dims, &x, &out)
}
