//! The folders of log backups: listed and copied where they are mounted, their headers read by the
//! instance that will restore them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use pcdr_core::backup::{BackupFile, BackupHeader};
use pcdr_core::observation::LogBackupFiles;
use pcdr_core::ports::{BackupFiles, Progress};
use pcdr_core::step::FileAction;
use pcdr_core::topology::Share;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError, Known, Timestamp};
use tokio::sync::Mutex;

use crate::copy::{self, CopyError, CopyState};
use crate::error::meaning;
use crate::instance::SqlInstance;

/// How often the operator's wish to stop is looked at.
const TICK: Duration = Duration::from_millis(200);

/// One folder, under the name that instances use and under the name that pcdr uses.
#[derive(Debug, Clone)]
struct Folder {
    /// As the instances see it.
    share: Share,
    /// As pcdr sees it.
    mount: PathBuf,
}

impl Folder {
    fn new(share: &Share) -> Folder {
        let mount = share.mount.as_ref().unwrap_or(&share.unc);
        Folder { mount: PathBuf::from(mount), share: share.clone() }
    }
}

/// What makes a file the same file as before.
type FileKey = (String, u64, Option<Timestamp>);

/// Backup share and copy destination, with headers read by the secondary.
#[derive(Debug)]
pub struct ShareFiles {
    share: Folder,
    copied: Folder,
    reader: Arc<SqlInstance>,
    /// Headers that were read, of every database: held while reading, so that databases observed side
    /// by side read each file once.
    headers: Mutex<BTreeMap<FileKey, BackupHeader>>,
}

impl ShareFiles {
    /// The files of two shares; `reader` is the instance that restores them.
    pub fn new(backup_share: &Share, copy_share: &Share, reader: Arc<SqlInstance>) -> ShareFiles {
        ShareFiles {
            share: Folder::new(backup_share),
            copied: Folder::new(copy_share),
            reader,
            headers: Mutex::default(),
        }
    }

    async fn list_folder(
        &self,
        folder: &Folder,
        database: &DatabaseName,
        known: &[BackupFile],
        endings: &'static [&'static str],
    ) -> Result<Known<Vec<BackupFile>>, InstanceError> {
        let mount = folder.mount.clone();
        let listed = tokio::task::spawn_blocking(move || list(&mount, endings)).await;
        let found = match listed.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(found) => found,
            Err(error) => {
                return Ok(Known::unknown(
                    ErrorCode::FileInaccessible.as_str(),
                    format!("{} cannot be listed: {error}", folder.mount.display()),
                ));
            }
        };
        let mut headers = self.headers.lock().await;
        for file in known {
            if let Known::Known(header) = &file.header {
                let key = (file.path.clone(), file.size_bytes, file.modified_at);
                headers.entry(key).or_insert_with(|| header.clone());
            }
        }
        let mut files = Vec::new();
        let mut unread = Vec::new();
        for entry in found {
            let path = folder.share.path_of(&entry.name);
            let key = (path.clone(), entry.size_bytes, entry.modified_at);
            let header = match headers.get(&key) {
                _ if entry.is_growing() => Known::unknown(
                    "still_growing",
                    "the file has the ending that unfinished backups and copies have (.wrk)",
                ),
                Some(header) => Known::Known(header.clone()),
                None => {
                    unread.push(files.len());
                    Known::unknown("not_read", "not read")
                }
            };
            files.push(BackupFile {
                name: entry.name,
                path,
                size_bytes: entry.size_bytes,
                modified_at: entry.modified_at,
                header,
            });
        }
        let paths: Vec<String> = unread.iter().map(|index| files[*index].path.clone()).collect();
        let read = self.reader.headers(&paths).await?;
        for (index, header) in unread.into_iter().zip(read) {
            let file = &mut files[index];
            if let Known::Known(header) = &header {
                let key = (file.path.clone(), file.size_bytes, file.modified_at);
                headers.insert(key, header.clone());
            }
            file.header = header;
        }
        drop(headers);
        files.retain(|file| belongs(file, database));
        Ok(Known::Known(files))
    }
}

/// Whether a file is of this database: by its header, or, while that is unknown, by its name, as the
/// backup job gives it (`<database>_<UTC time>.trn`).
fn belongs(file: &BackupFile, database: &DatabaseName) -> bool {
    match &file.header {
        Known::Known(header) => header.database.to_lowercase() == database.as_str().to_lowercase(),
        Known::Unknown(_) => {
            let prefix = format!("{}_", database.as_str().to_lowercase());
            let rest = file.name.to_lowercase();
            rest.strip_prefix(&prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        }
    }
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: String,
    size_bytes: u64,
    modified_at: Option<Timestamp>,
}

impl Found {
    fn is_growing(&self) -> bool {
        has_ending(&self.name, ".wrk")
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.len() > ending.len()
        && name.is_char_boundary(name.len() - ending.len())
        && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending)
}

/// Log backups, finished or not.
const LOGS: &[&str] = &[".trn", ".wrk"];

/// Full backups, and perhaps differential ones.
const FULLS: &[&str] = &[".bak"];

/// Files with one of these endings, by name. Blocks.
fn list(folder: &Path, endings: &[&str]) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A name that is no Unicode cannot be named in a statement.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !endings.iter().any(|ending| has_ending(&name, ending)) {
            continue;
        }
        let metadata = match std::fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            // It was renamed or deleted in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            continue;
        }
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok());
        found.push(Found {
            name,
            size_bytes: metadata.len(),
            modified_at: modified.map(Timestamp::from_unix_millis),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[async_trait]
impl BackupFiles for ShareFiles {
    async fn list(
        &self,
        database: &DatabaseName,
        known: &[BackupFile],
    ) -> Result<LogBackupFiles, InstanceError> {
        Ok(LogBackupFiles {
            share: self.list_folder(&self.share, database, known, LOGS).await?,
            copied: self.list_folder(&self.copied, database, known, LOGS).await?,
        })
    }

    async fn list_full(
        &self,
        database: &DatabaseName,
    ) -> Result<Known<Vec<BackupFile>>, InstanceError> {
        let copied = self.list_folder(&self.copied, database, &[], FULLS).await?;
        let share = self.list_folder(&self.share, database, &[], FULLS).await?;
        Ok(match (copied, share) {
            (Known::Unknown(_), Known::Unknown(reason)) => Known::Unknown(reason),
            (copied, share) => {
                let folders = [copied, share].into_iter().filter_map(|folder| match folder {
                    Known::Known(files) => Some(files),
                    Known::Unknown(_) => None,
                });
                Known::Known(folders.flatten().collect())
            }
        })
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &FileAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        match action {
            FileAction::Copy { name, size_bytes, replaces_unreadable } => {
                self.copy(database, name, *size_bytes, *replaces_unreadable, progress).await
            }
        }
    }
}

impl ShareFiles {
    /// Whether the instance finds no whole backup in a file that is there.
    async fn is_unreadable(&self, path: &str) -> bool {
        match self.reader.header(path).await {
            Err(error) => {
                error.number().is_some_and(|number| meaning(number).0 == ErrorCode::BackupDamaged)
            }
            Ok(_) => false,
        }
    }

    async fn copy(
        &self,
        database: &DatabaseName,
        name: &str,
        size_bytes: Option<u64>,
        replaces_unreadable: bool,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("log backup {name} of {database} had to be copied");
        let at = &self.copied.share.unc;
        let is_plain =
            !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
        if !is_plain {
            return Err(InstanceError::new(
                ErrorCode::FileInaccessible,
                at,
                needed,
                "this is not the name of a file without folder",
                "name a file in the backup share",
            ));
        }
        let source = self.share.mount.join(name);
        let target = self.copied.mount.join(name);
        // The plan was made some time ago: only a file that still is unreadable may be replaced.
        let replace =
            replaces_unreadable && self.is_unreadable(&self.copied.share.path_of(name)).await;
        let state = Arc::new(CopyState::default());
        let working = Arc::clone(&state);
        // The copy ends soon after its future is dropped.
        let _stop_when_dropped = StopWhenDropped(Arc::clone(&state));
        let mut task = tokio::task::spawn_blocking(move || {
            copy::copy(&source, &target, size_bytes, replace, &working)
        });
        let mut ticks = tokio::time::interval(TICK);
        let copied = loop {
            tokio::select! {
                biased;
                ended = &mut task => break ended,
                _ = ticks.tick() => {
                    if progress.is_cancelled() {
                        state.stop();
                    }
                    progress.report(percent(state.done(), size_bytes), name);
                }
            }
        };
        match copied {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(copy_error(error, at, needed)),
            Err(error) => Err(InstanceError::new(
                ErrorCode::FileInaccessible,
                at,
                needed,
                format!("the copy did not end: {error}"),
                "copy again",
            )),
        }
    }
}

struct StopWhenDropped(Arc<CopyState>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn percent(done: u64, size: Option<u64>) -> f32 {
    let Some(size) = size else { return 0.0 };
    #[allow(clippy::cast_precision_loss, reason = "a percentage")]
    let share = done as f32 / (size.max(1) as f32 * 2.0);
    (share * 100.0).min(100.0)
}

fn copy_error(error: CopyError, at: &str, needed: String) -> InstanceError {
    let (code, remedy) = match &error {
        CopyError::Io { error, .. } if is_disk_full(error) => {
            (ErrorCode::DiskFull, "free space in the copy destination, then copy again")
        }
        CopyError::Io { .. } => (
            ErrorCode::FileInaccessible,
            "check the mount, the network and the rights on the folder",
        ),
        CopyError::Size { .. } => (
            ErrorCode::FileInaccessible,
            "the file is still growing or was replaced: observe again, then plan again",
        ),
        CopyError::Exists { .. } => {
            (ErrorCode::FileInaccessible, "move the other file away; pcdr overwrites no backup")
        }
        CopyError::Verify { .. } => (
            ErrorCode::BackupDamaged,
            "check disk and network of the copy destination, then copy again",
        ),
        CopyError::Stopped => (ErrorCode::Cancelled, "observe again, then plan again"),
    };
    let found = crate::quote::comment(&error.to_string());
    let mut reported = InstanceError::new(code, at, needed, found, remedy);
    reported.source = Some(Arc::new(error));
    reported
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> BackupFile {
        BackupFile {
            name: name.to_owned(),
            path: name.to_owned(),
            size_bytes: 1,
            modified_at: None,
            header: Known::unknown("still_growing", "growing"),
        }
    }

    #[test]
    fn only_log_backups_and_unfinished_ones_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b_1.TRN", "a_2.trn", "a_3.wrk", "a.bak", "a.trn.pcdr-tmp", "trn", "ü.trn"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.trn")).unwrap();
        let found = list(folder.path(), LOGS).unwrap();
        let names: Vec<&str> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a_2.trn", "a_3.wrk", "b_1.TRN", "ü.trn"]);
        assert!(found[1].is_growing() && found[0].modified_at.is_some());
        assert!(list(Path::new("/no/such/folder"), LOGS).is_err());
        let found = list(folder.path(), FULLS).unwrap();
        assert!(matches!(&found[..], [file] if file.name == "a.bak"), "{found:?}");
    }

    #[test]
    fn a_file_without_header_belongs_to_the_database_that_its_name_says() {
        let mgc = DatabaseName::from("mgc");
        assert!(belongs(&file("MGC_20260301104500.trn"), &mgc));
        assert!(!belongs(&file("mgc_archive_20260301104500.trn"), &mgc));
        assert!(!belongs(&file("mgccomp_20260301104500.trn"), &mgc));
    }
}
