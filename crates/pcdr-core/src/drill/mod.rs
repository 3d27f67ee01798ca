//! Drill: proves on a real instance that a database can be recovered from its backups, without touching
//! production.
//!
//! The newest full backup and the log after it, as far as it was shipped, are restored under another name
//! beside production, recovered, checked, and dropped. Nothing is copied, no job is held and no backup is
//! taken: log shipping and mirroring do not notice. What stays are rows in the restore history of `msdb`,
//! under the copy's name.
//!
//! A drill that was cut off leaves its copy behind. The next one recognises it [for certain](stranger), drops
//! it, and begins again, so that what it measures is a whole recovery.

mod choice;
mod copy;
mod look;
mod record;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use copy::{CopySeen, copy_name, file_mark, file_path, is_copy_name, stranger};
pub use look::{Beside, BesideQuestion, DrillObservation, Place, observe_for_a_drill};
pub(crate) use record::records;
pub use record::{DrillOutcome, DrillRecord, Phase, latest};

use choice::{Choice, choose};

use crate::consent::Consent;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::lsn::{Guid, Lsn};
use crate::name::DatabaseName;
use crate::observation::DatabaseObservation;
use crate::plan::{Draft, Intent, Plan, PlanContent, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, DatabaseAction, DrillAction, DrillStep, LogRange, Source, StepId};
use crate::time::Timestamp;
use crate::topology::Topology;

const ELSEWHERE: Source = Source::new(
    "Restore a Database to a New Location (SQL Server)",
    "restore the full backup under another name, each file moved, WITH NORECOVERY",
);
const IN_SEQUENCE: Source = Source::new(
    "Complete Database Restores (Full Recovery Model)",
    "restore each log backup in sequence, WITH NORECOVERY",
);
const RECOVER: Source =
    Source::new("Complete Database Restores (Full Recovery Model)", "recover the database");
const CHECK: Source = Source::new(
    "DBCC CHECKDB (Transact-SQL)",
    "check the logical and physical integrity of everything in the database",
);
const DROP: Source =
    Source::new("DROP DATABASE (Transact-SQL)", "remove the database and delete its files");

/// What a plan of a drill promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillPlan {
    /// Where it restores to.
    pub place: Place,
    /// Every database, in the order of the trials.
    pub trials: Vec<Trial>,
}

/// The trial of one database's backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The database.
    pub database: DatabaseName,
    /// The name of its copy.
    pub copy: DatabaseName,
    /// The full backup's file.
    pub full_backup: String,
    /// How many log backups follow it.
    pub log_backups: usize,
    /// The log position up to which the copy is recovered (exclusive).
    pub up_to_lsn: Lsn,
    /// Its recovery fork.
    pub fork: Guid,
    /// Everything committed before this time is in the copy.
    pub saved_until: Timestamp,
    /// Where the log begins that no log backup holds, on the copy that takes writes; `None` where nobody
    /// tells.
    pub primary_lsn: Option<Lsn>,
    /// Whether everything is in it that was ever backed up; `None` where nobody tells.
    pub is_complete: Option<bool>,
}

/// Where a drill restores to: as the reviewed plan says, or as the topology does.
pub fn place<'a>(topology: &'a Topology, reviewed: Option<&'a PlanContent>) -> Option<&'a Place> {
    let reviewed = reviewed.and_then(|plan| plan.drill.as_ref()).map(|drill| &drill.place);
    reviewed.or_else(|| topology.drill())
}

/// Plans a drill of every database of the topology, one after the other.
///
/// There always is something to do: a drill that ended leaves nothing behind that it could find done.
///
/// # Errors
///
/// A [`Refusal`] when a precondition does not hold; nothing has been changed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation)?;

    situation.require_a_fresh_observation()?;
    run.require_the_directory()?;

    let mut all = Vec::new();
    for database in situation.topology.databases() {
        let backups = run.require_whole_backups(database)?;
        let left = run.require_a_free_name(database, &backups)?;
        run.require_space(&backups, left)?;
        all.push((database, backups, left));
    }
    for (database, backups, left) in &all {
        if left.is_some() {
            run.drop_the_copy(database, backups); // of a drill that was cut off
        }
        run.restore_the_full_backup(database, backups);
        run.restore_the_log(database, backups); // straight from where it lies: no job is disturbed
        run.recover(database, backups);
        run.check_every_page(database, backups);
        run.drop_the_copy(database, backups);
        run.compare_with_the_primary(database, backups);
    }
    run.say_what_stays();

    run.draft.verify(situation)
}

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    seen: &'a DrillObservation,
    beside: &'a Beside,
    draft: Draft,
    /// The step before the next one: trials share one folder, so nothing runs side by side.
    last: Option<StepId>,
}

impl<'a> Runbook<'a> {
    fn start(situation: &'a Situation<'a>) -> Result<Runbook<'a>, Refusal> {
        let Some(place) = place(situation.topology, situation.reviewed) else {
            return Err(Refusal::DrillPlaceMissing);
        };
        let instance = &place.instance;
        if situation.topology.instance(instance).is_none() {
            return Err(Refusal::DrillInstanceUnknown { instance: instance.clone() });
        }
        if let Known::Unknown(reason) = situation.observation.instance(instance) {
            return Err(Refusal::InstanceNotObserved { instance: instance.clone(), reason });
        }
        let what = || format!("the place of the drill on {instance}");
        let seen = situation.observation.drill.as_ref().filter(|seen| seen.place == *place);
        let Some(seen) = seen else {
            let reason = Reason::new("not_observed", "the place was not looked at");
            return Err(Refusal::FactUnknown { what: what(), reason });
        };
        let beside = Refusal::unless_known(&seen.beside, what)?;
        let mut draft = Draft::new(Intent::Drill, situation);
        draft.drill(DrillPlan { place: place.clone(), trials: Vec::new() });
        draft.fact("the drill restores on", instance);
        draft.fact("the drill restores into", &place.directory);
        Ok(Runbook { situation, seen, beside, draft, last: None })
    }

    // ---- requirements -------------------------------------------------------------------------

    fn require_the_directory(&mut self) -> Result<(), Refusal> {
        let Place { instance, directory } = &self.seen.place;
        match &self.beside.is_directory {
            Known::Known(true) => {}
            Known::Known(false) => {
                return Err(Refusal::DrillDirectoryMissing {
                    instance: instance.clone(),
                    directory: directory.clone(),
                });
            }
            // What tells it is not documented; the restore will.
            Known::Unknown(reason) => {
                self.draft.note(format!("whether {directory} is there was not told: {reason}"));
            }
        }
        Ok(())
    }

    fn require_whole_backups(&mut self, database: &'a DatabaseName) -> Result<Choice<'a>, Refusal> {
        let Situation { topology, observation, .. } = *self.situation;
        let choice = choose(topology, observation, &self.seen.full_backups, database)?;
        for (file, reason) in &choice.unread {
            if !self.situation.accepts(Consent::IgnoreUnreadableLogBackups) {
                return Err(Refusal::LogBackupUnreadable {
                    database: database.clone(),
                    file: file.path.clone(),
                    reason: (*reason).clone(),
                });
            }
            self.draft.consent(Consent::IgnoreUnreadableLogBackups);
            self.draft.note(format!("{} is not tried: {reason}", file.path));
        }
        for note in &choice.notes {
            self.draft.note(note);
        }
        self.draft.fact(format!("full backup of {database}"), &choice.full.path);
        let (reaches, fork) = (choice.chain.reaches, choice.chain.fork);
        self.draft.fact(format!("log of {database} reaches"), format!("{reaches} on {fork}"));
        Ok(choice)
    }

    /// Nothing has the copy's name, or what an earlier drill left: that one.
    fn require_a_free_name(
        &self,
        database: &DatabaseName,
        backups: &Choice<'_>,
    ) -> Result<Option<&'a CopySeen>, Refusal> {
        let copy = copy_name(database);
        let instance = &self.seen.place.instance;
        let copies = Refusal::unless_known(&self.beside.copies, || {
            format!("whether {instance} has a database {copy}")
        })?;
        let Some(found) = copies.iter().find(|seen| seen.name == copy) else { return Ok(None) };
        match stranger(database, backups.family, found) {
            None => Ok(Some(found)),
            Some(why) => {
                Err(Refusal::DrillNameTaken { instance: instance.clone(), copy, found: why })
            }
        }
    }

    /// The files of the copy, which take what they took when they were backed up, and the log that may
    /// make them grow.
    fn require_space(
        &mut self,
        backups: &Choice<'_>,
        left: Option<&CopySeen>,
    ) -> Result<(), Refusal> {
        let Place { instance, directory } = &self.seen.place;
        let logs = backups.to_restore(self.situation.topology);
        let growth: u64 = logs.map(|(_, header)| header.backup_size_bytes).sum();
        let none = Known::unknown("not_answered", "the contents of the full backup were not told");
        let files = self.beside.restored_bytes.get(&backups.full.path).unwrap_or(&none);
        let freed = left.map_or(0, |left| left.size_bytes);
        let unknown = match (files, &self.beside.free_bytes) {
            (Known::Known(files), Known::Known(free)) => {
                let needed_bytes = files.saturating_add(growth);
                let free_bytes = free.saturating_add(freed);
                if needed_bytes <= free_bytes {
                    return Ok(());
                }
                return Err(Refusal::SpaceMissing {
                    instance: instance.clone(),
                    directory: directory.clone(),
                    needed_bytes,
                    free_bytes,
                });
            }
            (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => reason,
        };
        if !self.situation.accepts(Consent::SpaceUnknown) {
            return Err(Refusal::SpaceNotKnown {
                instance: instance.clone(),
                directory: directory.clone(),
                reason: unknown.clone(),
            });
        }
        self.draft.consent(Consent::SpaceUnknown);
        self.draft.note(format!("whether {directory} has the space is not known: {unknown}"));
        Ok(())
    }

    // ---- steps --------------------------------------------------------------------------------

    fn restore_the_full_backup(&mut self, database: &DatabaseName, backups: &Choice<'_>) {
        let path = backups.full.path.clone();
        let directory = self.seen.place.directory.clone();
        let expected = estimate::restore(backups.header.backup_size_bytes);
        let action = DrillAction::RestoreDatabase { path, directory };
        self.step(database, backups, action, ELSEWHERE, expected);
    }

    fn restore_the_log(&mut self, database: &DatabaseName, backups: &Choice<'_>) {
        for (path, header) in backups.to_restore(self.situation.topology) {
            let log = LogRange {
                first_lsn: header.first_lsn,
                last_lsn: header.last_lsn,
                last_fork: header.last_fork,
            };
            let expected = estimate::restore(header.backup_size_bytes);
            let action = DrillAction::RestoreLog { path, log };
            self.step(database, backups, action, IN_SEQUENCE, expected);
        }
    }

    fn recover(&mut self, database: &DatabaseName, backups: &Choice<'_>) {
        let action = DrillAction::Recover { at: backups.chain.reaches };
        self.step(database, backups, action, RECOVER, estimate::STATEMENT);
    }

    /// It reads everything that was restored.
    fn check_every_page(&mut self, database: &DatabaseName, backups: &Choice<'_>) {
        let expected = estimate::restore(backups.header.backup_size_bytes);
        self.step(database, backups, DrillAction::Check, CHECK, expected);
    }

    fn drop_the_copy(&mut self, database: &DatabaseName, backups: &Choice<'_>) {
        self.step(database, backups, DrillAction::Drop, DROP, estimate::STATEMENT);
    }

    fn step(
        &mut self,
        database: &DatabaseName,
        backups: &Choice<'_>,
        action: DrillAction,
        source: Source,
        expected: Duration,
    ) {
        let step = DrillStep { of: database.clone(), family: backups.family, action };
        let action = DatabaseAction::Drill(Box::new(step));
        let instance = self.seen.place.instance.clone();
        let action = Action::Database(instance, copy_name(database), action);
        self.last = Some(self.draft.step(action, self.last, source, expected));
    }

    /// How far the copy gets, against what the primary has.
    fn compare_with_the_primary(&mut self, database: &'a DatabaseName, backups: &Choice<'a>) {
        let chain = &backups.chain;
        let saved_until = chain.complete_until.unwrap_or(backups.header.started_at);
        let writable = self.writable(database);
        let position = writable.and_then(|copy| copy.log_position.known());
        let primary_lsn = position.and_then(|position| position.last_log_backup_lsn);
        // Positions of different forks do not compare.
        let is_comparable = position.is_some_and(|position| position.fork == chain.fork);
        let is_complete = primary_lsn.filter(|_| is_comparable).map(|lsn| lsn <= chain.reaches);
        self.draft.note(match (is_complete, primary_lsn) {
            (Some(true), _) => format!(
                "{database}: everything that was backed up is tried; a loss of the primary now would cost \
                 what was committed after {saved_until}"
            ),
            (Some(false), Some(lsn)) => format!(
                "{database}: log backups reach {lsn}, those that were found {}; what was committed after \
                 {saved_until} is not tried",
                chain.reaches
            ),
            _ => format!(
                "{database}: nobody tells how far the primary is; what was committed after {saved_until} is \
                 not tried"
            ),
        });
        self.draft.trial(Trial {
            database: database.clone(),
            copy: copy_name(database),
            full_backup: backups.full.path.clone(),
            log_backups: chain.restore.len(),
            up_to_lsn: chain.reaches,
            fork: chain.fork,
            saved_until,
            primary_lsn,
            is_complete,
        });
    }

    fn say_what_stays(&mut self) {
        self.draft.note(
            "jobs, log shipping, mirroring and the log chain stay as they are; msdb keeps the rows that each \
             restore writes, under the name of the copy",
        );
    }

    // ---- helpers ------------------------------------------------------------------------------

    /// The copy that takes writes, if one is known.
    fn writable(&self, database: &DatabaseName) -> Option<&'a DatabaseObservation> {
        let Situation { topology, observation, .. } = *self.situation;
        topology.instances().find_map(|instance| {
            let copy = observation.database(&instance.name, database);
            copy.known().copied().flatten().filter(|copy| copy.is_writable())
        })
    }
}
