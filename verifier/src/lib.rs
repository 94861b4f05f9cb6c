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
use vinfer_circuits::program::batch::slice;
use vinfer_circuits::proof::{Proof, ProofShape};
use vinfer_circuits::schedule::Schedule;
use vinfer_circuits::soundness::Budget;
use vinfer_circuits::statement::{Statement, centred_tensor, raw_tensor};
use vinfer_circuits::system::{Home, Layout, PublicPort, System};

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
    /// Number of inferences: the tensors hold their samples one after the other.
    pub batch: u32,
    /// Digest of each inference.
    pub inferences: Vec<[u8; 32]>,
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
    /// [`KeyError::System`] for an invalid system, [`KeyError::Batch`] for a batch that its ports do not have,
    /// [`KeyError::Security`] when the parameters miss the profile's provable bits.
    pub fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        key.system.validate()?;
        key.check_batch()?;
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

    /// Verifies a proof file; see [`verify`]. The tensors expected of a batch hold its samples one after the other.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, proof_file: &[u8], expected: &Expected) -> Result<Verified, VerifyError> {
        let (statement, proof) = self.open(proof_file)?;
        check_context(&statement, expected)?;
        let wanted = Wanted::new(&self.key.system, expected, 1)?;
        wanted.check(&statement, 0, 1)?;
        self.accept(&statement, &proof)
    }

    /// Verifies a proof file, and that one inference of its batch is the expected one: that at `index`, or any if `index`
    /// is `None`. The expected tensors are those of one sample. Returns the position too.
    ///
    /// # Errors
    /// [`VerifyError`]; [`RejectReason::InputMismatch`] if no inference has the input, [`RejectReason::OutputMismatch`] if
    /// none of those that have it has the output.
    pub fn verify_inference(
        &self,
        proof_file: &[u8],
        expected: &Expected,
        index: Option<u32>,
    ) -> Result<(Verified, u32), VerifyError> {
        let batch = self.key.batch;
        if index.is_some_and(|index| index >= batch) {
            return Err(VerifyError::Expectation { what: "position in the batch" });
        }
        let (statement, proof) = self.open(proof_file)?;
        check_context(&statement, expected)?;
        let wanted = Wanted::new(&self.key.system, expected, batch)?;
        let candidates = index.map_or(0..batch, |index| index..index.saturating_add(1));
        let mut reason = RejectReason::InputMismatch;
        for at in candidates {
            match wanted.check(&statement, at, batch) {
                Ok(()) => return Ok((self.accept(&statement, &proof)?, at)),
                Err(RejectReason::OutputMismatch) => reason = RejectReason::OutputMismatch,
                Err(_) => {}
            }
        }
        Err(reason.into())
    }

    /// Statement and proof of a file that is of this key and decodes canonically, to the last byte.
    fn open(&self, proof_file: &[u8]) -> Result<(Statement, Proof), VerifyError> {
        if Statement::peek_key_digest(proof_file)? != self.digest {
            return Err(VerifyError::WrongKey);
        }
        let mut reader = Reader::new(proof_file);
        let statement = Statement::decode(&mut reader, &self.key.system)?;
        let proof = Proof::decode(&mut reader, &self.shape)?;
        reader.finish()?;
        Ok((statement, proof))
    }

    /// The accepted statement, if the proof shows it.
    fn accept(&self, statement: &Statement, proof: &Proof) -> Result<Verified, VerifyError> {
        let digest = self.verify_proof(statement, proof)?;
        let centred = |ports: &[PublicPort], raw: &[Vec<u8>]| {
            ports.iter().zip(raw).map(|(p, t)| centred_tensor(t, p).unwrap_or_default()).collect()
        };
        Ok(Verified {
            statement: digest,
            key_digest: self.digest,
            inputs: centred(&self.key.system.inputs, &statement.inputs),
            outputs: centred(&self.key.system.outputs, &statement.outputs),
            batch: self.key.batch,
            inferences: statement.inferences(&self.key),
            context: statement.context,
            security_bits: self.budget.total_bits(),
            grinding_bits: self.budget.grinding_bits,
        })
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
        let digest = statement.digest(&self.key);
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

fn check_context(statement: &Statement, expected: &Expected) -> Result<(), RejectReason> {
    let same = expected.context.is_none_or(|context| context == statement.context);
    if same { Ok(()) } else { Err(RejectReason::ContextMismatch) }
}

/// The raw tensors that a caller expects.
struct Wanted {
    inputs: Option<Vec<Vec<u8>>>,
    outputs: Option<Vec<Vec<u8>>>,
}

impl Wanted {
    /// `parts` is the number of such tensors in a tensor of the statement.
    fn new(system: &System, expected: &Expected, parts: u32) -> Result<Self, VerifyError> {
        let raw = |what: &'static str, ports: &[PublicPort], tensors: &Option<Vec<Vec<i32>>>| {
            let misfit = VerifyError::Expectation { what };
            let Some(tensors) = tensors else { return Ok(None) };
            if ports.len() != tensors.len() {
                return Err(misfit);
            }
            let one = |(port, tensor): (&PublicPort, &Vec<i32>)| {
                let len = u64::try_from(tensor.len()).ok()?.checked_mul(u64::from(parts))?;
                if len == port.len() { raw_tensor(tensor, port) } else { None }
            };
            ports.iter().zip(tensors).map(one).collect::<Option<Vec<_>>>().map(Some).ok_or(misfit)
        };
        Ok(Self {
            inputs: raw("input", &system.inputs, &expected.inputs)?,
            outputs: raw("output", &system.outputs, &expected.outputs)?,
        })
    }

    /// Whether part `at` of every tensor is the wanted one.
    fn check(&self, statement: &Statement, at: u32, parts: u32) -> Result<(), RejectReason> {
        let same = |wanted: &Option<Vec<Vec<u8>>>, tensors: &[Vec<u8>]| {
            let part = |(want, tensor): (&Vec<u8>, &Vec<u8>)| slice(tensor, at, parts) == want.as_slice();
            wanted.as_ref().is_none_or(|wanted| wanted.iter().zip(tensors).all(part))
        };
        if !same(&self.inputs, &statement.inputs) {
            return Err(RejectReason::InputMismatch);
        }
        if same(&self.outputs, &statement.outputs) { Ok(()) } else { Err(RejectReason::OutputMismatch) }
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
