//! The proving service: a provider loads models, hands out API keys, and sells inference that comes with proofs.
//!
//! | module | what |
//! |---|---|
//! | [`store`] | records, blobs and a queue; on one machine, or shared by many |
//! | [`jobs`] | what may happen to a job: states, leases, limits, sweeps |
//! | [`models`] | uploaded models, compiled in a process of their own |
//! | [`worker`] | proving, with memory set aside before |
//! | [`inference`] | running a model, and ordering the proof |
//! | [`verification`] | checking proofs that anybody brings, in a process of their own |
//! | [`log`] | transparency log: verdicts in a Merkle tree with signed heads |
//! | [`maintenance`] | backup, restore, doctor, retention |
//! | [`auth`] | API keys, tenants, rates |
//! | `http`, `grpc` | the protocols |
//! | [`settings`] | a file, the environment, flags |
//! | [`server`] | all of it together |
//!
//! Everything that is kept is kept in [`store`]; a process may be killed at any time.
#![forbid(unsafe_code)]

pub mod app;
pub mod auth;
pub mod config;
pub mod confine;
pub mod engine;
pub mod error;
mod grpc;
mod http;
pub mod idempotency;
pub mod ids;
pub mod inference;
pub mod jobs;
mod listen;
pub mod log;
pub mod maintenance;
pub mod metrics;
pub mod models;
mod patience;
pub mod server;
pub mod settings;
pub mod store;
pub mod uploads;
pub mod verification;
pub mod worker;

pub use config::Config;
pub use error::ServiceError;
pub use vinfer_protocol::tensors;
