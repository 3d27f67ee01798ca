//! A copy that grows: under a name that nobody takes for a backup, with the hash of each of its blocks
//! beside it, so that a copy that was cut goes on where it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::copy::{CopyError, CopyState};

/// Ending of the name under which a copy grows. Neither SQL Server's jobs nor pcdr take such a file
/// for a backup.
const TEMPORARY: &str = ".pcdr-tmp";

/// Ending of the name of the hashes of its blocks.
const HASHES: &str = ".pcdr-sum";

/// What is hashed, and written again, as a whole. Smaller files are copied anew.
pub(crate) const BLOCK: usize = 4 << 20;

const HASH: usize = blake3::OUT_LEN;

/// Length, time and a mark of the format, before the hashes: they are of no other source.
const HEAD: usize = 32;

/// A copy in the making.
pub(crate) struct Partial {
    path: PathBuf,
    hashes_path: PathBuf,
    output: File,
    hashes_file: File,
    /// Of each block that was written, in order.
    hashes: Vec<blake3::Hash>,
    expected: u64,
}

/// What tells a source from any other: a source that was replaced is copied anew.
fn head(source: &Path, input: &File, expected: u64) -> Result<[u8; HEAD], CopyError> {
    let metadata = input.metadata().map_err(CopyError::io(source))?;
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(b"pcdrsum1");
    head[8..16].copy_from_slice(&expected.to_le_bytes());
    let nanos = modified.map_or(0, |since| since.as_nanos());
    head[16..].copy_from_slice(&nanos.to_le_bytes());
    Ok(head)
}

fn with_ending(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

impl Partial {
    /// What an earlier copy of the same source left, as far as it is whole; or nothing yet. The source is
    /// set to where it goes on.
    pub(crate) fn resume(
        input: &mut File,
        source: &Path,
        target: &Path,
        expected: u64,
        state: &CopyState,
    ) -> Result<Partial, CopyError> {
        let (path, hashes_path) = (with_ending(target, TEMPORARY), with_ending(target, HASHES));
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(path).map_err(CopyError::io(path))
        };
        let (mut output, mut hashes_file) = (open(&path)?, open(&hashes_path)?);
        let head = head(source, input, expected)?;
        let mut noted = Vec::new();
        hashes_file.read_to_end(&mut noted).map_err(CopyError::io(&hashes_path))?;
        let mut hashes = Vec::new();
        if let Some(noted) = noted.strip_prefix(&head) {
            let mut block = vec![0; BLOCK];
            for noted in noted.chunks_exact(HASH) {
                state.go_on()?;
                let length = fill(&mut output, &mut block).map_err(CopyError::io(&path))?;
                let hash = blake3::hash(&block[..length]);
                if length < BLOCK || hash.as_bytes() != noted {
                    break;
                }
                state.add(length as u64);
                hashes.push(hash);
            }
        }
        let whole = (hashes.len() * BLOCK) as u64;
        if output.metadata().map_err(CopyError::io(&path))?.len() != whole {
            output.set_len(whole).map_err(CopyError::io(&path))?;
        }
        output.seek(SeekFrom::Start(whole)).map_err(CopyError::io(&path))?;
        input.seek(SeekFrom::Start(whole)).map_err(CopyError::io(source))?;
        let noted = (HEAD + hashes.len() * HASH) as u64;
        let begin = |file: &mut File| -> io::Result<()> {
            file.rewind()?;
            file.write_all(&head)?;
            file.set_len(noted)?;
            file.seek(SeekFrom::Start(noted)).map(drop)
        };
        begin(&mut hashes_file).map_err(CopyError::io(&hashes_path))?;
        Ok(Partial { path, hashes_path, output, hashes_file, hashes, expected })
    }

    /// Where it grows.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is missing, and makes it durable.
    pub(crate) fn write_rest(
        &mut self,
        input: &mut File,
        source: &Path,
        state: &CopyState,
    ) -> Result<(), CopyError> {
        let mut written = (self.hashes.len() * BLOCK) as u64;
        let mut block = vec![0; BLOCK];
        loop {
            state.go_on()?;
            let length = fill(input, &mut block).map_err(CopyError::io(source))?;
            if length == 0 {
                break;
            }
            let hash = blake3::hash(&block[..length]);
            self.output.write_all(&block[..length]).map_err(CopyError::io(&self.path))?;
            self.hashes_file
                .write_all(hash.as_bytes())
                .map_err(CopyError::io(&self.hashes_path))?;
            self.hashes.push(hash);
            written += length as u64;
            state.add(length as u64);
        }
        if written != self.expected {
            let (path, expected) = (source.to_owned(), self.expected);
            return Err(CopyError::Size { path, expected, found: written });
        }
        self.output.sync_all().map_err(CopyError::io(&self.path))
    }

    /// Reads back what was written, from its first byte.
    pub(crate) fn verify(&mut self, state: &CopyState) -> Result<(), CopyError> {
        self.output.seek(SeekFrom::Start(0)).map_err(CopyError::io(&self.path))?;
        let mut block = vec![0; BLOCK];
        for wanted in &self.hashes {
            state.go_on()?;
            let length = fill(&mut self.output, &mut block).map_err(CopyError::io(&self.path))?;
            if blake3::hash(&block[..length]) != *wanted {
                return Err(CopyError::Verify { path: self.path.clone() });
            }
            state.add(length as u64);
        }
        let after = fill(&mut self.output, &mut block).map_err(CopyError::io(&self.path))?;
        if after > 0 { Err(CopyError::Verify { path: self.path.clone() }) } else { Ok(()) }
    }

    /// Tidies up. What a cut leaves is kept for the next attempt; what cannot be gone on from, or takes the
    /// place that is missing, is not.
    pub(crate) fn ended(self, error: Option<&CopyError>) {
        let is_cut = match error {
            Some(CopyError::Stopped) => true,
            Some(CopyError::Io { error, .. }) => !crate::files::is_disk_full(error),
            None | Some(_) => false,
        };
        if is_cut && !self.hashes.is_empty() {
            return;
        }
        // The next attempt begins again over what cannot be removed.
        let _removed = fs::remove_file(&self.path);
        let _removed = fs::remove_file(&self.hashes_path);
    }
}

/// Reads until the block is full or the file ends.
fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match file.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::copy;

    const BLOCKS: u64 = 3;
    const LENGTH: u64 = BLOCKS * BLOCK as u64 + 1000;

    struct Cut {
        folder: tempfile::TempDir,
        source: PathBuf,
        target: PathBuf,
    }

    /// A copy that was cut after its second block, and half of a third.
    fn cut() -> Cut {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        let content: Vec<u8> = (0..LENGTH).map(|at| (at / 7 % 251) as u8).collect();
        fs::write(&source, content).unwrap();
        let mut input = File::open(&source).unwrap();
        let state = CopyState::default();
        let mut partial = Partial::resume(&mut input, &source, &target, LENGTH, &state).unwrap();
        partial.write_rest(&mut input, &source, &state).unwrap();
        partial.output.set_len(2 * BLOCK as u64 + 10).unwrap();
        Cut { folder, source, target }
    }

    impl Cut {
        /// Copies again; gives how many bytes were found to be there.
        fn copied(&self) -> u64 {
            let mut input = File::open(&self.source).unwrap();
            let state = CopyState::default();
            let length = input.metadata().unwrap().len();
            let there = {
                let partial =
                    Partial::resume(&mut input, &self.source, &self.target, length, &state)
                        .unwrap();
                (partial.hashes.len() * BLOCK) as u64
            };
            copy(&self.source, &self.target, Some(length), false, &CopyState::default()).unwrap();
            assert!(fs::read(&self.target).unwrap() == fs::read(&self.source).unwrap());
            assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2, "nothing is left");
            there
        }
    }

    #[test]
    fn a_copy_that_was_cut_goes_on_after_its_last_whole_block() {
        assert_eq!(cut().copied(), 2 * BLOCK as u64);
    }

    #[test]
    fn a_copy_that_was_damaged_meanwhile_goes_on_before_the_damage() {
        let cut = cut();
        let path = with_ending(&cut.target, TEMPORARY);
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(BLOCK as u64 + 5)).unwrap();
        file.write_all(b"damage").unwrap();
        assert_eq!(cut.copied(), BLOCK as u64);
    }

    #[test]
    fn what_is_left_of_another_source_is_not_gone_on_from() {
        let cut = cut();
        let mut content = fs::read(&cut.source).unwrap();
        content[3] ^= 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&cut.source, &content).unwrap();
        assert_eq!(cut.copied(), 0);
        let cut = self::cut();
        content.truncate(2 * BLOCK);
        fs::write(&cut.source, content).unwrap();
        assert_eq!(cut.copied(), 0);
    }

    #[test]
    fn what_cannot_be_gone_on_from_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a.trn"), folder.path().join("b.trn"));
        fs::write(&source, b"content").unwrap();
        fs::write(with_ending(&target, TEMPORARY), b"half of something much longer").unwrap();
        fs::write(with_ending(&target, HASHES), b"pcdrsum1 of something else").unwrap();
        copy(&source, &target, Some(7), false, &CopyState::default()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_cut_leaves_what_can_be_gone_on_from_and_a_full_disk_leaves_nothing() {
        let left = |error: Option<CopyError>| {
            let cut = cut();
            let mut input = File::open(&cut.source).unwrap();
            let state = CopyState::default();
            let partial =
                Partial::resume(&mut input, &cut.source, &cut.target, LENGTH, &state).unwrap();
            partial.ended(error.as_ref());
            fs::read_dir(cut.folder.path()).unwrap().count() - 1
        };
        let io = |kind: io::ErrorKind| {
            Some(CopyError::Io { path: PathBuf::from("x"), error: kind.into() })
        };
        assert_eq!(left(Some(CopyError::Stopped)), 2);
        assert_eq!(left(io(io::ErrorKind::ConnectionAborted)), 2);
        assert_eq!(left(io(io::ErrorKind::StorageFull)), 0);
        let size = CopyError::Size { path: PathBuf::from("x"), expected: 1, found: 2 };
        assert_eq!(left(Some(size)), 0);
    }

    #[test]
    fn a_source_that_is_truncated_while_it_is_copied_gets_no_name() {
        let cut = cut();
        let mut input = File::open(&cut.source).unwrap();
        let state = CopyState::default();
        let mut partial =
            Partial::resume(&mut input, &cut.source, &cut.target, LENGTH, &state).unwrap();
        // Two blocks are over; now the file loses its end.
        OpenOptions::new().write(true).open(&cut.source).unwrap().set_len(LENGTH - 2000).unwrap();
        let failed = partial.write_rest(&mut input, &cut.source, &state);
        assert!(
            matches!(failed, Err(CopyError::Size { found, .. }) if found == LENGTH - 2000),
            "{failed:?}"
        );
        partial.ended(failed.as_ref().err());
        assert_eq!(fs::read_dir(cut.folder.path()).unwrap().count(), 1, "nothing is left of it");
    }
}
