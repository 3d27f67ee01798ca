//! BACKUP DATABASE and BACKUP LOG.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::errors::{self, OsError};
use super::media::{MediaHeader, SetContent, SetHeader, SetKind, Writer};
use super::mirroring;
use super::msdb::history;
use super::options::With;
use super::paths;
use super::restore::undo;
use super::session::{SessionHost, database_mut};
use super::state::{
    Database, DifferentialBase, InstanceState, RecoveryModel, Redo, Status, WorldState,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Backup, BackupKind};
use crate::tsql::host::Sink;

mod plan;

/// What was decided before anything was written.
struct Plan {
    header: SetHeader,
    content: Option<SetContent>,
    devices: Vec<(String, PathBuf)>,
    /// New first lines, one a device, unless the set is appended.
    media: Option<Vec<MediaHeader>>,
    duration: Duration,
}

/// A backup that was made.
struct Done {
    header: SetHeader,
    seconds: f64,
    /// What is said besides.
    remarks: Vec<SqlMessage>,
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
        Ok(Done { header, seconds, remarks }) => {
            for remark in remarks {
                sink.message(remark).await;
            }
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
                    let failed = errors::backup_failed(name, &statement.database);
                    let device = errors::device_event(&error);
                    for message in device.into_iter().chain([failed]) {
                        instance.log_message(now, message);
                    }
                }
            });
            // Sets that have not expired are told of as information, and still end the statement.
            if !error.is_error() {
                sink.message(error).await;
                return Err(errors::closed_by_3013(name, []));
            }
            Err(errors::closed_by_3013(name, [error]))
        }
    }
}

async fn carry_out(
    host: &SessionHost,
    statement: &Backup,
    with: &With,
    sink: &mut dyn Sink,
) -> Result<Done, SqlMessage> {
    let stats = with.stats()?;
    let guard = Guard(host, statement.database.clone());
    let plan = host
        .update(|state, key, now| plan::plan(host, state, key, now, statement, with))
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
                content = Some(plan::capture(database, now, Vec::new(), true));
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
    let remarks = host
        .update(|state, key, now| finish(host, state, key, now, statement, with, &header, &devices))
        .unwrap_or_else(|| Err(errors::killed()))?;
    drop(guard);
    let seconds = header.finish.duration_since(began).as_secs_f64();
    Ok(Done { header, seconds, remarks })
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
                return Err(errors::log_file_missing(&name));
            }
            if database.condition.bulk_logged {
                return Err(errors::bulk_logged_damaged(&name));
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

#[allow(clippy::too_many_arguments, reason = "one call, at the end of a backup")]
fn finish(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    statement: &Backup,
    with: &With,
    header: &SetHeader,
    devices: &[(String, PathBuf)],
) -> Result<Vec<SqlMessage>, SqlMessage> {
    if let Some(file) = with.standby() {
        undo::write(host, state, key, &statement.database, &file)?;
    }
    let mut remarks = Vec::new();
    if header.damaged && header.kind != SetKind::Log {
        remarks.push(errors::damaged_backup_made());
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
        if header.kind == SetKind::Log && database.read_only {
            remarks.push(errors::log_of_read_only());
        } else if header.kind == SetKind::Log && !header.copy_only {
            database.condition.bulk_logged = false;
            database.condition.dropped_files.clear();
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
    if history::can_be_written(instance) {
        record(instance, header, devices.iter().map(|(device, _)| device.clone()).collect(), with);
    } else {
        remarks.push(errors::history_failed());
    }
    let (name, first, last) = (&header.database_name, header.first_lsn, header.last_lsn);
    let message = match header.kind {
        SetKind::Full => errors::database_backed_up(name, first, last),
        SetKind::Differential => errors::differential_backed_up(name, first, last),
        SetKind::Log => errors::log_backed_up(name, first, last),
    };
    instance.log_message(now, message);
    Ok(remarks)
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
