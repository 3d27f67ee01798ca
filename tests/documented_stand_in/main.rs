//! The stand-in for SQL Server, asked in T-SQL by a client, against what is documented of procedures,
//! tables, views and result sets.
//!
//! What it does not support is listed in `not_supported.txt` with the error that it answers; all else must
//! be there with exactly the documented columns, types and parameters, in every release.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

mod calls;
mod client;
mod columns;

use std::collections::BTreeMap;

use calls::{call, procedure, question, result_of};
use client::Client;
use columns::{differences, relation};
use pcdr_facts::{Column, Facts, Kind, Needed, Procedure};
use pcdr_sim::value;
use pcdr_tests::virtually;

/// Releases by year, with a late version of each: what a service pack brought is there.
const RELEASES: [(u16, (u8, u8, u16)); 7] = [
    (2012, (11, 0, 7001)),
    (2014, (12, 0, 6024)),
    (2016, (13, 0, 5026)),
    (2017, (14, 0, 3456)),
    (2019, (15, 0, 4261)),
    (2022, (16, 0, 4236)),
    (2025, (17, 0, 4065)),
];

const NOT_SUPPORTED: &str = include_str!("not_supported.txt");

/// The names that are not supported, with the error that answers them.
fn not_supported() -> BTreeMap<&'static str, i32> {
    let lines = NOT_SUPPORTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| {
        let (name, rest) = line.split_once(' ').unwrap();
        (name, rest.split(' ').next().unwrap().parse().unwrap())
    });
    pairs.collect()
}

#[derive(Debug, Default)]
struct Counts {
    procedures: usize,
    parameters: usize,
    relations: usize,
    results: usize,
    columns: usize,
    not_supported: usize,
}

/// Everything, in one release.
async fn check(facts: &Facts, client: &mut Client, counts: &mut Counts) -> Vec<String> {
    let year = client.year;
    let listed = not_supported();
    let mut wrong = Vec::new();
    for one in facts.relations.iter().filter(|one| !one.of_the_pool) {
        counts.relations += 1;
        counts.columns += one.columns.iter().filter(|column| column.is_in(year)).count();
        let found = relation(client, one).await;
        wrong.extend(found.into_iter().map(|what| format!("{year} {}: {what}", one.full_name())));
    }
    // Results before calls: those may delete what there is to show.
    for one in facts.procedures.iter().filter(|one| !one.result.is_empty()) {
        counts.results += 1;
        counts.columns += one.result.len();
        let found = result_of(client, one).await;
        wrong.extend(found.into_iter().map(|what| format!("{year} {}: {what}", one.name)));
    }
    for one in &facts.results {
        let is_there = one.columns.iter().any(|column| column.is_in(year));
        let batch = question(&one.of, one.kind);
        let answer = client.ask(&batch).await;
        let found = match answer.sets.first() {
            Some(found) if is_there => {
                let mut columns = one.columns.clone();
                if one.kind == Kind::Restore {
                    // Whatever a header holds, every column of the answer says that it may be NULL.
                    columns.iter_mut().for_each(|column| column.null = None);
                }
                differences(year, found, &columns, false, false)
            }
            None if !is_there && [208, 2812].contains(&answer.number()) => Vec::new(),
            _ => vec![format!("{answer:?}: {batch}")],
        };
        counts.results += usize::from(is_there);
        counts.columns += one.columns.iter().filter(|column| column.is_in(year)).count();
        wrong.extend(found.into_iter().map(|what| format!("{year} {}: {what}", one.of)));
    }
    for one in &facts.procedures {
        let found = match listed.get(one.name.as_str()) {
            Some(number) => {
                counts.not_supported += 1;
                let answer = client.ask(&call(one, year, None).batch()).await;
                let as_listed = answer.number() == *number;
                if as_listed {
                    Vec::new()
                } else {
                    vec![format!("listed with {number}: {answer:?}")]
                }
            }
            None if !one.is_in(year) => {
                let answer = client.ask(&call(one, 2025, None).batch()).await;
                let is_gone = answer.number() == 2812;
                if is_gone { Vec::new() } else { vec![format!("is not in {year}: {answer:?}")] }
            }
            None => {
                counts.procedures += 1;
                counts.parameters += one.parameters_in(year).count();
                procedure(client, one).await
            }
        };
        wrong.extend(found.into_iter().map(|what| format!("{year} {}: {what}", one.name)));
    }
    wrong
}

#[test]
fn the_stand_in_has_all_that_is_documented_and_lists_what_it_has_not() {
    virtually(async {
        let facts = Facts::load().unwrap();
        let mut wrong = Vec::new();
        for (year, version) in RELEASES {
            let mut counts = Counts::default();
            let mut client = Client::of(year, version).await;
            wrong.extend(check(&facts, &mut client, &mut counts).await);
            println!(
                "SQL Server {year}: {} procedures with {} parameters, {} tables and views and {} result \
                 sets with {} columns; {} procedures not supported",
                counts.procedures,
                counts.parameters,
                counts.relations,
                counts.results,
                counts.columns,
                counts.not_supported
            );
        }
        for name in not_supported().keys() {
            assert!(facts.procedure(name).is_some(), "{name} is listed, and nobody documents it");
        }
        println!("{}", wrong.join("\n"));
        assert_eq!(wrong.len(), 0);
    });
}

/// What differs in one release, when the documentation were otherwise in one place.
async fn is_noticed(client: &mut Client, one: &Procedure, change: impl Fn(&mut Procedure)) -> bool {
    let mut wrong = one.clone();
    change(&mut wrong);
    !procedure(client, &wrong).await.is_empty()
}

#[test]
fn every_other_documented_fact_about_the_stand_in_would_be_noticed() {
    virtually(async {
        let facts = Facts::load().unwrap();
        let mut client = Client::of(2019, (15, 0, 4261)).await;
        let (mut count, mut missed) = (0, Vec::new());
        for one in facts.relations.iter().filter(|one| !one.of_the_pool) {
            let answer = client.ask(&format!("SELECT TOP (0) * FROM {};", one.full_name())).await;
            let found = &answer.sets[0];
            let certain = |column: &Column| column.is_in(2019) && column.unconfirmed.is_empty();
            for (at, column) in one.columns.iter().enumerate().filter(|(_, column)| certain(column))
            {
                let mut changes: Vec<(&str, Vec<Column>)> = Vec::new();
                let mut change = |what, change: &dyn Fn(&mut Vec<Column>)| {
                    let mut columns = one.columns.clone();
                    change(&mut columns);
                    changes.push((what, columns));
                };
                change("another name", &|columns| columns[at].name.push('x'));
                change("another type", &|columns| {
                    columns[at].ty = "float".parse().unwrap();
                    columns[at].observed = None;
                });
                change("a later release", &|columns| {
                    columns[at].since = Some("2022".to_owned().try_into().unwrap());
                });
                if let Some(null) = column.null {
                    change("the opposite of NULL", &|columns| columns[at].null = Some(!null));
                }
                if !one.part {
                    change("no such column", &|columns| drop(columns.remove(at)));
                }
                for (what, columns) in changes {
                    count += 1;
                    // Newer releases may append to these, so one more at the end says nothing.
                    let is_open = one.grows && what == "no such column";
                    let wrong = differences(2019, found, &columns, one.part, one.grows);
                    if wrong.is_empty() && !is_open {
                        missed.push(format!("{}.{}: {what}", one.name, column.name));
                    }
                }
            }
            if one.columns.len() > 1 && !one.part && one.columns[..2].iter().all(certain) {
                let mut columns = one.columns.clone();
                columns.swap(0, 1);
                count += 1;
                if differences(2019, found, &columns, false, one.grows).is_empty() {
                    missed.push(format!("{}: another order", one.name));
                }
            }
        }
        let listed = not_supported();
        let there = |one: &&Procedure| {
            !listed.contains_key(one.name.as_str()) && !one.positional && !one.parameters.is_empty()
        };
        for one in facts.procedures.iter().filter(there) {
            let last = one.parameters_in(2019).count() - 1;
            let optional = one.parameters.iter().position(|p| p.needed == Needed::No && !p.output);
            let needed = one.parameters.iter().position(|p| p.needed == Needed::Yes);
            let mut results = vec![
                (
                    "another name",
                    is_noticed(&mut client, one, |p| p.parameters[last].name.push('x')).await,
                ),
                (
                    "another type",
                    is_noticed(&mut client, one, |p| {
                        p.parameters[last].ty = "datetime2(7)".parse().unwrap();
                    })
                    .await,
                ),
                (
                    "another direction",
                    is_noticed(&mut client, one, |p| p.parameters[last].output ^= true).await,
                ),
                (
                    "a later release",
                    is_noticed(&mut client, one, |p| {
                        p.parameters[last].since = Some("2022".to_owned().try_into().unwrap());
                    })
                    .await,
                ),
            ];
            if let Some(at) = optional {
                let noticed =
                    is_noticed(&mut client, one, |p| p.parameters[at].needed = Needed::Yes);
                results.push(("needed", noticed.await));
            }
            if let Some(at) = needed {
                let noticed =
                    is_noticed(&mut client, one, |p| p.parameters[at].needed = Needed::No);
                results.push(("not needed", noticed.await));
            }
            count += results.len();
            let unseen = results.into_iter().filter(|(_, noticed)| !noticed);
            missed.extend(unseen.map(|(what, _)| format!("{}: {what}", one.name)));
        }
        println!("{count} other facts, each noticed");
        assert_eq!(missed, [""; 0]);
        assert!(count > 1_000, "{count}");
    });
}

/// A procedure that adds something, what it is called with beside what is needed, and where the row is.
const ADDED: &[(&str, &str, &str)] = &[
    (
        "sp_add_log_shipping_primary_database",
        "",
        "SELECT * FROM msdb.dbo.log_shipping_primary_databases AS p
         JOIN msdb.dbo.log_shipping_monitor_primary AS m ON m.primary_id = p.primary_id",
    ),
    ("sp_add_log_shipping_secondary_primary", "", "SELECT * FROM msdb.dbo.log_shipping_secondary"),
    (
        "sp_add_log_shipping_secondary_database",
        "",
        "SELECT * FROM msdb.dbo.log_shipping_secondary_databases AS s
         JOIN msdb.dbo.log_shipping_monitor_secondary AS m ON m.secondary_id = s.secondary_id",
    ),
    (
        "sp_add_job",
        "EXEC msdb.dbo.sp_add_job @job_name = N'of defaults'",
        "SELECT * FROM msdb.dbo.sysjobs WHERE name = N'of defaults'",
    ),
    (
        "sp_add_jobstep",
        "EXEC msdb.dbo.sp_add_jobstep @job_name = N'of defaults', @step_name = N'a step'",
        "SELECT * FROM msdb.dbo.sysjobsteps WHERE step_name = N'a step'",
    ),
    (
        "sp_add_schedule",
        // Its default, 0, is no frequency at all.
        "EXEC msdb.dbo.sp_add_schedule @schedule_name = N'of defaults', @freq_type = 4",
        "SELECT * FROM msdb.dbo.sysschedules WHERE name = N'of defaults'",
    ),
];

#[test]
fn what_is_added_with_nothing_but_the_needed_has_the_documented_defaults() {
    virtually(async {
        let facts = Facts::load().unwrap();
        let mut client = Client::of(2019, (15, 0, 4261)).await;
        let (mut count, mut wrong) = (0, Vec::new());
        for (name, add, read) in ADDED {
            // Log shipping was added when the client was.
            let added = client.ask(add).await;
            assert_eq!(added.errors, [], "{add}");
            let answer = client.ask(read).await;
            let (columns, row) = (&answer.sets[0], &answer.rows[0]);
            for parameter in &facts.procedure(name).unwrap().parameters {
                let documented = parameter.then.as_ref().or(parameter.default.as_ref());
                let number = documented.and_then(|default| default.parse::<i64>().ok());
                let column = columns.iter().position(|c| c.name == parameter.name[1..]);
                let (Some(number), Some(column)) = (number, column) else { continue };
                if add.contains(&format!("{} =", parameter.name)) {
                    continue;
                }
                count += 1;
                let found = match &row[column] {
                    value::Value::Bit(bit) => i64::from(*bit),
                    value::Value::TinyInt(n) => i64::from(*n),
                    value::Value::Int(n) => i64::from(*n),
                    other => panic!("{name} {}: {other:?}", parameter.name),
                };
                if found != number {
                    wrong.push(format!("{name} {}: {found}, not {number}", parameter.name));
                }
            }
        }
        println!("{count} defaults are the documented ones");
        assert_eq!(wrong, [""; 0]);
        assert!(count >= 40, "{count}");
    });
}
