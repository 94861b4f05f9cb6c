//! Vectors of extension elements, one per lane of the packed base field, and the blocked order that lets adjacent
//! elements meet without moving data between lanes.
//!
//! In blocked order with `block_bits = t`, a block of `WIDTH * 2^t` consecutive elements is `2^t` vectors; lane `j` of
//! vector `k` holds the block's element `j * 2^t + k`. Elements `2i` and `2i + 1` are then in one lane of vectors `2k` and
//! `2k + 1`, and combining them leaves blocked order with `t - 1`. With `t = 0` the order is the natural one.

use std::ops::{Add, AddAssign, Sub};

use p3_field::{BasedVectorSpace, Field, PackedValue, PrimeCharacteristicRing};
use rayon::prelude::*;
use vinfer_circuits::field::{F, K};

/// Vector of base-field elements.
pub(crate) type P = <F as Field>::Packing;

/// Lanes of a vector.
pub(crate) const WIDTH: usize = P::WIDTH;
/// log2 of [`WIDTH`].
pub(crate) const WIDTH_BITS: u32 = WIDTH.trailing_zeros();

/// The square of the extension's generator, `X^2 = 7`.
const NON_RESIDUE: F = F::new(7);

/// A vector of base-field elements, as a type of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fx(pub(crate) P);

/// A vector of extension elements: the two coordinates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kx(pub(crate) P, pub(crate) P);

impl Kx {
    pub(crate) const ZERO: Self = Self(P::ZERO, P::ZERO);

    /// The same element in each lane.
    pub(crate) fn broadcast(k: K) -> Self {
        let c: &[F] = k.as_basis_coefficients_slice();
        Self(P::from(c[0]), P::from(c[1]))
    }

    /// The element of each lane.
    pub(crate) fn from_fn(f: impl Fn(usize) -> K) -> Self {
        let coordinate = |i: usize, lane: usize| {
            let k = f(lane);
            let c: &[F] = k.as_basis_coefficients_slice();
            c[i]
        };
        Self(P::from_fn(|lane| coordinate(0, lane)), P::from_fn(|lane| coordinate(1, lane)))
    }

    /// Element of one lane.
    pub(crate) fn lane(&self, lane: usize) -> K {
        let (a, b) = (self.0.as_slice()[lane], self.1.as_slice()[lane]);
        K::from_basis_coefficients_fn(|i| if i == 0 { a } else { b })
    }

    /// Sum over the lanes.
    pub(crate) fn sum(&self) -> K {
        let total = |p: &P| p.as_slice().iter().copied().sum::<F>();
        let (a, b) = (total(&self.0), total(&self.1));
        K::from_basis_coefficients_fn(|i| if i == 0 { a } else { b })
    }

    /// Product.
    #[inline]
    pub(crate) fn times(self, other: Self) -> Self {
        let scaled = other.1 * NON_RESIDUE;
        Self(
            P::dot_product(&[self.0, self.1], &[other.0, scaled]),
            P::dot_product(&[self.0, self.1], &[other.1, other.0]),
        )
    }

    /// `a * b + c * d`.
    #[inline]
    pub(crate) fn sum_of_products(a: Self, b: Self, c: Self, d: Self) -> Self {
        let (sb, sd) = (b.1 * NON_RESIDUE, d.1 * NON_RESIDUE);
        Self(
            P::dot_product(&[a.0, a.1, c.0, c.1], &[b.0, sb, d.0, sd]),
            P::dot_product(&[a.0, a.1, c.0, c.1], &[b.1, b.0, d.1, d.0]),
        )
    }
}

impl Add for Kx {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Sub for Kx {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

impl AddAssign for Kx {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A multiplier that is the same for many products: its coordinates, and the second one times the non-residue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Multiplier {
    own: Kx,
    scaled: P,
}

impl Multiplier {
    /// The same element in each lane.
    pub(crate) fn broadcast(k: K) -> Self {
        let own = Kx::broadcast(k);
        Self { own, scaled: own.1 * NON_RESIDUE }
    }

    /// `x` times the multiplier.
    #[inline]
    pub(crate) fn of(&self, x: Kx) -> Kx {
        Kx(
            P::dot_product(&[x.0, x.1], &[self.own.0, self.scaled]),
            P::dot_product(&[x.0, x.1], &[self.own.1, self.own.0]),
        )
    }
}

/// A vector type whose lanes can be moved.
pub(crate) trait Lanes: Copy + Send + Sync {
    /// The vector whose lane `j` is lane `from(j).1` of `block[from(j).0]`.
    fn pick(block: &[Self], from: impl Fn(usize) -> (usize, usize) + Copy) -> Self;

    /// Vector `k` of a block of `2^bits` in natural order, brought into blocked order.
    #[inline]
    fn gather(block: &[Self], bits: u32, k: usize) -> Self {
        Self::pick(block, |lane| {
            let at = (lane << bits) + k;
            (at / WIDTH, at.rem_euclid(WIDTH))
        })
    }

    /// Vector `k` of a block of `2^bits` in blocked order, brought into natural order.
    #[inline]
    fn scatter(block: &[Self], bits: u32, k: usize) -> Self {
        Self::pick(block, |lane| {
            let at = k * WIDTH + lane;
            (at & ((1 << bits) - 1), at >> bits)
        })
    }
}

impl Lanes for Fx {
    #[inline]
    fn pick(block: &[Self], from: impl Fn(usize) -> (usize, usize) + Copy) -> Self {
        Self(P::from_fn(|lane| block[from(lane).0].0.as_slice()[from(lane).1]))
    }
}

impl Lanes for Kx {
    #[inline]
    fn pick(block: &[Self], from: impl Fn(usize) -> (usize, usize) + Copy) -> Self {
        Self(
            P::from_fn(|lane| block[from(lane).0].0.as_slice()[from(lane).1]),
            P::from_fn(|lane| block[from(lane).0].1.as_slice()[from(lane).1]),
        )
    }
}

impl<const N: usize> Lanes for [Kx; N] {
    #[inline]
    fn pick(block: &[Self], from: impl Fn(usize) -> (usize, usize) + Copy) -> Self {
        std::array::from_fn(|i| {
            Kx(
                P::from_fn(|lane| block[from(lane).0][i].0.as_slice()[from(lane).1]),
                P::from_fn(|lane| block[from(lane).0][i].1.as_slice()[from(lane).1]),
            )
        })
    }
}

/// Brings whole blocks from natural into blocked order.
pub(crate) fn to_blocks<T: Lanes>(natural: &[T], bits: u32) -> Vec<T> {
    let mut out = natural.to_vec();
    out.par_chunks_mut(1 << bits).zip(natural.par_chunks(1 << bits)).for_each(|(target, block)| {
        for (k, slot) in target.iter_mut().enumerate() {
            *slot = T::gather(block, bits, k);
        }
    });
    out
}

/// Brings a tensor from blocked order with `from` bits into that with `to` bits, filled up to whole blocks with `pad`.
pub(crate) fn reblock<T: Lanes>(data: &[T], from: u32, to: u32, pad: T) -> Vec<T> {
    let mut natural: Vec<T> = match from {
        0 => data.to_vec(),
        _ => data.chunks(1 << from).flat_map(|block| (0..1 << from).map(move |k| T::scatter(block, from, k))).collect(),
    };
    natural.resize(natural.len().next_multiple_of(1 << to), pad);
    to_blocks(&natural, to)
}

/// The elements of a tensor in blocked order, one by one; `get` takes one lane.
pub(crate) fn natural<T: Copy, E>(data: &[T], bits: u32, get: impl Fn(T, usize) -> E) -> Vec<E> {
    let blocks = data.chunks(1 << bits);
    let get = &get;
    blocks.flat_map(|block| (0..WIDTH).flat_map(move |lane| block.iter().map(move |&v| get(v, lane)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vinfer_circuits::transcript::Transcript;

    #[test]
    fn lanes_compute_what_elements_compute() {
        let mut t = Transcript::new("packed");
        let x = t.challenges("x", 4 * WIDTH);
        let v: Vec<Kx> = x.chunks(WIDTH).map(|c| Kx::from_fn(|lane| c[lane])).collect();
        let r = t.challenge("r");
        for lane in 0..WIDTH {
            let e: Vec<K> = v.iter().map(|v| v.lane(lane)).collect();
            assert_eq!(v[0].times(v[1]).lane(lane), e[0] * e[1]);
            assert_eq!(Kx::sum_of_products(v[0], v[1], v[2], v[3]).lane(lane), e[0] * e[1] + e[2] * e[3]);
            assert_eq!(Multiplier::broadcast(r).of(v[2]).lane(lane), r * e[2]);
            assert_eq!((v[0] + v[1] - v[2]).lane(lane), e[0] + e[1] - e[2]);
        }
        assert_eq!(v[3].sum(), x[3 * WIDTH..].iter().copied().sum::<K>());
    }

    #[test]
    fn blocks_put_neighbours_into_one_lane() {
        let mut t = Transcript::new("blocks");
        let x = t.challenges("x", 16 * WIDTH);
        let natural: Vec<Kx> = x.chunks(WIDTH).map(|c| Kx::from_fn(|lane| c[lane])).collect();
        let blocked = to_blocks(&natural, 3);
        assert_eq!(super::natural(&blocked, 3, |v, lane| v.lane(lane)), x);
        let again = reblock(&reblock(&blocked, 3, 2, Kx::ZERO), 2, 0, Kx::ZERO);
        assert_eq!(super::natural(&again, 0, |v, lane| v.lane(lane)), x);
        for (at, &value) in x.iter().enumerate() {
            let (block, inside) = (at / (8 * WIDTH), at % (8 * WIDTH));
            assert_eq!(blocked[block * 8 + inside % 8].lane(inside / 8), value);
        }
    }
}
