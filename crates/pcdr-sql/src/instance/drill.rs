//! Drills: a copy beside production, which is touched only where it is known to be the drill's own.

use std::collections::BTreeMap;

use pcdr_core::backup::BackupKind;
use pcdr_core::drill::{Beside, BesideQuestion, CopySeen, file_path, stranger};
use pcdr_core::known::Reason;
use pcdr_core::ports::{DatabaseInstance as _, Progress};
use pcdr_core::preflight::{Answer, Preflight as _, Question, Volume};
use pcdr_core::step::{DrillAction, DrillStep, LogEnd};
use pcdr_core::{DatabaseName, ErrorCode, Guid, InstanceError, Known};

use super::{SqlInstance, answers};
use crate::error::SqlError;
use crate::statement::{self, database::Move};

const MEBIBYTE: u64 = 1 << 20;

fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

impl SqlInstance {
    /// What the instance tells of the place of a drill.
    pub(super) async fn beside(&self, question: &BesideQuestion) -> Result<Beside, InstanceError> {
        let BesideQuestion { copies, backups, directory } = question;
        let asked = Question {
            databases: copies.clone(),
            rights: Vec::new(),
            folders: vec![directory.clone()],
        };
        let answer = self.answer(&asked).await?;
        let mut restored_bytes = BTreeMap::new();
        for path in backups {
            restored_bytes.insert(path.clone(), self.restored_bytes(path).await?);
        }
        let none = || Known::unknown("not_answered", "whether it is seen was not answered");
        Ok(Beside {
            copies: self.copies(copies, &answer).await?,
            is_directory: answer.folders.get(directory).cloned().unwrap_or_else(none),
            free_bytes: self.free_bytes(directory, &answer.volumes).await?,
            restored_bytes,
        })
    }

    /// The databases that have the name of a copy, each with its files.
    async fn copies(
        &self,
        names: &[DatabaseName],
        answer: &Answer,
    ) -> Result<Known<Vec<CopySeen>>, InstanceError> {
        let files = match &answer.files {
            Known::Known(files) => files,
            Known::Unknown(reason) => return Ok(Known::Unknown(reason.clone())),
        };
        let seen = match self.observe(names).await?.databases {
            Known::Known(seen) => seen,
            Known::Unknown(reason) => return Ok(Known::Unknown(reason)),
        };
        let copy =
            |(name, found): (&DatabaseName, &pcdr_core::observation::DatabaseObservation)| {
                let own = files.iter().filter(|file| file.database == *name);
                CopySeen {
                    name: name.clone(),
                    family: found.log_position.known().map(|position| position.family),
                    files: own.clone().map(|file| file.path.clone()).collect(),
                    size_bytes: total(own.map(|file| file.size_bytes)),
                }
            };
        Ok(Known::Known(seen.iter().map(copy).collect()))
    }

    /// What the files of a full backup's database take once they are restored.
    async fn restored_bytes(&self, path: &str) -> Result<Known<u64>, InstanceError> {
        let needed = format!("the contents of {path} were needed");
        let listed =
            async { answers::files(&self.read(&statement::files::file_list(path)?).await?) };
        match listed.await {
            Ok(files) => Ok(Known::Known(total(files.iter().map(|file| file.size_bytes)))),
            Err(error @ (SqlError::Server(_) | SqlError::Protocol(_) | SqlError::Quote(_))) => {
                let error = self.error(&error, &needed);
                Ok(Known::unknown(error.code.as_str(), error.found))
            }
            Err(error) => Err(self.error(&error, &needed)),
        }
    }

    /// The free bytes of the volume that a folder is on: by a database on that volume, or by the letter of
    /// its drive.
    async fn free_bytes(
        &self,
        directory: &str,
        volumes: &Known<Vec<Volume>>,
    ) -> Result<Known<u64>, InstanceError> {
        let lower = directory.to_lowercase();
        let on_it = |volume: &&Volume| lower.starts_with(&volume.mount_point.to_lowercase());
        let volume = volumes.known().and_then(|volumes| {
            volumes.iter().filter(on_it).max_by_key(|volume| volume.mount_point.len())
        });
        if let Some(volume) = volume {
            return Ok(Known::Known(volume.available_bytes));
        }
        let mut start = directory.chars();
        let drive = match (start.next(), start.next()) {
            (Some(letter), Some(':')) if letter.is_ascii_alphabetic() => letter,
            _ => {
                let why = format!("nothing documented tells the free space behind {directory}");
                return Ok(Known::unknown("not_told", why));
            }
        };
        let listed = async { answers::drives(&self.read(&statement::files::drives()).await?) };
        let drives = match listed.await {
            Ok(drives) => drives,
            Err(error @ (SqlError::Server(_) | SqlError::Protocol(_))) => {
                let error = self.error(&error, "the free space of the drives was needed");
                return Ok(Known::unknown(error.code.as_str(), error.found));
            }
            Err(error) => return Err(self.error(&error, "the free space of the drives was needed")),
        };
        let found = drives.iter().find(|(letter, _)| letter.eq_ignore_ascii_case(&drive));
        Ok(match found {
            Some((_, free)) => Known::Known(u64::try_from(*free).unwrap_or(0) * MEBIBYTE),
            None => Known::unknown("not_there", format!("the instance has no drive {drive}:")),
        })
    }

    /// Carries a step of a drill out.
    pub(super) async fn run_drill(
        &self,
        copy: &DatabaseName,
        step: &DrillStep,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let DrillStep { of, family, action } = step;
        match action {
            DrillAction::RestoreDatabase { path, directory } => {
                self.restore_copy(copy, step, path, directory, progress).await
            }
            DrillAction::RestoreLog { path, log } => {
                self.require_own(copy, of, *family).await?;
                self.restore_log(copy, path, Some(log), progress).await
            }
            DrillAction::Recover { at } => {
                self.require_own(copy, of, *family).await?;
                self.recover(copy, Some(&LogEnd::Lsn(*at)), progress).await
            }
            DrillAction::Check => {
                self.require_own(copy, of, *family).await?;
                self.check_database(copy, progress).await
            }
            DrillAction::Drop => self.drop_copy(copy, of, *family, progress).await,
        }
    }

    /// Whether the copy is there; an error where somebody else's database has its name.
    async fn is_own(
        &self,
        copy: &DatabaseName,
        of: &DatabaseName,
        family: Guid,
    ) -> Result<bool, InstanceError> {
        let needed = format!("{copy} was needed to be the drill's own copy of {of}");
        let unknown = |reason: &Reason| {
            self.refuse(
                ErrorCode::WrongState,
                needed.clone(),
                format!("the instance does not tell: {reason}"),
                "repair what the reason names; a drill touches nothing but its own copy",
            )
        };
        let asked =
            Question { databases: vec![copy.clone()], rights: Vec::new(), folders: Vec::new() };
        let answer = self.answer(&asked).await?;
        let copies = match self.copies(std::slice::from_ref(copy), &answer).await? {
            Known::Known(copies) => copies,
            Known::Unknown(reason) => return Err(unknown(&reason)),
        };
        let Some(found) = copies.iter().find(|seen| seen.name == *copy) else { return Ok(false) };
        match stranger(of, family, found) {
            None => Ok(true),
            Some(why) => Err(self.refuse(
                ErrorCode::WrongState,
                needed.clone(),
                why,
                "find out whose database it is and rename it; a drill touches nothing but its own copy",
            )),
        }
    }

    async fn require_own(
        &self,
        copy: &DatabaseName,
        of: &DatabaseName,
        family: Guid,
    ) -> Result<(), InstanceError> {
        if self.is_own(copy, of, family).await? {
            return Ok(());
        }
        Err(self.missing(copy, &format!("the drill's copy {copy} was needed")))
    }

    /// Restores a full backup beside the others. Nothing is replaced: a copy that stands where this backup
    /// ends is success, any other database of that name is left alone.
    async fn restore_copy(
        &self,
        copy: &DatabaseName,
        step: &DrillStep,
        path: &str,
        directory: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("{} had to be restored from {path} as {copy}", step.of);
        let failed = |error: SqlError| self.error(&error, &needed);
        let header = self.header(path).await.map_err(failed)?;
        if header.kind != BackupKind::Full || header.family != step.family {
            return Err(self.refuse(
                ErrorCode::WrongBackup,
                needed,
                format!("the file holds no full backup of family {}", step.family),
                "plan again: the file was replaced",
            ));
        }
        let is_there = self.is_own(copy, &step.of, step.family).await?;
        let (work, standing) = self.begin(copy).await.map_err(failed)?;
        if is_there || standing.is_some() {
            self.end(work);
            let is_done = standing.as_ref().is_some_and(|standing| {
                standing.redo_start_fork == Some(header.last_fork)
                    && standing.redo_start_lsn == Some(header.last_lsn)
            });
            if is_there && is_done {
                return Ok(());
            }
            return Err(self.refuse(
                ErrorCode::WrongState,
                needed,
                format!("there is a database {copy}"),
                "plan again: a new drill drops what an earlier one left, and begins again",
            ));
        }
        let list = statement::files::file_list(path).map_err(|error| failed(error.into()))?;
        let listed = self.read(&list).await.map_err(failed)?;
        let files = answers::files(&listed).map_err(failed)?;
        let moves: Vec<Move> = files
            .into_iter()
            .enumerate()
            .map(|(number, file)| Move {
                logical: file.logical,
                path: file_path(directory, step.family, number, &file.physical),
            })
            .collect();
        let restore = statement::database::restore_database(copy.as_str(), path, &moves, false);
        let restore = restore.map_err(|error| failed(error.into()))?;
        self.execute(work, restore, progress).await.map_err(failed)?;
        Ok(())
    }

    /// DBCC CHECKDB: what it finds is an error.
    async fn check_database(
        &self,
        copy: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("DBCC CHECKDB had to find nothing in {copy}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let check = statement::database::check_database(copy.as_str());
        let check = check.map_err(|error| failed(error.into()))?;
        let (work, _) = self.begin(copy).await.map_err(failed)?;
        self.execute(work, check, progress).await.map_err(failed)?;
        Ok(())
    }

    async fn drop_copy(
        &self,
        copy: &DatabaseName,
        of: &DatabaseName,
        family: Guid,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("{copy}, the drill's own copy of {of}, had to be dropped");
        let failed = |error: SqlError| self.error(&error, &needed);
        if !self.is_own(copy, of, family).await? {
            return Ok(());
        }
        self.end_sessions(copy, progress).await?;
        let drop = statement::database::drop_database(copy.as_str());
        let drop = drop.map_err(|error| failed(error.into()))?;
        let (work, _) = self.begin(copy).await.map_err(failed)?;
        self.execute(work, drop, progress).await.map_err(failed)?;
        Ok(())
    }
}
