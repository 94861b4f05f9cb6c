//! Fiat–Shamir transcript: a hash chain over labelled, length-prefixed messages.
//!
//! `state' = H(state ‖ kind ‖ label length ‖ label ‖ body length ‖ body)`. A challenge also advances the state, so two
//! challenges in a row differ, and every challenge depends on everything absorbed before it.

use alloc::vec::Vec;

use crate::field::{F, K, coordinates, from_coordinates};
use crate::hash::Digest;
use p3_field::{PrimeCharacteristicRing, PrimeField64};

const KEY: &[u8; 32] = b"vinfer transcript v1            ";

/// The transcript state.
#[derive(Clone, Debug)]
pub struct Transcript {
    state: Digest,
}

impl Transcript {
    /// A fresh transcript bound to a domain label.
    pub fn new(domain: &str) -> Self {
        let mut t = Self { state: [0u8; 32] };
        t.absorb_bytes("domain", domain.as_bytes());
        t
    }

    fn step(&mut self, kind: u8, label: &str, body: &[u8]) {
        let mut hasher = blake3::Hasher::new_keyed(KEY);
        hasher.update(&self.state);
        hasher.update(&[kind]);
        hasher.update(&(label.len() as u64).to_le_bytes());
        hasher.update(label.as_bytes());
        hasher.update(&(body.len() as u64).to_le_bytes());
        hasher.update(body);
        self.state = *hasher.finalize().as_bytes();
    }

    /// Absorbs bytes under a label.
    pub fn absorb_bytes(&mut self, label: &str, bytes: &[u8]) {
        self.step(0, label, bytes);
    }

    /// Absorbs extension elements under a label.
    pub fn absorb(&mut self, label: &str, values: &[K]) {
        let mut body = Vec::with_capacity(values.len() * 16);
        for v in values {
            for c in coordinates(*v) {
                body.extend_from_slice(&c.to_le_bytes());
            }
        }
        self.step(1, label, &body);
    }

    /// Absorbs base-field elements under a label.
    pub fn absorb_base(&mut self, label: &str, values: &[F]) {
        let mut body = Vec::with_capacity(values.len() * 8);
        for v in values {
            body.extend_from_slice(&v.as_canonical_u64().to_le_bytes());
        }
        self.step(2, label, &body);
    }

    /// Draws an extension element. Each coordinate is 128 bits reduced modulo p (relative bias below 2^-63).
    pub fn challenge(&mut self, label: &str) -> K {
        self.step(3, label, &[]);
        let (low, high) = self.state.split_at(16);
        from_coordinates(reduce(low), reduce(high))
    }

    /// Draws `n` extension elements.
    pub fn challenges(&mut self, label: &str, n: usize) -> Vec<K> {
        (0..n).map(|_| self.challenge(label)).collect()
    }

    /// Draws `n` indices below `2^bits` (with repetition).
    pub fn indices(&mut self, label: &str, n: usize, bits: u32) -> Vec<u64> {
        let mask = if bits >= 64 { u64::MAX } else { (1u64 << bits).wrapping_sub(1) };
        let mut out = Vec::with_capacity(n);
        while out.len() < n {
            self.step(4, label, &[]);
            for chunk in self.state.chunks_exact(8) {
                if out.len() < n {
                    let mut word = [0u8; 8];
                    word.copy_from_slice(chunk);
                    out.push(u64::from_le_bytes(word) & mask);
                }
            }
        }
        out
    }

    /// Whether `nonce` clears `bits` of proof of work from the present state.
    pub fn check_work(&self, nonce: u64, bits: u32) -> bool {
        let digest = blake3::keyed_hash(WORK_KEY, &self.work_block(nonce));
        work_bits(digest.as_bytes()) >= bits
    }

    /// The block whose keyed hash (under [`WORK_KEY`]) is the proof of work of a nonce: state, nonce, zeros.
    pub fn work_block(&self, nonce: u64) -> [u8; 64] {
        let mut block = [0u8; 64];
        let (state, rest) = block.split_at_mut(32);
        state.copy_from_slice(&self.state);
        for (b, n) in rest.iter_mut().zip(nonce.to_le_bytes()) {
            *b = n;
        }
        block
    }

    /// Absorbs a proof-of-work nonce.
    pub fn absorb_nonce(&mut self, nonce: u64) {
        self.step(5, "nonce", &nonce.to_le_bytes());
    }
}

/// Key of the proof-of-work hash.
pub const WORK_KEY: &[u8; 32] = b"vinfer proof of work v1         ";

/// Bits of work shown by a digest: trailing zeros of its first little-endian word.
pub fn work_bits(digest: &[u8; 32]) -> u32 {
    let mut word = [0u8; 8];
    for (w, d) in word.iter_mut().zip(digest) {
        *w = *d;
    }
    u64::from_le_bytes(word).trailing_zeros()
}

fn reduce(bytes: &[u8]) -> F {
    let mut words = [[0u8; 8]; 2];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        word.copy_from_slice(chunk);
    }
    let [low, high] = words.map(u64::from_le_bytes);
    // 2^64 = 2^32 - 1 (mod p)
    F::from_u64(low) + F::from_u64(high) * F::from_u64(0xffff_ffff)
}
