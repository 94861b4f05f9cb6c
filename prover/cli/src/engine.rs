//! The only place that calls the compiler and the proof system.

mod stages;

use std::io::Read;
use std::path::Path;

use vinfer_circuits::codec::{DecodeError, Reader, Writer};
use vinfer_circuits::lower::{LowerError, Lowered};
use vinfer_circuits::program::Program;
use vinfer_circuits::statement::{Statement, raw_tensor};
use vinfer_circuits::system::PublicPort;
use vinfer_verifier::{KeyError, PreparedKey, VerifyError};

use vinfer_compiler::{CompileError, Compiled};
use vinfer_prover::{ProvingKeyError, SetupError};
use vinfer_quantiser::QuantiseError;

pub(crate) use stages::{Measured, arbitrary_input, measure};
pub(crate) use vinfer_compiler::{CompileError as Problem, Inspection, NodeInfo, Options, Row};
pub(crate) use vinfer_prover::{ProveError, Proved, ProvingKey};
pub(crate) use vinfer_verifier::{Expected, Verified};

use crate::ports::{PortSpec, Sample};

/// Why the compiler or the proof system refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum EngineError {
    /// The model does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The float model is not quantised.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The program cannot be expressed in the proof system.
    #[error("cannot be proven: {0}")]
    Lower(#[from] LowerError),
    /// The program has no keys.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Not a proving key.
    #[error(transparent)]
    ProvingKey(#[from] ProvingKeyError),
    /// No proof can be made.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The prover's own check of a finished proof failed.
    #[error("internal error: the finished proof does not verify ({0}); please report the model")]
    SelfCheck(VerifyError),
    /// Not a verifying key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The proof is not accepted.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl EngineError {
    /// Whether a proof was understood and found false, or about something else than expected.
    pub(crate) const fn is_rejection(&self) -> bool {
        match self {
            Self::Verify(error) => error.is_rejection(),
            Self::Compile(_)
            | Self::Quantise(_)
            | Self::Lower(_)
            | Self::Setup(_)
            | Self::ProvingKey(_)
            | Self::Prove(_)
            | Self::SelfCheck(_)
            | Self::Key(_) => false,
        }
    }

    /// A short stable name for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Compile(_) => "compile",
            Self::Quantise(_) => "quantise",
            Self::Lower(_) | Self::Setup(_) => "not_provable",
            Self::Prove(_) | Self::SelfCheck(_) => "prove",
            Self::ProvingKey(_) | Self::Key(_) | Self::Verify(VerifyError::Key(_)) => "key",
            Self::Verify(VerifyError::Proof(_)) => "proof",
            Self::Verify(VerifyError::WrongKey) => "wrong_key",
            Self::Verify(VerifyError::Expectation { .. }) => "arrays",
            Self::Verify(VerifyError::Rejected(_)) => "rejected",
        }
    }
}

/// The keys of a program.
pub(crate) struct Keys {
    /// Verifying key, self-contained, serialised.
    pub(crate) vk: Vec<u8>,
    /// Proving key.
    pub(crate) pk: ProvingKey,
}

/// Lists what is in an ONNX model and what stands in the way of compiling it; external data lies in `directory`.
///
/// # Errors
/// The model is not readable.
pub(crate) fn inspect(model: &[u8], directory: &Path, options: &Options) -> Result<Inspection, EngineError> {
    Ok(vinfer_compiler::inspect_bytes_with(model, Some(directory), options)?)
}

/// Compiles an ONNX model; external data lies in `directory`.
///
/// # Errors
/// The model is not readable or not supported.
pub(crate) fn compile(model: &[u8], directory: Option<&Path>, options: &Options) -> Result<Compiled, EngineError> {
    Ok(vinfer_compiler::compile_bytes_with(model, directory, options)?)
}

/// The constraint system of a program, for its size.
///
/// # Errors
/// The program is beyond what is proven.
pub(crate) fn lower(program: &Program) -> Result<Lowered, EngineError> {
    Ok(vinfer_circuits::lower::lower(program)?)
}

/// Makes the keys of a program, for `batch` inferences in one proof.
///
/// # Errors
/// The program, or the batch, is beyond what is proven.
pub(crate) fn setup(program: &Program, batch: u32) -> Result<Keys, EngineError> {
    let (pk, vk) = vinfer_prover::setup_batch(program, batch)?;
    Ok(Keys { vk, pk })
}

/// Reads a proving key file of `len` bytes.
///
/// # Errors
/// It is none, or damaged.
pub(crate) fn proving_key(source: &mut dyn Read, len: u64) -> Result<ProvingKey, EngineError> {
    Ok(ProvingKey::read_from(source, len)?)
}

/// Runs the key's program on the centred inputs of each sample, as many as the key proves at once, and proves the
/// results.
///
/// # Errors
/// The inputs do not fit the program.
pub(crate) fn prove(key: &ProvingKey, samples: &[Sample], context: [u8; 32]) -> Result<Proved, EngineError> {
    let proved = vinfer_prover::prove_batch(key, samples, context)?;
    // A proof that does not verify is a defect; it never leaves the prover.
    key.verifying_key().verify(&proved.proof, &Expected::default()).map_err(EngineError::SelfCheck)?;
    Ok(proved)
}

/// A parsed and checked verifying key.
pub(crate) struct VerifyingKey(PreparedKey);

impl VerifyingKey {
    /// Parses a verifying key file.
    ///
    /// # Errors
    /// It is none, damaged, or below the security that its profile promises.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, EngineError> {
        Ok(Self(PreparedKey::from_bytes(bytes)?))
    }

    /// Inferences in one proof.
    pub(crate) fn batch(&self) -> u32 {
        self.0.key().batch
    }

    /// The graph inputs.
    pub(crate) fn inputs(&self) -> Vec<PortSpec> {
        self.ports(&self.0.key().system.inputs)
    }

    /// The graph outputs.
    pub(crate) fn outputs(&self) -> Vec<PortSpec> {
        self.ports(&self.0.key().system.outputs)
    }

    fn ports(&self, ports: &[PublicPort]) -> Vec<PortSpec> {
        // Of a batch, the samples are the outermost axis.
        let skipped = usize::from(self.batch() > 1);
        ports.iter().map(|port| port_spec(port, port.shape.get(skipped..).unwrap_or_default())).collect()
    }

    /// Checks a proof file and what the caller demands of it.
    ///
    /// # Errors
    /// The proof is malformed, or rejected ([`EngineError::is_rejection`]).
    pub(crate) fn verify(&self, proof: &[u8], expected: &Expected) -> Result<Verified, EngineError> {
        Ok(self.0.verify(proof, expected)?)
    }

    /// Checks a proof file, and that one inference of its batch, at `index` or any, is the one that the caller demands;
    /// returns its position too.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub(crate) fn verify_inference(
        &self,
        proof: &[u8],
        expected: &Expected,
        index: Option<u32>,
    ) -> Result<(Verified, u32), EngineError> {
        Ok(self.0.verify_inference(proof, expected, index)?)
    }

    /// A proof file that claims other outputs, everything else unchanged: what a cheating prover would send.
    ///
    /// # Errors
    /// The proof file is malformed, or the outputs do not fit the model.
    pub(crate) fn with_outputs(&self, proof: &[u8], outputs: &Sample) -> Result<Vec<u8>, EngineError> {
        let malformed = |error: DecodeError| EngineError::Verify(VerifyError::Proof(error));
        let misfit = || EngineError::Verify(VerifyError::Expectation { what: "output" });
        let system = &self.0.key().system;
        let mut statement = Statement::decode(&mut Reader::new(proof), system).map_err(malformed)?;
        let head = |statement: &Statement| {
            let mut writer = Writer::new();
            statement.encode(&mut writer);
            writer.finish()
        };
        let body = proof.get(head(&statement).len()..).ok_or_else(misfit)?;
        let raw = |(port, tensor): (&PublicPort, &Vec<i32>)| raw_tensor(tensor, port);
        statement.outputs = system.outputs.iter().zip(outputs).map(raw).collect::<Option<_>>().ok_or_else(misfit)?;
        Ok([head(&statement).as_slice(), body].concat())
    }
}

/// A port of one inference, which has this shape.
pub(crate) fn port_spec(port: &PublicPort, shape: &[u32]) -> PortSpec {
    PortSpec::new(&port.name, port.port_type, shape, port.leading_batch, port.quantisation)
}
