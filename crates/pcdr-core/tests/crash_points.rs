//! Level-triggered: a run that dies at any step is finished by a new plan.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use pcdr_core::known::Known;
use pcdr_core::mock::MockWorld;
use pcdr_core::observation::PoolState;
use pcdr_core::observe::observe;
use pcdr_core::ports::Owner;
use pcdr_core::run::{self, RunError, Watcher};
use pcdr_core::step::Step;
use pcdr_core::{Consent, Intent, Plan, Situation, Topology};
use pcdr_core::{ErrorCode, InstanceError};

fn topology() -> Topology {
    Topology::parse(pcdr_core::topology::EXAMPLE).unwrap()
}

fn disaster() -> MockWorld {
    let world = MockWorld::new(topology());
    for first in (1000..1500).step_by(100) {
        world.ship("mgc", first, first + 100);
    }
    ["sql-n1", "sql-n2", "sql-n3"].iter().for_each(|name| world.lose_instance(name));
    world
}

fn plan(world: &MockWorld) -> Plan {
    let topology = topology();
    let consents = BTreeSet::from([Consent::PrimarySiteLost]);
    let observation = block_on(observe(&topology, &world.ports(), "test", None));
    let now = world.now();
    let situation = Situation::new(&topology, &observation, &consents, now);
    run::plan(Intent::DisasterFailover, &situation).unwrap()
}

fn apply(world: &MockWorld, plan: &Plan) -> Result<run::Report, RunError> {
    let owner = Owner { who: "test".into(), run: "r".into() };
    block_on(run::apply(plan, &topology(), &world.ports(), &owner, &Quiet))
}

fn assert_failed_over(world: &MockWorld, context: &str) {
    let observation = block_on(observe(&topology(), &world.ports(), "test", None));
    let copy = observation.database(&"sql-s1".into(), &"mgc".into());
    let Known::Known(Some(copy)) = copy else { panic!("{context}: no copy") };
    assert!(copy.is_writable(), "{context}");
    let position = copy.log_position.known().unwrap();
    assert_eq!(position.last_restored_lsn.unwrap().get(), 1500, "{context}");
    let pool = observation.pool.as_ref().unwrap().known().unwrap();
    assert_eq!(pool.state.known(), Some(&PoolState::FailedOver), "{context}");
    assert!(copy.mirroring.known().unwrap().is_some(), "{context}");
    assert_eq!(world.active_servers().len(), 4, "{context}");
    assert!(plan(world).steps.is_empty(), "{context}: something is left to do");
    assert_eq!(pcdr_core::journal::first_broken(&world.journal()), None, "{context}");
}

#[test]
fn a_failure_of_any_step_is_finished_by_a_new_plan() {
    let words: Vec<String> = plan(&disaster()).steps.iter().map(Step::to_string).collect();
    assert!(words.len() > 15);
    for word in &words {
        let world = disaster();
        let error = InstanceError::new(ErrorCode::Server, "mock", "a", "it failed", "b");
        world.fail_next(word, error);
        let failed = apply(&world, &plan(&world)).unwrap_err();
        assert!(matches!(failed, RunError::Step { .. }), "{word}: {failed}");
        apply(&world, &plan(&world)).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_failed_over(&world, word);
    }
}

/// A crash is a future that is never polled again: at every point where a run waits for a port, drop
/// it, and finish with a new plan.
#[test]
fn a_crash_after_any_number_of_polls_is_finished_by_a_new_plan() {
    let mut crashes = 0;
    for polls in 0.. {
        let world = disaster();
        let plan_before = plan(&world);
        let owner = Owner { who: "test".into(), run: "r".into() };
        let topology = topology();
        let ports = yielding::ports(&world);
        let future = run::apply(&plan_before, &topology, &ports, &owner, &Quiet);
        if poll_at_most(future, polls).is_some() {
            break;
        }
        crashes += 1;
        // The same reviewed plan again: what is left of it is covered by its review.
        apply(&world, &plan_before).unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        assert_failed_over(&world, &format!("after {polls} polls"));
    }
    assert!(crashes > 40, "only {crashes} crash points were reached");
}

#[test]
fn the_remainder_never_repeats_a_restore_that_took_effect() {
    let world = disaster();
    let error = InstanceError::new(ErrorCode::Server, "mock", "a", "it failed", "b");
    world.fail_next("restore log 1300..1400", error);
    apply(&world, &plan(&world)).unwrap_err();
    let rest: Vec<String> = plan(&world).steps.iter().map(Step::to_string).collect();
    assert!(rest.iter().any(|step| step.contains("restore log 1300..1400")));
    assert!(!rest.iter().any(|step| step.contains("restore log 1200..1300")));
    assert!(!rest.iter().any(|step| step.contains("copy log backup")));
}

#[test]
fn a_second_run_is_refused_while_one_holds_the_lock() {
    let world = disaster();
    let ports = world.ports();
    let holder = Owner { who: "somebody".into(), run: "first".into() };
    let lock = block_on(ports.store.lock(&holder)).unwrap();
    let error = apply(&world, &plan(&world)).unwrap_err();
    let RunError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.code, ErrorCode::Locked);
    assert!(error.to_string().contains("somebody"), "{error}");
    drop(lock);
    apply(&world, &plan(&world)).unwrap();
}

#[test]
fn a_plan_whose_facts_have_changed_is_refused_and_the_difference_is_named() {
    let world = disaster();
    let reviewed = plan(&world);
    world.ship("mgc", 1500, 1600);
    let error = apply(&world, &reviewed).unwrap_err();
    let RunError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!(refusal.code(), "facts_changed");
    assert!(refusal.to_string().contains("log backups to restore into mgc"), "{refusal}");
    assert!(world.log().is_empty(), "nothing was changed");
}

/// Ports that yield once before every call, so that a run can be dropped between calls.
mod yielding {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use async_trait::async_trait;
    use pcdr_core::mock::MockWorld;
    use pcdr_core::observation::InstanceObservation;
    use pcdr_core::ports::{DatabaseInstance, LogShippingJobs, PoolControl, Ports, Progress};
    use pcdr_core::step::{DatabaseAction, LogShippingAction, PoolAction};
    use pcdr_core::{DatabaseName, InstanceError, InstanceName};

    struct Once(bool);

    impl Future for Once {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    struct Yielding<T: ?Sized>(Arc<T>);

    #[async_trait]
    impl DatabaseInstance for Yielding<dyn DatabaseInstance> {
        fn name(&self) -> &InstanceName {
            self.0.name()
        }

        async fn observe(
            &self,
            databases: &[DatabaseName],
        ) -> Result<InstanceObservation, InstanceError> {
            Once(false).await;
            self.0.observe(databases).await
        }

        async fn run(
            &self,
            database: &DatabaseName,
            action: &DatabaseAction,
            progress: &dyn Progress,
        ) -> Result<(), InstanceError> {
            Once(false).await;
            let result = self.0.run(database, action, progress).await;
            Once(false).await;
            result
        }
    }

    #[async_trait]
    impl LogShippingJobs for Yielding<dyn LogShippingJobs> {
        fn name(&self) -> &InstanceName {
            self.0.name()
        }

        async fn run(
            &self,
            database: &DatabaseName,
            action: &LogShippingAction,
            progress: &dyn Progress,
        ) -> Result<(), InstanceError> {
            Once(false).await;
            let result = self.0.run(database, action, progress).await;
            Once(false).await;
            result
        }
    }

    #[async_trait]
    impl PoolControl for Yielding<dyn PoolControl> {
        async fn observe(&self) -> Result<pcdr_core::observation::PoolObservation, InstanceError> {
            self.0.observe().await
        }

        async fn run(
            &self,
            action: &PoolAction,
            progress: &dyn Progress,
        ) -> Result<(), InstanceError> {
            Once(false).await;
            let result = self.0.run(action, progress).await;
            Once(false).await;
            result
        }
    }

    pub(crate) fn ports(world: &MockWorld) -> Ports {
        let mut ports = world.ports();
        for port in ports.instances.values_mut() {
            *port = Arc::new(Yielding(Arc::clone(port)));
        }
        for port in ports.jobs.values_mut() {
            *port = Arc::new(Yielding(Arc::clone(port)));
        }
        ports.pool = ports.pool.map(|port| Arc::new(Yielding(port)) as Arc<dyn PoolControl>);
        ports
    }
}

struct Quiet;

impl Watcher for Quiet {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

fn block_on<F: Future>(future: F) -> F::Output {
    poll_at_most(future, usize::MAX).expect("the mock never waits for ever")
}

/// Polls a future at most so often, then drops it.
fn poll_at_most<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..polls {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}
