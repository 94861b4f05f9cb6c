//! The LogUp-GKR prover: the tree of fractions and its layer sumchecks.

use p3_field::{PackedValue, PrimeCharacteristicRing};
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};
use vinfer_circuits::proof::{LogupLayer, LogupProof};
use vinfer_circuits::transcript::Transcript;

use crate::packed::{Fx, Kx, Lanes, P, WIDTH, WIDTH_BITS, natural, reblock};

mod layer;

/// Block bits of a layer in blocked order; see [`crate::packed`].
const BLOCK_BITS: u32 = 8;
/// Layers of fewer elements are kept plain.
const LEAST_PACKED: usize = 1 << 12;
/// Vectors handled by one task.
const CHUNK: usize = 1 << 10;

/// The leaf fractions in order, denominators as two coordinates; entries beyond the stored length are 0/1.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    pub(crate) numerators: Vec<F>,
    pub(crate) low: Vec<F>,
    pub(crate) high: Vec<F>,
}

/// Fractions of one layer; entries beyond the stored length are 0/1.
enum Layer {
    /// The leaves, in blocked order.
    Leaves(Packed<Fx>),
    /// In blocked order.
    Packed(Packed<Kx>),
    /// One by one.
    Plain { numerators: Vec<K>, denominators: Vec<K> },
}

/// Fractions in blocked order with at least two block bits.
struct Packed<N> {
    block_bits: u32,
    numerators: Vec<N>,
    denominators: Vec<Kx>,
}

/// Vectors of numerators.
trait Numerators: Lanes {
    fn extend(self) -> Kx;
    /// `p0 * q1 + p1 * q0`.
    fn cross(p0: Self, p1: Self, q0: Kx, q1: Kx) -> Kx;
}

impl Numerators for Fx {
    #[inline]
    fn extend(self) -> Kx {
        Kx(self.0, P::ZERO)
    }
    #[inline]
    fn cross(p0: Self, p1: Self, q0: Kx, q1: Kx) -> Kx {
        let p = [p0.0, p1.0];
        Kx(P::dot_product(&p, &[q1.0, q0.0]), P::dot_product(&p, &[q1.1, q0.1]))
    }
}

impl Numerators for Kx {
    #[inline]
    fn extend(self) -> Kx {
        self
    }
    #[inline]
    fn cross(p0: Self, p1: Self, q0: Kx, q1: Kx) -> Kx {
        Self::sum_of_products(p0, q1, p1, q0)
    }
}

/// Whether `len` elements with `bits` index bits are worth packing, and fit.
fn packs(len: usize, bits: u32) -> bool {
    len >= LEAST_PACKED && bits >= BLOCK_BITS + WIDTH_BITS
}

impl Leaves {
    fn layer(mut self, depth: u32) -> Layer {
        let len = self.numerators.len();
        if !packs(len, depth) {
            let join = |(&a, &b)| vinfer_circuits::field::from_coordinates(a, b);
            return Layer::Plain {
                numerators: self.numerators.iter().map(|&p| K::from(p)).collect(),
                denominators: self.low.iter().zip(&self.high).map(join).collect(),
            };
        }
        let block = WIDTH << BLOCK_BITS;
        let whole = len.next_multiple_of(block);
        self.numerators.resize(whole, F::ZERO);
        self.low.resize(whole, F::ONE);
        self.high.resize(whole, F::ZERO);
        let mut numerators = vec![Fx(P::ZERO); whole / WIDTH];
        let mut denominators = vec![Kx::ZERO; whole / WIDTH];
        let lanes = |block: &[F], k: usize| P::from_fn(|lane| block[(lane << BLOCK_BITS) + k]);
        let blocks = self.low.par_chunks(block).zip(self.high.par_chunks(block)).zip(self.numerators.par_chunks(block));
        let targets = numerators.par_chunks_mut(1 << BLOCK_BITS).zip(denominators.par_chunks_mut(1 << BLOCK_BITS));
        targets.zip(blocks).for_each(|((p, q), ((low, high), own))| {
            for (k, (p, q)) in p.iter_mut().zip(q).enumerate() {
                *p = Fx(lanes(own, k));
                *q = Kx(lanes(low, k), lanes(high, k));
            }
        });
        Layer::Leaves(Packed { block_bits: BLOCK_BITS, numerators, denominators })
    }
}

impl<N: Numerators> Packed<N> {
    /// The sums of neighbouring fractions; `bits` index bits are left.
    fn parent(&self, bits: u32) -> Layer {
        let len = self.numerators.len() / 2;
        let (mut numerators, mut denominators) = (vec![Kx::ZERO; len], vec![Kx::ZERO; len]);
        numerators
            .par_chunks_mut(CHUNK)
            .zip(denominators.par_chunks_mut(CHUNK))
            .zip(self.numerators.par_chunks(2 * CHUNK).zip(self.denominators.par_chunks(2 * CHUNK)))
            .for_each(|((np, nq), (p, q))| {
                let children = p.as_chunks::<2>().0.iter().zip(q.as_chunks::<2>().0);
                for ((np, nq), (&[p0, p1], &[q0, q1])) in np.iter_mut().zip(nq).zip(children) {
                    *np = N::cross(p0, p1, q0, q1);
                    *nq = q0.times(q1);
                }
            });
        let block_bits = self.block_bits - 1;
        if block_bits >= 2 {
            return Layer::Packed(Packed { block_bits, numerators, denominators });
        }
        if packs(len * WIDTH, bits) {
            return Layer::Packed(Packed {
                block_bits: BLOCK_BITS,
                numerators: reblock(&numerators, block_bits, BLOCK_BITS, Kx::ZERO),
                denominators: reblock(&denominators, block_bits, BLOCK_BITS, Kx::broadcast(K::ONE)),
            });
        }
        let plain = |v: &[Kx]| natural(v, block_bits, |v, lane| v.lane(lane));
        Layer::Plain { numerators: plain(&numerators), denominators: plain(&denominators) }
    }
}

impl Layer {
    /// The sums of neighbouring fractions; `bits` index bits are left.
    fn parent(&self, bits: u32) -> Self {
        let (p, q) = match self {
            Self::Leaves(layer) => return layer.parent(bits),
            Self::Packed(layer) => return layer.parent(bits),
            Self::Plain { numerators, denominators } => (numerators, denominators),
        };
        let (mut numerators, mut denominators) = (Vec::new(), Vec::new());
        for (p, q) in p.chunks(2).zip(q.chunks(2)) {
            let p1 = p.get(1).copied().unwrap_or(K::ZERO);
            let q1 = q.get(1).copied().unwrap_or(K::ONE);
            numerators.push(p[0] * q1 + p1 * q[0]);
            denominators.push(q[0] * q1);
        }
        Self::Plain { numerators, denominators }
    }

    fn denominator(&self) -> K {
        match self {
            Self::Plain { denominators, .. } => denominators.first().copied().unwrap_or(K::ONE),
            Self::Leaves(layer) => layer.denominators[0].lane(0),
            Self::Packed(layer) => layer.denominators[0].lane(0),
        }
    }
}

/// Proves that the leaf fractions (2^depth of them, the stored ones first) sum to zero; returns the leaf point.
pub(crate) fn prove(leaves: Leaves, depth: u32, transcript: &mut Transcript) -> (LogupProof, Vec<K>) {
    let mut layers = vec![leaves.layer(depth)];
    for bits in (0..depth).rev() {
        let parent = layers[layers.len() - 1].parent(bits);
        layers.push(parent);
    }
    let root_denominator = layers.pop().map_or(K::ONE, |root| root.denominator());
    transcript.absorb("logup root", &[root_denominator]);
    let mut numerator = K::ZERO;
    let mut denominator = root_denominator;
    let mut point: Vec<K> = Vec::new();
    let mut proofs = Vec::with_capacity(depth as usize);
    while let Some(layer) = layers.pop() {
        let lambda = transcript.challenge("logup combine");
        let claim = numerator + lambda * denominator;
        let (rounds, at, children) = layer::prove(layer, &point, lambda, claim, transcript);
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
