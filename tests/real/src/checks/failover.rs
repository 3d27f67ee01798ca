//! Configure, ship, lose the primary, fail over: with the product's own planner and executor.

use pcdr_cli::plan;
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
