//! `msdb`: its tables, and the procedures that read and write them.
//!
//! Procedures change [`store::Msdb`] and learn everything else from their [`Surroundings`]: the clock,
//! the databases, the logins, and the monitor server that they may have to reach.

pub mod arguments;
pub mod around;
pub mod backup_history;
pub mod calendar;
pub mod history;
pub mod job_help;
pub mod jobs;
pub mod monitor;
pub mod primary;
pub mod schedules;
pub mod secondary;
pub mod signature;
mod signatures_agent;
mod signatures_log_shipping;
mod signatures_system;
pub mod store;

use std::collections::{BTreeMap, VecDeque};

use jiff::civil::DateTime;
use uuid::Uuid;

use crate::message::SqlFailure;

pub use arguments::{Arguments, Outcome, Signal};
pub use around::{append, call, change, named_by, procedure, procedure_for};
pub use store::{Msdb, MsdbTable};

/// A point in time, as the server's clock shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// In the server's zone.
    pub local: DateTime,
    /// In UTC.
    pub utc: DateTime,
}

/// Who calls a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Login name.
    pub login: String,
    /// Its security id.
    pub sid: Vec<u8>,
    /// Member of `sysadmin`.
    pub is_sysadmin: bool,
    /// The strongest Agent role in `msdb`.
    pub agent_role: AgentRole,
}

/// A role of `msdb` for SQL Server Agent; each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentRole {
    /// None of them.
    None,
    /// `SQLAgentUserRole`: own jobs.
    User,
    /// `SQLAgentReaderRole`: sees all jobs.
    Reader,
    /// `SQLAgentOperatorRole`: starts and stops all local jobs.
    Operator,
}

/// What log shipping asks about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// State ONLINE.
    pub is_online: bool,
    /// Recovery model SIMPLE.
    pub is_simple: bool,
}

/// A change of monitor rows, to be made on another instance.
#[derive(Debug, Clone)]
pub enum MonitorChange {
    /// Writes the row of a primary, and the alert job with it.
    Primary(Vec<(&'static str, crate::value::Value)>),
    /// Writes the row of a secondary database, and the alert job with it.
    Secondary(Vec<(&'static str, crate::value::Value)>),
    /// Changes columns of the row of a primary.
    UpdatePrimary(Uuid, Vec<(&'static str, crate::value::Value)>),
    /// Changes columns of the row of one secondary database (id, database).
    UpdateSecondary(Uuid, String, Vec<(&'static str, crate::value::Value)>),
    /// Changes columns of every row of a secondary id.
    UpdateSecondaries(Uuid, Vec<(&'static str, crate::value::Value)>),
    /// Removes the row of a primary with its history.
    DeletePrimary(Uuid),
    /// Removes the row of a secondary database with its history.
    DeleteSecondary(Uuid, String),
    /// Adds history rows.
    History(Vec<Vec<(&'static str, crate::value::Value)>>),
    /// Adds error rows.
    Errors(Vec<Vec<(&'static str, crate::value::Value)>>),
    /// Deletes the alert job if nothing is monitored any more.
    DeleteAlertJob,
    /// Deletes history older than a time: agent id, agent type, UTC time.
    Cleanup(Uuid, i64, DateTime),
}

/// What a procedure learns from the server around it.
pub trait Surroundings {
    /// Who calls.
    fn caller(&self) -> Caller;
    /// `@@SERVERNAME`.
    fn server_name(&self) -> String;
    /// Major version: 13 is SQL Server 2016.
    fn major(&self) -> u8;
    /// Now.
    fn moment(&self) -> Moment;
    /// A new id.
    fn new_id(&mut self) -> Uuid;
    /// A database of this instance.
    fn database(&self, name: &str) -> Option<DatabaseFacts>;
    /// A login's security id.
    fn login_sid(&self, login: &str) -> Option<Vec<u8>>;
    /// The login of a security id.
    fn login_name(&self, sid: &[u8]) -> Option<String>;
    /// Makes a change on another instance.
    ///
    /// # Errors
    ///
    /// 32054 when the instance cannot be reached, or does not let this one in.
    fn on_monitor(&mut self, server: &str, change: MonitorChange) -> Result<(), SqlFailure>;
    /// Makes, or changes, the linked server of a monitor: with a SQL Server login and its password, or with
    /// Windows authentication.
    ///
    /// # Errors
    ///
    /// 32054 when the monitor cannot be reached, or does not let this server in; then the link is as before.
    fn link(&mut self, server: &str, login: Option<(String, String)>) -> Result<(), SqlFailure>;
}

/// Why a job runs; the digits of `run_requested_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunSource {
    /// A schedule.
    Schedule,
    /// The Agent started.
    Boot,
    /// `sp_start_job`.
    User,
}

impl RunSource {
    /// As `sysjobactivity.run_requested_source` shows it.
    pub fn digits(self) -> &'static str {
        match self {
            RunSource::Schedule => "1",
            RunSource::Boot => "3",
            RunSource::User => "4",
        }
    }
}

/// A request to run a job, not yet picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Which job.
    pub job: Uuid,
    /// First step; `None`: the job's start step.
    pub step: Option<i64>,
    /// Why.
    pub source: RunSource,
    /// By whom, for the messages: a login, or the schedule's id and name.
    pub by: String,
    /// When, local.
    pub at: DateTime,
}

/// A job that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// What asked for it.
    pub request: RunRequest,
    /// The step that runs, with its name.
    pub step: (i64, String),
    /// Attempts of that step after the first.
    pub retries: i64,
    /// Between two attempts.
    pub is_waiting_for_retry: bool,
}

/// SQL Server Agent's own memory, beside the tables.
#[derive(Debug, Clone, Default)]
pub struct AgentMemory {
    /// Whether the service runs.
    pub is_running: bool,
    /// Its row in `syssessions`.
    pub session_id: i32,
    /// Requests, oldest first.
    pub pending: VecDeque<RunRequest>,
    /// Jobs that run.
    pub running: BTreeMap<Uuid, RunningJob>,
    /// Last session number of each log shipping agent run, by agent id and type.
    pub log_shipping_sessions: BTreeMap<(Uuid, u8), i32>,
}

/// Every procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the procedure of its name")]
pub enum Procedure {
    // Log shipping.
    AddPrimaryDatabase,
    ChangePrimaryDatabase,
    DeletePrimaryDatabase,
    HelpPrimaryDatabase,
    AddPrimarySecondary,
    DeletePrimarySecondary,
    HelpPrimarySecondary,
    AddSecondaryPrimary,
    ChangeSecondaryPrimary,
    DeleteSecondaryPrimary,
    HelpSecondaryPrimary,
    AddSecondaryDatabase,
    ChangeSecondaryDatabase,
    DeleteSecondaryDatabase,
    HelpSecondaryDatabase,
    AddAlertJob,
    DeleteAlertJob,
    HelpAlertJob,
    HelpMonitor,
    HelpMonitorPrimary,
    HelpMonitorSecondary,
    RefreshMonitor,
    CleanupHistory,
    ProcessMonitorPrimary,
    ProcessMonitorSecondary,
    CheckMonitorAlert,
    // SQL Server Agent.
    StartJob,
    StopJob,
    UpdateJob,
    AddJob,
    AddJobstep,
    AddJobserver,
    AddSchedule,
    AttachSchedule,
    DeleteJob,
    AddJobschedule,
    UpdateSchedule,
    UpdateJobschedule,
    DetachSchedule,
    DeleteSchedule,
    DeleteJobstep,
    UpdateJobstep,
    DeleteJobserver,
    HelpJob,
    HelpJobactivity,
    HelpJobhistory,
    HelpJobstep,
    HelpSchedule,
    HelpJobschedule,
    PurgeJobhistory,
    AddCategory,
    DeleteBackuphistory,
    DeleteDatabaseBackuphistory,
    // The server around `msdb`.
    Who,
    Who2,
    Helpdb,
    Configure,
    Dirtree,
    Subdirs,
    Fileexist,
    CreateSubdir,
    DeleteFile,
    DeleteFiles,
    CopyFile,
    CopyFiles,
    Fixeddrives,
    Cmdshell,
    Servicecontrol,
    DbmAddMonitoring,
    DbmChangeMonitoring,
    DbmDropMonitoring,
    DbmHelpMonitoring,
    DbmUpdate,
    DbmResults,
}

/// Runs a procedure of log shipping, of the Agent or of backup history. `None` for a procedure that
/// is not about `msdb`: those belong to the server around it.
pub fn run(
    procedure: Procedure,
    msdb: &mut Msdb,
    around: &mut dyn Surroundings,
    arguments: Arguments<'_>,
) -> Option<Result<Outcome, SqlFailure>> {
    use Procedure as P;
    let a = arguments;
    if is_log_shipping(procedure) && !around.caller().is_sysadmin {
        return Some(Err(arguments::error(
            15247,
            "User does not have permission to perform this action.",
        )));
    }
    Some(match procedure {
        P::AddPrimaryDatabase => primary::add(msdb, around, a),
        P::ChangePrimaryDatabase => primary::change(msdb, around, a),
        P::DeletePrimaryDatabase => primary::delete(msdb, around, a),
        P::HelpPrimaryDatabase => primary::help(msdb, a),
        P::AddPrimarySecondary => primary::add_secondary(msdb, a),
        P::DeletePrimarySecondary => primary::delete_secondary(msdb, a),
        P::HelpPrimarySecondary => primary::help_secondary(msdb, a),
        P::AddSecondaryPrimary => secondary::add_primary(msdb, around, a),
        P::ChangeSecondaryPrimary => secondary::change_primary(msdb, around, a),
        P::DeleteSecondaryPrimary => secondary::delete_primary(msdb, around, a),
        P::HelpSecondaryPrimary => secondary::help_primary(msdb, a),
        P::AddSecondaryDatabase => secondary::add_database(msdb, around, a),
        P::ChangeSecondaryDatabase => secondary::change_database(msdb, around, a),
        P::DeleteSecondaryDatabase => secondary::delete_database(msdb, around, a),
        P::HelpSecondaryDatabase => secondary::help_database(msdb, a),
        P::AddAlertJob => monitor::add_alert_job(msdb, around),
        P::DeleteAlertJob => monitor::delete_alert_job(msdb),
        P::HelpAlertJob => Ok(Outcome::rows(msdb[MsdbTable::MonitorAlert].relation(u8::MAX))),
        P::HelpMonitor => Ok(monitor::help(msdb, around)),
        P::HelpMonitorPrimary => monitor::help_primary(msdb, a),
        P::HelpMonitorSecondary => monitor::help_secondary(msdb, a),
        P::RefreshMonitor => monitor::refresh(msdb, around, a),
        P::CleanupHistory => monitor::cleanup_history(msdb, around, a),
        P::ProcessMonitorPrimary => monitor::process_primary(msdb, around, a),
        P::ProcessMonitorSecondary => monitor::process_secondary(msdb, around, a),
        P::CheckMonitorAlert => monitor::check_alert(msdb, around),
        P::StartJob => jobs::start(msdb, around, a),
        P::StopJob => jobs::stop(msdb, around, a),
        P::UpdateJob => jobs::update(msdb, around, a),
        P::AddJob => jobs::add(msdb, around, a),
        P::AddJobstep => jobs::add_step(msdb, around, a),
        P::AddJobserver => jobs::add_server(msdb, around, a),
        P::DeleteJob => jobs::delete(msdb, around, a),
        P::DeleteJobstep => jobs::delete_step(msdb, around, a),
        P::UpdateJobstep => jobs::update_step(msdb, around, a),
        P::DeleteJobserver => jobs::delete_server(msdb, around, a),
        P::PurgeJobhistory => jobs::purge_history(msdb, around, a),
        P::AddCategory => jobs::add_category(msdb, a),
        P::AddSchedule => schedules::add(msdb, around, a),
        P::AttachSchedule => schedules::attach(msdb, around, a),
        P::AddJobschedule => schedules::add_to_job(msdb, around, a),
        P::UpdateSchedule => schedules::update(msdb, around, a),
        P::UpdateJobschedule => schedules::update_of_job(msdb, around, a),
        P::DetachSchedule => schedules::detach(msdb, around, a),
        P::DeleteSchedule => schedules::delete(msdb, around, a),
        P::HelpJob => job_help::job(msdb, around, a),
        P::HelpJobactivity => job_help::activity(msdb, around, a),
        P::HelpJobhistory => job_help::history(msdb, around, a),
        P::HelpJobstep => job_help::steps(msdb, around, a),
        P::HelpSchedule => job_help::schedules(msdb, a),
        P::HelpJobschedule => job_help::job_schedules(msdb, around, a),
        P::DeleteBackuphistory => backup_history::delete_older(msdb, around, a),
        P::DeleteDatabaseBackuphistory => backup_history::delete_database(msdb, around, a),
        P::DbmAddMonitoring => monitor::add_mirroring_monitor(msdb, around, a),
        P::DbmDropMonitoring => monitor::drop_mirroring_monitor(msdb, around),
        P::DbmHelpMonitoring => monitor::help_mirroring_monitor(msdb),
        P::DbmChangeMonitoring => monitor::change_mirroring_monitor(msdb, around, a),
        P::Who
        | P::Who2
        | P::Helpdb
        | P::Configure
        | P::Dirtree
        | P::Subdirs
        | P::Fileexist
        | P::CreateSubdir
        | P::DeleteFile
        | P::DeleteFiles
        | P::CopyFile
        | P::CopyFiles
        | P::Fixeddrives
        | P::Cmdshell
        | P::Servicecontrol
        | P::DbmUpdate
        | P::DbmResults => return None,
    })
}

fn is_log_shipping(procedure: Procedure) -> bool {
    // The variants are declared log shipping first.
    (procedure as u8) <= (Procedure::CheckMonitorAlert as u8)
}
