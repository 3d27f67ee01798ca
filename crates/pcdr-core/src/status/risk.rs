//! What would be lost now, and whether the history has a whole chain.

use serde::Serialize;

use super::{About, Finding, Verdict};
use crate::known::{Known, Reason};
use crate::lsn::{Guid, Lsn};
use crate::name::DatabaseName;
use crate::observation::{
    DatabaseObservation, InstanceObservation, MirroringState, ON_RECORD, Observation,
    TakenLogBackup,
};
use crate::plan::PredictedLoss;
use crate::time::Timestamp;
use crate::topology::{Instance, Role, Topology};

/// What would be lost if the instance that serves were lost now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    /// Bytes: log that no log backup holds, and log backups that would be lost with it.
    pub bytes: Known<u64>,
    /// Whether there may be more bytes: more log backups than are on record were not copied.
    pub is_at_least: bool,
    /// Everything committed before this is safe.
    pub saved_until: Known<Timestamp>,
    /// When the instance that serves was asked: nothing later is known.
    pub lost_until: Known<Timestamp>,
    /// The first log position at risk.
    pub from_lsn: Known<Lsn>,
    /// The end of the log. SQL Server tells it of mirrored databases only.
    pub to_lsn: Known<Lsn>,
}

impl AtRisk {
    /// Everything unknown, for one reason.
    pub(super) fn unknown(reason: &Reason) -> AtRisk {
        AtRisk {
            bytes: Known::Unknown(reason.clone()),
            is_at_least: false,
            saved_until: Known::Unknown(reason.clone()),
            lost_until: Known::Unknown(reason.clone()),
            from_lsn: Known::Unknown(reason.clone()),
            to_lsn: Known::Unknown(reason.clone()),
        }
    }

    /// Nothing, until `at`.
    pub(super) fn nothing(at: Timestamp) -> AtRisk {
        let none = || Known::unknown("nothing_at_risk", "no log is at risk");
        AtRisk {
            bytes: Known::Known(0),
            is_at_least: false,
            saved_until: Known::Known(at),
            lost_until: Known::Known(at),
            from_lsn: none(),
            to_lsn: none(),
        }
    }

    /// The longest span of time that lost records can come from, in seconds; `None` while an end of it is
    /// unknown.
    pub fn span_seconds(&self) -> Option<u64> {
        let (from, until) = (self.saved_until.known()?, self.lost_until.known()?);
        Some(until.since(*from).as_secs())
    }
}

/// A database on an instance, or why nothing is known of it.
pub(super) fn copy<'a>(
    observation: &'a Observation,
    instance: &Instance,
    database: &DatabaseName,
) -> Known<(&'a InstanceObservation, &'a DatabaseObservation)> {
    let name = &instance.name;
    let seen = match observation.instances.get(name) {
        Some(Known::Known(seen)) => seen,
        Some(Known::Unknown(reason)) => return Known::Unknown(reason.clone()),
        None => return Known::unknown("not_observed", format!("{name} was not observed")),
    };
    match &seen.databases {
        Known::Known(all) => match all.get(database) {
            Some(copy) => Known::Known((seen, copy)),
            None => Known::unknown("database_missing", format!("{name} has no {database}")),
        },
        Known::Unknown(reason) => Known::Unknown(reason.clone()),
    }
}

/// What log shipping from `from` to `to` would lose; `proved` is what the planner says of it.
pub(super) fn of_log_shipping(
    topology: &Topology,
    observation: &Observation,
    (from, to): (&Instance, &Instance),
    database: &DatabaseName,
    proved: Option<&PredictedLoss>,
) -> AtRisk {
    let (seen, serving) = match copy(observation, from, database) {
        Known::Known(found) => found,
        Known::Unknown(reason) => return AtRisk::unknown(&reason),
    };
    if !serving.is_writable() {
        let found = format!("{database} on {} is {} and serves nobody", from.name, serving.state);
        return AtRisk::unknown(&Reason::new("not_serving", found));
    }
    let position = serving.log_position.as_ref();
    let none_taken =
        || Reason::new("no_log_backup_on_record", format!("{} has none on record", from.name));
    let mut risk = AtRisk {
        bytes: serving.log_since_backup_bytes.clone(),
        is_at_least: false,
        saved_until: Known::Unknown(none_taken()),
        lost_until: Known::Known(seen.observed_at),
        from_lsn: match position {
            Known::Known(position) => match position.last_log_backup_lsn {
                Some(lsn) => Known::Known(lsn),
                None => Known::Unknown(none_taken()),
            },
            Known::Unknown(reason) => Known::Unknown(reason),
        },
        to_lsn: end_of_log(serving),
    };
    match &serving.log_backups_taken {
        Known::Known(taken) => {
            let lost = lost_with(topology, observation, (from, to), database, taken);
            match lost {
                Known::Known(lost) => {
                    let (safe, gone) = taken.split_at(taken.len() - lost.count);
                    risk.is_at_least = lost.is_at_least;
                    let more: u64 = gone.iter().map(|one| one.size_bytes).sum();
                    risk.bytes = risk.bytes.map(|bytes| bytes.saturating_add(more));
                    if let Some(last) = safe.last() {
                        risk.saved_until = Known::Known(last.started_at);
                        risk.from_lsn = Known::Known(last.last_lsn);
                    } else if let Some(first) = gone.first() {
                        risk.from_lsn = Known::Known(first.first_lsn);
                        risk.saved_until = Known::Unknown(none_taken());
                    }
                }
                Known::Unknown(reason) => {
                    risk.bytes = Known::Unknown(reason.clone());
                    risk.saved_until = Known::Unknown(reason.clone());
                    risk.from_lsn = Known::Unknown(reason);
                }
            }
        }
        Known::Unknown(reason) => risk.saved_until = Known::Unknown(reason.clone()),
    }
    if let Some(loss) = proved {
        risk.from_lsn = Known::Known(loss.from_lsn);
        if let Some(saved_until) = loss.saved_until {
            risk.saved_until = Known::Known(saved_until);
        }
    }
    risk
}

/// How many of the newest log backups would be lost.
struct Lost {
    count: usize,
    /// More than are on record.
    is_at_least: bool,
}

/// The log backups that would be lost with the serving instance: none where the backup share stands in
/// another site, else those that were not copied yet.
fn lost_with(
    topology: &Topology,
    observation: &Observation,
    (from, to): (&Instance, &Instance),
    database: &DatabaseName,
    taken: &[TakenLogBackup],
) -> Known<Lost> {
    if topology.backup_share().site != from.site {
        return Known::Known(Lost { count: 0, is_at_least: false });
    }
    let seen = match observation.instances.get(&to.name) {
        Some(Known::Known(seen)) => seen,
        Some(Known::Unknown(reason)) => return Known::Unknown(reason.clone()),
        None => return Known::unknown("not_observed", format!("{} was not observed", to.name)),
    };
    let copied = match &seen.log_shipping_secondary {
        Known::Known(entries) => entries.get(database).and_then(|one| one.last_copied_file.clone()),
        Known::Unknown(reason) => return Known::Unknown(reason.clone()),
    };
    let copied = copied.map(|path| file_name(&path).to_lowercase());
    let is_last_copied = |one: &TakenLogBackup| {
        let own = one.path.as_deref().map(|path| file_name(path).to_lowercase());
        own.is_some() && own == copied
    };
    Known::Known(match taken.iter().rposition(is_last_copied) {
        Some(at) => Lost { count: taken.len() - at - 1, is_at_least: false },
        None => Lost { count: taken.len(), is_at_least: taken.len() >= ON_RECORD },
    })
}

/// A file's name without its folder, on either system.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

fn end_of_log(copy: &DatabaseObservation) -> Known<Lsn> {
    let told = copy.mirroring.known().and_then(Option::as_ref).and_then(|one| one.end_of_log_lsn);
    match told {
        Some(lsn) => Known::Known(lsn),
        None => {
            Known::unknown("not_told", "SQL Server tells the end of the log while mirrored only")
        }
    }
}

/// What a failover to the mirror would lose.
pub(super) fn of_mirroring(
    observation: &Observation,
    (principal, mirror): (&Instance, &Instance),
    database: &DatabaseName,
) -> AtRisk {
    let (seen, serving) = match copy(observation, principal, database) {
        Known::Known(found) => found,
        Known::Unknown(reason) => return AtRisk::unknown(&reason),
    };
    let session = match &serving.mirroring {
        Known::Known(Some(session)) => session,
        Known::Known(None) => {
            let found = format!("{database} on {} is not mirrored", principal.name);
            return AtRisk::unknown(&Reason::new("not_mirrored", found));
        }
        Known::Unknown(reason) => return AtRisk::unknown(reason),
    };
    // With SAFETY FULL a commit waits for the mirror's disk.
    if session.state == MirroringState::Synchronized && session.is_safety_full {
        return AtRisk::nothing(seen.observed_at);
    }
    let reached = match copy(observation, mirror, database) {
        Known::Known((_, copy)) => end_of_log(copy),
        Known::Unknown(reason) => Known::Unknown(reason),
    };
    let told = "the bytes that the mirror has not are told by no view that pcdr reads";
    AtRisk {
        bytes: Known::unknown("not_told", told),
        is_at_least: false,
        saved_until: Known::unknown("not_told", "until when the mirror has the log is not told"),
        lost_until: Known::Known(seen.observed_at),
        from_lsn: reached,
        to_lsn: end_of_log(serving),
    }
}

/// Whether the log backups that the history of the serving pair holds carry each secondary's copy to the
/// newest of them. What is not on record may be there all the same: history is deleted, and other tools
/// take log backups. Only the headers of the files prove it.
pub(super) fn chains_on_record(
    topology: &Topology,
    observation: &Observation,
    findings: &mut Vec<Finding>,
) {
    let partners = [Some(topology.primary()), topology.role(Role::PrimaryMirror)];
    for database in topology.databases() {
        let mut taken: Vec<&TakenLogBackup> = Vec::new();
        let mut stands: Option<(Lsn, Guid)> = None;
        let mut unknown: Option<Reason> = None;
        for partner in partners.into_iter().flatten() {
            let found = copy(observation, partner, database);
            let Known::Known((_, copy)) = found else {
                unknown = unknown.or(found.reason().cloned());
                continue;
            };
            match &copy.log_backups_taken {
                Known::Known(own) => taken.extend(own),
                Known::Unknown(reason) => unknown = Some(reason.clone()),
            }
            if copy.is_writable() {
                let position = copy.log_position.known();
                stands = position.and_then(|at| Some((at.last_log_backup_lsn?, at.fork)));
                if stands.is_none() {
                    unknown = unknown.or(copy.log_position.reason().cloned());
                }
            }
        }
        taken.sort_by_key(|one| (one.first_lsn, one.last_lsn));
        for design in &topology.log_shipping().secondaries {
            let Some(secondary) = topology.instance(&design.instance) else { continue };
            let found = chain(observation, secondary, database, &taken, stands, unknown.as_ref());
            if let Some((verdict, code, message)) = found {
                let finding = Finding::new(verdict, code, message).of(database);
                findings.push(finding.on(&secondary.name).about(About::LogShipping));
            }
        }
    }
}

/// What keeps the chain from being whole on record.
fn chain(
    observation: &Observation,
    secondary: &Instance,
    database: &DatabaseName,
    taken: &[&TakenLogBackup],
    stands: Option<(Lsn, Guid)>,
    unknown: Option<&Reason>,
) -> Option<(Verdict, &'static str, String)> {
    let name = &secondary.name;
    let not_known = |why: &Reason| {
        let message = format!("Whether {database} on {name} could be brought up to date: {why}.");
        Some((Verdict::Unknown, "chain_not_known", message))
    };
    let copy = match copy(observation, secondary, database) {
        Known::Known((_, copy)) => copy,
        Known::Unknown(reason) if reason.code == "database_missing" => {
            let message = format!("{name} has no {database}: there is nothing to fail over to.");
            return Some((Verdict::NotReady, "database_missing", message));
        }
        Known::Unknown(reason) => return not_known(&reason),
    };
    if !copy.is_waiting_for_log() {
        let message = format!(
            "{database} on {name} is {} and waits for no log: restore it WITH NORECOVERY.",
            copy.state
        );
        return Some((Verdict::NotReady, "wrong_database_state", message));
    }
    let position = match &copy.log_position {
        Known::Known(position) => position,
        Known::Unknown(reason) => return not_known(reason),
    };
    let Some(mut at) = position.redo_start_lsn.or(position.last_restored_lsn) else {
        return not_known(&Reason::new("no_log_position", "redo_start_lsn is NULL"));
    };
    let Some((until, fork)) = stands else {
        let none = Reason::new("no_log_backup", "no partner serves it with a log backup on record");
        return not_known(unknown.unwrap_or(&none));
    };
    if fork != position.fork && taken.iter().all(|one| one.first_fork != position.fork) {
        let why = format!("it stands on recovery fork {}, the primary on {fork}", position.fork);
        return not_known(&Reason::new("other_fork", why));
    }
    for one in taken {
        if one.first_lsn <= at && one.last_lsn > at {
            at = one.last_lsn;
        }
    }
    if at >= until {
        return None;
    }
    let why = format!("log from {at} to {until} is in no log backup that is on record");
    not_known(&Reason::new("not_on_record", why))
}
