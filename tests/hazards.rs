//! What makes other recovery tools fail, by name: each hazard is met once, and nothing that was backed up is
//! lost, nothing is recovered too early, and the run says what stood in its way.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pcdr_cli::{plan, workload};
use pcdr_core::observation::DatabaseState;
use pcdr_core::plan::PlanContent;
use pcdr_core::ports::Owner;
use pcdr_core::run::{self, RunError};
use pcdr_core::{Consent, Intent, Known, Plan};
use pcdr_sql::Limits;
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, name, step_code, virtually};

fn step_of(plan: &PlanContent, wording: &str) -> u32 {
    let found = plan.steps.iter().find(|step| step.to_string().contains(wording));
    found.unwrap_or_else(|| panic!("no step says {wording:?}: {:#?}", plan.steps)).id.0
}

async fn sql(stage: &Stage, at: &str, batch: &str) {
    let sent = stage.another_program().send(&name(at), batch.to_owned()).await;
    sent.unwrap_or_else(|error| panic!("{error}"));
}

async fn planned_failover(stage: &Stage) -> Plan {
    let made = plan::make(Intent::PlannedFailover, stage.topology(), stage.ports(), &[]).await;
    made.unwrap_or_else(|failure| panic!("{}", failure.text(false))).0
}

async fn state(stage: &Stage, at: &str) -> DatabaseState {
    match stage.observe().await.database(&name(at), &"mgc".into()) {
        Known::Known(Some(copy)) => copy.state,
        other => panic!("mgc on {at}: {other:?}"),
    }
}

#[test]
fn a_restore_job_that_fails_and_one_that_never_ran_leave_no_log_backup_out() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        stage.stand_in.world.fail_next_job("sql-s1", "LSRestore_sql-n1_mgc");
        sql(&stage, "sql-s1", "EXEC msdb.dbo.sp_start_job @job_name = N'LSRestore_sql-n1_mgc';")
            .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        sql(
            &stage,
            "sql-s1",
            "EXEC msdb.dbo.sp_update_job @job_name = N'LSRestore_sql-n1_mgc', @enabled = 0;",
        )
        .await;
        stage.write(5).await;
        stage.ship(workload::Reach::Copied).await;
        stage.strike().await;
        let plan = stage.planned().await;
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_job_that_does_not_end_is_named_and_nothing_is_recovered_beside_it() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        sql(
            &stage,
            "sql-s1",
            "EXEC msdb.dbo.sp_update_jobstep @job_name = N'LSCopy_sql-n1_mgc', @step_id = 1, \
             @subsystem = N'TSQL', @command = N'WAITFOR DELAY ''23:59:59''';",
        )
        .await;
        sql(&stage, "sql-s1", "EXEC msdb.dbo.sp_start_job @job_name = N'LSCopy_sql-n1_mgc';").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.strike().await;
        let plan = stage.planned().await;
        let limits = Limits { job: Duration::from_secs(10), ..Limits::default() };
        let impatient = stage.ports_within(limits);
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let ended = run::apply(&plan, stage.topology(), &impatient, &who, &Unseen).await;
        let error = ended.unwrap_err();
        assert_eq!(step_code(&error).0, "timed_out", "{error}");
        assert!(error.to_string().contains("did not end within 10 s"), "{error}");
        assert_eq!(state(&stage, "sql-s1").await, DatabaseState::Restoring);
        // Somebody stops it, which leaves the outcome “cancelled”; the same plan goes on.
        sql(&stage, "sql-s1", "EXEC msdb.dbo.sp_stop_job @job_name = N'LSCopy_sql-n1_mgc';").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_database_that_does_not_come_online_stops_the_run_before_clients_are_sent_to_it() {
    virtually(async {
        let stage = Arc::new(Stage::struck(STRETCHED).await);
        let plan = stage.planned().await;
        let world = stage.stand_in.world.clone();
        let damaged = AtStep::new(step_of(&plan, "recover"), move |_| {
            world.damage_database("sql-s1", "mgc", false);
        });
        let error = stage.apply(&plan, &damaged).await.unwrap_err();
        let RunError::Step { error, action, .. } = &error else { panic!("{error}") };
        assert!(action.contains("recover"), "{action}: {error}");
        assert!(!error.remedy.is_empty());
        let shell = stage.stand_in.shell.as_ref().unwrap();
        let pool = stage.topology().pool().unwrap();
        assert_eq!(format!("{:?}", shell.pool_state(pool.fqdn.as_str())), "Normal");
        // Nor is it taken for one that could be failed over to.
        let refused = stage.refused(&[Consent::PrimarySiteLost]).await;
        assert_eq!(refused.code(), "wrong_database_state", "{refused}");
    });
}

#[test]
fn users_who_connect_again_at_once_do_not_keep_the_tail_from_being_taken() {
    virtually(async {
        let stage = Arc::new(Stage::working(STRETCHED).await);
        let plan = planned_failover(&stage).await;
        let (stops, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (watched, told) = (Arc::clone(&stops), Arc::clone(&ended));
        let crowd = Arc::clone(&stage);
        let user = tokio::spawn(async move {
            let mut connected = 0_u32;
            while !watched.load(Ordering::Relaxed) {
                let program = crowd.another_program();
                let read = program.read(&name("sql-n1"), &"mgc".into()).await;
                connected += u32::from(read.is_ok());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            told.store(true, Ordering::Relaxed);
            connected
        });
        let ended = stage.apply(&plan, &Unseen).await;
        stops.store(true, Ordering::Relaxed);
        let connected = user.await.unwrap();
        assert!(connected > 3, "only {connected} sessions came");
        if let Err(error) = ended {
            // A session that came between KILL and BACKUP LOG stops that step; the same plan goes on.
            let RunError::Step { error, .. } = &error else { panic!("{error}") };
            assert_eq!(error.code.as_str(), "in_use", "{error}");
            stage.succeeds(&plan).await;
        }
        let seen = stage.observe().await;
        let writable = workload::writable(stage.topology(), &seen, &"mgc".into());
        assert_eq!(writable, [name("sql-s1")]);
        assert_eq!(state(&stage, "sql-n1").await, DatabaseState::Restoring);
    });
}

#[test]
fn a_file_that_holds_another_log_than_its_header_said_recovers_nothing() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let mut backups = stage.backups("log-backups");
        backups.sort();
        let [.., older, newest] = backups.as_slice() else { panic!("{backups:?}") };
        let (from, to) = (older.clone(), newest.clone());
        // After the header was read, and before the file is copied.
        let swapped = AtStep::new(step_of(&plan, "copy"), move |_| {
            std::fs::copy(from, to).unwrap();
        });
        let error = stage.apply(&plan, &swapped).await.unwrap_err();
        let (code, action) = step_code(&error);
        assert_eq!(code, "file_inaccessible", "{error}");
        assert!(action.contains("copy log backup"), "{action}: {error}");
        assert!(error.to_string().contains("bytes instead of"), "{error}");
        assert_eq!(state(&stage, "sql-s1").await, DatabaseState::Restoring, "{error}");
    });
}

#[test]
fn of_two_operators_at_once_one_carries_the_plan_out_and_the_other_is_told_who() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let (one, other) =
            futures_util::join!(stage.apply(&plan, &Unseen), stage.apply(&plan, &Unseen));
        let (mut done, mut locked) = (0, 0);
        for ended in [one, other] {
            match ended {
                Ok(_) => done += 1,
                Err(error) => {
                    assert!(error.to_string().contains("test"), "{error}");
                    assert_eq!(step_code(&error).0, "locked", "{error}");
                    locked += 1;
                }
            }
        }
        assert_eq!((done, locked), (1, 1));
        stage.prove().await;
    });
}
