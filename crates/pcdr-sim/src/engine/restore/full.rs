//! What a full backup makes of a database, and where files go.

use std::path::Path;

use jiff::{Timestamp, civil};

use super::choose::{Chosen, version_text};
use super::{Causes, one};
use crate::engine::errors::{self, OsError};
use crate::engine::log::{Log, LogOp, RecoveryPath};
use crate::engine::options::With;
use crate::engine::session::SessionHost;
use crate::engine::state::{
    Database, DatabaseFile, InstanceState, Redo, Status, UserAccess, WorldState,
};
use crate::engine::{access, alter, database, paths};
use crate::message::SqlMessage;
use crate::tsql::ast::Restore;

/// The rules for a full backup, and the empty RESTORING database that it starts with.
#[allow(clippy::too_many_arguments, reason = "one call, at the start of a restore")]
pub(super) fn prepare_full(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    statement: &Restore,
    chosen: &Chosen,
    with: &With,
    stop_at: Option<civil::DateTime>,
) -> Result<(), Causes> {
    let root = host.me.world.root().to_owned();
    let header = &chosen.header;
    if let Some(stop) = stop_at
        && header.local(header.finish) > stop
    {
        return Err(one(errors::stopat_before_set()));
    }
    if header.damaged && !with.has("CONTINUE_AFTER_ERROR") {
        return Err(one(errors::damaged_when_backed_up()));
    }
    for (logical, _) in &with.moves {
        let known = header.files.iter().any(|file| file.logical.eq_ignore_ascii_case(logical));
        if !known {
            return Err(one(errors::unknown_logical_file(logical, &statement.database)));
        }
    }
    let replace = with.has("REPLACE");
    let lower = statement.database.to_lowercase();
    let instance = state.instances.get(key).ok_or_else(|| one(errors::killed()))?;
    let old = instance.database(&statement.database);
    if let Some(old) = old
        && !replace
    {
        if old.family_guid != header.family_guid {
            return Err(one(errors::other_family(&old.name)));
        }
        let keeps_tail = old.status == Status::Online
            && old.standby.is_none()
            && old.keeps_log()
            && stop_at.is_none();
        if keeps_tail {
            return Err(one(errors::tail_not_backed_up(&old.name)));
        }
        if let Some(stop) = stop_at
            && old.status == Status::Online
            && tail_reaches(old, crate::engine::state::offset(header.utc_offset_minutes), stop)
        {
            return Err(one(errors::stopat_in_tail(&old.name)));
        }
    }
    if old.is_none() && !access::others_using(instance, "model", host.me.session_id).is_empty() {
        return Err(one(errors::model_in_use()));
    }
    if let Some(limit) = alter::beyond_edition(instance, header.size) {
        return Err(one(errors::edition_limit(limit)));
    }
    let own_version = instance.config.version;
    let is_system = old.is_some_and(|old| old.is_system);
    if is_system && header.version != own_version {
        let device = statement.devices.first().map_or("", |device| device.name.as_str());
        return Err(one(errors::other_system_version(
            device,
            &version_text(header.version),
            &version_text(own_version),
        )));
    }
    // Where the files go.
    let mut causes = Vec::new();
    let mut files: Vec<DatabaseFile> = Vec::new();
    for file in &header.files {
        let own = old.and_then(|old| {
            old.files.iter().find(|own| own.logical.eq_ignore_ascii_case(&file.logical))
        });
        let target = with
            .moves
            .iter()
            .find(|(logical, _)| logical.eq_ignore_ascii_case(&file.logical))
            .map(|(_, path)| path.clone())
            .or_else(|| {
                own.filter(|_| old.is_some_and(|old| old.family_guid == header.family_guid))
                    .map(|own| own.physical.clone())
            })
            .unwrap_or_else(|| file.physical.clone());
        let mine = old.is_some_and(|old| {
            old.files.iter().any(|own| own.physical.eq_ignore_ascii_case(&target))
        });
        let twin = files.iter().find(|other| other.physical.eq_ignore_ascii_case(&target));
        let refused = match twin {
            Some(twin) => Some(errors::claimed_twice(&target, &file.logical, &twin.logical)),
            None => {
                let free = mine || replace;
                refused_place(state, &root, instance, &lower, &target, header.size, free)
            }
        };
        if let Some(cause) = refused {
            causes.push(cause);
            causes.push(errors::use_move(&file.logical, &target));
        }
        files.push(DatabaseFile { physical: target, ..file.clone() });
    }
    if !causes.is_empty() {
        causes.push(errors::restore_plan_failed());
        return Err(causes);
    }
    // The point of no return: what was there is gone.
    let old_files = old.map(|old| old.files.clone()).unwrap_or_default();
    let (old_id, same_name, old_holder) = (
        old.map(|old| old.id),
        header.database_name.eq_ignore_ascii_case(&statement.database),
        old.map(|old| old.name.clone()),
    );
    database::delete_files(state, &root, instance, &old_files);
    let guid = state.random.guid();
    let instance = state.instances.get_mut(key).ok_or_else(|| one(errors::killed()))?;
    let id = old_id.unwrap_or_else(|| {
        instance.next_database_id += 1;
        instance.next_database_id - 1
    });
    let restored = Database {
        name: old_holder.unwrap_or_else(|| statement.database.clone()),
        id,
        is_system,
        created: now,
        owner: host.login.clone(),
        status: Status::Restoring,
        standby: None,
        user_access: UserAccess::Multi,
        single_user_holder: None,
        recovery_model: header.recovery_model,
        read_only: false,
        compatibility_level: header.compatibility_level,
        version: header.database_version,
        collation: header.collation.clone(),
        files,
        family_guid: header.family_guid,
        database_guid: if same_name { header.binding_id } else { guid },
        broker_guid: guid,
        path: RecoveryPath(header.path.0.clone()),
        differential_base: None,
        changed_bytes: 0,
        last_log_backup_lsn: None,
        begins_log_chain: false,
        redo: Some(Redo {
            lsn: header.first_lsn,
            fork: header.last_fork,
            interrupted: Some(header.set_guid),
            stopped: false,
        }),
        log: Log::starting_at(header.first_lsn),
        extra_log_bytes: 0,
        data_bytes: 0,
        storage: Default::default(),
        mirroring: None,
        security: Default::default(),
        exclusive: Some(host.me.session_id),
        backup_running: None,
        log_lost: false,
        damaged: false,
        condition: Default::default(),
    };
    instance.databases.insert(lower.clone(), restored);
    let instance = state.instances.get(key).ok_or_else(|| one(errors::killed()))?;
    if let Some(restored) = instance.databases.get(&lower)
        && let Err((os, path)) = database::write_files(state, &root, instance, restored)
    {
        return Err(vec![
            errors::create_file(os, &path),
            errors::use_move(&path, &path),
            errors::restore_plan_failed(),
        ]);
    }
    Ok(())
}

/// Whether the log that is not backed up holds what a restore to `stop` needs.
fn tail_reaches(own: &Database, offset: jiff::tz::Offset, stop: civil::DateTime) -> bool {
    let stop = offset.to_timestamp(stop).unwrap_or(Timestamp::MAX);
    let from = own.last_log_backup_lsn.unwrap_or(own.log.next);
    own.log
        .range(from, own.log.next)
        .iter()
        .any(|record| record.op == LogOp::Commit && record.at <= stop)
}

/// Why a file cannot be written at its place. `free`: a file that is there may be overwritten.
pub(crate) fn refused_place(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    database: &str,
    target: &str,
    bytes: u64,
    free: bool,
) -> Option<SqlMessage> {
    let place = match paths::resolve(state, root, instance, target) {
        Ok(place) => place,
        Err(os) => return Some(errors::directory_lookup(target, os)),
    };
    let user = instance.databases.values().find(|other| {
        other.name.to_lowercase() != database
            && other.files.iter().any(|file| {
                paths::resolve(state, root, instance, &file.physical)
                    .is_ok_and(|own| own.path == place.path)
            })
    });
    if let Some(user) = user {
        return Some(errors::file_used_by(target, &user.name));
    }
    if let Some(os) = place.write_error {
        return Some(if os == OsError::DISK_FULL {
            errors::no_space(target, bytes)
        } else {
            errors::create_file(os, target)
        });
    }
    if !place.path.parent().is_some_and(Path::is_dir) {
        return Some(errors::directory_lookup(target, OsError::FILE_NOT_FOUND));
    }
    (place.path.exists() && !free).then(|| errors::file_exists(target))
}

/// The files that a log adds to the database, at the places where they go.
///
/// # Errors
///
/// 3234 for a MOVE of a file that there is not, 3174 for one of a file that is there already, and 3119
/// after the causes when a file cannot be at its place.
pub(super) fn added_by_log(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    statement: &Restore,
    chosen: &Chosen,
    with: &With,
) -> Result<Vec<DatabaseFile>, Causes> {
    let root = host.me.world.root().to_owned();
    let instance = state.instances.get(key).ok_or_else(|| one(errors::killed()))?;
    let Some(own) = instance.database(&statement.database) else {
        return Ok(Vec::new());
    };
    let from = own.redo.as_ref().map_or(chosen.header.first_lsn, |redo| redo.lsn);
    let mut files: Vec<DatabaseFile> = Vec::new();
    for record in chosen.content.iter().flat_map(|content| &content.records) {
        match &record.op {
            LogOp::AddFile { file }
                if record.lsn >= from && own.files.iter().all(|known| known.guid != file.guid) =>
            {
                files.push(file.clone());
            }
            _ => {}
        }
    }
    for (logical, target) in &with.moves {
        let named = |file: &&mut DatabaseFile| file.logical.eq_ignore_ascii_case(logical);
        match files.iter_mut().find(named) {
            Some(file) => file.physical.clone_from(target),
            None if own.files.iter().any(|file| file.logical.eq_ignore_ascii_case(logical)) => {
                return Err(one(errors::cannot_be_moved(logical)));
            }
            None => return Err(one(errors::unknown_logical_file(logical, &statement.database))),
        }
    }
    let lower = statement.database.to_lowercase();
    let free = with.has("REPLACE");
    let mut causes = Vec::new();
    for file in &files {
        if let Some(cause) =
            refused_place(state, &root, instance, &lower, &file.physical, file.size, free)
        {
            causes.push(cause);
            causes.push(errors::use_move(&file.logical, &file.physical));
        }
    }
    if !causes.is_empty() {
        causes.push(errors::restore_plan_failed());
        return Err(causes);
    }
    Ok(files)
}
