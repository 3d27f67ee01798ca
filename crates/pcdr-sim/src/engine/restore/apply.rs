//! The content of a set goes into the database, and the database to the state that is asked for.

use jiff::Timestamp;

use super::choose::Chosen;
use super::{Causes, Finish, one, undo};
use crate::engine::database;
use crate::engine::errors;
use crate::engine::host::sql_user;
use crate::engine::log::{Log, LogOp, RecoveryPath};
use crate::engine::lsn::Lsn;
use crate::engine::media::SetKind;
use crate::engine::msdb::history::{self, RestoreHistoryRow};
use crate::engine::options::{StopMark, With};
use crate::engine::paths;
use crate::engine::session::{SessionHost, database_mut};
use crate::engine::state::{
    Database, DatabaseFile, DifferentialBase, Feature, RecoveryModel, Redo, Status, UserAccess,
    WorldState,
};
use crate::message::SqlMessage;
use crate::tsql::ast::Restore;

/// Applies the content. `true`: the place to stop lies beyond the set, the database stays RESTORING.
pub(super) fn apply(
    state: &mut WorldState,
    key: &str,
    statement: &Restore,
    chosen: &Chosen,
    added: &[DatabaseFile],
    with: &With,
) -> Result<bool, SqlMessage> {
    let stop_at = with.stop_at()?;
    let mark = with.stop_mark()?;
    let root = state.root.clone();
    let header = &chosen.header;
    let content = chosen.content.as_ref().ok_or_else(errors::set_damaged)?;
    let database = database_mut(state, key, &statement.database)
        .ok_or_else(|| errors::no_database(&statement.database))?;
    database.security = content.security.clone();
    database.compatibility_level = content.options.compatibility_level;
    database.recovery_model = content.options.recovery_model;
    database.read_only = content.options.read_only;
    database.user_access = if with.has("RESTRICTED_USER") {
        UserAccess::Restricted
    } else {
        content.options.user_access
    };
    let stop = stop_at.map(|stop| {
        crate::engine::state::offset(header.utc_offset_minutes)
            .to_timestamp(stop)
            .unwrap_or(Timestamp::MAX)
    });
    database.condition.features.clone_from(&content.features);
    if header.kind != SetKind::Log {
        database.condition.page_damaged = content.page_damaged || header.damaged;
        database.condition.continued_after_error = header.damaged;
        database.storage = content.storage.clone().ok_or_else(errors::set_damaged)?;
        database.data_bytes = content.data_bytes;
        database.path = RecoveryPath(header.path.0.clone());
        database.log = Log::starting_at(header.last_lsn);
        database.log.checkpoint = header.checkpoint_lsn;
        database.broker_guid = content.broker_guid;
        if header.kind == SetKind::Full {
            database.differential_base = Some(DifferentialBase {
                first_lsn: header.first_lsn,
                checkpoint_lsn: header.checkpoint_lsn,
                guid: header.set_guid,
                at: header.finish,
            });
            database.changed_bytes = 0;
        } else {
            database.changed_bytes = content.changed_bytes;
        }
        database.last_log_backup_lsn = content.last_log_backup_lsn;
        database.redo = Some(Redo {
            lsn: header.last_lsn,
            fork: header.last_fork,
            interrupted: None,
            stopped: false,
        });
        return Ok(false);
    }
    let from = database.redo.as_ref().map_or(header.first_lsn, |redo| redo.lsn);
    let mut reached = header.last_lsn;
    let mut stopped = false;
    let mut removed = Vec::new();
    for record in content.records.iter().filter(|record| record.lsn >= from) {
        let past_mark = match mark {
            Some(StopMark::Lsn(at, included)) => record.lsn > at || (!included && record.lsn == at),
            _ => false,
        };
        if past_mark {
            reached = record.lsn;
            stopped = true;
            break;
        }
        if let Some(stop) = stop
            && record.op == LogOp::Commit
            && record.at > stop
        {
            reached = record.lsn;
            stopped = true;
            break;
        }
        database.storage.apply(record);
        match &record.op {
            LogOp::AddFile { file } => {
                let placed = added.iter().find(|placed| placed.guid == file.guid).unwrap_or(file);
                database.change_files(&LogOp::AddFile { file: placed.clone() });
            }
            LogOp::RemoveFile { guid } => {
                removed.extend(database.files.iter().find(|own| own.guid == *guid).cloned());
                database.change_files(&record.op);
            }
            _ => {}
        }
        database.changed_bytes += record.bytes();
        if record.op == LogOp::Checkpoint {
            database.log.checkpoint = record.lsn;
        }
    }
    let mut path = header.path.0.clone();
    if stopped {
        let first = path.first().copied();
        path.retain(|fork| Some(*fork) == first || fork.start <= reached);
    }
    let checkpoint = database.log.checkpoint;
    // At equal ends a re-restored set must not take a younger fork away.
    if reached >= from {
        database.path = RecoveryPath(path);
    }
    database.log = Log::starting_at(reached);
    database.log.checkpoint = checkpoint;
    database.last_log_backup_lsn = Some(reached);
    let fork = database.fork();
    database.redo = Some(Redo { lsn: reached, fork, interrupted: None, stopped });
    let short = stop.is_some_and(|stop| !stopped && content.captured < stop)
        || (mark.is_some() && !stopped);
    let new = Database {
        files: database.files.iter().filter(|own| added.contains(own)).cloned().collect(),
        ..database.clone()
    };
    if let Some(instance) = state.instances.get(key) {
        database::delete_files(state, &root, instance, &removed);
        database::write_files(state, &root, instance, &new)
            .map_err(|(os, path)| errors::create_file(os, &path))?;
    }
    Ok(short)
}

/// Leaves the database as the statement says; returns what is said of it.
///
/// # Errors
///
/// 3170 and 3442 for the undo file, and when this edition cannot start the database 905 or 909, 933 and
/// 3167: it stays RESTORING.
pub(super) fn complete(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    name: &str,
    finish: &Finish,
    with: &With,
) -> Result<Vec<SqlMessage>, Causes> {
    let mut told = Vec::new();
    let root = host.me.world.root().to_owned();
    let fork = state.random.guid();
    let (version, level) =
        state.instances.get(key).ok_or_else(|| one(errors::killed()))?.config.database_version();
    if *finish == Finish::Recovery
        && let Some(causes) = lacking(state, key, name)
    {
        if let Some(own) = database_mut(state, key, name) {
            own.status = Status::Restoring;
            own.exclusive = None;
        }
        return Err(causes);
    }
    let old_standby = database_mut(state, key, name).and_then(|db| db.standby.take());
    if let Some(file) = old_standby
        && let Some(instance) = state.instances.get(key)
        && let Ok(place) = paths::resolve(state, &root, instance, &file)
    {
        let _missing = std::fs::remove_file(place.path);
    }
    if let Finish::Standby(file) = finish {
        undo::write(host, state, key, name, file).map_err(one)?;
    }
    let database = database_mut(state, key, name).ok_or_else(|| one(errors::no_database(name)))?;
    database.exclusive = None;
    match finish {
        Finish::NoRecovery => database.status = Status::Restoring,
        Finish::Standby(file) => {
            database.status = Status::Online;
            database.standby = Some(file.clone());
        }
        Finish::Recovery => {
            let end = database.redo.as_ref().map_or(Lsn::ZERO, |redo| redo.lsn);
            if database.recovery_model == RecoveryModel::Simple {
                database.last_log_backup_lsn = None;
            } else {
                database.last_log_backup_lsn = Some(end);
            }
            database.begins_log_chain = false;
            if with.has("RESTRICTED_USER") {
                database.user_access = UserAccess::Restricted;
            }
            let log = database.recover(now, Some(fork));
            if database.version < version {
                told.push(errors::converting(&database.name, database.version, version));
                told.push(errors::upgrade_step(&database.name, database.version, version));
            }
            database.version = version;
            database.compatibility_level = database.compatibility_level.min(level);
            let starting = errors::starting(&database.name);
            if let Some(instance) = state.instances.get_mut(key) {
                for message in std::iter::once(starting).chain(log) {
                    instance.log_message(now, message);
                }
            }
        }
    }
    host.me.world.notify();
    Ok(told)
}

/// Why the instance's edition cannot start a database, if it cannot. Source: the features that release
/// 13 with its first service pack gave to every edition.
fn lacking(state: &WorldState, key: &str, name: &str) -> Option<Causes> {
    let instance = state.instances.get(key)?;
    let own = instance.database(name)?;
    let edition = instance.config.edition.to_lowercase();
    let whole = edition.contains("enterprise") || edition.contains("developer");
    if whole || instance.config.version.0 >= 13 || own.condition.features.is_empty() {
        return None;
    }
    let mut causes: Causes = own
        .condition
        .features
        .iter()
        .map(|feature| match feature {
            Feature::Compression => errors::no_compression(&own.name),
            Feature::Partitioning => errors::no_partitioning(&own.name),
        })
        .collect();
    causes.push(errors::missing_features(&own.name));
    causes.push(errors::could_not_start(&own.name));
    Some(causes)
}

/// Writes the rows of msdb; `false` when they cannot be written.
#[allow(clippy::too_many_arguments, reason = "one call, at the end of a restore")]
pub(super) fn write_history(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    statement: &Restore,
    chosen: &Chosen,
    with: &With,
    finish: &Finish,
) -> bool {
    let stop_at = with.stop_at().unwrap_or_default();
    let Some(instance) = state.instances.get_mut(key) else {
        return true;
    };
    let date = instance.local(now);
    let files = instance
        .database(&statement.database)
        .map(|database| {
            database.files.iter().map(|file| (file.id, file.physical.clone())).collect()
        })
        .unwrap_or_default();
    let name = instance
        .database(&statement.database)
        .map_or_else(|| statement.database.clone(), |database| database.name.clone());
    let (first, last) = (chosen.header.first_lsn, chosen.header.last_lsn);
    let message = match chosen.header.kind {
        SetKind::Full => errors::database_restored(&name, first, last),
        SetKind::Differential => errors::differential_restored(&name, first, last),
        SetKind::Log => errors::log_restored(&name, first, last),
    };
    instance.log_message(now, message);
    if !history::can_be_written(instance) {
        return false;
    }
    let history = &mut instance.msdb.history;
    let set = history.add_backup(chosen.header.clone(), None, None, chosen.families.clone());
    history.ids.2 += 1;
    let id = history.ids.2;
    history.restores.push(RestoreHistoryRow {
        id,
        date,
        database: name.clone(),
        user: sql_user(&host.login),
        backup_set_id: set,
        restore_type: chosen.header.kind.code().1,
        replace: with.has("REPLACE"),
        recovery: *finish == Finish::Recovery,
        restart: with.has("RESTART"),
        stop_at,
        device_count: i16::try_from(statement.devices.len()).unwrap_or(64),
        files,
    });
    true
}
