//! Taking back what a configuration created: each action refuses what it did not create.

use pcdr_core::observation::RecoveryModel;
use pcdr_core::ports::Progress;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError};

use super::{SqlInstance, answers};
use crate::error::SqlError;
use crate::statement;

impl SqlInstance {
    /// Drops the endpoint of this name, unless something is mirrored or watched through it.
    pub(super) async fn drop_mirroring_endpoint(&self, name: &str) -> Result<(), InstanceError> {
        let needed = format!("the mirroring endpoint {name} had to be dropped");
        if !self.is_endpoint_unused(name, &needed).await? {
            return Ok(());
        }
        let drop = statement::database::drop_endpoint(name);
        self.try_change(drop).await.map_err(|error| self.error(&error, &needed))
    }

    /// Stops the endpoint of this name, unless something is mirrored or watched through it.
    pub(super) async fn stop_mirroring_endpoint(&self, name: &str) -> Result<(), InstanceError> {
        let needed = format!("the mirroring endpoint {name} had to be stopped");
        if !self.is_endpoint_unused(name, &needed).await? {
            return Ok(());
        }
        let stop = statement::database::stop_endpoint(name);
        self.try_change(stop).await.map_err(|error| self.error(&error, &needed))
    }

    /// Whether the endpoint is there; an error where it is in use.
    async fn is_endpoint_unused(&self, name: &str, needed: &str) -> Result<bool, InstanceError> {
        let failed = |error: SqlError| self.error(&error, needed);
        let found = self.read_row(&statement::database::endpoint()).await.map_err(failed)?;
        let found = found.as_ref().map(answers::endpoint).transpose().map_err(failed)?;
        if found.and_then(|found| found.name).as_deref() != Some(name) {
            return Ok(false);
        }
        let uses = self.read_row(&statement::database::endpoint_uses()).await.map_err(failed)?;
        let uses = uses.ok_or_else(|| failed(SqlError::Protocol("no answer".to_owned())))?;
        let (partners, witnesses) = answers::endpoint_uses(&uses).map_err(failed)?;
        if partners + witnesses > 0 {
            return Err(self.refuse(
                ErrorCode::Mirroring,
                needed,
                format!("{partners} databases are mirrored and {witnesses} sessions watched here"),
                "leave the endpoint, or remove what goes through it first",
            ));
        }
        Ok(true)
    }

    pub(super) async fn set_recovery_back(
        &self,
        database: &DatabaseName,
        model: RecoveryModel,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("recovery model {model} was needed for {database}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        if standing.recovery_model == Some(model) {
            self.end(work);
            return Ok(());
        }
        let set = statement::database::set_recovery(database.as_str(), model);
        let set = set.map_err(|error| failed(error.into()))?;
        self.execute(work, set, progress).await.map_err(failed)?;
        Ok(())
    }

    /// Drops a copy that waits for log. One that has been recovered, or that mirroring holds, stays.
    pub(super) async fn drop_restoring(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the copy of {database} that waits for log had to be dropped");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let Some(standing) = standing else {
            self.end(work);
            return Ok(());
        };
        let is_mirrored = standing.mirroring.is_some();
        if !standing.waits_for_log() || is_mirrored {
            self.end(work);
            let found = if is_mirrored {
                "it is in a mirroring session".to_owned()
            } else {
                format!("the database is {}", standing.described())
            };
            return Err(self.refuse(
                ErrorCode::WrongState,
                needed,
                found,
                "look into who uses it; pcdr drops only a copy that nobody has recovered",
            ));
        }
        let drop = statement::database::drop_database(database.as_str());
        let drop = drop.map_err(|error| failed(error.into()))?;
        self.execute(work, drop, progress).await.map_err(failed)?;
        Ok(())
    }
}
