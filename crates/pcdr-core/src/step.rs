//! Steps are data: every instruction that a plan can contain, and its only wording.
//!
//! The dry run, the run, the journal, the runbook and the Python and Ansible results all print the
//! same [`Display`](std::fmt::Display). A new action fails to compile wherever it is not handled.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lsn::{Guid, Lsn};
use crate::name::{DatabaseName, InstanceName, PoolName, ServerName};
use crate::observation::{PoolState, RecoveryModel};
use crate::schedule::Schedule;
use crate::settings::{Difference, PrimarySettings, SecondarySettings};

/// Position of a step in its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One instruction of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Position in the plan.
    pub id: StepId,
    /// What to do.
    pub action: Action,
    /// Steps that must have succeeded before; ascending.
    pub after: Vec<StepId>,
    /// The document that prescribes it.
    pub source: Source,
    /// Predicted duration.
    pub expected: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.action, f)
    }
}

/// Where a step comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Title of the document.
    pub document: Cow<'static, str>,
    /// Section and step, for example `Fail over Persistent Chat Server, step 4`.
    pub step: Cow<'static, str>,
}

impl Source {
    /// A source.
    pub const fn new(document: &'static str, step: &'static str) -> Source {
        Source { document: Cow::Borrowed(document), step: Cow::Borrowed(step) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.document, self.step)
    }
}

/// What a step does, by the port that does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "port", content = "do", rename_all = "snake_case")]
pub enum Action {
    /// On a database of an instance.
    Database(InstanceName, DatabaseName, DatabaseAction),
    /// On the log shipping jobs and entries of a database on an instance.
    LogShipping(InstanceName, DatabaseName, LogShippingAction),
    /// On backup files.
    Files(DatabaseName, FileAction),
    /// On the pool.
    Pool(PoolName, PoolAction),
}

/// An action on a database of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseAction {
    /// Create and start the database mirroring endpoint, and let the partners' accounts connect.
    CreateMirroringEndpoint {
        /// Its name.
        name: String,
        /// Its TCP port.
        port: u16,
        /// Service accounts that may connect.
        accounts: Vec<String>,
    },
    /// Set the recovery model to FULL.
    SetRecoveryFull,
    /// Take a full backup into a new file.
    BackUpDatabase {
        /// File, as the instance sees it.
        path: String,
    },
    /// Take a log backup into a new file.
    BackUpLog {
        /// File, as the instance sees it.
        path: String,
    },
    /// Take the tail of the log into a new file and leave the database RESTORING, in one act: nothing
    /// can be written after it. Needs a database without sessions.
    BackUpTail {
        /// File, as the instance sees it.
        path: String,
        /// Where the tail has to begin (`last_log_backup_lsn`): a log backup that nobody knows of would
        /// leave a gap before it.
        follows: LogEnd,
    },
    /// Restore a full backup and wait for log.
    RestoreDatabase {
        /// File, as the instance sees it.
        path: String,
        /// Folder for the database's data files; `None`: where the backup says.
        data_directory: Option<String>,
        /// Folder for its log files; `None`: `data_directory`.
        log_directory: Option<String>,
        /// Whether a database of that name is there, which the restore overwrites.
        replaces_existing: bool,
    },
    /// Restore a log backup and wait for more.
    RestoreLog {
        /// File, as the instance sees it.
        path: String,
        /// Which log it holds; `None` only where the same plan takes the backup.
        log: Option<LogRange>,
    },
    /// End every user session in the database.
    EndSessions,
    /// Recover the database: it goes ONLINE and takes writes. Cannot be undone.
    Recover {
        /// The log position that must have been reached; `None`: whatever was restored.
        expect: Option<LogEnd>,
    },
    /// Set the mirroring partner.
    SetPartner {
        /// Server network address.
        address: String,
    },
    /// Set the mirroring witness.
    SetWitness {
        /// Server network address.
        address: String,
    },
    /// Wait until the mirroring session is SYNCHRONIZED.
    AwaitSynchronized,
    /// Swap principal and mirror, without loss; on the principal.
    FailOverMirror,
    /// Make the mirror serve although its principal cannot be reached; on the mirror. What only the
    /// principal has is lost once mirroring is resumed.
    ForceService,
    /// Remove the witness from the mirroring session; on the principal.
    RemoveWitness,
    /// Remove mirroring. The principal goes on, the former mirror stays RESTORING.
    RemoveMirroring,
    /// Drop the database mirroring endpoint, and with it everybody's right to connect to it. Only while
    /// nothing is mirrored or watched through it.
    DropMirroringEndpoint {
        /// Its name.
        name: String,
    },
    /// Stop the database mirroring endpoint. Only while nothing is mirrored or watched through it.
    StopMirroringEndpoint {
        /// Its name.
        name: String,
    },
    /// Set the recovery model back to what it was.
    SetRecoveryBack {
        /// What it was.
        model: RecoveryModel,
    },
    /// Drop a copy that waits for log, is in no mirroring session and was never recovered.
    DropRestoring,
    /// A step of a [drill](crate::drill), on its own copy under the copy's own name.
    Drill(Box<DrillStep>),
}

/// What a drill does to its copy, which is a database of its own beside the one whose backups it tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillStep {
    /// The database whose backups are tried.
    pub of: DatabaseName,
    /// Its family (`FamilyGUID`): the copy carries it in the names of its files.
    pub family: Guid,
    /// What is done.
    pub action: DrillAction,
}

/// An action on a drill's copy. Each refuses a database of that name that is not the drill's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillAction {
    /// Restore a full backup under the copy's name and wait for log. Never over a database that exists.
    RestoreDatabase {
        /// File, as the instance sees it.
        path: String,
        /// Folder for the copy's files, as the instance sees it.
        directory: String,
    },
    /// Restore a log backup into the copy and wait for more.
    RestoreLog {
        /// File, as the instance sees it.
        path: String,
        /// Which log it holds.
        log: LogRange,
    },
    /// Recover the copy.
    Recover {
        /// The log position that must have been reached.
        at: Lsn,
    },
    /// Check every page and structure of the copy (DBCC CHECKDB).
    Check,
    /// End the sessions in the copy and drop it with its files.
    Drop,
}

/// A log position that is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEnd {
    /// This one.
    Lsn(Lsn),
    /// Where a log backup ends that the same plan takes, by its header. A database is recovered only at
    /// the end of one that left its database RESTORING.
    EndOf {
        /// Its file, as the instance sees it.
        path: String,
    },
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogEnd::Lsn(lsn) => write!(f, "at log position {lsn}"),
            LogEnd::EndOf { path } => write!(f, "where {path} ends"),
        }
    }
}

/// The log in one backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRange {
    /// First record, inclusive.
    pub first_lsn: Lsn,
    /// Next record after it, exclusive.
    pub last_lsn: Lsn,
    /// Fork on which it ends.
    pub last_fork: Guid,
}

/// An action on log shipping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogShippingAction {
    /// Register the database as log shipping primary, with its backup job and schedule.
    AddPrimary(Box<PrimarySettings>),
    /// Register the primary on the secondary and the database as its secondary, with copy and
    /// restore jobs and schedules.
    AddSecondary(Box<SecondarySettings>),
    /// Change settings of the primary's entry, of its job and of its schedule in place.
    ChangePrimary {
        /// All settings as they shall be.
        settings: Box<PrimarySettings>,
        /// What changes.
        changes: Vec<Difference>,
    },
    /// Change settings of the secondary's entry, of its jobs and of their schedules in place.
    ChangeSecondary {
        /// All settings as they shall be.
        settings: Box<SecondarySettings>,
        /// What changes.
        changes: Vec<Difference>,
    },
    /// Make sure that the job which raises the alerts exists here, enabled, with this schedule.
    AddAlertJob {
        /// When it runs.
        schedule: Schedule,
    },
    /// Register a secondary in the primary's entry.
    AddPrimarySecondary {
        /// `@@SERVERNAME` of the secondary.
        secondary_server: String,
        /// Database on the secondary.
        secondary_database: DatabaseName,
    },
    /// Disable the backup job and wait until it does not run.
    HoldBackupJob {
        /// Where the log must begin then that no backup holds (`last_log_backup_lsn`); `None` on an
        /// instance whose copy takes no log backups. Another position means that a log backup was
        /// taken after planning.
        expect: Option<Lsn>,
    },
    /// Disable the copy and restore jobs and wait until neither runs.
    HoldSecondaryJobs,
    /// Remove the secondary's entry; the copy and restore jobs go with the last one.
    RemoveSecondary,
    /// Remove a registered primary that has no secondary database here, with its copy and restore
    /// jobs: what a configuration leaves that stopped half way.
    RemoveSecondaryPrimary {
        /// `primary_server`, as spelled in the entry.
        primary_server: String,
    },
    /// Take a secondary off the primary's entry. The secondary itself is not touched.
    RemovePrimarySecondary {
        /// `secondary_server`, as spelled in the entry.
        secondary_server: String,
        /// `secondary_database`, as spelled in the entry.
        secondary_database: DatabaseName,
    },
    /// Disable the backup job, wait until it does not run, and remove the primary's entry with it.
    RemovePrimary,
    /// Remove the job that raises the alerts; the server keeps it while anything is monitored there.
    RemoveAlertJob,
    /// Run the backup job and wait for the end of that run.
    RunBackupJob,
    /// Run the copy job and wait for the end of that run.
    RunCopyJob,
    /// Run the restore job and wait for the end of that run.
    RunRestoreJob,
}

/// An action on backup files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    /// Copy a log backup from the backup share to the copy destination, verified.
    Copy {
        /// File name in both folders.
        name: String,
        /// Its size; `None` only where the same plan takes the backup.
        size_bytes: Option<u64>,
        /// Whether the copy destination holds a file of that name that cannot be read, which the copy
        /// replaces. Any other file of that name is left alone and makes the copy fail.
        replaces_unreadable: bool,
    },
}

/// A partner of a mirroring session by its design, which may differ from its current role.
///
/// Source: `Invoke-CsDatabaseFailover`, `NewPrincipal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPrincipal {
    /// The instance designed to hold the primary copy of the pair.
    Primary,
    /// The instance designed to be its mirror.
    Mirror,
}

/// An action on the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolAction {
    /// Set the pool state.
    SetState(PoolState),
    /// Establish the mirror of the database that now is the primary.
    InstallMirror {
        /// The instance that now is the primary.
        primary: InstanceName,
        /// Its mirror.
        mirror: InstanceName,
        /// The database.
        database: DatabaseName,
        /// UNC path that the cmdlet exports to and imports from.
        file_share: String,
        /// Whether the mirror holds a copy of the same database family, waiting for log, which is
        /// dropped first: an old mirror, or what an interrupted installation left.
        drops_existing: bool,
    },
    /// Swap principal and mirror of a database of the pool.
    FailOverDatabase {
        /// The database.
        database: DatabaseName,
        /// The instance that is principal now.
        from: InstanceName,
        /// The instance that becomes principal.
        to: InstanceName,
        /// What the topology calls it.
        new_principal: NewPrincipal,
        /// Whether the current principal is given up, with what only it has.
        force: bool,
    },
    /// Take every server off the active list.
    ClearActiveServers,
    /// Put a server on the active list.
    AddActiveServer(ServerName),
    /// Wait until every one of these servers has written to the database that the pool uses.
    AwaitServers(Vec<ServerName>),
}

impl Action {
    /// The instance it changes, if it changes one.
    pub fn instance(&self) -> Option<&InstanceName> {
        match self {
            Action::Database(instance, ..) | Action::LogShipping(instance, ..) => Some(instance),
            Action::Files(..) | Action::Pool(..) => None,
        }
    }

    /// The database it concerns, if it concerns one.
    pub fn database(&self) -> Option<&DatabaseName> {
        match self {
            Action::Database(_, database, _)
            | Action::LogShipping(_, database, _)
            | Action::Files(database, _)
            | Action::Pool(
                _,
                PoolAction::InstallMirror { database, .. }
                | PoolAction::FailOverDatabase { database, .. },
            ) => Some(database),
            Action::Pool(..) => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Database(instance, database, action) => {
                write!(f, "{instance}: ")?;
                match action {
                    DatabaseAction::CreateMirroringEndpoint { name, port, .. } => {
                        write!(f, "create mirroring endpoint {name} on port {port}")
                    }
                    DatabaseAction::SetRecoveryFull => {
                        write!(f, "set the recovery model of {database} to FULL")
                    }
                    DatabaseAction::BackUpDatabase { path } => {
                        write!(f, "back up database {database} to {path}")
                    }
                    DatabaseAction::BackUpLog { path } => {
                        write!(f, "back up the log of {database} to {path}")
                    }
                    DatabaseAction::BackUpTail { path, .. } => {
                        write!(
                            f,
                            "back up the tail of the log of {database} to {path} with norecovery"
                        )
                    }
                    DatabaseAction::RestoreDatabase { path, replaces_existing, .. } => {
                        let over = if *replaces_existing { ", replace" } else { "" };
                        write!(f, "restore database {database} from {path} with norecovery{over}")
                    }
                    DatabaseAction::RestoreLog { path, log: Some(log) } => write!(
                        f,
                        "restore log {}..{} of {database} from {path} with norecovery",
                        log.first_lsn, log.last_lsn
                    ),
                    DatabaseAction::RestoreLog { path, log: None } => {
                        write!(f, "restore the log of {database} from {path} with norecovery")
                    }
                    DatabaseAction::EndSessions => write!(f, "end every session in {database}"),
                    DatabaseAction::Recover { expect: Some(at) } => {
                        write!(f, "recover {database} {at}")
                    }
                    DatabaseAction::Recover { expect: None } => write!(f, "recover {database}"),
                    DatabaseAction::SetPartner { address } => {
                        write!(f, "set mirroring partner of {database} to {address}")
                    }
                    DatabaseAction::SetWitness { address } => {
                        write!(f, "set mirroring witness of {database} to {address}")
                    }
                    DatabaseAction::AwaitSynchronized => {
                        write!(f, "wait until mirroring of {database} is SYNCHRONIZED")
                    }
                    DatabaseAction::FailOverMirror => {
                        write!(f, "fail mirroring of {database} over to the partner")
                    }
                    DatabaseAction::ForceService => write!(
                        f,
                        "force the mirror of {database} into service, without what only the \
                         principal has"
                    ),
                    DatabaseAction::RemoveWitness => {
                        write!(f, "remove the mirroring witness of {database}")
                    }
                    DatabaseAction::RemoveMirroring => {
                        write!(f, "remove mirroring of {database}")
                    }
                    DatabaseAction::DropMirroringEndpoint { name } => {
                        write!(f, "drop mirroring endpoint {name}")
                    }
                    DatabaseAction::StopMirroringEndpoint { name } => {
                        write!(f, "stop mirroring endpoint {name}")
                    }
                    DatabaseAction::SetRecoveryBack { model } => {
                        write!(f, "set the recovery model of {database} back to {model}")
                    }
                    DatabaseAction::DropRestoring => {
                        write!(f, "drop the copy of {database}, which waits for log")
                    }
                    DatabaseAction::Drill(step) => drill(f, database, step),
                }
            }
            Action::LogShipping(instance, database, action) => {
                write!(f, "{instance}: ")?;
                match action {
                    LogShippingAction::AddPrimary(_) => {
                        write!(f, "configure {database} as log shipping primary")
                    }
                    LogShippingAction::AddSecondary(settings) => write!(
                        f,
                        "configure {database} as log shipping secondary of {}",
                        settings.primary_server
                    ),
                    LogShippingAction::ChangePrimary { changes, .. } => {
                        write!(f, "change log shipping primary {database}: {}", list(changes))
                    }
                    LogShippingAction::ChangeSecondary { changes, .. } => {
                        write!(f, "change log shipping secondary {database}: {}", list(changes))
                    }
                    LogShippingAction::AddAlertJob { schedule } => {
                        write!(f, "run the log shipping alert job {schedule}")
                    }
                    LogShippingAction::AddPrimarySecondary { secondary_server, .. } => {
                        write!(f, "register {secondary_server} as secondary of {database}")
                    }
                    LogShippingAction::HoldBackupJob { .. } => write!(
                        f,
                        "disable the log backup job of {database} and wait until it does not run"
                    ),
                    LogShippingAction::HoldSecondaryJobs => write!(
                        f,
                        "disable the copy and restore jobs of {database} and wait until neither runs"
                    ),
                    LogShippingAction::RemoveSecondary => {
                        write!(f, "remove log shipping from the secondary database {database}")
                    }
                    LogShippingAction::RemoveSecondaryPrimary { primary_server } => {
                        write!(
                            f,
                            "remove the registration of primary {primary_server} of {database}"
                        )
                    }
                    LogShippingAction::RemovePrimarySecondary { secondary_server, .. } => {
                        write!(f, "take {secondary_server} off the secondaries of {database}")
                    }
                    LogShippingAction::RemovePrimary => write!(
                        f,
                        "remove log shipping and its backup job from the primary database {database}"
                    ),
                    LogShippingAction::RemoveAlertJob => {
                        write!(f, "remove the log shipping alert job")
                    }
                    LogShippingAction::RunBackupJob => {
                        write!(f, "run the log backup job of {database}")
                    }
                    LogShippingAction::RunCopyJob => write!(f, "run the copy job of {database}"),
                    LogShippingAction::RunRestoreJob => {
                        write!(f, "run the restore job of {database}")
                    }
                }
            }
            Action::Files(database, FileAction::Copy { name, size_bytes: Some(bytes), .. }) => {
                write!(f, "copy log backup {name} of {database} ({bytes} bytes)")
            }
            Action::Files(database, FileAction::Copy { name, size_bytes: None, .. }) => {
                write!(f, "copy log backup {name} of {database}")
            }
            Action::Pool(pool, action) => match action {
                PoolAction::SetState(state) => write!(f, "{pool}: set the pool state to {state:?}"),
                PoolAction::InstallMirror { primary, mirror, database, drops_existing, .. } => {
                    let dropping = if *drops_existing { ", dropping the copy there" } else { "" };
                    write!(f, "{pool}: mirror {database} from {primary} to {mirror}{dropping}")
                }
                PoolAction::FailOverDatabase { database, from, to, force, .. } => {
                    let lost = if *force { ", without what only that one has" } else { "" };
                    write!(f, "{pool}: fail {database} over to {to} from {from}{lost}")
                }
                PoolAction::ClearActiveServers => {
                    write!(f, "{pool}: take every server off the active list")
                }
                PoolAction::AddActiveServer(server) => {
                    write!(f, "{pool}: put {server} on the active list")
                }
                PoolAction::AwaitServers(servers) => {
                    let names: Vec<&str> = servers.iter().map(ServerName::as_str).collect();
                    write!(f, "{pool}: wait until {} write to the database", names.join(", "))
                }
            },
        }
    }
}

fn drill(f: &mut fmt::Formatter<'_>, copy: &DatabaseName, step: &DrillStep) -> fmt::Result {
    let of = &step.of;
    match &step.action {
        DrillAction::RestoreDatabase { path, directory } => {
            write!(f, "restore database {of} from {path} as {copy} into {directory}")
        }
        DrillAction::RestoreLog { path, log } => write!(
            f,
            "restore log {}..{} of {of} from {path} into {copy}",
            log.first_lsn, log.last_lsn
        ),
        DrillAction::Recover { at } => write!(f, "recover {copy} at log position {at}"),
        DrillAction::Check => write!(f, "check every page of {copy} (DBCC CHECKDB)"),
        DrillAction::Drop => write!(f, "drop {copy}, the drill's own copy of {of}"),
    }
}

fn list(changes: &[Difference]) -> String {
    let texts: Vec<String> = changes.iter().map(Difference::to_string).collect();
    texts.join(", ")
}
