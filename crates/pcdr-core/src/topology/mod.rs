//! What was designed: sites, instances and their roles, the pool, shares and settings.
//!
//! A [`Topology`] can only be obtained by [`Topology::parse`], which checks every planning rule, so
//! whoever holds one holds a topology that keeps them.

mod file;
mod login_rules;
mod parse;
mod pool_rules;
mod read;
mod rules;
mod violation;

use std::collections::BTreeMap;
use std::time::Duration;

pub use read::parse_duration;
pub use violation::{ALL_CODES, Place, Violation, Violations};

use crate::drill::Place as DrillPlace;
use crate::name::{DatabaseName, InstanceName, PoolName, ServerName, ShareName, SiteName};
use crate::schedule::Schedule;
use crate::settings::{Compression, RestoreMode};

/// A stretched Persistent Chat pool in TOML, with comments that teach: what examples, tests and the
/// rehearsal use.
pub const EXAMPLE: &str = include_str!("../../tests/topologies/stretched.toml");

/// A designed, validated topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub(crate) sites: BTreeMap<SiteName, Site>,
    pub(crate) links: Vec<Link>,
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) databases: Vec<DatabaseName>,
    pub(crate) pool: Option<Pool>,
    pub(crate) shares: BTreeMap<ShareName, Share>,
    pub(crate) log_shipping: LogShipping,
    pub(crate) mirroring: Mirroring,
    pub(crate) connection: Connection,
    pub(crate) management_shell: Option<ManagementShell>,
    pub(crate) drill: Option<DrillPlace>,
}

/// A data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Name.
    pub name: SiteName,
}

/// A network link between two sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The two sites, in no particular order.
    pub between: (SiteName, SiteName),
    /// Whether it has low latency and high bandwidth in the sense of the product's documents, which
    /// give no number: the designer declares it.
    pub is_fast: bool,
    /// Bandwidth for copies, in megabits (10^6) per second; `None`: not limited by pcdr.
    pub megabits_per_second: Option<u32>,
    /// How many backup files are copied over it at once. One more than the link needs to be full hides
    /// what opening and verifying a file takes; every further one only delays the first file.
    pub copies_at_once: u32,
}

/// [`Link::copies_at_once`] where nothing is declared, and where both shares stand in one site.
pub const DEFAULT_COPIES_AT_ONCE: u32 = 2;

/// [`Instance::restores_at_once`] where nothing is declared.
pub const DEFAULT_RESTORES_AT_ONCE: u32 = 16;

/// A SQL Server instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Name in the topology.
    pub name: InstanceName,
    /// The site it stands in.
    pub site: SiteName,
    /// What it was designed for.
    pub role: Role,
    /// Fully qualified name of the SQL Server host, as the product's cmdlets and mirroring take it.
    pub host: String,
    /// Instance part of the name; `None` for the default instance.
    pub instance: Option<String>,
    /// `@@SERVERNAME`, as log shipping records spell it.
    pub server_name: String,
    /// TCP port of the instance; `None`: found through SQL Server Browser.
    pub port: Option<u16>,
    /// Address to connect to instead of `host` (a forwarded port, a test stand-in).
    pub connect_host: Option<String>,
    /// TCP port of its database mirroring endpoint.
    pub mirroring_port: u16,
    /// Account of the SQL Server service, for endpoint rights: `DOMAIN\name`. `None`: not checked.
    pub service_account: Option<String>,
    /// Folder for data files of databases restored here; `None`: where the backup says.
    pub data_directory: Option<String>,
    /// Folder for their log files; `None`: `data_directory`.
    pub log_directory: Option<String>,
    /// How many databases are restored here at once: what its disks bear.
    pub restores_at_once: u32,
}

impl Instance {
    /// The server network address of its mirroring endpoint: `TCP://host:port`.
    pub fn mirroring_address(&self) -> String {
        format!("TCP://{}:{}", self.host, self.mirroring_port)
    }
}

/// What an instance was designed for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Holds the primary databases.
    Primary,
    /// Mirrors the primary, in the same site.
    PrimaryMirror,
    /// Witness of the primary's mirroring.
    PrimaryWitness,
    /// Log shipping secondary: holds the backup databases, in the other site.
    Secondary,
    /// One more log shipping secondary, which no failover goes to.
    FurtherSecondary,
    /// Mirrors the secondary once it has become the primary, in the same site.
    SecondaryMirror,
    /// Witness of the secondary's mirroring.
    SecondaryWitness,
    /// Log shipping monitor.
    Monitor,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 8] = [
        Role::Primary,
        Role::PrimaryMirror,
        Role::PrimaryWitness,
        Role::Secondary,
        Role::FurtherSecondary,
        Role::SecondaryMirror,
        Role::SecondaryWitness,
        Role::Monitor,
    ];

    /// As a topology spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::PrimaryMirror => "primary-mirror",
            Role::PrimaryWitness => "primary-witness",
            Role::Secondary => "secondary",
            Role::FurtherSecondary => "further-secondary",
            Role::SecondaryMirror => "secondary-mirror",
            Role::SecondaryWitness => "secondary-witness",
            Role::Monitor => "monitor",
        }
    }
}

/// The stretched Persistent Chat pool around the databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Fully qualified domain name.
    pub fqdn: PoolName,
    /// Its content database (`mgc`).
    pub database: DatabaseName,
    /// Its compliance database (`mgccomp`), which is never failed over; `None` without compliance.
    pub compliance_database: Option<DatabaseName>,
    /// Its chat servers, in the order of the topology.
    pub servers: Vec<Server>,
}

/// A chat server of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Fully qualified domain name.
    pub fqdn: ServerName,
    /// The site it stands in.
    pub site: SiteName,
    /// Whether it serves while the pool is `Normal`.
    pub is_active: bool,
    /// Whether it serves while the pool is `FailedOver`.
    pub is_active_after_failover: bool,
}

/// A file share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name in the topology.
    pub name: ShareName,
    /// The site of its file server.
    pub site: SiteName,
    /// `\\server\share\folder`, as SQL Server instances see it; on Linux, where they take no UNC path,
    /// the absolute path under which every one of them has it mounted. The copy destination may be a local
    /// path of its secondary, `D:\copies`.
    pub unc: String,
    /// The same folder as pcdr sees it, where it is mounted; `None`: pcdr uses the UNC path itself.
    pub mount: Option<String>,
}

impl Share {
    /// The path of a file in it, as SQL Server instances see it.
    pub fn path_of(&self, file: &str) -> String {
        let separator = if self.unc.starts_with('/') { '/' } else { '\\' };
        format!("{}{separator}{file}", self.unc.trim_end_matches(['\\', '/']))
    }
}

/// Log shipping settings, the same for every database and for the primary and its mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogShipping {
    /// The backup share.
    pub backup_share: ShareName,
    /// Local path of the backup folder, only when it lies on the primary server.
    pub backup_directory: Option<String>,
    /// Minutes a log backup is kept in the backup folder (`@backup_retention_period`).
    pub backup_retention_minutes: i32,
    /// Minutes without a log backup before alert 14420 (`@backup_threshold`).
    pub backup_threshold_minutes: i32,
    /// Minutes history is kept (`@history_retention_period`).
    pub history_retention_minutes: i32,
    /// Compression of log backups (`@backup_compression`).
    pub backup_compression: Compression,
    /// Whether alert 14420 is raised (`@threshold_alert_enabled` of the primary).
    pub raises_backup_alert: bool,
    /// Where a missing secondary database, or mirror, comes from.
    pub initialise: Initialise,
    /// When the backup job runs.
    pub backup_schedule: Schedule,
    /// When the alert job runs.
    pub alert_schedule: Schedule,
    /// `@primary_connection_options`; `None`: not passed. SQL Server 2025 and later.
    pub primary_connection_options: Option<String>,
    /// `@secondary_connection_options`; likewise.
    pub secondary_connection_options: Option<String>,
    /// `@monitor_connection_options`; likewise.
    pub monitor_connection_options: Option<String>,
    /// The SQL Server login with which both sides report to the monitor (`@monitor_server_security_mode` 0);
    /// `None`: Windows authentication, or no monitor.
    pub monitor_login: Option<SqlLogin>,
    /// Where the log is shipped to: the secondary first, which a failover goes to; then further ones.
    pub secondaries: Vec<Secondary>,
}

/// One instance that the log is shipped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// The instance.
    pub instance: InstanceName,
    /// The share of the copy destination folder on it.
    pub copy_share: ShareName,
    /// Minutes a copied file is kept (`@file_retention_period`).
    pub file_retention_minutes: i32,
    /// Minutes without a restore before alert 14421 (`@restore_threshold`).
    pub restore_threshold_minutes: i32,
    /// Whether that alert is raised (`@threshold_alert_enabled` of the secondary).
    pub raises_restore_alert: bool,
    /// Minutes a log backup waits before it may be restored (`@restore_delay`).
    pub restore_delay_minutes: i32,
    /// What a restored copy can do between two restores (`@restore_mode`).
    pub restore_mode: RestoreMode,
    /// Whether a restore ends sessions in the copy (`@disconnect_users`); only with
    /// [`RestoreMode::Standby`].
    pub disconnect_users: bool,
    /// When the copy job runs.
    pub copy_schedule: Schedule,
    /// When the restore job runs.
    pub restore_schedule: Schedule,
}

/// Where a missing secondary database, or mirror, comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Initialise {
    /// pcdr takes a full backup and a log backup of the primary and restores both.
    #[default]
    FullBackup,
    /// Somebody else restored it, or will: pcdr takes no backup and waits for it.
    AlreadyInitialised,
}

impl Initialise {
    /// As a topology spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Initialise::FullBackup => "full-backup",
            Initialise::AlreadyInitialised => "already-initialised",
        }
    }
}

/// Database mirroring settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirroring {
    /// Name of the endpoint to create where an instance has none.
    pub endpoint_name: String,
    /// `SET PARTNER TIMEOUT`, in seconds.
    pub timeout_seconds: u32,
}

/// How pcdr connects to the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// When TLS starts. It cannot be switched off.
    pub encryption: Encryption,
    /// How an instance is told who pcdr is.
    pub authentication: Authentication,
    /// File with the certificates (PEM) that may sign server certificates; `None`: the system's.
    pub ca_file: Option<String>,
    /// Expected host name in the certificates; `None`: the host connected to.
    pub host_name_in_certificate: Option<String>,
    /// Limit for opening a connection.
    pub connect_timeout: Duration,
}

/// When TLS starts on a connection. Certificates are verified in both cases.
///
/// Source: "Transport Layer Security and digital certificates", "TDS 8.0".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// After the first packet, as every version of SQL Server does; refused where the server has none.
    #[default]
    Mandatory,
    /// Before the first packet (TDS 8.0); SQL Server 2022 and later.
    Strict,
}

/// How an instance is told who pcdr is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// SQL Server authentication.
    SqlLogin {
        /// SQL login.
        login: String,
        /// Where its password is.
        password: SecretSource,
    },
    /// An access token of Microsoft Entra, read anew for every connection because it expires.
    AccessToken(SecretSource),
    /// The Kerberos ticket of the account that pcdr runs under.
    Kerberos,
}

/// A SQL Server login, and where its password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLogin {
    /// Its name.
    pub login: String,
    /// Where its password is.
    pub password: SecretSource,
}

/// Where a secret is. Never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Name of an environment variable.
    Environment(String),
    /// Path of a file, whose first line it is.
    File(String),
}

/// Who runs the cmdlets of the product's Management Shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellBy {
    /// Program and arguments; the script goes to its standard input.
    Command(Vec<String>),
    /// A person, who is shown each cmdlet and says when it was done.
    Person,
}

/// How pcdr reaches the product's Management Shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementShell {
    /// Who runs the cmdlets.
    pub by: ShellBy,
    /// Limit for one cmdlet.
    pub timeout: Duration,
}

impl Topology {
    /// Reads and validates a topology.
    ///
    /// ```
    /// use pcdr_core::Topology;
    ///
    /// let text = pcdr_core::topology::EXAMPLE;
    /// let topology = Topology::parse(text)?;
    /// assert_eq!(topology.primary().host, "sql-n1.example.net");
    ///
    /// let violations = Topology::parse(&text.replace("fast = false", "fats = false")).unwrap_err();
    /// let codes: Vec<&str> = violations.0.iter().map(|violation| violation.code).collect();
    /// assert_eq!(codes, ["missing_key", "unknown_key"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Every violation found, each with its code, place and remedy; never empty.
    pub fn parse(text: &str) -> Result<Topology, Violations> {
        parse::parse(text)
    }

    /// Sites, by name.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.values()
    }

    /// The link between two sites, in any order; `None` when none is declared.
    pub fn link(&self, one: &SiteName, other: &SiteName) -> Option<&Link> {
        let joins =
            |(a, b): &(SiteName, SiteName)| (a == one && b == other) || (a == other && b == one);
        self.links.iter().find(|link| joins(&link.between))
    }

    /// Links between sites.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Instances, by name.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// An instance by name.
    pub fn instance(&self, name: &InstanceName) -> Option<&Instance> {
        self.instances.get(name)
    }

    /// The instance of a role; in a valid topology no role but [`Role::FurtherSecondary`] has two.
    pub fn role(&self, role: Role) -> Option<&Instance> {
        self.instances.values().find(|instance| instance.role == role)
    }

    /// The primary. Every valid topology has exactly one.
    pub fn primary(&self) -> &Instance {
        self.role(Role::Primary).expect("validated: exactly one primary")
    }

    /// The log shipping secondary. Every valid topology has exactly one.
    pub fn secondary(&self) -> &Instance {
        self.role(Role::Secondary).expect("validated: exactly one secondary")
    }

    /// The log-shipped databases, in the order of the topology. Never empty.
    pub fn databases(&self) -> &[DatabaseName] {
        &self.databases
    }

    /// The same topology with one of its databases; without the pool, unless the database is the pool's.
    pub(crate) fn only(&self, database: &DatabaseName) -> Topology {
        let pool = self.pool.clone().filter(|pool| pool.database == *database);
        let management_shell = self.management_shell.clone().filter(|_| pool.is_some());
        Topology { databases: vec![database.clone()], pool, management_shell, ..self.clone() }
    }

    /// The databases that are looked at: the log-shipped ones, then the compliance database, which is
    /// mirrored but never log-shipped.
    pub fn observed_databases(&self) -> impl Iterator<Item = &DatabaseName> {
        let compliance = self.pool.as_ref().and_then(|pool| pool.compliance_database.as_ref());
        self.databases.iter().chain(compliance)
    }

    /// The Persistent Chat pool, if there is one.
    pub fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// Shares, by name.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.values()
    }

    /// The share that log backups are written to.
    pub fn backup_share(&self) -> &Share {
        &self.shares[&self.log_shipping.backup_share]
    }

    /// The share that log backups are copied to, on the secondary.
    pub fn copy_share(&self) -> &Share {
        &self.shares[&self.log_shipping.secondaries[0].copy_share]
    }

    /// A share by name.
    pub fn share(&self, name: &ShareName) -> Option<&Share> {
        self.shares.get(name)
    }

    /// Log shipping settings.
    pub fn log_shipping(&self) -> &LogShipping {
        &self.log_shipping
    }

    /// Mirroring settings.
    pub fn mirroring(&self) -> &Mirroring {
        &self.mirroring
    }

    /// Connection settings.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Management Shell settings; present when there is a pool.
    pub fn management_shell(&self) -> Option<&ManagementShell> {
        self.management_shell.as_ref()
    }

    /// Where drills restore to; `None`: nowhere, until a command says it.
    pub fn drill(&self) -> Option<&DrillPlace> {
        self.drill.as_ref()
    }

    /// The same topology, with drills that restore to this place.
    #[must_use]
    pub fn with_drill(self, place: DrillPlace) -> Topology {
        Topology { drill: Some(place), ..self }
    }

    /// Whether servers in `a` may serve from databases in `b`: the same site, or a declared fast link.
    pub fn is_near(&self, a: &SiteName, b: &SiteName) -> bool {
        a == b || self.link(a, b).is_some_and(|link| link.is_fast)
    }
}
