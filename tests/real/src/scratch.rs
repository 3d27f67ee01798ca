//! What belongs to the suite, and nothing else: names, clean-up, and what must not have changed.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pcdr_core::drill::copy_name;
use pcdr_core::step::DatabaseAction;
use pcdr_sql::connection::Row;
use pcdr_sql::quote;

use crate::servers::Servers;

/// What every database of every run is called, up to the run's own id.
pub const PREFIX: &str = "pcdr_test_";

/// This run's id.
pub fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| uuid::Uuid::new_v4().simple().to_string()[..8].to_owned())
}

/// A name that no check of any run had before. It ends in a letter that ends no other name, so that no
/// name is the beginning of another.
pub fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{PREFIX}{}_{}x", run_id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Words that may change something.
const CHANGES: [&str; 12] = [
    "ALTER", "BACKUP", "CREATE", "DELETE", "DENY", "DROP", "EXEC", "GRANT", "INSERT", "KILL",
    "RESTORE", "UPDATE",
];

/// What the suite changes although it bears no name of its own: each is put back by the clean-up.
const PUT_BACK: [&str; 3] = [
    "sp_add_log_shipping_alert_job",
    "sp_delete_log_shipping_alert_job",
    "sp_check_log_shipping_monitor_alert",
];

/// Whether a batch reads only, or names what belongs to this check.
pub fn is_harmless(batch: &str, scratch: &str) -> bool {
    let words = batch.split(|c: char| !c.is_alphanumeric() && c != '_');
    let changes =
        words.clone().any(|word| CHANGES.iter().any(|verb| word.eq_ignore_ascii_case(verb)));
    !changes
        || batch.contains(scratch)
        || PUT_BACK.iter().any(|procedure| batch.contains(procedure))
}

/// What was there before a check, by server: one line for each database, job, schedule, login and
/// endpoint that does not belong to the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings(BTreeMap<String, Vec<String>>);

/// Names of databases, jobs and so on, with what a check could change about them. A statement for each:
/// their texts may be of collations that do not go together.
const SURROUNDINGS: &str = "\
    SELECT N'database' AS what, d.name, CONCAT(d.state_desc, N' ', d.recovery_model_desc, N' ', d.user_access_desc) AS about \
    FROM sys.databases AS d ORDER BY d.name;\n\
    SELECT N'job' AS what, j.name, CONCAT(N'enabled ', j.enabled) AS about FROM msdb.dbo.sysjobs AS j ORDER BY j.name, j.job_id;\n\
    SELECT N'schedule' AS what, s.name, CONCAT(N'enabled ', s.enabled) AS about FROM msdb.dbo.sysschedules AS s \
    ORDER BY s.name, s.schedule_id;\n\
    SELECT N'primary' AS what, p.primary_database AS name, p.backup_share AS about \
    FROM msdb.dbo.log_shipping_primary_databases AS p ORDER BY p.primary_database;\n\
    SELECT N'secondary' AS what, b.secondary_database AS name, CONCAT(N'delay ', b.restore_delay) AS about \
    FROM msdb.dbo.log_shipping_secondary_databases AS b ORDER BY b.secondary_database;\n\
    SELECT N'login' AS what, l.name, l.type_desc AS about FROM sys.server_principals AS l ORDER BY l.name;\n\
    SELECT N'endpoint' AS what, e.name, e.state_desc AS about FROM sys.endpoints AS e ORDER BY e.name;";

impl Servers {
    /// What is there beside the suite's own.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn surroundings(&self) -> Result<Surroundings, String> {
        let mut all = BTreeMap::new();
        for name in self.names() {
            let lines = self.listed(name).await?;
            let others = lines.into_iter().filter(|line| !line.contains(PREFIX));
            all.insert(name.to_owned(), others.collect());
        }
        Ok(Surroundings(all))
    }

    async fn listed(&self, on: &str) -> Result<Vec<String>, String> {
        let sets =
            self.try_sql(on, SURROUNDINGS).await.map_err(|error| format!("{on}: {error}"))?;
        let text = |row: &Row, column: &str| row.get::<String>(column).unwrap_or_default();
        let line = |row: &Row| {
            format!("{} {} {}", text(row, "what"), text(row, "name"), text(row, "about"))
        };
        Ok(sets.iter().flat_map(|set| &set.rows).map(line).collect())
    }

    /// Takes everything away that bears this check's name, and what it had to create around that.
    ///
    /// # Errors
    ///
    /// What is left, or was changed besides.
    pub async fn clean_up(&self, before: &Surroundings) -> Result<(), String> {
        let mut troubles = Vec::new();
        // Mirroring first: a partner's database cannot be dropped.
        for batch in
            [Self::end_mirroring, Self::end_log_shipping, Self::drop_jobs, Self::drop_database]
        {
            for name in self.names() {
                for statement in batch(self) {
                    if let Err(error) = self.try_sql(name, &statement).await {
                        troubles.push(format!("{name}: {error}: {statement}"));
                    }
                }
            }
        }
        for name in self.names() {
            self.put_back(name, before, &mut troubles).await;
        }
        for folder in [self.backup_mount(), self.copy_mount()] {
            for file in self.files(&folder) {
                if let Err(error) = std::fs::remove_file(folder.join(&file)) {
                    troubles.push(format!("{file}: {error}"));
                }
            }
        }
        let mut left = Vec::new();
        for name in self.names() {
            let lines = self.listed(name).await?;
            let own = lines.into_iter().filter(|line| line.contains(&self.scratch));
            left.extend(own.map(|line| format!("{name}: {line}")));
        }
        if !left.is_empty() {
            return Err(format!("left behind: {left:#?}\n{troubles:#?}"));
        }
        let after = self.surroundings().await?;
        if after != *before {
            return Err(format!(
                "something else was changed, from {before:#?} to {after:#?}\n{troubles:#?}"
            ));
        }
        Ok(())
    }

    fn end_mirroring(&self) -> Vec<String> {
        let (name, identifier) = (self.literal(), self.identifier());
        vec![format!(
            "IF EXISTS (SELECT 1 FROM sys.database_mirroring AS m JOIN sys.databases AS d ON d.database_id = m.database_id \
             WHERE d.name = {name} AND m.mirroring_guid IS NOT NULL) ALTER DATABASE {identifier} SET PARTNER OFF;"
        )]
    }

    fn end_log_shipping(&self) -> Vec<String> {
        let name = self.literal();
        vec![
            format!(
                "DECLARE @server sysname;\n\
                 WHILE 1 = 1\nBEGIN\n  SET @server = NULL;\n  SELECT TOP (1) @server = s.secondary_server \
                 FROM msdb.dbo.log_shipping_primary_databases AS p JOIN msdb.dbo.log_shipping_primary_secondaries AS s \
                 ON s.primary_id = p.primary_id WHERE p.primary_database = {name};\n  IF @server IS NULL BREAK;\n  \
                 EXEC master.dbo.sp_delete_log_shipping_primary_secondary @primary_database = {name}, \
                 @secondary_server = @server, @secondary_database = {name};\nEND;"
            ),
            format!(
                "IF EXISTS (SELECT 1 FROM msdb.dbo.log_shipping_primary_databases AS p WHERE p.primary_database = {name}) \
                 EXEC master.dbo.sp_delete_log_shipping_primary_database @database = {name};"
            ),
            format!(
                "IF EXISTS (SELECT 1 FROM msdb.dbo.log_shipping_secondary_databases AS b WHERE b.secondary_database = {name}) \
                 EXEC master.dbo.sp_delete_log_shipping_secondary_database @secondary_database = {name};"
            ),
            format!(
                "DECLARE @server sysname;\n\
                 SELECT TOP (1) @server = s.primary_server FROM msdb.dbo.log_shipping_secondary AS s WHERE s.primary_database = {name};\n\
                 IF @server IS NOT NULL EXEC master.dbo.sp_delete_log_shipping_secondary_primary @primary_server = @server, \
                 @primary_database = {name};"
            ),
        ]
    }

    /// Jobs and schedules whose name contains this check's.
    fn drop_jobs(&self) -> Vec<String> {
        let scratch = &self.scratch;
        let like = quote::name(&format!("%{}%", scratch.replace('_', "[_]"))).unwrap();
        vec![
            format!(
                "DECLARE @job uniqueidentifier;\n\
                 WHILE 1 = 1\nBEGIN\n  SET @job = NULL;\n  SELECT TOP (1) @job = j.job_id FROM msdb.dbo.sysjobs AS j \
                 WHERE j.name LIKE {like};\n  IF @job IS NULL BREAK;\n  EXEC msdb.dbo.sp_delete_job @job_id = @job;\nEND; \
                 -- {scratch}"
            ),
            format!(
                "DECLARE @schedule int;\n\
                 WHILE 1 = 1\nBEGIN\n  SET @schedule = NULL;\n  SELECT TOP (1) @schedule = s.schedule_id FROM msdb.dbo.sysschedules AS s \
                 WHERE s.name LIKE {like};\n  IF @schedule IS NULL BREAK;\n  \
                 EXEC msdb.dbo.sp_delete_schedule @schedule_id = @schedule, @force_delete = 1;\nEND; -- {scratch}"
            ),
        ]
    }

    /// A closed database would leave its files behind, and one in use cannot be dropped. Whoever makes it
    /// SINGLE_USER is that user, so that one batch has to do both.
    fn drop_database(&self) -> Vec<String> {
        let copy = copy_name(&self.database);
        let copy = (quote::name(copy.as_str()), quote::identifier(copy.as_str()));
        let mut all = Self::drop_named(&self.literal(), &self.identifier());
        if let (Ok(name), Ok(identifier)) = copy {
            all.extend(Self::drop_named(&name, &identifier));
        }
        all
    }

    fn drop_named(name: &str, identifier: &str) -> Vec<String> {
        let is = |condition: &str| {
            format!(
                "IF EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.name = {name} AND {condition})"
            )
        };
        vec![
            format!("{} ALTER DATABASE {identifier} SET ONLINE;", is("d.state = 6")),
            format!(
                "{}\nBEGIN\n  ALTER DATABASE {identifier} SET SINGLE_USER WITH ROLLBACK IMMEDIATE;\n  \
                 DROP DATABASE {identifier};\nEND;",
                is("d.state = 0 AND d.is_in_standby = 0")
            ),
            format!("{} DROP DATABASE {identifier};", is("1 = 1")),
            format!("EXEC msdb.dbo.sp_delete_database_backuphistory @database_name = {name};"),
        ]
    }

    /// An alert job or an endpoint that was not there before.
    async fn put_back(&self, on: &str, before: &Surroundings, troubles: &mut Vec<String>) {
        let Ok(now) = self.listed(on).await else { return };
        let known = before.0.get(on).cloned().unwrap_or_default();
        let is_new = |line: &&String| !known.contains(line);
        let mut statements = Vec::new();
        for line in now.iter().filter(is_new) {
            if line.starts_with("job LSAlert_") {
                statements.push("EXEC master.dbo.sp_delete_log_shipping_alert_job;".to_owned());
                continue;
            }
            let name = |rest: &str| {
                let name = rest.rsplit_once(' ').map_or(rest, |(name, _)| name);
                quote::identifier(name).unwrap()
            };
            // The right of a login on the endpoint goes with the endpoint.
            if let Some(rest) = line.strip_prefix("endpoint ") {
                let drop = format!("DROP ENDPOINT {}; -- {}", name(rest), self.scratch);
                statements.insert(0, drop);
            } else if let Some(rest) = line.strip_prefix("login ") {
                statements.push(format!("DROP LOGIN {}; -- {}", name(rest), self.scratch));
            }
        }
        for statement in statements {
            if let Err(error) = self.try_sql(on, &statement).await {
                troubles.push(format!("{on}: {error}: {statement}"));
            }
        }
    }

    /// Whether a backup that the primary writes is read by the secondary, and seen from here.
    ///
    /// # Errors
    ///
    /// What does not work.
    pub(crate) async fn try_folders(&self) -> Result<(), String> {
        if let Some(why) = self.no_folders() {
            return Err(why.to_owned());
        }
        let create = format!("CREATE DATABASE {};", self.identifier());
        self.try_sql("primary", &create).await.map_err(|error| format!("primary: {error}"))?;
        let path = self.backup("folders.bak");
        let action = DatabaseAction::BackUpDatabase { path: path.clone() };
        self.try_act("primary", action).await.map_err(|error| error.to_string())?;
        let read = self.instance("secondary").header(&path).await;
        read.map_err(|error| format!("secondary: {path}: {error}"))?;
        if self.files(&self.backup_mount()).is_empty() {
            return Err(format!("{path} is not seen as {}", self.backup_mount().display()));
        }
        std::fs::read_dir(self.copy_mount())
            .map_err(|error| format!("{}: {error}", self.copy_mount().display()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_changes_something_must_name_what_belongs_to_its_check() {
        let own = "pcdr_test_0123abcd_7x";
        for harmless in [
            "SELECT d.name FROM sys.databases AS d;",
            "DROP DATABASE [pcdr_test_0123abcd_7x];",
            "select 1 as dropped, 2 as updated_at",
            "EXEC master.dbo.sp_add_log_shipping_alert_job;",
        ] {
            assert!(is_harmless(harmless, own), "{harmless}");
        }
        for harmful in [
            "DROP DATABASE [pcdr_test_0123abcd_8x];",
            "drop database mgc",
            "SELECT 1; RESTORE DATABASE mgc WITH RECOVERY;",
            "EXEC msdb.dbo.sp_delete_job @job_name = N'backup';",
        ] {
            assert!(!is_harmless(harmful, own), "{harmful}");
        }
    }

    #[test]
    fn no_name_is_the_beginning_of_another() {
        let names: Vec<String> = (0..25).map(|_| next_name()).collect();
        for (number, one) in names.iter().enumerate() {
            assert!(one.starts_with(PREFIX) && one.contains(run_id()));
            let others = names.iter().enumerate().filter(|(other, _)| *other != number);
            assert!(others.into_iter().all(|(_, other)| !other.contains(one.as_str())));
        }
    }
}
