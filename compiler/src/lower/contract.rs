//! Contractions: what Conv, Gemm and MatMul have in common.

use vinfer_circuits::ops::{Contract, Requant, Window};
use vinfer_circuits::program::{IntType, Op, Quantisation, ValueId};

use super::Lowering;
use super::state::{Real, State, Weights};
use crate::error::CompileError;
use crate::graph::Node;
use crate::onnx::proto::data_type;

/// Most elements of a matrix of biases; each of its rows is a contraction of its own.
const MAX_BIASES: usize = 1 << 14;

/// A contraction without its output quantisation.
#[derive(Clone, Debug)]
pub(super) struct ContractParts {
    pub node: Node,
    pub input: ValueId,
    /// Type of the activations after ONNX Runtime's rewriting.
    pub effective: IntType,
    pub channel_axis: u8,
    pub windows: Vec<Window>,
    pub groups: u32,
    pub weights: Vec<i16>,
    /// One integer per output channel; of a Gemm with a matrix of biases, one row of them per row of the result.
    pub bias: Vec<i64>,
    /// `f32(input scale * weight scale)` per output channel.
    pub scales: Vec<f32>,
    pub shape: Vec<u32>,
    /// Whether Q/DQ nodes surround the operator.
    pub fused: bool,
}

impl Lowering<'_> {
    pub(super) fn complete_contract(
        &mut self,
        at: &Node,
        parts: &ContractParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let node = &parts.node;
        if parts.fused && parts.effective != effective {
            return Err(node.stays_float(
                "its input and output have different integer types, which ONNX Runtime does not fuse",
                "quantise all activations to uint8",
            ));
        }
        if parts.bias.len() != parts.scales.len() {
            return self.row_by_row(at, parts, quantisation, effective);
        }
        let output = self.value(node, at.output(), parts.shape.clone(), quantisation)?;
        let mut contract = Contract {
            input: parts.input,
            output,
            channel_axis: parts.channel_axis,
            windows: parts.windows.clone(),
            groups: parts.groups,
            out_channels: parts.bias.len() as u32,
            weights: parts.weights.clone(),
            bias: parts.bias.clone(),
            requant: Vec::new(),
        };
        let reachable = contract.reachable(self.value_ref(parts.input));
        let mut requant: Vec<Requant> = Vec::with_capacity(reachable.len());
        for (channel, (&range, &scale)) in reachable.iter().zip(&parts.scales).enumerate() {
            for bound in [range.0, range.1] {
                if i32::try_from(bound).is_err() {
                    let (node, operator) = (node.name.clone(), node.op.clone());
                    return Err(CompileError::AccumulatorOverflow { node, operator, channel, bound });
                }
            }
            requant.push(self.requant(node, scale / quantisation.scale(), &quantisation, range)?);
        }
        contract.requant = requant;
        let range = reachable.iter().fold((i64::MAX, i64::MIN), |(a, b), &(min, max)| (a.min(min), b.max(max)));
        let operators = fused_name(parts.fused, &node.op);
        self.emit(&node.name, &operators, Op::Contract(contract), Some(range));
        Ok(output)
    }

    /// A Gemm with a matrix of biases: one contraction for each row.
    fn row_by_row(
        &mut self,
        at: &Node,
        parts: &ContractParts,
        quantisation: Quantisation,
        effective: IntType,
    ) -> Result<ValueId, CompileError> {
        let channels = parts.scales.len();
        let mut rows = Vec::with_capacity(parts.bias.len() / channels.max(1));
        for (row, bias) in parts.bias.chunks_exact(channels).enumerate() {
            let input = self.sliced(&parts.node, parts.input, 0, row as u32, 1)?;
            let shape = vec![1, channels as u32];
            let one = ContractParts { input, shape, bias: bias.to_vec(), ..parts.clone() };
            rows.push(self.complete_contract(at, &one, quantisation, effective)?);
        }
        self.concatenated(at, &rows, 0)
    }

    /// The accumulator scales and the bias of a contraction. `alpha` scales the input scale first.
    pub(super) fn accumulator(
        &self,
        node: &Node,
        input: &Real,
        weights: &Weights,
        channels: usize,
        alpha: f32,
        bias: Bias<'_>,
    ) -> Result<(Vec<f32>, Vec<i64>), CompileError> {
        let sx = alpha * input.quantisation.scale();
        let scales: Vec<f32> = (0..channels)
            .map(|c| sx * weights.scales.get(c).or(weights.scales.first()).copied().unwrap_or(0.0))
            .collect();
        let wrong =
            |reason: String| CompileError::BiasScale { node: node.name.clone(), operator: node.op.clone(), reason };
        let gemm = node.op.ends_with("Gemm");
        let rows = self.value_ref(input.value).shape.first().map_or(0, |&rows| rows as usize);
        // One row of biases for all rows of the result, or, in a Gemm, one for each.
        let fits = |dims: &[usize]| match *dims {
            [n] | [1, n] if n == channels => Ok(()),
            [] | [1] | [1, 1] if gemm => Ok(()),
            [m, n] if gemm && m == rows && n == channels && m * n <= MAX_BIASES => Ok(()),
            _ => Err(node.bad_shape(format!("a bias of shape {dims:?} for {channels} output channels"))),
        };
        let spread = |values: Vec<i64>| match values.as_slice() {
            [one] => vec![*one; channels],
            _ => values,
        };
        let values = match bias {
            Bias::None => vec![0; channels],
            Bias::Raw(tensor) => {
                if tensor.data_type() != data_type::INT32 {
                    return Err(wrong(format!("the bias is {}", data_type::name(tensor.data_type()))));
                }
                fits(&tensor.dims)?;
                spread(tensor.integers().unwrap_or_default())
            }
            Bias::State(State::Weights(b)) => {
                if b.data_type != data_type::INT32 {
                    return Err(wrong(format!("the bias is {}, not int32", data_type::name(b.data_type))));
                }
                if b.zero_points.iter().any(|&z| z != 0) {
                    return Err(wrong("the bias has a zero point".to_owned()));
                }
                let dims: Vec<usize> = b.dims.iter().map(|&d| d as usize).collect();
                fits(&dims)?;
                if b.axis.is_some_and(|axis| axis + 1 != dims.len()) {
                    return Err(wrong("its scales do not lie along the output channels".to_owned()));
                }
                for (c, &expected) in scales.iter().enumerate() {
                    let scale = b.scales.get(c).or(b.scales.first()).copied().unwrap_or(0.0);
                    if scale.to_bits() != expected.to_bits() {
                        let reason = format!("the bias scale of channel {c} is {scale:e}, expected {expected:e}");
                        return Err(wrong(reason));
                    }
                }
                spread(b.raw.iter().map(|&v| i64::from(v)).collect())
            }
            Bias::State(State::Constant(b)) if b.floats().is_some() && b.dims.len() == 1 => {
                // ONNX Runtime quantises a float bias with the accumulator's scale.
                fits(&b.dims)?;
                let floats = spread_floats(b.floats().unwrap_or_default(), channels);
                let quantised = floats.iter().zip(&scales).map(|(&v, &s)| (v / s).round_ties_even());
                quantised
                    .map(|v| {
                        let fits = v.abs() < 2_147_483_648.0;
                        fits.then_some(v as i64).ok_or_else(|| wrong(format!("the bias {v} does not fit int32")))
                    })
                    .collect::<Result<Vec<_>, _>>()?
            }
            Bias::State(_) => {
                return Err(wrong("the bias is neither a float vector nor a dequantised int32".to_owned()));
            }
        };
        Ok((scales, values))
    }

    /// Checks the element types that ONNX Runtime fuses.
    pub(super) fn check_fusable(&self, node: &Node, input: &Real, weights: &Weights) -> Result<(), CompileError> {
        if weights.data_type == data_type::INT32 {
            return Err(node.unsupported("int32 weights", "use int8 or uint8 weights"));
        }
        let gemm = node.op == "Gemm" && weights.data_type == data_type::INT8;
        if input.effective == IntType::I8 && !gemm {
            return Err(node.stays_float(
                "its int8 activations come from a graph input or from a tensor with several readers, which ONNX \
                 Runtime does not fuse",
                "quantise activations to uint8, or export in QOperator form",
            ));
        }
        Ok(())
    }
}

/// Where a bias comes from.
pub(super) enum Bias<'a> {
    None,
    /// Integers in accumulator units (QOperator form).
    Raw(&'a crate::onnx::tensor::Tensor),
    /// A float tensor (QDQ form).
    State(&'a State),
}

fn spread_floats(values: &[f32], channels: usize) -> Vec<f32> {
    match values {
        [one] => vec![*one; channels],
        many => many.to_vec(),
    }
}

/// `weights` in the order `[out][in]` from `[in][out]`, or unchanged.
pub(super) fn matrix(centred: &[i32], rows: usize, columns: usize, transpose: bool) -> Vec<i16> {
    if !transpose {
        return centred.iter().map(|&w| w as i16).collect();
    }
    (0..columns).flat_map(|c| (0..rows).map(move |r| centred[r * columns + c] as i16)).collect()
}

/// Name of a fused operator for the report.
pub(super) fn fused_name(fused: bool, op: &str) -> String {
    if fused { format!("DequantizeLinear+{op}+QuantizeLinear") } else { op.to_owned() }
}
