//! Why a verification fails.

use vinfer_circuits::codec::DecodeError;
use vinfer_circuits::statement::KeyError;

/// Which oracle of the opening a check concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OracleId {
    /// Witness commitment.
    Witness,
    /// Constants commitment.
    Constants,
    /// Folded oracle by position.
    Folded(usize),
}

/// The check that a well-formed but false proof fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// A public element is outside its integer type or the two bindings of one tensor differ.
    #[error("public tensor {port} is inconsistent")]
    PublicTensor {
        /// Port index, inputs first.
        port: usize,
    },
    /// The counts of the proof or the statement are not those of the key, or the statement names another key.
    #[error("the proof does not have the shape that the key fixes")]
    Shape,
    /// The caller expects another input.
    #[error("the proof speaks of another input than the expected one")]
    InputMismatch,
    /// A public index selects a row that its table does not have.
    #[error("a public index selects a row outside its table")]
    Selection,
    /// The caller expects another output.
    #[error("the proof speaks of another output than the expected one")]
    OutputMismatch,
    /// The caller expects another context.
    #[error("the proof speaks of another context than the expected one")]
    ContextMismatch,
    /// The root denominator of the lookup argument is zero.
    #[error("lookup argument: zero denominator at the root")]
    LogupZeroDenominator,
    /// The root's children do not combine to the root.
    #[error("lookup argument: the first layer does not match the root")]
    LogupRoot,
    /// The sumcheck of a layer ends at another value than its children give.
    #[error("lookup argument: layer {layer} sumcheck")]
    LogupLayer {
        /// Layer, from the root.
        layer: usize,
    },
    /// The leaf numerators do not match the multiplicities.
    #[error("lookup argument: leaf numerators")]
    LeafNumerator,
    /// The leaf denominators do not match the looked-up and tabulated tuples.
    #[error("lookup argument: leaf denominators")]
    LeafDenominator,
    /// The contraction sumcheck ends at another value than its factors give.
    #[error("contraction sumcheck")]
    Contraction,
    /// A claim about a public tensor is false.
    #[error("a claim about a public tensor is false (claim {claim})")]
    PublicClaim {
        /// Position in the list of claims.
        claim: usize,
    },
    /// Proof of work is missing.
    #[error("opening: proof of work of query phase {phase}")]
    ProofOfWork {
        /// Query phase.
        phase: usize,
    },
    /// The number of opened rows or siblings is not what the queries need.
    #[error("opening: {oracle:?} has the wrong number of rows or siblings")]
    OpenedCount {
        /// The oracle.
        oracle: OracleId,
    },
    /// Opened rows do not hash to the committed root.
    #[error("opening: {oracle:?} rows do not match the commitment")]
    Merkle {
        /// The oracle.
        oracle: OracleId,
    },
    /// The final vector differs from a queried fold.
    #[error("opening: the final vector does not match query {query}")]
    FinalVector {
        /// Query position.
        query: usize,
    },
    /// The opening sumcheck ends at another value than the final vector and the claims' weights give.
    #[error("opening: the opened values do not match the claims")]
    Opening,
}

/// Why `verify` does not accept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The key does not decode or is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The proof file does not decode.
    #[error("proof file is damaged or not a vinfer proof: {0}")]
    Proof(#[from] DecodeError),
    /// The proof was made with another key.
    #[error("the proof was made for another verification key; use the `vk` of the model it was proven with")]
    WrongKey,
    /// The caller's expectation does not fit the model.
    #[error("expected {what} does not have the shape or range of the model's")]
    Expectation {
        /// Input or output.
        what: &'static str,
    },
    /// The proof is false, or not about what the caller expects.
    #[error("proof rejected: {0}")]
    Rejected(#[from] RejectReason),
}

impl VerifyError {
    /// Whether the proof was understood and found false (rather than unreadable).
    pub const fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}
