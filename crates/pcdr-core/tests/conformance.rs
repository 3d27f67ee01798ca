//! The mock keeps the contracts of the ports.
#![allow(clippy::unwrap_used, missing_docs)]

use pcdr_core::conformance;
use pcdr_core::mock::MockWorld;
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
}
