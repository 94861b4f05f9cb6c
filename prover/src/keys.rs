//! Setup: the verification key and the proving key of a program.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use rayon::prelude::*;
use vinfer_circuits::field::F;
use vinfer_circuits::lower::{LowerError, Lowered, Widths, lower, lower_with};
use vinfer_circuits::program::{self, BatchError, Program, ProgramError, ProgramFileError};
use vinfer_circuits::schedule::{Profile, Schedule};
use vinfer_circuits::statement::{KeyError, VerifyingKey};
use vinfer_circuits::system::{Layout, System, domain_bits};
use vinfer_verifier::PreparedKey;

use crate::commit::{Committed, commit_base};
use crate::merkle::MerkleTree;
use crate::witness::RowIndex;

/// Why a program has no key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// The program is not valid.
    #[error("program is not valid: {0}")]
    Program(#[from] ProgramError),
    /// The program has no such batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
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
    /// The file cannot be read.
    #[error("proving key cannot be read: {0}")]
    Read(io::ErrorKind),
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
    /// The program of one inference.
    single: Program,
    /// The program that is proven, where it is another: a batch.
    batched: Option<Program>,
    pub(crate) lowered: Lowered,
    pub(crate) key: PreparedKey,
    /// Cells of each constant column, row-major over real indices; empty for other columns.
    pub(crate) constant_columns: Vec<Vec<F>>,
    /// The constants vector.
    pub(crate) constants: Vec<F>,
    /// Its codeword and tree.
    pub(crate) committed: Committed<F>,
    /// Rows of the tables by their tuples, made at the first proof.
    rows: OnceLock<Vec<RowIndex>>,
}

const MAGIC: &[u8; 8] = b"VINFERK3";
/// Cells per read or write.
const BLOCK: usize = 1 << 16;

/// Derives the keys of a program, for proofs of one inference. Deterministic.
///
/// # Errors
/// [`SetupError`].
pub fn setup(program: &Program) -> Result<(ProvingKey, Vec<u8>), SetupError> {
    setup_batch(program, 1)
}

/// Derives the keys of a program, for proofs of `batch` inferences each. Deterministic.
///
/// # Errors
/// [`SetupError`].
pub fn setup_batch(program: &Program, batch: u32) -> Result<(ProvingKey, Vec<u8>), SetupError> {
    program.validate()?;
    let batched = batched(program, batch)?;
    let lowered = lower(batched.as_ref().unwrap_or(program))?;
    let key = ProvingKey::new(program.clone(), batched, batch, lowered, None)?;
    let vk = key.key.key().to_bytes();
    Ok((key, vk))
}

/// The program of a batch of more than one.
fn batched(program: &Program, batch: u32) -> Result<Option<Program>, BatchError> {
    if batch == 1 { Ok(None) } else { program.batched(batch).map(Some) }
}

impl ProvingKey {
    /// `single` is validated, `batched` its batch, `lowered` the lowering of what is proven.
    fn new(
        single: Program,
        batched: Option<Program>,
        batch: u32,
        mut lowered: Lowered,
        committed: Option<Committed<F>>,
    ) -> Result<Self, SetupError> {
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
            program_digest: *blake3::hash(&program::to_bytes(&single)).as_bytes(),
            constants_root: committed.tree.root(),
            system: lowered.system.clone(),
            batch,
        })?;
        Ok(Self { single, batched, lowered, key, constant_columns, constants, committed, rows: OnceLock::new() })
    }

    /// Rows of every table by their tuples.
    pub(crate) fn rows(&self) -> &[RowIndex] {
        self.rows.get_or_init(|| {
            let tables = self.lowered.system.tables.par_iter();
            tables.map(|table| RowIndex::new(&table.rows, &self.constant_columns)).collect()
        })
    }

    /// The program of one inference.
    pub const fn program(&self) -> &Program {
        &self.single
    }

    /// The program that is proven: that of the whole batch.
    pub fn proven(&self) -> &Program {
        self.batched.as_ref().unwrap_or(&self.single)
    }

    /// Inferences in one proof.
    pub const fn batch(&self) -> u32 {
        self.key.key().batch
    }

    /// The verification key, prepared.
    pub const fn verifying_key(&self) -> &PreparedKey {
        &self.key
    }

    /// The lowered program: system, layout and witness plan.
    pub const fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// File bytes; see [`Self::write_to`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing to memory does not fail.
        let _ = self.write_to(&mut out);
        out
    }

    /// Writes the key file: magic, table widths, batch, section lengths, program of one inference, tree, codeword, BLAKE3 of all before.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            out.write_all(bytes)
        };
        let program = program::to_bytes(&self.single);
        put(MAGIC)?;
        put(&[self.lowered.widths.limb, self.lowered.widths.clamp])?;
        put(&self.batch().to_le_bytes())?;
        for len in [program.len(), self.committed.tree.digests(), self.committed.codeword.len()] {
            put(&(len as u64).to_le_bytes())?;
        }
        put(&program)?;
        for level in self.committed.tree.levels() {
            put(level.as_flattened())?;
        }
        let mut block = Vec::with_capacity(BLOCK * 8);
        for cells in self.committed.codeword.chunks(BLOCK) {
            block.clear();
            block.extend(cells.iter().flat_map(|v| v.as_canonical_u64().to_le_bytes()));
            put(&block)?;
        }
        let checksum = hasher.finalize();
        out.write_all(checksum.as_bytes())
    }

    /// Reads a key from memory; see [`Self::read_from`].
    ///
    /// # Errors
    /// [`ProvingKeyError`].
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, ProvingKeyError> {
        let len = bytes.len() as u64;
        Self::read_from(&mut bytes, len)
    }

    /// Reads a key file of `len` bytes. Nothing larger than the file is allocated, and nothing is used before the
    /// checksum matches.
    ///
    /// # Errors
    /// [`ProvingKeyError`].
    pub fn read_from(source: &mut dyn Read, len: u64) -> Result<Self, ProvingKeyError> {
        let mut reader = Checked { source, hasher: blake3::Hasher::new(), left: len };
        if reader.take(MAGIC.len() as u64).map_err(|_| ProvingKeyError::Magic)? != MAGIC {
            return Err(ProvingKeyError::Magic);
        }
        let widths = reader.take(2)?;
        let widths = Widths { limb: widths[0], clamp: widths[1] };
        let mut number = |bytes: u64| -> Result<u64, ProvingKeyError> {
            Ok(reader.take(bytes)?.iter().rev().fold(0, |v, &b| (v << 8) | u64::from(b)))
        };
        let batch = number(4)? as u32;
        let mut lengths = [0u64; 3];
        for n in &mut lengths {
            *n = number(8)?;
        }
        let [program_len, digests, cells] = lengths;
        let program = reader.take(program_len)?;
        let digests = reader.take(digests.checked_mul(32).ok_or(ProvingKeyError::Damaged)?)?;
        if cells.checked_mul(8).is_none_or(|n| n > reader.left) {
            return Err(ProvingKeyError::Damaged);
        }
        let mut codeword = Vec::with_capacity(cells as usize);
        let mut remaining = cells as usize;
        while remaining > 0 {
            let block = reader.take(remaining.min(BLOCK) as u64 * 8)?;
            codeword.extend(block.as_chunks::<8>().0.iter().map(|b| F::from_u64(u64::from_le_bytes(*b))));
            remaining -= block.len() / 8;
        }
        let expected = *reader.hasher.finalize().as_bytes();
        if reader.take(32)? != expected || reader.left != 0 {
            return Err(ProvingKeyError::Damaged);
        }
        let program = program::from_bytes(&program)?;
        let tree = MerkleTree::from_bytes(&digests).ok_or(ProvingKeyError::Damaged)?;
        let batched = batched(&program, batch).map_err(SetupError::from)?;
        let lowered = lower_with(batched.as_ref().unwrap_or(&program), widths).map_err(SetupError::from)?;
        let key = Self::new(program, batched, batch, lowered, Some(Committed { codeword, tree }))?;
        let rows = 1usize << key.key.schedule().constants.domain_bits();
        let cells = rows << key.key.schedule().constants.fold;
        if key.committed.codeword.len() != cells || key.committed.tree.rows() != rows {
            return Err(ProvingKeyError::Mismatch);
        }
        Ok(key)
    }
}

/// Reads with a running checksum and a bound on what is left.
struct Checked<'a> {
    source: &'a mut dyn Read,
    hasher: blake3::Hasher,
    left: u64,
}

impl Checked<'_> {
    fn take(&mut self, n: u64) -> Result<Vec<u8>, ProvingKeyError> {
        self.left = self.left.checked_sub(n).ok_or(ProvingKeyError::Damaged)?;
        let mut bytes = vec![0u8; n as usize];
        self.source.read_exact(&mut bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => ProvingKeyError::Damaged,
            kind => ProvingKeyError::Read(kind),
        })?;
        self.hasher.update(&bytes);
        Ok(bytes)
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
