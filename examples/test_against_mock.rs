//! How another team unit-tests its automation: the code under test takes pcdr's ports, the test gives it
//! a mock world, makes trouble in it, and looks at what was done.

use std::collections::BTreeSet;
use std::error::Error;

use pcdr_core::mock::MockWorld;
use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{RunError, Watcher, apply, plan};
use pcdr_core::step::Step;
use pcdr_core::{Consent, ErrorCode, InstanceError, Intent, Situation, Timestamp, Topology};

/// The automation under test: fail over, and page somebody when that is refused or fails.
async fn fail_over_or_page(
    topology: &Topology,
    ports: &Ports,
    now: Timestamp,
    consents: BTreeSet<Consent>,
) -> Option<String> {
    let observation = observe(topology, ports, "automation", None).await;
    let situation = Situation::new(topology, &observation, &consents, now);
    let plan = match plan(Intent::DisasterFailover, &situation) {
        Ok(plan) => plan,
        Err(refusal) => return Some(format!("page: refused, {}", refusal.code())),
    };
    let owner = Owner { who: "automation".into(), run: "1".into() };
    match apply(&plan, topology, ports, &owner, &Quiet).await {
        Ok(_) => None,
        Err(RunError::Step { step, error, .. }) => {
            Some(format!("page: step {step} failed, {}", error.code.as_str()))
        }
        Err(error) => Some(format!("page: {error}")),
    }
}

struct Quiet;

impl Watcher for Quiet {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

fn world(topology: &Topology) -> MockWorld {
    let world = MockWorld::new(topology.clone());
    world.ship("mgc", 1000, 1100);
    for instance in ["sql-n1", "sql-n2", "sql-n3"] {
        world.lose_instance(instance);
    }
    world
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE)?;
    let lost = BTreeSet::from([Consent::PrimarySiteLost]);

    let healthy = world(&topology);
    let page = fail_over_or_page(&topology, &healthy.ports(), healthy.now(), lost.clone()).await;
    assert_eq!(page, None);
    println!("everything works: {} actions, nobody is paged", healthy.log().len());

    let unproved = world(&topology);
    let none = BTreeSet::new();
    let page = fail_over_or_page(&topology, &unproved.ports(), unproved.now(), none).await;
    assert_eq!(page.as_deref(), Some("page: refused, primary_loss_not_proved"));
    assert!(unproved.log().is_empty());
    println!("nobody confirmed the loss: {}", page.unwrap_or_default());

    let full = world(&topology);
    let error = InstanceError::new(
        ErrorCode::DiskFull,
        "sql-s1",
        "space for the copy was needed",
        "the disk is full",
        "Make space.",
    );
    full.fail_next("copy log backup", error);
    let page = fail_over_or_page(&topology, &full.ports(), full.now(), lost.clone()).await;
    assert_eq!(page.as_deref(), Some("page: step 3 failed, disk_full"));
    println!("the disk is full: {}", page.unwrap_or_default());

    let page = fail_over_or_page(&topology, &full.ports(), full.now(), lost).await;
    assert_eq!(page, None);
    println!("somebody made space: the second run finished the rest");
    Ok(())
}
