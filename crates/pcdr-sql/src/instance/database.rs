//! Actions on a database: each asks first whether its effect is already there.

use pcdr_core::backup::BackupKind;
use pcdr_core::observation::{DatabaseState, RecoveryModel};
use pcdr_core::ports::Progress;
use pcdr_core::step::{DatabaseAction, LogEnd};
use pcdr_core::{DatabaseName, ErrorCode, InstanceError};

use super::SqlInstance;
use crate::error::SqlError;
use crate::statement;

/// The database is already ONLINE.
const ALREADY_ONLINE: i32 = 3153;

/// The backup device cannot be opened; so it is for a file that does not exist.
pub(super) const CANNOT_OPEN: i32 = 3201;

/// The file ends before its first backup set does.
const ENDS_TOO_SOON: i32 = 3208;

impl SqlInstance {
    pub(super) async fn run_on_database(
        &self,
        database: &DatabaseName,
        action: &DatabaseAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        match action {
            DatabaseAction::CreateMirroringEndpoint { name, port, accounts } => {
                self.create_mirroring_endpoint(name, *port, accounts).await
            }
            DatabaseAction::SetRecoveryFull => self.set_recovery_full(database, progress).await,
            DatabaseAction::BackUpDatabase { path } => {
                self.back_up(database, path, BackupKind::Full, progress).await
            }
            DatabaseAction::BackUpLog { path } => {
                self.back_up(database, path, BackupKind::Log, progress).await
            }
            DatabaseAction::BackUpTail { path, follows } => {
                self.back_up_tail(database, path, follows, progress).await
            }
            DatabaseAction::RestoreDatabase {
                path,
                data_directory,
                log_directory,
                replaces_existing,
            } => {
                let folders = (data_directory.as_deref(), log_directory.as_deref());
                self.restore_database(database, path, folders, *replaces_existing, progress).await
            }
            DatabaseAction::RestoreLog { path, log } => {
                self.restore_log(database, path, log.as_ref(), progress).await
            }
            DatabaseAction::EndSessions => self.end_sessions(database, progress).await,
            DatabaseAction::Recover { expect } => {
                self.recover(database, expect.as_ref(), progress).await
            }
            DatabaseAction::SetPartner { address } => {
                self.set_partner(database, address, progress).await
            }
            DatabaseAction::SetWitness { address } => {
                self.set_witness(database, address, progress).await
            }
            DatabaseAction::AwaitSynchronized => self.await_synchronized(database, progress).await,
            DatabaseAction::FailOverMirror => self.fail_over_mirror(database, progress).await,
            DatabaseAction::ForceService => self.force_service(database, progress).await,
            DatabaseAction::RemoveWitness => self.remove_witness(database, progress).await,
            DatabaseAction::RemoveMirroring => self.remove_mirroring(database, progress).await,
            DatabaseAction::DropMirroringEndpoint { name } => {
                self.drop_mirroring_endpoint(name).await
            }
            DatabaseAction::StopMirroringEndpoint { name } => {
                self.stop_mirroring_endpoint(name).await
            }
            DatabaseAction::SetRecoveryBack { model } => {
                self.set_recovery_back(database, *model, progress).await
            }
            DatabaseAction::DropRestoring => self.drop_restoring(database, progress).await,
            DatabaseAction::Drill(step) => self.run_drill(database, step, progress).await,
        }
    }

    pub(super) fn missing(&self, database: &DatabaseName, needed: &str) -> InstanceError {
        self.refuse(
            ErrorCode::WrongState,
            needed,
            format!("there is no database {database} here"),
            "check the name, and on which instance the database is",
        )
    }

    async fn set_recovery_full(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("recovery model FULL was needed for {database}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        if standing.recovery_model == Some(RecoveryModel::Full) {
            self.end(work);
            return Ok(());
        }
        let set = statement::database::set_recovery_full(database.as_str());
        let set = set.map_err(|error| failed(error.into()))?;
        self.execute(work, set, progress).await.map_err(failed)?;
        Ok(())
    }

    /// Backs up into a new file. A file that already holds this backup is success, while the log chain
    /// still goes on from it; one that ends before its first backup does is written anew; any other file of
    /// that name is left alone.
    async fn back_up(
        &self,
        database: &DatabaseName,
        path: &str,
        kind: BackupKind,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let what = match kind {
            BackupKind::Log => "a log backup",
            _ => "a full backup",
        };
        let needed = format!("{what} of {database} to {path} was needed");
        let failed = |error: SqlError| self.error(&error, &needed);
        let was_cut_off = match self.header(path).await {
            Err(error) if error.number() == Some(CANNOT_OPEN) => false,
            // The name is the plan's own: an attempt of it was cut off before there was a backup.
            Err(error) if error.number() == Some(ENDS_TOO_SOON) => true,
            Err(error) => return Err(failed(error)),
            Ok(found) if found.kind == kind && found.database == database.as_str() => {
                let standing = self.standing(database).await.map_err(failed)?;
                let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
                let goes_on = match (kind, standing.last_log_backup_lsn) {
                    (BackupKind::Log, at) => at == Some(found.last_lsn),
                    (_, at) => at.is_some(),
                };
                if goes_on {
                    return Ok(());
                }
                return Err(self.refuse(
                    ErrorCode::FileInaccessible,
                    needed,
                    "the file exists and holds an older backup, and the log went on without it",
                    "plan again: a new plan backs up into new files",
                ));
            }
            Ok(found) => {
                return Err(self.refuse(
                    ErrorCode::FileInaccessible,
                    needed,
                    format!("the file exists and holds another backup, of {}", found.database),
                    "choose another file name; pcdr overwrites no backup",
                ));
            }
        };
        let name = database.as_str();
        let statement = match (kind, was_cut_off) {
            (BackupKind::Log, false) => statement::database::back_up_log(name, path),
            (BackupKind::Log, true) => statement::database::back_up_log_again(name, path),
            (_, false) => statement::database::back_up_database(name, path),
            (_, true) => statement::database::back_up_database_again(name, path),
        };
        let statement = statement.map_err(|error| failed(error.into()))?;
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        if standing.is_none() {
            return Err(self.missing(database, &needed));
        }
        self.execute(work, statement, progress).await.map_err(failed)?;
        Ok(())
    }

    /// Recovers a database whose log reached the expected position, and no other.
    pub(super) async fn recover(
        &self,
        database: &DatabaseName,
        expect: Option<&LogEnd>,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = match expect {
            Some(at) => format!("{database} had to be recovered {at}"),
            None => format!("{database} had to be recovered"),
        };
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        if standing.state == DatabaseState::Online && !standing.is_in_standby {
            self.end(work);
            return Ok(());
        }
        if !standing.waits_for_log() {
            return Err(self.refuse(
                ErrorCode::WrongState,
                needed,
                format!("the database is {}", standing.described()),
                "only a RESTORING or STANDBY database can be recovered: observe again",
            ));
        }
        if let Some(session) = &standing.mirroring {
            return Err(self.refuse(
                ErrorCode::WrongState,
                needed,
                format!("it is {:?} in a mirroring session", session.role),
                "remove mirroring first, or fail the mirror over",
            ));
        }
        if let Some(at) = expect {
            let expected = match at {
                LogEnd::Lsn(lsn) => *lsn,
                LogEnd::EndOf { path } => self.end_of_tail(database, path, &needed).await?,
            };
            let reached = match standing.redo_start_lsn {
                Some(lsn) => Some(lsn),
                // The files of a standby database tell no position; its history does.
                None => {
                    let restored = self.last_restore(database).await.map_err(failed)?;
                    restored.and_then(|restored| restored.last_lsn)
                }
            };
            if reached != Some(expected) {
                self.end(work);
                let found = match reached {
                    Some(lsn) => format!("its log reached {lsn}"),
                    None => "the instance does not tell how far its log reached".to_owned(),
                };
                return Err(self.refuse(
                    ErrorCode::WrongState,
                    needed,
                    found,
                    "nothing was recovered: observe again, then plan again",
                ));
            }
        }
        let recover = statement::database::recover(database.as_str());
        let recover = recover.map_err(|error| failed(error.into()))?;
        match self.execute(work, recover, progress).await {
            Err(error) if error.number() == Some(ALREADY_ONLINE) => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(()),
        }
    }
}
