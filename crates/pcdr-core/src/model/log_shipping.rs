//! What steps do to log shipping entries and jobs.

use super::{CopyState, Impossible, Model, without_log};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{InstanceObservation, LogShippingPrimary, RecoveryModel};
use crate::step::LogShippingAction;

/// An entry as log shipping secondary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryEntry {
    /// The primary's server, as spelled in the entry.
    pub primary_server: String,
    /// The primary's database.
    pub primary_database: DatabaseName,
    /// Whether a copy or restore job may run.
    pub jobs_may_run: bool,
}

/// The log shipping entries of a database on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries {
    /// As secondary.
    pub secondary: Option<SecondaryEntry>,
    /// Whether it has an entry as primary.
    pub is_primary: bool,
    /// Whether the backup job of that one may run; `false` without it.
    pub backup_job_may_run: bool,
    /// The secondaries that are registered in that one: server and database.
    pub registered_secondaries: Vec<(String, String)>,
}

impl Entries {
    /// What an instance has for a database.
    pub(super) fn of(seen: &InstanceObservation, database: &DatabaseName) -> Entries {
        let secondary = seen.log_shipping_secondary.known().and_then(|all| all.get(database));
        let primary = seen.log_shipping_primary.known().and_then(|all| all.get(database));
        Entries {
            secondary: secondary.map(|entry| SecondaryEntry {
                primary_server: entry.primary_server.clone(),
                primary_database: entry.primary_database.clone(),
                jobs_may_run: [&entry.copy_job, &entry.restore_job]
                    .iter()
                    .any(|job| job.known().is_none_or(|job| job.is_enabled || job.is_running)),
            }),
            is_primary: primary.is_some(),
            backup_job_may_run: primary.is_some_and(LogShippingPrimary::backup_job_may_run),
            registered_secondaries: primary
                .map(|entry| entry.secondaries.clone())
                .unwrap_or_default(),
        }
    }
}

/// A primary's entry.
struct PrimaryEntry<'m> {
    /// Whether it is there.
    is_there: &'m mut bool,
    /// Whether its backup job may run.
    job_may_run: &'m mut bool,
    /// The secondaries that are registered in it.
    registered: &'m mut Vec<(String, String)>,
}

impl Model<'_> {
    /// The entry as secondary of a database on an instance, whether or not the database is there.
    fn secondary_entry(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<&mut Option<SecondaryEntry>, Impossible> {
        let is_left = self.copy_of(instance, database).is_none()
            && self.entries_left.get(database).is_some_and(|all| all.contains_key(instance));
        if is_left {
            let left = self.entries_left.of(database).entry(instance.clone()).or_default();
            return Ok(&mut left.secondary);
        }
        Ok(&mut self.copy(instance, database)?.secondary_entry)
    }

    /// The entry as primary of a database on an instance, whether or not the database is there.
    fn primary_entry(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<PrimaryEntry<'_>, Impossible> {
        let is_left = self.copy_of(instance, database).is_none()
            && self.entries_left.get(database).is_some_and(|all| all.contains_key(instance));
        if is_left {
            let left = self.entries_left.of(database).entry(instance.clone()).or_default();
            return Ok(PrimaryEntry {
                is_there: &mut left.is_primary,
                job_may_run: &mut left.backup_job_may_run,
                registered: &mut left.registered_secondaries,
            });
        }
        let copy = self.copy(instance, database)?;
        Ok(PrimaryEntry {
            is_there: &mut copy.is_log_shipping_primary,
            job_may_run: &mut copy.backup_job_may_run,
            registered: &mut copy.registered_secondaries,
        })
    }

    /// The entries on an instance, of every database.
    fn entries_on(
        &self,
        instance: &InstanceName,
    ) -> impl Iterator<Item = (&DatabaseName, Entries)> {
        let of_copies = self.copies.all.iter().filter_map(move |(database, copies)| {
            let copy = copies.get(instance)?;
            let entries = Entries {
                secondary: copy.secondary_entry.clone(),
                is_primary: copy.is_log_shipping_primary,
                backup_job_may_run: copy.backup_job_may_run,
                registered_secondaries: copy.registered_secondaries.clone(),
            };
            Some((database, entries))
        });
        let left = self
            .entries_left
            .all
            .iter()
            .filter_map(move |(database, left)| Some((database, left.get(instance)?.clone())));
        of_copies.chain(left)
    }

    /// Forgets what is left of a database's entries where nothing is left.
    fn forget_empty_entries(&mut self, database: &DatabaseName) {
        if let Some(left) = self.entries_left.get_mut(database) {
            left.retain(|_, entries| *entries != Entries::default());
        }
    }

    pub(super) fn apply_log_shipping(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
        action: &LogShippingAction,
    ) -> Result<(), Impossible> {
        match action {
            LogShippingAction::AddPrimary(_) => {
                let copy = self.copy_in(instance, database, CopyState::Online)?;
                if copy.recovery_model == Some(RecoveryModel::Simple) {
                    return Err(without_log(instance, database)); // error 32015
                }
                copy.is_log_shipping_primary = true;
                copy.backup_job_may_run = true;
                Ok(())
            }
            LogShippingAction::AddAlertJob { .. } => self.require_seen(instance),
            LogShippingAction::RemoveAlertJob => {
                self.require_seen(instance)?;
                // The server keeps the job while anything is monitored.
                let keeps = |entries: &Entries| entries.is_primary || entries.secondary.is_some();
                match self.entries_on(instance).find(|(_, entries)| keeps(entries)) {
                    Some((shipped, _)) => {
                        Err(Impossible(format!("{shipped} is still shipped on {instance}")))
                    }
                    None => Ok(()),
                }
            }
            LogShippingAction::RemoveSecondaryPrimary { primary_server } => {
                self.require_seen(instance)?;
                let is_its = |entry: &SecondaryEntry| {
                    entry.primary_database == *database
                        && entry.primary_server.eq_ignore_ascii_case(primary_server)
                };
                match self
                    .entries_on(instance)
                    .find(|(_, entries)| entries.secondary.as_ref().is_some_and(is_its))
                {
                    Some((secondary, _)) => Err(Impossible(format!(
                        "{secondary} on {instance} is still secondary of {primary_server}"
                    ))),
                    None => Ok(()),
                }
            }
            LogShippingAction::RemovePrimarySecondary { secondary_server, secondary_database } => {
                self.require_seen(instance)?;
                if let Ok(entry) = self.primary_entry(instance, database) {
                    entry.registered.retain(|(server, name)| {
                        !(server.eq_ignore_ascii_case(secondary_server)
                            && name == secondary_database.as_str())
                    });
                }
                Ok(())
            }
            LogShippingAction::RemovePrimary => {
                self.require_seen(instance)?;
                let Ok(entry) = self.primary_entry(instance, database) else {
                    return Ok(());
                };
                if let Some((server, _)) = entry.registered.first() {
                    return Err(Impossible(format!(
                        "{server} is still a secondary of {database} on {instance}"
                    )));
                }
                (*entry.is_there, *entry.job_may_run) = (false, false);
                self.forget_empty_entries(database);
                Ok(())
            }
            LogShippingAction::ChangePrimary { .. }
            | LogShippingAction::AddPrimarySecondary { .. }
            | LogShippingAction::RunBackupJob => {
                let entry = self.primary_entry(instance, database)?;
                if !*entry.is_there {
                    return Err(Impossible(format!(
                        "{database} is no log shipping primary on {instance}"
                    )));
                }
                if let LogShippingAction::AddPrimarySecondary {
                    secondary_server,
                    secondary_database,
                } = action
                {
                    let pair = (secondary_server.clone(), secondary_database.to_string());
                    entry.registered.push(pair);
                }
                if matches!(action, LogShippingAction::ChangePrimary { .. }) {
                    *entry.job_may_run = true;
                }
                if *action == LogShippingAction::RunBackupJob
                    && let Ok(copy) = self.copy(instance, database)
                {
                    if copy.state == CopyState::Online
                        && copy.recovery_model == Some(RecoveryModel::Simple)
                    {
                        return Err(without_log(instance, database));
                    }
                    copy.position = None;
                }
                Ok(())
            }
            LogShippingAction::AddSecondary(settings) => {
                let copy = self.copy_in(instance, database, CopyState::Restoring)?;
                copy.secondary_entry = Some(SecondaryEntry {
                    primary_server: settings.primary_server.clone(),
                    primary_database: settings.primary_database.clone(),
                    jobs_may_run: true,
                });
                Ok(())
            }
            LogShippingAction::ChangeSecondary { .. } => {
                match self.secondary_entry(instance, database)? {
                    Some(entry) => {
                        entry.jobs_may_run = true;
                        Ok(())
                    }
                    None => Err(Impossible(format!(
                        "{database} is no log shipping secondary on {instance}"
                    ))),
                }
            }
            LogShippingAction::HoldBackupJob { expect } => {
                self.require_seen(instance)?;
                if let Some(expect) = expect {
                    let copy = self.copy_in(instance, database, CopyState::Online)?;
                    if copy.position.is_none_or(|at| at.lsn != *expect) {
                        return Err(Impossible(format!(
                            "{database} on {instance} has log in no backup from another position \
                             than {expect}"
                        )));
                    }
                }
                if let Ok(entry) = self.primary_entry(instance, database) {
                    *entry.job_may_run = false;
                }
                Ok(())
            }
            LogShippingAction::HoldSecondaryJobs => {
                if let Some(entry) = self.secondary_entry(instance, database)? {
                    entry.jobs_may_run = false;
                }
                Ok(())
            }
            LogShippingAction::RemoveSecondary => {
                *self.secondary_entry(instance, database)? = None;
                self.forget_empty_entries(database);
                Ok(())
            }
            LogShippingAction::RunCopyJob | LogShippingAction::RunRestoreJob => {
                if self.secondary_entry(instance, database)?.is_none() {
                    return Err(Impossible(format!(
                        "{database} is no log shipping secondary on {instance}"
                    )));
                }
                if let (LogShippingAction::RunRestoreJob, Ok(copy)) =
                    (action, self.copy(instance, database))
                {
                    copy.position = None; // it restores what it finds and what is old enough
                }
                Ok(())
            }
        }
    }
}
