//! The log on its way to the mirror, and what stops it there.

use jiff::Timestamp;
use uuid::Uuid;

use super::{sees_partner, session, session_mut, tell_witness};
use crate::engine::errors;
use crate::engine::log::{LogOp, RecoveryPath};
use crate::engine::lsn::Lsn;
use crate::engine::mirroring_state::{MirroringRole, MirroringState};
use crate::engine::session::database_mut;
use crate::engine::state::{Database, DatabaseFile, Redo, Status, WorldState};
use crate::engine::{database, paths};

/// The LSN from which a mirror still needs log, when the database is a principal.
pub(crate) fn log_needed(state: &WorldState, key: &str, database: &str) -> Option<Lsn> {
    let lower = database.to_lowercase();
    let mirroring = session(state, key, &lower)?;
    let mirror = state.instances.get(&mirroring.partner)?.database(&lower)?;
    Some(mirror.log.next)
}

/// Takes what a backup changed to the mirror, whose log carries it in SQL Server.
pub(crate) fn share_metadata(state: &mut WorldState, key: &str, database: &str) {
    ship(state, key, database);
    let lower = database.to_lowercase();
    let Some(mirroring) = session(state, key, &lower).cloned() else {
        return;
    };
    if mirroring.state != MirroringState::Synchronized {
        return;
    }
    let Some(own) = database_mut(state, key, &lower).cloned() else {
        return;
    };
    if let Some(mirror) = database_mut(state, &mirroring.partner, &lower) {
        copy_metadata(&own, mirror);
        mirror.log.truncate(own.log.truncated_to);
    }
}

fn copy_metadata(from: &Database, to: &mut Database) {
    to.last_log_backup_lsn = from.last_log_backup_lsn;
    to.begins_log_chain = from.begins_log_chain;
    to.differential_base = from.differential_base;
    to.changed_bytes = from.changed_bytes;
    to.data_bytes = from.data_bytes;
    to.extra_log_bytes = from.extra_log_bytes;
    to.security = from.security.clone();
    to.compatibility_level = from.compatibility_level;
    to.user_access = from.user_access;
    to.recovery_model = from.recovery_model;
    to.path = RecoveryPath(from.path.0.clone());
}

/// Sends the log that the mirror lacks, when the session ships on commit.
pub(crate) fn ship(state: &mut WorldState, key: &str, database: &str) {
    let lower = database.to_lowercase();
    let Some(mirroring) = session(state, key, &lower).cloned() else {
        return;
    };
    if mirroring.role != MirroringRole::Principal || mirroring.suspended {
        return;
    }
    if mirroring.state != MirroringState::Synchronized {
        if mirroring.state == MirroringState::Synchronizing && mirroring.synchronized_at.is_none() {
            state.mirroring_dirty = true;
        }
        return;
    }
    if !sees_partner(state, key, &mirroring) {
        return;
    }
    let Some(from) = state
        .instances
        .get(&mirroring.partner)
        .and_then(|partner| partner.database(&lower))
        .map(|mirror| mirror.log.next)
    else {
        return;
    };
    let Some((records, next)) = database_mut(state, key, &lower)
        .map(|own| (own.log.range(from, own.log.next).to_vec(), own.log.next))
    else {
        return;
    };
    let now = records.last().map_or(Timestamp::UNIX_EPOCH, |record| record.at);
    if stop_on_error(state, key, &lower, now) {
        return;
    }
    if let Some(mirror) = database_mut(state, &mirroring.partner, &lower) {
        mirror.receive(&records, next);
    }
    let added: Vec<DatabaseFile> = records
        .iter()
        .filter_map(|record| match &record.op {
            LogOp::AddFile { file } => Some(file.clone()),
            _ => None,
        })
        .collect();
    write_added(state, &mirroring.partner, &lower, added);
    for side in [key, mirroring.partner.as_str()] {
        if let Some(mirroring) = session_mut(state, side, &lower) {
            mirroring.failover_lsn = next;
        }
    }
}

/// Creates the files that the log has added to a mirror.
fn write_added(state: &WorldState, mirror: &str, database: &str, files: Vec<DatabaseFile>) {
    if files.is_empty() {
        return;
    }
    let Some(instance) = state.instances.get(mirror) else {
        return;
    };
    if let Some(copy) = instance.databases.get(database) {
        let only = Database { files, ..copy.clone() };
        // What cannot be written was looked for before: see `mirror_error`.
        let _written = database::write_files(state, &state.root, instance, &only);
    }
}

/// Whether the mirror can write what its principal sends: its files can grow, and a file that the log
/// adds has its folder there.
fn mirror_fails(state: &WorldState, principal: &str, database: &str) -> bool {
    let Some(mirroring) = session(state, principal, database) else {
        return false;
    };
    let (Some(one), Some(other)) =
        (state.instances.get(principal), state.instances.get(&mirroring.partner))
    else {
        return false;
    };
    let (Some(own), Some(copy)) = (one.databases.get(database), other.databases.get(database))
    else {
        return false;
    };
    let place =
        |file: &DatabaseFile| paths::resolve(state, &state.root, other, &file.physical).ok();
    let full = copy.files.iter().filter_map(place).any(|place| place.write_error.is_some());
    full || own.log.range(copy.log.next, own.log.next).iter().any(|record| match &record.op {
        LogOp::AddFile { file } => place(file)
            .is_none_or(|place| !place.path.parent().is_some_and(std::path::Path::is_dir)),
        _ => false,
    })
}

/// Suspends a session whose mirror meets an error. `true`: it does.
pub(super) fn stop_on_error(
    state: &mut WorldState,
    principal: &str,
    database: &str,
    now: Timestamp,
) -> bool {
    let Some(mirroring) = session(state, principal, database).cloned() else {
        return false;
    };
    if !mirror_fails(state, principal, database) {
        return false;
    }
    for side in [principal, mirroring.partner.as_str()] {
        if let Some(own) = session_mut(state, side, database) {
            own.suspended = true;
            own.state = MirroringState::Suspended;
            own.synchronized_at = None;
        }
    }
    tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
        watched.suspended = true;
        watched.synchronized = false;
    });
    if let Some(instance) = state.instances.get_mut(&mirroring.partner) {
        instance.log_message(now, errors::own_error(database));
    }
    if let Some(instance) = state.instances.get_mut(principal) {
        instance.log_message(now, errors::partner_error(&mirroring.partner_address, database));
    }
    true
}

/// Makes the mirror equal to its principal: what it holds beyond is rolled back, what it lacks is
/// sent.
pub(super) fn catch_up(state: &mut WorldState, principal: &str, mirror: &str, database: &str) {
    let Some(own) = state
        .instances
        .get(principal)
        .and_then(|instance| instance.databases.get(database))
        .cloned()
    else {
        return;
    };
    let Some(copy) = database_mut(state, mirror, database) else {
        return;
    };
    copy_metadata(&own, copy);
    copy.storage = own.storage.clone();
    copy.log = own.log.clone();
    let known: Vec<Uuid> = copy.files.iter().map(|file| file.guid).collect();
    let added: Vec<DatabaseFile> =
        own.files.iter().filter(|file| !known.contains(&file.guid)).cloned().collect();
    copy.files.extend(added.iter().cloned());
    copy.files.retain(|file| own.files.iter().any(|kept| kept.guid == file.guid));
    copy.version = own.version;
    copy.status = Status::Restoring;
    copy.redo =
        Some(Redo { lsn: own.log.next, fork: own.fork(), interrupted: None, stopped: false });
    write_added(state, mirror, database, added);
    for side in [principal, mirror] {
        if let Some(mirroring) = session_mut(state, side, database) {
            mirroring.failover_lsn = own.log.next;
        }
    }
}
