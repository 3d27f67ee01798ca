//! A login that has what `pcdr rights` writes, and no more, over the wire: what it can do, what it
//! cannot, and how pcdr says so.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::collections::BTreeSet;

use pcdr_cli::connect::Connected;
use pcdr_cli::failure::Failure;
use pcdr_cli::plan;
use pcdr_core::observe::observe;
use pcdr_core::plan::FailoverBy;
use pcdr_core::ports::Owner;
use pcdr_core::preflight::{Outcome, ask, check};
use pcdr_core::rights::{Command, InstanceRights, Right, rights};
use pcdr_core::run::{self, RunError};
use pcdr_core::step::NewPrincipal;
use pcdr_core::{Consent, InstanceName, Intent, Topology};
use pcdr_sql::rights::{Login, script};
use pcdr_tests::{STRETCHED, Stage, Unseen, name, step_code, virtually};
use serde_json::Value;

const PASSWORD: &str = "a Login of its 0wn";

/// Creates a SQL login with one SID on every instance, as an administrator does before the script.
async fn create(stage: &Stage, login: &str) {
    let sid: String = format!("{login:_<16}").bytes().map(|byte| format!("{byte:02X}")).collect();
    let program = stage.another_program(); // connections of before a disaster are dead
    for instance in stage.topology().instances() {
        let batch = format!("CREATE LOGIN [{login}] WITH PASSWORD = N'{PASSWORD}', SID = 0x{sid};");
        program.send(&instance.name, batch).await.unwrap();
    }
}

/// Runs the script of an instance, batch by batch, as `sqlcmd` would.
async fn give(stage: &Stage, of: &InstanceRights, login: &str) {
    let text = script(of, Login::Sql(login)).unwrap();
    let batches: Vec<&str> = text.split("\nGO\n").collect();
    assert!(batches.len() > 1 || of.needs.is_empty(), "{text}");
    let program = stage.another_program();
    for batch in batches {
        let sent = program.send(&of.instance, batch.to_owned()).await;
        sent.unwrap_or_else(|error| panic!("{error}: {batch}"));
    }
}

/// A login with exactly the rights of a command, and the ports that use it.
async fn login(stage: &Stage, command: Command, login: &str) -> (Topology, Connected) {
    create(stage, login).await;
    for of in rights(command, stage.topology()).instances {
        give(stage, &of, login).await;
    }
    connect(stage, login)
}

fn connect(stage: &Stage, login: &str) -> (Topology, Connected) {
    let file = stage.folder.join(format!("password of {login}"));
    std::fs::write(&file, PASSWORD).unwrap();
    stage.reconnect(|text| {
        let mut table: toml::Table = text.parse().unwrap();
        let connection = table["connection"].as_table_mut().unwrap();
        connection.insert("login".into(), login.into());
        connection.insert("password_file".into(), file.to_str().unwrap().into());
        toml::to_string(&table).unwrap()
    })
}

/// Every unknown fact of an observation by its path, with the reason.
fn unknown(observation: &pcdr_core::Observation) -> Vec<(String, String)> {
    fn walk(at: &str, value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) if members.contains_key("unknown") => {
                found.push((at.to_owned(), members["unknown"].to_string()));
            }
            Value::Object(members) => {
                for (name, member) in members.iter().filter(|(name, _)| *name != "pool") {
                    let here = if name == "known" { at.to_owned() } else { format!("{at}/{name}") };
                    walk(&here, member, found);
                }
            }
            Value::Array(items) => {
                items.iter().for_each(|item| walk(&format!("{at}/*"), item, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk("", &serde_json::to_value(observation).unwrap(), &mut found);
    found
}

fn paths(observation: &pcdr_core::Observation) -> BTreeSet<String> {
    unknown(observation).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn what_stays_unknown_to_a_login_that_may_only_look_is_what_the_script_says() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let (topology, connected) = login(&stage, Command::Status, "looks").await;
        let seen = observe(&topology, &connected.ports, "test", None).await;
        let all = stage.observe().await;
        let hidden: BTreeSet<String> = paths(&seen).difference(&paths(&all)).cloned().collect();
        let mut said = BTreeSet::new();
        for of in rights(Command::Status, &topology).instances {
            let copies = seen.instances[&of.instance].known().unwrap().databases.known().unwrap();
            for (database, copy) in copies {
                for fact in &of.stays_unknown {
                    if copy.state != pcdr_core::observation::DatabaseState::Online {
                        let instance = &of.instance;
                        let fact = fact.fact;
                        said.insert(format!("/instances/{instance}/databases/{database}/{fact}"));
                    }
                }
            }
        }
        assert_eq!(hidden, said);
        assert!(hidden.len() >= 2, "{hidden:?}");
    });
}

#[test]
fn each_right_that_is_left_out_is_named_where_its_fact_is_unknown() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        for instance in stage.topology().instances() {
            let batch = "REVOKE VIEW ANY DATABASE FROM public;".to_owned();
            stage.workload.send(&instance.name, batch).await.unwrap();
        }
        let primary = rights(Command::Status, stage.topology())
            .instances
            .into_iter()
            .find(|of| of.instance == stage.topology().primary().name)
            .unwrap();
        let mut tried = 0;
        for left_out in &primary.needs {
            let login = format!("without_{tried}");
            create(&stage, &login).await;
            for mut of in rights(Command::Status, stage.topology()).instances {
                if of.instance == primary.instance {
                    of.needs.retain(|need| need.right != left_out.right);
                }
                give(&stage, &of, &login).await;
            }
            let (topology, connected) = connect(&stage, &login);
            let seen = observe(&topology, &connected.ports, "test", None).await;
            let named = match &left_out.right {
                Right::Server(permission) => (*permission).to_owned(),
                Right::User(database) | Right::Select(database, _) => {
                    format!("{database}/server_pings: a user in the database is missing")
                }
                Right::DatabaseRole(database, _) => {
                    format!("SELECT permission was denied, database '{database}'")
                }
                other => panic!("status needs {other}"),
            };
            let of_primary = format!("/instances/{}", primary.instance);
            let found: Vec<String> = unknown(&seen)
                .into_iter()
                .filter(|(path, _)| path.starts_with(&of_primary))
                .map(|(path, reason)| format!("{path}: {reason}"))
                .collect();
            let is_named = found.iter().any(|line| {
                named.split([':', ',']).all(|part| line.contains(part.trim()))
                    && line.contains("permission_denied")
            });
            assert!(is_named, "{}: {named}: {found:#?}", left_out.right);
            tried += 1;
        }
        assert!(tried >= 4);
    });
}

#[test]
fn plans_are_made_by_a_login_that_may_only_look_except_where_a_mirror_must_be_seen() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let (topology, connected) = login(&stage, Command::Plan, "plans").await;
        let make = async |intent, consents: &[Consent]| {
            plan::make(intent, &topology, &connected.ports, consents).await
        };
        for intent in [Intent::Configure, Intent::Remove { mirroring: false }] {
            let made = make(intent, &[]).await;
            assert!(made.is_ok(), "{}", made.unwrap_err().text(false));
        }
        let swap =
            Intent::MirrorFailover { new_principal: NewPrincipal::Mirror, by: FailoverBy::TSql };
        let refused = make(swap, &[]).await.unwrap_err().text(false);
        assert!(refused.contains("shown to sysadmin only"), "{refused}");
        stage.strike().await;
        let made = make(Intent::DisasterFailover, &[Consent::PrimarySiteLost]).await;
        assert!(made.is_ok(), "{}", made.unwrap_err().text(false));
    });
}

#[test]
fn without_the_right_to_read_backups_their_headers_are_unknown_and_the_right_is_named() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        create(&stage, "reads").await;
        for mut of in rights(Command::Status, stage.topology()).instances {
            of.needs.retain(|need| need.right != Right::Server("CREATE ANY DATABASE"));
            give(&stage, &of, "reads").await;
        }
        let (topology, connected) = connect(&stage, "reads");
        let seen = observe(&topology, &connected.ports, "test", None).await;
        let headers: Vec<_> =
            unknown(&seen).into_iter().filter(|(path, _)| path.ends_with("/header")).collect();
        assert!(!headers.is_empty());
        for (path, reason) in headers {
            assert!(reason.contains("CREATE DATABASE permission denied"), "{path}: {reason}");
        }
    });
}

async fn carried_out(
    stage: &Stage,
    (topology, connected): &(Topology, Connected),
    intent: Intent,
    consents: &[Consent],
) -> Result<(), RunError> {
    let made = plan::make(intent, topology, &connected.ports, consents).await;
    let (plan, _) = made.unwrap_or_else(|failure: Failure| panic!("{}", failure.text(false)));
    assert!(!plan.steps.is_empty());
    let who = Owner { who: "test".into(), run: plan::new_run() };
    let ended = run::apply(&plan, topology, &connected.ports, &who, &Unseen).await;
    if let Err(error) = &ended {
        stage.note(&error.to_string());
    }
    ended.map(|_| ())
}

#[test]
fn configure_is_carried_out_with_the_rights_that_are_written_for_it() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let by = login(&stage, Command::Configure, "configures").await;
        let ended = carried_out(&stage, &by, Intent::Configure, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn a_step_that_lacks_its_right_stops_the_run_as_permission_denied() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        create(&stage, "configures").await;
        let witness: InstanceName = name("sql-n3");
        for mut of in rights(Command::Configure, stage.topology()).instances {
            let is_endpoint = |right: &Right| *right == Right::Server("CREATE ENDPOINT");
            assert!(of.needs.iter().any(|need| is_endpoint(&need.right)));
            of.needs.retain(|need| of.instance != witness || !is_endpoint(&need.right));
            give(&stage, &of, "configures").await;
        }
        let by = connect(&stage, "configures");
        let error = carried_out(&stage, &by, Intent::Configure, &[]).await.unwrap_err();
        let (code, action) = step_code(&error);
        assert_eq!(code, "permission_denied", "{error}");
        assert!(action.contains("sql-n3"), "{action}");
    });
}

#[test]
fn preflight_names_the_right_that_is_missing_and_none_that_is_given() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        create(&stage, "configures").await;
        let (witness, left_out) = (name("sql-n3"), Right::Server("CREATE ENDPOINT"));
        for mut of in rights(Command::Configure, stage.topology()).instances {
            of.needs.retain(|need| of.instance != witness || need.right != left_out);
            give(&stage, &of, "configures").await;
        }
        let (topology, connected) = connect(&stage, "configures");
        let ports = &connected.ports;
        let seen = observe(&topology, ports, "test", None).await;
        let clock = ports.clock.as_ref();
        let answers = ask(Command::Configure, &topology, &connected.preflight, clock).await;
        let report = check(Command::Configure, &topology, &seen, &answers);
        let failed: Vec<(&str, &str)> = report
            .checks()
            .filter(|(_, check)| matches!(check.outcome, Outcome::Failed { .. }))
            .map(|(instance, check)| (instance.as_str(), check.subject.as_str()))
            .collect();
        assert_eq!(failed, [("sql-n3", "right: CREATE ENDPOINT")]);
    });
}

#[test]
fn a_mirror_failover_is_carried_out_with_the_rights_that_are_written_for_it() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let by = login(&stage, Command::MirrorFailover, "swaps").await;
        let intent =
            Intent::MirrorFailover { new_principal: NewPrincipal::Mirror, by: FailoverBy::TSql };
        let ended = carried_out(&stage, &by, intent, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn a_failover_and_a_removal_are_carried_out_with_the_rights_that_are_written_for_them() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let by = login(&stage, Command::Failover, "fails_over").await;
        stage.strike().await;
        let consents = [Consent::PrimarySiteLost];
        let ended = carried_out(&stage, &by, Intent::DisasterFailover, &consents).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
        stage.prove().await;
    });
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let by = login(&stage, Command::Remove, "removes").await;
        let ended = carried_out(&stage, &by, Intent::Remove { mirroring: true }, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn planned_failover_and_failback_are_carried_out_with_the_rights_that_are_written_for_them() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let by = login(&stage, Command::PlannedFailover, "hands_over").await;
        let ended = carried_out(&stage, &by, Intent::PlannedFailover, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
        // The users of the databases that serve came with them; the script finds what is missing.
        let by = login(&stage, Command::Failback, "brings_back").await;
        let ended = carried_out(&stage, &by, Intent::Failback, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn the_old_primary_is_fenced_with_the_rights_that_are_written_for_it() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let failover = stage.planned().await;
        stage.succeeds(&failover).await;
        let site = stage.topology().primary().site.to_string();
        stage.stand_in.return_site(&site).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        let by = login(&stage, Command::Fence, "fences").await;
        let ended = carried_out(&stage, &by, Intent::Fence, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn a_drill_is_carried_out_with_the_rights_that_are_written_for_it() {
    virtually(async {
        let topology = format!("{STRETCHED}\n[drill]\ndirectory = 'D:\\drill'\n");
        let stage = Stage::working(&topology).await;
        let by = login(&stage, Command::Drill, "drills").await;
        let ended = carried_out(&stage, &by, Intent::Drill, &[]).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
        let (topology, connected) = by;
        let ports = &connected.ports;
        let seen = observe(&topology, ports, "test", None).await;
        let clock = ports.clock.as_ref();
        let answers = ask(Command::Drill, &topology, &connected.preflight, clock).await;
        let report = check(Command::Drill, &topology, &seen, &answers);
        let failed = report.checks().filter(|(_, c)| matches!(c.outcome, Outcome::Failed { .. }));
        let failed: Vec<_> = failed.collect();
        assert!(failed.is_empty(), "{failed:?}");
        let passed = |code: &str| {
            report.checks().any(|(on, check)| {
                on.as_str() == "sql-s1"
                    && check.code == code
                    && matches!(check.outcome, Outcome::Passed { .. })
            })
        };
        assert!(passed("space") && passed("folder"), "{report:?}");
    });
}
