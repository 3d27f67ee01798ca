//! Drills over the wire: what is proved is what was shipped, production does not notice, and whatever cuts a
//! drill off, the same plan goes on.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, reason = "what each fault led to is shown")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::plan;
use pcdr_core::drill::{DrillOutcome, DrillRecord, copy_name, latest, observe_for_a_drill};
use pcdr_core::model::{CopyState, Model};
use pcdr_core::observation::DatabaseState;
use pcdr_core::ports::Unwatched;
use pcdr_core::run::RunError;
use pcdr_core::step::{DatabaseAction, DrillAction};
use pcdr_core::{Action, Consent, DatabaseName, Intent, Lsn, Plan, Refusal};
use pcdr_sim::value::Value;
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, step_code, virtually, with_databases};

const FOLDER: &str = "D:\\drill it's";

/// A topology that says where drills restore to.
fn drilled(topology: &str) -> String {
    format!("{topology}\n[drill]\ndirectory = '''{FOLDER}'''\n")
}

async fn planned(stage: &Stage, consents: &[Consent]) -> Plan {
    let made = plan::make(Intent::Drill, stage.topology(), stage.ports(), consents).await;
    match made {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

async fn refused(stage: &Stage) -> Refusal {
    let before = stage.snapshot().await;
    let made = plan::make(Intent::Drill, stage.topology(), stage.ports(), &[]).await;
    match made {
        Err(pcdr_cli::failure::Failure::Refused(refusal)) => {
            stage.unchanged_since(&before).await;
            *refusal
        }
        Err(failure) => panic!("{}", failure.text(false)),
        Ok((plan, _)) => panic!("not refused: {:?}", plan.steps),
    }
}

async fn records(stage: &Stage, database: &str) -> Vec<DrillRecord> {
    let entries = stage.ports().store.entries().await.unwrap();
    assert_eq!(pcdr_core::journal::first_broken(&entries), None, "the journal is whole");
    latest(&entries).remove(&DatabaseName::from(database)).unwrap_or_default()
}

fn number_of(plan: &Plan, is: fn(&DrillAction) -> bool) -> u32 {
    let drill = |step: &&pcdr_core::Step| match &step.action {
        Action::Database(_, _, DatabaseAction::Drill(step)) => is(&step.action),
        _ => false,
    };
    plan.steps.iter().find(drill).unwrap().id.0
}

/// Records in a copy on the secondary, as its engine knows them.
fn in_copy(stage: &Stage, database: &str) -> BTreeSet<i64> {
    let copy = copy_name(&database.into());
    let world = &stage.stand_in.world;
    let rows = world.inspect(stage.secondary(), copy.as_str(), "dbo", "tblChat").unwrap();
    let number = |row: &pcdr_sim::engine::inspect::InspectedRow| match row.row.get(1) {
        Some(Value::BigInt(number)) => *number,
        other => panic!("{other:?}"),
    };
    rows.iter().map(number).collect()
}

/// Nothing of a drill is left on the secondary, neither databases nor files.
fn nothing_is_left(stage: &Stage, context: &str) {
    let world = &stage.stand_in.world;
    let folder = world.path(stage.secondary(), FOLDER).unwrap();
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.is_empty(), "{context}: {files:?}");
    for (instance, state) in &world.lock().instances {
        let drills = state.databases.keys().filter(|name| name.starts_with("pcdr_drill_"));
        assert_eq!(drills.count(), 0, "{context}: {instance}");
    }
}

#[test]
fn a_drill_proves_what_was_shipped_and_leaves_production_as_it_was() {
    virtually(async {
        let mut stage = Stage::working(&drilled(&with_databases(&["orders", "m]gc"]))).await;
        let plan = planned(&stage, &[]).await;
        let before = stage.snapshot().await;
        stage.succeeds(&plan).await;
        stage.unchanged_since(&before).await;
        nothing_is_left(&stage, "three databases");
        for database in ["mgc", "orders", "m]gc"] {
            let found = records(&stage, database).await;
            let [record] = &found[..] else { panic!("{database}: {found:?}") };
            assert_eq!(record.outcome, DrillOutcome::Proven);
            assert_eq!(record.is_complete, Some(true), "{record:?}");
            assert_eq!(record.log_backups, 3, "{record:?}");
            let phases: Vec<&str> = record.phases.iter().map(|phase| phase.name.as_str()).collect();
            assert_eq!(phases, ["restore_full", "restore_log", "recover", "check", "drop"]);
        }
        // Log shipping and a failover go on as if nothing had been.
        stage.write(3).await;
        stage.ship(pcdr_cli::workload::Reach::Restored).await;
        stage.strike().await;
        let failover = stage.planned().await;
        stage.succeeds(&failover).await;
        stage.prove().await;
    });
}

/// State and log position of the copy of mgc on the secondary, as observed; `None`: there is none.
async fn observed(stage: &Stage) -> Option<(DatabaseState, Option<Lsn>)> {
    let name = copy_name(&"mgc".into());
    let port = &stage.ports().instances[&stage.topology().secondary().name];
    let seen = port.observe(std::slice::from_ref(&name)).await.unwrap();
    let copy = seen.databases.known().unwrap().get(&name)?;
    let position = copy.log_position.known().and_then(|position| position.redo_start_lsn);
    Some((copy.state, position))
}

/// The same as the model has it.
fn modelled(model: &Model<'_>) -> Option<(DatabaseState, Option<Lsn>)> {
    let copy = model.drills.copies.values().next()?;
    let at = copy.position.map(|position| position.lsn);
    match copy.state? {
        CopyState::Online => Some((DatabaseState::Online, None)),
        CopyState::Restoring => Some((DatabaseState::Restoring, at)),
        CopyState::Other(state) => Some((state, at)),
    }
}

#[test]
fn the_model_says_of_every_step_in_every_state_what_the_stand_in_does() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let (topology, ports) = (stage.topology(), stage.ports());
        let plan = planned(&stage, &[]).await;
        let seen = observe_for_a_drill(topology, ports, "test", topology.drill()).await;
        let mut model = Model::of(topology, &seen);
        let port = &ports.instances[&topology.secondary().name];
        let run = async |step: &pcdr_core::Step| {
            let Action::Database(_, copy, action) = &step.action else { panic!("{step}") };
            port.run(copy, action, &Unwatched).await
        };
        let mut impossible = 0;
        for step in &plan.steps {
            let before = observed(&stage).await;
            assert_eq!(before, modelled(&model), "before {step}");
            for other in &plan.steps {
                if model.clone().apply(topology, &other.action).is_err() {
                    // It fails, or finds what it would have done; in no case anything changes.
                    let ended = run(other).await;
                    let now = observed(&stage).await;
                    assert_eq!(now, before, "{other} before {step}: {ended:?}");
                    impossible += 1;
                }
            }
            model.apply(topology, &step.action).unwrap();
            run(step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        assert_eq!(observed(&stage).await, modelled(&model));
        assert_eq!(modelled(&model), None);
        assert!(impossible >= 20, "{impossible}");
    });
}

#[test]
fn a_drill_that_is_cut_off_in_any_step_is_finished_by_the_same_plan() {
    virtually(async {
        // The full backup, the first log backup, recover, check, drop.
        let steps = {
            let stage = Stage::working(&drilled(STRETCHED)).await;
            let count = u32::try_from(planned(&stage, &[]).await.steps.len()).unwrap();
            [1, 2, count - 2, count - 1, count]
        };
        let (mut stopped, mut left) = (0, 0);
        for step in steps {
            let stage = Arc::new(Stage::working(&drilled(STRETCHED)).await);
            let plan = planned(&stage, &[]).await;
            let struck = Arc::clone(&stage);
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let watcher = AtStep::new(step, move |_| {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    struck.stand_in.lose_instance("sql-s1").await.unwrap();
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    struck.stand_in.return_instance("sql-s1").await.unwrap();
                    drop(struck);
                    let _nobody_waits = sender.send(());
                });
            });
            let ended = stage.apply(&plan, &watcher).await;
            receiver.await.unwrap();
            drop(watcher);
            if let Err(error) = &ended {
                stopped += 1;
                println!("step {step}: {error}");
                let instance = &stage.stand_in.world.lock().instances[stage.secondary()];
                left += usize::from(instance.databases.contains_key("pcdr_drill_mgc"));
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            stage.finish(&plan).await;
            let context = format!("step {step}");
            nothing_is_left(&stage, &context);
            let found = records(&stage, "mgc").await;
            assert!(
                matches!(&found[..], [one] if one.outcome == DrillOutcome::Proven),
                "{found:?}"
            );
            stage.told_no_secret();
        }
        assert!(stopped >= 3 && left >= 3, "{stopped} were stopped, {left} left a copy");
    });
}

#[test]
fn what_the_copy_holds_is_every_record_that_was_shipped_and_no_other() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let plan = planned(&stage, &[]).await;
        let last = u32::try_from(plan.steps.len()).unwrap();
        let (world, server) = (stage.stand_in.world.clone(), stage.secondary().to_owned());
        let watcher = AtStep::new(last, move |_| world.lose_instance(&server));
        stage.stops(&plan, &watcher).await;
        stage.stand_in.return_instance("sql-s1").await.unwrap();
        let shipped = i64::try_from(stage.written[&DatabaseName::from("mgc")].shipped).unwrap();
        assert_eq!(in_copy(&stage, "mgc"), (1..=shipped).collect());
    });
}

#[test]
fn a_damaged_page_that_travelled_in_the_backup_is_found_and_on_record() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let primary = stage.topology().primary().clone();
        let world = stage.stand_in.world.clone();
        world.damage_page(&primary.server_name, "mgc", true);
        // Another tool's backup, without checksums, carries it unseen.
        let path = stage.topology().backup_share().path_of("by another tool.bak");
        let backup = format!("BACKUP DATABASE [mgc] TO DISK = N'{path}' WITH NO_CHECKSUM;");
        stage.workload.send(&primary.name, backup).await.unwrap();
        let plan = planned(&stage, &[]).await;
        let (code, message) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "backup_damaged", "{message}");
        assert!(message.contains("8928"), "{message}");
        let found = records(&stage, "mgc").await;
        let [DrillRecord { outcome: DrillOutcome::Failed { number, .. }, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(*number, Some(8928));
        // The page is repaired and backed up: the next drill drops what this one left.
        world.damage_page(&primary.server_name, "mgc", false);
        let path = stage.topology().backup_share().path_of("after the repair.bak");
        let backup = format!("BACKUP DATABASE [mgc] TO DISK = N'{path}' WITH CHECKSUM;");
        stage.workload.send(&primary.name, backup).await.unwrap();
        let again = planned(&stage, &[]).await;
        assert!(again.steps[0].to_string().contains("drop pcdr_drill_mgc"), "{:?}", again.steps);
        stage.succeeds(&again).await;
        nothing_is_left(&stage, "after the repair");
        let found = records(&stage, "mgc").await;
        assert!(matches!(&found[..], [one] if one.outcome == DrillOutcome::Proven), "{found:?}");
    });
}

#[test]
fn a_torn_backup_stops_the_drill_at_its_restore() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let plan = planned(&stage, &[]).await;
        let full =
            std::fs::read_dir(stage.mount("log-backups")).unwrap().map(|file| file.unwrap().path());
        let full =
            full.into_iter().find(|path| path.extension().is_some_and(|e| e == "bak")).unwrap();
        let mut bytes = std::fs::read(&full).unwrap();
        let at = bytes.len() * 3 / 4;
        bytes[at] ^= 0xFF;
        std::fs::write(&full, bytes).unwrap();
        let (code, message) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "backup_damaged", "{message}");
        let found = records(&stage, "mgc").await;
        assert!(matches!(&found[..], [one] if one.outcome != DrillOutcome::Proven), "{found:?}");
    });
}

#[test]
fn somebodys_database_of_that_name_is_never_dropped() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let secondary = stage.topology().secondary().name.clone();
        let create = "CREATE DATABASE [pcdr_drill_mgc];".to_owned();
        stage.workload.send(&secondary, create.clone()).await.unwrap();
        assert_eq!(refused(&stage).await.code(), "drill_name_taken");
        let drop = "DROP DATABASE [pcdr_drill_mgc];".to_owned();
        stage.workload.send(&secondary, drop).await.unwrap();
        // It comes after planning: no step touches it.
        let plan = planned(&stage, &[]).await;
        let (world, server) = (stage.stand_in.world.clone(), stage.secondary().to_owned());
        let first = number_of(&plan, |action| *action == DrillAction::Check);
        let watcher = AtStep::new(first, move |_| {
            let mut state = world.lock();
            let instance = state.instances.get_mut(&server).unwrap();
            let copy = instance.databases.get_mut("pcdr_drill_mgc").unwrap();
            copy.files[0].physical = "D:\\Data\\somebodys.mdf".to_owned();
        });
        let (code, message) = stage.stops(&plan, &watcher).await;
        assert_eq!(code, "wrong_state", "{message}");
        assert!(message.contains("somebodys.mdf"), "{message}");
        assert_eq!(refused(&stage).await.code(), "drill_name_taken");
        let is_there = stage.stand_in.world.lock().instances[stage.secondary()]
            .databases
            .contains_key("pcdr_drill_mgc");
        assert!(is_there);
    });
}

#[test]
fn a_drive_that_is_full_and_a_folder_that_is_not_there_are_refused() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        stage.stand_in.world.fill_drive(stage.secondary(), "D", true);
        let refusal = refused(&stage).await;
        assert_eq!(refusal.code(), "space_missing", "{refusal}");
        stage.stand_in.world.fill_drive(stage.secondary(), "D", false);
        std::fs::remove_dir(stage.stand_in.world.path(stage.secondary(), FOLDER).unwrap()).unwrap();
        assert_eq!(refused(&stage).await.code(), "drill_directory_missing");
    });
    virtually(async {
        // No database has a file on E, so only xp_fixeddrives tells.
        let stage = Stage::working(&drilled(STRETCHED).replace("D:\\drill", "E:\\drill")).await;
        let made = plan::make(Intent::Drill, stage.topology(), stage.ports(), &[]).await;
        match made {
            Ok((plan, _)) => assert!(!plan.steps.is_empty()),
            Err(failure) => {
                assert!(failure.text(false).contains("space"), "{}", failure.text(false));
            }
        }
    });
}

#[test]
fn log_that_is_missing_after_the_full_backup_is_named() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let second = &stage.backups("log-backups")[1];
        std::fs::remove_file(second).unwrap();
        let copied = stage.mount("log-copies").join(second.file_name().unwrap());
        std::fs::remove_file(copied).unwrap();
        let refusal = refused(&stage).await;
        assert_eq!(refusal.code(), "drill_chain_broken", "{refusal}");
        assert!(refusal.to_string().contains("the next log backup"), "{refusal}");
    });
}

#[test]
fn a_drill_needs_no_primary_site() {
    virtually(async {
        let stage = Stage::working(&drilled(STRETCHED)).await;
        let full = planned(&stage, &[]).await;
        stage.strike().await;
        let plan = planned(&stage, &[]).await;
        assert_eq!(plan.steps.len(), full.steps.len());
        assert_eq!(plan.drill.as_ref().unwrap().trials[0].is_complete, None);
        match stage.apply(&plan, &Unseen).await {
            Ok(_) => nothing_is_left(&stage, "without the primary site"),
            Err(error @ RunError::Step { .. }) => panic!("{:?}", step_code(&error)),
            Err(error) => panic!("{error}"),
        }
    });
}
