//! Backup media: what a backup file holds and how it is read and written.

use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::RecoveryPath;
use super::lsn::Lsn;
use super::state::{DatabaseFile, RecoveryModel};
use crate::value::Value;

/// What a backup set covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetKind {
    /// The whole database.
    Full,
    /// What changed since the differential base.
    Differential,
    /// Log.
    Log,
}

impl SetKind {
    /// `BackupType`, `backupset.type` and `BackupTypeDescription`.
    pub const fn code(self) -> (u8, char, &'static str) {
        match self {
            SetKind::Full => (1, 'D', "Database"),
            SetKind::Log => (2, 'L', "Transaction Log"),
            SetKind::Differential => (5, 'I', "Database Differential"),
        }
    }
}

/// The header of a backup set. Source: the columns of RESTORE HEADERONLY and `msdb.dbo.backupset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetHeader {
    /// `BackupSetGUID`.
    pub set_guid: Uuid,
    /// `BackupName`.
    pub name: Option<String>,
    /// `BackupDescription`.
    pub description: Option<String>,
    /// Type.
    pub kind: SetKind,
    /// `ExpirationDate`, local.
    pub expiration: Option<civil::DateTime>,
    /// `Compressed`.
    pub compressed: bool,
    /// `Position`, from 1.
    pub position: u16,
    /// `UserName`.
    pub user_name: String,
    /// `ServerName`.
    pub server_name: String,
    /// `MachineName`.
    pub machine_name: String,
    /// `DatabaseName`.
    pub database_name: String,
    /// `DatabaseVersion`.
    pub database_version: i32,
    /// `DatabaseCreationDate`, UTC.
    pub database_created: Timestamp,
    /// `BackupSize`, in bytes.
    pub size: u64,
    /// `CompressedBackupSize`, in bytes.
    pub compressed_size: u64,
    /// `FirstLSN`.
    pub first_lsn: Lsn,
    /// `LastLSN`.
    pub last_lsn: Lsn,
    /// `CheckpointLSN`.
    pub checkpoint_lsn: Lsn,
    /// `DatabaseBackupLSN`; zero when there is none.
    pub database_backup_lsn: Lsn,
    /// `BackupStartDate`, UTC.
    pub start: Timestamp,
    /// `BackupFinishDate`, UTC.
    pub finish: Timestamp,
    /// Server's local time minus UTC, in minutes: dates are shown in the time of the server that
    /// wrote the backup.
    pub utc_offset_minutes: i16,
    /// `CompatibilityLevel`.
    pub compatibility_level: u8,
    /// `SoftwareVersionMajor`, `Minor`, `Build`.
    pub version: (u8, u8, u16),
    /// `BindingID`.
    pub binding_id: Uuid,
    /// `FirstRecoveryForkID`.
    pub first_fork: Uuid,
    /// `RecoveryForkID`.
    pub last_fork: Uuid,
    /// `ForkPointLSN`.
    pub fork_point: Option<Lsn>,
    /// The whole recovery path up to the end of the set, as the log itself tells it.
    pub path: RecoveryPath,
    /// `Collation`.
    pub collation: String,
    /// `FamilyGUID`.
    pub family_guid: Uuid,
    /// `HasBulkLoggedData`.
    pub bulk_logged: bool,
    /// `IsReadOnly`.
    pub read_only: bool,
    /// `IsSingleUser`.
    pub single_user: bool,
    /// `HasBackupChecksums`.
    pub checksums: bool,
    /// `IsDamaged`.
    pub damaged: bool,
    /// `BeginsLogChain`.
    pub begins_log_chain: bool,
    /// `HasIncompleteMetaData`.
    pub incomplete_metadata: bool,
    /// `IsForceOffline`.
    pub force_offline: bool,
    /// `IsCopyOnly`.
    pub copy_only: bool,
    /// A log backup of the tail (NORECOVERY, STANDBY or NO_TRUNCATE).
    pub tail: bool,
    /// `RecoveryModel`.
    pub recovery_model: RecoveryModel,
    /// `DifferentialBaseLSN`.
    pub differential_base_lsn: Option<Lsn>,
    /// `DifferentialBaseGUID`.
    pub differential_base_guid: Option<Uuid>,
    /// `LastValidRestoreTime`, UTC.
    pub last_valid_restore_time: Option<Timestamp>,
    /// Files.
    pub files: Vec<DatabaseFile>,
    /// `MediaSetId`.
    pub media_set: Uuid,
    /// `KeyAlgorithm` and `EncryptorThumbprint`, when the set is encrypted.
    #[serde(default)]
    pub encryption: Option<(String, Vec<u8>)>,
}

impl SetHeader {
    /// `Flags`. Source: the bits that the documentation lists, and 512 and 1024 as observed.
    pub fn flags(&self) -> i32 {
        let mut flags = 512;
        for (set, bit) in [
            (self.bulk_logged, 1),
            (self.read_only, 4),
            (self.single_user, 8),
            (self.checksums, 16),
            (self.damaged, 32),
            (self.tail, 64),
            (self.incomplete_metadata, 128),
            (self.force_offline, 256),
            (self.copy_only, 1024),
        ] {
            if set {
                flags |= bit;
            }
        }
        flags
    }

    /// `KeyAlgorithm`, `EncryptorThumbprint` and `EncryptorType`.
    pub fn encryptor(&self) -> [Value; 3] {
        match &self.encryption {
            Some((algorithm, thumbprint)) => [
                Value::string(algorithm),
                Value::Binary(thumbprint.clone().into()),
                Value::string("CERTIFICATE"),
            ],
            None => [Value::Null, Value::Null, Value::Null],
        }
    }

    /// A date of this backup as its server showed it.
    pub fn local(&self, at: Timestamp) -> civil::DateTime {
        super::state::local(at, self.utc_offset_minutes)
    }
}

/// Options of a database that travel with its backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) user_access: super::state::UserAccess,
    pub(crate) recovery_model: RecoveryModel,
    pub(crate) read_only: bool,
    pub(crate) compatibility_level: u8,
}

/// What a set holds beside its header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetContent {
    pub(crate) options: Options,
    pub(crate) security: super::security::DatabaseSecurity,
    /// Of a data backup.
    pub(crate) storage: Option<super::storage::Storage>,
    /// Of a log backup.
    pub(crate) records: Vec<super::log::LogRecord>,
    pub(crate) data_bytes: u64,
    pub(crate) changed_bytes: u64,
    pub(crate) last_log_backup_lsn: Option<Lsn>,
    pub(crate) differential_base: Option<super::state::DifferentialBase>,
    pub(crate) broker_guid: Uuid,
    pub(crate) owner: String,
    /// When the content was taken: what was committed later is not in it.
    pub(crate) captured: Timestamp,
    /// A page of the data fails its checks, which a backup without checksums does not notice.
    #[serde(default)]
    pub(crate) page_damaged: bool,
    /// What the database uses that not every edition has.
    #[serde(default)]
    pub(crate) features: std::collections::BTreeSet<super::state::Feature>,
}

/// The first line of a backup file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaHeader {
    /// `MediaSetId`.
    pub media_set: Uuid,
    /// `MediaFamilyId`.
    pub family: Uuid,
    /// `FamilySequenceNumber`, from 1.
    pub family_number: u16,
    /// `FamilyCount`.
    pub family_count: u16,
    /// `MediaName`.
    pub name: Option<String>,
    /// `MediaDescription`.
    pub description: Option<String>,
    /// Whether the sets on it are compressed.
    pub compressed: bool,
    /// `MediaDate`, local to the server that wrote it.
    pub date: civil::DateTime,
}

/// A set as found on a device.
#[derive(Debug, Clone)]
pub struct SetOnMedia {
    /// Its header.
    pub header: SetHeader,
    /// Its bytes do not add up to its checksum.
    pub damaged: bool,
    content: std::ops::Range<usize>,
}

/// A backup file, read.
#[derive(Debug, Clone)]
pub struct Media {
    /// First line.
    pub header: MediaHeader,
    /// Complete sets in order.
    pub sets: Vec<SetOnMedia>,
    /// What follows the complete sets, if it is not the end of the file.
    pub tail: Option<MediaProblem>,
    bytes: Vec<u8>,
}

/// What is wrong with a backup file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaProblem {
    /// 3254: no byte in it.
    Empty,
    /// 3241: not a backup, or damaged so that nothing can be read.
    Foreign,
    /// 3208: ends before its first set has begun.
    EndsEarly,
    /// 3256: ends inside a set.
    Incomplete,
}

impl MediaProblem {
    /// The error that it raises.
    pub fn message(self, device: &str) -> crate::message::SqlMessage {
        use super::errors;
        match self {
            MediaProblem::Empty => errors::empty_volume(device),
            MediaProblem::Foreign => errors::malformed_media(device),
            MediaProblem::EndsEarly => errors::unexpected_end(device),
            MediaProblem::Incomplete => errors::incomplete_set(device),
        }
    }
}

const MAGIC: &[u8] = b"PCDRBAK1 ";

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn line_at(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(from..)?;
    let length = rest.iter().position(|byte| *byte == b'\n')?;
    Some((&rest[..length], from + length + 1))
}

impl Media {
    /// Reads a backup file's bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with it, when not even its first line can be read.
    pub fn parse(bytes: Vec<u8>) -> Result<Media, MediaProblem> {
        if bytes.is_empty() {
            return Err(MediaProblem::Empty);
        }
        let Some((first, mut at)) = line_at(&bytes, 0) else {
            return Err(if bytes.starts_with(MAGIC) || MAGIC.starts_with(&bytes) {
                MediaProblem::EndsEarly
            } else {
                MediaProblem::Foreign
            });
        };
        let header: MediaHeader = first
            .strip_prefix(MAGIC)
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or(MediaProblem::Foreign)?;
        let mut sets = Vec::new();
        let mut tail = None;
        while at < bytes.len() {
            match read_set(&bytes, at) {
                Ok((set, next)) => {
                    sets.push(set);
                    at = next;
                }
                Err(problem) => {
                    tail = Some(problem);
                    break;
                }
            }
        }
        if sets.is_empty() && tail.is_none() {
            tail = Some(MediaProblem::EndsEarly);
        }
        Ok(Media { header, sets, tail, bytes })
    }

    /// The content of a set; `None` when it cannot be read or stands on another device of the media
    /// set.
    pub(crate) fn content(&self, set: &SetOnMedia) -> Option<SetContent> {
        serde_json::from_slice(self.bytes.get(set.content.clone())?).ok()
    }
}

fn read_set(bytes: &[u8], start: usize) -> Result<(SetOnMedia, usize), MediaProblem> {
    let (first, mut at) = line_at(bytes, start).ok_or(MediaProblem::EndsEarly)?;
    if !first.starts_with(b"SET ") {
        return Err(MediaProblem::Foreign);
    }
    let mut header: Option<SetHeader> = None;
    let mut unreadable = false;
    let mut content = 0..0;
    let mut lines = 0_u32;
    loop {
        let Some((line, next)) = line_at(bytes, at) else {
            return Err(if lines == 0 {
                MediaProblem::EndsEarly
            } else {
                MediaProblem::Incomplete
            });
        };
        lines += 1;
        if let Some(json) = line.strip_prefix(b"HEAD ") {
            header = serde_json::from_slice(json).ok();
            unreadable |= header.is_none();
        } else if line.starts_with(b"DATA ") {
            content = at + 5..at + line.len();
        } else if let Some(end) = line.strip_prefix(b"END ") {
            let expected = format!("{} {:016x}", at - start, checksum(&bytes[start..at]));
            let header = header.ok_or(MediaProblem::Foreign)?;
            let set =
                SetOnMedia { header, damaged: unreadable || end != expected.as_bytes(), content };
            return Ok((set, next));
        } else if !line.starts_with(b"PAGE ") {
            unreadable = true;
        }
        at = next;
    }
}

/// Writes sets to one device, piece by piece.
#[derive(Debug)]
pub(crate) struct Writer {
    path: std::path::PathBuf,
    /// Bytes of the set so far.
    set: Vec<u8>,
}

impl Writer {
    /// Begins a set on a device; `media` is written first when the device is new or overwritten.
    pub(crate) fn begin(
        path: &std::path::Path,
        media: Option<&MediaHeader>,
        set: Uuid,
    ) -> std::io::Result<Writer> {
        if let Some(media) = media {
            let mut line = MAGIC.to_vec();
            serde_json::to_writer(&mut line, media)?;
            line.push(b'\n');
            std::fs::write(path, line)?;
        }
        let mut writer = Writer { path: path.to_owned(), set: Vec::new() };
        writer.put(format!("SET {set}\n").as_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        use std::io::Write as _;
        // Append only: a file that was deleted meanwhile is not created again without its beginning.
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path)?;
        file.write_all(bytes)?;
        self.set.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes something that grows the file while the backup runs.
    pub(crate) fn page(&mut self, number: u32) -> std::io::Result<()> {
        self.put(format!("PAGE {number:08}\n").as_bytes())
    }

    /// Writes header and content and closes the set.
    pub(crate) fn finish(
        &mut self,
        header: &SetHeader,
        content: Option<&SetContent>,
    ) -> std::io::Result<()> {
        let mut lines = b"HEAD ".to_vec();
        serde_json::to_writer(&mut lines, header)?;
        lines.push(b'\n');
        if let Some(content) = content {
            lines.extend_from_slice(b"DATA ");
            serde_json::to_writer(&mut lines, content)?;
            lines.push(b'\n');
        }
        self.put(&lines)?;
        let end = format!("END {} {:016x}\n", self.set.len(), checksum(&self.set));
        self.put(end.as_bytes())
    }
}

/// Size of a backup file as its server would see it, in bytes: what its headers say, not what this
/// format needs. `None` when the file is no complete backup.
pub fn declared_size(path: &std::path::Path) -> Option<u64> {
    let media = Media::parse(std::fs::read(path).ok()?).ok()?;
    Some(media.sets.iter().map(|set| set.header.compressed_size).sum())
}
