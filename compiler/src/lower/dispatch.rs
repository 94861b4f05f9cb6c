//! Which operator is compiled where.

use super::Lowering;
use super::state::State;
use crate::error::CompileError;
use crate::graph::Node;

/// Operators with a file or function of their own; more are in `movement` and in [`crate::unary`].
pub(crate) const OPERATORS: &[&str] = &[
    "QuantizeLinear",
    "DequantizeLinear",
    "com.microsoft.QuantizeLinear",
    "com.microsoft.DequantizeLinear",
    "Conv",
    "QLinearConv",
    "com.microsoft.QLinearConv",
    "Gemm",
    "MatMul",
    "QLinearMatMul",
    "com.microsoft.QGemm",
    "MatMulInteger",
    "ConvInteger",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Min",
    "Max",
    "PRelu",
    "Pow",
    "Equal",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "And",
    "Or",
    "Xor",
    "Not",
    "Where",
    "Cast",
    "com.microsoft.QLinearAdd",
    "com.microsoft.QLinearMul",
    "GlobalAveragePool",
    "AveragePool",
    "com.microsoft.QLinearGlobalAveragePool",
    "com.microsoft.QLinearAveragePool",
    "com.microsoft.QLinearSigmoid",
    "com.microsoft.QLinearLeakyRelu",
    "Identity",
    "Dropout",
    "MaxPool",
    "ReduceMax",
    "ReduceMin",
    "GlobalMaxPool",
    "ArgMax",
    "ArgMin",
    "TopK",
    "Split",
    "Concat",
    "com.microsoft.QLinearConcat",
    "Pad",
    "BatchNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "Softmax",
    "com.microsoft.QLinearSoftmax",
    "ReduceMean",
    "ReduceSum",
    "Shape",
    "Size",
    "ConstantOfShape",
    "Range",
];

/// Operators whose scales depend on the data.
const DYNAMIC: &[&str] = &[
    "DynamicQuantizeLinear",
    "com.microsoft.DynamicQuantizeMatMul",
    "com.microsoft.MatMulIntegerToFloat",
    "com.microsoft.DynamicQuantizeLSTM",
];

impl<'g> Lowering<'g> {
    /// Whether the operator is known at all.
    pub(super) fn recognise(&self, node: &Node) -> Result<(), CompileError> {
        let op = node.op.as_str();
        if DYNAMIC.contains(&op) {
            return Err(CompileError::DynamicQuantisation { node: node.name.clone(), operator: node.op.clone() });
        }
        let remedy = match op {
            _ if OPERATORS.contains(&op) || super::MOVEMENTS.contains(&op) => return Ok(()),
            _ if crate::unary::function(node, (0.0, 0.0))?.is_some() => return Ok(()),
            "LogSoftmax" | "Hardmax" => {
                "remove it from the end of the graph and apply it to the output outside the proof (it is monotone)"
            }
            _ => super::KEEP_OUTSIDE,
        };
        Err(node.unsupported("the operator is not supported", remedy))
    }

    pub(super) fn node(&mut self, node: &'g Node) -> Result<State, CompileError> {
        self.recognise(node)?;
        self.extras.clear();
        if let Some(state) = self.fold(node)? {
            return Ok(state);
        }
        match node.op.as_str() {
            "QuantizeLinear" | "com.microsoft.QuantizeLinear" => self.quantise(node),
            "DequantizeLinear" | "com.microsoft.DequantizeLinear" => self.dequantise(node),
            "Conv" => self.conv(node),
            "QLinearConv" | "com.microsoft.QLinearConv" => self.qlinear_conv(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "QLinearMatMul" => self.qlinear_matmul(node),
            "com.microsoft.QGemm" => self.qgemm(node),
            "MatMulInteger" | "ConvInteger" => self.integer_product(node),
            "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "PRelu" => self.arithmetic(node),
            "Pow" => self.power(node),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
                self.compare(node)
            }
            "Where" => self.choose(node),
            "Cast" => self.cast(node),
            "com.microsoft.QLinearAdd" => self.qlinear_add(node),
            "com.microsoft.QLinearMul" => self.qlinear_mul(node),
            "GlobalAveragePool" | "AveragePool" => self.average(node),
            "com.microsoft.QLinearGlobalAveragePool" | "com.microsoft.QLinearAveragePool" => self.qlinear_average(node),
            "com.microsoft.QLinearSigmoid" | "com.microsoft.QLinearLeakyRelu" => self.qlinear_unary(node),
            "Identity" | "Dropout" => Ok(self.state(node, 0)?.clone()),
            "MaxPool" => self.max_pool(node),
            "ReduceMax" | "ReduceMin" | "GlobalMaxPool" => self.reduce_extremum(node),
            "ArgMax" | "ArgMin" => self.arg_extremum(node),
            "TopK" => self.top_k(node),
            "Split" => self.split(node),
            "Concat" => self.concat(node),
            "com.microsoft.QLinearConcat" => self.qlinear_concat(node),
            "Pad" => self.pad(node),
            "BatchNormalization" => self.batch_normalisation(node),
            "LayerNormalization" => self.layer_normalisation(node),
            "RMSNormalization" | "SimplifiedLayerNormalization" => self.rms_normalisation(node),
            "Softmax" => self.softmax(node),
            "com.microsoft.QLinearSoftmax" => self.qlinear_softmax(node),
            "ReduceMean" | "ReduceSum" => self.reduce_floats(node),
            op if super::MOVEMENTS.contains(&op) => self.movement(node),
            _ => self.unary(node),
        }
    }
}
