//! Statements on SQL Server Agent jobs, always by id: names are not unique everywhere.

use pcdr_core::Guid;

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

/// Adds a schedule that runs every so many seconds, all day, every day.
///
/// # Errors
///
/// A name that cannot be quoted.
pub fn add_schedule(name: &str, every_seconds: u32) -> Result<Statement, QuoteError> {
    let name = quote::name(name)?;
    let (unit, interval) = subday(every_seconds);
    Ok(Statement::change(format!(
        "SET NOCOUNT ON;\nDECLARE @rc int, @id int, @uid uniqueidentifier;\n\
         EXEC @rc = msdb.dbo.sp_add_schedule @schedule_name = {name}, @enabled = 1, @freq_type = 4, \
         @freq_interval = 1, @freq_subday_type = {unit}, @freq_subday_interval = {interval}, \
         @freq_relative_interval = 0, @freq_recurrence_factor = 0, @active_end_date = 99991231, \
         @active_start_time = 0, @active_end_time = 235959, @schedule_uid = @uid OUTPUT, @schedule_id = @id OUTPUT;\n\
         SELECT @rc AS return_code, @id AS schedule_id;"
    )))
}

/// `freq_subday_type` and interval: 2 seconds, 4 minutes, 8 hours. The server takes at most 100 of a
/// unit, and no less than 10 seconds.
fn subday(every_seconds: u32) -> (u32, u32) {
    let seconds = every_seconds.max(10);
    if seconds < 60 || (seconds < 100 && !seconds.is_multiple_of(60)) {
        (2, seconds)
    } else if seconds <= 6000 {
        (4, seconds.div_ceil(60))
    } else {
        (8, seconds.div_ceil(3600).min(24))
    }
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

/// How many schedules each of the jobs has.
pub fn schedules(job: Guid) -> Statement {
    let job = guid(job);
    Statement::query(format!(
        "SELECT COUNT(*) AS schedules FROM msdb.dbo.sysjobschedules AS s WHERE s.job_id = {job};"
    ))
}

pub(super) fn samples() -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let job = Guid(0x0F2C_5A10_89AB_4CDE_8F01_2345_6789_ABCD);
    Ok(vec![
        ("job activity", activity(&[job, job])),
        ("start job", start(job)),
        ("job outcome", outcome(job, 12)),
        ("job step messages", step_messages(job, 12)),
        ("enable job", enable(job, true)),
        ("add schedule", add_schedule("every ' minute", 60)?),
        ("attach schedule", attach_schedule(job, 3)),
        ("delete schedule", delete_schedule(3)),
        ("schedules of a job", schedules(job)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_written_in_the_units_that_the_agent_takes() {
        assert_eq!(subday(5), (2, 10));
        assert_eq!(subday(30), (2, 30));
        assert_eq!(subday(60), (4, 1));
        assert_eq!(subday(90), (2, 90));
        assert_eq!(subday(900), (4, 15));
        assert_eq!(subday(7200), (8, 2));
    }
}
