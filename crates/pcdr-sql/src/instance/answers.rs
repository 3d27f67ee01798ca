//! What the small statements answer, read from their rows.

use std::time::Duration;

use pcdr_core::Guid;
use pcdr_core::observation::JobSchedule;

use crate::connection::{ResultSet, Row};
use crate::error::SqlError;
use crate::observation::read_schedule;

/// The last row of a batch that runs a procedure, which must have returned 0.
pub(super) fn returned(sets: Vec<ResultSet>, procedure: &str) -> Result<Row, SqlError> {
    let row = sets
        .into_iter()
        .rev()
        .find(|set| set.has("return_code"))
        .and_then(|set| set.rows.into_iter().next())
        .ok_or_else(|| SqlError::Protocol(format!("{procedure} returned nothing")))?;
    match row.optional::<i32>("return_code")? {
        Some(0) => Ok(row),
        code => Err(SqlError::Returned {
            procedure: procedure.to_owned(),
            code: code.map_or_else(|| "NULL".to_owned(), |code| code.to_string()),
        }),
    }
}

/// A job that was started: the newest outcome before it, and the Agent session that runs it.
pub(super) struct Run {
    pub(super) before: i32,
    pub(super) agent_session: Option<i32>,
}

pub(super) fn run(row: &Row) -> Result<Run, SqlError> {
    Ok(Run { before: row.get("instance_id")?, agent_session: row.optional("agent_session")? })
}

/// The outcome of a run; without `instance_id` it has none yet.
pub(super) struct Outcome {
    pub(super) instance_id: Option<i32>,
    pub(super) agent_session: Option<i32>,
    pub(super) status: Option<i32>,
    pub(super) message: Option<String>,
}

pub(super) fn outcome(row: &Row) -> Result<Outcome, SqlError> {
    Ok(Outcome {
        instance_id: row.optional("instance_id")?,
        agent_session: row.optional("agent_session")?,
        status: row.optional("run_status")?,
        message: row.optional("message")?,
    })
}

/// What a failed step said.
pub(super) fn step_message(row: &Row) -> Result<Option<String>, SqlError> {
    row.optional("message")
}

/// Whether one of the jobs runs.
pub(super) fn any_runs(sets: &[ResultSet]) -> Result<bool, SqlError> {
    for row in sets.iter().flat_map(|set| &set.rows) {
        if row.get::<i64>("running")? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which of the jobs exist.
pub(super) fn jobs_there(sets: &[ResultSet]) -> Result<Vec<Guid>, SqlError> {
    sets.iter().flat_map(|set| &set.rows).map(|row| row.get("job_id")).collect()
}

/// The schedules of a job.
pub(super) fn schedules(sets: &[ResultSet]) -> Result<Vec<JobSchedule>, SqlError> {
    sets.iter().flat_map(|set| &set.rows).map(read_schedule).collect()
}

/// The schedule that was added.
pub(super) fn schedule(row: &Row) -> Result<i32, SqlError> {
    row.get("schedule_id")
}

/// The backup job of a primary's entry.
pub(super) fn backup_job(row: &Row) -> Result<Guid, SqlError> {
    row.get("backup_job_id")
}

/// A secondary that is registered in a primary's entry.
pub(super) fn secondary_server(row: &Row) -> Result<String, SqlError> {
    row.get("secondary_server")
}

/// A secondary database of a primary that is registered on the instance.
pub(super) fn secondary_database(row: &Row) -> Result<String, SqlError> {
    row.get("secondary_database")
}

/// The alert job of the instance.
pub(super) fn alert_job(row: &Row) -> Result<Guid, SqlError> {
    row.get("alert_job_id")
}

/// The folders of a primary's entry on a secondary: source and destination of the copies.
pub(super) fn folders(row: &Row) -> Result<(String, String), SqlError> {
    Ok((row.get("backup_source_directory")?, row.get("backup_destination_directory")?))
}

/// The copy and the restore job of a secondary's entry.
pub(super) fn copy_and_restore_jobs(row: &Row) -> Result<(Guid, Guid), SqlError> {
    Ok((row.get("copy_job_id")?, row.get("restore_job_id")?))
}

/// The mirroring endpoint, and the edition of the instance.
pub(super) struct FoundEndpoint {
    /// `None`: there is no endpoint.
    pub(super) name: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) state: Option<i32>,
    pub(super) engine_edition: Option<i32>,
}

pub(super) fn endpoint(row: &Row) -> Result<FoundEndpoint, SqlError> {
    Ok(FoundEndpoint {
        name: row.optional("name")?,
        port: row.optional("port")?,
        state: row.optional("state")?,
        engine_edition: row.optional("engine_edition")?,
    })
}

/// How many partners and witnesses use the endpoint.
pub(super) fn endpoint_uses(row: &Row) -> Result<(i32, i32), SqlError> {
    Ok((row.get("partners")?, row.get("witnesses")?))
}

/// A file of the database in a backup.
pub(super) struct File {
    pub(super) logical: String,
    pub(super) physical: String,
    pub(super) is_log: bool,
    pub(super) size_bytes: u64,
}

pub(super) fn files(sets: &[ResultSet]) -> Result<Vec<File>, SqlError> {
    let rows = sets.iter().flat_map(|set| &set.rows);
    rows.map(|row| {
        Ok(File {
            logical: row.get("LogicalName")?,
            physical: row.get("PhysicalName")?,
            is_log: row.get::<String>("Type")?.trim() == "L",
            size_bytes: u64::try_from(row.get::<u128>("Size")?).unwrap_or(u64::MAX),
        })
    })
    .collect()
}

/// Each drive with a letter, and its free mebibytes.
pub(super) fn drives(sets: &[ResultSet]) -> Result<Vec<(char, i32)>, SqlError> {
    let rows = sets.iter().flat_map(|set| &set.rows);
    let read = rows.map(|row| {
        let drive: String = row.get("drive")?;
        let letter = drive.chars().next();
        Ok(letter.zip(row.optional::<i32>("MB free")?))
    });
    let read: Result<Vec<_>, SqlError> = read.collect();
    Ok(read?.into_iter().flatten().collect())
}

/// Session and login time of the asking connection.
pub(super) fn session(row: &Row) -> Result<(i32, String), SqlError> {
    Ok((row.get("session_id")?, row.optional("login_time")?.unwrap_or_default()))
}

/// How far a request is.
pub(super) struct RequestProgress {
    pub(super) percent: f64,
    pub(super) command: String,
    /// By the server's own estimate; `None` where it makes none.
    pub(super) remaining: Option<Duration>,
}

/// How far the request of a session is; `None` without a request.
pub(super) fn progress(row: &Row) -> Result<Option<RequestProgress>, SqlError> {
    let percent = row.optional("percent_complete")?;
    let command = row.optional("command")?;
    let remaining = row.optional::<i64>("remaining_ms")?;
    let remaining = remaining.and_then(|millis| u64::try_from(millis).ok());
    let remaining = remaining.filter(|millis| *millis > 0).map(Duration::from_millis);
    let of = |(percent, command)| RequestProgress { percent, command, remaining };
    Ok(percent.zip(command).map(of))
}

/// Since when a session is logged in: ids are reused.
pub(super) fn login_time(row: &Row) -> Result<Option<String>, SqlError> {
    row.optional("login_time")
}
