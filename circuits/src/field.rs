//! The fields: Goldilocks `F` (p = 2^64 - 2^32 + 1) and its quadratic extension `K = F[X]/(X^2 - 7)`.

use alloc::vec::Vec;
use p3_field::extension::BinomialExtensionField;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField64};

/// Base field.
pub type F = p3_goldilocks::Goldilocks;
/// Challenge field, |K| = p^2.
pub type K = BinomialExtensionField<F, 2>;

/// The modulus p.
pub const MODULUS: u64 = 0xffff_ffff_0000_0001;
/// log2 |K|, rounded down.
pub const LOG2_K: f64 = 127.999_999_999;

/// Embeds a signed integer.
pub fn from_i64(v: i64) -> F {
    let magnitude = F::from_u64(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

/// The two coordinates of an extension element, canonical.
pub fn coordinates(k: K) -> [u64; 2] {
    let c: &[F] = k.as_basis_coefficients_slice();
    let mut out = [0u64; 2];
    for (o, v) in out.iter_mut().zip(c) {
        *o = v.as_canonical_u64();
    }
    out
}

/// Builds an extension element from two coordinates.
pub fn from_coordinates(a: F, b: F) -> K {
    K::from_basis_coefficients_fn(|i| if i == 0 { a } else { b })
}

/// `base^0, base^1, .., base^(n-1)`.
pub fn powers(base: K, n: usize) -> Vec<K> {
    let mut out = Vec::with_capacity(n);
    let mut p = K::ONE;
    for _ in 0..n {
        out.push(p);
        p *= base;
    }
    out
}
