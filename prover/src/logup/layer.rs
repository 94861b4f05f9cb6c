//! The sumcheck of one layer: `sum_x eq(point, x) (p0 q1 + p1' q0)(x)` with `p1' = p1 + lambda q1`, over the pairs of
//! children. The least significant variable is bound first. Large layers stay in blocked order (see [`crate::packed`])
//! round after round: the low part of `eq` is then one number for a whole vector, the high part one vector for a block.

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;
use vinfer_circuits::arithmetic::Native;
use vinfer_circuits::field::K;
use vinfer_circuits::mle::eq_table;
use vinfer_circuits::transcript::Transcript;

use super::{BLOCK_BITS, Layer, Numerators, Packed, packs};
use crate::packed::{Kx, Multiplier, WIDTH, natural, reblock};

/// One pair of children: `p0, p1 + lambda q1, q0, q1`.
type Children = [K; 4];

/// Blocks handled by one task.
const BLOCKS: usize = 4;

/// What the rounds so far leave behind.
struct Rounds<'a> {
    point: &'a [K],
    lambda: K,
    claim: K,
    /// `eq` over the bound variables.
    scale: K,
    messages: Vec<[K; 3]>,
    challenges: Vec<K>,
    transcript: &'a mut Transcript,
}

impl Rounds<'_> {
    /// Variables not bound yet.
    fn left(&self) -> usize {
        self.point.len() - self.challenges.len()
    }

    /// The coordinate to be bound next, and those left after it.
    fn next(&self) -> Option<(K, &[K])> {
        self.point[..self.left()].split_last().map(|(&z, rest)| (z, rest))
    }

    /// `eq` of the bound variables times that of the next one at 0 and at 1.
    fn factors(&self, z: K) -> (K, K) {
        (self.scale * (K::ONE - z), self.scale * z)
    }

    /// Ends a round with the quadratic factor's value at 0, its value at 1, and its leading coefficient.
    fn end(&mut self, z: K, at_zero: K, at_one: K, quadratic: K) -> K {
        let (eq0, eq1) = self.factors(z);
        let slope = at_one - at_zero - quadratic;
        let g = |x: K| at_zero + x * (slope + x * quadratic);
        let h = |x: u64| (eq0 + (eq1 - eq0) * K::from_u64(x)) * g(K::from_u64(x));
        let message = [h(0), h(2), h(3)];
        self.transcript.absorb("logup round", &message);
        let r = self.transcript.challenge("logup round");
        self.scale = eq0 + (eq1 - eq0) * r;
        self.claim = self.scale * g(r);
        self.messages.push(message);
        self.challenges.push(r);
        r
    }
}

/// Messages, point and the children's values `p0, p1, q0, q1` there.
pub(super) fn prove(
    layer: Layer,
    point: &[K],
    lambda: K,
    claim: K,
    transcript: &mut Transcript,
) -> (Vec<[K; 3]>, Vec<K>, [K; 4]) {
    let mut rounds = Rounds {
        point,
        lambda,
        claim,
        scale: K::ONE,
        messages: Vec::with_capacity(point.len()),
        challenges: Vec::with_capacity(point.len()),
        transcript,
    };
    let state = match layer {
        Layer::Leaves(layer) => packed_rounds(layer, &mut rounds),
        Layer::Packed(layer) => packed_rounds(layer, &mut rounds),
        Layer::Plain { numerators, denominators } => {
            let pairs = numerators.chunks(2).zip(denominators.chunks(2));
            pairs.map(|(p, q)| children(p[0], p.get(1), q[0], q.get(1), lambda)).collect()
        }
    };
    let [p0, p1, q0, q1] = plain_rounds(state, &mut rounds);
    let mut at = rounds.challenges;
    at.reverse();
    (rounds.messages, at, [p0, p1 - lambda * q1, q0, q1])
}

fn children(p0: K, p1: Option<&K>, q0: K, q1: Option<&K>, lambda: K) -> Children {
    let q1 = q1.copied().unwrap_or(K::ONE);
    [p0, p1.copied().unwrap_or(K::ZERO) + lambda * q1, q0, q1]
}

/// Children of pads.
const fn pad(lambda: K) -> Children {
    [K::ZERO, lambda, K::ONE, K::ONE]
}

/// Four vectors of children.
type State = [Kx; 4];

#[inline]
fn load<N: Numerators>(p: &[N], q: &[Kx], at: usize, lambda: &Multiplier) -> State {
    let q1 = q[at + 1];
    [p[at].extend(), p[at + 1].extend() + lambda.of(q1), q[at], q1]
}

/// Values at 0 and leading coefficients of a pair of children.
#[inline]
fn products(a: &State, b: &State) -> (Kx, Kx) {
    let zero = Kx::sum_of_products(a[0], a[3], a[1], a[2]);
    let top = Kx::sum_of_products(b[0] - a[0], b[3] - a[3], b[1] - a[1], b[2] - a[2]);
    (zero, top)
}

#[inline]
fn bind(a: &State, b: &State, r: &Multiplier) -> State {
    std::array::from_fn(|i| a[i] + r.of(b[i] - a[i]))
}

/// The factors of `eq` for blocks: one number for each pair inside a block, one vector for each block.
struct BlockEq {
    high: Vec<Kx>,
    mass: K,
}

impl BlockEq {
    /// `high_point`: the coordinates above the block's.
    fn new(high_point: &[K], blocks: usize) -> Self {
        let table = eq_table(&Native, high_point);
        let high: Vec<Kx> = (0..blocks).map(|b| Kx::from_fn(|lane| table[b * WIDTH + lane])).collect();
        let mass = high.iter().fold(Kx::ZERO, |sum, &v| sum + v).sum();
        Self { high, mass }
    }

    /// `eq`-weighted sums over all pairs: `pair(block, k)` gives the products of pair `k` of a block.
    fn sums(&self, low: &[Multiplier], pair: impl Fn(usize, usize) -> (Kx, Kx) + Sync) -> (K, K) {
        let zero = || (Kx::ZERO, Kx::ZERO);
        let (a, b) = self
            .high
            .par_iter()
            .enumerate()
            .with_min_len(BLOCKS)
            .fold(zero, |sum, (block, &high)| {
                let mut own = zero();
                for (k, e) in low.iter().enumerate() {
                    let (x, y) = pair(block, k);
                    own.0 += e.of(x);
                    own.1 += e.of(y);
                }
                (sum.0 + own.0.times(high), sum.1 + own.1.times(high))
            })
            .reduce(zero, |a, b| (a.0 + b.0, a.1 + b.1));
        (a.sum(), b.sum())
    }
}

/// Rounds in blocked order, until few elements are left.
fn packed_rounds<N: Numerators>(layer: Packed<N>, rounds: &mut Rounds<'_>) -> Vec<Children> {
    let Packed { mut block_bits, numerators: p, denominators: q } = layer;
    let lambda = Multiplier::broadcast(rounds.lambda);
    let blocks = p.len() >> block_bits;
    block_bits -= 1;
    let all = |state: Vec<State>, bits: u32| natural(&state, bits, |v, lane| v.map(|x| x.lane(lane)));
    // The first round reads the children where they are.
    let Some((z, rest)) = rounds.next().filter(|&(z, _)| z != K::ZERO) else {
        let state = (0..p.len() / 2).map(|i| load(&p, &q, 2 * i, &lambda)).collect();
        return all(state, block_bits);
    };
    let split = rest.len() - (block_bits as usize - 1);
    let mut eq = BlockEq::new(&rest[..split], blocks);
    let low = multipliers(&rest[split..]);
    let read = |at: usize| (load(&p, &q, at, &lambda), load(&p, &q, at + 2, &lambda));
    let size = 2usize << block_bits;
    let (zero, top) = eq.sums(&low, |block, k| {
        let (a, b) = read(block * size + 4 * k);
        products(&a, &b)
    });
    let r = Multiplier::broadcast(end(rounds, z, &eq, zero, top));
    let bound = (0..p.len() / 4).into_par_iter().with_min_len(1 << 8).map(|i| {
        let (a, b) = read(4 * i);
        bind(&a, &b, &r)
    });
    let mut state: Vec<State> = bound.collect();
    drop((p, q));
    block_bits -= 1;
    loop {
        if block_bits == 0 {
            let left = rounds.left();
            if !packs(state.len() * WIDTH, left as u32) {
                return all(state, block_bits);
            }
            state = reblock(&state, 0, BLOCK_BITS, pad(rounds.lambda).map(Kx::broadcast));
            block_bits = BLOCK_BITS;
            eq = BlockEq::new(&rounds.point[..left - block_bits as usize], state.len() >> block_bits);
        }
        let Some((z, rest)) = rounds.next().filter(|&(z, _)| z != K::ZERO && rounds.scale != K::ZERO) else {
            return all(state, block_bits);
        };
        let low = multipliers(&rest[rest.len() - (block_bits as usize - 1)..]);
        let (zero, top) = eq.sums(&low, |block, k| {
            let at = (block << block_bits) + 2 * k;
            products(&state[at], &state[at + 1])
        });
        let r = Multiplier::broadcast(end(rounds, z, &eq, zero, top));
        state = state.par_chunks_exact(2).with_min_len(1 << 8).map(|pair| bind(&pair[0], &pair[1], &r)).collect();
        block_bits -= 1;
    }
}

fn multipliers(point: &[K]) -> Vec<Multiplier> {
    eq_table(&Native, point).into_iter().map(Multiplier::broadcast).collect()
}

/// Ends a round from the weighted sums; `z` and the scale are not zero.
fn end(rounds: &mut Rounds<'_>, z: K, eq: &BlockEq, zero: K, quadratic: K) -> K {
    // Pads contribute lambda * 1 * 1 each, constant in the bound variable.
    let at_zero = zero + rounds.lambda * (K::ONE - eq.mass);
    let (eq0, eq1) = rounds.factors(z);
    let at_one = eq1.try_inverse().map_or(K::ZERO, |inverse| (rounds.claim - eq0 * at_zero) * inverse);
    rounds.end(z, at_zero, at_one, quadratic)
}

/// The remaining rounds, element by element; returns the children at the point.
fn plain_rounds(mut state: Vec<Children>, rounds: &mut Rounds<'_>) -> Children {
    let lambda = rounds.lambda;
    let pad = pad(lambda);
    // eq over all coordinates but the one being bound.
    let mut eq: Vec<K> = rounds.next().map(|(_, rest)| eq_table(&Native, rest)).unwrap_or_default();
    while let Some((z, _)) = rounds.next() {
        let (mut at_zero, mut at_one, mut quadratic, mut mass) = (K::ZERO, K::ZERO, K::ZERO, K::ZERO);
        let (_, eq1) = rounds.factors(z);
        let inverse = eq1.try_inverse();
        for (pair, &e) in state.chunks(2).zip(&eq) {
            let a = pair[0];
            let b = pair.get(1).copied().unwrap_or(pad);
            at_zero += e * (a[0] * a[3] + a[1] * a[2]);
            quadratic += e * ((b[0] - a[0]) * (b[3] - a[3]) + (b[1] - a[1]) * (b[2] - a[2]));
            mass += e;
            if inverse.is_none() {
                at_one += e * (b[0] * b[3] + b[1] * b[2]);
            }
        }
        let pads = lambda * (K::ONE - mass);
        at_zero += pads;
        // h(X) = scale * eq(z, X) * g(X), g quadratic; g(1) follows from h(0) + h(1) = claim.
        let at_one = match inverse {
            Some(inverse) => (rounds.claim - rounds.factors(z).0 * at_zero) * inverse,
            None => at_one + pads,
        };
        let r = rounds.end(z, at_zero, at_one, quadratic);
        let fold = |pair: &[Children]| {
            let b = pair.get(1).copied().unwrap_or(pad);
            std::array::from_fn(|i| pair[0][i] + r * (b[i] - pair[0][i]))
        };
        state = state.chunks(2).map(fold).collect();
        eq = eq.chunks(2).map(|p| p.iter().copied().sum()).collect();
    }
    state.first().copied().unwrap_or(pad)
}
