//! The undo file of a STANDBY database.

use crate::engine::errors::{self, OsError};
use crate::engine::paths;
use crate::engine::session::SessionHost;
use crate::engine::state::{Database, WorldState};
use crate::message::SqlMessage;

/// What the file of a database says: a file of another database is told by it.
fn content(own: &Database) -> String {
    format!("undo pages of {}\n", own.database_guid)
}

/// Writes the undo file of a database.
///
/// # Errors
///
/// 3170 when no file can be there, 3442 when there is no room.
pub(crate) fn write(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    name: &str,
    file: &str,
) -> Result<(), SqlMessage> {
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let own = instance.database(name).ok_or_else(|| errors::no_database(name))?;
    let place = paths::resolve(state, host.me.world.root(), instance, file)
        .map_err(|_| errors::bad_standby_file())?;
    match place.write_error {
        Some(OsError::DISK_FULL) => return Err(errors::undo_file_full(&own.name, file)),
        Some(_) => return Err(errors::bad_standby_file()),
        None => {}
    }
    std::fs::write(place.path, content(own)).map_err(|_| errors::bad_standby_file())
}

/// A STANDBY database needs its undo file for every further step.
///
/// # Errors
///
/// 3441 when the file is gone, 3445 when it is another database's.
pub(super) fn check(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    name: &str,
) -> Result<(), SqlMessage> {
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let Some(own) = instance.database(name) else {
        return Ok(());
    };
    let Some(file) = own.standby.clone() else {
        return Ok(());
    };
    let os = match paths::resolve(state, host.me.world.root(), instance, &file) {
        Ok(place) => match std::fs::read_to_string(&place.path) {
            Ok(text) if text == content(own) => return Ok(()),
            Ok(_) => return Err(errors::foreign_undo_file(name, &file)),
            Err(error) => paths::open_error(&place.path, &error),
        },
        Err(os) => os,
    };
    Err(errors::standby_file_lost(name, &file, os))
}
