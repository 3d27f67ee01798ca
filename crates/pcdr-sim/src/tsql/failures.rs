//! The language's own errors, numbered as SQL Server numbers them.

use crate::message::{SqlFailure, SqlMessage};
use crate::value::Row;

/// An error with state 1; the interpreter fills in the line of the statement.
pub(super) fn error(number: i32, severity: u8, text: impl Into<String>) -> SqlFailure {
    SqlMessage::new(number, severity, text).into()
}

pub(super) fn invalid_column(name: &str) -> SqlFailure {
    error(207, 16, format!("Invalid column name '{name}'."))
}

pub(super) fn invalid_object(name: &str) -> SqlFailure {
    error(208, 16, format!("Invalid object name '{name}'."))
}

pub(super) fn overflow(ty: &str) -> SqlFailure {
    let mut failure = error(
        8115,
        16,
        format!("Arithmetic overflow error converting expression to data type {ty}."),
    );
    failure.0[0].state = 2;
    failure
}

pub(super) fn divide_by_zero() -> SqlFailure {
    error(8134, 16, "Divide by zero error encountered.")
}

/// Longest value, in bytes, that the stand-in makes.
const LONGEST_BYTES: usize = 64 << 20;
/// Most values in the rows of one join or recursion.
const MOST_VALUES: usize = 4_000_000;

pub(super) fn out_of_memory() -> SqlFailure {
    error(
        701,
        17,
        "There is insufficient system memory in resource pool 'default' to run this query.",
    )
}

/// No single value may take the stand-in's memory.
pub(super) fn too_long(bytes: usize) -> Result<(), SqlFailure> {
    if bytes > LONGEST_BYTES { Err(out_of_memory()) } else { Ok(()) }
}

/// No query may take the stand-in's memory: a product of a few tables would.
pub(super) fn too_many(rows: &[Row]) -> Result<(), SqlFailure> {
    let width = rows.last().map_or(0, Vec::len).max(1);
    if rows.len().saturating_mul(width) > MOST_VALUES { Err(out_of_memory()) } else { Ok(()) }
}

/// Error 4902.
pub(super) fn no_table_to_alter(name: &str) -> SqlFailure {
    error(
        4902,
        16,
        format!(
            "Cannot find the object \"{name}\" because it does not exist or you do not have permissions."
        ),
    )
}

/// Error 2714.
pub(super) fn name_taken(name: &str) -> SqlFailure {
    SqlMessage::new(2714, 16, format!("There is already an object named '{name}' in the database."))
        .with_state(6)
        .into()
}

/// Error 3701.
pub(super) fn cannot_drop(what: &str, name: &str) -> SqlFailure {
    SqlMessage::new(
        3701,
        11,
        format!(
            "Cannot drop the {what} '{name}', because it does not exist or you do not have permission."
        ),
    )
    .with_state(5)
    .into()
}
