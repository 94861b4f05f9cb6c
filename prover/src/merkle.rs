//! Merkle trees over rows of a codeword, hashed many at a time.
//!
//! The digests are those of `vinfer_circuits::hash` (keyed BLAKE3 of the row's canonical bytes); BLAKE3's multi-lane
//! kernel only computes them faster.

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};
use p3_field::{BasedVectorSpace, PrimeField64};
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::hash::{Digest, LEAF_KEY, NODE_KEY};
use vinfer_circuits::proof::OpenedRows;
use vinfer_circuits::transcript::{Transcript, WORK_KEY, work_bits};

const KEYED_HASH: u8 = 1 << 4;
const CHUNK_START: u8 = 1;
const CHUNK_END_ROOT: u8 = (1 << 1) | (1 << 3);

/// Hashes `out.len()` messages of `N` bytes each (a multiple of 64, at most 1024) with one key.
fn hash_blocks<const N: usize>(key: &[u8; 32], bytes: &[u8], out: &mut [Digest]) {
    let messages: Vec<&[u8; N]> = bytes.as_chunks::<N>().0.iter().collect();
    let mut flat = vec![0u8; out.len() * 32];
    Platform::detect().hash_many(
        &messages,
        &words_from_le_bytes_32(key),
        0,
        IncrementCounter::No,
        KEYED_HASH,
        CHUNK_START,
        CHUNK_END_ROOT,
        &mut flat,
    );
    for (digest, bytes) in out.iter_mut().zip(flat.as_chunks::<32>().0) {
        *digest = *bytes;
    }
}

fn hash_messages(key: &[u8; 32], len: usize, bytes: &[u8], out: &mut [Digest]) {
    match len {
        64 => hash_blocks::<64>(key, bytes, out),
        128 => hash_blocks::<128>(key, bytes, out),
        256 => hash_blocks::<256>(key, bytes, out),
        512 => hash_blocks::<512>(key, bytes, out),
        1024 => hash_blocks::<1024>(key, bytes, out),
        _ => {
            for (digest, message) in out.iter_mut().zip(bytes.chunks(len)) {
                *digest = *blake3::keyed_hash(key, message).as_bytes();
            }
        }
    }
}

/// Elements with canonical bytes.
pub trait Cell: Copy + Send + Sync {
    /// Appends the canonical little-endian bytes.
    fn put(self, out: &mut Vec<u8>);
    /// Bytes of one element.
    const BYTES: usize;
}

impl Cell for F {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.as_canonical_u64().to_le_bytes());
    }
    const BYTES: usize = 8;
}

impl Cell for K {
    fn put(self, out: &mut Vec<u8>) {
        let c: &[F] = self.as_basis_coefficients_slice();
        for v in c {
            v.put(out);
        }
    }
    const BYTES: usize = 16;
}

/// All levels of a tree, leaves first.
#[derive(Debug, Clone)]
pub struct MerkleTree {
    levels: Vec<Vec<Digest>>,
}

const LEAVES_PER_TASK: usize = 512;

impl MerkleTree {
    /// Builds the tree over rows of `width` cells; the number of rows is a power of two.
    pub fn new<T: Cell>(cells: &[T], width: usize) -> Self {
        let rows = cells.len() / width;
        let mut leaves = vec![[0u8; 32]; rows];
        leaves.par_chunks_mut(LEAVES_PER_TASK).zip(cells.par_chunks(LEAVES_PER_TASK * width)).for_each(
            |(digests, cells)| {
                let mut bytes = Vec::with_capacity(cells.len() * T::BYTES);
                for c in cells {
                    c.put(&mut bytes);
                }
                hash_messages(LEAF_KEY, width * T::BYTES, &bytes, digests);
            },
        );
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let mut above = vec![[0u8; 32]; below.len() / 2];
            above
                .par_chunks_mut(LEAVES_PER_TASK)
                .zip(below.par_chunks(2 * LEAVES_PER_TASK))
                .for_each(|(digests, children)| hash_blocks::<64>(NODE_KEY, children.as_flattened(), digests));
            levels.push(above);
        }
        Self { levels }
    }

    /// The root.
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|l| l.first()).copied().unwrap_or_default()
    }

    /// All levels, leaves first.
    pub fn levels(&self) -> &[Vec<Digest>] {
        &self.levels
    }

    /// Number of digests in all levels.
    pub fn digests(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// Reads the bytes of a tree, without recomputing it. `None` unless they are 2n - 1 digests, n a power of two.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut rest, tail) = bytes.as_chunks::<32>();
        let mut width = rest.len().div_ceil(2);
        if !tail.is_empty() || !width.is_power_of_two() || rest.len() != 2 * width - 1 {
            return None;
        }
        let mut levels = Vec::new();
        while width > 0 {
            let (level, above) = rest.split_at(width);
            levels.push(level.to_vec());
            rest = above;
            width /= 2;
        }
        Some(Self { levels })
    }

    /// Number of leaves.
    pub fn rows(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Opens distinct ascending positions: their rows and the pruned siblings, level by level.
    pub fn open<T: Cell>(&self, cells: &[T], width: usize, positions: &[u64]) -> OpenedRows<T> {
        let rows = positions.iter().map(|&p| cells[p as usize * width..(p as usize + 1) * width].to_vec()).collect();
        let mut siblings = Vec::new();
        let mut level: Vec<u64> = positions.to_vec();
        for nodes in &self.levels[..self.levels.len() - 1] {
            let mut parents = Vec::with_capacity(level.len());
            let mut at = 0;
            while at < level.len() {
                let p = level[at];
                if p & 1 == 0 && level.get(at + 1) == Some(&(p + 1)) {
                    at += 2;
                } else {
                    siblings.push(nodes[(p ^ 1) as usize]);
                    at += 1;
                }
                parents.push(p >> 1);
            }
            level = parents;
        }
        OpenedRows { rows, siblings }
    }
}

/// The smallest nonce that clears `bits` of proof of work.
pub fn grind(transcript: &Transcript, bits: u32) -> u64 {
    const LANES: usize = 256;
    let mut start = 0u64;
    let mut digests = [[0u8; 32]; LANES];
    loop {
        let blocks: Vec<[u8; 64]> = (0..LANES as u64).map(|i| transcript.work_block(start + i)).collect();
        hash_blocks::<64>(WORK_KEY, blocks.as_flattened(), &mut digests);
        if let Some(found) = digests.iter().position(|d| work_bits(d) >= bits) {
            return start + found as u64;
        }
        start += LANES as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p3_field::PrimeCharacteristicRing;
    use vinfer_circuits::hash::{hash_base_row, hash_ext_row, hash_node};

    #[test]
    fn many_lane_digests_equal_the_reference() {
        for width in [1usize, 2, 8, 16, 32, 64] {
            let cells: Vec<F> = (0..width as u64 * 32).map(|i| -F::from_u64(i * i)).collect();
            let tree = MerkleTree::new(&cells, width);
            for (leaf, row) in tree.levels[0].iter().zip(cells.chunks(width)) {
                assert_eq!(*leaf, hash_base_row(row));
            }
            assert_eq!(tree.levels[1][3], hash_node(&tree.levels[0][6], &tree.levels[0][7]));
            let cells: Vec<K> = cells.into_iter().map(K::from).collect();
            let tree = MerkleTree::new(&cells, width);
            assert_eq!(tree.levels[0][5], hash_ext_row(&cells[5 * width..6 * width]));
        }
    }

    #[test]
    fn grinding_finds_the_smallest_nonce() {
        let transcript = Transcript::new("grind");
        let nonce = grind(&transcript, 9);
        assert!(transcript.check_work(nonce, 9));
        assert!((0..nonce).all(|n| !transcript.check_work(n, 9)));
    }
}
