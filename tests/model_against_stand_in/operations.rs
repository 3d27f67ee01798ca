//! What happens to the stand-in between steps: by hand, by jobs, by accident.

use pcdr_cli::workload::{self, Reach};
use pcdr_core::InstanceName;
use pcdr_core::observation::PoolState;
use pcdr_core::ports::Unwatched;
use pcdr_core::step::{DatabaseAction, PoolAction};
use pcdr_sim::shell::CmsAvailability;

use crate::kind::Kind;
use crate::walk::{DATABASE, PARTNERS, Walk};

const SERVERS: [&str; 5] = ["sql-n1", "sql-n2", "sql-n3", "sql-s1", "sql-s2"];

impl Walk {
    /// Endpoints on most instances, and a first full backup.
    pub(crate) async fn furnish(&mut self) {
        for server in SERVERS {
            if self.one_in(8) {
                continue;
            }
            let topology = self.stage.topology();
            let port = topology.instance(&server.into()).map_or(0, |found| found.mirroring_port);
            let create = format!(
                "CREATE ENDPOINT [by hand] STATE = STARTED AS TCP (LISTENER_PORT = {port}) FOR \
                 DATABASE_MIRRORING (ROLE = ALL)"
            );
            self.sql(server, create).await;
        }
        self.full_backup("sql-n1").await;
        if self.one_in(3) {
            self.ship_the_log().await;
        }
        if self.one_in(2) {
            self.mirror(0, true).await;
        }
        self.settle().await;
    }

    /// One thing that happens.
    pub(crate) async fn something_happens(&mut self) {
        let instance = self.instance();
        let at = instance.as_str();
        match self.random.below(34) {
            0..=1 => self.insert(at).await,
            2..=3 => self.full_backup(at).await,
            4..=6 => self.log_backup(at).await,
            7..=9 => self.seed(at).await,
            10..=11 => self.restore_a_log(at).await,
            12 => {
                self.sql(at, format!("RESTORE DATABASE [{DATABASE}] WITH RECOVERY")).await;
            }
            13..=15 => {
                let pair = self.random.index(PARTNERS.len());
                let whole = !self.one_in(3);
                self.mirror(pair, whole).await;
            }
            16..=17 => self.alter_mirroring(at).await,
            18..=20 => self.alter(at).await,
            21 => {
                self.sql(at, format!("DROP DATABASE [{DATABASE}]")).await;
            }
            22 => self.change_entries(at).await,
            23..=24 => self.ship_the_log().await,
            25..=26 => self.ship().await,
            27..=28 => self.disturb_a_file(),
            29 => self.squat(at).await,
            30 => self.lose_or_return(at).await,
            31 => self.configuration(),
            32 => self.serve_again().await,
            _ => self.copy_a_file().await,
        }
    }

    /// Makes it likely that a step of this kind is possible.
    pub(crate) async fn prepare(&mut self, kind: Kind) {
        match kind {
            Kind::RestoreLog | Kind::Recover | Kind::Copy => self.chain().await,
            Kind::BackUpTail => self.before_the_tail().await,
            Kind::EndSessions => {
                self.serve_again().await;
                self.squat("sql-n1").await;
            }
            Kind::SetRecoveryFull => {
                self.sql("sql-n1", format!("ALTER DATABASE [{DATABASE}] SET RECOVERY SIMPLE"))
                    .await;
            }
            Kind::FailOverDatabase => {
                self.recover().await;
                let pool = self.ports.pool.clone().expect("the example has a pool");
                let done = pool.run(&PoolAction::SetState(PoolState::Normal), &Unwatched).await;
                self.note(format!("  the pool is Normal -- {}", done.is_ok()));
                self.serve_again().await;
                self.sql("sql-n2", format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
                self.mirror(0, true).await;
                if self.one_in(3) {
                    self.lose_or_return("sql-n1").await;
                }
            }
            Kind::AwaitSynchronized
            | Kind::FailOverMirror
            | Kind::RemoveWitness
            | Kind::RemoveMirroring
            | Kind::SetWitness => {
                self.serve_again().await;
                self.sql("sql-n2", format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
                self.mirror(0, true).await;
                let has_witness = kind != Kind::SetWitness && self.one_in(4);
                if kind == Kind::RemoveWitness || has_witness {
                    self.settle().await;
                    let witness = self.address(&"sql-n3".into());
                    let set = format!("ALTER DATABASE [{DATABASE}] SET WITNESS = N'{witness}'");
                    self.sql("sql-n1", set).await;
                }
            }
            Kind::ForceService => {
                self.recover().await;
                self.serve_again().await;
                self.sql("sql-n2", format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
                self.mirror(0, true).await;
                self.lose_or_return("sql-n1").await;
            }
            Kind::SetPartner => {
                let pair = self.random.index(PARTNERS.len());
                self.mirror(pair, false).await;
            }
            Kind::RunCopyJob
            | Kind::RunRestoreJob
            | Kind::RemovePrimarySecondary
            | Kind::ChangePrimary
            | Kind::ChangeSecondary => {
                self.serve_again().await;
                self.ship_the_log().await;
                self.insert("sql-n1").await;
                self.ship().await;
            }
            Kind::InstallMirror => {
                let pair = if self.one_in(2) { ("sql-n1", "sql-n2") } else { ("sql-s1", "sql-s2") };
                self.recover().await;
                for at in [pair.0, pair.1] {
                    self.sql(at, format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
                }
                self.sql(pair.0, format!("RESTORE DATABASE [{DATABASE}] WITH RECOVERY")).await;
            }
            Kind::RestoreDatabase => {
                let at = self.instance();
                self.sql(at.as_str(), format!("DROP DATABASE [{DATABASE}]")).await;
            }
            Kind::AwaitServers => self.serve_again().await,
            Kind::DropRestoring => {
                let at = if self.one_in(3) { "sql-s1" } else { "sql-n2" };
                self.sql(at, format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
                self.seed(at).await;
            }
            Kind::SetRecoveryBack => {
                let off = format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF");
                self.sql("sql-n1", off).await;
            }
            Kind::DropMirroringEndpoint | Kind::StopMirroringEndpoint => {
                for at in ["sql-n1", "sql-n2"] {
                    let off = format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF");
                    self.sql(at, off).await;
                }
            }
            Kind::CreateMirroringEndpoint => {
                let at = self.instance();
                self.lose_or_return(at.as_str()).await;
            }
            Kind::SetState | Kind::ClearActiveServers | Kind::AddActiveServer => {
                self.configuration();
            }
            Kind::BackUpDatabase
            | Kind::BackUpLog
            | Kind::AddPrimary
            | Kind::AddSecondary
            | Kind::AddAlertJob
            | Kind::HoldBackupJob
            | Kind::HoldSecondaryJobs
            | Kind::RemoveSecondary
            | Kind::RunBackupJob => {}
            Kind::AddPrimarySecondary | Kind::RemovePrimary => {
                self.serve_again().await;
                self.ship_the_log().await;
                let let_go = format!(
                    "EXEC master.dbo.sp_delete_log_shipping_primary_secondary @primary_database = \
                     N'{DATABASE}', @secondary_server = N'sql-s1', @secondary_database = N'{DATABASE}'"
                );
                self.sql("sql-n1", let_go).await;
            }
            Kind::RemoveSecondaryPrimary => self.register_and_stop().await,
            Kind::RemoveAlertJob => {
                for at in ["sql-n1", "sql-n2", "sql-s2"] {
                    let add = self.on_log_shipping(Kind::AddAlertJob);
                    let at = InstanceName::from(at);
                    let done = self.ports.jobs[&at].run(&DATABASE.into(), &add, &Unwatched).await;
                    self.note(format!("  an alert job on {at} -- {}", done.is_ok()));
                }
            }
        }
    }

    /// The primary serves without a mirror, and nobody is in it.
    async fn before_the_tail(&mut self) {
        self.chain().await;
        for (at, _) in PARTNERS {
            let port = &self.ports.instances[&InstanceName::from(at)];
            let ended = port.run(&DATABASE.into(), &DatabaseAction::EndSessions, &Unwatched).await;
            let ended = ended.map_err(|error| error.to_string());
            self.note(format!("  by the port on {at}: sessions end -- {ended:?}"));
        }
    }

    /// A full backup restored on the secondary, and log backups after it, copied.
    async fn chain(&mut self) {
        let primary = if self.one_in(3) { "sql-n2" } else { "sql-n1" };
        for at in [primary, "sql-s1"] {
            self.sql(at, format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF")).await;
        }
        self.full_backup(primary).await;
        let Some(full) = self.fulls.last().cloned() else { return };
        let how = if self.one_in(5) { "STANDBY = N'C:\\undo.dat'" } else { "NORECOVERY" };
        self.sql(
            "sql-s1",
            format!("RESTORE DATABASE [{DATABASE}] FROM DISK = N'{full}' WITH {how}, REPLACE"),
        )
        .await;
        for _ in 0..=self.random.below(2) {
            self.insert(primary).await;
            self.log_backup(primary).await;
            self.copy_a_file().await;
        }
    }

    /// What must not stay broken for long, or nothing would be possible any more.
    pub(crate) async fn recover(&mut self) {
        for server in std::mem::take(&mut self.down) {
            self.note(format!("  {server} returns"));
            let _ = self.stage.stand_in.return_instance(server).await;
        }
        let shell = self.stage.stand_in.shell.as_ref().expect("the example has a pool");
        shell.set_cms(CmsAvailability::Available);
    }

    async fn insert(&mut self, at: &str) {
        self.written += 1;
        let number = self.written;
        self.sql(
            at,
            format!(
                "INSERT INTO [{DATABASE}].dbo.tblChat (channelId, chatId, chatDate, userId, isAlert, \
                 content) VALUES (1, {number}, 1, 1, 0, N'x')"
            ),
        )
        .await;
    }

    async fn full_backup(&mut self, at: &str) {
        let stamp = self.stamp();
        let path = self.in_share(&format!("by hand {stamp}.bak"));
        let done = self.sql(at, format!("BACKUP DATABASE [{DATABASE}] TO DISK = N'{path}'")).await;
        if done {
            self.fulls.push(path);
        }
    }

    async fn log_backup(&mut self, at: &str) {
        let stamp = self.stamp();
        let path = self.in_share(&format!("{DATABASE}_{stamp}.trn"));
        let tail = if self.one_in(8) { " WITH NORECOVERY" } else { "" };
        let done = self.sql(at, format!("BACKUP LOG [{DATABASE}] TO DISK = N'{path}'{tail}")).await;
        if done {
            self.logs.push(path);
        }
    }

    /// A copy from a backup, perhaps with the log that there is.
    async fn seed(&mut self, at: &str) {
        let Some(full) = self.fulls.last().cloned() else { return };
        let full = if self.one_in(4) {
            self.fulls[self.random.index(self.fulls.len())].clone()
        } else {
            full
        };
        let how = match self.random.below(10) {
            0 => "RECOVERY".to_owned(),
            1 => "STANDBY = N'C:\\undo.dat'".to_owned(),
            _ => "NORECOVERY".to_owned(),
        };
        self.sql(
            at,
            format!("RESTORE DATABASE [{DATABASE}] FROM DISK = N'{full}' WITH {how}, REPLACE"),
        )
        .await;
        if self.one_in(2) {
            let from = self.logs.len().saturating_sub(6);
            let logs = self.logs[from..].to_vec();
            for log in logs {
                let restore =
                    format!("RESTORE LOG [{DATABASE}] FROM DISK = N'{log}' WITH NORECOVERY");
                self.sql(at, restore).await;
            }
        }
    }

    async fn restore_a_log(&mut self, at: &str) {
        if self.logs.is_empty() {
            return;
        }
        let log = self.logs[self.random.index(self.logs.len())].clone();
        let how = match self.random.below(6) {
            0 => "RECOVERY",
            1 => "STANDBY = N'C:\\undo.dat'",
            _ => "NORECOVERY",
        };
        self.sql(at, format!("RESTORE LOG [{DATABASE}] FROM DISK = N'{log}' WITH {how}")).await;
    }

    /// A mirroring session from nothing; not whole: as far as the mirror's SET PARTNER, or less.
    async fn mirror(&mut self, pair: usize, whole: bool) {
        let (principal, mirror) = PARTNERS[pair];
        self.sql(principal, format!("ALTER DATABASE [{DATABASE}] SET RECOVERY FULL")).await;
        self.full_backup(principal).await;
        self.log_backup(principal).await;
        let (Some(full), Some(log)) = (self.fulls.last().cloned(), self.logs.last().cloned())
        else {
            return;
        };
        for batch in [
            format!("RESTORE DATABASE [{DATABASE}] FROM DISK = N'{full}' WITH NORECOVERY, REPLACE"),
            format!("RESTORE LOG [{DATABASE}] FROM DISK = N'{log}' WITH NORECOVERY"),
        ] {
            self.sql(mirror, batch).await;
        }
        let set =
            |address: String| format!("ALTER DATABASE [{DATABASE}] SET PARTNER = N'{address}'");
        if whole || self.one_in(2) {
            let address = self.address(&principal.into());
            self.sql(mirror, set(address)).await;
        }
        if whole {
            let address = self.address(&mirror.into());
            self.sql(principal, set(address)).await;
        }
    }

    async fn alter_mirroring(&mut self, at: &str) {
        let how = match self.random.below(10) {
            0..=1 => "PARTNER SUSPEND",
            2..=3 => "PARTNER RESUME",
            4..=5 => "PARTNER OFF",
            6 => "PARTNER FAILOVER",
            7 => "PARTNER SAFETY OFF",
            8 => "PARTNER SAFETY FULL",
            _ => "WITNESS OFF",
        };
        self.sql(at, format!("ALTER DATABASE [{DATABASE}] SET {how}")).await;
    }

    async fn alter(&mut self, at: &str) {
        let how = match self.random.below(12) {
            0..=1 => "RECOVERY SIMPLE",
            2 => "RECOVERY BULK_LOGGED",
            3..=4 => "RECOVERY FULL",
            5 => "READ_ONLY WITH ROLLBACK IMMEDIATE",
            6..=7 => "READ_WRITE WITH ROLLBACK IMMEDIATE",
            8 => "OFFLINE WITH ROLLBACK IMMEDIATE",
            9..=10 => "ONLINE",
            _ => "RESTRICTED_USER WITH ROLLBACK IMMEDIATE",
        };
        self.sql(at, format!("ALTER DATABASE [{DATABASE}] SET {how}")).await;
        if how.starts_with("RECOVERY FULL") {
            self.full_backup(at).await;
        }
    }

    /// Entries and jobs, changed by hand.
    async fn change_entries(&mut self, at: &str) {
        let batch = match self.random.below(6) {
            0 => format!(
                "EXEC master.dbo.sp_delete_log_shipping_primary_secondary @primary_database = \
                 N'{DATABASE}', @secondary_server = N'sql-s1', @secondary_database = N'{DATABASE}'; \
                 EXEC master.dbo.sp_delete_log_shipping_primary_database @database = N'{DATABASE}'"
            ),
            1 => format!(
                "EXEC master.dbo.sp_delete_log_shipping_secondary_database @secondary_database = \
                 N'{DATABASE}'"
            ),
            2 => "EXEC msdb.dbo.sp_update_job @job_name = N'LSBackup_mgc', @enabled = 0".to_owned(),
            3 => "EXEC msdb.dbo.sp_update_job @job_name = N'LSCopy_sql-n1_mgc', @enabled = 0"
                .to_owned(),
            4 => "EXEC msdb.dbo.sp_update_job @job_name = N'LSRestore_sql-n1_mgc', @enabled = 1"
                .to_owned(),
            _ => "EXEC msdb.dbo.sp_update_job @job_name = N'LSRestore_sql-n1_mgc', @enabled = 0"
                .to_owned(),
        };
        self.sql(at, batch).await;
    }

    /// Log shipping from the primary to the secondary, as a runbook does it.
    async fn ship_the_log(&mut self) {
        self.seed("sql-s1").await;
        for (kind, at) in [
            (Kind::AddPrimary, "sql-n1"),
            (Kind::AddSecondary, "sql-s1"),
            (Kind::AddPrimarySecondary, "sql-n1"),
        ] {
            let action = self.on_log_shipping(kind);
            let at = InstanceName::from(at);
            let done = self.ports.jobs[&at].run(&DATABASE.into(), &action, &Unwatched).await;
            let done = done.map_err(|error| error.to_string());
            self.note(format!("  by the port on {at}: {kind:?} -- {done:?}"));
        }
    }

    /// A primary is registered on its secondary, and the secondary database is not: half of a set-up.
    async fn register_and_stop(&mut self) {
        let (source, destination) = (self.in_share(""), self.in_copies(""));
        let (source, destination) =
            (source.trim_end_matches('\\'), destination.trim_end_matches('\\'));
        let register = format!(
            "DECLARE @copy uniqueidentifier, @restore uniqueidentifier, @id uniqueidentifier; EXEC \
             master.dbo.sp_add_log_shipping_secondary_primary @primary_server = N'sql-n1', \
             @primary_database = N'{DATABASE}', @backup_source_directory = N'{source}', \
             @backup_destination_directory = N'{destination}', @copy_job_name = \
             N'LSCopy_sql-n1_{DATABASE}', @restore_job_name = N'LSRestore_sql-n1_{DATABASE}', \
             @file_retention_period = 4320, @copy_job_id = @copy OUTPUT, @restore_job_id = @restore \
             OUTPUT, @secondary_id = @id OUTPUT"
        );
        for at in ["sql-n2", "sql-s1", "sql-s2"] {
            self.sql(at, register.clone()).await;
        }
    }

    async fn ship(&mut self) {
        let reach = match self.random.below(3) {
            0 => Reach::BackedUp,
            1 => Reach::Copied,
            _ => Reach::Restored,
        };
        let topology = self.stage.topology().clone();
        let primary = if self.one_in(4) { "sql-n2" } else { "sql-n1" };
        let shipped =
            workload::ship(&topology, &self.ports, &primary.into(), &DATABASE.into(), reach).await;
        let shipped = shipped.map_err(|error| error.to_string());
        self.note(format!("  jobs from {primary} as far as {reach:?} -- {shipped:?}"));
    }

    /// A log backup is copied by hand.
    async fn copy_a_file(&mut self) {
        let Some(log) = self.logs.last().cloned() else { return };
        let name = log.rsplit('\\').next().unwrap_or_default().to_owned();
        let from = self.stage.mount("log-backups").join(&name);
        let to = self.stage.mount("log-copies").join(&name);
        let copied = std::fs::copy(from, to).map_err(|error| error.kind());
        self.note(format!("  {name} is copied by hand -- {copied:?}"));
    }

    fn disturb_a_file(&mut self) {
        let share = if self.one_in(2) { "log-backups" } else { "log-copies" };
        let files = self.stage.backups(share);
        let at = self.random.index(files.len());
        let how = self.random.below(4);
        let done = match (files.get(at), how) {
            (Some(path), 0) => std::fs::remove_file(path),
            (Some(path), 1) => std::fs::read(path)
                .and_then(|bytes| std::fs::write(path, &bytes[..bytes.len() / 2])),
            (Some(path), 2) => std::fs::copy(path, path.with_extension("wrk")).map(|_| ()),
            (Some(path), _) => std::fs::write(path, b"something else"),
            (None, _) => return,
        };
        let done = done.map_err(|error| error.kind());
        let name = files[at].file_name().unwrap_or_default().to_owned();
        let what = ["deleted", "cut in half", "copied as .wrk", "overwritten"];
        self.note(format!(
            "  in {share}: {name:?} {} -- {done:?}",
            what[usize::try_from(how).unwrap_or_default()]
        ));
    }

    /// A session whose current database it is.
    async fn squat(&mut self, at: &str) {
        let sent =
            self.squatters.send(&at.into(), format!("USE [{DATABASE}]; SELECT 1 AS one")).await;
        let sent = sent.map(|_| ()).map_err(|error| error.to_string());
        self.note(format!("  a session settles in {DATABASE} on {at} -- {sent:?}"));
    }

    async fn lose_or_return(&mut self, at: &str) {
        if !self.down.is_empty() {
            self.recover().await;
            return;
        }
        let server = SERVERS.into_iter().find(|server| *server == at).unwrap_or("sql-n1");
        self.note(format!("  {server} is lost"));
        let _ = self.stage.stand_in.lose_instance(server).await;
        self.down.insert(server);
    }

    fn configuration(&mut self) {
        let availability = match self.random.below(3) {
            0 => CmsAvailability::ReadOnly,
            1 => CmsAvailability::Unavailable,
            _ => CmsAvailability::Available,
        };
        self.note(format!("  the Central Management store is {availability:?}"));
        let shell = self.stage.stand_in.shell.as_ref().expect("the example has a pool");
        shell.set_cms(availability);
    }

    /// The primary gets a database that can be protected.
    async fn serve_again(&mut self) {
        for batch in [
            format!("ALTER DATABASE [{DATABASE}] SET PARTNER OFF"),
            format!("RESTORE DATABASE [{DATABASE}] WITH RECOVERY"),
            format!("ALTER DATABASE [{DATABASE}] SET ONLINE"),
            format!("ALTER DATABASE [{DATABASE}] SET READ_WRITE WITH ROLLBACK IMMEDIATE"),
            format!("ALTER DATABASE [{DATABASE}] SET RECOVERY FULL"),
        ] {
            self.sql("sql-n1", batch).await;
        }
        let created = self.stage.workload.create_databases().await;
        self.note(format!("  databases are created -- {:?}", created.is_ok()));
        self.full_backup("sql-n1").await;
    }

    /// Whether so much is broken on the primary that it has to be set up anew.
    pub(crate) async fn keep_going(&mut self, seen: &pcdr_core::Observation) {
        let serves = SERVERS
            .into_iter()
            .any(|server| Walk::copy_of(seen, server).is_some_and(|copy| copy.is_writable()));
        if !serves && self.down.is_empty() && self.one_in(3) {
            self.serve_again().await;
        }
    }
}
