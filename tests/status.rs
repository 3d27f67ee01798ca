//! What `pcdr status` says, against what the engines behind the stand-ins count.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

use std::time::Duration;

use pcdr_cli::workload::{self, Reach};
use pcdr_core::Known;
use pcdr_core::observe::{observe_instances, observe_within};
use pcdr_core::status::{
    Alert, AlertState, Proof, Protection, ProtectionKind, RunOutcome, Status, Trend, Verdict, judge,
};
use pcdr_sim::engine::log::LogRecord;
use pcdr_tests::{STRETCHED, Stage, name, virtually};

const LIMIT: Duration = Duration::from_secs(30);

async fn status(stage: &Stage) -> Status {
    judge(stage.topology(), &stage.observe().await, stage.ports().clock.now())
}

fn find(status: &Status, kind: ProtectionKind) -> &Protection {
    status.protections.iter().find(|one| one.kind == kind).unwrap()
}

fn shipping(status: &Status) -> &Protection {
    find(status, ProtectionKind::LogShipping)
}

fn codes(protection: &Protection) -> Vec<&'static str> {
    protection.reasons.iter().map(|one| one.code).collect()
}

/// What is in no log backup, record by record.
fn counted(stage: &Stage, server: &str, database: &str) -> u64 {
    let state = stage.stand_in.world.lock();
    let database = &state.instances[server].databases[database];
    let from = database.last_log_backup_lsn.unwrap();
    database.log.records.iter().filter(|one| one.lsn >= from).map(LogRecord::bytes).sum()
}

#[test]
fn the_bytes_at_risk_are_those_that_the_engine_counts_record_by_record() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        let mut last = 0;
        for _ in 0..3 {
            stage.write(20).await;
            // Chat servers write, too: their pings may come between the count and the look.
            let before = counted(&stage, "sql-n1", "mgc");
            let status = status(&stage).await;
            let after = counted(&stage, "sql-n1", "mgc");
            let risk = shipping(&status).at_risk.as_ref().unwrap();
            let bytes = *risk.bytes.known().unwrap();
            assert!((before..=after).contains(&bytes), "{before} {bytes} {after}");
            assert!(bytes > last && !risk.is_at_least, "{bytes}");
            last = bytes;
            // The log at risk begins where the planner says that records would be lost.
            assert_eq!(risk.from_lsn.known(), Some(&status.at_risk[0].from_lsn));
            assert!(risk.to_lsn.known().unwrap() > risk.from_lsn.known().unwrap());
            assert_eq!(
                find(&status, ProtectionKind::Mirroring).at_risk.as_ref().unwrap().bytes,
                Known::Known(0)
            );
        }
        stage.ship(Reach::BackedUp).await;
        let status = status(&stage).await;
        let bytes = *shipping(&status).at_risk.as_ref().unwrap().bytes.known().unwrap();
        assert!(bytes < last / 2, "a log backup takes it out of risk: {bytes} of {last}");
    });
}

#[test]
fn the_last_files_are_those_that_lie_in_the_shares() {
    virtually(async {
        // The newest log backup is in the share, the one before was copied, the one before that restored.
        let stage = Stage::working(STRETCHED).await;
        let status = status(&stage).await;
        assert_eq!(
            (status.verdict, status.proof),
            (Verdict::Ready, Proof::Plan),
            "{:?}",
            status.findings
        );
        let names: Vec<String> = stage
            .backups("log-backups")
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let files = shipping(&status).files.as_ref().unwrap();
        for (file, expected) in
            [&files.restored, &files.copied, &files.backup].into_iter().zip(&names)
        {
            let file = file.known().unwrap();
            assert!(file.path.ends_with(expected.as_str()), "{} is not {expected}", file.path);
            assert!(file.at.is_some(), "{}", file.path);
        }
        let jobs: Vec<_> = shipping(&status)
            .jobs
            .iter()
            .map(|one| (one.what, one.job.known().unwrap().outcome))
            .collect();
        let succeeded = RunOutcome::Succeeded;
        assert_eq!(jobs, [("backup", succeeded), ("copy", succeeded), ("restore", succeeded)]);
        let lag = shipping(&status).lag.as_ref().unwrap().known().unwrap();
        assert_eq!(lag.trend.reason().unwrap().code, "too_few_restores");
    });
}

#[test]
fn a_failed_job_is_shown_with_what_its_step_said_until_it_succeeds_again() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let topology = stage.topology().clone();
        let (primary, database) = (&topology.primary().name, &topology.databases()[0]);
        let ship = |reach| workload::ship(&topology, stage.ports(), primary, database, reach);
        stage.stand_in.world.fail_next_job("sql-n1", "LSBackup_mgc");
        ship(Reach::BackedUp).await.unwrap_err();
        let failed = status(&stage).await;
        assert_eq!(
            (failed.verdict, codes(shipping(&failed))),
            (Verdict::Attention, vec!["job_failed"])
        );
        let run = shipping(&failed).jobs[0].job.known().unwrap();
        assert_eq!(run.outcome, RunOutcome::Failed);
        let failure = run.last_failure.as_ref().unwrap();
        assert!(!failure.message.is_empty() && failure.at.is_some(), "{failure:?}");
        let told = failure.message.split_whitespace().next().unwrap();
        assert!(
            shipping(&failed).reasons[0].message.contains(told),
            "{:?}",
            shipping(&failed).reasons
        );
        tokio::time::sleep(Duration::from_secs(5)).await;
        ship(Reach::BackedUp).await.unwrap();
        let mended = status(&stage).await;
        let run = shipping(&mended).jobs[0].job.known().unwrap();
        assert_eq!((mended.verdict, run.outcome), (Verdict::Ready, RunOutcome::Succeeded));
        assert_eq!(run.last_failure.as_ref(), Some(failure), "the last failure stays on record");
    });
}

/// Whether the instance's own alert job has ended with the alert's number.
async fn is_raised_by_job(stage: &Stage, alert: &Alert) -> bool {
    let history = format!(
        "SELECT h.step_name FROM msdb.dbo.sysjobhistory AS h WHERE h.sql_message_id = {};",
        alert.number
    );
    let sets = stage.workload.send(&alert.watched_by, history).await.unwrap();
    sets.iter().any(|set| !set.rows.is_empty())
}

#[test]
fn an_alert_is_shown_as_raised_when_the_engines_own_alert_job_raises_it() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let mut seen = [false; 2];
        for minutes in [30, 10, 10, 20, 20] {
            tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
            // The alert job runs every other minute: shortly after, both must agree.
            tokio::time::sleep(Duration::from_secs(125)).await;
            let status = status(&stage).await;
            let alerts = &shipping(&status).alerts;
            for (alert, seen) in alerts.iter().zip(&mut seen) {
                let is_raised = alert.state == AlertState::Raised;
                assert_eq!(is_raised, is_raised_by_job(&stage, alert).await, "{alert:?}");
                *seen |= is_raised;
                if !is_raised {
                    assert_eq!(alert.state, AlertState::Quiet);
                }
            }
        }
        assert_eq!(seen, [true, true], "14420 after 60 minutes, 14421 after 45");
        let status = status(&stage).await;
        let found = codes(shipping(&status));
        assert!(found.contains(&"backup_late") && found.contains(&"restore_late"), "{found:?}");
    });
}

#[test]
fn a_lag_is_steady_while_log_is_restored_and_grows_when_restores_stop() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        for _ in 0..6 {
            stage.write(2).await;
            stage.ship(Reach::Restored).await;
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        let trend = |status: &Status| {
            let lag = shipping(status).lag.as_ref().unwrap().known().unwrap();
            lag.trend.known().copied().unwrap()
        };
        assert_eq!(trend(&status(&stage).await), Trend::Steady);
        for _ in 0..5 {
            stage.write(2).await;
            stage.ship(Reach::Copied).await;
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
        let grown = status(&stage).await;
        assert_eq!((trend(&grown), codes(shipping(&grown))), (Trend::Growing, vec!["lag_growing"]));
    });
}

#[test]
fn two_copies_that_take_writes_are_an_alarm() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let recover = "RESTORE DATABASE [mgc] WITH RECOVERY;".to_owned();
        stage.workload.send(&name("sql-s1"), recover).await.unwrap();
        let status = status(&stage).await;
        assert_eq!(status.verdict, Verdict::Alarm);
        assert!(status.protections.iter().all(|one| one.verdict == Verdict::Alarm));
        assert_eq!(codes(shipping(&status))[0], "two_writable_copies");
        let message = &status.findings[0].message;
        assert!(message.contains("sql-n1") && message.contains("sql-s1"), "{message}");
    });
}

#[test]
fn without_reading_a_log_backup_the_history_tells_the_same_verdict() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        stage.write(5).await;
        let by_plan = status(&stage).await;
        let clock = &stage.ports().clock;
        let seen = observe_instances(stage.topology(), stage.ports(), "test", LIMIT).await;
        assert!(seen.log_backups.is_empty());
        let by_history = judge(stage.topology(), &seen, clock.now());
        assert_eq!((by_history.proof, by_history.verdict), (Proof::History, Verdict::Ready));
        let from = |status: &Status| shipping(status).at_risk.as_ref().unwrap().from_lsn.clone();
        assert_eq!(from(&by_plan), from(&by_history));
        // A log backup that another program took and keeps is on record, and so is not missing.
        let elsewhere = "BACKUP LOG [mgc] TO DISK = N'D:\\\\elsewhere.trn';".to_owned();
        stage.workload.send(&name("sql-n1"), elsewhere).await.unwrap();
        let forget =
            "EXEC msdb.dbo.sp_delete_database_backuphistory @database_name = N'mgc';".to_owned();
        stage.workload.send(&name("sql-n1"), forget).await.unwrap();
        let seen = observe_instances(stage.topology(), stage.ports(), "test", LIMIT).await;
        let forgotten = judge(stage.topology(), &seen, clock.now());
        // What is not on record may be there: that is unknown, and neither fine nor a gap.
        assert_eq!(shipping(&forgotten).verdict, Verdict::Unknown);
        assert_eq!(codes(shipping(&forgotten)), ["chain_not_known"]);
    });
}

#[test]
fn an_instance_that_hangs_is_unknown_after_the_limit_and_holds_nothing_up() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.observe().await; // connections are open
        stage.stand_in.world.delay_next_request("sql-n2", Duration::from_secs(3600));
        let began = tokio::time::Instant::now();
        let limit = Duration::from_secs(5);
        let seen = observe_within(stage.topology(), stage.ports(), "test", None, limit).await;
        let took = began.elapsed();
        assert!((limit..limit * 2).contains(&took), "{took:?}");
        let silent: Vec<&str> = seen
            .instances
            .iter()
            .filter(|(_, one)| one.reason().is_some_and(|reason| reason.code == "timed_out"))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(silent, ["sql-n2"]);
        let status = judge(stage.topology(), &seen, stage.ports().clock.now());
        assert_eq!(find(&status, ProtectionKind::LogShippingOfMirror).verdict, Verdict::Unknown);
        assert!(shipping(&status).at_risk.as_ref().unwrap().bytes.known().is_some());
    });
}
