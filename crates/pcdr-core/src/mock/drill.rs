//! Drills on the mock's data: copies beside the databases of the topology.

use std::collections::BTreeMap;

use super::{State, copy, log_backup, wrong_state};
use crate::backup::{BackupFile, BackupKind};
use crate::drill::{Beside, BesideQuestion, CopySeen, file_path, stranger};
use crate::error::InstanceError;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::DatabaseState;
use crate::step::{DrillAction, DrillStep};
use crate::time::Timestamp;

/// What the mock knows of the place of drills.
#[derive(Debug)]
pub(super) struct BesideState {
    pub(super) free_bytes: Known<u64>,
    pub(super) is_missing: bool,
    /// Files of databases that are not the topology's, by instance and name.
    files: BTreeMap<(InstanceName, DatabaseName), Vec<String>>,
}

impl Default for BesideState {
    fn default() -> BesideState {
        let free_bytes = Known::Known(1 << 40);
        BesideState { free_bytes, is_missing: false, files: BTreeMap::new() }
    }
}

impl BesideState {
    pub(super) fn put(&mut self, instance: InstanceName, database: DatabaseName, file: &str) {
        self.files.insert((instance, database), vec![file.to_owned()]);
    }

    pub(super) fn names(&self, instance: &InstanceName) -> Vec<DatabaseName> {
        let here = self.files.keys().filter(|(on, _)| on == instance);
        here.map(|(_, name)| name.clone()).collect()
    }

    fn seen(
        &self,
        state: &State,
        instance: &InstanceName,
        name: &DatabaseName,
    ) -> Option<CopySeen> {
        let files = self.files.get(&(instance.clone(), name.clone()))?.clone();
        let seen = state.instances.get(instance)?.databases.known();
        let position = seen.and_then(|all| all.get(name)).map(|copy| &copy.log_position);
        let family = position.and_then(Known::known).map(|position| position.family);
        Some(CopySeen { name: name.clone(), family, files, size_bytes: SIZE_BYTES })
    }
}

/// What every restored database takes.
const SIZE_BYTES: u64 = 1 << 20;

/// The full backup that a world begins with.
pub(super) fn first_full_backup(database: &DatabaseName) -> (DatabaseName, Vec<BackupFile>) {
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    let mut file = log_backup(database.as_str(), 900, 1000, at);
    file.name = format!("{database}_1000.bak");
    file.path = format!(r"\\files.example.net\backups\{}", file.name);
    if let Known::Known(header) = &mut file.header {
        header.kind = BackupKind::Full;
    }
    (database.clone(), vec![file])
}

pub(super) fn look(state: &State, name: &InstanceName, question: &BesideQuestion) -> Beside {
    let seen = question.copies.iter().filter_map(|copy| state.beside.seen(state, name, copy));
    let bytes = question.backups.iter().map(|path| (path.clone(), Known::Known(SIZE_BYTES)));
    Beside {
        copies: Known::Known(seen.collect()),
        is_directory: Known::Known(!state.beside.is_missing),
        free_bytes: state.beside.free_bytes.clone(),
        restored_bytes: bytes.collect(),
    }
}

/// Carries an action on a drill's copy out.
pub(super) fn act(
    state: &mut State,
    name: &InstanceName,
    database: &DatabaseName,
    step: &DrillStep,
) -> Result<(), InstanceError> {
    let key = (name.clone(), database.clone());
    let seen = state.beside.seen(state, name, database);
    let why = seen.as_ref().and_then(|seen| stranger(&step.of, step.family, seen));
    if let Some(why) = why {
        return Err(wrong_state(name, "a copy of the drill was needed", why));
    }
    let header = |path: &str| {
        let folders = [&state.full, &state.share, &state.copied].map(|files| files.get(&step.of));
        let file = folders.into_iter().flatten().flatten().find(|file| {
            let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
            file.name == name
        });
        file.and_then(|file| file.header.known()).cloned()
    };
    let found = match &step.action {
        DrillAction::RestoreDatabase { path, .. } | DrillAction::RestoreLog { path, .. } => {
            Some(header(path).ok_or_else(|| wrong_state(name, "a backup was needed", path))?)
        }
        _ => None,
    };
    let Some(Known::Known(databases)) =
        state.instances.get_mut(name).map(|instance| &mut instance.databases)
    else {
        return Err(wrong_state(name, "an instance was needed", "nothing is known of it"));
    };
    match (&step.action, found) {
        (DrillAction::RestoreDatabase { directory, .. }, Some(header)) => {
            if databases.contains_key(database) {
                return Ok(()); // its own, and so the restore that was asked for before
            }
            let mut restored = copy(DatabaseState::Restoring);
            if let Known::Known(position) = &mut restored.log_position {
                position.family = header.family;
                position.redo_start_lsn = Some(header.last_lsn);
                position.last_restored_lsn = None;
            }
            databases.insert(database.clone(), restored);
            let file = file_path(directory, step.family, 0, "mgc.mdf");
            state.beside.files.insert(key, vec![file]);
        }
        (DrillAction::Drop, _) => {
            databases.remove(database);
            state.beside.files.remove(&key);
        }
        (action, found) => {
            let Some(copy) = databases.get_mut(database) else {
                return Err(wrong_state(name, "the copy was needed", "missing"));
            };
            let Known::Known(position) = &mut copy.log_position else { return Ok(()) };
            let at = position.redo_start_lsn;
            match (action, found) {
                (DrillAction::RestoreLog { .. }, Some(header)) => match at {
                    Some(at) if at >= header.last_lsn => {}
                    Some(at) if header.first_lsn <= at => {
                        position.redo_start_lsn = Some(header.last_lsn);
                        position.last_restored_lsn = Some(header.last_lsn);
                    }
                    at => {
                        return Err(wrong_state(name, "a log backup that applies was needed", at));
                    }
                },
                (DrillAction::Recover { at: wanted }, _) => match at {
                    Some(at) if at == *wanted => {
                        position.last_log_backup_lsn = position.redo_start_lsn.take();
                        copy.state = DatabaseState::Online;
                    }
                    None if copy.state == DatabaseState::Online => {}
                    at => return Err(wrong_state(name, "the planned log position was needed", at)),
                },
                (DrillAction::Check, _) if copy.state != DatabaseState::Online => {
                    return Err(wrong_state(name, "an open copy was needed", copy.state));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
