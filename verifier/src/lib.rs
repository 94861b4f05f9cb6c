//! Verifies that the output in a proof is what a model computes on the input in the proof.
//!
//! A proof is checked against a [`VerifyingKey`]: lookups by a LogUp-GKR argument, contractions by one batched
//! sumcheck, and everything they claim about committed columns by one WHIR opening of both commitments.
//! `circuits/PROTOCOL.md` in the repository is the specification.
//!
//! | module | checks |
//! |---|---|
//! | `public` | public tensors: range, binding, evaluation |
//! | `logup` | the tree of fractions, from the root to the leaves |
//! | `leaves` | leaf claims against source values and tables |
//! | `contractions` | contraction claims against weights and inputs |
//! | `opening` | every remaining claim against the two commitments |
//!
//! The crate depends on `vinfer-circuits` only, never on prover or compiler. It is `no_std + alloc`, has no unsafe code
//! and returns a typed error on any bytes.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]
extern crate alloc;

mod context;
mod contractions;
mod error;
mod leaves;
mod logup;
mod merkle;
mod opening;
mod public;
mod sumcheck;
mod tables;
mod transcript;

use alloc::vec::Vec;

pub use error::{OracleId, RejectReason, VerifyError};
pub use transcript::seed_transcript;
pub use vinfer_circuits::statement::{KeyError, VerifyingKey};

use context::{Context, NativeContext};
use vinfer_circuits::codec::Reader;
use vinfer_circuits::field::K;
use vinfer_circuits::functional::EvaluationClaim;
use vinfer_circuits::proof::{Proof, ProofShape};
use vinfer_circuits::schedule::Schedule;
use vinfer_circuits::soundness::Budget;
use vinfer_circuits::statement::{Statement, centred_tensor, raw_tensor};
use vinfer_circuits::system::{Home, Layout, PublicPort};

/// What the caller demands of the statement; `None` accepts whatever the proof speaks of.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Centred input tensors, one per input port.
    pub inputs: Option<Vec<Vec<i32>>>,
    /// Centred output tensors, one per output port.
    pub outputs: Option<Vec<Vec<i32>>>,
    /// Context bytes.
    pub context: Option<[u8; 32]>,
}

/// An accepted statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Statement digest.
    pub statement: [u8; 32],
    /// Digest of the verification key.
    pub key_digest: [u8; 32],
    /// Centred input tensors.
    pub inputs: Vec<Vec<i32>>,
    /// Centred output tensors.
    pub outputs: Vec<Vec<i32>>,
    /// Context bytes.
    pub context: [u8; 32],
    /// Provable bits: `-log2` of the summed error terms.
    pub security_bits: f64,
    /// Proof-of-work bits contained in `security_bits` (per query phase).
    pub grinding_bits: u32,
}

/// A key prepared for verification: decoded, validated, with derived layout, schedule and budget.
#[derive(Debug, Clone)]
pub struct PreparedKey {
    key: VerifyingKey,
    digest: [u8; 32],
    layout: Layout,
    schedule: Schedule,
    shape: ProofShape,
    budget: Budget,
}

impl PreparedKey {
    /// Decodes a key file and derives everything that does not depend on a proof.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are not a valid key or its parameters miss the profile's provable bits.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::new(VerifyingKey::from_bytes(bytes)?)
    }

    /// Prepares a key.
    ///
    /// # Errors
    /// [`KeyError::System`] for an invalid system, [`KeyError::Security`] when the parameters miss the profile's provable
    /// bits.
    pub fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        key.system.validate()?;
        let layout = Layout::new(&key.system);
        let schedule = Schedule::new(key.profile, layout.witness_bits, layout.constant_bits);
        let budget = Budget::new(&key.system, &layout, &schedule);
        let bits = budget.total_bits();
        if bits < key.profile.security_floor() {
            return Err(KeyError::Security {
                bits,
                profile: key.profile.name(),
                required: key.profile.security_floor(),
            });
        }
        let shape = ProofShape::new(&key.system, &layout, schedule.clone());
        let digest = key.digest();
        Ok(Self { key, digest, layout, schedule, shape, budget })
    }

    /// The key.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Digest of the key file.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The derived layout.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The derived schedule.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The derived proof shape.
    pub const fn shape(&self) -> &ProofShape {
        &self.shape
    }

    /// The soundness budget.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Verifies a proof file; see [`verify`].
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, proof_file: &[u8], expected: &Expected) -> Result<Verified, VerifyError> {
        // 1. The file is of this key and decodes canonically, to the last byte.
        if Statement::peek_key_digest(proof_file)? != self.digest {
            return Err(VerifyError::WrongKey);
        }
        let mut reader = Reader::new(proof_file);
        let statement = Statement::decode(&mut reader, &self.key.system)?;
        let proof = Proof::decode(&mut reader, &self.shape)?;
        reader.finish()?;
        // 2. The statement is what the caller expects.
        self.check_expected(&statement, expected)?;
        // 3. The proof shows the statement.
        let digest = self.verify_proof(&statement, &proof)?;
        let centred = |ports: &[PublicPort], raw: &[Vec<u8>]| {
            ports.iter().zip(raw).map(|(p, t)| centred_tensor(t, p).unwrap_or_default()).collect()
        };
        Ok(Verified {
            statement: digest,
            key_digest: self.digest,
            inputs: centred(&self.key.system.inputs, &statement.inputs),
            outputs: centred(&self.key.system.outputs, &statement.outputs),
            context: statement.context,
            security_bits: self.budget.total_bits(),
            grinding_bits: self.budget.grinding_bits,
        })
    }

    fn check_expected(&self, statement: &Statement, expected: &Expected) -> Result<(), VerifyError> {
        let raw = |what: &'static str, ports: &[PublicPort], tensors: &[Vec<i32>]| {
            if ports.len() != tensors.len() {
                return Err(VerifyError::Expectation { what });
            }
            ports
                .iter()
                .zip(tensors)
                .map(|(port, tensor)| {
                    if u64::try_from(tensor.len()).ok() != Some(port.len()) {
                        return Err(VerifyError::Expectation { what });
                    }
                    raw_tensor(tensor, port).ok_or(VerifyError::Expectation { what })
                })
                .collect::<Result<Vec<Vec<u8>>, VerifyError>>()
        };
        if let Some(inputs) = &expected.inputs
            && raw("input", &self.key.system.inputs, inputs)? != statement.inputs
        {
            return Err(RejectReason::InputMismatch.into());
        }
        if let Some(outputs) = &expected.outputs
            && raw("output", &self.key.system.outputs, outputs)? != statement.outputs
        {
            return Err(RejectReason::OutputMismatch.into());
        }
        if expected.context.is_some_and(|c| c != statement.context) {
            return Err(RejectReason::ContextMismatch.into());
        }
        Ok(())
    }

    /// The proof system itself: does `proof` show `statement`? Returns the statement digest.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify_proof(&self, statement: &Statement, proof: &Proof) -> Result<[u8; 32], RejectReason> {
        let system = &self.key.system;
        // 0. Every count is fixed by the key, whoever built the proof.
        if !proof.has_shape(&self.shape)
            || statement.key_digest != self.digest
            || statement.inputs.len() != system.inputs.len()
            || statement.outputs.len() != system.outputs.len()
        {
            return Err(RejectReason::Shape);
        }
        // 1. Public tensors are in range and consistent, and select rows that exist.
        let public = public::bind(system, statement)?;
        let selected = system.select(&public::inputs(system, statement)?);
        let system = &*selected.ok_or(RejectReason::Selection)?;
        // 2. Everything fixed so far enters the transcript before the first challenge.
        let digest = statement.digest(self.key.profile);
        let transcript = seed_transcript(&self.key, &self.digest, &digest, &proof.witness_root);
        let mut ctx = NativeContext { transcript };
        // 3. Lookups, down to the leaves.
        let beta = ctx.challenge("lookup beta");
        let alpha = ctx.challenge("lookup alpha");
        let leaf_claims = logup::verify(&mut ctx, &proof.logup)?;
        // 4. The leaves, down to sources.
        let values = ctx.receive("leaf values", &proof.leaf_values);
        let fingerprint = leaves::Fingerprint { alpha, beta };
        let obligations = leaves::verify(&ctx, system, &self.layout, &fingerprint, &leaf_claims, &values)?;
        // 5. Contractions, down to columns.
        let mut claims: Vec<EvaluationClaim<K>> = obligations.claims;
        let more =
            contractions::verify(&mut ctx, system, &leaf_claims.point, &obligations.contractions, &proof.contractions)?;
        claims.extend(more);
        // 6. Claims on public columns are checked directly, all others by the opening.
        let mut committed = Vec::with_capacity(claims.len());
        for (index, claim) in claims.into_iter().enumerate() {
            let id = usize::try_from(claim.functional.column).unwrap_or(usize::MAX);
            if system.columns.get(id).is_some_and(|c| c.home == Home::Public) {
                public::check(&ctx, system, &public, &claim, RejectReason::PublicClaim { claim: index })?;
            } else {
                committed.push(claim);
            }
        }
        let input = opening::OpeningClaims {
            system,
            layout: &self.layout,
            claims: &committed,
            witness_root: &proof.witness_root,
            constants_root: &self.key.constants_root,
        };
        opening::discharge(&mut ctx, &self.schedule, &input, &proof.opening)?;
        Ok(digest)
    }
}

/// Verifies a proof file against a key file.
///
/// # Errors
/// [`VerifyError`] distinguishes unreadable keys and proofs, a proof for another key, and a false proof.
///
/// # Soundness
/// Nothing is left to the caller but to trust the key, and to compare the statement with what it expects (or pass it in
/// `expected`).
pub fn verify(key_file: &[u8], proof_file: &[u8], expected: &Expected) -> Result<Verified, VerifyError> {
    PreparedKey::from_bytes(key_file)?.verify(proof_file, expected)
}
