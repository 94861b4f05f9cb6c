//! Why a model is not quantised.

/// A reason for refusing. Every message names the node or tensor where there is one, and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantiseError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {reason}")]
    NotOnnx {
        /// What is wrong.
        reason: String,
    },
    /// The operator set is too old or too new.
    #[error(
        "operator set {version} is not supported (ai.onnx 7 to 22); convert the model, e.g. with onnx.version_converter"
    )]
    Opset {
        /// Version in the file.
        version: i64,
    },
    /// The model is quantised already.
    #[error("node `{node}` ({operator}): the model is quantised already; give the float model it was made from")]
    AlreadyQuantised {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
    },
    /// Scales are computed from the data.
    #[error(
        "node `{node}` ({operator}): the model is dynamically quantised, which cannot be proven exactly; give the float model it was made from"
    )]
    Dynamic {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
    },
    /// An operator, or an operator in this form, is not supported.
    #[error("node `{node}` ({operator}): {reason}; {remedy}")]
    Unsupported {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// The graph breaks a rule of ONNX.
    #[error("invalid graph: {reason}")]
    Graph {
        /// Which rule.
        reason: String,
    },
    /// A constant tensor does not decode or has an impossible value.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// Tensor name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A node cannot be computed.
    #[error("node `{node}` ({operator}) cannot be computed: {reason}")]
    Compute {
        /// Node name.
        node: String,
        /// Operator.
        operator: String,
        /// What does not fit.
        reason: String,
    },
    /// The calibration data do not fit the model.
    #[error("calibration data: {reason}; give one array per graph input, named as the input, first axis = samples")]
    Data {
        /// What does not fit.
        reason: String,
    },
    /// A tensor that was to keep 16 bits cannot.
    #[error("--keep-16 `{tensor}`: {reason}")]
    KeepSixteen {
        /// Tensor named by the caller.
        tensor: String,
        /// Why not.
        reason: String,
    },
}
