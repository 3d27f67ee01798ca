//! Fence: the old primary came back by itself after a failover, and takes writes beside the new one.
//!
//! Nothing in the documents foresees it. Its log backups would fork the chain, and what is written to it
//! is in no other copy. It is made to wait for log, and the log that only it has is kept in a file, for
//! somebody to look into; that file is no log backup of the database that serves.

use super::handover::HandOver;
use super::sites::Side;
use crate::consent::Consent;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::name::DatabaseName;
use crate::observation::{DatabaseObservation, PoolState};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, LogEnd, LogShippingAction, Source, StepId};
use crate::topology::Instance;

/// Plans that no copy of the primary site takes writes while the backup databases serve.
///
/// When none does, it has no steps.
///
/// # Errors
///
/// A [`Refusal`] when it is not known which site's databases count; nothing has been changed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Runbook { situation, draft: Draft::new(Intent::Fence, situation) };

    situation.require_a_fresh_observation()?;
    run.require_the_backup_databases_to_serve()?;

    for database in situation.topology.databases() {
        for (instance, copy) in run.stale_copies(database) {
            let rested = run.hold_backup_job(instance, database); // or its backups fork the chain
            run.hand_over(instance, database, copy, rested)?; // RESTORING: nobody writes there again
        }
    }
    run.draft.verify(situation)
}

const REST: Source = Source::new(
    "Change Roles Between Primary and Secondary Log Shipping Servers",
    "initial role change, step 2: disable the backup job on the original primary",
);

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    draft: Draft,
}

impl<'a> Runbook<'a> {
    /// By the pool state; without a pool, somebody has to say so.
    fn require_the_backup_databases_to_serve(&mut self) -> Result<(), Refusal> {
        match &self.situation.observation.pool {
            Some(pool) => {
                let pool = Refusal::unless_known(pool, || "the Persistent Chat pool".into())?;
                match Refusal::unless_known(&pool.state, || "the pool state".into())? {
                    PoolState::FailedOver => {}
                    PoolState::Normal => return Err(Refusal::PoolNotFailedOver),
                }
            }
            None if self.situation.accepts(Consent::SecondaryServes) => {
                self.draft.consent(Consent::SecondaryServes);
            }
            None => return Err(Refusal::ServingSiteNotKnown),
        }
        for database in self.situation.topology.databases() {
            self.require_a_serving_copy(database)?;
        }
        Ok(())
    }

    /// Never fence the only copy that takes writes.
    fn require_a_serving_copy(&self, database: &DatabaseName) -> Result<(), Refusal> {
        let observation = self.situation.observation;
        let topology = self.situation.topology;
        let mut found = None;
        for instance in Side::Backup.instances(topology) {
            match observation.database(&instance.name, database) {
                Known::Known(Some(copy)) if copy.is_writable() => return Ok(()),
                Known::Known(Some(copy)) => {
                    found.get_or_insert((instance.name.clone(), copy.state));
                }
                Known::Known(None) | Known::Unknown(_) => {}
            }
        }
        let database = database.clone();
        match found {
            Some((instance, found)) => Err(Refusal::BackupNotServing { instance, database, found }),
            None => {
                let instance = topology.secondary().name.clone();
                Err(Refusal::DatabaseMissing { instance, database })
            }
        }
    }

    /// Copies of the primary site that take writes. An instance that does not answer may hold one.
    fn stale_copies(
        &mut self,
        database: &DatabaseName,
    ) -> Vec<(&'a Instance, &'a DatabaseObservation)> {
        let Situation { topology, observation, .. } = *self.situation;
        let mut stale = Vec::new();
        for instance in Side::Primary.instances(topology) {
            match observation.database(&instance.name, database) {
                Known::Known(Some(copy)) if copy.is_writable() => stale.push((instance, copy)),
                Known::Known(_) => {}
                Known::Unknown(reason) => self.draft.note(format!(
                    "{} was not observed ({reason}): fence again when it answers",
                    instance.name
                )),
            }
        }
        stale
    }

    /// The backup jobs of the whole site: the mirror's would go on when it becomes principal.
    fn hold_backup_job(&mut self, stale: &Instance, database: &DatabaseName) -> Option<StepId> {
        let Situation { topology, observation, .. } = *self.situation;
        let mut last = None;
        for instance in topology.instances().filter(|it| it.site == stale.site) {
            let seen = observation.instance(&instance.name);
            let Known::Known(seen) = seen else { continue };
            let entry = seen.log_shipping_primary.known().and_then(|all| all.get(database));
            if entry.is_some_and(|entry| entry.backup_job_may_run()) {
                let action = LogShippingAction::HoldBackupJob { expect: None };
                let action = Action::LogShipping(instance.name.clone(), database.clone(), action);
                last = Some(self.draft.step(action, last, REST, estimate::STATEMENT));
            }
        }
        last
    }

    fn hand_over(
        &mut self,
        instance: &'a Instance,
        database: &'a DatabaseName,
        copy: &'a DatabaseObservation,
        after: Option<StepId>,
    ) -> Result<(), Refusal> {
        let name = &instance.name;
        let of = |what: &str| format!("{what} of {database} on {name}");
        let position = Refusal::unless_known(&copy.log_position, || of("the log position"))?;
        let session = Refusal::unless_known(&copy.mirroring, || of("the mirroring session"))?;
        let Some(follows) = position.last_log_backup_lsn else {
            let reason = Reason::new("no_log_backup", "it was never backed up");
            return Err(Refusal::FactUnknown { what: of("the last log backup"), reason });
        };
        // No log backup for log shipping, and not listed as one: it ends the history that was left.
        let file = self.situation.new_backup_file(database, "", "_fenced", "bak");
        let path = self.situation.topology.backup_share().path_of(&file);
        self.draft.note(format!(
            "what {name} accepted for {database} after log position {follows} is in no other copy: it \
             is kept in {path}"
        ));
        let follows = LogEnd::Lsn(follows);
        let session = session.as_ref();
        let hand_over = HandOver { instance: name, database, session, path, follows };
        hand_over.steps(&mut self.draft, after);
        Ok(())
    }
}
