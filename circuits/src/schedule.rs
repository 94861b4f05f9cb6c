//! The WHIR schedule: sizes, folds, rates and query counts of every oracle of one opening. A function of the profile
//! and the two commitment sizes only; a proof cannot influence it.
//!
//! One opening folds both commitments (witness and constants) in one chain: after the first fold the two folded
//! vectors are stacked into one, which is committed, queried and folded further until it is sent in the clear.

use alloc::vec::Vec;

/// Accepted parameter sets. Chosen by the verification key, never by a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Profile {
    /// Direct verification, at least 100 provable bits in total, BLAKE3, unique decoding.
    Direct100,
}

impl Profile {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct100 => "direct-100",
        }
    }

    /// Bits every query phase must reach, grinding included. Above 100 so that the sum of all errors stays below 2^-100.
    pub const fn query_phase_bits(self) -> u32 {
        match self {
            Self::Direct100 => 104,
        }
    }

    /// Proof-of-work bits before each query phase.
    pub const fn grinding_bits(self) -> u32 {
        match self {
            Self::Direct100 => 16,
        }
    }

    /// Bits below which no key of this profile is accepted.
    pub const fn security_floor(self) -> f64 {
        match self {
            Self::Direct100 => 100.0,
        }
    }
}

/// One committed oracle: a vector of `2^bits` elements as an interleaved Reed–Solomon codeword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oracle {
    /// log2 of the vector's length.
    pub bits: u32,
    /// log2 of the row width: variables folded before the next oracle.
    pub fold: u32,
    /// log2 of the inverse rate.
    pub log_inv_rate: u32,
    /// Queries to this oracle.
    pub queries: u32,
}

impl Oracle {
    const fn new(bits: u32, fold: u32, log_inv_rate: u32, query_bits: u32) -> Self {
        Self { bits, fold, log_inv_rate, queries: queries(log_inv_rate, query_bits) }
    }

    /// log2 of the number of rows (the domain of each interleaved codeword).
    pub const fn domain_bits(&self) -> u32 {
        self.bits - self.fold + self.log_inv_rate
    }
}

/// All oracles of an opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Witness commitment.
    pub witness: Oracle,
    /// Constants commitment.
    pub constants: Oracle,
    /// Folded oracles, in order.
    pub folded: Vec<Oracle>,
    /// log2 length of the vector sent in the clear.
    pub final_bits: u32,
    /// Grinding before each query phase.
    pub grinding_bits: u32,
}

/// Millibits of soundness per query under unique decoding, `-1000 log2((1 + rate) / 2)` rounded down, by log inverse
/// rate 1..=8; higher rates count as 8.
const MILLIBITS_PER_QUERY: [u32; 8] = [415, 678, 830, 912, 955, 977, 988, 994];

/// Millibits of soundness per query; see [`Schedule`].
pub const fn millibits_per_query(log_inv_rate: u32) -> u32 {
    let at = if log_inv_rate > 8 { 8 } else { log_inv_rate };
    match at {
        0 | 1 => MILLIBITS_PER_QUERY[0],
        2 => MILLIBITS_PER_QUERY[1],
        3 => MILLIBITS_PER_QUERY[2],
        4 => MILLIBITS_PER_QUERY[3],
        5 => MILLIBITS_PER_QUERY[4],
        6 => MILLIBITS_PER_QUERY[5],
        7 => MILLIBITS_PER_QUERY[6],
        _ => MILLIBITS_PER_QUERY[7],
    }
}

const fn queries(log_inv_rate: u32, bits: u32) -> u32 {
    (bits * 1000).div_ceil(millibits_per_query(log_inv_rate))
}

/// Variables of the vector sent in the clear (16 KiB) behind folded oracles. One more is sent rather than folded.
const FINAL_BITS: u32 = 10;
/// Commitments of this many variables are large: they are folded more before the first folded oracle, which therefore
/// stays cheap beside them.
const LARGE: u32 = 20;
/// From this many variables on they are folded still more: it takes bits of the proximity gaps, too.
const LARGEST: u32 = 24;
/// Variables folded between two folded oracles; one more before the vector in the clear, where that saves an oracle.
const STEP: u32 = 4;

impl Schedule {
    /// The schedule for commitments of `2^witness_bits` and `2^constant_bits` cells.
    pub fn new(profile: Profile, witness_bits: u32, constant_bits: u32) -> Self {
        let largest = if witness_bits > constant_bits { witness_bits } else { constant_bits };
        let grinding_bits = profile.grinding_bits();
        let bits = profile.query_phase_bits() - grinding_bits;
        let fold = match largest {
            LARGEST.. => 6,
            LARGE.. => 5,
            _ => 4,
        };
        let mut log_inv_rate = 2;
        let witness = Oracle::new(witness_bits, fold, 2, bits);
        let constants = Oracle::new(constant_bits, fold, if constant_bits >= LARGE { 2 } else { 3 }, bits);
        let mut remaining = largest - fold + 1;
        let mut folded = Vec::new();
        while remaining > FINAL_BITS + 1 {
            let step = if remaining - FINAL_BITS <= STEP + 1 { remaining - FINAL_BITS } else { STEP };
            folded.push(Oracle::new(remaining, step, log_inv_rate, bits));
            remaining -= step;
            log_inv_rate = 4;
        }
        Self { witness, constants, folded, final_bits: remaining, grinding_bits }
    }

    /// Variables of the first folded vector, which stacks both commitments.
    pub fn stacked_bits(&self) -> u32 {
        self.folded.first().map_or(self.final_bits, |o| o.bits)
    }

    /// Slot of an initial oracle's folded vector inside the stacked one: the larger at the front, the other at the
    /// middle (the witness in front on a tie).
    pub fn stack_offset(&self, constants: bool) -> u64 {
        let witness_first = self.witness.bits >= self.constants.bits;
        if constants == witness_first { 1u64 << (self.stacked_bits() - 1) } else { 0 }
    }

    /// Number of query phases.
    pub fn query_phases(&self) -> usize {
        self.folded.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millibits_are_lower_bounds() {
        for r in 1..=8u32 {
            let rate = libm::exp2(-f64::from(r));
            let exact = -libm::log2((1.0 + rate) / 2.0) * 1000.0;
            let stated = f64::from(millibits_per_query(r));
            assert!(stated <= exact && exact < stated + 1.0, "rate {r}: {stated} vs {exact}");
        }
    }

    #[test]
    fn folds_add_up() {
        for w in 8..26 {
            for c in 8..26 {
                let s = Schedule::new(Profile::Direct100, w, c);
                let mut bits = w.max(c) - s.witness.fold + 1;
                for o in &s.folded {
                    assert_eq!(o.bits, bits);
                    bits -= o.fold;
                }
                assert_eq!(bits, s.final_bits);
                assert_eq!(s.stack_offset(false) ^ s.stack_offset(true), 1 << (s.stacked_bits() - 1));
            }
        }
    }
}
