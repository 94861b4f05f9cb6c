//! The `.npz` format: a zip archive with one `.npy` member per array.

use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::ops::Range;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::error::Damage;
use super::{Data, Header, Kind, Tensor, TensorError, npy};

/// An open archive.
pub(crate) struct NpzFile {
    archive: ZipArchive<BufReader<File>>,
    names: Vec<String>,
}

impl NpzFile {
    /// Reads the archive's directory.
    ///
    /// # Errors
    /// The directory is damaged, has duplicate names, or lists something that is no array.
    pub(crate) fn open(file: BufReader<File>) -> Result<Self, TensorError> {
        let archive = ZipArchive::new(file)?;
        if archive.has_duplicate_names() {
            return Err(TensorError::DuplicateNames);
        }
        let mut names = Vec::with_capacity(archive.len());
        for member in archive.file_names() {
            let member = member?;
            match member.strip_suffix(".npy") {
                Some(name) => names.push(name.to_owned()),
                None => return Err(TensorError::ForeignMember { member: member.into_owned() }),
            }
        }
        Ok(Self { archive, names })
    }

    /// Names of the arrays, in archive order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Element type and shape of one array.
    ///
    /// # Errors
    /// The member is absent or its header is damaged.
    pub(crate) fn header(&mut self, array: &str) -> Result<Header, TensorError> {
        let index = self.index(array)?;
        npy::read_header(&mut self.archive.by_index(index)?, array)
    }

    /// Elements `range` of one array; never holds more of it in memory.
    ///
    /// # Errors
    /// The member is damaged.
    pub(crate) fn read(&mut self, array: &str, kind: Kind, range: Range<u64>) -> Result<Data, TensorError> {
        let index = self.index(array)?;
        let mut member = self.archive.by_index(index)?;
        let header = npy::read_header(&mut member, array)?;
        let elements = header.shape.iter().product::<u64>() * kind.size();
        // The directory's size must agree before anything is decompressed.
        let claimed = member.size();
        let damage = if claimed < elements { Damage::Short } else { Damage::Long };
        if claimed < elements || claimed - elements > (1 << 16) + 12 {
            return Err(TensorError::Damaged { array: array.to_owned(), what: damage });
        }
        npy::read_elements(&mut member, &header, array, kind, range)
    }

    fn index(&self, array: &str) -> Result<usize, TensorError> {
        self.names.iter().position(|name| name == array).ok_or_else(|| TensorError::Absent { array: array.to_owned() })
    }
}

/// Encodes arrays as an archive; equal arrays give equal bytes.
///
/// # Errors
/// Two arrays have one name, or a name is longer than zip allows.
pub(crate) fn encode(arrays: &[(String, Tensor)]) -> Result<Vec<u8>, TensorError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in arrays {
        let bytes = npy::encode(tensor);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
        writer.start_file(format!("{name}.npy"), options)?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}
