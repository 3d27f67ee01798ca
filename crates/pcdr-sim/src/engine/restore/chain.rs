//! Whether a log or a differential backup continues what the database has.

use std::path::Path;

use jiff::Timestamp;

use super::choose::Chosen;
use crate::engine::errors::{self, OsError};
use crate::engine::log::LogOp;
use crate::engine::media::SetKind;
use crate::engine::options::With;
use crate::engine::paths;
use crate::engine::state::{Status, WorldState};
use crate::message::SqlMessage;
use crate::tsql::ast::Restore;

/// Redo writes to the files of the database and has to be able to expand them.
pub(super) fn check_space(
    state: &WorldState,
    root: &Path,
    key: &str,
    database: &str,
) -> Result<(), SqlMessage> {
    let Some(instance) = state.instances.get(key) else { return Ok(()) };
    let files = instance.database(database).map(|own| own.files.as_slice()).unwrap_or_default();
    let full = files.iter().find(|file| {
        paths::resolve(state, root, instance, &file.physical)
            .is_ok_and(|place| place.write_error == Some(OsError::DISK_FULL))
    });
    if let Some(file) = full {
        return Err(errors::expand_file(OsError::DISK_FULL, &file.physical));
    }
    let protected = files.iter().find(|file| {
        paths::resolve(state, root, instance, &file.physical)
            .is_ok_and(|place| place.write_error.is_some())
    });
    match protected {
        Some(file) => Err(errors::file_not_writable(&file.physical)),
        None => Ok(()),
    }
}

/// The rules for logs and differential backups.
pub(super) fn check_chain(
    state: &WorldState,
    key: &str,
    statement: &Restore,
    chosen: &Chosen,
    device: &str,
    with: &With,
) -> Result<(), SqlMessage> {
    let stop_at = with.stop_at()?;
    let header = &chosen.header;
    let Some(database) =
        state.instances.get(key).and_then(|instance| instance.database(&statement.database))
    else {
        return Err(errors::restore_creates_only_full(&statement.database));
    };
    if database.status == Status::Suspect {
        return Err(errors::suspect_stays());
    }
    let Some(redo) = database.redo.as_ref().filter(|_| database.waits_for_log()) else {
        return Err(match errors::closed(&database.name, database.status) {
            Some(error) if database.status != Status::Restoring => error,
            _ => errors::not_ready_to_roll_forward(),
        });
    };
    if header.family_guid != database.family_guid {
        return Err(errors::other_family(&database.name));
    }
    if database.condition.continued_after_error && !with.has("CONTINUE_AFTER_ERROR") {
        return Err(errors::continued_before());
    }
    if redo.interrupted.is_some_and(|set| set != header.set_guid) {
        return Err(errors::restore_interrupted());
    }
    if header.kind == SetKind::Differential {
        let base = database.differential_base.map(|base| base.guid);
        if header.differential_base_guid.is_none() || header.differential_base_guid != base {
            return Err(errors::wrong_base(device));
        }
        if header.last_lsn <= redo.lsn {
            return Err(errors::beyond_set());
        }
        if !header.path.continues(&database.path, redo.lsn) {
            return Err(errors::wrong_path());
        }
        return Ok(());
    }
    // A fork is judged before positions: on another fork they mean nothing.
    if !header.path.continues(&database.path, redo.lsn.min(header.last_lsn)) {
        return Err(errors::wrong_path());
    }
    // The first log of a new chain: no earlier one covers what lies between.
    if header.first_lsn > redo.lsn && header.begins_log_chain {
        return Err(errors::gap_in_chain());
    }
    if header.first_lsn > redo.lsn {
        return Err(errors::too_recent(header.first_lsn, redo.lsn));
    }
    if header.last_lsn < redo.lsn {
        return Err(errors::too_early(header.last_lsn, redo.lsn));
    }
    if let Some(stop) = stop_at {
        let offset = crate::engine::state::offset(header.utc_offset_minutes);
        let stop = offset.to_timestamp(stop).unwrap_or(Timestamp::MAX);
        let passed = database.storage.tables.values().any(|table| {
            table.rows.values().any(|row| row.commit.is_some_and(|commit| commit.at > stop))
        });
        if passed {
            return Err(errors::stopat_too_early());
        }
        let inside =
            chosen.content.iter().flat_map(|content| &content.records).any(|record| {
                record.op == LogOp::Commit && record.lsn >= redo.lsn && record.at > stop
            });
        if header.bulk_logged && inside {
            return Err(errors::stop_in_bulk_logged());
        }
    }
    Ok(())
}
