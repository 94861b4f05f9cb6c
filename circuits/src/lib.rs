//! The language both sides of a vinfer proof share.
//!
//! A [`program::Program`] is what the compiler emits: a graph of exact integer tensor operations with all
//! constants. Everything in this crate is deterministic, `no_std + alloc`, and free of prover or verifier logic.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod arithmetic;
pub mod boundary;
pub mod codec;
pub mod field;
pub mod functional;
pub mod hash;
pub mod lower;
pub mod mle;
pub mod ops;
pub mod program;
pub mod proof;
pub mod schedule;
pub mod soundness;
pub mod statement;
pub mod system;
pub mod transcript;
