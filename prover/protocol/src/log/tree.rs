//! Merkle trees as in RFC 6962, section 2.1: hashes, inclusion and consistency proofs, and checking them.

use sha2::{Digest as _, Sha256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(leaf);
    hasher.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The largest power of two below `n`, which is at least 2.
const fn split(n: usize) -> usize {
    1 << (usize::BITS - 1 - (n - 1).leading_zeros())
}

/// Root of the tree over leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// Audit path of a leaf; `None` if there is no such leaf.
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) =
        if index < k { (inclusion(left, index)?, root(right)) } else { (inclusion(right, index - k)?, root(left)) };
    path.push(other);
    Some(path)
}

/// Proof that the tree over the first `first` leaves is a beginning of the whole; `None` where there is none.
pub fn consistency(leaves: &[Hash], first: usize) -> Option<Vec<Hash>> {
    if first == 0 || first > leaves.len() {
        return None;
    }
    Some(subproof(leaves, first, true))
}

fn subproof(leaves: &[Hash], first: usize, complete: bool) -> Vec<Hash> {
    if first == leaves.len() {
        return if complete { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if first <= k {
        (subproof(left, first, complete), root(right))
    } else {
        (subproof(right, first - k, false), root(left))
    };
    proof.push(other);
    proof
}

/// Whether a path shows that a leaf is at `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for other in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(other, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, other);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether a proof shows that the tree of `second` leaves continues the tree of `first` leaves.
pub fn verify_consistency(first: u64, second: u64, proof: &[Hash], first_root: &Hash, second_root: &Hash) -> bool {
    if first == 0 || first > second {
        return false;
    }
    if first == second {
        return proof.is_empty() && first_root == second_root;
    }
    let mut proof = proof.iter();
    let start = if first.is_power_of_two() { Some(first_root) } else { proof.next() };
    let Some(start) = start else { return false };
    let (mut node, mut last) = (first - 1, second - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*start, *start);
    for other in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old = node_hash(other, &old);
            new = node_hash(other, &new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, other);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old == *first_root && new == *second_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|leaf| leaf_hash(&[leaf as u8])).collect()
    }

    /// The roots of the reference implementation of Certificate Transparency for its eight leaves.
    #[test]
    fn roots_are_those_of_the_reference() {
        let data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let hashes: Vec<Hash> = data.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
        let expected = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (n, root_hex) in (1..).zip(expected) {
            assert_eq!(hex::encode(root(&hashes[..n])), root_hex, "{n} leaves");
        }
        assert_eq!(hex::encode(root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn every_inclusion_proof_verifies_and_no_changed_one_does() {
        for n in 1..20usize {
            let hashes = leaves(n);
            let top = root(&hashes);
            for index in 0..n {
                let path = inclusion(&hashes, index).unwrap();
                let (at, size) = (index as u64, n as u64);
                assert!(verify_inclusion(&hashes[index], at, size, &path, &top));
                assert!(!verify_inclusion(&leaf_hash(b"other"), at, size, &path, &top));
                assert!(!verify_inclusion(&hashes[index], at, size, &path, &leaf_hash(b"root")));
                assert!(!verify_inclusion(&hashes[index], size, size, &path, &top));
                for cut in 0..path.len() {
                    assert!(!verify_inclusion(&hashes[index], at, size, &path[..cut], &top));
                    let mut changed = path.clone();
                    changed[cut][0] ^= 1;
                    assert!(!verify_inclusion(&hashes[index], at, size, &changed, &top));
                }
                let longer = [path.as_slice(), &[top]].concat();
                assert!(!verify_inclusion(&hashes[index], at, size, &longer, &top));
            }
            assert!(inclusion(&hashes, n).is_none());
        }
    }

    #[test]
    fn every_consistency_proof_verifies_and_no_changed_one_does() {
        for n in 1..20usize {
            let hashes = leaves(n);
            for m in 1..=n {
                let proof = consistency(&hashes, m).unwrap();
                let (old, new) = (root(&hashes[..m]), root(&hashes));
                let (first, second) = (m as u64, n as u64);
                assert!(verify_consistency(first, second, &proof, &old, &new), "{m} {n}");
                let forked = leaf_hash(b"forked");
                assert!(!verify_consistency(first, second, &proof, &forked, &new));
                assert!(m == n || !verify_consistency(first, second, &proof, &old, &forked));
                for cut in 0..proof.len() {
                    assert!(!verify_consistency(first, second, &proof[..cut], &old, &new));
                    let mut changed = proof.clone();
                    changed[cut][0] ^= 1;
                    assert!(!verify_consistency(first, second, &changed, &old, &new));
                }
            }
            assert!(consistency(&hashes, 0).is_none() && consistency(&hashes, n + 1).is_none());
        }
    }
}
