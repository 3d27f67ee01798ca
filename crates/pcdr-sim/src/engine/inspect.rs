//! What tests may look at although no client could.

use super::storage::{Commit, table_key};
use super::world::World;
use crate::value::Row;

/// A committed row, with its commit.
#[derive(Debug, Clone, PartialEq)]
pub struct InspectedRow {
    /// Content.
    pub row: Row,
    /// LSN and time of the commit that made it so.
    pub commit: Option<Commit>,
}

impl World {
    /// The committed rows of a table, in order of insertion, whatever state the database and its
    /// instance are in. `None` when there is no such instance, database or table.
    pub fn inspect(
        &self,
        instance: &str,
        database: &str,
        schema: &str,
        table: &str,
    ) -> Option<Vec<InspectedRow>> {
        let state = self.lock();
        let table = state
            .instances
            .get(&instance.to_lowercase())?
            .database(database)?
            .storage
            .tables
            .get(&table_key(schema, table))?;
        Some(
            table
                .rows
                .values()
                .filter_map(|row| {
                    row.committed
                        .clone()
                        .map(|content| InspectedRow { row: content, commit: row.commit })
                })
                .collect(),
        )
    }

    /// Writes log volume without meaning into a database, so that its next log backup is larger.
    pub fn add_log_volume(&self, instance: &str, database: &str, bytes: u64) {
        let now = self.now();
        let mut state = self.lock();
        let key = instance.to_lowercase();
        if let Some(database) = super::session::database_mut(&mut state, &key, database) {
            database.add_log_volume(now, bytes);
        }
        super::mirroring::ship(&mut state, &key, database);
    }

    /// Sets the size of a database's data, for the duration and the size of its backups.
    pub fn set_data_bytes(&self, instance: &str, database: &str, bytes: u64) {
        let mut state = self.lock();
        if let Some(database) =
            super::session::database_mut(&mut state, &instance.to_lowercase(), database)
        {
            database.data_bytes = bytes;
        }
    }
}
