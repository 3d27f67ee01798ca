//! Preflight over the wire: everything broken once, and named.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::collections::BTreeMap;
use std::time::Duration;

use pcdr_cli::preflight::{document, render};
use pcdr_core::Timestamp;
use pcdr_core::observe::observe;
use pcdr_core::ports::Clock;
use pcdr_core::preflight::{Check, Outcome, Report, ask, check};
use pcdr_core::rights::Command;
use pcdr_tests::{STRETCHED, Stage, name, virtually};

async fn preflight(stage: &Stage, command: Command) -> Report {
    let (topology, ports) = (stage.topology(), stage.ports());
    let observation = observe(topology, ports, "test", None).await;
    let preflight = &stage.connected.preflight;
    let answers = ask(command, topology, preflight, ports.clock.as_ref()).await;
    let report = check(command, topology, &observation, &answers);
    stage.note(&render(&report));
    let shown = document("identity", &report);
    assert_eq!(shown.passed + shown.failed + shown.not_checked, report.checks().count());
    report
}

/// What failed: instance, code, and what was found.
fn failed(report: &Report) -> Vec<(String, &'static str, String)> {
    let failure = |check: &Check| match &check.outcome {
        Outcome::Failed { needed, found, remedy } => {
            assert!(!needed.is_empty() && !remedy.is_empty(), "{check:?}");
            Some(found.clone())
        }
        Outcome::Passed { .. } | Outcome::NotChecked { .. } => None,
    };
    let failed = report
        .checks()
        .filter_map(|(instance, check)| Some((instance.to_string(), check.code, failure(check)?)));
    failed.collect()
}

/// How many checks of a code could not be made, on an instance.
fn not_checked(report: &Report, instance: &str, code: &str) -> usize {
    let is_open = |check: &Check| matches!(check.outcome, Outcome::NotChecked { .. });
    let of =
        report.checks().filter(|(name, check)| name.as_str() == instance && check.code == code);
    of.filter(|(_, check)| is_open(check)).count()
}

/// Exactly these fail, by instance and code.
fn assert_fails(report: &Report, expected: &[(&str, &str)]) {
    let found = failed(report);
    let found: Vec<(&str, &str)> =
        found.iter().map(|(instance, code, _)| (instance.as_str(), *code)).collect();
    assert_eq!(found, expected, "{}", render(report));
}

#[test]
fn nothing_fails_on_a_pool_that_works_and_what_cannot_be_known_is_named() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        for command in [
            Command::Configure,
            Command::PlannedFailover,
            Command::MirrorFailover,
            Command::Fence,
            Command::Failback,
            Command::Remove,
        ] {
            assert_fails(&preflight(&stage, command).await, &[]);
        }
        let report = preflight(&stage, Command::Failover).await;
        assert_fails(&report, &[]);
        // Nothing tells whether the endpoints of the secondary's pair reach each other before they do.
        assert_eq!(not_checked(&report, "sql-s1", "endpoint_connection"), 1);
        assert_eq!(not_checked(&report, "sql-s1", "headers"), 0, "they are read");
        stage.told_no_secret();
    });
}

#[test]
fn nothing_fails_before_anything_is_configured_and_what_no_job_has_written_is_open() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let report = preflight(&stage, Command::Configure).await;
        assert_fails(&report, &[]);
        assert_eq!(not_checked(&report, "sql-n1", "folder_written"), 1);
        assert_eq!(not_checked(&report, "sql-n1", "space"), 1, "the free space of a share");
    });
}

#[test]
fn a_stopped_agent_fails_where_jobs_are_needed() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        pcdr_sim::engine::agent::stop(&stage.stand_in.world, "sql-s1");
        let report = preflight(&stage, Command::Remove).await;
        assert_fails(&report, &[("sql-s1", "agent")]);
        assert_fails(&preflight(&stage, Command::MirrorFailover).await, &[]);
    });
}

#[test]
fn a_share_out_of_reach_fails_for_each_service_account_that_needs_it() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.world.lose_share("files-s.example.net", "logbackups");
        let report = preflight(&stage, Command::Configure).await;
        let folders: Vec<_> =
            failed(&report).into_iter().filter(|(_, code, _)| *code == "folder").collect();
        let instances: Vec<&str> = folders.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(instances, ["sql-n1", "sql-n2", "sql-s1"], "{}", render(&report));
    });
}

#[test]
fn a_full_disk_fails_before_a_copy_is_restored_to_it() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        stage.stand_in.world.fill_drive("sql-s1", "D", true);
        let report = preflight(&stage, Command::Configure).await;
        assert_fails(&report, &[("sql-s1", "space")]);
        assert!(failed(&report)[0].2.starts_with("0 MiB"), "{:?}", failed(&report));
    });
}

#[test]
fn a_simple_recovery_model_fails_until_it_is_full() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let send = async |batch: &str| {
            stage.workload.send(&name("sql-n1"), batch.to_owned()).await.unwrap();
        };
        send("ALTER DATABASE [mgc] SET RECOVERY SIMPLE;").await;
        assert_fails(&preflight(&stage, Command::Configure).await, &[("sql-n1", "recovery_model")]);
        send("ALTER DATABASE [mgc] SET RECOVERY FULL;").await;
        assert_fails(&preflight(&stage, Command::Configure).await, &[]);
    });
}

#[test]
fn express_and_an_older_secondary_fail() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let edition = |edition: &str| {
            let mut world = stage.stand_in.world.lock();
            edition.clone_into(&mut world.instances.get_mut("sql-s1").unwrap().config.edition);
        };
        edition("Express Edition (64-bit)");
        let report = preflight(&stage, Command::Configure).await;
        // Neither is it a partner of another edition any more.
        assert_fails(&report, &[("sql-s1", "edition"), ("sql-s2", "release")]);
        let of_its_mirror = stage.stand_in.world.lock().instances["sql-s2"].config.edition.clone();
        edition(&of_its_mirror);
        stage.stand_in.world.lock().instances.get_mut("sql-s1").unwrap().config.version.0 = 12;
        let report = preflight(&stage, Command::Failover).await;
        let releases: BTreeMap<_, _> = failed(&report)
            .into_iter()
            .filter(|(_, code, _)| *code == "release")
            .map(|(instance, _, found)| (instance, found))
            .collect();
        assert!(releases["sql-s1"].contains("older"), "{releases:?}");
        assert!(releases.contains_key("sql-s2"), "{releases:?}");
    });
}

/// The clock of a computer that is late.
struct Late(std::sync::Arc<dyn Clock>);

#[async_trait::async_trait]
impl Clock for Late {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.now().unix_millis() - 90_000)
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

#[test]
fn a_clock_that_is_wrong_fails_on_every_instance_and_not_between_them() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let (topology, ports) = (stage.topology(), stage.ports());
        let observation = observe(topology, ports, "test", None).await;
        let late = Late(std::sync::Arc::clone(&ports.clock));
        let command = Command::Failover;
        let answers = ask(command, topology, &stage.connected.preflight, &late).await;
        let report = check(command, topology, &observation, &answers);
        let instances = ["sql-n1", "sql-n2", "sql-n3", "sql-s1", "sql-s2"];
        assert_fails(&report, &instances.map(|instance| (instance, "clock")));
    });
}

#[test]
fn an_instance_that_is_lost_fails_unless_it_is_the_one_that_is_failed_over_from() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        assert_fails(&preflight(&stage, Command::Failover).await, &[]);
        let report = preflight(&stage, Command::Configure).await;
        let answers: Vec<_> =
            failed(&report).into_iter().filter(|(_, code, _)| *code == "answers").collect();
        assert_eq!(answers.len(), 3, "{answers:?}");
    });
}
