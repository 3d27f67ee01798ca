//! What was seen, by whom, and when. Every fact is known, or unknown for a reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backup::BackupFile;
use crate::drill::DrillObservation;
use crate::known::Known;
use crate::lsn::{Guid, Lsn};
use crate::name::{DatabaseName, InstanceName, ServerName};
use crate::schedule::Schedule;
use crate::settings::{Compression, RestoreMode};
use crate::time::Timestamp;

/// Everything that was seen of a topology at one time. Plain data: it can be written to JSON, sent to
/// a colleague and planned from again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// When the observation began, by the observer's clock.
    pub taken_at: Timestamp,
    /// Who looked: host and user, or the name of the tool.
    pub observer: String,
    /// Every instance of the topology.
    pub instances: BTreeMap<InstanceName, Known<InstanceObservation>>,
    /// Log backups found in the backup share and in the copy destination, by database.
    pub log_backups: BTreeMap<DatabaseName, LogBackupFiles>,
    /// The Persistent Chat pool; `None` when the topology has none.
    pub pool: Option<Known<PoolObservation>>,
    /// What was seen for a drill; `None` in an observation for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillObservation>,
}

/// The log backup files of one database, where they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogBackupFiles {
    /// In the backup share.
    pub share: Known<Vec<BackupFile>>,
    /// In the copy destination folder of the secondary.
    pub copied: Known<Vec<BackupFile>>,
}

/// What one instance said of itself, in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceObservation {
    /// When it answered, by its own clock.
    pub observed_at: Timestamp,
    /// Minutes that its local time is ahead of UTC.
    pub utc_offset_minutes: i16,
    /// `@@SERVERNAME`; log shipping records use it. `None` when it is NULL (error 32053).
    pub server_name: Option<String>,
    /// `SERVERPROPERTY('ProductVersion')`, for example `15.0.4153.1`.
    pub version: String,
    /// `SERVERPROPERTY('Edition')`.
    pub edition: String,
    /// Whether the SQL Server Agent service runs.
    pub agent_running: Known<bool>,
    /// The topology's databases that exist here. A name that is missing does not exist.
    pub databases: Known<BTreeMap<DatabaseName, DatabaseObservation>>,
    /// Log shipping entries of databases that are primary here.
    pub log_shipping_primary: Known<BTreeMap<DatabaseName, LogShippingPrimary>>,
    /// Log shipping entries of databases that are secondary here, by secondary database.
    pub log_shipping_secondary: Known<BTreeMap<DatabaseName, LogShippingSecondary>>,
    /// The job that raises alerts 14420 and 14421 here; `None` when there is none.
    ///
    /// Source: `msdb.dbo.log_shipping_monitor_alert`.
    pub alert_job: Known<Option<Job>>,
    /// Primaries of these databases that are registered here without any secondary database: what a
    /// configuration leaves that stopped half way.
    pub log_shipping_unfinished: Known<Vec<RegisteredPrimary>>,
    /// Everything whose log shipping is watched here, of any topology: the alert job stays as long as
    /// there is something.
    pub log_shipping_monitored: Known<Vec<Monitored>>,
    /// The database mirroring endpoint; `None` when there is none.
    pub mirroring_endpoint: Known<Option<MirroringEndpoint>>,
}

/// One database on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseObservation {
    /// `sys.databases.state`.
    pub state: DatabaseState,
    /// `sys.databases.is_in_standby`: readable between restores.
    pub is_in_standby: bool,
    /// `sys.databases.is_read_only`.
    pub is_read_only: bool,
    /// `sys.databases.user_access`.
    pub user_access: UserAccess,
    /// `sys.databases.recovery_model`.
    pub recovery_model: RecoveryModel,
    /// Where its log stands.
    pub log_position: Known<LogPosition>,
    /// Its mirroring session; `None` when it is not mirrored.
    pub mirroring: Known<Option<Mirroring>>,
    /// User sessions whose current database it is, pcdr's own excepted.
    pub sessions: Known<Vec<Session>>,
    /// When each chat server last pinged this copy, taking the stored time for the server's local one;
    /// only read while the copy is ONLINE.
    ///
    /// Source: `tblServerIdentity.serverLastPingTime` of the published Persistent Chat schema.
    pub server_pings: Known<BTreeMap<ServerName, Timestamp>>,
    /// Bytes of log since the last log backup: what no backup holds. Only told while the copy is ONLINE,
    /// by SQL Server 2014 and later.
    ///
    /// Source: `sys.dm_db_log_space_usage.log_space_in_bytes_since_last_backup`.
    pub log_since_backup_bytes: Known<u64>,
    /// The newest log backups that this instance took of it, oldest first; at most [`ON_RECORD`].
    pub log_backups_taken: Known<Vec<TakenLogBackup>>,
    /// The newest log backups that were restored into it, oldest first; at most [`ON_RECORD`].
    pub log_backups_restored: Known<Vec<RestoredLogBackup>>,
}

/// How many of the newest log backups and restores of a database are read from the history in `msdb`.
pub const ON_RECORD: usize = 20;

/// A log backup that an instance took, by its own history.
///
/// Source: `msdb.dbo.backupset` and `backupmediafamily`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenLogBackup {
    /// `first_lsn`, inclusive.
    pub first_lsn: Lsn,
    /// `last_lsn`, exclusive: where the next log backup begins.
    pub last_lsn: Lsn,
    /// `first_recovery_fork_guid`: the fork on which it begins.
    pub first_fork: Guid,
    /// `backup_start_date`: everything committed before is in it, or in an earlier one.
    pub started_at: Timestamp,
    /// `backup_finish_date`.
    pub finished_at: Timestamp,
    /// `compressed_backup_size`, which is `backup_size` where it is not compressed.
    pub size_bytes: u64,
    /// `physical_device_name` of its first file; `None` when it is not on record.
    pub path: Option<String>,
}

/// A log backup that was restored, by the history of the instance that restored it.
///
/// Source: `msdb.dbo.restorehistory` and `backupset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoredLogBackup {
    /// `restore_date`: when it was restored.
    pub restored_at: Timestamp,
    /// `backup_finish_date`: when it was taken.
    pub finished_at: Timestamp,
    /// `last_lsn`, exclusive.
    pub last_lsn: Lsn,
}

/// `sys.databases.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the documented states by their names")]
pub enum DatabaseState {
    Online,
    Restoring,
    Recovering,
    RecoveryPending,
    Suspect,
    Emergency,
    Offline,
}

impl DatabaseState {
    /// `sys.databases.state_desc`.
    pub fn as_str(self) -> &'static str {
        match self {
            DatabaseState::Online => "ONLINE",
            DatabaseState::Restoring => "RESTORING",
            DatabaseState::Recovering => "RECOVERING",
            DatabaseState::RecoveryPending => "RECOVERY_PENDING",
            DatabaseState::Suspect => "SUSPECT",
            DatabaseState::Emergency => "EMERGENCY",
            DatabaseState::Offline => "OFFLINE",
        }
    }
}

impl std::fmt::Display for DatabaseState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// `sys.databases.user_access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the documented values by their names")]
pub enum UserAccess {
    MultiUser,
    SingleUser,
    RestrictedUser,
}

/// `sys.databases.recovery_model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the documented values by their names")]
pub enum RecoveryModel {
    Full,
    BulkLogged,
    Simple,
}

impl std::fmt::Display for RecoveryModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RecoveryModel::Full => "FULL",
            RecoveryModel::BulkLogged => "BULK_LOGGED",
            RecoveryModel::Simple => "SIMPLE",
        })
    }
}

/// Where a copy's log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// `sys.database_recovery_status.family_guid`: the same for every copy of one database.
    pub family: Guid,
    /// The fork on which the copy stands: `redo_start_fork_guid` while RESTORING, else
    /// `recovery_fork_guid`.
    pub fork: Guid,
    /// `sys.master_files.redo_start_lsn`: the log that a RESTORING copy needs next. `None` when it is
    /// not restoring.
    pub redo_start_lsn: Option<Lsn>,
    /// `sys.database_recovery_status.last_log_backup_lsn`: where the next log backup starts. `None`
    /// when the copy is not online or has never been backed up.
    pub last_log_backup_lsn: Option<Lsn>,
    /// `last_lsn` of the newest log backup restored into this copy, by `msdb.dbo.restorehistory`;
    /// `None` when none is on record.
    pub last_restored_lsn: Option<Lsn>,
}

/// A database mirroring session, as its partner sees it.
///
/// Source: `sys.database_mirroring`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirroring {
    /// `mirroring_role`.
    pub role: MirroringRole,
    /// `mirroring_state`; states 4 and 6 both count as synchronized.
    pub state: MirroringState,
    /// `mirroring_partner_name`: a server network address.
    pub partner_address: String,
    /// `mirroring_witness_name`; `None` when there is no witness.
    pub witness_address: Option<String>,
    /// `mirroring_witness_state` is CONNECTED; `None` without a witness, or while its state is UNKNOWN.
    pub is_witness_connected: Option<bool>,
    /// `mirroring_safety_level` is FULL.
    pub is_safety_full: bool,
    /// `mirroring_end_of_log_lsn`: where the log that this partner has on disk ends; `None` when it is
    /// not told.
    pub end_of_log_lsn: Option<Lsn>,
}

/// `sys.database_mirroring.mirroring_role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the documented values by their names")]
pub enum MirroringRole {
    Principal,
    Mirror,
}

/// `sys.database_mirroring.mirroring_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the documented values by their names")]
pub enum MirroringState {
    Suspended,
    Disconnected,
    Synchronizing,
    PendingFailover,
    Synchronized,
    /// State 5: partners not synchronized.
    Unsynchronized,
}

impl MirroringState {
    /// `sys.database_mirroring.mirroring_state_desc`.
    pub fn as_str(self) -> &'static str {
        match self {
            MirroringState::Suspended => "SUSPENDED",
            MirroringState::Disconnected => "DISCONNECTED",
            MirroringState::Synchronizing => "SYNCHRONIZING",
            MirroringState::PendingFailover => "PENDING_FAILOVER",
            MirroringState::Synchronized => "SYNCHRONIZED",
            MirroringState::Unsynchronized => "UNSYNCHRONIZED",
        }
    }
}

impl std::fmt::Display for MirroringState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A user session in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `session_id`; ids are reused, so a session is named by id *and* login time.
    pub session_id: i32,
    /// `login_time`, as the server prints it: local, without zone.
    pub login_time: String,
    /// `login_name`.
    pub login_name: String,
    /// `program_name`.
    pub program_name: String,
}

/// A database's entry as log shipping primary.
///
/// Source: `msdb.dbo.log_shipping_primary_databases` and its job and schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogShippingPrimary {
    /// `backup_directory`.
    pub backup_directory: String,
    /// `backup_share`.
    pub backup_share: String,
    /// `backup_retention_period`, in minutes.
    pub backup_retention_minutes: i32,
    /// `backup_compression`; `None` for a number that no document explains.
    pub backup_compression: Option<Compression>,
    /// `last_backup_file`.
    pub last_backup_file: Option<String>,
    /// `last_backup_date_utc` of `log_shipping_monitor_primary`.
    pub last_backup_at: Option<Timestamp>,
    /// `backup_threshold` of `log_shipping_monitor_primary`, in minutes; `None` when the row is
    /// missing, as for the two after it.
    pub backup_threshold_minutes: Option<i32>,
    /// `threshold_alert_enabled`.
    pub raises_alert: Option<bool>,
    /// `history_retention_period`, in minutes.
    pub history_retention_minutes: Option<i32>,
    /// `monitor_server`; `None` when the primary watches itself.
    pub monitor_server: Option<String>,
    /// How the primary logs in to that monitor; `None` when it watches itself, or nothing tells.
    pub monitor_authentication: Option<MonitorAuthentication>,
    /// The backup job.
    pub backup_job: Known<Job>,
    /// Registered secondaries: server and database as spelled in the entry.
    pub secondaries: Vec<(String, String)>,
}

impl LogShippingPrimary {
    /// Whether the backup job may take a log backup: it is enabled, runs, or nobody knows.
    pub fn backup_job_may_run(&self) -> bool {
        self.backup_job.known().is_none_or(|job| job.is_enabled || job.is_running)
    }
}

/// A database's entry as log shipping secondary.
///
/// Source: `msdb.dbo.log_shipping_secondary` and `log_shipping_secondary_databases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogShippingSecondary {
    /// `primary_server`, as spelled in the entry.
    pub primary_server: String,
    /// `primary_database`.
    pub primary_database: DatabaseName,
    /// `backup_source_directory`.
    pub backup_source_directory: String,
    /// `backup_destination_directory`.
    pub backup_destination_directory: String,
    /// `file_retention_period`, in minutes.
    pub file_retention_minutes: Option<i32>,
    /// `monitor_server`; `None` when the secondary watches itself.
    pub monitor_server: Option<String>,
    /// How the secondary logs in to that monitor; `None` when it watches itself, or nothing tells.
    pub monitor_authentication: Option<MonitorAuthentication>,
    /// `last_copied_file`.
    pub last_copied_file: Option<String>,
    /// `last_copied_date_utc` of `log_shipping_monitor_secondary`.
    pub last_copied_at: Option<Timestamp>,
    /// `last_restored_file`.
    pub last_restored_file: Option<String>,
    /// `last_restored_date_utc` of `log_shipping_monitor_secondary`.
    pub last_restored_at: Option<Timestamp>,
    /// `last_restored_latency` of `log_shipping_monitor_secondary`: minutes from the creation of the last
    /// restored log backup to its restore; `None` before the first one.
    pub last_restored_latency_minutes: Option<i32>,
    /// `restore_threshold` of `log_shipping_monitor_secondary`, in minutes; `None` when the row is
    /// missing, as for the two after it.
    pub restore_threshold_minutes: Option<i32>,
    /// `threshold_alert_enabled`.
    pub raises_alert: Option<bool>,
    /// `history_retention_period`, in minutes.
    pub history_retention_minutes: Option<i32>,
    /// `restore_delay`, in minutes.
    pub restore_delay_minutes: i32,
    /// `restore_all`: whether a run restores every file that it can.
    pub restores_all: Option<bool>,
    /// `restore_mode`; `None` for a number that no document explains.
    pub restore_mode: Option<RestoreMode>,
    /// `disconnect_users`.
    pub disconnect_users: Option<bool>,
    /// The copy job.
    pub copy_job: Known<Job>,
    /// The restore job.
    pub restore_job: Known<Job>,
}

/// How a side of log shipping logs in to its monitor.
///
/// Source: `monitor_server_security_mode`; for the login, `sys.linked_logins` of the linked server that the
/// procedures make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitorAuthentication {
    /// 1: Windows authentication.
    Windows,
    /// 0: SQL Server authentication.
    SqlServer {
        /// The login; `None` when no linked server tells it.
        login: Option<String>,
    },
}

/// A primary that is registered on a secondary instance.
///
/// Source: `msdb.dbo.log_shipping_secondary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredPrimary {
    /// `primary_server`, as spelled in the entry.
    pub primary_server: String,
    /// `primary_database`.
    pub primary_database: DatabaseName,
}

/// A database whose log shipping an instance watches.
///
/// Source: `msdb.dbo.log_shipping_monitor_primary` and `log_shipping_monitor_secondary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitored {
    /// Which table the row is in.
    pub side: MonitoredSide,
    /// `primary_server` or `secondary_server`.
    pub server: String,
    /// `primary_database` or `secondary_database`.
    pub database: String,
    /// `backup_threshold` or `restore_threshold`, in minutes.
    pub threshold_minutes: i32,
    /// `threshold_alert_enabled`.
    pub raises_alert: bool,
    /// `last_backup_date_utc` or `last_restored_date_utc`.
    pub last_at: Option<Timestamp>,
    /// `last_restored_latency`, in minutes; of secondaries, after the first restore.
    pub latency_minutes: Option<i32>,
}

/// What is watched of a database: its backups or its restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitoredSide {
    /// `log_shipping_monitor_primary`.
    Primary,
    /// `log_shipping_monitor_secondary`.
    Secondary,
}

/// A SQL Server Agent job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// `sysjobs.job_id`.
    pub id: Guid,
    /// `sysjobs.name`.
    pub name: String,
    /// `sysjobs.enabled`.
    pub is_enabled: bool,
    /// Whether a run has started and not stopped, in the current Agent session.
    pub is_running: bool,
    /// `run_status` of its newest outcome: 0 failed, 1 succeeded, 2 retry, 3 cancelled, 4 in progress.
    pub last_run_status: Option<i32>,
    /// When that run began; `None` when it never ran.
    pub last_run_at: Option<Timestamp>,
    /// What that outcome says; `None` when it never ran.
    pub last_run_message: Option<String>,
    /// The newest step that failed, as far as the history goes back; `None` when none did.
    pub last_failure: Option<JobFailure>,
    /// Its schedules, in the order of their ids.
    pub schedules: Vec<JobSchedule>,
}

/// A step of a job that failed.
///
/// Source: `msdb.dbo.sysjobhistory`, rows of steps with `run_status` 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFailure {
    /// When the step began; `None` when the history holds no date.
    pub at: Option<Timestamp>,
    /// What it said.
    pub message: String,
}

/// A schedule of a job.
///
/// Source: `msdb.dbo.sysschedules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSchedule {
    /// `schedule_id`; names are not unique.
    pub id: i32,
    /// `name`.
    pub name: String,
    /// `enabled`.
    pub is_enabled: bool,
    /// When; `None` for a kind of schedule that log shipping does not need, for example a monthly one.
    pub schedule: Option<Schedule>,
}

impl std::fmt::Display for JobSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schedule {
            Some(schedule) => schedule.fmt(f),
            None => write!(f, "another kind of schedule ({})", self.name),
        }
    }
}

/// The database mirroring endpoint of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirroringEndpoint {
    /// Name.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// Whether its state is STARTED; no other state can be used.
    pub is_started: bool,
    /// Whether its role lets the instance be a partner (PARTNER or ALL).
    pub allows_partner: bool,
    /// Whether its role lets the instance be a witness (WITNESS or ALL).
    pub allows_witness: bool,
}

/// What the Management Shell said of the Persistent Chat pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolObservation {
    /// `Get-CsPersistentChatState`.
    pub state: Known<PoolState>,
    /// Whether each chat server's replica of the configuration is up to date
    /// (`Get-CsManagementStoreReplicationStatus`, `UpToDate`).
    pub replicas_up_to_date: Known<BTreeMap<ServerName, bool>>,
    /// Whether the Central Management store has a master that answers.
    pub is_configuration_writable: Known<bool>,
}

/// The state of a Persistent Chat pool: which databases it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "documented on the variants' line")]
pub enum PoolState {
    /// The pool uses its primary databases.
    Normal,
    /// The pool uses the backup databases that the topology defines.
    FailedOver,
}

impl Observation {
    /// What an instance said, or why it did not.
    pub fn instance(&self, name: &InstanceName) -> Known<&InstanceObservation> {
        match self.instances.get(name) {
            Some(known) => known.as_ref(),
            None => Known::unknown("not_observed", format!("{name} was not observed")),
        }
    }

    /// A database on an instance: `Known(None)` when it is known not to exist there.
    pub fn database(
        &self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Known<Option<&DatabaseObservation>> {
        match self.instance(instance) {
            Known::Known(seen) => seen.databases.as_ref().map(|all| all.get(database)),
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }
}

impl Observation {
    /// The same observation of one database, and of the pool if it is the pool's.
    pub(crate) fn only(&self, topology: &crate::Topology, database: &DatabaseName) -> Observation {
        fn one<T: Clone>(
            all: &Known<BTreeMap<DatabaseName, T>>,
            database: &DatabaseName,
        ) -> Known<BTreeMap<DatabaseName, T>> {
            let found = |all: &BTreeMap<DatabaseName, T>| all.get(database).cloned();
            all.as_ref()
                .map(|all| found(all).map(|it| (database.clone(), it)).into_iter().collect())
        }
        let instances = self.instances.iter().map(|(name, seen)| {
            let seen = seen.as_ref().map(|seen| InstanceObservation {
                observed_at: seen.observed_at,
                utc_offset_minutes: seen.utc_offset_minutes,
                server_name: seen.server_name.clone(),
                version: seen.version.clone(),
                edition: seen.edition.clone(),
                agent_running: seen.agent_running.clone(),
                databases: one(&seen.databases, database),
                log_shipping_primary: one(&seen.log_shipping_primary, database),
                log_shipping_secondary: one(&seen.log_shipping_secondary, database),
                alert_job: seen.alert_job.clone(),
                log_shipping_unfinished: seen.log_shipping_unfinished.clone(),
                log_shipping_monitored: Known::Known(Vec::new()),
                mirroring_endpoint: seen.mirroring_endpoint.clone(),
            });
            (name.clone(), seen)
        });
        let is_pools = topology.pool().is_some_and(|pool| pool.database == *database);
        let files = self.log_backups.get(database).cloned();
        Observation {
            taken_at: self.taken_at,
            observer: self.observer.clone(),
            instances: instances.collect(),
            log_backups: files.map(|files| (database.clone(), files)).into_iter().collect(),
            pool: self.pool.clone().filter(|_| is_pools),
            drill: None,
        }
    }

    /// Takes over what an instance said of itself and of these databases, and keeps what is known of the
    /// others.
    pub(crate) fn take_over(
        &mut self,
        instance: InstanceName,
        seen: Known<InstanceObservation>,
        databases: &[DatabaseName],
    ) {
        match (self.instances.get_mut(&instance), seen) {
            (Some(Known::Known(before)), Known::Known(seen)) => before.take_over(seen, databases),
            (_, seen) => {
                self.instances.insert(instance, seen);
            }
        }
    }
}

impl InstanceObservation {
    fn take_over(&mut self, seen: InstanceObservation, databases: &[DatabaseName]) {
        let before = std::mem::replace(self, seen);
        keep_others(&mut self.databases, before.databases, databases);
        keep_others(&mut self.log_shipping_primary, before.log_shipping_primary, databases);
        keep_others(&mut self.log_shipping_secondary, before.log_shipping_secondary, databases);
        if let (Known::Known(now), Known::Known(before)) =
            (&mut self.log_shipping_unfinished, before.log_shipping_unfinished)
        {
            let others =
                before.into_iter().filter(|one| !databases.contains(&one.primary_database));
            now.extend(others);
        }
    }
}

/// Adds what was known of other databases. What was not known stays so: a name that is missing from a map
/// says that there is no such database.
fn keep_others<T>(
    now: &mut Known<BTreeMap<DatabaseName, T>>,
    before: Known<BTreeMap<DatabaseName, T>>,
    databases: &[DatabaseName],
) {
    match (&mut *now, before) {
        (Known::Known(now), Known::Known(before)) => {
            now.extend(before.into_iter().filter(|(name, _)| !databases.contains(name)));
        }
        (Known::Unknown(_), _) => {}
        (Known::Known(_), Known::Unknown(reason)) => *now = Known::Unknown(reason),
    }
}

impl DatabaseObservation {
    /// Whether this copy takes writes: ONLINE, not standby, not read-only.
    pub fn is_writable(&self) -> bool {
        self.state == DatabaseState::Online && !self.is_in_standby && !self.is_read_only
    }

    /// Whether this copy waits for more log: RESTORING, or ONLINE in standby.
    pub fn is_waiting_for_log(&self) -> bool {
        self.state == DatabaseState::Restoring
            || (self.state == DatabaseState::Online && self.is_in_standby)
    }

    /// The mirroring role, when mirrored and known.
    pub fn mirroring_role(&self) -> Option<MirroringRole> {
        self.mirroring.known().and_then(Option::as_ref).map(|mirroring| mirroring.role)
    }
}
