//! msdb: backup and restore history, log shipping, the Agent's tables.

pub mod history;

use crate::message::SqlFailure;
use crate::tsql::ast::ObjectName;
use crate::tsql::host::{Argument, CallResult, ProcedureParameter, Sink};

/// The content of msdb.
#[derive(Debug, Default)]
pub struct Msdb {
    /// Backup and restore history.
    pub history: history::History,
}

/// The parameters of a system procedure; `None` when there is no such procedure.
pub fn procedure(_name: &ObjectName) -> Option<Vec<ProcedureParameter>> {
    None
}

/// Runs a system procedure for a session.
///
/// # Errors
///
/// What the procedure raises; 2812 when there is none.
pub async fn call(
    _session: &super::world::SessionRef,
    name: &ObjectName,
    _arguments: Vec<Argument>,
    _sink: &mut dyn Sink,
) -> Result<CallResult, SqlFailure> {
    Err(super::errors::no_procedure(&name.name).into())
}
