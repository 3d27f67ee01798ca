//! Configure: mirroring, log shipping for the primary, log shipping for its mirror.
//!
//! The order is that of the documents: mirror the primary, ship its log to every secondary, then,
//! while the mirror is principal, register it as a second log shipping primary without touching the
//! secondaries. What is there already and as designed is left as it is; what differs is changed in
//! place. Databases are configured side by side.

mod left_behind;
mod requirements;

use std::time::Duration;

use self::left_behind::Between;
use crate::estimate::{self, SWAP};
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    DatabaseObservation, InstanceObservation, LogShippingPrimary, LogShippingSecondary,
    MirroringState,
};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::settings::{self, PrimarySettings, SecondarySettings, alert_job_differences};
use crate::step::{Action, DatabaseAction, LogShippingAction, Source, StepId};
use crate::topology::{Instance, Role, Secondary, Topology};

/// Plans what is missing of the topology's protection, and what differs from it.
///
/// # Errors
///
/// A [`Refusal`] when an instance cannot be observed, the primary does not serve, something must not
/// be touched, or SQL Server could not keep what was designed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation)?;

    run.require_every_instance_observed()?;
    run.require_versions_that_can_pair()?;
    run.require_sql_server_agent()?;
    run.set_up_endpoints();
    run.watch();

    for database in situation.topology.databases() {
        run.database(database)?;
        run.require_the_recovery_model_full()?;
        run.require_only_what_may_be_replaced()?;
        run.require_settings_that_can_change()?;
        if run.needs_backups() {
            run.back_up();
        }
        run.mirror();
        run.ship_the_log();
        run.ship_the_log_of_the_mirror(); // after a swap: a primary can only be added while ONLINE
    }
    run.draft.verify(situation)
}

const MIRRORING: &str = "Deploy SQL mirroring for Back End Server high availability in Skype for \
                         Business Server 2015";
const CONFIGURE: &str = "Configure high availability and disaster recovery for Persistent Chat \
                         Server in Skype for Business Server 2015";
const ALERTS: Source = Source::new("sp_add_log_shipping_alert_job (Transact-SQL)", "Remarks");
const CHANGE_PRIMARY: Source =
    Source::new("sp_change_log_shipping_primary_database (Transact-SQL)", "Remarks");
const CHANGE_SECONDARY: Source =
    Source::new("sp_change_log_shipping_secondary_database (Transact-SQL)", "Remarks");

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    /// Where the primary databases were designed to be.
    primary: &'a Instance,
    mirror: Option<&'a Instance>,
    witness: Option<&'a Instance>,
    database: Option<&'a DatabaseName>,
    /// Which of the primary and its mirror serves the database at hand.
    principal: &'a Instance,
    draft: Draft,
    /// What every database waits for: the endpoints.
    prepared: Vec<StepId>,
    /// The steps before the next one of this database, so that the order is the documents'.
    last: Vec<StepId>,
    backup_paths: Option<(String, String)>,
}

impl<'a> Runbook<'a> {
    fn start(situation: &'a Situation<'a>) -> Result<Runbook<'a>, Refusal> {
        let topology = situation.topology;
        Ok(Runbook {
            situation,
            topology,
            primary: topology.primary(),
            mirror: topology.role(Role::PrimaryMirror),
            witness: topology.role(Role::PrimaryWitness),
            database: None,
            principal: topology.primary(),
            draft: Draft::new(Intent::Configure, situation),
            prepared: Vec::new(),
            last: Vec::new(),
            backup_paths: None,
        })
    }

    /// Turns to a database, and to the instance that serves it.
    fn database(&mut self, database: &'a DatabaseName) -> Result<(), Refusal> {
        self.database = Some(database);
        self.backup_paths = None;
        self.last = self.prepared.clone();
        self.principal = self.require_a_principal(database)?;
        for instance in self.topology.instances() {
            let name = &instance.name;
            let state = self.copy(instance, database).map(|copy| copy.state);
            self.draft.fact(format!("{database} on {name}"), format!("{state:?}"));
        }
        Ok(())
    }

    // ---- before the databases -----------------------------------------------------------------

    fn set_up_endpoints(&mut self) {
        let secondary_mirror = self.topology.role(Role::SecondaryMirror);
        if self.mirror.is_none() && secondary_mirror.is_none() {
            return;
        }
        let primary_side = [Some(self.primary), self.mirror, self.witness];
        let secondary_side = [
            Some(self.topology.secondary()),
            secondary_mirror,
            self.topology.role(Role::SecondaryWitness),
        ];
        let instances: Vec<&Instance> =
            primary_side.into_iter().chain(secondary_side).flatten().collect();
        for instance in &instances {
            let seen = self.seen(instance);
            let endpoint = seen.and_then(|seen| seen.mirroring_endpoint.known()?.as_ref());
            if endpoint.is_some_and(|endpoint| endpoint.is_started) {
                continue;
            }
            let accounts = instances
                .iter()
                .filter(|other| other.name != instance.name && other.site == instance.site)
                .filter_map(|other| other.service_account.clone())
                .collect();
            let action = DatabaseAction::CreateMirroringEndpoint {
                name: self.topology.mirroring().endpoint_name.clone(),
                port: instance.mirroring_port,
                accounts,
            };
            let source = Source::new(MIRRORING, "mirroring endpoints on every SQL Server");
            // An endpoint belongs to no database; the first one stands for all.
            let action = Action::Database(
                instance.name.clone(),
                self.topology.databases()[0].clone(),
                action,
            );
            let step = self.draft.step(action, [], source, estimate::STATEMENT);
            self.prepared.push(step);
        }
    }

    /// Alerts are raised by the monitor, or by each side where there is none.
    fn watch(&mut self) {
        let further = self.secondaries().map(|(_, instance)| instance);
        let watchers: Vec<&Instance> = match self.topology.role(Role::Monitor) {
            Some(monitor) => vec![monitor],
            None => {
                [Some(self.primary), self.mirror].into_iter().flatten().chain(further).collect()
            }
        };
        let schedule = self.topology.log_shipping().alert_schedule;
        for instance in watchers {
            let job = self.seen(instance).and_then(|seen| seen.alert_job.known()?.as_ref());
            if job.is_some_and(|job| alert_job_differences(&schedule, job).is_empty()) {
                continue;
            }
            let action = Action::LogShipping(
                instance.name.clone(),
                self.topology.databases()[0].clone(),
                LogShippingAction::AddAlertJob { schedule },
            );
            let step = self.draft.step(action, [], ALERTS, estimate::STATEMENT);
            self.prepared.push(step);
        }
    }

    // ---- mirroring ----------------------------------------------------------------------------

    /// Where a copy has to be restored: it is missing, may be replaced, or was left behind.
    fn is_to_restore(&self, instance: &Instance) -> bool {
        match self.copy(instance, self.current()) {
            None => true,
            Some(copy) => self.replaces(instance, copy) || self.is_left_behind(instance, copy),
        }
    }

    fn needs_backups(&self) -> bool {
        let needs = |instance: &Instance| self.is_to_restore(instance);
        self.secondaries().any(|(_, instance)| needs(instance)) || self.mirror.is_some_and(needs)
    }

    fn back_up(&mut self) {
        let full = self.backup_file("_initial", "bak");
        let log = self.backup_file("_initial", "trn");
        let source = Source::new(MIRRORING, "full backup and log backup of the primary");
        let principal = &self.principal.name;
        if self.needs_recovery_full() {
            let action = DatabaseAction::SetRecoveryFull;
            self.on(principal, action, source.clone(), estimate::STATEMENT);
        }
        let action = DatabaseAction::BackUpDatabase { path: full.clone() };
        self.on(principal, action, source.clone(), UNKNOWN_SIZE);
        let action = DatabaseAction::BackUpLog { path: log.clone() };
        self.on(principal, action, source, UNKNOWN_SIZE);
        self.backup_paths = Some((full, log));
    }

    /// A new file in the backup share, named after the database and the time.
    fn backup_file(&self, what: &str, extension: &str) -> String {
        let name = self.situation.new_backup_file(self.current(), what, "", extension);
        self.topology.backup_share().path_of(&name)
    }

    /// A copy that waits for log, for example one that was the mirror before, needs the log up to a
    /// backup of the principal before it can be its mirror (again).
    ///
    /// Source: "Removing Database Mirroring".
    fn bring_up(&mut self, mirror: &'a Instance, source: &Source) {
        let copy = self.copy(mirror, self.current());
        if let Some(Between::LogBackups(between)) = copy.map(|copy| self.between(copy)) {
            for (file, log) in between {
                let path = self.topology.backup_share().path_of(&file);
                let action = DatabaseAction::RestoreLog { path, log: Some(log) };
                self.on(&mirror.name, action, source.clone(), UNKNOWN_SIZE);
            }
        }
        let path = match &self.backup_paths {
            Some((_, log)) => log.clone(),
            None => {
                // Named as log shipping names its own, so that its jobs carry this one on too.
                let path = self.backup_file("", "trn");
                let action = DatabaseAction::BackUpLog { path: path.clone() };
                let principal = &self.principal.name;
                self.on(principal, action, source.clone(), UNKNOWN_SIZE);
                path
            }
        };
        let action = DatabaseAction::RestoreLog { path, log: None };
        self.on(&mirror.name, action, source.clone(), UNKNOWN_SIZE);
    }

    fn restore_to(&mut self, instance: &'a Instance, source: &Source) {
        if !self.is_to_restore(instance) {
            return;
        }
        let Some((full, log)) = self.backup_paths.clone() else { return };
        let replaces_existing = self.copy(instance, self.current()).is_some();
        if replaces_existing {
            let action = DatabaseAction::EndSessions;
            self.on(&instance.name, action, source.clone(), estimate::STATEMENT);
        }
        let action = DatabaseAction::RestoreDatabase {
            path: full,
            data_directory: instance.data_directory.clone(),
            log_directory: instance.log_directory.clone(),
            replaces_existing,
        };
        self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
        let action = DatabaseAction::RestoreLog { path: log, log: None };
        self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
    }

    fn mirror(&mut self) {
        let Some(mirror) = self.mirror else { return };
        let primary = self.primary;
        let is_mirrored = |copy: &DatabaseObservation| {
            copy.mirroring.known().is_none_or(|session| session.is_some())
        };
        if self.copy(self.principal, self.current()).is_some_and(is_mirrored) {
            return;
        }
        let source =
            Source::new(MIRRORING, "restore on the mirror, mirror first, principal second");
        if self.is_to_restore(mirror) {
            self.restore_to(mirror, &source);
        } else {
            self.bring_up(mirror, &source);
        }
        let to_primary = DatabaseAction::SetPartner { address: primary.mirroring_address() };
        self.on(&mirror.name, to_primary, source.clone(), estimate::STATEMENT);
        let to_mirror = DatabaseAction::SetPartner { address: mirror.mirroring_address() };
        self.on(&primary.name, to_mirror, source.clone(), estimate::STATEMENT);
        let wait = DatabaseAction::AwaitSynchronized;
        self.on(&primary.name, wait, source.clone(), UNKNOWN_SIZE);
        if let Some(witness) = self.witness {
            let action = DatabaseAction::SetWitness { address: witness.mirroring_address() };
            self.on(&primary.name, action, source, estimate::STATEMENT);
        }
    }

    // ---- log shipping -------------------------------------------------------------------------

    fn ship_the_log(&mut self) {
        let section = "Set up SQL Server log shipping for the primary database";
        let source = Source::new(CONFIGURE, section);
        let principal = self.principal;
        let targets: Vec<_> = self.secondaries().collect();
        for (_, instance) in &targets {
            self.restore_to(instance, &source);
        }
        self.primary_entry_on(principal, &source);
        for (design, instance) in targets {
            self.secondary_entry_on(instance, design, &source);
        }
        self.register_secondaries(principal, &source);
    }

    fn ship_the_log_of_the_mirror(&mut self) {
        let Some(mirror) = self.mirror else { return };
        let section =
            "Set up SQL Server log shipping between the primary mirror and the secondary database";
        let source = Source::new(CONFIGURE, section);
        let principal = self.principal;
        let other = if principal.name == mirror.name { self.primary } else { mirror };
        if self.entry_of_primary(other).is_some() {
            self.primary_entry_on(other, &source);
            self.register_secondaries(other, &source);
            return;
        }
        let swap = DatabaseAction::FailOverMirror;
        let wait = DatabaseAction::AwaitSynchronized;
        if self.copy(principal, self.current()).is_some_and(is_catching_up) {
            self.on(&principal.name, wait.clone(), source.clone(), SWAP);
        }
        self.on(&principal.name, swap.clone(), source.clone(), SWAP);
        self.on(&other.name, wait.clone(), source.clone(), SWAP);
        self.primary_entry_on(other, &source);
        self.register_secondaries(other, &source);
        self.on(&other.name, swap, source.clone(), SWAP);
        self.on(&principal.name, wait, source, SWAP);
    }

    fn primary_entry_on(&mut self, instance: &Instance, source: &Source) {
        let settings = Box::new(PrimarySettings::of(self.topology, self.current()));
        let (action, source) = match self.entry_of_primary(instance) {
            None => (LogShippingAction::AddPrimary(settings), source.clone()),
            Some(entry) => {
                let changes = settings::primary_differences(&settings, entry);
                if changes.is_empty() {
                    return;
                }
                (LogShippingAction::ChangePrimary { settings, changes }, CHANGE_PRIMARY)
            }
        };
        self.ship(&instance.name, action, source);
    }

    fn secondary_entry_on(&mut self, instance: &Instance, design: &Secondary, source: &Source) {
        let settings = Box::new(SecondarySettings::of(self.topology, design, self.current()));
        let (action, source) = match self.entry_of_secondary(instance) {
            None => (LogShippingAction::AddSecondary(settings), source.clone()),
            Some(entry) => {
                let changes = settings::secondary_differences(&settings, entry);
                if changes.is_empty() {
                    return;
                }
                (LogShippingAction::ChangeSecondary { settings, changes }, CHANGE_SECONDARY)
            }
        };
        self.ship(&instance.name, action, source);
    }

    fn register_secondaries(&mut self, on: &Instance, source: &Source) {
        let database = self.current();
        let servers: Vec<String> =
            self.secondaries().map(|(_, instance)| instance.server_name.clone()).collect();
        for server in servers {
            let is_registered = self.entry_of_primary(on).is_some_and(|entry| {
                entry
                    .secondaries
                    .iter()
                    .any(|(s, d)| s.eq_ignore_ascii_case(&server) && d == database.as_str())
            });
            if is_registered {
                continue;
            }
            let action = LogShippingAction::AddPrimarySecondary {
                secondary_server: server,
                secondary_database: database.clone(),
            };
            self.ship(&on.name, action, source.clone());
        }
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn current(&self) -> &'a DatabaseName {
        self.database.expect("the runbook names its database before any step")
    }

    /// Every secondary with its design; the one that a failover goes to first.
    fn secondaries(&self) -> impl Iterator<Item = (&'a Secondary, &'a Instance)> + use<'a> {
        let topology = self.topology;
        let all = topology.log_shipping().secondaries.iter();
        all.filter_map(|design| Some((design, topology.instance(&design.instance)?)))
    }

    fn seen(&self, instance: &Instance) -> Option<&'a InstanceObservation> {
        self.situation.observation.instances.get(&instance.name).and_then(Known::known)
    }

    fn copy(
        &self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Option<&'a DatabaseObservation> {
        self.seen(instance)?.databases.known()?.get(database)
    }

    fn entry_of_primary(&self, instance: &Instance) -> Option<&'a LogShippingPrimary> {
        self.seen(instance)?.log_shipping_primary.known()?.get(self.current())
    }

    fn entry_of_secondary(&self, instance: &Instance) -> Option<&'a LogShippingSecondary> {
        self.seen(instance)?.log_shipping_secondary.known()?.get(self.current())
    }

    fn on(
        &mut self,
        instance: &InstanceName,
        action: DatabaseAction,
        source: Source,
        expected: Duration,
    ) {
        let action = Action::Database(instance.clone(), self.current().clone(), action);
        self.then(action, source, expected);
    }

    fn ship(&mut self, instance: &InstanceName, action: LogShippingAction, source: Source) {
        let action = Action::LogShipping(instance.clone(), self.current().clone(), action);
        self.then(action, source, estimate::STATEMENT);
    }

    fn then(&mut self, action: Action, source: Source, expected: Duration) {
        let step = self.draft.step(action, self.last.iter().copied(), source, expected);
        self.last = vec![step];
    }
}

/// Whether a copy is in a session that is not SYNCHRONIZED now.
fn is_catching_up(copy: &DatabaseObservation) -> bool {
    let session = copy.mirroring.known().and_then(Option::as_ref);
    session.is_some_and(|session| session.state != MirroringState::Synchronized)
}

/// A backup whose size is not known when planning.
const UNKNOWN_SIZE: Duration = Duration::from_secs(30);
