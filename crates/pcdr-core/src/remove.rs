//! Remove: log shipping of the topology's databases, and on request their mirroring.
//!
//! The order is the document's: every primary lets go of the secondary, the secondary lets go of its
//! primary, then the primaries' own entries go with their jobs. Each job is disabled and let to its end
//! before its entry goes, so that none is left to run. Databases, files, and the entries of others are
//! not touched. What cannot be reached is left to a person, by name, and needs a consent.

use crate::consent::Consent;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    InstanceObservation, Mirroring, MirroringRole, Monitored, RegisteredPrimary,
};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, DatabaseAction, LogShippingAction, Source, StepId};
use crate::topology::{Instance, Role, Topology};

/// Plans the removal of what there is of log shipping, and of mirroring if that is asked for.
///
/// From a state in which part of it was done already, the plan is the remainder; when nothing is left,
/// it has no steps.
///
/// # Errors
///
/// A [`Refusal`] when an instance does not say what it has and nobody consents to leave it.
pub fn plan(situation: &Situation<'_>, mirroring: bool) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation, mirroring);

    situation.require_a_fresh_observation()?;
    run.require_the_entries_of_every_instance()?;

    for database in situation.topology.databases() {
        run.database(database);
        run.take_the_secondary_off_the_primaries(); // a: sp_delete_log_shipping_primary_secondary
        run.remove_from_the_secondary(); // b: sp_delete_log_shipping_secondary_database
        run.remove_from_the_primaries(); // c: sp_delete_log_shipping_primary_database
        if mirroring {
            run.remove_mirroring(); // the former mirror stays RESTORING
        }
    }
    run.remove_alert_jobs(); // d: sp_delete_log_shipping_alert_job
    run.say_what_is_missing_now();
    run.draft.verify(situation)
}

const REMOVE: &str = "Remove Log Shipping (SQL Server)";
const STEP_A: Source =
    Source::new(REMOVE, "on the primary: delete the information about the secondary database");
const STEP_B: Source = Source::new(
    REMOVE,
    "on the secondary: delete the secondary database, with its copy and restore jobs",
);
const STEP_C: Source = Source::new(
    REMOVE,
    "on the primary: delete the information about log shipping, with its backup job",
);
const STEP_D: Source = Source::new(
    "sp_delete_log_shipping_alert_job (Transact-SQL)",
    "Remarks: where no database is monitored any more",
);
const STEP_JOBS: Source = Source::new(REMOVE, "disable the jobs, so that none is left to run");
const WITNESS_OFF: Source =
    Source::new("Remove the Witness from a Database Mirroring Session", "SET WITNESS OFF");
const PARTNER_OFF: Source = Source::new("Remove Database Mirroring", "SET PARTNER OFF");

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    draft: Draft,
    /// Instances that may have entries and do not say so.
    unreachable: Vec<&'a Instance>,
    /// Databases that a primary goes on shipping to others.
    still_shipped: Vec<&'a DatabaseName>,
    /// Instances on which an entry stays.
    kept: Vec<&'a InstanceName>,
    /// The database at hand.
    database: Option<&'a DatabaseName>,
    /// What the next stage of this database waits for. Databases go side by side.
    before: Vec<StepId>,
    /// The steps of this stage.
    stage: Vec<StepId>,
    /// The last steps of every database.
    ends: Vec<StepId>,
}

impl<'a> Runbook<'a> {
    fn start(situation: &'a Situation<'a>, mirroring: bool) -> Runbook<'a> {
        Runbook {
            situation,
            topology: situation.topology,
            draft: Draft::new(Intent::Remove { mirroring }, situation),
            unreachable: Vec::new(),
            still_shipped: Vec::new(),
            kept: Vec::new(),
            database: None,
            before: Vec::new(),
            stage: Vec::new(),
            ends: Vec::new(),
        }
    }

    // ---- requirements -------------------------------------------------------------------------

    /// Every instance that may have entries says which; the others are left to a person.
    fn require_the_entries_of_every_instance(&mut self) -> Result<(), Refusal> {
        let mut found = Vec::new();
        for instance in self.holding() {
            let Err(reason) = entries(self.situation, instance) else { continue };
            if instance.role == Role::SecondaryMirror {
                // No document gives it entries while it mirrors nothing.
                self.draft.note(format!("{} was not looked at: {reason}", instance.name));
                continue;
            }
            found.push(format!("{} does not tell its own: {reason}", instance.name));
            self.unreachable.push(instance);
        }
        if found.is_empty() {
            return Ok(());
        }
        if !self.situation.accepts(Consent::LeaveUnreachable) {
            return Err(Refusal::EntriesNotReachable { found });
        }
        self.draft.consent(Consent::LeaveUnreachable);
        for instance in &self.unreachable {
            self.draft.note(format!(
                "{} does not tell what log shipping it has: what may be there is listed, to be removed \
                 by hand when it is back",
                instance.name
            ));
        }
        Ok(())
    }

    // ---- steps --------------------------------------------------------------------------------

    fn database(&mut self, database: &'a DatabaseName) {
        self.database = Some(database);
        self.ends.append(&mut self.before);
        for instance in self.holding() {
            let Ok(seen) = entries(self.situation, instance) else { continue };
            let primary = seen.log_shipping_primary.known();
            let secondary = seen.log_shipping_secondary.known();
            let (primary, secondary) = (
                primary.is_some_and(|all| all.contains_key(database)),
                secondary.is_some_and(|all| all.contains_key(database)),
            );
            let name = format!("log shipping of {database} on {}", instance.name);
            self.draft.fact(name, format!("primary {primary}, secondary {secondary}"));
        }
    }

    /// Step a. Registrations of secondaries that are not the topology's stay.
    fn take_the_secondary_off_the_primaries(&mut self) {
        let database = self.current();
        for instance in self.holding() {
            if self.is_unreachable(instance) {
                let secondaries = self.holding().filter(|other| is_secondary_role(other.role));
                for secondary in secondaries.filter(|_| is_primary_role(instance.role)) {
                    let action = LogShippingAction::RemovePrimarySecondary {
                        secondary_server: secondary.server_name.clone(),
                        secondary_database: database.clone(),
                    };
                    self.leave(instance, action);
                }
                continue;
            }
            for (secondary_server, name) in self.registered(instance) {
                if !self.is_ours(&secondary_server, &name) {
                    continue;
                }
                let action = LogShippingAction::RemovePrimarySecondary {
                    secondary_server,
                    secondary_database: name.as_str().into(),
                };
                self.log_shipping(&instance.name, action, STEP_A);
            }
        }
        self.next_stage();
    }

    /// Step b, also for a registration that was never finished. The entry of a primary that is not the
    /// topology's stays.
    fn remove_from_the_secondary(&mut self) {
        let database = self.current();
        let mut to_remove: Vec<(InstanceName, LogShippingAction)> = Vec::new();
        for instance in self.holding() {
            if self.is_unreachable(instance) {
                if is_secondary_role(instance.role) {
                    self.leave(instance, LogShippingAction::HoldSecondaryJobs);
                    self.leave(instance, LogShippingAction::RemoveSecondary);
                }
                continue;
            }
            let Ok(seen) = entries(self.situation, instance) else { continue };
            let entry = seen.log_shipping_secondary.known().and_then(|all| all.get(database));
            match entry {
                Some(entry)
                    if self.is_ours(&entry.primary_server, entry.primary_database.as_str()) =>
                {
                    let hold = LogShippingAction::HoldSecondaryJobs;
                    self.log_shipping(&instance.name, hold, STEP_JOBS);
                    to_remove.push((instance.name.clone(), LogShippingAction::RemoveSecondary));
                }
                Some(entry) => {
                    self.kept.push(&instance.name);
                    self.draft.note(format!(
                        "{database} on {} is secondary of {}.{}, which is not in the topology: it stays \
                         so",
                        instance.name, entry.primary_server, entry.primary_database
                    ));
                }
                None => {}
            }
            for registered in seen.log_shipping_unfinished.known().into_iter().flatten() {
                let RegisteredPrimary { primary_server, primary_database } = registered;
                if primary_database == database
                    && self.is_ours(primary_server, primary_database.as_str())
                {
                    let primary_server = primary_server.clone();
                    let action = LogShippingAction::RemoveSecondaryPrimary { primary_server };
                    to_remove.push((instance.name.clone(), action));
                }
            }
        }
        self.next_stage();
        for (instance, action) in to_remove {
            self.log_shipping(&instance, action, STEP_B);
        }
        self.next_stage();
    }

    /// Steps c and d. An entry that ships to others too stays.
    fn remove_from_the_primaries(&mut self) {
        let database = self.current();
        for instance in self.holding() {
            if self.is_unreachable(instance) {
                if is_primary_role(instance.role) {
                    self.leave(instance, LogShippingAction::RemovePrimary);
                }
                continue;
            }
            let Ok(seen) = entries(self.situation, instance) else { continue };
            if !seen.log_shipping_primary.known().is_some_and(|all| all.contains_key(database)) {
                continue;
            }
            let registered = self.registered(instance);
            let other = registered.iter().find(|(server, name)| !self.is_ours(server, name));
            if let Some((server, name)) = other {
                self.draft.note(format!(
                    "{} also ships {database} to {server}.{name}, which is not in the topology: its \
                     entry and backup job stay",
                    instance.name
                ));
                self.still_shipped.push(database);
                self.kept.push(&instance.name);
                continue;
            }
            self.log_shipping(&instance.name, LogShippingAction::RemovePrimary, STEP_C);
        }
        self.next_stage();
    }

    /// Witness off, partner off; on the principal, or on its mirror where only that one answers.
    fn remove_mirroring(&mut self) {
        let database = self.current();
        let mut done: Vec<&str> = Vec::new();
        let mut partners: Vec<(&'a Instance, &'a Mirroring)> = self
            .holding()
            .filter_map(|instance| Some((instance, self.session(instance)?)))
            .collect();
        partners.sort_by_key(|(_, session)| session.role != MirroringRole::Principal);
        for (instance, session) in partners {
            let address = instance.mirroring_address();
            if done.iter().any(|other| other.eq_ignore_ascii_case(&address)) {
                continue; // its partner's session is this one
            }
            done.push(&session.partner_address);
            let is_principal = session.role == MirroringRole::Principal;
            if is_principal && session.witness_address.is_some() {
                self.mirroring(instance, DatabaseAction::RemoveWitness, WITNESS_OFF);
                self.next_stage();
            }
            self.mirroring(instance, DatabaseAction::RemoveMirroring, PARTNER_OFF);
            self.draft.note(format!(
                "the copy of {database} that was the mirror stays RESTORING and is not dropped; a partner \
                 that is away learns of the end when it is back"
            ));
        }
        self.next_stage();
    }

    /// Step d. The server itself keeps the job while anything is monitored there, and the procedures
    /// before may have removed it; what is left by now watches nothing.
    fn remove_alert_jobs(&mut self) {
        self.ends.append(&mut self.before);
        self.before = self.ends.clone();
        let watching = self.holding().chain(self.topology.role(Role::Monitor));
        for instance in watching.collect::<Vec<_>>() {
            let seen = self.situation.observation.instance(&instance.name);
            let Known::Known(seen) = seen else { continue };
            let (Known::Known(Some(_)), Known::Known(monitored)) =
                (&seen.alert_job, &seen.log_shipping_monitored)
            else {
                continue;
            };
            let watches_others = monitored.iter().any(|other| !self.will_be_gone(other));
            if watches_others || self.kept.contains(&&instance.name) {
                continue;
            }
            let database = self.topology.databases()[0].clone(); // the job belongs to none
            let action = LogShippingAction::RemoveAlertJob;
            self.step(Action::LogShipping(instance.name.clone(), database, action), STEP_D);
        }
        self.next_stage();
    }

    /// Whether something that an instance watches is of this topology, and goes with its entry.
    fn will_be_gone(&self, monitored: &Monitored) -> bool {
        let of = self.holding().find(|i| i.server_name.eq_ignore_ascii_case(&monitored.server));
        of.is_some_and(|instance| {
            let database = self.topology.databases().iter();
            let is_ours = database.clone().any(|database| database.as_str() == monitored.database);
            is_ours && !self.is_unreachable(instance) && !self.kept.contains(&&instance.name)
        })
    }

    fn say_what_is_missing_now(&mut self) {
        if self.draft.is_empty() {
            return;
        }
        for database in self.topology.databases() {
            if !self.still_shipped.contains(&database) {
                self.draft.note(format!(
                    "nothing ships the log of {database} any more: take log backups by other means, or \
                     it grows until its disk is full"
                ));
            }
        }
        self.draft.note(
            "databases, backup files and copied files stay; drop and delete them by hand when nobody \
             needs them",
        );
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn current(&self) -> &'a DatabaseName {
        self.database.expect("the runbook names its database before any step")
    }

    /// Instances that hold databases, and so may have entries of them.
    fn holding(&self) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let topology: &'a Topology = self.topology;
        topology.instances().filter(|instance| match instance.role {
            Role::Primary
            | Role::PrimaryMirror
            | Role::Secondary
            | Role::SecondaryMirror
            | Role::FurtherSecondary => true,
            Role::PrimaryWitness | Role::SecondaryWitness | Role::Monitor => false,
        })
    }

    fn is_unreachable(&self, instance: &Instance) -> bool {
        self.unreachable.iter().any(|other| other.name == instance.name)
    }

    /// Secondaries in the entry of the database at hand as primary.
    fn registered(&self, instance: &Instance) -> Vec<(String, String)> {
        let seen = entries(self.situation, instance).ok();
        let all = seen.and_then(|seen| seen.log_shipping_primary.known());
        all.and_then(|all| all.get(self.current()))
            .map(|entry| entry.secondaries.clone())
            .unwrap_or_default()
    }

    /// Whether a server and database in an entry are those of this topology.
    fn is_ours(&self, server: &str, database: &str) -> bool {
        database == self.current().as_str()
            && self.holding().any(|instance| instance.server_name.eq_ignore_ascii_case(server))
    }

    fn session(&self, instance: &Instance) -> Option<&'a Mirroring> {
        let copy = self.situation.observation.database(&instance.name, self.current());
        copy.known().copied().flatten()?.mirroring.known()?.as_ref()
    }

    fn log_shipping(&mut self, instance: &InstanceName, action: LogShippingAction, source: Source) {
        let action = Action::LogShipping(instance.clone(), self.current().clone(), action);
        self.step(action, source);
    }

    fn mirroring(&mut self, instance: &Instance, action: DatabaseAction, source: Source) {
        let action = Action::Database(instance.name.clone(), self.current().clone(), action);
        self.step(action, source);
    }

    fn step(&mut self, action: Action, source: Source) {
        let after = self.before.iter().copied();
        let step = self.draft.step(action, after, source, estimate::STATEMENT);
        self.stage.push(step);
    }

    fn leave(&mut self, instance: &Instance, action: LogShippingAction) {
        let database = self.current().clone();
        self.draft.leave(Action::LogShipping(instance.name.clone(), database, action));
    }

    /// The steps so far end before the next ones begin.
    fn next_stage(&mut self) {
        if !self.stage.is_empty() {
            self.before = std::mem::take(&mut self.stage);
        }
    }
}

/// An instance whose log shipping entries are all known, or why they are not.
fn entries<'a>(
    situation: &Situation<'a>,
    instance: &Instance,
) -> Result<&'a InstanceObservation, Reason> {
    let seen = match situation.observation.instance(&instance.name) {
        Known::Known(seen) => seen,
        Known::Unknown(reason) => return Err(reason),
    };
    let unknown = [
        seen.log_shipping_monitored.reason(),
        seen.log_shipping_primary.reason(),
        seen.log_shipping_secondary.reason(),
        seen.log_shipping_unfinished.reason(),
    ];
    match unknown.into_iter().flatten().next() {
        Some(reason) => Err(reason.clone()),
        None => Ok(seen),
    }
}

/// Whether configuring gives instances of this role an entry as log shipping primary.
fn is_primary_role(role: Role) -> bool {
    matches!(role, Role::Primary | Role::PrimaryMirror)
}

/// Whether configuring gives instances of this role an entry as log shipping secondary.
fn is_secondary_role(role: Role) -> bool {
    matches!(role, Role::Secondary | Role::FurtherSecondary)
}
