//! Failback: the primary site is there again, and takes over from the backup databases.
//!
//! The documents stop the servers first, then back up, restore, and activate the servers before the pool
//! is Normal. pcdr keeps their steps and changes their order in two places. It restores the full backup
//! while the service still runs, so that writes are blocked for the tail alone, however large the
//! database is. And it sets the pool Normal before it activates servers: as long as the pool is
//! FailedOver, they would write to the copy that was just left behind, and those records would be lost.

use crate::chain::{self, Chain, Start};
use crate::consent::Consent;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::lsn::Lsn;
use crate::name::DatabaseName;
use crate::observation::{
    DatabaseObservation, InstanceObservation, LogPosition, MirroringRole, PoolState, RecoveryModel,
};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, DatabaseAction, LogEnd, LogRange, PoolAction, Source, StepId};
use crate::topology::{Instance, Topology};

use super::handover::HandOver;
use super::pool_steps::{self, PoolSteps, require_a_writable_configuration};
use super::sites::{Side, tail_name, two_writable};

/// Plans that the primary serves again, with everything that the backup databases hold.
///
/// From a state in which part of it was done already, the plan is the remainder; when everything is
/// done, it has no steps. Mirroring and log shipping of the primary are set up afterwards, by configure.
///
/// # Errors
///
/// A [`Refusal`] when a precondition does not hold; nothing has been changed.
pub fn plan(situation: &Situation<'_>) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation)?;

    situation.require_a_fresh_observation()?;
    run.require_both_sites()?;
    require_a_writable_configuration(situation, &mut run.draft)?;

    let mut all = Vec::new();
    for database in situation.topology.databases() {
        let Some(way) = run.require_a_way_back(database)? else { continue }; // it serves already
        let last = match &way {
            Way::Whole { backup } => {
                let full = run.back_up(database, backup); // steps 3 and 4, while the service goes on
                run.restore(database, full);
                run.catch_up(database, backup) // what was written meanwhile: the tail stays short
            }
            Way::LogOnly { chain, .. } | Way::HandedOver { chain } => {
                run.restore_log(database, chain)
            }
        };
        all.push(CaughtUp { database, way, last });
    }
    run.stop_servers(&all); // step 1: from here on nothing is written
    run.remove_mirroring_of_compliance(); // step 2; that of the others goes with the tail
    for caught_up in all {
        let end = run.take_and_restore_the_tail(&caught_up)?; // the backup database is RESTORING
        run.recover(caught_up.database, end); // cannot be undone
    }
    run.set_pool_normal(); // the documents' last step: before servers can write again
    run.set_active_servers(); // step 6: service resumes

    run.draft.verify(situation)
}

/// The document that the steps are from.
const MANAGE: &str = "Manage high availability and disaster recovery for Persistent Chat Server \
                      in Skype for Business Server 2015";
const STEP_1: Source =
    Source::new(MANAGE, "Fail back Persistent Chat Server, step 1: clear the active server list");
const STEP_2: Source = Source::new(
    MANAGE,
    "Fail back Persistent Chat Server, step 2: remove mirroring from the backup databases, that of the \
     compliance database too",
);
const STEP_3: Source = Source::new(
    MANAGE,
    "Fail back Persistent Chat Server, step 3: back up the backup database to the log shipping share",
);
const STEP_4: Source = Source::new(
    MANAGE,
    "Fail back Persistent Chat Server, step 4: restore it over the primary database",
);
const TAIL: Source = Source::new(
    "Tail-Log Backups (SQL Server)",
    "what was written since that backup is in the tail, which is restored before the recovery",
);
const STEP_NORMAL: Source = Source::new(
    MANAGE,
    "Fail back Persistent Chat Server, last step: set the pool state to Normal; here before step 6, or \
     servers would write to the copy that was left behind",
);
const STEP_6: Source = Source::new(
    MANAGE,
    "Fail back Persistent Chat Server, step 6: set the active servers, near the primary database",
);

/// A backup, and a restore, of a database whose size was not observed.
const UNKNOWN_SIZE: std::time::Duration = std::time::Duration::from_secs(60);

/// A backup database that takes writes.
struct Backup<'a> {
    instance: &'a Instance,
    copy: &'a DatabaseObservation,
    position: &'a LogPosition,
}

/// How the primary gets what the backup database holds.
enum Way<'a> {
    /// By a full backup and the log after it.
    Whole { backup: Backup<'a> },
    /// By log alone: its copy waits for it, and the backup share holds it up to the tail.
    LogOnly { backup: Backup<'a>, log_begins: Lsn, chain: ChainOf<'a> },
    /// By the log up to a tail that was taken before; no copy takes writes.
    HandedOver { chain: ChainOf<'a> },
}

/// A chain, with the files that its indices mean.
struct ChainOf<'a> {
    chain: Chain,
    files: &'a [crate::backup::BackupFile],
}

/// A database whose primary copy has everything but the tail.
struct CaughtUp<'a> {
    database: &'a DatabaseName,
    way: Way<'a>,
    last: Option<StepId>,
}

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    primary: &'a Instance,
    seen: &'a InstanceObservation,
    draft: Draft,
    /// The last step so far of the database at hand.
    last: Option<StepId>,
    pool: PoolSteps,
}

impl<'a> Runbook<'a> {
    fn start(situation: &'a Situation<'a>) -> Result<Runbook<'a>, Refusal> {
        let topology = situation.topology;
        let primary = topology.primary();
        let seen = match situation.observation.instance(&primary.name) {
            Known::Known(seen) => seen,
            Known::Unknown(reason) => {
                let instance = primary.name.clone();
                return Err(Refusal::InstanceNotObserved { instance, reason });
            }
        };
        Ok(Runbook {
            situation,
            topology,
            primary,
            seen,
            draft: Draft::new(Intent::Failback, situation),
            last: None,
            pool: PoolSteps::default(),
        })
    }

    // ---- requirements -------------------------------------------------------------------------

    /// A copy on an instance that does not answer could take writes that no tail holds.
    fn require_both_sites(&self) -> Result<(), Refusal> {
        let both = [Side::Primary, Side::Backup];
        for instance in both.into_iter().flat_map(|side| side.instances(self.topology)) {
            match self.situation.observation.instance(&instance.name) {
                Known::Known(seen) => {
                    let what = format!("the databases of {}", instance.name);
                    Refusal::unless_known(&seen.databases, || what)?;
                }
                Known::Unknown(reason) => {
                    let instance = instance.name.clone();
                    return Err(Refusal::InstanceNotObserved { instance, reason });
                }
            }
        }
        Ok(())
    }

    /// `None`: the primary has everything, and serves.
    fn require_a_way_back(
        &mut self,
        database: &'a DatabaseName,
    ) -> Result<Option<Way<'a>>, Refusal> {
        let primary = Side::Primary.writable_copy(self.situation, database)?;
        let Some((instance, copy)) = Side::Backup.writable_copy(self.situation, database)? else {
            return match primary {
                Some(_) => Ok(None),
                None => self.require_the_tail(database).map(Some),
            };
        };
        self.draft.fact(format!("{database} is served by"), &instance.name);
        if copy.recovery_model != RecoveryModel::Full {
            return Err(Refusal::RecoveryModelNotFull {
                instance: instance.name.clone(),
                database: database.clone(),
                found: copy.recovery_model,
            });
        }
        let position = Refusal::unless_known(&copy.log_position, || {
            format!("the log position of {database} on {}", instance.name)
        })?;
        let backup = Backup { instance, copy, position };
        let way = match primary {
            Some((other, _)) if other.name != self.primary.name => {
                return Err(two_writable(database, other, instance));
            }
            Some((other, own)) if self.is_of_the_family(own, &backup) != Some(false) => {
                // The old primary itself: what it accepted would be overwritten before it is fenced.
                return Err(two_writable(database, other, instance));
            }
            Some(_) => self.whole_over_another(database, backup)?,
            None => self.by_log_or_whole(database, backup)?,
        };
        Ok(Some(way))
    }

    /// Whether a copy is of the database that serves; `None` when nobody can tell.
    fn is_of_the_family(&self, copy: &DatabaseObservation, backup: &Backup<'a>) -> Option<bool> {
        Some(copy.log_position.known()?.family == backup.position.family)
    }

    /// What is there is not known to be a copy of the database that serves and that waits for its log: a
    /// rebuilt site has a database of that name, which is another one.
    fn whole_over_another(
        &mut self,
        database: &'a DatabaseName,
        backup: Backup<'a>,
    ) -> Result<Way<'a>, Refusal> {
        if !self.situation.accepts(Consent::ReplaceExistingDatabase) {
            let copy = self.copy(database);
            let state = copy.map_or("there", |copy| copy.state.as_str());
            let is_own = copy.and_then(|copy| self.is_of_the_family(copy, &backup));
            let family = match is_own {
                Some(true) => "",
                Some(false) => " and of another family than the one that serves",
                None => " and of a family that nobody can tell",
            };
            return Err(Refusal::DatabaseExists {
                instance: self.primary.name.clone(),
                database: database.clone(),
                holds: format!("{state}{family}"),
            });
        }
        self.draft.consent(Consent::ReplaceExistingDatabase);
        Ok(Way::Whole { backup })
    }

    fn by_log_or_whole(
        &mut self,
        database: &'a DatabaseName,
        backup: Backup<'a>,
    ) -> Result<Way<'a>, Refusal> {
        let Some(copy) = self.copy(database) else {
            return Ok(Way::Whole { backup });
        };
        if let Known::Known(Some(_)) = &copy.mirroring {
            let found = format!("{database} is still mirrored there");
            let instance = self.primary.name.clone();
            return Err(Refusal::MirrorNotAvailable { instance, found });
        }
        let is_own = self.is_of_the_family(copy, &backup) == Some(true);
        if !copy.is_waiting_for_log() || !is_own {
            return self.whole_over_another(database, backup);
        }
        if self.is_settled(database, copy)
            && let Some(chain) = self.chain(database, copy)
            && let Some(log_begins) = backup.position.last_log_backup_lsn
            && chain.chain.reaches == log_begins
            && chain.chain.fork == backup.position.fork
        {
            return Ok(Way::LogOnly { backup, log_begins, chain });
        }
        Ok(Way::Whole { backup })
    }

    /// Whether the place where the primary's copy waits is one that a restore reached to its end, or its
    /// own tail: after a restore that was interrupted it may tell a place and still not be recoverable
    /// (error 4319), and nobody may hand over to it.
    fn is_settled(&self, database: &DatabaseName, copy: &DatabaseObservation) -> bool {
        let Known::Known(position) = &copy.log_position else { return false };
        let Some(at) = position.redo_start_lsn else { return position.last_restored_lsn.is_some() };
        let share = self.situation.observation.log_backups.get(database);
        let share = share.and_then(|files| files.share.known());
        let is_own_tail =
            share.into_iter().flatten().filter_map(|file| file.header.known()).any(|header| {
                let own = self.seen.server_name.as_ref();
                header.is_tail
                    && header.last_lsn == at
                    && own.is_some_and(|own| own.eq_ignore_ascii_case(&header.server))
            });
        position.last_restored_lsn == Some(at) || is_own_tail
    }

    /// The log in the backup share that follows the primary's copy; `None` when none can be told.
    fn chain(&self, database: &'a DatabaseName, copy: &DatabaseObservation) -> Option<ChainOf<'a>> {
        let position = copy.log_position.known().filter(|_| copy.is_waiting_for_log())?;
        let start = Start {
            family: position.family,
            fork: position.fork,
            lsn: position.redo_start_lsn.or(position.last_restored_lsn)?,
        };
        let files = self.situation.observation.log_backups.get(database)?.share.known()?;
        let chain = chain::resolve(start, files).ok()?;
        Some(ChainOf { chain, files })
    }

    /// No copy takes writes: the tail of the backup database was taken before, and the chain ends with
    /// it.
    fn require_the_tail(&mut self, database: &'a DatabaseName) -> Result<Way<'a>, Refusal> {
        let instance = self.topology.secondary().name.clone();
        let missing = |reaches| Refusal::TailMissing {
            instance: instance.clone(),
            database: database.clone(),
            reaches,
        };
        let Some(copy) = self.copy(database) else { return Err(missing(Lsn::default())) };
        let Some(chain) = self.chain(database, copy) else {
            let what = format!("the log of {database} that {} needs", self.primary.name);
            let reason = Reason::new("no_chain", "its position or the backup share is not known");
            return Err(Refusal::FactUnknown { what, reason });
        };
        let end = (chain.chain.reaches, chain.chain.fork);
        match Side::Backup.tail_at(self.situation, database, end) {
            Some(_) => Ok(Way::HandedOver { chain }),
            None => Err(missing(chain.chain.reaches)),
        }
    }

    // ---- steps --------------------------------------------------------------------------------

    /// Gives the file of the full backup.
    fn back_up(&mut self, database: &'a DatabaseName, backup: &Backup<'a>) -> String {
        let full = self.new_file(database, "bak");
        self.last = None;
        let action = DatabaseAction::BackUpDatabase { path: full.clone() };
        self.on(backup.instance, database, action, STEP_3, UNKNOWN_SIZE);
        full
    }

    fn restore(&mut self, database: &'a DatabaseName, full: String) {
        let primary = self.primary;
        let replaces_existing = self.copy(database).is_some();
        if replaces_existing {
            let action = DatabaseAction::EndSessions;
            self.on(primary, database, action, STEP_4, estimate::STATEMENT);
        }
        let action = DatabaseAction::RestoreDatabase {
            path: full,
            data_directory: primary.data_directory.clone(),
            log_directory: primary.log_directory.clone(),
            replaces_existing,
        };
        self.on(primary, database, action, STEP_4, UNKNOWN_SIZE);
    }

    /// The log backup is taken when the full backup has been restored, however long that took.
    fn catch_up(&mut self, database: &'a DatabaseName, backup: &Backup<'a>) -> Option<StepId> {
        let path = self.new_file(database, "trn");
        let action = DatabaseAction::BackUpLog { path: path.clone() };
        self.on(backup.instance, database, action, STEP_3, UNKNOWN_SIZE);
        let action = DatabaseAction::RestoreLog { path, log: None };
        Some(self.on(self.primary, database, action, STEP_4, UNKNOWN_SIZE))
    }

    fn new_file(&self, database: &DatabaseName, ending: &str) -> String {
        let name = self.situation.new_backup_file(database, "", "_failback", ending);
        self.topology.backup_share().path_of(&name)
    }

    /// Straight from the backup share, which every instance reads.
    fn restore_log(&mut self, database: &'a DatabaseName, chain: &ChainOf<'a>) -> Option<StepId> {
        self.last = None;
        let share = self.topology.backup_share();
        for &index in &chain.chain.restore {
            let file = &chain.files[index];
            let Known::Known(header) = &file.header else { continue };
            let log = LogRange {
                first_lsn: header.first_lsn,
                last_lsn: header.last_lsn,
                last_fork: header.last_fork,
            };
            let path = share.path_of(&file.name);
            let action = DatabaseAction::RestoreLog { path, log: Some(log) };
            let expected = estimate::restore(header.backup_size_bytes);
            self.on(self.primary, database, action, STEP_4, expected);
        }
        self.last
    }

    fn stop_servers(&mut self, all: &[CaughtUp<'a>]) {
        let serves = |caught_up: &CaughtUp<'_>| !matches!(caught_up.way, Way::HandedOver { .. });
        if !all.iter().any(serves) {
            return;
        }
        let Some((pool, _)) = pool_steps::pool(self.situation) else { return };
        self.pool.waits_for.extend(all.iter().filter_map(|caught_up| caught_up.last));
        let clear = PoolAction::ClearActiveServers;
        self.pool.step(&mut self.draft, pool, clear, STEP_1, estimate::CMDLET);
    }

    fn remove_mirroring_of_compliance(&mut self) {
        let Some((pool, _)) = pool_steps::pool(self.situation) else { return };
        let Some(database) = &pool.compliance_database else { return };
        for instance in Side::Backup.instances(self.topology) {
            let seen = self.situation.observation.database(&instance.name, database);
            let Known::Known(Some(copy)) = seen else { continue };
            let Known::Known(Some(session)) = &copy.mirroring else { continue };
            if session.role != MirroringRole::Principal {
                continue;
            }
            self.last = self.pool.last;
            if session.witness_address.is_some() {
                let action = DatabaseAction::RemoveWitness;
                self.on(instance, database, action, STEP_2, estimate::STATEMENT);
            }
            let action = DatabaseAction::RemoveMirroring;
            self.on(instance, database, action, STEP_2, estimate::STATEMENT);
        }
    }

    /// Gives the place at which the primary may be recovered.
    fn take_and_restore_the_tail(&mut self, caught_up: &CaughtUp<'a>) -> Result<LogEnd, Refusal> {
        let CaughtUp { database, way, last } = caught_up;
        self.last = *last;
        let share = self.topology.backup_share();
        let (backup, follows) = match way {
            Way::HandedOver { chain } => return Ok(LogEnd::Lsn(chain.chain.reaches)),
            Way::LogOnly { backup, log_begins, .. } => (backup, LogEnd::Lsn(*log_begins)),
            Way::Whole { backup } => {
                (backup, LogEnd::EndOf { path: self.new_file(database, "trn") })
            }
        };
        let what = format!("mirroring of {database} on {}", backup.instance.name);
        let session = Refusal::unless_known(&backup.copy.mirroring, || what)?;
        let path = share.path_of(&tail_name(self.situation, database));
        let hand_over = HandOver {
            instance: &backup.instance.name,
            database,
            session: session.as_ref(),
            path: path.clone(),
            follows,
        };
        let after = self.pool.last.or(*last);
        self.last = Some(hand_over.steps(&mut self.draft, after));
        self.draft.note(format!(
            "{database} on {} is left RESTORING; until the primary is recovered, RESTORE DATABASE … \
             WITH RECOVERY there is the way back",
            backup.instance.name
        ));
        let restore = DatabaseAction::RestoreLog { path: path.clone(), log: None };
        self.on(self.primary, database, restore, TAIL, estimate::STATEMENT);
        Ok(LogEnd::EndOf { path })
    }

    fn recover(&mut self, database: &'a DatabaseName, at: LogEnd) {
        let primary = self.primary;
        self.on(primary, database, DatabaseAction::EndSessions, STEP_4, estimate::STATEMENT);
        let action = DatabaseAction::Recover { expect: Some(at) };
        let recovered = self.on(primary, database, action, STEP_4, estimate::STATEMENT);
        self.pool.waits_for.push(recovered);
    }

    fn set_pool_normal(&mut self) {
        let Some((pool, observed)) = pool_steps::pool(self.situation) else { return };
        if observed.state.known() == Some(&PoolState::Normal) {
            return;
        }
        let action = PoolAction::SetState(PoolState::Normal);
        self.pool.step(&mut self.draft, pool, action, STEP_NORMAL, estimate::CMDLET);
        self.draft.note(
            "mirroring and log shipping of the primary are set up afterwards, with pcdr configure: \
             until then nothing protects it",
        );
    }

    fn set_active_servers(&mut self) {
        let Runbook { situation, seen, draft, pool, .. } = self;
        pool.activate(draft, situation, seen, |server| server.is_active, &STEP_6);
    }

    // ---- helpers ------------------------------------------------------------------------------

    /// The primary's copy.
    fn copy(&self, database: &DatabaseName) -> Option<&'a DatabaseObservation> {
        self.seen.databases.known()?.get(database)
    }

    fn on(
        &mut self,
        instance: &Instance,
        database: &DatabaseName,
        action: DatabaseAction,
        source: Source,
        expected: std::time::Duration,
    ) -> StepId {
        let action = Action::Database(instance.name.clone(), database.clone(), action);
        let step = self.draft.step(action, self.last, source, expected);
        self.last = Some(step);
        step
    }
}
