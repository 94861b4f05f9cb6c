//! Where things are.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::error::BenchError;

/// Directories of the workspace.
pub(crate) struct Places {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Everything that the harness writes is below this one.
    pub(crate) target: PathBuf,
}

impl Places {
    /// From where this crate was built, and `CARGO_TARGET_DIR`.
    pub(crate) fn find() -> Self {
        let benches = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = benches.parent().map_or(benches.clone(), PathBuf::from);
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
        Self { root, target }
    }

    /// The file of results of a command.
    pub(crate) fn results(&self, command: &str) -> PathBuf {
        self.target.join("benches").join(format!("{command}.json"))
    }

    /// Directory of a quantised test model.
    pub(crate) fn quantised(&self, model: &str) -> PathBuf {
        self.root.join("compiler/tests/models").join(format!("{model}_int8"))
    }

    /// A directory below `target`, created if absent.
    pub(crate) fn scratch(&self, parts: &[&str]) -> Result<PathBuf, BenchError> {
        let path = parts.iter().fold(self.target.clone(), |path, part| path.join(part));
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(BenchError::File { path, source }),
        }
    }
}

/// Size of a file.
pub(crate) fn file_bytes(path: PathBuf) -> Result<u64, BenchError> {
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(BenchError::File { path, source }),
    }
}
