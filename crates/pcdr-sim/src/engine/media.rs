//! Backup media: what a backup file holds and how it is read and written.

use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::RecoveryPath;
use super::lsn::Lsn;
use super::state::{DatabaseFile, RecoveryModel};

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

    /// A date of this backup as its server showed it.
    pub fn local(&self, at: Timestamp) -> civil::DateTime {
        super::state::local(at, self.utc_offset_minutes)
    }
}
