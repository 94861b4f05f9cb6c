//! Checking what a server said, without the server. Everything here is local.

use vinfer_circuits::system::PublicPort;
use vinfer_protocol::Digest;
use vinfer_protocol::log::{Evidence, EvidenceError, Head, Leaf, PublicKey, Verdict, check_evidence};
use vinfer_protocol::tensors::{self, DataType, Elements, Tensor, TensorError};
use vinfer_verifier::{Expected, KeyError, PreparedKey, RejectReason, Verified, VerifyError};

/// Why a server's answer is not believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Untrusted {
    /// The verifying key is another one than the caller pinned.
    #[error("the verifying key is {got}, not {pinned} as pinned: the server offers another model")]
    OtherKey {
        /// Digest of the key file that the caller knows.
        pinned: Digest,
        /// Digest of the one at hand.
        got: Digest,
    },
    /// Not a verifying key.
    #[error("not a verifying key: {0}")]
    Key(KeyError),
    /// The proof was made with another key.
    #[error("the proof was made for another verifying key than the pinned one: the server ran another model")]
    ProofOfOtherKey,
    /// The proof is for other inputs.
    #[error("the proof is for other inputs than those that were sent")]
    Input,
    /// The proof is for other outputs.
    #[error(
        "the proof is for another output: `{name}` element {element} is {proven} in the proof, the server answered {received}"
    )]
    Output {
        /// Name of the output.
        name: String,
        /// Flat index of the first difference.
        element: usize,
        /// In the proof.
        proven: String,
        /// In the answer.
        received: String,
    },
    /// The answer's outputs are not the model's.
    #[error("the server answered with other outputs than the model has: {0}")]
    OutputForm(String),
    /// The proof is bound to other context bytes: it may be an old one.
    #[error("the proof is bound to another context than the one that was sent; it may be an old proof")]
    Context,
    /// The server named another statement than the proof shows.
    #[error("the server named statement {claimed}, the proof shows {proven}")]
    Statement {
        /// By the server.
        claimed: Digest,
        /// By the proof.
        proven: Digest,
    },
    /// The proof does not decode.
    #[error("the proof is damaged: {0}")]
    Damaged(VerifyError),
    /// The proof is false.
    #[error("the proof is false: {0}")]
    False(RejectReason),
    /// The evidence does not show that the entry is in the log.
    #[error("transparency log: {0}")]
    Log(#[from] EvidenceError),
    /// The entry is about something else.
    #[error("transparency log: the entry is about another {0}")]
    OtherEntry(&'static str),
    /// The log says that the proof was rejected.
    #[error("transparency log: the entry says that the proof was rejected")]
    RejectedEntry,
}

impl Untrusted {
    /// A short stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherKey { .. } => "other_key",
            Self::Key(_) => "key",
            Self::ProofOfOtherKey => "wrong_key",
            Self::Input => "other_input",
            Self::Output { .. } => "other_output",
            Self::OutputForm(_) => "output_form",
            Self::Context => "other_context",
            Self::Statement { .. } => "other_statement",
            Self::Damaged(_) => "proof",
            Self::False(_) => "rejected",
            Self::Log(_) => "log",
            Self::OtherEntry(_) => "other_entry",
            Self::RejectedEntry => "rejected_entry",
        }
    }
}

/// What the caller knows that an exchange was about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claim<'a> {
    /// The inputs that were sent.
    pub inputs: Option<&'a [Tensor]>,
    /// The outputs that came back.
    pub outputs: Option<&'a [Tensor]>,
    /// The context that was sent.
    pub context: Option<Digest>,
    /// The statement that the server named.
    pub statement: Option<Digest>,
}

/// A pinned verifying key.
#[derive(Debug)]
pub struct Trust {
    key: PreparedKey,
    digest: Digest,
}

impl Trust {
    /// Trusts a key file that the caller has from its publisher.
    ///
    /// # Errors
    /// It is no key.
    pub fn new(vk: &[u8]) -> Result<Self, Untrusted> {
        let key = PreparedKey::from_bytes(vk).map_err(Untrusted::Key)?;
        Ok(Self { key, digest: Digest::of(vk) })
    }

    /// Trusts a key file from anywhere whose BLAKE3 digest the caller knows.
    ///
    /// # Errors
    /// It is another file, or no key.
    pub fn pinned(vk: &[u8], pinned: &Digest) -> Result<Self, Untrusted> {
        let got = Digest::of(vk);
        if got != *pinned {
            return Err(Untrusted::OtherKey { pinned: *pinned, got });
        }
        Self::new(vk)
    }

    /// Digest of the key file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Inputs of the model.
    pub fn inputs(&self) -> &[PublicPort] {
        &self.key.key().system.inputs
    }

    /// Outputs of the model.
    pub fn outputs(&self) -> &[PublicPort] {
        &self.key.key().system.outputs
    }

    /// Demands that a proof file is true and about what the caller knows.
    ///
    /// # Errors
    /// [`Untrusted`], or [`TensorError`] inside [`crate::ClientError`] where the caller's own inputs do not fit the model.
    pub fn check(&self, proof: &[u8], claim: &Claim<'_>) -> Result<Verified, crate::ClientError> {
        let inputs = claim.inputs.map(|inputs| self.centred(inputs)).transpose()?;
        let expected = Expected { inputs, outputs: None, context: claim.context.map(|context| context.0) };
        let verified = self.key.verify(proof, &expected).map_err(|error| match error {
            VerifyError::WrongKey => Untrusted::ProofOfOtherKey,
            VerifyError::Key(error) => Untrusted::Key(error),
            VerifyError::Proof(_) | VerifyError::Expectation { .. } => Untrusted::Damaged(error),
            VerifyError::Rejected(RejectReason::InputMismatch) => Untrusted::Input,
            VerifyError::Rejected(RejectReason::ContextMismatch) => Untrusted::Context,
            VerifyError::Rejected(reason) => Untrusted::False(reason),
        })?;
        if let Some(received) = claim.outputs {
            compare(&tensors::declare(self.outputs(), &verified.outputs), received)?;
        }
        let proven = Digest(verified.statement);
        match claim.statement {
            Some(claimed) if claimed != proven => Err(Untrusted::Statement { claimed, proven }.into()),
            _ => Ok(verified),
        }
    }

    fn centred(&self, inputs: &[Tensor]) -> Result<Vec<Vec<i32>>, TensorError> {
        for tensor in inputs {
            tensors::input_port(self.inputs(), &tensor.name, tensor.data_type.name(), &tensor.shape)?;
        }
        tensors::centre(self.inputs(), inputs)
    }
}

/// Demands that the outputs are the same to the last bit.
fn compare(proven: &[Tensor], received: &[Tensor]) -> Result<(), Untrusted> {
    let names = |tensors: &[Tensor]| tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>().join(", ");
    if proven.len() != received.len() {
        return Err(Untrusted::OutputForm(format!("{} and not {}", names(received), names(proven))));
    }
    for proven in proven {
        let Some(received) = received.iter().find(|tensor| tensor.name == proven.name) else {
            return Err(Untrusted::OutputForm(format!("`{}` is missing", proven.name)));
        };
        if (proven.data_type, &proven.shape) != (received.data_type, &received.shape) {
            let form = |tensor: &Tensor| format!("{} {:?}", tensor.data_type.name(), tensor.shape);
            let text = format!("`{}` is {} and not {}", proven.name, form(received), form(proven));
            return Err(Untrusted::OutputForm(text));
        }
        let (ours, theirs) = (bits(&proven.elements), bits(&received.elements));
        if let Some(element) = (0..ours.len().max(theirs.len())).find(|&at| ours.get(at) != theirs.get(at)) {
            return Err(Untrusted::Output {
                name: proven.name.clone(),
                element,
                proven: show(proven, element),
                received: show(received, element),
            });
        }
    }
    Ok(())
}

fn bits(elements: &Elements) -> Vec<i64> {
    match elements {
        Elements::Floats(values) => values.iter().map(|x| i64::from(x.to_bits())).collect(),
        Elements::Integers(values) => values.clone(),
    }
}

fn show(tensor: &Tensor, element: usize) -> String {
    match &tensor.elements {
        Elements::Floats(values) => values.get(element).map(ToString::to_string),
        Elements::Integers(values) if tensor.data_type == DataType::Bool => {
            values.get(element).map(|&truth| (truth != 0).to_string())
        }
        Elements::Integers(values) => values.get(element).map(ToString::to_string),
    }
    .unwrap_or_else(|| "nothing".to_owned())
}

/// Demands that the log, under the pinned key and continuing an earlier head, holds the verdict about a proof.
///
/// # Errors
/// [`Untrusted`].
pub fn check_entry(
    evidence: &Evidence,
    key: &PublicKey,
    earlier: Option<&Head>,
    statement: &Digest,
    proof: &[u8],
) -> Result<Leaf, Untrusted> {
    let leaf = check_evidence(evidence, key, earlier)?;
    if leaf.statement != *statement {
        return Err(Untrusted::OtherEntry("statement"));
    }
    if leaf.verdict != Verdict::Accepted {
        return Err(Untrusted::RejectedEntry);
    }
    if leaf.proof != Some(Digest::of(proof)) {
        return Err(Untrusted::OtherEntry("proof file"));
    }
    Ok(leaf)
}
