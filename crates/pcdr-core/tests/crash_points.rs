//! Level-triggered: a run that dies at any step is finished by a new plan.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use pcdr_core::drill::{DrillOutcome, Place, observe_for_a_drill};
use pcdr_core::known::Known;
use pcdr_core::mock::MockWorld;
use pcdr_core::observation::{
    DatabaseObservation, DatabaseState, MirroringRole, MirroringState, PoolState, RecoveryModel,
};
use pcdr_core::observe::observe;
use pcdr_core::plan::FailoverBy;
use pcdr_core::ports::{Owner, Unwatched};
use pcdr_core::rights::{Command, Duty, duties, rights};
use pcdr_core::run::{self, OnFailure, RunError, Watcher};
use pcdr_core::step::{DatabaseAction, NewPrincipal, Step};
use pcdr_core::{Consent, Intent, Plan, Situation, Topology};
use pcdr_core::{ErrorCode, InstanceError, Timestamp};

fn topology() -> Topology {
    let place = Place { instance: "sql-s1".into(), directory: "S:\\drill".to_owned() };
    Topology::parse(pcdr_core::topology::EXAMPLE).unwrap().with_drill(place)
}

/// A procedure, the world it starts in, and what it ends in.
struct Procedure {
    name: &'static str,
    intent: Intent,
    consents: &'static [Consent],
    world: fn() -> MockWorld,
    /// Checks the world after the last step.
    prove: fn(&MockWorld, &str),
    /// Steps and crash points that there are at least.
    steps: usize,
    crashes: usize,
}

const DISASTER: Procedure = Procedure {
    name: "disaster failover",
    intent: Intent::DisasterFailover,
    consents: &[Consent::PrimarySiteLost],
    world: disaster,
    prove: prove_failed_over,
    steps: 16,
    crashes: 40,
};

const fn to_the_mirror(by: FailoverBy) -> Intent {
    Intent::MirrorFailover { new_principal: NewPrincipal::Mirror, by }
}

const PROCEDURES: [Procedure; 12] = [
    DISASTER,
    Procedure {
        name: "configure",
        intent: Intent::Configure,
        consents: &[],
        world: || MockWorld::new(topology()),
        prove: prove_configured,
        steps: 20,
        crashes: 40,
    },
    Procedure {
        name: "configure from nothing",
        intent: Intent::Configure,
        consents: &[Consent::SetRecoveryFull],
        world: bare,
        prove: prove_configured,
        steps: 25,
        crashes: 50,
    },
    Procedure {
        name: "fence",
        intent: Intent::Fence,
        consents: &[],
        world: returned,
        prove: |world, context| {
            let state = copy(world, "sql-n1", "mgc").state;
            assert_eq!(state, DatabaseState::Restoring, "{context}");
            assert!(copy(world, "sql-s1", "mgc").is_writable(), "{context}");
        },
        steps: 6,
        crashes: 12,
    },
    Procedure {
        name: "failback",
        intent: Intent::Failback,
        consents: &[],
        world: || {
            let world = returned();
            apply(&world, &planned(&world, Intent::Fence, &[])).unwrap();
            world
        },
        prove: |world, context| {
            assert!(copy(world, "sql-n1", "mgc").is_writable(), "{context}");
            let state = copy(world, "sql-s1", "mgc").state;
            assert_eq!(state, DatabaseState::Restoring, "{context}");
            let observation = block_on(observe(&topology(), &world.ports(), "test", None));
            let pool = observation.pool.as_ref().unwrap().known().unwrap();
            assert_eq!(pool.state.known(), Some(&PoolState::Normal), "{context}");
            assert_eq!(world.active_servers().len(), 4, "{context}");
        },
        steps: 19,
        crashes: 40,
    },
    Procedure {
        name: "planned failover",
        intent: Intent::PlannedFailover,
        consents: &[],
        world: || {
            let world = configured();
            world.ship("mgc", 1000, 1250);
            world.ship("mgc", 1250, 1400);
            world
        },
        prove: |world, context| {
            // The mock's tail holds a hundred positions.
            prove_failed_over(world, context);
            let primary = copy(world, "sql-n1", "mgc");
            assert_eq!(primary.state, DatabaseState::Restoring, "{context}: fenced");
            let tail = primary.log_position.known().unwrap().redo_start_lsn;
            assert_eq!(tail.unwrap().get(), 1500, "{context}");
        },
        steps: 22,
        crashes: 50,
    },
    Procedure {
        name: "mirror failover of two databases",
        intent: to_the_mirror(FailoverBy::TSql),
        consents: &[],
        world: || {
            let world = configured();
            mirror_the_compliance_database(&world);
            world
        },
        prove: |world, context| {
            prove_principal(world, "mgc", MirroringState::Synchronized, context);
            prove_principal(world, "mgccomp", MirroringState::Synchronized, context);
        },
        steps: 4,
        crashes: 8,
    },
    Procedure {
        name: "mirror failover by cmdlet",
        intent: to_the_mirror(FailoverBy::Cmdlet),
        consents: &[],
        world: configured,
        prove: |world, context| {
            prove_principal(world, "mgc", MirroringState::Synchronized, context);
        },
        steps: 2,
        crashes: 5,
    },
    Procedure {
        name: "forced service",
        intent: to_the_mirror(FailoverBy::TSql),
        consents: &[Consent::ForceService],
        world: || {
            let world = configured();
            world.lose_instance("sql-n1");
            world
        },
        prove: |world, context| {
            // Its old principal is away, so it is seen disconnected or suspended alike.
            prove_principal(world, "mgc", MirroringState::Suspended, context);
        },
        steps: 1,
        crashes: 3,
    },
    Procedure {
        name: "remove",
        intent: Intent::Remove { mirroring: false },
        consents: &[],
        world: configured,
        prove: |world, context| prove_removed(world, true, context),
        steps: 6,
        crashes: 12,
    },
    Procedure {
        name: "drill",
        intent: Intent::Drill,
        consents: &[],
        world: || {
            let world = configured();
            world.ship("mgc", 1000, 1250);
            world.ship("mgc", 1250, 1400);
            world
        },
        prove: |world, context| {
            // Its copy is gone, it is on record, and production is as it was.
            assert_eq!(world.databases_beside("sql-s1"), [], "{context}");
            let records = pcdr_core::drill::latest(&world.journal());
            let [record] = &records[&"mgc".into()][..] else { panic!("{context}: {records:?}") };
            assert_eq!(record.outcome, DrillOutcome::Proven, "{context}");
            assert_eq!((record.up_to_lsn.get(), record.log_backups), (1400, 2), "{context}");
            assert_eq!(record.phases.len(), 5, "{context}: {record:?}");
            let untouched = configured();
            untouched.ship("mgc", 1000, 1250);
            untouched.ship("mgc", 1250, 1400);
            assert_eq!(observed(world), observed(&untouched), "{context}");
        },
        steps: 6,
        crashes: 12,
    },
    Procedure {
        name: "remove with mirroring",
        intent: Intent::Remove { mirroring: true },
        consents: &[],
        world: configured,
        prove: |world, context| prove_removed(world, false, context),
        steps: 8,
        crashes: 16,
    },
];

fn disaster() -> MockWorld {
    let world = MockWorld::new(topology());
    for first in (1000..1500).step_by(100) {
        world.ship("mgc", first, first + 100);
    }
    ["sql-n1", "sql-n2", "sql-n3"].iter().for_each(|name| world.lose_instance(name));
    world
}

/// Failed over, and the primary site is there again, as it was.
fn returned() -> MockWorld {
    let world = configured();
    world.ship("mgc", 1000, 1100);
    ["sql-n1", "sql-n2", "sql-n3"].iter().for_each(|name| world.lose_instance(name));
    apply(&world, &DISASTER.plan(&world)).unwrap();
    ["sql-n1", "sql-n2", "sql-n3"].iter().for_each(|name| world.return_instance(name));
    world
}

/// The database on the primary, in recovery model SIMPLE, and nothing else anywhere.
fn bare() -> MockWorld {
    let world = MockWorld::new(topology());
    world.change_instance("sql-n1", |seen| {
        let Known::Known(databases) = &mut seen.databases else { return };
        if let Some(copy) = databases.get_mut(&"mgc".into()) {
            copy.recovery_model = RecoveryModel::Simple;
        }
    });
    world.change_instance("sql-s1", |seen| {
        seen.databases = Known::Known(BTreeMap::new());
        seen.log_shipping_secondary = Known::Known(BTreeMap::new());
    });
    world
}

/// Mirrored and log-shipped, as configure leaves it.
fn configured() -> MockWorld {
    let world = MockWorld::new(topology());
    let configure = planned(&world, Intent::Configure, &[]);
    apply(&world, &configure).unwrap();
    world
}

fn mirror_the_compliance_database(world: &MockWorld) {
    let topology = topology();
    for (instance, partner) in [("sql-n2", "sql-n1"), ("sql-n1", "sql-n2")] {
        let address = topology.instance(&partner.into()).unwrap().mirroring_address();
        world.change_instance(instance, |seen| {
            let Known::Known(databases) = &mut seen.databases else { return };
            let copy = databases[&"mgc".into()].clone();
            databases.insert("mgccomp".into(), copy);
        });
        let set = DatabaseAction::SetPartner { address };
        let port = &world.ports().instances[&instance.into()];
        block_on(port.run(&"mgccomp".into(), &set, &Unwatched)).unwrap();
    }
}

fn planned(world: &MockWorld, intent: Intent, consents: &[Consent]) -> Plan {
    let topology = topology();
    let consents = consents.iter().copied().collect();
    let ports = world.ports();
    let observation = match intent {
        Intent::Drill => block_on(observe_for_a_drill(&topology, &ports, "test", topology.drill())),
        _ => block_on(observe(&topology, &ports, "test", None)),
    };
    let now = world.now();
    let situation = Situation::new(&topology, &observation, &consents, now);
    run::plan(intent, &situation).unwrap()
}

impl Procedure {
    fn plan(&self, world: &MockWorld) -> Plan {
        planned(world, self.intent, self.consents)
    }

    fn prove(&self, world: &MockWorld, context: &str) {
        let context = format!("{} {context}", self.name);
        (self.prove)(world, &context);
        // A drill that ended leaves nothing that it could find done.
        let repeats = self.intent == Intent::Drill;
        assert!(repeats || self.plan(world).steps.is_empty(), "{context}: something is left to do");
        assert_eq!(pcdr_core::journal::first_broken(&world.journal()), None, "{context}");
    }
}

fn plan(world: &MockWorld) -> Plan {
    DISASTER.plan(world)
}

fn apply(world: &MockWorld, plan: &Plan) -> Result<run::Report, RunError> {
    let owner = Owner { who: "test".into(), run: "r".into() };
    block_on(run::apply(plan, &topology(), &world.ports(), &owner, &Quiet))
}

fn copy(world: &MockWorld, instance: &str, database: &str) -> DatabaseObservation {
    let observation = block_on(observe(&topology(), &world.ports(), "test", None));
    match observation.database(&instance.into(), &database.into()) {
        Known::Known(Some(copy)) => copy.clone(),
        other => panic!("{database} on {instance}: {other:?}"),
    }
}

fn prove_failed_over(world: &MockWorld, context: &str) {
    let observation = block_on(observe(&topology(), &world.ports(), "test", None));
    let copy = copy(world, "sql-s1", "mgc");
    assert!(copy.is_writable(), "{context}");
    let position = copy.log_position.known().unwrap();
    assert_eq!(position.last_restored_lsn.unwrap().get(), 1500, "{context}");
    let pool = observation.pool.as_ref().unwrap().known().unwrap();
    assert_eq!(pool.state.known(), Some(&PoolState::FailedOver), "{context}");
    assert!(copy.mirroring.known().unwrap().is_some(), "{context}");
    assert_eq!(world.active_servers().len(), 4, "{context}");
}

fn prove_principal(world: &MockWorld, database: &str, state: MirroringState, context: &str) {
    let copy = copy(world, "sql-n2", database);
    assert!(copy.is_writable(), "{context}");
    let session = copy.mirroring.known().unwrap().clone().unwrap();
    assert_eq!((session.role, session.state), (MirroringRole::Principal, state), "{context}");
}

fn prove_configured(world: &MockWorld, context: &str) {
    let observation = block_on(observe(&topology(), &world.ports(), "test", None));
    let drift = pcdr_core::drift::drift(&topology(), &observation);
    assert_eq!(drift, [], "{context}");
    let primary = copy(world, "sql-n1", "mgc");
    assert!(primary.is_writable(), "{context}");
    let session = primary.mirroring.known().unwrap().clone().unwrap();
    assert_eq!(session.role, MirroringRole::Principal, "{context}");
}

fn prove_removed(world: &MockWorld, is_mirrored: bool, context: &str) {
    let observation = block_on(observe(&topology(), &world.ports(), "test", None));
    for (name, seen) in &observation.instances {
        let seen = seen.known().unwrap();
        let primaries = seen.log_shipping_primary.known().unwrap();
        let secondaries = seen.log_shipping_secondary.known().unwrap();
        assert!(primaries.is_empty() && secondaries.is_empty(), "{context}: {name}");
    }
    for instance in ["sql-n1", "sql-n2", "sql-s1"] {
        copy(world, instance, "mgc"); // no database is dropped
    }
    let session = copy(world, "sql-n1", "mgc").mirroring.known().unwrap().is_some();
    assert_eq!(session, is_mirrored, "{context}");
}

/// The command that carries an intent out.
fn command(intent: Intent) -> Command {
    match intent {
        Intent::Configure | Intent::TakeBack => Command::Configure,
        Intent::DisasterFailover => Command::Failover,
        Intent::PlannedFailover => Command::PlannedFailover,
        Intent::Fence => Command::Fence,
        Intent::Failback => Command::Failback,
        Intent::MirrorFailover { .. } => Command::MirrorFailover,
        Intent::Remove { .. } => Command::Remove,
        Intent::Drill => Command::Drill,
    }
}

#[test]
fn no_step_takes_a_right_that_is_not_written_for_its_command() {
    let topology = topology();
    let mut met = BTreeSet::new();
    for procedure in &PROCEDURES {
        let written = rights(command(procedure.intent), &topology).instances;
        for step in &procedure.plan(&(procedure.world)()).steps {
            let Some(name) = step.action.instance() else { continue };
            let own = written.iter().find(|of| of.instance == *name).unwrap();
            for duty in duties(&step.action) {
                met.insert(*duty);
                for need in duty.needs(&topology, true) {
                    let has = own.needs.iter().any(|own| own.right == need.right);
                    assert!(
                        has || own.needs_sysadmin(),
                        "{}: {step}: {}",
                        procedure.name,
                        need.right
                    );
                }
            }
        }
    }
    for duty in [Duty::AdministerLogShipping, Duty::CreateEndpoint, Duty::BackUp, Duty::OperateJobs]
    {
        assert!(met.contains(&duty), "no procedure has {duty:?}: {met:?}");
    }
}

#[test]
fn a_failure_of_any_step_is_finished_by_a_new_plan() {
    let mut exact = 0;
    for procedure in &PROCEDURES {
        let steps = procedure.plan(&(procedure.world)()).steps.clone();
        assert!(steps.len() >= procedure.steps, "{}: {} steps", procedure.name, steps.len());
        for word in steps.iter().map(Step::to_string) {
            let world = (procedure.world)();
            let error = InstanceError::new(ErrorCode::Server, "mock", "a", "it failed", "b");
            world.fail_next(&word, error);
            let before = observed(&world);
            let failed = apply(&world, &procedure.plan(&world)).unwrap_err();
            let RunError::Step { taken_back, .. } = &failed else { panic!("{word}: {failed}") };
            if procedure.intent == Intent::Configure {
                let taken_back = taken_back.as_ref().unwrap();
                assert!(taken_back.is_complete(), "{word}: {taken_back:#?}");
                if taken_back.notes.is_empty() {
                    assert_eq!(before, observed(&world), "{word}: {taken_back:#?}");
                    exact += 1;
                }
            } else {
                assert_eq!(*taken_back, None, "{word}");
            }
            apply(&world, &procedure.plan(&world))
                .unwrap_or_else(|error| panic!("{word}: {error}"));
            procedure.prove(&world, &word);
        }
    }
    assert!(exact >= 25, "only {exact} configurations were taken back to what was there");
}

/// What is kept of a configuration that failed is finished, too, by the plan that failed.
#[test]
fn a_failure_that_is_kept_is_finished_by_the_same_plan() {
    for procedure in PROCEDURES.iter().filter(|one| one.intent == Intent::Configure) {
        for word in procedure.plan(&(procedure.world)()).steps.iter().map(Step::to_string) {
            let world = (procedure.world)();
            let plan = procedure.plan(&world);
            let error = InstanceError::new(ErrorCode::Server, "mock", "a", "it failed", "b");
            world.fail_next(&word, error);
            let owner = Owner { who: "test".into(), run: "r".into() };
            let (topology, ports) = (topology(), world.ports());
            let run = run::apply_or(OnFailure::Keep, &plan, &topology, &ports, &owner, &Quiet);
            let failed = block_on(run).unwrap_err();
            let RunError::Step { taken_back: None, .. } = failed else { panic!("{word}") };
            apply(&world, &plan).unwrap_or_else(|error| panic!("{word}: {error}"));
            procedure.prove(&world, &word);
        }
    }
}

/// Everything that is seen of the instances, but for when.
fn observed(world: &MockWorld) -> serde_json::Value {
    let mut observation = block_on(observe(&topology(), &world.ports(), "test", None));
    for seen in observation.instances.values_mut() {
        if let Known::Known(seen) = seen {
            seen.observed_at = Timestamp::from_unix_millis(0);
        }
    }
    serde_json::to_value(&observation.instances).unwrap()
}

/// Restores another database under the name when the run begins to.
struct SomebodyElse(MockWorld);

impl Watcher for SomebodyElse {
    fn started(&self, step: &Step) {
        if !step.to_string().starts_with("sql-s1: restore database mgc") {
            return;
        }
        let mut other = copy(&self.0, "sql-n1", "mgc");
        other.state = DatabaseState::Restoring;
        other.mirroring = Known::Known(None);
        if let Known::Known(position) = &mut other.log_position {
            position.family = pcdr_core::Guid(0xBEEF);
            position.redo_start_lsn = pcdr_core::Lsn::new(7);
        }
        self.0.change_instance("sql-s1", |seen| {
            let Known::Known(databases) = &mut seen.databases else { return };
            databases.insert("mgc".into(), other);
        });
    }
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

#[test]
fn taking_back_drops_no_copy_of_another_database_that_came_meanwhile() {
    let world = MockWorld::new(topology());
    world.change_instance("sql-s1", |seen| {
        let (Known::Known(databases), Known::Known(entries)) =
            (&mut seen.databases, &mut seen.log_shipping_secondary)
        else {
            return;
        };
        databases.clear();
        entries.clear();
    });
    let plan = planned(&world, Intent::Configure, &[]);
    let error = InstanceError::new(ErrorCode::Server, "mock", "a", "it exists", "b");
    world.fail_next("sql-s1: restore database mgc", error);
    let owner = Owner { who: "test".into(), run: "r".into() };
    let watcher = SomebodyElse(world.clone());
    let failed = block_on(run::apply(&plan, &topology(), &world.ports(), &owner, &watcher));
    assert!(matches!(failed, Err(RunError::Step { .. })), "{failed:?}");
    let there = copy(&world, "sql-s1", "mgc");
    assert_eq!(there.log_position.known().unwrap().family, pcdr_core::Guid(0xBEEF));
    assert!(
        !world.log().iter().any(|did| did.contains("sql-s1: drop the copy")),
        "{:?}",
        world.log()
    );
}

/// A crash is a future that is never polled again: at every point where a run waits for a port, drop
/// it, and finish with a new plan.
#[test]
fn a_crash_after_any_number_of_polls_is_finished_by_a_new_plan() {
    for procedure in &PROCEDURES {
        let mut crashes = 0;
        for polls in 0.. {
            let world = (procedure.world)();
            let plan_before = procedure.plan(&world);
            let owner = Owner { who: "test".into(), run: "r".into() };
            let topology = topology();
            let ports = yielding::ports(&world);
            let future = run::apply(&plan_before, &topology, &ports, &owner, &Quiet);
            if poll_at_most(future, polls).is_some() {
                break;
            }
            crashes += 1;
            let context = format!("{} after {polls} polls", procedure.name);
            // The same reviewed plan again: what is left of it is covered by its review.
            apply(&world, &plan_before).unwrap_or_else(|error| panic!("{context}: {error}"));
            procedure.prove(&world, &context);
        }
        let name = procedure.name;
        assert!(crashes >= procedure.crashes, "{name}: only {crashes} crash points were reached");
    }
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
    use pcdr_core::drill::{Beside, BesideQuestion};
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

        async fn look_beside(&self, question: &BesideQuestion) -> Result<Beside, InstanceError> {
            Once(false).await;
            self.0.look_beside(question).await
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
