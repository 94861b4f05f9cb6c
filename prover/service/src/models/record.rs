//! The record of a model.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// Where a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// Stored, nobody has begun.
    Uploaded,
    /// Being compiled and set up.
    Compiling,
    /// It can be run and proven.
    Ready,
    /// It cannot be compiled; the record says why.
    Failed,
    /// Taken out of service.
    Disabled,
}

impl ModelState {
    /// Name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Compiling => "compiling",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }
}

/// An input or output as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Name in the graph.
    pub name: String,
    /// Element type in the Open Inference Protocol.
    pub datatype: String,
    /// Shape.
    pub shape: Vec<u64>,
}

/// What setup made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Blob of the program.
    pub program: Digest,
    /// Blob of the verifying key.
    pub vk: Digest,
    /// Blob of the proving key.
    pub pk: Digest,
    /// Blob of the compile report, JSON.
    pub report: Digest,
    /// Bytes of the verifying key.
    pub vk_bytes: u64,
    /// Bytes of the proving key.
    pub pk_bytes: u64,
    /// Peak memory that one trial proof took with everything before it, in bytes.
    pub memory_bytes: u64,
    /// Seconds that the trial proof took.
    pub prove_seconds: f64,
    /// Bytes of the trial proof.
    pub proof_bytes: u64,
    /// Inputs.
    pub inputs: Vec<PortInfo>,
    /// Outputs.
    pub outputs: Vec<PortInfo>,
}

/// The record of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Whose it is.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Digest of the file, and its blob.
    pub digest: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// Where it stands.
    pub state: ModelState,
    /// When it was uploaded.
    pub created_ms: u64,
    /// What setup made.
    pub ready: Option<Ready>,
    /// Why it cannot be compiled.
    pub failure: Option<String>,
    /// Process that compiles it.
    pub instance: Option<String>,
    /// Times that process has said that it still works.
    pub heartbeat: u64,
    /// Attempts begun.
    pub attempts: u32,
}
