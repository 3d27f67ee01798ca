//! Catalogue views, dynamic management views and functions, server functions and globals.

pub mod columns;

use jiff::Timestamp;

use super::state::{InstanceState, SessionState, WorldState};
use super::world::World;
use crate::message::SqlFailure;
use crate::tsql::ast::ObjectName;
use crate::value::{Relation, SqlType, Value};

/// What a view or function is evaluated over. The world's mutex is held: nothing here may lock it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// For paths and other facts that need no lock.
    pub world: &'a World,
    /// Everything.
    pub state: &'a WorldState,
    /// The instance that is asked.
    pub instance: &'a InstanceState,
    /// The session that asks.
    pub session: &'a SessionState,
    /// Now, UTC.
    pub now: Timestamp,
}

/// The rows of a system object (schema `sys`, `INFORMATION_SCHEMA`, the tables of msdb, table-valued
/// system functions); `None` when the name is no system object.
///
/// # Errors
///
/// 229, 297, 300 and their like.
pub fn relation(
    _view: View<'_>,
    _name: &ObjectName,
    _arguments: Option<&[Value]>,
) -> Option<Result<Relation, SqlFailure>> {
    None
}

/// A scalar function; `None` when there is no such function.
pub fn function(
    _view: View<'_>,
    _name: &str,
    _arguments: &[Value],
) -> Option<Result<(SqlType, Value), SqlFailure>> {
    None
}

/// A global, name in upper case with its `@@`; `None` when there is no such global.
pub fn global(_view: View<'_>, _name: &str) -> Option<(SqlType, Value)> {
    None
}
