//! Why a model does not compile.

/// Advice for models that are not statically quantised.
pub(crate) const QUANTISE_STATICALLY: &str =
    "quantise the whole model statically, e.g. with onnxruntime.quantization.quantize_static and calibration data";

/// A reason for refusing a model. Every message names the node where there is one and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Io {
        /// Path given.
        path: String,
        /// Operating system's message.
        reason: String,
    },
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {reason}")]
    NotOnnx {
        /// What is wrong.
        reason: String,
    },
    /// The protobuf message ends early.
    #[error("the ONNX file is truncated: {reason}")]
    Truncated {
        /// Decoder's message.
        reason: String,
    },
    /// The operator set is too old or too new.
    #[error(
        "operator set {version} of domain `{domain}` is not supported (ai.onnx 10 to 24); convert the model, e.g. with onnx.version_converter"
    )]
    UnsupportedOpset {
        /// Operator domain.
        domain: String,
        /// Version in the file.
        version: i64,
    },
    /// An operator, or an operator in this form, is not supported.
    #[error("node `{node}` ({operator}): {reason}; {remedy}")]
    UnsupportedOperator {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// The model holds no quantised operator at all.
    #[error("the model is not quantised; {}", QUANTISE_STATICALLY)]
    NotQuantised,
    /// ONNX Runtime would compute this part of the graph in floating point.
    #[error("node `{node}` ({operator}) stays in floating point: {reason}; {remedy}")]
    PartlyQuantised {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// Why it stays float.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// Scales are computed from the data.
    #[error(
        "node `{node}` ({operator}): dynamic quantisation depends on floating-point arithmetic over the data; {}",
        QUANTISE_STATICALLY
    )]
    DynamicQuantisation {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
    },
    /// The bias is not in accumulator units.
    #[error(
        "node `{node}` ({operator}): {reason}; quantise the bias to int32 with zero point 0 and scale input_scale * weight_scale"
    )]
    BiasScale {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// What differs.
        reason: String,
    },
    /// An accumulator can leave int32.
    #[error(
        "node `{node}` ({operator}): the accumulator of channel {channel} can reach {bound}, outside int32; use smaller weights or fewer input channels"
    )]
    AccumulatorOverflow {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// Output channel.
        channel: usize,
        /// Offending bound.
        bound: i64,
    },
    /// A tensor is used that nothing defines.
    #[error("node `{node}` reads `{tensor}`, which no initialiser, input or node defines")]
    MissingInitializer {
        /// Node name.
        node: String,
        /// Tensor name.
        tensor: String,
    },
    /// The graph has a cycle.
    #[error("the graph has a cycle through node `{node}`")]
    Cycle {
        /// A node on the cycle.
        node: String,
    },
    /// The graph breaks a rule of ONNX.
    #[error("invalid graph: {reason}")]
    BadGraph {
        /// Which rule.
        reason: String,
    },
    /// Shapes do not fit together.
    #[error("node `{node}` ({operator}): {reason}")]
    BadShape {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// What does not fit.
        reason: String,
    },
    /// A dimension other than the batch is symbolic.
    #[error(
        "dimension {axis} (`{dimension}`) of input `{input}` is not fixed; set it, e.g. with `--shape {dimension}=16`, or in the file with onnxruntime.tools.make_dynamic_shape_fixed"
    )]
    DynamicShape {
        /// Input name.
        input: String,
        /// Axis.
        axis: usize,
        /// Symbol, empty if unnamed.
        dimension: String,
    },
    /// An attribute or constant operand is missing or has an impossible value.
    #[error("node `{node}` ({operator}): attribute or operand `{attribute}`: {reason}")]
    BadAttribute {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// Attribute or operand.
        attribute: String,
        /// What is wrong.
        reason: String,
    },
    /// A constant tensor does not decode.
    #[error("tensor `{tensor}`: {reason}")]
    BadTensor {
        /// Tensor name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// External data is missing, of the wrong size or outside the model's directory.
    #[error("external data of tensor `{tensor}`: {reason}")]
    ExternalData {
        /// Tensor name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A graph input or output has an unsupported type.
    #[error("graph {port} `{name}`: {reason}")]
    BadPort {
        /// `input` or `output`.
        port: &'static str,
        /// Name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The compiled program breaks a rule of the program format: the model is outside the format's limits.
    #[error("the model exceeds a limit of the program format: {reason}")]
    Limit {
        /// Which limit.
        reason: String,
    },
}
