//! The binary from outside: arguments, files, exit codes.

mod bad_input;
mod models;
mod proofs;
mod quantize;
mod run;
mod support;
mod usage;
