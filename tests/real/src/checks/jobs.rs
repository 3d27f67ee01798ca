//! SQL Server Agent: a job is started, watched and judged.

use std::time::Duration;

use pcdr_core::Guid;
use pcdr_core::schedule::{Frequency, Schedule};
use pcdr_sql::quote;
use pcdr_sql::statement::jobs;

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of Agent jobs.
pub const CHECKS: &[Check] = &[
    check!(
        every_statement_on_jobs_is_carried_out,
        needs: [Agent, Sysadmin],
        decides: [],
        carries_out: &[
            "jobs::activity", "jobs::start", "jobs::outcome", "jobs::step_messages", "jobs::enable",
            "jobs::add_schedule", "jobs::attach_schedule", "jobs::detach_schedule", "jobs::delete_schedule",
            "jobs::schedules",
        ]
    ),
    check!(a_job_is_running_from_its_start_until_its_outcome_is_written, needs: [Agent, Sysadmin], decides: ["A20"]),
    check!(starting_a_job_that_runs_is_error_22022, needs: [Agent, Sysadmin], decides: ["A21"]),
    check!(disabling_a_job_does_not_end_its_run, needs: [Agent, Sysadmin], decides: ["A22"]),
    check!(a_failed_step_says_why, needs: [Agent, Sysadmin], decides: ["A23"]),
    check!(a_disabled_job_can_be_started, needs: [Agent, Sysadmin], decides: ["A24"]),
];

/// How long an Agent may take to begin a job, and to write its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job with one T-SQL step.
async fn job(servers: &Servers, command: &str) -> Guid {
    let name = quote::name(&format!("{} job", servers.scratch)).unwrap();
    let command = quote::literal(command).unwrap();
    let create = format!(
        "SET NOCOUNT ON;\nDECLARE @job uniqueidentifier;\n\
         EXEC msdb.dbo.sp_add_job @job_name = {name}, @job_id = @job OUTPUT;\n\
         EXEC msdb.dbo.sp_add_jobstep @job_id = @job, @step_name = N'step', @subsystem = N'TSQL', \
         @command = {command}, @database_name = N'master';\n\
         EXEC msdb.dbo.sp_add_jobserver @job_id = @job;\nSELECT @job AS job_id;"
    );
    let rows = servers.rows("primary", &create).await;
    rows[0].get("job_id").unwrap()
}

async fn running(servers: &Servers, job: Guid) -> i64 {
    let sets = carry_out!(servers, "primary", jobs::activity(&[job]));
    sets[0].rows[0].get("running").unwrap()
}

/// Starts a job; the newest outcome before that.
async fn start(servers: &Servers, job: Guid) -> i32 {
    let sets = carry_out!(servers, "primary", jobs::start(job));
    let row = &sets.last().unwrap().rows[0];
    assert_eq!(row.get::<i32>("return_code").unwrap(), 0);
    row.get("instance_id").unwrap()
}

/// Waits for the outcome; its `run_status`.
async fn outcome(servers: &Servers, job: Guid, after: i32) -> i32 {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let sets = carry_out!(servers, "primary", jobs::outcome(job, after));
        let row = &sets[0].rows[0];
        if row.optional::<i32>("instance_id").unwrap().is_some() {
            return row.get("run_status").unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "no outcome within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn until_running(servers: &Servers, job: Guid) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while running(servers, job).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the job never ran");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn every_statement_on_jobs_is_carried_out(servers: &Servers) {
    let job = job(servers, "SELECT 1;").await;
    let sets = carry_out!(servers, "primary", jobs::schedules(job));
    assert!(sets[0].rows.is_empty());
    let twice_a_day = Frequency::of(&Schedule::all_day(43_200)).unwrap();
    let name = format!("{} schedule", servers.scratch);
    let sets = carry_out!(servers, "primary", jobs::add_schedule(&name, &twice_a_day));
    let row = &sets.last().unwrap().rows[0];
    assert_eq!(row.get::<i32>("return_code").unwrap(), 0);
    let schedule: i32 = row.get("schedule_id").unwrap();
    carry_out!(servers, "primary", jobs::attach_schedule(job, schedule));
    let sets = carry_out!(servers, "primary", jobs::schedules(job));
    assert_eq!(sets[0].rows.len(), 1);
    carry_out!(servers, "primary", jobs::detach_schedule(job, schedule));
    let sets = carry_out!(servers, "primary", jobs::schedules(job));
    assert!(sets[0].rows.is_empty());
    let sets = carry_out!(servers, "primary", jobs::add_schedule(&name, &twice_a_day));
    let schedule: i32 = sets.last().unwrap().rows[0].get("schedule_id").unwrap();
    carry_out!(servers, "primary", jobs::attach_schedule(job, schedule));
    for enabled in [false, true] {
        carry_out!(servers, "primary", jobs::enable(job, enabled));
        let sets = carry_out!(servers, "primary", jobs::activity(&[job]));
        assert_eq!(sets[0].rows[0].get::<bool>("enabled").unwrap(), enabled);
    }
    let before = start(servers, job).await;
    assert_eq!(outcome(servers, job, before).await, 1);
    let sets = carry_out!(servers, "primary", jobs::step_messages(job, before));
    assert!(sets[0].rows.is_empty(), "no step failed");
    carry_out!(servers, "primary", jobs::delete_schedule(schedule));
    let sets = carry_out!(servers, "primary", jobs::schedules(job));
    assert!(sets[0].rows.is_empty());
}

async fn a_job_is_running_from_its_start_until_its_outcome_is_written(servers: &Servers) {
    let job = job(servers, "WAITFOR DELAY '00:00:05';").await;
    for _ in 0..2 {
        let before = start(servers, job).await;
        until_running(servers, job).await;
        let sets = carry_out!(servers, "primary", jobs::outcome(job, before));
        let none = sets[0].rows[0].optional::<i32>("instance_id").unwrap();
        assert_eq!(none, None, "the outcome of a run that goes on");
        assert_eq!(outcome(servers, job, before).await, 1);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while running(servers, job).await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "it never stopped");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn starting_a_job_that_runs_is_error_22022(servers: &Servers) {
    let job = job(servers, "WAITFOR DELAY '00:00:05';").await;
    let before = start(servers, job).await;
    until_running(servers, job).await;
    let again = format!("{} -- {}", jobs::start(job).batch, servers.scratch);
    assert_eq!(servers.sql_error("primary", &again).await, 22022);
    assert_eq!(outcome(servers, job, before).await, 1);
}

async fn disabling_a_job_does_not_end_its_run(servers: &Servers) {
    let job = job(servers, "WAITFOR DELAY '00:00:05';").await;
    let before = start(servers, job).await;
    until_running(servers, job).await;
    carry_out!(servers, "primary", jobs::enable(job, false));
    assert_eq!(running(servers, job).await, 1);
    assert_eq!(outcome(servers, job, before).await, 1, "it ended by itself, with success");
}

async fn a_failed_step_says_why(servers: &Servers) {
    let job = job(servers, "RAISERROR (N'pcdr wants this to fail', 16, 1);").await;
    let before = start(servers, job).await;
    assert_eq!(outcome(servers, job, before).await, 0);
    let sets = carry_out!(servers, "primary", jobs::step_messages(job, before));
    let message: String = sets[0].rows[0].get("message").unwrap();
    assert!(message.contains("pcdr wants this to fail"), "{message}");
}

async fn a_disabled_job_can_be_started(servers: &Servers) {
    let job = job(servers, "SELECT 1;").await;
    carry_out!(servers, "primary", jobs::enable(job, false));
    let before = start(servers, job).await;
    assert_eq!(outcome(servers, job, before).await, 1);
}
