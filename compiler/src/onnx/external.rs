//! Initialisers stored in separate files beside the model. A location may not leave the model's directory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::StringStringEntryProto;

/// Where external data files may be read from.
pub struct External {
    directory: Option<PathBuf>,
}

impl External {
    /// `directory` is the model's own directory; without it external data is refused.
    pub fn new(directory: Option<&Path>) -> Self {
        Self { directory: directory.map(Path::to_path_buf) }
    }

    /// Reads exactly `bytes` bytes of a tensor.
    ///
    /// # Errors
    /// What is wrong with the entries or the file.
    pub fn read(&self, entries: &[StringStringEntryProto], bytes: usize) -> Result<Vec<u8>, String> {
        let entry = |key: &str| entries.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.as_deref());
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| format!("`{key}` is not a number: `{text}`")),
        };
        let directory = self.directory.as_deref().ok_or_else(|| {
            "the tensor lives in an external file, but the model was given without its directory".to_owned()
        })?;
        let location = entry("location").ok_or_else(|| "no file location".to_owned())?;
        let relative = Path::new(location);
        if location.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
        {
            return Err(format!("`{location}` is not a path inside the model's directory"));
        }
        let offset = number("offset")?.unwrap_or(0);
        if let Some(length) = number("length")?
            && length != bytes as u64
        {
            return Err(format!("{length} bytes are declared, the shape needs {bytes}"));
        }
        let root = directory.canonicalize().map_err(|e| format!("model directory: {e}"))?;
        let path = root.join(relative).canonicalize().map_err(|e| format!("`{location}`: {e}"))?;
        if !path.starts_with(&root) {
            return Err(format!("`{location}` leads outside the model's directory"));
        }
        let mut file = File::open(&path).map_err(|e| format!("`{location}`: {e}"))?;
        let size = file.metadata().map_err(|e| format!("`{location}`: {e}"))?;
        let end = offset.checked_add(bytes as u64).ok_or_else(|| "offset too large".to_owned())?;
        if !size.is_file() || end > size.len() {
            return Err(format!("`{location}` has {} bytes, {end} are needed", size.len()));
        }
        let mut out = vec![0u8; bytes];
        file.seek(SeekFrom::Start(offset)).map_err(|e| format!("`{location}`: {e}"))?;
        file.read_exact(&mut out).map_err(|e| format!("`{location}`: {e}"))?;
        Ok(out)
    }
}
