//! What a backup decides before anything is written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{Timestamp, civil};
use uuid::Uuid;

use super::{Plan, usable};
use crate::engine::errors::{self, OsError};
use crate::engine::host::sql_user;
use crate::engine::log::LogRecord;
use crate::engine::lsn::Lsn;
use crate::engine::media::{
    Media, MediaHeader, MediaProblem, Options, SetContent, SetHeader, SetKind,
};
use crate::engine::options::{self, With};
use crate::engine::security::{self, Action};
use crate::engine::session::{SessionHost, database_mut};
use crate::engine::state::{
    Database, InstanceState, RecoveryModel, Status, UserAccess, WorldState,
};
use crate::engine::{access, database, paths};
use crate::message::SqlMessage;
use crate::tsql::ast::{Backup, BackupKind};

pub(super) fn plan(
    host: &SessionHost,
    state: &mut WorldState,
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
    options::check_name(&statement.database)?;
    let names = options::devices(&statement.devices)?;
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
    let encryption = match &with.encryption {
        Some((algorithm, name)) => Some((algorithm.clone(), encryptor(instance, name)?)),
        None => None,
    };
    check_log_files(state, key, host, &statement.database, log)?;
    let instance = state.instances.get_mut(key).ok_or_else(no_instance)?;
    let others = access::others_using(instance, &statement.database, me);
    let own = instance
        .sessions
        .get(&me)
        .is_some_and(|session| session.database.eq_ignore_ascii_case(&statement.database));
    if instance.database(&statement.database).is_some_and(|own| access::taken(instance, own, me)) {
        return Err(errors::single_user(&statement.database));
    }
    let database = usable(instance.database_mut(&statement.database), statement, with)?;
    let name = database.name.clone();
    if log {
        if name == "master" {
            return Err(errors::log_of_master());
        }
        if database.recovery_model == RecoveryModel::Simple {
            return Err(errors::log_in_simple("BACKUP LOG"));
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
    let damaged = judge(database, log, with)?;
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
    let fresh: Vec<Uuid> = (0..=names.len()).map(|_| state.random.guid()).collect();
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
    let instance = state.instances.get(key).ok_or_else(no_instance)?;
    let local = crate::engine::state::local(now, offset);
    let (devices, existing) = open(state, &root, instance, &names, with, local)?;
    let (position, media, media_set) = place(&devices, &existing, with, &fresh, local)?;
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
        expiration: expiration(with, crate::engine::state::local(now, offset))?,
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
        bulk_logged: log && database.condition.bulk_logged,
        read_only: database.read_only,
        single_user: database.user_access == UserAccess::Single,
        checksums: with.has("CHECKSUM"),
        damaged,
        begins_log_chain: log && database.begins_log_chain,
        incomplete_metadata: log && database.damaged,
        force_offline: log && with.has("NORECOVERY"),
        copy_only: (with.has("COPY_ONLY") && !differential) || with.has("NO_TRUNCATE"),
        tail: log && (tail || with.has("NO_TRUNCATE")),
        recovery_model: database.recovery_model,
        differential_base_lsn: differential.then_some(base).flatten().map(|base| base.first_lsn),
        differential_base_guid: differential.then_some(base).flatten().map(|base| base.guid),
        last_valid_restore_time: (!simple).then_some(now),
        files: database.files.clone(),
        encryption,
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
        .map(|text| options::parse_datetime(&text).ok_or_else(|| errors::bad_value("EXPIREDATE")))
        .transpose()
}

pub(super) fn capture(
    database: &Database,
    now: Timestamp,
    records: Vec<LogRecord>,
    data: bool,
) -> SetContent {
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
        page_damaged: database.condition.page_damaged,
        features: database.condition.features.clone(),
    }
}

/// Whether the backup holds damage that it knows of.
///
/// # Errors
///
/// 3007 for a file that is offline, 3043 for a damaged page that checksums find, 3049 for a damaged log.
fn judge(database: &Database, log: bool, with: &With) -> Result<bool, SqlMessage> {
    if log {
        if database.condition.log_corrupt {
            return Err(errors::log_corrupt(&database.name));
        }
        return Ok(database.damaged);
    }
    if let Some(file) = database.files.iter().find(|file| file.offline) {
        return Err(errors::file_not_online(&file.logical));
    }
    let found = database.condition.page_damaged && with.has("CHECKSUM");
    if found && !with.has("CONTINUE_AFTER_ERROR") {
        let file = database.files.first().map_or("", |file| file.physical.as_str());
        return Err(errors::backup_page_error(file));
    }
    Ok(database.damaged || found)
}

type Opened = (Vec<(String, PathBuf)>, Vec<Option<Media>>);

/// Finds the devices, and reads what stands on those that are not overwritten.
fn open(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    names: &[String],
    with: &With,
    local: civil::DateTime,
) -> Result<Opened, SqlMessage> {
    let mut devices = Vec::new();
    let mut existing = Vec::new();
    for device in names {
        let place = paths::resolve(state, root, instance, device)
            .map_err(|os| errors::cannot_open_device(device, os))?;
        if let Some(os) = place.write_error {
            return Err(errors::cannot_open_device(device, os));
        }
        if place.path.is_dir() {
            return Err(errors::cannot_open_device(device, OsError::ACCESS_DENIED));
        }
        if !place.path.parent().is_some_and(Path::is_dir) {
            return Err(errors::cannot_open_device(device, OsError::PATH_NOT_FOUND));
        }
        let found = if with.has("FORMAT") {
            None
        } else {
            match std::fs::read(&place.path) {
                Ok(bytes) => match Media::parse(bytes) {
                    Ok(media) => Some(media),
                    Err(MediaProblem::Empty) => None,
                    Err(_) if with.has("INIT") => None,
                    Err(problem) => return Err(problem.message(device)),
                },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => {
                    return Err(errors::cannot_open_device(device, OsError::of(&error)));
                }
            }
        };
        let found = match found {
            Some(media) => {
                if !with.has("SKIP") {
                    check_label(&media, device, with, local)?;
                }
                (!with.has("INIT")).then_some(media)
            }
            None => None,
        };
        devices.push((device.clone(), place.path));
        existing.push(found);
    }
    Ok((devices, existing))
}

/// The checks that SKIP leaves out: the name of the media, and whether its sets have expired.
fn check_label(
    media: &Media,
    device: &str,
    with: &With,
    local: civil::DateTime,
) -> Result<(), SqlMessage> {
    let there = media.header.name.clone().unwrap_or_default();
    if let Some(given) = with.text("MEDIANAME")
        && given != there
    {
        return Err(errors::other_media_name(device, &there, &given));
    }
    let valid = media.sets.iter().filter_map(|set| set.header.expiration).find(|at| *at > local);
    match valid {
        Some(at) if with.has("INIT") => Err(errors::not_expired(device, &at.to_string())),
        _ => Ok(()),
    }
}

/// Position of the new set, the first lines of new media, and the media set's id.
type Place = (u16, Option<Vec<MediaHeader>>, Uuid);

/// Where the set goes: behind the sets that are there, or on new media.
fn place(
    devices: &[(String, PathBuf)],
    existing: &[Option<Media>],
    with: &With,
    fresh: &[Uuid],
    local: civil::DateTime,
) -> Result<Place, SqlMessage> {
    let compressed = with.has("COMPRESSION");
    let Some(first) = existing.first().and_then(Option::as_ref) else {
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
                date: local,
            })
            .collect();
        return Ok((1, Some(headers), fresh[0]));
    };
    for (media, (device, _)) in existing.iter().zip(devices) {
        let Some(media) = media else {
            return Err(errors::foreign_family(device));
        };
        if media.header.media_set != first.header.media_set {
            return Err(errors::foreign_family(device));
        }
        let families = usize::from(media.header.family_count);
        if families != devices.len() {
            return Err(errors::other_family_count(device, families, devices.len()));
        }
        match media.tail {
            Some(MediaProblem::Incomplete) => return Err(errors::damaged_end(device)),
            Some(problem) => return Err(problem.message(device)),
            None => {}
        }
        if media.header.compressed != compressed {
            return Err(errors::incompatible_media(device));
        }
    }
    let position = u16::try_from(first.sets.len()).unwrap_or(u16::MAX - 1) + 1;
    Ok((position, None, first.header.media_set))
}

/// A tail that is taken from a closed database needs every log file.
fn check_log_files(
    state: &WorldState,
    key: &str,
    host: &SessionHost,
    name: &str,
    log: bool,
) -> Result<(), SqlMessage> {
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let closed = |own: &&Database| log && own.status != Status::Online;
    let Some(own) = instance.database(name).filter(closed) else {
        return Ok(());
    };
    match database::unreadable_log(state, host.me.world.root(), instance, own) {
        None => Ok(()),
        Some(0) => Err(errors::log_file_missing(&own.name)),
        Some(_) => Err(errors::log_files_not_scanned(&own.name)),
    }
}

/// The thumbprint of the certificate that encrypts a backup.
fn encryptor(instance: &InstanceState, name: &str) -> Result<Vec<u8>, SqlMessage> {
    instance
        .security
        .certificates
        .get(&name.to_lowercase())
        .filter(|own| own.has_private_key)
        .map(|own| own.thumbprint.clone())
        .ok_or_else(|| errors::no_securable("find", "certificate", name))
}
