//! The rows that the Agent writes: sessions, activity and history.
//!
//! Source: the vendor's pages of `sysjobactivity`, `sysjobhistory`, `sysjobservers` and `sysjobsteps`.

use uuid::Uuid;

use crate::engine::msdb::calendar::{date_number, duration_number, seconds_between, time_number};
use crate::engine::msdb::{Moment, Msdb, MsdbTable, RunRequest, RunningJob};
use crate::value::Value;

/// A step of a job, as its row says.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) subsystem: String,
    pub(super) command: String,
    pub(super) database: String,
    pub(super) on_success: (i64, i64),
    pub(super) on_fail: (i64, i64),
    pub(super) retries: i64,
    pub(super) retry_minutes: i64,
}

/// A job as it was when its run began.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) owner_sid: Vec<u8>,
    pub(super) start_step: i64,
    pub(super) delete_level: i64,
    pub(super) steps: Vec<Step>,
}

/// How a step or a job ended. Source: `sysjobhistory.run_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunStatus {
    Failed = 0,
    Succeeded = 1,
    Retry = 2,
    Cancelled = 3,
}

/// Begins an Agent session: runs of the session before are over, whatever their rows say.
pub(super) fn new_session(msdb: &mut Msdb, now: Moment) {
    let id = msdb[MsdbTable::Sessions].insert(&[("agent_start_date", Value::DateTime(now.local))]);
    msdb.agent.is_running = true;
    msdb.agent.session_id = id;
    msdb.agent.pending.clear();
    msdb.agent.running.clear();
    activity_for_all(msdb);
    crate::engine::msdb::schedules::refresh_next_runs(msdb, now);
}

/// Gives every job that is targeted here its activity row in the current session.
pub(super) fn activity_for_all(msdb: &mut Msdb) {
    let session = msdb.agent.session_id;
    let jobs: Vec<Uuid> =
        msdb[MsdbTable::JobServers].records().filter_map(|r| r.id("job_id")).collect();
    for job in jobs {
        activity(msdb, session, job);
    }
}

fn activity(msdb: &mut Msdb, session: i32, job: Uuid) -> [(&'static str, Value); 2] {
    let key = [("session_id", Value::Int(session)), ("job_id", Value::Uuid(job))];
    if !msdb[MsdbTable::JobActivity].has(&key) {
        msdb[MsdbTable::JobActivity].insert(&key);
    }
    key
}

/// Begins a run; `None` when the job is gone.
pub(super) fn begin(msdb: &mut Msdb, request: &RunRequest, now: Moment) -> Option<Job> {
    let row = msdb[MsdbTable::Jobs].find(&[("job_id", Value::Uuid(request.job))])?;
    let mut steps: Vec<Step> = msdb[MsdbTable::JobSteps]
        .records()
        .filter(|r| r.id("job_id") == Some(request.job))
        .map(|r| Step {
            id: r.int("step_id"),
            name: r.text("step_name").to_owned(),
            subsystem: r.text("subsystem").to_owned(),
            command: r.text("command").to_owned(),
            database: r.text("database_name").to_owned(),
            on_success: (r.int("on_success_action"), r.int("on_success_step_id")),
            on_fail: (r.int("on_fail_action"), r.int("on_fail_step_id")),
            retries: r.int("retry_attempts"),
            retry_minutes: r.int("retry_interval"),
        })
        .collect();
    steps.sort_by_key(|s| s.id);
    let job = Job {
        id: request.job,
        name: row.text("name").to_owned(),
        owner_sid: match row.value("owner_sid") {
            Value::Binary(sid) => sid.to_vec(),
            _ => Vec::new(),
        },
        start_step: request.step.unwrap_or(row.int("start_step_id")),
        delete_level: row.int("delete_level"),
        steps,
    };
    let session = msdb.agent.session_id;
    let key = activity(msdb, session, request.job);
    msdb[MsdbTable::JobActivity].update(
        &key,
        &[
            ("run_requested_date", Value::DateTime(request.at)),
            ("run_requested_source", Value::string(request.source.digits())),
            ("queued_date", Value::Null),
            ("start_execution_date", Value::DateTime(now.local)),
            ("last_executed_step_id", Value::Null),
            ("last_executed_step_date", Value::Null),
            ("stop_execution_date", Value::Null),
            ("job_history_id", Value::Null),
        ],
    );
    msdb.agent.running.insert(
        request.job,
        RunningJob {
            request: request.clone(),
            step: (0, "unknown".to_owned()),
            retries: 0,
            is_waiting_for_retry: false,
        },
    );
    Some(job)
}

/// What a history row tells.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) step: (i64, &'a str),
    pub(super) status: RunStatus,
    pub(super) message: &'a str,
    /// Number and severity of the last error.
    pub(super) error: (i32, u8),
    pub(super) retries: i64,
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) server: &'a str,
}

/// Adds a row to `sysjobhistory` and writes the step's own last run; returns `instance_id`.
pub(super) fn history(msdb: &mut Msdb, job: Uuid, row: &Ended<'_>) -> i32 {
    let duration = duration_number(seconds_between(row.began.local, row.ended.local));
    let (date, time) = (date_number(row.began.local.date()), time_number(row.began.local.time()));
    let message: String = row.message.chars().take(4000).collect();
    let id = msdb[MsdbTable::JobHistory].insert(&[
        ("job_id", Value::Uuid(job)),
        ("step_id", Value::BigInt(row.step.0)),
        ("step_name", Value::string(row.step.1)),
        ("sql_message_id", Value::Int(row.error.0)),
        ("sql_severity", Value::Int(i32::from(row.error.1))),
        ("message", Value::string(message)),
        ("run_status", Value::Int(row.status as i32)),
        ("run_date", Value::Int(date)),
        ("run_time", Value::Int(time)),
        ("run_duration", Value::Int(duration)),
        ("retries_attempted", Value::BigInt(row.retries)),
        ("server", Value::string(row.server)),
    ]);
    if row.step.0 > 0 {
        msdb[MsdbTable::JobSteps].update(
            &[("job_id", Value::Uuid(job)), ("step_id", Value::BigInt(row.step.0))],
            &[
                ("last_run_outcome", Value::Int(row.status as i32)),
                ("last_run_duration", Value::Int(duration)),
                ("last_run_retries", Value::BigInt(row.retries)),
                ("last_run_date", Value::Int(date)),
                ("last_run_time", Value::Int(time)),
            ],
        );
        let session = msdb.agent.session_id;
        let key = activity(msdb, session, job);
        msdb[MsdbTable::JobActivity].update(
            &key,
            &[
                ("last_executed_step_id", Value::BigInt(row.step.0)),
                ("last_executed_step_date", Value::DateTime(row.began.local)),
            ],
        );
    }
    id
}

/// Writes the outcome row of a run and closes its activity.
pub(super) fn end(msdb: &mut Msdb, job: &Job, row: &Ended<'_>) {
    msdb.agent.running.remove(&job.id);
    if !msdb[MsdbTable::Jobs].has(&[("job_id", Value::Uuid(job.id))]) {
        return;
    }
    let id = history(msdb, job.id, row);
    let session = msdb.agent.session_id;
    let key = activity(msdb, session, job.id);
    msdb[MsdbTable::JobActivity].update(
        &key,
        &[
            ("stop_execution_date", Value::DateTime(row.ended.local)),
            ("job_history_id", Value::Int(id)),
        ],
    );
    msdb[MsdbTable::JobServers].update(
        &[("job_id", Value::Uuid(job.id))],
        &[
            ("last_run_outcome", Value::Int(row.status as i32)),
            ("last_outcome_message", Value::string(row.message)),
            ("last_run_date", Value::Int(date_number(row.began.local.date()))),
            ("last_run_time", Value::Int(time_number(row.began.local.time()))),
            (
                "last_run_duration",
                Value::Int(duration_number(seconds_between(row.began.local, row.ended.local))),
            ),
        ],
    );
    let deletes = match job.delete_level {
        1 => row.status == RunStatus::Succeeded,
        2 => row.status == RunStatus::Failed,
        3 => true,
        _ => false,
    };
    if deletes {
        crate::engine::msdb::jobs::remove(msdb, job.id, true, true);
    }
}
