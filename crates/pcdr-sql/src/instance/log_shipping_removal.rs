//! Removing log shipping: every return code is read, and what is gone already is success.

use pcdr_core::ports::Progress;
use pcdr_core::{DatabaseName, ErrorCode, Guid, InstanceError};

use super::{SqlInstance, answers};
use crate::connection::Row;
use crate::error::SqlError;
use crate::statement;

/// The database is not a log shipping primary.
const NO_PRIMARY: i32 = 32010;

/// The database is not a log shipping secondary.
pub(super) const NO_SECONDARY: i32 = 32014;

/// The primary is not registered on this secondary.
const NOT_REGISTERED: i32 = 32023;

impl SqlInstance {
    /// Takes a secondary off a primary's entry; the secondary is not contacted.
    pub(super) async fn remove_primary_secondary(
        &self,
        database: &DatabaseName,
        server: &str,
        secondary: &DatabaseName,
    ) -> Result<(), SqlError> {
        let (database, secondary) = (database.as_str(), secondary.as_str());
        let entry = statement::log_shipping::primary_secondary(database, server, secondary)?;
        if self.read_row(&entry).await?.is_none() {
            return Ok(());
        }
        let delete =
            statement::log_shipping::delete_primary_secondary(database, server, secondary)?;
        let called = self.call(&delete, "sp_delete_log_shipping_primary_secondary").await;
        unless_gone(called, NO_PRIMARY)
    }

    /// Removes a primary's entry. Its backup job is disabled and let to its end first: should the
    /// procedure leave the job behind, it does not run any more. An entry in which secondaries are
    /// registered is refused before that (32011), so that its job goes on.
    pub(super) async fn remove_primary(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("log shipping of the primary {database} had to be removed");
        let failed = |error: SqlError| self.error(&error, &needed);
        let entry = statement::log_shipping::primary(database.as_str());
        let entry = entry.map_err(|error| failed(error.into()))?;
        if let Some(row) = self.read_row(&entry).await.map_err(failed)? {
            let registered = statement::log_shipping::primary_secondaries(database.as_str());
            let registered = registered.map_err(|error| failed(error.into()))?;
            if let Some(row) = self.read_row(&registered).await.map_err(failed)? {
                let server = answers::secondary_server(&row).map_err(failed)?;
                return Err(self.refuse(
                    ErrorCode::LogShipping,
                    needed,
                    format!("{server} is still registered as its secondary"),
                    "take every secondary off the entry first (sp_delete_log_shipping_primary_secondary)",
                ));
            }
            let job = answers::backup_job(&row).map_err(failed)?;
            self.hold_those_there(&[job], &needed, progress).await?;
            let delete = statement::log_shipping::delete_primary(database.as_str());
            let delete = delete.map_err(|error| failed(error.into()))?;
            let called = self.call(&delete, "sp_delete_log_shipping_primary_database").await;
            unless_gone(called, NO_PRIMARY).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes the alert job, which the server keeps while anything is monitored.
    pub(super) async fn remove_alert_job(&self) -> Result<(), SqlError> {
        let delete = statement::log_shipping::delete_alert_job();
        self.call(&delete, "sp_delete_log_shipping_alert_job").await?;
        Ok(())
    }

    /// Removes a registered primary that has no secondary database, with its jobs, which are held first.
    /// One that has a secondary database is refused before that (32025), so that its jobs go on.
    pub(super) async fn remove_secondary_primary(
        &self,
        database: &DatabaseName,
        server: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the registration of primary {server}.{database} had to be removed");
        let failed = |error: SqlError| self.error(&error, &needed);
        let entry = statement::log_shipping::secondary_primary(server, database.as_str());
        let entry = entry.map_err(|error| failed(error.into()))?;
        let Some(row) = self.read_row(&entry).await.map_err(failed)? else { return Ok(()) };
        let of_it = statement::log_shipping::secondary_databases(server, database.as_str());
        let of_it = of_it.map_err(|error| failed(error.into()))?;
        if let Some(row) = self.read_row(&of_it).await.map_err(failed)? {
            let secondary = answers::secondary_database(&row).map_err(failed)?;
            return Err(self.refuse(
                ErrorCode::LogShipping,
                needed,
                format!("{secondary} is still its secondary database here"),
                "remove that entry first (sp_delete_log_shipping_secondary_database)",
            ));
        }
        let (copy, restore) = answers::copy_and_restore_jobs(&row).map_err(failed)?;
        self.hold_those_there(&[copy, restore], &needed, progress).await?;
        let delete = statement::log_shipping::delete_secondary_primary(server, database.as_str());
        let delete = delete.map_err(|error| failed(error.into()))?;
        let called = self.call(&delete, "sp_delete_log_shipping_secondary_primary").await;
        unless_gone(called, NOT_REGISTERED).map_err(failed)
    }

    /// Holds jobs; one that somebody deleted needs no holding.
    async fn hold_those_there(
        &self,
        jobs: &[Guid],
        needed: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let there =
            async { answers::jobs_there(&self.read(&statement::jobs::activity(jobs)).await?) };
        let there = there.await.map_err(|error| self.error(&error, needed))?;
        self.hold_jobs(&there, needed, progress).await
    }
}

/// An entry that went while it was to be removed is as good as removed.
pub(super) fn unless_gone(called: Result<Row, SqlError>, gone: i32) -> Result<(), SqlError> {
    match called {
        Err(error) if error.number() == Some(gone) => Ok(()),
        other => other.map(|_| ()),
    }
}
