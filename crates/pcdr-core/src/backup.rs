//! Backup files and what their headers say.

use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::lsn::{Guid, Lsn};
use crate::time::Timestamp;

/// A backup file somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    /// File name without folder.
    pub name: String,
    /// Full path as the SQL Server instance that restores it sees it.
    pub path: String,
    /// Size when it was seen.
    pub size_bytes: u64,
    /// Last write, if the file system tells.
    pub modified_at: Option<Timestamp>,
    /// Its first backup set's header, read by a SQL Server instance; unknown when it cannot be read
    /// (truncated, foreign, still growing, no access).
    pub header: Known<BackupHeader>,
}

/// The header of one backup set.
///
/// `last_lsn` is the position of the *next* record, so `b` follows `a` without a gap when
/// `a.last_lsn == b.first_lsn`.
///
/// Source: `RESTORE HEADERONLY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupHeader {
    /// `BackupType`.
    pub kind: BackupKind,
    /// `BackupSetGUID`.
    pub backup_set: Guid,
    /// `DatabaseName` at the time of the backup.
    pub database: String,
    /// `ServerName` that took it.
    pub server: String,
    /// `FamilyGUID`: which database this is a copy of, under whatever name.
    pub family: Guid,
    /// `FirstLSN`, inclusive.
    pub first_lsn: Lsn,
    /// `LastLSN`, exclusive.
    pub last_lsn: Lsn,
    /// `CheckpointLSN`.
    pub checkpoint_lsn: Lsn,
    /// `DatabaseBackupLSN`.
    pub database_backup_lsn: Lsn,
    /// `FirstRecoveryForkID`: the fork on which it starts.
    pub first_fork: Guid,
    /// `RecoveryForkID`: the fork on which it ends; differs from the first only in the first log
    /// backup after a failover.
    pub last_fork: Guid,
    /// `ForkPointLSN`; `None` unless the forks differ.
    pub fork_point_lsn: Option<Lsn>,
    /// `BackupStartDate`. Everything committed before it is in a log backup of that time.
    pub started_at: Timestamp,
    /// `BackupFinishDate`.
    pub finished_at: Timestamp,
    /// `BackupSize`, in bytes, before compression.
    pub backup_size_bytes: u64,
    /// `IsCopyOnly`.
    pub is_copy_only: bool,
    /// `IsForceOffline`: taken WITH NORECOVERY, so nothing was written after it.
    pub is_tail: bool,
    /// `IsDamaged`.
    pub is_damaged: bool,
    /// `HasBulkLoggedData`.
    pub has_bulk_logged_data: bool,
    /// `DatabaseVersion`: the internal version.
    pub database_version: i32,
}

/// `BackupType` of a backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// 1: a full database backup.
    Full,
    /// 2: a log backup.
    Log,
    /// 5: a differential database backup.
    Differential,
    /// File, filegroup and partial backups: not used by pcdr.
    Other,
}
