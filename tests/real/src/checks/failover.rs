//! Configure, ship, lose the primary, fail over: with the product's own planner and executor.

use pcdr_cli::plan;
use pcdr_core::observation::DatabaseState;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, Watcher};
use pcdr_core::step::LogShippingAction;
use pcdr_core::{Consent, InstanceError, Intent, Plan, Step, Topology};

use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of whole procedures.
pub const CHECKS: &[Check] = &[
    check!(a_configured_database_is_shipped_and_failed_over, needs: [Folders, LogShipping, Agent, Sysadmin], decides: []),
    check!(a_mirrored_database_is_shipped_and_failed_over, needs: [Folders, LogShipping, Agent, Sysadmin, Mirroring], decides: []),
    check!(a_planned_failover_loses_nothing_and_leaves_the_old_primary_waiting, needs: [Folders, LogShipping, Agent, Sysadmin], decides: []),
    check!(a_planned_failover_of_a_mirrored_database_loses_nothing, needs: [Folders, LogShipping, Agent, Sysadmin, Mirroring], decides: []),
    check!(a_failback_brings_everything_back_and_can_be_configured_again, needs: [Folders, LogShipping, Agent, Sysadmin], decides: []),
];

struct Unseen;

impl Watcher for Unseen {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

async fn made(intent: Intent, topology: &Topology, ports: &Ports, consents: &[Consent]) -> Plan {
    match plan::make(intent, topology, ports, consents).await {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

async fn apply(plan: &Plan, topology: &Topology, ports: &Ports) {
    let owner = Owner { who: "pcdr test suite".into(), run: plan::new_run() };
    if let Err(error) = run::apply(plan, topology, ports, &owner, &Unseen).await {
        panic!("{error}");
    }
}

async fn a_configured_database_is_shipped_and_failed_over(servers: &Servers) {
    ship_and_fail_over(servers, &["primary"]).await;
}

async fn a_mirrored_database_is_shipped_and_failed_over(servers: &Servers) {
    ship_and_fail_over(servers, &["primary", "mirror", "witness"]).await;
}

async fn a_planned_failover_loses_nothing_and_leaves_the_old_primary_waiting(servers: &Servers) {
    hand_over(servers).await;
}

async fn a_planned_failover_of_a_mirrored_database_loses_nothing(servers: &Servers) {
    hand_over(servers).await;
    let mirror = servers.copy("mirror").await;
    assert!(!mirror.is_writable() && mirror.mirroring.known() == Some(&None), "{mirror:?}");
}

async fn a_failback_brings_everything_back_and_can_be_configured_again(servers: &Servers) {
    hand_over(servers).await;
    let (topology, ports) = (&servers.topology, &servers.ports);
    let written = servers.read("secondary").await;
    apply(&made(Intent::Failback, topology, ports, &[]).await, topology, ports).await;
    assert_eq!(servers.read("primary").await, written, "nothing is lost");
    servers.write("primary", 50..52).await;
    assert_eq!(servers.copy("secondary").await.state, DatabaseState::Restoring, "fenced");
    let rest = made(Intent::Failback, topology, ports, &[]).await;
    assert!(rest.steps.is_empty(), "left to do: {:?}", rest.steps);
    apply(&made(Intent::Configure, topology, ports, &[]).await, topology, ports).await;
    let rest = made(Intent::Configure, topology, ports, &[]).await;
    assert!(rest.steps.is_empty(), "left to configure: {:?}", rest.steps);
}

async fn hand_over(servers: &Servers) {
    use LogShippingAction::{RunBackupJob, RunCopyJob, RunRestoreJob};
    let (topology, ports) = (&servers.topology, &servers.ports);
    servers.create_database().await;
    apply(&made(Intent::Configure, topology, ports, &[]).await, topology, ports).await;
    servers.write("primary", 10..15).await;
    for (on, job) in
        [("primary", RunBackupJob), ("secondary", RunCopyJob), ("secondary", RunRestoreJob)]
    {
        servers.ship(on, job).await;
    }
    // A log backup that is only in the share, and records that are in none; somebody sits there, too.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    servers.write("primary", 20..25).await;
    servers.ship("primary", RunBackupJob).await;
    servers.write("primary", 30..33).await;
    let written = servers.read("primary").await;
    let _sitting = servers.sit_in_database("primary").await;

    let planned = made(Intent::PlannedFailover, topology, ports, &[]).await;
    assert!(planned.predicted_losses.is_empty());
    apply(&planned, topology, ports).await;

    assert_eq!(servers.read("secondary").await, written, "nothing is lost");
    servers.write("secondary", 40..42).await;
    assert_eq!(servers.copy("primary").await.state, DatabaseState::Restoring, "fenced");
    let rest = made(Intent::PlannedFailover, topology, ports, &[]).await;
    assert!(rest.steps.is_empty(), "left to do: {:?}", rest.steps);
}

async fn ship_and_fail_over(servers: &Servers, lost: &[&str]) {
    let (topology, ports) = (&servers.topology, &servers.ports);
    servers.create_database().await;
    let configure = made(Intent::Configure, topology, ports, &[]).await;
    assert!(!configure.steps.is_empty());
    apply(&configure, topology, ports).await;
    let rest = made(Intent::Configure, topology, ports, &[]).await;
    assert!(rest.steps.is_empty(), "left to configure: {:?}", rest.steps);

    use LogShippingAction::{RunBackupJob, RunCopyJob, RunRestoreJob};
    servers.write("primary", 10..15).await;
    for (on, job) in
        [("primary", RunBackupJob), ("secondary", RunCopyJob), ("secondary", RunRestoreJob)]
    {
        servers.ship(on, job).await;
    }
    // One log backup that is only in the share, and records that are in none.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    servers.write("primary", 20..25).await;
    servers.ship("primary", RunBackupJob).await;
    let shipped = servers.read("primary").await;
    servers.write("primary", 30..33).await;

    let lost: Vec<&str> =
        lost.iter().copied().filter(|name| topology.instance(&(*name).into()).is_some()).collect();
    let (topology, ports) = servers.cut_off(&lost);
    let consents = [Consent::PrimarySiteLost];
    let failover = made(Intent::DisasterFailover, &topology, &ports, &consents).await;
    apply(&failover, &topology, &ports).await;

    let copy = servers.copy("secondary").await;
    assert!(copy.is_writable(), "{copy:?}");
    assert_eq!(servers.read("secondary").await, shipped, "everything shipped, and nothing else");
    servers.write("secondary", 40..42).await;
    let seen = servers.observe("secondary").await;
    let entry = seen.log_shipping_secondary.known().unwrap().get(&servers.database);
    assert_eq!(entry, None, "log shipping was removed");
    let rest = made(Intent::DisasterFailover, &topology, &ports, &consents).await;
    assert!(rest.steps.is_empty(), "left to do: {:?}", rest.steps);
}
