//! The state of the world: plain data, changed only under the world's mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agent::Agent;
use super::log::{Log, RecoveryPath};
use super::lsn::Lsn;
use super::mirroring_state::{EndpointState, Mirroring, WitnessSession};
use super::msdb::Msdb;
use super::security::{DatabaseSecurity, Security};
use super::storage::{Storage, TransactionId};
use super::transfer::Traffic;
use crate::message::SqlMessage;

/// Everything.
#[derive(Debug)]
pub struct WorldState {
    /// The folder that holds the disks.
    pub root: std::path::PathBuf,
    /// Source of GUIDs and of every other choice; the same seed makes the same world.
    pub random: Random,
    /// Sites by lower-case name.
    pub sites: BTreeMap<String, Site>,
    /// Shares by lower-case `host\share`.
    pub shares: BTreeMap<String, Share>,
    /// Links by (from site, to site), lower case; none means the default link.
    pub links: BTreeMap<(String, String), Link>,
    /// Instances by key: lower-case name.
    pub instances: BTreeMap<String, InstanceState>,
    /// What things cost.
    pub costs: Costs,
    /// Sessions to be killed inside their next statement, by (instance key, session id).
    pub kill_inside: BTreeSet<(String, u16)>,
    /// Jobs whose next run is to fail, by (instance key, lower-case job name).
    pub fail_jobs: BTreeSet<(String, String)>,
    /// Extra duration of the next request of an instance, by key.
    pub delays: BTreeMap<String, Duration>,
    /// When mirroring is to be looked at again, if a task waits for it.
    pub mirroring_wake: Option<Timestamp>,
    /// A commit has changed a mirroring session.
    pub mirroring_dirty: bool,
    /// The time of the last look at it: dates of certificates are compared with it.
    pub seen_at: Timestamp,
    /// What is on its way over links, by (from site, to site), lower case.
    pub on_links: BTreeMap<(String, String), Traffic>,
}

/// A data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Name.
    pub name: String,
    /// Lost as a whole.
    pub lost: bool,
}

/// A file share.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Host name in UNC paths.
    pub host: String,
    /// Share name in UNC paths.
    pub name: String,
    /// Where it stands.
    pub site: String,
    /// Cannot be reached by anyone (OS error 53).
    pub lost: bool,
    /// Cannot be written (OS error 5).
    pub read_only: bool,
    /// Has no space (OS error 112).
    pub full: bool,
    /// An instance's own folder instead of one of the share's own: (instance key, local path).
    pub alias: Option<(String, String)>,
}

/// One direction of a connection between sites.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// One way.
    pub latency: Duration,
    /// Bytes per second.
    pub bandwidth: u64,
    /// Nothing passes.
    pub cut: bool,
}

impl Default for Link {
    fn default() -> Link {
        Link { latency: Duration::from_micros(200), bandwidth: 1_000_000_000, cut: false }
    }
}

/// What things cost in the world's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Opening a session.
    pub connect: Duration,
    /// Hardening a commit locally.
    pub commit: Duration,
    /// Every request.
    pub statement: Duration,
    /// BACKUP throughput, bytes per second.
    pub backup_rate: u64,
    /// RESTORE throughput, bytes per second.
    pub restore_rate: u64,
    /// Least duration of a BACKUP or RESTORE.
    pub device: Duration,
    /// Opening a backup to read what its media say: HEADERONLY and its like, each file.
    pub header: Duration,
    /// The end of a restore sequence: undo and opening.
    pub recovery: Duration,
    /// From the start of a mirroring session, or its reconnection, to SYNCHRONIZED, beside the
    /// transfer of the log itself.
    pub mirror_synchronize: Duration,
    /// Switching mirroring roles.
    pub mirror_failover: Duration,
}

impl Costs {
    /// The costs of a stand-in that is served in real time: the time that logins, statements and
    /// commits take on this machine is spent already, and is not spent a second time.
    pub fn in_real_time() -> Costs {
        Costs {
            connect: Duration::ZERO,
            commit: Duration::ZERO,
            statement: Duration::ZERO,
            ..Costs::default()
        }
    }
}

impl Default for Costs {
    fn default() -> Costs {
        Costs {
            connect: Duration::from_millis(1),
            commit: Duration::from_micros(500),
            statement: Duration::from_micros(100),
            backup_rate: 400_000_000,
            restore_rate: 300_000_000,
            device: Duration::from_millis(5),
            header: Duration::from_millis(5),
            recovery: Duration::from_millis(10),
            mirror_synchronize: Duration::from_millis(50),
            mirror_failover: Duration::from_millis(50),
        }
    }
}

/// What an instance is, apart from what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceConfig {
    /// `host` or `host\instance`, as in `@@SERVERNAME`.
    pub name: String,
    /// Fully qualified host name, as mirroring addresses spell it.
    pub fqdn: String,
    /// Site name.
    pub site: String,
    /// Major, minor, build.
    pub version: (u8, u8, u16),
    /// `SERVERPROPERTY('Edition')`.
    pub edition: String,
    /// Local time minus UTC, in minutes.
    pub utc_offset_minutes: i16,
    /// `InstanceDefaultDataPath`, with its closing separator.
    pub data_path: String,
    /// `InstanceDefaultLogPath`, with its closing separator.
    pub log_path: String,
    /// `InstanceDefaultBackupPath`, without a closing separator.
    pub backup_path: String,
    /// Password of `sa`.
    pub sa_password: String,
    /// `SERVERPROPERTY('Collation')`.
    pub collation: String,
    /// `service_account` of the engine's service in `sys.dm_server_services`.
    pub service_account: String,
}

impl InstanceConfig {
    /// A default 2019 Developer instance in UTC.
    pub fn new(name: &str, site: &str) -> InstanceConfig {
        let host = name.split('\\').next().unwrap_or(name).to_owned();
        InstanceConfig {
            name: name.to_owned(),
            fqdn: format!("{}.example.test", host.to_lowercase()),
            site: site.to_owned(),
            version: (15, 0, 4000),
            edition: "Developer Edition (64-bit)".to_owned(),
            utc_offset_minutes: 0,
            data_path: "D:\\MSSQL\\DATA\\".to_owned(),
            log_path: "D:\\MSSQL\\DATA\\".to_owned(),
            backup_path: "D:\\MSSQL\\Backup".to_owned(),
            sa_password: "Sa-Passw0rd!".to_owned(),
            collation: "SQL_Latin1_General_CP1_CI_AS".to_owned(),
            service_account: super::security::ENGINE_SERVICE.to_owned(),
        }
    }

    /// `MachineName`.
    pub fn host(&self) -> &str {
        self.name.split('\\').next().unwrap_or(&self.name)
    }

    /// `InstanceName`; empty for a default instance.
    pub fn instance_name(&self) -> &str {
        self.name.split_once('\\').map_or("", |(_, name)| name)
    }

    /// Internal database version and compatibility level of the release.
    /// Source: the list of releases, one pair for each major version.
    pub fn database_version(&self) -> (i32, u8) {
        match self.version.0 {
            ..=10 => (661, 100),
            11 => (706, 110),
            12 => (782, 120),
            13 => (852, 130),
            14 => (869, 140),
            15 => (904, 150),
            16 => (957, 160),
            _ => (998, 170),
        }
    }
}

/// An instance.
#[derive(Debug)]
pub struct InstanceState {
    /// Key in [`WorldState::instances`].
    pub key: String,
    /// What it is.
    pub config: InstanceConfig,
    /// Whether the service runs.
    pub running: bool,
    /// Fires when the service stops; replaced when it starts again.
    pub down: CancellationToken,
    /// `sqlserver_start_time`, UTC.
    pub started: Timestamp,
    /// Databases by lower-case name.
    pub databases: BTreeMap<String, Database>,
    /// Next `database_id`.
    pub next_database_id: i32,
    /// Sessions by id.
    pub sessions: BTreeMap<u16, SessionState>,
    /// The mirroring endpoint.
    pub endpoint: Option<EndpointState>,
    /// Sessions watched as witness, by `mirroring_guid`.
    pub witness_of: BTreeMap<Uuid, WitnessSession>,
    /// Drives without space, upper-case letters (`D`), or `/`.
    pub full_drives: BTreeSet<String>,
    /// History, log shipping and other msdb content.
    pub msdb: Msdb,
    /// Logins and server permissions.
    pub security: Security,
    /// Linked servers, by the lower-case name of the server that they lead to.
    pub links: BTreeMap<String, LinkedServer>,
    /// The Agent and its jobs.
    pub agent: Agent,
    /// What the error log tells, newest last, at most 10,000 lines: (UTC, text).
    pub error_log: Vec<(Timestamp, String)>,
    /// The numbered messages among them, as the event log of the machine keeps them, at most 10,000.
    pub events: Vec<(Timestamp, SqlMessage)>,
    /// Whom the service lets in.
    pub admission: Admission,
}

/// A linked server: what log shipping makes of a remote monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedServer {
    /// `sys.servers.name`.
    pub name: String,
    /// `sys.servers.data_source`: the server that it leads to.
    pub data_source: String,
    /// Login and password there; `None`: whoever uses the link is who it is here.
    pub login: Option<(String, String)>,
}

/// Whom a service lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Everyone with a login.
    #[default]
    Open,
    /// Nobody yet (17187): the service has not finished starting.
    Starting,
    /// Nobody new (17142): the service has been told to pause.
    Paused,
    /// Administrators (18401): the service upgrades its own databases after a change of version.
    Upgrading,
    /// Administrators (18451): the service is being brought up or down.
    Administrators,
    /// One administrator (18461): the service was started in single-user mode.
    SingleUser,
}

impl InstanceState {
    /// The database of that name, in any case.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(&name.to_lowercase())
    }

    /// As [`InstanceState::database`], to be changed.
    pub fn database_mut(&mut self, name: &str) -> Option<&mut Database> {
        self.databases.get_mut(&name.to_lowercase())
    }

    /// UTC as the instance's local `datetime`.
    pub fn local(&self, at: Timestamp) -> civil::DateTime {
        local(at, self.config.utc_offset_minutes)
    }

    /// Local time as UTC.
    pub fn utc(&self, local: civil::DateTime) -> Option<Timestamp> {
        offset(self.config.utc_offset_minutes).to_timestamp(local).ok()
    }

    /// Adds a line to the error log.
    pub fn log_error(&mut self, at: Timestamp, text: impl Into<String>) {
        if self.error_log.len() >= 10_000 {
            self.error_log.drain(..1_000);
        }
        self.error_log.push((at, text.into()));
    }

    /// Adds a numbered message to the error log and to the event log; an error has a line with its
    /// number, severity and state before its text.
    pub fn log_message(&mut self, at: Timestamp, message: SqlMessage) {
        if message.is_error() {
            let SqlMessage { number, severity, state, .. } = &message;
            self.log_error(at, format!("Error: {number}, Severity: {severity}, State: {state}."));
        }
        self.log_error(at, message.text.clone());
        if self.events.len() >= 10_000 {
            self.events.drain(..1_000);
        }
        self.events.push((at, message));
    }
}

pub(crate) fn offset(minutes: i16) -> jiff::tz::Offset {
    jiff::tz::Offset::from_seconds(i32::from(minutes) * 60).unwrap_or(jiff::tz::Offset::UTC)
}

/// UTC as local time `minutes` away from it.
pub fn local(at: Timestamp, minutes: i16) -> civil::DateTime {
    offset(minutes).to_datetime(at)
}

/// `sys.databases.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 0.
    Online,
    /// 1.
    Restoring,
    /// 2.
    Recovering,
    /// 3.
    RecoveryPending,
    /// 4.
    Suspect,
    /// 5.
    Emergency,
    /// 6.
    Offline,
}

impl Status {
    /// `state` and `state_desc`.
    pub const fn code(self) -> (u8, &'static str) {
        match self {
            Status::Online => (0, "ONLINE"),
            Status::Restoring => (1, "RESTORING"),
            Status::Recovering => (2, "RECOVERING"),
            Status::RecoveryPending => (3, "RECOVERY_PENDING"),
            Status::Suspect => (4, "SUSPECT"),
            Status::Emergency => (5, "EMERGENCY"),
            Status::Offline => (6, "OFFLINE"),
        }
    }
}

/// `sys.databases.user_access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserAccess {
    /// 0.
    Multi,
    /// 1.
    Single,
    /// 2.
    Restricted,
}

impl UserAccess {
    /// `user_access` and `user_access_desc`.
    pub const fn code(self) -> (u8, &'static str) {
        match self {
            UserAccess::Multi => (0, "MULTI_USER"),
            UserAccess::Single => (1, "SINGLE_USER"),
            UserAccess::Restricted => (2, "RESTRICTED_USER"),
        }
    }
}

/// `sys.databases.recovery_model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecoveryModel {
    /// 1.
    Full,
    /// 2.
    BulkLogged,
    /// 3.
    Simple,
}

impl RecoveryModel {
    /// `recovery_model` and `recovery_model_desc`. Backup headers write `BULK-LOGGED`.
    pub const fn code(self) -> (u8, &'static str) {
        match self {
            RecoveryModel::Full => (1, "FULL"),
            RecoveryModel::BulkLogged => (2, "BULK_LOGGED"),
            RecoveryModel::Simple => (3, "SIMPLE"),
        }
    }
}

/// A file of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFile {
    /// `file_id`.
    pub id: i32,
    /// `file_guid`.
    pub guid: Uuid,
    /// A log file (type 1) rather than a data file (type 0).
    pub is_log: bool,
    /// Logical name.
    pub logical: String,
    /// Physical name, as the instance spells it.
    pub physical: String,
    /// Bytes.
    pub size: u64,
    /// LSN at which the file was created.
    pub create_lsn: Lsn,
    /// MODIFY FILE … OFFLINE.
    #[serde(default)]
    pub offline: bool,
}

/// The full backup that differential backups build on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentialBase {
    /// FirstLSN of the full backup.
    pub first_lsn: Lsn,
    /// CheckpointLSN of the full backup.
    pub checkpoint_lsn: Lsn,
    /// BackupSetGUID of the full backup.
    pub guid: Uuid,
    /// When it finished, UTC.
    pub at: Timestamp,
}

/// What a database that waits for more log knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Redo {
    /// `redo_start_lsn`: what the next log must cover.
    pub lsn: Lsn,
    /// `redo_start_fork_guid`.
    pub fork: Uuid,
    /// The set whose restore was interrupted (4319).
    pub interrupted: Option<Uuid>,
    /// STOPAT was reached: nothing later applies.
    pub stopped: bool,
}

/// A database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Name.
    pub name: String,
    /// `database_id`.
    pub id: i32,
    /// master, tempdb, model or msdb.
    pub is_system: bool,
    /// `create_date`, UTC.
    pub created: Timestamp,
    /// Login that owns it.
    pub owner: String,
    /// State.
    pub status: Status,
    /// Path of the standby file: the database is in STANDBY.
    pub standby: Option<String>,
    /// User access.
    pub user_access: UserAccess,
    /// The session that holds the single-user slot.
    pub single_user_holder: Option<u16>,
    /// Recovery model.
    pub recovery_model: RecoveryModel,
    /// READ_ONLY.
    pub read_only: bool,
    /// `compatibility_level`.
    pub compatibility_level: u8,
    /// Internal version.
    pub version: i32,
    /// `collation_name`.
    pub collation: String,
    /// Files, data first.
    pub files: Vec<DatabaseFile>,
    /// `family_guid`.
    pub family_guid: Uuid,
    /// `database_guid` (BindingID).
    pub database_guid: Uuid,
    /// `service_broker_guid`.
    pub broker_guid: Uuid,
    /// Recovery forks.
    pub path: RecoveryPath,
    /// Base of differential backups; for a copy, the full backup that it was built from.
    pub differential_base: Option<DifferentialBase>,
    /// Log bytes written since the differential base.
    pub changed_bytes: u64,
    /// `last_log_backup_lsn`: start of the next log backup; none until the chain begins.
    pub last_log_backup_lsn: Option<Lsn>,
    /// The next log backup begins the chain.
    pub begins_log_chain: bool,
    /// Set while RESTORING, STANDBY or RECOVERY_PENDING.
    pub redo: Option<Redo>,
    /// The log.
    pub log: Log,
    /// Bytes of log that count for costs but hold no record.
    pub extra_log_bytes: u64,
    /// Bytes of data, for costs and sizes.
    pub data_bytes: u64,
    /// Tables.
    pub storage: Storage,
    /// Mirroring session.
    pub mirroring: Option<Mirroring>,
    /// Users, roles and grants.
    pub security: DatabaseSecurity,
    /// The session that restores it or takes its tail.
    pub exclusive: Option<u16>,
    /// The session that runs a data backup of it (3023).
    pub backup_running: Option<u16>,
    /// Log file lost: no tail can be taken.
    pub log_lost: bool,
    /// Data files damaged: the database does not start, its log is readable.
    pub damaged: bool,
    /// What else is the matter with it.
    pub condition: Condition,
}

/// What befell a database beside its state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// A page of its data fails its checks (824).
    pub page_damaged: bool,
    /// Its data file cannot be read (823).
    pub unreadable: Option<super::errors::OsError>,
    /// Its log file cannot be used (9001).
    pub log_unavailable: bool,
    /// Records in its log are damaged (3049, 9004).
    pub log_corrupt: bool,
    /// It was restored WITH CONTINUE_AFTER_ERROR from a set of a damaged database (4323).
    pub continued_after_error: bool,
    /// AUTO_CLOSE.
    pub auto_close: bool,
    /// Bulk-logged changes since the last log backup.
    pub bulk_logged: bool,
    /// Logical names of files that were dropped since the last log backup (1833), lower case.
    pub dropped_files: BTreeSet<String>,
    /// What it uses that not every edition has.
    pub features: BTreeSet<Feature>,
}

/// What only some editions can start a database with, before release 13 SP1 gave it to all.
/// Source: `sys.dm_db_persisted_sku_features`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Feature {
    /// Data compression.
    Compression,
    /// Partitioned tables.
    Partitioning,
}

impl Database {
    /// Whether it waits for more log: RESTORING or STANDBY.
    pub fn waits_for_log(&self) -> bool {
        self.status == Status::Restoring || self.standby.is_some()
    }

    /// Own role in a mirroring session that has started.
    pub fn is_mirror(&self) -> bool {
        use super::mirroring_state::MirroringRole;
        self.mirroring.as_ref().is_some_and(|m| m.role == MirroringRole::Mirror)
    }

    /// The recovery fork that grows.
    pub fn fork(&self) -> Uuid {
        self.path.last().guid
    }
}

/// A session.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// `session_id`.
    pub id: u16,
    /// Tells sessions apart that had the same id one after the other.
    pub serial: u64,
    /// UTC.
    pub login_time: Timestamp,
    /// Login name.
    pub login: String,
    /// Client host.
    pub host_name: String,
    /// Client program.
    pub program_name: String,
    /// Client library.
    pub interface_name: String,
    /// Client process.
    pub process_id: u32,
    /// What its client and the server agreed on for the connection.
    pub connection: crate::front::Agreed,
    /// Current database, as spelt by its creator.
    pub database: String,
    /// Databases that the open transaction touched and its id in each, by database key.
    pub transactions: BTreeMap<String, TransactionId>,
    /// `open_transaction_count`.
    pub transaction_count: u32,
    /// The running request.
    pub request: Option<RequestState>,
    /// UTC.
    pub last_request_start: Timestamp,
    /// UTC.
    pub last_request_end: Timestamp,
    /// Killed: still rolling back until the request notices.
    pub killed: bool,
    /// Global temporary tables that it made, in lower case: they go with it.
    pub global_tables: Vec<String>,
    /// Fires when the session is to end.
    pub ended: CancellationToken,
    /// `is_user_process`.
    pub is_user: bool,
}

/// A running request. Source: `sys.dm_exec_requests`.
#[derive(Debug, Clone)]
pub struct RequestState {
    /// `command`.
    pub command: String,
    /// What the client sent, for `sys.dm_exec_sql_text`.
    pub text: std::sync::Arc<str>,
    /// UTC.
    pub start: Timestamp,
    /// `percent_complete`, 0 to 100.
    pub percent_complete: f32,
    /// `estimated_completion_time`, in milliseconds from now.
    pub estimated_completion_ms: i64,
    /// `wait_type`.
    pub wait_type: Option<String>,
    /// `blocking_session_id`.
    pub blocked_by: Option<u16>,
    /// Database key that the statement works on, if other than the session's.
    pub database: Option<String>,
}

/// A seeded source of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A version 4 GUID.
    pub fn guid(&mut self) -> Uuid {
        let mut bytes = [0_u8; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
