//! A run whose operator asks to stop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pcdr_core::error::ErrorCode;
use pcdr_core::mock::MockWorld;
use pcdr_core::observe::observe;
use pcdr_core::ports::Owner;
use pcdr_core::run::{RunError, Watcher, apply, plan};
use pcdr_core::{Consent, InstanceError, Intent, Situation, Step, Topology};

/// Asks to stop as soon as the first step has ended.
#[derive(Default)]
struct Impatient {
    started: Mutex<Vec<String>>,
    stop: AtomicBool,
    never: bool,
}

impl Watcher for Impatient {
    fn started(&self, step: &Step) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).push(step.to_string());
    }
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {
        self.stop.store(!self.never, Ordering::Relaxed);
    }
    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
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
fn a_cancelled_run_starts_no_further_step_and_the_same_plan_finishes_it() {
    let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
    let world = MockWorld::new(topology.clone());
    world.ship("mgc", 1000, 1100);
    for lost in ["sql-n1", "sql-n2", "sql-n3"] {
        world.lose_instance(lost);
    }
    let ports = world.ports();
    let seen = block_on(observe(&topology, &ports, "test", None));
    let consents = BTreeSet::from([Consent::PrimarySiteLost]);
    let situation = Situation::new(&topology, &seen, &consents, world.now());
    let plan = plan(Intent::DisasterFailover, &situation).unwrap();
    let owner = Owner { who: "test".into(), run: "1".into() };

    let watcher = Impatient::default();
    let ended = block_on(apply(&plan, &topology, &ports, &owner, &watcher));
    let Err(RunError::Step { error, succeeded, .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(error.code, ErrorCode::Cancelled, "{error}");
    let first = watcher.started.into_inner().unwrap();
    let at_once = plan.steps.iter().filter(|step| step.after.is_empty()).count();
    assert!((1..plan.steps.len()).contains(&first.len()), "{first:?}");
    assert_eq!((first.len(), succeeded), (at_once, at_once), "only what ran already went on");

    let patient = Impatient { never: true, ..Impatient::default() };
    block_on(apply(&plan, &topology, &ports, &owner, &patient)).unwrap();
    let rest = patient.started.into_inner().unwrap();
    for step in plan.steps.iter().map(Step::to_string) {
        assert!(first.contains(&step) || rest.contains(&step), "{step} never ran");
    }
}
