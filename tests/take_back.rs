//! A configuration that fails half way is taken back: in whichever step, before or after its effect, and
//! whatever was there before.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_cli::connect::Connected;
use pcdr_cli::plan;
use pcdr_core::observation::InstanceObservation;
use pcdr_core::ports::{DatabaseInstance, LogShippingJobs, Owner, Ports, Progress};
use pcdr_core::run::{self, OnFailure, RunError, TakenBack};
use pcdr_core::step::{DatabaseAction, LogShippingAction};
use pcdr_core::{
    Consent, DatabaseName, ErrorCode, InstanceError, InstanceName, Intent, Plan, Topology,
};
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, name, virtually};

/// When the step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Nothing was done.
    Before,
    /// Its effect is there.
    After,
}

/// Fails one action, by its number from 1 in the order in which they are begun.
struct Fault {
    begun: AtomicUsize,
    at: usize,
    when: When,
}

impl Fault {
    async fn strike(
        &self,
        action: impl Future<Output = Result<(), InstanceError>>,
    ) -> Result<(), InstanceError> {
        if self.begun.fetch_add(1, Ordering::Relaxed) + 1 != self.at {
            return action.await;
        }
        if self.when == When::After {
            action.await?;
        }
        let found = format!("it fails {:?} its effect", self.when);
        Err(InstanceError::new(ErrorCode::Server, "test", "a step was needed", found, "Go on."))
    }
}

struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    fault: Arc<Fault>,
}

#[async_trait]
impl DatabaseInstance for Faulty<dyn DatabaseInstance> {
    fn name(&self) -> &InstanceName {
        self.inner.name()
    }

    async fn observe(&self, all: &[DatabaseName]) -> Result<InstanceObservation, InstanceError> {
        self.inner.observe(all).await
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &DatabaseAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.fault.strike(self.inner.run(database, action, progress)).await
    }
}

#[async_trait]
impl LogShippingJobs for Faulty<dyn LogShippingJobs> {
    fn name(&self) -> &InstanceName {
        self.inner.name()
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &LogShippingAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.fault.strike(self.inner.run(database, action, progress)).await
    }
}

fn faulty(ports: &Ports, at: usize, when: When) -> Ports {
    let fault = Arc::new(Fault { begun: AtomicUsize::new(0), at, when });
    let mut ports = ports.clone();
    for port in ports.instances.values_mut() {
        *port = Arc::new(Faulty { inner: Arc::clone(port), fault: Arc::clone(&fault) });
    }
    for port in ports.jobs.values_mut() {
        *port = Arc::new(Faulty { inner: Arc::clone(port), fault: Arc::clone(&fault) });
    }
    ports
}

/// A secondary besides, with a folder of its own.
fn with_a_further_secondary(text: &str) -> String {
    format!(
        "{text}\n[[instances]]\nname = \"sql-f1\"\nsite = \"south\"\nrole = \"further-secondary\"\n\
         host = \"sql-f1.example.net\"\nport = 1433\nservice_account = 'EXAMPLE\\sql-service'\n\
         [[shares]]\nname = \"further-copies\"\nsite = \"south\"\nunc = '\\\\sql-f1.example.net\\further'\n\
         [[log_shipping.further_secondaries]]\ninstance = \"sql-f1\"\ncopy_share = \"further-copies\"\n\
         restore_delay_minutes = 60\n"
    )
}

/// A monitor on a server of its own.
fn with_a_monitor(text: &str) -> String {
    format!(
        "{text}\n[[instances]]\nname = \"sql-m1\"\nsite = \"south\"\nrole = \"monitor\"\n\
         host = \"sql-m1.example.net\"\nport = 1433\nservice_account = 'EXAMPLE\\sql-service'\n"
    )
}

/// The design without the south's databases and mirrors: the log goes to the further secondary alone, which
/// is the secondary of this one.
fn only_the_further_secondary(text: &str) -> String {
    let mut file: toml::Table = text.parse().unwrap();
    file.remove("pool");
    let instances = file["instances"].as_array_mut().unwrap();
    instances.retain(|one| ["sql-n1", "sql-f1"].contains(&one["name"].as_str().unwrap()));
    for one in instances {
        if one["name"].as_str() == Some("sql-f1") {
            let one = one.as_table_mut().unwrap();
            one.insert("role".into(), "secondary".into());
        }
    }
    let shares = file["shares"].as_array_mut().unwrap();
    shares.retain(|one| one["name"].as_str() != Some("log-copies"));
    let shipping = file["log_shipping"].as_table_mut().unwrap();
    shipping.remove("further_secondaries");
    shipping.insert("copy_share".into(), "further-copies".into());
    shipping.insert("backup_retention_minutes".into(), 1440.into());
    shipping.insert("backup_every".into(), "22h".into());
    shipping.insert("restore_delay_minutes".into(), 180.into());
    toml::to_string(&file).unwrap()
}

struct Scene {
    stage: Stage,
    topology: Topology,
    connected: Connected,
}

impl Scene {
    fn of(stage: Stage, change: impl Fn(&str) -> String) -> Scene {
        let (topology, connected) = stage.reconnect(change);
        Scene { stage, topology, connected }
    }

    async fn plan(&self) -> Plan {
        let consents = [Consent::SetRecoveryFull];
        let ports = &self.connected.ports;
        let made = plan::make(Intent::Configure, &self.topology, ports, &consents).await;
        made.unwrap_or_else(|failure| panic!("{}", failure.text(false))).0
    }

    async fn apply(&self, on_failure: OnFailure, ports: &Ports) -> Result<(), RunError> {
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let plan = self.plan().await;
        let ended = run::apply_or(on_failure, &plan, &self.topology, ports, &who, &Unseen).await;
        ended.map(|_| ())
    }
}

/// What a failed run took back.
fn taken_back(ended: Result<(), RunError>, context: &str) -> TakenBack {
    match ended {
        Err(RunError::Step { taken_back: Some(taken_back), .. }) => *taken_back,
        other => panic!("{context}: {other:?}"),
    }
}

/// Fails every step of a scene's configuration, before and after its effect: each time, all is as it was.
/// Then configures; how many steps there were.
async fn every_step_is_taken_back(scene: &Scene) -> usize {
    steps_are_taken_back(scene, |_| true).await
}

/// As [`every_step_is_taken_back`], for the steps whose wording is chosen.
async fn steps_are_taken_back(scene: &Scene, is_tried: impl Fn(&str) -> bool) -> usize {
    let before = scene.stage.snapshot().await;
    let steps = scene.plan().await.steps.len();
    // What a step leaves that fails before its effect is what the one before it left.
    let before_too = (1..=steps).step_by(4).map(|at| (at, When::Before));
    for (at, when) in (1..=steps).map(|at| (at, When::After)).chain(before_too) {
        tokio::time::sleep(Duration::from_secs(2)).await; // new files are named after the second
        let plan = scene.plan().await;
        assert_eq!(plan.steps.len(), steps);
        if !is_tried(&plan.steps[at - 1].to_string()) {
            continue;
        }
        let context = format!("step {at} ({}) fails {when:?} its effect", plan.steps[at - 1]);
        let ports = faulty(&scene.connected.ports, at, when);
        let result = taken_back(scene.apply(OnFailure::TakeBack, &ports).await, &context);
        assert!(result.is_complete(), "{context}: {result:#?}");
        assert_eq!(result.notes, Vec::<String>::new(), "{context}");
        scene.stage.taken_back_to(&before, &context).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // What was taken back is in nobody's way.
    scene.apply(OnFailure::TakeBack, &scene.connected.ports).await.unwrap();
    assert!(scene.plan().await.steps.is_empty());
    steps
}

#[test]
fn a_set_up_from_nothing_is_taken_back_whichever_step_fails() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let simple = "ALTER DATABASE mgc SET RECOVERY SIMPLE;".to_owned();
        stage.workload.send(&name("sql-n1"), simple).await.unwrap();
        let steps = every_step_is_taken_back(&Scene::of(stage, str::to_owned)).await;
        assert!(steps >= 25, "{steps} steps");
    });
}

/// The primary ships its log to a further secondary already, with other settings and other jobs; one
/// endpoint is there and stopped, another one started.
#[test]
fn a_set_up_beside_another_one_is_taken_back_to_it() {
    virtually(async {
        let stage = Stage::bare(&with_a_further_secondary(STRETCHED)).await;
        let scene = Scene::of(stage, only_the_further_secondary);
        scene.apply(OnFailure::TakeBack, &scene.connected.ports).await.unwrap();
        let stage = scene.stage;
        for (at, port, state) in [("sql-n2", 5022, "STOPPED"), ("sql-n3", 7022, "STARTED")] {
            let port = stage.topology().instance(&name(at)).map_or(port, |i| i.mirroring_port);
            let create = format!(
                "CREATE ENDPOINT [by hand] STATE = {state} AS TCP (LISTENER_PORT = {port}) FOR \
                 DATABASE_MIRRORING (ROLE = ALL)"
            );
            stage.workload.send(&name(at), create).await.unwrap();
        }
        let scene = Scene::of(stage, str::to_owned);
        let words: Vec<String> = scene.plan().await.steps.iter().map(ToString::to_string).collect();
        for part in ["change log shipping primary mgc", "change log shipping secondary mgc"] {
            assert!(words.iter().any(|step| step.contains(part)), "{part}: {words:#?}");
        }
        let steps = every_step_is_taken_back(&scene).await;
        assert!(steps >= 20, "{steps} steps");
    });
}

/// What the monitor on a third server knows goes, too, and its alert job.
#[test]
fn a_set_up_with_a_monitor_is_taken_back_there_too() {
    virtually(async {
        let stage = Stage::bare(&with_a_monitor(STRETCHED)).await;
        let scene = Scene::of(stage, str::to_owned);
        let steps = steps_are_taken_back(&scene, |step| {
            ["configure mgc as", "alert job", "register"].iter().any(|part| step.contains(part))
        })
        .await;
        assert!(steps >= 20, "{steps} steps");
        let seen = scene.stage.observe().await;
        let monitor = seen.instances[&name("sql-m1")].known().unwrap();
        assert!(monitor.alert_job.known().unwrap().is_some());
        let watched = monitor.log_shipping_monitored.known().unwrap();
        assert_eq!(watched.len(), 3, "the primary, its mirror and the secondary: {watched:?}");

        // The monitor goes away while an entry is made: nothing of it stays anywhere.
        let off = Intent::Remove { mirroring: false };
        let (topology, ports) = (&scene.topology, &scene.connected.ports);
        let remove = plan::make(off, topology, ports, &[]).await;
        let (remove, _) = remove.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let who = Owner { who: "test".into(), run: plan::new_run() };
        run::apply(&remove, topology, ports, &who, &Unseen).await.unwrap();
        let seen = scene.stage.observe().await;
        let monitor = seen.instances[&name("sql-m1")].known().unwrap();
        assert!(monitor.alert_job.known().unwrap().is_none(), "removed with the last entry");
        assert!(monitor.log_shipping_monitored.known().unwrap().is_empty());

        let before = scene.stage.snapshot().await;
        let plan = scene.plan().await;
        let Scene { stage, topology, connected } = scene;
        let stage = Arc::new(stage);
        let at =
            plan.steps.iter().find(|step| step.to_string().contains("as log shipping primary"));
        let struck = Arc::clone(&stage);
        let away = AtStep::new(at.unwrap().id.0, move |_| {
            tokio::spawn(async move {
                struck.stand_in.lose_instance("sql-m1").await.unwrap();
                tokio::time::sleep(Duration::from_secs(30)).await;
                struck.stand_in.return_instance("sql-m1").await.unwrap();
            });
        });
        let ended = run::apply(&plan, &topology, &connected.ports, &who, &away).await.map(|_| ());
        let result = taken_back(ended, "the monitor goes away");
        assert!(result.is_complete(), "{result:#?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.taken_back_to(&before, "the monitor goes away").await;
    });
}
