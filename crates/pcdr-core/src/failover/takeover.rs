//! A secondary takes over: what every failover to it has in common.
//!
//! The procedures in the files beside this one read like their runbooks; the steps that they share, and
//! the proof that the log chain is whole, are worded here, once.

use std::collections::{BTreeMap, BTreeSet};

use super::pool_steps::{self, PoolSteps};
use crate::backup::BackupFile;
use crate::chain::{self, Broken, Chain, SetAside, Start};
use crate::consent::Consent;
use crate::effect;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::lsn::Lsn;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{DatabaseObservation, InstanceObservation, PoolState};
use crate::plan::{Draft, Intent, Situation};
use crate::refusal::Refusal;
use crate::step::{
    Action, DatabaseAction, FileAction, LogEnd, LogRange, LogShippingAction, PoolAction, Source,
    StepId,
};
use crate::topology::{Instance, Pool, Role};

/// The document that the seven steps are from.
const MANAGE: &str = "Manage high availability and disaster recovery for Persistent Chat Server \
                      in Skype for Business Server 2015";
const HOLD: Source = Source::new(
    "Fail Over to a Log Shipping Secondary",
    "let the copy and restore jobs end before the files are handled by hand",
);
const STEP_1: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 1: remove log shipping from the backup database",
);
const STEP_2: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 2: copy every log backup that was not copied",
);
const STEP_3: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 3: restore every log backup that was not restored, in \
     sequence",
);
const READERS: Source = Source::new(
    "sp_add_log_shipping_secondary_database (Transact-SQL)",
    "@disconnect_users: a restore needs a standby database without users",
);
const STEP_4_SESSIONS: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 4: end every connection to the database",
);
const STEP_4_ONLINE: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 4: bring the database online, restore database with \
     recovery",
);
const STEP_5: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 5: set the pool state to FailedOver",
);
const STEP_6: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 6: establish a mirror of the new primary",
);
const STEP_7: Source = Source::new(
    MANAGE,
    "Fail over Persistent Chat Server, step 7: set the active servers, near the new primary database",
);
/// What is known while the plan is written down.
pub(super) struct Takeover<'a> {
    pub(super) situation: &'a Situation<'a>,
    pub(super) secondary: &'a Instance,
    pub(super) seen: &'a InstanceObservation,
    pub(super) draft: Draft,
    /// The last step so far of the database at hand; the next one waits for it.
    pub(super) last: Option<StepId>,
    /// The step after which no job of the database at hand touches files any more.
    held: Option<StepId>,
    pub(super) pool: PoolSteps,
}

/// A chain to restore, with the files that its indices mean.
pub(super) struct ToRestore<'a> {
    pub(super) chain: Chain,
    pub(super) files: Files<'a>,
}

impl<'a> ToRestore<'a> {
    /// The files whose header cannot be read, and why.
    pub(super) fn unread(&self) -> impl Iterator<Item = (&'a BackupFile, &'a Reason)> + '_ {
        self.chain.unread.iter().filter_map(|index| {
            let file = self.files.all[*index];
            Some((file, file.header.reason()?))
        })
    }
}

/// The log backups of one database in both folders.
pub(super) struct Files<'a> {
    /// Those in the copy destination first.
    pub(super) all: Vec<&'a BackupFile>,
    /// How many of them are in the copy destination.
    pub(super) copied: usize,
    /// Names of unreadable files in the copy destination whose originals are in the backup share.
    to_replace: BTreeSet<&'a str>,
}

impl<'a> Takeover<'a> {
    pub(super) fn start(
        intent: Intent,
        situation: &'a Situation<'a>,
    ) -> Result<Takeover<'a>, Refusal> {
        let secondary = situation.topology.secondary();
        let seen = match situation.observation.instance(&secondary.name) {
            Known::Known(seen) => seen,
            Known::Unknown(reason) => {
                let instance = secondary.name.clone();
                return Err(Refusal::InstanceNotObserved { instance, reason });
            }
        };
        Ok(Takeover {
            situation,
            secondary,
            seen,
            draft: Draft::new(intent, situation),
            last: None,
            held: None,
            pool: PoolSteps::default(),
        })
    }

    // ---- requirements -------------------------------------------------------------------------

    /// The secondary's own facts: databases and log shipping entries.
    pub(super) fn require_the_secondary(&mut self) -> Result<(), Refusal> {
        let name = &self.secondary.name;
        Refusal::unless_known(&self.seen.databases, || format!("the databases of {name}"))?;
        Refusal::unless_known(&self.seen.log_shipping_secondary, || {
            format!("log shipping on {name}")
        })?;
        Ok(())
    }

    /// The secondary's copy waits for log and its chain is whole; `None` when it was recovered before.
    pub(super) fn require_a_restorable_copy(
        &mut self,
        database: &'a DatabaseName,
    ) -> Result<Option<ToRestore<'a>>, Refusal> {
        let instance = self.secondary.name.clone();
        let databases = Refusal::unless_known(&self.seen.databases, || "the databases".to_owned())?;
        let Some(copy) = databases.get(database) else {
            return Err(Refusal::DatabaseMissing { instance, database: database.clone() });
        };
        self.draft.fact(format!("{database} on {instance}"), copy.state);
        if copy.is_writable() {
            self.accept_recovered(database, copy)?;
            return Ok(None);
        }
        if !copy.is_waiting_for_log() {
            let found = copy.state;
            let database = database.clone();
            return Err(Refusal::WrongDatabaseState { instance, database, found });
        }
        self.last = None;
        let position = Refusal::unless_known(&copy.log_position, || {
            format!("the log position of {database}")
        })?;
        let lsn = position.redo_start_lsn.or(position.last_restored_lsn);
        let lsn = match lsn {
            Some(lsn) => lsn,
            None => {
                let what = format!("the log position of {database} on {instance}");
                let reason = Reason::new("no_log_position", "redo_start_lsn is NULL");
                return Err(Refusal::FactUnknown { what, reason });
            }
        };
        let start = Start { family: position.family, fork: position.fork, lsn };
        self.draft.fact(format!("log position of {database}"), format!("{lsn} on {}", start.fork));

        let files = self.log_backups(database)?;
        let chain = self.resolve(database, start, &files.all)?;
        self.require_free_names(database, &chain, &files)?;
        let names: Vec<&str> = chain.restore.iter().map(|i| files.all[*i].name.as_str()).collect();
        self.draft.fact(format!("log backups to restore into {database}"), names.join(", "));
        Ok(Some(ToRestore { chain, files }))
    }

    /// A copy that is online already was recovered by an earlier run, or by somebody.
    pub(super) fn accept_recovered(
        &mut self,
        database: &DatabaseName,
        copy: &DatabaseObservation,
    ) -> Result<(), Refusal> {
        let position = Refusal::unless_known(&copy.log_position, || {
            format!("the log position of {database}")
        })?;
        let Some(recovered_at) = position.last_restored_lsn else {
            return self.accept_without_history(database);
        };
        let files = self.log_backups(database)?;
        let known_until = files
            .all
            .iter()
            .filter_map(|file| file.header.known())
            .filter(|header| header.kind == crate::backup::BackupKind::Log)
            .filter(|header| header.family == position.family)
            .filter(|header| {
                header.last_lsn > recovered_at && header.last_fork == header.first_fork
            })
            .filter(|header| header.first_fork != position.fork || !self.took(header))
            .map(|header| header.last_lsn)
            .max();
        let Some(known_until) = known_until else { return Ok(()) };
        if self.situation.accepts(Consent::AcceptRecoveredCopy) {
            self.draft.consent(Consent::AcceptRecoveredCopy);
            return Ok(());
        }
        Err(Refusal::RecoveredTooEarly {
            instance: self.secondary.name.clone(),
            database: database.clone(),
            recovered_at,
            known_until,
        })
    }

    /// Nobody can say up to which position the copy was restored before it was recovered.
    pub(super) fn accept_without_history(
        &mut self,
        database: &DatabaseName,
    ) -> Result<(), Refusal> {
        let consent = Consent::AcceptRecoveredCopy;
        if self.situation.accepts(consent) {
            self.draft.consent(consent);
            return Ok(());
        }
        let name = &self.secondary.name;
        let message = format!(
            "msdb on {name} has no record of a log backup restored into it; compare its newest \
             records with the log backups, then give the consent {consent}"
        );
        Err(Refusal::FactUnknown {
            what: format!("the log position at which {database} on {name} was recovered"),
            reason: Reason::new("no_restore_history", message),
        })
    }

    /// Whether the new primary itself took a log backup.
    pub(super) fn took(&self, header: &crate::backup::BackupHeader) -> bool {
        self.seen.server_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&header.server))
    }

    /// Every log backup known, those in the copy destination first.
    ///
    /// A copied file that cannot be read does not count where the backup share holds the same log
    /// backup: it is an interrupted copy, and the original is copied again.
    pub(super) fn log_backups(&mut self, database: &DatabaseName) -> Result<Files<'a>, Refusal> {
        let observation = self.situation.observation;
        let Some(found) = observation.log_backups.get(database) else {
            let what = format!("the log backups of {database}");
            let reason = Reason::new("not_observed", "no folder was listed");
            return Err(Refusal::FactUnknown { what, reason });
        };
        let copied = Refusal::unless_known(&found.copied, || {
            format!("the copied log backups of {database}")
        })?;
        let share: &'a [BackupFile] = match &found.share {
            Known::Known(share) => share,
            Known::Unknown(reason) if self.situation.accepts(Consent::BackupShareLost) => {
                self.draft.consent(Consent::BackupShareLost);
                self.draft.note(format!("the backup share was not read: {reason}"));
                &[]
            }
            Known::Unknown(reason) => {
                return Err(Refusal::BackupShareUnreadable {
                    database: database.clone(),
                    reason: reason.clone(),
                });
            }
        };
        let has_original = |copy: &BackupFile| {
            let readable = |file: &&BackupFile| file.header.known().is_some();
            share.iter().filter(readable).any(|file| stem(&file.name) == stem(&copy.name))
        };
        let mut files = Files { all: Vec::new(), copied: 0, to_replace: BTreeSet::new() };
        for file in copied {
            if file.header.known().is_none() && has_original(file) {
                files.to_replace.insert(&file.name);
            } else {
                files.all.push(file);
            }
        }
        files.copied = files.all.len();
        // The same name is not yet the same log backup: what is only in the share counts.
        let there: BTreeMap<&str, &BackupFile> =
            files.all.iter().map(|file| (file.name.as_str(), *file)).collect();
        files.all.extend(share.iter().filter(|original| {
            there.get(original.name.as_str()).is_none_or(|copy| is_another(original, copy))
        }));
        Ok(files)
    }

    /// A log backup that has to be copied needs its name in the copy destination: nothing is
    /// overwritten.
    pub(super) fn require_free_names(
        &self,
        database: &DatabaseName,
        chain: &Chain,
        files: &Files<'a>,
    ) -> Result<(), Refusal> {
        let copied = &files.all[..files.copied];
        for &index in chain.restore.iter().filter(|index| **index >= files.copied) {
            let needed = files.all[index];
            if let Some(other) = copied.iter().find(|copy| copy.name == needed.name) {
                return Err(Refusal::CopyNameTaken {
                    database: database.clone(),
                    file: needed.path.clone(),
                    occupied_by: other.path.clone(),
                });
            }
        }
        Ok(())
    }

    /// The log chain, whole; or as far as the operator's consents allow.
    pub(super) fn resolve(
        &mut self,
        database: &DatabaseName,
        start: Start,
        files: &[&'a BackupFile],
    ) -> Result<Chain, Refusal> {
        let chain = match chain::resolve(start, files) {
            Ok(chain) => chain,
            Err(broken) => self.shorten(database, start, files, broken)?,
        };
        for (index, why) in &chain.set_aside {
            if *why != SetAside::AlreadyRestored {
                self.draft.note(format!("{} is not restored: {why:?}", files[*index].path));
            }
        }
        Ok(chain)
    }

    /// A broken chain is refused, or cut where the operator accepts the gap.
    pub(super) fn shorten(
        &mut self,
        database: &DatabaseName,
        start: Start,
        files: &[&'a BackupFile],
        broken: Broken,
    ) -> Result<Chain, Refusal> {
        let database = database.clone();
        let refusal = match broken {
            Broken::Forked { at, one, other } => {
                return Err(Refusal::LogChainForked { database, at, one, other });
            }
            Broken::Gap { needed, found, next, .. } => Refusal::LogChainGap {
                instance: self.secondary.name.clone(),
                database,
                needed,
                found,
                next_file: files[next].path.clone(),
                lost_until: furthest(files).unwrap_or(found),
            },
            Broken::Damaged { first, file } => {
                Refusal::LogBackupDamaged { database, first, file: files[file].path.clone() }
            }
        };
        if !self.situation.accepts(Consent::AcceptLogGap) {
            return Err(refusal);
        }
        self.draft.consent(Consent::AcceptLogGap);
        self.draft.note(format!("accepted: {refusal}"));
        // Without the files that cannot be reached, what remains is whole.
        let reachable: Vec<BackupFile> = files
            .iter()
            .map(|file| match (&file.header, broken) {
                (Known::Known(header), Broken::Gap { needed, .. }) if header.last_lsn > needed => {
                    given_up(file)
                }
                (Known::Known(header), Broken::Damaged { first, .. })
                    if header.first_lsn >= first =>
                {
                    given_up(file)
                }
                _ => BackupFile::clone(file),
            })
            .collect();
        let mut chain = chain::resolve(start, &reachable).map_err(|_| refusal)?;
        chain.unread.retain(|index| files[*index].header.known().is_none());
        Ok(chain)
    }

    // ---- steps --------------------------------------------------------------------------------

    pub(super) fn hold_jobs(&mut self, database: &'a DatabaseName) {
        if self.has_entry(database) {
            self.log_shipping(database, LogShippingAction::HoldSecondaryJobs, HOLD);
        }
        self.held = self.last;
    }

    pub(super) fn remove_log_shipping(&mut self, database: &'a DatabaseName) {
        if self.has_entry(database) {
            self.log_shipping(database, LogShippingAction::RemoveSecondary, STEP_1);
        }
    }

    /// Ends the sessions of readers in a standby copy that gets log: a restore needs it for itself (3101).
    /// After the first restore it is RESTORING, and nobody comes in again.
    pub(super) fn end_readers(&mut self, database: &'a DatabaseName, to_restore: &ToRestore<'a>) {
        let copy = self.seen.databases.known().and_then(|all| all.get(database));
        if copy.is_some_and(|copy| copy.is_in_standby) && !to_restore.chain.restore.is_empty() {
            self.database(database, DatabaseAction::EndSessions, READERS);
        }
    }

    /// Copies what is not in the copy destination yet; gives the copy step of each file to restore. A
    /// copy waits for the jobs to be held, and for nothing else.
    pub(super) fn copy_log_backups(
        &mut self,
        database: &'a DatabaseName,
        to_restore: &ToRestore<'a>,
    ) -> Vec<Option<StepId>> {
        let topology = self.situation.topology;
        let (from, to) = (topology.backup_share(), topology.copy_share());
        let files = &to_restore.files;
        let count = to_restore.chain.restore.len();
        let mut copies = Vec::with_capacity(count);
        self.draft.reserve(2 * count + 4);
        for &index in &to_restore.chain.restore {
            if index < files.copied {
                copies.push(None);
                continue;
            }
            let BackupFile { name, size_bytes, .. } = files.all[index];
            let action = FileAction::Copy {
                name: name.clone(),
                size_bytes: Some(*size_bytes),
                replaces_unreadable: files.to_replace.contains(name.as_str()),
            };
            copies.push(Some(self.draft.step(
                Action::Files(database.clone(), action),
                self.held,
                STEP_2,
                estimate::copy(topology, from, to, *size_bytes),
            )));
        }
        copies
    }

    /// Restores in LSN order; a restore waits for its own copy and for the restore before it.
    pub(super) fn restore_log_backups(
        &mut self,
        database: &'a DatabaseName,
        to_restore: &ToRestore<'a>,
        copies: &[Option<StepId>],
    ) {
        let destination = self.situation.topology.copy_share();
        for (&index, copy) in to_restore.chain.restore.iter().zip(copies) {
            let file = to_restore.files.all[index];
            let Known::Known(header) = &file.header else { continue };
            let log = LogRange {
                first_lsn: header.first_lsn,
                last_lsn: header.last_lsn,
                last_fork: header.last_fork,
            };
            let path = match copy {
                None => file.path.clone(),
                Some(_) => destination.path_of(&file.name),
            };
            let action = DatabaseAction::RestoreLog { path, log: Some(log) };
            let expected = estimate::restore(header.backup_size_bytes);
            let after = self.last.into_iter().chain(*copy);
            let action = self.on_secondary(database, action);
            self.last = Some(self.draft.step(action, after, STEP_3, expected));
        }
    }

    pub(super) fn end_sessions(&mut self, database: &'a DatabaseName) {
        self.database(database, DatabaseAction::EndSessions, STEP_4_SESSIONS);
    }

    pub(super) fn recover(&mut self, database: &'a DatabaseName, at: LogEnd) {
        let expect = Some(at);
        self.database(database, DatabaseAction::Recover { expect }, STEP_4_ONLINE);
        self.pool.waits_for.extend(self.last); // the pool waits for every database
    }

    pub(super) fn set_pool_state(&mut self) {
        let Some((pool, observed)) = pool_steps::pool(self.situation) else { return };
        if observed.state.known() == Some(&PoolState::FailedOver) {
            return;
        }
        let action = PoolAction::SetState(PoolState::FailedOver);
        self.pool.step(&mut self.draft, pool, action, STEP_5, estimate::CMDLET);
    }

    pub(super) fn install_mirror(&mut self) -> Result<(), Refusal> {
        let Some((pool, _)) = pool_steps::pool(self.situation) else { return Ok(()) };
        let topology = self.situation.topology;
        let Some(mirror) = topology.role(Role::SecondaryMirror) else { return Ok(()) };
        let copy = self.seen.databases.known().and_then(|all| all.get(&pool.database));
        if copy.is_some_and(|copy| effect::is_mirrored_to(copy, mirror)) {
            return Ok(());
        }
        let drops_existing = match self.can_become_mirror(mirror, pool) {
            Ok(drops_existing) => drops_existing,
            Err(found) if self.situation.accepts(Consent::WithoutMirror) => {
                self.draft.consent(Consent::WithoutMirror);
                self.draft.note(format!("no mirror is set up: {found}"));
                return Ok(());
            }
            Err(found) => {
                let instance = mirror.name.clone();
                return Err(Refusal::MirrorNotAvailable { instance, found });
            }
        };
        let action = PoolAction::InstallMirror {
            primary: self.secondary.name.clone(),
            mirror: mirror.name.clone(),
            database: pool.database.clone(),
            file_share: topology.copy_share().unc.clone(),
            drops_existing,
        };
        self.pool.step(&mut self.draft, pool, action, STEP_6, estimate::INSTALL_MIRROR);
        Ok(())
    }

    pub(super) fn set_active_servers(&mut self) {
        let Takeover { situation, seen, draft, pool, .. } = self;
        pool.activate(draft, situation, seen, |server| server.is_active_after_failover, &STEP_7);
    }

    // ---- helpers ------------------------------------------------------------------------------

    pub(super) fn has_entry(&self, database: &DatabaseName) -> bool {
        let entries = self.seen.log_shipping_secondary.known();
        entries.is_some_and(|entries| entries.contains_key(database))
    }

    /// Whether the mirror instance is free, or holds a copy that may be dropped (`Ok(true)`): one that
    /// waits for log and is of the same family as the new primary.
    pub(super) fn can_become_mirror(&self, mirror: &Instance, pool: &Pool) -> Result<bool, String> {
        match self.situation.observation.database(&mirror.name, &pool.database) {
            Known::Unknown(reason) => Err(format!("it could not be observed: {reason}")),
            Known::Known(None) => Ok(false),
            Known::Known(Some(copy)) if !copy.is_waiting_for_log() => {
                Err(format!("it holds {} {}", pool.database, copy.state))
            }
            Known::Known(Some(copy)) => {
                let here = self.seen.databases.known().and_then(|all| all.get(&pool.database));
                let family = |copy: &DatabaseObservation| {
                    copy.log_position.known().map(|position| position.family)
                };
                match (family(copy), here.and_then(family)) {
                    (Some(there), Some(here)) if there == here => Ok(true),
                    _ => {
                        Err(format!("it holds a {} that is not known to be a copy", pool.database))
                    }
                }
            }
        }
    }

    pub(super) fn on_secondary(&self, database: &DatabaseName, action: DatabaseAction) -> Action {
        Action::Database(self.secondary.name.clone(), database.clone(), action)
    }

    pub(super) fn database(
        &mut self,
        database: &'a DatabaseName,
        action: DatabaseAction,
        source: Source,
    ) {
        let action = self.on_secondary(database, action);
        self.last = Some(self.draft.step(action, self.last, source, estimate::STATEMENT));
    }

    pub(super) fn log_shipping(
        &mut self,
        database: &'a DatabaseName,
        action: LogShippingAction,
        source: Source,
    ) {
        let instance: InstanceName = self.secondary.name.clone();
        let action = Action::LogShipping(instance, database.clone(), action);
        self.last = Some(self.draft.step(action, self.last, source, estimate::STATEMENT));
    }
}

/// Whether two files are known to hold different backups.
fn is_another(one: &BackupFile, other: &BackupFile) -> bool {
    match (one.header.known(), other.header.known()) {
        (Some(one), Some(other)) => one.backup_set != other.backup_set,
        _ => false,
    }
}

/// A file name without its extension: `x.wrk` is an unfinished `x.trn`.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn furthest(files: &[&BackupFile]) -> Option<Lsn> {
    files.iter().filter_map(|file| file.header.known()).map(|header| header.last_lsn).max()
}

/// A file that the operator gives up: as if it could not be read.
fn given_up(file: &BackupFile) -> BackupFile {
    let header = Known::unknown("given_up", "beyond an accepted gap");
    BackupFile { header, ..file.clone() }
}
