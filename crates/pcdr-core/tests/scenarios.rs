//! Situations and what the planner says to them, as text that an operator can read and write.
//!
//! A scenario is a file in `tests/scenarios/`: what happened, `----`, and what pcdr answers. With
//! `PCDR_BLESS=1` the answers are rewritten; review the difference before committing it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pcdr_core::drill::{DrillOutcome, Place, latest, observe_for_a_drill};
use pcdr_core::known::Known;
use pcdr_core::mock::{MockWorld, log_backup};
use pcdr_core::observation::{
    DatabaseState, LogShippingPrimary, LogShippingSecondary, Mirroring, MirroringState, PoolState,
    RecoveryModel, RegisteredPrimary,
};
use pcdr_core::observe::observe;
use pcdr_core::plan::FailoverBy;
use pcdr_core::ports::{Owner, Unwatched};
use pcdr_core::run::{self, RunError, Watcher};
use pcdr_core::schedule::Schedule;
use pcdr_core::step::{DatabaseAction, NewPrincipal, Step};
use pcdr_core::{
    Consent, DatabaseName, ErrorCode, InstanceError, Intent, Plan, Refusal, Situation, Topology,
};

#[test]
fn every_scenario_is_answered_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let (question, expected) = text.split_once("----\n").expect("a scenario has a ---- line");
        let answer = answer(question);
        if std::env::var_os("PCDR_BLESS").is_some() {
            std::fs::write(path, format!("{question}----\n{answer}")).unwrap();
        } else if answer != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!("== {name}\n-- expected\n{expected}-- answered\n{answer}"));
        }
    }
    assert!(paths.len() >= 15, "only {} scenarios were found", paths.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn answer(question: &str) -> String {
    let world = MockWorld::new(
        Topology::parse(pcdr_core::topology::EXAMPLE).expect("the example topology is valid"),
    );
    let mut consents = BTreeSet::new();
    let mut late = Duration::ZERO;
    let mut out = String::new();
    let mut show_notes = false;
    let mut reviewed = None;
    for line in question.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] | ["#", ..] => {}
            ["lose", ref names @ ..] => names.iter().for_each(|name| world.lose_instance(name)),
            ["return", name] => world.return_instance(name),
            ["ship", database, range] => {
                let (first, last) = positions(range);
                world.ship(database, first, last);
            }
            ["unreadable", database, range, code] => {
                let (first, last) = positions(range);
                let mut file = log_backup(database, first, last, world.now());
                file.header = Known::unknown(code, "the header cannot be read");
                world.change_share(database, |files| files.push(file));
            }
            ["forget-file", database, range] => {
                let (first, last) = positions(range);
                let name = log_backup(database, first, last, world.now()).name;
                world.change_share(database, |files| files.retain(|file| file.name != name));
            }
            ["half-copied", database, range] => {
                let (first, last) = positions(range);
                let mut file = log_backup(database, first, last, world.now());
                file.header = Known::unknown("backup_damaged", "unexpected end of file");
                world.change_copied(database, |files| files.push(file));
            }
            ["shadowed", database, range] => {
                let (first, last) = positions(range);
                let mut file = log_backup(database, first, last, world.now());
                if let Known::Known(header) = &mut file.header {
                    header.family = pcdr_core::Guid(0xBAD);
                    header.backup_set = pcdr_core::Guid(0xBAD);
                }
                file.path = format!("\\\\sql-s1.example.net\\logcopies\\{}", file.name);
                world.change_copied(database, |files| files.push(file));
            }
            ["damaged", database, range] => {
                let (first, last) = positions(range);
                world.change_share(database, |files| {
                    for file in files.iter_mut() {
                        if let Known::Known(header) = &mut file.header
                            && (header.first_lsn.get(), header.last_lsn.get()) == (first, last)
                        {
                            header.is_damaged = true;
                        }
                    }
                });
            }
            ["fork", database, range, to] => {
                let (first, last) = positions(range);
                let mut file = log_backup(database, first, last, world.now());
                if let Known::Known(header) = &mut file.header {
                    header.last_fork = pcdr_core::Guid(to.parse().unwrap());
                }
                file.name.insert_str(0, "other_");
                world.change_share(database, |files| files.push(file));
            }
            ["foreign", database, range] => {
                let (first, last) = positions(range);
                let mut file = log_backup(database, first, last, world.now());
                if let Known::Known(header) = &mut file.header {
                    header.family = pcdr_core::Guid(0xBAD);
                }
                file.name.insert_str(0, "foreign_");
                world.change_share(database, |files| files.push(file));
            }
            ["state", instance, database, state] => world.change_instance(instance, |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                databases.get_mut(&database.into()).unwrap().state = match state {
                    "ONLINE" => DatabaseState::Online,
                    "RESTORING" => DatabaseState::Restoring,
                    "SUSPECT" => DatabaseState::Suspect,
                    other => panic!("unknown state {other}"),
                };
            }),
            ["rebuilt", instance, database] => world.change_instance(instance, |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                let copy = databases.get_mut(&database.into()).unwrap();
                if let Known::Known(position) = &mut copy.log_position {
                    position.family = pcdr_core::Guid(0xBEEF);
                }
            }),
            ["blind", instance] => world.change_instance(instance, |seen| {
                seen.databases =
                    Known::unknown("permission_denied", "VIEW ANY DATABASE is missing");
            }),
            ["forget-history", instance, database] => world.change_instance(instance, |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                let copy = databases.get_mut(&database.into()).unwrap();
                if let Known::Known(position) = &mut copy.log_position {
                    position.last_restored_lsn = None;
                }
            }),
            ["drop", instance, database] => world.change_instance(instance, |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                databases.remove(&database.into());
            }),
            ["forget-entry", instance, database] => {
                entry_of_secondary(&world, instance, |all| {
                    all.remove(&database.into());
                });
            }
            ["monitor", instance, database, server] => {
                entry_of_secondary(&world, instance, |all| {
                    all.get_mut(&database.into()).unwrap().monitor_server = Some(server.to_owned());
                });
            }
            ["every", instance, database, seconds] => {
                entry_of_secondary(&world, instance, |all| {
                    let entry = all.get_mut(&database.into()).unwrap();
                    let Known::Known(job) = &mut entry.copy_job else { return };
                    job.schedules[0].schedule = Some(Schedule::all_day(seconds.parse().unwrap()));
                });
            }
            ["threshold", instance, database, minutes] => {
                entry_of_primary(&world, instance, |all| {
                    let entry = all.get_mut(&database.into()).unwrap();
                    entry.backup_threshold_minutes = Some(minutes.parse().unwrap());
                });
            }
            ["disable", instance, database] => {
                entry_of_primary(&world, instance, |all| {
                    let entry = all.get_mut(&database.into()).unwrap();
                    let Known::Known(job) = &mut entry.backup_job else { return };
                    job.is_enabled = false;
                });
            }
            ["hide-entries", instance] => world.change_instance(instance, |seen| {
                seen.log_shipping_primary =
                    Known::unknown("permission_denied", "SELECT on msdb was denied");
            }),
            ["recovery", instance, database, model] => world.change_instance(instance, |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                databases.get_mut(&database.into()).unwrap().recovery_model = match model {
                    "FULL" => RecoveryModel::Full,
                    "SIMPLE" => RecoveryModel::Simple,
                    other => panic!("unknown recovery model {other}"),
                };
            }),
            ["version", instance, version] => {
                world.change_instance(instance, |seen| seen.version = version.to_owned());
            }
            ["edition", instance, ref words @ ..] => {
                world.change_instance(instance, |seen| seen.edition = words.join(" "));
            }
            ["agent", instance, state] => world.change_instance(instance, |seen| {
                seen.agent_running = Known::Known(state == "running");
            }),
            ["pool", state] => world.change_pool(|pool| {
                pool.state = Known::Known(match state {
                    "Normal" => PoolState::Normal,
                    "FailedOver" => PoolState::FailedOver,
                    other => panic!("unknown pool state {other}"),
                });
            }),
            ["configuration-store", "down"] => world.change_pool(|pool| {
                pool.is_configuration_writable = Known::Known(false);
            }),
            ["advance", minutes, "min"] => {
                world.advance(Duration::from_secs(60 * minutes.parse::<u64>().unwrap()));
            }
            ["late", minutes, "min"] => {
                late = Duration::from_secs(60 * minutes.parse::<u64>().unwrap());
            }
            ["consent", name] => {
                consents.insert(name.parse::<Consent>().unwrap());
            }
            ["fail", ref words @ ..] => world.fail_next(
                &words.join(" "),
                InstanceError::new(ErrorCode::Server, "mock", "a", "it was told to fail", "b"),
            ),
            ["configured"] => run(&mut String::new(), &world, &["configure"], &consents),
            ["show", "notes"] => show_notes = true,
            ["full-backup", database, last] => world.change_full_backups(database, |files| {
                let mut file = files[0].clone();
                let last: u128 = last.parse().unwrap();
                file.path = file.path.replace("1000", &last.to_string());
                file.name = file.name.replace("1000", &last.to_string());
                if let Known::Known(header) = &mut file.header {
                    header.last_lsn = pcdr_core::Lsn::new(last).unwrap();
                    let after = Duration::from_secs(u64::try_from(last).unwrap());
                    header.finished_at = header.finished_at.plus(after);
                }
                files.push(file);
            }),
            ["full-backup-elsewhere", database, last] => {
                world.change_full_backups(database, |files| {
                    let last: u128 = last.parse().unwrap();
                    for file in files {
                        if let Known::Known(header) = &mut file.header
                            && header.last_lsn.get() == last
                        {
                            header.first_fork = pcdr_core::Guid(0xBAD);
                            header.last_fork = pcdr_core::Guid(0xBAD);
                        }
                    }
                });
            }
            ["no-full-backup", database] => world.change_full_backups(database, Vec::clear),
            ["free", bytes] => {
                world.set_drill_folder(Known::Known(bytes.parse().unwrap()), true);
            }
            ["free-unknown"] => world.set_drill_folder(
                Known::unknown("not_there", "no drive of the instance is S:"),
                true,
            ),
            ["no-folder"] => world.set_drill_folder(Known::Known(1 << 40), false),
            ["somebodys", instance, database] => {
                world.put_database(instance, database, "D:\\Data\\somebodys.mdf");
            }
            ["beside", instance] => {
                let beside = world.databases_beside(instance);
                let names: Vec<&str> = beside.iter().map(DatabaseName::as_str).collect();
                writeln!(out, "beside [{}]", names.join(", ")).unwrap();
            }
            ["drilled"] => {
                for record in latest(&world.journal()).into_values().flatten() {
                    let proven = record.outcome == DrillOutcome::Proven;
                    writeln!(out, "{} {record}", if proven { "proven" } else { "failed" }).unwrap();
                }
            }
            ["mirrored", database, principal, mirror] => {
                mirrored(&world, database, principal, mirror)
            }
            ["session", instance, database, state] => {
                change_session(&world, instance, database, |session| {
                    session.state = match state {
                        "SUSPENDED" => MirroringState::Suspended,
                        "SYNCHRONIZING" => MirroringState::Synchronizing,
                        other => panic!("unknown session state {other}"),
                    };
                });
            }
            ["safety", "OFF", instance, database] => {
                change_session(&world, instance, database, |session| {
                    session.is_safety_full = false
                });
            }
            ["agent-stopped", instance] => world.change_instance(instance, |seen| {
                seen.agent_running = Known::Known(false);
            }),
            ["no-entry", instance, database] => world.change_instance(instance, |seen| {
                let Known::Known(all) = &mut seen.log_shipping_primary else { return };
                all.remove(&database.into()).unwrap();
            }),
            ["backup-share", instance, database, share] => {
                change_entry(&world, instance, database, |entry| {
                    share.clone_into(&mut entry.backup_share);
                });
            }
            ["registered", instance, database, server] => {
                change_entry(&world, instance, database, |entry| {
                    entry.secondaries.push((server.to_owned(), database.to_owned()));
                });
            }
            ["secondary-of", instance, database, server] => {
                world.change_instance(instance, |seen| {
                    let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
                    server.clone_into(&mut all.get_mut(&database.into()).unwrap().primary_server);
                })
            }
            ["unfinished", instance, database, server] => world.change_instance(instance, |seen| {
                let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
                all.remove(&database.into());
                let registered = RegisteredPrimary {
                    primary_server: server.to_owned(),
                    primary_database: database.into(),
                };
                seen.log_shipping_unfinished = Known::Known(vec![registered]);
            }),
            ["plan", ref intent @ ..] => {
                describe(&mut out, &planned(&world, intent, &consents, late), show_notes);
            }
            ["run", ref intent @ ..] => run(&mut out, &world, intent, &consents),
            ["review", ref intent @ ..] => {
                reviewed =
                    Some(planned(&world, intent, &consents, late).expect("a plan to review"));
            }
            ["apply", "reviewed"] => {
                apply(&mut out, &world, reviewed.as_ref().expect("a plan was reviewed"));
            }
            ref other => panic!("unknown line {other:?}"),
        }
    }
    out
}

fn entry_of_primary(
    world: &MockWorld,
    instance: &str,
    change: impl FnOnce(&mut BTreeMap<DatabaseName, LogShippingPrimary>),
) {
    world.change_instance(instance, |seen| {
        let Known::Known(all) = &mut seen.log_shipping_primary else { return };
        change(all);
    });
}

fn entry_of_secondary(
    world: &MockWorld,
    instance: &str,
    change: impl FnOnce(&mut BTreeMap<DatabaseName, LogShippingSecondary>),
) {
    world.change_instance(instance, |seen| {
        let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
        change(all);
    });
}

fn positions(range: &str) -> (u128, u128) {
    let (first, last) = range.split_once("..").unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

/// The session of a database on an instance.
fn change_session(
    world: &MockWorld,
    instance: &str,
    database: &str,
    change: impl FnOnce(&mut Mirroring),
) {
    world.change_instance(instance, |seen| {
        let Known::Known(databases) = &mut seen.databases else { return };
        let copy = databases.get_mut(&database.into()).unwrap();
        let Known::Known(Some(session)) = &mut copy.mirroring else { panic!("not mirrored") };
        change(session);
    });
}

/// The entry as log shipping primary of a database on an instance.
fn change_entry(
    world: &MockWorld,
    instance: &str,
    database: &str,
    change: impl FnOnce(&mut LogShippingPrimary),
) {
    world.change_instance(instance, |seen| {
        let Known::Known(all) = &mut seen.log_shipping_primary else { return };
        change(all.get_mut(&database.into()).unwrap());
    });
}

/// A database that is mirrored like `mgc`, without log shipping.
fn mirrored(world: &MockWorld, database: &str, principal: &str, mirror: &str) {
    let topology = topology();
    for (instance, partner, state) in
        [(principal, mirror, DatabaseState::Online), (mirror, principal, DatabaseState::Restoring)]
    {
        let address = topology.instance(&partner.into()).unwrap().mirroring_address();
        world.change_instance(instance, |seen| {
            let Known::Known(databases) = &mut seen.databases else { return };
            let mut copy = databases[&"mgc".into()].clone();
            copy.state = state;
            databases.insert(database.into(), copy);
        });
        let ports = world.ports();
        let port = &ports.instances[&instance.into()];
        let set = DatabaseAction::SetPartner { address };
        block_on(port.run(&database.into(), &set, &Unwatched)).unwrap();
    }
}

fn intent(words: &[&str]) -> Intent {
    match words {
        ["configure"] => Intent::Configure,
        ["disaster-failover"] => Intent::DisasterFailover,
        ["planned-failover"] => Intent::PlannedFailover,
        ["fence"] => Intent::Fence,
        ["failback"] => Intent::Failback,
        ["mirror-failover", "to", partner, by @ ..] => Intent::MirrorFailover {
            new_principal: match *partner {
                "primary" => NewPrincipal::Primary,
                "mirror" => NewPrincipal::Mirror,
                other => panic!("unknown partner {other}"),
            },
            by: match by {
                [] => FailoverBy::TSql,
                ["by", "cmdlet"] => FailoverBy::Cmdlet,
                other => panic!("unknown way {other:?}"),
            },
        },
        ["drill"] => Intent::Drill,
        ["remove"] => Intent::Remove { mirroring: false },
        ["remove", "with", "mirroring"] => Intent::Remove { mirroring: true },
        other => panic!("unknown intent {other:?}"),
    }
}

fn topology() -> Topology {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE);
    let place = Place { instance: "sql-s1".into(), directory: "S:\\drill".to_owned() };
    topology.expect("the example topology is valid").with_drill(place)
}

fn planned(
    world: &MockWorld,
    name: &[&str],
    consents: &BTreeSet<Consent>,
    late: Duration,
) -> Result<Plan, Refusal> {
    let topology = topology();
    let (intent, ports) = (intent(name), world.ports());
    let observation = match intent {
        Intent::Drill => block_on(observe_for_a_drill(&topology, &ports, "test", topology.drill())),
        _ => block_on(observe(&topology, &ports, "test", None)),
    };
    let now = world.now().plus(late);
    let situation = Situation::new(&topology, &observation, consents, now);
    run::plan(intent, &situation)
}

fn describe(out: &mut String, plan: &Result<Plan, Refusal>, show_notes: bool) {
    match plan {
        Ok(plan) => {
            if plan.steps.is_empty() {
                writeln!(out, "nothing to do").unwrap();
            }
            for step in &plan.steps {
                let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
                let after = if after.is_empty() { "start".into() } else { after.join(",") };
                writeln!(out, "{} (after {after}) {step}", step.id).unwrap();
            }
            for loss in &plan.predicted_losses {
                writeln!(out, "loses {loss}").unwrap();
            }
            for consent in plan.consents.iter().filter(|_| !plan.steps.is_empty()) {
                writeln!(out, "consent {consent}").unwrap();
            }
            for action in &plan.left_behind {
                writeln!(out, "left {action}").unwrap();
            }
            for note in plan.notes.iter().filter(|_| show_notes) {
                writeln!(out, "note {note}").unwrap();
            }
        }
        Err(refusal) => {
            writeln!(out, "refused [{}] {refusal}", refusal.code()).unwrap();
            if let Some((consent, price)) = refusal.way_out() {
                writeln!(out, "way out {consent}, at the price of: {price}").unwrap();
            }
        }
    }
}

fn run(out: &mut String, world: &MockWorld, name: &[&str], consents: &BTreeSet<Consent>) {
    let plan = match planned(world, name, consents, Duration::ZERO) {
        Ok(plan) => plan,
        refused => return describe(out, &refused, false),
    };
    apply(out, world, &plan);
}

fn apply(out: &mut String, world: &MockWorld, plan: &Plan) {
    let owner = Owner { who: "test".into(), run: "r".into() };
    let before = world.log().len();
    let result = block_on(run::apply(plan, &topology(), &world.ports(), &owner, &Quiet));
    for action in &world.log()[before..] {
        writeln!(out, "did {action}").unwrap();
    }
    match result {
        Ok(_) => writeln!(out, "done").unwrap(),
        Err(RunError::Refused(refusal)) => describe(out, &Err(refusal), false),
        Err(error) => writeln!(out, "error {error}").unwrap(),
    }
}

struct Quiet;

impl Watcher for Quiet {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

/// The mock never waits, so one poll after the other gets anywhere.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
