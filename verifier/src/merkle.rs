//! Pruned Merkle multiproofs over the direct profile's hash.

use alloc::vec::Vec;

use vinfer_circuits::hash::{Digest, hash_node};

/// Why a multiproof fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MultiproofError {
    /// Too few or too many siblings.
    Count,
    /// The recomputed root differs.
    Root,
}

/// Recomputes the root of a tree of depth `depth` from `leaves`: `(position, digest)`, positions distinct and ascending,
/// and the missing siblings level by level, left to right.
pub(crate) fn verify_multiproof(
    root: &Digest,
    depth: u32,
    leaves: Vec<(u64, Digest)>,
    siblings: &[Digest],
) -> Result<(), MultiproofError> {
    let mut siblings = siblings.iter();
    let mut level = leaves;
    for _ in 0..depth {
        let mut parents = Vec::with_capacity(level.len());
        let mut nodes = level.into_iter().peekable();
        while let Some((position, digest)) = nodes.next() {
            let parent = position >> 1;
            let node = if position & 1 == 1 {
                hash_node(siblings.next().ok_or(MultiproofError::Count)?, &digest)
            } else if let Some((_, right)) = nodes.next_if(|&(p, _)| p == position | 1) {
                hash_node(&digest, &right)
            } else {
                hash_node(&digest, siblings.next().ok_or(MultiproofError::Count)?)
            };
            parents.push((parent, node));
        }
        level = parents;
    }
    if siblings.next().is_some() {
        return Err(MultiproofError::Count);
    }
    match level.as_slice() {
        [(0, digest)] if digest == root => Ok(()),
        _ => Err(MultiproofError::Root),
    }
}
