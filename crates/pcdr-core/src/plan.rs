//! From a draft to a plan. A [`Plan`] cannot exist unverified.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::consent::Consent;
use crate::drill::{DrillPlan, Trial};
use crate::evidence::Evidence;
use crate::invariants;
use crate::lsn::{Guid, Lsn};
use crate::model::Model;
use crate::name::DatabaseName;
use crate::observation::Observation;
use crate::refusal::Refusal;
use crate::settings::Part;
use crate::step::{
    Action, DatabaseAction, FileAction, LogShippingAction, NewPrincipal, Source, Step, StepId,
};
use crate::time::{Timestamp, readable};
use crate::topology::Topology;

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Mirroring and log shipping as the topology designs them.
    Configure,
    /// Disaster failover: the primary site is gone, the secondary takes over.
    DisasterFailover,
    /// Planned failover: both sites work, the secondary takes over, and nothing is lost.
    PlannedFailover,
    /// Fence: no copy of the primary site takes writes while the backup databases serve.
    Fence,
    /// Failback: the primary site takes over again from the backup databases, without loss.
    Failback,
    /// Mirror failover: principal and mirror of the pair that serves swap inside their site.
    MirrorFailover {
        /// The partner that is to be principal, by its design.
        new_principal: NewPrincipal,
        /// How.
        by: FailoverBy,
    },
    /// Remove log shipping.
    Remove {
        /// Whether mirroring is removed too.
        mirroring: bool,
    },
    /// Drill: the backups are restored beside production, checked, and thrown away.
    Drill,
    /// Take back what a configuration created that failed half way; only ever made by the run that
    /// failed.
    TakeBack,
}

/// How principal and mirror swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailoverBy {
    /// `ALTER DATABASE … SET PARTNER`, on the instances themselves.
    TSql,
    /// `Invoke-CsDatabaseFailover`, in the product's Management Shell; for the pool's databases.
    Cmdlet,
}

impl Intent {
    /// The intent's name, for example `disaster-failover`.
    pub fn as_str(self) -> &'static str {
        match self {
            Intent::Configure => "configure",
            Intent::DisasterFailover => "disaster-failover",
            Intent::PlannedFailover => "planned-failover",
            Intent::Fence => "fence",
            Intent::Failback => "failback",
            Intent::MirrorFailover { .. } => "mirror-failover",
            Intent::Remove { .. } => "remove",
            Intent::Drill => "drill",
            Intent::TakeBack => "take-back",
        }
    }
}

/// How old an observation may be that a procedure plans from which moves or removes something.
const OBSERVATION_LIMIT_SECONDS: u64 = 300;

/// Everything a planner decides from. The same situation gives the same plan or refusal.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What was designed.
    pub topology: &'a Topology,
    /// What was seen.
    pub observation: &'a Observation,
    /// What the operator accepts.
    pub consents: &'a BTreeSet<Consent>,
    /// When planning.
    pub now: Timestamp,
    /// The plan that was reviewed and is carried out now; `None` for a new plan. New backup files are named
    /// after the time of its planning, so that they keep their names, and what its run left half done is
    /// finished by the same steps.
    pub reviewed: Option<&'a PlanContent>,
}

impl<'a> Situation<'a> {
    /// The situation of a new plan.
    pub fn new(
        topology: &'a Topology,
        observation: &'a Observation,
        consents: &'a BTreeSet<Consent>,
        now: Timestamp,
    ) -> Situation<'a> {
        Situation { topology, observation, consents, now, reviewed: None }
    }

    /// What was seen long ago may no longer be so.
    ///
    /// # Errors
    ///
    /// [`Refusal::ObservationTooOld`].
    pub(crate) fn require_a_fresh_observation(&self) -> Result<(), Refusal> {
        let taken_at = self.observation.taken_at;
        if self.now.since(taken_at).as_secs() > OBSERVATION_LIMIT_SECONDS {
            let limit_seconds = OBSERVATION_LIMIT_SECONDS;
            return Err(Refusal::ObservationTooOld { taken_at, limit_seconds });
        }
        Ok(())
    }

    /// The name of a new backup file: the database's, `before` and `after` the time, the extension.
    pub(crate) fn new_backup_file(
        &self,
        database: &DatabaseName,
        before: &str,
        after: &str,
        extension: &str,
    ) -> String {
        let named_after = self.reviewed.map_or(self.now, |reviewed| reviewed.planned_at);
        let stamp = named_after.to_string();
        let stamp: String = stamp.chars().filter(char::is_ascii_digit).take(14).collect();
        // A database may be called anything; a file may not.
        let safe = |c: char| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
        let name: String = database.as_str().chars().map(safe).take(80).collect();
        format!("{name}{before}_{stamp}{after}.{extension}")
    }

    /// Whether a consent was given.
    pub fn accepts(&self, consent: Consent) -> bool {
        self.consents.contains(&consent)
    }
}

/// A verified plan: steps as a graph, what they will lose, how long they will take, and why they are
/// safe. Obtained only from a procedure, which replays every step on the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    content: PlanContent,
}

/// What a plan says; plain data. It is not a plan: nothing runs a `PlanContent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanContent {
    /// What it is for.
    pub intent: Intent,
    /// When it was made.
    pub planned_at: Timestamp,
    /// When the observation began that it was made from.
    pub observed_at: Timestamp,
    /// Named consents that it needed.
    pub consents: Vec<Consent>,
    /// Steps in the order of their numbers, which is one order that the graph allows.
    pub steps: Vec<Step>,
    /// What will be lost, by database. Empty when nothing can be.
    pub predicted_losses: Vec<PredictedLoss>,
    /// Predicted duration along the longest path.
    pub predicted_duration: Duration,
    /// Invariants that hold after every step, on the model.
    pub invariants: Vec<String>,
    /// Evidence for the loss of the primary site; `None` where none was needed.
    pub evidence: Option<Evidence>,
    /// What the operator should know, for example files set aside and checks that could not be made.
    pub notes: Vec<String>,
    /// What is left to do by hand when instances that cannot be reached are back, in order. No step.
    #[serde(default)]
    pub left_behind: Vec<Action>,
    /// Where a drill restores to and what it tries; `None` in every other plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillPlan>,
    /// The facts that the steps rest on. A run observes and plans again; when that leads to other
    /// steps, the refusal names the facts that changed.
    pub facts: BTreeMap<String, String>,
}

/// The records of one database that a plan will lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedLoss {
    /// The database.
    pub database: DatabaseName,
    /// Records from this position on are lost (inclusive).
    pub from_lsn: Lsn,
    /// The recovery fork of that position.
    pub fork: Guid,
    /// Everything committed before this time is saved. `None` when no header tells.
    pub saved_until: Option<Timestamp>,
    /// The primary cannot have accepted records after this time that the observer knows of: the time
    /// of the observation.
    pub lost_until: Timestamp,
}

impl PredictedLoss {
    /// The longest span of time that lost records can come from; `None` when its start is unknown.
    pub fn span(&self) -> Option<Duration> {
        self.saved_until.map(|saved| self.lost_until.since(saved))
    }
}

impl std::fmt::Display for PredictedLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PredictedLoss { database, from_lsn, saved_until, lost_until, .. } = self;
        match (saved_until, self.span()) {
            (Some(saved), Some(span)) => write!(
                f,
                "{database}: records from log position {from_lsn} on, committed between {saved} \
                 and {lost_until} (at most {})",
                readable(span)
            ),
            _ => write!(
                f,
                "{database}: records from log position {from_lsn} on, committed up to {lost_until}"
            ),
        }
    }
}

impl std::ops::Deref for Plan {
    type Target = PlanContent;

    fn deref(&self) -> &PlanContent {
        &self.content
    }
}

impl Plan {
    /// How this plan departs from one that was reviewed before; empty when it is that plan, or what is
    /// left of it.
    ///
    /// Between review and run, jobs go on and an interrupted run may have done part of the steps. What
    /// was approved is the steps: a remainder of them is covered, anything else is not. When there is a
    /// departure, the facts that changed are named with it.
    pub fn departures_from(&self, reviewed: &PlanContent) -> Vec<String> {
        let mut departures = Vec::new();
        if self.intent != reviewed.intent {
            let (is, was) = (self.intent.as_str(), reviewed.intent.as_str());
            departures.push(format!("the intent is {is}, not {was}"));
        }
        let approved: BTreeSet<String> =
            reviewed.steps.iter().map(|step| step.action.to_string()).collect();
        for step in &self.steps {
            let is_approved = approved.contains(&step.action.to_string())
                || ends_with_the_tail(&step.action, reviewed)
                || completes_an_entry(&step.action, reviewed)
                || belongs_to_the_drill(&step.action, reviewed);
            if !is_approved {
                departures.push(format!("“{step}” is not in the plan"));
            }
        }
        for loss in &self.predicted_losses {
            let was = reviewed.predicted_losses.iter().find(|was| was.database == loss.database);
            if let Some(was) = was.filter(|was| was.from_lsn != loss.from_lsn) {
                departures.push(format!(
                    "records of {} would be lost from {}, not from {}",
                    loss.database, loss.from_lsn, was.from_lsn
                ));
            }
        }
        if departures.is_empty() {
            return departures;
        }
        for (fact, was) in &reviewed.facts {
            match self.facts.get(fact) {
                Some(is) if is == was => {}
                Some(is) => departures.push(format!("{fact} was {was} and is {is}")),
                None => departures.push(format!("{fact} was {was} and no longer is a fact")),
            }
        }
        departures
    }
}

/// Whether an action belongs to the restore of a log that, by the reviewed plan, ends with the tail of
/// the same primary.
///
/// Where nothing may be lost, what was approved is the tail and the recovery at its end; how many log
/// backups the jobs take before it is not the reviewer's concern. A plan that goes on after the tail was
/// taken knows its position and its size; one that goes on after an attempt to take it was cut off
/// takes it into another file.
fn ends_with_the_tail(action: &Action, reviewed: &PlanContent) -> bool {
    let database = match action {
        Action::Files(database, FileAction::Copy { .. })
        | Action::Database(
            _,
            database,
            DatabaseAction::BackUpTail { .. }
            | DatabaseAction::RestoreLog { .. }
            | DatabaseAction::Recover { .. },
        ) => database,
        _ => return false,
    };
    let mut steps = reviewed.steps.iter().map(|step| &step.action);
    let takes_tail = steps.clone().any(|step| {
        matches!(step, Action::Database(_, of, DatabaseAction::BackUpTail { .. }) if of == database)
    });
    use DatabaseAction::{BackUpTail, Recover};
    let on_same = |step: &Action| match (step, action) {
        (
            Action::Database(reviewed, of, BackUpTail { .. }),
            Action::Database(on, _, BackUpTail { .. }),
        ) => of == database && reviewed == on,
        (Action::Database(reviewed, of, Recover { .. }), Action::Database(on, _, what)) => {
            !matches!(what, BackUpTail { .. }) && of == database && reviewed == on
        }
        (Action::Files(of, _), Action::Files(..)) => of == database,
        _ => false,
    };
    takes_tail && steps.any(on_same)
}

/// Whether an action gives an entry of log shipping its jobs, where the reviewed plan adds that entry
/// with these very settings.
///
/// An entry is added by a call that makes its jobs, which are scheduled and enabled after it: a run that
/// was cut off between the two left an entry that is as designed, with jobs that are not.
fn completes_an_entry(action: &Action, reviewed: &PlanContent) -> bool {
    use LogShippingAction::{AddPrimary, AddSecondary, ChangePrimary, ChangeSecondary};
    let Action::LogShipping(on, database, change) = action else { return false };
    let (added, changes) = match change {
        ChangePrimary { settings, changes } => (AddPrimary(settings.clone()), changes),
        ChangeSecondary { settings, changes } => (AddSecondary(settings.clone()), changes),
        _ => return false,
    };
    let added = Action::LogShipping(on.clone(), database.clone(), added);
    changes.iter().all(|change| change.of == Part::Job)
        && reviewed.steps.iter().any(|step| step.action == added)
}

/// Whether an action is on the copy of a drill that the reviewed plan restores, too.
///
/// What was approved is a copy of that name in that place, and its end. Which backups there are by then, and
/// whether a drill that was cut off left something to drop first, is not the reviewer's concern.
fn belongs_to_the_drill(action: &Action, reviewed: &PlanContent) -> bool {
    let Action::Database(on, copy, DatabaseAction::Drill(step)) = action else { return false };
    reviewed.steps.iter().any(|reviewed| match &reviewed.action {
        Action::Database(instance, name, DatabaseAction::Drill(other)) => {
            (instance, name, &other.of, other.family) == (on, copy, &step.of, step.family)
        }
        _ => false,
    })
}

/// A plan in the making: the only way to a [`Plan`] is through [`Draft::verify`].
#[derive(Debug)]
pub(crate) struct Draft {
    content: PlanContent,
}

impl Draft {
    /// An empty draft.
    pub(crate) fn new(intent: Intent, situation: &Situation<'_>) -> Draft {
        Draft {
            content: PlanContent {
                intent,
                planned_at: situation.now,
                observed_at: situation.observation.taken_at,
                consents: Vec::new(),
                steps: Vec::new(),
                predicted_losses: Vec::new(),
                predicted_duration: Duration::ZERO,
                invariants: Vec::new(),
                evidence: None,
                notes: Vec::new(),
                left_behind: Vec::new(),
                drill: None,
                facts: BTreeMap::new(),
            },
        }
    }

    /// Adds a step that starts when the steps `after` have succeeded.
    pub(crate) fn step(
        &mut self,
        action: Action,
        after: impl IntoIterator<Item = StepId>,
        source: Source,
        expected: Duration,
    ) -> StepId {
        let number = u32::try_from(self.content.steps.len() + 1).unwrap_or(u32::MAX);
        let mut after: Vec<StepId> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        self.content.steps.push(Step { id: StepId(number), action, after, source, expected });
        StepId(number)
    }

    /// Whether it has no step.
    pub(crate) fn is_empty(&self) -> bool {
        self.content.steps.is_empty()
    }

    /// Makes room for steps that are about to be added.
    pub(crate) fn reserve(&mut self, steps: usize) {
        self.content.steps.reserve(steps);
    }

    /// Notes a consent that the plan needed.
    pub(crate) fn consent(&mut self, consent: Consent) {
        if !self.content.consents.contains(&consent) {
            self.content.consents.push(consent);
            self.content.consents.sort_unstable();
        }
    }

    pub(crate) fn evidence(&mut self, evidence: Evidence) {
        self.content.evidence = Some(evidence);
    }

    pub(crate) fn loses(&mut self, loss: PredictedLoss) {
        self.content.predicted_losses.push(loss);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.content.notes.push(note.into());
    }

    pub(crate) fn drill(&mut self, drill: DrillPlan) {
        self.content.drill = Some(drill);
    }

    /// Notes what a drill will have tried.
    pub(crate) fn trial(&mut self, trial: Trial) {
        if let Some(drill) = &mut self.content.drill {
            drill.trials.push(trial);
        }
    }

    /// Leaves an action to a person, for when its instance is back.
    pub(crate) fn leave(&mut self, action: Action) {
        self.content.left_behind.push(action);
    }

    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl ToString) {
        self.content.facts.insert(name.into(), value.to_string());
    }

    /// What is left to a person, then the actions of its steps; nothing proves them.
    pub(crate) fn into_actions(self) -> Vec<Action> {
        let steps = self.content.steps.into_iter().map(|step| step.action);
        self.content.left_behind.into_iter().chain(steps).collect()
    }

    /// Replays the steps on the model and checks every invariant after each one.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotProvable`] names the step and the invariant.
    pub(crate) fn verify(mut self, situation: &Situation<'_>) -> Result<Plan, Refusal> {
        let topology = situation.topology;
        let mut model = Model::of(topology, situation.observation);
        for step in &self.content.steps {
            let not_provable = |invariant, found| Refusal::NotProvable {
                step: step.id,
                action: step.to_string(),
                invariant,
                found,
            };
            model.apply(topology, &step.action).map_err(|impossible| {
                not_provable("every step can be carried out", impossible.0)
            })?;
            for invariant in &invariants::ALL {
                (invariant.check)(topology, &model, &step.action)
                    .map_err(|found| not_provable(invariant.name, found))?;
            }
        }
        self.content.invariants = invariants::ALL.iter().map(|i| i.name.to_owned()).collect();
        self.content.predicted_duration = longest_path(&self.content.steps);
        Ok(Plan { content: self.content })
    }
}

/// The duration of the longest path through the graph. Steps come in the order of their numbers, and
/// each follows only earlier ones.
pub(crate) fn longest_path(steps: &[Step]) -> Duration {
    let mut ends: Vec<Duration> = Vec::with_capacity(steps.len());
    for step in steps {
        let end = |id: &StepId| usize::try_from(id.0).ok().and_then(|id| ends.get(id - 1));
        let ready = step.after.iter().filter_map(end).max().copied().unwrap_or_default();
        ends.push(ready + step.expected);
    }
    ends.into_iter().max().unwrap_or_default()
}
