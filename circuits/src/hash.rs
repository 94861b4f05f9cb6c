//! Hashing of the direct profile: BLAKE3 in keyed mode, one key per purpose, so that leaves, nodes and transcript
//! blocks can never be confused.

use crate::field::{F, coordinates};
use p3_field::PrimeField64;

/// A 32-byte digest.
pub type Digest = [u8; 32];

/// Key of Merkle leaves.
pub const LEAF_KEY: &[u8; 32] = b"vinfer merkle leaf v1           ";
/// Key of inner Merkle nodes.
pub const NODE_KEY: &[u8; 32] = b"vinfer merkle node v1           ";

/// Digest of a leaf: the canonical little-endian bytes of a row of base-field elements.
pub fn hash_base_row(row: &[F]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(LEAF_KEY);
    for v in row {
        hasher.update(&v.as_canonical_u64().to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Digest of a leaf of extension elements: both coordinates of each.
pub fn hash_ext_row(row: &[crate::field::K]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(LEAF_KEY);
    for v in row {
        for c in coordinates(*v) {
            hasher.update(&c.to_le_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

/// Digest of an inner node.
pub fn hash_node(left: &Digest, right: &Digest) -> Digest {
    let mut block = [0u8; 64];
    let (a, b) = block.split_at_mut(32);
    a.copy_from_slice(left);
    b.copy_from_slice(right);
    *blake3::keyed_hash(NODE_KEY, &block).as_bytes()
}
