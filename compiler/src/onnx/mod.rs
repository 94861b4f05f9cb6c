//! ONNX files: protobuf messages, tensors, external data. The quantiser shares the messages and the external data.

pub mod external;
pub mod proto;
pub(crate) mod tensor;
