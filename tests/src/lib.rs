//! A stand-in in virtual time, configured and loaded through the same code that runs against servers,
//! with hooks to let things go wrong inside a step.

#![allow(clippy::missing_panics_doc, reason = "support for tests: it panics where a test fails")]
#![allow(missing_docs, reason = "names of a test's harness say what they do")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_cli::connect::{self, Connected, Way};
use pcdr_cli::failure::Failure;
use pcdr_cli::meter::CountedDialer;
use pcdr_cli::output;
use pcdr_cli::plan;
use pcdr_cli::topology_file::TopologyFile;
use pcdr_cli::workload::{self, Reach, Workload};
use pcdr_cli::world::{self, StandIn};
use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, Report, RunError, Watcher};
use pcdr_core::{
    Consent, DatabaseName, InstanceError, InstanceName, Intent, Observation, Plan, Refusal, Step,
    Timestamp, Topology,
};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_skype::{Output, ShellTransport, TransportError};
use pcdr_sql::{Dialer, Fleet, FleetOptions, Limits};

/// The example topology.
pub const STRETCHED: &str = pcdr_core::topology::EXAMPLE;

/// The example with more log-shipped databases beside `mgc`.
pub fn with_databases(names: &[&str]) -> String {
    let more: String =
        names.iter().map(|name| format!("[[databases]]\nname = {name:?}\n")).collect();
    STRETCHED.replace("[pool]\n", &format!("{more}\n[pool]\n"))
}

/// When the time of every stage begins, 2026-03-02T08:00:00Z: what a test sees depends on no clock.
const BEGINS_AT: Timestamp = Timestamp::from_unix_millis(1_772_438_400_000);

/// Runs a test in virtual time on one thread.
pub fn virtually<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(test)
}

/// A small generator: the same seed makes the same choices.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    /// An index into something that holds so many.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap()
    }
}

/// What a shell's process may do besides its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellFault {
    /// It is ended before it did anything.
    Before,
    /// It is ended after it did everything, and nobody heard of it.
    After,
}

/// The Management Shell with faults.
#[derive(Debug)]
pub struct FaultyShell {
    inner: Arc<dyn ShellTransport>,
    next: Mutex<Option<ShellFault>>,
    /// Every script and what it printed.
    pub said: Mutex<String>,
}

impl FaultyShell {
    pub fn heal(&self) {
        *self.next.lock().unwrap() = None;
    }

    pub fn fail_next(&self, fault: ShellFault) {
        *self.next.lock().unwrap() = Some(fault);
    }
}

#[async_trait]
impl ShellTransport for FaultyShell {
    async fn run(&self, script: &str) -> Result<Output, TransportError> {
        let fault = self.next.lock().unwrap().take();
        let broken = || TransportError::Broken(std::io::Error::other("the test ended it"));
        if fault == Some(ShellFault::Before) {
            return Err(broken());
        }
        let output = self.inner.run(script).await?;
        let mut said = self.said.lock().unwrap();
        for text in [script, &output.stdout, &output.stderr] {
            said.push_str(text);
        }
        if fault == Some(ShellFault::After) { Err(broken()) } else { Ok(output) }
    }
}

/// Where there is no pool there is no Management Shell, and nobody asks for it.
#[derive(Debug)]
struct NoShell;

#[async_trait]
impl ShellTransport for NoShell {
    async fn run(&self, _script: &str) -> Result<Output, TransportError> {
        Err(TransportError::Broken(std::io::Error::other("the topology has no pool")))
    }
}

/// What was written to one database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Records up to this number are in a log backup in the backup share.
    pub shipped: u64,
    /// Records up to this number were accepted.
    pub all: u64,
}

pub struct Stage {
    pub stand_in: StandIn,
    pub connected: Connected,
    pub workload: Workload,
    pub shell: Arc<FaultyShell>,
    pub written: BTreeMap<DatabaseName, Written>,
    pub folder: PathBuf,
    dialer: Arc<dyn Dialer>,
    reconnected: AtomicU64,
    /// Everything that anybody was told.
    pub told: Mutex<String>,
    _temporary: tempfile::TempDir,
}

impl Stage {
    /// Mirroring and log shipping configured by pcdr; three log backups shipped: the last one only
    /// backed up, the one before only copied; more records are in none.
    pub async fn working(topology: &str) -> Stage {
        let mut stage = Stage::bare(topology).await;
        let configure = plan::make(Intent::Configure, stage.topology(), stage.ports(), &[]).await;
        let (configure, _) = configure.unwrap_or_else(|failure| panic!("{failure:?}"));
        stage.apply(&configure, &Unseen).await.unwrap_or_else(|error| panic!("{error}"));
        for reach in [Reach::Restored, Reach::Copied, Reach::BackedUp] {
            stage.write(5).await;
            stage.ship(reach).await;
        }
        stage.write(3).await;
        stage
    }

    /// As [`Stage::working`], and then the primary's site is lost.
    pub async fn struck(topology: &str) -> Stage {
        let stage = Stage::working(topology).await;
        stage.strike().await;
        stage
    }

    /// Served, with databases and nothing else.
    pub async fn bare(topology: &str) -> Stage {
        // Every path of a stage is hostile.
        let temporary = tempfile::Builder::new().prefix("a b'c \"ü]中 ").tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let path = folder.join("designed.toml");
        // No job shall come due while a test looks: tests run the jobs themselves.
        std::fs::write(&path, topology.replace("_every = \"15m\"", "_every = \"23h\"")).unwrap();
        let designed = TopologyFile::read(&path).unwrap_or_else(|failure| {
            panic!("{}", failure.text(false));
        });
        let in_flight = InFlight::new();
        tokio::spawn(in_flight.clone().keep_awake());
        let plan = world::Plan {
            folder: folder.clone(),
            seed: 1,
            begins_at: Some(BEGINS_AT),
            in_flight: Some(in_flight.clone()),
            meter: None,
            shell_command: Vec::new(),
        };
        let stand_in = StandIn::build(&designed, plan).await;
        let stand_in = stand_in.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let dialer: Arc<dyn Dialer> = Arc::new(CountedDialer { in_flight: Some(in_flight) });
        let shell = Arc::new(FaultyShell {
            inner: stand_in.shell_transport().unwrap_or_else(|| Arc::new(NoShell)),
            next: Mutex::default(),
            said: Mutex::default(),
        });
        let way = Way {
            dialer: Arc::clone(&dialer),
            shell: Some(Arc::clone(&shell) as Arc<dyn ShellTransport>),
            clock: stand_in.clock(),
            trace: Some(kept::trace_to(&folder.join("sent.sql"))),
            folder: folder.join("state"),
        };
        let connected = connect::connect(&stand_in.file.topology, &way).unwrap();
        let workload = Workload::new(&stand_in.file.topology, &dialer, None).unwrap();
        workload.create_databases().await.unwrap();
        Stage {
            stand_in,
            connected,
            workload,
            shell,
            written: BTreeMap::new(),
            folder,
            dialer,
            reconnected: AtomicU64::new(0),
            told: Mutex::default(),
            _temporary: temporary,
        }
    }

    pub fn topology(&self) -> &Topology {
        &self.stand_in.file.topology
    }

    pub fn ports(&self) -> &Ports {
        &self.connected.ports
    }

    /// Ports over connections of their own that give up sooner.
    pub fn ports_within(&self, limits: Limits) -> Ports {
        let dialer = Arc::clone(&self.dialer);
        let options = FleetOptions { dialer, limits, ..FleetOptions::default() };
        let fleet = Fleet::connect(self.topology(), &options).unwrap();
        Ports {
            instances: fleet.database_instances(),
            jobs: fleet.log_shipping_jobs(),
            files: fleet.files(),
            ..self.ports().clone()
        }
    }

    /// How bytes reach the instances.
    pub fn dialer(&self) -> Arc<dyn Dialer> {
        Arc::clone(&self.dialer)
    }

    /// Another program with connections of its own.
    pub fn another_program(&self) -> Workload {
        Workload::new(self.topology(), &self.dialer, None).unwrap()
    }

    pub fn secondary(&self) -> &str {
        &self.topology().secondary().server_name
    }

    /// Writes records into every database on the primary.
    pub async fn write(&mut self, count: u64) {
        let topology = self.stand_in.file.topology.clone();
        for database in topology.databases() {
            let so_far = self.written.entry(database.clone()).or_default();
            let now = self.connected.ports.clock.now().unix_millis();
            let numbers = so_far.all + 1..so_far.all + 1 + count;
            let primary = &topology.primary().name;
            self.workload.write(primary, database, numbers, now).await.unwrap();
            so_far.all += count;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }

    /// Ships the log of every database once.
    pub async fn ship(&mut self, reach: Reach) {
        let topology = self.stand_in.file.topology.clone();
        for database in topology.databases() {
            let primary = &topology.primary().name;
            workload::ship(&topology, self.ports(), primary, database, reach).await.unwrap();
            let so_far = self.written.entry(database.clone()).or_default();
            so_far.shipped = so_far.all;
        }
    }

    /// The primary's site is lost.
    pub async fn strike(&self) {
        let site = self.topology().primary().site.to_string();
        self.stand_in.lose_site(&site).await.unwrap();
    }

    /// The folder of a share as this process sees it.
    pub fn mount(&self, share: &str) -> PathBuf {
        let found = self.topology().shares().find(|found| found.name.as_str() == share).unwrap();
        PathBuf::from(found.mount.as_ref().unwrap())
    }

    /// The log backups that the jobs made in a share, by name and so by time.
    pub fn backups(&self, share: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.mount(share))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "trn"))
            .filter(|path| !path.to_str().unwrap().contains("_initial_"))
            .collect();
        found.sort();
        found
    }

    pub async fn observe(&self) -> Observation {
        observe(self.topology(), self.ports(), "test", None).await
    }

    pub async fn plan(&self, consents: &[Consent]) -> Result<Plan, Failure> {
        let intent = Intent::DisasterFailover;
        let made = plan::make(intent, self.topology(), self.ports(), consents).await;
        match made {
            Ok((plan, _)) => {
                let document = plan::document(self.topology(), &plan);
                self.note(&output::to_json(&document).unwrap());
                self.note(&pcdr_cli::text::plan(&plan));
                Ok(plan)
            }
            Err(failure) => {
                self.note(&failure.text(false));
                self.note(&output::to_json(&failure.document()).unwrap());
                Err(failure)
            }
        }
    }

    /// A plan with the consent that the disaster itself needs.
    pub async fn planned(&self) -> Plan {
        match self.plan(&[Consent::PrimarySiteLost]).await {
            Ok(plan) => plan,
            Err(failure) => panic!("{}", failure.text(false)),
        }
    }

    /// The refusal, which has a text, a remedy, and has changed nothing.
    pub async fn refused(&self, consents: &[Consent]) -> Refusal {
        let before = self.snapshot().await;
        let failure = self.plan(consents).await.map(|plan| plan.steps.len()).unwrap_err();
        let Failure::Refused(refusal) = failure else { panic!("{}", failure.text(false)) };
        assert!(!refusal.remedy().is_empty() && !refusal.to_string().is_empty());
        self.unchanged_since(&before).await;
        *refusal
    }

    pub async fn apply(&self, plan: &Plan, watcher: &dyn Watcher) -> Result<Report, RunError> {
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let ended = run::apply(plan, self.topology(), self.ports(), &who, watcher).await;
        if let Err(error) = &ended {
            self.note(&format!("{error}\n{error:?}"));
        }
        ended
    }

    /// Applies a plan that has to stop at a step, with an error that helps: its code, and itself.
    pub async fn stops(&self, plan: &Plan, watcher: &dyn Watcher) -> (&'static str, String) {
        match self.apply(plan, watcher).await {
            Ok(_) => panic!("the run was needed to stop, but it succeeded"),
            Err(error) => {
                let (code, action) = step_code(&error);
                (code, format!("{action}: {error}"))
            }
        }
    }

    /// Applies a plan that has to succeed.
    pub async fn succeeds(&self, plan: &Plan) {
        if let Err(error) = self.apply(plan, &Unseen).await {
            panic!("{error}");
        }
    }

    /// Applies until it succeeds; the same plan each time, as an operator would.
    pub async fn finish(&self, plan: &Plan) {
        for attempt in 1..=3 {
            match self.apply(plan, &Unseen).await {
                Ok(_) => return,
                Err(RunError::Step { .. }) if attempt < 3 => {}
                Err(error) => panic!("attempt {attempt}: {error}"),
            }
        }
    }

    /// Ports of a topology file that differs from the stand-in's by some text.
    pub fn reconnect(&self, change: impl Fn(&str) -> String) -> (Topology, Connected) {
        let text = change(&self.stand_in.file.text);
        let topology = Topology::parse(&text).unwrap_or_else(|found| panic!("{found:?}"));
        let number = self.reconnected.fetch_add(1, Ordering::Relaxed);
        let way = Way {
            dialer: Arc::clone(&self.dialer),
            shell: Some(Arc::clone(&self.shell) as Arc<dyn ShellTransport>),
            clock: self.stand_in.clock(),
            trace: Some(kept::trace_to(&self.folder.join(format!("sent-{number}.sql")))),
            folder: self.folder.join(format!("state-{number}")),
        };
        let connected = connect::connect(&topology, &way).unwrap();
        (topology, connected)
    }

    pub fn note(&self, text: &str) {
        self.told.lock().unwrap().push_str(text);
    }

    /// No password is in anything that was told or left behind.
    pub fn told_no_secret(&self) {
        let password = std::fs::read_to_string(&self.stand_in.password_file).unwrap();
        let password = password.trim();
        assert!(password.len() > 20);
        assert!(!self.told.lock().unwrap().contains(password), "told");
        assert!(!self.shell.said.lock().unwrap().contains(password), "shell");
        let mut left = 0;
        for entry in std::fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            if path == self.stand_in.password_file || path.ends_with("world") {
                continue;
            }
            for (file, bytes) in files(&path) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(password), "{}", file.display());
                left += 1;
            }
        }
        assert!(left >= 4, "trace, journal and topology were looked at");
    }

    /// Everything that a refusal must leave as it was.
    pub async fn snapshot(&self) -> Snapshot {
        let mut observation = serde_json::to_value(self.observe().await).unwrap();
        strip(&mut observation);
        let world = &self.stand_in.world;
        let files = files(world.root());
        let mut engine = Vec::new();
        for (name, instance) in &world.lock().instances {
            engine.push(format!("{name} runs: {}", instance.running));
            for (database, own) in &instance.databases {
                engine.push(format!("{name} {database} {:?} {:?}", own.status, own.user_access));
            }
        }
        if let (Some(shell), Some(pool)) = (&self.stand_in.shell, self.topology().pool()) {
            engine.push(format!("{:?}", shell.pool_state(pool.fqdn.as_str())));
            engine.push(format!("{:?}", shell.active_servers()));
        }
        Snapshot { observation, files: files.into_iter().collect(), engine }
    }

    pub async fn unchanged_since(&self, before: &Snapshot) {
        let after = self.snapshot().await;
        assert_eq!(before.engine, after.engine);
        let names = |snapshot: &Snapshot| snapshot.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(before), names(&after));
        assert!(before.files == after.files, "a file has changed");
        assert_eq!(before.observation, after.observation);
    }

    /// Everything is as before, but for the backup files that were taken, and what tells of them.
    pub async fn taken_back_to(&self, before: &Snapshot, context: &str) {
        let after = self.snapshot().await;
        assert_eq!(before.engine, after.engine, "{context}");
        let names = |snapshot: &Snapshot| {
            let kept = |path: &&PathBuf| {
                path.extension().is_none_or(|ending| ending != "bak" && ending != "trn")
            };
            snapshot.files.keys().filter(kept).cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(before), names(&after), "{context}");
        let [before, after] = [before, &after].map(|snapshot| {
            let mut observation = snapshot.observation.clone();
            // A schedule that is set back is a new one; jobs run on time.
            let run = ["last_run_at", "last_run_status"];
            strip_of(&mut observation, &run);
            let backups = ["log_backups", "log_backups_taken", "last_log_backup_lsn"];
            strip_of(&mut observation, &backups);
            strip_of(&mut observation, &["id"]);
            serde_json::to_string_pretty(&observation).unwrap()
        });
        for (was, is) in before.lines().zip(after.lines()) {
            assert_eq!(was, is, "{context}\nbefore: {before}\nafter: {after}");
        }
        assert_eq!(before.lines().count(), after.lines().count(), "{context}\n{after}");
    }

    /// What every failover ends in: no shipped record is missing, none is invented, one copy takes
    /// writes, the pool is failed over, its active servers are those of the topology, the new primary
    /// is mirrored, and planning again finds nothing to do.
    pub async fn prove(&self) {
        self.prove_except(&BTreeSet::new(), true).await;
    }

    /// As [`Stage::prove`], where these databases lost more than what no backup held.
    pub async fn prove_except(&self, gave_up: &BTreeSet<&str>, with_mirror: bool) {
        let topology = self.topology();
        let seen = self.observe().await;
        let secondary = &topology.secondary().name;
        for database in topology.databases() {
            let found = self.workload.read(secondary, database).await.unwrap();
            let Written { shipped, all } = self.written[database];
            let missing: Vec<u64> = (1..=shipped).filter(|n| !found.contains(n)).collect();
            if !gave_up.contains(database.as_str()) {
                assert!(missing.is_empty(), "{database}: {missing:?} were shipped and are missing");
            }
            assert!(found.iter().all(|n| *n <= all), "{database}: invented records");
            assert_eq!(
                workload::writable(topology, &seen, database),
                std::slice::from_ref(secondary)
            );
        }
        let pool = topology.pool().unwrap();
        let shell = self.stand_in.shell.as_ref().unwrap();
        assert_eq!(format!("{:?}", shell.pool_state(pool.fqdn.as_str())), "FailedOver");
        let wanted: BTreeSet<String> = pool
            .servers
            .iter()
            .filter(|server| server.is_active_after_failover)
            .map(|server| server.fqdn.as_str().to_lowercase())
            .collect();
        assert_eq!(shell.active_servers().into_iter().collect::<BTreeSet<_>>(), wanted);
        if with_mirror {
            let mirror = topology.role(pcdr_core::topology::Role::SecondaryMirror).unwrap();
            let copy = seen.database(secondary, &pool.database);
            let copy = copy.known().copied().flatten().unwrap();
            assert!(pcdr_core::effect::is_mirrored_to(copy, mirror), "{:?}", copy.mirroring);
        }
        let entries = self.ports().store.entries().await.unwrap();
        assert_eq!(pcdr_core::journal::first_broken(&entries), None, "the journal is whole");
        let rest = self.plan(&[Consent::PrimarySiteLost, Consent::WithoutMirror]).await;
        match rest {
            Ok(rest) => {
                assert!(rest.steps.is_empty() || !with_mirror, "left over: {:?}", rest.steps);
            }
            Err(failure) if !gave_up.is_empty() => {
                assert_eq!(failure.exit_status(), 3, "{}", failure.text(false));
            }
            Err(failure) => panic!("{}", failure.text(false)),
        }
        self.told_no_secret();
    }
}

/// What a refusal must leave as it was.
pub struct Snapshot {
    observation: serde_json::Value,
    files: BTreeMap<PathBuf, Vec<u8>>,
    engine: Vec<String>,
}

/// What passes without anybody's doing: the time, and who is connected.
fn strip(value: &mut serde_json::Value) {
    // Chat servers and checkpoints write log.
    let passing = [
        "taken_at",
        "observed_at",
        "sessions",
        "server_pings",
        "end_of_log_lsn",
        "log_since_backup_bytes",
    ];
    strip_of(value, &passing);
}

/// Removes members of these names, however deep.
fn strip_of(value: &mut serde_json::Value, passing: &[&str]) {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            for passing in passing {
                members.remove(*passing);
            }
            members.values_mut().for_each(|value| strip_of(value, passing));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| strip_of(value, passing)),
        _ => {}
    }
}

/// Every file under a folder with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    if folder.is_file() {
        return vec![(folder.to_owned(), std::fs::read(folder).unwrap())];
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

/// A watcher that does nothing.
pub struct Unseen;

impl Watcher for Unseen {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

/// Does something when a step starts, once.
pub struct AtStep<F> {
    step: u32,
    act: Mutex<Option<F>>,
}

impl<F: FnOnce(&Step) + Send> AtStep<F> {
    pub fn new(step: u32, act: F) -> AtStep<F> {
        AtStep { step, act: Mutex::new(Some(act)) }
    }
}

impl<F: FnOnce(&Step) + Send> Watcher for AtStep<F> {
    fn started(&self, step: &Step) {
        if step.id.0 == self.step
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act(step);
        }
    }
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

/// A future that counts how often it is polled, and gives up after a number of polls.
pub struct Counted<F> {
    pub future: Pin<Box<F>>,
    pub polls: u64,
    pub limit: u64,
}

impl<F: Future> Counted<F> {
    pub fn new(future: F, limit: u64) -> Counted<F> {
        Counted { future: Box::pin(future), polls: 0, limit }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = (Option<F::Output>, u64);
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        use std::task::Poll;
        if self.polls >= self.limit {
            return Poll::Ready((None, self.polls));
        }
        self.polls += 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready((Some(output), self.polls)),
            Poll::Pending => {
                if self.polls >= self.limit {
                    // Nobody else may wake it again.
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

/// The code of an error inside a step.
pub fn step_code(error: &RunError) -> (&'static str, String) {
    match error {
        RunError::Step { error, action, .. } => {
            assert!(!error.needed.is_empty() && !error.found.is_empty());
            assert!(!error.remedy.is_empty(), "{error}");
            (error.code.as_str(), action.clone())
        }
        RunError::Refused(refusal) => (refusal.code(), String::new()),
        RunError::Store(error) => (error.code.as_str(), String::new()),
    }
}

pub fn name(instance: &str) -> InstanceName {
    InstanceName::from(instance)
}
