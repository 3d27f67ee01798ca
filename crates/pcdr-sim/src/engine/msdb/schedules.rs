//! Schedules and their attachment to jobs.
//!
//! Source: the vendor's pages of `sp_add_schedule`, `sp_attach_schedule` and their like.

use uuid::Uuid;

use crate::message::SqlFailure;
use crate::value::Value;

use super::arguments::error;
use super::calendar::{Schedule, date_number, date_of, second_of, time_number};
use super::jobs::{identify, missing};
use super::store::same_name;
use super::{Arguments, Moment, Msdb, MsdbTable, Outcome, Signal, Surroundings};

const NUMBERS: &[&str] = &[
    "enabled",
    "freq_type",
    "freq_interval",
    "freq_subday_type",
    "freq_subday_interval",
    "freq_relative_interval",
    "freq_recurrence_factor",
    "active_start_date",
    "active_end_date",
    "active_start_time",
    "active_end_time",
];

fn invalid(parameter: &str, valid: &str) -> SqlFailure {
    error(14266, format!("The specified '{parameter}' is invalid (valid values are: {valid})."))
}

/// Checks the numbers of a schedule, as `sp_verify_schedule` does.
fn verify(get: impl Fn(&str) -> i64) -> Result<(), SqlFailure> {
    if !matches!(get("freq_type"), 1 | 4 | 8 | 16 | 32 | 64 | 128) {
        return Err(invalid("@freq_type", "1, 4, 8, 16, 32, 64, 128"));
    }
    if !matches!(get("freq_subday_type"), 0 | 1 | 2 | 4 | 8) {
        return Err(invalid("@freq_subday_type", "0x1, 0x2, 0x4, 0x8"));
    }
    let repeats = matches!(get("freq_subday_type"), 2 | 4 | 8);
    let shortest = if get("freq_subday_type") == 2 { 10 } else { 1 };
    if repeats && get("freq_subday_interval") < shortest {
        return Err(error(
            14278,
            "The schedule for this job is invalid (reason: runs must be at least 10 seconds apart).",
        ));
    }
    if matches!(get("freq_type"), 4 | 8 | 16 | 32) && get("freq_interval") < 1 {
        return Err(error(
            14278,
            "The schedule for this job is invalid (reason: @freq_interval must be at least 1).",
        ));
    }
    for column in ["active_start_date", "active_end_date"] {
        if get(column) < 19_900_101 || date_of(get(column)).is_none() {
            return Err(error(14287, format!("The '@{column}' supplied has an invalid date.")));
        }
    }
    for column in ["active_start_time", "active_end_time"] {
        if second_of(get(column)).is_none() {
            return Err(error(14287, format!("The '@{column}' supplied has an invalid time.")));
        }
    }
    if get("active_end_date") < get("active_start_date") {
        return Err(error(14288, "The end date cannot be before the start date."));
    }
    Ok(())
}

fn insert(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    name: &str,
    numbers: &[(&'static str, i64)],
) -> (i32, Uuid) {
    let uid = around.new_id();
    let now = around.moment().local;
    let mut values = vec![
        ("schedule_uid", Value::Uuid(uid)),
        ("name", Value::string(name)),
        ("owner_sid", Value::Binary(around.caller().sid.into())),
        ("date_created", Value::DateTime(now)),
        ("date_modified", Value::DateTime(now)),
        ("version_number", Value::Int(1)),
    ];
    values.extend(numbers.iter().map(|(c, n)| (*c, Value::BigInt(*n))));
    (msdb[MsdbTable::Schedules].insert(&values), uid)
}

fn new_schedule(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    name: &str,
    a: Arguments<'_>,
) -> Result<(i32, Uuid), SqlFailure> {
    let today = i64::from(date_number(around.moment().local.date()));
    let numbers: Vec<(&'static str, i64)> = NUMBERS
        .iter()
        .map(|&column| {
            let given = a.int(&format!("@{column}"));
            let n = match column {
                "active_start_date" => given.filter(|n| *n != 0).unwrap_or(today),
                _ => given.unwrap_or(0),
            };
            (column, n)
        })
        .collect();
    verify(|column| numbers.iter().find(|(c, _)| *c == column).map_or(0, |(_, n)| *n))?;
    Ok(insert(msdb, around, name, &numbers))
}

/// `sp_add_schedule`. Names may repeat: the id tells schedules apart.
///
/// # Errors
///
/// 14266, 14278, 14287 and 14288 for numbers that make no schedule.
pub fn add(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let name = a.text("@schedule_name").unwrap_or_default();
    let (id, uid) = new_schedule(msdb, around, &name, a)?;
    Ok(Outcome::ok()
        .giving("@schedule_uid", Value::Uuid(uid))
        .giving("@schedule_id", Value::Int(id)))
}

/// The schedule that `@schedule_id` or a name parameter names.
fn find(msdb: &Msdb, a: Arguments<'_>, name_parameter: &str) -> Result<i64, SqlFailure> {
    match (a.int("@schedule_id"), a.text(name_parameter)) {
        (Some(id), _) => msdb[MsdbTable::Schedules]
            .find(&[("schedule_id", Value::BigInt(id))])
            .map(|_| id)
            .ok_or_else(|| missing("@schedule_id", &id.to_string())),
        (None, Some(name)) => {
            let mut all = msdb[MsdbTable::Schedules]
                .records()
                .filter(|r| same_name(r.text("name"), &name))
                .map(|r| r.int("schedule_id"));
            let first = all.next().ok_or_else(|| missing(name_parameter, &name))?;
            if all.next().is_some() {
                return Err(error(
                    14371,
                    format!(
                        "There are two or more schedules named '{name}'. Specify @schedule_id instead of @schedule_name to uniquely identify the schedule."
                    ),
                ));
            }
            Ok(first)
        }
        (None, None) => {
            Err(error(14524, format!("Supply either @schedule_id or {name_parameter}.")))
        }
    }
}

/// Attaches a schedule to a job, if it is not attached already.
pub fn link(msdb: &mut Msdb, job: Uuid, schedule: i64, now: Moment) {
    let pair = [("schedule_id", Value::BigInt(schedule)), ("job_id", Value::Uuid(job))];
    if !msdb[MsdbTable::JobSchedules].has(&pair) {
        msdb[MsdbTable::JobSchedules].insert(&pair);
    }
    refresh_next_runs(msdb, now);
}

/// `sp_attach_schedule`.
///
/// # Errors
///
/// 14262, 14371, 14377 when the owners differ and the caller is no sysadmin.
pub fn attach(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    let schedule = find(msdb, a, "@schedule_name")?;
    let owner = |table: MsdbTable, key: (&str, Value)| {
        msdb[table].find(&[key]).map(|r| r.value("owner_sid").clone())
    };
    let same_owner = owner(MsdbTable::Jobs, ("job_id", Value::Uuid(job)))
        == owner(MsdbTable::Schedules, ("schedule_id", Value::BigInt(schedule)));
    if !same_owner && !around.caller().is_sysadmin {
        return Err(error(
            14377,
            "The schedule was not attached to the specified job. The schedule owner and the job owner must be the same or the operation must be performed by a sysadmin.",
        ));
    }
    link(msdb, job, schedule, around.moment());
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_add_jobschedule`: adds a schedule and attaches it.
///
/// # Errors
///
/// As for [`add`] and [`attach`].
pub fn add_to_job(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    let name = a.text("@name").unwrap_or_default();
    let (id, uid) = new_schedule(msdb, around, &name, a)?;
    link(msdb, job, i64::from(id), around.moment());
    Ok(Outcome::ok()
        .giving("@schedule_id", Value::Int(id))
        .giving("@schedule_uid", Value::Uuid(uid))
        .telling(Signal::Schedules))
}

fn change(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    schedule: i64,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let key = [("schedule_id", Value::BigInt(schedule))];
    let row = msdb[MsdbTable::Schedules]
        .find(&key)
        .ok_or_else(|| missing("@schedule_id", &schedule.to_string()))?;
    let owned =
        matches!(row.value("owner_sid"), Value::Binary(sid) if **sid == *around.caller().sid);
    if !owned && !around.caller().is_sysadmin {
        return Err(error(
            14394,
            "Only owner of job schedule or members of sysadmin role can modify or delete the job schedule.",
        ));
    }
    let wanted = |column: &str| a.int(&format!("@{column}")).unwrap_or(row.int(column));
    verify(wanted)?;
    let mut values: Vec<(&str, Value)> =
        NUMBERS.iter().map(|&c| (c, Value::BigInt(wanted(c)))).collect();
    if let Some(name) = a.text("@new_name") {
        values.push(("name", Value::string(name)));
    }
    values.push(("date_modified", Value::DateTime(around.moment().local)));
    values.push(("version_number", Value::BigInt(row.int("version_number") + 1)));
    msdb[MsdbTable::Schedules].update(&key, &values);
    refresh_next_runs(msdb, around.moment());
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_update_schedule`: parameters left out keep their value.
///
/// # Errors
///
/// As for [`add`]; 14262, 14371, 14394.
pub fn update(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let schedule = find(msdb, a, "@name")?;
    change(msdb, around, schedule, a)
}

/// `sp_update_jobschedule`: the schedule of that name that is attached to the job.
///
/// # Errors
///
/// As for [`update`].
pub fn update_of_job(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    let name = a.text("@name").unwrap_or_default();
    let schedule = attached(msdb, job)
        .into_iter()
        .find(|id| {
            msdb[MsdbTable::Schedules]
                .find(&[("schedule_id", Value::BigInt(*id))])
                .is_some_and(|r| same_name(r.text("name"), &name))
        })
        .ok_or_else(|| missing("@name", &name))?;
    change(msdb, around, schedule, a)
}

/// `sp_detach_schedule`.
///
/// # Errors
///
/// 14262, 14371, 14374 when it is not attached.
pub fn detach(
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let job = identify(msdb, around, a)?;
    let schedule = find(msdb, a, "@schedule_name")?;
    let removed = msdb[MsdbTable::JobSchedules]
        .delete(&[("schedule_id", Value::BigInt(schedule)), ("job_id", Value::Uuid(job))]);
    if removed == 0 {
        return Err(error(
            14374,
            format!(
                "The specified schedule (schedule_id = {schedule}) is not associated with the job."
            ),
        ));
    }
    let key = [("schedule_id", Value::BigInt(schedule))];
    if a.int("@delete_unused_schedule") == Some(1) && !msdb[MsdbTable::JobSchedules].has(&key) {
        msdb[MsdbTable::Schedules].delete(&key);
    }
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// `sp_delete_schedule`.
///
/// # Errors
///
/// 14262, 14371, 14372 while a job uses it and `@force_delete` is 0.
pub fn delete(
    msdb: &mut Msdb,
    _around: &mut dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    let schedule = find(msdb, a, "@schedule_name")?;
    let key = [("schedule_id", Value::BigInt(schedule))];
    if msdb[MsdbTable::JobSchedules].has(&key) && a.int("@force_delete") != Some(1) {
        return Err(error(
            14372,
            "The schedule was not deleted because it is being used by one or more jobs.",
        ));
    }
    msdb[MsdbTable::JobSchedules].delete(&key);
    msdb[MsdbTable::Schedules].delete(&key);
    Ok(Outcome::ok().telling(Signal::Schedules))
}

/// The schedules attached to a job.
pub fn attached(msdb: &Msdb, job: Uuid) -> Vec<i64> {
    msdb[MsdbTable::JobSchedules]
        .records()
        .filter(|r| r.id("job_id") == Some(job))
        .map(|r| r.int("schedule_id"))
        .collect()
}

/// Every run that is due next: (time, job, schedule id, schedule name), of jobs and schedules that
/// are enabled and targeted here.
pub fn next_runs(
    msdb: &Msdb,
    after: jiff::civil::DateTime,
) -> Vec<(jiff::civil::DateTime, Uuid, i64, String)> {
    let mut runs = Vec::new();
    for link in msdb[MsdbTable::JobSchedules].records() {
        let Some(job) = link.id("job_id") else {
            continue;
        };
        let enabled = msdb[MsdbTable::Jobs]
            .find(&[("job_id", Value::Uuid(job))])
            .is_some_and(|j| j.int("enabled") != 0);
        if !enabled || !msdb[MsdbTable::JobServers].has(&[("job_id", Value::Uuid(job))]) {
            continue;
        }
        let Some(row) = msdb[MsdbTable::Schedules]
            .find(&[("schedule_id", link.value("schedule_id").clone())])
            .filter(|s| s.int("enabled") != 0)
        else {
            continue;
        };
        if let Some(at) = Schedule::of(&row).and_then(|s| s.next_after(after)) {
            runs.push((at, job, row.int("schedule_id"), row.text("name").to_owned()));
        }
    }
    runs.sort();
    runs
}

/// Writes the next runs into `sysjobschedules` and `sysjobactivity`.
pub fn refresh_next_runs(msdb: &mut Msdb, now: Moment) {
    let runs = next_runs(msdb, now.local);
    let session = msdb.agent.session_id;
    let jobs: Vec<(Uuid, i64)> = msdb[MsdbTable::JobSchedules]
        .records()
        .filter_map(|r| Some((r.id("job_id")?, r.int("schedule_id"))))
        .collect();
    for (job, schedule) in jobs {
        let next = runs.iter().find(|r| r.1 == job && r.2 == schedule);
        let (date, time) =
            next.map_or((0, 0), |r| (date_number(r.0.date()), time_number(r.0.time())));
        msdb[MsdbTable::JobSchedules].update(
            &[("job_id", Value::Uuid(job)), ("schedule_id", Value::BigInt(schedule))],
            &[("next_run_date", Value::Int(date)), ("next_run_time", Value::Int(time))],
        );
        let first = runs.iter().find(|r| r.1 == job);
        msdb[MsdbTable::JobActivity].update(
            &[("session_id", Value::Int(session)), ("job_id", Value::Uuid(job))],
            &[("next_scheduled_run_date", first.map_or(Value::Null, |r| Value::DateTime(r.0)))],
        );
    }
}
