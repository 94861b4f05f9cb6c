//! Arrays in files: NumPy `.npz` and `.npy`, and JSON. Nothing here knows about models.
//!
//! A file is opened once, its array headers are read first, and only the elements asked for are kept in memory, so
//! that a file's claims about its own size never decide how much is allocated.

mod dtype;
mod error;
mod json;
mod npy;
mod npz;

pub(crate) use dtype::{Data, Element, Kind, Tensor};
pub(crate) use error::TensorError;
pub(crate) use npz::encode as encode_npz;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// Most elements one array may have, whatever its file says.
const MAX_ELEMENTS: u64 = 1 << 32;

/// What is known of an array before its elements are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Element type.
    pub(crate) element: Element,
    /// Shape, sample axis first.
    pub(crate) shape: Vec<u64>,
}

/// An open file of arrays.
pub(crate) enum ArrayFile {
    /// A zip archive of `.npy` members.
    Npz(npz::NpzFile),
    /// A single unnamed array.
    Npy(BufReader<File>),
    /// A JSON object of nested lists, or one nested list.
    Json(json::JsonFile),
}

impl ArrayFile {
    /// Opens a file; its format is recognised by its first bytes, not by its name.
    ///
    /// # Errors
    /// The file cannot be read, or is in none of the three formats.
    pub(crate) fn open(path: &Path) -> Result<Self, TensorError> {
        let mut file = BufReader::new(File::open(path)?);
        let mut start = Vec::new();
        (&mut file).take(64).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            return npz::NpzFile::open(file).map(Self::Npz);
        }
        if start.starts_with(npy::MAGIC) {
            return Ok(Self::Npy(file));
        }
        match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => json::JsonFile::open(file).map(Self::Json),
            _ => Err(TensorError::UnknownFormat),
        }
    }

    /// Names of the arrays, or `None` for a single unnamed one.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Npz(file) => Some(file.names().to_vec()),
            Self::Npy(_) => None,
            Self::Json(file) => file.names(),
        }
    }

    /// Element type and shape of array `name` (ignored for an unnamed array).
    ///
    /// # Errors
    /// The array is absent, damaged, or of a layout that is not read.
    pub(crate) fn header(&mut self, name: &str) -> Result<Header, TensorError> {
        match self {
            Self::Npz(file) => file.header(name),
            Self::Npy(file) => {
                file.seek(SeekFrom::Start(0))?;
                npy::read_header(file, name)
            }
            Self::Json(file) => file.header(name),
        }
    }

    /// Reads elements `range` (flat, row-major) of array `name` as `kind`, checking the whole array for damage.
    ///
    /// # Errors
    /// The array is damaged, shorter or longer than its header says, or (JSON) holds something else than numbers
    /// that fit `kind`.
    pub(crate) fn read(&mut self, name: &str, kind: Kind, range: Range<u64>) -> Result<Data, TensorError> {
        match self {
            Self::Npz(file) => file.read(name, kind, range),
            Self::Npy(file) => {
                file.seek(SeekFrom::Start(0))?;
                let header = npy::read_header(file, name)?;
                npy::read_elements(file, &header, name, kind, range)
            }
            Self::Json(file) => file.read(name, kind, range),
        }
    }
}
