//! There and back over the wire: disaster, failover, the old primary comes back and serves beside the
//! new one, it is fenced, failback, and everything is protected as at the start.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, reason = "a randomised test prints its seed")]

use std::collections::BTreeSet;
use std::time::Duration;

use pcdr_cli::plan;
use pcdr_cli::workload;
use pcdr_core::observation::{DatabaseState, PoolState};
use pcdr_core::{Consent, DatabaseName, InstanceName, Intent, Known, Plan};
use pcdr_tests::{Counted, Random, STRETCHED, Stage, Unseen, name, virtually};

async fn planned(stage: &Stage, intent: Intent, consents: &[Consent]) -> Plan {
    match plan::make(intent, stage.topology(), stage.ports(), consents).await {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

async fn carry_out(stage: &Stage, intent: Intent) {
    let plan = planned(stage, intent, &[]).await;
    assert!(!plan.steps.is_empty(), "{intent:?}");
    stage.succeeds(&plan).await;
    let rest = planned(stage, intent, &[]).await;
    assert!(rest.steps.is_empty(), "{intent:?}: left over: {:?}", rest.steps);
}

fn mgc() -> DatabaseName {
    "mgc".into()
}

async fn write(stage: &Stage, at: &str, numbers: std::ops::Range<u64>) {
    // With a connection of its own: those of before the disaster are dead.
    let now = stage.ports().clock.now().unix_millis();
    stage.another_program().write(&name(at), &mgc(), numbers, now).await.unwrap();
}

async fn writable(stage: &Stage) -> Vec<InstanceName> {
    workload::writable(stage.topology(), &stage.observe().await, &mgc())
}

/// Configured, loaded, struck and failed over; then the primary's site is there again, and what of its
/// records was saved.
async fn returned() -> (Stage, BTreeSet<u64>) {
    let stage = Stage::struck(STRETCHED).await;
    let failover = stage.planned().await;
    stage.succeeds(&failover).await;
    let saved = stage.another_program().read(&name("sql-s1"), &mgc()).await.unwrap();
    let site = stage.topology().primary().site.to_string();
    stage.stand_in.return_site(&site).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    (stage, saved)
}

#[test]
fn a_full_cycle_ends_as_it_began_and_keeps_every_record_that_the_failover_saved() {
    virtually(async {
        let (stage, mut expected) = returned().await;
        assert_eq!(writable(&stage).await, [name("sql-n1"), name("sql-s1")], "both serve");

        // Somebody writes to the old primary, before anybody looks.
        write(&stage, "sql-n1", 900..903).await;
        write(&stage, "sql-s1", 1000..1003).await;
        expected.extend(1000..1003);

        carry_out(&stage, Intent::Fence).await;
        assert_eq!(writable(&stage).await, [name("sql-s1")]);
        let kept = std::fs::read_dir(stage.mount("log-backups")).unwrap();
        let kept: Vec<String> =
            kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(kept.iter().any(|file| file.ends_with("_fenced.bak")), "{kept:?}");

        write(&stage, "sql-s1", 1003..1006).await;
        expected.extend(1003..1006);
        carry_out(&stage, Intent::Failback).await;
        assert_eq!(writable(&stage).await, [name("sql-n1")]);
        let found = stage.another_program().read(&name("sql-n1"), &mgc()).await.unwrap();
        assert_eq!(found, expected, "what was saved and what was written since, and nothing else");
        let seen = stage.observe().await;
        let pool = seen.pool.as_ref().unwrap().known().unwrap();
        assert_eq!(pool.state.known(), Some(&PoolState::Normal));
        let shell = stage.stand_in.shell.as_ref().unwrap();
        let active: BTreeSet<String> = shell.active_servers().into_iter().collect();
        let wanted = stage.topology().pool().unwrap().servers.iter().filter(|it| it.is_active);
        assert_eq!(active, wanted.map(|it| it.fqdn.as_str().to_lowercase()).collect());

        carry_out(&stage, Intent::Configure).await;
        let rest = planned(&stage, Intent::PlannedFailover, &[]).await;
        assert!(!rest.steps.is_empty(), "protected again: it could fail over at once");
        stage.told_no_secret();
    });
}

#[test]
fn a_planned_failover_comes_back_by_log_and_tail_or_by_a_full_backup_without_losing_a_record() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        carry_out(&stage, Intent::PlannedFailover).await;
        let mut expected = stage.another_program().read(&name("sql-s1"), &mgc()).await.unwrap();
        write(&stage, "sql-s1", 1000..1003).await;
        expected.extend(1000..1003);
        carry_out(&stage, Intent::Failback).await;
        assert_eq!(stage.another_program().read(&name("sql-n1"), &mgc()).await.unwrap(), expected);
        carry_out(&stage, Intent::Configure).await;
        carry_out(&stage, Intent::PlannedFailover).await;
        assert_eq!(stage.another_program().read(&name("sql-s1"), &mgc()).await.unwrap(), expected);
    });
}

#[test]
fn a_failback_dropped_anywhere_is_finished_by_the_next_without_losing_a_record() {
    let polls = virtually(async {
        let (stage, _) = returned().await;
        carry_out(&stage, Intent::Fence).await;
        let plan = planned(&stage, Intent::Failback, &[]).await;
        let (ended, polls) = Counted::new(stage.apply(&plan, &Unseen), u64::MAX).await;
        assert!(ended.unwrap().is_ok());
        polls
    });
    assert!(polls > 80, "{polls} polls");
    for seed in 71..79 {
        let limit = 1 + Random(seed).below(polls);
        let context = format!("PCDR_SEED={seed}: dropped after {limit} of {polls} polls");
        println!("{context}");
        virtually(async {
            let (stage, mut expected) = returned().await;
            carry_out(&stage, Intent::Fence).await;
            write(&stage, "sql-s1", 1000..1003).await;
            expected.extend(1000..1003);
            let plan = planned(&stage, Intent::Failback, &[]).await;
            let (ended, _) = Counted::new(stage.apply(&plan, &Unseen), limit).await;
            if let Some(Err(error)) = ended {
                panic!("{context}: {error}");
            }
            stage.finish(&plan).await;
            assert_eq!(writable(&stage).await, [name("sql-n1")], "{context}");
            let found = stage.another_program().read(&name("sql-n1"), &mgc()).await.unwrap();
            assert_eq!(found, expected, "{context}");
            let seen = stage.observe().await;
            let Known::Known(Some(copy)) = seen.database(&name("sql-s1"), &mgc()) else { panic!() };
            assert_eq!(copy.state, DatabaseState::Restoring, "{context}");
        });
    }
}
