//! `sqllogship.exe -Restore`: copied files are restored in turn.

use super::{Failure, Session};
use crate::engine::agent::as_agent;
use crate::engine::agent::log_shipping_files::{LogFile, base_name, file_name, join};
use crate::engine::msdb::monitor::SessionStatus;
use crate::engine::msdb::{MonitorChange, MsdbTable};
use crate::engine::session::SessionHost;
use crate::engine::state::Status;
use crate::tsql::ast::{
    Admin, AlterDatabase, AlterDatabaseAction, BackupKind, BackupOption, Restore, Termination,
};
use crate::value::Value;
use jiff::ToSpan;

impl Session<'_> {
    pub(super) async fn restore(&mut self) -> Result<String, Failure> {
        let id = self.command.id;
        let found = as_agent(&self.run.world, &self.run.instance, |msdb, _| {
            let parent = msdb[MsdbTable::Secondary].find(&[("secondary_id", Value::Uuid(id))])?;
            let databases: Vec<Target> = msdb[MsdbTable::SecondaryDatabases]
                .records()
                .filter(|r| r.id("secondary_id") == Some(id))
                .map(|r| Target {
                    database: r.text("secondary_database").to_owned(),
                    last: base_name(r.text("last_restored_file")).to_lowercase(),
                    delay_minutes: r.int("restore_delay"),
                    all: r.bit("restore_all"),
                    standby: r.bit("restore_mode"),
                    disconnect: r.bit("disconnect_users"),
                    block_size: r.int("block_size"),
                    buffer_count: r.int("buffer_count"),
                    max_transfer_size: r.int("max_transfer_size"),
                })
                .collect();
            Some((
                parent.text("primary_database").to_owned(),
                parent.text("backup_destination_directory").to_owned(),
                parent.int("file_retention_period"),
                databases,
            ))
        })
        .flatten();
        let Some((primary_database, folder, retention, targets)) = found else {
            return Err(Failure::because(format!(
                "Could not retrieve restore settings for secondary ID '{}'.",
                id.hyphenated()
            )));
        };
        self.say(
            SessionStatus::Starting,
            &format!("Starting transaction log restore. Secondary ID: '{}'", id.hyphenated()),
        );
        let mut first_failure = None;
        let mut restored = 0;
        for target in &targets {
            self.database.clone_from(&target.database);
            match self.restore_database(target, &primary_database, &folder).await {
                Ok(count) => restored += count,
                // The other databases of the same primary are still served.
                Err(failure) if first_failure.is_none() => first_failure = Some(failure),
                Err(failure) => self.fail(&failure),
            }
        }
        self.delete_restored(&primary_database, &folder, retention);
        self.cleanup();
        match first_failure {
            Some(failure) => Err(failure),
            None => Ok(format!(
                "The restore operation was successful. Secondary ID: '{}', Number of log backup files restored: {restored}",
                id.hyphenated()
            )),
        }
    }

    /// Deletes old files that every secondary database has.
    fn delete_restored(&self, primary_database: &str, folder: &str, retention: i64) {
        let id = self.command.id;
        let oldest = as_agent(&self.run.world, &self.run.instance, |msdb, _| {
            msdb[MsdbTable::SecondaryDatabases]
                .records()
                .filter(|r| r.id("secondary_id") == Some(id))
                .map(|r| base_name(r.text("last_restored_file")).to_lowercase())
                .min()
        })
        .flatten();
        let before = self.utc().checked_sub(retention.clamp(0, 100_000_000).minutes());
        if let (Some(oldest), Ok(before)) = (oldest, before) {
            let deleted = self.delete_older(folder, primary_database, before, |f| {
                f.name.to_lowercase() <= oldest
            });
            self.say(
                SessionStatus::Running,
                &format!("Deleting old log backup files. {deleted} files were deleted."),
            );
        }
    }

    async fn restore_database(
        &self,
        target: &Target,
        primary_database: &str,
        folder: &str,
    ) -> Result<usize, Failure> {
        let due = self
            .utc()
            .checked_sub(target.delay_minutes.clamp(0, 100_000_000).minutes())
            .unwrap_or(jiff::civil::DateTime::MIN);
        let files: Vec<LogFile> = self
            .files(folder, primary_database)?
            .into_iter()
            .filter(|f| f.name.to_lowercase() > target.last && f.at <= due)
            .collect();
        if files.is_empty() {
            self.say(
                SessionStatus::Running,
                &format!("Could not find a log backup file that could be applied to secondary database '{}'.", target.database),
            );
            return Ok(0);
        }
        self.must_wait_for_log(&target.database)?;
        let mut host = self.connect()?;
        let disconnect = target.disconnect && target.standby;
        if disconnect {
            self.user_access(&mut host, &target.database, "SINGLE_USER").await?;
        }
        let mut restored = 0;
        let mut failure = None;
        for file in files {
            let path = join(folder, &file.name);
            match self.restore_log(&mut host, target, folder, &path, &file).await {
                Ok(applied) => {
                    restored += usize::from(applied);
                    self.restored(target, &path, &file, applied);
                    if applied && !target.all {
                        break;
                    }
                }
                Err(f) => {
                    failure = Some(f);
                    break;
                }
            }
        }
        if disconnect {
            // What the standby was left in must not lock its readers out.
            self.user_access(&mut host, &target.database, "MULTI_USER").await?;
        }
        failure.map_or(Ok(restored), Err)
    }

    /// # Errors
    ///
    /// When the database is neither RESTORING nor in STANDBY.
    fn must_wait_for_log(&self, database: &str) -> Result<(), Failure> {
        let state = self.run.world.lock();
        let found = state.instances.get(&self.run.instance).and_then(|i| i.database(database));
        match found {
            Some(d) if d.status == Status::Restoring || d.standby.is_some() => Ok(()),
            Some(_) => Err(Failure::because(format!(
                "The restore operation cannot proceed because the secondary database '{database}' is not in NORECOVERY/STANDBY mode."
            ))),
            None => Err(Failure::because(format!(
                "The secondary database '{database}' does not exist."
            ))),
        }
    }

    async fn user_access(
        &self,
        host: &mut SessionHost,
        database: &str,
        access: &str,
    ) -> Result<(), Failure> {
        let is_open = {
            let state = self.run.world.lock();
            state
                .instances
                .get(&self.run.instance)
                .and_then(|i| i.database(database))
                .is_some_and(|d| d.status == Status::Online)
        };
        if !is_open {
            return Ok(());
        }
        let alter = Admin::AlterDatabase(AlterDatabase {
            database: database.to_owned(),
            action: AlterDatabaseAction::Set {
                options: vec![vec![access.to_owned()]],
                termination: Some(Termination::RollbackImmediate),
            },
        });
        self.statement(host, "ALTER DATABASE", alter).await.map_err(|e| {
            Failure::of_sql(
                format!("Could not disconnect the users of secondary database '{database}'."),
                &e,
            )
        })
    }

    /// Restores one file; `false` when the database has it already (4326).
    async fn restore_log(
        &self,
        host: &mut SessionHost,
        target: &Target,
        folder: &str,
        path: &str,
        file: &LogFile,
    ) -> Result<bool, Failure> {
        let mut options = if target.standby {
            let undo = file_name(&target.database, file.at, "tuf");
            vec![BackupOption::Setting("STANDBY".to_owned(), join(folder, &undo))]
        } else {
            vec![BackupOption::Flag("NORECOVERY".to_owned())]
        };
        for (name, value) in [
            ("BLOCKSIZE", target.block_size),
            ("BUFFERCOUNT", target.buffer_count),
            ("MAXTRANSFERSIZE", target.max_transfer_size),
        ] {
            if value > 0 {
                options.push(BackupOption::Setting(name.to_owned(), value.to_string()));
            }
        }
        let restore = Admin::Restore(Restore {
            kind: BackupKind::Log,
            database: target.database.clone(),
            devices: vec![path.to_owned().into()],
            options,
        });
        match self.statement(host, "RESTORE LOG", restore).await {
            Ok(()) => Ok(true),
            Err(e) if e.cause().number == 4326 => Ok(false),
            Err(e) => Err(Failure::of_sql(
                format!(
                    "Could not apply log backup file '{path}' to secondary database '{}'.",
                    target.database
                ),
                &e,
            )),
        }
    }

    /// Notes a file that is applied, or that the database turned out to have.
    fn restored(&self, target: &Target, path: &str, file: &LogFile, applied: bool) {
        let id = self.command.id;
        let utc = self.utc();
        let latency = crate::engine::msdb::calendar::seconds_between(file.at, utc).max(0) / 60;
        let now = as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            let now = around.moment();
            msdb[MsdbTable::SecondaryDatabases].update(
                &[("secondary_database", Value::string(&target.database))],
                &[
                    ("last_restored_file", Value::string(path)),
                    ("last_restored_date", Value::DateTime(now.local)),
                ],
            );
            now
        });
        if let Some(now) = now {
            self.tell(MonitorChange::UpdateSecondary(
                id,
                target.database.clone(),
                vec![
                    ("last_restored_file", Value::string(path)),
                    ("last_restored_date", Value::DateTime(now.local)),
                    ("last_restored_date_utc", Value::DateTime(now.utc)),
                    ("last_restored_latency", Value::BigInt(latency)),
                ],
            ));
        }
        let what = if applied {
            "The file was successfully restored to"
        } else {
            "Skipping log backup file: its log records are already in"
        };
        self.say(
            SessionStatus::Running,
            &format!("{what} secondary database '{}'. File: '{path}'", target.database),
        );
    }
}

/// A secondary database with its settings.
struct Target {
    database: String,
    last: String,
    delay_minutes: i64,
    all: bool,
    standby: bool,
    disconnect: bool,
    block_size: i64,
    buffer_count: i64,
    max_transfer_size: i64,
}
