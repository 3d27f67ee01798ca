//! ALTER DATABASE … ADD, REMOVE and MODIFY FILE, and REBUILD LOG.

use std::path::Path;

use super::is_system;
use crate::engine::database::{self, NEW_DATA_BYTES, NEW_LOG_BYTES};
use crate::engine::errors::{self, OsError};
use crate::engine::log::{Fork, Log, LogOp};
use crate::engine::lsn::Lsn;
use crate::engine::session::{SessionHost, database_mut};
use crate::engine::state::{Database, DatabaseFile, InstanceState, Status, WorldState};
use crate::engine::{access, mirroring, paths};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::FileSpec;
use crate::tsql::host::Sink;

/// What an Express edition allows a database to hold, in MB. Source: editions and supported features.
const EXPRESS_LIMIT_MEGABYTES: u64 = 10_240;

/// The limit of an instance's edition that files of this size exceed, if they do, in MB.
pub(crate) fn beyond_edition(instance: &InstanceState, data_bytes: u64) -> Option<u64> {
    let express = instance.config.edition.to_lowercase().contains("express");
    (express && data_bytes > EXPRESS_LIMIT_MEGABYTES << 20).then_some(EXPRESS_LIMIT_MEGABYTES)
}

/// Whether a database file's path begins at a root.
fn is_absolute(path: &str) -> bool {
    let path = path.trim();
    path.starts_with(['\\', '/']) || path.as_bytes().get(1) == Some(&b':')
}

/// The operating system error of a path whose folder is not there.
pub(super) fn missing_folder(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    path: &str,
) -> Option<OsError> {
    match paths::resolve(state, root, instance, path) {
        Ok(place) if place.path.parent().is_some_and(Path::is_dir) => None,
        Ok(_) => Some(OsError::FILE_NOT_FOUND),
        Err(os) => Some(os),
    }
}

/// Why CREATE DATABASE cannot be begun with these files; 1802 is the last of the causes.
pub(super) fn refused_specs(
    instance: &InstanceState,
    me: u16,
    specs: &[FileSpec],
) -> Vec<SqlMessage> {
    let mut causes = Vec::new();
    if !access::others_using(instance, "model", me).is_empty() {
        causes.push(errors::model_in_use());
    }
    for (i, spec) in specs.iter().enumerate() {
        let earlier = &specs[..i];
        if earlier.iter().any(|other| other.logical.eq_ignore_ascii_case(&spec.logical)) {
            causes.push(errors::logical_name_used(&spec.logical));
        }
        causes.extend(refused_size(spec));
        if !spec.physical.is_empty() && !is_absolute(&spec.physical) {
            causes.push(errors::file_activation(&spec.physical));
        }
    }
    if specs.first().and_then(|spec| spec.size_bytes).is_some_and(|size| size < NEW_DATA_BYTES) {
        causes.push(errors::too_small(NEW_DATA_BYTES >> 20));
    }
    let data = specs.iter().filter(|spec| !spec.is_log).filter_map(|spec| spec.size_bytes).sum();
    if let Some(limit) = beyond_edition(instance, data) {
        causes.push(errors::edition_limit(limit));
    }
    if !causes.is_empty() {
        causes.push(errors::create_failed());
    }
    causes
}

fn refused_size(spec: &FileSpec) -> Option<SqlMessage> {
    let size = spec.size_bytes.unwrap_or(0);
    let over = spec.max_size_bytes.is_some_and(|max| max < size);
    over.then(|| errors::max_below_size(&spec.logical))
}

/// The database, if its files may be changed now.
fn changeable<'a>(
    instance: &'a InstanceState,
    name: &str,
    me: u16,
) -> Result<&'a Database, SqlFailure> {
    let own = instance
        .database(name)
        .ok_or_else(|| errors::closed_by_5069(errors::cannot_alter(name)))?;
    if is_system(name) {
        return Err(errors::closed_by_5069(errors::not_in_database("FILE", name)));
    }
    if own.exclusive.is_some_and(|owner| owner != me) {
        return Err(errors::closed_by_5069(errors::alter_in_transition(&own.name)));
    }
    match own.status {
        Status::Online if own.standby.is_some() || own.read_only => {
            Err(errors::closed_by_5069(errors::not_writable(&own.name)))
        }
        Status::Online if own.backup_running.is_some() => Err(errors::serialized(&own.name).into()),
        Status::Online => Ok(own),
        Status::Restoring => {
            Err(errors::closed_by_5069(errors::not_permitted_in_state("Restoring")))
        }
        other => Err(errors::closed_by_5069(
            errors::closed(&own.name, other).unwrap_or_else(|| errors::not_writable(&own.name)),
        )),
    }
}

/// ADD FILE and ADD LOG FILE.
pub(super) fn add(host: &SessionHost, name: &str, specs: &[FileSpec]) -> Result<(), SqlFailure> {
    let root = host.me.world.root().to_owned();
    host.try_change(|state, key, now| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let own = changeable(instance, name, host.me.session_id)?;
        let failed = |cause: SqlMessage| SqlFailure(vec![cause, errors::files_not_found()]);
        let mut files = Vec::new();
        for spec in specs {
            let same = |file: &DatabaseFile| file.logical.eq_ignore_ascii_case(&spec.logical);
            if own.files.iter().chain(&files).any(same) {
                return Err(errors::logical_name_used(&spec.logical).into());
            }
            if own.condition.dropped_files.contains(&spec.logical.to_lowercase()) {
                return Err(errors::name_not_free(&spec.logical).into());
            }
            if let Some(cause) = refused_size(spec) {
                return Err(cause.into());
            }
            if !is_absolute(&spec.physical) {
                return Err(failed(errors::file_activation(&spec.physical)));
            }
            if let Some(os) = missing_folder(state, &root, instance, &spec.physical) {
                return Err(failed(errors::directory_lookup(&spec.physical, os)));
            }
            let place = paths::resolve(state, &root, instance, &spec.physical)
                .map_err(|os| failed(errors::create_file(os, &spec.physical)))?;
            if let Some(os) = place.write_error {
                return Err(failed(errors::create_file(os, &spec.physical)));
            }
            if place.path.exists() {
                return Err(failed(errors::file_is_there(&spec.physical)));
            }
            let next_id = own.files.iter().chain(&files).map(|file| file.id).max().unwrap_or(0) + 1;
            let size = if spec.is_log { NEW_LOG_BYTES } else { NEW_DATA_BYTES };
            files.push(DatabaseFile {
                id: next_id,
                guid: uuid::Uuid::nil(),
                is_log: spec.is_log,
                logical: spec.logical.clone(),
                physical: spec.physical.clone(),
                size: spec.size_bytes.unwrap_or(size),
                create_lsn: own.log.next,
                offline: false,
            });
        }
        let data: u64 =
            own.files.iter().chain(&files).filter(|file| !file.is_log).map(|file| file.size).sum();
        if let Some(limit) = beyond_edition(instance, data) {
            return Err(errors::edition_limit(limit).into());
        }
        for mut file in files {
            file.guid = state.random.guid();
            let own = database_mut(state, key, name).ok_or_else(|| errors::cannot_alter(name))?;
            let transaction = own.begin(now);
            file.create_lsn = own.append(now, transaction, LogOp::AddFile { file: file.clone() });
            own.commit(now, transaction);
            let new = own.clone();
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            let only = Database { files: vec![file], ..new };
            database::write_files(state, &root, instance, &only)
                .map_err(|(os, path)| failed(errors::create_file(os, &path)))?;
        }
        mirroring::ship(state, key, name);
        Ok(())
    })
}

/// REMOVE FILE.
pub(super) fn remove(host: &SessionHost, name: &str, file: &str) -> Result<(), SqlFailure> {
    let root = host.me.world.root().to_owned();
    host.try_change(|state, key, now| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let own = changeable(instance, name, host.me.session_id)?;
        let old = own
            .files
            .iter()
            .find(|own| own.logical.eq_ignore_ascii_case(file))
            .cloned()
            .ok_or_else(errors::files_not_found)?;
        if old.id <= 2 {
            return Err(SqlMessage::new(
                5020,
                16,
                format!(
                    "The primary data or log file cannot be removed from a database ('{file}')."
                ),
            )
            .into());
        }
        let own = database_mut(state, key, name).ok_or_else(|| errors::cannot_alter(name))?;
        let transaction = own.begin(now);
        own.append(now, transaction, LogOp::RemoveFile { guid: old.guid });
        own.commit(now, transaction);
        if own.keeps_log() {
            own.condition.dropped_files.insert(old.logical.to_lowercase());
        }
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        database::delete_files(state, &root, instance, &[old]);
        mirroring::ship(state, key, name);
        Ok(())
    })
}

/// The file of that logical name.
fn named<'a>(own: &'a mut Database, file: &str) -> Result<&'a mut DatabaseFile, SqlFailure> {
    let name = own.name.clone();
    own.files
        .iter_mut()
        .find(|own| own.logical.eq_ignore_ascii_case(file))
        .ok_or_else(|| errors::no_such_file(file, &name).into())
}

/// MODIFY FILE (…, OFFLINE): only a restore brings the file back.
pub(super) fn take_offline(host: &SessionHost, name: &str, file: &str) -> Result<(), SqlFailure> {
    host.try_change(|state, key, _| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        changeable(instance, name, host.me.session_id)?;
        let own = database_mut(state, key, name).ok_or_else(|| errors::cannot_alter(name))?;
        named(own, file)?.offline = true;
        Ok(())
    })
}

/// MODIFY FILE: size, and the path that the next start looks at.
pub(super) fn modify(host: &SessionHost, name: &str, spec: &FileSpec) -> Result<(), SqlFailure> {
    host.try_change(|state, key, _| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let offline = instance.database(name).is_some_and(|own| own.status == Status::Offline);
        if !offline {
            changeable(instance, name, host.me.session_id)?;
        }
        if let Some(cause) = refused_size(spec) {
            return Err(cause.into());
        }
        let own = database_mut(state, key, name).ok_or_else(|| errors::cannot_alter(name))?;
        let file = named(own, &spec.logical)?;
        if !spec.physical.is_empty() {
            file.physical.clone_from(&spec.physical);
        }
        file.size = spec.size_bytes.unwrap_or(file.size);
        Ok(())
    })
}

/// REBUILD LOG: a database whose log is lost comes back, on a new fork and without its chain.
pub(super) async fn rebuild_log(
    host: &SessionHost,
    name: &str,
    spec: Option<&FileSpec>,
    sink: &mut dyn Sink,
) -> Result<(), SqlFailure> {
    let root = host.me.world.root().to_owned();
    host.try_change(|state, key, now| {
        let guid = state.random.guid();
        let own = database_mut(state, key, name)
            .ok_or_else(|| errors::closed_by_5069(errors::cannot_alter(name)))?;
        if !matches!(own.status, Status::Suspect | Status::Emergency) {
            return Err(errors::closed_by_5069(errors::no_rebuild(&own.name)));
        }
        if own.damaged {
            return Err(errors::closed_by_5069(errors::suspect(&own.name)));
        }
        // Nothing is left that could undo open work: what reached the disk stays.
        let open: Vec<Lsn> = own.storage.open.keys().copied().collect();
        let start = own.log.next.next_block(1);
        for transaction in open {
            own.append(now, transaction, LogOp::Commit);
        }
        own.path.0.push(Fork { guid, start });
        own.log = Log::starting_at(start);
        (own.log_lost, own.condition.log_corrupt) = (false, false);
        own.condition.log_unavailable = false;
        own.last_log_backup_lsn = None;
        own.begins_log_chain = true;
        own.status = Status::Online;
        if let Some((spec, file)) = spec.zip(own.files.iter_mut().find(|file| file.is_log)) {
            file.logical.clone_from(&spec.logical);
            file.physical.clone_from(&spec.physical);
        }
        own.recover(now, None);
        let whole = own.clone();
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let files = whole.files.iter().filter(|file| file.is_log).cloned().collect();
        database::write_files(state, &root, instance, &Database { files, ..whole })
            .map_err(|(os, path)| errors::closed_by_5069(errors::create_file(os, &path)))
    })?;
    sink.message(errors::log_rebuilt(name)).await;
    Ok(())
}
