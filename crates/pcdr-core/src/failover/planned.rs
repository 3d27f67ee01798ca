//! Planned failover: both sites work, the secondary takes over, and nothing is lost.
//!
//! The documents of the chat pool only know the disaster; those of log shipping add the tail of the log.
//! What pcdr adds: everything that was shipped is copied and restored while the service goes on, so that
//! writes are blocked for the tail alone; the tail has to follow the last log backup without a gap; and
//! the secondary is recovered only where that tail ends. The old primary stays RESTORING, which fences
//! it.

use super::handover::HandOver;
use super::pool_steps::{self, require_a_writable_configuration};
use super::sites::{Copy, Side, tail_name, two_writable};
use super::takeover::{Takeover, ToRestore};
use crate::chain::Chain;
use crate::estimate;
use crate::known::Known;
use crate::lsn::Lsn;
use crate::name::DatabaseName;
use crate::observation::{DatabaseObservation, Mirroring, MirroringState};
use crate::plan::{Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{
    Action, DatabaseAction, FileAction, LogEnd, LogShippingAction, PoolAction, Source, StepId,
};
use crate::topology::Instance;

/// Plans a failover to the log shipping secondary that loses nothing.
///
/// From a state in which part of it was done already, the plan is the remainder; when everything is
/// done, it has no steps.
///
/// # Errors
///
/// A [`Refusal`] when a precondition does not hold; nothing has been changed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Takeover::start(Intent::PlannedFailover, situation)?;

    situation.require_a_fresh_observation()?;
    run.require_the_secondary()?;
    run.require_the_primary_site()?;
    require_a_writable_configuration(situation, &mut run.draft)?;

    let mut all = Vec::new();
    for database in situation.topology.databases() {
        let writable = run.require_one_writable_copy(database)?;
        if let Some(chain) = run.require_a_restorable_copy(database)? {
            let primary = run.require_a_primary_without_a_gap(database, writable, &chain.chain)?;
            run.note_unreadable_log_backups(&chain); // whatever they hold is not needed
            run.hold_backup_jobs(database, &primary); // the tail must be the last log backup
            run.hold_jobs(database);
            run.remove_log_shipping(database);
            run.end_readers(database, &chain); // only a standby copy has any
            let copies = run.copy_log_backups(database, &chain); // the service goes on meanwhile
            run.restore_log_backups(database, &chain, &copies);
            all.push(CaughtUp { database, primary, chain, last: run.last });
        }
    }
    run.stop_servers(&all); // from here on nothing is written
    for caught_up in all {
        let end = run.take_and_restore_the_tail(&caught_up); // the old primary is RESTORING: fenced
        run.end_sessions(caught_up.database);
        run.recover(caught_up.database, end); // cannot be undone
    }
    run.set_pool_state(); // writes go to the new primary
    run.install_mirror()?;
    run.set_active_servers(); // service resumes

    run.draft.verify(situation)
}

const ROLE_CHANGE: &str = "Fail Over to a Log Shipping Secondary";
const REST: Source = Source::new(
    "Change Roles Between Primary and Secondary Log Shipping Servers",
    "initial role change, step 2: disable the backup job on the original primary",
);
const SERVERS_OFF: Source = Source::new(
    "Manage high availability and disaster recovery for Persistent Chat Server in Skype for Business \
     Server 2015",
    "Fail back Persistent Chat Server, step 1: clear the active server list, before databases change \
     hands",
);
const RESTORE_TAIL: Source = Source::new(
    ROLE_CHANGE,
    "step 4: restore the tail of the log on the secondary, then recover it",
);

/// Where the log of a database is that the secondary does not have.
enum Primary<'a> {
    /// On this instance, which takes writes.
    Serves {
        instance: &'a Instance,
        session: Option<&'a Mirroring>,
        /// Where the log begins that no backup holds.
        log_begins: Lsn,
    },
    /// In no database: the tail was taken already, and nothing can have been written after it.
    IsFenced,
}

/// A database whose copy has everything but the tail.
struct CaughtUp<'a> {
    database: &'a DatabaseName,
    primary: Primary<'a>,
    chain: ToRestore<'a>,
    last: Option<StepId>,
}

impl<'a> Takeover<'a> {
    // ---- requirements -------------------------------------------------------------------------

    /// A copy on an instance that does not answer could take writes that no tail holds.
    fn require_the_primary_site(&self) -> Result<(), Refusal> {
        for instance in Side::Primary.instances(self.situation.topology) {
            let instance = &instance.name;
            let seen = match self.situation.observation.instance(instance) {
                Known::Known(seen) => seen,
                Known::Unknown(reason) => {
                    let instance = instance.clone();
                    return Err(Refusal::InstanceNotObserved { instance, reason });
                }
            };
            Refusal::unless_known(&seen.databases, || format!("the databases of {instance}"))?;
            Refusal::unless_known(&seen.log_shipping_primary, || {
                format!("log shipping on {instance}")
            })?;
        }
        Ok(())
    }

    /// One copy takes writes, or none because its tail was taken; the secondary's only after that.
    fn require_one_writable_copy(
        &self,
        database: &DatabaseName,
    ) -> Result<Option<Copy<'a>>, Refusal> {
        let primary = Side::Primary.writable_copy(self.situation, database)?;
        let copy = self.seen.databases.known().and_then(|all| all.get(database));
        match primary {
            Some((one, _)) if copy.is_some_and(DatabaseObservation::is_writable) => {
                Err(two_writable(database, one, self.secondary))
            }
            primary => Ok(primary),
        }
    }

    /// The chain reaches the place where the tail begins, or through a tail that was taken before.
    fn require_a_primary_without_a_gap(
        &mut self,
        database: &'a DatabaseName,
        writable: Option<Copy<'a>>,
        chain: &Chain,
    ) -> Result<Primary<'a>, Refusal> {
        match writable {
            Some((instance, copy)) => {
                self.require_a_tail_that_follows(database, instance, copy, chain)
            }
            None => self.require_the_tail(database, chain),
        }
    }

    fn require_a_tail_that_follows(
        &mut self,
        database: &'a DatabaseName,
        instance: &'a Instance,
        copy: &'a DatabaseObservation,
        chain: &Chain,
    ) -> Result<Primary<'a>, Refusal> {
        let name = &instance.name;
        let position = Refusal::unless_known(&copy.log_position, || {
            format!("the log position of {database} on {name}")
        })?;
        let gap = |found: Option<Lsn>| Refusal::TailDoesNotFollow {
            instance: name.clone(),
            database: database.clone(),
            reaches: chain.reaches,
            found,
        };
        let log_begins = position.last_log_backup_lsn.ok_or_else(|| gap(None))?;
        if log_begins != chain.reaches || position.fork != chain.fork {
            return Err(gap(Some(log_begins)));
        }
        let mirroring = Refusal::unless_known(&copy.mirroring, || {
            format!("mirroring of {database} on {name}")
        })?;
        if let Some(session) = mirroring
            && !matches!(
                session.state,
                MirroringState::Synchronized | MirroringState::Synchronizing
            )
        {
            // A mirror that does not hear of the end of the session could be brought into service.
            let found = format!("its state is {}", session.state);
            return Err(Refusal::MirrorNotSynchronized { database: database.clone(), found });
        }
        self.draft.fact(format!("{database} is served by"), name);
        Ok(Primary::Serves { instance, session: mirroring.as_ref(), log_begins })
    }

    /// No copy takes writes: the last log backup has to be a tail of this side, and the chain ends
    /// with it.
    fn require_the_tail(
        &mut self,
        database: &DatabaseName,
        chain: &Chain,
    ) -> Result<Primary<'a>, Refusal> {
        let end = (chain.reaches, chain.fork);
        match Side::Primary.tail_at(self.situation, database, end) {
            Some(tail) => {
                self.draft.fact(format!("the tail of {database} is in"), &tail.name);
                Ok(Primary::IsFenced)
            }
            None => Err(Refusal::TailMissing {
                instance: self.situation.topology.primary().name.clone(),
                database: database.clone(),
                reaches: chain.reaches,
            }),
        }
    }

    /// Between the log backups that are restored and the tail, nothing is missing: what cannot be read
    /// holds nothing else, for example because an attempt to take the tail was cut off.
    fn note_unreadable_log_backups(&mut self, chain: &ToRestore<'a>) {
        for (file, reason) in chain.unread() {
            self.draft.note(format!("{} is not needed: {reason}", file.path));
        }
    }

    // ---- steps --------------------------------------------------------------------------------

    /// On both partners of a mirrored pair: the one that is mirror now may have been principal before.
    fn hold_backup_jobs(&mut self, database: &'a DatabaseName, primary: &Primary<'a>) {
        self.last = None;
        let Primary::Serves { instance: serving, log_begins, .. } = primary else { return };
        let observation = self.situation.observation;
        for instance in Side::Primary.instances(self.situation.topology) {
            let seen = observation.instance(&instance.name);
            let Known::Known(seen) = seen else { continue };
            let entry = seen.log_shipping_primary.known().and_then(|all| all.get(database));
            if entry.is_some_and(|entry| entry.backup_job_may_run()) {
                let expect = (instance.name == serving.name).then_some(*log_begins);
                let action = LogShippingAction::HoldBackupJob { expect };
                let action = Action::LogShipping(instance.name.clone(), database.clone(), action);
                self.last = Some(self.draft.step(action, self.last, REST, estimate::STATEMENT));
            }
        }
    }

    /// Servers stop writing once every database has all log but the tail.
    fn stop_servers(&mut self, all: &[CaughtUp<'a>]) {
        let serves = |caught_up: &CaughtUp<'_>| matches!(caught_up.primary, Primary::Serves { .. });
        if !all.iter().any(serves) {
            return;
        }
        let Some((pool, _)) = pool_steps::pool(self.situation) else { return };
        self.pool.waits_for.extend(all.iter().filter_map(|caught_up| caught_up.last));
        let clear = PoolAction::ClearActiveServers;
        self.pool.step(&mut self.draft, pool, clear, SERVERS_OFF, estimate::CMDLET);
        self.draft.note(
            "from the moment the servers are taken off the active list until the last step, nobody \
             can write; before that, the way back is to put them on the list again",
        );
    }

    /// Gives the place at which the secondary may be recovered.
    fn take_and_restore_the_tail(&mut self, caught_up: &CaughtUp<'a>) -> LogEnd {
        let CaughtUp { database, primary, chain, last } = caught_up;
        self.last = *last;
        let topology = self.situation.topology;
        let Primary::Serves { instance, session, log_begins } = primary else {
            return LogEnd::Lsn(chain.chain.reaches);
        };
        let name = tail_name(self.situation, database);
        let hand_over = HandOver {
            instance: &instance.name,
            database,
            session: *session,
            path: topology.backup_share().path_of(&name),
            follows: LogEnd::Lsn(*log_begins),
        };
        // The servers stop after every database has caught up.
        let after = self.pool.last.or(*last);
        self.last = Some(hand_over.steps(&mut self.draft, after));
        self.draft.note(format!(
            "{database} on {} is left RESTORING, so that nothing can be written there; until \
             the secondary is recovered, RESTORE DATABASE … WITH RECOVERY there is the way back",
            instance.name
        ));
        let copy =
            FileAction::Copy { name: name.clone(), size_bytes: None, replaces_unreadable: false };
        let copy = Action::Files((*database).clone(), copy);
        self.last = Some(self.draft.step(copy, self.last, RESTORE_TAIL, estimate::STATEMENT));
        let path = topology.copy_share().path_of(&name);
        let restore = DatabaseAction::RestoreLog { path: path.clone(), log: None };
        let restore = self.on_secondary(database, restore);
        self.last = Some(self.draft.step(restore, self.last, RESTORE_TAIL, estimate::STATEMENT));
        LogEnd::EndOf { path }
    }
}
