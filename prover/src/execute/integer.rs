//! Integer kernels in a form that compilers vectorise.

use std::iter::Sum;
use std::ops::{AddAssign, Mul};

use rayon::prelude::*;

/// Elements summed before the partial sum is reduced to one number.
const RUN: usize = 256;

/// An integer wide enough for the sums of products of `T` at hand.
pub(super) trait Accumulator<T>:
    From<T> + Into<i64> + Copy + Default + Mul<Output = Self> + AddAssign + Sum + Send + Sync
{
}

impl Accumulator<i16> for i32 {}
impl Accumulator<i32> for i64 {}

/// Sum of the products of two rows of one length.
pub(super) fn dot<T: Copy, A: Accumulator<T>>(a: &[T], b: &[T]) -> A {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<RUN>(), b.as_chunks::<RUN>());
    let runs = a.iter().zip(b).map(|(a, b)| plain(a, b));
    let whole: A = runs.sum();
    let mut sum = plain(a_rest, b_rest);
    sum += whole;
    sum
}

fn plain<T: Copy, A: Accumulator<T>>(a: &[T], b: &[T]) -> A {
    a.iter().zip(b).map(|(&a, &b)| A::from(a) * A::from(b)).sum()
}

/// The largest magnitude.
pub(super) fn largest(x: &[i32]) -> u64 {
    let most = |x: &[i32]| x.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
    u64::from(x.par_chunks(1 << 14).map(most).max().unwrap_or(0))
}
