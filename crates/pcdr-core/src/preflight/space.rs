//! Room on volumes for what is restored and backed up.

use super::checks::{Checks, failed, not_checked, passed};
use super::{Outcome, Volume};
use crate::failover::Side;
use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::DatabaseObservation;
use crate::topology::{Initialise, Instance, Role};

/// Room that something takes in a folder.
pub(super) struct Room {
    pub(super) subject: String,
    /// A path in the folder, as the instance names it.
    path: String,
    /// How much, or why nobody knows.
    bytes: Known<u64>,
}

/// Whether there is room, by the volume that a path is on.
pub(super) fn judge(room: &Room, volumes: Known<&[Volume]>) -> Outcome {
    if room.path.starts_with("\\\\") {
        return not_checked(format!(
            "no documented statement tells the free space behind {}",
            room.path
        ));
    }
    let (volumes, bytes) = match (volumes, &room.bytes) {
        (Known::Known(volumes), Known::Known(bytes)) => (volumes, *bytes),
        (Known::Unknown(reason), _) => return not_checked(reason),
        (_, Known::Unknown(reason)) => return not_checked(reason),
    };
    let path = room.path.to_lowercase();
    let on_it = |volume: &&Volume| path.starts_with(&volume.mount_point.to_lowercase());
    let Some(volume) = volumes.iter().filter(on_it).max_by_key(|one| one.mount_point.len()) else {
        return not_checked(format!(
            "no database has a file on the volume of {}, and sys.dm_os_volume_stats tells of no other",
            room.path
        ));
    };
    let (mount, free) = (&volume.mount_point, volume.available_bytes);
    if free < bytes {
        return failed(
            format!("{} on {mount}", mebibytes(bytes)),
            format!("{} of {} are free", mebibytes(free), mebibytes(volume.total_bytes)),
            "free space on the volume, or name folders on another one in the topology",
        );
    }
    passed(format!("{} are needed on {mount}, {} are free", mebibytes(bytes), mebibytes(free)))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Where copies are missing they are restored in full, and the principal is backed up for them.
pub(super) fn to_configure(checks: &Checks<'_>, instance: &Instance) -> Vec<Room> {
    let topology = checks.topology;
    let options = topology.log_shipping();
    let mut all = Vec::new();
    for database in topology.databases() {
        let takes_copies = matches!(
            instance.role,
            Role::Primary | Role::PrimaryMirror | Role::Secondary | Role::FurtherSecondary
        );
        let Some(principal) = checks.principal(database) else {
            if takes_copies {
                let why = "neither the primary nor its mirror is known to serve the database";
                all.push(Room {
                    subject: format!("space for {database}"),
                    path: String::new(),
                    bytes: Known::unknown("no_principal", why),
                });
            }
            continue;
        };
        let is_missing = |instance: &Instance| {
            matches!(checks.copy(instance, database), Known::Known(None) | Known::Unknown(_))
        };
        let restores = options.initialise == Initialise::FullBackup;
        if instance.name == principal.name {
            let others = topology.instances().filter(|other| other.name != principal.name);
            let mut others = others.filter(|other| {
                let roles =
                    [Role::PrimaryMirror, Role::Secondary, Role::FurtherSecondary, Role::Primary];
                roles.contains(&other.role)
            });
            if restores && others.any(is_missing) {
                let share = &topology.backup_share().unc;
                all.push(Room {
                    subject: format!("space for a full backup of {database}"),
                    path: options.backup_directory.clone().unwrap_or_else(|| share.clone()),
                    bytes: files_of(checks, principal, database).map(|files| total(&files)),
                });
            }
        } else if restores && takes_copies && is_missing(instance) {
            all.extend(to_restore(checks, principal, instance, database));
        }
    }
    all
}

/// The secondary restores what is left of the log; its mirror gets a full copy.
pub(super) fn to_fail_over(checks: &Checks<'_>, instance: &Instance) -> Vec<Room> {
    let topology = checks.topology;
    let secondary = topology.secondary();
    let mut all = Vec::new();
    for database in topology.databases() {
        match instance.role {
            Role::Secondary => {
                let files = match files_of(checks, secondary, database) {
                    Known::Known(files) => files,
                    Known::Unknown(reason) => {
                        all.push(Room {
                            subject: format!("space for the log of {database} that is left"),
                            path: String::new(),
                            bytes: Known::Unknown(reason),
                        });
                        continue;
                    }
                };
                for (path, _) in one_of_each_volume(&files) {
                    all.push(Room {
                        subject: format!(
                            "space beside {path} for the log of {database} that is left"
                        ),
                        path,
                        bytes: log_left(checks, database),
                    });
                }
            }
            Role::SecondaryMirror if topology.pool().is_some() => {
                let copy = checks.copy(instance, database);
                if matches!(copy, Known::Known(None) | Known::Unknown(_)) {
                    all.extend(to_restore(checks, secondary, instance, database));
                }
            }
            _ => {}
        }
    }
    all
}

/// Where the primary has no copy that waits for log, it gets a full one from the side that serves.
pub(super) fn to_fail_back(checks: &Checks<'_>, instance: &Instance) -> Vec<Room> {
    if instance.role != Role::Primary {
        return Vec::new();
    }
    let mut all = Vec::new();
    for database in checks.topology.databases() {
        let is_there =
            |copy: Known<Option<&DatabaseObservation>>| matches!(copy, Known::Known(Some(_)));
        if is_there(checks.copy(instance, database)) {
            continue;
        }
        let serves = Side::Backup.instances(checks.topology).find(|other| {
            let copy = checks.copy(other, database);
            copy.known().copied().flatten().is_some_and(DatabaseObservation::is_writable)
        });
        match serves {
            Some(serves) => all.extend(to_restore(checks, serves, instance, database)),
            None => all.push(Room {
                subject: format!("space to restore {database}"),
                path: String::new(),
                bytes: Known::unknown("not_served", "no backup database is known to serve it"),
            }),
        }
    }
    all
}

/// The largest of the databases, restored in full beside the others: one is tried after the other.
pub(super) fn to_drill(checks: &Checks<'_>, instance: &Instance) -> Vec<Room> {
    let topology = checks.topology;
    let Some(place) = topology.drill().filter(|place| place.instance == instance.name) else {
        return Vec::new();
    };
    let room = |database: &DatabaseName| {
        let sides = [topology.secondary(), topology.primary()];
        let known = sides.into_iter().map(|side| files_of(checks, side, database));
        let known: Vec<Known<Files>> = known.collect();
        let told = known.iter().find(|files| files.known().is_some()).or(known.first());
        let none = || Known::unknown("not_shown", format!("nobody shows the files of {database}"));
        let bytes = told.map_or_else(none, |files| files.as_ref().map(total));
        Room {
            subject: format!("space to restore {database} into {}", place.directory),
            path: place.directory.clone(),
            bytes,
        }
    };
    topology.databases().iter().map(room).collect()
}

/// The log backups that the secondary has not restored yet: what they hold may make its files grow by
/// as much at most, except where a database was grown.
fn log_left(checks: &Checks<'_>, database: &DatabaseName) -> Known<u64> {
    let position = match checks.copy(checks.topology.secondary(), database) {
        Known::Known(Some(copy)) => copy.log_position.as_ref(),
        Known::Known(None) => Known::unknown("not_there", "the secondary has no such database"),
        Known::Unknown(reason) => Known::Unknown(reason),
    };
    let restored = match position {
        Known::Known(position) => position.redo_start_lsn,
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    match checks.observation.log_backups.get(database).map(|files| &files.share) {
        Some(Known::Known(files)) => {
            let left = files.iter().filter(|file| {
                let header = file.header.known();
                header.is_none_or(|header| restored.is_none_or(|lsn| header.last_lsn > lsn))
            });
            Known::Known(left.map(|file| file.size_bytes).sum())
        }
        Some(Known::Unknown(reason)) => Known::Unknown(reason.clone()),
        None => Known::unknown("not_observed", "the backup share was not looked at"),
    }
}

/// The files of a database: path, whether log, size.
type Files = Vec<(String, bool, u64)>;

fn files_of(checks: &Checks<'_>, instance: &Instance, database: &DatabaseName) -> Known<Files> {
    let files = match checks.answer(instance) {
        Known::Known(answer) => answer.files.as_ref(),
        Known::Unknown(reason) => Known::Unknown(reason),
    };
    match files {
        Known::Known(files) => {
            let own = files.iter().filter(|file| file.database == *database);
            let own: Files =
                own.map(|file| (file.path.clone(), file.is_log, file.size_bytes)).collect();
            if own.is_empty() {
                return Known::unknown(
                    "not_shown",
                    format!("{} shows no files of {database}", instance.name),
                );
            }
            Known::Known(own)
        }
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

/// The room that a full restore of a database takes, volume by volume as far as paths tell.
fn to_restore(
    checks: &Checks<'_>,
    from: &Instance,
    to: &Instance,
    database: &DatabaseName,
) -> Vec<Room> {
    let subject = format!("space to restore {database}");
    let files = match files_of(checks, from, database) {
        Known::Known(files) => files,
        Known::Unknown(reason) => {
            return vec![Room { subject, path: String::new(), bytes: Known::Unknown(reason) }];
        }
    };
    let target = |path: String, is_log: bool| {
        let folder = if is_log { to.log_directory.as_ref() } else { None };
        let folder = folder.or(to.data_directory.as_ref());
        match folder {
            Some(folder) => {
                let separator = if folder.starts_with('/') { '/' } else { '\\' };
                format!("{}{separator}", folder.trim_end_matches(['\\', '/']))
            }
            None => path, // where the backup says
        }
    };
    let placed: Files = files
        .into_iter()
        .map(|(path, is_log, size)| (target(path, is_log), is_log, size))
        .collect();
    one_of_each_volume(&placed)
        .into_iter()
        .map(|(path, bytes)| Room {
            subject: format!("{subject} to {path}"),
            path,
            bytes: Known::Known(bytes),
        })
        .collect()
}

fn total(files: &Files) -> u64 {
    files.iter().map(|(_, _, size)| size).sum()
}

/// One path for each drive letter, share or root, with the bytes of all files there. Volumes that are
/// mounted in folders of one drive are told apart only by its first file.
fn one_of_each_volume(files: &Files) -> Vec<(String, u64)> {
    let root = |path: &str| path.split(['\\', '/']).next().unwrap_or_default().to_lowercase();
    let mut all: Vec<(String, u64)> = Vec::new();
    for (path, _, size) in files {
        match all.iter_mut().find(|(known, _)| root(known) == root(path)) {
            Some((_, bytes)) => *bytes += size,
            None => all.push((path.clone(), *size)),
        }
    }
    all
}
