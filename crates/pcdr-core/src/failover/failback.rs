//! Failback: the primary site is there again, and takes over from the backup databases.
//!
//! The documents stop the servers first, then back up, restore, and activate the servers before the pool
//! is Normal. pcdr keeps their steps and changes their order in two places. It restores the full backup
//! while the service still runs, so that writes are blocked for the tail alone, however large the
//! database is. And it sets the pool Normal before it activates servers: as long as the pool is
//! FailedOver, they would write to the copy that was just left behind, and those records would be lost.

use crate::chain::{self, Chain, Start};
use crate::consent::Consent;
use crate::effect;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::lsn::Lsn;
use crate::name::DatabaseName;
use crate::observation::{
    DatabaseObservation, InstanceObservation, MirroringRole, PoolObservation, PoolState,
    RecoveryModel,
};
use crate::plan::{Draft, Intent, Plan, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, DatabaseAction, LogEnd, LogRange, PoolAction, Source, StepId};
use crate::topology::{Instance, Pool, Role, Topology};

use super::handover::HandOver;

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

    run.require_a_fresh_observation()?;
    run.require_both_sites()?;
    run.require_a_writable_configuration()?;

    let mut all = Vec::new();
    for database in situation.topology.databases() {
        let way = run.require_a_way_back(database)?;
        let last = match &way {
            Way::Done => continue,
            Way::Whole { backup } => {
                let backups = run.back_up(database, backup); // steps 3 and 4, while the service goes on
                run.restore(database, backups)
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

/// How old an observation may be.
const OBSERVATION_LIMIT_SECONDS: u64 = 300;

/// A backup, and a restore, of a database whose size was not observed.
const UNKNOWN_SIZE: std::time::Duration = std::time::Duration::from_secs(60);

/// A backup database that takes writes.
struct Backup<'a> {
    instance: &'a Instance,
    copy: &'a DatabaseObservation,
    /// Where its log begins that no backup holds; `None` when it was never backed up.
    log_begins: Option<Lsn>,
}

/// How the primary gets what the backup database holds.
enum Way<'a> {
    /// It has it, and serves.
    Done,
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

/// The full backup and the log backup of one database.
struct Backups {
    full: String,
    log: String,
    last: StepId,
}

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    primary: &'a Instance,
    seen: &'a InstanceObservation,
    draft: Draft,
    /// The last step so far of the database at hand.
    last: Option<StepId>,
    /// The steps that recover databases and that no pool step has waited for yet.
    recovered: Vec<StepId>,
    /// The last pool step.
    pool: Option<StepId>,
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
            recovered: Vec::new(),
            pool: None,
        })
    }

    // ---- requirements -------------------------------------------------------------------------

    fn require_a_fresh_observation(&self) -> Result<(), Refusal> {
        let taken_at = self.situation.observation.taken_at;
        if self.situation.now.since(taken_at).as_secs() > OBSERVATION_LIMIT_SECONDS {
            let limit_seconds = OBSERVATION_LIMIT_SECONDS;
            return Err(Refusal::ObservationTooOld { taken_at, limit_seconds });
        }
        Ok(())
    }

    /// A copy on an instance that does not answer could take writes that no tail holds.
    fn require_both_sites(&self) -> Result<(), Refusal> {
        for instance in self.primary_side().chain(self.backup_side()) {
            match self.situation.observation.instance(&instance.name) {
                Known::Known(seen) => {
                    let what = format!("the databases of {}", instance.name);
                    self.known(&seen.databases, what)?;
                }
                Known::Unknown(reason) => {
                    let instance = instance.name.clone();
                    return Err(Refusal::InstanceNotObserved { instance, reason });
                }
            }
        }
        Ok(())
    }

    fn require_a_writable_configuration(&mut self) -> Result<(), Refusal> {
        let Some(observed) = &self.situation.observation.pool else { return Ok(()) };
        let pool = self.known(observed, "the Persistent Chat pool".to_owned())?;
        let writable =
            self.known(&pool.is_configuration_writable, "the Central Management store".into())?;
        if !*writable {
            return Err(Refusal::ConfigurationStoreNotWritable);
        }
        let state = *self.known(&pool.state, "the pool state".to_owned())?;
        self.draft.fact("pool state", format!("{state:?}"));
        Ok(())
    }

    fn require_a_way_back(&mut self, database: &'a DatabaseName) -> Result<Way<'a>, Refusal> {
        let backup = self.the_writable_one(database, self.backup_side())?;
        let primary = self.the_writable_one(database, self.primary_side())?;
        match (backup, primary) {
            (None, Some(_)) => Ok(Way::Done),
            (Some((instance, copy)), primary) => {
                self.draft.fact(format!("{database} is served by"), &instance.name);
                if copy.recovery_model != RecoveryModel::Full {
                    return Err(Refusal::RecoveryModelNotFull {
                        instance: instance.name.clone(),
                        database: database.clone(),
                        found: copy.recovery_model,
                    });
                }
                let what = format!("the log position of {database} on {}", instance.name);
                let position = self.known(&copy.log_position, what)?;
                let log_begins = position.last_log_backup_lsn;
                let backup = Backup { instance, copy, log_begins };
                if let Some((other, own)) = primary {
                    return self.replace_what_was_rebuilt(database, backup, other, own);
                }
                self.by_log_or_whole(database, backup)
            }
            (None, None) => self.require_the_tail(database),
        }
    }

    /// The one copy of a site that takes writes.
    fn the_writable_one(
        &self,
        database: &'a DatabaseName,
        side: impl Iterator<Item = &'a Instance>,
    ) -> Result<Option<(&'a Instance, &'a DatabaseObservation)>, Refusal> {
        let mut found: Option<(&'a Instance, &'a DatabaseObservation)> = None;
        for instance in side {
            match self.situation.observation.database(&instance.name, database) {
                Known::Known(Some(copy)) if copy.is_writable() => {
                    if let Some((one, _)) = found {
                        return Err(Refusal::TwoWritableCopies {
                            database: database.clone(),
                            one: one.name.clone(),
                            other: instance.name.clone(),
                        });
                    }
                    found = Some((instance, copy));
                }
                Known::Known(_) => {}
                Known::Unknown(reason) => {
                    let what = format!("whether {database} on {} takes writes", instance.name);
                    return Err(Refusal::FactUnknown { what, reason });
                }
            }
        }
        Ok(found)
    }

    /// A site that was rebuilt has a database of that name, which is another one; the old primary
    /// itself must be fenced first, because what it accepted would be overwritten.
    fn replace_what_was_rebuilt(
        &mut self,
        database: &'a DatabaseName,
        backup: Backup<'a>,
        instance: &'a Instance,
        own: &DatabaseObservation,
    ) -> Result<Way<'a>, Refusal> {
        let family = |copy: &DatabaseObservation| copy.log_position.known().map(|at| at.family);
        let is_another = match (family(own), family(backup.copy)) {
            (Some(own), Some(serving)) => own != serving,
            _ => false,
        };
        if !is_another || instance.name != self.primary.name {
            return Err(Refusal::TwoWritableCopies {
                database: database.clone(),
                one: instance.name.clone(),
                other: backup.instance.name.clone(),
            });
        }
        if !self.situation.accepts(Consent::ReplaceExistingDatabase) {
            return Err(Refusal::DatabaseExists {
                instance: instance.name.clone(),
                database: database.clone(),
                holds: format!("{} and of another family than the one that serves", own.state),
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
        if !copy.is_waiting_for_log() {
            if !self.situation.accepts(Consent::ReplaceExistingDatabase) {
                return Err(Refusal::DatabaseExists {
                    instance: self.primary.name.clone(),
                    database: database.clone(),
                    holds: copy.state.to_string(),
                });
            }
            self.draft.consent(Consent::ReplaceExistingDatabase);
        }
        let fork = backup.copy.log_position.known().map(|at| at.fork);
        if self.is_settled(database, copy)
            && let Some(chain) = self.chain(database, copy)
            && let Some(log_begins) = backup.log_begins
            && chain.chain.reaches == log_begins
            && Some(chain.chain.fork) == fork
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
        let observation = self.situation.observation;
        let is_of_the_backup_side = |server: &str| {
            self.backup_side().any(|instance| {
                let seen = observation.instance(&instance.name);
                let name = seen.known().and_then(|seen| seen.server_name.as_ref());
                name.is_some_and(|name| name.eq_ignore_ascii_case(server))
            })
        };
        let tail = chain.files.iter().filter_map(|file| file.header.known()).find(|header| {
            header.is_tail
                && header.last_lsn == chain.chain.reaches
                && header.last_fork == chain.chain.fork
                && is_of_the_backup_side(&header.server)
        });
        match tail {
            Some(_) => Ok(Way::HandedOver { chain }),
            None => Err(missing(chain.chain.reaches)),
        }
    }

    // ---- steps --------------------------------------------------------------------------------

    fn back_up(&mut self, database: &'a DatabaseName, backup: &Backup<'a>) -> Backups {
        let share = self.topology.backup_share();
        let name = |ending| self.situation.new_backup_file(database, "", "_failback", ending);
        let (full, log) = (share.path_of(&name("bak")), share.path_of(&name("trn")));
        self.last = None;
        let action = DatabaseAction::BackUpDatabase { path: full.clone() };
        self.on(backup.instance, database, action, STEP_3, UNKNOWN_SIZE);
        let action = DatabaseAction::BackUpLog { path: log.clone() };
        let last = self.on(backup.instance, database, action, STEP_3, UNKNOWN_SIZE);
        Backups { full, log, last }
    }

    fn restore(&mut self, database: &'a DatabaseName, backups: Backups) -> Option<StepId> {
        let primary = self.primary;
        self.last = Some(backups.last);
        let replaces_existing = self.copy(database).is_some();
        if replaces_existing {
            let action = DatabaseAction::EndSessions;
            self.on(primary, database, action, STEP_4, estimate::STATEMENT);
        }
        let action = DatabaseAction::RestoreDatabase {
            path: backups.full,
            data_directory: primary.data_directory.clone(),
            log_directory: primary.log_directory.clone(),
            replaces_existing,
        };
        self.on(primary, database, action, STEP_4, UNKNOWN_SIZE);
        let action = DatabaseAction::RestoreLog { path: backups.log, log: None };
        Some(self.on(primary, database, action, STEP_4, UNKNOWN_SIZE))
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
        let Some((pool, _)) = self.pool() else { return };
        let after: Vec<StepId> = all.iter().filter_map(|caught_up| caught_up.last).collect();
        let action = Action::Pool(pool.fqdn.clone(), PoolAction::ClearActiveServers);
        self.pool = Some(self.draft.step(action, after, STEP_1, estimate::CMDLET));
    }

    fn remove_mirroring_of_compliance(&mut self) {
        let Some((pool, _)) = self.pool() else { return };
        let Some(database) = &pool.compliance_database else { return };
        for instance in self.backup_side() {
            let seen = self.situation.observation.database(&instance.name, database);
            let Known::Known(Some(copy)) = seen else { continue };
            let Known::Known(Some(session)) = &copy.mirroring else { continue };
            if session.role != MirroringRole::Principal {
                continue;
            }
            self.last = self.pool;
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
                let log = self.situation.new_backup_file(database, "", "_failback", "trn");
                (backup, LogEnd::EndOf { path: share.path_of(&log) })
            }
            Way::Done => return Ok(LogEnd::Lsn(Lsn::default())),
        };
        let what = format!("mirroring of {database} on {}", backup.instance.name);
        let session = self.known(&backup.copy.mirroring, what)?;
        let path = share.path_of(&self.free_name(database));
        let hand_over = HandOver {
            instance: &backup.instance.name,
            database,
            session: session.as_ref(),
            path: path.clone(),
            follows,
        };
        let after = self.pool.or(*last);
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
        self.recovered.push(recovered);
    }

    fn set_pool_normal(&mut self) {
        let Some((pool, observed)) = self.pool() else { return };
        if observed.state.known() == Some(&PoolState::Normal) {
            return;
        }
        let action = PoolAction::SetState(PoolState::Normal);
        self.pool_step(pool, action, STEP_NORMAL);
        self.draft.note(
            "mirroring and log shipping of the primary are set up afterwards, with pcdr configure: \
             until then nothing protects it",
        );
    }

    fn set_active_servers(&mut self) {
        let Some((pool, _)) = self.pool() else { return };
        let copy = self.copy(&pool.database).filter(|copy| copy.is_writable());
        let files = self.situation.observation.log_backups.get(&pool.database);
        let targets = pool.servers.iter().filter(|server| server.is_active);
        let serving = |server: &crate::name::ServerName| {
            copy.is_some_and(|copy| {
                effect::has_pinged_since_recovery(self.seen, copy, files, server)
            })
        };
        if targets.clone().all(|server| serving(&server.fqdn)) {
            return;
        }
        self.pool_step(pool, PoolAction::ClearActiveServers, STEP_6);
        for server in targets.clone() {
            let add = PoolAction::AddActiveServer(server.fqdn.clone());
            self.pool_step(pool, add, STEP_6);
        }
        let servers = targets.map(|server| server.fqdn.clone()).collect();
        self.pool_step(pool, PoolAction::AwaitServers(servers), STEP_6);
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn known<'k, T>(&self, fact: &'k Known<T>, what: String) -> Result<&'k T, Refusal> {
        match fact {
            Known::Known(fact) => Ok(fact),
            Known::Unknown(reason) => Err(Refusal::FactUnknown { what, reason: reason.clone() }),
        }
    }

    fn primary_side(&self) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let all = self.topology.instances();
        all.filter(|it| matches!(it.role, Role::Primary | Role::PrimaryMirror))
    }

    fn backup_side(&self) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let all = self.topology.instances();
        all.filter(|it| matches!(it.role, Role::Secondary | Role::SecondaryMirror))
    }

    /// The primary's copy.
    fn copy(&self, database: &DatabaseName) -> Option<&'a DatabaseObservation> {
        self.seen.databases.known()?.get(database)
    }

    /// The pool and what was seen of it.
    fn pool(&self) -> Option<(&'a Pool, &'a PoolObservation)> {
        let pool = self.topology.pool()?;
        let observed = self.situation.observation.pool.as_ref()?.known()?;
        Some((pool, observed))
    }

    /// The tail's file: a new one, also where an attempt before this one left half a file.
    fn free_name(&self, database: &DatabaseName) -> String {
        let files = self.situation.observation.log_backups.get(database);
        let files = files.and_then(|files| files.share.known()).map_or(&[][..], Vec::as_slice);
        let mut names = (1..).map(|attempt: u32| {
            let what = if attempt == 1 { "_tail".to_owned() } else { format!("_tail{attempt}") };
            self.situation.new_backup_file(database, "", &what, "trn")
        });
        names.find(|name| files.iter().all(|file| file.name != *name)).unwrap_or_default()
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

    /// A pool step follows the pool step before it, and every database that was recovered before.
    fn pool_step(&mut self, pool: &Pool, action: PoolAction, source: Source) {
        let after: Vec<StepId> = self.pool.into_iter().chain(self.recovered.drain(..)).collect();
        let action = Action::Pool(pool.fqdn.clone(), action);
        self.pool = Some(self.draft.step(action, after, source, estimate::CMDLET));
    }
}
