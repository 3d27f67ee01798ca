//! What the Agent tells about jobs: `sp_help_job` and its like.
//!
//! Source: the vendor's pages of the procedures.

use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, not_null, null, text};
use crate::message::SqlFailure;
use crate::value::{
    SqlType,
    SqlType::{DateTime, Int, SmallInt, TinyInt, UniqueIdentifier},
    Value,
};

use super::arguments::{error, relation};
use super::jobs::identify;
use super::store::{Record, same_name};
use super::{AgentRole, Arguments, Msdb, MsdbTable, Outcome, Surroundings};

/// The result set of `sp_help_job` without a job.
pub const HELP_JOB: &[ColumnDef] = &[
    not_null("job_id", UniqueIdentifier),
    null("originating_server", text(30)),
    not_null("name", SqlType::SYSNAME),
    not_null("enabled", TinyInt),
    null("description", text(512)),
    not_null("start_step_id", Int),
    null("category", SqlType::SYSNAME),
    null("owner", SqlType::SYSNAME),
    not_null("notify_level_eventlog", Int),
    not_null("notify_level_email", Int),
    not_null("notify_level_netsend", Int),
    not_null("notify_level_page", Int),
    null("notify_email_operator", SqlType::SYSNAME),
    null("notify_netsend_operator", SqlType::SYSNAME),
    null("notify_page_operator", SqlType::SYSNAME),
    not_null("delete_level", Int),
    not_null("date_created", DateTime),
    not_null("date_modified", DateTime),
    not_null("version_number", Int),
    not_null("last_run_date", Int),
    not_null("last_run_time", Int),
    not_null("last_run_outcome", Int),
    null("next_run_date", Int),
    null("next_run_time", Int),
    null("next_run_schedule_id", Int),
    not_null("current_execution_status", Int),
    null("current_execution_step", SqlType::SYSNAME),
    null("current_retry_attempt", Int),
    not_null("has_step", Int),
    not_null("has_schedule", Int),
    not_null("has_target", Int),
    not_null("type", Int),
];

/// The result set of `sp_help_jobactivity`.
pub const HELP_JOBACTIVITY: &[ColumnDef] = &[
    not_null("session_id", Int),
    not_null("job_id", UniqueIdentifier),
    not_null("job_name", SqlType::SYSNAME),
    null("run_requested_date", DateTime),
    null("run_requested_source", SqlType::SYSNAME),
    null("queued_date", DateTime),
    null("start_execution_date", DateTime),
    null("last_executed_step_id", Int),
    null("last_exectued_step_date", DateTime),
    null("stop_execution_date", DateTime),
    null("next_scheduled_run_date", DateTime),
    null("job_history_id", Int),
    null("message", text(1024)),
    null("run_status", Int),
    null("operator_id_emailed", Int),
    null("operator_id_netsent", Int),
    null("operator_id_paged", Int),
];

const HELP_JOBHISTORY: &[ColumnDef] = &[
    not_null("instance_id", Int),
    not_null("job_id", UniqueIdentifier),
    not_null("job_name", SqlType::SYSNAME),
    not_null("step_id", Int),
    not_null("step_name", SqlType::SYSNAME),
    not_null("sql_message_id", Int),
    not_null("sql_severity", Int),
    null("message", text(4000)),
    not_null("run_status", Int),
    not_null("run_date", Int),
    not_null("run_time", Int),
    not_null("run_duration", Int),
    null("operator_emailed", SqlType::SYSNAME),
    null("operator_netsent", SqlType::SYSNAME),
    null("operator_paged", SqlType::SYSNAME),
    not_null("retries_attempted", Int),
    not_null("server", SqlType::SYSNAME),
];

const HELP_JOBHISTORY_SUMMARY: &[ColumnDef] = &[
    not_null("job_id", UniqueIdentifier),
    not_null("job_name", SqlType::SYSNAME),
    not_null("run_status", Int),
    not_null("run_date", Int),
    not_null("run_time", Int),
    not_null("run_duration", Int),
    null("operator_emailed", SqlType::SYSNAME),
    null("operator_netsent", SqlType::SYSNAME),
    null("operator_paged", SqlType::SYSNAME),
    not_null("retries_attempted", Int),
    not_null("server", SqlType::SYSNAME),
];

const HELP_JOBSTEP: &[ColumnDef] = &[
    not_null("step_id", Int),
    not_null("step_name", SqlType::SYSNAME),
    not_null("subsystem", text(40)),
    null("command", SqlType::NVarChar(crate::value::Length::Max)),
    not_null("flags", Int),
    not_null("cmdexec_success_code", Int),
    not_null("on_success_action", TinyInt),
    not_null("on_success_step_id", Int),
    not_null("on_fail_action", TinyInt),
    not_null("on_fail_step_id", Int),
    null("server", SqlType::SYSNAME),
    null("database_name", SqlType::SYSNAME),
    null("database_user_name", SqlType::SYSNAME),
    not_null("retry_attempts", Int),
    not_null("retry_interval", Int),
    not_null("os_run_priority", Int),
    null("output_file_name", text(200)),
    null("last_run_outcome", Int),
    not_null("last_run_duration", Int),
    not_null("last_run_retries", Int),
    not_null("last_run_date", Int),
    not_null("last_run_time", Int),
    null("proxy_id", Int),
];

const HELP_SCHEDULE: &[ColumnDef] = &[
    not_null("schedule_id", Int),
    not_null("schedule_uid", UniqueIdentifier),
    not_null("schedule_name", SqlType::SYSNAME),
    not_null("enabled", Int),
    not_null("freq_type", Int),
    not_null("freq_interval", Int),
    not_null("freq_subday_type", Int),
    not_null("freq_subday_interval", Int),
    not_null("freq_relative_interval", Int),
    not_null("freq_recurrence_factor", Int),
    not_null("active_start_date", Int),
    not_null("active_end_date", Int),
    not_null("active_start_time", Int),
    not_null("active_end_time", Int),
    not_null("date_created", DateTime),
    null("schedule_description", text(4000)),
    not_null("job_count", Int),
];

const HELP_JOBSCHEDULE: &[ColumnDef] = &[
    not_null("schedule_id", Int),
    not_null("schedule_name", SqlType::SYSNAME),
    not_null("enabled", Int),
    not_null("freq_type", Int),
    not_null("freq_interval", Int),
    not_null("freq_subday_type", Int),
    not_null("freq_subday_interval", Int),
    not_null("freq_relative_interval", Int),
    not_null("freq_recurrence_factor", Int),
    not_null("active_start_date", Int),
    not_null("active_end_date", Int),
    not_null("active_start_time", Int),
    not_null("active_end_time", Int),
    not_null("date_created", DateTime),
    null("schedule_description", text(4000)),
    not_null("next_run_date", Int),
    not_null("next_run_time", Int),
    not_null("schedule_uid", UniqueIdentifier),
    not_null("job_count", Int),
];

const HELP_JOBSERVER: &[ColumnDef] = &[
    not_null("server_id", Int),
    not_null("server_name", text(30)),
    not_null("enlist_date", DateTime),
    not_null("last_poll_date", DateTime),
    not_null("last_run_date", Int),
    not_null("last_run_time", Int),
    not_null("last_run_duration", Int),
    not_null("last_run_outcome", TinyInt),
    null("last_outcome_message", text(1024)),
    null("originating_server_id", SmallInt),
];

fn sees(around: &dyn Surroundings, row: &Record<'_>) -> bool {
    let caller = around.caller();
    caller.is_sysadmin
        || caller.agent_role >= AgentRole::Reader
        || matches!(row.value("owner_sid"), Value::Binary(sid) if **sid == *caller.sid)
}

fn copy<'a>(row: &Record<'_>, columns: &[&'a str]) -> Vec<(&'a str, Value)> {
    columns.iter().map(|c| (*c, row.value(c).clone())).collect()
}

fn job_row(msdb: &Msdb, around: &dyn Surroundings, row: &Record<'_>) -> Vec<(&'static str, Value)> {
    let id = row.id("job_id").unwrap_or_default();
    let of_job = [("job_id", Value::Uuid(id))];
    let mut out = copy(
        row,
        &[
            "job_id",
            "name",
            "enabled",
            "description",
            "start_step_id",
            "notify_level_eventlog",
            "notify_level_email",
            "notify_level_netsend",
            "notify_level_page",
            "delete_level",
            "date_created",
            "date_modified",
            "version_number",
        ],
    );
    out.push(("originating_server", Value::string(around.server_name())));
    let category =
        msdb[MsdbTable::Categories].find(&[("category_id", row.value("category_id").clone())]);
    out.push(("category", category.map_or(Value::Null, |c| c.value("name").clone())));
    if let Value::Binary(sid) = row.value("owner_sid") {
        out.push(("owner", super::arguments::text_or_null(around.login_name(sid))));
    }
    for column in ["notify_email_operator", "notify_netsend_operator", "notify_page_operator"] {
        out.push((column, Value::string("(unknown)")));
    }
    match msdb[MsdbTable::JobServers].find(&of_job) {
        Some(server) => {
            out.extend(copy(&server, &["last_run_date", "last_run_time", "last_run_outcome"]))
        }
        None => out.extend([
            ("last_run_date", Value::Int(0)),
            ("last_run_time", Value::Int(0)),
            ("last_run_outcome", Value::Int(5)),
        ]),
    }
    let next =
        super::schedules::next_runs(msdb, around.moment().local).into_iter().find(|r| r.1 == id);
    let (date, time, schedule) = next.map_or((0, 0, 0), |(at, _, schedule, _)| {
        (super::calendar::date_number(at.date()), super::calendar::time_number(at.time()), schedule)
    });
    let (status, step, retries) = match msdb.agent.running.get(&id) {
        Some(run) if run.is_waiting_for_retry => (3, shown_step(&run.step), run.retries),
        Some(run) => (1, shown_step(&run.step), run.retries),
        None => (4, "0 (unknown)".to_owned(), 0),
    };
    let count = |table: MsdbTable| {
        let n = msdb[table].records().filter(|r| r.matches(&of_job)).count();
        Value::BigInt(n as i64)
    };
    out.extend([
        ("next_run_date", Value::Int(date)),
        ("next_run_time", Value::Int(time)),
        ("next_run_schedule_id", Value::BigInt(schedule)),
        ("current_execution_status", Value::Int(status)),
        ("current_execution_step", Value::string(step)),
        ("current_retry_attempt", Value::BigInt(retries)),
        ("has_step", count(MsdbTable::JobSteps)),
        ("has_schedule", count(MsdbTable::JobSchedules)),
        ("has_target", count(MsdbTable::JobServers)),
    ]);
    let local = msdb[MsdbTable::JobServers].has(&of_job);
    out.push(("type", Value::Int(i32::from(local))));
    out
}

fn shown_step((id, name): &(i64, String)) -> String {
    format!("{id} ({name})")
}

/// `sp_help_job`: all jobs in one set; for one job also its steps, schedules and targets.
///
/// # Errors
///
/// 14262.
pub fn job(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let one =
        (a.has("@job_id") || a.has("@job_name")).then(|| identify(msdb, around, a)).transpose()?;
    let status = a.int("@execution_status").filter(|s| *s != 0);
    let mut rows = Vec::new();
    for row in msdb[MsdbTable::Jobs].records() {
        let wanted = one.is_none_or(|id| row.id("job_id") == Some(id))
            && a.int("@enabled").is_none_or(|e| row.int("enabled") == e)
            && sees(around, &row);
        if !wanted {
            continue;
        }
        let shown = job_row(msdb, around, &row);
        let is = |column: &str, wanted: &str| {
            shown.iter().any(|(c, v)| {
                *c == column && matches!(v, Value::String(text) if same_name(text, wanted))
            })
        };
        let kept = a.text("@category_name").is_none_or(|c| is("category", &c))
            && a.text("@owner_login_name").is_none_or(|o| is("owner", &o))
            && status.is_none_or(|s| {
                shown.iter().any(|(c, v)| {
                    *c == "current_execution_status" && super::store::whole_number(v) == Some(s)
                })
            });
        if kept {
            rows.push(shown);
        }
    }
    let first = relation(HELP_JOB, rows);
    let Some(id) = one else {
        return Ok(Outcome::rows(first));
    };
    let aspect = a.text("@job_aspect").unwrap_or_else(|| "ALL".to_owned());
    let wants =
        |name: &str| aspect.eq_ignore_ascii_case("ALL") || aspect.eq_ignore_ascii_case(name);
    let mut outcome = Outcome::ok();
    if wants("JOB") {
        outcome.results.push(first);
    }
    if wants("STEPS") {
        outcome.results.push(relation(HELP_JOBSTEP, step_rows(msdb, id)));
    }
    if wants("SCHEDULES") {
        outcome.results.push(relation(HELP_JOBSCHEDULE, schedule_rows(msdb, id)));
    }
    if wants("TARGETS") {
        let now = around.moment().local;
        let targets = msdb[MsdbTable::JobServers]
            .records()
            .filter(|r| r.id("job_id") == Some(id))
            .map(|r| {
                let mut row = copy(
                    &r,
                    &[
                        "server_id",
                        "last_run_date",
                        "last_run_time",
                        "last_run_duration",
                        "last_run_outcome",
                        "last_outcome_message",
                    ],
                );
                row.extend([
                    ("server_name", Value::string(around.server_name())),
                    ("enlist_date", Value::DateTime(now)),
                    ("last_poll_date", Value::DateTime(now)),
                ]);
                row
            })
            .collect();
        outcome.results.push(relation(HELP_JOBSERVER, targets));
    }
    Ok(outcome)
}

fn step_rows(msdb: &Msdb, job: Uuid) -> Vec<Vec<(&'static str, Value)>> {
    let mut rows: Vec<Record<'_>> =
        msdb[MsdbTable::JobSteps].records().filter(|r| r.id("job_id") == Some(job)).collect();
    rows.sort_by_key(|r| r.int("step_id"));
    rows.iter()
        .map(|r| HELP_JOBSTEP.iter().map(|c| (c.name, r.value(c.name).clone())).collect())
        .collect()
}

fn schedule_row(msdb: &Msdb, r: &Record<'_>) -> Vec<(&'static str, Value)> {
    let id = r.value("schedule_id").clone();
    let jobs = msdb[MsdbTable::JobSchedules]
        .records()
        .filter(|l| l.matches(&[("schedule_id", id.clone())]))
        .count();
    let mut row: Vec<(&'static str, Value)> = HELP_SCHEDULE
        .iter()
        .filter(|c| !matches!(c.name, "schedule_name" | "schedule_description" | "job_count"))
        .map(|c| (c.name, r.value(c.name).clone()))
        .collect();
    row.push(("schedule_name", r.value("name").clone()));
    row.push(("job_count", Value::BigInt(jobs as i64)));
    row
}

fn schedule_rows(msdb: &Msdb, job: Uuid) -> Vec<Vec<(&'static str, Value)>> {
    let mut rows = Vec::new();
    for link in msdb[MsdbTable::JobSchedules].records() {
        if link.id("job_id") != Some(job) {
            continue;
        }
        let key = [("schedule_id", link.value("schedule_id").clone())];
        if let Some(schedule) = msdb[MsdbTable::Schedules].find(&key) {
            let mut row = schedule_row(msdb, &schedule);
            row.extend(copy(&link, &["next_run_date", "next_run_time"]));
            rows.push(row);
        }
    }
    rows
}

/// `sp_help_jobstep`.
///
/// # Errors
///
/// 14262, 14294.
pub fn steps(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let id = identify(msdb, around, a)?;
    let rows = step_rows(msdb, id)
        .into_iter()
        .filter(|row| {
            a.int("@step_id").is_none_or(|wanted| {
                row.iter()
                    .any(|(c, v)| *c == "step_id" && super::store::whole_number(v) == Some(wanted))
            })
        })
        .collect();
    Ok(Outcome::rows(relation(HELP_JOBSTEP, rows)))
}

/// `sp_help_schedule`.
///
/// # Errors
///
/// None.
pub fn schedules(msdb: &Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let rows = msdb[MsdbTable::Schedules]
        .records()
        .filter(|r| a.int("@schedule_id").is_none_or(|id| r.int("schedule_id") == id))
        .filter(|r| a.text("@schedule_name").is_none_or(|n| same_name(r.text("name"), &n)))
        .map(|r| schedule_row(msdb, &r))
        .collect();
    Ok(Outcome::rows(relation(HELP_SCHEDULE, rows)))
}

/// `sp_help_jobschedule`.
///
/// # Errors
///
/// 14262, 14294.
pub fn job_schedules(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let id = identify(msdb, around, a)?;
    Ok(Outcome::rows(relation(HELP_JOBSCHEDULE, schedule_rows(msdb, id))))
}

/// `sp_help_jobactivity`: the newest Agent session unless another is named.
///
/// # Errors
///
/// 14262.
pub fn activity(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let one =
        (a.has("@job_id") || a.has("@job_name")).then(|| identify(msdb, around, a)).transpose()?;
    let newest =
        msdb[MsdbTable::Sessions].records().map(|r| r.int("session_id")).max().unwrap_or(0);
    let session = a.int("@session_id").unwrap_or(newest);
    let mut rows = Vec::new();
    for r in msdb[MsdbTable::JobActivity].records() {
        let job = msdb[MsdbTable::Jobs].find(&[("job_id", r.value("job_id").clone())]);
        let Some(job) = job.filter(|j| sees(around, j)) else {
            continue;
        };
        if r.int("session_id") != session || one.is_some_and(|id| r.id("job_id") != Some(id)) {
            continue;
        }
        let mut row = copy(
            &r,
            &[
                "session_id",
                "job_id",
                "run_requested_date",
                "run_requested_source",
                "queued_date",
                "start_execution_date",
                "last_executed_step_id",
                "stop_execution_date",
                "next_scheduled_run_date",
                "job_history_id",
            ],
        );
        row.push(("job_name", job.value("name").clone()));
        row.push(("last_exectued_step_date", r.value("last_executed_step_date").clone()));
        let ended =
            msdb[MsdbTable::JobHistory].find(&[("instance_id", r.value("job_history_id").clone())]);
        if let Some(h) = ended {
            row.extend(copy(
                &h,
                &[
                    "message",
                    "run_status",
                    "operator_id_emailed",
                    "operator_id_netsent",
                    "operator_id_paged",
                ],
            ));
        }
        rows.push(row);
    }
    Ok(Outcome::rows(relation(HELP_JOBACTIVITY, rows)))
}

/// `sp_help_jobhistory`: newest first; mode SUMMARY shows the outcome rows only.
///
/// # Errors
///
/// 14262, 14266 for a mode that there is not.
pub fn history(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let one =
        (a.has("@job_id") || a.has("@job_name")).then(|| identify(msdb, around, a)).transpose()?;
    let mode = a.text("@mode").unwrap_or_else(|| "SUMMARY".to_owned());
    let full = mode.eq_ignore_ascii_case("FULL");
    if !full && !mode.eq_ignore_ascii_case("SUMMARY") {
        return Err(error(
            14266,
            "The specified '@mode' is invalid (valid values are: SUMMARY, FULL).",
        ));
    }
    let columns = if full { HELP_JOBHISTORY } else { HELP_JOBHISTORY_SUMMARY };
    let mut rows = Vec::new();
    for r in msdb[MsdbTable::JobHistory].records() {
        let job = msdb[MsdbTable::Jobs].find(&[("job_id", r.value("job_id").clone())]);
        let Some(job) = job.filter(|j| sees(around, j)) else {
            continue;
        };
        let wanted = one.is_none_or(|id| r.id("job_id") == Some(id))
            && (full || r.int("step_id") == 0)
            && a.int("@step_id").is_none_or(|s| r.int("step_id") == s)
            && a.int("@run_status").is_none_or(|s| r.int("run_status") == s)
            && a.int("@start_run_date").is_none_or(|d| r.int("run_date") >= d)
            && a.int("@end_run_date").is_none_or(|d| r.int("run_date") <= d);
        if !wanted {
            continue;
        }
        let mut row: Vec<(&str, Value)> = columns
            .iter()
            .filter(|c| !c.name.starts_with("operator_") && c.name != "job_name")
            .map(|c| (c.name, r.value(c.name).clone()))
            .collect();
        row.push(("job_name", job.value("name").clone()));
        rows.push(row);
    }
    if a.int("@oldest_first") != Some(1) {
        rows.reverse();
    }
    Ok(Outcome::rows(relation(columns, rows)))
}
