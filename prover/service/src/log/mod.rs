//! The transparency log: every verdict of the verifier, in an append-only Merkle tree with signed heads.
//!
//! The tree is public, the entries are not: a leaf holds a random nonce, so that its hash tells nothing, and is shown to its
//! tenant alone. Anybody may check that a later head continues an earlier one.

mod book;
mod head;
pub mod offline;
pub mod tree;

pub use book::{Leaf, LogBook, Verdict};
pub use head::{Head, HeadError, PublicKey, Signer};
