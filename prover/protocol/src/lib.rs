//! What the proving service and its clients have in common.
//!
//! | module | what |
//! |---|---|
//! | [`digest`] | 32 bytes as 64 hexadecimal digits |
//! | [`tensors`] | between tensors of the Open Inference Protocol and the centred integers of a key's ports |
//! | [`log`] | the transparency log: tree, signed heads, evidence that an entry is in it |
#![forbid(unsafe_code)]

pub mod digest;
pub mod log;
pub mod tensors;

pub use digest::Digest;
