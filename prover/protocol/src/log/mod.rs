//! The transparency log as clients see it: an RFC 6962 tree with signed heads, and evidence that an entry is in it.

mod evidence;
mod head;
pub mod tree;

pub use evidence::{Evidence, EvidenceError, Leaf, Verdict, check_evidence};
pub use head::{Head, HeadError, PublicKey, signed_bytes};
