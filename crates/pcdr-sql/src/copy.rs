//! One verified copy of one file: complete under its final name, or not there under it at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::partial::{BLOCK, Partial};

/// How far a copy is, and whether it is to stop.
#[derive(Debug, Default)]
pub(crate) struct CopyState {
    done: AtomicU64,
    stop: AtomicBool,
}

impl CopyState {
    /// Bytes written and verified: twice the size of the file at the end.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An error when it is to stop.
    pub(crate) fn go_on(&self) -> Result<(), CopyError> {
        if self.stop.load(Ordering::Relaxed) { Err(CopyError::Stopped) } else { Ok(()) }
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io { path: PathBuf, error: io::Error },
    /// The source is not as large as it should be.
    #[error("{path} has {found} bytes instead of {expected}", path = path.display())]
    Size { path: PathBuf, expected: u64, found: u64 },
    /// Another file has the name already.
    #[error("{path} exists and holds something else", path = path.display())]
    Exists { path: PathBuf },
    /// What was written reads back as something else.
    #[error("{path} reads back as something else than was written", path = path.display())]
    Verify { path: PathBuf },
    /// The operator stopped it.
    #[error("stopped by the operator")]
    Stopped,
}

impl CopyError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> CopyError + '_ {
        move |error| CopyError::Io { path: path.to_owned(), error }
    }
}

/// Copies `source` to `target`. The source must be of `expected` bytes, if it is known. A target that holds the same is
/// success; one that holds something else is left alone, unless the copy is to `replace` it. Blocks.
pub(crate) fn copy(
    source: &Path,
    target: &Path,
    expected: Option<u64>,
    replace: bool,
    state: &CopyState,
) -> Result<(), CopyError> {
    let mut input = File::open(source).map_err(CopyError::io(source))?;
    let found = input.metadata().map_err(CopyError::io(source))?.len();
    let expected = expected.unwrap_or(found);
    if found != expected {
        return Err(CopyError::Size { path: source.to_owned(), expected, found });
    }
    if target.try_exists().map_err(CopyError::io(target))? {
        match compare(&mut input, source, target, expected, state) {
            Err(CopyError::Exists { .. }) if replace => {
                use std::io::Seek;
                input.rewind().map_err(CopyError::io(source))?;
            }
            compared => return compared,
        }
    }
    let mut partial = Partial::resume(&mut input, source, target, expected, state)?;
    let copied = partial.write_rest(&mut input, source, state).and_then(|()| partial.verify(state));
    let copied = copied.and_then(|()| publish(partial.path(), target, replace));
    partial.ended(copied.as_ref().err());
    copied
}

fn compare(
    input: &mut File,
    source: &Path,
    target: &Path,
    expected: u64,
    state: &CopyState,
) -> Result<(), CopyError> {
    let exists = || CopyError::Exists { path: target.to_owned() };
    let mut present = File::open(target).map_err(CopyError::io(target))?;
    if present.metadata().map_err(CopyError::io(target))?.len() != expected {
        return Err(exists());
    }
    let wanted = hash(input, source, state)?;
    if hash(&mut present, target, state)? == wanted { Ok(()) } else { Err(exists()) }
}

/// Gives the copy its name, without taking it from a file that came in between, and makes the name
/// durable.
fn publish(temporary: &Path, target: &Path, replace: bool) -> Result<(), CopyError> {
    let linked =
        if replace { fs::rename(temporary, target) } else { fs::hard_link(temporary, target) };
    match linked {
        Ok(()) => {
            let _removed = fs::remove_file(temporary);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CopyError::Exists { path: target.to_owned() });
        }
        // Not every file system knows hard links.
        Err(_) => fs::rename(temporary, target).map_err(CopyError::io(target))?,
    }
    if let Some(folder) = target.parent() {
        // A folder cannot be opened on Windows and on some shares; the file itself is synced.
        if let Ok(folder) = File::open(folder) {
            let _synced = folder.sync_all();
        }
    }
    Ok(())
}

fn hash(file: &mut File, path: &Path, state: &CopyState) -> Result<blake3::Hash, CopyError> {
    let mut hasher = blake3::Hasher::new();
    each_block(file, path, state, |block| {
        hasher.update(block);
        Ok(())
    })?;
    Ok(hasher.finalize())
}

fn each_block(
    file: &mut File,
    path: &Path,
    state: &CopyState,
    mut each: impl FnMut(&[u8]) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let mut buffer = vec![0u8; BLOCK];
    loop {
        state.go_on()?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                each(&buffer[..length])?;
                state.add(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Io { path: path.to_owned(), error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("a b'c ü ").tempdir().unwrap()
    }

    #[test]
    fn a_copy_is_complete_under_its_name_and_leaves_no_temporary_file() {
        let folder = folder();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        let content: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&source, &content).unwrap();
        let state = CopyState::default();
        copy(&source, &target, Some(content.len() as u64), false, &state).unwrap();
        assert_eq!(fs::read(&target).unwrap(), content);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(state.done(), 2 * content.len() as u64);
    }

    #[test]
    fn the_same_file_is_success_and_another_one_is_never_overwritten() {
        let folder = folder();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        fs::write(&source, b"content").unwrap();
        fs::write(&target, b"content").unwrap();
        copy(&source, &target, Some(7), false, &CopyState::default()).unwrap();
        fs::write(&target, b"CONTENT").unwrap();
        let refused = copy(&source, &target, Some(7), false, &CopyState::default());
        assert!(matches!(refused, Err(CopyError::Exists { .. })), "{refused:?}");
        assert_eq!(fs::read(&target).unwrap(), b"CONTENT");
        copy(&source, &target, Some(7), true, &CopyState::default()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
    }

    #[test]
    fn a_source_of_another_size_is_not_copied() {
        let folder = folder();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        fs::write(&source, b"growing").unwrap();
        let refused = copy(&source, &target, Some(100), false, &CopyState::default());
        assert!(matches!(refused, Err(CopyError::Size { found: 7, .. })), "{refused:?}");
        assert!(!target.exists());
    }

    #[test]
    fn a_stopped_copy_leaves_nothing_behind() {
        let folder = folder();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        fs::write(&source, b"content").unwrap();
        let state = CopyState::default();
        state.stop();
        let stopped = copy(&source, &target, Some(7), false, &state);
        assert!(matches!(stopped, Err(CopyError::Stopped)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
