//! Each protection of each database: mirroring, log shipping to each secondary, the mirror's own entry.

use serde::Serialize;

use super::{About, Alert, AlertState, AtRisk, Finding, Lag, Trend, Verdict, alert, lag, risk};
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    InstanceObservation, Job, JobFailure, LogShippingPrimary, LogShippingSecondary, MirroringState,
    Observation,
};
use crate::plan::PredictedLoss;
use crate::time::Timestamp;
use crate::topology::{Instance, Role, Topology};

/// One protection of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Protection {
    /// Which database.
    pub database: DatabaseName,
    /// What protects it.
    pub kind: ProtectionKind,
    /// The instance that is protected: the one that serves, or would after a swap.
    pub from: InstanceName,
    /// The instance that would take over.
    pub to: InstanceName,
    /// Whether it would, now.
    pub verdict: Verdict,
    /// What keeps it from being ready, most urgent first.
    pub reasons: Vec<Finding>,
    /// What would be lost now; `None` for the mirror's own entry, which holds nothing yet.
    pub at_risk: Option<AtRisk>,
    /// The newest log backup, and how far it came; `None` for mirroring.
    pub files: Option<LastFiles>,
    /// How far the copy is behind; `None` for mirroring.
    pub lag: Option<Known<Lag>>,
    /// The jobs of log shipping.
    pub jobs: Vec<JobStatus>,
    /// The alerts of log shipping.
    pub alerts: Vec<Alert>,
    /// What has changed since an earlier look; `None` without one.
    pub change: Option<Change>,
}

/// What protects a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtectionKind {
    /// Mirroring inside the site.
    Mirroring,
    /// Log shipping to another site.
    LogShipping,
    /// The mirror's own entry, by which log shipping goes on after a swap.
    LogShippingOfMirror,
}

impl ProtectionKind {
    /// As programs read it: `mirroring`, `log_shipping`, `log_shipping_of_mirror`.
    pub fn as_str(self) -> &'static str {
        match self {
            ProtectionKind::Mirroring => "mirroring",
            ProtectionKind::LogShipping => "log_shipping",
            ProtectionKind::LogShippingOfMirror => "log_shipping_of_mirror",
        }
    }
}

/// The newest log backup, and the newest that was copied and restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFiles {
    /// Backed up.
    pub backup: Known<LastFile>,
    /// Copied.
    pub copied: Known<LastFile>,
    /// Restored.
    pub restored: Known<LastFile>,
}

/// A file by its last mention in the entries of log shipping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFile {
    /// Its path, as the entry spells it.
    pub path: String,
    /// When; `None` when nobody noted it.
    pub at: Option<Timestamp>,
}

/// A job of log shipping and its last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobStatus {
    /// `backup`, `copy` or `restore`.
    pub what: &'static str,
    /// Where it is.
    pub instance: InstanceName,
    /// Everything else.
    pub job: Known<JobRun>,
}

/// A job's last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRun {
    /// Its name.
    pub name: String,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// Whether it runs now.
    pub is_running: bool,
    /// How its last run ended.
    pub outcome: RunOutcome,
    /// When that run began.
    pub at: Option<Timestamp>,
    /// What that run's outcome says.
    pub message: Option<String>,
    /// The newest step that failed, if one is on record.
    pub last_failure: Option<JobFailure>,
}

/// How a job's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// 0.
    Failed,
    /// 1.
    Succeeded,
    /// 2.
    Retry,
    /// 3.
    Cancelled,
    /// 4, or a number that no document explains.
    Other,
    /// No run is on record.
    Never,
}

impl RunOutcome {
    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Failed => "failed",
            RunOutcome::Succeeded => "succeeded",
            RunOutcome::Retry => "retry",
            RunOutcome::Cancelled => "cancelled",
            RunOutcome::Other => "other",
            RunOutcome::Never => "never",
        }
    }
}

/// What has changed between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When the earlier look began.
    pub since: Timestamp,
    /// Bytes more at risk, or less; `None` when either is unknown.
    pub risk_bytes: Option<i64>,
    /// Seconds more behind, or less; `None` when either is unknown.
    pub lag_seconds: Option<i64>,
}

impl Protection {
    /// Whether it is the same protection, in another look.
    pub(super) fn is_same(&self, other: &Protection) -> bool {
        let key =
            |one: &Protection| (one.database.clone(), one.kind, one.from.clone(), one.to.clone());
        key(self) == key(other)
    }

    pub(super) fn since(&self, before: &Protection, at: Timestamp) -> Change {
        let more = |now: Option<u64>, before: Option<u64>| {
            let (now, before) = (i64::try_from(now?).ok()?, i64::try_from(before?).ok()?);
            Some(now - before)
        };
        let bytes =
            |one: &Protection| one.at_risk.as_ref().and_then(|risk| risk.bytes.known().copied());
        let lag =
            |one: &Protection| one.lag.as_ref().and_then(|lag| lag.known()).map(|lag| lag.seconds);
        Change {
            since: at,
            risk_bytes: more(bytes(self), bytes(before)),
            lag_seconds: more(lag(self), lag(before)),
        }
    }

    /// Takes from all findings those that are about it, and their worst.
    pub(super) fn conclude(&mut self, findings: &[Finding]) {
        self.reasons = findings.iter().filter(|one| self.is_concerned(one)).cloned().collect();
        let worst = self.reasons.iter().map(|one| one.verdict).max();
        self.verdict = worst.map_or(self.verdict, |worst| worst.max(self.verdict));
    }

    fn is_concerned(&self, finding: &Finding) -> bool {
        let of_kind = match finding.about {
            About::Everything => true,
            About::Mirroring => self.kind == ProtectionKind::Mirroring,
            About::LogShipping => self.kind != ProtectionKind::Mirroring,
        };
        let on_instance = match &finding.instance {
            None => true,
            Some(instance) if *instance == self.from => true,
            // What is wrong at the secondary is told once, beside what serves.
            Some(instance) => {
                *instance == self.to && self.kind != ProtectionKind::LogShippingOfMirror
            }
        };
        let of_database = finding.database.as_ref().is_none_or(|one| *one == self.database);
        of_kind && on_instance && of_database
    }
}

/// Every protection, by database in the order of the topology; adds what it finds.
pub(super) fn all(
    topology: &Topology,
    observation: &Observation,
    losses: &[PredictedLoss],
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Vec<Protection> {
    let mut all = Vec::new();
    for database in topology.databases() {
        let look = Look { topology, observation, database, now };
        let (serving, other) = look.partners();
        if let Some(other) = other {
            all.push(look.mirroring(serving, other, findings));
        }
        for design in &topology.log_shipping().secondaries {
            let Some(secondary) = topology.instance(&design.instance) else { continue };
            let proved = losses
                .iter()
                .find(|loss| loss.database == *database)
                .filter(|_| secondary.role == Role::Secondary);
            all.push(look.log_shipping(serving, secondary, proved, findings));
        }
        if let Some(other) = other {
            all.push(look.log_shipping_of_mirror(other, findings));
        }
    }
    all
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Look<'a> {
    topology: &'a Topology,
    observation: &'a Observation,
    database: &'a DatabaseName,
    now: Timestamp,
}

impl<'a> Look<'a> {
    /// Of the primary and its mirror, the one that serves, and the other.
    fn partners(&self) -> (&'a Instance, Option<&'a Instance>) {
        let primary = self.topology.primary();
        let Some(mirror) = self.topology.role(Role::PrimaryMirror) else { return (primary, None) };
        let serves = |instance: &Instance| {
            let copy = risk::copy(self.observation, instance, self.database);
            copy.known().is_some_and(|(_, copy)| copy.is_writable())
        };
        if serves(mirror) && !serves(primary) {
            (mirror, Some(primary))
        } else {
            (primary, Some(mirror))
        }
    }

    fn seen(&self, instance: &Instance) -> Known<&'a InstanceObservation> {
        match self.observation.instances.get(&instance.name) {
            Some(Known::Known(seen)) => Known::Known(seen),
            Some(Known::Unknown(reason)) => Known::Unknown(reason.clone()),
            None => Known::unknown("not_observed", format!("{} was not observed", instance.name)),
        }
    }

    fn primary_entry(&self, instance: &Instance) -> Known<Option<&'a LogShippingPrimary>> {
        match self.seen(instance) {
            Known::Known(seen) => {
                seen.log_shipping_primary.as_ref().map(|all| all.get(self.database))
            }
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }

    fn secondary_entry(&self, instance: &Instance) -> Known<Option<&'a LogShippingSecondary>> {
        match self.seen(instance) {
            Known::Known(seen) => {
                seen.log_shipping_secondary.as_ref().map(|all| all.get(self.database))
            }
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }

    fn protection(&self, kind: ProtectionKind, from: &Instance, to: &Instance) -> Protection {
        Protection {
            database: self.database.clone(),
            kind,
            from: from.name.clone(),
            to: to.name.clone(),
            verdict: Verdict::Ready,
            reasons: Vec::new(),
            at_risk: None,
            files: None,
            lag: None,
            jobs: Vec::new(),
            alerts: Vec::new(),
            change: None,
        }
    }

    /// A fact that the answer needs, on an instance that answers.
    fn not_known(&self, what: &str, on: &Instance, reason: &Reason, about: About) -> Finding {
        let message = format!("{what} of {} on {} is unknown: {reason}.", self.database, on.name);
        let finding = Finding::new(Verdict::Unknown, "fact_unknown", message);
        finding.of(self.database).on(&on.name).about(about)
    }

    fn mirroring(
        &self,
        serving: &Instance,
        other: &Instance,
        findings: &mut Vec<Finding>,
    ) -> Protection {
        let mut protection = self.protection(ProtectionKind::Mirroring, serving, other);
        let partners = (serving, other);
        protection.at_risk = Some(risk::of_mirroring(self.observation, partners, self.database));
        let copy = risk::copy(self.observation, serving, self.database);
        protection.verdict = match &copy {
            Known::Known((_, copy)) => match &copy.mirroring {
                Known::Known(Some(session)) => {
                    let is_in_step = session.state == MirroringState::Synchronized;
                    if is_in_step && session.is_safety_full {
                        Verdict::Ready
                    } else {
                        Verdict::NotReady
                    }
                }
                Known::Known(None) => Verdict::NotReady, // drift says so
                Known::Unknown(reason) => {
                    let what = "The mirroring session";
                    findings.push(self.not_known(what, serving, reason, About::Mirroring));
                    Verdict::Unknown
                }
            },
            // That the instance is not observed is found already.
            Known::Unknown(_) => Verdict::Unknown,
        };
        protection
    }

    fn log_shipping(
        &self,
        serving: &Instance,
        secondary: &Instance,
        proved: Option<&PredictedLoss>,
        findings: &mut Vec<Finding>,
    ) -> Protection {
        let Look { topology, observation, database, now } = *self;
        let mut protection = self.protection(ProtectionKind::LogShipping, serving, secondary);
        let (primary_entry, secondary_entry) =
            (self.primary_entry(serving), self.secondary_entry(secondary));
        let whole = [
            (primary_entry.reason(), serving, "The entry as log shipping primary"),
            (secondary_entry.reason(), secondary, "The entry as log shipping secondary"),
        ];
        for (reason, on, what) in whole {
            if let (Some(reason), Known::Known(_)) = (reason, self.seen(on)) {
                findings.push(self.not_known(what, on, reason, About::LogShipping));
            }
        }
        let pair = (serving, secondary);
        let at_risk = risk::of_log_shipping(topology, observation, pair, database, proved);
        protection.at_risk = Some(at_risk);
        protection.files = Some(last_files(&primary_entry, &secondary_entry, secondary, serving));
        let copy = risk::copy(observation, secondary, database);
        protection.lag = Some(match &copy {
            Known::Known((_, copy)) => lag::of(&copy.log_backups_restored, now),
            Known::Unknown(reason) => Known::Unknown(reason.clone()),
        });
        if let Some(Known::Known(lag)) = &protection.lag
            && lag.trend == Known::Known(Trend::Growing)
        {
            let message = format!(
                "{database} on {} is {} behind, and that grows: look into its copy and restore jobs.",
                secondary.name,
                lag::told(lag)
            );
            let finding = Finding::new(Verdict::Attention, "lag_growing", message);
            let finding = finding.of(database).on(&secondary.name);
            findings.push(finding.about(About::LogShipping));
        }
        let serves_already = copy.known().is_some_and(|(_, copy)| copy.is_writable());
        if serves_already && !findings.iter().any(|one| one.code == "failed_over") {
            let message = format!(
                "{database} on {} takes writes: it takes no log, and is no copy to fail over to.",
                secondary.name
            );
            let finding = Finding::new(Verdict::NotReady, "secondary_serves", message);
            let finding = finding.of(database).on(&secondary.name);
            findings.push(finding.about(About::LogShipping));
        }
        let entry = |entry: &Known<Option<&'a LogShippingPrimary>>| backup_job(entry, serving);
        protection.jobs.push(entry(&primary_entry));
        protection.jobs.extend(secondary_jobs(&secondary_entry, secondary));
        protection.alerts = vec![
            alert::of_backups(topology, observation, serving, database, now),
            alert::of_restores(topology, observation, secondary, database, now),
        ];
        for (one, on) in protection.alerts.iter().zip([serving, secondary]) {
            findings.extend(self.alert(one, on, findings));
        }
        protection
    }

    /// What an alert's state has to be told of, unless something else tells it already.
    fn alert(&self, alert: &Alert, on: &Instance, findings: &[Finding]) -> Option<Finding> {
        let late = if alert.number == 14420 { "backup_late" } else { "restore_late" };
        let is_told = findings.iter().any(|one| {
            one.code == late
                && one.instance.as_ref() == Some(&on.name)
                && one.database.as_ref() == Some(self.database)
        });
        let (database, number, name) = (self.database, alert.number, &on.name);
        let (code, message) = match &alert.state {
            AlertState::Raised if !is_told => {
                let by = &alert.watched_by;
                (
                    "alert_raised",
                    format!("Alert {number} of {database} on {name} is raised by {by}."),
                )
            }
            AlertState::Muted { why, .. } if alert.is_enabled == Some(true) => (
                "alert_muted",
                format!("Nobody is told by alert {number} of {database} on {name}: {why}."),
            ),
            AlertState::NotWatched if alert.watched_by != *name => {
                let by = &alert.watched_by;
                let found = "does not watch";
                (
                    "alert_not_watched",
                    format!("{by} {found} {database} on {name} (alert {number})."),
                )
            }
            AlertState::Quiet
            | AlertState::Raised
            | AlertState::Muted { .. }
            | AlertState::NotWatched
            | AlertState::Unknown(_) => return None,
        };
        let finding = Finding::new(Verdict::Attention, code, message).of(database).on(name);
        Some(finding.about(About::LogShipping))
    }

    /// The entry of the partner that does not serve: after a swap, its job goes on backing up the log.
    fn log_shipping_of_mirror(&self, other: &Instance, findings: &mut Vec<Finding>) -> Protection {
        let to = self.topology.secondary();
        let mut protection = self.protection(ProtectionKind::LogShippingOfMirror, other, to);
        let entry = self.primary_entry(other);
        match (&entry, self.seen(other)) {
            (Known::Unknown(reason), Known::Known(_)) => {
                let what = "The mirror's entry as log shipping primary";
                findings.push(self.not_known(what, other, reason, About::LogShipping));
            }
            (Known::Unknown(_), Known::Unknown(_)) => protection.verdict = Verdict::Unknown,
            (Known::Known(None), _) => protection.verdict = Verdict::NotReady, // drift says so
            (Known::Known(Some(_)), _) => {}
        }
        protection.jobs.push(backup_job(&entry, other));
        protection
    }
}

fn last_files(
    primary: &Known<Option<&LogShippingPrimary>>,
    secondary: &Known<Option<&LogShippingSecondary>>,
    on_secondary: &Instance,
    on_primary: &Instance,
) -> LastFiles {
    fn last<T>(
        entry: &Known<Option<&T>>,
        on: &Instance,
        of: impl Fn(&T) -> (Option<&String>, Option<Timestamp>),
    ) -> Known<LastFile> {
        match entry {
            Known::Known(Some(entry)) => match of(entry) {
                (Some(path), at) if !path.is_empty() => {
                    Known::Known(LastFile { path: path.clone(), at })
                }
                _ => Known::unknown("none_yet", format!("none is on record on {}", on.name)),
            },
            Known::Known(None) => {
                Known::unknown("not_configured", format!("{} has no entry for it", on.name))
            }
            Known::Unknown(reason) => Known::Unknown(reason.clone()),
        }
    }
    LastFiles {
        backup: last(primary, on_primary, |one| {
            (one.last_backup_file.as_ref(), one.last_backup_at)
        }),
        copied: last(secondary, on_secondary, |one| {
            (one.last_copied_file.as_ref(), one.last_copied_at)
        }),
        restored: last(secondary, on_secondary, |one| {
            (one.last_restored_file.as_ref(), one.last_restored_at)
        }),
    }
}

fn backup_job(entry: &Known<Option<&LogShippingPrimary>>, on: &Instance) -> JobStatus {
    job_of("backup", on, entry, |entry| &entry.backup_job)
}

fn secondary_jobs(entry: &Known<Option<&LogShippingSecondary>>, on: &Instance) -> [JobStatus; 2] {
    [
        job_of("copy", on, entry, |entry| &entry.copy_job),
        job_of("restore", on, entry, |entry| &entry.restore_job),
    ]
}

fn job_of<'a, T>(
    what: &'static str,
    on: &Instance,
    entry: &Known<Option<&'a T>>,
    job: impl Fn(&'a T) -> &'a Known<Job>,
) -> JobStatus {
    let job = match entry {
        Known::Known(Some(entry)) => job(entry).as_ref().map(run_of),
        Known::Known(None) => {
            Known::unknown("not_configured", format!("{} has no entry for it", on.name))
        }
        Known::Unknown(reason) => Known::Unknown(reason.clone()),
    };
    JobStatus { what, instance: on.name.clone(), job }
}

fn run_of(job: &Job) -> JobRun {
    JobRun {
        name: job.name.clone(),
        is_enabled: job.is_enabled,
        is_running: job.is_running,
        outcome: match job.last_run_status {
            Some(0) => RunOutcome::Failed,
            Some(1) => RunOutcome::Succeeded,
            Some(2) => RunOutcome::Retry,
            Some(3) => RunOutcome::Cancelled,
            Some(_) => RunOutcome::Other,
            None => RunOutcome::Never,
        },
        at: job.last_run_at,
        message: job.last_run_message.clone(),
        last_failure: job.last_failure.clone(),
    }
}
