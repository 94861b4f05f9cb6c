//! Vectorised kernels on base-field data with extension-field weights, through Plonky3's packed field (AVX2, AVX-512 or
//! NEON when compiled for them, scalar otherwise; the results are the same).

use p3_field::{BasedVectorSpace, Field, PackedValue, PrimeCharacteristicRing};
use vinfer_circuits::field::{F, K};

type Packed = <F as Field>::Packing;

/// Extension elements as two coordinate arrays.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    low: Vec<F>,
    high: Vec<F>,
}

fn coordinates(k: K) -> (F, F) {
    let c: &[F] = k.as_basis_coefficients_slice();
    (c[0], c[1])
}

fn join(low: F, high: F) -> K {
    K::from_basis_coefficients_fn(|i| if i == 0 { low } else { high })
}

impl Split {
    /// Zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { low: vec![F::ZERO; len], high: vec![F::ZERO; len] }
    }

    /// Splits a slice.
    pub(crate) fn from_slice(values: &[K]) -> Self {
        let (low, high) = values.iter().map(|&v| coordinates(v)).unzip();
        Self { low, high }
    }

    /// Joins the coordinates.
    pub(crate) fn to_vec(&self) -> Vec<K> {
        self.low.iter().zip(&self.high).map(|(&a, &b)| join(a, b)).collect()
    }

    /// `self[i] += scale * values[i]`.
    pub(crate) fn add_scaled(&mut self, values: &[F], scale: K) {
        let (a, b) = coordinates(scale);
        add_scaled(&mut self.low[..values.len()], values, a);
        add_scaled(&mut self.high[..values.len()], values, b);
    }

    /// `sum_i self[i] * values[i]`, over the shorter of both.
    pub(crate) fn dot(&self, values: &[F]) -> K {
        let n = values.len().min(self.low.len());
        join(dot(&self.low[..n], &values[..n]), dot(&self.high[..n], &values[..n]))
    }
}

/// `target[i] += scale * values[i]`; both of one length.
pub(crate) fn add_scaled(target: &mut [F], values: &[F], scale: F) {
    let broadcast = Packed::from(scale);
    let (packed, rest) = Packed::pack_slice_with_suffix_mut(target);
    let (sources, source_rest) = Packed::pack_slice_with_suffix(values);
    for (t, &v) in packed.iter_mut().zip(sources) {
        *t += broadcast * v;
    }
    for (t, &v) in rest.iter_mut().zip(source_rest) {
        *t += scale * v;
    }
}

fn dot(a: &[F], b: &[F]) -> F {
    let (pa, ra) = Packed::pack_slice_with_suffix(a);
    let (pb, rb) = Packed::pack_slice_with_suffix(b);
    let mut sum = Packed::ZERO;
    for (&x, &y) in pa.iter().zip(pb) {
        sum += x * y;
    }
    let tail: F = ra.iter().zip(rb).map(|(&x, &y)| x * y).sum();
    sum.as_slice().iter().copied().sum::<F>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use vinfer_circuits::transcript::Transcript;

    #[test]
    fn kernels_equal_scalar_sums() {
        let mut t = Transcript::new("kernels");
        for n in [1usize, 7, 8, 64, 77] {
            let weights = t.challenges("w", n);
            let values: Vec<F> = t.challenges("v", n).into_iter().map(|k| coordinates(k).0).collect();
            let scalar: K = weights.iter().zip(&values).map(|(&w, &v)| w * v).sum();
            assert_eq!(Split::from_slice(&weights).dot(&values), scalar);
            let mut split = Split::from_slice(&weights);
            split.add_scaled(&values, weights[0]);
            let expected: Vec<K> = weights.iter().zip(&values).map(|(&w, &v)| w + weights[0] * v).collect();
            assert_eq!(split.to_vec(), expected);
        }
    }
}
