//! The transparency log: every verdict of the verifier, in an append-only Merkle tree with signed heads.
//!
//! The tree is public, the entries are not: a leaf holds a random nonce, so that its hash tells nothing, and is shown to its
//! tenant alone. Anybody may check that a later head continues an earlier one.

mod book;
pub mod key_file;
pub mod offline;
mod signer;

pub use book::{LogBook, new_leaf};
pub use signer::Signer;
pub use vinfer_protocol::log::{
    Evidence, EvidenceError, Head, HeadError, Leaf, PublicKey, Verdict, check_evidence, tree,
};
