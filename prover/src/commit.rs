//! Oracles: a vector, its interleaved Reed–Solomon codeword and the Merkle tree over its rows.
//!
//! The vector's low `fold` index bits select the interleaved codeword; the high bits are coefficients, so row `i` holds
//! the value of every interleaved polynomial at `g^i`.

use p3_dft::{Radix2DFTSmallBatch, TwoAdicSubgroupDft};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::schedule::Oracle;

use crate::merkle::{Cell, MerkleTree};

/// A committed oracle. The vector itself is kept by the caller.
#[derive(Debug, Clone)]
pub struct Committed<T> {
    /// Codeword rows, row-major.
    pub codeword: Vec<T>,
    /// Tree over the rows.
    pub tree: MerkleTree,
}

/// Encodes and commits a base-field vector.
pub fn commit_base(vector: &[F], oracle: &Oracle) -> Committed<F> {
    let width = 1usize << oracle.fold;
    let mut padded = Vec::with_capacity(vector.len() << oracle.log_inv_rate);
    padded.extend_from_slice(vector);
    padded.resize(vector.len() << oracle.log_inv_rate, F::ZERO);
    let codeword = encode(padded, width);
    finish(codeword, width)
}

/// Encodes and commits an extension-field vector.
pub fn commit_ext(vector: &[K], oracle: &Oracle) -> Committed<K> {
    let width = 1usize << oracle.fold;
    let mut flat: Vec<F> = Vec::with_capacity((vector.len() * 2) << oracle.log_inv_rate);
    for v in vector {
        let c: &[F] = v.as_basis_coefficients_slice();
        flat.extend_from_slice(c);
    }
    flat.resize((vector.len() * 2) << oracle.log_inv_rate, F::ZERO);
    let flat = encode(flat, width * 2);
    let codeword = flat.as_chunks::<2>().0.iter().map(|&[a, b]| K::from_basis_coefficients_fn(|i| [a, b][i])).collect();
    finish(codeword, width)
}

/// Values of `width` interleaved polynomials at all powers of the generator, in order.
pub(crate) fn encode(coefficients: Vec<F>, width: usize) -> Vec<F> {
    Radix2DFTSmallBatch::default().dft_batch(RowMajorMatrix::new(coefficients, width)).to_row_major_matrix().values
}

fn finish<T: Cell>(codeword: Vec<T>, width: usize) -> Committed<T> {
    let tree = MerkleTree::new(&codeword, width);
    Committed { codeword, tree }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p3_field::TwoAdicField;

    #[test]
    fn rows_hold_evaluations_in_natural_order() {
        let oracle = Oracle { bits: 6, fold: 2, log_inv_rate: 1, queries: 1 };
        let vector: Vec<F> = (0..64u64).map(|i| F::from_u64(i * 7 + 3)).collect();
        let committed = commit_base(&vector, &oracle);
        let extended = commit_ext(&vector.iter().map(|&v| K::from(v)).collect::<Vec<_>>(), &oracle);
        let g = F::two_adic_generator(oracle.domain_bits() as usize);
        for row in [0u64, 1, 5, 31] {
            let y = g.exp_u64(row);
            for column in 0..4 {
                let value = (0..16).rev().fold(F::ZERO, |sum, i| sum * y + vector[i * 4 + column]);
                assert_eq!(committed.codeword[row as usize * 4 + column], value);
                assert_eq!(extended.codeword[row as usize * 4 + column], K::from(value));
            }
        }
    }
}
