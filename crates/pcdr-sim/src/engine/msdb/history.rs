//! `backupset`, `backupmediaset`, `backupmediafamily`, `backupfile`, `restorehistory`, `restorefile`.

use jiff::civil;
use uuid::Uuid;

use crate::engine::media::SetHeader;

/// A row of `msdb.dbo.backupset`, with its files.
#[derive(Debug, Clone)]
pub struct BackupSetRow {
    /// `backup_set_id`.
    pub id: i32,
    /// `media_set_id`.
    pub media_set_id: i32,
    /// Everything that the backup's header says; `set_guid` is `backup_set_uuid`.
    pub header: SetHeader,
}

/// A media set with its families.
#[derive(Debug, Clone)]
pub struct MediaSetRow {
    /// `media_set_id`.
    pub id: i32,
    /// `media_uuid`.
    pub guid: Uuid,
    /// Media name.
    pub name: Option<String>,
    /// Media description.
    pub description: Option<String>,
    /// Whether its sets are compressed.
    pub compressed: bool,
    /// `physical_device_name` of each family, in order.
    pub devices: Vec<(Uuid, String)>,
}

/// A row of `msdb.dbo.restorehistory`, with its files.
#[derive(Debug, Clone)]
pub struct RestoreHistoryRow {
    /// `restore_history_id`.
    pub id: i32,
    /// `restore_date`, local.
    pub date: civil::DateTime,
    /// `destination_database_name`.
    pub database: String,
    /// `user_name`.
    pub user: String,
    /// `backup_set_id`.
    pub backup_set_id: i32,
    /// `restore_type`: D, I, L or V.
    pub restore_type: char,
    /// REPLACE was given.
    pub replace: bool,
    /// RECOVERY (true), or NORECOVERY and STANDBY (false).
    pub recovery: bool,
    /// RESTART was given.
    pub restart: bool,
    /// STOPAT, local.
    pub stop_at: Option<civil::DateTime>,
    /// `device_count`.
    pub device_count: i16,
    /// File number and physical name of every file restored.
    pub files: Vec<(i32, String)>,
}

/// History of an instance. Rows are in order of their ids.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// `backupset`.
    pub backup_sets: Vec<BackupSetRow>,
    /// `backupmediaset` and `backupmediafamily`.
    pub media_sets: Vec<MediaSetRow>,
    /// `restorehistory`.
    pub restores: Vec<RestoreHistoryRow>,
    /// Ids given out so far: sets, media, restores.
    pub ids: (i32, i32, i32),
}

/// Whether rows of history can be written: msdb is open.
pub(crate) fn can_be_written(instance: &crate::engine::state::InstanceState) -> bool {
    instance
        .database("msdb")
        .is_some_and(|msdb| msdb.status == crate::engine::state::Status::Online)
}
