//! What somebody does on an instance that not everybody may do, and the rights that it takes.

use serde::Serialize;

use crate::name::DatabaseName;
use crate::step::{Action, DatabaseAction, DrillAction, LogShippingAction, Source};
use crate::topology::Topology;

/// What is done on an instance, as far as it needs rights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Look at databases, sessions, jobs and log shipping entries.
    Observe,
    /// See the mirroring session of a copy that is not open.
    ObserveMirror,
    /// Read the headers of backup files.
    ReadBackups,
    /// Create and start the mirroring endpoint, and let the partners' accounts connect.
    CreateEndpoint,
    /// Change a database that is open: recovery model, partner, witness.
    AlterDatabase,
    /// Change the pool's compliance database, which is mirrored and never shipped.
    AlterComplianceDatabase,
    /// Change a copy that is not open: force service.
    AlterClosedDatabase,
    /// Back a database or its log up.
    BackUp,
    /// Restore to a name that is free.
    RestoreNew,
    /// Restore into a copy that exists, and recover it.
    RestoreExisting,
    /// End the sessions in a database.
    EndSessions,
    /// Check a copy that this login restored.
    CheckDatabase,
    /// Drop a copy that this login restored.
    DropCopy,
    /// Start jobs, enable them and disable them.
    OperateJobs,
    /// Add, change and remove log shipping entries with their jobs.
    AdministerLogShipping,
}

/// What an action takes on the instance that it changes. What the pool's cmdlets and what copies of files
/// take is not a right on an instance.
pub fn duties(action: &Action) -> &'static [Duty] {
    match action {
        Action::Database(_, _, action) => match action {
            // Whoever created it may stop and drop it.
            DatabaseAction::CreateMirroringEndpoint { .. }
            | DatabaseAction::DropMirroringEndpoint { .. }
            | DatabaseAction::StopMirroringEndpoint { .. } => &[Duty::CreateEndpoint],
            DatabaseAction::SetRecoveryFull
            | DatabaseAction::SetRecoveryBack { .. }
            | DatabaseAction::SetPartner { .. }
            | DatabaseAction::SetWitness { .. }
            | DatabaseAction::FailOverMirror
            | DatabaseAction::RemoveWitness
            | DatabaseAction::RemoveMirroring => &[Duty::AlterDatabase],
            DatabaseAction::ForceService => &[Duty::AlterClosedDatabase],
            DatabaseAction::BackUpDatabase { .. } | DatabaseAction::BackUpLog { .. } => {
                &[Duty::BackUp]
            }
            // Whether it holds what it has to is read from its header.
            DatabaseAction::BackUpTail { .. } => &[Duty::BackUp, Duty::ReadBackups],
            DatabaseAction::RestoreDatabase { replaces_existing: false, .. } => {
                &[Duty::ReadBackups, Duty::RestoreNew]
            }
            DatabaseAction::RestoreDatabase { replaces_existing: true, .. }
            | DatabaseAction::RestoreLog { .. } => &[Duty::ReadBackups, Duty::RestoreExisting],
            DatabaseAction::Recover { .. } | DatabaseAction::DropRestoring => {
                &[Duty::RestoreExisting]
            }
            DatabaseAction::Drill(step) => match step.action {
                DrillAction::RestoreDatabase { .. } => &[Duty::ReadBackups, Duty::RestoreNew],
                DrillAction::RestoreLog { .. } => &[Duty::ReadBackups, Duty::RestoreExisting],
                DrillAction::Recover { .. } => &[Duty::RestoreExisting],
                DrillAction::Check => &[Duty::CheckDatabase],
                DrillAction::Drop => &[Duty::EndSessions, Duty::DropCopy],
            },
            DatabaseAction::EndSessions => &[Duty::EndSessions],
            DatabaseAction::AwaitSynchronized => &[Duty::Observe],
        },
        Action::LogShipping(_, _, action) => match action {
            LogShippingAction::AddPrimary(_)
            | LogShippingAction::AddSecondary(_)
            | LogShippingAction::ChangePrimary { .. }
            | LogShippingAction::ChangeSecondary { .. }
            | LogShippingAction::AddAlertJob { .. }
            | LogShippingAction::AddPrimarySecondary { .. }
            | LogShippingAction::RemoveSecondary
            | LogShippingAction::RemoveSecondaryPrimary { .. }
            | LogShippingAction::RemovePrimarySecondary { .. }
            | LogShippingAction::RemovePrimary
            | LogShippingAction::RemoveAlertJob => &[Duty::AdministerLogShipping],
            LogShippingAction::HoldSecondaryJobs
            | LogShippingAction::HoldBackupJob { .. }
            | LogShippingAction::RunBackupJob
            | LogShippingAction::RunCopyJob
            | LogShippingAction::RunRestoreJob => &[Duty::OperateJobs],
        },
        Action::Files(..) | Action::Pool(..) => &[],
    }
}

/// Something that a login may be given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Membership of a server role.
    ServerRole(&'static str),
    /// A permission on the server.
    Server(&'static str),
    /// A user in a database, and nothing more.
    User(DatabaseName),
    /// Membership of a role of a database.
    DatabaseRole(DatabaseName, &'static str),
    /// A permission on a database, given inside of it.
    Database(DatabaseName, &'static str),
    /// SELECT on a table of the schema dbo, where the database has it.
    Select(DatabaseName, &'static str),
}

impl Right {
    /// Membership of `sysadmin`, which includes every other right.
    pub const SYSADMIN: Right = Right::ServerRole("sysadmin");
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Right::ServerRole(role) => write!(f, "member of {role}"),
            Right::Server(permission) => f.write_str(permission),
            Right::User(database) => write!(f, "a user in {database}"),
            Right::DatabaseRole(database, role) => write!(f, "member of {role} in {database}"),
            Right::Database(database, permission) => write!(f, "{permission} on {database}"),
            Right::Select(database, table) => write!(f, "SELECT on dbo.{table} in {database}"),
        }
    }
}

/// A right with what needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The right.
    pub right: Right,
    /// What for; each a reason of its own.
    pub why: Vec<&'static str>,
    /// The documents that say so.
    pub sources: Vec<Source>,
    /// What was not confirmed on a server; `None`: what the document says is not in doubt.
    pub unconfirmed: Option<&'static str>,
    /// When it is needed, if not always.
    pub only: Option<&'static str>,
}

impl Need {
    fn new(right: Right, why: &'static str, document: &'static str, step: &'static str) -> Need {
        let sources = vec![Source::new(document, step)];
        Need { right, why: vec![why], sources, unconfirmed: None, only: None }
    }

    fn unconfirmed(self, what: &'static str) -> Need {
        Need { unconfirmed: Some(what), ..self }
    }

    /// Takes another reason for the same right.
    pub(super) fn merge(&mut self, other: &Need) {
        self.why.extend(&other.why);
        self.why.dedup();
        for source in &other.sources {
            if !self.sources.contains(source) {
                self.sources.push(source.clone());
            }
        }
        // What one of them is certain to need is certain to be needed.
        self.unconfirmed = self.unconfirmed.filter(|_| other.unconfirmed.is_some());
        self.only = self.only.filter(|_| other.only.is_some());
    }
}

const PERMISSIONS: &str = "Permissions";

impl Duty {
    /// The rights that it takes on an instance; `holds_copies`: whether the databases may be there.
    pub fn needs(self, topology: &Topology, holds_copies: bool) -> Vec<Need> {
        let new = Need::new;
        let databases = || topology.databases().iter().filter(|_| holds_copies).cloned();
        match self {
            Duty::Observe => observe(topology, holds_copies),
            Duty::ObserveMirror if holds_copies => vec![new(
                Right::SYSADMIN,
                "sees the mirroring session on the mirror, without which no mirror failover is planned",
                "sys.database_mirroring (Transact-SQL)",
                PERMISSIONS,
            )],
            Duty::ObserveMirror => Vec::new(),
            Duty::ReadBackups => vec![new(
                Right::Server("CREATE ANY DATABASE"),
                "reads the headers of backup files",
                "RESTORE Statements - HEADERONLY (Transact-SQL)",
                PERMISSIONS,
            )],
            Duty::CreateEndpoint => vec![
                new(
                    Right::Server("CREATE ENDPOINT"),
                    "creates the mirroring endpoint",
                    "CREATE ENDPOINT (Transact-SQL)",
                    PERMISSIONS,
                ),
                Need {
                    only: Some("to start an endpoint, or to let accounts connect to one, that another login created"),
                    ..new(
                        Right::Server("ALTER ANY ENDPOINT"),
                        "starts the mirroring endpoint and lets the partners' service accounts connect",
                        "GRANT Endpoint Permissions (Transact-SQL)",
                        PERMISSIONS,
                    )
                },
                new(
                    Right::Server("ALTER ANY LOGIN"),
                    "creates logins for the partners' service accounts",
                    "CREATE LOGIN (Transact-SQL)",
                    PERMISSIONS,
                ),
            ],
            Duty::AlterDatabase => databases()
                .map(|database| {
                    new(
                        Right::Database(database, "ALTER"),
                        "sets recovery model, mirroring partner and witness",
                        "ALTER DATABASE Database Mirroring (Transact-SQL)",
                        PERMISSIONS,
                    )
                })
                .collect(),
            Duty::AlterComplianceDatabase => {
                let compliance = topology.pool().and_then(|pool| pool.compliance_database.clone());
                let compliance = compliance.filter(|_| holds_copies).into_iter();
                compliance
                    .map(|database| {
                        new(
                            Right::Database(database, "ALTER"),
                            "removes its mirroring, where it is mirrored",
                            "ALTER DATABASE Database Mirroring (Transact-SQL)",
                            PERMISSIONS,
                        )
                    })
                    .collect()
            }
            Duty::AlterClosedDatabase if holds_copies => vec![
                Need {
                    only: Some("to force the mirror into service, which pcdr does by the consent force-service alone"),
                    ..new(
                        Right::Server("ALTER ANY DATABASE"),
                        "forces service on a copy that is not open",
                        "ALTER DATABASE Database Mirroring (Transact-SQL)",
                        PERMISSIONS,
                    )
                }
                .unconfirmed(
                    "whether ALTER on the database alone is enough while the copy is not open, when \
                     nothing inside of it can be looked up",
                ),
            ],
            Duty::AlterClosedDatabase => Vec::new(),
            Duty::BackUp => databases()
                .map(|database| {
                    new(
                        Right::DatabaseRole(database, "db_backupoperator"),
                        "takes full and log backups",
                        "BACKUP (Transact-SQL)",
                        PERMISSIONS,
                    )
                })
                .collect(),
            Duty::RestoreNew => vec![new(
                Right::Server("CREATE ANY DATABASE"),
                "restores a database that does not exist yet",
                "RESTORE Statements (Transact-SQL)",
                PERMISSIONS,
            )],
            Duty::RestoreExisting => vec![new(
                Right::ServerRole("dbcreator"),
                "restores into a copy that exists and recovers it: membership of db_owner cannot be looked up \
                 while the copy is not open",
                "RESTORE Statements (Transact-SQL)",
                PERMISSIONS,
            )],
            Duty::EndSessions => vec![
                sees_sessions("finds the sessions in a database"),
                new(
                    Right::Server("ALTER ANY CONNECTION"),
                    "ends sessions",
                    "KILL (Transact-SQL)",
                    PERMISSIONS,
                ),
            ],
            Duty::CheckDatabase => vec![
                new(
                    Right::ServerRole("dbcreator"),
                    "checks the copy that it restored, and so owns",
                    "DBCC CHECKDB (Transact-SQL)",
                    PERMISSIONS,
                )
                .unconfirmed(
                    "whether the owner by sys.databases counts as db_owner inside a copy that was restored \
                     from another server; a member of sysadmin needs nothing else",
                ),
            ],
            Duty::DropCopy => vec![
                new(
                    Right::ServerRole("dbcreator"),
                    "drops the copy that it restored",
                    "DROP DATABASE (Transact-SQL)",
                    PERMISSIONS,
                ),
            ],
            Duty::OperateJobs => vec![
                reads_msdb("follows the runs of jobs"),
                new(
                    Right::DatabaseRole(msdb(), "SQLAgentOperatorRole"),
                    "starts, enables and disables the jobs of log shipping",
                    "SQL Server Agent Fixed Database Roles",
                    "SQLAgentOperatorRole Permissions",
                ),
            ],
            Duty::AdministerLogShipping => vec![new(
                Right::SYSADMIN,
                "calls the stored procedures of log shipping, which take nothing less",
                "Log Shipping Stored Procedures (Transact-SQL)",
                PERMISSIONS,
            )],
        }
    }
}

fn observe(topology: &Topology, holds_copies: bool) -> Vec<Need> {
    let new = Need::new;
    let mut all = vec![
        sees_sessions("sees sessions, the state of SQL Server Agent and the space on volumes"),
        new(
            Right::Server("VIEW ANY DEFINITION"),
            "sees every database (it includes VIEW ANY DATABASE, which public has unless it was taken away), the \
             mirroring endpoint, and where a copy that waits for log stands: what is hidden would be taken for \
             missing",
            "Metadata Visibility Configuration",
            "Scope and Limitations of Metadata Visibility Configuration",
        )
        .unconfirmed(
            "whether it shows every row of sys.master_files, as its page says: no server was asked",
        ),
        reads_msdb("reads jobs, backup history and log shipping entries"),
    ];
    if holds_copies {
        all.extend(topology.observed_databases().map(|database| {
            let right = if topology.pool().is_some_and(|pool| pool.database == *database) {
                Right::Select(database.clone(), PINGS)
            } else {
                Right::User(database.clone())
            };
            new(
                right,
                "reads when each chat server pinged the database, or that it has no such table",
                "Persistent Chat database schema",
                "tblServerIdentity",
            )
        }));
    }
    all
}

/// The table of the published Persistent Chat schema in which chat servers sign on.
const PINGS: &str = "tblServerIdentity";

fn msdb() -> DatabaseName {
    "msdb".into()
}

fn sees_sessions(why: &'static str) -> Need {
    let document = "sys.dm_exec_sessions (Transact-SQL)";
    Need::new(Right::Server("VIEW SERVER STATE"), why, document, PERMISSIONS)
}

fn reads_msdb(why: &'static str) -> Need {
    let right = Right::DatabaseRole(msdb(), "db_datareader");
    Need::new(right, why, "Database-Level Roles", "Fixed-Database Roles")
}
