//! The errors and informational messages that the engine raises. Source: `sys.messages`; wording is
//! our own around the words that tell the cases of a number apart.

use super::security::Action;
use super::state::{InstanceState, Status};
use crate::message::{SqlFailure, SqlMessage};

mod backup;
mod database;
mod mirroring;

pub use backup::*;
pub use database::*;
pub use mirroring::*;

fn error(number: i32, severity: u8, state: u8, text: impl Into<String>) -> SqlMessage {
    SqlMessage::new(number, severity, text).with_state(state)
}

/// An operating system error with its number and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError(pub u32);

impl OsError {
    /// 2.
    pub const FILE_NOT_FOUND: OsError = OsError(2);
    /// 3.
    pub const PATH_NOT_FOUND: OsError = OsError(3);
    /// 5.
    pub const ACCESS_DENIED: OsError = OsError(5);
    /// 53.
    pub const NETWORK_PATH: OsError = OsError(53);
    /// 67.
    pub const NETWORK_NAME: OsError = OsError(67);
    /// 80.
    pub const EXISTS: OsError = OsError(80);
    /// 112.
    pub const DISK_FULL: OsError = OsError(112);
    /// 123.
    pub const INVALID_NAME: OsError = OsError(123);

    /// The system's words for it.
    pub const fn text(self) -> &'static str {
        match self.0 {
            2 => "The system cannot find the file specified.",
            3 => "The system cannot find the path specified.",
            5 => "Access is denied.",
            32 => "The process cannot access the file because it is being used by another process.",
            53 => "The network path was not found.",
            67 => "The network name cannot be found.",
            80 => "The file exists.",
            112 => "There is not enough space on the disk.",
            123 => "The filename, directory name, or volume label syntax is incorrect.",
            _ => "The operating system reported an error.",
        }
    }

    /// What an I/O error of this machine means there.
    pub fn of(error: &std::io::Error) -> OsError {
        match error.kind() {
            std::io::ErrorKind::NotFound => OsError::FILE_NOT_FOUND,
            std::io::ErrorKind::PermissionDenied => OsError::ACCESS_DENIED,
            std::io::ErrorKind::AlreadyExists => OsError::EXISTS,
            std::io::ErrorKind::StorageFull => OsError::DISK_FULL,
            std::io::ErrorKind::NotADirectory => OsError::PATH_NOT_FOUND,
            std::io::ErrorKind::IsADirectory => OsError::ACCESS_DENIED,
            _ => OsError(1117),
        }
    }
}

impl std::fmt::Display for OsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.0, self.text())
    }
}

/// 3013 and the cause before it.
pub fn closed_by_3013(statement: &str, causes: impl IntoIterator<Item = SqlMessage>) -> SqlFailure {
    let mut all: Vec<SqlMessage> = causes.into_iter().collect();
    all.push(error(3013, 16, 1, format!("{statement} is terminating abnormally.")));
    SqlFailure(all)
}

/// What the error log tells of a device that failed, beside what the client is told.
pub fn device_event(cause: &SqlMessage) -> Option<SqlMessage> {
    match cause.number {
        3201 => Some(log_device_open(&cause.text)),
        3202 | 3203 | 3271 => Some(log_device_failed(&cause.text)),
        _ => None,
    }
}

/// 5069 and the cause before it.
pub fn closed_by_5069(cause: SqlMessage) -> SqlFailure {
    closed_by_5069_after(vec![cause])
}

/// 5069 and the causes before it.
pub fn closed_by_5069_after(mut causes: Vec<SqlMessage>) -> SqlFailure {
    causes.push(error(5069, 16, 1, "ALTER DATABASE statement failed."));
    SqlFailure(causes)
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $number:literal, $severity:literal, $state:literal, $text:literal;)*) => {
        $($(#[$doc])* pub fn $name($($arg: $ty),*) -> SqlMessage {
            error($number, $severity, $state, format!($text))
        })*
    };
}
use messages;

/// 3014.
pub fn success(statement: &str, pages: u64, seconds: f64) -> SqlMessage {
    let rate = if seconds > 0.0 { pages as f64 * 8192.0 / 1_048_576.0 / seconds } else { 0.0 };
    error(
        3014,
        10,
        1,
        format!(
            "{statement} successfully processed {pages} pages in {seconds:.3} seconds ({rate:.3} MB/sec)."
        ),
    )
}

/// Why a database in that state cannot be opened.
pub fn closed(name: &str, status: Status) -> Option<SqlMessage> {
    match status {
        Status::Online | Status::Emergency => None,
        Status::Restoring => Some(restoring(name)),
        Status::Recovering => Some(recovering(name)),
        Status::RecoveryPending => Some(recovery_pending(name)),
        Status::Suspect => Some(suspect(name)),
        Status::Offline => Some(offline(name)),
    }
}

/// The error for a missing permission.
pub fn permission(_instance: &InstanceState, action: Action<'_>) -> SqlMessage {
    match action {
        Action::Backup(database) => error(
            262,
            14,
            1,
            format!("BACKUP DATABASE permission denied in database '{database}'."),
        ),
        Action::RestoreNew | Action::CreateDatabase => {
            error(262, 14, 1, "CREATE DATABASE permission denied in database 'master'.")
        }
        Action::RestoreExisting(database) => error(
            3110,
            14,
            1,
            format!("User does not have permission to RESTORE database '{database}'."),
        ),
        Action::DropDatabase(database) => cannot_drop("database", database),
        Action::AlterDatabase(database) => cannot_alter(database),
        Action::Kill => {
            error(6102, 14, 2, "User does not have permission to use the KILL statement.")
        }
        Action::Use(database) => no_user("", database),
        Action::UseRestricted(database) => restricted(database),
        Action::Checkpoint(database) => may_not_checkpoint(database),
        Action::Endpoint | Action::Maintenance => {
            error(297, 16, 1, "The user does not have permission to perform this action.")
        }
        Action::Data(database, table, write) => error(
            229,
            14,
            5,
            format!(
                "The {} permission was denied on the object '{table}', database '{database}', schema 'dbo'.",
                if write { "UPDATE" } else { "SELECT" }
            ),
        ),
        Action::Schema(database) => {
            error(262, 14, 1, format!("CREATE TABLE permission denied in database '{database}'."))
        }
    }
}
