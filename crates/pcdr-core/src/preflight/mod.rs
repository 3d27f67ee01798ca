//! Checks before anything is done: what a command needs, and whether it is there.
//!
//! Each check passes, fails, or could not be made, and then says why: none is silently absent. What is
//! asked is decided here ([`question`]), somebody else asks it ([`Preflight`]), and what the answers mean
//! is decided here again ([`check`]).

mod checks;
mod space;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;

use crate::error::InstanceError;
use crate::failover::Side;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::Observation;
use crate::ports::Clock;
use crate::rights::{Command, Right, rights};
use crate::time::Timestamp;
use crate::topology::{Instance, Role, Topology};

/// What an instance is asked beside an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Databases whose files are asked for.
    pub databases: Vec<DatabaseName>,
    /// Rights of pcdr's login.
    pub rights: Vec<Right>,
    /// Folders that the instance's service account has to see, as the instance names them.
    pub folders: Vec<String>,
}

/// What an instance answers, in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its own clock, while it answered.
    pub now: Timestamp,
    /// Whether the login has each right that was asked for.
    pub rights: BTreeMap<Right, Known<bool>>,
    /// The services that it lists.
    pub services: Known<Vec<Service>>,
    /// The volumes on which any database has a file.
    pub volumes: Known<Vec<Volume>>,
    /// The files of the databases that were asked for.
    pub files: Known<Vec<File>>,
    /// Whether the service account sees each folder that was asked for.
    ///
    /// Source: the undocumented procedure `xp_fileexist`; unconfirmed.
    pub folders: BTreeMap<String, Known<bool>>,
}

/// A service of an instance.
///
/// Source: `sys.dm_server_services`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `servicename`.
    pub name: String,
    /// `service_account`.
    pub account: String,
}

impl Service {
    /// Whether it is the engine, not SQL Server Agent or another of its services.
    pub fn is_engine(&self) -> bool {
        self.name.starts_with("SQL Server (")
    }
}

/// A volume of an instance.
///
/// Source: `sys.dm_os_volume_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// `volume_mount_point`: the start of every path on it.
    pub mount_point: String,
    /// `total_bytes`.
    pub total_bytes: u64,
    /// `available_bytes`.
    pub available_bytes: u64,
}

/// A file of a database.
///
/// Source: `sys.master_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its database.
    pub database: DatabaseName,
    /// Whether `type` is LOG.
    pub is_log: bool,
    /// `physical_name`.
    pub path: String,
    /// `size`, which counts pages of 8 KiB.
    pub size_bytes: u64,
}

/// An answer, and between which times of the asking computer it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Before it was asked.
    pub asked_at: Timestamp,
    /// After it had answered.
    pub answered_at: Timestamp,
    /// What it said.
    pub answer: Answer,
}

/// Asks one instance.
///
/// # Contract
///
/// * `answer` changes nothing, and takes one batch on a connection that is open.
/// * What cannot be told is unknown with its reason, and hides nothing else.
#[async_trait]
pub trait Preflight: Send + Sync {
    /// Opens a connection, so that what is asked next takes one round trip.
    async fn connect(&self) -> Result<(), InstanceError>;

    /// Asks.
    async fn answer(&self, question: &Question) -> Result<Answer, InstanceError>;
}

/// Asks every instance side by side.
pub async fn ask(
    command: Command,
    topology: &Topology,
    instances: &BTreeMap<InstanceName, Arc<dyn Preflight>>,
    clock: &dyn Clock,
) -> BTreeMap<InstanceName, Known<Answered>> {
    let asked = topology.instances().map(|instance| async {
        let Some(port) = instances.get(&instance.name).map(Arc::clone) else {
            let none = Known::unknown("no_connection", "no way to reach it is configured");
            return (instance.name.clone(), none);
        };
        let question = question(command, topology, instance);
        let answered = async {
            port.connect().await?; // a login is no part of the round trip that the clocks are told by
            let asked_at = clock.now();
            let answer = port.answer(&question).await?;
            Ok::<_, InstanceError>(Answered { asked_at, answered_at: clock.now(), answer })
        };
        let known = match answered.await {
            Ok(answered) => Known::Known(answered),
            Err(error) => Known::Unknown(Reason::new(error.code.as_str(), error.to_string())),
        };
        (instance.name.clone(), known)
    });
    join_all(asked).await.into_iter().collect()
}

/// What an instance is asked for a command.
pub fn question(command: Command, topology: &Topology, instance: &Instance) -> Question {
    let needed = rights(command, topology).instances;
    let needed = needed.into_iter().find(|of| of.instance == instance.name);
    let mut asked: Vec<Right> =
        needed.into_iter().flat_map(|of| of.needs).map(|need| need.right).collect();
    if !asked.contains(&Right::SYSADMIN) {
        asked.push(Right::SYSADMIN); // who has it needs no other
    }
    Question {
        databases: topology.databases().to_vec(),
        rights: asked,
        folders: folders(command, topology, instance),
    }
}

/// The folders that a command uses from an instance.
fn folders(command: Command, topology: &Topology, instance: &Instance) -> Vec<String> {
    let share = &topology.backup_share().unc;
    let options = topology.log_shipping();
    let backups = || vec![options.backup_directory.clone().unwrap_or_else(|| share.clone())];
    let copies = || {
        let own = options.secondaries.iter().find(|own| own.instance == instance.name);
        let copies = own.and_then(|own| topology.share(&own.copy_share));
        let both = [Some(share.clone()), copies.map(|copies| copies.unc.clone())];
        both.into_iter().flatten().collect()
    };
    let role = instance.role;
    match command {
        Command::Configure => match role {
            Role::Primary | Role::PrimaryMirror => backups(),
            Role::Secondary | Role::FurtherSecondary => copies(),
            _ => Vec::new(),
        },
        Command::Drill => {
            let here = topology.drill().filter(|place| place.instance == instance.name);
            here.map(|place| place.directory.clone()).into_iter().collect()
        }
        Command::Failover if role == Role::Secondary => copies(),
        Command::PlannedFailover if role == Role::Secondary => copies(),
        // The tail of the log goes straight to the share, whatever folder the backup job has.
        Command::PlannedFailover | Command::Fence if Side::Primary.has(role) => vec![share.clone()],
        Command::Failback if Side::Backup.has(role) || role == Role::Primary => vec![share.clone()],
        _ => Vec::new(),
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// What is needed is there.
    Passed {
        /// What was found.
        found: String,
    },
    /// It is not there.
    Failed {
        /// What was needed.
        needed: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// Whether it is there is not known.
    NotChecked {
        /// Why.
        why: String,
    },
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, to branch on.
    pub code: &'static str,
    /// What was checked.
    pub subject: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Every code that a check may have.
pub const ALL_CODES: [&str; 14] = [
    "answers",
    "right",
    "agent",
    "edition",
    "release",
    "recovery_model",
    "service_account",
    "folder",
    "folder_written",
    "headers",
    "space",
    "clock",
    "endpoint",
    "endpoint_connection",
];

/// The checks of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceChecks {
    /// The instance.
    pub instance: InstanceName,
    /// Its role.
    pub role: Role,
    /// In the order in which they would be met.
    pub checks: Vec<Check>,
}

/// All checks before a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The command.
    pub command: Command,
    /// When the observation began.
    pub taken_at: Timestamp,
    /// Every instance of the topology, in its order.
    pub instances: Vec<InstanceChecks>,
}

impl Report {
    /// Every check with its instance.
    pub fn checks(&self) -> impl Iterator<Item = (&InstanceName, &Check)> {
        self.instances.iter().flat_map(|one| one.checks.iter().map(move |c| (&one.instance, c)))
    }

    /// How many passed, failed and could not be made.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.checks().fold((0, 0, 0), |(passed, failed, unknown), (_, check)| match check.outcome {
            Outcome::Passed { .. } => (passed + 1, failed, unknown),
            Outcome::Failed { .. } => (passed, failed + 1, unknown),
            Outcome::NotChecked { .. } => (passed, failed, unknown + 1),
        })
    }
}

/// Judges what was seen and what was answered.
pub fn check(
    command: Command,
    topology: &Topology,
    observation: &Observation,
    answers: &BTreeMap<InstanceName, Known<Answered>>,
) -> Report {
    let checks = checks::Checks { command, topology, observation, answers };
    Report {
        command,
        taken_at: observation.taken_at,
        instances: topology
            .instances()
            .map(|instance| InstanceChecks {
                instance: instance.name.clone(),
                role: instance.role,
                checks: checks.of(instance),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
