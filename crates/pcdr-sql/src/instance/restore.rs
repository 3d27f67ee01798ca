//! Restoring full and log backups.

use pcdr_core::backup::BackupKind;
use pcdr_core::ports::Progress;
use pcdr_core::step::LogRange;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError};
use tokio::time::Instant;

use super::tail::is_in_use;
use super::work::{read_standing, state_row};
use super::{SqlInstance, answers};
use crate::error::SqlError;
use crate::statement::{self, database::Move};

/// The backup holds nothing new.
const NOTHING_NEW: i32 = 4326;

impl SqlInstance {
    /// Restores a full backup. Unless it was decided to replace what exists, a database is replaced only
    /// by a backup of itself, and only while it waits for log.
    pub(super) async fn restore_database(
        &self,
        database: &DatabaseName,
        path: &str,
        (data, log): (Option<&str>, Option<&str>),
        replaces_existing: bool,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("{database} had to be restored from {path}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let header = self.header(path).await.map_err(failed)?;
        if header.kind != BackupKind::Full {
            return Err(self.refuse(
                ErrorCode::WrongBackup,
                needed,
                "the file holds no full backup",
                "choose the file of a full database backup",
            ));
        }
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        if let Some(standing) = &standing {
            let family = match standing.family {
                Some(family) => Some(family),
                None => {
                    let restored = self.last_restore(database).await.map_err(failed)?;
                    restored.and_then(|restored| restored.family)
                }
            };
            let is_own = family == Some(header.family) && standing.waits_for_log();
            if !replaces_existing && !is_own {
                self.end(work);
                return Err(self.refuse(
                    ErrorCode::WrongBackup,
                    needed,
                    match family {
                        Some(family) if family == header.family => {
                            format!("the database here is {}", standing.described())
                        }
                        Some(family) => format!(
                            "the database here is of family {family}, the backup of family {}",
                            header.family
                        ),
                        None => "the instance does not tell which database it has there".to_owned(),
                    },
                    "plan again, and give the consent to replace the database if it may be lost",
                ));
            }
            let has_it = is_own
                && standing.redo_start_fork == Some(header.last_fork)
                && standing.redo_start_lsn.is_some_and(|lsn| lsn >= header.last_lsn);
            if has_it {
                self.end(work);
                return Ok(());
            }
        }
        let moves = match (data, log) {
            (None, None) => Vec::new(),
            folders => self.moves(path, folders).await.map_err(failed)?,
        };
        let replace = standing.is_some();
        let restore =
            statement::database::restore_database(database.as_str(), path, &moves, replace);
        let restore = restore.map_err(|error| failed(error.into()))?;
        self.execute(work, restore, progress).await.map_err(failed)?;
        Ok(())
    }

    /// Where the files of a backup go: each under its own name into the folder of its kind.
    async fn moves(
        &self,
        path: &str,
        (data, log): (Option<&str>, Option<&str>),
    ) -> Result<Vec<Move>, SqlError> {
        let sets = self.read(&statement::files::file_list(path)?).await?;
        let files = answers::files(&sets)?.into_iter().map(|file| {
            let folder = if file.is_log { log.or(data) } else { data };
            (file.logical, file.physical, folder)
        });
        Ok(place(&files.collect::<Vec<_>>()))
    }

    /// Restores a log backup. A backup that is already applied is success.
    pub(super) async fn restore_log(
        &self,
        database: &DatabaseName,
        path: &str,
        log: Option<&LogRange>,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = match log {
            Some(log) => format!(
                "log {}..{} of {database} had to be restored from {path}",
                log.first_lsn, log.last_lsn
            ),
            None => format!("the log of {database} had to be restored from {path}"),
        };
        let failed = |error: SqlError| self.error(&error, &needed);
        // One round trip for each backup of a chain: the batch looks where the database stands, and
        // restores only where it waits for log.
        let restore = statement::database::restore_next_log(database.as_str(), path);
        let restore = restore.map_err(|error| failed(error.into()))?;
        let work = self.at_hand(database).await.map_err(failed)?;
        let mut outcome = self.execute(work, restore.clone(), progress).await;
        // The connection may have been gone before the batch came: where the database stands tells
        // whether anything was restored.
        if outcome.as_ref().is_err_and(SqlError::ends_session)
            && let Ok((work, Some(standing))) = self.begin(database).await
        {
            let is_applied = log.is_some_and(|log| {
                standing.redo_start_fork == Some(log.last_fork)
                    && standing.redo_start_lsn.is_some_and(|lsn| lsn >= log.last_lsn)
            });
            if is_applied {
                self.end(work);
                return Ok(());
            }
            outcome = self.execute(work, restore.clone(), progress).await;
        }
        // A reader of a standby copy may come in again between the end of the sessions and the restore.
        let deadline = Instant::now() + self.limits.sessions;
        while outcome.as_ref().is_err_and(is_in_use) && Instant::now() < deadline {
            let (work, standing) = self.begin(database).await.map_err(failed)?;
            if !standing.is_some_and(|standing| standing.is_in_standby) {
                self.end(work);
                break;
            }
            self.end_sessions(database, progress).await?;
            outcome = self.execute(work, restore.clone(), progress).await;
        }
        match outcome {
            Ok(sets) => {
                let standing = read_standing(state_row(&sets).map_err(failed)?).map_err(failed)?;
                let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
                if standing.waits_for_log() {
                    return Ok(());
                }
                Err(self.refuse(
                    ErrorCode::WrongState,
                    needed,
                    format!("the database is {}", standing.described()),
                    "only a RESTORING or STANDBY database takes log: observe again",
                ))
            }
            Err(error) if error.number() == Some(NOTHING_NEW) => {
                let last_lsn = match log {
                    Some(log) => log.last_lsn,
                    None => self.header(path).await.map_err(failed)?.last_lsn,
                };
                let standing = self.standing(database).await.map_err(failed)?;
                let reached = match standing.and_then(|standing| standing.redo_start_lsn) {
                    Some(lsn) => Some(lsn),
                    None => {
                        let restored = self.last_restore(database).await.map_err(failed)?;
                        restored.and_then(|restored| restored.last_lsn)
                    }
                };
                if reached.is_some_and(|lsn| lsn >= last_lsn) { Ok(()) } else { Err(failed(error)) }
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Puts files into folders under their own names; a name that comes twice in one folder is numbered.
/// Files without a folder stay where the backup says.
fn place(files: &[(String, String, Option<&str>)]) -> Vec<Move> {
    let mut taken = std::collections::BTreeSet::new();
    let mut moves = Vec::new();
    for (number, (logical, physical, folder)) in files.iter().enumerate() {
        let Some(folder) = folder else { continue };
        let separator = if folder.contains('\\') || !folder.contains('/') { '\\' } else { '/' };
        let folder = folder.trim_end_matches(['\\', '/']);
        let name = physical.rsplit(['\\', '/']).next().unwrap_or(physical);
        let path = format!("{folder}{separator}{name}");
        let path = if taken.insert(path.to_lowercase()) {
            path
        } else {
            format!("{folder}{separator}{number}_{name}")
        };
        moves.push(Move { logical: logical.clone(), path });
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_names_in_the_folder_of_their_kind() {
        let data = Some("F:\\sql data\\");
        let files = [
            ("mgc".to_owned(), "D:\\Data\\mgc.mdf".to_owned(), data),
            ("mgc_log".to_owned(), "/var/opt/mssql/data/mgc.ldf".to_owned(), Some("L:\\log")),
            ("mgc_2".to_owned(), "E:\\MGC.MDF".to_owned(), data),
            ("mgc_3".to_owned(), "E:\\mgc_3.ndf".to_owned(), None),
        ];
        let placed = place(&files);
        let paths: Vec<&str> = placed.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["F:\\sql data\\mgc.mdf", "L:\\log\\mgc.ldf", "F:\\sql data\\2_MGC.MDF"]);
        let linux = [("mgc".to_owned(), "/old/mgc.mdf".to_owned(), Some("/data"))];
        assert_eq!(place(&linux)[0].path, "/data/mgc.mdf");
    }
}
