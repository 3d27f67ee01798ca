//! Carrying out a plan: lock, observe again, refuse when a fact has changed, then step by step, each
//! effect read back and written to the journal.
//!
//! The same code runs against mocks, stand-ins and servers. It has no runtime of its own: the future
//! runs wherever the caller polls it. Dropping it stops at whatever statement was under way, which is
//! what a crash does; a new plan from a new observation finishes the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::configure::take_back::{self, Begun};
use crate::consent::Consent;
use crate::drill;
use crate::effect::{Effect, effect};
use crate::error::{ErrorCode, InstanceError};
use crate::execution::{Execution, Limits};
use crate::journal::{Entry, Event};
use crate::known::Known;
use crate::observation::Observation;
use crate::observe::{concerned, observe, observe_again};
use crate::plan::{Intent, Plan, PlanContent, Situation};
use crate::ports::{Owner, Ports, Progress};
use crate::refusal::Refusal;
use crate::step::{Action, DatabaseAction, PoolAction, Step, StepId};
use crate::time::Timestamp;
use crate::topology::Topology;

/// Plans an intent: the one place that knows which procedure serves it.
///
/// # Errors
///
/// The procedure's [`Refusal`].
pub fn plan(intent: Intent, situation: &Situation<'_>) -> Result<Plan, Refusal> {
    match intent {
        Intent::Configure => crate::configure::plan(situation),
        Intent::DisasterFailover => crate::failover::disaster::plan(situation),
        Intent::PlannedFailover => crate::failover::planned::plan(situation),
        Intent::Fence => crate::failover::fence::plan(situation),
        Intent::Failback => crate::failover::failback::plan(situation),
        Intent::MirrorFailover { new_principal, by } => {
            crate::failover::mirror::plan(situation, new_principal, by)
        }
        Intent::Remove { mirroring } => crate::remove::plan(situation, mirroring),
        Intent::Drill => crate::drill::plan(situation),
        Intent::TakeBack => Err(Refusal::TakeBackNeedsItsRun),
    }
}

/// Sees what happens in a run, as it happens. Implementations must not block.
pub trait Watcher: Send + Sync {
    /// A step starts.
    fn started(&self, step: &Step);
    /// A running step is this far, in percent.
    fn progressed(&self, step: &Step, percent: f32, detail: &str);
    /// A step's effect was observed, or it failed.
    fn ended(&self, step: &Step, result: Result<(), &InstanceError>);
    /// What is left takes at least this long, as the plan expected it; told whenever a step has ended.
    fn remains(&self, _at_least: Duration) {}
    /// A configuration failed half way, and this is done to take back what it created. Each of these
    /// steps is then told as started and ended; their numbers begin anew.
    fn takes_back(&self, _plan: &PlanContent) {}
    /// Whether the operator asked to stop; running steps are cancelled.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// What becomes of a configuration that fails half way. Other intents keep what they did: each of their
/// steps is one that a new plan goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// What the run created is taken back; what was there before is not touched.
    #[default]
    TakeBack,
    /// What was done stays done; the same plan, or a new one, goes on from there.
    Keep,
}

/// How far a configuration that failed was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// What was done, by its wording; each effect was observed.
    pub done: Vec<String>,
    /// What this run created and is still there, as the actions that take it back, in order. Empty when
    /// everything was taken back.
    pub left: Vec<Action>,
    /// What does not go back, and why, for people.
    pub notes: Vec<String>,
    /// What kept the rest from being taken back; `None` when nothing is left.
    pub stopped_by: Option<String>,
}

impl TakenBack {
    /// Whether nothing is left of what the run created, backup files apart.
    pub fn is_complete(&self) -> bool {
        self.left.is_empty() && self.stopped_by.is_none()
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The plan as it was carried out: made anew from the observation under the lock.
    pub plan: PlanContent,
    /// When the run began and ended.
    pub started_at: Timestamp,
    /// When the last step's effect was observed.
    pub ended_at: Timestamp,
    /// Steps in the order in which they ended.
    pub steps: Vec<StepReport>,
}

/// When a step ran.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StepReport {
    /// The step.
    pub step: StepId,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its port said that it was done.
    pub acted_at: Timestamp,
    /// When its effect was observed.
    pub ended_at: Timestamp,
}

/// Why a run did not end in success.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The lock or the journal failed before the first step; nothing was changed.
    #[error(transparent)]
    Store(InstanceError),
    /// A step failed; the steps that succeeded stay done.
    #[error("step {} failed: {action}: {error}", step.0)]
    Step {
        /// The step.
        step: StepId,
        /// Its wording.
        action: String,
        /// What failed.
        error: InstanceError,
        /// How many steps had succeeded.
        succeeded: usize,
        /// What was seen last: what a new plan would start from.
        world: Box<Observation>,
        /// How far what the run created was taken back; `None` when it was kept.
        taken_back: Option<Box<TakenBack>>,
    },
}

/// Carries out a plan that was made, and perhaps reviewed, before.
///
/// Takes the lock, observes again and plans again from what it sees, with the plan's own consents. When
/// that leads to anything but the reviewed steps or a remainder of them, it refuses and names the
/// difference. Then it runs the steps. Running the same plan again after a crash finishes it. A
/// configuration that fails half way is taken back.
///
/// # Errors
///
/// See [`RunError`].
pub async fn apply(
    reviewed: &PlanContent,
    topology: &Topology,
    ports: &Ports,
    owner: &Owner,
    watcher: &dyn Watcher,
) -> Result<Report, RunError> {
    apply_or(OnFailure::TakeBack, reviewed, topology, ports, owner, watcher).await
}

/// As [`apply`], with the choice of what becomes of a configuration that fails half way.
///
/// # Errors
///
/// See [`RunError`].
pub async fn apply_or(
    on_failure: OnFailure,
    reviewed: &PlanContent,
    topology: &Topology,
    ports: &Ports,
    owner: &Owner,
    watcher: &dyn Watcher,
) -> Result<Report, RunError> {
    let _lock = ports.store.lock(owner).await.map_err(RunError::Store)?;
    let observation = match reviewed.intent {
        Intent::Drill => {
            let place = drill::place(topology, Some(reviewed));
            drill::observe_for_a_drill(topology, ports, &owner.who, place).await
        }
        _ => observe(topology, ports, &owner.who, None).await,
    };
    let consents: BTreeSet<Consent> = reviewed.consents.iter().copied().collect();
    let situation = Situation {
        topology,
        observation: &observation,
        consents: &consents,
        now: ports.clock.now(),
        reviewed: Some(reviewed),
    };
    let plan = plan(reviewed.intent, &situation)?;
    let entries = ports.store.entries().await.map_err(RunError::Store)?;
    let differences = plan.departures_from(&as_begun(reviewed, &entries));
    if !differences.is_empty() {
        return Err(Refusal::FactsChanged { differences }.into());
    }
    let run = Run { plan: &plan, topology, ports, owner, watcher };
    let takes_back = plan.intent == Intent::Configure && on_failure == OnFailure::TakeBack;
    let before = takes_back.then(|| observation.clone());
    let mut begun = Vec::new();
    let mut ended = run.carry_out(observation, &mut begun).await;
    if let (Err(RunError::Step { taken_back, world, .. }), Some(before)) = (&mut ended, &before) {
        let begun = Begun { before, actions: &begun };
        let (result, seen) = run.take_back(begun).await;
        *taken_back = Some(Box::new(result));
        **world = seen;
    }
    ended
}

/// The reviewed plan as it may go on after runs of it: a mirror whose installation was begun and not
/// finished leaves a copy behind, which is the plan's own to drop; so does a restore, to restore over.
fn as_begun(reviewed: &PlanContent, entries: &[Entry]) -> PlanContent {
    let mut begun = reviewed.clone();
    let since = entries.iter().filter(|entry| entry.at >= reviewed.planned_at);
    let started: BTreeSet<&str> = since
        .filter_map(|entry| match &entry.event {
            Event::StepStarted { action, .. } => Some(action.as_str()),
            _ => None,
        })
        .collect();
    for step in &reviewed.steps {
        let mut again = step.clone();
        if !started.contains(step.to_string().as_str()) {
            continue;
        }
        if let Action::Database(
            instance,
            database,
            DatabaseAction::RestoreDatabase { replaces_existing, .. },
        ) = &mut again.action
        {
            *replaces_existing = true;
            let mut alone = step.clone();
            let end = DatabaseAction::EndSessions;
            alone.action = Action::Database(instance.clone(), database.clone(), end);
            begun.steps.extend([alone, again]);
            continue;
        }
        if let Action::Pool(_, PoolAction::InstallMirror { drops_existing, .. }) = &mut again.action
        {
            *drops_existing = true;
            begun.steps.push(again);
        }
    }
    begun
}

struct Run<'a> {
    plan: &'a Plan,
    topology: &'a Topology,
    ports: &'a Ports,
    owner: &'a Owner,
    watcher: &'a dyn Watcher,
}

impl Run<'_> {
    /// `begun` gets the action of every step that is started.
    async fn carry_out(
        &self,
        mut observation: Observation,
        begun: &mut Vec<Action>,
    ) -> Result<Report, RunError> {
        let entries = self.ports.store.entries().await.map_err(RunError::Store)?;
        let mut journal = Journal { run: self, last: entries.last().cloned() };
        let started_at = self.ports.clock.now();
        journal
            .append(Event::RunStarted {
                intent: self.plan.intent.as_str().to_owned(),
                steps: self.plan.steps.iter().map(Step::to_string).collect(),
                consents: self.plan.consents.iter().map(Consent::to_string).collect(),
            })
            .await
            .map_err(RunError::Store)?;

        let mut execution = Execution::new(self.plan, Limits::of(self.topology));
        let mut running = FuturesUnordered::new();
        let mut steps = Vec::new();
        let mut failure: Option<(Step, InstanceError)> = None;
        loop {
            for step in execution.start_ready() {
                if self.watcher.is_cancelled() {
                    execution.ended(step.id, false);
                    let error = not_started(&step);
                    failure.get_or_insert((step, error));
                    continue;
                }
                let action = step.to_string();
                let event = Event::StepStarted { step: step.id.0, action };
                if let Err(error) = journal.append(event).await {
                    // A step that is not in the journal is not started.
                    execution.ended(step.id, false);
                    failure.get_or_insert((step, error));
                    continue;
                }
                begun.push(step.action.clone());
                self.watcher.started(&step);
                let before = about(&step.action, &observation);
                running.push(self.work(Box::new(Work { step, before, done: None })));
            }
            let Some(done) = running.next().await else { break };
            let Ended { step, result, seen } = *match done {
                Done::Acted(acted) => {
                    execution.acted(acted.step.id);
                    running.push(self.work(acted));
                    continue;
                }
                Done::Ended(ended) => ended,
            };
            merge(self.topology, &mut observation, seen);
            self.watcher.ended(&step, result.as_ref().map(|_| ()));
            let mut succeeded = result.is_ok();
            let event = match &result {
                Ok(_) => Event::StepSucceeded { step: step.id.0, already: false },
                Err(error) => Event::StepFailed {
                    step: step.id.0,
                    code: error.code.as_str().to_owned(),
                    message: error.to_string(),
                },
            };
            if let Err(error) = journal.append(event).await {
                succeeded = false;
                failure.get_or_insert((step.clone(), error));
            }
            execution.ended(step.id, succeeded);
            self.watcher.remains(execution.remaining());
            match result {
                Ok(report) => steps.push(report),
                Err(error) => {
                    failure.get_or_insert((step, error));
                }
            }
        }
        let mut kept = Ok(());
        let failed = failure.as_ref().map(|(step, error)| (step, error));
        for record in drill::records(self.plan, &steps, failed, self.ports.clock.now()) {
            kept = kept.and(journal.append(Event::Drilled(record)).await);
        }
        let ended = journal.append(Event::RunEnded { succeeded: failure.is_none() }).await;
        if let Some((step, error)) = failure {
            return Err(RunError::Step {
                step: step.id,
                action: step.to_string(),
                error,
                succeeded: execution.succeeded(),
                world: Box::new(observation),
                taken_back: None,
            });
        }
        kept.and(ended).map_err(RunError::Store)?;
        assert!(execution.is_done(), "a run without failure ends when every step succeeded");
        let plan = PlanContent::clone(self.plan);
        Ok(Report { plan, started_at, ended_at: self.ports.clock.now(), steps })
    }

    /// Takes back what a failed configuration created: looks, plans, carries out, and looks again, until
    /// nothing is left or no more can be done.
    async fn take_back(&self, begun: Begun<'_>) -> (TakenBack, Observation) {
        let Run { topology, ports, owner, .. } = *self;
        let watcher = Uncancelled { inner: self.watcher, done: Mutex::default() };
        let began = ports.clock.now();
        let consents = BTreeSet::new();
        let mut failures = 0;
        let mut stopped_by = None;
        loop {
            let seen = observe(topology, ports, &owner.who, None).await;
            let situation = Situation::new(topology, &seen, &consents, ports.clock.now());
            let is_over =
                ports.clock.now().since(began) >= TAKE_BACK_LIMIT || failures >= TAKE_BACK_ATTEMPTS;
            let plan = match take_back::plan(&situation, begun) {
                Ok(plan) => plan,
                Err(refusal) if is_over => {
                    let left = take_back::actions(&situation, begun);
                    let (done, notes) = (watcher.done(), Vec::new());
                    let stopped_by = Some(refusal.to_string());
                    return (TakenBack { done, left, notes, stopped_by }, seen);
                }
                Err(_) => {
                    ports.clock.sleep(TAKE_BACK_PAUSE).await; // for partners to find each other
                    continue;
                }
            };
            if is_over || (plan.steps.is_empty() && plan.left_behind.is_empty()) {
                let steps = plan.steps.iter().map(|step| step.action.clone());
                let left: Vec<Action> = plan.left_behind.iter().cloned().chain(steps).collect();
                let unreachable = || "an instance that does not answer".to_owned();
                let stopped_by = (!left.is_empty()).then(|| stopped_by.unwrap_or_else(unreachable));
                let (done, notes) = (watcher.done(), plan.notes.clone());
                return (TakenBack { done, left, notes, stopped_by }, seen);
            }
            if plan.steps.is_empty() {
                ports.clock.sleep(TAKE_BACK_PAUSE).await; // for an instance to come back
                continue;
            }
            self.watcher.takes_back(&plan);
            let run = Run { plan: &plan, watcher: &watcher, ..*self };
            let so_far = watcher.done().len();
            if let Err(error) = run.carry_out(seen, &mut Vec::new()).await {
                // What gets further is not at its end.
                failures = if watcher.done().len() > so_far { 1 } else { failures + 1 };
                stopped_by = Some(error.to_string());
                ports.clock.sleep(TAKE_BACK_PAUSE).await;
            }
        }
    }

    /// Runs a step, or reads its effect back. Both in one type of future, so that all of them are awaited
    /// together.
    async fn work(&self, work: Box<Work>) -> Done {
        let Work { step, before, done } = *work;
        let Some((started_at, acted_at)) = done else { return self.run_step(step, before).await };
        let mut seen = before.clone();
        let read = self.read_back(&step, &before, &mut seen).await;
        let result = read.map(|()| self.report(&step, started_at, acted_at));
        Done::ended(step, result, seen)
    }

    /// Runs a step. What only an observation tells, it looks for itself.
    async fn run_step(&self, step: Step, before: Observation) -> Done {
        let clock = &self.ports.clock;
        let started_at = clock.now();
        let progress = StepProgress { step: &step, watcher: self.watcher };
        match self.act(&step.action, &progress).await {
            Ok(()) => {
                let done = Some((started_at, clock.now()));
                Done::Acted(Box::new(Work { step, before, done }))
            }
            Err(error) if error.code == ErrorCode::ConnectionLost => {
                // Only an observation tells whether the statement took effect.
                let acted_at = clock.now();
                let mut seen = before.clone();
                let result = match self.look_once(&step, &before, &mut seen).await {
                    Effect::Seen => Ok(self.report(&step, started_at, acted_at)),
                    Effect::NotSeen(_) | Effect::Unobservable(_) => Err(error),
                };
                Done::ended(step, result, seen)
            }
            Err(error) => Done::ended(step, Err(error), before),
        }
    }

    fn report(&self, step: &Step, started_at: Timestamp, acted_at: Timestamp) -> StepReport {
        StepReport { step: step.id, started_at, acted_at, ended_at: self.ports.clock.now() }
    }

    async fn act(&self, action: &Action, progress: &dyn Progress) -> Result<(), InstanceError> {
        match action {
            Action::Database(instance, database, action) => {
                match self.ports.instances.get(instance) {
                    Some(port) => Arc::clone(port).run(database, action, progress).await,
                    None => Err(no_port(instance.as_str())),
                }
            }
            Action::LogShipping(instance, database, action) => {
                match self.ports.jobs.get(instance) {
                    Some(port) => Arc::clone(port).run(database, action, progress).await,
                    None => Err(no_port(instance.as_str())),
                }
            }
            Action::Files(database, action) => {
                self.ports.files.run(database, action, progress).await
            }
            Action::Pool(pool, action) => match &self.ports.pool {
                Some(port) => port.run(action, progress).await,
                None => Err(no_port(pool.as_str())),
            },
        }
    }

    /// Observes until the effect is seen, or its time is up.
    async fn read_back(
        &self,
        step: &Step,
        before: &Observation,
        seen: &mut Observation,
    ) -> Result<(), InstanceError> {
        let clock = &self.ports.clock;
        let limit = patience(&step.action);
        let began = clock.now();
        let mut pause = Duration::from_millis(50);
        loop {
            let found = match self.look_once(step, before, seen).await {
                Effect::Seen | Effect::Unobservable(_) => return Ok(()),
                Effect::NotSeen(found) => found,
            };
            if self.watcher.is_cancelled() {
                return Err(InstanceError::new(
                    ErrorCode::Cancelled,
                    place(&step.action),
                    format!("the effect of “{step}” was to be observed"),
                    "the run was cancelled".to_owned(),
                    "Plan again; a new plan starts from what is there.",
                ));
            }
            if clock.now().since(began) >= limit {
                return Err(InstanceError::new(
                    ErrorCode::EffectNotObserved,
                    place(&step.action),
                    format!("the effect of “{step}” was needed"),
                    found,
                    "Look into what the finding says, then plan again: a new plan starts from \
                     what is there.",
                ));
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }

    async fn look_once(&self, step: &Step, before: &Observation, seen: &mut Observation) -> Effect {
        let blind = effect(self.topology, &step.action, before, seen);
        if let Effect::Unobservable(_) = blind {
            return blind;
        }
        observe_again(self.topology, self.ports, &step.action, seen).await;
        effect(self.topology, &step.action, before, seen)
    }
}

/// The run was cancelled before this step began.
fn not_started(step: &Step) -> InstanceError {
    InstanceError::new(
        ErrorCode::Cancelled,
        place(&step.action),
        format!("“{step}” was to be started"),
        "the run was cancelled",
        "Plan again; a new plan starts from what is there.",
    )
}

/// What is to be done for a step: to act, or, once that was done, to read back.
struct Work {
    step: Step,
    /// What was seen before it.
    before: Observation,
    /// When it was started, and when its port said that it was done.
    done: Option<(Timestamp, Timestamp)>,
}

/// What was done for a step.
enum Done {
    Acted(Box<Work>),
    Ended(Box<Ended>),
}

impl Done {
    fn ended(
        step: Step,
        result: Result<StepReport, InstanceError>,
        observation: Observation,
    ) -> Done {
        let seen = Seen { action: step.action.clone(), observation };
        Done::Ended(Box::new(Ended { step, result, seen }))
    }
}

/// A step that ended, and what was seen of its effect.
struct Ended {
    step: Step,
    result: Result<StepReport, InstanceError>,
    seen: Seen,
}

struct Seen {
    action: Action,
    observation: Observation,
}

/// What a step's read-back starts from: all of it for the pool, whose effects are compared with log
/// backups; nothing for the rest, which observe what they need.
fn about(action: &Action, observation: &Observation) -> Observation {
    match action {
        Action::Pool(..) => observation.clone(),
        Action::Database(..) | Action::LogShipping(..) | Action::Files(..) => Observation {
            taken_at: observation.taken_at,
            observer: observation.observer.clone(),
            instances: BTreeMap::new(),
            log_backups: BTreeMap::new(),
            pool: None,
            drill: None,
        },
    }
}

/// Takes over what one step saw of the things it changed; steps that ran beside it saw others.
fn merge(topology: &Topology, into: &mut Observation, seen: Seen) {
    let Seen { action, mut observation } = seen;
    match &action {
        Action::Database(instance, ..) | Action::LogShipping(instance, ..) => {
            // What a step saw of one database says nothing of the others: where nothing was known of
            // them, the instance stays unknown.
            let is_known = matches!(into.instances.get(instance), Some(Known::Known(_)));
            if let Some(seen) = observation.instances.remove(instance).filter(|_| is_known) {
                into.take_over(instance.clone(), seen, &concerned(topology, &action));
            }
        }
        Action::Pool(..) => {
            into.pool = observation.pool;
            into.instances = observation.instances;
        }
        Action::Files(..) => {}
    }
}

/// How long an instance is waited for that does not answer while something on it is to be taken back.
const TAKE_BACK_LIMIT: Duration = Duration::from_secs(120);

/// How often taking back may fail before the rest is left to a person.
const TAKE_BACK_ATTEMPTS: usize = 3;

/// Between two looks while taking back.
const TAKE_BACK_PAUSE: Duration = Duration::from_secs(3);

/// A watcher whose operator asked to stop, while what was done is taken back: that is the stopping. It
/// notes the steps whose effect was observed.
struct Uncancelled<'a> {
    inner: &'a dyn Watcher,
    done: Mutex<Vec<String>>,
}

impl Uncancelled<'_> {
    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watcher for Uncancelled<'_> {
    fn started(&self, step: &Step) {
        self.inner.started(step);
    }

    fn progressed(&self, step: &Step, percent: f32, detail: &str) {
        self.inner.progressed(step, percent, detail);
    }

    fn ended(&self, step: &Step, result: Result<(), &InstanceError>) {
        if result.is_ok() {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(step.to_string());
        }
        self.inner.ended(step, result);
    }

    fn remains(&self, at_least: Duration) {
        self.inner.remains(at_least);
    }
}

/// How long an effect may take to show after its action was accepted.
fn patience(action: &Action) -> Duration {
    match action {
        // Configuration has to be replicated to the servers before they act on it.
        Action::Pool(_, PoolAction::AwaitServers(_) | PoolAction::InstallMirror { .. }) => {
            Duration::from_secs(15 * 60)
        }
        Action::Pool(..) => Duration::from_secs(60),
        Action::Database(..) | Action::LogShipping(..) | Action::Files(..) => {
            Duration::from_secs(30)
        }
    }
}

fn place(action: &Action) -> String {
    match action {
        Action::Database(instance, ..) | Action::LogShipping(instance, ..) => instance.to_string(),
        Action::Files(database, _) => format!("backup files of {database}"),
        Action::Pool(pool, _) => pool.to_string(),
    }
}

fn no_port(at: &str) -> InstanceError {
    InstanceError::new(
        ErrorCode::Unreachable,
        at,
        "a way to reach it was needed",
        "none is configured",
        "Configure a connection for it.",
    )
}

struct StepProgress<'a> {
    step: &'a Step,
    watcher: &'a dyn Watcher,
}

impl Progress for StepProgress<'_> {
    fn report(&self, percent: f32, detail: &str) {
        self.watcher.progressed(self.step, percent, detail);
    }

    fn is_cancelled(&self) -> bool {
        self.watcher.is_cancelled()
    }
}

/// Appends sealed entries.
struct Journal<'a> {
    run: &'a Run<'a>,
    last: Option<Entry>,
}

impl Journal<'_> {
    async fn append(&mut self, event: Event) -> Result<(), InstanceError> {
        let Run { ports, owner, .. } = self.run;
        let at = ports.clock.now();
        let entry = Entry::following(self.last.as_ref(), at, &owner.run, &owner.who, event);
        ports.store.append(&entry).await?;
        self.last = Some(entry);
        Ok(())
    }
}
