//! The traits that adapters implement: what a run needs from the world, and nothing more.
//!
//! All are object safe and used from `Arc<dyn …>`. The contracts are held to account by
//! [`conformance`](crate::conformance): the in-memory mock, the stand-ins over the wire and real
//! servers all pass the same suite.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::backup::BackupFile;
use crate::drill::{Beside, BesideQuestion};
use crate::error::{ErrorCode, InstanceError};
use crate::journal::Entry;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{InstanceObservation, LogBackupFiles, PoolObservation};
use crate::step::{DatabaseAction, FileAction, LogShippingAction, PoolAction};
use crate::time::Timestamp;

/// Tells how far a long step is. Implementations must not block.
pub trait Progress: Send + Sync {
    /// `percent` is 0.0 to 100.0; `detail` is for people.
    fn report(&self, percent: f32, detail: &str);

    /// Whether the operator asked to stop. A step that can stop cleanly does so soon after this turns
    /// true, and fails with [`ErrorCode::Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// A [`Progress`] that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _percent: f32, _detail: &str) {}
}

/// What the clock says, and waiting by it. The core has neither of its own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// **Database roles**: what a run needs from one SQL Server instance.
///
/// # Contract
///
/// * `observe` changes nothing and costs one round trip. A section that cannot be read makes that
///   fact unknown and nothing else; only an instance that cannot be asked at all is an error.
/// * `run` of an action whose effect is already there succeeds.
/// * A failed `run` leaves the database as it was before or after the action, never between, or says
///   [`ErrorCode::ConnectionLost`]: then only an observation tells.
/// * Names are hostile: any text is a legal database name or path.
#[async_trait]
pub trait DatabaseInstance: Send + Sync {
    /// Its name in the topology.
    fn name(&self) -> &InstanceName;

    /// Observes the instance and these databases on it.
    async fn observe(
        &self,
        databases: &[DatabaseName],
    ) -> Result<InstanceObservation, InstanceError>;

    /// Looks at the place beside production where a [drill](crate::drill) restores to. Changes nothing.
    ///
    /// A port that does without it cannot be drilled on.
    async fn look_beside(&self, _question: &BesideQuestion) -> Result<Beside, InstanceError> {
        Err(InstanceError::new(
            ErrorCode::Server,
            self.name().as_str(),
            "the place of a drill had to be looked at",
            "this way to reach the instance does not do that",
            "Drill on an instance that pcdr reaches over SQL Server's own protocol.",
        ))
    }

    /// Carries out one action on a database.
    async fn run(
        &self,
        database: &DatabaseName,
        action: &DatabaseAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError>;
}

/// **Log shipping jobs** of one instance: its entries, its Agent jobs.
///
/// # Contract
///
/// * `run` of an action whose effect is already there succeeds; an entry that exists with other
///   settings is an error, never silently kept.
/// * Running a job waits for the end of *that* run and fails when the run failed.
/// * A configuration that fails half way takes back what this call created.
#[async_trait]
pub trait LogShippingJobs: Send + Sync {
    /// The instance's name in the topology.
    fn name(&self) -> &InstanceName;

    /// Carries out one action on the log shipping of a database.
    async fn run(
        &self,
        database: &DatabaseName,
        action: &LogShippingAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError>;
}

/// **Pool state**: what a run needs from the application around the databases.
///
/// # Contract
///
/// * `observe` changes nothing; what the application does not document is unknown.
/// * `run` of an action whose effect is already there succeeds.
/// * `run` returns when the change was accepted; whether it took effect is read back by observation.
#[async_trait]
pub trait PoolControl: Send + Sync {
    /// Observes the pool.
    async fn observe(&self) -> Result<PoolObservation, InstanceError>;

    /// Carries out one action on the pool.
    async fn run(&self, action: &PoolAction, progress: &dyn Progress) -> Result<(), InstanceError>;
}

/// **Backup files**: the backup share and the copy destination.
///
/// # Contract
///
/// * `list` finds every log backup of the database in both folders, with headers read by an instance
///   that will restore them. A folder that cannot be read is unknown, not empty; a file whose header
///   cannot be read is listed with an unknown header.
/// * A copy is complete and verified under its final name, or not there under that name at all.
#[async_trait]
pub trait BackupFiles: Send + Sync {
    /// Lists the log backup files of a database. `known` are files whose headers were read before:
    /// a file of the same path, size and time need not be read again.
    async fn list(
        &self,
        database: &DatabaseName,
        known: &[BackupFile],
    ) -> Result<LogBackupFiles, InstanceError>;

    /// Lists the full backups of a database (`*.bak`) in both folders, as [`BackupFiles::list`] does log
    /// backups; those in the copy destination first. A folder that cannot be read holds none; when neither
    /// can, the list is unknown.
    async fn list_full(
        &self,
        _database: &DatabaseName,
    ) -> Result<Known<Vec<BackupFile>>, InstanceError> {
        Ok(Known::unknown("not_supported", "this way to the folders lists no full backups"))
    }

    /// Carries out one action on files.
    async fn run(
        &self,
        database: &DatabaseName,
        action: &FileAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError>;
}

/// Who holds, or wants to hold, the right to change a topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// For people: user, host, process.
    pub who: String,
    /// The run that wants it.
    pub run: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (run {})", self.who, self.run)
    }
}

/// A held lock; dropping it releases it, and so does the death of its process.
pub trait RunLock: Send + Sync {}

/// **Run store**: the lock and the journal of runs.
///
/// # Contract
///
/// * At most one lock is held at a time; a second `lock` fails at once with
///   [`ErrorCode::Locked`] and names the holder. The lock of a process that
///   died is free.
/// * An appended entry is durable when `append` returns, and entries come back in the order appended.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Takes the lock.
    async fn lock(&self, owner: &Owner) -> Result<Box<dyn RunLock>, InstanceError>;

    /// Appends one entry.
    async fn append(&self, entry: &Entry) -> Result<(), InstanceError>;

    /// Every entry, oldest first.
    async fn entries(&self) -> Result<Vec<Entry>, InstanceError>;
}

/// Every port of one topology.
#[derive(Clone)]
pub struct Ports {
    /// By instance.
    pub instances: BTreeMap<InstanceName, Arc<dyn DatabaseInstance>>,
    /// By instance.
    pub jobs: BTreeMap<InstanceName, Arc<dyn LogShippingJobs>>,
    /// The application around the databases, if any.
    pub pool: Option<Arc<dyn PoolControl>>,
    /// The folders of log backups.
    pub files: Arc<dyn BackupFiles>,
    /// Lock and journal.
    pub store: Arc<dyn RunStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}
