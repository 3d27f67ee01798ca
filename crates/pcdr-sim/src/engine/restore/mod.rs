//! RESTORE DATABASE and RESTORE LOG.

use std::time::Duration;

use jiff::Timestamp;

use super::access;
use super::errors;
use super::media::SetKind;
use super::options::{self, StopMark, With};
use super::paths;
use super::security::{self, Action};
use super::session::{SessionHost, database_mut};
use super::state::{Admission, DatabaseFile, RecoveryModel, Status, WorldState};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{BackupKind, Device, Restore};
use crate::tsql::host::Sink;

mod apply;
mod chain;
mod choose;
mod full;
pub(crate) mod undo;

use apply::{apply, complete, write_history};
use chain::{check_chain, check_space};
use choose::Chosen;
pub(crate) use choose::{
    check_encryption, check_media_name, check_version, choose, damage, read_device,
};
pub(crate) use full::refused_place;
use full::{added_by_log, prepare_full};

/// What was decided before anything was read.
struct Prepared {
    chosen: Chosen,
    /// Files that the log adds.
    added: Vec<DatabaseFile>,
    duration: Duration,
}

fn first_device(devices: &[Device]) -> String {
    devices.first().map(|device| device.name.clone()).unwrap_or_default()
}

/// How the statement leaves the database.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finish {
    Recovery,
    NoRecovery,
    Standby(String),
}

/// Frees the database when a restore ends in any way.
struct Guard<'a>(&'a SessionHost, String);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let me = self.0.me.session_id;
        self.0.update(|state, key, _| {
            if let Some(database) = database_mut(state, key, &self.1)
                && database.exclusive == Some(me)
            {
                database.exclusive = None;
            }
        });
        self.0.me.world.notify();
    }
}

/// Carries out a RESTORE and returns its code for DONE.
pub(crate) async fn run(
    host: &SessionHost,
    statement: Restore,
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    let name = match statement.kind {
        BackupKind::Database => "RESTORE DATABASE",
        BackupKind::Log => "RESTORE LOG",
    };
    let with = match With::parse(&statement.options, name) {
        Ok(with) => with,
        Err(error) if error.number == 155 => return Err(error.into()),
        Err(error) => return Err(errors::closed_by_3013(name, [error])),
    };
    carry_out(host, &statement, name, &with, sink).await.map(|()| 229).map_err(|causes| {
        host.update(|state, key, now| {
            if let Some(instance) = state.instances.get_mut(key) {
                for message in causes.iter().filter_map(errors::device_event) {
                    instance.log_message(now, message);
                }
            }
        });
        errors::closed_by_3013(name, causes)
    })
}

type Causes = Vec<SqlMessage>;

async fn carry_out(
    host: &SessionHost,
    statement: &Restore,
    name: &str,
    with: &With,
    sink: &mut dyn Sink,
) -> Result<(), Causes> {
    let stats = with.stats().map_err(one)?;
    options::check_name(&statement.database).map_err(one)?;
    let finish = match with.standby() {
        Some(file) => Finish::Standby(file),
        None if with.has("NORECOVERY") => Finish::NoRecovery,
        None => Finish::Recovery,
    };
    let guard = Guard(host, statement.database.clone());
    if statement.devices.is_empty() {
        let wait = host
            .update(|state, key, _| {
                prepare_recovery_only(host, state, key, statement, with, &finish)
            })
            .unwrap_or_else(|| Err(errors::killed()))
            .map_err(one)?;
        host.work(wait, &statement.database, sink, None, |_| Ok(())).await.map_err(one)?;
        let told = host
            .update(|state, key, now| {
                complete(host, state, key, now, &statement.database, &finish, with)
            })
            .unwrap_or_else(|| Err(one(errors::killed())))?;
        drop(guard);
        for message in told {
            sink.message(message).await;
        }
        sink.message(errors::success(name, 0, wait.as_secs_f64())).await;
        return Ok(());
    }
    let Prepared { chosen, added, duration } = host
        .update(|state, key, now| prepare(host, state, key, now, statement, name, with, &finish))
        .unwrap_or_else(|| Err(vec![errors::killed()]))?;
    let began = host.me.world.now();
    let set = chosen.header.set_guid;
    let device = first_device(&statement.devices);
    // From here on an interruption leaves work half done: the same set must be restored again.
    host.update(|state, key, _| {
        if let Some(redo) =
            database_mut(state, key, &statement.database).and_then(|db| db.redo.as_mut())
        {
            redo.interrupted = Some(set);
        }
    });
    host.work(duration, &statement.database, sink, stats, |_| {
        match host.me.world.path(&host.me.instance, &device) {
            Ok(_) => Ok(()),
            Err(os) => Err(errors::read_failed(&device, os)),
        }
    })
    .await
    .map_err(one)?;
    if chosen.damaged {
        return Err(one(damage(&chosen.header, &device)));
    }
    let left_restoring = host
        .update(|state, key, _| apply(state, key, statement, &chosen, &added, with))
        .unwrap_or_else(|| Err(errors::killed()))
        .map_err(one)?;
    let finish =
        if left_restoring && finish == Finish::Recovery { Finish::NoRecovery } else { finish };
    if finish == Finish::Recovery {
        let cost = host.me.world.lock().costs.recovery;
        host.pause(cost).await.map_err(|_| one(errors::aborted()))?;
    }
    let mut told = host
        .update(|state, key, now| {
            let mut told = complete(host, state, key, now, &statement.database, &finish, with)?;
            if !write_history(host, state, key, now, statement, &chosen, with, &finish) {
                told.push(errors::history_failed());
            }
            Ok(told)
        })
        .unwrap_or_else(|| Err(one(errors::killed())))?;
    if chosen.header.damaged && chosen.header.kind != SetKind::Log {
        told.push(errors::set_of_damaged_database());
        told.push(errors::restored_with_damage(name));
    }
    drop(guard);
    let mut pages = 0;
    let position = chosen.header.position;
    for file in &chosen.header.files {
        let count = match (chosen.header.kind, file.is_log) {
            (SetKind::Log, false) => 0,
            (SetKind::Log, true) | (_, false) => chosen.header.size.div_ceil(8192),
            (_, true) => 2,
        };
        pages += count;
        sink.message(errors::pages_processed(count, &statement.database, &file.logical, position))
            .await;
    }
    if left_restoring {
        let marked = with.stop_mark().map_err(one)?.is_some();
        let message = if marked { errors::before_mark() } else { errors::before_stopat() };
        sink.message(message).await;
    }
    for message in told {
        sink.message(message).await;
    }
    let seconds = host.me.world.now().duration_since(began).as_secs_f64();
    sink.message(errors::success(name, pages, seconds)).await;
    Ok(())
}

pub(super) fn one(message: SqlMessage) -> Causes {
    vec![message]
}

/// Checks that hold for every form: transaction, permission, mirroring, exclusive access.
fn exclusive_access(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    name: &str,
) -> Result<(), SqlMessage> {
    let me = host.me.session_id;
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let session = instance.sessions.get(&me).ok_or_else(errors::killed)?;
    if session.transaction_count > 0 {
        return Err(errors::backup_in_transaction());
    }
    if instance.admission == Admission::SingleUser && !name.eq_ignore_ascii_case("master") {
        return Err(errors::only_master());
    }
    let Some(database) = instance.database(name) else {
        if security::may(instance, &host.login, Action::RestoreNew).is_err() {
            return Err(errors::permission(instance, Action::RestoreNew));
        }
        return Ok(());
    };
    if database.name == "master" {
        return Err(errors::master_single_user());
    }
    if database.name == "tempdb" {
        return Err(errors::not_on_tempdb());
    }
    let action = Action::RestoreExisting(&database.name);
    let owner = database.owner.eq_ignore_ascii_case(&host.login);
    if !owner && security::may(instance, &host.login, action).is_err() {
        return Err(errors::permission(instance, action));
    }
    if database.mirroring.is_some() {
        return Err(errors::mirrored_restore(&database.name));
    }
    if session.database.eq_ignore_ascii_case(name) {
        return Err(errors::in_use_by_self("RESTORE", &database.name));
    }
    if !access::others_using(instance, name, me).is_empty()
        || database.exclusive.is_some_and(|owner| owner != me)
        || database.backup_running.is_some()
    {
        return Err(errors::in_use());
    }
    Ok(())
}

fn prepare_recovery_only(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    statement: &Restore,
    with: &With,
    finish: &Finish,
) -> Result<Duration, SqlMessage> {
    exclusive_access(host, state, key, &statement.database)?;
    // Without devices the statement has to say where it wants to get.
    if !with.has("RECOVERY") && *finish == Finish::Recovery {
        return Err(errors::no_device());
    }
    let cost = state.costs.recovery;
    let Some(database) = database_mut(state, key, &statement.database) else {
        return Err(errors::no_database(&statement.database));
    };
    if !database.waits_for_log() {
        return Err(match database.status {
            Status::Online => errors::already_recovered(),
            other => {
                errors::closed(&database.name, other).unwrap_or_else(errors::already_recovered)
            }
        });
    }
    if database.redo.as_ref().is_some_and(|redo| redo.interrupted.is_some()) {
        return Err(errors::restore_interrupted());
    }
    database.exclusive = Some(host.me.session_id);
    undo::check(host, state, key, &statement.database)?;
    Ok(cost)
}

#[allow(clippy::too_many_arguments, reason = "one call, at the start of a restore")]
fn prepare(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    statement: &Restore,
    name: &str,
    with: &With,
    finish: &Finish,
) -> Result<Prepared, Causes> {
    let root = host.me.world.root().to_owned();
    {
        let session = state
            .instances
            .get(key)
            .and_then(|instance| instance.sessions.get(&host.me.session_id));
        if session.is_some_and(|session| session.transaction_count > 0) {
            return Err(one(errors::backup_in_transaction()));
        }
    }
    let devices = options::devices(&statement.devices).map_err(one)?;
    let position = with.number("FILE").map_err(one)?.unwrap_or(1);
    let chosen = choose(state, &root, key, &devices, position).map_err(one)?;
    let device = devices.first().cloned().unwrap_or_default();
    check_media_name(with, &device, chosen.media_name.as_deref()).map_err(one)?;
    exclusive_access(host, state, key, &statement.database).map_err(one)?;
    let header = &chosen.header;
    if with.has("CHECKSUM") && !header.checksums {
        return Err(one(errors::no_checksums()));
    }
    let config = &state.instances.get(key).ok_or_else(|| one(errors::killed()))?.config;
    if matches!(finish, Finish::Standby(_)) && header.version.0 != config.version.0 {
        return Err(one(errors::standby_needs_upgrade()));
    }
    let stop_at = with.stop_at().map_err(one)?;
    if stop_at.is_some() && header.recovery_model == RecoveryModel::Simple {
        return Err(one(errors::stopat_in_simple()));
    }
    if with.stop_mark().map_err(one)? == Some(StopMark::Named)
        && statement.kind == BackupKind::Database
    {
        return Err(one(errors::marks_for_logs()));
    }
    if with.has("RESTART") {
        let interrupted = database_mut(state, key, &statement.database)
            .and_then(|own| own.redo.as_ref())
            .and_then(|redo| redo.interrupted);
        match interrupted {
            None => return Err(one(errors::nothing_to_restart())),
            Some(set) if set != header.set_guid => return Err(one(errors::other_restart(name))),
            Some(_) => {}
        }
    }
    let mut added = Vec::new();
    match (statement.kind, header.kind) {
        (BackupKind::Database, SetKind::Log) | (BackupKind::Log, SetKind::Full) => {
            return Err(one(errors::wrong_backup_type(&device, name)));
        }
        (BackupKind::Log, SetKind::Differential) => {
            return Err(one(errors::wrong_backup_type(&device, name)));
        }
        (BackupKind::Database, SetKind::Full) => {
            prepare_full(host, state, key, now, statement, &chosen, with, stop_at)?;
        }
        (BackupKind::Database, SetKind::Differential) | (BackupKind::Log, SetKind::Log) => {
            undo::check(host, state, key, &statement.database).map_err(one)?;
            check_chain(state, key, statement, &chosen, &device, with).map_err(one)?;
            check_space(state, &root, key, &statement.database).map_err(one)?;
            if statement.kind == BackupKind::Log {
                added = added_by_log(host, state, key, statement, &chosen, with)?;
            }
        }
    }
    if let Some(database) = database_mut(state, key, &statement.database) {
        database.exclusive = Some(host.me.session_id);
        if let Some(file) = database.standby.take() {
            database.status = Status::Restoring;
            if let Some(instance) = state.instances.get(key)
                && let Ok(place) = paths::resolve(state, &root, instance, &file)
            {
                let _missing = std::fs::remove_file(place.path);
            }
        }
    }
    let rate = state.costs.restore_rate.max(1);
    let duration = state.costs.device
        + Duration::from_secs_f64(chosen.header.compressed_size as f64 / rate as f64);
    Ok(Prepared { chosen, added, duration })
}
