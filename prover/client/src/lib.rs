//! Client of the vinfer proving service.
//!
//! The server is not trusted: what it says about a proof counts for nothing. [`Trust`] holds what the caller pinned before (a
//! verifying key, the key of the transparency log) and checks here that a proof is about the inputs that were sent and the
//! outputs that came back, and that its entry is in the log.
//!
//! | module | what |
//! |---|---|
//! | [`transport`] | requests, connections, TLS; repeats those that may be repeated |
//! | [`models`] | uploading in pieces, waiting until a model is ready |
//! | [`inference`] | running a model over the Open Inference Protocol |
//! | [`jobs`] | waiting for a proof, downloading it |
//! | [`trust`] | checking, without the server |
//!
//! The crate depends on the verifier and never on the prover.
#![forbid(unsafe_code)]

mod connect;
pub mod error;
pub mod inference;
pub mod jobs;
pub mod models;
pub mod transport;
pub mod trust;

pub use error::{ClientError, Refusal};
pub use inference::{Inferred, ProofMode, Wishes};
pub use jobs::{Job, JobState};
pub use models::Model;
pub use transport::{ApiKey, Client, Settings};
pub use trust::{Claim, Trust, Untrusted};
pub use vinfer_protocol::{Digest, log, tensors};
