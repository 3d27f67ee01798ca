//! The mock keeps the contracts of the ports.
#![allow(clippy::unwrap_used, missing_docs)]

use pcdr_core::conformance;
use pcdr_core::known::Known;
use pcdr_core::mock::MockWorld;
use pcdr_core::ports::Unwatched;
use pcdr_core::step::DatabaseAction;
use pcdr_core::{DatabaseName, InstanceName, Topology};

fn world() -> MockWorld {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
    MockWorld::new(topology)
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
fn the_mock_keeps_every_contract() {
    let world = world();
    world.ship("mgc", 1000, 1100);
    let ports = world.ports();
    let mgc: DatabaseName = "mgc".into();
    let primary: InstanceName = "sql-n1".into();
    let checked = [
        block_on(conformance::database_instance(&*ports.instances[&primary], &mgc)).unwrap(),
        block_on(conformance::log_shipping_jobs(&*ports.jobs[&primary], &mgc)).unwrap(),
        block_on(conformance::backup_files(&*ports.files, &mgc)).unwrap(),
        block_on(conformance::pool_control(&**ports.pool.as_ref().unwrap())).unwrap(),
        block_on(conformance::run_store(&*ports.store)).unwrap(),
    ];
    assert!(checked.iter().all(|claims| *claims >= 6), "{checked:?}");

    let mirror: InstanceName = "sql-n2".into();
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
    let secondary =
        block_on(ports.instances[&"sql-s1".into()].observe(std::slice::from_ref(&mgc))).unwrap();
    world.change_instance("sql-n2", |seen| {
        let Known::Known(databases) = &mut seen.databases else { return };
        databases.extend(secondary.databases.known().unwrap().clone());
    });
    for (instance, partner) in [(&mirror, &primary), (&primary, &mirror)] {
        let address = topology.instance(partner).unwrap().mirroring_address();
        let set = DatabaseAction::SetPartner { address };
        block_on(ports.instances[instance].run(&mgc, &set, &Unwatched)).unwrap();
    }
    let (principal, mirror) = (&*ports.instances[&primary], &*ports.instances[&mirror]);
    let kept = block_on(conformance::mirroring_partners(principal, mirror, &mgc)).unwrap();
    assert!(kept >= 11, "{kept} claims");
}
