//! The arithmetic context: verifier arithmetic is written once against these traits, so that the same code runs
//! natively and, later, builds a circuit (the loader pattern of snark-verifier).

use core::fmt::Debug;
use core::ops::{Add, Mul, Sub};

use crate::field::K;

/// A challenge-field element, native or symbolic.
pub trait Element: Clone + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {}

impl Element for K {}

/// Where elements live. No method branches on the value of an element.
pub trait Arithmetic {
    /// Element type.
    type Element: Element;

    /// A constant.
    fn constant(&self, value: K) -> Self::Element;
}

/// Native arithmetic on [`K`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

impl Arithmetic for Native {
    type Element = K;

    fn constant(&self, value: K) -> K {
        value
    }
}

/// Sum of products of two sequences.
pub fn inner_product<A: Arithmetic>(ctx: &A, a: &[A::Element], b: &[A::Element]) -> A::Element {
    use p3_field::PrimeCharacteristicRing;
    let mut sum = ctx.constant(K::ZERO);
    for (x, y) in a.iter().zip(b) {
        sum = sum + x.clone() * y.clone();
    }
    sum
}
