//! Any bytes: every truncation, byte flips, non-canonical elements, wrong counts, trailing bytes and garbage give a typed
//! error, and nothing but the proof itself is accepted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)]
#![allow(clippy::panic)]

mod common;

use common::honest::{Honest, encode};
use common::manifest::{Field, Site, visit};
use common::tiny::Rng;
use common::tiny_honest;
use vinfer_circuits::codec::DecodeError;
use vinfer_circuits::field::{F, K, MODULUS};
use vinfer_circuits::hash::Digest;
use vinfer_circuits::proof::Proof;
use vinfer_circuits::statement::KeyError;
use vinfer_verifier::{Expected, PreparedKey, VerifyError, verify};

struct Small {
    honest: Honest,
    proof: Proof,
    file: Vec<u8>,
    /// Where the proof starts, behind the statement.
    start: usize,
}

fn small(name: &str) -> Small {
    let honest = tiny_honest(name, 61);
    let proof = honest.proof();
    let file = encode(&honest.statement, &proof);
    let tensors = honest.statement.inputs.iter().chain(&honest.statement.outputs);
    let start = 8 + 32 + 32 + tensors.map(Vec::len).sum::<usize>();
    Small { honest, proof, file, start }
}

impl Small {
    fn verify(&self, file: &[u8]) -> Result<(), VerifyError> {
        self.honest.verifier.verify(file, &Expected::default()).map(|_| ())
    }
}

/// What a range of a proof file is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Base,
    Word,
    Digest,
    Count { max: u64 },
}

/// The parts of a proof file, in order, as `(offset, part)`.
fn parts(small: &Small) -> Vec<(usize, Part)> {
    let schedule = small.honest.verifier.schedule();
    let (mut out, mut at) = (Vec::new(), small.start);
    let mut push = |part: Part| {
        out.push((at, part));
        at += match part {
            Part::Base | Part::Word => 8,
            Part::Digest => 32,
            Part::Count { .. } => 4,
        };
    };
    visit(&mut small.proof.clone(), &mut |site: Site, field: &mut dyn Field| {
        let value = field.snapshot();
        let oracle = || match site.name.split('.').nth(1) {
            Some("witness") => schedule.witness,
            Some("constants") => schedule.constants,
            _ => schedule.folded[site.at[0]],
        };
        if site.name.ends_with(".rows") {
            push(Part::Count { max: oracle().queries.into() });
        } else if site.name.ends_with(".siblings") {
            push(Part::Count { max: u64::from(oracle().queries) * u64::from(oracle().domain_bits()) });
        } else if value.is::<K>() {
            push(Part::Base);
            push(Part::Base);
        } else if value.is::<F>() {
            push(Part::Base);
        } else if value.is::<u64>() {
            push(Part::Word);
        } else if value.is::<Digest>() {
            push(Part::Digest);
        }
    });
    assert_eq!(at, small.file.len());
    out
}

#[test]
fn every_truncation_of_a_proof() {
    let small = small("contract parity");
    assert_eq!(small.verify(&small.file), Ok(()));
    for len in 0..small.file.len() {
        let expected = VerifyError::Proof(DecodeError::Truncated);
        assert_eq!(small.verify(&small.file[..len]), Err(expected), "length {len}");
    }
}

#[test]
fn trailing_bytes() {
    let small = small("contract parity");
    for extra in [1, 2, 8, 32, 4096] {
        let mut file = small.file.clone();
        file.extend(vec![0; extra]);
        assert_eq!(small.verify(&file), Err(VerifyError::Proof(DecodeError::Trailing)));
    }
}

#[test]
fn flipped_bytes_of_a_proof() {
    let small = small("contract mixed");
    for at in (0..small.file.len()).filter(|at| *at < 4096 || at % 7 == 0) {
        let mut file = small.file.clone();
        file[at] ^= 1 << (at % 8);
        let result = small.verify(&file);
        match at {
            0..8 => assert_eq!(result, Err(VerifyError::Proof(DecodeError::Magic))),
            8..40 => assert_eq!(result, Err(VerifyError::WrongKey)),
            _ if at < small.start => assert!(matches!(result, Err(VerifyError::Rejected(_))), "byte {at}"),
            _ => assert!(matches!(result, Err(VerifyError::Rejected(_) | VerifyError::Proof(_))), "byte {at}"),
        }
    }
}

#[test]
fn non_canonical_elements() {
    let small = small("contract parity");
    let mut file = small.file.clone();
    let (mut elements, mut aliases) = (0, 0);
    for (at, part) in parts(&small) {
        if part != Part::Base {
            continue;
        }
        elements += 1;
        let original: [u8; 8] = file[at..at + 8].try_into().unwrap();
        // The same element plus p where that fits, else the smallest and largest non-canonical words.
        let alias = u64::from_le_bytes(original).checked_add(MODULUS);
        aliases += usize::from(alias.is_some());
        let words = alias.map_or(vec![MODULUS, u64::MAX], |a| vec![a]);
        for word in words {
            file[at..at + 8].copy_from_slice(&word.to_le_bytes());
            let expected = VerifyError::Proof(DecodeError::NonCanonical);
            assert_eq!(small.verify(&file), Err(expected), "offset {at}");
        }
        file[at..at + 8].copy_from_slice(&original);
    }
    assert!(elements > 2000 && aliases > 0, "{elements} elements, {aliases} with an alias");
    assert_eq!(small.verify(&file), Ok(()));
}

#[test]
fn counts() {
    let small = small("contract parity");
    let mut seen = 0;
    for (at, part) in parts(&small) {
        let Part::Count { max } = part else { continue };
        seen += 1;
        for got in [max + 1, u64::from(u32::MAX)] {
            let mut file = small.file.clone();
            file[at..at + 4].copy_from_slice(&(got as u32).to_le_bytes());
            assert_eq!(small.verify(&file), Err(VerifyError::Proof(DecodeError::Count { got, max })));
        }
        for count in [0u32, 1, max as u32] {
            let mut file = small.file.clone();
            file[at..at + 4].copy_from_slice(&count.to_le_bytes());
            assert!(file == small.file || matches!(small.verify(&file), Err(VerifyError::Proof(_))));
        }
    }
    assert_eq!(seen, 2 * (2 + small.proof.opening.folded.len()));
}

#[test]
fn damaged_keys() {
    let small = small("contract mixed");
    let vk = &small.honest.vk;
    let prepare = |bytes: &[u8]| PreparedKey::from_bytes(bytes).map(|_| ());
    assert_eq!(prepare(vk), Ok(()));
    let expected = |at: usize| if at < 8 { KeyError::Magic } else { KeyError::Checksum };
    for at in 0..vk.len() {
        assert_eq!(prepare(&vk[..at]), Err(expected(at)), "length {at}");
        for bit in 0..8 {
            let mut damaged = vk.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(prepare(&damaged), Err(expected(at)), "byte {at}");
        }
    }
    let mut long = vk.clone();
    long.push(0);
    assert_eq!(prepare(&long), Err(KeyError::Checksum));
}

/// A key file with another body and a valid checksum.
fn rehashed(vk: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = vk[40..].to_vec();
    change(&mut body);
    [&vk[..8], blake3::hash(&body).as_bytes(), &body].concat()
}

#[test]
fn hostile_keys_with_a_valid_checksum() {
    let (mut accepted_keys, mut refused) = (0, 0);
    for name in ["contract mixed", "conv grouped", "max pool", "add table"] {
        let small = small(name);
        let vk = &small.honest.vk;
        assert_eq!(rehashed(vk, |_| ()), *vk);
        let mut judge = |what: String, bytes: Vec<u8>| {
            if bytes == *vk {
                return;
            }
            match PreparedKey::from_bytes(&bytes) {
                Err(error) => {
                    assert!(!matches!(error, KeyError::Magic | KeyError::Checksum), "{what}: {error}");
                    refused += 1;
                }
                Ok(key) => {
                    accepted_keys += 1;
                    // Only one encoding of each key.
                    assert!(key.key().to_bytes() == bytes, "{what}");
                    assert_ne!(key.digest(), small.honest.verifier.digest(), "{what}");
                    let result = key.verify(&small.file, &Expected::default());
                    assert_eq!(result, Err(VerifyError::WrongKey), "{what}");
                    let mut relabelled = small.file.clone();
                    relabelled[8..40].copy_from_slice(&key.digest());
                    assert!(key.verify(&relabelled, &Expected::default()).is_err(), "{what}");
                }
            }
        };
        for at in 0..vk.len() - 40 {
            for bit in 0..8 {
                judge(format!("{name}: byte {at} bit {bit}"), rehashed(vk, |body| body[at] ^= 1 << bit));
            }
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                judge(format!("{name}: byte {at} = {value}"), rehashed(vk, |body| body[at] = value));
            }
            judge(format!("{name}: byte {at} removed"), rehashed(vk, |body| body.drain(at..=at).for_each(drop)));
            judge(format!("{name}: length {at}"), rehashed(vk, |body| body.truncate(at)));
        }
        judge(format!("{name}: trailing"), rehashed(vk, |body| body.push(0)));
        let mut rng = Rng::new(7);
        for round in 0..2000 {
            let bytes = rehashed(vk, |body| {
                for _ in 0..3 {
                    let at = rng.clone().range(0, body.len() as i64 - 1) as usize;
                    body[at] = body[at].wrapping_add((round % 251) as u8 + 1);
                }
            });
            rng.next();
            judge(format!("{name}: random {round}"), bytes);
        }
    }
    assert!(accepted_keys > 100 && refused > 1000, "{accepted_keys} keys, {refused} refused");
}

#[test]
fn garbage() {
    let small = small("lookup");
    let mut rng = Rng::new(11);
    for len in [0usize, 1, 7, 8, 39, 40, 71, 72, 100, 1000, 10_000, 100_000] {
        for _ in 0..20 {
            let noise: Vec<u8> = (0..len).map(|_| (rng.next() >> 24) as u8).collect();
            assert!(small.verify(&noise).is_err());
            assert!(verify(&noise, &small.file, &Expected::default()).is_err());
            // Noise behind valid heads.
            for head in [8, 40, small.start] {
                let file = [&small.file[..head], &noise].concat();
                assert!(small.verify(&file).is_err());
            }
            let key = [&small.honest.vk[..8], blake3::hash(&noise).as_bytes(), &noise].concat();
            assert!(PreparedKey::from_bytes(&key).is_err());
        }
    }
    // All zeros and all ones behind a valid head, at the right length.
    for fill in [0, 0xff] {
        let mut file = small.file.clone();
        file[small.start..].fill(fill);
        assert!(matches!(small.verify(&file), Err(VerifyError::Rejected(_) | VerifyError::Proof(_))));
    }
}
