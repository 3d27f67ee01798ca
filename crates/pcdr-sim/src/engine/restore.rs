//! RESTORE DATABASE and RESTORE LOG.

use std::path::Path;
use std::time::Duration;

use jiff::{Timestamp, civil};
use uuid::Uuid;

use super::access;
use super::database;
use super::errors::{self, OsError};
use super::host::sql_user;
use super::log::{Log, LogOp, RecoveryPath};
use super::lsn::Lsn;
use super::media::{Media, SetContent, SetHeader, SetKind};
use super::msdb::history::RestoreHistoryRow;
use super::options::With;
use super::paths;
use super::security::{self, Action};
use super::session::{SessionHost, database_mut};
use super::state::{
    Database, DatabaseFile, DifferentialBase, RecoveryModel, Redo, Status, UserAccess, WorldState,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{BackupKind, Restore};
use crate::tsql::host::Sink;

/// A set that was chosen on its devices.
pub(crate) struct Chosen {
    pub(crate) header: SetHeader,
    pub(crate) content: Option<SetContent>,
    pub(crate) damaged: bool,
    pub(crate) families: Vec<(Uuid, String)>,
}

/// Reads a device.
pub(crate) fn read_device(
    state: &WorldState,
    root: &Path,
    instance: &str,
    device: &str,
) -> Result<Media, SqlMessage> {
    let cannot = |os: OsError| errors::cannot_open_device(device, os).with_state(2);
    let owner = state.instances.get(instance).ok_or_else(errors::killed)?;
    let place = paths::resolve(state, root, owner, device).map_err(cannot)?;
    if place.path.is_dir() {
        return Err(cannot(OsError::ACCESS_DENIED));
    }
    let bytes = std::fs::read(&place.path)
        .map_err(|error| cannot(paths::open_error(&place.path, &error)))?;
    Media::parse(bytes).map_err(|problem| problem.message(device))
}

/// Reads the devices of a statement and chooses the set at `position`.
pub(crate) fn choose(
    state: &WorldState,
    root: &Path,
    instance: &str,
    devices: &[String],
    position: u32,
) -> Result<Chosen, SqlMessage> {
    super::backup::check_devices(devices)?;
    let mut all = Vec::new();
    for device in devices {
        all.push(read_device(state, root, instance, device)?);
    }
    let first = &all[0];
    let families = usize::from(first.header.family_count);
    for (media, device) in all.iter().zip(devices) {
        if media.header.media_set != first.header.media_set {
            return Err(errors::foreign_family(device));
        }
    }
    if devices.len() < families {
        return Err(errors::missing_families(families, devices.len()));
    }
    let mut content = None;
    let mut damaged = false;
    let mut header = None;
    for (media, device) in all.iter().zip(devices) {
        let Some(set) = (position as usize).checked_sub(1).and_then(|index| media.sets.get(index))
        else {
            return Err(match media.tail {
                Some(problem) => problem.message(device),
                None => errors::no_position(device),
            });
        };
        damaged |= set.damaged;
        content = content.or_else(|| media.content(set));
        header = header.or_else(|| Some(set.header.clone()));
    }
    let header = header.ok_or_else(|| errors::no_position(&devices[0]))?;
    let own = state.instances.get(instance).ok_or_else(errors::killed)?.config.version;
    check_version(&header, own)?;
    Ok(Chosen {
        damaged: damaged || content.is_none(),
        content,
        families: all
            .iter()
            .zip(devices)
            .map(|(media, device)| (media.header.family, device.clone()))
            .collect(),
        header,
    })
}

/// A newer server's backup is not for an older one.
pub(crate) fn check_version(header: &SetHeader, own: (u8, u8, u16)) -> Result<(), SqlMessage> {
    if header.version.0 > own.0 {
        return Err(errors::newer_version(&version_text(header.version), &version_text(own)));
    }
    Ok(())
}

fn version_text((major, minor, build): (u8, u8, u16)) -> String {
    format!("{major:02}.{minor:02}.{build:04}")
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
    carry_out(host, &statement, name, &with, sink)
        .await
        .map(|()| 229)
        .map_err(|causes| errors::closed_by_3013(name, causes))
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
        host.update(|state, key, now| {
            complete(host, state, key, now, &statement.database, &finish, with)
        })
        .unwrap_or_else(|| Err(errors::killed()))
        .map_err(one)?;
        drop(guard);
        sink.message(errors::success(name, 0, wait.as_secs_f64())).await;
        return Ok(());
    }
    let (chosen, duration) = host
        .update(|state, key, now| prepare(host, state, key, now, statement, name, with, &finish))
        .unwrap_or_else(|| Err(vec![errors::killed()]))?;
    let stop_at = with.stop_at().map_err(one)?;
    let began = host.me.world.now();
    let set = chosen.header.set_guid;
    let device = statement.devices.first().cloned().unwrap_or_default();
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
        .update(|state, key, _| apply(state, key, statement, &chosen, stop_at, with))
        .unwrap_or_else(|| Err(errors::killed()))
        .map_err(one)?;
    let finish =
        if left_restoring && finish == Finish::Recovery { Finish::NoRecovery } else { finish };
    if finish == Finish::Recovery {
        let cost = host.me.world.lock().costs.recovery;
        host.pause(cost).await.map_err(|_| one(errors::aborted()))?;
    }
    host.update(|state, key, now| {
        complete(host, state, key, now, &statement.database, &finish, with)?;
        write_history(host, state, key, now, statement, &chosen, with, stop_at, &finish);
        Ok(())
    })
    .unwrap_or_else(|| Err(errors::killed()))
    .map_err(one)?;
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
        sink.message(errors::before_stopat()).await;
    }
    let seconds = host.me.world.now().duration_since(began).as_secs_f64();
    sink.message(errors::success(name, pages, seconds)).await;
    Ok(())
}

fn one(message: SqlMessage) -> Causes {
    vec![message]
}

pub(crate) fn damage(header: &SetHeader, device: &str) -> SqlMessage {
    if header.checksums {
        errors::page_error(&header.database_name, device)
    } else {
        errors::set_damaged()
    }
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
    if statement.kind == BackupKind::Log && *finish == Finish::NoRecovery && !with.has("NORECOVERY")
    {
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
    check_standby_file(host, state, key, &statement.database)?;
    Ok(cost)
}

/// A STANDBY database needs its undo file for every further step.
fn check_standby_file(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    name: &str,
) -> Result<(), SqlMessage> {
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let Some(file) = instance.database(name).and_then(|db| db.standby.clone()) else {
        return Ok(());
    };
    let os = match paths::resolve(state, host.me.world.root(), instance, &file) {
        Ok(place) => match std::fs::metadata(&place.path) {
            Ok(_) => return Ok(()),
            Err(error) => paths::open_error(&place.path, &error),
        },
        Err(os) => os,
    };
    Err(errors::standby_file_lost(name, &file, os))
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
) -> Result<(Chosen, Duration), Causes> {
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
    let position = with.number("FILE").map_err(one)?.unwrap_or(1);
    let chosen = choose(state, &root, key, &statement.devices, position).map_err(one)?;
    exclusive_access(host, state, key, &statement.database).map_err(one)?;
    let header = &chosen.header;
    let device = statement.devices.first().cloned().unwrap_or_default();
    if with.has("CHECKSUM") && !header.checksums {
        return Err(one(errors::no_checksums()));
    }
    let config = &state.instances.get(key).ok_or_else(|| one(errors::killed()))?.config;
    if matches!(finish, Finish::Standby(_)) && header.version.0 != config.version.0 {
        return Err(one(errors::standby_needs_upgrade()));
    }
    let stop_at = with.stop_at().map_err(one)?;
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
            check_standby_file(host, state, key, &statement.database).map_err(one)?;
            check_chain(state, key, statement, &chosen, &device, stop_at).map_err(one)?;
            check_space(state, &root, key, &statement.database).map_err(one)?;
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
    Ok((chosen, duration))
}

/// Redo writes to the files of the database and has to be able to expand them.
fn check_space(
    state: &WorldState,
    root: &Path,
    key: &str,
    database: &str,
) -> Result<(), SqlMessage> {
    let Some(instance) = state.instances.get(key) else { return Ok(()) };
    let files = instance.database(database).map(|own| own.files.as_slice()).unwrap_or_default();
    let full = files.iter().find(|file| {
        paths::resolve(state, root, instance, &file.physical)
            .is_ok_and(|place| place.write_error == Some(OsError::DISK_FULL))
    });
    match full {
        Some(file) => Err(errors::expand_file(OsError::DISK_FULL, &file.physical)),
        None => Ok(()),
    }
}

/// The rules for logs and differential backups.
fn check_chain(
    state: &WorldState,
    key: &str,
    statement: &Restore,
    chosen: &Chosen,
    device: &str,
    stop_at: Option<civil::DateTime>,
) -> Result<(), SqlMessage> {
    let header = &chosen.header;
    let Some(database) =
        state.instances.get(key).and_then(|instance| instance.database(&statement.database))
    else {
        return Err(errors::restore_creates_only_full(&statement.database));
    };
    if database.status == Status::Suspect {
        return Err(SqlMessage::new(
            3185,
            16,
            "RESTORE cannot apply this backup set because the database is suspect. Restore a backup set that repairs the damage.",
        ));
    }
    let Some(redo) = database.redo.as_ref().filter(|_| database.waits_for_log()) else {
        return Err(match errors::closed(&database.name, database.status) {
            Some(error) if database.status != Status::Restoring => error,
            _ => errors::not_ready_to_roll_forward(),
        });
    };
    if header.family_guid != database.family_guid {
        return Err(errors::other_family(&database.name));
    }
    if redo.interrupted.is_some_and(|set| set != header.set_guid) {
        return Err(errors::restore_interrupted());
    }
    if header.kind == SetKind::Differential {
        let base = database.differential_base.map(|base| base.guid);
        if header.differential_base_guid.is_none() || header.differential_base_guid != base {
            return Err(errors::wrong_base(device));
        }
        if header.last_lsn <= redo.lsn {
            return Err(errors::beyond_set());
        }
        if !header.path.continues(&database.path, redo.lsn) {
            return Err(errors::wrong_path());
        }
        return Ok(());
    }
    // A fork is judged before positions: on another fork they mean nothing.
    if !header.path.continues(&database.path, redo.lsn.min(header.last_lsn)) {
        return Err(errors::wrong_path());
    }
    if header.first_lsn > redo.lsn {
        return Err(errors::too_recent(header.first_lsn, redo.lsn));
    }
    if header.last_lsn < redo.lsn {
        return Err(errors::too_early(header.last_lsn, redo.lsn));
    }
    if let Some(stop) = stop_at {
        let offset = super::state::offset(header.utc_offset_minutes);
        let stop = offset.to_timestamp(stop).unwrap_or(Timestamp::MAX);
        let passed = database.storage.tables.values().any(|table| {
            table.rows.values().any(|row| row.commit.is_some_and(|commit| commit.at > stop))
        });
        if passed {
            return Err(errors::stopat_too_early());
        }
    }
    Ok(())
}

/// The rules for a full backup, and the empty RESTORING database that it starts with.
#[allow(clippy::too_many_arguments, reason = "one call, at the start of a restore")]
fn prepare_full(
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
        return Err(one(SqlMessage::new(
            4338,
            16,
            "The STOPAT clause specifies a point too early to allow this backup set to be restored. Choose a different stop point or use RESTORE DATABASE WITH RECOVERY to recover at the current point.",
        )));
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
        let mut refuse = |cause: SqlMessage| {
            causes.push(cause);
            causes.push(errors::use_move(&file.logical, &target));
        };
        match paths::resolve(state, &root, instance, &target) {
            Ok(place) => {
                let user = instance.databases.values().find(|other| {
                    other.name.to_lowercase() != lower
                        && other.files.iter().any(|f| {
                            paths::resolve(state, &root, instance, &f.physical)
                                .is_ok_and(|p| p.path == place.path)
                        })
                });
                let mine = old.is_some_and(|old| {
                    old.files.iter().any(|own| own.physical.eq_ignore_ascii_case(&target))
                });
                if let Some(user) = user {
                    refuse(errors::file_used_by(&target, &user.name));
                } else if let Some(os) = place.write_error {
                    refuse(if os == OsError::DISK_FULL {
                        SqlMessage::new(
                            3257,
                            16,
                            format!(
                                "There is insufficient free space on disk volume for the file '{target}'. The database requires {} additional free bytes.",
                                header.size
                            ),
                        )
                    } else {
                        errors::create_file(os, &target)
                    });
                } else if !place.path.parent().is_some_and(Path::is_dir) {
                    refuse(errors::directory_lookup(&target, OsError::FILE_NOT_FOUND));
                } else if place.path.exists() && !mine && !replace {
                    refuse(errors::file_exists(&target));
                }
            }
            Err(os) => refuse(errors::directory_lookup(&target, os)),
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
        is_system: false,
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

/// Applies the content. `true`: STOPAT lies beyond the set, the database stays RESTORING.
fn apply(
    state: &mut WorldState,
    key: &str,
    statement: &Restore,
    chosen: &Chosen,
    stop_at: Option<civil::DateTime>,
    with: &With,
) -> Result<bool, SqlMessage> {
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
        super::state::offset(header.utc_offset_minutes).to_timestamp(stop).unwrap_or(Timestamp::MAX)
    });
    if header.kind != SetKind::Log {
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
    for record in content.records.iter().filter(|record| record.lsn >= from) {
        if let Some(stop) = stop
            && record.op == LogOp::Commit
            && record.at > stop
        {
            reached = record.lsn;
            stopped = true;
            break;
        }
        database.storage.apply(record);
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
    let short = stop.is_some_and(|stop| !stopped && content.captured < stop);
    Ok(short)
}

/// Leaves the database as the statement says.
fn complete(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    name: &str,
    finish: &Finish,
    with: &With,
) -> Result<(), SqlMessage> {
    let root = host.me.world.root().to_owned();
    let fork = state.random.guid();
    let (version, level) =
        state.instances.get(key).ok_or_else(errors::killed)?.config.database_version();
    let standby_place = match finish {
        Finish::Standby(file) => {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            Some(
                paths::resolve(state, &root, instance, file)
                    .map_err(|_| errors::bad_standby_file())?,
            )
        }
        _ => None,
    };
    let old_standby = database_mut(state, key, name).and_then(|db| db.standby.take());
    if let Some(file) = old_standby
        && let Some(instance) = state.instances.get(key)
        && let Ok(place) = paths::resolve(state, &root, instance, &file)
    {
        let _missing = std::fs::remove_file(place.path);
    }
    let database = database_mut(state, key, name).ok_or_else(|| errors::no_database(name))?;
    database.exclusive = None;
    match finish {
        Finish::NoRecovery => database.status = Status::Restoring,
        Finish::Standby(file) => {
            if let Some(place) = standby_place {
                std::fs::write(place.path, b"undo pages\n")
                    .map_err(|_| errors::bad_standby_file())?;
            }
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
            database.recover(now, Some(fork));
            database.version = version;
            database.compatibility_level = database.compatibility_level.min(level);
            let line = format!("Recovery completed for database {}.", database.name);
            if let Some(instance) = state.instances.get_mut(key) {
                instance.log_error(now, line);
            }
        }
    }
    host.me.world.notify();
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "one call, at the end of a restore")]
fn write_history(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    statement: &Restore,
    chosen: &Chosen,
    with: &With,
    stop_at: Option<civil::DateTime>,
    finish: &Finish,
) {
    let Some(instance) = state.instances.get_mut(key) else {
        return;
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
    let what = match chosen.header.kind {
        SetKind::Full => "Database was restored",
        SetKind::Differential => "Database changes were restored",
        SetKind::Log => "Log was restored",
    };
    instance.log_error(
        now,
        format!(
            "{what}. Database: {name}, first LSN: {}, last LSN: {}.",
            chosen.header.first_lsn, chosen.header.last_lsn
        ),
    );
}
