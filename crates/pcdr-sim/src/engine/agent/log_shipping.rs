//! The log shipping program: `sqllogship.exe -Backup`, `-Copy` and `-Restore`.
//!
//! Source: the vendor's pages "sqllogship application" and "About log shipping" for what each
//! operation does and in which order; file names, `.wrk` files and messages as observed.

use std::path::Path;

use async_trait::async_trait;
use jiff::ToSpan;
use uuid::Uuid;

use crate::engine::errors::OsError;
use crate::engine::media;
use crate::engine::msdb::monitor::{self, SessionStatus};
use crate::engine::msdb::store::same_name;
use crate::engine::msdb::{MonitorChange, MsdbTable};
use crate::engine::security::AGENT_SERVICE;
use crate::engine::session::SessionHost;
use crate::engine::state::Status;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{
    Admin, AlterDatabase, AlterDatabaseAction, Backup, BackupKind, BackupOption, Restore,
    Termination,
};
use crate::tsql::host::{Host, Sink};
use crate::value::{Relation, Value};

use super::as_agent;
use super::log_shipping_files::{LogFile, base_name, file_name, join, list};
use super::steps::{Run, StepResult};

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    operation: Operation,
    id: Uuid,
    server: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Backup = 0,
    Copy = 1,
    Restore = 2,
}

/// Splits a command line at blanks, keeping what stands in quotes together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut begun = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Reads a command line of the program: `None` when it starts another program, an error when its
/// arguments are none of the program's.
pub(super) fn command(line: &str) -> Option<Result<Command, String>> {
    let words = words(line);
    let program = base_name(words.first()?).to_lowercase();
    if program != "sqllogship.exe" && program != "sqllogship" {
        return None;
    }
    let usage = || {
        "Incorrect arguments. Usage: sqllogship -server <instance> { -backup <primary_id> | -copy <secondary_id> | -restore <secondary_id> }".to_owned()
    };
    let mut operation = None;
    let mut server = None;
    let mut arguments = words.iter().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else {
            return Some(Err(usage()));
        };
        let which = match name.to_lowercase().as_str() {
            "-server" => {
                server = Some(value.clone());
                continue;
            }
            "-verboselevel" | "-logintimeout" | "-querytimeout" => continue,
            "-backup" => Operation::Backup,
            "-copy" => Operation::Copy,
            "-restore" => Operation::Restore,
            _ => return Some(Err(usage())),
        };
        let Ok(id) = Uuid::parse_str(value) else {
            return Some(Err(usage()));
        };
        if operation.replace((which, id)).is_some() {
            return Some(Err(usage()));
        }
    }
    Some(match (operation, server) {
        (Some((operation, id)), Some(server)) => Ok(Command { operation, id, server }),
        _ => Err(usage()),
    })
}

/// Why an operation failed: the chain of errors, outermost first.
struct Failure(Vec<(String, String)>);

impl Failure {
    fn because(text: impl Into<String>) -> Failure {
        Failure(vec![(text.into(), "Microsoft.SqlServer.Management.LogShipping".to_owned())])
    }

    fn of_sql(outer: String, failure: &SqlFailure) -> Failure {
        let mut chain = Failure::because(outer);
        for message in &failure.0 {
            chain.0.push((
                format!("{} (Error {})", message.text, message.number),
                ".Net SqlClient Data Provider".to_owned(),
            ));
        }
        chain
    }

    fn of_file(what: &str, path: &str, os: OsError) -> Failure {
        let mut chain = Failure::because(format!("Could not {what} '{path}'."));
        chain.0.push((format!("Operating system error {os}."), "mscorlib".to_owned()));
        chain
    }
}

/// One run of the program.
struct Session<'a> {
    run: &'a Run,
    command: Command,
    number: i32,
    /// The database that rows are written under.
    database: String,
}

/// Collects nothing: the program does not read what statements say on their way.
struct Quiet;

#[async_trait]
impl Sink for Quiet {
    async fn result(&mut self, _relation: Relation, _command: u16) {}
    async fn message(&mut self, _message: SqlMessage) {}
}

/// Runs the program.
pub(super) async fn run(run: &Run, command: Command) -> StepResult {
    let own_name = as_agent(&run.world, &run.instance, |_, around| around.server_name());
    let Some(own_name) = own_name else {
        return StepResult::failed("The instance is gone.");
    };
    if !same_name(&own_name, &command.server) {
        return StepResult::failed(format!(
            "Could not connect to server {}: the program runs on {own_name} and works for it only.",
            command.server
        ));
    }
    let kind = command.operation as u8;
    let agent = (command.id, kind);
    let number = as_agent(&run.world, &run.instance, |msdb, _| {
        let number = msdb.agent.log_shipping_sessions.entry(agent).or_insert(0);
        *number += 1;
        *number
    });
    let mut session =
        Session { run, command, number: number.unwrap_or(1), database: String::new() };
    let result = match session.command.operation {
        Operation::Backup => session.backup().await,
        Operation::Copy => session.copy().await,
        Operation::Restore => session.restore().await,
    };
    match result {
        Ok(message) => {
            session.say(SessionStatus::Success, &message);
            StepResult { succeeded: true, message, error: (0, 0) }
        }
        Err(failure) => {
            session.fail(&failure);
            let text: Vec<&str> = failure.0.iter().map(|(text, _)| text.as_str()).collect();
            StepResult::failed(format!("*** Error: {}", text.join(" *** Error: ")))
        }
    }
}

impl Session<'_> {
    fn row(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("agent_id", Value::Uuid(self.command.id)),
            ("agent_type", Value::TinyInt(self.command.operation as u8)),
            ("session_id", Value::Int(self.number)),
            ("database_name", Value::string(&self.database)),
        ]
    }

    /// Makes a change of monitor rows here and, when there is one, on the remote monitor. A monitor
    /// out of reach stops no shipping: its rows age until it is refreshed.
    fn tell(&self, change: MonitorChange) {
        let (id, kind) = (self.command.id, self.command.operation as i64);
        as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            monitor::apply(msdb, around, change.clone());
            if let Some(remote) = monitor::remote_of_agent(msdb, around, id, kind) {
                let _unreachable = around.on_monitor(&remote, change);
            }
        });
    }

    fn times(&self) -> Vec<(&'static str, Value)> {
        as_agent(&self.run.world, &self.run.instance, |_, around| {
            let now = around.moment();
            vec![
                ("log_time", Value::DateTime(now.local)),
                ("log_time_utc", Value::DateTime(now.utc)),
            ]
        })
        .unwrap_or_default()
    }

    /// Writes a history row.
    fn say(&self, status: SessionStatus, message: &str) {
        let mut row = self.row();
        row.extend(self.times());
        row.push(("session_status", Value::TinyInt(status as u8)));
        row.push(("message", Value::string(message)));
        self.tell(MonitorChange::History(vec![row]));
    }

    /// Writes the errors of a failure, and the history row that ends the run.
    fn fail(&self, failure: &Failure) {
        let times = self.times();
        let rows = failure
            .0
            .iter()
            .enumerate()
            .map(|(i, (text, source))| {
                let mut row = self.row();
                row.extend(times.clone());
                row.push(("sequence_number", Value::BigInt(i as i64 + 1)));
                row.push(("message", Value::string(text)));
                row.push(("source", Value::string(source)));
                row.push(("help_url", Value::string("")));
                row
            })
            .collect();
        self.tell(MonitorChange::Errors(rows));
        let first = failure.0.first().map_or("", |(text, _)| text.as_str());
        self.say(SessionStatus::Error, first);
    }

    fn cleanup(&self) {
        let (id, kind) = (self.command.id, self.command.operation as i64);
        as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            let _unreachable = monitor::cleanup_agent(msdb, around, id, kind);
        });
    }

    fn connect(&self) -> Result<SessionHost, Failure> {
        let login = self.run.login(AGENT_SERVICE, "SQL Server Log Shipping", "master");
        let instance = self.run.world.instance(&self.run.instance);
        instance
            .ok_or_else(|| Failure::because("The instance is gone."))?
            .open_internal(&login)
            .map_err(|e| Failure::of_sql("Could not connect to the server.".to_owned(), &e))
    }

    /// Runs a statement in a session of its own request.
    async fn statement(
        &self,
        host: &mut SessionHost,
        name: &str,
        what: Admin,
    ) -> Result<(), SqlFailure> {
        host.begin_request(name, self.run.cancel.clone());
        let result = host.admin(what, &mut Quiet).await;
        host.end_request();
        result.map(|_| ())
    }

    fn folder(&self, path: &str) -> Result<std::path::PathBuf, OsError> {
        self.run.world.path(&self.run.instance, path)
    }

    fn files(&self, folder: &str, database: &str) -> Result<Vec<LogFile>, Failure> {
        let failed = |os| Failure::of_file("list the files of", folder, os);
        let place = self.folder(folder).map_err(failed)?;
        list(&place, database).map_err(|e| failed(OsError::of(&e)))
    }

    /// Deletes log backup files that are older than a time; returns how many.
    fn delete_older(
        &self,
        folder: &str,
        database: &str,
        before: jiff::civil::DateTime,
        may_go: impl Fn(&LogFile) -> bool,
    ) -> usize {
        let Ok(files) = self.files(folder, database) else {
            return 0;
        };
        files
            .into_iter()
            .filter(|f| f.at < before && may_go(f))
            .filter(|f| {
                let path = self.run.world.writable_path(&self.run.instance, &join(folder, &f.name));
                path.is_ok_and(|p| std::fs::remove_file(p).is_ok())
            })
            .count()
    }

    fn utc(&self) -> jiff::civil::DateTime {
        crate::engine::state::local(self.run.world.now(), 0)
    }

    // ---- backup ------------------------------------------------------------------------------

    async fn backup(&mut self) -> Result<String, Failure> {
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
            devices: vec![work.clone()],
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

    // ---- copy --------------------------------------------------------------------------------

    async fn copy(&mut self) -> Result<String, Failure> {
        let id = self.command.id;
        let row = as_agent(&self.run.world, &self.run.instance, |msdb, _| {
            let row = msdb[MsdbTable::Secondary].find(&[("secondary_id", Value::Uuid(id))])?;
            Some((
                row.text("primary_database").to_owned(),
                row.text("backup_source_directory").to_owned(),
                row.text("backup_destination_directory").to_owned(),
                base_name(row.text("last_copied_file")).to_lowercase(),
            ))
        })
        .flatten();
        let Some((database, source, destination, last)) = row else {
            return Err(Failure::because(format!(
                "Could not retrieve copy settings for secondary ID '{}'.",
                id.hyphenated()
            )));
        };
        self.say(
            SessionStatus::Starting,
            &format!("Starting transaction log copy. Secondary ID: '{}'", id.hyphenated()),
        );
        let mut copied = 0;
        for file in self.files(&source, &database)? {
            if file.name.to_lowercase() <= last {
                continue;
            }
            self.copy_one(&join(&source, &file.name), &destination, &file.name).await?;
            copied += 1;
        }
        Ok(format!(
            "The copy operation was successful. Secondary ID: '{}', Number of log backup files copied: {copied}",
            id.hyphenated()
        ))
    }

    async fn copy_one(&self, source: &str, folder: &str, name: &str) -> Result<(), Failure> {
        let target = join(folder, name);
        let failed = |os| Failure::of_file("copy the log backup file to", &target, os);
        let from = self
            .folder(source)
            .map_err(|os| Failure::of_file("read the log backup file", source, os))?;
        let to = self.run.world.writable_path(&self.run.instance, &target).map_err(failed)?;
        // With one folder for both, as on Linux mounts, there is nothing to move.
        if from != to {
            let work = to.with_extension("wrk");
            self.transfer(source, &target, &from, &work).await?;
            // The share may have gone while the bytes were on their way.
            self.run.world.writable_path(&self.run.instance, &target).map_err(failed)?;
            std::fs::rename(&work, &to).map_err(|e| failed(OsError::of(&e)))?;
        }
        let id = self.command.id;
        let now = as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            let now = around.moment();
            msdb[MsdbTable::Secondary].update(
                &[("secondary_id", Value::Uuid(id))],
                &[
                    ("last_copied_file", Value::string(&target)),
                    ("last_copied_date", Value::DateTime(now.local)),
                ],
            );
            now
        });
        if let Some(now) = now {
            self.tell(MonitorChange::UpdateSecondaries(
                id,
                vec![
                    ("last_copied_file", Value::string(&target)),
                    ("last_copied_date", Value::DateTime(now.local)),
                    ("last_copied_date_utc", Value::DateTime(now.utc)),
                ],
            ));
        }
        self.say(
            SessionStatus::Running,
            &format!("Copying log backup files. File: '{name}' was copied to '{target}'."),
        );
        Ok(())
    }

    /// Moves bytes at the speed of the link between the share's site and this instance's.
    async fn transfer(
        &self,
        source: &str,
        target: &str,
        from: &Path,
        work: &Path,
    ) -> Result<(), Failure> {
        let read = |e: &std::io::Error| Failure::of_file("read", source, OsError::of(e));
        let bytes = std::fs::read(from).map_err(|e| read(&e))?;
        let size = media::declared_size(from).unwrap_or(bytes.len() as u64);
        let link = {
            let state = self.run.world.lock();
            let here = state
                .instances
                .get(&self.run.instance)
                .map(|i| i.config.site.clone())
                .unwrap_or_default();
            let there = share_site(&state, source).unwrap_or_else(|| here.clone());
            (!there.eq_ignore_ascii_case(&here)).then(|| state.link(&there, &here))
        };
        // Half of it is there, under a name that nobody restores, while the rest is on its way.
        let write = |part: &[u8]| {
            std::fs::write(work, part)
                .map_err(|e| Failure::of_file("write", target, OsError::of(&e)))
        };
        write(&bytes[..bytes.len() / 2])?;
        if let Some(link) = link {
            let seconds = size as f64 / link.bandwidth.max(1) as f64;
            tokio::time::sleep(link.latency * 2 + std::time::Duration::from_secs_f64(seconds))
                .await;
            self.folder(source).map_err(|os| Failure::of_file("read", source, os))?;
        }
        write(&bytes)
    }

    // ---- restore -----------------------------------------------------------------------------

    async fn restore(&mut self) -> Result<String, Failure> {
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
            devices: vec![path.to_owned()],
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

/// The site that a UNC path's share stands in; `None` for a local path.
fn share_site(state: &crate::engine::state::WorldState, path: &str) -> Option<String> {
    let unix = path.replace('\\', "/");
    let mut parts = unix.strip_prefix("//")?.split('/');
    let key = format!("{}\\{}", parts.next()?, parts.next()?).to_lowercase();
    state.shares.get(&key).map(|s| s.site.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_needs_one_operation_and_a_server() {
        let id = "0a8d2a54-2b1e-4c3e-9d51-6d6d6f0d8c11";
        let line = format!(
            "\"C:\\Program Files\\Microsoft SQL Server\\150\\Tools\\Binn\\sqllogship.exe\" -Copy {id} -server DB1\\CHAT"
        );
        let read = command(&line).and_then(Result::ok);
        assert_eq!(
            read,
            Some(Command {
                operation: Operation::Copy,
                id: Uuid::parse_str(id).unwrap_or_default(),
                server: "DB1\\CHAT".to_owned()
            })
        );
        assert!(matches!(command("sqllogship.exe -server A"), Some(Err(_))));
        assert!(matches!(command("sqllogship.exe -backup nonsense -server A"), Some(Err(_))));
        assert!(command("robocopy.exe a b").is_none());
        assert!(command("").is_none());
    }
}
