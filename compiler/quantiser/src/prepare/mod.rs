//! From the float graph of the file to one whose every operator has an exact integer form.
//!
//! None of the passes changes the function beyond float rounding.

mod activation;
mod affine;
mod batch_norm;
mod fold;
mod normalise;
mod patterns;
mod pool;
mod reshape;
mod scalar;

use std::collections::HashMap;

use crate::error::QuantiseError;
use crate::graph::Graph;
use crate::run::run;
use crate::tensor::Tensor;

/// Shapes of all tensors.
pub(crate) type Shapes = HashMap<String, Vec<usize>>;

/// Operators that are written to the quantised model.
const OPERATORS: [&str; 36] = [
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Neg",
    "Abs",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// Runs all passes. `sample` is one calibration sample; it fixes the shapes.
///
/// # Errors
/// The graph is invalid, or holds an operator that is not quantised.
pub(crate) fn prepare(graph: &mut Graph, opset: i64, sample: &[Tensor]) -> Result<(), QuantiseError> {
    normalise::normalise(graph, opset)?;
    graph.sort()?;
    graph.prune();
    fold::fold(graph, sample)?;
    patterns::layer_normalisation(graph);
    patterns::gelu(graph);
    batch_norm::fold(graph, &shapes(graph, sample)?)?;
    affine::canonical_gemm(graph)?;
    scalar::subtractions(graph);
    affine::biases(graph, &shapes(graph, sample)?);
    graph.sort()?;
    scalar::factors(graph);
    let known = shapes(graph, sample)?;
    reshape::merge(graph, &known);
    reshape::splits(graph, &known);
    pool::means(graph, &shapes(graph, sample)?);
    activation::merge(graph);
    graph.sort()?;
    graph.prune();
    check(graph)
}

/// Shapes of all tensors, by running the sample.
pub(crate) fn shapes(graph: &Graph, sample: &[Tensor]) -> Result<Shapes, QuantiseError> {
    let mut shapes: Shapes = graph.constants.iter().map(|(name, t)| (name.clone(), t.dims.clone())).collect();
    run(graph, sample, &mut |name, tensor| {
        shapes.insert(name.to_owned(), tensor.dims.clone());
    })?;
    Ok(shapes)
}

fn check(graph: &Graph) -> Result<(), QuantiseError> {
    match graph.nodes.iter().find(|n| !OPERATORS.contains(&n.op.as_str())) {
        Some(node) => Err(node.unsupported(
            "the operator has no exact integer form",
            "express it with Conv, Gemm, MatMul, Add, Mul, pools, Softmax, LayerNormalization, functions of one \
             tensor and data movement, or leave it out of the model that is proven",
        )),
        None => Ok(()),
    }
}
