//! A small interpreter of float operators.
//!
//! It runs the float model during calibration and, with tensors rounded by a hook, emulates the quantised one. It
//! shares the graph of the preparing passes, so that nothing is written to ONNX and read back between attempts.

mod conv;
mod elementwise;
mod linear;
mod movement;
mod norm;
mod pool;

use std::collections::HashMap;

use crate::error::QuantiseError;
use crate::graph::{Attribute, Graph, Node};
use crate::tensor::{Data, MAX_ELEMENTS, Tensor};

pub(crate) use elementwise::unary;
pub(crate) use norm::batch_factors;

/// Operand list of one node; `None` is an omitted operand.
pub(crate) type Operands<'a> = [Option<&'a Tensor>];

/// Runs the graph on one sample, given in the order of the graph inputs; returns the graph outputs in order. `hook`
/// sees, and may change, every graph input and node output as soon as it exists.
///
/// # Errors
/// A node cannot be computed.
pub(crate) fn run(
    graph: &Graph,
    sample: &[Tensor],
    hook: &mut dyn FnMut(&str, &mut Tensor),
) -> Result<Vec<Tensor>, QuantiseError> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for name in graph.nodes.iter().flat_map(|n| &n.inputs).chain(graph.outputs.iter().map(|o| &o.name)) {
        *uses.entry(name).or_default() += 1;
    }
    let mut values: HashMap<&str, Tensor> = HashMap::new();
    for (port, tensor) in graph.inputs.iter().zip(sample) {
        let mut tensor = tensor.clone();
        hook(&port.name, &mut tensor);
        values.insert(&port.name, tensor);
    }
    for node in &graph.nodes {
        let operands: Vec<Option<&Tensor>> = node
            .inputs
            .iter()
            .map(|name| values.get(name.as_str()).or_else(|| graph.constants.get(name).map(AsRef::as_ref)))
            .collect();
        let results = compute(node, &operands)?;
        for (name, mut result) in node.outputs.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
            if let Some((lo, hi)) = node.clamp {
                result = result.map(|v| v.max(lo).min(hi));
            }
            hook(name, &mut result);
            values.insert(name, result);
        }
        for name in &node.inputs {
            if let Some(left) = uses.get_mut(name.as_str()) {
                *left -= 1;
                if *left == 0 {
                    values.remove(name.as_str());
                }
            }
        }
    }
    graph
        .outputs
        .iter()
        .map(|o| {
            let value = values.get(o.name.as_str()).or_else(|| graph.constants.get(&o.name).map(AsRef::as_ref));
            value.cloned().ok_or_else(|| QuantiseError::Graph { reason: format!("nothing computes `{}`", o.name) })
        })
        .collect()
}

/// Computes one node.
///
/// # Errors
/// The operator is not supported, or the operands do not fit.
pub(crate) fn compute(node: &Node, operands: &Operands<'_>) -> Result<Vec<Tensor>, QuantiseError> {
    let one = |tensor: Tensor| vec![tensor];
    Ok(match node.op.as_str() {
        "Conv" => one(conv::conv(node, operands)?),
        "Gemm" => one(linear::gemm(node, operands)?),
        "MatMul" => one(linear::matmul(node, operands)?),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" => one(elementwise::binary(node, operands)?),
        // A factor per channel, written as the scales of a DequantizeLinear.
        "ChannelScale" => one(elementwise::binary(node, operands)?),
        "Clip" => one(elementwise::clip(node, operands)?),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => one(pool::pool(node, operands)?),
        "BatchNormalization" => one(norm::batch(node, operands)?),
        "LayerNormalization" => one(norm::layer(node, operands)?),
        "Softmax" => one(norm::softmax(node, operands)?),
        "ReduceMean" => one(norm::reduce_mean(node, operands)?),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => one(movement::reshape(node, operands)?),
        "Transpose" => one(movement::transpose(node, operands)?),
        "Concat" => one(movement::concat(node, operands)?),
        "Gather" => one(movement::gather(node, operands)?),
        "Slice" => one(movement::slice(node, operands)?),
        "Split" => movement::split(node, operands)?,
        "Expand" => one(movement::expand(node, operands)?),
        "Identity" | "Dropout" => one(required(node, operands, 0)?.clone()),
        "Cast" => one(cast(node, required(node, operands, 0)?)),
        "Constant" => one(constant(node)?),
        "ConstantOfShape" => one(constant_of_shape(node, operands)?),
        "Shape" => one(Tensor::list(required(node, operands, 0)?.dims.iter().map(|&d| d as i64).collect())),
        _ => match unary(node) {
            Some(f) => {
                floats(node, operands, 0)?;
                one(required(node, operands, 0)?.map(f))
            }
            None => {
                return Err(node.unsupported(
                    "the operator is not quantised",
                    "express it with Conv, Gemm, MatMul, Add, Mul, pools, Softmax, LayerNormalization, functions of \
                     one tensor and data movement",
                ));
            }
        },
    })
}

/// Operand `index`, which must be there.
pub(crate) fn required<'a>(node: &Node, operands: &Operands<'a>, index: usize) -> Result<&'a Tensor, QuantiseError> {
    operands.get(index).copied().flatten().ok_or_else(|| node.fail(format!("operand {index} is missing")))
}

/// Operand `index`, which must be there and hold floats.
pub(crate) fn floats<'a>(
    node: &Node,
    operands: &Operands<'a>,
    index: usize,
) -> Result<(&'a [usize], &'a [f32]), QuantiseError> {
    let tensor = required(node, operands, index)?;
    let values = tensor.as_floats().ok_or_else(|| node.fail(format!("operand {index} does not hold floats")))?;
    Ok((&tensor.dims, values))
}

/// Operand `index` as a list of integers, if it is there.
pub(crate) fn integers<'a>(
    node: &Node,
    operands: &Operands<'a>,
    index: usize,
) -> Result<Option<&'a [i64]>, QuantiseError> {
    match operands.get(index).copied().flatten() {
        None => Ok(None),
        Some(t) => {
            t.as_integers().map(Some).ok_or_else(|| node.fail(format!("operand {index} does not hold integers")))
        }
    }
}

/// An axis that may count from the end.
pub(crate) fn axis(node: &Node, axis: i64, rank: usize) -> Result<usize, QuantiseError> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| node.fail(format!("axis {axis} of a tensor with {rank} axes")))
}

/// Number of elements of a result.
pub(crate) fn size(node: &Node, dims: &[usize]) -> Result<usize, QuantiseError> {
    crate::tensor::count(dims)
        .ok_or_else(|| node.fail(format!("the result would have more than {MAX_ELEMENTS} elements")))
}

fn cast(node: &Node, tensor: &Tensor) -> Tensor {
    let to_float = matches!(node.int("to", 1), 1 | 10 | 11);
    let data = match &tensor.data {
        Data::I64(values) if to_float => Data::F32(values.iter().map(|&v| v as f32).collect()),
        Data::F32(values) if !to_float => Data::I64(values.iter().map(|&v| v as i64).collect()),
        same => same.clone(),
    };
    Tensor { dims: tensor.dims.clone(), data }
}

fn constant(node: &Node) -> Result<Tensor, QuantiseError> {
    match node.attributes.values().next() {
        Some(Attribute::Tensor(t)) => Ok(t.as_ref().clone()),
        Some(Attribute::Float(v)) => Ok(Tensor::floats(Vec::new(), vec![*v])),
        Some(Attribute::Floats(v)) => Ok(Tensor::floats(vec![v.len()], v.clone())),
        Some(Attribute::Int(v)) => Ok(Tensor::integers(Vec::new(), vec![*v])),
        Some(Attribute::Ints(v)) => Ok(Tensor::list(v.clone())),
        _ => Err(node.fail("it has no value")),
    }
}

fn constant_of_shape(node: &Node, operands: &Operands<'_>) -> Result<Tensor, QuantiseError> {
    let shape = integers(node, operands, 0)?.ok_or_else(|| node.fail("no shape"))?;
    let dims: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let dims = dims.ok_or_else(|| node.fail("negative dimension"))?;
    let n = size(node, &dims)?;
    Ok(match node.attributes.get("value") {
        Some(Attribute::Tensor(t)) => match &t.data {
            Data::I64(v) => Tensor::integers(dims, vec![v.first().copied().unwrap_or(0); n]),
            _ => Tensor::floats(dims, vec![t.scalar().unwrap_or(0.0); n]),
        },
        _ => Tensor::floats(dims, vec![0.0; n]),
    })
}
