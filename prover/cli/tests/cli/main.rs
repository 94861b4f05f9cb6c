//! The binary from outside: arguments, files, exit codes.

mod bad_input;
mod batches;
mod models;
mod onnx;
mod proofs;
mod quantize;
mod report;
mod run;
mod support;
mod usage;
