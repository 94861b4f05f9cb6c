//! The inference proof and its canonical encoding. Every count is fixed by the verification key; only the numbers of
//! opened rows and Merkle siblings depend on the transcript, and the verifier recomputes those.

use alloc::vec::Vec;

use crate::codec::{DecodeError, Reader, Writer};
use crate::field::{F, K};
use crate::hash::Digest;
use crate::schedule::{Oracle, Schedule};
use crate::system::{Layout, System};

/// One layer of the LogUp tree: the sumcheck and the four children at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogupLayer {
    /// Per round, the cubic without its linear coefficient's redundancy: values at 0, 2 and 3.
    pub rounds: Vec<[K; 3]>,
    /// Numerators and denominators of the two children: `p0, p1, q0, q1`.
    pub children: [K; 4],
}

/// The LogUp-GKR argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogupProof {
    /// Root denominator; the root numerator is zero.
    pub root_denominator: K,
    /// Layers, from the root down; layer i has i rounds.
    pub layers: Vec<LogupLayer>,
}

/// The batched sumcheck of all contractions and products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractionProof {
    /// Per round, the quadratic's values at 0 and 2.
    pub rounds: Vec<[K; 2]>,
    /// Per contraction, the weights' and the input's value at the end; then per product, its two factors' values.
    pub factors: Vec<[K; 2]>,
}

/// Opened rows of one oracle at the distinct queried positions, ascending, with one pruned Merkle proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedRows<T> {
    /// Rows.
    pub rows: Vec<Vec<T>>,
    /// Sibling digests, level by level from the leaves, left to right.
    pub siblings: Vec<Digest>,
}

/// One folded oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedOracle {
    /// Its Merkle root.
    pub root: Digest,
    /// Proof of work before the queries to the oracles before it.
    pub nonce: u64,
    /// Sumcheck rounds that fold it: values at 0 and 2.
    pub rounds: Vec<[K; 2]>,
    /// Rows queried after the next commitment.
    pub opened: OpenedRows<K>,
}

/// The opening of both commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningProof {
    /// Sumcheck rounds that fold the two commitments: values at 0 and 2.
    pub rounds: Vec<[K; 2]>,
    /// Opened witness rows.
    pub witness: OpenedRows<F>,
    /// Opened constants rows.
    pub constants: OpenedRows<F>,
    /// Folded oracles.
    pub folded: Vec<FoldedOracle>,
    /// The last folded vector, in the clear.
    pub final_vector: Vec<K>,
    /// Proof of work before the last queries.
    pub final_nonce: u64,
    /// Sumcheck rounds over the final vector.
    pub final_rounds: Vec<[K; 2]>,
}

/// An inference proof (without the statement it speaks of).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Root of the witness commitment.
    pub witness_root: Digest,
    /// Lookups.
    pub logup: LogupProof,
    /// Values of the claimed sources at the leaf point, instance by instance, then the explicit table columns and
    /// multiplicities, table by table.
    pub leaf_values: Vec<K>,
    /// Contractions.
    pub contractions: ContractionProof,
    /// Openings.
    pub opening: OpeningProof,
}

/// Counts that fix the shape of a proof; derived from the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofShape {
    /// Depth of the LogUp tree.
    pub leaf_bits: u32,
    /// Number of leaf values.
    pub leaf_values: usize,
    /// Rounds of the contraction sumcheck.
    pub contraction_rounds: usize,
    /// Number of contractions and products.
    pub contractions: usize,
    /// PCS schedule.
    pub schedule: Schedule,
}

impl ProofShape {
    /// Derives the shape.
    pub fn new(system: &System, layout: &Layout, schedule: Schedule) -> Self {
        let sources: usize = system
            .instances
            .iter()
            .map(|i| i.sources.iter().filter(|s| crate::functional::source_is_claimed(s)).count())
            .sum();
        let tables: usize = system
            .tables
            .iter()
            .map(|t| match &t.rows {
                crate::system::TableRows::Columns { columns } => columns.len() + 1,
                _ => 1,
            })
            .sum();
        let rounds = system.bilinear_rounds();
        Self {
            leaf_bits: layout.leaf_bits,
            leaf_values: sources + tables,
            contraction_rounds: rounds as usize,
            contractions: system.contractions.len() + system.products.len(),
            schedule,
        }
    }
}

impl Proof {
    /// Whether every count is the one the shape fixes (opened rows excepted: the opening checks those).
    pub fn has_shape(&self, shape: &ProofShape) -> bool {
        let Self { witness_root: _, logup, leaf_values, contractions, opening } = self;
        let s = &shape.schedule;
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        logup.layers.len() == size(shape.leaf_bits)
            && logup.layers.iter().enumerate().all(|(depth, l)| l.rounds.len() == depth)
            && leaf_values.len() == shape.leaf_values
            && contractions.rounds.len() == shape.contraction_rounds
            && contractions.factors.len() == shape.contractions
            && opening.rounds.len() == size(s.witness.fold)
            && opening.folded.len() == s.folded.len()
            && opening.folded.iter().zip(&s.folded).all(|(f, o)| f.rounds.len() == size(o.fold))
            && Some(opening.final_vector.len()) == 1usize.checked_shl(s.final_bits)
            && opening.final_rounds.len() == size(s.final_bits)
    }
}

fn put_rounds<const N: usize>(w: &mut Writer, rounds: &[[K; N]]) {
    for v in rounds.iter().flatten() {
        w.ext(*v);
    }
}

fn take_array<const N: usize>(r: &mut Reader<'_>) -> Result<[K; N], DecodeError> {
    let values = r.many(N, |r| r.ext())?;
    values.try_into().map_err(|_| DecodeError::Truncated)
}

fn take_rounds<const N: usize>(r: &mut Reader<'_>, n: usize) -> Result<Vec<[K; N]>, DecodeError> {
    r.many(n, |r| take_array(r))
}

fn put_opened<T: Copy>(w: &mut Writer, opened: &OpenedRows<T>, put: impl Fn(&mut Writer, T)) {
    w.count(opened.rows.len());
    for v in opened.rows.iter().flatten() {
        put(w, *v);
    }
    w.count(opened.siblings.len());
    for s in &opened.siblings {
        w.bytes(s);
    }
}

fn take_opened<T>(
    r: &mut Reader<'_>,
    oracle: &Oracle,
    take: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<OpenedRows<T>, DecodeError> {
    let rows = r.count(u64::from(oracle.queries))?;
    let rows = r.many(rows, |r| r.many(1 << oracle.fold, |r| take(r)))?;
    let siblings = r.count(u64::from(oracle.queries).saturating_mul(u64::from(oracle.domain_bits())))?;
    let siblings = r.many(siblings, |r| r.digest())?;
    Ok(OpenedRows { rows, siblings })
}

impl Proof {
    /// Canonical bytes.
    pub fn encode(&self, w: &mut Writer) {
        let Self { witness_root, logup, leaf_values, contractions, opening } = self;
        w.bytes(witness_root);
        let LogupProof { root_denominator, layers } = logup;
        w.ext(*root_denominator);
        for LogupLayer { rounds, children } in layers {
            put_rounds(w, rounds);
            put_rounds(w, core::slice::from_ref(children));
        }
        for v in leaf_values {
            w.ext(*v);
        }
        let ContractionProof { rounds, factors } = contractions;
        put_rounds(w, rounds);
        put_rounds(w, factors);
        let OpeningProof { rounds, witness, constants, folded, final_vector, final_nonce, final_rounds } = opening;
        put_rounds(w, rounds);
        put_opened(w, witness, Writer::base);
        put_opened(w, constants, Writer::base);
        for FoldedOracle { root, nonce, rounds, opened } in folded {
            w.bytes(root);
            w.u64(*nonce);
            put_rounds(w, rounds);
            put_opened(w, opened, Writer::ext);
        }
        for v in final_vector {
            w.ext(*v);
        }
        w.u64(*final_nonce);
        put_rounds(w, final_rounds);
    }

    /// Decodes a proof of the given shape.
    ///
    /// # Errors
    /// [`DecodeError`] on any deviation; no allocation exceeds the input's length by more than a constant factor.
    pub fn decode(r: &mut Reader<'_>, shape: &ProofShape) -> Result<Self, DecodeError> {
        let witness_root = r.digest()?;
        let root_denominator = r.ext()?;
        let mut layers = Vec::new();
        for depth in 0..shape.leaf_bits {
            layers.push(LogupLayer { rounds: take_rounds(r, depth as usize)?, children: take_array(r)? });
        }
        let leaf_values = r.many(shape.leaf_values, |r| r.ext())?;
        let contractions = ContractionProof {
            rounds: take_rounds(r, shape.contraction_rounds)?,
            factors: take_rounds(r, shape.contractions)?,
        };
        let s = &shape.schedule;
        let rounds = take_rounds(r, s.witness.fold as usize)?;
        let witness = take_opened(r, &s.witness, |r| r.base())?;
        let constants = take_opened(r, &s.constants, |r| r.base())?;
        let mut folded = Vec::new();
        for oracle in &s.folded {
            folded.push(FoldedOracle {
                root: r.digest()?,
                nonce: r.u64()?,
                rounds: take_rounds(r, oracle.fold as usize)?,
                opened: take_opened(r, oracle, |r| r.ext())?,
            });
        }
        let final_vector = r.many(1usize << s.final_bits, |r| r.ext())?;
        let final_nonce = r.u64()?;
        let final_rounds = take_rounds(r, s.final_bits as usize)?;
        let opening = OpeningProof { rounds, witness, constants, folded, final_vector, final_nonce, final_rounds };
        Ok(Self { witness_root, logup: LogupProof { root_denominator, layers }, leaf_values, contractions, opening })
    }
}
