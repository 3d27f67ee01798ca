//! Every statement that pcdr can send, and everything that a rehearsal really sent, against what is
//! documented of procedures, tables and views. Run by `cargo xtask tsql`, which sets the parser up.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pcdr_facts::{Facts, Place};
use pcdr_official_parser::documented::node::{Node, pointers};
use pcdr_official_parser::documented::{Checked, answer, check};
use pcdr_official_parser::{Detail, Parser, split_script};
use pcdr_sql::quote;
use serde_json::{Value, json};
use support::{ADDRESS, NAME, NEEDS, PATH, rehearse, statements};

/// Releases, by their years, whose servers take every statement: an older one knows no THROW.
const YEARS: [u16; 7] = [2012, 2014, 2016, 2017, 2019, 2022, 2025];

/// The release of the answers that the reading code is tried on: the newest whose headers were seen.
const ANSWERS: u16 = 2022;

/// The oldest release that a statement is for: options of connections came with SQL Server 2025.
fn since(statement: &str) -> u16 {
    if statement.contains("watched") { 2025 } else { YEARS[0] }
}

/// The release in which slips are looked for: not the newest, so that what came later is noticed.
fn tried(statement: &str) -> u16 {
    since(statement).max(2019)
}

fn trees(parser: &mut Parser, name: &str, path: &str) -> Vec<(&'static str, Value)> {
    let all = statements(name, path, ADDRESS).unwrap();
    let scripts: Vec<String> = all.iter().map(|(_, one)| one.script()).collect();
    let described = parser.describe(scripts.iter().map(String::as_str)).unwrap();
    all.into_iter()
        .zip(described)
        .map(|((name, one), tree)| {
            assert_eq!(tree.errors, [], "{}", one.batch);
            (name, tree.nodes)
        })
        .collect()
}

/// Where a statement that calls a procedure is sent. No statement names a monitor, so every instance is
/// its own.
fn places(statement: &str) -> Vec<Place> {
    let place = match statement {
        "add primary"
        | "change primary"
        | "delete primary"
        | "add primary's secondary"
        | "delete primary's secondary"
        | "add alert job" => Place::Primary,
        "add secondary's primary"
        | "add secondary"
        | "change secondary's primary"
        | "change secondary"
        | "delete secondary"
        | "delete secondary's primary" => Place::Secondary,
        "delete alert job" => return vec![Place::Monitor],
        _ => return Vec::new(),
    };
    vec![place, Place::Monitor]
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_statement_agrees_with_what_is_documented_of_every_release() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let trees = trees(&mut parser, NAME, PATH);
    let (mut called, mut read, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut tried = BTreeSet::new();
    for year in YEARS {
        for (name, tree) in trees.iter().filter(|(name, _)| since(name) <= year) {
            let found = check(&facts, year, tree, &places(name));
            problems
                .extend(found.problems.iter().map(|problem| format!("{year} {name}: {problem}")));
            called.extend(found.called);
            read.extend(found.read);
            tried.extend(found.tried.into_iter().map(|column| (year, column)));
        }
    }
    assert_eq!(problems, [""; 0]);
    // What an older release does not have makes one fact unknown there; nothing else may rest on it.
    let since = "sys.dm_db_log_space_usage.log_space_in_bytes_since_last_backup".to_owned();
    assert_eq!(tried, BTreeSet::from([(2012, since)]));
    let parameters = called.iter().filter(|one| one.contains('@')).count();
    println!(
        "{} statements in {} releases: {} procedures with {parameters} of their parameters, {} columns",
        trees.len(),
        YEARS.len(),
        called.len() - parameters,
        read.len()
    );
    // Otherwise it was not what is sent that was checked.
    assert!(parameters >= 50 && read.len() >= 80, "{called:?} {read:?}");
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn the_longest_names_and_paths_that_are_sent_fit_their_parameters() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let (name, path) = ("n".repeat(quote::MAX_IDENTIFIER), "p".repeat(quote::MAX_PATH));
    for (statement, tree) in trees(&mut parser, &name, &path) {
        assert_eq!(
            check(&facts, tried(statement), &tree, &places(statement)).problems,
            [""; 0],
            "{statement}"
        );
    }
    let mut shorter = facts;
    let add =
        shorter.procedures.iter_mut().find(|p| p.name == "sp_add_log_shipping_primary_database");
    let share = add.unwrap().parameters.iter_mut().find(|p| p.name == "@backup_share").unwrap();
    share.ty = "nvarchar(258)".parse().unwrap();
    let all = trees(&mut parser, &name, &path);
    let (_, tree) = all.iter().find(|(statement, _)| *statement == "add primary").unwrap();
    let problems = check(&shorter, 2019, tree, &[]).problems;
    assert!(problems[0].contains("259 characters"), "{problems:?}");
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn what_is_answered_is_what_the_reading_code_is_tried_on() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let mut text = String::from(
        "What the statements answer: worked out from the vendor's parser and the documented columns.\n\
         crates/pcdr-sql/src/instance/reading.rs tries the code that reads them on exactly this.\n\n",
    );
    for (name, tree) in &trees(&mut parser, NAME, PATH) {
        let answers = |year| check(&facts, year, tree, &[]).answers;
        let newest = answers(ANSWERS);
        if newest.is_empty() || name.starts_with("observe ") {
            continue;
        }
        text.push_str(&answer::paragraph(name, &newest));
        text.push('\n');
        let oldest = answers(YEARS[0]);
        if oldest != newest {
            text.push_str(&answer::paragraph(
                &format!("{name} (SQL Server {})", YEARS[0]),
                &oldest,
            ));
            text.push('\n');
        }
    }
    let text = format!("{}\n", text.trim_end());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("answers.txt");
    if std::env::var_os("PCDR_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let approved = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        approved == text,
        "the answers are not those of tests/tsql/answers.txt. Write them with PCDR_BLESS=1 cargo xtask \
         tsql, read the difference, and run the tests of pcdr-sql:\n{text}"
    );
}

/// A changed tree, and what was done to it.
type Mutant = (String, Value);

/// Every tree that one slip makes of a tree: another name of a procedure, parameter, table or column; a
/// parameter left out, given twice, or given another kind of value; OUTPUT forgotten or added.
fn mutants(tree: &Value, facts: &Facts) -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut change = |at: &str, what: String, to: &dyn Fn(&mut Value)| {
        let mut changed = tree.clone();
        to(changed.pointer_mut(at).unwrap());
        all.push((what, changed));
    };
    let rename = |value: &mut Value| {
        let name = value.as_str().unwrap();
        *value = json!(format!("{name}x"));
    };
    for class in ["ProcedureReference", "NamedTableReference"] {
        for at in pointers(tree, class) {
            let property = if class == "ProcedureReference" { "Name" } else { "SchemaObject" };
            let names = format!("{at}/{property}/Identifiers");
            let Some(parts) = tree.pointer(&names).and_then(Value::as_array) else { continue };
            let last = Node(parts.last().unwrap()).value();
            if last == "sp_executesql" {
                continue;
            }
            for part in 0..parts.len() {
                // A server's own view is in every database, and the pool's table in one of any name.
                let of_any_database = parts.len() == 3
                    && part == 0
                    && facts
                        .relation(Node(&parts[1]).value(), last)
                        .is_some_and(|r| r.database.is_none());
                if !of_any_database {
                    let what = format!("rename part {part} of {last}");
                    change(&format!("{names}/{part}/Value"), what, &rename);
                }
            }
        }
    }
    for at in pointers(tree, "ColumnReferenceExpression") {
        let names = format!("{at}/MultiPartIdentifier/Identifiers");
        let Some(parts) = tree.pointer(&names).and_then(Value::as_array) else { continue };
        let last = Node(parts.last().unwrap()).value();
        let column = parts.len() - 1;
        change(&format!("{names}/{column}/Value"), format!("rename column {last}"), &rename);
        change(&format!("{names}/0/Value"), format!("rename the alias of {last}"), &rename);
    }
    for at in pointers(tree, "ExecutableProcedureReference") {
        let call = Node(tree.pointer(&at).unwrap());
        let name = call.node("ProcedureReference").and_then(|r| r.node("ProcedureReference"));
        let name = name.and_then(|r| r.node("Name")).map(Node::parts).unwrap_or_default();
        let Some(procedure) = name.last().and_then(|name| facts.procedure(name)) else { continue };
        for (number, argument) in call.nodes("Parameters").into_iter().enumerate() {
            // An extended procedure takes its arguments by their places.
            let named = argument.node("Variable").map(|variable| variable.text("Name").to_owned());
            let given = named.clone().unwrap_or_else(|| procedure.parameters[number].name.clone());
            let parameter = procedure.parameter(&given).unwrap();
            let list = format!("{at}/Parameters");
            let here = format!("{list}/{number}");
            if named.is_some() {
                change(&format!("{here}/Variable/Name"), format!("rename {given}"), &rename);
            }
            change(&list, format!("give {given} twice"), &|list: &mut Value| {
                let list = list.as_array_mut().unwrap();
                list.push(list[number].clone());
            });
            if parameter.needed == pcdr_facts::Needed::Yes {
                change(&list, format!("leave {given} out"), &|list: &mut Value| {
                    list.as_array_mut().unwrap().remove(number);
                });
                let null = json!({"is": "NullLiteral", "Value": "NULL"});
                change(&format!("{here}/ParameterValue"), format!("{given} = NULL"), &|value| {
                    *value = null.clone();
                });
            }
            change(&here, format!("OUTPUT of {given}"), &|argument: &mut Value| {
                let was = Node(argument).is("IsOutput");
                argument["IsOutput"] = json!(if was { "False" } else { "True" });
            });
            let other = match parameter.ty.integers() {
                Some((_, high)) => {
                    json!({"is": "IntegerLiteral", "Value": (i128::from(high) + 1).to_string()})
                }
                None => json!({"is": "IntegerLiteral", "Value": "1"}),
            };
            let text = json!({"is": "StringLiteral", "Value": "1"}); // no N, no number, no GUID
            for wrong in [other, text] {
                let what = format!("{given} = {wrong}");
                change(&format!("{here}/ParameterValue"), what, &|value| *value = wrong.clone());
            }
        }
    }
    for at in pointers(tree, "DeclareVariableElement") {
        let name = Node(tree.pointer(&at).unwrap()).node("VariableName").unwrap().value();
        change(&format!("{at}/DataType/SqlDataTypeOption"), format!("{name} is a float"), &|ty| {
            *ty = json!("Float");
        });
    }
    all
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_slip_of_the_pen_in_a_statement_is_noticed() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let (mut count, mut missed) = (0, Vec::new());
    for (name, tree) in &trees(&mut parser, NAME, PATH) {
        let before = check(&facts, tried(name), tree, &[]).answers;
        for (what, mutant) in mutants(tree, &facts) {
            count += 1;
            let found = check(&facts, tried(name), &mutant, &[]);
            // A variable of another type may only change what is answered: the reading code is tried
            // on that.
            if found.problems.is_empty() && found.answers == before {
                missed.push(format!("{name}: {what}"));
            }
        }
    }
    assert_eq!(missed, [""; 0]);
    println!("{count} slips, each noticed");
    assert!(count > 1_000, "{count}");
}

/// Every way in which the documentation could say otherwise about what the statements use.
#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_other_documented_fact_would_be_noticed() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let mut trees = trees(&mut parser, NAME, PATH);
    trees.retain(|(name, _)| since(name) <= 2019);
    let all = |facts: &Facts| -> Vec<Checked> {
        trees.iter().map(|(name, tree)| check(facts, 2019, tree, &places(name))).collect()
    };
    let right = all(&facts);
    let answers =
        |checked: &[Checked]| -> Vec<_> { checked.iter().map(|c| c.answers.clone()).collect() };
    let is_noticed = |wrong: &Facts| {
        let found = all(wrong);
        found.iter().any(|c| !c.problems.is_empty() || !c.tried.is_empty())
            || answers(&found) != answers(&right)
    };
    let used: BTreeSet<&String> =
        right.iter().flat_map(|c| c.called.iter().chain(&c.read)).collect();
    let (mut count, mut missed) = (0, Vec::new());
    let mut expect = |what: String, wrong: &Facts| {
        count += 1;
        if !is_noticed(wrong) {
            missed.push(what);
        }
    };
    for (p, procedure) in facts.procedures.iter().enumerate() {
        if !used.contains(&procedure.name) {
            continue;
        }
        let mut wrong = facts.clone();
        wrong.procedures[p].runs_on.clear();
        if !places_of(&trees, &right, &procedure.name).is_empty() {
            expect(format!("{} runs elsewhere", procedure.name), &wrong);
        }
        let parameters = procedure.parameters.iter().enumerate();
        for (q, parameter) in parameters.filter(|(_, parameter)| parameter.is_in(2019)) {
            let full = format!("{}.{}", procedure.name, parameter.name);
            if used.contains(&full) {
                let mut wrong = facts.clone();
                wrong.procedures[p].parameters[q].since =
                    Some("2022".to_owned().try_into().unwrap());
                expect(format!("{full} came later"), &wrong);
                let mut wrong = facts.clone();
                wrong.procedures[p].parameters[q].ty = "datetime".parse().unwrap();
                // NULL is of any type.
                if parameter.name != "@max_transfer_size" {
                    expect(format!("{full} is a datetime"), &wrong);
                }
            } else {
                let mut wrong = facts.clone();
                wrong.procedures[p].parameters[q].needed = pcdr_facts::Needed::Yes;
                expect(format!("{full} is needed"), &wrong);
            }
        }
    }
    for (r, relation) in facts.relations.iter().enumerate() {
        for (c, column) in relation.columns.iter().enumerate() {
            if used.contains(&format!("{}.{}", relation.full_name(), column.name)) {
                let mut wrong = facts.clone();
                wrong.relations[r].columns[c].since = Some("2022".to_owned().try_into().unwrap());
                expect(format!("{}.{} came later", relation.name, column.name), &wrong);
            }
        }
    }
    assert_eq!(missed, [""; 0]);
    println!("{count} other facts, each noticed");
    assert!(count > 150, "{count}");
}

/// Where the statements that call a procedure are sent.
fn places_of(trees: &[(&str, Value)], checked: &[Checked], procedure: &str) -> Vec<Place> {
    let calls = trees.iter().zip(checked).filter(|(_, c)| c.called.contains(procedure));
    calls.flat_map(|((name, _), _)| places(name)).collect()
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn a_rehearsal_sends_each_call_to_the_server_that_it_is_for() {
    let facts = Facts::load().unwrap();
    let mut parser = Parser::start(Detail::Nodes).expect(NEEDS);
    let topology: toml::Value = toml::from_str(pcdr_core::topology::EXAMPLE).unwrap();
    let roles: BTreeMap<&str, Vec<Place>> = topology["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instance| {
            let place = match instance["role"].as_str().unwrap() {
                "primary" | "primary-mirror" => vec![Place::Primary, Place::Monitor],
                "secondary" | "secondary-mirror" => vec![Place::Secondary, Place::Monitor],
                _ => vec![Place::Monitor], // a witness ships nothing
            };
            (instance["name"].as_str().unwrap(), place)
        })
        .collect();
    let sent = split_script(&rehearse(NAME));
    let described = parser.describe(sent.iter().map(String::as_str)).unwrap();
    let (mut problems, mut calls) = (Vec::new(), BTreeMap::<(&str, String), usize>::new());
    for (batch, tree) in sent.iter().zip(described) {
        // The databases, and what the chat users write and read, stand in for the product's own: the
        // rehearsal sends that, pcdr never does.
        let is_of_the_stage = batch.contains(".dbo.tblChat")
            || tree.statements.iter().any(|class| {
                ["CreateDatabaseStatement", "CreateTableStatement"].contains(&class.as_str())
            });
        if is_of_the_stage {
            continue;
        }
        // "-- when server took …"
        let server = batch.lines().find_map(|line| line.strip_prefix("-- "));
        let server = server.and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let place = roles.get(server).unwrap_or_else(|| panic!("sent to {server:?}: {batch}"));
        let found = check(&facts, 2019, &tree.nodes, place);
        problems
            .extend(found.problems.iter().map(|problem| format!("{server}: {problem}\n{batch}")));
        for called in found.called.into_iter().filter(|one| !one.contains('@')) {
            *calls.entry((server, called)).or_default() += 1;
        }
    }
    assert!(problems.is_empty(), "{}", problems.concat());
    println!("{} batches of a rehearsal; calls: {calls:?}", sent.len());
    let on = |server: &str, name: &str| calls.contains_key(&(server, name.to_owned()));
    assert!(on("sql-n1", "sp_add_log_shipping_primary_database"));
    assert!(on("sql-s1", "sp_add_log_shipping_secondary_database"));
}
