//! Every reason for having no plan.
//!
//! A refusal is an answer: the same facts give it again. It says what was needed, what was found, what
//! to do next, and, where the documents or the operator may decide otherwise, which named consent
//! overrides it and at what price.

use serde::Serialize;

use crate::consent::Consent;
use crate::evidence::Evidence;
use crate::known::{Known, Reason};
use crate::lsn::{Guid, Lsn};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{DatabaseState, RecoveryModel};
use crate::settings::Difference;
use crate::step::StepId;
use crate::time::Timestamp;

/// The planner's reasoned "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the message of each variant names its fields")]
pub enum Refusal {
    /// The old primary still answers.
    #[error(
        "{instance} was needed to be lost, but it answers and holds {database} {found}: a disaster \
         failover would leave two copies that take writes"
    )]
    PrimaryAlive { instance: InstanceName, database: DatabaseName, found: String },

    /// The evidence does not prove that the primary site is lost.
    #[error("proof that the primary site is lost was needed, but {evidence}")]
    PrimaryLossNotProved { evidence: Evidence },

    /// The observation is too old to plan from.
    #[error(
        "an observation of the last {limit_seconds} s was needed, but it was taken at {taken_at}"
    )]
    ObservationTooOld { taken_at: Timestamp, limit_seconds: u64 },

    /// An instance that the procedure cannot do without did not answer.
    #[error("{instance} was needed, but it could not be observed: {reason}")]
    InstanceNotObserved { instance: InstanceName, reason: Reason },

    /// A fact that the procedure cannot do without is unknown.
    #[error("{what} was needed, but it is unknown: {reason}")]
    FactUnknown { what: String, reason: Reason },

    /// The secondary has no such database.
    #[error("{instance} was needed to hold {database}, but there is no such database")]
    DatabaseMissing { instance: InstanceName, database: DatabaseName },

    /// The secondary's copy cannot take log.
    #[error("{database} on {instance} was needed in RESTORING, but it is {found}")]
    WrongDatabaseState { instance: InstanceName, database: DatabaseName, found: DatabaseState },

    /// Two copies take writes at once.
    #[error("one copy of {database} was needed to take writes, but {one} and {other} both do")]
    TwoWritableCopies { database: DatabaseName, one: InstanceName, other: InstanceName },

    /// Log is missing between the copy and the tail.
    #[error(
        "the log of {database} on {instance} was needed to go on where the log backups end, at \
         {reaches}, but {}", found.map_or_else(
            || "it was never backed up".to_owned(),
            |found| format!("what no log backup holds begins at {found}"),
        )
    )]
    TailDoesNotFollow {
        instance: InstanceName,
        database: DatabaseName,
        reaches: Lsn,
        found: Option<Lsn>,
    },

    /// Nothing takes writes, and the log backups do not end with a tail.
    #[error(
        "{database} was needed ONLINE on {instance}, or a tail of its log, but no copy there takes \
         writes, and the log backups end at {reaches} without a tail"
    )]
    TailMissing { instance: InstanceName, database: DatabaseName, reaches: Lsn },

    /// Neither the primary nor its mirror serves the database.
    #[error(
        "{database} on {instance} was needed ONLINE, but it is {found}, and no mirror serves it"
    )]
    PrimaryNotServing { instance: InstanceName, database: DatabaseName, found: DatabaseState },

    /// The pool uses its backup databases.
    #[error(
        "the pool was needed Normal, but it is FailedOver: its backup database is the one that serves"
    )]
    PoolFailedOver,

    /// The pool uses its primary databases.
    #[error(
        "the pool was needed FailedOver, but it is Normal: its primary database is the one that serves"
    )]
    PoolNotFailedOver,

    /// Without a pool nothing tells which site's databases clients use.
    #[error(
        "the site whose databases serve was needed, but nothing tells it where there is no pool"
    )]
    ServingSiteNotKnown,

    /// Neither the secondary nor its mirror serves the database.
    #[error(
        "{database} on {instance} was needed ONLINE, but it is {found}: no backup database serves"
    )]
    BackupNotServing { instance: InstanceName, database: DatabaseName, found: DatabaseState },

    /// The recovery model keeps no log to ship.
    #[error("{database} on {instance} was needed in recovery model FULL, but it is in {found}")]
    RecoveryModelNotFull { instance: InstanceName, database: DatabaseName, found: RecoveryModel },

    /// A database of that name is there and takes no log of the primary.
    #[error(
        "{instance} was needed without a database {database} of its own, but it holds one that is {holds}"
    )]
    DatabaseExists { instance: InstanceName, database: DatabaseName, holds: String },

    /// The copy that somebody else restores is not there.
    #[error("{instance} was needed to hold {database} already restored, but there is none")]
    NotInitialised { instance: InstanceName, database: DatabaseName },

    /// Versions or editions do not go together.
    #[error("{one} and {other} were needed to go together, but {why}")]
    CannotPair { one: InstanceName, other: InstanceName, why: String },

    /// SQL Server Agent does not run.
    #[error("SQL Server Agent was needed running on {instance}, but it is stopped")]
    AgentStopped { instance: InstanceName },

    /// A setting that is fixed when log shipping is set up differs.
    #[error(
        "{} of {database} on {instance} was needed to be {}, but it is {}, and it cannot be changed in \
         place", difference.setting, difference.wanted, difference.found
    )]
    SettingCannotChange { instance: InstanceName, database: DatabaseName, difference: Difference },

    /// The secondary's copy was recovered before all log was restored.
    #[error(
        "{database} on {instance} was recovered at log position {recovered_at}, but log backups up \
         to {known_until} exist that were not restored into it"
    )]
    RecoveredTooEarly {
        instance: InstanceName,
        database: DatabaseName,
        recovered_at: Lsn,
        known_until: Lsn,
    },

    /// Log backups are missing between two positions.
    #[error(
        "{instance} needs log of {database} from {needed}, but the next log backup starts at {found}"
    )]
    LogChainGap {
        instance: InstanceName,
        database: DatabaseName,
        needed: Lsn,
        found: Lsn,
        next_file: String,
        lost_until: Lsn,
    },

    /// Log backups lead onto two recovery forks.
    #[error(
        "one history of {database} was needed, but log backups from {at} lead onto forks {one} and {other}"
    )]
    LogChainForked { database: DatabaseName, at: Lsn, one: Guid, other: Guid },

    /// A needed log backup is damaged.
    #[error(
        "log of {database} from {first} was needed, but {file} is damaged and no other file holds it"
    )]
    LogBackupDamaged { database: DatabaseName, first: Lsn, file: String },

    /// A log backup cannot be read, so what it holds is unknown.
    #[error("the header of {file} was needed, but it cannot be read: {reason}")]
    LogBackupUnreadable { database: DatabaseName, file: String, reason: Reason },

    /// Another file has the name that the copy of a needed log backup has to have.
    #[error(
        "{file} of {database} was needed in the copy destination, but another log backup has its \
         name there: {occupied_by}"
    )]
    CopyNameTaken { database: DatabaseName, file: String, occupied_by: String },

    /// The backup share cannot be read.
    #[error("the log backups of {database} in the backup share were needed, but: {reason}")]
    BackupShareUnreadable { database: DatabaseName, reason: Reason },

    /// The pool's configuration store cannot be written.
    #[error(
        "a Central Management store that takes changes was needed, but it has no master that answers"
    )]
    ConfigurationStoreNotWritable,

    /// The secondary's mirror cannot be set up.
    #[error("{instance} was needed as mirror of the new primary, but {found}")]
    MirrorNotAvailable { instance: InstanceName, found: String },

    /// No database is mirrored.
    #[error("a mirrored database was needed, but {found}")]
    NotMirrored { found: String },

    /// The mirroring session is not one that can swap without loss.
    #[error(
        "mirroring of {database} was needed SYNCHRONIZED with SAFETY FULL and both partners \
         connected, but {found}"
    )]
    MirrorNotSynchronized { database: DatabaseName, found: String },

    /// Somebody paused mirroring, or an error did.
    #[error("mirroring of {database} was needed going on, but on {instance} it is SUSPENDED")]
    MirroringSuspended { instance: InstanceName, database: DatabaseName },

    /// The principal cannot be reached, so it cannot hand over.
    #[error(
        "{principal} was needed to hand {database} over to {mirror}, but it cannot be reached, and \
         the mirror has lost it too: {reason}"
    )]
    PrincipalLost {
        principal: InstanceName,
        mirror: InstanceName,
        database: DatabaseName,
        /// Where the log on the mirror ends.
        end_of_log: Option<Lsn>,
        reason: Reason,
    },

    /// The documents do not let the mirror be forced into service in this state.
    #[error(
        "{mirror} was needed to serve {database} without its principal, but service cannot be \
         forced there: {found}"
    )]
    ServiceCannotBeForced { mirror: InstanceName, database: DatabaseName, found: String },

    /// The new principal would take no log backups.
    #[error(
        "{instance} was needed to go on shipping the log of {database} as the new principal, but \
         {found}"
    )]
    LogShippingWouldStop { instance: InstanceName, database: DatabaseName, found: String },

    /// The cmdlet cannot be used for this.
    #[error("Invoke-CsDatabaseFailover was needed for {database}, but {found}")]
    CmdletNotUsable { database: DatabaseName, found: String },

    /// Log shipping entries may be on instances that do not answer.
    #[error("the log shipping entries of every instance were needed, but {}", found.join("; "))]
    EntriesNotReachable { found: Vec<String> },

    /// The facts are not those that the plan was made from.
    #[error("the facts of the plan were needed unchanged, but {}", differences.join("; "))]
    FactsChanged { differences: Vec<String> },

    /// Taking back rests on what one run did, which no other can know.
    #[error("the run that failed was needed to take back what it created, but it has ended")]
    TakeBackNeedsItsRun,

    /// Nobody says where a drill restores to.
    #[error("an instance and a folder were needed for the copies of the drill, but none is named")]
    DrillPlaceMissing,

    /// A drill is to restore on an instance that is not in the topology.
    #[error("{instance} was needed in the topology, but it has no instance of that name")]
    DrillInstanceUnknown { instance: InstanceName },

    /// The folder for the copies of a drill is not there.
    #[error(
        "a folder {directory} was needed on {instance}, but its service account does not see one"
    )]
    DrillDirectoryMissing { instance: InstanceName, directory: String },

    /// A database that is not the drill's own has the name of its copy.
    #[error(
        "{instance} was needed without a database {copy}, but there is one that no drill made: {found}"
    )]
    DrillNameTaken { instance: InstanceName, copy: DatabaseName, found: String },

    /// No full backup of the database was found.
    #[error("a full backup of {database} was needed, but {found}")]
    FullBackupMissing { database: DatabaseName, found: String },

    /// After the full backup, log is missing.
    #[error(
        "the log of {database} was needed whole after its newest full backup, {full}, but {found}"
    )]
    DrillChainBroken { database: DatabaseName, full: String, found: String },

    /// The volume of the drill's folder has not the space.
    #[error(
        "{} MiB were needed for {directory} on {instance}, but {} MiB are free",
        needed_bytes.div_ceil(1 << 20), free_bytes >> 20
    )]
    SpaceMissing { instance: InstanceName, directory: String, needed_bytes: u64, free_bytes: u64 },

    /// Whether the volume of the drill's folder has the space is unknown.
    #[error(
        "the space for {directory} on {instance} was needed to be known, but it is not: {reason}"
    )]
    SpaceNotKnown { instance: InstanceName, directory: String, reason: Reason },

    /// The draft breaks an invariant when it is replayed on the model.
    #[error("step {step} ({action}) was needed to keep “{invariant}”, but {found}")]
    NotProvable { step: StepId, action: String, invariant: &'static str, found: String },
}

impl Refusal {
    /// A fact, where the procedure cannot do without it.
    ///
    /// # Errors
    ///
    /// [`Refusal::FactUnknown`], with the words for it.
    pub(crate) fn unless_known<T>(
        fact: &Known<T>,
        what: impl FnOnce() -> String,
    ) -> Result<&T, Refusal> {
        match fact {
            Known::Known(fact) => Ok(fact),
            Known::Unknown(reason) => {
                Err(Refusal::FactUnknown { what: what(), reason: reason.clone() })
            }
        }
    }

    /// Stable, to branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::PrimaryAlive { .. } => "primary_alive",
            Refusal::PrimaryLossNotProved { .. } => "primary_loss_not_proved",
            Refusal::ObservationTooOld { .. } => "observation_too_old",
            Refusal::InstanceNotObserved { .. } => "instance_not_observed",
            Refusal::FactUnknown { .. } => "fact_unknown",
            Refusal::DatabaseMissing { .. } => "database_missing",
            Refusal::WrongDatabaseState { .. } => "wrong_database_state",
            Refusal::TwoWritableCopies { .. } => "two_writable_copies",
            Refusal::TailDoesNotFollow { .. } => "tail_does_not_follow",
            Refusal::TailMissing { .. } => "tail_missing",
            Refusal::PrimaryNotServing { .. } => "primary_not_serving",
            Refusal::PoolFailedOver => "pool_failed_over",
            Refusal::PoolNotFailedOver => "pool_not_failed_over",
            Refusal::ServingSiteNotKnown => "serving_site_not_known",
            Refusal::BackupNotServing { .. } => "backup_not_serving",
            Refusal::RecoveryModelNotFull { .. } => "recovery_model_not_full",
            Refusal::DatabaseExists { .. } => "database_exists",
            Refusal::NotInitialised { .. } => "not_initialised",
            Refusal::CannotPair { .. } => "cannot_pair",
            Refusal::AgentStopped { .. } => "agent_stopped",
            Refusal::SettingCannotChange { .. } => "setting_cannot_change",
            Refusal::RecoveredTooEarly { .. } => "recovered_too_early",
            Refusal::LogChainGap { .. } => "log_chain_gap",
            Refusal::LogChainForked { .. } => "log_chain_forked",
            Refusal::LogBackupDamaged { .. } => "log_backup_damaged",
            Refusal::LogBackupUnreadable { .. } => "log_backup_unreadable",
            Refusal::CopyNameTaken { .. } => "copy_name_taken",
            Refusal::BackupShareUnreadable { .. } => "backup_share_unreadable",
            Refusal::ConfigurationStoreNotWritable => "configuration_store_not_writable",
            Refusal::MirrorNotAvailable { .. } => "mirror_not_available",
            Refusal::NotMirrored { .. } => "not_mirrored",
            Refusal::MirrorNotSynchronized { .. } => "mirror_not_synchronized",
            Refusal::MirroringSuspended { .. } => "mirroring_suspended",
            Refusal::PrincipalLost { .. } => "principal_lost",
            Refusal::ServiceCannotBeForced { .. } => "service_cannot_be_forced",
            Refusal::LogShippingWouldStop { .. } => "log_shipping_would_stop",
            Refusal::CmdletNotUsable { .. } => "cmdlet_not_usable",
            Refusal::EntriesNotReachable { .. } => "entries_not_reachable",
            Refusal::FactsChanged { .. } => "facts_changed",
            Refusal::TakeBackNeedsItsRun => "take_back_needs_its_run",
            Refusal::DrillPlaceMissing => "drill_place_missing",
            Refusal::DrillInstanceUnknown { .. } => "drill_instance_unknown",
            Refusal::DrillDirectoryMissing { .. } => "drill_directory_missing",
            Refusal::DrillNameTaken { .. } => "drill_name_taken",
            Refusal::FullBackupMissing { .. } => "full_backup_missing",
            Refusal::DrillChainBroken { .. } => "drill_chain_broken",
            Refusal::SpaceMissing { .. } => "space_missing",
            Refusal::SpaceNotKnown { .. } => "space_not_known",
            Refusal::NotProvable { .. } => "not_provable",
        }
    }

    /// What to do next.
    pub fn remedy(&self) -> String {
        match self {
            Refusal::PrimaryAlive { instance, .. } => format!(
                "If the primary site works, do not fail over. If only its mirroring principal is \
                 down, let mirroring fail over inside the site. If {instance} must be given up, stop \
                 its SQL Server service and observe again."
            ),
            Refusal::PrimaryLossNotProved { .. } => "Check the primary site by other means (people \
                there, out-of-band management, the network team). Wait until the backup threshold \
                has passed without a log backup, or give the consent."
                .into(),
            Refusal::ObservationTooOld { .. } => "Observe again and plan from that.".into(),
            Refusal::InstanceNotObserved { .. } | Refusal::FactUnknown { .. } => {
                "Repair what the reason names, then plan again.".into()
            }
            Refusal::DatabaseMissing { .. } => "Restore the newest full backup and every log backup \
                after it WITH NORECOVERY on this instance, then plan again."
                .into(),
            Refusal::WrongDatabaseState { .. } => "Bring the database to RESTORING (restore from a \
                full backup WITH NORECOVERY) or repair the instance, then plan again."
                .into(),
            Refusal::TwoWritableCopies { .. } => "Two histories exist. Stop the clients of one copy, \
                compare the newest records of both, and decide which counts; set the other OFFLINE \
                before anything else is done."
                .into(),
            Refusal::TailDoesNotFollow { .. } => "Find the log backups that are missing (other \
                backup tools take log backups, too) and put them into the backup share, or let log \
                shipping catch up; then plan again."
                .into(),
            Refusal::TailMissing { instance, .. } => format!(
                "Find out why {instance} does not serve. If a tail was taken, put its file into the \
                 backup share. If not, recover the database there (RESTORE DATABASE … WITH RECOVERY) \
                 and plan again. If the site is lost, plan a disaster failover."
            ),
            Refusal::PrimaryNotServing { .. } => "Repair the primary or bring it ONLINE. After a \
                failover to the other site there is nothing to configure before the failback."
                .into(),
            Refusal::PoolFailedOver => "Fail the pool back first.".into(),
            Refusal::PoolNotFailedOver => "Nothing has to be given back: the primary databases are \
                the ones that count. If they are not, finish the failover first."
                .into(),
            Refusal::ServingSiteNotKnown => "Find out which databases clients use. If it is the \
                secondary's, give the consent."
                .into(),
            Refusal::BackupNotServing { .. } => "Finish the failover first (pcdr apply with its plan), \
                or repair the backup database."
                .into(),
            Refusal::RecoveryModelNotFull { .. } => "Set the recovery model to FULL yourself, or give \
                the consent and pcdr does it before its first backup."
                .into(),
            Refusal::DatabaseExists { instance, database, .. } => format!(
                "Find out whose {database} on {instance} is and rename or drop it; or give the consent \
                 and it is overwritten."
            ),
            Refusal::NotInitialised { .. } => "Restore the newest full backup and every log backup \
                after it WITH NORECOVERY there, or write `initialise = \"full-backup\"` in \
                [log_shipping] and pcdr does it."
                .into(),
            Refusal::CannotPair { .. } => "Name instances whose versions and editions go together, \
                or upgrade one; then plan again."
                .into(),
            Refusal::AgentStopped { instance } => format!(
                "Start SQL Server Agent on {instance} and let it start by itself with the server."
            ),
            Refusal::SettingCannotChange { .. } => "Remove log shipping (pcdr plan remove), then \
                configure it again; or write what is there into the topology."
                .into(),
            Refusal::RecoveredTooEarly { .. } => "To save the log backups that were not restored, \
                restore a full backup and all log backups on another instance and compare; or give \
                the consent and lose them."
                .into(),
            Refusal::LogChainGap { needed, .. } => format!(
                "Find the log backup that starts at {needed} (backup share, old primary's disks, \
                 other backup tools' folders) and put it into the backup share; or give the consent \
                 and lose everything after the gap."
            ),
            Refusal::LogChainForked { .. } => "Two copies of the database took writes. Decide which \
                history counts, move the log backups of the other out of the folders, and plan again."
                .into(),
            Refusal::LogBackupDamaged { .. } => {
                "Copy the file again from where it was written, or find another copy of it.".into()
            }
            Refusal::LogBackupUnreadable { .. } => "If the file is still being written, wait. If it \
                is broken, copy it again from its source, or give the consent: whatever only this \
                file holds is lost."
                .into(),
            Refusal::CopyNameTaken { occupied_by, .. } => format!(
                "Find out whose {occupied_by} is and move it to another folder, then plan again: \
                 pcdr overwrites no backup."
            ),
            Refusal::BackupShareUnreadable { .. } => "Make the share reachable from here and from \
                the secondary, or give the consent: log backups that were not copied are lost."
                .into(),
            Refusal::ConfigurationStoreNotWritable => "Fail the Central Management store over first \
                (Invoke-CsManagementServerFailover), then plan again."
                .into(),
            Refusal::MirrorNotAvailable { .. } => "Repair the mirror instance, or give the consent \
                and set up its mirror later: until then the new primary has no protection."
                .into(),
            Refusal::NotMirrored { .. } => "Set mirroring up with `pcdr plan configure` or the \
                product's cmdlet, then plan again."
                .into(),
            Refusal::MirrorNotSynchronized { .. } => "Wait until the partners are connected and \
                synchronized. A SUSPENDED session goes on with SET PARTNER RESUME on its principal, \
                SAFETY OFF is changed with SET PARTNER SAFETY FULL; then plan again."
                .into(),
            Refusal::MirroringSuspended { .. } => "Find out why: the error logs of both partners tell. \
                Then SET PARTNER RESUME on the principal, or SET PARTNER OFF and pcdr mirrors it again; \
                then plan again."
                .into(),
            Refusal::PrincipalLost { principal, .. } => format!(
                "Repair {principal}; mirroring goes on by itself when it comes back. If it stays \
                 lost, make sure that it serves nobody (stop its SQL Server service, or cut it off), \
                 then give the consent."
            ),
            Refusal::ServiceCannotBeForced { .. } => "Connect the mirror to its witness again. If \
                the principal and the witness stay lost, SET PARTNER OFF on the mirror and RESTORE \
                DATABASE … WITH RECOVERY free its copy: the principal must never serve again then."
                .into(),
            Refusal::LogShippingWouldStop { .. } => "Let `pcdr plan configure` complete log shipping \
                of the mirror and plan again; or give the consent, and configure afterwards."
                .into(),
            Refusal::CmdletNotUsable { .. } => {
                "Plan the mirror failover by T-SQL, which needs no Management Shell.".into()
            }
            Refusal::EntriesNotReachable { .. } => "Repair the instances and plan again; or give the \
                consent, and carry out by hand, when they are back, what the plan then lists for them."
                .into(),
            Refusal::FactsChanged { .. } => {
                "Read the differences, make a new plan and review it.".into()
            }
            Refusal::TakeBackNeedsItsRun => "Let `pcdr configure` finish what that run began, or remove \
                it with `pcdr plan remove`."
                .into(),
            Refusal::DrillPlaceMissing => "Write `directory` into [drill] of the topology, or give \
                --directory: a folder on the instance with the space for the database."
                .into(),
            Refusal::DrillInstanceUnknown { .. } => {
                "Name an instance of the topology; without a name it is the secondary.".into()
            }
            Refusal::DrillDirectoryMissing { .. } => "Create the folder, and let the service account \
                of SQL Server write in it."
                .into(),
            Refusal::DrillNameTaken { .. } => "Find out whose it is and rename it: a drill drops \
                nothing but its own copy."
                .into(),
            Refusal::FullBackupMissing { .. } => "Put the file of a full backup (*.bak) into the backup \
                share, or take one there: it does not disturb log shipping."
                .into(),
            Refusal::DrillChainBroken { .. } => "Put the missing log backups into the backup share, or \
                take a new full backup there. Until then a lost copy of the secondary cannot be restored \
                from these backups."
                .into(),
            Refusal::SpaceMissing { .. } => {
                "Free space on the volume, or name a folder on another one.".into()
            }
            Refusal::SpaceNotKnown { .. } => "Name a folder on a drive of the instance, or give the \
                consent: a restore that finds no space fails, and leaves production alone."
                .into(),
            Refusal::NotProvable { .. } => {
                "This plan is not safe to carry out from the observed state. Report it with the \
                 observation; nothing was changed."
                    .into()
            }
        }
    }

    /// The consent that overrides this refusal, and its price.
    pub fn way_out(&self) -> Option<(Consent, String)> {
        let way_out = match self {
            Refusal::PrimaryLossNotProved { .. } => (
                Consent::PrimarySiteLost,
                "if the primary still serves, what it accepts from now on is lost".to_owned(),
            ),
            Refusal::RecoveryModelNotFull { .. } => {
                (Consent::SetRecoveryFull, "the log grows until it is backed up".to_owned())
            }
            Refusal::DatabaseExists { instance, database, .. } => (
                Consent::ReplaceExistingDatabase,
                format!("everything in {database} on {instance}"),
            ),
            Refusal::RecoveredTooEarly { recovered_at, known_until, .. } => (
                Consent::AcceptRecoveredCopy,
                format!("the records between log positions {recovered_at} and {known_until}"),
            ),
            Refusal::LogChainGap { needed, lost_until, .. } => (
                Consent::AcceptLogGap,
                format!("the records between log positions {needed} and {lost_until} and later"),
            ),
            Refusal::LogBackupDamaged { first, .. } => {
                (Consent::AcceptLogGap, format!("the records after log position {first}"))
            }
            Refusal::LogBackupUnreadable { file, .. } => {
                (Consent::IgnoreUnreadableLogBackups, format!("the records that only {file} holds"))
            }
            Refusal::BackupShareUnreadable { .. } => (
                Consent::BackupShareLost,
                "the records in log backups that were not copied".to_owned(),
            ),
            Refusal::MirrorNotAvailable { .. } => (
                Consent::WithoutMirror,
                "no protection of the new primary until a mirror is set up".to_owned(),
            ),
            Refusal::PrincipalLost { principal, end_of_log, .. } => {
                let from =
                    end_of_log.map_or(String::new(), |lsn| format!(" from log position {lsn} on"));
                let price = format!(
                    "the records{from} that {principal} had not sent yet; and if it still serves \
                     somebody, two copies take writes"
                );
                (Consent::ForceService, price)
            }
            Refusal::LogShippingWouldStop { database, .. } => (
                Consent::WithoutLogShipping,
                format!(
                    "no log backup of {database} is shipped until log shipping is configured: what is \
                     written meanwhile is lost with the site, and the log grows"
                ),
            ),
            Refusal::ServingSiteNotKnown => (
                Consent::SecondaryServes,
                "clients of the primary site's databases are cut off; what those accepted since the \
                 failover stays in a file"
                    .to_owned(),
            ),
            Refusal::SpaceNotKnown { directory, .. } => (
                Consent::SpaceUnknown,
                format!("the volume of {directory} may be full until the drill has ended"),
            ),
            Refusal::EntriesNotReachable { .. } => (
                Consent::LeaveUnreachable,
                "their entries and jobs stay, and their alerts fire, until somebody removes them"
                    .to_owned(),
            ),
            Refusal::PrimaryAlive { .. }
            | Refusal::NotMirrored { .. }
            | Refusal::MirrorNotSynchronized { .. }
            | Refusal::MirroringSuspended { .. }
            | Refusal::ServiceCannotBeForced { .. }
            | Refusal::CmdletNotUsable { .. }
            | Refusal::ObservationTooOld { .. }
            | Refusal::InstanceNotObserved { .. }
            | Refusal::FactUnknown { .. }
            | Refusal::DatabaseMissing { .. }
            | Refusal::WrongDatabaseState { .. }
            | Refusal::TwoWritableCopies { .. }
            | Refusal::TailDoesNotFollow { .. }
            | Refusal::TailMissing { .. }
            | Refusal::PrimaryNotServing { .. }
            | Refusal::PoolFailedOver
            | Refusal::PoolNotFailedOver
            | Refusal::BackupNotServing { .. }
            | Refusal::NotInitialised { .. }
            | Refusal::CannotPair { .. }
            | Refusal::AgentStopped { .. }
            | Refusal::SettingCannotChange { .. }
            | Refusal::LogChainForked { .. }
            | Refusal::CopyNameTaken { .. }
            | Refusal::ConfigurationStoreNotWritable
            | Refusal::FactsChanged { .. }
            | Refusal::TakeBackNeedsItsRun
            | Refusal::DrillPlaceMissing
            | Refusal::DrillInstanceUnknown { .. }
            | Refusal::DrillDirectoryMissing { .. }
            | Refusal::DrillNameTaken { .. }
            | Refusal::FullBackupMissing { .. }
            | Refusal::DrillChainBroken { .. }
            | Refusal::SpaceMissing { .. }
            | Refusal::NotProvable { .. } => return None,
        };
        Some(way_out)
    }
}
