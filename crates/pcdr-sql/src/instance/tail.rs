//! The tail of the log: the last backup of a primary that hands over.

use pcdr_core::backup::BackupKind;
use pcdr_core::observation::DatabaseState;
use pcdr_core::ports::Progress;
use pcdr_core::step::LogEnd;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError, Lsn};
use tokio::time::Instant;

use super::SqlInstance;
use super::database::CANNOT_OPEN;
use crate::error::{SqlError, meaning};
use crate::statement;

impl SqlInstance {
    /// Disables the backup job, waits until it does not run, and makes sure, before and after, that no
    /// log backup was taken that the plan does not know.
    pub(super) async fn hold_backup_job(
        &self,
        database: &DatabaseName,
        expect: Option<Lsn>,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the log backup job of {database} had to be held");
        self.require_log_from(database, expect, &needed).await?;
        if let Some(job) = self.backup_job(database, &needed).await? {
            self.hold_jobs(&[job], &needed, progress).await?;
        }
        self.require_log_from(database, expect, &needed).await
    }

    /// The log that no backup holds begins where it is expected to, if it is.
    async fn require_log_from(
        &self,
        database: &DatabaseName,
        expect: Option<Lsn>,
        needed: &str,
    ) -> Result<(), InstanceError> {
        let Some(expect) = expect else { return Ok(()) };
        let standing = self.standing(database).await.map_err(|error| self.error(&error, needed))?;
        let standing = standing.ok_or_else(|| self.missing(database, needed))?;
        if standing.last_log_backup_lsn == Some(expect) {
            return Ok(());
        }
        Err(self.another_log_backup(needed, expect, standing.last_log_backup_lsn))
    }

    /// Takes the tail into a new file. A database that is RESTORING because this file was taken of it is
    /// success.
    pub(super) async fn back_up_tail(
        &self,
        database: &DatabaseName,
        path: &str,
        follows: &LogEnd,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the tail of the log of {database} in {path} was needed");
        let failed = |error: SqlError| self.error(&error, &needed);
        let follows = match follows {
            LogEnd::Lsn(lsn) => *lsn,
            LogEnd::EndOf { path } => self.header(path).await.map_err(failed)?.last_lsn,
        };
        let deadline = Instant::now() + self.limits.sessions;
        loop {
            let (work, standing) = self.begin(database).await.map_err(failed)?;
            let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
            match self.header(path).await {
                Err(error) if error.number() == Some(CANNOT_OPEN) => {}
                Err(error) => return Err(failed(error)),
                Ok(found) => {
                    let is_it = found.is_tail
                        && found.first_lsn <= follows
                        && found.database == database.as_str()
                        && standing.state == DatabaseState::Restoring;
                    self.end(work);
                    if is_it {
                        return Ok(());
                    }
                    return Err(self.refuse(
                        ErrorCode::FileInaccessible,
                        needed,
                        format!("the file exists and holds another backup, of {}", found.database),
                        "choose another file name; pcdr overwrites no backup",
                    ));
                }
            }
            if standing.state != DatabaseState::Online || standing.is_in_standby {
                self.end(work);
                return Err(self.refuse(
                    ErrorCode::WrongState,
                    needed,
                    format!("the database is {}", standing.described()),
                    "only an ONLINE database hands over: observe again, then plan again",
                ));
            }
            if standing.last_log_backup_lsn != Some(follows) {
                self.end(work);
                return Err(self.another_log_backup(needed, follows, standing.last_log_backup_lsn));
            }
            let tail = statement::database::back_up_tail(database.as_str(), path);
            let tail = tail.map_err(|error| failed(error.into()))?;
            match self.execute(work, tail, progress).await {
                Ok(_) => return Ok(()),
                // Somebody connected again between the end of the sessions and the backup.
                Err(error) if is_in_use(&error) && Instant::now() < deadline => {
                    self.end_sessions(database, progress).await?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Where the tail in a file ends, by its header, as the instance reads it that restored it.
    pub(super) async fn end_of_tail(
        &self,
        database: &DatabaseName,
        path: &str,
        needed: &str,
    ) -> Result<Lsn, InstanceError> {
        let header = self.header(path).await.map_err(|error| self.error(&error, needed))?;
        if header.kind == BackupKind::Log && header.is_tail && header.database == database.as_str()
        {
            return Ok(header.last_lsn);
        }
        Err(self.refuse(
            ErrorCode::WrongBackup,
            needed,
            format!("{path} holds no tail of {database} that left its database RESTORING"),
            "nothing was recovered: observe again, then plan again",
        ))
    }

    fn another_log_backup(
        &self,
        needed: impl Into<String>,
        expected: Lsn,
        found: Option<Lsn>,
    ) -> InstanceError {
        let found = match found {
            Some(lsn) => format!("the log that no backup holds begins at {lsn}, not at {expected}"),
            None => {
                "the instance does not tell where the log begins that no backup holds".to_owned()
            }
        };
        self.refuse(
            ErrorCode::WrongState,
            needed,
            found,
            "another log backup was taken meanwhile: carry the same plan out again, and it is restored, \
             too",
        )
    }
}

pub(super) fn is_in_use(error: &SqlError) -> bool {
    error.number().is_some_and(|number| meaning(number).0 == ErrorCode::InUse)
}
