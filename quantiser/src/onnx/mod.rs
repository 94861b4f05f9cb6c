//! Reading and writing ONNX files.

pub(crate) mod decode;
pub(crate) mod encode;
mod external;
pub(crate) mod proto;
