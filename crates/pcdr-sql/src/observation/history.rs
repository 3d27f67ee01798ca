//! What the history in `msdb` and the log itself tell of log backups.

use pcdr_core::observation::{RestoredLogBackup, TakenLogBackup};
use pcdr_core::{DatabaseName, Guid, Known, Lsn, Timestamp};

use super::{Answer, ERROR, Names, failed, of_database};
use crate::connection::{LocalTime, Row};
use crate::error::SqlError;

/// The history of one database; unknown when a row of it lacks what every row has.
pub(super) fn history_of<T: Clone>(
    rows: &Known<Vec<(DatabaseName, Option<T>)>>,
    database: &DatabaseName,
) -> Known<Vec<T>> {
    match of_database(rows, database) {
        Known::Known(rows) => match rows.into_iter().collect() {
            Some(rows) => Known::Known(rows),
            None => Known::unknown(
                "incomplete_history",
                format!(
                    "the history of {database} in msdb has a row without position, time or size"
                ),
            ),
        },
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

/// `pcdr_log` of all databases; each fails by itself.
pub(super) fn read_log_space(
    answer: &Answer<'_>,
    names: &Names<'_>,
) -> Result<Vec<(DatabaseName, Known<u64>)>, SqlError> {
    let mut all = Vec::new();
    for set in answer.sets.iter().filter(|set| set.tag() == "pcdr_log") {
        for row in &set.rows {
            let Some(name) = names.of(row, "name")? else { continue };
            let bytes = if set.has(ERROR) {
                Known::Unknown(failed(row, "pcdr_log"))
            } else {
                match row.optional("bytes")? {
                    Some(bytes) => Known::Known(bytes),
                    None => Known::unknown("not_told", "the instance tells no bytes of log"),
                }
            };
            all.push((name, bytes));
        }
    }
    Ok(all)
}

pub(super) fn log_space(
    all: &Result<Vec<(DatabaseName, Known<u64>)>, SqlError>,
    database: &DatabaseName,
) -> Known<u64> {
    match all {
        Ok(all) => match all.iter().find(|(of, _)| of == database) {
            Some((_, bytes)) => bytes.clone(),
            None => Known::unknown(
                "not_answered",
                "the bytes of log since the last log backup were not answered; of a copy in STANDBY they are \
                 not asked",
            ),
        },
        Err(error) => Known::unknown("protocol", error.to_string()),
    }
}

/// A time of the history in `msdb`: local, by the clock of whoever took the backup, whose zone is told in
/// quarters of an hour; 127 means that it is not known, and then it is this server's.
fn history_time(row: &Row, column: &str, offset: i16) -> Result<Option<Timestamp>, SqlError> {
    const UNKNOWN: i32 = 127;
    let quarters = row.optional::<i32>("time_zone")?.filter(|zone| *zone != UNKNOWN);
    let own = quarters.and_then(|quarters| i16::try_from(quarters.saturating_mul(15)).ok());
    let time = row.optional::<LocalTime>(column)?;
    Ok(time.map(|time| time.at_offset(own.unwrap_or(offset))))
}

/// A row of `pcdr_taken`; `None` when it lacks what every row has.
pub(super) fn read_taken(row: &Row, offset: i16) -> Result<Option<TakenLogBackup>, SqlError> {
    let compressed: Option<u64> = row.optional("compressed_backup_size")?;
    let size: Option<u64> = row.optional("backup_size")?;
    let first_lsn: Option<Lsn> = row.optional("first_lsn")?;
    let last_lsn: Option<Lsn> = row.optional("last_lsn")?;
    let first_fork: Option<Guid> = row.optional("first_recovery_fork_guid")?;
    let started_at = history_time(row, "backup_start_date", offset)?;
    let finished_at = history_time(row, "backup_finish_date", offset)?;
    let path = row.optional("path")?;
    Ok((|| {
        Some(TakenLogBackup {
            first_lsn: first_lsn?,
            last_lsn: last_lsn?,
            first_fork: first_fork?,
            started_at: started_at?,
            finished_at: finished_at?,
            size_bytes: compressed.or(size)?,
            path,
        })
    })())
}

/// A row of `pcdr_restored`; `None` when it lacks what every row has.
pub(super) fn read_restored(row: &Row, offset: i16) -> Result<Option<RestoredLogBackup>, SqlError> {
    // Restored here, by the clock of this server.
    let restored_at = row.optional::<LocalTime>("restore_date")?.map(|time| time.at_offset(offset));
    let finished_at = history_time(row, "backup_finish_date", offset)?;
    let last_lsn: Option<Lsn> = row.optional("last_lsn")?;
    let read = restored_at.zip(finished_at).zip(last_lsn);
    Ok(read.map(|((restored_at, finished_at), last_lsn)| RestoredLogBackup {
        restored_at,
        finished_at,
        last_lsn,
    }))
}
