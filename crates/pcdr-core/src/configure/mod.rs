//! Configure: mirroring, log shipping for the primary, log shipping for its mirror.
//!
//! The order is that of the documents: mirror the primary, ship its log to every secondary, then,
//! while the mirror is principal, register it as a second log shipping primary without touching the
//! secondaries. What is there already and as designed is left as it is; what differs is changed in
//! place. Databases are configured side by side.

mod requirements;
mod seed;
pub mod take_back;

use std::time::Duration;

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

use seed::Seed;

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
        run.require_no_suspended_session()?;
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

    fn needs_backups(&self) -> bool {
        let needs = |instance: &Instance| match self.seed(instance) {
            Seed::Restore | Seed::RestoreAgain => true,
            Seed::GoOn { with_full, .. } => with_full,
            Seed::Ready | Seed::Behind(_) | Seed::LogOnly => false,
        };
        self.secondaries().any(|(_, instance)| needs(instance)) || self.partner().is_some_and(needs)
    }

    fn back_up(&mut self) {
        let full = self.backup_file("_initial", "bak");
        // Where others get the log already, it is named as log shipping names its own, so that its jobs
        // carry this one on too.
        let is_shipped = self.entry_of_primary(self.principal).is_some();
        let log = self.backup_file(if is_shipped { "" } else { "_initial" }, "trn");
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

    /// Brings the copy on an instance as far as it has to be: restored where it is missing, or on by the
    /// log that it lacks.
    fn bring_up(&mut self, instance: &'a Instance, source: &Source) {
        match self.seed(instance) {
            Seed::Ready => {}
            Seed::Restore | Seed::RestoreAgain => return self.restore(instance, source),
            Seed::Behind(chain) => {
                for (path, log) in chain {
                    let action = DatabaseAction::RestoreLog { path, log: Some(log) };
                    self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
                }
            }
            Seed::GoOn { path, .. } => {
                if self.backup_paths.is_none() {
                    self.back_up_log(path.clone(), source);
                }
                let action = DatabaseAction::RestoreLog { path, log: None };
                self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
                return;
            }
            Seed::LogOnly if self.backup_paths.is_none() => {
                // Named as log shipping names its own, so that its jobs carry this one on too.
                let path = self.backup_file("", "trn");
                self.back_up_log(path.clone(), source);
                let action = DatabaseAction::RestoreLog { path, log: None };
                self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
                return;
            }
            Seed::LogOnly => {}
        }
        // A backup of this run, for another copy, starts where the log backups before it end.
        if let Some((_, path)) = self.backup_paths.clone() {
            let action = DatabaseAction::RestoreLog { path, log: None };
            self.on(&instance.name, action, source.clone(), UNKNOWN_SIZE);
        }
    }

    fn back_up_log(&mut self, path: String, source: &Source) {
        let action = DatabaseAction::BackUpLog { path };
        let principal = &self.principal.name;
        self.on(principal, action, source.clone(), UNKNOWN_SIZE);
    }

    fn restore(&mut self, instance: &'a Instance, source: &Source) {
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
        let Some(partner) = self.partner() else { return };
        let principal = self.principal;
        let is_mirrored = |copy: &DatabaseObservation| {
            copy.mirroring.known().is_none_or(|session| session.is_some())
        };
        if self.copy(principal, self.current()).is_some_and(is_mirrored) {
            return self.witness_of_a_session();
        }
        let source =
            Source::new(MIRRORING, "restore on the mirror, mirror first, principal second");
        let waits = self.waits_for_its_principal(partner);
        // A run of the reviewed plan has given it that plan's log backup before it was told its principal.
        let has_the_log = self.backup_paths.is_none() || self.reviewed_log(partner).is_some();
        let is_ready = waits && has_the_log && self.seed(partner) == Seed::Ready;
        if waits && !is_ready {
            // The log went on without it: it takes log only while it waits for nobody.
            let off = DatabaseAction::RemoveMirroring;
            self.on(&partner.name, off, source.clone(), estimate::STATEMENT);
        }
        if !is_ready {
            self.bring_up(partner, &source);
            let to_principal =
                DatabaseAction::SetPartner { address: principal.mirroring_address() };
            self.on(&partner.name, to_principal, source.clone(), estimate::STATEMENT);
        }
        let to_partner = DatabaseAction::SetPartner { address: partner.mirroring_address() };
        self.on(&principal.name, to_partner, source.clone(), estimate::STATEMENT);
        let wait = DatabaseAction::AwaitSynchronized;
        self.on(&principal.name, wait, source.clone(), UNKNOWN_SIZE);
        if let Some(witness) = self.witness {
            let action = DatabaseAction::SetWitness { address: witness.mirroring_address() };
            self.on(&principal.name, action, source, estimate::STATEMENT);
        }
    }

    /// A session that has no witness gets the designed one; one that has another keeps it.
    fn witness_of_a_session(&mut self) {
        let principal = self.principal;
        let session = self.copy(principal, self.current());
        let session = session.and_then(|copy| copy.mirroring.known()?.as_ref());
        if let (Some(witness), Some(session)) = (self.witness, session)
            && session.witness_address.is_none()
        {
            let source = Source::new(MIRRORING, "the witness of the session");
            if session.state != MirroringState::Synchronized {
                let wait = DatabaseAction::AwaitSynchronized;
                self.on(&principal.name, wait, source.clone(), UNKNOWN_SIZE);
            }
            let action = DatabaseAction::SetWitness { address: witness.mirroring_address() };
            self.on(&principal.name, action, source, estimate::STATEMENT);
        }
    }

    // ---- log shipping -------------------------------------------------------------------------

    fn ship_the_log(&mut self) {
        let section = "Set up SQL Server log shipping for the primary database";
        let source = Source::new(CONFIGURE, section);
        let principal = self.principal;
        let targets: Vec<_> = self.secondaries().collect();
        for (_, instance) in &targets {
            match self.seed(instance) {
                Seed::Restore | Seed::RestoreAgain | Seed::GoOn { .. } => {
                    self.bring_up(instance, &source);
                }
                // Its jobs carry it on.
                Seed::Ready | Seed::Behind(_) | Seed::LogOnly => {}
            }
        }
        self.primary_entry_on(principal, &source);
        for (design, instance) in targets {
            self.secondary_entry_on(instance, design, &source);
        }
        self.register_secondaries(principal, &source);
    }

    fn ship_the_log_of_the_mirror(&mut self) {
        let Some(other) = self.partner() else { return };
        let section =
            "Set up SQL Server log shipping between the primary mirror and the secondary database";
        let source = Source::new(CONFIGURE, section);
        let principal = self.principal;
        if self.entry_of_primary(other).is_some() {
            self.primary_entry_on(other, &source);
            self.register_secondaries(other, &source);
            self.swap_back(other, &source);
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

    /// A run of the reviewed plan that died between its two swaps left the mirror as principal: the plan
    /// ends with the primary, so its next run does. To a new plan it is a mirror failover like any other.
    fn swap_back(&mut self, other: &Instance, source: &Source) {
        let mirror = self.principal;
        if mirror.name == self.primary.name {
            return;
        }
        let database = self.current();
        let swap = DatabaseAction::FailOverMirror;
        let back = Action::Database(mirror.name.clone(), database.clone(), swap.clone());
        let is_reviewed = self
            .situation
            .reviewed
            .is_some_and(|reviewed| reviewed.steps.iter().any(|step| step.action == back));
        if !is_reviewed {
            self.draft.note(format!(
                "{} is principal of {database}, not {}, which the topology names primary: plan a mirror \
                 failover if that is not meant",
                mirror.name, other.name
            ));
            return;
        }
        let wait = DatabaseAction::AwaitSynchronized;
        self.on(&mirror.name, wait.clone(), source.clone(), SWAP);
        self.on(&mirror.name, swap, source.clone(), SWAP);
        self.on(&other.name, wait, source.clone(), SWAP);
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

    /// The other of the primary and its mirror than the one that serves.
    fn partner(&self) -> Option<&'a Instance> {
        let mirror = self.mirror?;
        Some(if self.principal.name == mirror.name { self.primary } else { mirror })
    }

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
