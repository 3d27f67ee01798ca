//! CREATE, DROP and ALTER DATABASE.

use jiff::Timestamp;

use super::access;
use super::database;
use super::errors;
use super::log::LogOp;
use super::mirroring;
use super::security::{self, Action};
use super::session::SessionHost;
use super::state::{Database, InstanceState, Status};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{AlterDatabase, AlterDatabaseAction, FileSpec};
use crate::tsql::host::Sink;

mod dbcc;
mod files;
mod set;

pub(crate) use dbcc::dbcc;
pub(crate) use files::beyond_edition;

fn is_system(name: &str) -> bool {
    ["master", "tempdb", "model", "msdb"].iter().any(|system| system.eq_ignore_ascii_case(name))
}

fn in_transaction(instance: &InstanceState, session: u16) -> bool {
    instance.sessions.get(&session).is_some_and(|session| session.transaction_count > 0)
}

/// CREATE DATABASE.
pub(crate) async fn create(
    host: &SessionHost,
    name: &str,
    files: &[FileSpec],
) -> Result<u16, SqlFailure> {
    let cost = host.me.world.lock().costs.device;
    host.pause(cost).await.map_err(|_| SqlFailure::from(errors::killed()))?;
    let root = host.me.world.root().to_owned();
    host.try_change(|state, key, now| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        if in_transaction(instance, host.me.session_id) {
            return Err(errors::in_transaction("CREATE DATABASE").into());
        }
        security::may(instance, &host.login, Action::CreateDatabase)?;
        if instance.database(name).is_some() {
            return Err(errors::database_exists(name).into());
        }
        if name.is_empty() || name.chars().count() > 128 {
            return Err(SqlMessage::new(
                1038,
                15,
                "An object or column name is missing or empty, or longer than 128 characters.",
            )
            .into());
        }
        let causes = files::refused_specs(instance, host.me.session_id, files);
        if !causes.is_empty() {
            return Err(SqlFailure(causes));
        }
        let created =
            database::new_database(&mut state.random, instance, name, files, &host.login, now);
        let used = instance.databases.values().find_map(|other| {
            created.files.iter().find_map(|file| {
                other
                    .files
                    .iter()
                    .any(|own| own.physical.eq_ignore_ascii_case(&file.physical))
                    .then(|| (file.physical.clone(), other.name.clone()))
            })
        });
        if let Some((file, other)) = used {
            return Err(SqlFailure(vec![
                errors::file_used_by(&file, &other),
                errors::create_failed(),
            ]));
        }
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        for file in &created.files {
            let exists = super::paths::resolve(state, &root, instance, &file.physical)
                .is_ok_and(|place| place.path.exists());
            if exists {
                return Err(SqlFailure(vec![
                    errors::file_is_there(&file.physical),
                    errors::create_failed(),
                ]));
            }
            if let Some(os) = files::missing_folder(state, &root, instance, &file.physical) {
                return Err(SqlFailure(vec![
                    errors::directory_lookup(&file.physical, os),
                    errors::create_failed(),
                ]));
            }
        }
        if let Err((os, path)) = database::write_files(state, &root, instance, &created) {
            database::delete_files(state, &root, instance, &created.files);
            return Err(SqlFailure(vec![errors::create_file(os, &path), errors::create_failed()]));
        }
        if let Some(instance) = state.instances.get_mut(key) {
            instance.databases.insert(name.to_lowercase(), created);
        }
        Ok(203)
    })
}

/// DROP DATABASE.
pub(crate) fn drop(
    host: &SessionHost,
    names: &[String],
    if_exists: bool,
) -> Result<u16, SqlFailure> {
    let root = host.me.world.root().to_owned();
    let me = host.me.session_id;
    for name in names {
        host.try_change(|state, key, now| {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            if in_transaction(instance, me) {
                return Err(errors::in_transaction("DROP DATABASE").into());
            }
            let Some(old) = instance.database(name) else {
                return if if_exists {
                    Ok(())
                } else {
                    Err(errors::cannot_drop("database", name).into())
                };
            };
            if is_system(name) {
                return Err(errors::drop_system(&old.name).into());
            }
            if !old.owner.eq_ignore_ascii_case(&host.login) {
                security::may(instance, &host.login, Action::DropDatabase(&old.name))?;
            }
            if old.mirroring.is_some() {
                return Err(SqlMessage::new(
                    3743,
                    16,
                    format!(
                        "The database '{}' is enabled for database mirroring. Database mirroring must be removed before you drop the database.",
                        old.name
                    ),
                )
                .into());
            }
            let mine = instance
                .sessions
                .get(&me)
                .is_some_and(|session| session.database.eq_ignore_ascii_case(name));
            let busy = old.exclusive.is_some() || old.backup_running.is_some();
            if mine || busy || !access::others_using(instance, name, me).is_empty() {
                let state = if old.single_user_holder.is_some_and(|holder| holder != me) {
                    4
                } else {
                    3
                };
                return Err(errors::drop_in_use(&old.name).with_state(state).into());
            }
            if old.status != Status::Offline {
                database::delete_files(state, &root, instance, &old.files.clone());
            }
            if let Some(instance) = state.instances.get_mut(key) {
                instance.databases.remove(&name.to_lowercase());
                instance.log_error(now, format!("Database {name} was dropped."));
            }
            Ok(())
        })?;
    }
    host.me.world.notify();
    Ok(204)
}

/// ALTER DATABASE.
pub(crate) async fn run(
    host: &SessionHost,
    statement: AlterDatabase,
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    let name = if statement.database.is_empty() {
        use crate::tsql::host::Host as _;
        host.database()
    } else {
        statement.database.clone()
    };
    host.try_change(|state, key, _| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        if in_transaction(instance, host.me.session_id) {
            return Err(errors::in_transaction("ALTER DATABASE").into());
        }
        if statement.database.is_empty() && is_system(&name) {
            return Err(errors::current_failed().into());
        }
        let Some(own) = instance.database(&name) else {
            return Err(errors::closed_by_5069(errors::cannot_alter(&name)));
        };
        if !own.owner.eq_ignore_ascii_case(&host.login) {
            security::may(instance, &host.login, Action::AlterDatabase(&own.name)).map_err(
                |failure| {
                    failure
                        .0
                        .into_iter()
                        .next()
                        .map_or_else(|| errors::killed().into(), errors::closed_by_5069)
                },
            )?;
        }
        Ok(())
    })?;
    match statement.action {
        AlterDatabaseAction::ModifyName(new) => rename(host, &name, &new),
        AlterDatabaseAction::AddFile(specs) => files::add(host, &name, &specs),
        AlterDatabaseAction::RemoveFile(file) => files::remove(host, &name, &file),
        AlterDatabaseAction::FileOffline(file) => files::take_offline(host, &name, &file),
        AlterDatabaseAction::ModifyFile(spec) => files::modify(host, &name, &spec),
        AlterDatabaseAction::RebuildLog(spec) => {
            files::rebuild_log(host, &name, spec.as_ref(), sink).await
        }
        AlterDatabaseAction::Set { options, termination } => {
            set::set(host, &name, options, termination, sink).await
        }
        AlterDatabaseAction::Partner(option) => {
            mirroring::set_partner(host, &name, option, sink).await
        }
        AlterDatabaseAction::Witness(address) => mirroring::set_witness(host, &name, address).await,
    }
    .map(|()| 215)
}

fn rename(host: &SessionHost, name: &str, new: &str) -> Result<(), SqlFailure> {
    let me = host.me.session_id;
    host.try_change(|state, key, _| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        if is_system(name) {
            return Err(errors::closed_by_5069(errors::not_in_database("MODIFY NAME", name)));
        }
        if instance.database(new).is_some() && !new.eq_ignore_ascii_case(name) {
            return Err(errors::database_exists(new).into());
        }
        if !access::others_using(instance, name, me).is_empty() {
            return Err(errors::not_locked().into());
        }
        let Some(own) = instance.database(name) else {
            return Err(errors::closed_by_5069(errors::cannot_alter(name)));
        };
        if own.mirroring.is_some() {
            return Err(errors::mirrored_rename(name).into());
        }
        if own.exclusive.is_some_and(|owner| owner != me) {
            return Err(errors::closed_by_5069(errors::alter_in_transition(name)));
        }
        if own.status != Status::Online {
            return Err(errors::closed_by_5069(errors::not_permitted_in_state(
                own.status.code().1,
            )));
        }
        if let Some(mut own) = instance.databases.remove(&name.to_lowercase()) {
            own.name = new.to_owned();
            instance.databases.insert(new.to_lowercase(), own);
        }
        for session in instance.sessions.values_mut() {
            if session.database.eq_ignore_ascii_case(name) {
                session.database = new.to_owned();
            }
        }
        Ok(())
    })
}

/// Opens a database: what the service does at its start, and SET ONLINE. What it writes to the log
/// comes with the outcome.
pub(crate) fn start(
    own: &mut Database,
    missing: Option<(String, errors::OsError)>,
    now: Timestamp,
) -> (Result<(), SqlMessage>, Vec<SqlMessage>) {
    if let Some((file, os)) = missing {
        own.status = Status::RecoveryPending;
        let cause = errors::open_file(&file, os);
        return (Err(cause.clone()), vec![cause]);
    }
    if own.damaged || own.log_lost || own.condition.log_corrupt {
        own.status = Status::Suspect;
        let cause = if own.condition.log_corrupt {
            errors::log_processing(&own.name)
        } else {
            errors::redo_failed(&own.name, own.log.checkpoint)
        };
        let told = vec![cause, errors::recovery_failed(&own.name)];
        return (Err(errors::suspect(&own.name)), told);
    }
    let redoes = own
        .log
        .range(own.log.checkpoint, own.log.next)
        .iter()
        .any(|record| record.op == LogOp::Commit);
    let undone = own.storage.oldest_open();
    if own.condition.page_damaged && (redoes || undone.is_some()) {
        own.status = Status::Suspect;
        let cause = match undone {
            Some(lsn) if !redoes => errors::undo_failed(&own.name, lsn),
            _ => errors::redo_failed(&own.name, own.log.checkpoint),
        };
        let told = vec![cause, errors::recovery_failed(&own.name)];
        return (Err(errors::suspect(&own.name)), told);
    }
    if own.standby.is_some() || own.redo.is_some() {
        own.status = if own.standby.is_some() { Status::Online } else { Status::Restoring };
        return (Ok(()), Vec::new());
    }
    let told = own.recover(now, None);
    (Ok(()), told)
}
