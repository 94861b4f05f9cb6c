//! The LogUp-GKR prover: the tree of fractions and its layer sumchecks.

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::field::K;
use vinfer_circuits::mle::eq_table;
use vinfer_circuits::proof::{LogupLayer, LogupProof};
use vinfer_circuits::transcript::Transcript;

/// Fractions of one layer; entries beyond the stored length are 0/1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) numerators: Vec<K>,
    pub(crate) denominators: Vec<K>,
}

const CHUNK: usize = 1 << 11;

impl Layer {
    fn parent(&self) -> Self {
        let len = self.numerators.len().div_ceil(2);
        let (mut numerators, mut denominators) = (vec![K::ZERO; len], vec![K::ONE; len]);
        numerators
            .par_chunks_mut(CHUNK)
            .zip(denominators.par_chunks_mut(CHUNK))
            .zip(self.numerators.par_chunks(2 * CHUNK).zip(self.denominators.par_chunks(2 * CHUNK)))
            .for_each(|((np, nq), (p, q))| {
                for (i, (np, nq)) in np.iter_mut().zip(nq).enumerate() {
                    let (p0, q0) = (p[2 * i], q[2 * i]);
                    let p1 = p.get(2 * i + 1).copied().unwrap_or(K::ZERO);
                    let q1 = q.get(2 * i + 1).copied().unwrap_or(K::ONE);
                    *np = p0 * q1 + p1 * q0;
                    *nq = q0 * q1;
                }
            });
        Self { numerators, denominators }
    }
}

/// Proves that the leaf fractions (2^depth of them, the stored ones first) sum to zero; returns the leaf point.
pub(crate) fn prove(leaves: Layer, depth: u32, transcript: &mut Transcript) -> (LogupProof, Vec<K>) {
    let mut layers = vec![leaves];
    for _ in 0..depth {
        let parent = layers[layers.len() - 1].parent();
        layers.push(parent);
    }
    let root = layers.pop().unwrap_or_default();
    let root_denominator = root.denominators.first().copied().unwrap_or(K::ONE);
    transcript.absorb("logup root", &[root_denominator]);
    let mut numerator = K::ZERO;
    let mut denominator = root_denominator;
    let mut point: Vec<K> = Vec::new();
    let mut proofs = Vec::with_capacity(depth as usize);
    while let Some(layer) = layers.pop() {
        let lambda = transcript.challenge("logup combine");
        let claim = numerator + lambda * denominator;
        let (rounds, at, children) = prove_layer(layer, &point, lambda, claim, transcript);
        transcript.absorb("logup children", &children);
        let [p0, p1, q0, q1] = children;
        let r = transcript.challenge("logup child");
        numerator = p0 + r * (p1 - p0);
        denominator = q0 + r * (q1 - q0);
        point = at;
        point.push(r);
        proofs.push(LogupLayer { rounds, children });
    }
    (LogupProof { root_denominator, layers: proofs }, point)
}

/// One pair of children: `p0, p1 + lambda q1, q0, q1`, so that the layer polynomial is `p0 q1 + p1' q0`.
type Children = [K; 4];

fn prove_layer(
    layer: Layer,
    point: &[K],
    lambda: K,
    mut claim: K,
    transcript: &mut Transcript,
) -> (Vec<[K; 3]>, Vec<K>, [K; 4]) {
    let pad: Children = [K::ZERO, lambda, K::ONE, K::ONE];
    let len = layer.numerators.len().div_ceil(2);
    let mut state: Vec<Children> = (0..len)
        .into_par_iter()
        .map(|i| {
            let (p, q) = (&layer.numerators, &layer.denominators);
            let q1 = q.get(2 * i + 1).copied().unwrap_or(K::ONE);
            let p1 = p.get(2 * i + 1).copied().unwrap_or(K::ZERO);
            [p[2 * i], p1 + lambda * q1, q[2 * i], q1]
        })
        .collect();
    drop(layer);
    let mut rounds = Vec::with_capacity(point.len());
    let mut challenges = Vec::with_capacity(point.len());
    // eq over all point coordinates but the one being bound; `scale` is eq over those already bound.
    let mut rest: Vec<K> = match point.split_last() {
        Some((_, prefix)) => eq_table(&Native, prefix),
        None => Vec::new(),
    };
    let mut scale = K::ONE;
    for z in point.iter().rev() {
        let pairs = state.len().div_ceil(2);
        let (mut at_zero, quadratic, mass) = state
            .par_chunks(2 * CHUNK)
            .zip(rest[..pairs].par_chunks(CHUNK))
            .map(|(state, eq)| {
                let mut sums = (K::ZERO, K::ZERO, K::ZERO);
                for (pair, &e) in state.chunks(2).zip(eq) {
                    let a = pair[0];
                    let b = pair.get(1).copied().unwrap_or(pad);
                    let zero = a[0] * a[3] + a[1] * a[2];
                    let top = (b[0] - a[0]) * (b[3] - a[3]) + (b[1] - a[1]) * (b[2] - a[2]);
                    sums.0 += e * zero;
                    sums.1 += e * top;
                    sums.2 += e;
                }
                sums
            })
            .reduce(|| (K::ZERO, K::ZERO, K::ZERO), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        // Pads contribute lambda * 1 * 1 each, constant in the bound variable.
        at_zero += lambda * (K::ONE - mass);
        // h(X) = scale * eq(z, X) * g(X), g quadratic; g(1) follows from h(0) + h(1) = claim.
        let (eq0, eq1) = (scale * (K::ONE - *z), scale * *z);
        let at_one = match eq1.try_inverse() {
            Some(inverse) => (claim - eq0 * at_zero) * inverse,
            None => sum_at_one(&state, &rest, pad) + lambda * (K::ONE - mass),
        };
        let slope = at_one - at_zero - quadratic;
        let g = |x: u64| {
            let x = K::from_u64(x);
            at_zero + x * (slope + x * quadratic)
        };
        let h = |x: u64| (eq0 + (eq1 - eq0) * K::from_u64(x)) * g(x);
        let message = [h(0), h(2), h(3)];
        transcript.absorb("logup round", &message);
        let r = transcript.challenge("logup round");
        let eq_r = eq0 + (eq1 - eq0) * r;
        claim = eq_r * (at_zero + r * (slope + r * quadratic));
        scale = eq_r;
        rounds.push(message);
        challenges.push(r);
        state = state
            .par_chunks(2)
            .with_min_len(CHUNK)
            .map(|pair| {
                let a = pair[0];
                let b = pair.get(1).copied().unwrap_or(pad);
                [0, 1, 2, 3].map(|i| a[i] + r * (b[i] - a[i]))
            })
            .collect();
        rest = rest.chunks(2).map(|p| p.iter().copied().sum()).collect();
    }
    challenges.reverse();
    let [p0, p1, q0, q1] = state.first().copied().unwrap_or(pad);
    (rounds, challenges, [p0, p1 - lambda * q1, q0, q1])
}

/// `g(1)` computed directly; only needed when a challenge coordinate is zero.
fn sum_at_one(state: &[Children], rest: &[K], pad: Children) -> K {
    state
        .chunks(2)
        .zip(rest)
        .map(|(pair, &e)| {
            let b = pair.get(1).copied().unwrap_or(pad);
            e * (b[0] * b[3] + b[1] * b[2])
        })
        .sum()
}
