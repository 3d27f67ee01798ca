//! The lock and the journal of runs, as files that an operator can read.
//!
//! One folder for each topology: `journal.jsonl` (one entry a line, each sealed to the one before),
//! `lock` (held by the operating system for as long as its process lives) and `holder.json` (who
//! holds it).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use pcdr_core::journal::{self, Entry};
use pcdr_core::ports::{Owner, RunLock, RunStore};
use pcdr_core::{ErrorCode, InstanceError, Topology};

use crate::failure::Failure;

/// Lock and journal in a folder.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// The store in this folder, which is created.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Journal`] when the folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> Result<FileStore, InstanceError> {
        let folder = folder.into();
        fs::create_dir_all(&folder)
            .map_err(|error| trouble(&folder, "a folder for the journal", error))?;
        Ok(FileStore { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal file.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal.jsonl")
    }

    fn holder(&self) -> PathBuf {
        self.folder.join("holder.json")
    }

    /// Takes the lock, or says who holds it.
    fn take(&self, owner: &Owner) -> Result<HeldLock, InstanceError> {
        let path = self.folder.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| trouble(&path, "the lock", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let found = match fs::read(self.holder()).map(|b| serde_json::from_slice(&b)) {
                    Ok(Ok(holder)) => format!("{} holds it", holder_text(&holder)),
                    _ => "another process holds it and has not yet said who it is".to_owned(),
                };
                return Err(InstanceError::new(
                    ErrorCode::Locked,
                    path.display().to_string(),
                    "the right to change this topology was needed",
                    found,
                    "Wait for that run to end, or end its process: its lock ends with it.",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(trouble(&path, "the lock", error)),
        }
        self.set_aside_partial_line()?;
        let text = serde_json::to_vec(owner).map_err(|e| trouble(&path, "the lock", e.into()))?;
        replace(&self.holder(), &text)
            .map_err(|error| trouble(&self.holder(), "a note of who holds the lock", error))?;
        Ok(HeldLock { _file: file })
    }

    /// A process that died while it wrote left a line without its end: it was never reported as
    /// written. It is kept beside the journal, so that nothing is lost and the journal goes on.
    fn set_aside_partial_line(&self) -> Result<(), InstanceError> {
        let path = self.journal();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(trouble(&path, "the journal", error)),
        };
        let whole = whole_lines(&bytes);
        if whole == bytes.len() {
            return Ok(());
        }
        let aside = (1..)
            .map(|number| self.folder.join(format!("journal.partial-{number}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.folder.join("journal.partial"));
        let set_aside = || -> io::Result<()> {
            replace(&aside, &bytes[whole..])?;
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(whole as u64)?;
            file.sync_data()
        };
        tracing::warn!(aside = %aside.display(), "the journal's last line was not whole; set aside");
        set_aside().map_err(|error| trouble(&path, "the journal repaired", error))
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(self.journal())?;
        file.write_all(&line)?;
        file.sync_data()
    }

    fn read(&self) -> Result<Vec<Entry>, InstanceError> {
        let path = self.journal();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(trouble(&path, "the journal", error)),
        };
        let lines = bytes[..whole_lines(&bytes)].split(|byte| *byte == b'\n');
        let mut entries = Vec::new();
        for (line, number) in lines.filter(|line| !line.is_empty()).zip(1..) {
            let entry = serde_json::from_slice(line).map_err(|error| {
                broken(&path, format!("line {number} is no journal entry: {error}"))
            })?;
            entries.push(entry);
        }
        match journal::first_broken(&entries) {
            None => Ok(entries),
            Some(number) => Err(broken(
                &path,
                format!("entry {number} does not follow from the ones before it"),
            )),
        }
    }
}

/// The length of the whole lines.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn holder_text(owner: &Owner) -> String {
    owner.to_string()
}

/// Writes a file so that it is there whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

fn trouble(path: &Path, needed: &str, error: io::Error) -> InstanceError {
    let mut trouble = InstanceError::new(
        ErrorCode::Journal,
        path.display().to_string(),
        format!("{needed} was needed"),
        error.to_string(),
        "Free the disk, correct the rights, or name another folder with --state.",
    );
    trouble.source = Some(Arc::new(error));
    trouble
}

fn broken(path: &Path, found: String) -> InstanceError {
    InstanceError::new(
        ErrorCode::Journal,
        path.display().to_string(),
        "a journal that nobody changed was needed",
        found,
        "Keep the file as evidence, move it away, and run again: a run needs no old journal.",
    )
}

/// The held lock; the operating system frees it with the file.
#[derive(Debug)]
struct HeldLock {
    _file: File,
}

impl RunLock for HeldLock {}

#[async_trait]
impl RunStore for FileStore {
    async fn lock(&self, owner: &Owner) -> Result<Box<dyn RunLock>, InstanceError> {
        Ok(Box::new(self.take(owner)?))
    }

    async fn append(&self, entry: &Entry) -> Result<(), InstanceError> {
        self.write(entry).map_err(|error| trouble(&self.journal(), "the journal written", error))
    }

    async fn entries(&self) -> Result<Vec<Entry>, InstanceError> {
        self.read()
    }
}

/// What makes a topology this topology: its databases, its pool, and where its instances are. Two
/// files that agree in this share one lock and one journal, whatever else they say.
pub fn identity(topology: &Topology) -> String {
    let mut text = String::new();
    let mut add = |what: &str, value: &str| {
        // Lengths keep "a" + "bc" apart from "ab" + "c".
        text.push_str(&format!("{what}:{}:{value};", value.len()));
    };
    if let Some(pool) = topology.pool() {
        add("pool", pool.fqdn.as_str());
    }
    for database in topology.databases() {
        add("database", database.as_str());
    }
    for instance in topology.instances() {
        add("instance", instance.name.as_str());
        add("server", &instance.server_name);
        add("host", instance.connect_host.as_ref().unwrap_or(&instance.host));
        add("port", &instance.port.map_or(String::new(), |port| port.to_string()));
    }
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// The folder of a topology's lock and journal: the one that was named, or one of its own under the
/// user's state folder.
///
/// # Errors
///
/// [`Failure::Usage`] when none was named and the user has no state folder.
pub fn folder(named: Option<&Path>, topology: &Topology) -> Result<PathBuf, Failure> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    let from = |variable: &str, rest: &str| {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
        let path = PathBuf::from(value);
        path.is_absolute().then(|| path.join(rest))
    };
    // Source: XDG Base Directory Specification, XDG_STATE_HOME.
    from("XDG_STATE_HOME", "")
        .or_else(|| from("HOME", ".local/state"))
        .or_else(|| from("LOCALAPPDATA", ""))
        .map(|state| state.join("pcdr").join(identity(topology)))
        .ok_or_else(|| {
            Failure::usage(
                "no_state_folder",
                "a folder for lock and journal was needed, but neither XDG_STATE_HOME nor HOME is set",
                "Name one with --state DIR.",
            )
        })
}

#[cfg(test)]
mod tests {
    use pcdr_core::Timestamp;
    use pcdr_core::journal::Event;

    use super::*;

    fn owner(run: &str) -> Owner {
        Owner { who: "anna@desk".into(), run: run.into() }
    }

    fn entry(previous: Option<&Entry>, step: u32) -> Entry {
        let at = Timestamp::from_unix_millis(i64::from(step));
        let event = Event::StepSucceeded { step, already: false };
        Entry::following(previous, at, "run", "anna@desk", event)
    }

    #[tokio::test]
    async fn entries_come_back_in_order_and_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path().join("a b/ü")).unwrap();
        let mut written: Vec<Entry> = Vec::new();
        for step in 1..=20 {
            let next = entry(written.last(), step);
            store.append(&next).await.unwrap();
            written.push(next);
        }
        let again = FileStore::open(store.folder()).unwrap();
        assert_eq!(again.entries().await.unwrap(), written);
    }

    #[tokio::test]
    async fn a_second_lock_is_refused_and_names_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let held = store.lock(&owner("r-1")).await.unwrap();
        let other = FileStore::open(folder.path()).unwrap();
        let error = other.lock(&owner("r-2")).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::Locked);
        assert!(error.to_string().contains("anna@desk (run r-1)"), "{error}");
        drop(held);
        assert!(other.lock(&owner("r-2")).await.is_ok());
    }

    #[tokio::test]
    async fn a_line_cut_short_by_a_crash_is_set_aside_and_the_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let first = entry(None, 1);
        store.append(&first).await.unwrap();
        let mut file = OpenOptions::new().append(true).open(store.journal()).unwrap();
        file.write_all(br#"{"number":2,"at":"20"#).unwrap();
        assert_eq!(store.entries().await.unwrap(), std::slice::from_ref(&first));
        let _held = store.lock(&owner("r")).await.unwrap();
        let second = entry(Some(&first), 2);
        store.append(&second).await.unwrap();
        assert_eq!(store.entries().await.unwrap(), [first, second]);
        let aside = fs::read(folder.path().join("journal.partial-1")).unwrap();
        assert_eq!(aside, br#"{"number":2,"at":"20"#);
    }

    #[tokio::test]
    async fn a_changed_journal_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let first = entry(None, 1);
        store.append(&first).await.unwrap();
        store.append(&entry(Some(&first), 2)).await.unwrap();
        let text = fs::read_to_string(store.journal()).unwrap();
        fs::write(store.journal(), text.replace("\"already\":false", "\"already\":true")).unwrap();
        let error = store.entries().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Journal);
        assert!(error.to_string().contains("entry 1"), "{error}");
    }
}
