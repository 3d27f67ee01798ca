//! Configuring and removing log shipping, and running its jobs.

use pcdr_core::ports::Progress;
use pcdr_core::step::{LogShippingAction, PrimarySettings, SecondarySettings};
use pcdr_core::{DatabaseName, ErrorCode, Guid, InstanceError};

use super::{SqlInstance, answers};
use crate::connection::Row;
use crate::error::SqlError;
use crate::statement::{self, Statement};

/// What a configuration created so far, newest last; taken back when it fails half way.
#[derive(Default)]
struct Created(Vec<(Statement, &'static str)>);

/// A difference between an entry and the settings that it should have.
#[derive(Debug)]
pub(super) struct Difference(String);

/// Compares settings one by one and keeps the first difference.
#[derive(Default)]
struct Comparison(Option<Difference>);

impl Comparison {
    fn text(&mut self, row: &Row, column: &str, wanted: &str) -> Result<(), SqlError> {
        let found: Option<String> = row.optional(column)?;
        let is_same = found.as_deref().is_some_and(|found| same_text(found, wanted));
        self.keep(is_same, column, found.as_deref().unwrap_or("NULL"), wanted);
        Ok(())
    }

    fn number(&mut self, row: &Row, column: &str, wanted: i32) -> Result<(), SqlError> {
        let found: Option<i32> = row.optional(column)?;
        let shown = found.map_or_else(|| "NULL".to_owned(), |found| found.to_string());
        self.keep(found == Some(wanted), column, &shown, &wanted.to_string());
        Ok(())
    }

    fn keep(&mut self, is_same: bool, column: &str, found: &str, wanted: &str) {
        if !is_same && self.0.is_none() {
            self.0 = Some(Difference(format!(
                "the entry that exists has {column} {found} instead of {wanted}"
            )));
        }
    }
}

/// Names and paths on Windows are the same in any case, with or without a closing separator.
fn same_text(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches(['\\', '/']).to_lowercase();
    plain(a) == plain(b)
}

impl SqlInstance {
    pub(super) async fn run_log_shipping(
        &self,
        database: &DatabaseName,
        action: &LogShippingAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        match action {
            LogShippingAction::AddPrimary(settings) => self.add_primary(database, settings).await,
            LogShippingAction::AddSecondary(settings) => {
                self.add_secondary(database, settings).await
            }
            LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
                let needed = format!("{secondary_server} had to be a secondary of {database}");
                let added =
                    self.add_primary_secondary(database, secondary_server, secondary_database);
                added.await.map_err(|error| self.error(&error, &needed))
            }
            LogShippingAction::HoldSecondaryJobs => {
                let needed = format!("the copy and restore jobs of {database} had to be held");
                match self.secondary_jobs(database, &needed).await? {
                    Some((copy, restore)) => {
                        self.hold_jobs(&[copy, restore], &needed, progress).await
                    }
                    None => Ok(()), // no entry, no jobs
                }
            }
            LogShippingAction::RemoveSecondary => {
                let needed = format!("log shipping of {database} had to be removed");
                let removed = self.remove_secondary(database);
                removed.await.map_err(|error| self.error(&error, &needed))
            }
            LogShippingAction::RunBackupJob => {
                let needed = format!("the log backup job of {database} had to run");
                let entry = async {
                    let entry = statement::log_shipping::primary(database.as_str())?;
                    match self.read_row(&entry).await? {
                        Some(row) => answers::backup_job(&row).map(Some),
                        None => Ok(None),
                    }
                };
                let job = entry.await.map_err(|error| self.error(&error, &needed))?;
                let job = job.ok_or_else(|| self.no_entry(database, "primary", &needed))?;
                self.run_job(job, &needed, progress).await
            }
            LogShippingAction::RunCopyJob => {
                let needed = format!("the copy job of {database} had to run");
                let jobs = self.secondary_jobs(database, &needed).await?;
                let (copy, _) =
                    jobs.ok_or_else(|| self.no_entry(database, "secondary", &needed))?;
                self.run_job(copy, &needed, progress).await
            }
            LogShippingAction::RunRestoreJob => {
                let needed = format!("the restore job of {database} had to run");
                let jobs = self.secondary_jobs(database, &needed).await?;
                let (_, restore) =
                    jobs.ok_or_else(|| self.no_entry(database, "secondary", &needed))?;
                self.run_job(restore, &needed, progress).await
            }
        }
    }

    fn no_entry(&self, database: &DatabaseName, role: &str, needed: &str) -> InstanceError {
        self.refuse(
            ErrorCode::LogShipping,
            needed,
            format!("{database} is no log shipping {role} here"),
            "configure log shipping first, or look on the other instances",
        )
    }

    fn differs(&self, difference: Difference, needed: &str) -> InstanceError {
        self.refuse(
            ErrorCode::LogShipping,
            needed,
            difference.0,
            "remove the entry, or change the topology to what it says",
        )
    }

    async fn secondary_jobs(
        &self,
        database: &DatabaseName,
        needed: &str,
    ) -> Result<Option<(Guid, Guid)>, InstanceError> {
        let entry = async {
            let entry = statement::log_shipping::secondary(database.as_str())?;
            match self.read_row(&entry).await? {
                Some(row) => answers::copy_and_restore_jobs(&row).map(Some),
                None => Ok(None),
            }
        };
        entry.await.map_err(|error: SqlError| self.error(&error, needed))
    }

    /// Registers a primary with its job and schedule, and enables the job last.
    async fn add_primary(
        &self,
        database: &DatabaseName,
        settings: &PrimarySettings,
    ) -> Result<(), InstanceError> {
        let needed = format!("{database} had to be a log shipping primary");
        let failed = |error: SqlError| self.error(&error, &needed);
        let existing = self.existing_primary(database, settings).await.map_err(failed)?;
        let mut created = Created::default();
        let job = match existing {
            Some(Err(difference)) => return Err(self.differs(difference, &needed)),
            Some(Ok((_, true))) => return Ok(()),
            Some(Ok((job, false))) => job,
            None => {
                let added = self.create_primary(database, settings, &mut created).await;
                match added {
                    Ok(job) => job,
                    Err(error) => return Err(self.take_back(created, &error, &needed).await),
                }
            }
        };
        let finished = async {
            self.give_schedule(job, &settings.schedule_name, settings.every_seconds, &mut created)
                .await?;
            let alert = statement::log_shipping::add_alert_job();
            self.call(&alert, "sp_add_log_shipping_alert_job").await?;
            self.call(&statement::jobs::enable(job, true), "sp_update_job").await?;
            Ok(())
        };
        match finished.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    /// The job of an entry that is as wanted, and whether it is enabled; or the difference.
    async fn existing_primary(
        &self,
        database: &DatabaseName,
        settings: &PrimarySettings,
    ) -> Result<Option<Compared<(Guid, bool)>>, SqlError> {
        let entry = statement::log_shipping::primary(database.as_str())?;
        let row = self.read_row(&entry).await?;
        row.map(|row| compare_primary(&row, settings)).transpose()
    }

    async fn create_primary(
        &self,
        database: &DatabaseName,
        settings: &PrimarySettings,
        created: &mut Created,
    ) -> Result<Guid, SqlError> {
        const PROCEDURE: &str = "sp_add_log_shipping_primary_database";
        let add = statement::log_shipping::add_primary(database.as_str(), settings)?;
        let undo = statement::log_shipping::delete_primary(database.as_str())?;
        let row = self.call(&add, PROCEDURE).await?;
        created.0.push((undo, "sp_delete_log_shipping_primary_database"));
        answers::backup_job(&row)
    }

    /// Gives a job its schedule, unless it has one.
    async fn give_schedule(
        &self,
        job: Guid,
        name: &str,
        every_seconds: u32,
        created: &mut Created,
    ) -> Result<(), SqlError> {
        let count = self.read_row(&statement::jobs::schedules(job)).await?;
        let count = count.map(|row| answers::schedules(&row)).transpose()?;
        if count.unwrap_or(0) > 0 {
            return Ok(());
        }
        let add = statement::jobs::add_schedule(name, every_seconds)?;
        let row = self.call(&add, "sp_add_schedule").await?;
        let schedule = answers::schedule(&row)?;
        created.0.push((statement::jobs::delete_schedule(schedule), "sp_delete_schedule"));
        let attach = statement::jobs::attach_schedule(job, schedule);
        self.call(&attach, "sp_attach_schedule").await?;
        Ok(())
    }

    async fn add_primary_secondary(
        &self,
        database: &DatabaseName,
        server: &str,
        secondary: &DatabaseName,
    ) -> Result<(), SqlError> {
        let (database, secondary) = (database.as_str(), secondary.as_str());
        let entry = statement::log_shipping::primary_secondary(database, server, secondary)?;
        if self.read_row(&entry).await?.is_some() {
            return Ok(());
        }
        let add = statement::log_shipping::add_primary_secondary(database, server, secondary)?;
        self.call(&add, "sp_add_log_shipping_primary_secondary").await?;
        Ok(())
    }

    /// Registers primary and secondary database with jobs and schedules, and enables the jobs last.
    async fn add_secondary(
        &self,
        database: &DatabaseName,
        settings: &SecondarySettings,
    ) -> Result<(), InstanceError> {
        let needed =
            format!("{database} had to be a log shipping secondary of {}", settings.primary_server);
        let failed = |error: SqlError| self.error(&error, &needed);
        let existing = self.existing_secondary(database, settings).await.map_err(failed)?;
        let (jobs, has_entry) = match existing {
            Some(Err(difference)) => return Err(self.differs(difference, &needed)),
            Some(Ok((_, true))) => return Ok(()),
            Some(Ok((jobs, false))) => (Some(jobs), true),
            None => {
                let parent = self.existing_parent(settings).await.map_err(failed)?;
                match parent {
                    Some(Err(difference)) => return Err(self.differs(difference, &needed)),
                    Some(Ok(jobs)) => (Some(jobs), false),
                    None => (None, false),
                }
            }
        };
        let mut created = Created::default();
        let added = self.complete_secondary(database, settings, jobs, has_entry, &mut created);
        match added.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    async fn complete_secondary(
        &self,
        database: &DatabaseName,
        settings: &SecondarySettings,
        jobs: Option<(Guid, Guid)>,
        has_entry: bool,
        created: &mut Created,
    ) -> Result<(), SqlError> {
        let (copy, restore) = match jobs {
            Some(jobs) => jobs,
            None => {
                let add = statement::log_shipping::add_secondary_primary(settings)?;
                let undo = statement::log_shipping::delete_secondary_primary(
                    &settings.primary_server,
                    settings.primary_database.as_str(),
                )?;
                let row = self.call(&add, "sp_add_log_shipping_secondary_primary").await?;
                created.0.push((undo, "sp_delete_log_shipping_secondary_primary"));
                answers::copy_and_restore_jobs(&row)?
            }
        };
        let (name, every) = (&settings.copy_schedule_name, settings.copy_every_seconds);
        self.give_schedule(copy, name, every, created).await?;
        let (name, every) = (&settings.restore_schedule_name, settings.restore_every_seconds);
        self.give_schedule(restore, name, every, created).await?;
        if !has_entry {
            let add = statement::log_shipping::add_secondary_database(database.as_str(), settings)?;
            let undo = statement::log_shipping::delete_secondary_database(database.as_str())?;
            self.call(&add, "sp_add_log_shipping_secondary_database").await?;
            // It takes the primary's entry and the jobs with it when it was the last one, so it
            // is taken back last.
            created.0.retain(|(_, name)| *name != "sp_delete_log_shipping_secondary_primary");
            created.0.insert(0, (undo, "sp_delete_log_shipping_secondary_database"));
        }
        self.call(&statement::jobs::enable(copy, true), "sp_update_job").await?;
        self.call(&statement::jobs::enable(restore, true), "sp_update_job").await?;
        Ok(())
    }

    /// The jobs of an entry that is as wanted, and whether both are enabled; or the difference.
    async fn existing_secondary(
        &self,
        database: &DatabaseName,
        settings: &SecondarySettings,
    ) -> Result<Option<Compared<(Jobs, bool)>>, SqlError> {
        let entry = statement::log_shipping::secondary(database.as_str())?;
        let row = self.read_row(&entry).await?;
        row.map(|row| compare_secondary(&row, settings)).transpose()
    }

    /// The jobs of a primary's entry that is as wanted, with other secondary databases or none.
    async fn existing_parent(
        &self,
        settings: &SecondarySettings,
    ) -> Result<Option<Compared<(Guid, Guid)>>, SqlError> {
        let (server, database) = (&settings.primary_server, settings.primary_database.as_str());
        let entry = statement::log_shipping::secondary_primary(server, database)?;
        let row = self.read_row(&entry).await?;
        row.map(|row| compare_parent(&row, settings)).transpose()
    }

    async fn remove_secondary(&self, database: &DatabaseName) -> Result<(), SqlError> {
        let entry = statement::log_shipping::secondary(database.as_str())?;
        if self.read_row(&entry).await?.is_none() {
            return Ok(());
        }
        let delete = statement::log_shipping::delete_secondary_database(database.as_str())?;
        self.call(&delete, "sp_delete_log_shipping_secondary_database").await?;
        Ok(())
    }

    /// Takes back what was created, newest first, and reports the error that made it necessary.
    async fn take_back(&self, created: Created, error: &SqlError, needed: &str) -> InstanceError {
        let mut reported = self.error(error, needed);
        for (undo, procedure) in created.0.into_iter().rev() {
            if let Err(undone) = self.call(&undo, procedure).await {
                reported.found.push_str(&format!(
                    "; what was created could not be taken back ({procedure}: {undone})"
                ));
                reported.remedy.push_str("; remove the half-made entry");
                break;
            }
        }
        reported
    }
}

/// What an entry that is as wanted says, or the difference.
pub(super) type Compared<T> = Result<T, Difference>;

/// A copy and a restore job.
type Jobs = (Guid, Guid);

/// The job of a primary's entry, and whether it is enabled.
pub(super) fn compare_primary(
    row: &Row,
    settings: &PrimarySettings,
) -> Result<Compared<(Guid, bool)>, SqlError> {
    let mut compared = Comparison::default();
    compared.text(row, "backup_directory", &settings.backup_directory)?;
    compared.text(row, "backup_share", &settings.backup_share)?;
    compared.text(row, "backup_job_name", &settings.backup_job_name)?;
    compared.number(row, "backup_retention_period", settings.backup_retention_minutes)?;
    compared.number(row, "backup_threshold", settings.backup_threshold_minutes)?;
    compared.number(row, "history_retention_period", settings.history_retention_minutes)?;
    Ok(match compared.0 {
        Some(difference) => Err(difference),
        None => Ok((answers::backup_job(row)?, row.get("enabled")?)),
    })
}

/// The jobs of a secondary's entry, and whether both are enabled.
pub(super) fn compare_secondary(
    row: &Row,
    settings: &SecondarySettings,
) -> Result<Compared<(Jobs, bool)>, SqlError> {
    let mut compared = Comparison::default();
    compared.text(row, "primary_server", &settings.primary_server)?;
    compared.text(row, "primary_database", settings.primary_database.as_str())?;
    compare_folders(&mut compared, row, settings)?;
    compared.text(row, "copy_job_name", &settings.copy_job_name)?;
    compared.text(row, "restore_job_name", &settings.restore_job_name)?;
    compared.number(row, "restore_delay", settings.restore_delay_minutes)?;
    compared.number(row, "restore_mode", 0)?;
    compared.number(row, "restore_threshold", settings.restore_threshold_minutes)?;
    compared.number(row, "history_retention_period", settings.history_retention_minutes)?;
    Ok(match compared.0 {
        Some(difference) => Err(difference),
        None => {
            let enabled = row.get::<bool>("copy_enabled")? && row.get("restore_enabled")?;
            Ok((answers::copy_and_restore_jobs(row)?, enabled))
        }
    })
}

/// The jobs of a primary's entry on a secondary.
pub(super) fn compare_parent(
    row: &Row,
    settings: &SecondarySettings,
) -> Result<Compared<(Guid, Guid)>, SqlError> {
    let mut compared = Comparison::default();
    compare_folders(&mut compared, row, settings)?;
    Ok(match compared.0 {
        Some(difference) => Err(difference),
        None => Ok(answers::copy_and_restore_jobs(row)?),
    })
}

fn compare_folders(
    compared: &mut Comparison,
    row: &Row,
    settings: &SecondarySettings,
) -> Result<(), SqlError> {
    compared.text(row, "backup_source_directory", &settings.backup_source_directory)?;
    compared.text(row, "backup_destination_directory", &settings.backup_destination_directory)?;
    compared.number(row, "file_retention_period", settings.file_retention_minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Cell;

    #[test]
    fn the_first_difference_of_an_entry_is_named_with_both_values() {
        let row = Row::of(
            &["backup_share", "backup_threshold"],
            vec![Cell::Text("\\\\SRV\\Log\\".to_owned()), Cell::Int(60)],
        );
        let mut same = Comparison::default();
        same.text(&row, "backup_share", "\\\\srv\\log").unwrap();
        same.number(&row, "backup_threshold", 60).unwrap();
        assert!(same.0.is_none());
        let mut other = Comparison::default();
        other.number(&row, "backup_threshold", 45).unwrap();
        other.text(&row, "backup_share", "\\\\srv\\other").unwrap();
        let Difference(text) = other.0.unwrap();
        assert!(text.contains("backup_threshold 60 instead of 45"), "{text}");
    }
}
