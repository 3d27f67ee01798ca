//! Jobs, their steps and their target servers: `sp_add_job` and its like.
//!
//! Source: the vendor's page of each procedure; message texts as the vendor lists them.

use uuid::Uuid;

use crate::message::{SqlFailure, SqlMessage};
use crate::value::Value;

use super::arguments::error;
use super::store::same_name;
use super::{
    AgentRole, Arguments, Msdb, MsdbTable, Outcome, RunRequest, RunSource, Signal, Surroundings,
};

/// Outcome code for "never ran".
const UNKNOWN: i32 = 5;

/// What a new job needs; everything else takes the documented default.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Name.
    pub name: &'a str,
    /// Whether schedules start it.
    pub is_enabled: bool,
    /// Description.
    pub description: &'a str,
    /// Category id.
    pub category_id: i64,
    /// The one step: name, subsystem, command, database.
    pub step: Option<(&'a str, &'a str, &'a str, &'a str)>,
}

/// A job's id as messages show it.
pub fn shown(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}

/// The id of a category.
pub fn category_id(msdb: &Msdb, name: &str) -> Option<i64> {
    msdb[MsdbTable::Categories].find(&[("name", Value::string(name))]).map(|r| r.int("category_id"))
}

/// Creates a job that targets this server, owned by the caller.
pub fn create(msdb: &mut Msdb, around: &mut dyn Surroundings, job: &NewJob<'_>) -> Uuid {
    let id = around.new_id();
    let now = around.moment().local;
    msdb[MsdbTable::Jobs].insert(&[
        ("job_id", Value::Uuid(id)),
        ("name", Value::string(job.name)),
        ("enabled", Value::TinyInt(u8::from(job.is_enabled))),
        ("description", Value::string(job.description)),
        ("start_step_id", Value::Int(1)),
        ("category_id", Value::BigInt(job.category_id)),
        ("owner_sid", Value::Binary(around.caller().sid.into())),
        ("notify_level_eventlog", Value::Int(2)),
        ("date_created", Value::DateTime(now)),
        ("date_modified", Value::DateTime(now)),
        ("version_number", Value::Int(1)),
    ]);
    if let Some((name, subsystem, command, database)) = job.step {
        let uid = around.new_id();
        msdb[MsdbTable::JobSteps].insert(&[
            ("job_id", Value::Uuid(id)),
            ("step_id", Value::Int(1)),
            ("step_name", Value::string(name)),
            ("subsystem", Value::string(subsystem)),
            ("command", Value::string(command)),
            ("on_success_action", Value::TinyInt(1)),
            ("on_fail_action", Value::TinyInt(2)),
            ("database_name", Value::string(database)),
            ("last_run_outcome", Value::Int(UNKNOWN)),
            ("step_uid", Value::Uuid(uid)),
        ]);
    }
    target(msdb, id);
    id
}

fn target(msdb: &mut Msdb, job: Uuid) {
    msdb[MsdbTable::JobServers].insert(&[
        ("job_id", Value::Uuid(job)),
        ("server_id", Value::Int(0)),
        ("last_run_outcome", Value::TinyInt(5)),
    ]);
}

/// The job that `@job_id` or `@job_name` names.
///
/// # Errors
///
/// 14294 without either or with both, 14262 when there is no such job or the caller may not see it,
/// 14293 when two jobs have the name.
pub fn identify(
    msdb: &Msdb,
    around: &dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Uuid, SqlFailure> {
    let caller = around.caller();
    let sees_all = caller.is_sysadmin || caller.agent_role >= AgentRole::Reader;
    let visible = |r: &super::store::Record<'_>| {
        sees_all || matches!(r.value("owner_sid"), Value::Binary(sid) if **sid == *caller.sid)
    };
    match (a.id("@job_id"), a.text("@job_name")) {
        (None, None) | (Some(_), Some(_)) => {
            Err(error(14294, "Supply either @job_id or @job_name to identify the job."))
        }
        (Some(id), None) => msdb[MsdbTable::Jobs]
            .find(&[("job_id", Value::Uuid(id))])
            .filter(visible)
            .map(|_| id)
            .ok_or_else(|| missing("@job_id", &shown(id))),
        (None, Some(name)) => {
            let mut found = msdb[MsdbTable::Jobs]
                .records()
                .filter(|r| same_name(r.text("name"), &name))
                .filter(visible)
                .filter_map(|r| r.id("job_id"));
            let first = found.next().ok_or_else(|| missing("@job_name", &name))?;
            if found.next().is_some() {
                return Err(error(
                    14293,
                    format!(
                        "There are two or more jobs named '{name}'. Specify @job_id instead of @job_name to uniquely identify the job."
                    ),
                ));
            }
            Ok(first)
        }
    }
}

/// 14262.
pub fn missing(parameter: &str, value: &str) -> SqlFailure {
    error(14262, format!("The specified {parameter} ('{value}') does not exist."))
}

fn owns(msdb: &Msdb, around: &dyn Surroundings, job: Uuid) -> bool {
    let caller = around.caller();
    caller.is_sysadmin
        || msdb[MsdbTable::Jobs].find(&[("job_id", Value::Uuid(job))]).is_some_and(
            |r| matches!(r.value("owner_sid"), Value::Binary(sid) if **sid == *caller.sid),
        )
}

/// # Errors
///
/// 14525 unless the caller owns the job or is a sysadmin.
fn must_own(msdb: &Msdb, around: &dyn Surroundings, job: Uuid) -> Result<(), SqlFailure> {
    if owns(msdb, around, job) {
        return Ok(());
    }
    Err(error(
        14525,
        "Only members of sysadmin role are allowed to update or delete jobs owned by a different login.",
    ))
}

/// Whether a call of `sp_update_job` says nothing but which job, and whether it is enabled: this much
/// members of SQLAgentOperatorRole may do to jobs of others.
///
/// Source: "SQL Server Agent Fixed Database Roles".
fn only_enables(a: Arguments<'_>) -> bool {
    let names = ["@job_id", "@job_name", "@enabled"];
    let mut said = a.0.iter().filter(|argument| argument.given); // what was left out has its default
    said.all(|argument| names.iter().any(|name| argument.name.eq_ignore_ascii_case(name)))
}

fn may_start(msdb: &Msdb, around: &dyn Surroundings, job: Uuid) -> Result<(), SqlFailure> {
    if owns(msdb, around, job) || around.caller().agent_role >= AgentRole::Operator {
        return Ok(());
    }
    Err(error(
        14393,
        "Only owner of a job or members of role sysadmin or SQLAgentOperatorRole can start and stop the job.",
    ))
}

fn name_of(msdb: &Msdb, job: Uuid) -> String {
    msdb[MsdbTable::Jobs]
        .find(&[("job_id", Value::Uuid(job))])
        .map(|r| r.text("name").to_owned())
        .unwrap_or_default()
}

/// `sp_start_job`: asks the Agent to run a job, and returns at once.
///
/// # Errors
///
/// 14262, 14256, 14393, and 22022 when the Agent refuses or does not run.
pub fn start(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    may_start(msdb, around, job)?;
    let name = name_of(msdb, job);
    if !msdb[MsdbTable::JobServers].has(&[("job_id", Value::Uuid(job))]) {
        return Err(error(
            14256,
            format!(
                "Cannot start job '{name}' (ID {}) because it does not have any job server or servers defined. Associate the job with a job server by calling sp_add_jobserver.",
                shown(job)
            ),
        ));
    }
    let step = match a.text("@step_name") {
        None => None,
        Some(wanted) => Some(
            msdb[MsdbTable::JobSteps]
                .records()
                .find(|r| r.id("job_id") == Some(job) && same_name(r.text("step_name"), &wanted))
                .map(|r| r.int("step_id"))
                .ok_or_else(|| missing("@step_name", &wanted))?,
        ),
    };
    if !msdb.agent.is_running {
        return Err(agent_error(
            "SQLServerAgent is not currently running so it cannot be notified of this action.",
        ));
    }
    let login = around.caller().login;
    let refused = |why: &str, by: &RunRequest| {
        agent_error(&format!(
            "SQLServerAgent Error: Request to run job {name} (from User {login}) refused because the job {why} from a request by {}.",
            by_whom(by)
        ))
    };
    if let Some(run) = msdb.agent.running.get(&job) {
        return Err(refused("is already running", &run.request));
    }
    if let Some(request) = msdb.agent.pending.iter().find(|r| r.job == job) {
        return Err(refused("already has a pending request", request));
    }
    let at = around.moment().local;
    msdb.agent.pending.push_back(RunRequest { job, step, source: RunSource::User, by: login, at });
    Ok(Outcome::ok()
        .saying(SqlMessage::new(14243, 10, format!("Job '{name}' started successfully.")))
        .telling(Signal::Start { job, step }))
}

/// Who asked for a run, as the Agent's messages say it.
pub fn by_whom(request: &RunRequest) -> String {
    match request.source {
        RunSource::User => format!("User {}", request.by),
        RunSource::Schedule => format!("Schedule {}", request.by),
        RunSource::Boot => "the Agent's start".to_owned(),
    }
}

fn agent_error(text: &str) -> SqlFailure {
    error(22022, text)
}

/// `sp_stop_job`: asks the Agent to stop a job, and returns at once.
///
/// # Errors
///
/// 14262, 14393, and 22022 when the job does not run or the Agent does not.
pub fn stop(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    may_start(msdb, around, job)?;
    let name = name_of(msdb, job);
    if !msdb.agent.is_running {
        return Err(agent_error(
            "SQLServerAgent is not currently running so it cannot be notified of this action.",
        ));
    }
    let was_pending = msdb.agent.pending.iter().any(|r| r.job == job);
    if !was_pending && !msdb.agent.running.contains_key(&job) {
        return Err(agent_error(&format!(
            "SQLServerAgent Error: Request to stop job {name} (from User {}) refused because the job is not currently running.",
            around.caller().login
        )));
    }
    msdb.agent.pending.retain(|r| r.job != job);
    Ok(Outcome::ok()
        .saying(SqlMessage::new(14254, 10, format!("Job '{name}' stopped successfully.")))
        .telling(Signal::Stop(job)))
}

/// The category that `@category_name` or `@category_id` names.
fn category(msdb: &Msdb, a: Arguments<'_>) -> Result<Option<i64>, SqlFailure> {
    match (a.text("@category_name"), a.int("@category_id")) {
        (Some(name), _) => category_id(msdb, &name).map(Some).ok_or_else(|| {
            error(
                14234,
                "The specified '@category_name' is invalid (valid values are returned by sp_help_category).",
            )
        }),
        (None, Some(id)) if !msdb[MsdbTable::Categories].has(&[("category_id", Value::BigInt(id))]) => {
            Err(error(
                14234,
                "The specified '@category_id' is invalid (valid values are returned by sp_help_category).",
            ))
        }
        (None, id) => Ok(id),
    }
}

fn owner(around: &dyn Surroundings, a: Arguments<'_>) -> Result<Option<Vec<u8>>, SqlFailure> {
    let Some(login) = a.text("@owner_login_name") else {
        return Ok(None);
    };
    let caller = around.caller();
    if !caller.is_sysadmin && !same_name(&login, &caller.login) {
        return Err(error(
            14515,
            "Only a member of the sysadmin server role can add a job for a different owner with @owner_login_name.",
        ));
    }
    around.login_sid(&login).map(Some).ok_or_else(|| {
        error(
            14234,
            "The specified '@owner_login_name' is invalid (valid values are returned by sp_helplogins [excluding Windows NT groups]).",
        )
    })
}

fn must_have_role(around: &dyn Surroundings) -> Result<(), SqlFailure> {
    let caller = around.caller();
    if caller.is_sysadmin || caller.agent_role >= AgentRole::User {
        return Ok(());
    }
    Err(SqlMessage::new(
        229,
        14,
        "The EXECUTE permission was denied on the object 'sp_add_job', database 'msdb', schema 'dbo'.",
    )
    .into())
}

/// `sp_add_job`.
///
/// # Errors
///
/// 14261 when the name is taken, 14234 for an unknown category or owner.
pub fn add(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    must_have_role(around)?;
    let name = a.text("@job_name").unwrap_or_default();
    if name.trim().is_empty() {
        return Err(error(14200, "The specified '@job_name' is invalid."));
    }
    if msdb[MsdbTable::Jobs].has(&[("name", Value::string(&name))]) {
        return Err(taken("@job_name", &name));
    }
    let category = category(msdb, a)?.unwrap_or(1);
    let owner_sid = owner(around, a)?;
    let description =
        a.text("@description").unwrap_or_else(|| "No description available.".to_owned());
    let id = create(
        msdb,
        around,
        &NewJob {
            name: &name,
            is_enabled: a.int("@enabled") != Some(0),
            description: &description,
            category_id: category,
            step: None,
        },
    );
    // Unlike log shipping's jobs, a job made by hand has no target until sp_add_jobserver.
    msdb[MsdbTable::JobServers].delete(&[("job_id", Value::Uuid(id))]);
    let mut values = vec![("start_step_id", a.value("@start_step_id"))];
    for column in [
        "notify_level_eventlog",
        "notify_level_email",
        "notify_level_netsend",
        "notify_level_page",
        "delete_level",
    ] {
        values.push((column, a.value(&format!("@{column}"))));
    }
    if let Some(sid) = owner_sid {
        values.push(("owner_sid", Value::Binary(sid.into())));
    }
    values.retain(|(_, v)| !v.is_null());
    msdb[MsdbTable::Jobs].update(&[("job_id", Value::Uuid(id))], &values);
    Ok(Outcome::ok().giving("@job_id", Value::Uuid(id)))
}

/// 14261.
pub fn taken(parameter: &str, value: &str) -> SqlFailure {
    error(14261, format!("The specified {parameter} ('{value}') already exists."))
}

/// `sp_update_job`: parameters left out keep their value. Does not touch a run in progress.
///
/// # Errors
///
/// 14262, 14525, 14261, 14234.
pub fn update(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    if !(only_enables(a) && around.caller().agent_role >= AgentRole::Operator) {
        must_own(msdb, around, job)?;
    }
    let mut values: Vec<(&str, Value)> = Vec::new();
    if let Some(name) = a.text("@new_name") {
        let other = msdb[MsdbTable::Jobs]
            .records()
            .any(|r| r.id("job_id") != Some(job) && same_name(r.text("name"), &name));
        if other {
            return Err(taken("@new_name", &name));
        }
        values.push(("name", Value::string(name)));
    }
    if let Some(enabled) = a.int("@enabled") {
        if !(0..=1).contains(&enabled) {
            return Err(error(
                14266,
                "The specified '@enabled' is invalid (valid values are: 0, 1).",
            ));
        }
        values.push(("enabled", Value::BigInt(enabled)));
    }
    if let Some(category) = category(msdb, a)? {
        values.push(("category_id", Value::BigInt(category)));
    }
    if let Some(sid) = owner(around, a)? {
        values.push(("owner_sid", Value::Binary(sid.into())));
    }
    for column in [
        "description",
        "start_step_id",
        "notify_level_eventlog",
        "notify_level_email",
        "notify_level_netsend",
        "notify_level_page",
        "delete_level",
    ] {
        let value = a.value(&format!("@{column}"));
        if !value.is_null() {
            values.push((column, value));
        }
    }
    let version = msdb[MsdbTable::Jobs]
        .find(&[("job_id", Value::Uuid(job))])
        .map_or(0, |r| r.int("version_number"));
    values.push(("date_modified", Value::DateTime(around.moment().local)));
    values.push(("version_number", Value::BigInt(version + 1)));
    msdb[MsdbTable::Jobs].update(&[("job_id", Value::Uuid(job))], &values);
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_delete_job`: the job with its steps, target, schedules' links and, as asked, history.
///
/// # Errors
///
/// 14262, 14525.
pub fn delete(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    remove(
        msdb,
        job,
        a.int("@delete_history") != Some(0),
        a.int("@delete_unused_schedule") != Some(0),
    );
    Ok(Outcome::ok().telling(Signal::Stop(job)).telling(Signal::Schedules))
}

/// Removes a job and what belongs to it; a schedule that no other job uses goes too, if wanted.
pub fn remove(msdb: &mut Msdb, job: Uuid, history: bool, unused_schedules: bool) {
    let of_job = [("job_id", Value::Uuid(job))];
    let schedules: Vec<i64> = msdb[MsdbTable::JobSchedules]
        .records()
        .filter(|r| r.matches(&of_job))
        .map(|r| r.int("schedule_id"))
        .collect();
    for table in [
        MsdbTable::Jobs,
        MsdbTable::JobSteps,
        MsdbTable::JobServers,
        MsdbTable::JobSchedules,
        MsdbTable::JobActivity,
    ] {
        msdb[table].delete(&of_job);
    }
    if history {
        msdb[MsdbTable::JobHistory].delete(&of_job);
    }
    msdb.agent.pending.retain(|r| r.job != job);
    if unused_schedules {
        for id in schedules {
            let wanted = [("schedule_id", Value::BigInt(id))];
            if !msdb[MsdbTable::JobSchedules].has(&wanted) {
                msdb[MsdbTable::Schedules].delete(&wanted);
            }
        }
    }
}

const SUBSYSTEMS: &[&str] = &[
    "TSQL",
    "CmdExec",
    "PowerShell",
    "Dts",
    "Snapshot",
    "LogReader",
    "Distribution",
    "Merge",
    "QueueReader",
    "ANALYSISQUERY",
    "ANALYSISCOMMAND",
    "ActiveScripting",
];

fn subsystem(name: &str) -> Result<&'static str, SqlFailure> {
    SUBSYSTEMS
        .iter()
        .copied()
        .find(|s| s.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            error(
                14234,
                "The specified '@subsystem' is invalid (valid values are returned by sp_enum_sqlagent_subsystems).",
            )
        })
}

fn step_count(msdb: &Msdb, job: Uuid) -> i64 {
    msdb[MsdbTable::JobSteps].records().filter(|r| r.id("job_id") == Some(job)).count() as i64
}

fn renumber(msdb: &mut Msdb, job: Uuid, from: i64, by: i64) {
    let mut moved: Vec<i64> = msdb[MsdbTable::JobSteps]
        .records()
        .filter(|r| r.id("job_id") == Some(job) && r.int("step_id") >= from)
        .map(|r| r.int("step_id"))
        .collect();
    moved.sort_unstable();
    if by > 0 {
        moved.reverse();
    }
    for id in moved {
        msdb[MsdbTable::JobSteps].update(
            &[("job_id", Value::Uuid(job)), ("step_id", Value::BigInt(id))],
            &[("step_id", Value::BigInt(id + by))],
        );
    }
}

const STEP_COLUMNS: &[&str] = &[
    "step_name",
    "command",
    "additional_parameters",
    "cmdexec_success_code",
    "on_success_action",
    "on_success_step_id",
    "on_fail_action",
    "on_fail_step_id",
    "server",
    "database_name",
    "database_user_name",
    "retry_attempts",
    "retry_interval",
    "os_run_priority",
    "output_file_name",
    "flags",
];

/// `sp_add_jobstep`: appended, or inserted before the step of that number.
///
/// # Errors
///
/// 14262, 14525, 14261 for a step name in use, 14234 for a subsystem, 14266 for a step number.
pub fn add_step(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    let name = a.text("@step_name").unwrap_or_default();
    if msdb[MsdbTable::JobSteps]
        .has(&[("job_id", Value::Uuid(job)), ("step_name", Value::string(&name))])
    {
        return Err(taken("@step_name", &name));
    }
    let subsystem = subsystem(&a.text("@subsystem").unwrap_or_else(|| "TSQL".to_owned()))?;
    let last = step_count(msdb, job);
    let step = a.int("@step_id").unwrap_or(last + 1);
    if !(1..=last + 1).contains(&step) {
        return Err(error(
            14266,
            format!("The specified '@step_id' is invalid (valid values are: 1..{}).", last + 1),
        ));
    }
    renumber(msdb, job, step, 1);
    let uid = around.new_id();
    let mut values = vec![
        ("job_id", Value::Uuid(job)),
        ("step_id", Value::BigInt(step)),
        ("subsystem", Value::string(subsystem)),
        ("last_run_outcome", Value::Int(UNKNOWN)),
        ("step_uid", Value::Uuid(uid)),
    ];
    for column in STEP_COLUMNS {
        let value = a.value(&format!("@{column}"));
        if !value.is_null() {
            values.push((column, value));
        } else if *column == "database_name" && subsystem == "TSQL" {
            values.push((column, Value::string("master")));
        }
    }
    msdb[MsdbTable::JobSteps].insert(&values);
    Ok(Outcome::ok())
}

fn step_row(job: Uuid, a: Arguments<'_>) -> [(&'static str, Value); 2] {
    [("job_id", Value::Uuid(job)), ("step_id", Value::BigInt(a.int("@step_id").unwrap_or(0)))]
}

fn must_have_step(msdb: &Msdb, row: &[(&str, Value)]) -> Result<(), SqlFailure> {
    if msdb[MsdbTable::JobSteps].has(row) {
        return Ok(());
    }
    Err(error(
        14266,
        "The specified '@step_id' is invalid (valid values are: the numbers of the job's steps).",
    ))
}

/// `sp_update_jobstep`: parameters left out keep their value.
///
/// # Errors
///
/// 14262, 14525, 14266, 14234.
pub fn update_step(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    let row = step_row(job, a);
    must_have_step(msdb, &row)?;
    let mut values = Vec::new();
    if let Some(name) = a.text("@subsystem") {
        values.push(("subsystem", Value::string(subsystem(&name)?)));
    }
    for column in STEP_COLUMNS {
        let value = a.value(&format!("@{column}"));
        if !value.is_null() {
            values.push((column, value));
        }
    }
    msdb[MsdbTable::JobSteps].update(&row, &values);
    Ok(Outcome::ok())
}

/// `sp_delete_jobstep`; step 0 removes them all.
///
/// # Errors
///
/// 14262, 14525, 14266.
pub fn delete_step(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    if a.int("@step_id") == Some(0) {
        msdb[MsdbTable::JobSteps].delete(&[("job_id", Value::Uuid(job))]);
        return Ok(Outcome::ok());
    }
    let row = step_row(job, a);
    must_have_step(msdb, &row)?;
    msdb[MsdbTable::JobSteps].delete(&row);
    renumber(msdb, job, a.int("@step_id").unwrap_or(0), -1);
    Ok(Outcome::ok())
}

fn is_local(around: &dyn Surroundings, a: Arguments<'_>) -> Result<(), SqlFailure> {
    let server = a.text("@server_name").unwrap_or_default();
    if server.eq_ignore_ascii_case("(LOCAL)") || same_name(&server, &around.server_name()) {
        return Ok(());
    }
    Err(error(
        14234,
        "The specified '@server_name' is invalid (valid values are returned by sp_helpserver).",
    ))
}

/// `sp_add_jobserver`: without it a job cannot be started and its schedules never fire.
///
/// # Errors
///
/// 14262, 14525, 14269 when it is targeted already, 14234 for another server.
pub fn add_server(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    is_local(around, a)?;
    if msdb[MsdbTable::JobServers].has(&[("job_id", Value::Uuid(job))]) {
        return Err(error(
            14269,
            format!(
                "Job '{}' is already targeted at server '{}'.",
                name_of(msdb, job),
                around.server_name()
            ),
        ));
    }
    target(msdb, job);
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_delete_jobserver`.
///
/// # Errors
///
/// 14262, 14525, 14234.
pub fn delete_server(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    must_own(msdb, around, job)?;
    is_local(around, a)?;
    msdb[MsdbTable::JobServers].delete(&[("job_id", Value::Uuid(job))]);
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_purge_jobhistory`: of one job or of all, up to a date or all of it.
///
/// # Errors
///
/// 14262, 14525.
pub fn purge_history(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = if a.has("@job_id") || a.has("@job_name") {
        let job = identify(msdb, around, a)?;
        must_own(msdb, around, job)?;
        Some(job)
    } else {
        None
    };
    let oldest = match a.value("@oldest_date") {
        Value::DateTime(at) => Some(i64::from(super::calendar::date_number(at.date()))),
        _ => None,
    };
    let removed = msdb[MsdbTable::JobHistory].delete_where(|r| {
        job.is_none_or(|job| r.id("job_id") == Some(job))
            && oldest.is_none_or(|date| r.int("run_date") < date)
    });
    Ok(Outcome::ok().saying(SqlMessage::new(
        14226,
        10,
        format!("{removed} history entries purged."),
    )))
}

/// `sp_add_category`.
///
/// # Errors
///
/// 14261 when the name is taken.
pub fn add_category(msdb: &mut Msdb, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let name = a.text("@name").unwrap_or_default();
    if category_id(msdb, &name).is_some() {
        return Err(taken("@name", &name));
    }
    msdb[MsdbTable::Categories].insert(&[
        ("category_class", Value::Int(1)),
        ("category_type", Value::TinyInt(1)),
        ("name", Value::string(name)),
    ]);
    Ok(Outcome::ok())
}
