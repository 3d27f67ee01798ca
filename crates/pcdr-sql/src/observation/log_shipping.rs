//! Log shipping entries, their jobs and schedules, and what is monitored.

use std::collections::BTreeMap;

use pcdr_core::observation::{
    Job, JobFailure, JobSchedule, LogShippingPrimary, LogShippingSecondary, MonitorAuthentication,
    Monitored, MonitoredSide, RegisteredPrimary,
};
use pcdr_core::schedule::Frequency;
use pcdr_core::settings::{Compression, RestoreMode};
use pcdr_core::{DatabaseName, Guid, Known};

use super::{Answer, Names, utc};
use crate::connection::{LocalTime, Row};
use crate::error::SqlError;

pub(super) fn read_jobs(answer: &Answer<'_>, offset: i16) -> Known<Vec<Job>> {
    let schedules =
        answer.read("pcdr_schedules", |row| Ok((row.get("job_id")?, read_schedule(row)?)));
    let schedules: Vec<(Guid, JobSchedule)> = match schedules {
        Known::Known(schedules) => schedules,
        // Without its schedules a job would look as if it had none.
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    answer.read("pcdr_jobs", |row| {
        let id = row.get("job_id")?;
        let failed_at = agent_time(row, "failure_date", "failure_time", offset)?;
        let of_this = schedules.iter().filter(|(job, _)| *job == id);
        Ok(Job {
            id,
            name: row.get("name")?,
            is_enabled: row.get("enabled")?,
            is_running: row.get("running")?,
            last_run_status: row.optional("last_run_status")?,
            last_run_at: agent_time(row, "last_run_date", "last_run_time", offset)?,
            last_run_message: row.optional("last_run_message")?,
            last_failure: row
                .optional("failure_message")?
                .map(|message| JobFailure { at: failed_at, message }),
            schedules: of_this.map(|(_, schedule)| schedule.clone()).collect(),
        })
    })
}

/// The Agent's date and time of a column each; local.
fn agent_time(
    row: &Row,
    date: &str,
    time: &str,
    offset: i16,
) -> Result<Option<pcdr_core::Timestamp>, SqlError> {
    Ok(match (row.optional(date)?, row.optional(time)?) {
        (Some(date), Some(time)) => {
            LocalTime::from_agent(date, time).map(|time| time.at_offset(offset))
        }
        _ => None,
    })
}

/// A row of `msdb.dbo.sysschedules`.
pub(crate) fn read_schedule(row: &Row) -> Result<JobSchedule, SqlError> {
    let frequency = Frequency {
        freq_type: row.get("freq_type")?,
        freq_interval: row.get("freq_interval")?,
        freq_subday_type: row.get("freq_subday_type")?,
        freq_subday_interval: row.get("freq_subday_interval")?,
        freq_recurrence_factor: row.get("freq_recurrence_factor")?,
        active_start_time: row.get("active_start_time")?,
        active_end_time: row.get("active_end_time")?,
    };
    Ok(JobSchedule {
        id: row.get("schedule_id")?,
        name: row.get("name")?,
        is_enabled: row.get("enabled")?,
        schedule: frequency.schedule(),
    })
}

pub(super) fn read_alert_job(answer: &Answer<'_>, jobs: &Known<Vec<Job>>) -> Known<Option<Job>> {
    let ids = answer.read("pcdr_alert", |row| row.get::<Guid>("alert_job_id"));
    match ids {
        Known::Known(ids) => match ids.first() {
            Some(id) => job(jobs, Some(*id)).map(Some),
            None => Known::Known(None),
        },
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

/// The monitor that was named; an instance that watches itself has its own name there.
fn read_monitor(row: &Row) -> Result<Option<String>, SqlError> {
    let is_named = row.optional::<bool>("user_specified_monitor")?.unwrap_or(false);
    let server: Option<String> = row.optional("monitor_server")?;
    Ok(server.filter(|_| is_named))
}

/// How that monitor is logged in to.
fn read_authentication(
    row: &Row,
    links: &[Link],
) -> Result<Option<MonitorAuthentication>, SqlError> {
    let Some(server) = read_monitor(row)? else { return Ok(None) };
    Ok(match row.optional::<i32>("security_mode")? {
        Some(1) => Some(MonitorAuthentication::Windows),
        Some(0) => {
            let mut links = links.iter();
            let link = links.find(|link| link.leads_to(&server));
            let login = link.and_then(|link| link.login.clone());
            Some(MonitorAuthentication::SqlServer { login })
        }
        _ => None,
    })
}

/// A linked server with which log shipping logs in to its monitor.
struct Link {
    name: String,
    source: String,
    login: Option<String>,
}

impl Link {
    /// Whether it leads to a server: its data source says so, or its name, which is that of the server
    /// between a prefix and a number.
    fn leads_to(&self, server: &str) -> bool {
        let inner = self.name.get("LOGSHIPLINK_".len()..).and_then(|rest| rest.rsplit_once('_'));
        self.source.eq_ignore_ascii_case(server)
            || inner.is_some_and(|(of, _)| of.eq_ignore_ascii_case(server))
    }
}

/// Those that log in with a SQL Server login. Nothing where they are not shown: which login it is, is then
/// not known.
fn read_links(answer: &Answer<'_>) -> Known<Vec<Link>> {
    answer.read("pcdr_links", |row| {
        Ok(Link {
            name: row.get("name")?,
            source: row.optional("data_source")?.unwrap_or_default(),
            login: row.optional("remote_name")?,
        })
    })
}

fn job(jobs: &Known<Vec<Job>>, id: Option<Guid>) -> Known<Job> {
    match (jobs, id) {
        (Known::Known(jobs), Some(id)) => match jobs.iter().find(|job| job.id == id) {
            Some(job) => Known::Known(job.clone()),
            None => Known::unknown("missing", format!("there is no job {id} (msdb.dbo.sysjobs)")),
        },
        (Known::Known(_), None) => Known::unknown("missing", "the entry names no job"),
        (Known::Unknown(reason), _) => Known::Unknown(reason.clone()),
    }
}

pub(super) fn read_primaries(
    answer: &Answer<'_>,
    names: &Names<'_>,
    jobs: &Known<Vec<Job>>,
) -> Known<BTreeMap<DatabaseName, LogShippingPrimary>> {
    let secondaries = names.keyed(answer, "pcdr_secondaries", "primary_database", |row| {
        Ok((row.get::<String>("secondary_server")?, row.get::<String>("secondary_database")?))
    });
    // Without its secondaries an entry would look as if it had none.
    let secondaries = match secondaries {
        Known::Known(secondaries) => secondaries,
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    let links = match read_links(answer) {
        Known::Known(links) => links,
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    let entries = names.keyed(answer, "pcdr_primary", "primary_database", |row| {
        Ok(LogShippingPrimary {
            backup_directory: row.get("backup_directory")?,
            backup_share: row.get("backup_share")?,
            backup_retention_minutes: row.get("backup_retention_period")?,
            backup_compression: row
                .optional("backup_compression")?
                .and_then(Compression::from_number),
            last_backup_file: row.optional("last_backup_file")?,
            last_backup_at: utc(row, "last_backup_date_utc")?,
            backup_threshold_minutes: row.optional("backup_threshold")?,
            raises_alert: row.optional("threshold_alert_enabled")?,
            history_retention_minutes: row.optional("history_retention_period")?,
            monitor_server: read_monitor(row)?,
            monitor_authentication: read_authentication(row, &links)?,
            backup_job: job(jobs, row.optional("backup_job_id")?),
            secondaries: Vec::new(),
        })
    });
    entries.map(|entries| {
        let mut all: BTreeMap<_, _> = entries.into_iter().collect();
        for (name, secondary) in secondaries {
            if let Some(entry) = all.get_mut(&name) {
                entry.secondaries.push(secondary);
            }
        }
        all
    })
}

pub(super) fn read_monitored(row: &Row) -> Result<Monitored, SqlError> {
    Ok(Monitored {
        side: match row.get::<i32>("pcdr_monitored")? {
            1 => MonitoredSide::Primary,
            _ => MonitoredSide::Secondary,
        },
        server: row.optional("server")?.unwrap_or_default(),
        database: row.optional("name")?.unwrap_or_default(),
        threshold_minutes: row.get("threshold")?,
        raises_alert: row.get("threshold_alert_enabled")?,
        last_at: utc(row, "last_at")?,
        latency_minutes: row.optional("latency")?,
    })
}

pub(super) fn read_unfinished(
    answer: &Answer<'_>,
    names: &Names<'_>,
) -> Known<Vec<RegisteredPrimary>> {
    let rows = names.keyed(answer, "pcdr_unfinished", "primary_database", |row| {
        row.get::<String>("primary_server")
    });
    rows.map(|rows| {
        rows.into_iter()
            .map(|(primary_database, primary_server)| RegisteredPrimary {
                primary_server,
                primary_database,
            })
            .collect()
    })
}

pub(super) fn read_secondaries(
    answer: &Answer<'_>,
    names: &Names<'_>,
    jobs: &Known<Vec<Job>>,
) -> Known<BTreeMap<DatabaseName, LogShippingSecondary>> {
    let links = match read_links(answer) {
        Known::Known(links) => links,
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    let entries = names.keyed(answer, "pcdr_secondary", "secondary_database", |row| {
        Ok(LogShippingSecondary {
            primary_server: row.get("primary_server")?,
            primary_database: DatabaseName::from(row.get::<String>("primary_database")?),
            backup_source_directory: row.get("backup_source_directory")?,
            backup_destination_directory: row.get("backup_destination_directory")?,
            file_retention_minutes: row.optional("file_retention_period")?,
            monitor_server: read_monitor(row)?,
            monitor_authentication: read_authentication(row, &links)?,
            last_copied_file: row.optional("last_copied_file")?,
            last_copied_at: utc(row, "last_copied_date_utc")?,
            last_restored_file: row.optional("last_restored_file")?,
            last_restored_latency_minutes: row.optional("last_restored_latency")?,
            last_restored_at: utc(row, "last_restored_date_utc")?,
            restore_threshold_minutes: row.optional("restore_threshold")?,
            raises_alert: row.optional("threshold_alert_enabled")?,
            history_retention_minutes: row.optional("history_retention_period")?,
            restore_delay_minutes: row.optional("restore_delay")?.unwrap_or(0),
            restores_all: row.optional("restore_all")?,
            restore_mode: match row.optional::<i32>("restore_mode")? {
                Some(0) => Some(RestoreMode::NoRecovery),
                Some(1) => Some(RestoreMode::Standby),
                _ => None,
            },
            disconnect_users: row.optional("disconnect_users")?,
            copy_job: job(jobs, row.optional("copy_job_id")?),
            restore_job: job(jobs, row.optional("restore_job_id")?),
        })
    });
    entries.map(|entries| entries.into_iter().collect())
}
