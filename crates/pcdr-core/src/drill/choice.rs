//! Which backups a drill restores: the newest full backup, and the log after it, which has to be whole.

use std::collections::BTreeMap;

use crate::backup::{BackupFile, BackupHeader, BackupKind};
use crate::chain::{self, Broken, Chain, Start};
use crate::known::{Known, Reason};
use crate::lsn::Guid;
use crate::name::DatabaseName;
use crate::observation::{LogPosition, Observation};
use crate::refusal::Refusal;
use crate::topology::Topology;

/// A full backup, and the log after it.
pub(super) struct Choice<'a> {
    pub(super) family: Guid,
    pub(super) full: &'a BackupFile,
    pub(super) header: &'a BackupHeader,
    /// Log backups, copied ones first; what the chain's indices mean.
    pub(super) logs: Vec<&'a BackupFile>,
    /// How many of them are in the copy destination.
    copied: usize,
    pub(super) chain: Chain,
    /// Log backups whose header cannot be read, and which nothing else holds under their name; those that
    /// are still being written are not among them.
    pub(super) unread: Vec<(&'a BackupFile, &'a Reason)>,
    /// What could not be looked at, for people.
    pub(super) notes: Vec<String>,
}

/// Chooses the newest full backup of the database that the secondary keeps: one that leads to the recovery
/// fork on which its copy is, where there is one. After it, no log may be missing.
pub(super) fn choose<'a>(
    topology: &Topology,
    observation: &'a Observation,
    full_backups: &'a BTreeMap<DatabaseName, Known<Vec<BackupFile>>>,
    database: &DatabaseName,
) -> Result<Choice<'a>, Refusal> {
    let kept = position_of(topology, observation, database)?;
    let family = kept.family;
    let none = || Known::unknown("not_observed", "no folder was listed");
    let fulls = match full_backups.get(database).map_or_else(none, Known::as_ref) {
        Known::Known(fulls) => fulls,
        Known::Unknown(reason) => {
            let what = format!("the full backups of {database}");
            return Err(Refusal::FactUnknown { what, reason });
        }
    };
    let mut usable: Vec<(&BackupFile, &BackupHeader)> = fulls
        .iter()
        .filter_map(|file| Some((file, file.header.known()?)))
        .filter(|(_, header)| header.kind == BackupKind::Full && header.family == family)
        .filter(|(_, header)| !header.is_damaged)
        .collect();
    usable.sort_by_key(|(_, header)| std::cmp::Reverse((header.finished_at, header.last_lsn)));
    if usable.is_empty() {
        let found = match fulls.len() {
            0 => "neither the backup share nor the copy destination holds a file *.bak of it"
                .to_owned(),
            files => format!(
                "of {files} files *.bak none holds a readable, undamaged full backup of family {family}"
            ),
        };
        return Err(Refusal::FullBackupMissing { database: database.clone(), found });
    }
    let Logs { all: logs, copied, mut notes } = logs(observation, database)?;
    let resolve = |header: &BackupHeader| {
        let start = Start { family, fork: header.last_fork, lsn: header.last_lsn };
        chain::resolve(start, &logs)
    };
    // What somebody backed up on a history of its own leads elsewhere.
    let is_kept =
        |header: &BackupHeader| resolve(header).is_ok_and(|chain| chain.fork == kept.fork);
    let on_kept = usable.iter().find(|(_, header)| is_kept(header));
    let (full, header) = *on_kept.unwrap_or(&usable[0]);
    let chain = resolve(header).map_err(|broken| Refusal::DrillChainBroken {
        database: database.clone(),
        full: full.path.clone(),
        found: found(broken, &logs),
    })?;
    if chain.fork != kept.fork {
        notes.push(format!(
            "the backups of {database} end on recovery fork {}, its copy is on {}",
            chain.fork, kept.fork
        ));
    }
    let unread = unread(&logs, &chain);
    Ok(Choice { family, full, header, logs, copied, chain, unread, notes })
}

/// Family and fork of the copy that the secondary keeps; where it does not tell, of the one that is backed
/// up.
fn position_of(
    topology: &Topology,
    observation: &Observation,
    database: &DatabaseName,
) -> Result<LogPosition, Refusal> {
    let first = [topology.secondary(), topology.primary()].into_iter();
    let mut reason = None;
    for instance in first.chain(topology.instances()) {
        let position = match observation.database(&instance.name, database) {
            Known::Known(Some(copy)) => copy.log_position.as_ref(),
            Known::Known(None) => continue,
            Known::Unknown(reason) => Known::Unknown(reason),
        };
        match position {
            Known::Known(position) => return Ok(*position),
            Known::Unknown(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    let reason = reason.unwrap_or_else(|| Reason::new("not_there", "no instance has a copy of it"));
    Err(Refusal::FactUnknown { what: format!("the family of {database}"), reason })
}

impl Choice<'_> {
    /// The log backups to restore, in order, each with the path at which the instance reads it.
    pub(super) fn to_restore(
        &self,
        topology: &Topology,
    ) -> impl Iterator<Item = (String, &BackupHeader)> {
        self.chain.restore.iter().filter_map(|index| {
            let file = self.logs.get(*index)?;
            let in_share = *index >= self.copied;
            let path = if in_share {
                topology.backup_share().path_of(&file.name)
            } else {
                file.path.clone()
            };
            Some((path, file.header.known()?))
        })
    }
}

struct Logs<'a> {
    all: Vec<&'a BackupFile>,
    copied: usize,
    notes: Vec<String>,
}

/// Log backups in both folders, those in the copy destination first: they are nearer.
fn logs<'a>(observation: &'a Observation, database: &DatabaseName) -> Result<Logs<'a>, Refusal> {
    let unknown = |reason: Reason| Refusal::FactUnknown {
        what: format!("the log backups of {database}"),
        reason,
    };
    let Some(found) = observation.log_backups.get(database) else {
        return Err(unknown(Reason::new("not_observed", "no folder was listed")));
    };
    let mut notes = Vec::new();
    let mut all = Vec::new();
    let mut seen = 0;
    for (folder, what) in [(&found.copied, "copy destination"), (&found.share, "backup share")] {
        match folder {
            Known::Known(files) => {
                seen += 1;
                all.extend(files);
            }
            Known::Unknown(reason) => {
                notes.push(format!("the {what} of {database} was not read: {reason}"));
            }
        }
    }
    match (&found.share, seen) {
        (Known::Unknown(reason), 0) => Err(unknown(reason.clone())),
        _ => Ok(Logs { all, copied: found.copied.known().map_or(0, Vec::len), notes }),
    }
}

fn unread<'a>(logs: &[&'a BackupFile], chain: &Chain) -> Vec<(&'a BackupFile, &'a Reason)> {
    let stem = |name: &'a str| name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    chain
        .unread
        .iter()
        .filter_map(|index| {
            let file = logs[*index];
            let reason = file.header.reason().filter(|reason| reason.code != "still_growing")?;
            let has_twin = logs.iter().any(|other| {
                other.header.known().is_some() && stem(&other.name) == stem(&file.name)
            });
            (!has_twin).then_some((file, reason))
        })
        .collect()
}

fn found(broken: Broken, logs: &[&BackupFile]) -> String {
    match broken {
        Broken::Gap { needed, found, next, .. } => format!(
            "log from {needed} on is missing: the next log backup, {}, starts at {found}",
            logs[next].path
        ),
        Broken::Forked { at, one, other } => {
            format!("log backups from {at} on lead onto two recovery forks, {one} and {other}")
        }
        Broken::Damaged { first, file } => {
            format!("log from {first} on is only in {}, which is marked damaged", logs[file].path)
        }
    }
}
