//! The settings of log shipping and mirroring, from the entries and jobs back to the topology's keys.
//!
//! The inverse of [`PrimarySettings::of`](crate::settings::PrimarySettings::of) and
//! [`SecondarySettings::of`](crate::settings::SecondarySettings::of). A topology has one set of settings: that
//! of the first entry is written, and whatever differs from it is told afterwards.

use std::time::Duration;

use toml::Value;

use super::draft::Section;
use super::finding::Code;
use super::look::Look;
use super::parts::Parts;
use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::{Job, LogShippingPrimary, LogShippingSecondary, MonitorAuthentication};
use crate::schedule::{Days, Schedule};
use crate::settings::{Compression, RestoreMode, is_same_folder};

const PRIMARY: &str = "log_shipping_primary_databases";
const MONITOR_PRIMARY: &str = "log_shipping_monitor_primary";
const SECONDARY: &str = "log_shipping_secondary";
const SECONDARY_DATABASES: &str = "log_shipping_secondary_databases";
const MONITOR_SECONDARY: &str = "log_shipping_monitor_secondary";

/// An entry, and where it stands: what every message about it names.
struct Read<'a, T> {
    server: String,
    database: &'a DatabaseName,
    entry: &'a T,
}

impl<T> Read<'_, T> {
    /// Writes a setting, or leaves it open where it was not told.
    fn setting(
        &self,
        look: &mut Look<'_>,
        section: &mut Section,
        key: &'static str,
        value: Option<impl Into<Value>>,
        table: &str,
    ) {
        match value {
            Some(value) => section.key(key, value, table),
            None => {
                let found = format!("`{key}` is not told by msdb.dbo.{table}");
                let remedy = format!("Set `{key}` in [log_shipping].");
                look.note(
                    Code::SettingUnknown,
                    Some(&self.server),
                    Some(self.database),
                    found,
                    remedy,
                );
            }
        }
    }

    /// Writes a job's schedule under its four keys, or leaves it open.
    fn schedule(&self, look: &mut Look<'_>, section: &mut Section, what: &str, job: &Known<Job>) {
        match only_schedule(job) {
            Ok(schedule) => write_schedule(section, what, &schedule, "sysschedules"),
            Err(why) => {
                let found = format!("when the {what} job runs cannot be written: {why}");
                let remedy = format!(
                    "Set `{what}_every` in [log_shipping], and the hours and days if need be."
                );
                let (server, database) = (Some(self.server.as_str()), Some(self.database));
                look.note(Code::ScheduleNotExpressible, server, database, found, remedy);
            }
        }
    }
}

/// The one schedule that a job has.
fn only_schedule(job: &Known<Job>) -> Result<Schedule, String> {
    let job = match job {
        Known::Known(job) => job,
        Known::Unknown(reason) => return Err(format!("the job could not be read: {reason}")),
    };
    let enabled: Vec<_> = job.schedules.iter().filter(|one| one.is_enabled).collect();
    match enabled.as_slice() {
        [] => Err(format!("{} has no enabled schedule", job.name)),
        [one] => one.schedule.ok_or_else(|| {
            format!(
                "{} has another kind of schedule than log shipping needs, {}",
                job.name, one.name
            )
        }),
        several => Err(format!("{} has {} schedules", job.name, several.len())),
    }
}

fn write_schedule(section: &mut Section, what: &str, schedule: &Schedule, table: &str) {
    let all_day = Schedule::all_day(schedule.every_seconds);
    section.key(&format!("{what}_every"), interval(schedule.every_seconds), table);
    if schedule.days != Days::ALL {
        section.key(&format!("{what}_days"), schedule.days.to_string(), table);
    }
    if (schedule.from, schedule.until) != (all_day.from, all_day.until) {
        section.key(&format!("{what}_from"), schedule.from.to_string(), table);
        section.key(&format!("{what}_until"), schedule.until.to_string(), table);
    }
}

/// Seconds as a topology spells a duration.
fn interval(seconds: u32) -> String {
    let mut text = String::new();
    for (unit, name) in [(3_600, "h"), (60, "m"), (1, "s")] {
        let count = if unit == 3_600 { seconds / unit } else { seconds % (unit * 60) / unit };
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A duration as a topology spells it.
pub(super) fn duration(duration: Duration) -> String {
    match u32::try_from(duration.as_secs()) {
        Ok(seconds) if duration.subsec_nanos() == 0 => interval(seconds),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn compression(entry: &LogShippingPrimary) -> Option<&'static str> {
    entry.backup_compression.map(Compression::as_str)
}

/// `[log_shipping]`, but for the names of the shares.
pub(super) fn log_shipping(look: &mut Look<'_>, parts: &Parts, section: &mut Section) {
    if let Some((index, database, entry)) = parts.primary_entries(look).first().copied() {
        let read = Read { server: look.shown(index), database, entry };
        primary(look, &read, section);
    }
    let Some(on) = parts.secondaries.first().copied() else { return };
    if let Some((database, entry)) = parts.secondary_entries(look, on).first().copied() {
        let read = Read { server: look.shown(on), database, entry };
        secondary(look, &read, section);
    }
    monitor(look, parts, section);
    alert_job(look, parts, section);
}

fn primary(look: &mut Look<'_>, read: &Read<'_, LogShippingPrimary>, section: &mut Section) {
    let entry = read.entry;
    section.comment(&format!("Of the primary: as {} has it for {}.", read.server, read.database));
    if !is_same_folder(&entry.backup_directory, &entry.backup_share) {
        section.key("backup_directory", entry.backup_directory.as_str(), PRIMARY);
    }
    section.key("backup_retention_minutes", entry.backup_retention_minutes, PRIMARY);
    read.setting(look, section, "backup_compression", compression(entry), PRIMARY);
    let threshold = entry.backup_threshold_minutes;
    read.setting(look, section, "backup_threshold_minutes", threshold, MONITOR_PRIMARY);
    read.setting(look, section, "backup_alert", entry.raises_alert, MONITOR_PRIMARY);
    let history = entry.history_retention_minutes;
    read.setting(look, section, "history_retention_minutes", history, MONITOR_PRIMARY);
    read.schedule(look, section, "backup", &entry.backup_job);
}

fn secondary(look: &mut Look<'_>, read: &Read<'_, LogShippingSecondary>, section: &mut Section) {
    let entry = read.entry;
    section.comment(&format!("Of the secondary: as {} has it for {}.", read.server, read.database));
    let retention = entry.file_retention_minutes;
    read.setting(look, section, "file_retention_minutes", retention, SECONDARY);
    let threshold = entry.restore_threshold_minutes;
    read.setting(look, section, "restore_threshold_minutes", threshold, MONITOR_SECONDARY);
    read.setting(look, section, "restore_alert", entry.raises_alert, MONITOR_SECONDARY);
    restore(look, read, section);
    read.schedule(look, section, "copy", &entry.copy_job);
    read.schedule(look, section, "restore", &entry.restore_job);
}

/// What a further secondary may have otherwise.
fn restore(look: &mut Look<'_>, read: &Read<'_, LogShippingSecondary>, section: &mut Section) {
    let entry = read.entry;
    section.key("restore_delay_minutes", entry.restore_delay_minutes, SECONDARY_DATABASES);
    let mode = entry.restore_mode.map(RestoreMode::as_str);
    read.setting(look, section, "restore_mode", mode, SECONDARY_DATABASES);
    read.setting(look, section, "disconnect_users", entry.disconnect_users, SECONDARY_DATABASES);
}

/// `[[log_shipping.further_secondaries]]`, but for the names.
pub(super) fn further(look: &mut Look<'_>, parts: &Parts, on: usize, section: &mut Section) {
    if let Some((database, entry)) = parts.secondary_entries(look, on).first().copied() {
        let read = Read { server: look.shown(on), database, entry };
        restore(look, &read, section);
    }
}

/// The SQL Server login that reports to the monitor, as the first entry that has one says. Its password is
/// told by nothing: the file names a place for it.
fn monitor(look: &mut Look<'_>, parts: &Parts, section: &mut Section) {
    const PASSWORD: &str = "PCDR_MONITOR_PASSWORD";
    if parts.monitor.is_none() {
        return;
    }
    let primaries = parts.primary_entries(look).into_iter();
    let primaries =
        primaries.map(|(index, database, entry)| (index, database, &entry.monitor_authentication));
    let secondaries = parts.secondaries.iter().flat_map(|index| {
        let entries = parts.secondary_entries(look, *index).into_iter();
        entries.map(|(database, entry)| (*index, database, &entry.monitor_authentication))
    });
    let logins: Vec<(usize, &DatabaseName, Option<String>)> = primaries
        .chain(secondaries)
        .filter_map(|(index, database, found)| match found {
            Some(MonitorAuthentication::SqlServer { login }) => {
                Some((index, database, login.clone()))
            }
            Some(MonitorAuthentication::Windows) | None => None,
        })
        .collect();
    let Some((first, database, _)) = logins.first() else { return };
    let told = logins.iter().find_map(|(index, _, login)| Some((*index, login.clone()?)));
    let server = look.shown(*first);
    let Some((index, login)) = told else {
        let found = "its entries report to the monitor with a SQL Server login, and no linked server tells which";
        let remedy = "Set `monitor_login` and `monitor_password_env` or `monitor_password_file` in [log_shipping].";
        look.note(Code::MonitorLoginUnknown, Some(&server), Some(database), found, remedy);
        return;
    };
    let from = format!("sys.linked_logins of {}", look.shown(index));
    section.key("monitor_login", login.as_str(), &from);
    section.key("monitor_password_env", PASSWORD, "");
    let found = format!("it reports to the monitor as {login}, whose password cannot be read back");
    let remedy = format!(
        "Before pcdr configure, put the password into the environment variable {PASSWORD}, or name \
         another place in [log_shipping]."
    );
    look.note(Code::MonitorPasswordNotTold, Some(&server), None, found, remedy);
}

/// The alert job: the monitor's, or the first of those that watch themselves.
fn alert_job(look: &mut Look<'_>, parts: &Parts, section: &mut Section) {
    let watchers: Vec<usize> = match parts.monitor {
        Some(monitor) => vec![monitor],
        None => {
            let mirror = parts.mirror.into_iter();
            [parts.primary].into_iter().chain(mirror).chain(parts.secondaries.clone()).collect()
        }
    };
    for index in watchers {
        let job = look.survey(index).and_then(|survey| survey.seen.alert_job.known()?.as_ref());
        let Some(job) = job else { continue };
        match only_schedule(&Known::Known(job.clone())) {
            Ok(schedule) => {
                let from = format!("the alert job of {}", look.shown(index));
                section.key("alert_every", interval(schedule.every_seconds), &from);
            }
            Err(why) => {
                let server = look.shown(index);
                let found = format!("when the alert job runs cannot be written: {why}");
                let remedy = "Set `alert_every` in [log_shipping].";
                look.note(Code::ScheduleNotExpressible, Some(&server), None, found, remedy);
            }
        }
        return;
    }
    section.comment("No alert job was found; without `alert_every`, pcdr configure adds one for every 2 minutes.");
}

/// `[mirroring]`: the endpoint's name and the time-out of the sessions.
pub(super) fn mirroring(look: &mut Look<'_>, parts: &Parts, section: &mut Section) {
    let endpoints: Vec<(usize, String)> = parts
        .roles
        .keys()
        .filter_map(|index| {
            let endpoint = look.survey(*index)?.seen.mirroring_endpoint.known()?.as_ref()?;
            Some((*index, endpoint.name.clone()))
        })
        .collect();
    let of_primary = endpoints.iter().find(|(index, _)| *index == parts.primary);
    if let Some((index, name)) = of_primary.or(endpoints.first()) {
        let from = format!("sys.database_mirroring_endpoints of {}", look.shown(*index));
        section.key("endpoint_name", name.as_str(), &from);
        for (other, another) in endpoints.iter().filter(|(_, another)| another != name) {
            let server = look.shown(*other);
            let found = format!("its mirroring endpoint is called {another}, not {name}");
            let remedy = "Nothing to do: the name is used where an endpoint has to be created.";
            look.note(Code::EndpointNamesDiffer, Some(&server), None, found, remedy);
        }
    }
    let mut sessions =
        parts.databases.iter().filter_map(|name| look.partnership(parts.primary, name));
    if let Some(seconds) = sessions.find_map(|session| session.timeout_seconds) {
        section.key("timeout_seconds", seconds, "mirroring_connection_timeout");
    }
    for (index, _) in &endpoints {
        let security =
            look.survey(*index).and_then(|survey| survey.endpoint_security.known()?.as_ref());
        let Some(security) = security else { continue };
        if security.authentication.contains("CERTIFICATE") {
            let server = look.shown(*index);
            let found = format!(
                "its mirroring endpoint authenticates by {} and encrypts by {}",
                security.authentication, security.encryption
            );
            let remedy =
                "Nothing to do while it is there; which certificates it trusts is not in the file.";
            look.note(Code::CertificateEndpoint, Some(&server), None, found, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::parse_duration;

    #[test]
    fn every_interval_is_read_back_as_it_was_written() {
        for seconds in (0..=200_000).filter(|seconds| seconds % 7 == 0 || seconds % 60 == 0) {
            let text = interval(seconds);
            let read = parse_duration(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read.as_secs(), u64::from(seconds), "{text}");
        }
        assert_eq!(interval(5_400), "1h30m");
    }
}
