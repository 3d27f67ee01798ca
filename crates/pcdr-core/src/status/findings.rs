//! What was found that needs attention: instances, copies, jobs, lateness, drift.

use std::collections::BTreeSet;

use super::{About, CopyStatus, Finding, Verdict};
use crate::drift::Drift;
use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::{MirroringRole, MirroringState, Observation};
use crate::time::Timestamp;
use crate::topology::{Role, Topology};

pub(super) fn copies(
    topology: &Topology,
    observation: &Observation,
    findings: &mut Vec<Finding>,
) -> Vec<CopyStatus> {
    let mut copies = Vec::new();
    for instance in topology.instances() {
        let name = &instance.name;
        let holds =
            !matches!(instance.role, Role::PrimaryWitness | Role::SecondaryWitness | Role::Monitor);
        let seen = observation.instance(name);
        if let Known::Unknown(reason) = &seen {
            let message = format!("{name} could not be observed: {reason}");
            let finding = Finding::new(Verdict::Attention, "instance_not_observed", message);
            findings.push(finding.on(name));
        }
        if let Some(Known::Known(false)) =
            seen.known().map(|seen| seen.agent_running.as_ref().map(|r| *r))
        {
            let message = format!("SQL Server Agent does not run on {name}: start it.");
            let finding = Finding::new(Verdict::Attention, "agent_not_running", message);
            findings.push(finding.on(name).about(About::LogShipping));
        }
        for database in topology.databases().iter().filter(|_| holds) {
            let copy = observation.database(name, database);
            let session = copy.known().copied().flatten().and_then(|copy| {
                let session = copy.mirroring.known()?.as_ref()?;
                Some((session.role, session.state))
            });
            if let Some((MirroringRole::Principal, state)) = session
                && state != MirroringState::Synchronized
            {
                let message =
                    format!("Mirroring of {database} on {name} is {state}: it is exposed.");
                let finding = Finding::new(Verdict::Attention, "mirror_not_synchronized", message);
                findings.push(finding.of(database).on(name).about(About::Mirroring));
            }
            let log_shipping = seen.known().and_then(|seen| {
                let primary = seen.log_shipping_primary.known().and_then(|all| all.get(database));
                let secondary =
                    seen.log_shipping_secondary.known().and_then(|all| all.get(database));
                let backed_up = primary.map(|entry| {
                    (entry.last_backup_file.clone().unwrap_or_default(), entry.last_backup_at)
                });
                let restored = secondary.map(|entry| {
                    (entry.last_restored_file.clone().unwrap_or_default(), entry.last_restored_at)
                });
                backed_up.or(restored)
            });
            copies.push(CopyStatus {
                instance: name.clone(),
                role: instance.role,
                database: database.clone(),
                is_writable: copy.known().copied().flatten().is_some_and(|copy| copy.is_writable()),
                state: copy.map(|copy| copy.map(|copy| copy.state)),
                mirroring: session,
                log_shipping,
            });
        }
    }
    copies
}

/// What the newest run of each log shipping job said.
pub(super) fn jobs(topology: &Topology, observation: &Observation, findings: &mut Vec<Finding>) {
    const FAILED: i32 = 0;
    const CANCELLED: i32 = 3;
    for instance in topology.instances() {
        let Known::Known(seen) = observation.instance(&instance.name) else { continue };
        let primaries = seen.log_shipping_primary.known().into_iter().flatten();
        let secondaries = seen.log_shipping_secondary.known().into_iter().flatten();
        let of_primaries = primaries.map(|(database, entry)| (database, &entry.backup_job));
        let of_secondaries = secondaries.flat_map(|(database, entry)| {
            [(database, &entry.copy_job), (database, &entry.restore_job)]
        });
        for (database, job) in of_primaries.chain(of_secondaries) {
            let Known::Known(job) = job else { continue };
            let how = match job.last_run_status {
                Some(FAILED) => "failed",
                Some(CANCELLED) => "was cancelled",
                _ => continue,
            };
            let when = job.last_run_at.map_or_else(String::new, |at| format!(" at {at}"));
            // The outcome names the step that failed; the step says why.
            let failure = job.last_failure.as_ref().map(|failure| failure.message.as_str());
            let said = failure.or(job.last_run_message.as_deref()).map(str::trim);
            let said = said.filter(|said| !said.is_empty());
            let said = said.map_or_else(String::new, |said| format!(": {}", one_line(said)));
            let message = format!(
                "The last run of {} on {}{when} {how}{said}. Read its history and repair the cause.",
                job.name, instance.name
            );
            let finding = Finding::new(Verdict::Attention, "job_failed", message);
            let finding = finding.of(database).on(&instance.name);
            findings.push(finding.about(About::LogShipping));
        }
    }
}

/// A message without line breaks and control characters, cut where it is of no more use.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.trim_end_matches('.').to_owned(),
    }
}

/// A backup or a restore that is later than its threshold, as alerts 14420 and 14421 judge it. The mirror
/// backs nothing up while it mirrors, so only an instance that serves is judged as a primary.
pub(super) fn lateness(
    topology: &Topology,
    observation: &Observation,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    let judge = |what: &str, code, at: Option<Timestamp>, threshold: Option<i32>| {
        let minutes = now.since(at?).as_secs() / 60;
        let threshold = threshold?;
        let is_late = u64::try_from(threshold).is_ok_and(|threshold| minutes > threshold);
        is_late.then(|| {
            let message =
                format!("{what} {minutes} min ago, later than its threshold of {threshold}.");
            Finding::new(Verdict::Attention, code, message).about(About::LogShipping)
        })
    };
    for instance in topology.instances() {
        let Known::Known(seen) = observation.instance(&instance.name) else { continue };
        let name = &instance.name;
        let serves = |database: &DatabaseName| matches!(observation.database(name, database), Known::Known(Some(copy)) if copy.is_writable());
        for (database, entry) in seen.log_shipping_primary.known().into_iter().flatten() {
            if serves(database) {
                let what = format!("The last log backup of {database} on {name} was");
                let threshold = entry.backup_threshold_minutes;
                let finding = judge(&what, "backup_late", entry.last_backup_at, threshold);
                findings.extend(finding.map(|finding| finding.of(database).on(name)));
            }
        }
        for (database, entry) in seen.log_shipping_secondary.known().into_iter().flatten() {
            let what = format!("The last restore of {database} on {name} was");
            let threshold = entry.restore_threshold_minutes;
            let finding = judge(&what, "restore_late", entry.last_restored_at, threshold);
            findings.extend(finding.map(|finding| finding.of(database).on(name)));
        }
    }
}

/// Two copies of one database that take writes are an alarm, whichever the pool uses.
pub(super) fn two_writable_copies(copies: &[CopyStatus], findings: &mut Vec<Finding>) {
    let databases: BTreeSet<&DatabaseName> = copies.iter().map(|copy| &copy.database).collect();
    for database in databases {
        let writable: Vec<&str> = copies
            .iter()
            .filter(|copy| copy.database == *database && copy.is_writable)
            .map(|copy| copy.instance.as_str())
            .collect();
        if writable.len() > 1 {
            let message = format!(
                "{database} takes writes on {}: only one may. Find out which one the pool uses \
                 and take the other OFFLINE before anything else.",
                writable.join(" and ")
            );
            let finding = Finding::new(Verdict::Alarm, "two_writable_copies", message);
            findings.push(finding.of(database));
        }
    }
}

/// Something that is not as designed.
pub(super) fn of_drift(drift: Drift) -> Finding {
    let about =
        if drift.what.starts_with("mirroring") { About::Mirroring } else { About::LogShipping };
    let message = format!("Not as designed: {drift}.");
    let finding = Finding::new(Verdict::Attention, "drift", message).on(&drift.instance);
    let finding = finding.about(about);
    match &drift.database {
        Some(database) => finding.of(database),
        None => finding,
    }
}
