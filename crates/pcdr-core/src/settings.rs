//! The settings of log shipping: what was designed, and how it differs from what is there.
//!
//! Names are the procedures' parameters, spelled without `@`. Every setting is passed to the server;
//! none is left to a default, because documents and wizard disagree about defaults.

use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::{Job, LogShippingPrimary, LogShippingSecondary, MonitorAuthentication};
use crate::schedule::Schedule;
use crate::topology::{Role, Secondary, Topology};

/// Settings of a log shipping primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrimarySettings {
    /// `backup_directory`: the backup folder as the primary sees it.
    pub backup_directory: String,
    /// `backup_share`: the same folder as the secondaries see it.
    pub backup_share: String,
    /// `backup_job_name`; only for a new entry, an existing job keeps its name.
    pub backup_job_name: String,
    /// `backup_retention_period`, in minutes.
    pub backup_retention_minutes: i32,
    /// `backup_compression`.
    pub backup_compression: Compression,
    /// `backup_threshold`: minutes without a log backup before alert 14420.
    pub backup_threshold_minutes: i32,
    /// `threshold_alert_enabled`.
    pub raises_alert: bool,
    /// `history_retention_period`, in minutes.
    pub history_retention_minutes: i32,
    /// `monitor_server`; `None`: the primary watches itself.
    pub monitor: Option<Monitor>,
    /// `primary_connection_options`; SQL Server 2025 and later.
    pub connection_options: Option<String>,
    /// Name of the backup job's schedule; only for a new one.
    pub schedule_name: String,
    /// When the backup job runs.
    pub schedule: Schedule,
}

/// Settings of a log shipping secondary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondarySettings {
    /// `primary_server`: `@@SERVERNAME` of the primary, which stays when mirroring fails over.
    pub primary_server: String,
    /// `primary_database`.
    pub primary_database: DatabaseName,
    /// `backup_source_directory`: the backup share.
    pub backup_source_directory: String,
    /// `backup_destination_directory`: the copy destination.
    pub backup_destination_directory: String,
    /// `copy_job_name`; only for a new entry.
    pub copy_job_name: String,
    /// `restore_job_name`; only for a new entry.
    pub restore_job_name: String,
    /// `file_retention_period`, in minutes.
    pub file_retention_minutes: i32,
    /// `monitor_server`; `None`: the secondary watches itself.
    pub monitor: Option<Monitor>,
    /// `secondary_connection_options`; SQL Server 2025 and later.
    pub connection_options: Option<String>,
    /// `restore_delay`, in minutes.
    pub restore_delay_minutes: i32,
    /// `restore_mode`.
    pub restore_mode: RestoreMode,
    /// `disconnect_users`: end sessions before a restore; for [`RestoreMode::Standby`] only.
    pub disconnect_users: bool,
    /// `restore_threshold`: minutes without a restore before alert 14421.
    pub restore_threshold_minutes: i32,
    /// `threshold_alert_enabled`.
    pub raises_alert: bool,
    /// `history_retention_period`, in minutes.
    pub history_retention_minutes: i32,
    /// Name of the copy job's schedule; only for a new one.
    pub copy_schedule_name: String,
    /// When the copy job runs.
    pub copy_schedule: Schedule,
    /// Name of the restore job's schedule; only for a new one.
    pub restore_schedule_name: String,
    /// When the restore job runs.
    pub restore_schedule: Schedule,
}

impl PrimarySettings {
    /// What the topology designs for a database that is primary on any of its instances: the primary
    /// and its mirror have the same settings.
    pub fn of(topology: &Topology, database: &DatabaseName) -> PrimarySettings {
        let log_shipping = topology.log_shipping();
        let share = topology.backup_share().unc.clone();
        let local = log_shipping.backup_directory.clone();
        PrimarySettings {
            backup_directory: local.unwrap_or_else(|| share.clone()),
            backup_share: share,
            backup_job_name: sysname(&["LSBackup", database.as_str()]),
            backup_retention_minutes: log_shipping.backup_retention_minutes,
            backup_compression: log_shipping.backup_compression,
            backup_threshold_minutes: log_shipping.backup_threshold_minutes,
            raises_alert: log_shipping.raises_backup_alert,
            history_retention_minutes: log_shipping.history_retention_minutes,
            monitor: Monitor::of(topology),
            connection_options: log_shipping.primary_connection_options.clone(),
            schedule_name: sysname(&["LSBackupSchedule", database.as_str()]),
            schedule: log_shipping.backup_schedule,
        }
    }
}

impl SecondarySettings {
    /// What the topology designs for one secondary of a database.
    pub fn of(
        topology: &Topology,
        secondary: &Secondary,
        database: &DatabaseName,
    ) -> SecondarySettings {
        let log_shipping = topology.log_shipping();
        // The primary's name stays in the entry when mirroring fails over.
        let primary_server = topology.primary().server_name.clone();
        let name = |kind: &str| sysname(&[kind, &primary_server, database.as_str()]);
        let copy_share = topology.share(&secondary.copy_share);
        SecondarySettings {
            copy_job_name: name("LSCopy"),
            restore_job_name: name("LSRestore"),
            copy_schedule_name: name("LSCopySchedule"),
            restore_schedule_name: name("LSRestoreSchedule"),
            primary_database: database.clone(),
            backup_source_directory: topology.backup_share().unc.clone(),
            backup_destination_directory: copy_share
                .map_or_else(String::new, |share| share.unc.clone()),
            file_retention_minutes: secondary.file_retention_minutes,
            monitor: Monitor::of(topology),
            connection_options: log_shipping.secondary_connection_options.clone(),
            restore_delay_minutes: secondary.restore_delay_minutes,
            restore_mode: secondary.restore_mode,
            disconnect_users: secondary.disconnect_users,
            restore_threshold_minutes: secondary.restore_threshold_minutes,
            raises_alert: secondary.raises_restore_alert,
            history_retention_minutes: log_shipping.history_retention_minutes,
            copy_schedule: secondary.copy_schedule,
            restore_schedule: secondary.restore_schedule,
            primary_server,
        }
    }
}

impl PrimarySettings {
    /// The settings that an entry had, to change it back to. What is unknown, and what these settings
    /// cannot say of a job, stays as it is here.
    #[must_use]
    pub fn back_to(&self, found: &LogShippingPrimary) -> PrimarySettings {
        PrimarySettings {
            backup_directory: found.backup_directory.clone(),
            backup_share: found.backup_share.clone(),
            backup_retention_minutes: found.backup_retention_minutes,
            backup_compression: found.backup_compression.unwrap_or(self.backup_compression),
            backup_threshold_minutes: found
                .backup_threshold_minutes
                .unwrap_or(self.backup_threshold_minutes),
            raises_alert: found.raises_alert.unwrap_or(self.raises_alert),
            history_retention_minutes: found
                .history_retention_minutes
                .unwrap_or(self.history_retention_minutes),
            monitor: back(self.monitor.as_ref(), found.monitor_authentication.as_ref()),
            schedule: only_schedule(&found.backup_job).unwrap_or(self.schedule),
            ..self.clone()
        }
    }
}

impl SecondarySettings {
    /// Likewise for a secondary.
    #[must_use]
    pub fn back_to(&self, found: &LogShippingSecondary) -> SecondarySettings {
        SecondarySettings {
            backup_source_directory: found.backup_source_directory.clone(),
            backup_destination_directory: found.backup_destination_directory.clone(),
            file_retention_minutes: found
                .file_retention_minutes
                .unwrap_or(self.file_retention_minutes),
            restore_delay_minutes: found.restore_delay_minutes,
            restore_mode: found.restore_mode.unwrap_or(self.restore_mode),
            disconnect_users: found.disconnect_users.unwrap_or(self.disconnect_users),
            restore_threshold_minutes: found
                .restore_threshold_minutes
                .unwrap_or(self.restore_threshold_minutes),
            raises_alert: found.raises_alert.unwrap_or(self.raises_alert),
            history_retention_minutes: found
                .history_retention_minutes
                .unwrap_or(self.history_retention_minutes),
            monitor: back(self.monitor.as_ref(), found.monitor_authentication.as_ref()),
            copy_schedule: only_schedule(&found.copy_job).unwrap_or(self.copy_schedule),
            restore_schedule: only_schedule(&found.restore_job).unwrap_or(self.restore_schedule),
            ..self.clone()
        }
    }
}

/// The monitor as an entry reported to it before. A login that was there before stays away: nobody knows its
/// password any more.
fn back(monitor: Option<&Monitor>, found: Option<&MonitorAuthentication>) -> Option<Monitor> {
    let mut monitor = monitor?.clone();
    if found == Some(&MonitorAuthentication::Windows) {
        monitor.login = None;
    }
    Some(monitor)
}

/// The one enabled schedule of a job; `None` where there is none, more than one, or another kind.
pub(crate) fn only_schedule(job: &Known<Job>) -> Option<Schedule> {
    let enabled = job.known()?.schedules.iter().filter(|one| one.is_enabled);
    let mut schedules = enabled.map(|one| one.schedule);
    match (schedules.next(), schedules.next()) {
        (Some(only), None) => only,
        _ => None,
    }
}

impl Monitor {
    /// The topology's monitor, if it has one.
    pub fn of(topology: &Topology) -> Option<Monitor> {
        let monitor = topology.role(Role::Monitor)?;
        let log_shipping = topology.log_shipping();
        Some(Monitor {
            server: monitor.server_name.clone(),
            login: log_shipping.monitor_login.as_ref().map(|one| one.login.clone()),
            connection_options: log_shipping.monitor_connection_options.clone(),
        })
    }

    /// How an entry with these settings logs in.
    pub fn authentication(&self) -> MonitorAuthentication {
        match &self.login {
            Some(login) => MonitorAuthentication::SqlServer { login: Some(login.clone()) },
            None => MonitorAuthentication::Windows,
        }
    }
}

/// Joins the parts of an Agent job's or schedule's name, at most 128 UTF-16 units (`sysname`).
fn sysname(parts: &[&str]) -> String {
    let name = parts.join("_");
    if name.encode_utf16().count() <= 128 {
        return name;
    }
    // Two long names must not collide: keep the beginning and tell the rest apart.
    let mut units = 0;
    let head: String = name
        .chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= 111
        })
        .collect();
    let hash = blake3::hash(name.as_bytes()).to_hex();
    format!("{head}_{}", &hash[..16])
}

/// The instance that watches both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// `@@SERVERNAME` of the monitor.
    pub server: String,
    /// `monitor_server_login`, with which `monitor_server_security_mode` is 0; `None`: it is 1, Windows
    /// authentication. Its password is in no settings: whoever carries them out reads it.
    #[serde(default)]
    pub login: Option<String>,
    /// `monitor_connection_options`; SQL Server 2025 and later.
    pub connection_options: Option<String>,
}

/// Compression of log backups, by `backup_compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// 0.
    Off,
    /// 1.
    On,
    /// 2: what the instance's `backup compression default` says.
    #[default]
    Instance,
}

impl Compression {
    /// `backup_compression`.
    pub fn as_number(self) -> i32 {
        match self {
            Compression::Off => 0,
            Compression::On => 1,
            Compression::Instance => 2,
        }
    }

    /// From `backup_compression`; `None` for a number that means nothing.
    pub fn from_number(number: i32) -> Option<Compression> {
        let all = [Compression::Off, Compression::On, Compression::Instance];
        all.into_iter().find(|compression| compression.as_number() == number)
    }

    /// As a topology spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Compression::Off => "off",
            Compression::On => "on",
            Compression::Instance => "instance",
        }
    }
}

/// What a restored copy can do between two restores, by `restore_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreMode {
    /// 0: nothing; it stays RESTORING.
    #[default]
    NoRecovery,
    /// 1: be read.
    Standby,
}

impl RestoreMode {
    /// `restore_mode`.
    pub fn as_number(self) -> i32 {
        match self {
            RestoreMode::NoRecovery => 0,
            RestoreMode::Standby => 1,
        }
    }

    /// As a topology spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            RestoreMode::NoRecovery => "norecovery",
            RestoreMode::Standby => "standby",
        }
    }
}

/// One setting that is not as designed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Its name.
    pub setting: String,
    /// What was designed.
    pub wanted: String,
    /// What is there.
    pub found: String,
    /// What has to be changed.
    pub of: Part,
}

/// The part of log shipping that a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The entry: changed by the `sp_change_…` procedures.
    Entry,
    /// A job or its schedule: changed by the Agent's procedures.
    Job,
    /// The monitor, which is chosen when log shipping is set up and cannot be changed.
    Monitor,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.setting, self.found, self.wanted)
    }
}

/// How a primary's entry differs from its design, in the order of the procedure's parameters.
pub fn primary_differences(
    wanted: &PrimarySettings,
    found: &LogShippingPrimary,
) -> Vec<Difference> {
    let mut all = Differences::default();
    all.folder("backup_directory", &wanted.backup_directory, &found.backup_directory);
    all.folder("backup_share", &wanted.backup_share, &found.backup_share);
    let retention = Some(found.backup_retention_minutes);
    all.number("backup_retention_period", wanted.backup_retention_minutes, retention);
    let compression = found.backup_compression.map_or("unknown", Compression::as_str);
    all.text("backup_compression", wanted.backup_compression.as_str(), compression);
    let threshold = found.backup_threshold_minutes;
    all.number("backup_threshold", wanted.backup_threshold_minutes, threshold);
    all.flag("threshold_alert_enabled", wanted.raises_alert, found.raises_alert);
    let history = found.history_retention_minutes;
    all.number("history_retention_period", wanted.history_retention_minutes, history);
    let authentication = found.monitor_authentication.as_ref();
    all.monitor(wanted.monitor.as_ref(), found.monitor_server.as_deref(), authentication);
    all.schedule("backup schedule", &wanted.schedule, &found.backup_job);
    all.0
}

/// How a secondary's entry differs from its design, in the order of the procedures' parameters.
pub fn secondary_differences(
    wanted: &SecondarySettings,
    found: &LogShippingSecondary,
) -> Vec<Difference> {
    let mut all = Differences::default();
    let source = &found.backup_source_directory;
    all.folder("backup_source_directory", &wanted.backup_source_directory, source);
    let destination = &found.backup_destination_directory;
    all.folder("backup_destination_directory", &wanted.backup_destination_directory, destination);
    let retention = found.file_retention_minutes;
    all.number("file_retention_period", wanted.file_retention_minutes, retention);
    let authentication = found.monitor_authentication.as_ref();
    all.monitor(wanted.monitor.as_ref(), found.monitor_server.as_deref(), authentication);
    let delay = Some(found.restore_delay_minutes);
    all.number("restore_delay", wanted.restore_delay_minutes, delay);
    // One file a run would leave the rest behind, so pcdr always wants all of them.
    all.flag("restore_all", true, found.restores_all);
    let mode = found.restore_mode.map_or("unknown", RestoreMode::as_str);
    all.text("restore_mode", wanted.restore_mode.as_str(), mode);
    all.flag("disconnect_users", wanted.disconnect_users, found.disconnect_users);
    let threshold = found.restore_threshold_minutes;
    all.number("restore_threshold", wanted.restore_threshold_minutes, threshold);
    all.flag("threshold_alert_enabled", wanted.raises_alert, found.raises_alert);
    let history = found.history_retention_minutes;
    all.number("history_retention_period", wanted.history_retention_minutes, history);
    all.schedule("copy schedule", &wanted.copy_schedule, &found.copy_job);
    all.schedule("restore schedule", &wanted.restore_schedule, &found.restore_job);
    all.0
}

/// How an alert job differs from its design.
pub fn alert_job_differences(wanted: &Schedule, found: &Job) -> Vec<Difference> {
    let mut all = Differences::default();
    all.schedule("alert schedule", wanted, &Known::Known(found.clone()));
    all.0
}

/// Folders and names on Windows are the same in any case, with or without a closing separator.
pub fn is_same_folder(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches(['\\', '/']).to_lowercase();
    plain(a) == plain(b)
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn note(&mut self, setting: &str, wanted: impl ToString, found: impl ToString) {
        self.0.push(Difference {
            setting: setting.to_owned(),
            wanted: wanted.to_string(),
            found: found.to_string(),
            of: Part::Entry,
        });
    }

    fn text(&mut self, setting: &str, wanted: &str, found: &str) {
        if wanted != found {
            self.note(setting, wanted, found);
        }
    }

    fn folder(&mut self, setting: &str, wanted: &str, found: &str) {
        if !is_same_folder(wanted, found) {
            self.note(setting, wanted, found);
        }
    }

    fn number(&mut self, setting: &str, wanted: i32, found: Option<i32>) {
        if found != Some(wanted) {
            self.note(setting, wanted, shown(found));
        }
    }

    fn flag(&mut self, setting: &str, wanted: bool, found: Option<bool>) {
        if found != Some(wanted) {
            self.note(setting, i32::from(wanted), shown(found.map(i32::from)));
        }
    }

    fn monitor(
        &mut self,
        wanted: Option<&Monitor>,
        found: Option<&str>,
        authentication: Option<&MonitorAuthentication>,
    ) {
        let server = wanted.map(|monitor| monitor.server.as_str());
        let is_same = match (server, found) {
            (Some(wanted), Some(found)) => wanted.eq_ignore_ascii_case(found),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.note("monitor_server", server.unwrap_or("none"), found.unwrap_or("none"));
            if let Some(difference) = self.0.last_mut() {
                difference.of = Part::Monitor;
            }
            return; // how to log in to another one is another question
        }
        let Some(login) = wanted.map(|monitor| monitor.login.as_deref()) else { return };
        let mode = |sql_server: bool| if sql_server { "0" } else { "1" };
        let is_sql_server = match authentication {
            Some(MonitorAuthentication::Windows) => false,
            Some(MonitorAuthentication::SqlServer { .. }) => true,
            None => return, // differs in nothing that is known
        };
        if is_sql_server != login.is_some() {
            let (wanted, found) = (mode(login.is_some()), mode(is_sql_server));
            self.note("monitor_server_security_mode", wanted, found);
        }
        if let (Some(wanted), Some(MonitorAuthentication::SqlServer { login: Some(found) })) =
            (login, authentication)
            && !wanted.eq_ignore_ascii_case(found)
        {
            self.note("monitor_server_login", wanted, found);
        }
    }

    /// A job that cannot be observed differs in nothing that is known.
    fn schedule(&mut self, setting: &str, wanted: &Schedule, job: &Known<Job>) {
        let Known::Known(job) = job else { return };
        if !job.is_enabled {
            self.note(&setting.replace("schedule", "job"), "enabled", "disabled");
            self.of_job();
        }
        let enabled: Vec<_> = job.schedules.iter().filter(|one| one.is_enabled).collect();
        let is_same = matches!(enabled.as_slice(), [one] if one.schedule.as_ref() == Some(wanted));
        if !is_same {
            let texts: Vec<String> = enabled.iter().map(|one| one.to_string()).collect();
            let found = if texts.is_empty() { "none".to_owned() } else { texts.join(" and ") };
            self.note(setting, wanted, found);
            self.of_job();
        }
    }

    /// The newest difference is one of a job.
    fn of_job(&mut self) {
        if let Some(difference) = self.0.last_mut() {
            difference.of = Part::Job;
        }
    }
}

fn shown(found: Option<i32>) -> String {
    found.map_or_else(|| "unknown".to_owned(), |found| found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_compared_as_windows_does() {
        assert!(is_same_folder(r"\\SRV\Log\", r"\\srv\log"));
        assert!(!is_same_folder(r"\\srv\log", r"\\srv\logs"));
    }

    #[test]
    fn a_disabled_job_and_a_missing_schedule_are_two_differences() {
        let job = Job {
            id: crate::lsn::Guid(1),
            name: "LSBackup_mgc".to_owned(),
            is_enabled: false,
            is_running: false,
            last_run_status: None,
            last_run_at: None,
            last_run_message: None,
            last_failure: None,
            schedules: Vec::new(),
        };
        let mut all = Differences::default();
        all.schedule("backup schedule", &Schedule::all_day(900), &Known::Known(job));
        let texts: Vec<String> = all.0.iter().map(Difference::to_string).collect();
        assert_eq!(texts, ["backup job disabled → enabled", "backup schedule none → every 15 min"]);
    }

    #[test]
    fn another_monitor_cannot_be_set_in_place() {
        let mut all = Differences::default();
        let wanted = monitor(None);
        all.monitor(Some(&wanted), Some("sql-m"), None);
        assert!(all.0.is_empty());
        all.monitor(Some(&wanted), None, None);
        assert_eq!(all.0[0].of, Part::Monitor);
    }

    fn monitor(login: Option<&str>) -> Monitor {
        Monitor {
            server: "SQL-M".to_owned(),
            login: login.map(str::to_owned),
            connection_options: None,
        }
    }

    #[test]
    fn how_the_monitor_is_logged_in_to_can_be_set_in_place_and_unknown_is_no_difference() {
        let sql = |login: Option<&str>| MonitorAuthentication::SqlServer {
            login: login.map(str::to_owned),
        };
        let differences = |wanted: Option<&str>, found: Option<&MonitorAuthentication>| {
            let mut all = Differences::default();
            all.monitor(Some(&monitor(wanted)), Some("SQL-M"), found);
            assert!(all.0.iter().all(|difference| difference.of == Part::Entry));
            let texts: Vec<String> = all.0.iter().map(Difference::to_string).collect();
            texts.join("; ")
        };
        let windows = MonitorAuthentication::Windows;
        assert_eq!(differences(None, Some(&windows)), "");
        assert_eq!(differences(Some("ship"), Some(&sql(Some("SHIP")))), "");
        assert_eq!(differences(Some("ship"), Some(&sql(None))), "");
        assert_eq!(differences(Some("ship"), None), "");
        assert_eq!(differences(Some("ship"), Some(&windows)), "monitor_server_security_mode 1 → 0");
        assert_eq!(
            differences(None, Some(&sql(Some("ship")))),
            "monitor_server_security_mode 0 → 1"
        );
        assert_eq!(
            differences(Some("ship"), Some(&sql(Some("other")))),
            "monitor_server_login other → ship"
        );
    }

    #[test]
    fn what_a_monitor_is_changed_back_to_is_windows_or_stays() {
        let designed = monitor(Some("ship"));
        let windows = MonitorAuthentication::Windows;
        assert_eq!(back(Some(&designed), Some(&windows)), Some(monitor(None)));
        let other = MonitorAuthentication::SqlServer { login: Some("other".to_owned()) };
        assert_eq!(back(Some(&designed), Some(&other)), Some(designed));
    }
}
