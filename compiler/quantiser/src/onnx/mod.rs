//! Reading and writing ONNX files, with the compiler's messages.

pub(crate) mod decode;
pub(crate) mod encode;
