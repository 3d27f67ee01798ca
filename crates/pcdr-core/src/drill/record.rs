//! What a drill proved, for the journal and for whoever asks when it was proved last.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::InstanceError;
use crate::journal::{Entry, Event};
use crate::lsn::Lsn;
use crate::name::{DatabaseName, InstanceName};
use crate::plan::PlanContent;
use crate::run::StepReport;
use crate::step::{Action, DatabaseAction, DrillAction, Step, StepId};
use crate::time::{Timestamp, readable};

/// The result of the drill of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRecord {
    /// The database.
    pub database: DatabaseName,
    /// Where its backups were restored.
    pub instance: InstanceName,
    /// When the first of its steps began.
    pub started_at: Timestamp,
    /// When the last one ended.
    pub ended_at: Timestamp,
    /// The full backup's file.
    pub full_backup: String,
    /// How many log backups follow it.
    pub log_backups: usize,
    /// The log position up to which they reach (exclusive).
    pub up_to_lsn: Lsn,
    /// Everything committed before this time is in them.
    pub saved_until: Timestamp,
    /// Where the log began that no log backup held, on the copy that took writes; `None` where nobody told.
    pub primary_lsn: Option<Lsn>,
    /// Whether everything was tried that had been backed up; `None` where nobody told.
    pub is_complete: Option<bool>,
    /// How it ended.
    pub outcome: DrillOutcome,
    /// How long each phase took, in the order of the recovery.
    pub phases: Vec<Phase>,
}

/// How a drill of a database ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum DrillOutcome {
    /// It was restored, recovered, and DBCC CHECKDB found nothing.
    Proven,
    /// A step failed.
    Failed {
        /// Its wording.
        step: String,
        /// The error's code.
        code: String,
        /// The server's error number; `None` where it was no server's error.
        number: Option<i32>,
        /// The error's text.
        message: String,
    },
}

/// How long a phase of a recovery took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// `restore_full`, `restore_log`, `recover`, `check` or `drop`.
    pub name: String,
    /// How long, in milliseconds.
    pub millis: u64,
}

impl DrillRecord {
    /// How long it took from the first restore to an open, unchecked database: what a recovery from these
    /// backups would take here.
    pub fn recovery(&self) -> Duration {
        let of = ["restore_full", "restore_log", "recover"];
        let phases = self.phases.iter().filter(|phase| of.contains(&phase.name.as_str()));
        Duration::from_millis(phases.map(|phase| phase.millis).sum())
    }
}

impl fmt::Display for DrillRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DrillRecord { database, instance, ended_at, up_to_lsn, saved_until, .. } = self;
        match &self.outcome {
            DrillOutcome::Proven => write!(
                f,
                "{database} at {instance}, {ended_at}, up to LSN {up_to_lsn} (committed before {saved_until}), \
                 CHECKDB clean, recovered in {}",
                readable(self.recovery())
            ),
            DrillOutcome::Failed { step, message, .. } => {
                write!(f, "{database} at {instance}, {ended_at}: {step}: {message}")
            }
        }
    }
}

/// What a run of a drill's plan proved of each database: of those of which every step ended, and of the
/// one whose step failed.
pub(crate) fn records(
    plan: &PlanContent,
    steps: &[StepReport],
    failure: Option<(&Step, &InstanceError)>,
    now: Timestamp,
) -> Vec<DrillRecord> {
    let Some(drill) = &plan.drill else { return Vec::new() };
    let reports: BTreeMap<StepId, &StepReport> =
        steps.iter().map(|step| (step.step, step)).collect();
    let of_trial = |step: &Step, copy: &DatabaseName| matches!(&step.action, Action::Database(_, database, _) if database == copy);
    let record = |trial: &super::Trial| {
        let own: Vec<&Step> =
            plan.steps.iter().filter(|step| of_trial(step, &trial.copy)).collect();
        let ended = own.iter().filter_map(|step| reports.get(&step.id));
        let started_at = ended.clone().map(|report| report.started_at).min().unwrap_or(now);
        let ended_at = ended.clone().map(|report| report.ended_at).max().unwrap_or(now);
        let failed = failure.filter(|(step, _)| of_trial(step, &trial.copy));
        let outcome = match failed {
            Some((step, error)) => DrillOutcome::Failed {
                step: step.to_string(),
                code: error.code.as_str().to_owned(),
                number: error.number,
                message: error.to_string(),
            },
            None if ended.count() == own.len() => DrillOutcome::Proven,
            None => return None, // it never began, or was cut off with the run
        };
        Some(DrillRecord {
            database: trial.database.clone(),
            instance: drill.place.instance.clone(),
            started_at,
            ended_at,
            full_backup: trial.full_backup.clone(),
            log_backups: trial.log_backups,
            up_to_lsn: trial.up_to_lsn,
            saved_until: trial.saved_until,
            primary_lsn: trial.primary_lsn,
            is_complete: trial.is_complete,
            outcome,
            phases: phases(&own, &reports),
        })
    };
    drill.trials.iter().filter_map(record).collect()
}

fn phases(own: &[&Step], reports: &BTreeMap<StepId, &StepReport>) -> Vec<Phase> {
    const NAMES: [&str; 5] = ["restore_full", "restore_log", "recover", "check", "drop"];
    let name = |step: &Step| match &step.action {
        Action::Database(_, _, DatabaseAction::Drill(step)) => Some(match step.action {
            DrillAction::RestoreDatabase { .. } => NAMES[0],
            DrillAction::RestoreLog { .. } => NAMES[1],
            DrillAction::Recover { .. } => NAMES[2],
            DrillAction::Check => NAMES[3],
            DrillAction::Drop => NAMES[4],
        }),
        _ => None,
    };
    // What an earlier drill left is dropped before the recovery that is measured.
    let first = own.iter().position(|step| name(step) == Some(NAMES[0])).unwrap_or(0);
    let mut all = Vec::new();
    for phase in NAMES {
        let steps = own.iter().skip(first).filter(|step| name(step) == Some(phase));
        let ended = steps.filter_map(|step| reports.get(&step.id));
        let took = ended.map(|report| report.ended_at.since(report.started_at));
        let took: Vec<Duration> = took.collect();
        if !took.is_empty() {
            let millis = took.iter().sum::<Duration>().as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            all.push(Phase { name: phase.to_owned(), millis });
        }
    }
    all
}

/// The newest drill of each database, by a journal: the one that proved it recoverable, and the newest one
/// where that failed after it.
pub fn latest(entries: &[Entry]) -> BTreeMap<DatabaseName, Vec<DrillRecord>> {
    let mut all: BTreeMap<DatabaseName, Vec<DrillRecord>> = BTreeMap::new();
    for entry in entries {
        let Event::Drilled(record) = &entry.event else { continue };
        let known = all.entry(record.database.clone()).or_default();
        match record.outcome {
            DrillOutcome::Proven => known.clear(),
            DrillOutcome::Failed { .. } => {
                known.retain(|known| known.outcome == DrillOutcome::Proven);
            }
        }
        known.push(record.clone());
    }
    all
}
