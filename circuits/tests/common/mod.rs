//! Tiny programs covering every primitive, and an independent interpreter of constraint systems.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod activations;
pub(crate) mod float_bench;
pub(crate) mod interpreter;
pub(crate) mod programs;
pub(crate) mod random;

/// A small deterministic generator.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in `lo..=hi`.
    pub(crate) fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + ((self.next() >> 8) % (hi - lo + 1) as u64) as i64
    }
}
