//! A model of what each step does, for replaying a plan before it is carried out.
//!
//! The model is made from an observation and holds only what steps change and invariants compare. Each
//! step checks what it needs; a step that could not work in the modelled state makes the plan
//! unprovable.

mod drill;
mod log_shipping;
mod mirroring;
mod pool;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

pub use drill::{DrillCopy, Drills};
pub use log_shipping::{Entries, SecondaryEntry};

use crate::chain::Start;
use crate::known::Known;
use crate::lsn::Guid;
use crate::name::{DatabaseName, InstanceName, ServerName};
use crate::observation::{
    DatabaseState, MirroringRole, MirroringState, Observation, PoolState, RecoveryModel,
};
use crate::step::{Action, DatabaseAction, FileAction, LogEnd, LogRange};
use crate::topology::{Role, Topology};

/// The modelled world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model<'a> {
    /// Copies on instances that were observed, by database; what does not exist is absent here.
    pub copies: ByDatabase<BTreeMap<InstanceName, Copy>>,
    /// Log shipping entries of databases that their instance does not have: an entry outlives its
    /// database, and is there when the database is restored.
    pub entries_left: ByDatabase<BTreeMap<InstanceName, Entries>>,
    /// Instances that were not observed: their copies may be in any state.
    pub unseen: BTreeSet<InstanceName>,
    /// The pool state; `None` without a pool or while unknown.
    pub pool_state: Option<PoolState>,
    /// Whether the pool's configuration can be changed; `None` while unknown.
    pub is_configuration_writable: Option<bool>,
    /// Servers that this plan put on the active list; `None` until it changes the list.
    pub activated: Option<BTreeSet<ServerName>>,
    /// Log backups in the backup share and the copy destination, by database and file name.
    pub log_files: ByDatabase<LogFiles<'a>>,
    /// Backup files that the plan itself takes: path to what is in it.
    pub taken: BTreeMap<String, Taken>,
    /// The copies of drills. They are databases of their own: none of them is among [`Model::copies`] of the
    /// database whose backups it was made from.
    pub drills: Drills,
}

/// One copy of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its state.
    pub state: CopyState,
    /// Its recovery model; `None` while unknown.
    pub recovery_model: Option<RecoveryModel>,
    /// Which database it is a copy of; `None` while unknown.
    pub family: Option<Guid>,
    /// Where its log stands; `None` while unknown. A recovered copy keeps the position at which it was
    /// recovered: the server's new fork cannot be foretold.
    pub position: Option<Start>,
    /// Mirroring session.
    pub mirroring: Option<MirrorSession>,
    /// Entry as log shipping secondary; `None` when there is none.
    pub secondary_entry: Option<SecondaryEntry>,
    /// Whether it has an entry as log shipping primary.
    pub is_log_shipping_primary: bool,
    /// Whether the backup job of that entry may run; `false` without an entry.
    pub backup_job_may_run: bool,
    /// Secondaries that are registered in its entry as primary: server and database, as spelled there.
    pub registered_secondaries: Vec<(String, String)>,
    /// The log backup of this plan at whose end it stands: the last one that was taken of it, or
    /// restored into it. `None` while the position is known, or where neither is.
    pub stands_at_end_of: Option<String>,
    /// Whether user sessions are known to be in it.
    pub has_sessions: bool,
}

impl Copy {
    /// Whether it is known to stand at a position.
    pub fn stands(&self, at: &LogEnd) -> bool {
        match at {
            LogEnd::Lsn(lsn) => self.position.is_some_and(|position| position.lsn == *lsn),
            LogEnd::EndOf { path } => self.stands_at_end_of.as_ref() == Some(path),
        }
    }
}

/// What a copy can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// Takes writes.
    Online,
    /// Waits for log.
    Restoring,
    /// Neither.
    Other(DatabaseState),
}

impl std::fmt::Display for CopyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CopyState::Online => f.write_str("online"),
            CopyState::Restoring => f.write_str("waiting for log"),
            CopyState::Other(state) => f.write_str(state.as_str()),
        }
    }
}

/// A mirroring session, as one partner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorSession {
    /// Whether this copy is the principal.
    pub is_principal: bool,
    /// The partner's server network address.
    pub partner_address: String,
    /// Its state.
    pub state: MirroringState,
    /// Whether SAFETY is FULL.
    pub is_safety_full: bool,
    /// The witness; `None` when there is none.
    pub witness: Option<Witness>,
}

/// The witness of a mirroring session, as one partner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its server network address.
    pub address: String,
    /// Whether it is in sight.
    pub is_seen: bool,
}

impl MirrorSession {
    /// A session that was just established: SAFETY FULL, no witness, not synchronized yet.
    fn new(is_principal: bool, partner_address: String) -> MirrorSession {
        MirrorSession {
            is_principal,
            partner_address,
            state: MirroringState::Synchronizing,
            is_safety_full: true,
            witness: None,
        }
    }
}

/// Something for each database. Plans go through databases one after the other, so the one that was
/// asked for last is tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByDatabase<T> {
    /// In the order of first use.
    all: Vec<(DatabaseName, T)>,
    recent: Cell<usize>,
}

impl<T> Default for ByDatabase<T> {
    fn default() -> ByDatabase<T> {
        ByDatabase { all: Vec::new(), recent: Cell::new(0) }
    }
}

impl<T> ByDatabase<T> {
    fn index(&self, database: &DatabaseName) -> Option<usize> {
        let is = |(name, _): &(DatabaseName, T)| name == database;
        let recent = self.recent.get();
        if self.all.get(recent).is_some_and(is) {
            return Some(recent);
        }
        let index = self.all.iter().position(is)?;
        self.recent.set(index);
        Some(index)
    }

    /// Everything, in the order of first use.
    fn iter(&self) -> impl Iterator<Item = &(DatabaseName, T)> {
        self.all.iter()
    }

    /// What there is for a database.
    pub fn get(&self, database: &DatabaseName) -> Option<&T> {
        self.all.get(self.index(database)?).map(|(_, value)| value)
    }

    fn get_mut(&mut self, database: &DatabaseName) -> Option<&mut T> {
        let index = self.index(database)?;
        self.all.get_mut(index).map(|(_, value)| value)
    }
}

impl<T: Default> ByDatabase<T> {
    /// What there is for a database; made where there is nothing yet.
    fn of(&mut self, database: &DatabaseName) -> &mut T {
        let index = self.index(database).unwrap_or_else(|| {
            self.all.push((database.clone(), T::default()));
            self.all.len() - 1
        });
        &mut self.all[index].1
    }
}

/// The log backups of one database, by file name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFiles<'a> {
    sorted: Vec<(&'a str, LogFile)>,
    /// Where the next look-up will probably hit: plans go through files in order.
    next: usize,
}

impl<'a> LogFiles<'a> {
    /// Collects files; one that lies in both folders counts once, as the copy says.
    fn new(mut files: Vec<(&'a str, LogFile)>) -> LogFiles<'a> {
        files.sort_by(|(a, x), (b, y)| a.cmp(b).then(y.is_copied.cmp(&x.is_copied)));
        files.dedup_by(|(a, again), (b, first)| {
            let same = a == b;
            first.is_in_share |= same && again.is_in_share;
            same
        });
        LogFiles { sorted: files, next: 0 }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut LogFile> {
        let index = match self.sorted.get(self.next) {
            Some((expected, _)) if *expected == name => self.next,
            _ => self.sorted.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?,
        };
        self.next = index + 1;
        self.sorted.get_mut(index).map(|(_, file)| file)
    }
}

/// A log backup file in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFile {
    /// What it holds.
    pub range: LogRange,
    /// The fork on which it starts.
    pub first_fork: Guid,
    /// Its database family.
    pub family: Guid,
    /// Whether it lies in the backup share.
    pub is_in_share: bool,
    /// Whether it lies in the copy destination, complete.
    pub is_copied: bool,
}

/// A backup that the plan takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A full backup.
    Full,
    /// A log backup.
    Log,
    /// The tail of the log, after which its database is RESTORING.
    Tail {
        /// Where it begins: everything before is in other log backups.
        follows: LogEnd,
    },
}

/// Why a step cannot work in the modelled state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible(pub String);

fn without_log(instance: &InstanceName, database: &DatabaseName) -> Impossible {
    Impossible(format!("{database} on {instance} is in recovery model SIMPLE, which keeps no log"))
}

impl<'a> Model<'a> {
    /// The observed world.
    pub fn of(topology: &Topology, observation: &'a Observation) -> Model<'a> {
        let mut model = Model {
            copies: ByDatabase::default(),
            entries_left: ByDatabase::default(),
            unseen: BTreeSet::new(),
            pool_state: None,
            is_configuration_writable: None,
            activated: None,
            log_files: ByDatabase::default(),
            taken: BTreeMap::new(),
            drills: Drills::of(topology, observation),
        };
        if let Some(Known::Known(pool)) = &observation.pool {
            model.pool_state = pool.state.known().copied();
            model.is_configuration_writable = pool.is_configuration_writable.known().copied();
        }
        for instance in topology.instances() {
            model.add_instance(&instance.name, observation);
        }
        for (database, files) in &observation.log_backups {
            let mut known = Vec::new();
            for (list, is_copied) in [(&files.share, false), (&files.copied, true)] {
                for file in list.known().into_iter().flatten() {
                    let Some(header) = file.header.known() else { continue };
                    let range = LogRange {
                        first_lsn: header.first_lsn,
                        last_lsn: header.last_lsn,
                        last_fork: header.last_fork,
                    };
                    let (first_fork, family) = (header.first_fork, header.family);
                    let is_in_share = !is_copied;
                    let found = LogFile { range, first_fork, family, is_in_share, is_copied };
                    known.push((file.name.as_str(), found));
                }
            }
            *model.log_files.of(database) = LogFiles::new(known);
        }
        model
    }

    fn add_instance(&mut self, instance: &InstanceName, observation: &Observation) {
        let Known::Known(seen) = observation.instance(instance) else {
            self.unseen.insert(instance.clone());
            return;
        };
        let Known::Known(databases) = &seen.databases else {
            self.unseen.insert(instance.clone());
            return;
        };
        for (name, database) in databases {
            let state = if database.is_writable() {
                CopyState::Online
            } else if database.is_waiting_for_log() {
                CopyState::Restoring
            } else {
                CopyState::Other(database.state)
            };
            let position = database.log_position.known().and_then(|at| {
                let lsn = at.redo_start_lsn.or(at.last_log_backup_lsn)?;
                Some(Start { family: at.family, fork: at.fork, lsn })
            });
            let mirroring = database.mirroring.known().and_then(Option::as_ref);
            let entries = Entries::of(seen, name);
            let copy = Copy {
                state,
                recovery_model: Some(database.recovery_model),
                family: database.log_position.known().map(|at| at.family),
                position,
                mirroring: mirroring.map(|mirroring| MirrorSession {
                    is_principal: mirroring.role == MirroringRole::Principal,
                    partner_address: mirroring.partner_address.clone(),
                    state: mirroring.state,
                    is_safety_full: mirroring.is_safety_full,
                    witness: mirroring.witness_address.as_ref().map(|address| Witness {
                        address: address.clone(),
                        is_seen: mirroring.is_witness_connected == Some(true),
                    }),
                }),
                secondary_entry: entries.secondary,
                is_log_shipping_primary: entries.is_primary,
                backup_job_may_run: entries.backup_job_may_run,
                stands_at_end_of: None,
                registered_secondaries: entries.registered_secondaries,
                has_sessions: database.sessions.known().is_none_or(|all| !all.is_empty()),
            };
            self.copies.of(name).insert(instance.clone(), copy);
        }
        let primaries = seen.log_shipping_primary.known().into_iter().flat_map(BTreeMap::keys);
        let secondaries = seen.log_shipping_secondary.known().into_iter().flat_map(BTreeMap::keys);
        for name in primaries.chain(secondaries).filter(|name| !databases.contains_key(*name)) {
            self.entries_left.of(name).insert(instance.clone(), Entries::of(seen, name));
        }
    }

    /// A copy of a database.
    pub fn copy_of(&self, instance: &InstanceName, database: &DatabaseName) -> Option<&Copy> {
        self.copies.get(database)?.get(instance)
    }

    /// The copies of a database that the pool state points at: where writes are served.
    pub fn serving<'m>(
        &'m self,
        topology: &'m Topology,
        database: &DatabaseName,
    ) -> impl Iterator<Item = (&'m InstanceName, &'m Copy)> + use<'m, 'a> {
        let has_pool = topology.pool().is_some_and(|pool| {
            pool.database == *database || pool.compliance_database.as_ref() == Some(database)
        });
        let pool_state = self.pool_state.filter(|_| has_pool);
        let copies = self.copies.get(database).into_iter().flatten();
        copies.filter(move |(instance, copy)| {
            let role = topology.instance(instance).map(|instance| instance.role);
            let backup_side = matches!(role, Some(Role::Secondary | Role::SecondaryMirror));
            let designated = match pool_state {
                Some(PoolState::Normal) => !backup_side,
                Some(PoolState::FailedOver) => backup_side,
                None => true,
            };
            designated && copy.state == CopyState::Online
        })
    }

    /// The known log backups of a database, by file name.
    pub fn log_files_of<'m>(
        &'m self,
        database: &DatabaseName,
    ) -> impl Iterator<Item = (&'a str, &'m LogFile)> + use<'m, 'a> {
        let files = self.log_files.get(database).into_iter().flat_map(|files| &files.sorted);
        files.map(|(name, file)| (*name, file))
    }

    /// The log backups of a database that still apply to a copy at this position.
    pub fn still_applying<'m>(
        &'m self,
        database: &DatabaseName,
        position: Start,
    ) -> impl Iterator<Item = (&'a str, &'m LogFile)> + use<'m, 'a> {
        self.log_files_of(database).filter(move |(_, file)| {
            file.family == position.family
                && file.first_fork == position.fork
                && file.range.first_lsn <= position.lsn
                && file.range.last_lsn > position.lsn
        })
    }

    /// Applies an action.
    ///
    /// # Errors
    ///
    /// [`Impossible`] when the action could not work in this state.
    pub fn apply(&mut self, topology: &Topology, action: &Action) -> Result<(), Impossible> {
        match action {
            Action::Database(instance, database, action) => {
                self.apply_database(topology, instance, database, action)
            }
            Action::LogShipping(instance, database, action) => {
                self.apply_log_shipping(instance, database, action)
            }
            Action::Files(database, FileAction::Copy { name, .. }) => {
                let original = topology.backup_share().path_of(name);
                let taken = self.taken.get(&original).cloned();
                let file = self.log_files.get_mut(database).and_then(|files| files.get_mut(name));
                match file {
                    Some(file) if file.is_in_share => file.is_copied = true,
                    Some(_) => {
                        return Err(Impossible(format!("{name} is not in the backup share")));
                    }
                    None if taken.is_some() => {}
                    None => return Err(Impossible(format!("{name} is not known"))),
                }
                if let Some(taken) = taken {
                    self.taken.insert(topology.copy_share().path_of(name), taken);
                }
                Ok(())
            }
            Action::Pool(_, action) => self.apply_pool(topology, action),
        }
    }

    fn copy(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<&mut Copy, Impossible> {
        self.copies
            .get_mut(database)
            .and_then(|copies| copies.get_mut(instance))
            .ok_or_else(|| Impossible(format!("{instance} has no {database}")))
    }

    fn require_seen(&self, instance: &InstanceName) -> Result<(), Impossible> {
        if self.unseen.contains(instance) {
            return Err(Impossible(format!("{instance} was not observed")));
        }
        Ok(())
    }

    /// Puts a copy in the place of any before it, whose log shipping entries stay.
    fn insert(&mut self, instance: &InstanceName, database: &DatabaseName, mut copy: Copy) {
        let left = self.entries_left.get_mut(database).and_then(|all| all.remove(instance));
        if let Some(left) = left {
            copy.secondary_entry = left.secondary;
            copy.is_log_shipping_primary = left.is_primary;
            copy.backup_job_may_run = left.backup_job_may_run;
            copy.registered_secondaries = left.registered_secondaries;
        } else if let Some(before) = self.copy_of(instance, database) {
            copy.secondary_entry = before.secondary_entry.clone();
            copy.is_log_shipping_primary = before.is_log_shipping_primary;
            copy.backup_job_may_run = before.backup_job_may_run;
            copy.registered_secondaries = before.registered_secondaries.clone();
        }
        self.copies.of(database).insert(instance.clone(), copy);
    }

    fn copy_in(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
        needed: CopyState,
    ) -> Result<&mut Copy, Impossible> {
        let copy = self.copy(instance, database)?;
        if copy.state == needed {
            Ok(copy)
        } else {
            let found = copy.state;
            Err(Impossible(format!("{database} on {instance} is {found}, not {needed}")))
        }
    }

    fn apply_database(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
        action: &DatabaseAction,
    ) -> Result<(), Impossible> {
        match action {
            DatabaseAction::CreateMirroringEndpoint { .. } => self.require_seen(instance),
            DatabaseAction::SetRecoveryFull => {
                let copy = self.copy_in(instance, database, CopyState::Online)?;
                copy.recovery_model = Some(RecoveryModel::Full);
                Ok(())
            }
            DatabaseAction::BackUpDatabase { path } => {
                self.copy_in(instance, database, CopyState::Online)?;
                self.taken.insert(path.clone(), Taken::Full);
                Ok(())
            }
            DatabaseAction::BackUpLog { path } => {
                let copy = self.copy_in(instance, database, CopyState::Online)?;
                if copy.recovery_model == Some(RecoveryModel::Simple) {
                    return Err(without_log(instance, database)); // error 4208
                }
                copy.position = None;
                copy.stands_at_end_of = Some(path.clone());
                self.taken.insert(path.clone(), Taken::Log);
                Ok(())
            }
            DatabaseAction::BackUpTail { path, follows } => {
                self.back_up_tail(instance, database, path, follows)
            }
            DatabaseAction::RestoreDatabase { path, replaces_existing, .. } => {
                if self.taken.get(path) != Some(&Taken::Full) {
                    return Err(Impossible(format!("no full backup {path} was taken")));
                }
                self.require_seen(instance)?;
                let existing = self.copy_of(instance, database);
                if existing.is_some() != *replaces_existing {
                    let is = if *replaces_existing { "does not exist" } else { "exists" };
                    return Err(Impossible(format!("{database} {is} on {instance}")));
                }
                if existing.is_some_and(|copy| copy.mirroring.is_some()) {
                    return Err(Impossible(format!("{database} on {instance} is mirrored")));
                }
                // RESTORE needs the database for itself (error 3101).
                if existing.is_some_and(|copy| copy.has_sessions) {
                    return Err(Impossible(format!("sessions are in {database} on {instance}")));
                }
                let copy = Copy {
                    state: CopyState::Restoring,
                    recovery_model: None,
                    family: None,
                    position: None,
                    mirroring: None,
                    secondary_entry: None,
                    is_log_shipping_primary: false,
                    backup_job_may_run: false,
                    stands_at_end_of: None,
                    registered_secondaries: Vec::new(),
                    has_sessions: false,
                };
                self.insert(instance, database, copy);
                Ok(())
            }
            DatabaseAction::RestoreLog { path, log } => {
                self.restore_log(topology, instance, database, path, log.as_ref())
            }
            DatabaseAction::EndSessions => {
                self.copy(instance, database)?.has_sessions = false;
                Ok(())
            }
            DatabaseAction::Recover { expect } => {
                let copy = self.copy_in(instance, database, CopyState::Restoring)?;
                if copy.mirroring.is_some() {
                    return Err(Impossible(format!("{database} on {instance} is mirrored")));
                }
                let knows = copy.position.is_some() || copy.stands_at_end_of.is_some();
                if let Some(at) = expect
                    && (knows || matches!(at, LogEnd::EndOf { .. }))
                    && !copy.stands(at)
                {
                    return Err(Impossible(format!(
                        "{database} on {instance} does not stand {at}"
                    )));
                }
                copy.state = CopyState::Online;
                if copy.recovery_model == Some(RecoveryModel::Simple) {
                    copy.position = None; // no log backup can follow, so no position for one is told
                }
                Ok(())
            }
            DatabaseAction::SetPartner { address } => {
                self.set_partner(topology, instance, database, address)
            }
            DatabaseAction::SetWitness { address } => {
                self.set_witness(topology, instance, database, address)
            }
            DatabaseAction::AwaitSynchronized => {
                self.await_synchronized(topology, instance, database)
            }
            DatabaseAction::FailOverMirror => self.fail_over(topology, instance, database),
            DatabaseAction::ForceService => self.force_service(topology, instance, database),
            DatabaseAction::RemoveWitness => self.remove_witness(topology, instance, database),
            DatabaseAction::RemoveMirroring => self.remove_mirroring(topology, instance, database),
            DatabaseAction::DropMirroringEndpoint { .. }
            | DatabaseAction::StopMirroringEndpoint { .. } => self.close_endpoint(instance),
            DatabaseAction::SetRecoveryBack { model } => {
                let copy = self.copy_in(instance, database, CopyState::Online)?;
                if copy.mirroring.is_some() && *model != RecoveryModel::Full {
                    return Err(Impossible(format!("{database} on {instance} is mirrored")));
                }
                copy.recovery_model = Some(*model);
                if *model == RecoveryModel::Simple {
                    copy.position = None; // the log chain ends
                }
                Ok(())
            }
            DatabaseAction::DropRestoring => self.drop_restoring(instance, database),
            DatabaseAction::Drill(step) => self.apply_drill(topology, instance, database, step),
        }
    }

    /// The tail is taken of a database that nobody is in and that is not mirrored, and ends its service.
    fn back_up_tail(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
        path: &str,
        follows: &LogEnd,
    ) -> Result<(), Impossible> {
        let file = path.rsplit(['\\', '/']).next().unwrap_or(path);
        let there = self.taken.contains_key(path)
            || self.log_files_of(database).any(|(name, log)| name == file && log.is_in_share);
        let copy = self.copy_in(instance, database, CopyState::Online)?;
        let no = |found: &str| Err(Impossible(format!("{database} on {instance} {found}")));
        if copy.recovery_model == Some(RecoveryModel::Simple) {
            return no("is in recovery model SIMPLE, which keeps no log");
        }
        if copy.mirroring.is_some() {
            return no("is mirrored");
        }
        if copy.has_sessions {
            return no("is in use");
        }
        if there {
            return no(&format!("has its tail in a file that exists: {path}"));
        }
        if !copy.stands(follows) {
            return no(&format!("has log in no backup from another position than {follows}"));
        }
        copy.state = CopyState::Restoring;
        copy.position = None;
        self.taken.insert(path.to_owned(), Taken::Tail { follows: follows.clone() });
        Ok(())
    }

    /// The copy goes; its log shipping entries stay.
    fn drop_restoring(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let copy = self.copy_in(instance, database, CopyState::Restoring)?;
        if copy.mirroring.is_some() {
            return Err(Impossible(format!("{database} on {instance} is mirrored")));
        }
        if copy.has_sessions {
            return Err(Impossible(format!("sessions are in {database} on {instance}")));
        }
        let left = Entries {
            secondary: copy.secondary_entry.take(),
            is_primary: copy.is_log_shipping_primary,
            backup_job_may_run: copy.backup_job_may_run,
            registered_secondaries: std::mem::take(&mut copy.registered_secondaries),
        };
        self.copies.of(database).remove(instance);
        if left != Entries::default() {
            self.entries_left.of(database).insert(instance.clone(), left);
        }
        Ok(())
    }

    fn restore_log(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
        path: &str,
        log: Option<&LogRange>,
    ) -> Result<(), Impossible> {
        let taken = self.taken.get(path).cloned();
        let folder = path.bytes().rposition(|byte| matches!(byte, b'\\' | b'/'));
        let file_name = folder.map_or(path, |at| &path[at + 1..]);
        let files = self.log_files.get_mut(database);
        let file = files.and_then(|files| files.get_mut(file_name)).map(|file| *file);
        let copy = self.copy_in(instance, database, CopyState::Restoring)?;
        if copy.mirroring.is_some() {
            return Err(Impossible(format!("{database} on {instance} is mirrored")));
        }
        let Some(log) = log else {
            match taken {
                Some(Taken::Log) => {}
                Some(Taken::Tail { follows }) if copy.stands(&follows) => {}
                Some(Taken::Tail { follows }) => {
                    return Err(Impossible(format!(
                        "{database} on {instance} does not stand {follows}, where {path} begins"
                    )));
                }
                Some(Taken::Full) | None => {
                    return Err(Impossible(format!("no log backup {path} was taken")));
                }
            }
            copy.position = None; // how far that log reaches is known once it was taken
            copy.stands_at_end_of = Some(path.to_owned());
            return Ok(());
        };
        let file = file.ok_or_else(|| Impossible(format!("{path} is not known")))?;
        // Every instance reads the backup share, too.
        let is_there = file.is_in_share && topology.backup_share().path_of(file_name) == path;
        if !file.is_copied && !is_there {
            return Err(Impossible(format!("{path} was not copied")));
        }
        let Some(position) = copy.position else {
            return Err(Impossible(format!("the log position of {database} is unknown")));
        };
        let applies = file.range == *log
            && file.family == position.family
            && file.first_fork == position.fork
            && log.first_lsn <= position.lsn
            && log.last_lsn > position.lsn;
        if !applies {
            return Err(Impossible(format!(
                "log {}..{} does not apply at {}",
                log.first_lsn, log.last_lsn, position.lsn
            )));
        }
        copy.position = Some(Start { lsn: log.last_lsn, fork: log.last_fork, ..position });
        copy.stands_at_end_of = None;
        Ok(())
    }
}
