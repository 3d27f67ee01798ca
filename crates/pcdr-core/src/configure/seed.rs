//! How far the copy on an instance is, and what brings it as far as it has to be.

use super::Runbook;
use crate::backup::BackupFile;
use crate::chain::{self, Start};
use crate::known::Known;
use crate::lsn::Lsn;
use crate::observation::{DatabaseObservation, DatabaseState, LogPosition};
use crate::step::{Action, DatabaseAction, LogRange};
use crate::topology::Instance;

/// What the copy on an instance needs before it can be a mirror, or get its log by jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seed {
    /// It is missing, or is replaced by consent: a full backup and the log since.
    Restore,
    /// Log that it lacks is in no known backup: it is restored again. It waited for log of the principal's
    /// family and was never recovered, or was left behind on the history that a failover ended.
    RestoreAgain,
    /// It holds all log that was backed up, and no more.
    Ready,
    /// It lacks log that was backed up: these log backups, in order, bring it as far as the last one.
    Behind(Vec<(String, LogRange)>),
    /// A new log backup brings it on: it holds log that was not backed up yet, or nobody knows how far it
    /// is, and the restore itself will tell.
    LogOnly,
    /// A run of the reviewed plan restored it and stopped before this log.
    GoOn {
        /// The log backup of that plan.
        path: String,
        /// Whether that plan takes a full backup, too.
        with_full: bool,
    },
}

impl<'a> Runbook<'a> {
    /// What the copy on an instance needs.
    pub(super) fn seed(&self, instance: &'a Instance) -> Seed {
        let Some(copy) = self.copy(instance, self.current()) else { return Seed::Restore };
        if self.replaces(instance, copy) {
            return Seed::Restore;
        }
        let principal = self.copy(self.principal, self.current());
        let is_mirrored = principal
            .is_some_and(|copy| copy.mirroring.known().is_none_or(|session| session.is_some()));
        let is_partner = self.partner().is_some_and(|partner| partner.name == instance.name);
        if is_mirrored && is_partner {
            return Seed::Ready; // mirroring brings it on
        }
        let Some((here, principal, backed_up)) = self.positions(copy) else {
            return if self.is_half_restored(copy) { Seed::RestoreAgain } else { Seed::LogOnly };
        };
        if here.lsn == backed_up {
            return Seed::Ready; // also where the forks differ: the principal was recovered just there
        }
        if here.fork == principal.fork && here.lsn > backed_up {
            return Seed::LogOnly;
        }
        if !is_partner && self.entry_of_secondary(instance).is_some() {
            return Seed::Ready; // its jobs bring it on, or say why not
        }
        match self.reviewed_log(instance) {
            Some((path, with_full)) if self.was_begun(instance, &path, with_full, backed_up) => {
                return Seed::GoOn { path, with_full };
            }
            _ => {}
        }
        let files = self.situation.observation.log_backups.get(self.current());
        let Some(files) = files.and_then(|files| files.share.known()) else { return Seed::LogOnly };
        match self.known_chain(files, here, principal, backed_up) {
            Some(chain) => Seed::Behind(chain),
            None => Seed::RestoreAgain,
        }
    }

    /// Whether a restore of this database was interrupted: the copy waits for log and has no position.
    ///
    /// Source: "sys.master_files (Transact-SQL)", `redo_start_lsn`.
    fn is_half_restored(&self, copy: &DatabaseObservation) -> bool {
        let family = |copy: &DatabaseObservation| copy.log_position.known().map(|at| at.family);
        let principal = self.copy(self.principal, self.current()).and_then(family);
        copy.state == DatabaseState::Restoring
            && copy
                .log_position
                .known()
                .is_some_and(|at| at.redo_start_lsn.is_none() && at.last_restored_lsn.is_none())
            && principal.is_some()
            && family(copy) == principal
    }

    /// Whether a run of the reviewed plan came as far as to leave this copy to its log backup: the copy
    /// was missing then, or the log backup was taken.
    fn was_begun(&self, instance: &Instance, path: &str, with_full: bool, backed_up: Lsn) -> bool {
        let reviewed = self.situation.reviewed.map(|reviewed| &reviewed.steps);
        let replaced = reviewed.into_iter().flatten().any(|step| match &step.action {
            Action::Database(
                at,
                database,
                DatabaseAction::RestoreDatabase { replaces_existing: true, .. },
            ) => *at == instance.name && database == self.current(),
            _ => false,
        });
        let files = self.situation.observation.log_backups.get(self.current());
        let mut files = files.and_then(|files| files.share.known()).into_iter().flatten();
        let was_taken = files.any(|file| {
            self.topology.backup_share().path_of(&file.name) == path
                && file.header.known().is_some_and(|header| header.last_lsn == backed_up)
        });
        if with_full { !replaced } else { was_taken }
    }

    /// Whether an instance holds a copy that was told its principal, which does not know of it yet.
    pub(super) fn waits_for_its_principal(&self, instance: &Instance) -> bool {
        let copy = self.copy(instance, self.current());
        let session = copy.and_then(|copy| copy.mirroring.known()?.as_ref());
        let principal = self.principal.mirroring_address();
        session.is_some_and(|session| session.partner_address.eq_ignore_ascii_case(&principal))
    }

    /// Where a copy that waits for log stands, the principal's position, and how far its log was backed up.
    fn positions(&self, copy: &DatabaseObservation) -> Option<(Start, &'a LogPosition, Lsn)> {
        let at = copy.log_position.known()?;
        let lsn = at.redo_start_lsn.or(at.last_restored_lsn)?;
        let principal = self.copy(self.principal, self.current())?.log_position.known()?;
        let here = Start { family: at.family, fork: at.fork, lsn };
        (principal.family == here.family).then_some(())?;
        Some((here, principal, principal.last_log_backup_lsn?))
    }

    /// The log backups in the backup share that bring a copy exactly as far as the log was backed up.
    fn known_chain(
        &self,
        files: &[BackupFile],
        here: Start,
        principal: &LogPosition,
        backed_up: Lsn,
    ) -> Option<Vec<(String, LogRange)>> {
        let chain = chain::resolve(here, files).ok()?;
        if chain.reaches != backed_up || chain.fork != principal.fork {
            return None;
        }
        let restores = chain.restore.iter().map(|index| {
            let file = files.get(*index)?;
            let Known::Known(header) = &file.header else { return None };
            let log = LogRange {
                first_lsn: header.first_lsn,
                last_lsn: header.last_lsn,
                last_fork: header.last_fork,
            };
            Some((self.topology.backup_share().path_of(&file.name), log))
        });
        restores.collect()
    }

    /// The log backup that the reviewed plan restores on an instance, and whether it takes a full backup.
    pub(super) fn reviewed_log(&self, instance: &Instance) -> Option<(String, bool)> {
        let reviewed = self.situation.reviewed?;
        let mine = || {
            reviewed.steps.iter().filter_map(|step| match &step.action {
                Action::Database(at, database, action) if database == self.current() => {
                    Some((at, action))
                }
                _ => None,
            })
        };
        let path = mine().find_map(|(at, action)| match action {
            DatabaseAction::RestoreLog { path, log: None } if *at == instance.name => Some(path),
            _ => None,
        })?;
        let takes = |(_, action)| matches!(action, &DatabaseAction::BackUpDatabase { .. });
        let with_full = mine().any(takes);
        Some((path.clone(), with_full))
    }
}
