//! From the rows of RESTORE HEADERONLY to backup headers.

use pcdr_core::backup::{BackupHeader, BackupKind};
use pcdr_core::{Known, Timestamp};

use crate::connection::{LocalTime, ResultSet, Row, ServerTime};
use crate::error::SqlError;

/// The time zone of a header that does not know its own.
const UNKNOWN_ZONE: i32 = 127;

/// Reads the first backup set's header.
///
/// `offset` is the reading instance's, in minutes: before SQL Server 2022 a header does not tell in
/// which zone its times were taken, so the times of a header from a server in another zone are off by
/// the difference.
///
/// # Errors
///
/// A column that is missing or of another type.
pub(crate) fn read(row: &Row, offset: i16) -> Result<BackupHeader, SqlError> {
    let zone = row.newer::<i32>("TimeZone")?.filter(|z| *z != UNKNOWN_ZONE);
    let offset = zone.and_then(|quarters| i16::try_from(quarters * 15).ok()).unwrap_or(offset);
    let time = |column: &str| -> Result<Timestamp, SqlError> {
        Ok(row.get::<LocalTime>(column)?.at_offset(offset))
    };
    let first_fork = row.get("FirstRecoveryForkID")?;
    let last_fork = row.get("RecoveryForkID")?;
    let fork_point = row.optional("ForkPointLSN")?;
    Ok(BackupHeader {
        kind: match row.get::<i32>("BackupType")? {
            1 => BackupKind::Full,
            2 => BackupKind::Log,
            5 => BackupKind::Differential,
            _ => BackupKind::Other,
        },
        backup_set: row.get("BackupSetGUID")?,
        database: row.get("DatabaseName")?,
        server: row.optional("ServerName")?.unwrap_or_default(),
        family: row.get("FamilyGUID")?,
        first_lsn: row.get("FirstLSN")?,
        last_lsn: row.get("LastLSN")?,
        checkpoint_lsn: row.get("CheckpointLSN")?,
        database_backup_lsn: row.optional("DatabaseBackupLSN")?.unwrap_or_default(),
        first_fork,
        last_fork,
        fork_point_lsn: if first_fork == last_fork { None } else { fork_point },
        started_at: time("BackupStartDate")?,
        finished_at: time("BackupFinishDate")?,
        backup_size_bytes: row.optional("BackupSize")?.unwrap_or(0),
        is_copy_only: row.optional("IsCopyOnly")?.unwrap_or(false),
        is_tail: row.optional("IsForceOffline")?.unwrap_or(false),
        is_damaged: row.optional("IsDamaged")?.unwrap_or(false),
        has_bulk_logged_data: row.optional("HasBulkLoggedData")?.unwrap_or(false),
        database_version: row.optional("DatabaseVersion")?.unwrap_or(0),
    })
}

/// Reads the answer for one file.
pub(crate) fn read_one(sets: &[ResultSet]) -> Result<BackupHeader, SqlError> {
    let offset = clock(sets)?;
    let row = sets
        .iter()
        .find(|set| set.has("FirstLSN"))
        .and_then(|set| set.rows.first())
        .ok_or_else(|| SqlError::Protocol("the file holds no backup set".to_owned()))?;
    read(row, offset)
}

/// Reads the answer for many files: by their number, known headers, and unknown ones whose cause is
/// still to be asked for.
pub(crate) fn read_many(
    sets: &[ResultSet],
    files: usize,
) -> Result<Vec<Known<BackupHeader>>, SqlError> {
    let offset = clock(sets)?;
    let not_answered = || Known::unknown("not_answered", "the header was not answered");
    let mut headers: Vec<Known<BackupHeader>> = (0..files).map(|_| not_answered()).collect();
    let mut current = None;
    for set in sets {
        if set.tag() == "pcdr_file" {
            current = match set.rows.first() {
                Some(row) => usize::try_from(row.get::<i64>("pcdr_file")?).ok(),
                None => None,
            };
            continue;
        }
        let Some(header) = current.and_then(|number| headers.get_mut(number)) else {
            continue;
        };
        if let (true, Some(row)) = (set.has("FirstLSN"), set.rows.first()) {
            *header = match read(row, offset) {
                Ok(header) => Known::Known(header),
                Err(error) => Known::unknown("protocol", error.to_string()),
            };
        }
    }
    Ok(headers)
}

fn clock(sets: &[ResultSet]) -> Result<i16, SqlError> {
    let row = sets
        .iter()
        .find(|set| set.tag() == "pcdr_clock")
        .and_then(|set| set.rows.first())
        .ok_or_else(|| SqlError::Protocol("the instance does not tell its time".to_owned()))?;
    Ok(row.get::<ServerTime>("now")?.offset_minutes)
}
