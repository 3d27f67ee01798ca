//! BACKUP DATABASE and BACKUP LOG.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::access;
use super::errors::{self, OsError};
use super::host::sql_user;
use super::log::LogRecord;
use super::lsn::Lsn;
use super::media::{Media, MediaHeader, Options, SetContent, SetHeader, SetKind, Writer};
use super::mirroring;
use super::msdb::history;
use super::options::With;
use super::paths;
use super::security::{self, Action};
use super::session::{SessionHost, database_mut};
use super::state::{
    Database, DifferentialBase, InstanceState, RecoveryModel, Redo, Status, UserAccess,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Backup, BackupKind};
use crate::tsql::host::Sink;

/// What was decided before anything was written.
struct Plan {
    header: SetHeader,
    content: Option<SetContent>,
    devices: Vec<(String, PathBuf)>,
    /// New first lines, one a device, unless the set is appended.
    media: Option<Vec<MediaHeader>>,
    duration: Duration,
}

/// Frees the database when a backup ends in any way.
struct Guard<'a>(&'a SessionHost, String);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let me = self.0.me.session_id;
        self.0.update(|state, key, _| {
            if let Some(database) = database_mut(state, key, &self.1) {
                if database.backup_running == Some(me) {
                    database.backup_running = None;
                }
                if database.exclusive == Some(me) {
                    database.exclusive = None;
                }
            }
        });
        self.0.me.world.notify();
    }
}

/// Carries out a BACKUP and returns its code for DONE.
pub(crate) async fn run(
    host: &SessionHost,
    statement: Backup,
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    let (name, code) = match statement.kind {
        BackupKind::Database => ("BACKUP DATABASE", 228),
        BackupKind::Log => ("BACKUP LOG", 235),
    };
    let with = match With::parse(&statement.options, name) {
        Ok(with) => with,
        Err(error) if error.number == 155 => return Err(error.into()),
        Err(error) => return Err(errors::closed_by_3013(name, [error])),
    };
    match carry_out(host, &statement, &with, sink).await {
        Ok((header, seconds)) => {
            let mut pages = 0;
            for file in &header.files {
                let full = match header.kind {
                    SetKind::Log => file.is_log,
                    _ => true,
                };
                if !full {
                    continue;
                }
                let count = match (header.kind, file.is_log) {
                    (SetKind::Log, _) | (_, false) => header.size.div_ceil(8192),
                    (_, true) => 2,
                };
                pages += count;
                sink.message(errors::pages_processed(
                    count,
                    &header.database_name,
                    &file.logical,
                    header.position,
                ))
                .await;
            }
            let text = if header.kind == SetKind::Differential {
                "BACKUP DATABASE WITH DIFFERENTIAL"
            } else {
                name
            };
            sink.message(errors::success(text, pages, seconds)).await;
            Ok(code)
        }
        Err(error) => {
            host.update(|state, key, now| {
                if let Some(instance) = state.instances.get_mut(key) {
                    instance.log_error(
                        now,
                        format!(
                            "BACKUP failed to complete the command {name} {}.",
                            statement.database
                        ),
                    );
                }
            });
            Err(errors::closed_by_3013(name, [error]))
        }
    }
}

async fn carry_out(
    host: &SessionHost,
    statement: &Backup,
    with: &With,
    sink: &mut dyn Sink,
) -> Result<(SetHeader, f64), SqlMessage> {
    let stats = with.stats()?;
    let guard = Guard(host, statement.database.clone());
    let plan = host
        .update(|state, key, now| plan(host, state, key, now, statement, with))
        .unwrap_or_else(|| Err(errors::killed()))?;
    let Plan { mut header, mut content, devices, media, duration } = plan;
    let mut writers = Vec::new();
    for (i, (device, path)) in devices.iter().enumerate() {
        let first = media.as_ref().and_then(|media| media.get(i));
        let writer = Writer::begin(path, first, header.set_guid)
            .map_err(|error| errors::cannot_open_device(device, paths::open_error(path, &error)))?;
        writers.push(writer);
    }
    let began = header.start;
    host.work(duration, &statement.database, sink, stats, |percent| {
        for (writer, (device, path)) in writers.iter_mut().zip(&devices) {
            let os = match host.me.world.writable_path(&host.me.instance, device) {
                Ok(now) if now == *path => writer.page(percent).err().map(|e| OsError::of(&e)),
                Ok(_) => Some(OsError::FILE_NOT_FOUND),
                Err(os) => Some(os),
            };
            if let Some(os) = os {
                return Err(if os == OsError::DISK_FULL {
                    errors::write_failed(device, os)
                } else {
                    errors::io_error(device, os)
                });
            }
        }
        Ok(())
    })
    .await?;
    // A data backup holds everything up to its end.
    let (header, content) = host
        .update(|state, key, now| {
            let database = usable(database_mut(state, key, &statement.database), statement, with)?;
            header.finish = now;
            if header.kind != SetKind::Log {
                database.log.flush();
                header.last_lsn = database.log.next;
                content = Some(capture(database, now, Vec::new(), true));
            }
            Ok((header, content))
        })
        .unwrap_or_else(|| Err(errors::killed()))?;
    for (i, (writer, (device, _))) in writers.iter_mut().zip(&devices).enumerate() {
        let content = if i == 0 { content.as_ref() } else { None };
        writer
            .finish(&header, content)
            .map_err(|error| errors::write_failed(device, OsError::of(&error)))?;
    }
    host.update(|state, key, now| {
        finish(host, state, key, now, statement, with, &header, &devices)
    })
    .unwrap_or_else(|| Err(errors::killed()))?;
    drop(guard);
    let seconds = header.finish.duration_since(began).as_secs_f64();
    Ok((header, seconds))
}

/// The database, if its state allows this backup.
fn usable<'a>(
    database: Option<&'a mut Database>,
    statement: &Backup,
    with: &With,
) -> Result<&'a mut Database, SqlMessage> {
    let Some(database) = database else {
        return Err(errors::no_database(&statement.database).with_state(11));
    };
    let name = database.name.clone();
    if name == "tempdb" {
        return Err(errors::not_on_tempdb());
    }
    if database.mirroring.as_ref().is_some_and(|m| database.is_mirror() && !m.waiting) {
        return Err(errors::mirror_backup());
    }
    if database.mirroring.as_ref().is_some_and(|m| m.quorum_lost) {
        return Err(errors::no_quorum(&name));
    }
    let salvage = statement.kind == BackupKind::Log
        && (with.has("NO_TRUNCATE") || with.has("CONTINUE_AFTER_ERROR"));
    match database.status {
        Status::Online => {}
        Status::Suspect | Status::RecoveryPending if salvage => {
            if database.log_lost {
                let file = database
                    .files
                    .iter()
                    .find(|file| file.is_log)
                    .map(|file| file.physical.clone())
                    .unwrap_or_default();
                return Err(errors::open_file(&file, OsError::FILE_NOT_FOUND));
            }
        }
        Status::Emergency => return Err(errors::emergency_backup()),
        other => {
            return Err(errors::closed(&name, other).unwrap_or_else(|| errors::restoring(&name)));
        }
    }
    if database.standby.is_some() {
        return Err(errors::warm_standby(&name));
    }
    Ok(database)
}

fn plan(
    host: &SessionHost,
    state: &mut super::state::WorldState,
    key: &str,
    now: Timestamp,
    statement: &Backup,
    with: &With,
) -> Result<Plan, SqlMessage> {
    let me = host.me.session_id;
    let log = statement.kind == BackupKind::Log;
    let no_instance = || errors::killed();
    let instance = state.instances.get_mut(key).ok_or_else(no_instance)?;
    if instance.sessions.get(&me).is_some_and(|session| session.transaction_count > 0) {
        return Err(errors::backup_in_transaction());
    }
    check_devices(&statement.devices)?;
    for option in ["NORECOVERY", "NO_TRUNCATE"] {
        if !log && with.has(option) {
            return Err(errors::unsupported_option(option));
        }
    }
    if !log && with.standby().is_some() {
        return Err(errors::unsupported_option("STANDBY"));
    }
    if log && with.has("DIFFERENTIAL") {
        return Err(errors::unsupported_option("DIFFERENTIAL"));
    }
    let tail = with.has("NORECOVERY") || with.standby().is_some();
    if tail && with.has("COPY_ONLY") {
        return Err(errors::conflicting_options("COPY_ONLY", "NORECOVERY"));
    }
    let differential = with.has("DIFFERENTIAL");
    {
        let database = usable(instance.database_mut(&statement.database), statement, with)?;
        let name = database.name.clone();
        if security::may(instance, &host.login, Action::Backup(&name)).is_err() {
            return Err(errors::permission(instance, Action::Backup(&name)));
        }
    }
    let others = access::others_using(instance, &statement.database, me);
    let own = instance
        .sessions
        .get(&me)
        .is_some_and(|session| session.database.eq_ignore_ascii_case(&statement.database));
    let database = usable(instance.database_mut(&statement.database), statement, with)?;
    let name = database.name.clone();
    if log {
        if database.recovery_model == RecoveryModel::Simple {
            return Err(errors::log_in_simple("BACKUP LOG"));
        }
        if name == "master" {
            return Err(errors::only_full_of_master());
        }
        if database.last_log_backup_lsn.is_none() {
            return Err(errors::no_current_backup());
        }
        if tail {
            if own {
                return Err(errors::in_use_by_self("BACKUP LOG", &name));
            }
            if !others.is_empty() {
                return Err(errors::in_use());
            }
            if database.mirroring.is_some() {
                return Err(errors::involved_in_mirroring(&name));
            }
        }
    } else if name == "master" && differential {
        return Err(errors::only_full_of_master());
    }
    if differential && database.differential_base.is_none() {
        return Err(errors::no_base(&name));
    }
    if database.exclusive.is_some_and(|owner| owner != me) {
        return Err(errors::in_use());
    }
    if !log && database.backup_running.is_some_and(|owner| owner != me) {
        return Err(errors::serialized(&name));
    }
    if !log {
        database.backup_running = Some(me);
    }
    if tail {
        database.exclusive = Some(me);
    }
    if database.status == Status::Online {
        if log {
            database.log.flush();
        } else {
            database.checkpoint(now);
        }
    }
    let kind = match (log, differential) {
        (true, _) => SetKind::Log,
        (_, true) => SetKind::Differential,
        _ => SetKind::Full,
    };
    let rate = state.costs.backup_rate.max(1);
    let device_cost = state.costs.device;
    let root = host.me.world.root().to_owned();
    let set_guid = state.random.guid();
    let fresh: Vec<Uuid> = (0..=statement.devices.len()).map(|_| state.random.guid()).collect();
    let (version, offset, user, server, machine) = {
        let config = &state.instances.get(key).ok_or_else(no_instance)?.config;
        (
            config.version,
            config.utc_offset_minutes,
            sql_user(&host.login),
            config.name.clone(),
            config.host().to_owned(),
        )
    };
    let compressed = with.has("COMPRESSION");
    let mut devices = Vec::new();
    let mut existing: Vec<Option<Media>> = Vec::new();
    {
        let instance = state.instances.get(key).ok_or_else(no_instance)?;
        for device in &statement.devices {
            let place = paths::resolve(state, &root, instance, device)
                .map_err(|os| errors::cannot_open_device(device, os))?;
            if let Some(os) = place.write_error {
                return Err(errors::cannot_open_device(device, os));
            }
            if place.path.is_dir() {
                return Err(errors::cannot_open_device(device, OsError::ACCESS_DENIED));
            }
            if !place.path.parent().is_some_and(std::path::Path::is_dir) {
                return Err(errors::cannot_open_device(device, OsError::PATH_NOT_FOUND));
            }
            let overwrite = with.has("FORMAT") || with.has("INIT");
            let media = if overwrite {
                None
            } else {
                match std::fs::read(&place.path) {
                    Ok(bytes) => match Media::parse(bytes) {
                        Ok(media) => Some(media),
                        Err(super::media::MediaProblem::Empty) => None,
                        Err(problem) => return Err(problem.message(device)),
                    },
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    Err(error) => {
                        return Err(errors::cannot_open_device(device, OsError::of(&error)));
                    }
                }
            };
            devices.push((device.clone(), place.path));
            existing.push(media);
        }
    }
    let (position, media, media_set) = match existing.first().and_then(Option::as_ref) {
        Some(first) => {
            for (media, (device, _)) in existing.iter().zip(&devices) {
                let Some(media) = media else {
                    return Err(errors::foreign_family(device));
                };
                if media.header.media_set != first.header.media_set {
                    return Err(errors::foreign_family(device));
                }
                if usize::from(media.header.family_count) != devices.len() {
                    return Err(errors::missing_families(
                        usize::from(media.header.family_count),
                        devices.len(),
                    ));
                }
                if let Some(problem) = media.tail {
                    return Err(problem.message(device));
                }
                if media.header.compressed != compressed {
                    return Err(errors::incompatible_media(device));
                }
            }
            let position = u16::try_from(first.sets.len()).unwrap_or(u16::MAX - 1) + 1;
            (position, None, first.header.media_set)
        }
        None => {
            let count = u16::try_from(devices.len()).unwrap_or(64);
            let headers = (1..=count)
                .map(|number| MediaHeader {
                    media_set: fresh[0],
                    family: fresh[usize::from(number)],
                    family_number: number,
                    family_count: count,
                    name: with.text("MEDIANAME"),
                    description: with.text("MEDIADESCRIPTION"),
                    compressed,
                    date: super::state::local(now, offset),
                })
                .collect();
            (1, Some(headers), fresh[0])
        }
    };
    let database = database_mut(state, key, &statement.database).ok_or_else(no_instance)?;
    let checkpoint = database.log.checkpoint;
    let end = database.log.next;
    let (first_lsn, content, bytes) = match kind {
        SetKind::Log => {
            let from = database.last_log_backup_lsn.unwrap_or(end);
            let records = database.log.range(from, end).to_vec();
            let bytes = records.iter().map(LogRecord::bytes).sum::<u64>()
                + database.extra_log_bytes
                + 64 * 1024;
            (from, Some(capture(database, now, records, false)), bytes)
        }
        SetKind::Full => (
            database.storage.oldest_open().map_or(checkpoint, |open| open.min(checkpoint)),
            None,
            database.full_bytes(),
        ),
        SetKind::Differential => (
            database.storage.oldest_open().map_or(checkpoint, |open| open.min(checkpoint)),
            None,
            (database.changed_bytes + 512 * 1024).min(database.full_bytes()),
        ),
    };
    let base = database.differential_base;
    let damaged = database.damaged;
    let last_lsn = end;
    let first_fork = database.path.at(first_lsn).guid;
    let last_fork = database.fork();
    let fork_point = (first_fork != last_fork).then(|| database.path.last().start);
    let simple = database.recovery_model == RecoveryModel::Simple;
    let header = SetHeader {
        set_guid,
        name: with.text("NAME"),
        description: with.text("DESCRIPTION"),
        kind,
        expiration: expiration(with, super::state::local(now, offset))?,
        compressed,
        position,
        user_name: user,
        server_name: server,
        machine_name: machine,
        database_name: name,
        database_version: database.version,
        database_created: database.created,
        size: bytes,
        compressed_size: if compressed { bytes / 4 } else { bytes },
        first_lsn,
        last_lsn,
        checkpoint_lsn: checkpoint,
        database_backup_lsn: base.map_or(Lsn::ZERO, |base| base.checkpoint_lsn),
        start: now,
        finish: now,
        utc_offset_minutes: offset,
        compatibility_level: database.compatibility_level,
        version,
        binding_id: database.database_guid,
        // A data backup holds no history: both fork ids are the one that it ends on.
        first_fork: if log { first_fork } else { last_fork },
        last_fork,
        fork_point: if log { fork_point } else { None },
        path: database.path.clone(),
        collation: database.collation.clone(),
        family_guid: database.family_guid,
        bulk_logged: false,
        read_only: database.read_only,
        single_user: database.user_access == UserAccess::Single,
        checksums: with.has("CHECKSUM"),
        damaged,
        begins_log_chain: log && database.begins_log_chain,
        incomplete_metadata: log && damaged,
        force_offline: log && with.has("NORECOVERY"),
        copy_only: (with.has("COPY_ONLY") && !differential) || with.has("NO_TRUNCATE"),
        tail: log && (tail || with.has("NO_TRUNCATE")),
        recovery_model: database.recovery_model,
        differential_base_lsn: differential.then_some(base).flatten().map(|base| base.first_lsn),
        differential_base_guid: differential.then_some(base).flatten().map(|base| base.guid),
        last_valid_restore_time: (!simple).then_some(now),
        files: database.files.clone(),
        media_set,
    };
    let duration =
        device_cost + Duration::from_secs_f64(header.compressed_size as f64 / rate as f64);
    Ok(Plan { header, content, devices, media, duration })
}

fn expiration(
    with: &With,
    now: jiff::civil::DateTime,
) -> Result<Option<jiff::civil::DateTime>, SqlMessage> {
    if let Some(days) = with.number("RETAINDAYS")? {
        return now
            .checked_add(jiff::Span::new().try_days(i64::from(days)).unwrap_or_default())
            .map(Some)
            .map_err(|_| errors::bad_value("RETAINDAYS"));
    }
    with.text("EXPIREDATE")
        .map(|text| {
            super::options::parse_datetime(&text).ok_or_else(|| errors::bad_value("EXPIREDATE"))
        })
        .transpose()
}

pub(crate) fn check_devices(devices: &[String]) -> Result<(), SqlMessage> {
    if devices.is_empty() {
        return Err(errors::no_device());
    }
    if devices.len() > 64 {
        return Err(errors::too_many_devices());
    }
    if devices.iter().any(|device| device.trim().is_empty()) {
        return Err(errors::empty_device());
    }
    Ok(())
}

fn capture(database: &Database, now: Timestamp, records: Vec<LogRecord>, data: bool) -> SetContent {
    SetContent {
        options: Options {
            user_access: database.user_access,
            recovery_model: database.recovery_model,
            read_only: database.read_only,
            compatibility_level: database.compatibility_level,
        },
        security: database.security.clone(),
        storage: data.then(|| database.storage.clone()),
        records,
        data_bytes: database.data_bytes,
        changed_bytes: database.changed_bytes,
        last_log_backup_lsn: database.last_log_backup_lsn,
        differential_base: database.differential_base,
        broker_guid: database.broker_guid,
        owner: database.owner.clone(),
        captured: now,
    }
}

#[allow(clippy::too_many_arguments, reason = "one call, at the end of a backup")]
fn finish(
    host: &SessionHost,
    state: &mut super::state::WorldState,
    key: &str,
    now: Timestamp,
    statement: &Backup,
    with: &With,
    header: &SetHeader,
    devices: &[(String, PathBuf)],
) -> Result<(), SqlMessage> {
    if let Some(file) = with.standby() {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let place = paths::resolve(state, host.me.world.root(), instance, &file)
            .map_err(|_| errors::bad_standby_file())?;
        std::fs::write(place.path, b"undo pages\n").map_err(|_| errors::bad_standby_file())?;
    }
    let keeps = {
        let database = usable(database_mut(state, key, &statement.database), statement, with)?;
        match header.kind {
            SetKind::Full if !header.copy_only => {
                database.differential_base = Some(DifferentialBase {
                    first_lsn: header.first_lsn,
                    checkpoint_lsn: header.checkpoint_lsn,
                    guid: header.set_guid,
                    at: now,
                });
                database.changed_bytes = 0;
            }
            _ => {}
        }
        if header.kind != SetKind::Log
            && database.recovery_model != RecoveryModel::Simple
            && database.last_log_backup_lsn.is_none()
            && !header.copy_only
        {
            database.last_log_backup_lsn = Some(header.first_lsn);
            database.begins_log_chain = true;
        }
        if header.kind == SetKind::Log && !header.copy_only {
            database.last_log_backup_lsn = Some(header.last_lsn);
            database.begins_log_chain = false;
            database.extra_log_bytes = 0;
        }
        if with.has("NORECOVERY") || with.standby().is_some() {
            database.status =
                if with.standby().is_some() { Status::Online } else { Status::Restoring };
            database.standby = with.standby();
            database.redo = Some(Redo {
                lsn: header.last_lsn,
                fork: header.last_fork,
                interrupted: None,
                stopped: false,
            });
            database.exclusive = None;
        }
        database.backup_running = None;
        database.last_log_backup_lsn.is_some()
    };
    if keeps {
        let needs = mirroring::log_needed(state, key, &statement.database);
        if let Some(database) = database_mut(state, key, &statement.database) {
            database.truncate_backed_up(needs);
        }
        mirroring::share_metadata(state, key, &statement.database);
    }
    let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
    record(instance, header, devices.iter().map(|(device, _)| device.clone()).collect(), with);
    let what = match header.kind {
        SetKind::Full => "Database backed up",
        SetKind::Differential => "Database differential changes were backed up",
        SetKind::Log => "Log was backed up",
    };
    instance.log_error(
        now,
        format!(
            "{what}. Database: {}, first LSN: {}, last LSN: {}.",
            header.database_name, header.first_lsn, header.last_lsn
        ),
    );
    Ok(())
}

fn record(instance: &mut InstanceState, header: &SetHeader, devices: Vec<String>, with: &With) {
    let families = devices
        .into_iter()
        .enumerate()
        .map(|(i, device)| {
            (Uuid::from_u128(header.media_set.as_u128().wrapping_add(i as u128 + 1)), device)
        })
        .collect();
    instance.msdb.history.add_backup(
        header.clone(),
        with.text("MEDIANAME"),
        with.text("MEDIADESCRIPTION"),
        families,
    );
}

impl history::History {
    /// Adds a `backupset` row with its media set, unless the set is known already; returns its
    /// `backup_set_id`.
    pub(crate) fn add_backup(
        &mut self,
        header: SetHeader,
        name: Option<String>,
        description: Option<String>,
        devices: Vec<(Uuid, String)>,
    ) -> i32 {
        if let Some(known) =
            self.backup_sets.iter().find(|row| row.header.set_guid == header.set_guid)
        {
            return known.id;
        }
        let media_set_id = match self.media_sets.iter().find(|row| {
            row.guid == header.media_set
                && row.devices.iter().map(|d| &d.1).eq(devices.iter().map(|d| &d.1))
        }) {
            Some(known) => known.id,
            None => {
                self.ids.1 += 1;
                self.media_sets.push(history::MediaSetRow {
                    id: self.ids.1,
                    guid: header.media_set,
                    name,
                    description,
                    compressed: header.compressed,
                    devices,
                });
                self.ids.1
            }
        };
        self.ids.0 += 1;
        self.backup_sets.push(history::BackupSetRow { id: self.ids.0, media_set_id, header });
        self.ids.0
    }
}
