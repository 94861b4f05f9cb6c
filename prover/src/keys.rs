//! Setup: the verification key and the proving key of a program.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use vinfer_circuits::codec::{DecodeError, Reader};
use vinfer_circuits::field::F;
use vinfer_circuits::lower::{LowerError, Lowered, Widths, lower, lower_with};
use vinfer_circuits::program::{self, Program, ProgramError, ProgramFileError};
use vinfer_circuits::schedule::{Profile, Schedule};
use vinfer_circuits::statement::{KeyError, VerifyingKey};
use vinfer_circuits::system::{Layout, System, domain_bits};
use vinfer_verifier::PreparedKey;

use crate::commit::{Committed, commit_base};
use crate::merkle::MerkleTree;

/// Why a program has no key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// The program is not valid.
    #[error("program is not valid: {0}")]
    Program(#[from] ProgramError),
    /// The program cannot be expressed.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The parameters miss the provable bits.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why bytes are not a proving key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProvingKeyError {
    /// Foreign file or version.
    #[error("not a vinfer proving key; run `vinfer setup`")]
    Magic,
    /// Truncated or damaged.
    #[error("proving key is truncated or damaged; run `vinfer setup` again")]
    Damaged,
    /// The embedded program is damaged.
    #[error("proving key: {0}")]
    Program(#[from] ProgramFileError),
    /// The embedded program cannot be set up.
    #[error("proving key: {0}")]
    Setup(#[from] SetupError),
    /// The key's commitment is not that of its program.
    #[error("proving key does not belong to the verification key it names; run `vinfer setup` again")]
    Mismatch,
}

/// Everything a prover needs for one model.
#[derive(Debug)]
pub struct ProvingKey {
    pub(crate) program: Program,
    pub(crate) lowered: Lowered,
    pub(crate) key: PreparedKey,
    /// Cells of each constant column, row-major over real indices; empty for other columns.
    pub(crate) constant_columns: Vec<Vec<F>>,
    /// The constants vector.
    pub(crate) constants: Vec<F>,
    /// Its codeword and tree.
    pub(crate) committed: Committed<F>,
}

const MAGIC: &[u8; 8] = b"VINFERK1";

/// Derives the keys of a program. Deterministic.
///
/// # Errors
/// [`SetupError`].
pub fn setup(program: &Program) -> Result<(ProvingKey, Vec<u8>), SetupError> {
    program.validate()?;
    let key = ProvingKey::new(program.clone(), lower(program)?, None)?;
    let vk = key.key.key().to_bytes();
    Ok((key, vk))
}

impl ProvingKey {
    /// `program` is validated, `lowered` its lowering.
    fn new(program: Program, mut lowered: Lowered, committed: Option<Committed<F>>) -> Result<Self, SetupError> {
        let system = &lowered.system;
        let mut constants = vec![F::ZERO; 1 << lowered.layout.constant_bits];
        let mut constant_columns = vec![Vec::new(); system.columns.len()];
        for (column, cells) in std::mem::take(&mut lowered.constants) {
            place(system, &lowered.layout, column as usize, &cells, &mut constants);
            constant_columns[column as usize] = cells;
        }
        let schedule = Schedule::new(Profile::Direct100, lowered.layout.witness_bits, lowered.layout.constant_bits);
        let committed = committed.unwrap_or_else(|| commit_base(&constants, &schedule.constants));
        let key = PreparedKey::new(VerifyingKey {
            profile: Profile::Direct100,
            program_digest: *blake3::hash(&program::to_bytes(&program)).as_bytes(),
            constants_root: committed.tree.root(),
            system: lowered.system.clone(),
        })?;
        Ok(Self { program, lowered, key, constant_columns, constants, committed })
    }

    /// The program.
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// The verification key, prepared.
    pub const fn verifying_key(&self) -> &PreparedKey {
        &self.key
    }

    /// The lowered program: system, layout and witness plan.
    pub const fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// File bytes: magic, checksum of the rest, table widths, section lengths, program, tree, codeword.
    pub fn to_bytes(&self) -> Vec<u8> {
        let program = program::to_bytes(&self.program);
        let tree = self.committed.tree.to_bytes();
        let mut out = Vec::with_capacity(program.len() + tree.len() + self.committed.codeword.len() * 8 + 66);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0u8; 32]);
        out.extend_from_slice(&[self.lowered.widths.limb, self.lowered.widths.clamp]);
        for len in [program.len(), tree.len(), self.committed.codeword.len()] {
            out.extend_from_slice(&(len as u64).to_le_bytes());
        }
        out.extend_from_slice(&program);
        out.extend_from_slice(&tree);
        for v in &self.committed.codeword {
            out.extend_from_slice(&v.as_canonical_u64().to_le_bytes());
        }
        let checksum = *blake3::hash(&out[40..]).as_bytes();
        out[8..40].copy_from_slice(&checksum);
        out
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`ProvingKeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProvingKeyError> {
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(ProvingKeyError::Magic)?;
        let (checksum, body) = rest.split_at_checked(32).ok_or(ProvingKeyError::Damaged)?;
        if blake3::hash(body).as_bytes() != checksum {
            return Err(ProvingKeyError::Damaged);
        }
        let mut reader = Reader::new(body);
        let mut sections = || -> Result<_, DecodeError> {
            let widths = reader.bytes(2)?;
            let (p, t, c) = (reader.u64()?, reader.u64()?, reader.u64()?);
            let len = |n: u64| usize::try_from(n).map_err(|_| DecodeError::Truncated);
            let program = reader.bytes(len(p)?)?;
            let tree = reader.bytes(len(t)?)?;
            let codeword = reader.bytes(len(c.checked_mul(8).ok_or(DecodeError::Truncated)?)?)?;
            reader.clone().finish()?;
            Ok((widths, program, tree, codeword))
        };
        let (widths, program, tree, codeword) = sections().map_err(|_| ProvingKeyError::Damaged)?;
        let widths = Widths { limb: widths[0], clamp: widths[1] };
        let program = program::from_bytes(program)?;
        let tree = MerkleTree::from_bytes(tree).ok_or(ProvingKeyError::Damaged)?;
        let codeword = codeword.as_chunks::<8>().0.iter().map(|b| F::from_u64(u64::from_le_bytes(*b))).collect();
        let lowered = lower_with(&program, widths).map_err(SetupError::from)?;
        let key = Self::new(program, lowered, Some(Committed { codeword, tree }))?;
        let rows = 1usize << key.key.schedule().constants.domain_bits();
        let cells = rows << key.key.schedule().constants.fold;
        if key.committed.codeword.len() != cells || key.committed.tree.rows() != rows {
            return Err(ProvingKeyError::Mismatch);
        }
        Ok(key)
    }
}

/// Writes the cells of a column (row-major over real indices) into its commitment vector.
pub(crate) fn place(system: &System, layout: &Layout, column: usize, cells: &[F], vector: &mut [F]) {
    let dims = &system.columns[column].dims;
    let start = layout.offsets[column] as usize;
    // The innermost axis is contiguous; every run of the outer axes starts at a padded offset.
    let (&inner, outer) = dims.split_last().unwrap_or((&1, &[]));
    let inner_bits = domain_bits(&[inner]);
    for (run, chunk) in cells.chunks(inner as usize).enumerate() {
        let mut rest = run;
        let mut offset = 0usize;
        let mut shift = inner_bits;
        for &d in outer.iter().rev() {
            offset += (rest % d as usize) << shift;
            rest /= d as usize;
            shift += domain_bits(&[d]);
        }
        vector[start + offset..start + offset + chunk.len()].copy_from_slice(chunk);
    }
}
