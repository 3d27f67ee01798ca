//! A random step of a given kind, with arguments that make sense, and some that do not.

use pcdr_core::model::{Model, Taken};
use pcdr_core::observation::{PoolState, RecoveryModel};
use pcdr_core::schedule::Schedule;
use pcdr_core::settings::{
    PrimarySettings, SecondarySettings, primary_differences, secondary_differences,
};
use pcdr_core::step::{
    DatabaseAction, FileAction, LogEnd, LogRange, LogShippingAction, NewPrincipal, PoolAction,
};
use pcdr_core::topology::Topology;
use pcdr_core::{Action, DatabaseName, InstanceName, Known, Lsn, Observation};

use crate::kind::Kind;
use crate::walk::{DATABASE, PARTNERS, Walk};

/// How often a step is drawn anew until the model says what was wished.
const DRAWS: usize = 16;

impl Walk {
    /// A step of that kind, if possible one that the model calls possible or impossible, as wished.
    pub(crate) fn step(
        &mut self,
        kind: Kind,
        seen: &Observation,
        model: &Model<'_>,
        is_possible: bool,
    ) -> Action {
        let mut action = self.draw(kind, seen, model);
        for _ in 1..DRAWS {
            let possible = model.clone().apply(self.stage.topology(), &action).is_ok();
            if possible == is_possible {
                break;
            }
            action = self.draw(kind, seen, model);
        }
        assert_eq!(Kind::of(&action), kind);
        action
    }

    fn draw(&mut self, kind: Kind, seen: &Observation, model: &Model<'_>) -> Action {
        let at = self.instance();
        let database = DatabaseName::from(DATABASE);
        match kind {
            Kind::CreateMirroringEndpoint
            | Kind::SetRecoveryFull
            | Kind::BackUpDatabase
            | Kind::BackUpLog
            | Kind::BackUpTail
            | Kind::RestoreDatabase
            | Kind::RestoreLog
            | Kind::EndSessions
            | Kind::Recover
            | Kind::SetPartner
            | Kind::SetWitness
            | Kind::AwaitSynchronized
            | Kind::FailOverMirror
            | Kind::ForceService
            | Kind::RemoveWitness
            | Kind::RemoveMirroring
            | Kind::DropMirroringEndpoint
            | Kind::StopMirroringEndpoint
            | Kind::SetRecoveryBack
            | Kind::DropRestoring => {
                let action = self.on_database(kind, &at, model);
                Action::Database(at, database, action)
            }
            Kind::AddPrimary
            | Kind::AddSecondary
            | Kind::AddAlertJob
            | Kind::AddPrimarySecondary
            | Kind::HoldSecondaryJobs
            | Kind::RemoveSecondary
            | Kind::RemoveSecondaryPrimary
            | Kind::RemovePrimarySecondary
            | Kind::RemovePrimary
            | Kind::RemoveAlertJob
            | Kind::RunBackupJob
            | Kind::RunCopyJob
            | Kind::RunRestoreJob => {
                let action = self.on_log_shipping(kind);
                Action::LogShipping(at, database, action)
            }
            Kind::HoldBackupJob => {
                let expect = self.one_in(2).then(|| self.log_begins(&at, model));
                Action::LogShipping(at, database, LogShippingAction::HoldBackupJob { expect })
            }
            Kind::ChangePrimary | Kind::ChangeSecondary => {
                let action = self.change(kind, &at, seen);
                Action::LogShipping(at, database, action)
            }
            Kind::Copy => Action::Files(database, self.copy(seen)),
            Kind::SetState
            | Kind::InstallMirror
            | Kind::FailOverDatabase
            | Kind::ClearActiveServers
            | Kind::AddActiveServer
            | Kind::AwaitServers => {
                let pool = self.stage.topology().pool().map(|pool| pool.fqdn.clone());
                Action::Pool(pool.expect("the example has a pool"), self.on_pool(kind, model))
            }
        }
    }

    fn on_database(&mut self, kind: Kind, at: &InstanceName, model: &Model<'_>) -> DatabaseAction {
        match kind {
            Kind::CreateMirroringEndpoint => {
                let port = self.stage.topology().instance(at).map_or(5022, |i| i.mirroring_port);
                DatabaseAction::CreateMirroringEndpoint {
                    name: "Mirroring".into(),
                    port: if self.one_in(8) { port + 1 } else { port },
                    accounts: if self.one_in(2) {
                        vec!["EXAMPLE\\sql-service".into()]
                    } else {
                        Vec::new()
                    },
                }
            }
            Kind::SetRecoveryFull => DatabaseAction::SetRecoveryFull,
            Kind::BackUpDatabase => {
                let path = self.backup_path("bak", Taken::Full);
                DatabaseAction::BackUpDatabase { path }
            }
            Kind::BackUpLog => {
                DatabaseAction::BackUpLog { path: self.backup_path("trn", Taken::Log) }
            }
            Kind::BackUpTail => {
                let path = match self.backup_path("trn", Taken::Log) {
                    // Half of the new files have the name that a plan gives them.
                    path if self.one_in(2) => path.replace(".trn", "_tail.trn"),
                    path => path,
                };
                DatabaseAction::BackUpTail {
                    path,
                    follows: LogEnd::Lsn(self.log_begins(at, model)),
                }
            }
            Kind::RestoreDatabase => {
                let path = self.taken_path(Taken::Full);
                let elsewhere = self.one_in(8).then(|| "C:\\elsewhere".to_owned());
                DatabaseAction::RestoreDatabase {
                    path,
                    data_directory: elsewhere,
                    log_directory: None,
                    replaces_existing: self.one_in(2),
                }
            }
            Kind::RestoreLog => self.restore_log(at, model),
            Kind::EndSessions => DatabaseAction::EndSessions,
            Kind::Recover => {
                let copy = model.copy_of(at, &DATABASE.into());
                let position = copy.and_then(|copy| copy.position);
                let end = self.taken.iter().find(|(_, taken)| matches!(taken, Taken::Tail { .. }));
                let end = end.map(|(path, _)| path.clone());
                let expect = match self.random.below(5) {
                    0 => None,
                    1 => Lsn::new(u128::from(self.random.below(1 << 40))).map(LogEnd::Lsn),
                    2 => end.map(|path| LogEnd::EndOf { path }),
                    _ => position.map(|position| LogEnd::Lsn(position.lsn)),
                };
                DatabaseAction::Recover { expect }
            }
            Kind::SetPartner => DatabaseAction::SetPartner { address: self.partner_address(at) },
            Kind::SetWitness => {
                let witness = if self.one_in(6) { "sql-n2" } else { "sql-n3" };
                DatabaseAction::SetWitness { address: self.address(&witness.into()) }
            }
            Kind::AwaitSynchronized => DatabaseAction::AwaitSynchronized,
            Kind::FailOverMirror => DatabaseAction::FailOverMirror,
            Kind::ForceService => DatabaseAction::ForceService,
            Kind::RemoveWitness => DatabaseAction::RemoveWitness,
            Kind::RemoveMirroring => DatabaseAction::RemoveMirroring,
            Kind::DropMirroringEndpoint => {
                DatabaseAction::DropMirroringEndpoint { name: self.endpoint_name() }
            }
            Kind::StopMirroringEndpoint => {
                DatabaseAction::StopMirroringEndpoint { name: self.endpoint_name() }
            }
            Kind::SetRecoveryBack => DatabaseAction::SetRecoveryBack {
                model: match self.random.below(5) {
                    0 => RecoveryModel::Full,
                    1 => RecoveryModel::BulkLogged,
                    _ => RecoveryModel::Simple,
                },
            },
            Kind::DropRestoring => DatabaseAction::DropRestoring,
            _ => unreachable!("{kind:?} is no action on a database"),
        }
    }

    /// Where the log begins that no backup holds, as the model knows it; sometimes another position.
    fn log_begins(&mut self, at: &InstanceName, model: &Model<'_>) -> Lsn {
        let copy = model.copy_of(at, &DATABASE.into());
        let position = copy.and_then(|copy| copy.position);
        match position {
            Some(position) if !self.one_in(6) => position.lsn,
            _ => Lsn::new(u128::from(self.random.below(1 << 40))).unwrap_or_default(),
        }
    }

    fn endpoint_name(&mut self) -> String {
        if self.one_in(3) { "Mirroring" } else { "by hand" }.to_owned()
    }

    /// A new file, or one that is there.
    fn backup_path(&mut self, ending: &str, kind: Taken) -> String {
        if self.one_in(6) {
            return self.taken_path(kind);
        }
        let stamp = self.stamp();
        self.in_share(&format!("{DATABASE}_{stamp}.{ending}"))
    }

    /// A file that a step took, or one that was taken by hand, or none.
    fn taken_path(&mut self, kind: Taken) -> String {
        let taken: Vec<&String> =
            self.taken.iter().filter(|(_, found)| **found == kind).map(|(path, _)| path).collect();
        let by_hand = match kind {
            Taken::Full => &self.fulls,
            Taken::Log | Taken::Tail { .. } => &self.logs,
        };
        match self.random.below(8) {
            0 => self.in_share("no such file.bak"),
            1 if !by_hand.is_empty() => by_hand[self.random.index(by_hand.len())].clone(),
            _ if !taken.is_empty() => taken[self.random.index(taken.len())].clone(),
            _ => self.in_share("nothing was taken.bak"),
        }
    }

    fn restore_log(&mut self, at: &InstanceName, model: &Model<'_>) -> DatabaseAction {
        if self.one_in(5) {
            return DatabaseAction::RestoreLog { path: self.taken_path(Taken::Log), log: None };
        }
        let database = DatabaseName::from(DATABASE);
        let position = model.copy_of(at, &database).and_then(|copy| copy.position);
        let applying: Vec<(String, LogRange)> = match position {
            Some(position) if !self.one_in(4) => model
                .still_applying(&database, position)
                .map(|(name, file)| (name.to_owned(), file.range))
                .collect(),
            _ => model
                .log_files_of(&database)
                .map(|(name, file)| (name.to_owned(), file.range))
                .collect(),
        };
        if applying.is_empty() {
            let path = self.in_copies("no such file.trn");
            return DatabaseAction::RestoreLog { path, log: None };
        }
        let (name, mut range) = applying[self.random.index(applying.len())].clone();
        if self.one_in(12) {
            range.last_lsn = Lsn::new(1).unwrap_or_default();
        }
        let path = if self.one_in(8) { self.in_share(&name) } else { self.in_copies(&name) };
        DatabaseAction::RestoreLog { path, log: Some(range) }
    }

    fn partner_address(&mut self, at: &InstanceName) -> String {
        let partner = PARTNERS.iter().find(|(one, _)| *one == at.as_str());
        let partner = match partner {
            Some((_, partner)) if !self.one_in(8) => InstanceName::from(*partner),
            _ => self.instance(),
        };
        self.address(&partner)
    }

    pub(crate) fn on_log_shipping(&mut self, kind: Kind) -> LogShippingAction {
        match kind {
            Kind::AddPrimary => {
                let threshold = if self.one_in(6) { 45 } else { 60 };
                let settings = primary_settings(self.stage.topology(), threshold);
                LogShippingAction::AddPrimary(Box::new(settings))
            }
            Kind::AddSecondary => {
                let delay = if self.one_in(6) { 5 } else { 0 };
                let settings = secondary_settings(self.stage.topology(), delay);
                LogShippingAction::AddSecondary(Box::new(settings))
            }
            Kind::AddAlertJob => {
                let every = if self.one_in(3) { 300 } else { 120 };
                LogShippingAction::AddAlertJob { schedule: Schedule::all_day(every) }
            }
            Kind::AddPrimarySecondary => LogShippingAction::AddPrimarySecondary {
                secondary_server: "sql-s1".into(),
                secondary_database: DATABASE.into(),
            },
            Kind::HoldSecondaryJobs => LogShippingAction::HoldSecondaryJobs,
            Kind::RemoveSecondary => LogShippingAction::RemoveSecondary,
            Kind::RemoveSecondaryPrimary => {
                let primary = if self.one_in(4) { "sql-n2" } else { "sql-n1" };
                LogShippingAction::RemoveSecondaryPrimary { primary_server: primary.into() }
            }
            Kind::RemovePrimarySecondary => {
                let secondary = if self.one_in(6) { "sql-s2" } else { "sql-s1" };
                LogShippingAction::RemovePrimarySecondary {
                    secondary_server: secondary.into(),
                    secondary_database: DATABASE.into(),
                }
            }
            Kind::RemovePrimary => LogShippingAction::RemovePrimary,
            Kind::RemoveAlertJob => LogShippingAction::RemoveAlertJob,
            Kind::RunBackupJob => LogShippingAction::RunBackupJob,
            Kind::RunCopyJob => LogShippingAction::RunCopyJob,
            Kind::RunRestoreJob => LogShippingAction::RunRestoreJob,
            _ => unreachable!("{kind:?} is no action on log shipping"),
        }
    }

    /// Other settings for an entry that is there, or for none.
    fn change(&mut self, kind: Kind, at: &InstanceName, seen: &Observation) -> LogShippingAction {
        let database = DatabaseName::from(DATABASE);
        let seen = seen.instance(at);
        let seen = seen.known();
        if kind == Kind::ChangePrimary {
            let threshold = if self.one_in(2) { 45 } else { 60 };
            let settings = primary_settings(self.stage.topology(), threshold);
            let entry = seen.and_then(|seen| seen.log_shipping_primary.known()?.get(&database));
            let changes = entry.map(|entry| primary_differences(&settings, entry));
            let changes = changes.unwrap_or_default();
            LogShippingAction::ChangePrimary { settings: Box::new(settings), changes }
        } else {
            let delay = if self.one_in(2) { 5 } else { 0 };
            let settings = secondary_settings(self.stage.topology(), delay);
            let entry = seen.and_then(|seen| seen.log_shipping_secondary.known()?.get(&database));
            let changes = entry.map(|entry| secondary_differences(&settings, entry));
            let changes = changes.unwrap_or_default();
            LogShippingAction::ChangeSecondary { settings: Box::new(settings), changes }
        }
    }

    fn copy(&mut self, seen: &Observation) -> FileAction {
        let files = seen.log_backups.get(&DatabaseName::from(DATABASE));
        let listed: Vec<(String, u64)> = files
            .into_iter()
            .flat_map(|files| [&files.share, &files.copied])
            .filter_map(Known::known)
            .flatten()
            .map(|file| (file.name.clone(), file.size_bytes))
            .collect();
        let (name, size_bytes) = match listed.len() {
            0 => ("no such file.trn".to_owned(), 1),
            _ if self.one_in(10) => ("no such file.trn".to_owned(), 1),
            count => listed[self.random.index(count)].clone(),
        };
        let size_bytes = if self.one_in(10) { size_bytes + 1 } else { size_bytes };
        let size_bytes = (!self.one_in(6)).then_some(size_bytes);
        FileAction::Copy { name, size_bytes, replaces_unreadable: self.one_in(2) }
    }

    fn on_pool(&mut self, kind: Kind, model: &Model<'_>) -> PoolAction {
        match kind {
            Kind::SetState => {
                let failed_over = self.one_in(2);
                let state = if failed_over { PoolState::FailedOver } else { PoolState::Normal };
                PoolAction::SetState(state)
            }
            Kind::InstallMirror => {
                let (primary, mirror) = PARTNERS[self.random.index(PARTNERS.len())];
                PoolAction::InstallMirror {
                    primary: primary.into(),
                    mirror: mirror.into(),
                    database: DATABASE.into(),
                    file_share: "\\\\files-s.example.net\\logbackups".into(),
                    drops_existing: !self.one_in(3),
                }
            }
            Kind::FailOverDatabase => {
                let (from, to) = PARTNERS[self.random.index(PARTNERS.len())];
                let to = if self.one_in(10) { self.instance() } else { to.into() };
                let is_first = matches!(from, "sql-n1" | "sql-s1");
                PoolAction::FailOverDatabase {
                    database: DATABASE.into(),
                    from: from.into(),
                    to,
                    new_principal: if is_first {
                        NewPrincipal::Mirror
                    } else {
                        NewPrincipal::Primary
                    },
                    force: self.one_in(3),
                }
            }
            Kind::ClearActiveServers => PoolAction::ClearActiveServers,
            Kind::AddActiveServer => PoolAction::AddActiveServer(self.server()),
            Kind::AwaitServers => {
                let active = model.activated.iter().flatten();
                match active.last() {
                    Some(active) if !self.one_in(4) => {
                        PoolAction::AwaitServers(vec![active.clone()])
                    }
                    _ => PoolAction::AwaitServers(vec![self.server()]),
                }
            }
            _ => unreachable!("{kind:?} is no action on the pool"),
        }
    }

    fn server(&mut self) -> pcdr_core::ServerName {
        let servers = ["chat-n1", "chat-n2", "chat-n3", "chat-s1", "chat-s2", "stranger"];
        format!("{}.example.net", servers[self.random.index(servers.len())]).into()
    }
}

/// Jobs do not run by themselves while steps are tried.
const ONCE_A_DAY: Schedule = Schedule::all_day(24 * 3600);

fn primary_settings(topology: &Topology, threshold: i32) -> PrimarySettings {
    PrimarySettings {
        backup_threshold_minutes: threshold,
        schedule: ONCE_A_DAY,
        ..PrimarySettings::of(topology, &DATABASE.into())
    }
}

fn secondary_settings(topology: &Topology, delay: i32) -> SecondarySettings {
    let secondary =
        topology.log_shipping().secondaries.first().expect("the example has a secondary");
    SecondarySettings {
        restore_delay_minutes: delay,
        copy_schedule: ONCE_A_DAY,
        restore_schedule: ONCE_A_DAY,
        ..SecondarySettings::of(topology, secondary, &DATABASE.into())
    }
}
