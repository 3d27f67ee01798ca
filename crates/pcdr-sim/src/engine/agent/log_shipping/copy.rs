//! `sqllogship.exe -Copy`: files of the primary that are not here yet come over.

use super::{Failure, Session};
use crate::engine::agent::as_agent;
use crate::engine::agent::log_shipping_files::{base_name, join};
use crate::engine::errors::OsError;
use crate::engine::msdb::monitor::SessionStatus;
use crate::engine::msdb::{MonitorChange, MsdbTable};
use crate::engine::transfer::share_site;
use crate::value::Value;
use std::path::Path;

impl Session<'_> {
    pub(super) async fn copy(&mut self) -> Result<String, Failure> {
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
        let (there, here) = {
            let state = self.run.world.lock();
            let here = state.instances.get(&self.run.instance).map(|i| i.config.site.clone());
            let here = here.unwrap_or_default();
            (share_site(&state, source).unwrap_or_else(|| here.clone()), here)
        };
        // Half of it is there, under a name that nobody restores, while the rest is on its way.
        let write = |part: &[u8]| {
            std::fs::write(work, part)
                .map_err(|e| Failure::of_file("write", target, OsError::of(&e)))
        };
        write(&bytes[..bytes.len() / 2])?;
        if !there.eq_ignore_ascii_case(&here) {
            self.run.world.carry_backup(&there, &here, from).await;
            self.folder(source).map_err(|os| Failure::of_file("read", source, os))?;
        }
        write(&bytes)
    }
}
