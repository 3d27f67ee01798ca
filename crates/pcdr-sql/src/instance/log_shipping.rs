//! Configuring and removing log shipping, and running its jobs.

use pcdr_core::observation::{InstanceObservation, Job, JobSchedule};
use pcdr_core::ports::{DatabaseInstance, Progress};
use pcdr_core::schedule::{Frequency, Schedule};
use pcdr_core::settings::{
    Difference, Monitor, Part, PrimarySettings, SecondarySettings, is_same_folder,
    primary_differences, secondary_differences,
};
use pcdr_core::step::LogShippingAction;
use pcdr_core::{DatabaseName, ErrorCode, Guid, InstanceError, Known};

use super::log_shipping_removal::{NO_SECONDARY, unless_gone};
use super::{SqlInstance, answers};
use crate::connection::Password;
use crate::error::SqlError;
use crate::statement::{self, Statement};

/// What a configuration created so far, newest last; taken back when it fails half way.
#[derive(Default)]
struct Created(Vec<(Statement, &'static str)>);

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
            LogShippingAction::ChangePrimary { settings, .. } => {
                self.change_primary(database, settings).await
            }
            LogShippingAction::ChangeSecondary { settings, .. } => {
                self.change_secondary(database, settings).await
            }
            LogShippingAction::AddAlertJob { schedule } => self.add_alert_job(schedule).await,
            LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
                let needed = format!("{secondary_server} had to be a secondary of {database}");
                let added =
                    self.add_primary_secondary(database, secondary_server, secondary_database);
                added.await.map_err(|error| self.error(&error, &needed))
            }
            LogShippingAction::HoldBackupJob { expect } => {
                self.hold_backup_job(database, *expect, progress).await
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
            LogShippingAction::RemoveSecondaryPrimary { primary_server } => {
                self.remove_secondary_primary(database, primary_server, progress).await
            }
            LogShippingAction::RemovePrimarySecondary { secondary_server, secondary_database } => {
                let needed = format!("{secondary_server} had to be no secondary of {database}");
                let removed =
                    self.remove_primary_secondary(database, secondary_server, secondary_database);
                removed.await.map_err(|error| self.error(&error, &needed))
            }
            LogShippingAction::RemovePrimary => self.remove_primary(database, progress).await,
            LogShippingAction::RemoveAlertJob => {
                let needed = "the log shipping alert job had to be removed";
                self.remove_alert_job().await.map_err(|error| self.error(&error, needed))
            }
            LogShippingAction::RunBackupJob => {
                let needed = format!("the log backup job of {database} had to run");
                let job = self.backup_job(database, &needed).await?;
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

    /// An entry with other settings is never silently kept.
    fn differs(&self, differences: &[Difference], needed: &str) -> InstanceError {
        let texts: Vec<String> = differences.iter().map(Difference::to_string).collect();
        self.refuse(
            ErrorCode::LogShipping,
            needed,
            format!("the entry that exists is not as designed: {}", texts.join(", ")),
            "plan again: a new plan changes the entry",
        )
    }

    /// What the instance says of a database's log shipping now.
    async fn log_shipping_of(
        &self,
        database: &DatabaseName,
        needed: &str,
    ) -> Result<InstanceObservation, InstanceError> {
        let seen = DatabaseInstance::observe(self, std::slice::from_ref(database)).await?;
        let unknown = seen.log_shipping_primary.reason().or(seen.log_shipping_secondary.reason());
        match unknown {
            Some(reason) => Err(self.refuse(
                ErrorCode::LogShipping,
                needed,
                format!("its log shipping entries are unknown: {reason}"),
                "repair what the reason names, then plan again",
            )),
            None => Ok(seen),
        }
    }

    /// The backup job of the primary's entry; `None` without an entry.
    pub(super) async fn backup_job(
        &self,
        database: &DatabaseName,
        needed: &str,
    ) -> Result<Option<Guid>, InstanceError> {
        let entry = async {
            let entry = statement::log_shipping::primary(database.as_str())?;
            match self.read_row(&entry).await? {
                Some(row) => answers::backup_job(&row).map(Some),
                None => Ok(None),
            }
        };
        entry.await.map_err(|error: SqlError| self.error(&error, needed))
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

    /// Registers a primary with its job and schedule, and enables the job last. An entry that was left
    /// half made is completed.
    async fn add_primary(
        &self,
        database: &DatabaseName,
        settings: &PrimarySettings,
    ) -> Result<(), InstanceError> {
        const PROCEDURE: &str = "sp_add_log_shipping_primary_database";
        let needed = format!("{database} had to be a log shipping primary");
        let seen = self.log_shipping_of(database, &needed).await?;
        let entry = seen.log_shipping_primary.known().and_then(|all| all.get(database));
        if let Some(entry) = entry {
            let of_entry = of_entry(primary_differences(settings, entry));
            if !of_entry.is_empty() {
                return Err(self.differs(&of_entry, &needed));
            }
        }
        let mut created = Created::default();
        let added = async {
            let job = match entry.map(|entry| &entry.backup_job) {
                Some(job) => known_job(job)?.id,
                None => {
                    let password = self.monitor_password(settings.monitor.as_ref()).await?;
                    let (name, password) = (database.as_str(), password.as_ref());
                    let add = statement::log_shipping::add_primary(name, settings, password)?;
                    let undo = statement::log_shipping::delete_primary(database.as_str())?;
                    let row = self.call(&add, PROCEDURE).await?;
                    created.0.push((undo, "sp_delete_log_shipping_primary_database"));
                    answers::backup_job(&row)?
                }
            };
            self.keep_schedule(job, &settings.schedule_name, &settings.schedule, &mut created)
                .await?;
            self.enable(job).await
        };
        match added.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    /// Changes an entry, its job and its schedule; on failure the entry is changed back.
    async fn change_primary(
        &self,
        database: &DatabaseName,
        settings: &PrimarySettings,
    ) -> Result<(), InstanceError> {
        const PROCEDURE: &str = "sp_change_log_shipping_primary_database";
        let needed = format!("log shipping primary {database} had to be as designed");
        let seen = self.log_shipping_of(database, &needed).await?;
        let entry = seen.log_shipping_primary.known().and_then(|all| all.get(database));
        let entry = entry.ok_or_else(|| self.no_entry(database, "primary", &needed))?;
        let differences = primary_differences(settings, entry);
        let mut created = Created::default();
        let changed = async {
            if differences.iter().any(|difference| difference.of == Part::Entry) {
                let password = self.monitor_password(settings.monitor.as_ref()).await?;
                let (name, password) = (database.as_str(), password.as_ref());
                let change = statement::log_shipping::change_primary(name, settings, password)?;
                let back = settings.back_to(entry);
                let undo = statement::log_shipping::change_primary(name, &back, password)?;
                self.call(&change, PROCEDURE).await?;
                created.0.push((undo, PROCEDURE));
            }
            let job = known_job(&entry.backup_job)?.id;
            self.keep_schedule(job, &settings.schedule_name, &settings.schedule, &mut created)
                .await?;
            self.enable(job).await
        };
        match changed.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    /// Makes sure that the instance has its alert job, enabled and on time.
    async fn add_alert_job(&self, schedule: &Schedule) -> Result<(), InstanceError> {
        let needed = "the log shipping alert job was needed".to_owned();
        let mut created = Created::default();
        let added = async {
            let add = statement::log_shipping::add_alert_job();
            self.call(&add, "sp_add_log_shipping_alert_job").await?;
            let row = self.read_row(&statement::log_shipping::alert_job()).await?;
            let job: Option<Guid> = row.map(|row| answers::alert_job(&row)).transpose()?;
            let job = job.ok_or_else(|| {
                SqlError::Protocol("no alert job is there after it was added".to_owned())
            })?;
            self.keep_schedule(job, "Log shipping alert job schedule.", schedule, &mut created)
                .await?;
            self.enable(job).await
        };
        match added.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    /// The password of the login that reports to the monitor, where the settings have one.
    async fn monitor_password(
        &self,
        monitor: Option<&Monitor>,
    ) -> Result<Option<Password>, SqlError> {
        let Some(login) = monitor.and_then(|monitor| monitor.login.as_ref()) else {
            return Ok(None);
        };
        let source = self.secrets.monitor_password.as_ref();
        let what = format!("the password of {login}, which reports to the monitor");
        self.secret(source, &what).await.map(Some)
    }

    async fn enable(&self, job: Guid) -> Result<(), SqlError> {
        self.call(&statement::jobs::enable(job, true), "sp_update_job").await?;
        Ok(())
    }

    /// Gives a job this schedule and no other. A new one is attached before the old ones go, so that
    /// the job is never without.
    async fn keep_schedule(
        &self,
        job: Guid,
        name: &str,
        schedule: &Schedule,
        created: &mut Created,
    ) -> Result<(), SqlError> {
        let sets = self.read(&statement::jobs::schedules(job)).await?;
        let found = answers::schedules(&sets)?;
        let is_wanted = |one: &JobSchedule| one.is_enabled && one.schedule == Some(*schedule);
        let kept = found.iter().find(|one| is_wanted(one)).map(|one| one.id);
        if kept.is_none() {
            let frequency = Frequency::of(schedule).ok_or_else(|| {
                SqlError::Protocol(format!("SQL Server Agent has no schedule “{schedule}”"))
            })?;
            let add = statement::jobs::add_schedule(name, &frequency)?;
            let row = self.call(&add, "sp_add_schedule").await?;
            let id = answers::schedule(&row)?;
            created.0.push((statement::jobs::delete_schedule(id), "sp_delete_schedule"));
            let attach = statement::jobs::attach_schedule(job, id);
            self.call(&attach, "sp_attach_schedule").await?;
        }
        for other in found.iter().filter(|one| one.is_enabled && kept != Some(one.id)) {
            let detach = statement::jobs::detach_schedule(job, other.id);
            self.call(&detach, "sp_detach_schedule").await?;
        }
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

    /// Registers primary and secondary database with jobs and schedules, and enables the jobs last. An
    /// entry that was left half made is completed.
    async fn add_secondary(
        &self,
        database: &DatabaseName,
        settings: &SecondarySettings,
    ) -> Result<(), InstanceError> {
        let needed =
            format!("{database} had to be a log shipping secondary of {}", settings.primary_server);
        let seen = self.log_shipping_of(database, &needed).await?;
        let entry = seen.log_shipping_secondary.known().and_then(|all| all.get(database));
        if let Some(entry) = entry {
            let of_entry = of_entry(secondary_differences(settings, entry));
            if !of_entry.is_empty() {
                return Err(self.differs(&of_entry, &needed));
            }
        }
        let mut created = Created::default();
        let added = async {
            let (copy, restore) = match entry {
                Some(entry) => (known_job(&entry.copy_job)?.id, known_job(&entry.restore_job)?.id),
                None => self.register_primary(settings, &mut created).await?,
            };
            self.keep_secondary_schedules(copy, restore, settings, &mut created).await?;
            if entry.is_none() {
                let database = database.as_str();
                let add = statement::log_shipping::add_secondary_database(database, settings)?;
                let undo = statement::log_shipping::delete_secondary_database(database)?;
                self.call(&add, "sp_add_log_shipping_secondary_database").await?;
                // It takes the primary's entry and the jobs with it when it was the last one, so it
                // is taken back last.
                created.0.retain(|(_, name)| *name != "sp_delete_log_shipping_secondary_primary");
                created.0.insert(0, (undo, "sp_delete_log_shipping_secondary_database"));
            }
            self.enable(copy).await?;
            self.enable(restore).await
        };
        match added.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    /// The jobs of a primary's entry on a secondary, which may be there without the database's.
    async fn register_primary(
        &self,
        settings: &SecondarySettings,
        created: &mut Created,
    ) -> Result<(Guid, Guid), SqlError> {
        let (server, database) = (&settings.primary_server, settings.primary_database.as_str());
        let existing = statement::log_shipping::secondary_primary(server, database)?;
        if let Some(row) = self.read_row(&existing).await? {
            let (source, destination) = answers::folders(&row)?;
            let folders = [
                (source, &settings.backup_source_directory),
                (destination, &settings.backup_destination_directory),
            ];
            for (found, wanted) in folders {
                if !is_same_folder(&found, wanted) {
                    return Err(SqlError::Protocol(format!(
                        "{server} is registered with the folder {found}, not with {wanted}"
                    )));
                }
            }
            return answers::copy_and_restore_jobs(&row);
        }
        let password = self.monitor_password(settings.monitor.as_ref()).await?;
        let add = statement::log_shipping::add_secondary_primary(settings, password.as_ref())?;
        let undo = statement::log_shipping::delete_secondary_primary(server, database)?;
        let row = self.call(&add, "sp_add_log_shipping_secondary_primary").await?;
        created.0.push((undo, "sp_delete_log_shipping_secondary_primary"));
        answers::copy_and_restore_jobs(&row)
    }

    async fn keep_secondary_schedules(
        &self,
        copy: Guid,
        restore: Guid,
        settings: &SecondarySettings,
        created: &mut Created,
    ) -> Result<(), SqlError> {
        let (name, schedule) = (&settings.copy_schedule_name, &settings.copy_schedule);
        self.keep_schedule(copy, name, schedule, created).await?;
        let (name, schedule) = (&settings.restore_schedule_name, &settings.restore_schedule);
        self.keep_schedule(restore, name, schedule, created).await
    }

    /// Changes an entry, its jobs and their schedules; on failure the entry is changed back.
    async fn change_secondary(
        &self,
        database: &DatabaseName,
        settings: &SecondarySettings,
    ) -> Result<(), InstanceError> {
        const PRIMARY: &str = "sp_change_log_shipping_secondary_primary";
        const DATABASE: &str = "sp_change_log_shipping_secondary_database";
        let needed = format!("log shipping secondary {database} had to be as designed");
        let seen = self.log_shipping_of(database, &needed).await?;
        let entry = seen.log_shipping_secondary.known().and_then(|all| all.get(database));
        let entry = entry.ok_or_else(|| self.no_entry(database, "secondary", &needed))?;
        let differences = secondary_differences(settings, entry);
        let mut created = Created::default();
        let changed = async {
            if differences.iter().any(|difference| difference.of == Part::Entry) {
                let (name, back) = (database.as_str(), settings.back_to(entry));
                let password = self.monitor_password(settings.monitor.as_ref()).await?;
                let password = password.as_ref();
                let change = statement::log_shipping::change_secondary_primary(settings, password)?;
                let undo = statement::log_shipping::change_secondary_primary(&back, password)?;
                self.call(&change, PRIMARY).await?;
                created.0.push((undo, PRIMARY));
                let change = statement::log_shipping::change_secondary_database(name, settings)?;
                let undo = statement::log_shipping::change_secondary_database(name, &back)?;
                self.call(&change, DATABASE).await?;
                created.0.push((undo, DATABASE));
            }
            let (copy, restore) =
                (known_job(&entry.copy_job)?.id, known_job(&entry.restore_job)?.id);
            self.keep_secondary_schedules(copy, restore, settings, &mut created).await?;
            self.enable(copy).await?;
            self.enable(restore).await
        };
        match changed.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.take_back(created, &error, &needed).await),
        }
    }

    async fn remove_secondary(&self, database: &DatabaseName) -> Result<(), SqlError> {
        let entry = statement::log_shipping::secondary(database.as_str())?;
        if self.read_row(&entry).await?.is_none() {
            return Ok(());
        }
        let delete = statement::log_shipping::delete_secondary_database(database.as_str())?;
        let called = self.call(&delete, "sp_delete_log_shipping_secondary_database").await;
        unless_gone(called, NO_SECONDARY)
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

/// The differences that make an entry another one than was asked for. A job that is not as designed
/// may be one that a broken connection left behind: it is completed.
fn of_entry(mut differences: Vec<Difference>) -> Vec<Difference> {
    differences.retain(|difference| difference.of != Part::Job);
    differences
}

fn known_job(job: &Known<Job>) -> Result<&Job, SqlError> {
    match job {
        Known::Known(job) => Ok(job),
        Known::Unknown(reason) => Err(SqlError::Protocol(format!("its job is unknown: {reason}"))),
    }
}
