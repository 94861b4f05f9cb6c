//! Reading ONNX files: protobuf messages, tensors, external data.

pub(crate) mod external;
pub(crate) mod proto;
pub(crate) mod tensor;
