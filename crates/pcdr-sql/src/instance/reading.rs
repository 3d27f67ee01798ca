//! The code that reads answers, tried on what the statements answer by the documentation: with every column
//! of its documented type, and NULL wherever that may be.
//!
//! `tests/tsql/answers.txt` says what they answer: worked out from the statements by the vendor's parser
//! and the documented columns, so neither from this code nor from a stand-in.

use std::collections::{BTreeMap, BTreeSet};

use pcdr_core::preflight::Question;
use pcdr_core::rights::Right;
use tiberius::ColumnData;
use tiberius::numeric::Numeric;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, Time};

use super::{answers, work};
use crate::connection::{ResultSet, Row};
use crate::error::SqlError;
use crate::{header, observation, preflight};

/// Every text, so that names are those that were asked for.
const TEXT: &str = "mgc";

/// Columns that are 0 where their reader goes on: success, NORECOVERY, ONLINE and STARTED.
const ZERO: [&str; 3] = ["return_code", "restore_mode", "state"];

/// A port fits into 16 bits, although its column has more.
const SMALLER_THAN_ITS_TYPE: [&str; 1] = ["port"];

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    ty: String,
    may_be_null: bool,
}

#[derive(Debug, Clone, Default)]
struct Set {
    of_failure: bool,
    columns: Vec<Column>,
}

/// The result sets of each statement.
fn parse(text: &str) -> BTreeMap<String, Vec<Set>> {
    let mut all: BTreeMap<String, Vec<Set>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(statement) = line.strip_prefix("## ") {
            name = statement.to_owned();
        } else if line.starts_with("set") {
            let of_failure = line == "set of a failure";
            let sets = all.entry(name.clone()).or_default();
            sets.push(Set { of_failure, columns: Vec::new() });
        } else if let Some((column, ty)) = line.strip_prefix("  ").and_then(|l| l.split_once(": "))
        {
            let (ty, null) = ty.split_once(' ').unwrap_or((ty, ""));
            let column =
                Column { name: column.to_owned(), ty: ty.to_owned(), may_be_null: null == "null" };
            all.get_mut(&name).unwrap().last_mut().unwrap().columns.push(column);
        }
    }
    all
}

fn documented() -> BTreeMap<String, Vec<Set>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tsql/answers.txt");
    parse(&std::fs::read_to_string(file).unwrap())
}

/// What is put into a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    /// An ordinary value.
    Some,
    /// NULL.
    Null,
    /// The largest number that the type holds.
    Largest,
}

/// A value as the driver decodes it.
fn cell(column: &Column, content: Content) -> ColumnData<'static> {
    let some = content != Content::Null;
    let largest = content == Content::Largest;
    let small: u8 = if ZERO.contains(&column.name.as_str()) { 0 } else { 1 };
    let date = Date::new(739_675);
    let time = Time::new(432_000_000_000, 7);
    let family = column.ty.split('(').next().unwrap();
    match family {
        "bit" => ColumnData::Bit(some.then_some(true)),
        "tinyint" => ColumnData::U8(some.then_some(if largest { u8::MAX } else { small })),
        "smallint" => {
            ColumnData::I16(some.then_some(if largest { i16::MAX } else { small.into() }))
        }
        "int" => ColumnData::I32(some.then_some(if largest { i32::MAX } else { small.into() })),
        "bigint" => ColumnData::I64(some.then_some(if largest { i64::MAX } else { small.into() })),
        "real" => ColumnData::F32(some.then_some(1.0)),
        "float" => ColumnData::F64(some.then_some(1.0)),
        "numeric" => {
            let digits: u32 =
                column.ty["numeric(".len()..].split(',').next().unwrap().parse().unwrap();
            let value = if largest { 10_i128.pow(digits) - 1 } else { 1 };
            ColumnData::Numeric(some.then(|| Numeric::new_with_scale(value, 0)))
        }
        "char" | "nchar" | "varchar" | "nvarchar" => ColumnData::String(some.then(|| TEXT.into())),
        "uniqueidentifier" => ColumnData::Guid(some.then(|| uuid(7))),
        "binary" | "varbinary" => ColumnData::Binary(some.then(|| vec![1].into())),
        "datetime" => ColumnData::DateTime(some.then(|| DateTime::new(46_080, 300))),
        "datetime2" => ColumnData::DateTime2(some.then(|| DateTime2::new(date, time))),
        "datetimeoffset" => ColumnData::DateTimeOffset(
            some.then(|| DateTimeOffset::new(DateTime2::new(date, time), 60)),
        ),
        other => panic!("{}: {other} is no type that an answer has", column.name),
    }
}

fn uuid(value: u128) -> tiberius::Uuid {
    tiberius::Uuid::from_u128(value)
}

/// The result sets with one row each; `failed`: those of failures, where there is one.
fn answer(
    sets: &[Set],
    failed: bool,
    content: impl Fn(usize, &Column) -> Content,
) -> Vec<ResultSet> {
    let mut all = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let has_failure = sets.get(number + 1).is_some_and(|next| next.of_failure);
        let is_left_out = if failed { has_failure } else { set.of_failure };
        if is_left_out {
            continue;
        }
        let names = set.columns.iter().map(|column| column.name.clone()).collect();
        let mut result = ResultSet::new(names);
        result.push(set.columns.iter().map(|column| cell(column, content(number, column))));
        all.push(result);
    }
    all
}

fn first(sets: &[ResultSet]) -> &Row {
    &sets[0].rows[0]
}

type Reader = fn(&[ResultSet]) -> Result<(), SqlError>;

fn called(sets: &[ResultSet]) -> Result<Row, SqlError> {
    answers::returned(sets.to_vec(), "the procedure")
}

/// What becomes unknown because it cannot be read is an error here.
fn unreadable(observed: &impl std::fmt::Debug) -> Result<(), SqlError> {
    let text = format!("{observed:?}");
    match text.find("code: \"protocol\"") {
        Some(at) => Err(SqlError::Protocol(text[at..].chars().take(200).collect())),
        None => Ok(()),
    }
}

/// Who reads which statement's answer; the release after a statement's name does not matter.
const READERS: &[(&str, Reader)] = &[
    ("observe", |sets| {
        unreadable(&observation::read(sets, &[TEXT.into()])?)?;
        // An observation does without the newest restore, where it must.
        let restores = sets.iter().filter(|set| set.tag() == "pcdr_restores" && !set.has("error"));
        restores
            .flat_map(|set| &set.rows)
            .try_for_each(|row| observation::read_restore(row).map(drop))
    }),
    ("survey", |sets| unreadable(&observation::read_survey(sets)?)),
    ("preflight", |sets| {
        let rights = [(); 7].map(|()| Right::SYSADMIN);
        let question = Question {
            databases: vec![TEXT.into()],
            rights: rights.to_vec(),
            folders: [(); 2].map(|()| TEXT.to_owned()).to_vec(),
        };
        unreadable(&preflight::read(sets, &question)?)
    }),
    ("state", |sets| {
        work::read_standing(first(sets))?;
        answers::session(first(sets)).map(drop)
    }),
    // Who asks is known before.
    ("restore next log", |sets| work::read_standing(work::state_row(sets)?).map(drop)),
    ("last restore", |sets| observation::read_restore(first(sets)).map(drop)),
    ("sessions", |sets| observation::read_session(first(sets)).map(drop)),
    ("progress", |sets| {
        answers::progress(first(sets))?;
        answers::login_time(first(sets)).map(drop)
    }),
    ("endpoint uses", |sets| answers::endpoint_uses(first(sets)).map(drop)),
    ("endpoint", |sets| answers::endpoint(first(sets)).map(drop)),
    ("header", |sets| header::read_one(sets).map(drop)),
    ("headers", |sets| unreadable(&header::read_many(sets, 2)?)),
    ("file list", |sets| answers::files(sets).map(drop)),
    ("drives", |sets| answers::drives(sets).map(drop)),
    ("job activity", |sets| {
        answers::jobs_there(sets)?;
        answers::any_runs(sets).map(drop)
    }),
    ("activity of no job", |sets| answers::any_runs(sets).map(drop)),
    ("start job", |sets| answers::run(&called(sets)?).map(drop)),
    ("job outcome", |sets| answers::outcome(first(sets)).map(drop)),
    ("job step messages", |sets| answers::step_message(first(sets)).map(drop)),
    ("enable job", only_returns),
    ("add schedule", |sets| answers::schedule(&called(sets)?).map(drop)),
    ("schedule by the second", |sets| answers::schedule(&called(sets)?).map(drop)),
    ("schedule by the hour", |sets| answers::schedule(&called(sets)?).map(drop)),
    ("attach schedule", only_returns),
    ("delete schedule", only_returns),
    ("detach schedule", only_returns),
    ("schedules of a job", |sets| answers::schedules(sets).map(drop)),
    ("primary entry", |sets| answers::backup_job(first(sets)).map(drop)),
    ("add primary", |sets| answers::backup_job(&called(sets)?).map(drop)),
    ("add watched primary", |sets| answers::backup_job(&called(sets)?).map(drop)),
    ("add reporting primary", |sets| answers::backup_job(&called(sets)?).map(drop)),
    ("change primary", only_returns),
    ("change watched primary", only_returns),
    ("change reporting primary", only_returns),
    ("add alert job", only_returns),
    ("alert job", |sets| answers::alert_job(first(sets)).map(drop)),
    ("delete primary", only_returns),
    ("primary's secondary", |_| Ok(())), // whether there is a row says it
    ("primary's secondaries", |sets| answers::secondary_server(first(sets)).map(drop)),
    ("add primary's secondary", only_returns),
    ("delete primary's secondary", only_returns),
    ("delete alert job", only_returns),
    ("secondary entry", |sets| answers::copy_and_restore_jobs(first(sets)).map(drop)),
    ("secondary's primary", |sets| {
        answers::copy_and_restore_jobs(first(sets))?;
        answers::folders(first(sets)).map(drop)
    }),
    ("secondary databases", |sets| answers::secondary_database(first(sets)).map(drop)),
    ("add secondary's primary", |sets| answers::copy_and_restore_jobs(&called(sets)?).map(drop)),
    ("add watched secondary's primary", |sets| {
        answers::copy_and_restore_jobs(&called(sets)?).map(drop)
    }),
    ("add reporting secondary's primary", |sets| {
        answers::copy_and_restore_jobs(&called(sets)?).map(drop)
    }),
    ("change secondary's primary", only_returns),
    ("change watched secondary's primary", only_returns),
    ("change reporting secondary's primary", only_returns),
    ("change secondary", only_returns),
    ("add secondary", only_returns),
    ("delete secondary", only_returns),
    ("delete secondary's primary", only_returns),
    ("check", |_| Ok(())), // that it answers says it
    ("headers of none", |sets| header::read_many(sets, 0).map(drop)),
];

fn only_returns(sets: &[ResultSet]) -> Result<(), SqlError> {
    called(sets).map(drop)
}

fn reader(statement: &str) -> Option<Reader> {
    READERS.iter().find(|(of, _)| *of == plain(statement)).map(|(_, reader)| *reader)
}

/// Where NULL is possible by its column alone, and yet never read as a value.
const NULL_IS_NO_ANSWER: [(&str, &str); 9] = [
    // A set without its id cannot be told from another one: its header is unknown.
    ("header", "BackupSetGUID"),
    ("headers", "BackupSetGUID"),
    // Not to know the endpoint is right when the server does not say where or whether it listens.
    ("observe", "port"),
    ("observe", "state"),
    ("survey", "port"),
    ("survey", "state"),
    // The survey asks for sessions that have one.
    ("survey", "mirroring_guid"),
    // ISNULL(…, 0), into a variable.
    ("start job", "instance_id"),
    ("start job", "return_code"),
];

/// The statement's name without its release.
fn plain(statement: &str) -> &str {
    statement.split(" (SQL Server").next().unwrap()
}

/// Variables that hold what a procedure gave back: NULL only when it failed, which is reported before.
fn gives_back(statement: &str, set: &Set) -> bool {
    let is_call = set.columns.iter().any(|column| column.name == "return_code");
    is_call && statement != "start job"
}

/// Everything that goes wrong when the answers are read: with all their values, with each NULL, and with
/// the largest numbers; and the exceptions that were needed.
fn problems(all: &BTreeMap<String, Vec<Set>>) -> (Vec<String>, BTreeSet<(String, String)>) {
    let (mut found, mut excused) = (Vec::new(), BTreeSet::new());
    let mut tried = |what: String, result: Result<(), SqlError>, is_largest: Option<&str>| {
        let Err(error) = result else { return };
        let text = error.to_string();
        // A number that means nothing is refused in words of its own; of types, only range is of interest.
        let is_range = text.contains("is not an integer in the range of");
        let is_excused =
            is_largest.is_some_and(|column| !is_range || SMALLER_THAN_ITS_TYPE.contains(&column));
        if !is_excused {
            found.push(format!("{what}: {text}"));
        }
    };
    for (statement, sets) in all {
        let Some(read) = reader(statement) else {
            tried(statement.clone(), Err(SqlError::Protocol("nobody reads it".to_owned())), None);
            continue;
        };
        tried(statement.clone(), read(&answer(sets, false, |_, _| Content::Some)), None);
        if sets.iter().any(|set| set.of_failure) {
            let failed = answer(sets, true, |_, _| Content::Some);
            tried(format!("{statement}, failed"), read(&failed), None);
        }
        for (number, set) in sets.iter().enumerate().filter(|(_, set)| !set.of_failure) {
            for column in &set.columns {
                let with = |special: Content| {
                    let content = |at: usize, of: &Column| {
                        if at == number && of.name == column.name { special } else { Content::Some }
                    };
                    read(&answer(sets, false, content))
                };
                let what = |how: &str| format!("{statement}, {} {how}", column.name);
                if column.may_be_null && !gives_back(statement, set) {
                    let result = with(Content::Null);
                    if result.is_err()
                        && NULL_IS_NO_ANSWER.contains(&(plain(statement), &column.name))
                    {
                        excused.insert((plain(statement).to_owned(), column.name.clone()));
                    } else {
                        tried(what("NULL"), result, None);
                    }
                }
                if ["tinyint", "smallint", "int", "bigint"].contains(&column.ty.as_str()) {
                    tried(what("at its largest"), with(Content::Largest), Some(&column.name));
                }
                if column.ty.starts_with("numeric(") {
                    tried(what("at its largest"), with(Content::Largest), None);
                }
            }
        }
    }
    (found, excused)
}

#[test]
fn every_answer_is_read_in_its_documented_types_with_every_null() {
    let all = documented();
    let (found, excused) = problems(&all);
    assert_eq!(found, [""; 0]);
    let needed: BTreeSet<_> = excused.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(needed, BTreeSet::from(NULL_IS_NO_ANSWER));
    let answered: BTreeSet<&str> = all.keys().map(|name| plain(name)).collect();
    let names = READERS.iter().map(|(name, _)| *name);
    let gone: Vec<_> = names.filter(|name| !answered.contains(name)).collect();
    assert!(gone.is_empty(), "no statement answers so any more: {gone:?}");
}

/// Types that no reader takes for one another.
fn other_type(ty: &str) -> &'static str {
    match ty.split('(').next().unwrap() {
        "varbinary" | "binary" => "datetime",
        _ => "varbinary(8)",
    }
}

/// Answered for a person who follows the trace, and read by nobody else.
const UNREAD: [(&str, &str); 32] = [
    ("activity of no job", "agent_session"),
    ("activity of no job", "enabled"),
    ("activity of no job", "job_id"),
    ("activity of no job", "name"),
    ("add primary", "primary_id"),
    ("add secondary's primary", "secondary_id"),
    ("add watched primary", "primary_id"),
    ("add watched secondary's primary", "secondary_id"),
    ("add reporting primary", "primary_id"),
    ("add reporting secondary's primary", "secondary_id"),
    ("endpoint", "role"),
    ("job activity", "agent_session"),
    ("job activity", "enabled"),
    ("job activity", "name"),
    ("job step messages", "sql_message_id"),
    ("observe: pings", "name"),
    ("observe: restores", "name"),
    ("preflight", "File Exists"),
    ("preflight", "Parent Directory Exists"),
    ("primary entry", "primary_id"),
    ("primary's secondary", "secondary_server"),
    ("progress", "session_id"),
    ("restore next log", "is_read_only"),
    ("restore next log", "login_time"),
    ("restore next log", "name"),
    ("restore next log", "session_id"),
    ("secondary entry", "secondary_id"),
    ("secondary's primary", "file_retention_period"),
    ("secondary's primary", "secondary_id"),
    ("state", "is_read_only"),
    ("state", "name"),
    ("survey: pings", "name"),
];

#[test]
fn a_column_that_is_gone_or_of_another_type_is_noticed_wherever_it_is_read() {
    let all = documented();
    let (mut count, mut unread, mut read_of_headers) = (0, BTreeSet::new(), 0);
    for (statement, sets) in &all {
        let is_noticed = |sets: &[Set]| {
            reader(statement).unwrap()(&answer(sets, false, |_, _| Content::Some)).is_err()
        };
        for (number, set) in sets.iter().enumerate().filter(|(_, set)| !set.of_failure) {
            for (at, column) in set.columns.iter().enumerate() {
                let mut of_another_type = sets.clone();
                of_another_type[number].columns[at].ty = other_type(&column.ty).to_owned();
                let mut gone = sets.clone();
                gone[number].columns[at].name.push('x');
                count += 2;
                let (by_type, by_name) = (is_noticed(&of_another_type), is_noticed(&gone));
                // What RESTORE answers is as much as it likes, and newer columns may be missing.
                if statement.starts_with("header") || statement.starts_with("file list") {
                    read_of_headers += usize::from(by_type);
                } else if !(by_type && by_name || column.name.starts_with("pcdr_")) {
                    let tag = set.columns[0].name.strip_prefix("pcdr_");
                    let of = tag.map_or(statement.clone(), |tag| format!("{statement}: {tag}"));
                    unread.insert((of, column.name.clone()));
                }
            }
        }
    }
    println!("{count} changes; of headers and lists of files {read_of_headers} columns are read");
    let unread: BTreeSet<_> = unread.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(unread, BTreeSet::from(UNREAD));
    assert!(count > 500 && read_of_headers > 50, "{count} {read_of_headers}");
}
