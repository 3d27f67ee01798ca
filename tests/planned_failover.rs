//! Planned failover over the wire: nothing is lost, whatever goes wrong in between, and the old primary
//! never takes a write again.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, reason = "a randomised test prints its seed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::plan;
use pcdr_cli::workload;
use pcdr_core::observation::DatabaseState;
use pcdr_core::run::RunError;
use pcdr_core::{Intent, Known, Plan, Refusal};
use pcdr_tests::{
    AtStep, Counted, Random, STRETCHED, Stage, Unseen, name, virtually, with_databases,
};

async fn planned(stage: &Stage) -> Plan {
    let made = plan::make(Intent::PlannedFailover, stage.topology(), stage.ports(), &[]).await;
    match made {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

async fn refused(stage: &Stage) -> Refusal {
    let before = stage.snapshot().await;
    let made = plan::make(Intent::PlannedFailover, stage.topology(), stage.ports(), &[]).await;
    match made {
        Err(pcdr_cli::failure::Failure::Refused(refusal)) => {
            stage.unchanged_since(&before).await;
            *refusal
        }
        Err(failure) => panic!("{}", failure.text(false)),
        Ok((plan, _)) => panic!("not refused: {:?}", plan.steps),
    }
}

/// Every record that was accepted is in the new primary, which alone takes writes; the old one and its
/// mirror wait for log; nothing is left to do.
async fn prove(stage: &mut Stage, context: &str) {
    for written in stage.written.values_mut() {
        written.shipped = written.all; // none may be missing
    }
    let seen = stage.observe().await;
    for database in stage.topology().databases() {
        for instance in ["sql-n1", "sql-n2"] {
            if let Known::Known(Some(copy)) = seen.database(&name(instance), database) {
                assert_eq!(
                    copy.state,
                    DatabaseState::Restoring,
                    "{context}: {database} {instance}"
                );
            }
        }
        let writable = workload::writable(stage.topology(), &seen, database);
        assert_eq!(writable, [name("sql-s1")], "{context}: {database}");
    }
    let rest = planned(stage).await;
    assert!(rest.steps.is_empty(), "{context}: left over: {:?}", rest.steps);
    let reads = |database| stage.workload.read(&stage.topology().secondary().name, database);
    for (database, written) in &stage.written {
        let found = reads(database).await.unwrap();
        let all: BTreeSet<u64> = (1..=written.all).collect();
        assert_eq!(found, all, "{context}: {database}");
    }
    stage.told_no_secret();
}

#[test]
fn databases_hand_over_side_by_side_without_losing_a_record() {
    virtually(async {
        let mut stage = Stage::working(&with_databases(&["orders", "m]gc"])).await;
        let plan = planned(&stage).await;
        assert!(plan.predicted_losses.is_empty() && plan.consents.is_empty());
        stage.succeeds(&plan).await;
        prove(&mut stage, "three databases").await;
    });
}

/// What strikes while a step is under way.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Every session on the instance ends.
    Sessions(&'static str),
    /// The instance stops, and is back after two seconds.
    Instance(&'static str),
}

async fn strike(stage: &Stage, fault: Fault, after: Duration) {
    tokio::time::sleep(after).await;
    let world = &stage.stand_in.world;
    match fault {
        Fault::Sessions(server) => {
            let sessions: Vec<u16> =
                world.lock().instances[server].sessions.keys().copied().collect();
            for session in sessions {
                world.kill_connection(server, session);
            }
        }
        Fault::Instance(server) => {
            stage.stand_in.lose_instance(server).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            stage.stand_in.return_instance(server).await.unwrap();
        }
    }
}

async fn struck_inside(step: u32, fault: Fault, after: Duration) -> Ended {
    let context = format!("{fault:?} {after:?} after the start of step {step}");
    let stage = Arc::new(Stage::working(STRETCHED).await);
    let plan = planned(&stage).await;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let struck = Arc::clone(&stage);
    let watcher = AtStep::new(step, move |_| {
        tokio::spawn(async move {
            strike(&struck, fault, after).await;
            drop(struck);
            let _nobody_waits = sender.send(());
        });
    });
    let ended = stage.apply(&plan, &watcher).await;
    receiver.await.unwrap();
    let stopped = match ended {
        Ok(_) => false,
        Err(RunError::Step { error, action, .. }) => {
            println!("{context}: {action}: {}: {error}", error.code.as_str());
            assert!(!error.remedy.is_empty());
            true
        }
        Err(error) => panic!("{context}: {error}"),
    };
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ended = finish(&stage, &plan, stopped).await;
    drop(watcher);
    let mut stage = Arc::into_inner(stage).expect("nobody else holds the stage");
    prove(&mut stage, &context).await;
    ended
}

/// The same plan again; or a new one where a failover inside the primary site gave the database to the
/// other partner meanwhile, which nobody has reviewed.
async fn finish(stage: &Stage, plan: &Plan, stopped: bool) -> Ended {
    match stage.apply(plan, &Unseen).await {
        Ok(_) if stopped => Ended::ByTheSamePlan,
        Ok(_) => Ended::AtOnce,
        Err(RunError::Refused(refusal)) => {
            assert_eq!(refusal.code(), "facts_changed", "{refusal}");
            assert!(refusal.to_string().contains("mgc is served by was sql-n1 and is sql-n2"));
            stage.finish(&planned(stage).await).await;
            Ended::ByANewPlan
        }
        Err(error) => panic!("{error}"),
    }
}

/// How a run got to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    AtOnce,
    ByTheSamePlan,
    ByANewPlan,
}

fn steps() -> u32 {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        planned(&stage).await.steps.iter().map(|step| step.id.0).max().unwrap()
    })
}

#[test]
fn no_fault_on_either_side_during_any_step_loses_a_record() {
    let seed = 51;
    println!("PCDR_SEED={seed}");
    let last = steps();
    assert!(last >= 22, "{last} steps");
    let mut endings = BTreeSet::new();
    for step in 1..=last {
        // Every step has two of the four, in turn.
        let (one, other) = if step % 2 == 0 { ("sql-n1", "sql-s1") } else { ("sql-s1", "sql-n1") };
        for fault in [Fault::Sessions(one), Fault::Instance(other)] {
            let micros = Random(seed * 1000 + u64::from(step)).below(20_000);
            let ended = virtually(struck_inside(step, fault, Duration::from_micros(micros)));
            endings.insert((format!("{fault:?}"), ended));
        }
    }
    let stopped: BTreeSet<&str> = endings
        .iter()
        .filter(|(_, ended)| *ended != Ended::AtOnce)
        .map(|(fault, _)| fault.as_str())
        .collect();
    assert_eq!(stopped.len(), 4, "runs that stopped: {stopped:?}");
    assert!(endings.iter().any(|(_, ended)| *ended == Ended::ByTheSamePlan));
    assert!(endings.iter().any(|(_, ended)| *ended == Ended::ByANewPlan));
}

#[test]
fn a_run_dropped_anywhere_is_finished_by_the_next_without_losing_a_record() {
    let polls = virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let plan = planned(&stage).await;
        let (ended, polls) = Counted::new(stage.apply(&plan, &Unseen), u64::MAX).await;
        assert!(ended.unwrap().is_ok());
        polls
    });
    assert!(polls > 80, "{polls} polls");
    for seed in 61..71 {
        let limit = 1 + Random(seed).below(polls);
        let context = format!("PCDR_SEED={seed}: dropped after {limit} of {polls} polls");
        println!("{context}");
        virtually(async {
            let mut stage = Stage::working(STRETCHED).await;
            let plan = planned(&stage).await;
            let (ended, _) = Counted::new(stage.apply(&plan, &Unseen), limit).await;
            if let Some(Err(error)) = ended {
                panic!("{context}: {error}");
            }
            stage.finish(&plan).await;
            prove(&mut stage, &context).await;
        });
    }
}

/// Somebody else takes a log backup when a step starts; gives the code and text of what stops the run.
/// The same plan finishes it.
async fn another_log_backup_at(words: &str) -> (&'static str, String) {
    let mut stage = Stage::working(STRETCHED).await;
    let plan = planned(&stage).await;
    let step = plan.steps.iter().find(|step| step.to_string().contains(words)).unwrap().id.0;
    let other = stage.another_program();
    let share = stage.topology().backup_share().path_of("mgc_20300101000000.trn");
    let primary = stage.topology().primary().name.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let watcher = AtStep::new(step, move |_| {
        tokio::spawn(async move {
            let path = pcdr_sql::quote::path(&share).unwrap();
            let backup = format!("BACKUP LOG [mgc] TO DISK = {path};");
            let _nobody_waits = sender.send(other.send(&primary, backup).await.map(|_| ()));
        });
    });
    let stopped = stage.stops(&plan, &watcher).await;
    receiver.await.unwrap().unwrap();
    stage.finish(&plan).await;
    prove(&mut stage, words).await;
    stopped
}

#[test]
fn a_log_backup_that_somebody_else_takes_stops_the_run_before_the_tail() {
    let (code, text) = virtually(another_log_backup_at("remove log shipping from the secondary"));
    assert_eq!(code, "wrong_state", "{text}");
    assert!(text.contains("back up the tail") && text.contains("begins at"), "{text}");
}

#[test]
fn a_log_backup_that_overlaps_the_tail_stops_the_run_before_the_recovery() {
    // It ends after the tail was found to follow and before the tail begins: there is a gap, which the
    // restore finds. The tail is taken, nothing is lost, and the same plan restores both.
    let (code, text) = virtually(another_log_backup_at("take every server off"));
    assert!(["log_gap", "wrong_state"].contains(&code), "{text}");
}

#[test]
fn an_instance_of_the_primary_site_that_does_not_answer_is_refused_and_nothing_changes() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.lose_instance("sql-n2").await.unwrap();
        assert_eq!(refused(&stage).await.code(), "instance_not_observed");
    });
}

#[test]
fn a_primary_that_goes_on_beside_a_recovered_secondary_is_refused_and_nothing_changes() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let secondary = stage.topology().secondary().name.clone();
        let recover = "RESTORE DATABASE [mgc] WITH RECOVERY;".to_owned();
        stage.workload.send(&secondary, recover).await.unwrap();
        assert_eq!(refused(&stage).await.code(), "two_writable_copies");
    });
}
