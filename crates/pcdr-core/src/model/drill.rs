//! Copies of drills in the model: databases of their own, beside the ones whose backups they try.

use std::collections::{BTreeMap, BTreeSet};

use super::{CopyState, Impossible, Model};
use crate::backup::BackupKind;
use crate::chain::Start;
use crate::drill::{copy_name, stranger};
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::Observation;
use crate::step::{DrillAction, DrillStep, LogRange};
use crate::topology::Topology;

/// What the model knows of drills.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drills {
    /// The drill's own copies, by instance and name.
    pub copies: BTreeMap<(InstanceName, DatabaseName), DrillCopy>,
    /// Databases that have a copy's name and are somebody else's.
    pub strangers: BTreeSet<(InstanceName, DatabaseName)>,
    /// Where a copy stands that was restored from a full backup, by the backup's path.
    pub full_backups: BTreeMap<String, Start>,
}

/// A drill's own copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillCopy {
    /// The database whose backups it was made from.
    pub of: DatabaseName,
    /// Whether it is open; `None` of one that an earlier drill left.
    pub state: Option<CopyState>,
    /// Where its log stands; `None` of one that an earlier drill left.
    pub position: Option<Start>,
    /// Whether it was checked and found to be whole.
    pub is_checked: bool,
}

impl Drills {
    /// What was observed.
    pub(super) fn of(topology: &Topology, observation: &Observation) -> Drills {
        let mut drills = Drills::default();
        let Some(seen) = &observation.drill else { return drills };
        let listed = seen.full_backups.values().filter_map(Known::known).flatten();
        let full = listed
            .filter_map(|file| Some((file, file.header.known()?)))
            .filter(|(_, header)| header.kind == BackupKind::Full && !header.is_damaged);
        for (file, header) in full {
            let start =
                Start { family: header.family, fork: header.last_fork, lsn: header.last_lsn };
            drills.full_backups.insert(file.path.clone(), start);
        }
        let copies = seen.beside.known().and_then(|beside| beside.copies.known());
        for copy in copies.into_iter().flatten() {
            let key = (seen.place.instance.clone(), copy.name.clone());
            let of = topology.databases().iter().find(|database| copy_name(database) == copy.name);
            let families: BTreeSet<_> =
                drills.full_backups.values().map(|start| start.family).collect();
            let is_own = |of: &&DatabaseName| {
                families.iter().any(|family| stranger(of, *family, copy).is_none())
            };
            match of.filter(is_own) {
                Some(of) => {
                    let of = of.clone();
                    let left = DrillCopy { of, state: None, position: None, is_checked: false };
                    drills.copies.insert(key, left);
                }
                None => {
                    drills.strangers.insert(key);
                }
            }
        }
        drills
    }
}

impl Model<'_> {
    pub(super) fn apply_drill(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        name: &DatabaseName,
        step: &DrillStep,
    ) -> Result<(), Impossible> {
        let no = |found: &str| Err(Impossible(format!("{name} on {instance} {found}")));
        self.require_seen(instance)?;
        let key = (instance.clone(), name.clone());
        if self.copy_of(instance, name).is_some() || self.drills.strangers.contains(&key) {
            return no("is a database that no drill made");
        }
        if let DrillAction::RestoreDatabase { path, .. } = &step.action {
            if self.drills.copies.contains_key(&key) {
                return no("exists");
            }
            let Some(start) = self.drills.full_backups.get(path).copied() else {
                return no(&format!("has no full backup {path} to be restored from"));
            };
            if start.family != step.family {
                return no(&format!("would be of another family than {}", step.of));
            }
            let copy = DrillCopy {
                of: step.of.clone(),
                state: Some(CopyState::Restoring),
                position: Some(start),
                is_checked: false,
            };
            self.drills.copies.insert(key, copy);
            return Ok(());
        }
        if let DrillAction::RestoreLog { path, log } = &step.action {
            let start = self.log_for_a_drill(topology, &key, step, path, log)?;
            if let Some(copy) = self.drills.copies.get_mut(&key) {
                copy.position = Some(start);
            }
            return Ok(());
        }
        let Some(copy) = self.drills.copies.get_mut(&key).filter(|copy| copy.of == step.of) else {
            return no("is no copy of a drill");
        };
        match &step.action {
            DrillAction::RestoreDatabase { .. } | DrillAction::RestoreLog { .. } => {}
            DrillAction::Recover { at } => {
                let stands = copy.position.is_some_and(|position| position.lsn == *at);
                if copy.state != Some(CopyState::Restoring) || !stands {
                    return no(&format!("does not wait for log at {at}"));
                }
                copy.state = Some(CopyState::Online);
            }
            DrillAction::Check if copy.state == Some(CopyState::Online) => copy.is_checked = true,
            DrillAction::Check => return no("is not open"),
            DrillAction::Drop => {
                self.drills.copies.remove(&key);
            }
        }
        Ok(())
    }

    /// Where a copy stands after a log backup.
    fn log_for_a_drill(
        &self,
        topology: &Topology,
        key: &(InstanceName, DatabaseName),
        step: &DrillStep,
        path: &str,
        log: &LogRange,
    ) -> Result<Start, Impossible> {
        let copy = self
            .drills
            .copies
            .get(key)
            .filter(|copy| copy.of == step.of && copy.state == Some(CopyState::Restoring));
        let Some(position) = copy.and_then(|copy| copy.position) else {
            return Err(Impossible(format!("{} on {} does not wait for log", key.1, key.0)));
        };
        let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
        let in_share = topology.backup_share().path_of(name) == path;
        let file = self.log_files_of(&step.of).find(|(other, _)| *other == name);
        let file = file.map(|(_, file)| file);
        let file = file.filter(|file| file.is_copied || (in_share && file.is_in_share));
        let applies = file.is_some_and(|file| {
            file.range == *log
                && file.family == position.family
                && file.first_fork == position.fork
                && log.first_lsn <= position.lsn
                && log.last_lsn > position.lsn
        });
        if !applies {
            return Err(Impossible(format!(
                "log backup {path} does not apply at {}",
                position.lsn
            )));
        }
        Ok(Start { lsn: log.last_lsn, fork: log.last_fork, ..position })
    }
}
