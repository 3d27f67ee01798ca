//! Disaster failover: the primary site is gone, the secondary takes over.
//!
//! The seven documented steps, in their order. What pcdr adds: evidence that the primary is lost, proof
//! that the log chain is whole, the loss predicted before the first change, copies and restores side by
//! side, and read-back of every effect.

use super::pool_steps::require_a_writable_configuration;
use super::takeover::{Takeover, ToRestore};
use crate::consent::Consent;
use crate::evidence;
use crate::known::Known;
use crate::name::DatabaseName;
use crate::plan::{Intent, Plan, PredictedLoss, Situation};
use crate::refusal::Refusal;
use crate::step::LogEnd;
use crate::topology::{Instance, Role};

/// Plans a disaster failover to the log shipping secondary.
///
/// From a state in which part of it was done already (a run that was killed, a step done by hand), the
/// plan is the remainder; when everything is done, it has no steps.
///
/// # Errors
///
/// A [`Refusal`] when a precondition does not hold; nothing has been changed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Takeover::start(Intent::DisasterFailover, situation)?;

    situation.require_a_fresh_observation()?;
    run.require_the_secondary()?;
    run.require_the_loss_of_the_primary()?;
    require_a_writable_configuration(situation, &mut run.draft)?;

    for database in situation.topology.databases() {
        if let Some(chain) = run.require_a_restorable_copy(database)? {
            run.require_readable_log_backups(database, &chain)?;
            run.predict_loss(database, &chain);
            run.hold_jobs(database); // a running copy or restore job ends first
            run.remove_log_shipping(database); // step 1
            run.end_readers(database, &chain); // only a standby copy has any
            let copies = run.copy_log_backups(database, &chain); // step 2
            run.restore_log_backups(database, &chain, &copies); // step 3
            run.end_sessions(database); // step 4
            run.recover(database, LogEnd::Lsn(chain.chain.reaches)); // step 4: cannot be undone
        }
    }
    run.set_pool_state(); // step 5: writes go to the new primary
    run.install_mirror()?; // step 6
    run.set_active_servers(); // step 7: service resumes

    run.draft.verify(situation)
}

impl<'a> Takeover<'a> {
    // ---- requirements -------------------------------------------------------------------------

    /// A failover while the primary serves would make two writable copies.
    fn require_the_loss_of_the_primary(&mut self) -> Result<(), Refusal> {
        let Situation { topology, observation, now, .. } = *self.situation;
        for instance in topology.instances() {
            if !matches!(instance.role, Role::Primary | Role::PrimaryMirror) {
                continue;
            }
            for database in topology.databases() {
                self.require_no_writes_on(instance, database)?;
            }
        }
        let evidence = evidence::collect(topology, observation, now);
        if !evidence.suffices() {
            if !self.situation.accepts(Consent::PrimarySiteLost) {
                return Err(Refusal::PrimaryLossNotProved { evidence });
            }
            self.draft.consent(Consent::PrimarySiteLost);
        }
        self.draft.evidence(evidence);
        Ok(())
    }

    /// An instance that answers must be known to hold no copy that takes writes.
    fn require_no_writes_on(
        &mut self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Result<(), Refusal> {
        let Instance { name, .. } = instance;
        let observation = self.situation.observation;
        if observation.instance(name).known().is_none() {
            return Ok(()); // what that says is a question of evidence
        }
        match observation.database(name, database) {
            Known::Known(Some(seen)) if seen.is_writable() => Err(Refusal::PrimaryAlive {
                instance: name.clone(),
                database: database.clone(),
                found: "ONLINE and writable".to_owned(),
            }),
            Known::Known(Some(seen)) => {
                self.draft.note(format!(
                    "{name} answers and holds {database} {}: back up the tail of its log WITH \
                     NO_TRUNCATE before it is repaired or replaced",
                    seen.state
                ));
                Ok(())
            }
            Known::Known(None) => Ok(()),
            Known::Unknown(reason) => {
                let what = format!("whether {database} on {name} takes writes");
                Err(Refusal::FactUnknown { what, reason })
            }
        }
    }

    /// What a file holds that cannot be read would be lost.
    fn require_readable_log_backups(
        &mut self,
        database: &DatabaseName,
        to_restore: &ToRestore<'a>,
    ) -> Result<(), Refusal> {
        for (file, reason) in to_restore.unread() {
            if !self.situation.accepts(Consent::IgnoreUnreadableLogBackups) {
                return Err(Refusal::LogBackupUnreadable {
                    database: database.clone(),
                    file: file.path.clone(),
                    reason: reason.clone(),
                });
            }
            self.draft.consent(Consent::IgnoreUnreadableLogBackups);
            self.draft.note(format!("{} is ignored: {reason}", file.path));
        }
        Ok(())
    }

    /// What the new primary will not have.
    fn predict_loss(&mut self, database: &DatabaseName, to_restore: &ToRestore<'a>) {
        let ToRestore { chain, files } = to_restore;
        let restored_before = || {
            let headers = files.all.iter().filter_map(|file| file.header.known());
            headers
                .filter(|header| header.last_lsn == chain.reaches)
                .map(|header| header.started_at)
                .max()
        };
        self.draft.loses(PredictedLoss {
            database: database.clone(),
            from_lsn: chain.reaches,
            fork: chain.fork,
            saved_until: chain.complete_until.or_else(restored_before),
            lost_until: self.situation.observation.taken_at,
        });
    }
}
