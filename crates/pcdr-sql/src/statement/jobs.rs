//! Statements on SQL Server Agent jobs, always by id: names are not unique everywhere.

use pcdr_core::Guid;
use pcdr_core::schedule::Frequency;

use super::Statement;
use super::database::guid;
use crate::quote::{self, QuoteError};

const NEWEST_AGENT_SESSION: &str = "(SELECT MAX(y.session_id) FROM msdb.dbo.syssessions AS y)";

/// Whether jobs run, which Agent session knows it, and whether they are enabled; one row a job.
pub fn activity(jobs: &[Guid]) -> Statement {
    let ids: Vec<String> = jobs.iter().copied().map(guid).collect();
    let ids = if ids.is_empty() { "NULL".to_owned() } else { ids.join(", ") };
    Statement::query(format!(
        "SET NOCOUNT ON;\n\
         SELECT j.job_id, j.name, CAST(j.enabled AS int) AS enabled, {NEWEST_AGENT_SESSION} AS agent_session, \
         (SELECT COUNT(*) FROM msdb.dbo.sysjobactivity AS a WHERE a.job_id = j.job_id \
         AND a.session_id = {NEWEST_AGENT_SESSION} \
         AND a.start_execution_date IS NOT NULL AND a.stop_execution_date IS NULL) AS running \
         FROM msdb.dbo.sysjobs AS j WHERE j.job_id IN ({ids});"
    ))
}

/// Starts a job, which only queues it, and tells the newest outcome before it.
pub fn start(job: Guid) -> Statement {
    let job = guid(job);
    Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @before int, @agent int;\n\
         SELECT @before = ISNULL(MAX(h.instance_id), 0) FROM msdb.dbo.sysjobhistory AS h \
         WHERE h.job_id = {job} AND h.step_id = 0;\n\
         SELECT @agent = MAX(y.session_id) FROM msdb.dbo.syssessions AS y;\n\
         EXEC @rc = msdb.dbo.sp_start_job @job_id = {job};\n\
         SELECT @rc AS return_code, @before AS instance_id, @agent AS agent_session;"
    ))
}

/// The first outcome of a job after an earlier one, and whether it runs; one row always.
pub fn outcome(job: Guid, after: i32) -> Statement {
    let job = guid(job);
    Statement::query(format!(
        "SET NOCOUNT ON;\n\
         SELECT {NEWEST_AGENT_SESSION} AS agent_session, h.instance_id, h.run_status, h.message \
         FROM (SELECT 1 AS one) AS pcdr_one \
         LEFT JOIN msdb.dbo.sysjobhistory AS h ON h.instance_id = (SELECT MIN(x.instance_id) \
         FROM msdb.dbo.sysjobhistory AS x WHERE x.job_id = {job} AND x.step_id = 0 AND x.instance_id > {after});"
    ))
}

/// What the steps of the newest run said; the outcome's own text only names the step.
pub fn step_messages(job: Guid, after: i32) -> Statement {
    let job = guid(job);
    Statement::query(format!(
        "SELECT TOP (1) h.message, h.sql_message_id FROM msdb.dbo.sysjobhistory AS h \
         WHERE h.job_id = {job} AND h.step_id > 0 AND h.instance_id > {after} AND h.run_status = 0 \
         ORDER BY h.instance_id DESC;"
    ))
}

/// Enables or disables a job.
pub fn enable(job: Guid, enabled: bool) -> Statement {
    let (job, enabled) = (guid(job), i32::from(enabled));
    Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = msdb.dbo.sp_update_job @job_id = {job}, @enabled = {enabled};\nSELECT @rc AS return_code;"
    ))
}

/// Adds a schedule.
///
/// # Errors
///
/// A name that cannot be quoted.
pub fn add_schedule(name: &str, frequency: &Frequency) -> Result<Statement, QuoteError> {
    let name = quote::name(name)?;
    let Frequency {
        freq_type,
        freq_interval,
        freq_subday_type,
        freq_subday_interval,
        freq_recurrence_factor,
        active_start_time,
        active_end_time,
    } = frequency;
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @id int, @uid uniqueidentifier;\n\
         EXEC @rc = msdb.dbo.sp_add_schedule @schedule_name = {name}, @enabled = 1, @freq_type = {freq_type}, \
         @freq_interval = {freq_interval}, @freq_subday_type = {freq_subday_type}, \
         @freq_subday_interval = {freq_subday_interval}, @freq_relative_interval = 0, \
         @freq_recurrence_factor = {freq_recurrence_factor}, @active_end_date = 99991231, \
         @active_start_time = {active_start_time}, @active_end_time = {active_end_time}, \
         @schedule_uid = @uid OUTPUT, @schedule_id = @id OUTPUT;\n\
         SELECT @rc AS return_code, @id AS schedule_id;"
    )))
}

/// Attaches a schedule to a job.
pub fn attach_schedule(job: Guid, schedule: i32) -> Statement {
    let job = guid(job);
    Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = msdb.dbo.sp_attach_schedule @job_id = {job}, @schedule_id = {schedule};\n\
         SELECT @rc AS return_code;"
    ))
}

/// Deletes a schedule, from its jobs too.
pub fn delete_schedule(schedule: i32) -> Statement {
    Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = msdb.dbo.sp_delete_schedule @schedule_id = {schedule}, @force_delete = 1;\n\
         SELECT @rc AS return_code;"
    ))
}

/// Detaches a schedule from a job; a schedule that no other job has is deleted with it.
pub fn detach_schedule(job: Guid, schedule: i32) -> Statement {
    let job = guid(job);
    Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int;\n\
         EXEC @rc = msdb.dbo.sp_detach_schedule @job_id = {job}, @schedule_id = {schedule}, \
         @delete_unused_schedule = 1;\nSELECT @rc AS return_code;"
    ))
}

/// The schedules of a job, enabled or not.
pub fn schedules(job: Guid) -> Statement {
    let job = guid(job);
    Statement::query(format!(
        "SELECT s.schedule_id, x.name, CAST(x.enabled AS int) AS enabled, {FREQUENCY} \
         FROM msdb.dbo.sysjobschedules AS s \
         JOIN msdb.dbo.sysschedules AS x ON x.schedule_id = s.schedule_id \
         WHERE s.job_id = {job} ORDER BY s.schedule_id;"
    ))
}

/// The columns that say when, of `sysschedules AS x`.
pub(crate) const FREQUENCY: &str = "x.freq_type, x.freq_interval, x.freq_subday_type, x.freq_subday_interval, \
     x.freq_recurrence_factor, x.active_start_time, x.active_end_time";

pub(super) fn samples() -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let job = Guid(0x0F2C_5A10_89AB_4CDE_8F01_2345_6789_ABCD);
    let every_minute = Frequency {
        freq_type: 8,
        freq_interval: 62,
        freq_subday_type: 4,
        freq_subday_interval: 1,
        freq_recurrence_factor: 1,
        active_start_time: 220_000,
        active_end_time: 55_959,
    };
    Ok(vec![
        ("job activity", activity(&[job, job])),
        ("start job", start(job)),
        ("job outcome", outcome(job, 12)),
        ("job step messages", step_messages(job, 12)),
        ("enable job", enable(job, true)),
        ("add schedule", add_schedule("every ' minute", &every_minute)?),
        ("attach schedule", attach_schedule(job, 3)),
        ("delete schedule", delete_schedule(3)),
        ("detach schedule", detach_schedule(job, 3)),
        ("schedules of a job", schedules(job)),
    ])
}
