//! The two sides of a topology: which copy of a side takes writes, and which tails are its own.

use crate::backup::{BackupFile, BackupHeader};
use crate::known::Known;
use crate::lsn::{Guid, Lsn};
use crate::name::DatabaseName;
use crate::observation::DatabaseObservation;
use crate::plan::Situation;
use crate::refusal::Refusal;
use crate::topology::{Instance, Role, Topology};

/// One side: the instances that a database can be served from while clients use that side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The primary and its mirror.
    Primary,
    /// The secondary and its mirror.
    Backup,
}

/// A copy, and where it is.
pub(super) type Copy<'a> = (&'a Instance, &'a DatabaseObservation);

impl Side {
    /// Whether an instance of a role is one of them.
    pub(crate) fn has(self, role: Role) -> bool {
        match self {
            Side::Primary => matches!(role, Role::Primary | Role::PrimaryMirror),
            Side::Backup => matches!(role, Role::Secondary | Role::SecondaryMirror),
        }
    }

    /// Its instances.
    pub(crate) fn instances(self, topology: &Topology) -> impl Iterator<Item = &Instance> {
        topology.instances().filter(move |instance| self.has(instance.role))
    }

    /// The one copy of this side that takes writes; `None` when none does.
    ///
    /// # Errors
    ///
    /// It is not known of every instance, or two do.
    pub(super) fn writable_copy<'a>(
        self,
        situation: &Situation<'a>,
        database: &DatabaseName,
    ) -> Result<Option<Copy<'a>>, Refusal> {
        let mut found: Option<Copy<'a>> = None;
        for instance in self.instances(situation.topology) {
            match situation.observation.database(&instance.name, database) {
                Known::Known(Some(copy)) if copy.is_writable() => {
                    if let Some((one, _)) = found {
                        return Err(two_writable(database, one, instance));
                    }
                    found = Some((instance, copy));
                }
                Known::Known(_) => {}
                Known::Unknown(reason) => {
                    let what = format!("whether {database} on {} takes writes", instance.name);
                    return Err(Refusal::FactUnknown { what, reason });
                }
            }
        }
        Ok(found)
    }

    /// A tail that a copy of this side was left RESTORING with and that ends at this position.
    pub(super) fn tail_at<'a>(
        self,
        situation: &Situation<'a>,
        database: &DatabaseName,
        (lsn, fork): (Lsn, Guid),
    ) -> Option<&'a BackupFile> {
        let is_own = |header: &BackupHeader| {
            self.instances(situation.topology).any(|instance| {
                let seen = situation.observation.instance(&instance.name);
                let name = seen.known().and_then(|seen| seen.server_name.as_ref());
                name.is_some_and(|name| name.eq_ignore_ascii_case(&header.server))
            })
        };
        let is_it = |header: &BackupHeader| {
            header.is_tail && header.last_lsn == lsn && header.last_fork == fork && is_own(header)
        };
        log_backups(situation, database).find(|file| file.header.known().is_some_and(is_it))
    }
}

/// Two copies that take writes.
pub(super) fn two_writable(database: &DatabaseName, one: &Instance, other: &Instance) -> Refusal {
    Refusal::TwoWritableCopies {
        database: database.clone(),
        one: one.name.clone(),
        other: other.name.clone(),
    }
}

/// The name of a tail's file: a new one, also where an attempt before this one left half a file.
pub(super) fn tail_name(situation: &Situation<'_>, database: &DatabaseName) -> String {
    let mut attempt = 1;
    loop {
        let what = if attempt == 1 { "_tail".to_owned() } else { format!("_tail{attempt}") };
        let name = situation.new_backup_file(database, "", &what, "trn");
        if log_backups(situation, database).all(|file| file.name != name) {
            return name;
        }
        attempt += 1;
    }
}

/// The log backups of a database in both folders, as far as they are known.
fn log_backups<'a>(
    situation: &Situation<'a>,
    database: &DatabaseName,
) -> impl Iterator<Item = &'a BackupFile> + use<'a> {
    let files = situation.observation.log_backups.get(database);
    let folders = files.into_iter().flat_map(|files| [&files.copied, &files.share]);
    folders.filter_map(Known::known).flatten()
}
