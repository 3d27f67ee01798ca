//! Taking back: what a configuration created that failed half way goes, what was there before stays.
//!
//! The order is that of the documents for removing: every primary lets go of its secondary, the secondary
//! lets go of its primary, then the primaries' own entries go with their jobs; then mirroring, then the
//! copies that were restored for it, then what belongs to no database. Planned from three things: what
//! was there before the run, what is there now, and which steps the run began. Only what such a step
//! makes, that was not there before and is there now, is taken back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::estimate::{self, SWAP};
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    DatabaseObservation, InstanceObservation, Job, LogShippingPrimary, LogShippingSecondary,
    MirroringEndpoint, MirroringRole, Observation, RecoveryModel,
};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::settings::{
    Difference, PrimarySettings, SecondarySettings, alert_job_differences, only_schedule,
    primary_differences, secondary_differences,
};
use crate::step::{Action, DatabaseAction, LogShippingAction, Source, StepId};
use crate::topology::{Instance, Role, Topology};

/// What a run began before it failed.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// What was there when it began, seen under its lock.
    pub before: &'a Observation,
    /// The actions of the steps that it started, whether or not they succeeded.
    pub actions: &'a [Action],
}

/// Plans what is to be taken back. What is on an instance that does not answer now is left to a person,
/// in [`PlanContent::left_behind`](crate::plan::PlanContent::left_behind); when nothing is to be taken
/// back, there are no steps and nothing is left.
///
/// # Errors
///
/// A [`Refusal`] when the steps cannot be proved safe.
pub fn plan(situation: &Situation<'_>, begun: Begun<'_>) -> Result<Plan, Refusal> {
    draft(situation, begun).verify(situation)
}

/// What would be taken back, in order, proved or not: for a person, where [`plan`] refuses.
pub fn actions(situation: &Situation<'_>, begun: Begun<'_>) -> Vec<Action> {
    draft(situation, begun).into_actions()
}

fn draft<'a>(situation: &'a Situation<'a>, begun: Begun<'a>) -> Draft {
    let mut run = Runbook {
        situation,
        topology: situation.topology,
        begun,
        draft: Draft::new(Intent::TakeBack, situation),
        database: None,
        last: Vec::new(),
        ends: Vec::new(),
    };
    for database in situation.topology.databases() {
        run.database(database);
        run.registered_secondaries();
        run.secondary_entries();
        run.primary_entries();
        run.mirroring();
        run.copies();
        run.recovery_model();
    }
    run.last = run.ends.clone();
    run.alert_jobs();
    run.endpoints();
    run.draft
}

const REMOVE: Source =
    Source::new("Remove Log Shipping (SQL Server)", "what this run configured, in this order");
const CHANGE: Source =
    Source::new("sp_change_log_shipping_primary_database (Transact-SQL)", "Remarks");
const ALERTS: Source = Source::new("sp_delete_log_shipping_alert_job (Transact-SQL)", "Remarks");
const SWAP_BACK: Source =
    Source::new("Manually Fail Over a Database Mirroring Session (SQL Server)", "back");
const MIRRORING: Source = Source::new("Remove Database Mirroring", "witness off, partner off");
const DROP: Source = Source::new("DROP DATABASE (Transact-SQL)", "Remarks");
const RECOVERY: Source =
    Source::new("View or Change the Recovery Model of a Database (SQL Server)", "as it was");
const ENDPOINT: Source = Source::new("DROP ENDPOINT (Transact-SQL)", "Remarks");

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    begun: Begun<'a>,
    draft: Draft,
    database: Option<&'a DatabaseName>,
    /// The step before the next one of this database.
    last: Vec<StepId>,
    /// The last step of every database.
    ends: Vec<StepId>,
}

impl<'a> Runbook<'a> {
    fn database(&mut self, database: &'a DatabaseName) {
        self.database = Some(database);
        self.last.clear();
    }

    // ---- log shipping -------------------------------------------------------------------------

    fn registered_secondaries(&mut self) {
        for (instance, action) in self.log_shipping_begun() {
            let LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } =
                action
            else {
                continue;
            };
            let is_there = |entry: &LogShippingPrimary| {
                entry.secondaries.iter().any(|(server, database)| {
                    server.eq_ignore_ascii_case(secondary_server)
                        && database == secondary_database.as_str()
                })
            };
            if self.primary_before(instance).is_some_and(is_there) {
                continue;
            }
            let undo = LogShippingAction::RemovePrimarySecondary {
                secondary_server: secondary_server.clone(),
                secondary_database: secondary_database.clone(),
            };
            match self.now(instance) {
                Some(_) if self.primary_now(instance).is_some_and(is_there) => {
                    self.ship(instance, undo, REMOVE);
                }
                Some(_) => {}
                None => self.leave_shipping(instance, undo),
            }
        }
    }

    fn secondary_entries(&mut self) {
        for (instance, action) in self.log_shipping_begun() {
            match action {
                LogShippingAction::AddSecondary(settings) => {
                    self.added_secondary(instance, settings);
                }
                LogShippingAction::ChangeSecondary { settings, .. } => {
                    self.changed_secondary(instance, settings);
                }
                _ => {}
            }
        }
    }

    fn added_secondary(&mut self, instance: &InstanceName, settings: &SecondarySettings) {
        if self.secondary_before(instance).is_some() {
            return;
        }
        let Some(seen) = self.now(instance) else {
            self.leave_shipping(instance, LogShippingAction::HoldSecondaryJobs);
            self.leave_shipping(instance, LogShippingAction::RemoveSecondary);
            return;
        };
        if let Some(entry) = self.secondary_now(instance) {
            if !entry.primary_server.eq_ignore_ascii_case(&settings.primary_server) {
                self.draft.note(format!(
                    "{} on {instance} became secondary of {} meanwhile, which this run did not do: it \
                     stays so",
                    self.current(),
                    entry.primary_server
                ));
                return;
            }
            self.ship(instance, LogShippingAction::HoldSecondaryJobs, REMOVE);
            self.ship(instance, LogShippingAction::RemoveSecondary, REMOVE);
        }
        let is_unfinished = |seen: &InstanceObservation| {
            let mut all = seen.log_shipping_unfinished.known().into_iter().flatten();
            all.any(|registered| {
                registered.primary_database == settings.primary_database
                    && registered.primary_server.eq_ignore_ascii_case(&settings.primary_server)
            })
        };
        if is_unfinished(seen) && !self.before(instance).is_some_and(is_unfinished) {
            let primary_server = settings.primary_server.clone();
            let undo = LogShippingAction::RemoveSecondaryPrimary { primary_server };
            self.ship(instance, undo, REMOVE);
        }
    }

    fn changed_secondary(&mut self, instance: &InstanceName, settings: &SecondarySettings) {
        let Some(before) = self.secondary_before(instance) else { return };
        let back = settings.back_to(before);
        self.say_what_does_not_go_back(instance, secondary_differences(&back, before));
        let changes = match (self.now(instance), self.secondary_now(instance)) {
            (None, _) => secondary_differences(settings, before).into_iter().map(turned).collect(),
            (Some(_), Some(now)) => secondary_differences(&back, now),
            (Some(_), None) => return,
        };
        let is_needed = !changes.is_empty();
        let settings = Box::new(back);
        let undo = LogShippingAction::ChangeSecondary { settings, changes };
        match self.now(instance) {
            Some(_) if is_needed => self.ship(instance, undo, CHANGE),
            Some(_) => {}
            None => self.leave_shipping(instance, undo),
        }
    }

    fn primary_entries(&mut self) {
        for (instance, action) in self.log_shipping_begun() {
            match action {
                LogShippingAction::AddPrimary(_) => self.added_primary(instance),
                LogShippingAction::ChangePrimary { settings, .. } => {
                    self.changed_primary(instance, settings);
                }
                _ => {}
            }
        }
    }

    fn added_primary(&mut self, instance: &InstanceName) {
        if self.primary_before(instance).is_some() {
            return;
        }
        if self.now(instance).is_none() {
            self.leave_shipping(instance, LogShippingAction::RemovePrimary);
            return;
        }
        let Some(entry) = self.primary_now(instance) else { return };
        let is_ours = |server: &str, database: &str| {
            self.log_shipping_begun().any(|(at, action)| match action {
                LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
                    at == instance
                        && secondary_server.eq_ignore_ascii_case(server)
                        && secondary_database.as_str() == database
                }
                _ => false,
            })
        };
        let mut others = entry.secondaries.iter();
        if let Some((server, database)) = others.find(|(server, name)| !is_ours(server, name)) {
            self.draft.note(format!(
                "somebody registered {database} on {server} in the new entry of {} on {instance}: the \
                 entry stays",
                self.current()
            ));
            return;
        }
        self.ship(instance, LogShippingAction::RemovePrimary, REMOVE);
    }

    fn changed_primary(&mut self, instance: &InstanceName, settings: &PrimarySettings) {
        let Some(before) = self.primary_before(instance) else { return };
        let back = settings.back_to(before);
        self.say_what_does_not_go_back(instance, primary_differences(&back, before));
        let changes = match (self.now(instance), self.primary_now(instance)) {
            (None, _) => primary_differences(settings, before).into_iter().map(turned).collect(),
            (Some(_), Some(now)) => primary_differences(&back, now),
            (Some(_), None) => return,
        };
        let is_needed = !changes.is_empty();
        let settings = Box::new(back);
        let undo = LogShippingAction::ChangePrimary { settings, changes };
        match self.now(instance) {
            Some(_) if is_needed => self.ship(instance, undo, CHANGE),
            Some(_) => {}
            None => self.leave_shipping(instance, undo),
        }
    }

    /// A job that was disabled, or had schedules that log shipping's own settings cannot say.
    fn say_what_does_not_go_back(&mut self, instance: &InstanceName, differences: Vec<Difference>) {
        for Difference { setting, wanted, found, .. } in differences {
            self.draft.note(format!(
                "{setting} of {} on {instance} was {found}, is {wanted} and stays so: set it back by \
                 hand",
                self.current()
            ));
        }
    }

    // ---- mirroring ----------------------------------------------------------------------------

    /// The roles of before, then no session where there was none.
    fn mirroring(&mut self) {
        let Some(mirror) = self.topology.role(Role::PrimaryMirror) else { return };
        let partners = [self.topology.primary(), mirror];
        let began_session = self
            .begun_here()
            .any(|(_, action)| matches!(action, DatabaseAction::SetPartner { .. }));
        let watched = self
            .begun_here()
            .any(|(_, action)| matches!(action, DatabaseAction::SetWitness { .. }));
        let swapped =
            self.begun_here().any(|(_, action)| matches!(action, DatabaseAction::FailOverMirror));
        if !began_session && !swapped && !watched {
            return;
        }
        let writable_before = |instance: &&&Instance| {
            let copy = self.copy_before(&instance.name);
            copy.is_some_and(DatabaseObservation::is_writable)
        };
        let was_principal = partners.iter().find(writable_before).map(|instance| &instance.name);
        let is_principal = |instance: &&&Instance| {
            let copy = self.copy_now(&instance.name);
            copy.and_then(DatabaseObservation::mirroring_role) == Some(MirroringRole::Principal)
        };
        let principal = partners.iter().find(is_principal).map(|instance| instance.name.clone());
        let has_session = |instance: &&&Instance| {
            let copy = self.copy_now(&instance.name);
            copy.is_some_and(|copy| copy.mirroring.known().is_some_and(Option::is_some))
        };
        // A mirror that waits for its principal shows a session that the principal does not know of.
        let waiting = partners.iter().find(has_session).map(|instance| instance.name.clone());
        let mut holder = principal.clone().or(waiting);
        if let (Some(was), Some(is)) = (was_principal, &principal)
            && was != is
            && swapped
        {
            let wait = DatabaseAction::AwaitSynchronized;
            self.on(is, wait.clone(), SWAP_BACK, SWAP);
            self.on(is, DatabaseAction::FailOverMirror, SWAP_BACK, SWAP);
            self.on(was, wait, SWAP_BACK, SWAP);
            holder = Some(was.clone());
        }
        let was_mirrored = partners.iter().any(|instance| {
            let copy = self.copy_before(&instance.name);
            copy.is_some_and(|copy| copy.mirroring.known().is_some_and(Option::is_some))
        });
        let had_witness = partners.iter().any(|instance| {
            let copy = self.copy_before(&instance.name);
            let session = copy.and_then(|copy| copy.mirroring.known()?.as_ref());
            session.is_some_and(|session| session.witness_address.is_some())
        });
        if let Some(holder) = holder.as_ref().filter(|_| watched && !had_witness) {
            let session = principal.and_then(|at| self.copy_now(&at)?.mirroring.known()?.as_ref());
            if session.is_some_and(|session| session.witness_address.is_some()) {
                let off = DatabaseAction::RemoveWitness;
                self.on(holder, off, MIRRORING, estimate::STATEMENT);
            }
        }
        if !began_session || was_mirrored {
            return;
        }
        if let Some(holder) = holder {
            let off = DatabaseAction::RemoveMirroring;
            self.on(&holder, off, MIRRORING, estimate::STATEMENT);
        }
        // A partner that is away learns of the end when it is back, or is told.
        for partner in partners {
            if self.now(&partner.name).is_none() {
                self.leave_database(&partner.name, DatabaseAction::RemoveMirroring);
            }
        }
    }

    /// A copy that this run restored where there was none, and that nobody has recovered.
    fn copies(&mut self) {
        let restored: Vec<(&InstanceName, bool)> = self
            .begun_here()
            .filter_map(|(instance, action)| match action {
                DatabaseAction::RestoreDatabase { replaces_existing, .. } => {
                    Some((instance, *replaces_existing))
                }
                _ => None,
            })
            .collect();
        let database = self.current();
        for (instance, replaced) in restored {
            if self.now(instance).is_none() {
                if !replaced {
                    self.leave_database(instance, DatabaseAction::DropRestoring);
                }
                continue;
            }
            let Some(copy) = self.copy_now(instance) else { continue };
            if replaced || self.copy_before(instance).is_some() {
                self.draft.note(format!(
                    "the database {database} that was on {instance} before was replaced, as consented: \
                     the copy from the backup stays"
                ));
                continue;
            }
            if self.is_anothers(copy) {
                self.draft.note(format!(
                    "{database} on {instance} is of another family than the one that serves, so this run \
                     did not restore it: it stays"
                ));
                continue;
            }
            if !copy.is_waiting_for_log() || !self.is_served_elsewhere(instance) {
                self.draft.note(format!(
                    "the copy of {database} on {instance} is {} now: it is not dropped",
                    copy.state
                ));
                continue;
            }
            if copy.is_in_standby {
                self.on(instance, DatabaseAction::EndSessions, DROP, estimate::STATEMENT);
            }
            self.on(instance, DatabaseAction::DropRestoring, DROP, estimate::STATEMENT);
        }
    }

    /// Whether a copy is known to be of another family than the one that takes writes: somebody else
    /// restored it while this run was under way.
    fn is_anothers(&self, copy: &DatabaseObservation) -> bool {
        let family = |copy: &DatabaseObservation| copy.log_position.known().map(|at| at.family);
        let mut served = self.topology.instances().filter_map(|other| {
            let other = self.copy_now(&other.name).filter(|other| other.is_writable())?;
            family(other)
        });
        match (served.next(), family(copy)) {
            (Some(serving), Some(own)) => serving != own,
            _ => false,
        }
    }

    /// Whether a copy that is known takes writes on another instance.
    fn is_served_elsewhere(&self, than: &InstanceName) -> bool {
        self.topology
            .instances()
            .filter(|other| other.name != *than)
            .any(|other| self.copy_now(&other.name).is_some_and(DatabaseObservation::is_writable))
    }

    fn recovery_model(&mut self) {
        let set: Vec<&InstanceName> = self
            .begun_here()
            .filter(|(_, action)| matches!(action, DatabaseAction::SetRecoveryFull))
            .map(|(instance, _)| instance)
            .collect();
        for instance in set {
            let before = self.copy_before(instance).map(|copy| copy.recovery_model);
            let Some(model) = before.filter(|model| *model != RecoveryModel::Full) else {
                continue;
            };
            let back = DatabaseAction::SetRecoveryBack { model };
            match (self.now(instance), self.copy_now(instance)) {
                (None, _) => self.leave_database(instance, back),
                (Some(_), Some(copy)) if copy.recovery_model == RecoveryModel::Full => {
                    self.on(instance, back, RECOVERY, estimate::STATEMENT);
                }
                _ => {}
            }
        }
    }

    // ---- what belongs to no database -----------------------------------------------------------

    /// The server itself removes the alert job with the last entry, also one that was there before.
    fn alert_jobs(&mut self) {
        let mut at: Vec<&'a InstanceName> = Vec::new();
        for action in self.begun.actions {
            if let Action::LogShipping(instance, ..) = action
                && !at.contains(&instance)
            {
                at.push(instance);
            }
        }
        for instance in at {
            let began = self.begun.actions.iter().any(|action| {
                matches!(action, Action::LogShipping(on, _, LogShippingAction::AddAlertJob { .. })
                    if on == instance)
            });
            let before = self.before(instance).and_then(|seen| seen.alert_job.known());
            let now = self.now(instance).map(|seen| &seen.alert_job);
            match (before, now) {
                (Some(None), None) if began => {
                    self.leave_shipping_of_none(instance, LogShippingAction::RemoveAlertJob);
                }
                (Some(None), Some(Known::Known(Some(_))))
                    if began && self.watched_before(instance) =>
                {
                    self.draft.note(format!(
                        "the alert job on {instance} stays: the server keeps it while log shipping is \
                         monitored there, as it was before"
                    ));
                }
                (Some(None), Some(Known::Known(Some(_)))) if began => {
                    self.ship_of_none(instance, LogShippingAction::RemoveAlertJob, ALERTS);
                }
                (Some(Some(job)), Some(Known::Known(now))) => {
                    self.alert_job_back(instance, job, now.as_ref());
                }
                _ => {}
            }
        }
    }

    /// Whether something was monitored on an instance before the run.
    fn watched_before(&self, instance: &InstanceName) -> bool {
        self.before(instance).is_some_and(|seen| {
            let some = |known: Option<bool>| known.is_none_or(|is_empty| !is_empty);
            some(seen.log_shipping_monitored.known().map(Vec::is_empty))
                || some(seen.log_shipping_primary.known().map(BTreeMap::is_empty))
                || some(seen.log_shipping_secondary.known().map(BTreeMap::is_empty))
        })
    }

    fn alert_job_back(&mut self, instance: &InstanceName, before: &Job, now: Option<&Job>) {
        let schedule = only_schedule(&Known::Known(before.clone())).filter(|_| before.is_enabled);
        match (schedule, now) {
            (Some(schedule), now) => {
                let is_back =
                    now.is_some_and(|job| alert_job_differences(&schedule, job).is_empty());
                if !is_back {
                    let again = LogShippingAction::AddAlertJob { schedule };
                    self.ship_of_none(instance, again, ALERTS);
                }
            }
            (None, Some(now)) if now.schedules == before.schedules && !before.is_enabled => {}
            (None, _) => self.draft.note(format!(
                "the alert job on {instance} was disabled or had a schedule of another kind: set it \
                 back by hand"
            )),
        }
    }

    fn endpoints(&mut self) {
        for action in self.begun.actions {
            let Action::Database(
                instance,
                database,
                DatabaseAction::CreateMirroringEndpoint { name, .. },
            ) = action
            else {
                continue;
            };
            let before = self.before(instance).and_then(|seen| seen.mirroring_endpoint.known());
            let Some(before) = before else { continue };
            let undo = |name: &str| match before {
                None => DatabaseAction::DropMirroringEndpoint { name: name.to_owned() },
                Some(_) => DatabaseAction::StopMirroringEndpoint { name: name.to_owned() },
            };
            let Some(seen) = self.now(instance) else {
                let undo = Action::Database(instance.clone(), database.clone(), undo(name));
                self.draft.leave(undo);
                continue;
            };
            let Known::Known(Some(now)) = &seen.mirroring_endpoint else { continue };
            if is_as_before(before.as_ref(), now) {
                continue;
            }
            let action = Action::Database(instance.clone(), database.clone(), undo(&now.name));
            // Side by side: one that is still in use keeps no other from going.
            self.draft.step(action, self.last.iter().copied(), ENDPOINT, estimate::STATEMENT);
        }
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn current(&self) -> &'a DatabaseName {
        self.database.expect("the runbook names its database before any step")
    }

    fn now(&self, instance: &InstanceName) -> Option<&'a InstanceObservation> {
        let seen = self.situation.observation.instances.get(instance).and_then(Known::known)?;
        let is_whole = seen.databases.known().is_some()
            && seen.log_shipping_primary.known().is_some()
            && seen.log_shipping_secondary.known().is_some();
        is_whole.then_some(seen)
    }

    fn before(&self, instance: &InstanceName) -> Option<&'a InstanceObservation> {
        self.begun.before.instances.get(instance).and_then(Known::known)
    }

    fn copy_now(&self, instance: &InstanceName) -> Option<&'a DatabaseObservation> {
        self.now(instance)?.databases.known()?.get(self.current())
    }

    fn copy_before(&self, instance: &InstanceName) -> Option<&'a DatabaseObservation> {
        self.before(instance)?.databases.known()?.get(self.current())
    }

    fn primary_now(&self, instance: &InstanceName) -> Option<&'a LogShippingPrimary> {
        self.now(instance)?.log_shipping_primary.known()?.get(self.current())
    }

    fn primary_before(&self, instance: &InstanceName) -> Option<&'a LogShippingPrimary> {
        self.before(instance)?.log_shipping_primary.known()?.get(self.current())
    }

    fn secondary_now(&self, instance: &InstanceName) -> Option<&'a LogShippingSecondary> {
        self.now(instance)?.log_shipping_secondary.known()?.get(self.current())
    }

    fn secondary_before(&self, instance: &InstanceName) -> Option<&'a LogShippingSecondary> {
        self.before(instance)?.log_shipping_secondary.known()?.get(self.current())
    }

    /// What was begun of the log shipping of the database at hand, newest first.
    fn log_shipping_begun(
        &self,
    ) -> impl Iterator<Item = (&'a InstanceName, &'a LogShippingAction)> + use<'a> {
        let database = self.current();
        self.begun.actions.iter().rev().filter_map(move |action| match action {
            Action::LogShipping(instance, of, action) if of == database => Some((instance, action)),
            _ => None,
        })
    }

    /// What was begun on the database at hand, newest first.
    fn begun_here(&self) -> impl Iterator<Item = (&'a InstanceName, &'a DatabaseAction)> + use<'a> {
        let database = self.current();
        self.begun.actions.iter().rev().filter_map(move |action| match action {
            Action::Database(instance, of, action) if of == database => Some((instance, action)),
            _ => None,
        })
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
        self.ends.extend(self.last.iter().copied());
    }

    fn ship(&mut self, instance: &InstanceName, action: LogShippingAction, source: Source) {
        let action = Action::LogShipping(instance.clone(), self.current().clone(), action);
        self.then(action, source, estimate::STATEMENT);
        self.ends.extend(self.last.iter().copied());
    }

    /// On an instance, for no database: the first one stands for all.
    fn ship_of_none(&mut self, instance: &InstanceName, action: LogShippingAction, source: Source) {
        let database = self.topology.databases()[0].clone();
        let action = Action::LogShipping(instance.clone(), database, action);
        self.then(action, source, estimate::STATEMENT);
    }

    fn then(&mut self, action: Action, source: Source, expected: Duration) {
        let step = self.draft.step(action, self.last.iter().copied(), source, expected);
        self.last = vec![step];
    }

    fn leave_database(&mut self, instance: &InstanceName, action: DatabaseAction) {
        let database = self.current().clone();
        self.draft.leave(Action::Database(instance.clone(), database, action));
    }

    fn leave_shipping(&mut self, instance: &InstanceName, action: LogShippingAction) {
        let database = self.current().clone();
        self.draft.leave(Action::LogShipping(instance.clone(), database, action));
    }

    fn leave_shipping_of_none(&mut self, instance: &InstanceName, action: LogShippingAction) {
        let database = self.topology.databases()[0].clone();
        self.draft.leave(Action::LogShipping(instance.clone(), database, action));
    }
}

/// Whether an endpoint is what it was before.
fn is_as_before(before: Option<&MirroringEndpoint>, now: &MirroringEndpoint) -> bool {
    before.is_some_and(|before| before.is_started == now.is_started)
}

/// A difference as the way back.
fn turned(difference: Difference) -> Difference {
    let Difference { setting, wanted, found, of } = difference;
    Difference { setting, wanted: found, found: wanted, of }
}
