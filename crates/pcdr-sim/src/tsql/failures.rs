//! The language's own errors, numbered as SQL Server numbers them.

use crate::message::{SqlFailure, SqlMessage};

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
