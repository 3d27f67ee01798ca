//! Configure: mirroring, log shipping for the primary, log shipping for its mirror.
//!
//! The order is that of the documents: mirror the primary, ship its log to the secondary, then, while
//! the mirror is principal, register it as a second log shipping primary without touching the
//! secondary. What is there already is left as it is.

use std::time::Duration;

use crate::estimate;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{DatabaseObservation, InstanceObservation};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{
    Action, DatabaseAction, LogShippingAction, PrimarySettings, SecondarySettings, Source, StepId,
};
use crate::topology::{Instance, Role, Topology};

/// Plans what is missing of the topology's protection.
///
/// # Errors
///
/// A [`Refusal`] when an instance cannot be observed or the primary does not serve.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation)?;

    for database in situation.topology.databases() {
        run.require_the_primary_online(database)?;
        run.database(database);
        run.set_up_endpoints();
        if run.needs_backups() {
            run.back_up();
        }
        run.mirror();
        run.ship_the_log();
        run.ship_the_log_of_the_mirror();
    }
    run.draft.verify(situation)
}

const MIRRORING: &str = "Deploy SQL mirroring for Back End Server high availability in Skype for \
                         Business Server 2015";
const CONFIGURE: &str = "Configure high availability and disaster recovery for Persistent Chat \
                         Server in Skype for Business Server 2015";

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    primary: &'a Instance,
    mirror: Option<&'a Instance>,
    witness: Option<&'a Instance>,
    secondary: &'a Instance,
    database: Option<&'a DatabaseName>,
    draft: Draft,
    /// The step before, so that the order is the documents'.
    last: Option<StepId>,
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
            secondary: topology.secondary(),
            database: None,
            draft: Draft::new(Intent::Configure, situation),
            last: None,
            backup_paths: None,
        })
    }

    // ---- requirements -------------------------------------------------------------------------

    fn require_the_primary_online(&mut self, database: &DatabaseName) -> Result<(), Refusal> {
        for instance in [Some(self.primary), self.mirror, self.witness, Some(self.secondary)] {
            let Some(instance) = instance else { continue };
            let seen = match self.situation.observation.instance(&instance.name) {
                Known::Known(seen) => seen,
                Known::Unknown(reason) => {
                    let instance = instance.name.clone();
                    return Err(Refusal::InstanceNotObserved { instance, reason });
                }
            };
            if let Known::Unknown(reason) = &seen.databases {
                let what = format!("the databases of {}", instance.name);
                return Err(Refusal::FactUnknown { what, reason: reason.clone() });
            }
        }
        let instance = self.primary.name.clone();
        match self.copy(self.primary, database) {
            Some(copy) if copy.is_writable() => Ok(()),
            Some(copy) => {
                let (database, found) = (database.clone(), copy.state);
                Err(Refusal::WrongDatabaseState { instance, database, found })
            }
            None => Err(Refusal::DatabaseMissing { instance, database: database.clone() }),
        }
    }

    fn database(&mut self, database: &'a DatabaseName) {
        self.database = Some(database);
        self.backup_paths = None;
        for instance in self.topology.instances() {
            let name = &instance.name;
            let state = self.copy(instance, database).map(|copy| copy.state);
            self.draft.fact(format!("{database} on {name}"), format!("{state:?}"));
        }
    }

    fn needs_backups(&self) -> bool {
        let needs = |instance: &Instance| self.copy(instance, self.current()).is_none();
        needs(self.secondary) || self.mirror.is_some_and(needs)
    }

    // ---- mirroring ----------------------------------------------------------------------------

    fn set_up_endpoints(&mut self) {
        let partners = [Some(self.primary), self.mirror, self.witness];
        let secondary_side =
            [Role::Secondary, Role::SecondaryMirror].map(|role| self.topology.role(role));
        let both_sites = partners.into_iter().chain(secondary_side).flatten();
        let instances: Vec<&Instance> = match (self.mirror, secondary_side[1]) {
            (None, None) => return,
            _ => both_sites.collect(),
        };
        for instance in &instances {
            let seen = self.situation.observation.instance(&instance.name);
            let endpoint = seen.known().and_then(|seen| seen.mirroring_endpoint.known()?.as_ref());
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
            self.on(&instance.name, action, source, estimate::STATEMENT);
        }
    }

    fn back_up(&mut self) {
        let database = self.current();
        let stamp: String = self
            .situation
            .files_named_after
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .take(14)
            .collect();
        // A database may be called anything; a file may not.
        let safe: String = database
            .as_str()
            .chars()
            .map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' })
            .take(80)
            .collect();
        let share = self.topology.backup_share();
        let full = share.path_of(&format!("{safe}_initial_{stamp}.bak"));
        let log = share.path_of(&format!("{safe}_initial_{stamp}.trn"));
        let source = Source::new(MIRRORING, "full backup and log backup of the primary");
        let primary = &self.primary.name;
        self.on(primary, DatabaseAction::SetRecoveryFull, source.clone(), estimate::STATEMENT);
        let action = DatabaseAction::BackUpDatabase { path: full.clone() };
        self.on(primary, action, source.clone(), UNKNOWN_SIZE);
        let action = DatabaseAction::BackUpLog { path: log.clone() };
        self.on(primary, action, source, UNKNOWN_SIZE);
        self.backup_paths = Some((full, log));
    }

    fn restore_to(&mut self, instance: &'a Instance, source: &Source) {
        if self.copy(instance, self.current()).is_some() {
            return;
        }
        let Some((full, log)) = self.backup_paths.clone() else { return };
        let data_directory = instance.data_directory.clone();
        let action = DatabaseAction::RestoreDatabase { path: full, data_directory };
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
        if self.copy(primary, self.current()).is_some_and(is_mirrored) {
            return;
        }
        let source =
            Source::new(MIRRORING, "restore on the mirror, mirror first, principal second");
        self.restore_to(mirror, &source);
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
        self.restore_to(self.secondary, &source);
        let primary_name = self.primary.name.clone();
        self.add_primary(self.primary, &source);
        if self.entry_on_secondary().is_none() {
            let settings = Box::new(self.secondary_settings());
            let action = LogShippingAction::AddSecondary(settings);
            let secondary = self.secondary.name.clone();
            self.ship(&secondary, action, source.clone());
        }
        self.register_secondary(&primary_name, self.primary, source);
    }

    fn ship_the_log_of_the_mirror(&mut self) {
        let Some(mirror) = self.mirror else { return };
        if self.is_primary_on(mirror) {
            return;
        }
        let section =
            "Set up SQL Server log shipping between the primary mirror and the secondary database";
        let source = Source::new(CONFIGURE, section);
        let (primary, mirror_name) = (self.primary.name.clone(), mirror.name.clone());
        let swap = DatabaseAction::FailOverMirror;
        let wait = DatabaseAction::AwaitSynchronized;
        // A log shipping primary can only be registered while the database is ONLINE there.
        self.on(&primary, swap.clone(), source.clone(), SWAP);
        self.on(&mirror_name, wait.clone(), source.clone(), SWAP);
        self.add_primary(mirror, &source);
        self.register_secondary(&mirror_name, mirror, source.clone());
        self.on(&mirror_name, swap, source.clone(), SWAP);
        self.on(&primary, wait, source, SWAP);
    }

    fn add_primary(&mut self, instance: &Instance, source: &Source) {
        if self.is_primary_on(instance) {
            return;
        }
        let database = self.current();
        let log_shipping = self.topology.log_shipping();
        let share = self.topology.backup_share().unc.clone();
        let local = log_shipping.backup_directory.clone();
        let settings = PrimarySettings {
            backup_directory: local.unwrap_or_else(|| share.clone()),
            backup_share: share,
            backup_job_name: job_name(&["LSBackup", database.as_str()]),
            backup_retention_minutes: log_shipping.backup_retention_minutes,
            backup_threshold_minutes: log_shipping.backup_threshold_minutes,
            history_retention_minutes: log_shipping.history_retention_minutes,
            schedule_name: job_name(&["LSBackupSchedule", database.as_str()]),
            every_seconds: seconds(log_shipping.backup_every),
        };
        let action = LogShippingAction::AddPrimary(Box::new(settings));
        self.ship(&instance.name, action, source.clone());
    }

    fn register_secondary(&mut self, on: &InstanceName, instance: &Instance, source: Source) {
        let server = &self.secondary.server_name;
        let database = self.current();
        let registered = self.primary_entry(instance).is_some_and(|entry| {
            entry
                .secondaries
                .iter()
                .any(|(s, d)| s.eq_ignore_ascii_case(server) && d == database.as_str())
        });
        if registered {
            return;
        }
        let action = LogShippingAction::AddPrimarySecondary {
            secondary_server: server.clone(),
            secondary_database: database.clone(),
        };
        self.ship(on, action, source);
    }

    fn secondary_settings(&self) -> SecondarySettings {
        let database = self.current();
        let log_shipping = self.topology.log_shipping();
        // The primary's name stays in the entry when mirroring fails over.
        let primary_server = self.primary.server_name.clone();
        let name = |kind: &str| job_name(&[kind, &primary_server, database.as_str()]);
        SecondarySettings {
            copy_job_name: name("LSCopy"),
            restore_job_name: name("LSRestore"),
            copy_schedule_name: name("LSCopySchedule"),
            restore_schedule_name: name("LSRestoreSchedule"),
            primary_database: database.clone(),
            backup_source_directory: self.topology.backup_share().unc.clone(),
            backup_destination_directory: self.topology.copy_share().unc.clone(),
            file_retention_minutes: log_shipping.file_retention_minutes,
            restore_delay_minutes: log_shipping.restore_delay_minutes,
            restore_threshold_minutes: log_shipping.restore_threshold_minutes,
            history_retention_minutes: log_shipping.history_retention_minutes,
            copy_every_seconds: seconds(log_shipping.copy_every),
            restore_every_seconds: seconds(log_shipping.restore_every),
            primary_server,
        }
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn current(&self) -> &'a DatabaseName {
        self.database.expect("the runbook names its database before any step")
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

    fn primary_entry(
        &self,
        instance: &Instance,
    ) -> Option<&'a crate::observation::LogShippingPrimary> {
        self.seen(instance)?.log_shipping_primary.known()?.get(self.current())
    }

    fn is_primary_on(&self, instance: &Instance) -> bool {
        self.primary_entry(instance).is_some()
    }

    fn entry_on_secondary(&self) -> Option<&'a crate::observation::LogShippingSecondary> {
        self.seen(self.secondary)?.log_shipping_secondary.known()?.get(self.current())
    }

    fn on(
        &mut self,
        instance: &InstanceName,
        action: DatabaseAction,
        source: Source,
        expected: Duration,
    ) {
        let action = Action::Database(instance.clone(), self.current().clone(), action);
        self.last = Some(self.draft.step(action, self.last, source, expected));
    }

    fn ship(&mut self, instance: &InstanceName, action: LogShippingAction, source: Source) {
        let action = Action::LogShipping(instance.clone(), self.current().clone(), action);
        self.last = Some(self.draft.step(action, self.last, source, estimate::STATEMENT));
    }
}

/// A backup whose size is not known when planning.
const UNKNOWN_SIZE: Duration = Duration::from_secs(30);
/// A manual mirroring failover with its resynchronisation.
const SWAP: Duration = Duration::from_secs(5);

/// Joins the parts of an Agent job's or schedule's name, at most 128 UTF-16 units (`sysname`).
fn job_name(parts: &[&str]) -> String {
    let name = parts.join("_");
    if name.encode_utf16().count() <= 128 {
        return name;
    }
    // Two long names must not collide: keep the beginning and tell the rest apart.
    let mut units = 0;
    let head: String = name
        .chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= 111
        })
        .collect();
    let hash = blake3::hash(name.as_bytes()).to_hex();
    format!("{head}_{}", &hash[..16])
}

fn seconds(every: Duration) -> u32 {
    u32::try_from(every.as_secs()).unwrap_or(u32::MAX)
}
