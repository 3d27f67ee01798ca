//! Protections as programs and people read them.

use std::fmt::Write as _;
use std::time::Duration;

use pcdr_core::Known;
use pcdr_core::status::{
    Alert, AlertState, AtRisk, Change, Finding, JobStatus, Lag, LastFile, Protection,
    ProtectionKind,
};
use pcdr_core::time::readable;
use schemars::JsonSchema;
use serde::Serialize;

use crate::text;
use crate::views::FindingStatus;

/// A fact: its value, or why it is unknown. Exactly one of the two is not null.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Fact<T> {
    /// The value; null while it is unknown.
    pub value: Option<T>,
    /// Why it is unknown; null while it is known.
    pub unknown: Option<ReasonStatus>,
}

/// Why a fact is unknown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReasonStatus {
    /// Stable, to branch on.
    pub code: String,
    /// For people.
    pub message: String,
}

impl<T> Fact<T> {
    fn of<U>(known: &Known<U>, value: impl FnOnce(&U) -> T) -> Fact<T> {
        match known {
            Known::Known(fact) => Fact { value: Some(value(fact)), unknown: None },
            Known::Unknown(reason) => Fact { value: None, unknown: Some(reason.into()) },
        }
    }
}

impl From<&pcdr_core::Reason> for ReasonStatus {
    fn from(reason: &pcdr_core::Reason) -> ReasonStatus {
        ReasonStatus { code: reason.code.clone(), message: reason.message.clone() }
    }
}

/// One protection of one database.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProtectionStatus {
    /// Database.
    pub database: String,
    /// `mirroring`, `log_shipping`, or `log_shipping_of_mirror`: the mirror's own entry, by which log
    /// shipping goes on after a swap.
    pub kind: String,
    /// The instance that is protected.
    pub from: String,
    /// The instance that would take over.
    pub to: String,
    /// `ready`, `attention`, `unknown`, `not_ready` or `alarm`.
    pub verdict: String,
    /// What keeps it from being ready, most urgent first.
    pub reasons: Vec<FindingStatus>,
    /// What would be lost now; null for `log_shipping_of_mirror`.
    pub at_risk: Option<AtRiskStatus>,
    /// The newest log backup; null for `mirroring` and `log_shipping_of_mirror`, as for the three after it.
    pub last_backup: Option<Fact<FileStatus>>,
    /// The newest log backup that was copied.
    pub last_copied: Option<Fact<FileStatus>>,
    /// The newest log backup that was restored.
    pub last_restored: Option<Fact<FileStatus>>,
    /// How far the copy is behind.
    pub lag: Option<Fact<LagStatus>>,
    /// Its jobs: backup, copy, restore.
    pub jobs: Vec<JobView>,
    /// Its alerts: 14420, 14421.
    pub alerts: Vec<AlertStatus>,
    /// What has changed since the look before, under `--watch`.
    pub change: Option<ChangeStatus>,
}

/// What would be lost now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AtRiskStatus {
    /// Bytes of log that nothing else holds.
    pub bytes: Fact<u64>,
    /// Whether there may be more bytes than that.
    pub is_at_least: bool,
    /// Everything committed before this is safe.
    pub saved_until: Fact<String>,
    /// When the instance that serves was asked.
    pub lost_until: Fact<String>,
    /// Seconds between the two: the longest time that lost records come from; null while unknown.
    pub span_seconds: Option<u64>,
    /// First log position at risk; decimal.
    pub from_lsn: Fact<String>,
    /// End of the log; decimal.
    pub to_lsn: Fact<String>,
}

/// A log backup by its last mention.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FileStatus {
    /// Path, as the entry spells it.
    pub path: String,
    /// When; null when nobody noted it.
    pub at: Option<String>,
}

/// How far a copy is behind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LagStatus {
    /// When the newest log backup that it holds was taken.
    pub holds_until: String,
    /// Seconds since.
    pub seconds: u64,
    /// `growing`, `steady` or `shrinking`, by the restores on record.
    pub trend: Fact<String>,
}

/// A job and its last run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobView {
    /// `backup`, `copy` or `restore`.
    pub what: String,
    /// Where it is.
    pub instance: String,
    /// The job.
    pub job: Fact<JobRunStatus>,
}

/// A job's last run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JobRunStatus {
    /// Name.
    pub name: String,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// Whether it runs now.
    pub is_running: bool,
    /// `succeeded`, `failed`, `cancelled`, `retry`, `other`, or `never` when no run is on record.
    pub outcome: String,
    /// When that run began.
    pub at: Option<String>,
    /// What its outcome says.
    pub message: Option<String>,
    /// When the newest step that failed began.
    pub last_failure_at: Option<String>,
    /// What that step said.
    pub last_failure: Option<String>,
}

/// An alert of log shipping.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertStatus {
    /// 14420: no log backup for too long; 14421: no restore, or a late one.
    pub number: u16,
    /// The instance whose alert job raises it.
    pub watched_by: String,
    /// `quiet`, `raised`, `muted` (nobody would be told), `not_watched` or `unknown`.
    pub state: String,
    /// Why it is muted or unknown.
    pub reason: Option<String>,
    /// Whether something is late; null while unknown.
    pub is_late: Option<bool>,
    /// Threshold in minutes.
    pub threshold_minutes: Option<i32>,
    /// Minutes since the last log backup or restore.
    pub elapsed_minutes: Option<u64>,
    /// Minutes from the last restored log backup's creation to its restore.
    pub latency_minutes: Option<i32>,
    /// Whether the alert is enabled.
    pub is_enabled: Option<bool>,
    /// Whether the alert job is there, enabled, and its Agent runs.
    pub is_job_at_work: Option<bool>,
}

/// What has changed since the look before.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeStatus {
    /// When that look began.
    pub since: String,
    /// Bytes more at risk; negative: less.
    pub risk_bytes: Option<i64>,
    /// Seconds more behind; negative: less.
    pub lag_seconds: Option<i64>,
}

/// A finding.
pub fn finding(finding: &Finding) -> FindingStatus {
    FindingStatus {
        verdict: finding.verdict.as_str().to_owned(),
        code: finding.code.to_owned(),
        message: finding.message.clone(),
        database: finding.database.as_ref().map(ToString::to_string),
        instance: finding.instance.as_ref().map(ToString::to_string),
    }
}

/// A protection.
pub fn protection(one: &Protection) -> ProtectionStatus {
    let file = |known: &Known<LastFile>| {
        Fact::of(known, |file| FileStatus {
            path: file.path.clone(),
            at: file.at.map(|at| at.to_string()),
        })
    };
    let files = one.files.as_ref();
    ProtectionStatus {
        database: one.database.to_string(),
        kind: one.kind.as_str().to_owned(),
        from: one.from.to_string(),
        to: one.to.to_string(),
        verdict: one.verdict.as_str().to_owned(),
        reasons: one.reasons.iter().map(finding).collect(),
        at_risk: one.at_risk.as_ref().map(at_risk),
        last_backup: files.map(|files| file(&files.backup)),
        last_copied: files.map(|files| file(&files.copied)),
        last_restored: files.map(|files| file(&files.restored)),
        lag: one.lag.as_ref().map(|lag| {
            Fact::of(lag, |lag| LagStatus {
                holds_until: lag.holds_until.to_string(),
                seconds: lag.seconds,
                trend: Fact::of(&lag.trend, |trend| trend.as_str().to_owned()),
            })
        }),
        jobs: one.jobs.iter().map(job).collect(),
        alerts: one.alerts.iter().map(alert).collect(),
        change: one.change.map(|change| ChangeStatus {
            since: change.since.to_string(),
            risk_bytes: change.risk_bytes,
            lag_seconds: change.lag_seconds,
        }),
    }
}

fn at_risk(risk: &AtRisk) -> AtRiskStatus {
    AtRiskStatus {
        bytes: Fact::of(&risk.bytes, |bytes| *bytes),
        is_at_least: risk.is_at_least,
        saved_until: Fact::of(&risk.saved_until, ToString::to_string),
        lost_until: Fact::of(&risk.lost_until, ToString::to_string),
        span_seconds: risk.span_seconds(),
        from_lsn: Fact::of(&risk.from_lsn, ToString::to_string),
        to_lsn: Fact::of(&risk.to_lsn, ToString::to_string),
    }
}

fn job(one: &JobStatus) -> JobView {
    JobView {
        what: one.what.to_owned(),
        instance: one.instance.to_string(),
        job: Fact::of(&one.job, |run| JobRunStatus {
            name: run.name.clone(),
            is_enabled: run.is_enabled,
            is_running: run.is_running,
            outcome: run.outcome.as_str().to_owned(),
            at: run.at.map(|at| at.to_string()),
            message: run.message.clone(),
            last_failure_at: run
                .last_failure
                .as_ref()
                .and_then(|failure| failure.at)
                .map(|at| at.to_string()),
            last_failure: run.last_failure.as_ref().map(|failure| failure.message.clone()),
        }),
    }
}

fn alert(one: &Alert) -> AlertStatus {
    let (state, reason, is_late) = match &one.state {
        AlertState::Quiet => ("quiet", None, Some(false)),
        AlertState::Raised => ("raised", None, Some(true)),
        AlertState::Muted { is_late, why } => ("muted", Some(why.clone()), Some(*is_late)),
        AlertState::NotWatched => ("not_watched", None, None),
        AlertState::Unknown(reason) => ("unknown", Some(reason.to_string()), None),
    };
    AlertStatus {
        number: one.number,
        watched_by: one.watched_by.to_string(),
        state: state.to_owned(),
        reason,
        is_late,
        threshold_minutes: one.threshold_minutes,
        elapsed_minutes: one.elapsed_minutes,
        latency_minutes: one.latency_minutes,
        is_enabled: one.is_enabled,
        is_job_at_work: one.is_job_at_work,
    }
}

/// `log shipping to sql-s1` and the like.
pub fn name(one: &Protection) -> String {
    match one.kind {
        ProtectionKind::Mirroring => format!("mirroring {} → {}", one.from, one.to),
        ProtectionKind::LogShipping => format!("log shipping {} → {}", one.from, one.to),
        ProtectionKind::LogShippingOfMirror => format!("log shipping of mirror {}", one.from),
    }
}

/// Bytes as people read them.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes;
    let mut tenths = 0;
    let mut unit = "";
    for next in UNITS {
        if !unit.is_empty() && scaled < 1024 {
            break;
        }
        tenths = scaled % 1024 * 10 / 1024;
        scaled /= 1024;
        unit = next;
    }
    format!("{scaled}.{tenths} {unit}")
}

/// What is at risk, in one cell of a table.
pub fn risk_cell(one: &Protection) -> String {
    let Some(risk) = &one.at_risk else { return "-".to_owned() };
    let at_least = if risk.is_at_least { "≥ " } else { "" };
    let size = match &risk.bytes {
        Known::Known(count) => format!("{at_least}{}", bytes(*count)),
        Known::Unknown(_) => "unknown".to_owned(),
    };
    match risk.span_seconds() {
        Some(0) => size,
        Some(seconds) => format!("{size}, {}", readable(Duration::from_secs(seconds))),
        None => size,
    }
}

/// How far it is behind, in one cell of a table.
pub fn lag_cell(one: &Protection) -> String {
    match &one.lag {
        None => "-".to_owned(),
        Some(Known::Unknown(_)) => "unknown".to_owned(),
        Some(Known::Known(Lag { seconds, trend, .. })) => {
            let trend =
                trend.known().map_or(String::new(), |trend| format!(", {}", trend.as_str()));
            format!("{}{trend}", readable(Duration::from_secs(*seconds)))
        }
    }
}

/// The codes of its reasons, each once.
pub fn codes(one: &Protection) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for reason in &one.reasons {
        if !codes.contains(&reason.code) {
            codes.push(reason.code);
        }
    }
    if codes.is_empty() { "-".to_owned() } else { codes.join(", ") }
}

/// The verdict as people read it.
pub fn verdict(one: &Protection) -> String {
    one.verdict.as_str().replace('_', " ")
}

/// All protections of one topology, for people.
pub fn render(all: &[Protection]) -> String {
    let mut table =
        text::table(["database", "protection", "verdict", "at risk now", "behind", "why"]);
    for one in all {
        table.add_row([
            one.database.to_string(),
            name(one),
            verdict(one),
            risk_cell(one),
            lag_cell(one),
            codes(one),
        ]);
    }
    let mut text = format!("{table}\n");
    for one in all {
        details(&mut text, one);
    }
    text
}

fn details(text: &mut String, one: &Protection) {
    let _infallible = writeln!(text, "\n{}: {}", one.database, name(one));
    if let Some(risk) = &one.at_risk
        && risk.bytes == Known::Known(0)
    {
        text.push_str("  at risk: nothing\n");
    } else if let Some(risk) = &one.at_risk {
        let until = |known: &Known<pcdr_core::Timestamp>| shown(known, ToString::to_string);
        let lsn = |known: &Known<pcdr_core::Lsn>| shown(known, ToString::to_string);
        let at_least = if risk.is_at_least { "at least " } else { "" };
        let _infallible = writeln!(
            text,
            "  at risk: {at_least}{}; committed from {} to {}; log from {} to {}",
            shown(&risk.bytes, |count| format!("{} ({count} bytes)", bytes(*count))),
            until(&risk.saved_until),
            until(&risk.lost_until),
            lsn(&risk.from_lsn),
            lsn(&risk.to_lsn),
        );
    }
    if let Some(files) = &one.files {
        let all =
            [("backup", &files.backup), ("copied", &files.copied), ("restored", &files.restored)];
        for (what, file) in all {
            let file = shown(file, |file| match file.at {
                Some(at) => format!("{} at {at}", file.path),
                None => file.path.clone(),
            });
            let _infallible = writeln!(text, "  last {what}: {file}");
        }
    }
    if let Some(lag) = &one.lag {
        let lag = shown(lag, |lag| {
            let trend = shown(&lag.trend, |trend| trend.as_str().to_owned());
            let behind = readable(Duration::from_secs(lag.seconds));
            format!("{behind} (holds what was backed up until {}); trend: {trend}", lag.holds_until)
        });
        let _infallible = writeln!(text, "  behind: {lag}");
    }
    for JobStatus { what, instance, job } in &one.jobs {
        let job = shown(job, |run| {
            let enabled = if run.is_enabled { "" } else { ", DISABLED" };
            let running = if run.is_running { ", running" } else { "" };
            let when = run.at.map_or_else(String::new, |at| format!(" at {at}"));
            let outcome = run.outcome.as_str();
            let mut said = format!("{} last {outcome}{when}{enabled}{running}", run.name);
            if let Some(failure) = &run.last_failure {
                let when = failure.at.map_or_else(String::new, |at| format!(" at {at}"));
                let words: Vec<&str> = failure.message.split_whitespace().collect();
                let _infallible = write!(said, "; last failure{when}: {}", words.join(" "));
            }
            said
        });
        let _infallible = writeln!(text, "  {what} job on {instance}: {job}");
    }
    for one in &one.alerts {
        let shown = alert(one);
        let reason = shown.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let minutes = |minutes: Option<u64>| minutes.map_or("?".to_owned(), |n| n.to_string());
        let threshold = one.threshold_minutes.and_then(|threshold| u64::try_from(threshold).ok());
        let _infallible = writeln!(
            text,
            "  alert {}: {}{reason}; {} of {} min; watched by {}",
            one.number,
            shown.state.replace('_', " "),
            minutes(one.elapsed_minutes),
            minutes(threshold),
            one.watched_by,
        );
    }
    if let Some(Change { since, risk_bytes, lag_seconds }) = one.change {
        let signed =
            |change: Option<i64>| change.map_or("unknown".to_owned(), |n| format!("{n:+}"));
        let (risk, lag) = (signed(risk_bytes), signed(lag_seconds));
        let _infallible = writeln!(text, "  since {since}: {risk} bytes at risk, {lag} s behind");
    }
}

fn shown<T>(known: &Known<T>, value: impl FnOnce(&T) -> String) -> String {
    match known {
        Known::Known(fact) => value(fact),
        Known::Unknown(reason) => format!("unknown: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_that_makes_them_short() {
        let all = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1024 * 1024, "1.0 MiB")];
        for (count, told) in all {
            assert_eq!(bytes(count), told);
        }
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
    }
}
