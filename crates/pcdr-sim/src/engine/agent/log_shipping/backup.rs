//! `sqllogship.exe -Backup`: a log backup, then the files that are too old go.

use super::{Failure, Session};
use crate::engine::agent::as_agent;
use crate::engine::agent::log_shipping_files::{file_name, join};
use crate::engine::errors::OsError;
use crate::engine::msdb::monitor::SessionStatus;
use crate::engine::msdb::{MonitorChange, MsdbTable};
use crate::tsql::ast::{Admin, Backup, BackupKind, BackupOption};
use crate::value::Value;
use jiff::ToSpan;

impl Session<'_> {
    pub(super) async fn backup(&mut self) -> Result<String, Failure> {
        let id = self.command.id;
        let row = as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            let row = msdb[MsdbTable::PrimaryDatabases].find(&[("primary_id", Value::Uuid(id))])?;
            let database = row.text("primary_database").to_owned();
            let facts = around.database(&database);
            Some((
                database,
                row.text("backup_directory").to_owned(),
                row.int("backup_retention_period"),
                row.int("backup_compression"),
                facts.is_some_and(|f| f.is_online),
            ))
        })
        .flatten();
        let Some((database, directory, retention, compression, is_online)) = row else {
            return Err(Failure::because(format!(
                "Could not retrieve backup settings for primary ID '{}'.",
                id.hyphenated()
            )));
        };
        self.database.clone_from(&database);
        self.say(
            SessionStatus::Starting,
            &format!("Starting transaction log backup. Primary ID: '{}'", id.hyphenated()),
        );
        if !is_online {
            // On a mirror, or after a role change: nothing to do, and no failure (32008).
            let text = format!(
                "Database {database} is not ONLINE. The backup job will not be performed until this database is brought online."
            );
            self.say(SessionStatus::Warning, &text);
            self.cleanup();
            return Ok(text);
        }
        let path = self.take_backup(&database, &directory, compression).await?;
        let deleted = self
            .utc()
            .checked_sub(retention.clamp(0, 100_000_000).minutes())
            .map_or(0, |before| self.delete_older(&directory, &database, before, |_| true));
        self.say(
            SessionStatus::Running,
            &format!("Deleting old log backup files. Primary Database: '{database}'. {deleted} files were deleted."),
        );
        self.cleanup();
        Ok(format!(
            "The backup operation was successful. Primary Database: '{database}', Log Backup File: '{path}'"
        ))
    }

    async fn take_backup(
        &self,
        database: &str,
        directory: &str,
        compression: i64,
    ) -> Result<String, Failure> {
        let at = self.free_second(database, directory).await;
        let work = join(directory, &file_name(database, at, "wrk"));
        let path = join(directory, &file_name(database, at, "trn"));
        let mut options = vec![BackupOption::Flag("INIT".to_owned())];
        match compression {
            0 => options.push(BackupOption::Flag("NO_COMPRESSION".to_owned())),
            1 => options.push(BackupOption::Flag("COMPRESSION".to_owned())),
            _ => {}
        }
        let mut host = self.connect()?;
        let backup = Admin::Backup(Backup {
            kind: BackupKind::Log,
            database: database.to_owned(),
            devices: vec![work.clone().into()],
            options,
        });
        self.statement(&mut host, "BACKUP LOG", backup).await.map_err(|e| {
            Failure::of_sql(
                format!("Backup failed for database '{database}', log backup file '{path}'."),
                &e,
            )
        })?;
        drop(host);
        self.rename(&work, &path)?;
        let id = self.command.id;
        let noted = as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            // The history knows the backup under the name that it will be found under.
            for media in msdb.history.media_sets.iter_mut().rev().take(4) {
                for (_, device) in &mut media.devices {
                    if *device == work {
                        device.clone_from(&path);
                    }
                }
            }
            let now = around.moment();
            msdb[MsdbTable::PrimaryDatabases].update(
                &[("primary_id", Value::Uuid(id))],
                &[
                    ("last_backup_file", Value::string(&path)),
                    ("last_backup_date", Value::DateTime(now.local)),
                ],
            );
            now
        });
        if let Some(now) = noted {
            self.tell(MonitorChange::UpdatePrimary(
                id,
                vec![
                    ("last_backup_file", Value::string(&path)),
                    ("last_backup_date", Value::DateTime(now.local)),
                    ("last_backup_date_utc", Value::DateTime(now.utc)),
                ],
            ));
        }
        Ok(path)
    }

    /// A second that no file of the database has: two runs within one second must not share a name.
    async fn free_second(&self, database: &str, directory: &str) -> jiff::civil::DateTime {
        loop {
            let at = self.utc();
            let taken = self
                .folder(&join(directory, &file_name(database, at, "trn")))
                .is_ok_and(|p| p.exists());
            if !taken {
                return at;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let place = |path: &str| self.run.world.writable_path(&self.run.instance, path);
        place(from)
            .and_then(|source| {
                let target = place(to)?;
                std::fs::rename(source, target).map_err(|e| OsError::of(&e))
            })
            .map_err(|os| Failure::of_file("rename", from, os))
    }
}
