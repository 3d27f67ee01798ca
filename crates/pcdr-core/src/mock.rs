//! An in-memory world behind the ports: for unit tests of automation that is built on pcdr.
//!
//! The mock carries steps out on plain data, keeps the ports' contracts (it passes the
//! [`conformance`](crate::conformance) suite), and can be told to fail. It does not pretend to be SQL
//! Server; the stand-ins do that.

mod actions;
mod drill;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::backup::{BackupFile, BackupHeader, BackupKind};
use crate::drill::{Beside, BesideQuestion};
use crate::error::{ErrorCode, InstanceError};
use crate::journal::Entry;
use crate::known::Known;
use crate::lsn::{Guid, Lsn};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    DatabaseObservation, DatabaseState, InstanceObservation, Job, JobSchedule, LogBackupFiles,
    LogPosition, LogShippingPrimary, LogShippingSecondary, Mirroring, MirroringRole,
    MirroringState, PoolObservation, PoolState, RecoveryModel, UserAccess,
};
use crate::ports::{
    BackupFiles, Clock, DatabaseInstance, LogShippingJobs, Owner, PoolControl, Ports, Progress,
    RunLock, RunStore,
};
use crate::schedule::Schedule;
use crate::settings::{Monitor, PrimarySettings, SecondarySettings};
use crate::step::{DatabaseAction, FileAction, LogShippingAction, PoolAction};
use crate::time::Timestamp;
use crate::topology::{Role, Topology};

/// A mock world of one topology, shared by all its ports.
#[derive(Debug, Clone)]
pub struct MockWorld {
    topology: Arc<Topology>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    instances: BTreeMap<InstanceName, InstanceObservation>,
    down: BTreeSet<InstanceName>,
    share: BTreeMap<DatabaseName, Vec<BackupFile>>,
    copied: BTreeMap<DatabaseName, Vec<BackupFile>>,
    /// Full backups in the backup share.
    full: BTreeMap<DatabaseName, Vec<BackupFile>>,
    /// Where drills restore to.
    beside: drill::BesideState,
    /// Backups that actions took, but for tails: by path, the position at which they end.
    taken: BTreeMap<String, Lsn>,
    pool: PoolObservation,
    active: BTreeSet<crate::name::ServerName>,
    failures: Vec<(String, InstanceError)>,
    log: Vec<String>,
    journal: Vec<Entry>,
    locked: Arc<Mutex<Option<Owner>>>,
}

impl MockWorld {
    /// A world in which every database is online on the primary and waits for log on the secondary,
    /// shipped up to position 1000, where a full backup in the backup share ends, too; no mirrors, pool
    /// `Normal`.
    pub fn new(topology: Topology) -> MockWorld {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let mut instances = BTreeMap::new();
        let mut share = BTreeMap::new();
        let mut copied = BTreeMap::new();
        for instance in topology.instances() {
            let mut seen = InstanceObservation {
                observed_at: now,
                utc_offset_minutes: 0,
                server_name: Some(instance.server_name.clone()),
                version: "15.0.4153.1".to_owned(),
                edition: "Developer Edition (64-bit)".to_owned(),
                agent_running: Known::Known(true),
                databases: Known::Known(BTreeMap::new()),
                log_shipping_primary: Known::Known(BTreeMap::new()),
                log_shipping_secondary: Known::Known(BTreeMap::new()),
                alert_job: Known::Known(None),
                log_shipping_unfinished: Known::Known(Vec::new()),
                log_shipping_monitored: Known::Known(Vec::new()),
                mirroring_endpoint: Known::Known(None),
            };
            let mut databases = BTreeMap::new();
            for database in topology.databases() {
                match instance.role {
                    Role::Primary => {
                        databases.insert(database.clone(), copy(DatabaseState::Online));
                    }
                    Role::Secondary => {
                        databases.insert(database.clone(), copy(DatabaseState::Restoring));
                        if let Known::Known(entries) = &mut seen.log_shipping_secondary {
                            let settings = SecondarySettings::of(
                                &topology,
                                &topology.log_shipping().secondaries[0],
                                database,
                            );
                            entries.insert(database.clone(), secondary_entry(&settings));
                        }
                    }
                    _ => {}
                }
            }
            seen.databases = Known::Known(databases);
            instances.insert(instance.name.clone(), seen);
        }
        for database in topology.databases() {
            share.insert(database.clone(), Vec::new());
            copied.insert(database.clone(), Vec::new());
        }
        let pool = PoolObservation {
            state: Known::Known(PoolState::Normal),
            replicas_up_to_date: Known::Known(BTreeMap::new()),
            is_configuration_writable: Known::Known(true),
        };
        let state = State {
            now,
            instances,
            down: BTreeSet::new(),
            share,
            copied,
            full: topology.databases().iter().map(drill::first_full_backup).collect(),
            beside: drill::BesideState::default(),
            taken: BTreeMap::new(),
            pool,
            active: BTreeSet::new(),
            failures: Vec::new(),
            log: Vec::new(),
            journal: Vec::new(),
            locked: Arc::new(Mutex::new(None)),
        };
        MockWorld { topology: Arc::new(topology), state: Arc::new(Mutex::new(state)) }
    }

    /// Takes an instance away: it cannot be reached until it is returned.
    pub fn lose_instance(&self, instance: &str) {
        self.state().down.insert(instance.into());
    }

    /// Brings a lost instance back as it was; but where its mirror was forced into service meanwhile,
    /// its copy has become the mirror, and nobody can open it.
    pub fn return_instance(&self, instance: &str) {
        let mut state = self.state();
        let name = InstanceName::from(instance);
        state.down.remove(&name);
        let addresses = addresses(&self.topology);
        for database in self.topology.observed_databases() {
            let Some(copy) = actions::copy_on(&mut state, &name, database) else { continue };
            let Known::Known(Some(session)) = copy.mirroring.clone() else { continue };
            if session.role != MirroringRole::Principal {
                continue;
            }
            let partner = addresses.get(&session.partner_address).cloned();
            let partner =
                partner.and_then(|partner| actions::copy_on(&mut state, &partner, database));
            let forced = partner.and_then(|copy| copy.mirroring.known()?.clone());
            let Some(forced) = forced.filter(|session| session.role == MirroringRole::Principal)
            else {
                continue;
            };
            if let Some(copy) = actions::copy_on(&mut state, &name, database) {
                copy.state = DatabaseState::Recovering;
                let (role, state) = (MirroringRole::Mirror, forced.state);
                copy.mirroring = Known::Known(Some(Mirroring { role, state, ..session }));
            }
        }
    }

    /// Puts a log backup of positions `first..last` into the backup share. A copy that takes writes and
    /// whose log begins at `first` is the one that was backed up.
    ///
    /// # Panics
    ///
    /// When a position has more than 25 digits.
    pub fn ship(&self, database: &str, first: u128, last: u128) {
        let mut state = self.state();
        let file = log_backup(database, first, last, state.now);
        let databases = state.instances.values_mut().filter_map(|seen| match &mut seen.databases {
            Known::Known(databases) => databases.get_mut(&DatabaseName::from(database)),
            Known::Unknown(_) => None,
        });
        for copy in databases.filter(|copy| copy.is_writable()) {
            if let Known::Known(position) = &mut copy.log_position
                && position.last_log_backup_lsn == Some(lsn(first))
            {
                position.last_log_backup_lsn = Some(lsn(last));
            }
        }
        state.share.entry(database.into()).or_default().push(file);
    }

    /// Changes a file in the backup share, for example to make it unreadable.
    pub fn change_share(&self, database: &str, change: impl FnOnce(&mut Vec<BackupFile>)) {
        change(self.state().share.entry(database.into()).or_default());
    }

    /// Changes a file in the copy destination, for example to make it unreadable.
    pub fn change_copied(&self, database: &str, change: impl FnOnce(&mut Vec<BackupFile>)) {
        change(self.state().copied.entry(database.into()).or_default());
    }

    /// Changes the full backups in the backup share.
    pub fn change_full_backups(&self, database: &str, change: impl FnOnce(&mut Vec<BackupFile>)) {
        change(self.state().full.entry(database.into()).or_default());
    }

    /// Sets the free bytes where drills restore to, and whether the folder is there.
    pub fn set_drill_folder(&self, free_bytes: Known<u64>, is_directory: bool) {
        let mut state = self.state();
        state.beside.free_bytes = free_bytes;
        state.beside.is_missing = !is_directory;
    }

    /// Puts somebody's database on an instance, with this file, which no observation of the topology's
    /// databases shows.
    pub fn put_database(&self, instance: &str, database: &str, file: &str) {
        self.state().beside.put(instance.into(), database.into(), file);
    }

    /// Names of the databases on an instance that a drill, or somebody, put beside those of the topology.
    pub fn databases_beside(&self, instance: &str) -> Vec<DatabaseName> {
        self.state().beside.names(&instance.into())
    }

    /// Changes what an instance says of itself.
    pub fn change_instance(&self, instance: &str, change: impl FnOnce(&mut InstanceObservation)) {
        if let Some(seen) = self.state().instances.get_mut(&InstanceName::from(instance)) {
            change(seen);
        }
    }

    /// Changes what the pool says of itself.
    pub fn change_pool(&self, change: impl FnOnce(&mut PoolObservation)) {
        change(&mut self.state().pool);
    }

    /// Makes the next action whose wording contains `words` fail with this error.
    pub fn fail_next(&self, words: &str, error: InstanceError) {
        self.state().failures.push((words.to_owned(), error));
    }

    /// Every action that was asked for, in order, by its wording.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Servers on the active list.
    pub fn active_servers(&self) -> Vec<crate::name::ServerName> {
        self.state().active.iter().cloned().collect()
    }

    /// The journal.
    pub fn journal(&self) -> Vec<Entry> {
        self.state().journal.clone()
    }

    /// The clock's time; sleeping moves it.
    pub fn now(&self) -> Timestamp {
        self.state().now
    }

    /// Moves the clock.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now = state.now.plus(duration);
    }

    /// Every port of this world.
    pub fn ports(&self) -> Ports {
        let port =
            |name: &InstanceName| Arc::new(MockPort { world: self.clone(), name: name.clone() });
        let names: Vec<InstanceName> = self.topology.instances().map(|i| i.name.clone()).collect();
        let all = Arc::new(MockPort { world: self.clone(), name: "mock".into() });
        Ports {
            instances: names
                .iter()
                .map(|name| (name.clone(), port(name) as Arc<dyn DatabaseInstance>))
                .collect(),
            jobs: names
                .iter()
                .map(|name| (name.clone(), port(name) as Arc<dyn LogShippingJobs>))
                .collect(),
            pool: self.topology.pool().map(|_| all.clone() as Arc<dyn PoolControl>),
            files: all.clone(),
            store: all.clone(),
            clock: all,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an action and fails it when told to.
    fn note(&self, action: &crate::step::Action) -> Result<(), InstanceError> {
        let mut state = self.state();
        let words = action.to_string();
        let fails = state.failures.iter().position(|(part, _)| words.contains(part));
        state.log.push(words);
        match fails {
            Some(index) => Err(state.failures.remove(index).1),
            None => Ok(()),
        }
    }

    fn reach(&self, name: &InstanceName) -> Result<(), InstanceError> {
        if self.state().down.contains(name) {
            return Err(InstanceError::new(
                ErrorCode::Unreachable,
                name.as_str(),
                "a connection was needed",
                "it cannot be reached",
                "Return the instance with MockWorld::return_instance.",
            ));
        }
        Ok(())
    }
}

fn wrong_state(name: &InstanceName, needed: &str, found: impl std::fmt::Debug) -> InstanceError {
    InstanceError::new(
        ErrorCode::WrongState,
        name.as_str(),
        needed.to_owned(),
        format!("it is {found:?}"),
        "Plan again from a new observation.",
    )
}

fn lsn(value: u128) -> Lsn {
    Lsn::new(value).expect("positions in a mock have at most 25 digits")
}

const FAMILY: Guid = Guid(0xFA);
const FORK: Guid = Guid(0xF0);

fn copy(state: DatabaseState) -> DatabaseObservation {
    let restoring = state == DatabaseState::Restoring;
    DatabaseObservation {
        state,
        is_in_standby: false,
        is_read_only: false,
        user_access: UserAccess::MultiUser,
        recovery_model: RecoveryModel::Full,
        log_position: Known::Known(LogPosition {
            family: FAMILY,
            fork: FORK,
            redo_start_lsn: restoring.then(|| lsn(1000)),
            last_log_backup_lsn: (!restoring).then(|| lsn(1000)),
            last_restored_lsn: restoring.then(|| lsn(1000)),
        }),
        mirroring: Known::Known(None),
        sessions: Known::Known(Vec::new()),
        server_pings: Known::Known(BTreeMap::new()),
        log_since_backup_bytes: if restoring {
            Known::unknown("not_online", "told only while the database is ONLINE")
        } else {
            Known::Known(0)
        },
        log_backups_taken: Known::Known(Vec::new()),
        log_backups_restored: Known::Known(Vec::new()),
    }
}

/// A session of partners that are connected.
fn new_session(role: MirroringRole, partner_address: String) -> Mirroring {
    Mirroring {
        role,
        state: MirroringState::Synchronized,
        partner_address,
        witness_address: None,
        is_witness_connected: None,
        is_safety_full: true,
        end_of_log_lsn: Some(lsn(1000)),
    }
}

fn job(name: &str, schedule: Schedule) -> Job {
    let id = Guid(u128::from_le_bytes(
        blake3::hash(name.as_bytes()).as_bytes()[..16].try_into().expect("16 of 32 bytes"),
    ));
    Job {
        id,
        name: name.to_owned(),
        is_enabled: true,
        is_running: false,
        last_run_status: Some(1),
        last_run_at: None,
        last_run_message: None,
        last_failure: None,
        schedules: vec![JobSchedule {
            id: 1,
            name: format!("schedule of {name}"),
            is_enabled: true,
            schedule: Some(schedule),
        }],
    }
}

/// The entry that these settings lead to.
fn primary_entry(settings: &PrimarySettings) -> LogShippingPrimary {
    LogShippingPrimary {
        backup_directory: settings.backup_directory.clone(),
        backup_share: settings.backup_share.clone(),
        backup_retention_minutes: settings.backup_retention_minutes,
        backup_compression: Some(settings.backup_compression),
        last_backup_file: None,
        last_backup_at: None,
        backup_threshold_minutes: Some(settings.backup_threshold_minutes),
        raises_alert: Some(settings.raises_alert),
        history_retention_minutes: Some(settings.history_retention_minutes),
        monitor_server: settings.monitor.as_ref().map(|monitor| monitor.server.clone()),
        monitor_authentication: settings.monitor.as_ref().map(Monitor::authentication),
        backup_job: Known::Known(job(&settings.backup_job_name, settings.schedule)),
        secondaries: Vec::new(),
    }
}

fn secondary_entry(settings: &SecondarySettings) -> LogShippingSecondary {
    LogShippingSecondary {
        primary_server: settings.primary_server.clone(),
        primary_database: settings.primary_database.clone(),
        backup_source_directory: settings.backup_source_directory.clone(),
        backup_destination_directory: settings.backup_destination_directory.clone(),
        file_retention_minutes: Some(settings.file_retention_minutes),
        monitor_server: settings.monitor.as_ref().map(|monitor| monitor.server.clone()),
        monitor_authentication: settings.monitor.as_ref().map(Monitor::authentication),
        last_copied_file: None,
        last_copied_at: None,
        last_restored_file: None,
        last_restored_at: None,
        last_restored_latency_minutes: None,
        restore_threshold_minutes: Some(settings.restore_threshold_minutes),
        raises_alert: Some(settings.raises_alert),
        history_retention_minutes: Some(settings.history_retention_minutes),
        restore_delay_minutes: settings.restore_delay_minutes,
        restores_all: Some(true),
        restore_mode: Some(settings.restore_mode),
        disconnect_users: Some(settings.disconnect_users),
        copy_job: Known::Known(job(&settings.copy_job_name, settings.copy_schedule)),
        restore_job: Known::Known(job(&settings.restore_job_name, settings.restore_schedule)),
    }
}

/// A log backup file of positions `first..last`, finished at `at`, on the mock's only fork.
///
/// # Panics
///
/// When a position has more than 25 digits.
pub fn log_backup(database: &str, first: u128, last: u128, at: Timestamp) -> BackupFile {
    let name = format!("{database}_{last:020}.trn");
    BackupFile {
        path: format!(r"\\sql-s1.example.net\logcopies\{name}"),
        name,
        size_bytes: 4096,
        modified_at: Some(at),
        header: Known::Known(BackupHeader {
            kind: BackupKind::Log,
            backup_set: Guid(first << 64 | last),
            database: database.to_owned(),
            server: "MOCK".to_owned(),
            family: FAMILY,
            first_lsn: lsn(first),
            last_lsn: lsn(last),
            checkpoint_lsn: lsn(first),
            database_backup_lsn: lsn(1),
            first_fork: FORK,
            last_fork: FORK,
            fork_point_lsn: None,
            started_at: at,
            finished_at: at,
            backup_size_bytes: 4096,
            is_copy_only: false,
            is_tail: false,
            is_damaged: false,
            has_bulk_logged_data: false,
            database_version: 904,
        }),
    }
}

/// One of the mock's ports; all of them, in fact.
struct MockPort {
    world: MockWorld,
    name: InstanceName,
}

#[async_trait]
impl DatabaseInstance for MockPort {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    async fn observe(
        &self,
        databases: &[DatabaseName],
    ) -> Result<InstanceObservation, InstanceError> {
        self.world.reach(&self.name)?;
        let state = self.world.state();
        let mut seen = state.instances[&self.name].clone();
        seen.observed_at = state.now;
        let is_down = |address: &str| {
            let named = |i: &&crate::topology::Instance| i.mirroring_address() == address;
            let instance = self.world.topology.instances().find(named);
            instance.is_some_and(|instance| state.down.contains(&instance.name))
        };
        if let Known::Known(all) = &mut seen.databases {
            all.retain(|name, _| databases.contains(name));
            for copy in all.values_mut() {
                if let Known::Known(Some(session)) = &mut copy.mirroring {
                    if is_down(&session.partner_address)
                        && session.state != MirroringState::Suspended
                    {
                        session.state = MirroringState::Disconnected;
                    }
                    let witness = session.witness_address.as_deref();
                    session.is_witness_connected = witness.map(|witness| !is_down(witness));
                }
            }
        }
        Ok(seen)
    }

    async fn look_beside(&self, question: &BesideQuestion) -> Result<Beside, InstanceError> {
        self.world.reach(&self.name)?;
        Ok(drill::look(&self.world.state(), &self.name, question))
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &DatabaseAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.world.reach(&self.name)?;
        let whole =
            crate::step::Action::Database(self.name.clone(), database.clone(), action.clone());
        self.world.note(&whole)?;
        progress.report(100.0, "done");
        let addresses = addresses(&self.world.topology);
        let mut state = self.world.state();
        actions::act(&mut state, &addresses, &self.name, database, action)
    }
}

fn addresses(topology: &Topology) -> BTreeMap<String, InstanceName> {
    topology.instances().map(|i| (i.mirroring_address(), i.name.clone())).collect()
}

#[async_trait]
impl LogShippingJobs for MockPort {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &LogShippingAction,
        _progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.world.reach(&self.name)?;
        self.world.note(&crate::step::Action::LogShipping(
            self.name.clone(),
            database.clone(),
            action.clone(),
        ))?;
        let mut state = self.world.state();
        let Some(instance) = state.instances.get_mut(&self.name) else { return Ok(()) };
        let (Known::Known(primary), Known::Known(secondary)) =
            (&mut instance.log_shipping_primary, &mut instance.log_shipping_secondary)
        else {
            return Ok(());
        };
        match action {
            LogShippingAction::AddPrimary(settings) => {
                primary.entry(database.clone()).or_insert_with(|| primary_entry(settings));
            }
            LogShippingAction::AddSecondary(settings) => {
                secondary.entry(database.clone()).or_insert_with(|| secondary_entry(settings));
            }
            LogShippingAction::ChangePrimary { settings, .. } => {
                let Some(entry) = primary.get_mut(database) else {
                    let needed = "a log shipping primary entry was needed";
                    return Err(wrong_state(&self.name, needed, "missing"));
                };
                *entry = LogShippingPrimary {
                    secondaries: std::mem::take(&mut entry.secondaries),
                    last_backup_file: entry.last_backup_file.take(),
                    last_backup_at: entry.last_backup_at,
                    ..primary_entry(settings)
                };
            }
            LogShippingAction::ChangeSecondary { settings, .. } => {
                let Some(entry) = secondary.get_mut(database) else {
                    let needed = "a log shipping secondary entry was needed";
                    return Err(wrong_state(&self.name, needed, "missing"));
                };
                *entry = LogShippingSecondary {
                    last_copied_file: entry.last_copied_file.take(),
                    last_restored_file: entry.last_restored_file.take(),
                    last_restored_at: entry.last_restored_at,
                    ..secondary_entry(settings)
                };
            }
            LogShippingAction::AddAlertJob { schedule } => {
                instance.alert_job = Known::Known(Some(job("LSAlert", *schedule)));
            }
            LogShippingAction::RemoveAlertJob => {
                let others = instance.log_shipping_monitored.known().is_some_and(|m| !m.is_empty());
                if primary.is_empty() && secondary.is_empty() && !others {
                    instance.alert_job = Known::Known(None);
                }
            }
            LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
                let Some(entry) = primary.get_mut(database) else {
                    let needed = "a log shipping primary entry was needed";
                    return Err(wrong_state(&self.name, needed, "missing"));
                };
                let pair = (secondary_server.clone(), secondary_database.to_string());
                if !entry.secondaries.contains(&pair) {
                    entry.secondaries.push(pair);
                }
            }
            LogShippingAction::HoldBackupJob { .. } => {
                if let Some(entry) = primary.get_mut(database)
                    && let Known::Known(job) = &mut entry.backup_job
                {
                    job.is_enabled = false;
                    job.is_running = false;
                }
            }
            LogShippingAction::HoldSecondaryJobs => {
                if let Some(entry) = secondary.get_mut(database) {
                    for job in [&mut entry.copy_job, &mut entry.restore_job] {
                        if let Known::Known(job) = job {
                            job.is_enabled = false;
                            job.is_running = false;
                        }
                    }
                }
            }
            LogShippingAction::RemoveSecondary => {
                secondary.remove(database);
            }
            LogShippingAction::RemoveSecondaryPrimary { primary_server } => {
                if let Known::Known(all) = &mut instance.log_shipping_unfinished {
                    all.retain(|registered| {
                        registered.primary_database != *database
                            || !registered.primary_server.eq_ignore_ascii_case(primary_server)
                    });
                }
            }
            LogShippingAction::RemovePrimarySecondary { secondary_server, secondary_database } => {
                if let Some(entry) = primary.get_mut(database) {
                    entry.secondaries.retain(|(server, name)| {
                        !server.eq_ignore_ascii_case(secondary_server)
                            || name != secondary_database.as_str()
                    });
                }
            }
            LogShippingAction::RemovePrimary => match primary.get(database) {
                Some(entry) if !entry.secondaries.is_empty() => {
                    let needed = "an entry without secondaries was needed";
                    return Err(wrong_state(&self.name, needed, &entry.secondaries));
                }
                _ => {
                    primary.remove(database);
                }
            },
            LogShippingAction::RunBackupJob
            | LogShippingAction::RunCopyJob
            | LogShippingAction::RunRestoreJob => {}
        }
        Ok(())
    }
}

#[async_trait]
impl PoolControl for MockPort {
    async fn observe(&self) -> Result<PoolObservation, InstanceError> {
        Ok(self.world.state().pool.clone())
    }

    async fn run(
        &self,
        action: &PoolAction,
        _progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let topology = Arc::clone(&self.world.topology);
        let Some(pool) = topology.pool() else {
            return Err(wrong_state(&self.name, "a pool was needed", "none in the topology"));
        };
        self.world.note(&crate::step::Action::Pool(pool.fqdn.clone(), action.clone()))?;
        let mut state = self.world.state();
        match action {
            PoolAction::SetState(new) => state.pool.state = Known::Known(*new),
            PoolAction::InstallMirror { primary, mirror, database, .. } => {
                for (name, role, partner) in [
                    (primary, MirroringRole::Principal, mirror),
                    (mirror, MirroringRole::Mirror, primary),
                ] {
                    let address = topology.instance(partner).map(|i| i.mirroring_address());
                    let session = new_session(role, address.unwrap_or_default());
                    let Some(seen) = state.instances.get_mut(name) else { continue };
                    let Known::Known(databases) = &mut seen.databases else { continue };
                    let entry = databases
                        .entry(database.clone())
                        .or_insert_with(|| copy(DatabaseState::Restoring));
                    entry.mirroring = Known::Known(Some(session));
                }
            }
            PoolAction::FailOverDatabase { database, from, to, force, .. } => {
                let is_lost = state.down.contains(from);
                let (on, action) = match (is_lost, force) {
                    (true, true) => (to, DatabaseAction::ForceService),
                    (true, false) => {
                        let needed = "a principal that can be reached was needed";
                        return Err(wrong_state(from, needed, "lost"));
                    }
                    (false, _) => (from, DatabaseAction::FailOverMirror),
                };
                let addresses = addresses(&topology);
                actions::act_on_mirroring(&mut state, &addresses, on, database, &action)?;
            }
            PoolAction::ClearActiveServers => state.active.clear(),
            PoolAction::AwaitServers(_) => {}
            PoolAction::AddActiveServer(server) => {
                state.active.insert(server.clone());
                // An active server pings the database that the pool state points at.
                let ping = state.now.plus(Duration::from_secs(1));
                state.now = ping;
                let failed_over = state.pool.state.known() == Some(&PoolState::FailedOver);
                let role = if failed_over { Role::Secondary } else { Role::Primary };
                let serving = topology.role(role).map(|instance| &instance.name);
                let seen = serving.and_then(|name| state.instances.get_mut(name));
                if let Some(Known::Known(databases)) = seen.map(|seen| &mut seen.databases)
                    && let Some(copy) = databases.get_mut(&pool.database)
                    && let Known::Known(pings) = &mut copy.server_pings
                {
                    pings.insert(server.clone(), ping);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl BackupFiles for MockPort {
    async fn list(
        &self,
        database: &DatabaseName,
        _known: &[BackupFile],
    ) -> Result<LogBackupFiles, InstanceError> {
        let state = self.world.state();
        let files = |all: &BTreeMap<DatabaseName, Vec<BackupFile>>| {
            Known::Known(all.get(database).cloned().unwrap_or_default())
        };
        Ok(LogBackupFiles { share: files(&state.share), copied: files(&state.copied) })
    }

    async fn list_full(
        &self,
        database: &DatabaseName,
    ) -> Result<Known<Vec<BackupFile>>, InstanceError> {
        let full = self.world.state().full.get(database).cloned();
        Ok(Known::Known(full.unwrap_or_default()))
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &FileAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.world.note(&crate::step::Action::Files(database.clone(), action.clone()))?;
        let FileAction::Copy { name, .. } = action;
        let mut state = self.world.state();
        let file = state.share.get(database).into_iter().flatten().find(|f| f.name == *name);
        let Some(file) = file.cloned() else {
            return Err(InstanceError::new(
                ErrorCode::FileInaccessible,
                "backup share",
                format!("{name} was needed"),
                "there is no such file",
                "Look into the backup share, then plan again.",
            ));
        };
        let copied = state.copied.entry(database.clone()).or_default();
        copied.retain(|other| other.name != *name || other.header.known().is_some());
        if !copied.iter().any(|other| other.name == *name) {
            copied.push(file);
        }
        progress.report(100.0, "copied");
        Ok(())
    }
}

struct MockLock(Arc<Mutex<Option<Owner>>>);

impl RunLock for MockLock {}

impl Drop for MockLock {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[async_trait]
impl RunStore for MockPort {
    async fn lock(&self, owner: &Owner) -> Result<Box<dyn RunLock>, InstanceError> {
        let locked = Arc::clone(&self.world.state().locked);
        let mut holder = locked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = &*holder {
            return Err(InstanceError::new(
                ErrorCode::Locked,
                "the run store",
                "the lock of this topology was needed",
                format!("{holder} holds it"),
                "Wait for that run to end, or end it.",
            ));
        }
        *holder = Some(owner.clone());
        drop(holder);
        Ok(Box::new(MockLock(locked)))
    }

    async fn append(&self, entry: &Entry) -> Result<(), InstanceError> {
        self.world.state().journal.push(entry.clone());
        Ok(())
    }

    async fn entries(&self) -> Result<Vec<Entry>, InstanceError> {
        Ok(self.world.state().journal.clone())
    }
}

#[async_trait]
impl Clock for MockPort {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.world.advance(duration);
    }
}
