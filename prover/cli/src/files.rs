//! Whole files: bounded reads, and writes that leave either the old file or the new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// The file cannot be read or is longer.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let read_error = |source| CliError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > limit {
        return Err(CliError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Opens a regular file for reading, with its length.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn open(path: &Path) -> Result<(File, u64), CliError> {
    let read_error = |source| CliError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    if !metadata.is_file() {
        return Err(read_error(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    Ok((file, metadata.len()))
}

/// A file to be written, checked before long work starts and written after it.
pub(crate) struct Target {
    /// The path as given, for messages.
    shown: PathBuf,
    /// The path to replace: symbolic links followed.
    path: PathBuf,
    /// An existing device or pipe is written to, never replaced.
    special: bool,
}

impl Target {
    /// Checks that `path` can be written, leaving nothing behind.
    ///
    /// # Errors
    /// It is a directory, or its directory does not take new files.
    pub(crate) fn check(path: &Path) -> Result<Self, CliError> {
        Self::inspect(path).map_err(|source| CliError::Write { path: path.to_owned(), source })
    }

    fn inspect(path: &Path) -> io::Result<Self> {
        let (resolved, special) = match fs::metadata(path) {
            Ok(existing) if existing.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(existing) if existing.is_file() => (fs::canonicalize(path)?, false),
            Ok(_) => (path.to_owned(), true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), false),
            Err(error) => return Err(error),
        };
        let target = Self { shown: path.to_owned(), path: resolved, special };
        if !special {
            target.temporary()?;
        }
        Ok(target)
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// A temporary file beside the target, removed when dropped.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".vinfer-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(self.directory())
    }

    /// Writes the file: to disk first, then in place by one rename.
    ///
    /// # Errors
    /// The system's reason; an existing file is then untouched.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        self.stage(bytes)?.commit()
    }

    /// Writes the bytes to disk beside the target, so that only the rename is left.
    ///
    /// # Errors
    /// The system's reason.
    pub(crate) fn stage(&self, bytes: &[u8]) -> Result<Staged<'_>, CliError> {
        self.stage_with(&mut |out| out.write_all(bytes))
    }

    /// Like [`Self::stage`], for content that is written piece by piece.
    pub(crate) fn stage_with(
        &self,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Staged<'_>, CliError> {
        let mut write = || -> io::Result<Option<NamedTempFile>> {
            if self.special {
                content(&mut File::options().write(true).open(&self.path)?)?;
                return Ok(None);
            }
            let mut file = self.temporary()?;
            content(&mut file)?;
            file.as_file().sync_all()?;
            Ok(Some(file))
        };
        write().map(|file| Staged { target: self, file }).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> CliError {
        CliError::Write { path: self.shown.clone(), source }
    }
}

/// A file that is on disk under a temporary name; dropped without [`Staged::commit`] it disappears.
pub(crate) struct Staged<'a> {
    target: &'a Target,
    file: Option<NamedTempFile>,
}

impl Staged<'_> {
    /// Gives the file its name.
    ///
    /// # Errors
    /// The system's reason.
    pub(crate) fn commit(self) -> Result<(), CliError> {
        let Some(file) = self.file else { return Ok(()) };
        file.persist(&self.target.path).map_err(|error| self.target.error(error.error))?;
        // The rename itself reaches the disk with the directory; a file system that cannot do this is no failure.
        if let Ok(directory) = File::open(self.target.directory()) {
            directory.sync_all().ok();
        }
        Ok(())
    }
}

/// Makes `path` a directory, with its parents.
///
/// # Errors
/// The system's reason, or something else is there.
pub(crate) fn create_directory(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|source| CliError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("directory");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn staging_leaves_the_old_file_until_the_commit() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("out");
        fs::write(&path, "old").expect("write");
        let target = Target::check(&path).expect("writable");
        assert_eq!(names(directory.path()), ["out"]);
        drop(target.stage(b"new").expect("staged"));
        assert_eq!(fs::read(&path).expect("read"), b"old");
        target.write(b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(names(directory.path()), ["out"]);
    }

    #[test]
    fn directories_and_absent_parents_are_refused_early() {
        let directory = tempfile::tempdir().expect("directory");
        assert!(matches!(Target::check(directory.path()), Err(CliError::Write { .. })));
        assert!(matches!(Target::check(&directory.path().join("no/such")), Err(CliError::Write { .. })));
    }

    #[test]
    fn long_files_are_refused() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("in");
        fs::write(&path, [0; 10]).expect("write");
        assert_eq!(read(&path, 10).expect("read").len(), 10);
        assert!(matches!(read(&path, 9), Err(CliError::TooLarge { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_and_devices_survive() {
        let directory = tempfile::tempdir().expect("directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "old").expect("write");
        std::os::unix::fs::symlink(&real, &link).expect("link");
        Target::check(&link).expect("writable").write(b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("link").is_symlink());
        assert_eq!(fs::read(&real).expect("read"), b"new");
        Target::check(Path::new("/dev/null")).expect("writable").write(b"x").expect("written");
        assert!(!fs::metadata("/dev/null").expect("device").is_file());
    }
}
