//! Copies that wait for log, and whether there still is log that they can take.

use super::Runbook;
use crate::backup::BackupFile;
use crate::chain::{self, Start};
use crate::known::Known;
use crate::observation::DatabaseObservation;
use crate::step::LogRange;
use crate::topology::Instance;

/// The log between a copy and the place where the principal's log begins that no backup holds.
pub(super) enum Between {
    /// There is none, or nothing is known that speaks against it.
    Nothing,
    /// These log backups, in this order: file name and log.
    LogBackups(Vec<(String, LogRange)>),
    /// It cannot be told from log backups: the copy was left behind, for example on the history that a
    /// failover ended.
    Lost,
}

impl Runbook<'_> {
    /// Whether a copy that nothing keeps up to date can only be restored anew.
    pub(super) fn is_left_behind(&self, instance: &Instance, copy: &DatabaseObservation) -> bool {
        let is_mirror = self.mirror.is_some_and(|mirror| mirror.name == instance.name);
        let entry = self
            .seen(instance)
            .and_then(|seen| seen.log_shipping_secondary.known()?.get(self.current()));
        let is_alone =
            matches!(copy.mirroring, Known::Known(None)) && (is_mirror || entry.is_none());
        is_alone && copy.is_waiting_for_log() && matches!(self.between(copy), Between::Lost)
    }

    /// The log that a copy needs before it can follow the principal.
    pub(super) fn between(&self, copy: &DatabaseObservation) -> Between {
        let principal = self.copy(self.principal, self.current());
        let principal = principal.and_then(|copy| copy.log_position.known());
        let (Some(principal), Known::Known(here)) = (principal, &copy.log_position) else {
            return Between::Nothing;
        };
        let lsn = here.redo_start_lsn.or(here.last_restored_lsn);
        let (Some(begins), Some(lsn)) = (principal.last_log_backup_lsn, lsn) else {
            return Between::Nothing;
        };
        if begins == lsn {
            // Also where the forks differ: the principal was recovered just there.
            return Between::Nothing;
        }
        let files = self.situation.observation.log_backups.get(self.current());
        let Some(Known::Known(files)) = files.map(|files| &files.share) else {
            return Between::Nothing;
        };
        let start = Start { family: here.family, fork: here.fork, lsn };
        match chain::resolve(start, files) {
            Ok(chain) if chain.reaches == begins && chain.fork == principal.fork => {
                let log = |index: &usize| log_of(&files[*index]);
                Between::LogBackups(chain.restore.iter().filter_map(log).collect())
            }
            _ => Between::Lost,
        }
    }
}

fn log_of(file: &BackupFile) -> Option<(String, LogRange)> {
    let header = file.header.known()?;
    let log = LogRange {
        first_lsn: header.first_lsn,
        last_lsn: header.last_lsn,
        last_fork: header.last_fork,
    };
    Some((file.name.clone(), log))
}
