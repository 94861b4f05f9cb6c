//! Program files: magic, format version, BLAKE3 checksum, postcard body.

use alloc::vec::Vec;

use super::{Program, ProgramError};
use crate::codec::{SealError, seal, unseal};

const MAGIC: &[u8; 8] = b"VINFERP2";

/// Why bytes are not a program file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramFileError {
    /// The file does not start with the program magic.
    #[error("not a vinfer program file (or one of another format version); run `vinfer compile` again")]
    BadMagic,
    /// The checksum does not match: the file is truncated or damaged.
    #[error("program file is truncated or damaged (checksum mismatch); run `vinfer compile` again")]
    Checksum,
    /// The body does not decode.
    #[error("program file does not decode; run `vinfer compile` again")]
    Malformed,
    /// The program decodes but breaks a rule of its own.
    #[error("program is not valid: {0}")]
    Invalid(#[from] ProgramError),
}

/// Serialises a program.
pub fn to_bytes(program: &Program) -> Vec<u8> {
    let body = postcard::to_allocvec(program).unwrap_or_default();
    seal(MAGIC, &body)
}

/// Reads and validates a program.
///
/// # Errors
/// [`ProgramFileError`] says whether the file is foreign, damaged or holds an invalid program.
pub fn from_bytes(bytes: &[u8]) -> Result<Program, ProgramFileError> {
    let body = unseal(MAGIC, bytes).map_err(|e| match e {
        SealError::Magic => ProgramFileError::BadMagic,
        SealError::Checksum => ProgramFileError::Checksum,
    })?;
    let program: Program = postcard::from_bytes(body).map_err(|_| ProgramFileError::Malformed)?;
    program.validate()?;
    Ok(program)
}
