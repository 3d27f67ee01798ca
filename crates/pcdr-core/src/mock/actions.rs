//! What actions on a database do to the mock's data.

use std::collections::BTreeMap;

use super::{State, copy, log_backup, new_session, wrong_state};
use crate::backup::BackupHeader;
use crate::error::InstanceError;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    DatabaseObservation, DatabaseState, MirroringEndpoint, MirroringRole, MirroringState,
    RecoveryModel,
};
use crate::step::{DatabaseAction, LogEnd};

/// Carries a database action out on the mock's data.
pub(super) fn act(
    state: &mut State,
    addresses: &BTreeMap<String, InstanceName>,
    name: &InstanceName,
    database: &DatabaseName,
    action: &DatabaseAction,
) -> Result<(), InstanceError> {
    if let DatabaseAction::BackUpTail { path, follows } = action {
        return back_up_tail(state, name, database, path, follows);
    }
    if let DatabaseAction::Drill(step) = action {
        return super::drill::act(state, name, database, step);
    }
    let taken = &mut state.taken;
    let files = [&state.share, &state.copied].map(|files| files.get(database));
    let copied: BTreeMap<&str, &BackupHeader> = files
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| Some((file.name.as_str(), file.header.known()?)))
        .collect();
    let at_path = |path: &str| copied.get(file_name(path)).copied();
    let instance = state
        .instances
        .get_mut(name)
        .ok_or_else(|| wrong_state(name, "an instance was needed", "not in the topology"))?;
    if let DatabaseAction::CreateMirroringEndpoint { name, port, .. } = action {
        instance.mirroring_endpoint = Known::Known(Some(MirroringEndpoint {
            name: name.clone(),
            port: *port,
            is_started: true,
            allows_partner: true,
            allows_witness: true,
        }));
        return Ok(());
    }
    if let DatabaseAction::DropMirroringEndpoint { .. } = action {
        instance.mirroring_endpoint = Known::Known(None);
        return Ok(());
    }
    if let DatabaseAction::StopMirroringEndpoint { .. } = action {
        if let Known::Known(Some(endpoint)) = &mut instance.mirroring_endpoint {
            endpoint.is_started = false;
        }
        return Ok(());
    }
    let Known::Known(databases) = &mut instance.databases else { return Ok(()) };
    if *action == DatabaseAction::DropRestoring {
        return match databases.get(database) {
            Some(copy) if !copy.is_waiting_for_log() || copy.mirroring != Known::Known(None) => {
                let needed = "a copy that waits for log and is not mirrored was needed";
                Err(wrong_state(name, needed, copy.state))
            }
            _ => {
                databases.remove(database);
                Ok(())
            }
        };
    }
    if let DatabaseAction::RestoreDatabase { path, replaces_existing, .. } = action {
        if *replaces_existing {
            databases.remove(database);
        }
        let mut restored = copy(DatabaseState::Restoring);
        if let (Known::Known(position), Some(at)) = (&mut restored.log_position, taken.get(path)) {
            position.redo_start_lsn = Some(*at);
            position.last_restored_lsn = Some(*at);
        }
        databases.entry(database.clone()).or_insert(restored);
        return Ok(());
    }
    let Some(found) = databases.get_mut(database) else {
        return Err(wrong_state(name, "the database was needed", "missing"));
    };
    match action {
        DatabaseAction::CreateMirroringEndpoint { .. }
        | DatabaseAction::DropMirroringEndpoint { .. }
        | DatabaseAction::StopMirroringEndpoint { .. }
        | DatabaseAction::DropRestoring
        | DatabaseAction::RestoreDatabase { .. }
        | DatabaseAction::BackUpTail { .. }
        | DatabaseAction::Drill(_) => {}
        // Nothing is written in between, so full and log backup end at the same position.
        DatabaseAction::BackUpDatabase { path } | DatabaseAction::BackUpLog { path } => {
            let position = found.log_position.known().and_then(|at| at.last_log_backup_lsn);
            taken.extend(position.map(|position| (path.clone(), position)));
        }
        DatabaseAction::SetRecoveryFull => found.recovery_model = RecoveryModel::Full,
        DatabaseAction::SetRecoveryBack { model } => found.recovery_model = *model,
        DatabaseAction::RestoreLog { path, log } => {
            let Known::Known(position) = &mut found.log_position else { return Ok(()) };
            let (first, last) = match (log, at_path(path)) {
                (Some(log), _) => (log.first_lsn, log.last_lsn),
                (None, Some(header)) => (header.first_lsn, header.last_lsn),
                // The mock keeps no file of a backup that an action takes, but that of a tail.
                (None, None) => return Ok(()),
            };
            let is_there = copied.values().any(|header| header.first_lsn == first);
            match position.redo_start_lsn {
                Some(at) if at >= last => {}
                Some(at) if first <= at && is_there => {
                    position.redo_start_lsn = Some(last);
                    position.last_restored_lsn = Some(last);
                }
                at => return Err(wrong_state(name, "a log backup that applies was needed", at)),
            }
        }
        DatabaseAction::EndSessions => found.sessions = Known::Known(Vec::new()),
        DatabaseAction::Recover { expect } => {
            if found.is_writable() {
                return Ok(());
            }
            let Known::Known(position) = &mut found.log_position else { return Ok(()) };
            let wanted = match expect {
                None => position.redo_start_lsn,
                Some(LogEnd::Lsn(lsn)) => Some(*lsn),
                Some(LogEnd::EndOf { path }) => {
                    at_path(path).filter(|header| header.is_tail).map(|header| header.last_lsn)
                }
            };
            if wanted.is_none() || position.redo_start_lsn != wanted {
                return Err(wrong_state(
                    name,
                    "the planned log position was needed",
                    position.redo_start_lsn,
                ));
            }
            position.last_log_backup_lsn = position.redo_start_lsn.take();
            found.state = DatabaseState::Online;
        }
        DatabaseAction::SetPartner { address } => {
            let role = match found.state {
                DatabaseState::Online => MirroringRole::Principal,
                _ => MirroringRole::Mirror,
            };
            found.mirroring = Known::Known(Some(new_session(role, address.clone())));
        }
        DatabaseAction::AwaitSynchronized => {}
        DatabaseAction::SetWitness { .. }
        | DatabaseAction::FailOverMirror
        | DatabaseAction::ForceService
        | DatabaseAction::RemoveWitness
        | DatabaseAction::RemoveMirroring => {
            return act_on_mirroring(state, addresses, name, database, action);
        }
    }
    Ok(())
}

/// Carries an action on a mirroring session out: on this partner, and on the other one if it is up.
pub(super) fn act_on_mirroring(
    state: &mut State,
    addresses: &BTreeMap<String, InstanceName>,
    name: &InstanceName,
    database: &DatabaseName,
    action: &DatabaseAction,
) -> Result<(), InstanceError> {
    let needed = "a mirrored database was needed";
    let session = copy_on(state, name, database).and_then(|copy| copy.mirroring.known()?.clone());
    let Some(session) = session else {
        return match action {
            DatabaseAction::RemoveWitness | DatabaseAction::RemoveMirroring => Ok(()),
            _ => Err(wrong_state(name, needed, "not mirrored")),
        };
    };
    let partner = addresses.get(&session.partner_address).cloned();
    let partner = partner.filter(|partner| !state.down.contains(partner));
    let is_principal = session.role == MirroringRole::Principal;
    match (action, &partner) {
        (DatabaseAction::FailOverMirror, _) if !is_principal => return Ok(()),
        (DatabaseAction::FailOverMirror, None) => {
            return Err(wrong_state(name, "a connected partner was needed", "disconnected"));
        }
        (DatabaseAction::ForceService, _) if is_principal => return Ok(()),
        (DatabaseAction::ForceService, Some(partner)) => {
            return Err(wrong_state(name, "a lost principal was needed", partner));
        }
        _ => {}
    }
    for (side, is_here) in [(Some(name), true), (partner.as_ref(), false)] {
        let Some(copy) = side.and_then(|side| copy_on(state, side, database)) else { continue };
        let Known::Known(Some(session)) = &mut copy.mirroring else { continue };
        match action {
            DatabaseAction::SetWitness { address } => {
                session.witness_address = Some(address.clone());
            }
            DatabaseAction::RemoveWitness => session.witness_address = None,
            DatabaseAction::RemoveMirroring => copy.mirroring = Known::Known(None),
            _ if is_here == is_principal => {
                session.role = MirroringRole::Mirror;
                copy.state = DatabaseState::Restoring;
            }
            _ => {
                session.role = MirroringRole::Principal;
                copy.state = DatabaseState::Online;
                if partner.is_none() {
                    session.state = MirroringState::Suspended;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn copy_on<'a>(
    state: &'a mut State,
    name: &InstanceName,
    database: &DatabaseName,
) -> Option<&'a mut DatabaseObservation> {
    match &mut state.instances.get_mut(name)?.databases {
        Known::Known(databases) => databases.get_mut(database),
        Known::Unknown(_) => None,
    }
}

/// Leaves a database RESTORING and puts what was never backed up into the backup share.
fn back_up_tail(
    state: &mut State,
    name: &InstanceName,
    database: &DatabaseName,
    path: &str,
    follows: &LogEnd,
) -> Result<(), InstanceError> {
    let server = state.instances.get(name).and_then(|seen| seen.server_name.clone());
    let at = state.now;
    let file = file_name(path).to_owned();
    let there = state.share.get(database).is_some_and(|all| all.iter().any(|f| f.name == file));
    let Some(found) = copy_on(state, name, database) else {
        return Err(wrong_state(name, "the database was needed", "missing"));
    };
    if there && found.state == DatabaseState::Restoring {
        return Ok(());
    }
    let Known::Known(position) = &mut found.log_position else { return Ok(()) };
    if !matches!(found.mirroring, Known::Known(None)) {
        return Err(wrong_state(name, "a database that is not mirrored was needed", "mirrored"));
    }
    // The mock keeps no file of a log backup that an action takes: it may have been any.
    let begins = match follows {
        LogEnd::Lsn(lsn) => Some(*lsn),
        LogEnd::EndOf { .. } => position.last_log_backup_lsn,
    };
    let follows = position.last_log_backup_lsn.filter(|lsn| begins == Some(*lsn));
    let Some(follows) = follows.filter(|_| found.state == DatabaseState::Online) else {
        let found = (found.state, position.last_log_backup_lsn);
        return Err(wrong_state(name, "the tail had to follow the last log backup", found));
    };
    let first = follows.get();
    let mut tail = log_backup(database.as_str(), first, first + 100, at);
    tail.name.clone_from(&file);
    tail.path = path.to_owned();
    if let Known::Known(header) = &mut tail.header {
        header.is_tail = true;
        header.server = server.unwrap_or_default();
        position.redo_start_lsn = Some(header.last_lsn);
        position.last_log_backup_lsn = None;
    }
    found.state = DatabaseState::Restoring;
    state.share.entry(database.clone()).or_default().push(tail);
    Ok(())
}

fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}
