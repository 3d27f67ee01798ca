//! Status, judged on the mock.

use super::*;
use crate::mock::MockWorld;
use crate::observe::observe;

fn status(change: impl FnOnce(&MockWorld)) -> Status {
    let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
    let world = MockWorld::new(topology.clone());
    world.ship("mgc", 1000, 1100);
    change(&world);
    let observation = block_on(observe(&topology, &world.ports(), "test", None));
    judge(&topology, &observation, world.now())
}

/// Carries the plan out that configures the world.
fn configure(world: &MockWorld) {
    let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
    world.change_instance("sql-s1", |seen| {
        let Known::Known(databases) = &mut seen.databases else { return };
        databases.clear();
        let Known::Known(entries) = &mut seen.log_shipping_secondary else { return };
        entries.clear();
    });
    let ports = world.ports();
    block_on(async {
        let observation = observe(&topology, &ports, "test", None).await;
        let nothing = BTreeSet::new();
        let situation = Situation::new(&topology, &observation, &nothing, world.now());
        let plan = run::plan(Intent::Configure, &situation).unwrap();
        let owner = crate::ports::Owner { who: "test".into(), run: "r".into() };
        run::apply(&plan, &topology, &ports, &owner, &Quiet).await.unwrap();
    });
}

struct Quiet;

impl run::Watcher for Quiet {
    fn started(&self, _: &crate::Step) {}
    fn progressed(&self, _: &crate::Step, _: f32, _: &str) {}
    fn ended(&self, _: &crate::Step, _: Result<(), &crate::InstanceError>) {}
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[test]
fn a_configured_topology_is_ready_and_says_what_is_at_risk() {
    let status = status(configure);
    assert_eq!(status.verdict, Verdict::Ready, "{:?}", status.findings);
    assert_eq!(status.at_risk[0].from_lsn.get(), 1100);
}

#[test]
fn a_topology_that_is_not_configured_needs_attention_setting_by_setting() {
    let status = status(|_| {});
    assert_eq!(status.verdict, Verdict::Attention);
    let messages: Vec<&str> = status.findings.iter().map(|one| one.message.as_str()).collect();
    let expected = "Not as designed: sql-n1, mgc: mirroring session is none, designed is \
                    TCP://sql-n2.example.net:5022.";
    assert!(messages.contains(&expected), "{messages:#?}");
}

#[test]
fn a_failed_job_and_a_late_backup_are_named() {
    let status = status(|world| {
        configure(world);
        let long_ago = Timestamp::from_unix_millis(world.now().unix_millis() - 61 * 60_000);
        world.change_instance("sql-n1", |seen| {
            let Known::Known(all) = &mut seen.log_shipping_primary else { return };
            let entry = all.get_mut(&"mgc".into()).unwrap();
            entry.last_backup_at = Some(long_ago);
            let Known::Known(job) = &mut entry.backup_job else { return };
            job.last_run_status = Some(0);
        });
    });
    let codes: Vec<&str> = status.findings.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["job_failed", "backup_late"], "{:?}", status.findings);
    assert!(status.findings[1].message.contains("61 min ago"), "{:?}", status.findings);
}

#[test]
fn a_gap_makes_it_not_ready_for_the_planners_own_reason() {
    let status = status(|world| world.ship("mgc", 1200, 1300));
    assert_eq!(status.verdict, Verdict::NotReady);
    assert_eq!(status.findings[0].code, "log_chain_gap");
}

/// A copy of the example's database on an instance, to be changed.
fn change_copy(
    world: &MockWorld,
    instance: &str,
    change: impl FnOnce(&mut crate::observation::DatabaseObservation),
) {
    world.change_instance(instance, |seen| {
        let Known::Known(databases) = &mut seen.databases else { return };
        change(databases.get_mut(&"mgc".into()).unwrap());
    });
}

fn protection(status: &Status, kind: ProtectionKind) -> &Protection {
    status.protections.iter().find(|one| one.kind == kind).unwrap()
}

fn codes(protection: &Protection) -> Vec<&'static str> {
    protection.reasons.iter().map(|one| one.code).collect()
}

fn taken(world: &MockWorld, first: u128, last: u128) -> crate::observation::TakenLogBackup {
    let at = Timestamp::from_unix_millis(world.now().unix_millis() - 120_000);
    let file = crate::mock::log_backup("mgc", first, last, at);
    let header = file.header.known().unwrap();
    crate::observation::TakenLogBackup {
        first_lsn: header.first_lsn,
        last_lsn: header.last_lsn,
        first_fork: header.first_fork,
        started_at: at,
        finished_at: at,
        size_bytes: 500,
        path: Some(file.path.clone()),
    }
}

#[test]
fn a_configured_topology_has_three_protections_that_are_ready() {
    let status = status(|world| {
        configure(world);
        change_copy(world, "sql-n1", |copy| copy.log_since_backup_bytes = Known::Known(4096));
    });
    let kinds: Vec<_> = status
        .protections
        .iter()
        .map(|one| (one.kind, one.from.as_str(), one.to.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            (ProtectionKind::Mirroring, "sql-n1", "sql-n2"),
            (ProtectionKind::LogShipping, "sql-n1", "sql-s1"),
            (ProtectionKind::LogShippingOfMirror, "sql-n2", "sql-s1"),
        ]
    );
    assert!(status.protections.iter().all(|one| one.verdict == Verdict::Ready), "{status:#?}");
    assert_eq!(status.proof, Proof::Plan);
    let mirroring = protection(&status, ProtectionKind::Mirroring);
    assert_eq!(mirroring.at_risk.as_ref().unwrap().bytes, Known::Known(0));
    let risk = protection(&status, ProtectionKind::LogShipping).at_risk.as_ref().unwrap();
    assert_eq!((&risk.bytes, risk.from_lsn.known().unwrap().get()), (&Known::Known(4096), 1100));
}

#[test]
fn what_is_unknown_is_never_fine() {
    let status = status(|world| {
        configure(world);
        change_copy(world, "sql-n1", |copy| {
            copy.mirroring = Known::unknown("permission_denied", "not for this login");
            copy.log_since_backup_bytes = Known::unknown("permission_denied", "not for this login");
        });
    });
    assert_eq!(status.verdict, Verdict::Unknown);
    let mirroring = protection(&status, ProtectionKind::Mirroring);
    assert_eq!((mirroring.verdict, codes(mirroring)), (Verdict::Unknown, vec!["fact_unknown"]));
    let risk = protection(&status, ProtectionKind::LogShipping).at_risk.as_ref().unwrap();
    assert_eq!(risk.bytes.reason().unwrap().code, "permission_denied");
}

#[test]
fn an_instance_that_does_not_answer_makes_what_it_alone_knows_unknown() {
    let status = status(|world| {
        configure(world);
        world.lose_instance("sql-n1");
    });
    let shipping = protection(&status, ProtectionKind::LogShipping);
    // The failover would work: that is what the planner says of a site that is lost.
    assert_eq!(
        (shipping.verdict, codes(shipping)),
        (Verdict::Attention, vec!["instance_not_observed"])
    );
    assert_eq!(shipping.at_risk.as_ref().unwrap().bytes.reason().unwrap().code, "unreachable");
    assert_eq!(
        shipping.alerts[0].state,
        AlertState::Unknown(shipping.jobs[0].job.reason().unwrap().clone())
    );
    assert_eq!(protection(&status, ProtectionKind::Mirroring).verdict, Verdict::Unknown);
}

#[test]
fn a_standby_copy_is_online_and_takes_no_writes() {
    let status = status(|world| {
        configure(world);
        change_copy(world, "sql-s1", |copy| {
            copy.state = DatabaseState::Online;
            copy.is_in_standby = true;
        });
    });
    assert!(status.findings.iter().all(|one| one.code != "two_writable_copies"), "{status:#?}");
}

#[test]
fn two_copies_that_take_writes_are_an_alarm_in_every_protection_of_the_database() {
    let status = status(|world| {
        configure(world);
        change_copy(world, "sql-s1", |copy| copy.state = DatabaseState::Online);
    });
    assert!(status.protections.iter().all(|one| one.verdict == Verdict::Alarm), "{status:#?}");
    let shipping = protection(&status, ProtectionKind::LogShipping);
    assert_eq!(codes(shipping)[0], "two_writable_copies");
    assert!(codes(shipping).contains(&"secondary_serves"), "{:?}", codes(shipping));
}

#[test]
fn a_failed_job_is_told_with_the_message_of_its_step_and_of_its_protection_only() {
    let status = status(|world| {
        configure(world);
        world.change_instance("sql-s1", |seen| {
            let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
            let Known::Known(job) = &mut all.get_mut(&"mgc".into()).unwrap().copy_job else {
                return;
            };
            job.last_run_status = Some(0);
            job.last_run_message = Some("The job failed.  The last step to run was step 1.".into());
            let message = "*** Error: Access to the path is denied.\r\n".to_owned();
            job.last_failure = Some(crate::observation::JobFailure { at: None, message });
        });
    });
    let shipping = protection(&status, ProtectionKind::LogShipping);
    assert_eq!((shipping.verdict, codes(shipping)), (Verdict::Attention, vec!["job_failed"]));
    assert!(
        shipping.reasons[0].message.contains("failed: *** Error: Access to the path is denied")
    );
    let copy = shipping.jobs[1].job.known().unwrap();
    assert_eq!((shipping.jobs[1].what, copy.outcome), ("copy", RunOutcome::Failed));
    assert_eq!(protection(&status, ProtectionKind::Mirroring).verdict, Verdict::Ready);
}

#[test]
fn a_late_restore_raises_its_alert_and_an_alert_without_its_job_is_muted() {
    let late = |world: &MockWorld| {
        configure(world);
        let long_ago = Timestamp::from_unix_millis(world.now().unix_millis() - 100 * 60_000);
        world.change_instance("sql-s1", |seen| {
            let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
            all.get_mut(&"mgc".into()).unwrap().last_restored_at = Some(long_ago);
        });
    };
    let raised = status(late);
    let alert = &protection(&raised, ProtectionKind::LogShipping).alerts[1];
    assert_eq!((alert.number, &alert.state), (14421, &AlertState::Raised));
    assert_eq!((alert.threshold_minutes, alert.elapsed_minutes), (Some(45), Some(100)));
    let muted = status(|world| {
        late(world);
        world.change_instance("sql-s1", |seen| seen.alert_job = Known::Known(None));
    });
    let shipping = protection(&muted, ProtectionKind::LogShipping);
    assert!(matches!(&shipping.alerts[1].state, AlertState::Muted { is_late: true, .. }));
    assert!(codes(shipping).contains(&"alert_muted"), "{:?}", codes(shipping));
}

#[test]
fn without_the_files_the_history_of_msdb_has_to_hold_the_chain() {
    let by_history = |change: &dyn Fn(&MockWorld)| {
        let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
        let world = MockWorld::new(topology.clone());
        world.ship("mgc", 1000, 1100);
        configure(&world);
        change_copy(&world, "sql-n1", |copy| {
            let Known::Known(position) = &mut copy.log_position else { return };
            position.last_log_backup_lsn = crate::lsn::Lsn::new(1300);
        });
        change(&world);
        let mut observation = block_on(observe(&topology, &world.ports(), "test", None));
        observation.log_backups.clear();
        judge(&topology, &observation, world.now())
    };
    let record = |ranges: &'static [(u128, u128)]| {
        move |world: &MockWorld| {
            let all = ranges.iter().map(|(first, last)| taken(world, *first, *last)).collect();
            change_copy(world, "sql-n1", |copy| copy.log_backups_taken = Known::Known(all));
        }
    };
    let whole = by_history(&record(&[(1000, 1100), (1100, 1300)]));
    assert_eq!(
        (whole.proof, whole.verdict),
        (Proof::History, Verdict::Ready),
        "{:?}",
        whole.findings
    );
    let risk = protection(&whole, ProtectionKind::LogShipping).at_risk.as_ref().unwrap();
    assert_eq!(risk.from_lsn.known().unwrap().get(), 1300);
    assert_eq!(risk.span_seconds(), Some(120));
    for gap in [record(&[(1000, 1100), (1200, 1300)]), record(&[(1200, 1300)]), record(&[])] {
        let status = by_history(&gap);
        let shipping = protection(&status, ProtectionKind::LogShipping);
        assert_eq!(
            (shipping.verdict, codes(shipping)),
            (Verdict::Unknown, vec!["chain_not_known"])
        );
    }
}

#[test]
fn a_backup_share_in_the_primarys_site_leaves_what_was_not_copied_at_risk() {
    let at = r#"name = "log-backups"
site = "south""#;
    let text = crate::topology::EXAMPLE.replace(at, &at.replace("south", "north"));
    let topology = Topology::parse(&text).unwrap();
    let world = MockWorld::new(topology.clone());
    let all = [taken(&world, 1000, 1100), taken(&world, 1100, 1200), taken(&world, 1200, 1300)];
    let copied = all[0].path.clone();
    change_copy(&world, "sql-n1", |copy| {
        copy.log_since_backup_bytes = Known::Known(70);
        copy.log_backups_taken = Known::Known(all.to_vec());
    });
    world.change_instance("sql-s1", |seen| {
        let Known::Known(all) = &mut seen.log_shipping_secondary else { return };
        all.get_mut(&"mgc".into()).unwrap().last_copied_file = copied;
    });
    let observation = block_on(observe(&topology, &world.ports(), "test", None));
    let status = judge(&topology, &observation, world.now());
    let risk = protection(&status, ProtectionKind::LogShipping).at_risk.as_ref().unwrap();
    assert_eq!((&risk.bytes, risk.is_at_least), (&Known::Known(1070), false));
    // And the planner, from the files, sees none that would be left.
    assert_eq!(status.at_risk[0].from_lsn.get(), 1000);
}

#[test]
fn of_two_databases_the_one_with_the_gap_is_refused_and_the_other_is_not() {
    let text =
        crate::topology::EXAMPLE.replace("[pool]\n", "[[databases]]\nname = \"other\"\n[pool]\n");
    let topology = Topology::parse(&text).unwrap();
    let world = MockWorld::new(topology.clone());
    world.ship("mgc", 1000, 1100);
    world.ship("other", 1200, 1300);
    let observation = block_on(observe(&topology, &world.ports(), "test", None));
    let status = judge(&topology, &observation, world.now());
    let of = |database: &str| {
        let mut all = status.protections.iter();
        let shipping = ProtectionKind::LogShipping;
        all.find(|one| one.kind == shipping && one.database.as_str() == database).unwrap()
    };
    assert_eq!((of("other").verdict, codes(of("other"))[0]), (Verdict::NotReady, "log_chain_gap"));
    assert!(of("mgc").verdict < Verdict::NotReady, "{:?}", of("mgc").reasons);
    let at_risk: Vec<&str> = status.at_risk.iter().map(|loss| loss.database.as_str()).collect();
    assert_eq!(at_risk, ["mgc"]);
}

#[test]
fn two_looks_tell_what_has_changed_between_them() {
    let look = |bytes| {
        status(|world| {
            configure(world);
            change_copy(world, "sql-n1", |copy| copy.log_since_backup_bytes = Known::Known(bytes));
        })
    };
    let (earlier, mut later) = (look(1000), look(3500));
    later.compare_with(&earlier);
    let change = protection(&later, ProtectionKind::LogShipping).change.unwrap();
    assert_eq!((change.risk_bytes, change.lag_seconds), (Some(2500), None));
}
