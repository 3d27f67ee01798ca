//! What has to hold before anything is configured.

use super::Runbook;
use crate::consent::Consent;
use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::{
    DatabaseObservation, DatabaseState, MirroringState, PoolState, RecoveryModel,
};
use crate::refusal::Refusal;
use crate::release;
use crate::settings::{self, Difference, Part, PrimarySettings, RestoreMode, SecondarySettings};
use crate::topology::{Initialise, Instance, Role};

/// The first major version that takes connection options: SQL Server 2025.
const CONNECTION_OPTIONS_SINCE: u32 = 17;

impl<'a> Runbook<'a> {
    /// Everything that a decision rests on is known: what exists must not be taken for missing.
    pub(super) fn require_every_instance_observed(&mut self) -> Result<(), Refusal> {
        for instance in self.topology.instances() {
            let seen = match self.situation.observation.instance(&instance.name) {
                Known::Known(seen) => seen,
                Known::Unknown(reason) => {
                    let instance = instance.name.clone();
                    return Err(Refusal::InstanceNotObserved { instance, reason });
                }
            };
            let unknown = [
                ("the databases", seen.databases.reason()),
                ("the log shipping primaries", seen.log_shipping_primary.reason()),
                ("the log shipping secondaries", seen.log_shipping_secondary.reason()),
                ("the alert job", seen.alert_job.reason()),
                ("the mirroring endpoint", seen.mirroring_endpoint.reason()),
            ];
            for (what, reason) in unknown {
                if let Some(reason) = reason {
                    let what = format!("{what} of {}", instance.name);
                    return Err(Refusal::FactUnknown { what, reason: reason.clone() });
                }
            }
        }
        Ok(())
    }

    /// Partners in mirroring run the same version and edition; a secondary may be newer, and readable
    /// only where it is not.
    ///
    /// Source: "Prerequisites, Restrictions, and Recommendations for Database Mirroring"; "About Log
    /// Shipping (SQL Server)".
    pub(super) fn require_versions_that_can_pair(&mut self) -> Result<(), Refusal> {
        let primary = self.primary;
        let cannot = |a: &Instance, b: &Instance, why: String| {
            Err(Refusal::CannotPair { one: a.name.clone(), other: b.name.clone(), why })
        };
        let Some(at) = self.seen(primary) else { return Ok(()) };
        if let Some(why) = release::cannot_ship(at) {
            return cannot(primary, primary, why);
        }
        for partner in [self.mirror, self.witness].into_iter().flatten() {
            let Some(seen) = self.seen(partner) else { continue };
            let is_witness = partner.role == Role::PrimaryWitness;
            if let Some(why) = release::cannot_mirror(at, seen, is_witness) {
                return cannot(primary, partner, why);
            }
        }
        for (design, instance) in self.secondaries() {
            let Some(seen) = self.seen(instance) else { continue };
            let is_standby = design.restore_mode == RestoreMode::Standby;
            let why = release::cannot_ship(seen);
            if let Some(why) = why.or_else(|| release::cannot_restore(at, seen, is_standby)) {
                return cannot(primary, instance, why);
            }
        }
        let options = self.topology.log_shipping();
        let has_options = [
            &options.primary_connection_options,
            &options.secondary_connection_options,
            &options.monitor_connection_options,
        ]
        .into_iter()
        .any(Option::is_some);
        for instance in self.topology.instances().filter(|_| has_options) {
            let Some(seen) = self.seen(instance) else { continue };
            if release::major(seen).is_some_and(|major| major < CONNECTION_OPTIONS_SINCE) {
                let why = format!(
                    "connection options of log shipping need SQL Server 2025, found {}",
                    seen.version
                );
                return cannot(primary, instance, why);
            }
        }
        Ok(())
    }

    /// Jobs run only while the Agent does. Where it cannot be asked, the operator is told.
    pub(super) fn require_sql_server_agent(&mut self) -> Result<(), Refusal> {
        let with_jobs = [Some(self.primary), self.mirror, self.topology.role(Role::Monitor)];
        let secondaries = self.secondaries().map(|(_, instance)| instance);
        for instance in with_jobs.into_iter().flatten().chain(secondaries) {
            let Some(seen) = self.seen(instance) else { continue };
            match &seen.agent_running {
                Known::Known(true) => {}
                Known::Known(false) => {
                    return Err(Refusal::AgentStopped { instance: instance.name.clone() });
                }
                Known::Unknown(reason) => self.draft.note(format!(
                    "Not checked: whether SQL Server Agent runs on {} ({reason}).",
                    instance.name
                )),
            }
        }
        Ok(())
    }

    /// The primary, or its mirror after a failover inside the site, serves the database.
    pub(super) fn require_a_principal(
        &self,
        database: &DatabaseName,
    ) -> Result<&'a Instance, Refusal> {
        let candidates = [Some(self.primary), self.mirror].into_iter().flatten();
        let serving = candidates.into_iter().find(|instance| {
            self.copy(instance, database).is_some_and(DatabaseObservation::is_writable)
        });
        if let Some(serving) = serving {
            return Ok(serving);
        }
        let instance = self.primary.name.clone();
        match self.copy(self.primary, database) {
            Some(copy) => {
                let (database, found) = (database.clone(), copy.state);
                Err(Refusal::PrimaryNotServing { instance, database, found })
            }
            None => Err(Refusal::DatabaseMissing { instance, database: database.clone() }),
        }
    }

    /// Whether the recovery model has to be changed: mirroring needs FULL, log shipping anything but
    /// SIMPLE.
    pub(super) fn needs_recovery_full(&self) -> bool {
        let model = self.copy(self.principal, self.current()).map(|copy| copy.recovery_model);
        match model {
            Some(RecoveryModel::Simple) => true,
            Some(RecoveryModel::BulkLogged) => self.mirror.is_some(),
            Some(RecoveryModel::Full) | None => false,
        }
    }

    /// A session that is SUSPENDED sends nothing and swaps nothing; whoever suspended it had a reason, or a
    /// partner met an error.
    ///
    /// Source: "Pausing and Resuming Database Mirroring (SQL Server)".
    pub(super) fn require_no_suspended_session(&self) -> Result<(), Refusal> {
        for instance in [Some(self.primary), self.mirror].into_iter().flatten() {
            let session = self.copy(instance, self.current());
            let session = session.and_then(|copy| copy.mirroring.known()?.as_ref());
            if session.is_some_and(|session| session.state == MirroringState::Suspended) {
                let (instance, database) = (instance.name.clone(), self.current().clone());
                return Err(Refusal::MirroringSuspended { instance, database });
            }
        }
        Ok(())
    }

    pub(super) fn require_the_recovery_model_full(&mut self) -> Result<(), Refusal> {
        if !self.needs_recovery_full() {
            return Ok(());
        }
        let found = self.copy(self.principal, self.current()).map(|copy| copy.recovery_model);
        if self.situation.accepts(Consent::SetRecoveryFull) {
            self.draft.consent(Consent::SetRecoveryFull);
            return Ok(());
        }
        Err(Refusal::RecoveryModelNotFull {
            instance: self.principal.name.clone(),
            database: self.current().clone(),
            found: found.unwrap_or(RecoveryModel::Simple),
        })
    }

    /// Whether what an instance holds under the database's name is to be replaced, which needs the
    /// operator's consent.
    pub(super) fn replaces(&self, instance: &Instance, copy: &DatabaseObservation) -> bool {
        let is_principal = instance.name == self.principal.name;
        let is_mirror = self.partner().is_some_and(|partner| partner.name == instance.name);
        let is_mirrored = is_mirror && copy.mirroring.known().is_some_and(Option::is_some);
        !is_principal && !is_mirrored && !self.can_go_on(copy)
    }

    /// Whether a copy is of this database and takes more log.
    fn can_go_on(&self, copy: &DatabaseObservation) -> bool {
        let family = |copy: &DatabaseObservation| copy.log_position.known().map(|at| at.family);
        let principal = self.copy(self.principal, self.current()).and_then(family);
        let is_same = match (principal, family(copy)) {
            (Some(principal), Some(other)) => principal == other,
            _ => true, // nothing known speaks against it; the restore itself would
        };
        is_same && copy.is_waiting_for_log()
    }

    /// A copy that takes no log, or is another database, is somebody's: it is never overwritten without
    /// a word. A missing one comes from a backup, unless somebody else restores it.
    pub(super) fn require_only_what_may_be_replaced(&mut self) -> Result<(), Refusal> {
        let database = self.current();
        let others = self.partner().into_iter().chain(self.secondaries().map(|(_, i)| i));
        let initialise = self.topology.log_shipping().initialise;
        for instance in others.collect::<Vec<_>>() {
            match self.copy(instance, database) {
                None if initialise == Initialise::AlreadyInitialised => {
                    let (instance, database) = (instance.name.clone(), database.clone());
                    return Err(Refusal::NotInitialised { instance, database });
                }
                Some(copy) if self.replaces(instance, copy) => {
                    self.require_the_pool_normal()?;
                    if !self.situation.accepts(Consent::ReplaceExistingDatabase) {
                        let holds = match (copy.state, self.can_go_on(copy)) {
                            (DatabaseState::Restoring, false) => "waiting for another's log".into(),
                            (state, _) => state.to_string(),
                        };
                        let (instance, database) = (instance.name.clone(), database.clone());
                        return Err(Refusal::DatabaseExists { instance, database, holds });
                    }
                    self.draft.consent(Consent::ReplaceExistingDatabase);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// While the pool is failed over, the secondary's copy is the one that serves: it must not be
    /// overwritten, and there is nothing to configure before the failback.
    fn require_the_pool_normal(&self) -> Result<(), Refusal> {
        let state = match &self.situation.observation.pool {
            None => return Ok(()),
            Some(Known::Known(pool)) => pool.state.as_ref(),
            Some(Known::Unknown(reason)) => Known::Unknown(reason.clone()),
        };
        match state {
            Known::Known(PoolState::Normal) => Ok(()),
            Known::Known(PoolState::FailedOver) => Err(Refusal::PoolFailedOver),
            Known::Unknown(reason) => {
                Err(Refusal::FactUnknown { what: "the pool state".to_owned(), reason })
            }
        }
    }

    /// The monitor is chosen when log shipping is set up and cannot be changed afterwards.
    ///
    /// Source: "sp_change_log_shipping_primary_database (Transact-SQL)", which has no monitor.
    pub(super) fn require_settings_that_can_change(&mut self) -> Result<(), Refusal> {
        let database = self.current();
        let refuse = |instance: &Instance, differences: Vec<Difference>| match differences
            .into_iter()
            .find(|difference| difference.of == Part::Monitor)
        {
            Some(difference) => Err(Refusal::SettingCannotChange {
                instance: instance.name.clone(),
                database: database.clone(),
                difference,
            }),
            None => Ok(()),
        };
        for instance in [Some(self.primary), self.mirror].into_iter().flatten() {
            if let Some(entry) = self.entry_of_primary(instance) {
                let wanted = PrimarySettings::of(self.topology, database);
                refuse(instance, settings::primary_differences(&wanted, entry))?;
            }
        }
        for (design, instance) in self.secondaries() {
            if let Some(entry) = self.entry_of_secondary(instance) {
                let wanted = SecondarySettings::of(self.topology, design, database);
                refuse(instance, settings::secondary_differences(&wanted, entry))?;
            }
        }
        Ok(())
    }
}
