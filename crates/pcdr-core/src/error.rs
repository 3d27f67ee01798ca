//! The world's errors: something that may pass, or that somebody must repair.
//!
//! Three kinds of "no" are never mixed: a [`Refusal`](crate::Refusal) is an answer, an
//! [`InstanceError`] is the world, and a bug is an `assert!`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What kind of trouble it was; decides whether to try again and what to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No connection could be made. Evidence that the instance is down, not proof.
    Unreachable,
    /// The login was refused: wrong password, disabled, expired, locked out.
    LoginFailed,
    /// The server's certificate is not trusted, or names another host.
    CertificateNotTrusted,
    /// The connection broke while a statement ran; its effect is unknown until observed.
    ConnectionLost,
    /// The server answered something that is not its protocol.
    Protocol,
    /// A permission is missing.
    PermissionDenied,
    /// Somebody else uses the database, or changes it at the same time.
    InUse,
    /// The database is not in the state that the statement needs.
    WrongState,
    /// An earlier log backup is missing (4305).
    LogGap,
    /// The backup is on another recovery fork (4330) or of another database (3154).
    WrongBackup,
    /// The backup holds nothing new (4326).
    AlreadyRestored,
    /// The backup is truncated, damaged or no backup.
    BackupDamaged,
    /// A file or folder cannot be opened by the server.
    FileInaccessible,
    /// A disk or the log is full.
    DiskFull,
    /// Mirroring cannot do that now.
    Mirroring,
    /// A log shipping entry exists, is missing, or cannot be changed.
    LogShipping,
    /// SQL Server Agent or one of its jobs failed.
    Agent,
    /// A cmdlet failed.
    Cmdlet,
    /// Something took longer than allowed.
    TimedOut,
    /// The run was cancelled by its operator.
    Cancelled,
    /// The step ended without error, but its effect could not be observed.
    EffectNotObserved,
    /// Somebody else holds the lock of this topology.
    Locked,
    /// The journal could not be written or read.
    Journal,
    /// Any other error of the server.
    Server,
}

impl ErrorCode {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Unreachable => "unreachable",
            ErrorCode::LoginFailed => "login_failed",
            ErrorCode::CertificateNotTrusted => "certificate_not_trusted",
            ErrorCode::ConnectionLost => "connection_lost",
            ErrorCode::Protocol => "protocol",
            ErrorCode::PermissionDenied => "permission_denied",
            ErrorCode::InUse => "in_use",
            ErrorCode::WrongState => "wrong_state",
            ErrorCode::LogGap => "log_gap",
            ErrorCode::WrongBackup => "wrong_backup",
            ErrorCode::AlreadyRestored => "already_restored",
            ErrorCode::BackupDamaged => "backup_damaged",
            ErrorCode::FileInaccessible => "file_inaccessible",
            ErrorCode::DiskFull => "disk_full",
            ErrorCode::Mirroring => "mirroring",
            ErrorCode::LogShipping => "log_shipping",
            ErrorCode::Agent => "agent",
            ErrorCode::Cmdlet => "cmdlet",
            ErrorCode::TimedOut => "timed_out",
            ErrorCode::Cancelled => "cancelled",
            ErrorCode::EffectNotObserved => "effect_not_observed",
            ErrorCode::Locked => "locked",
            ErrorCode::Journal => "journal",
            ErrorCode::Server => "server",
        }
    }
}

/// An error of the world: an instance, a share, the Management Shell, the journal.
///
/// Carries what was needed, what was found and what to do next, and keeps the original as source.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{at}: {needed}, but {found}")]
pub struct InstanceError {
    /// Stable, to branch on.
    pub code: ErrorCode,
    /// The instance, share or shell that it happened at.
    pub at: String,
    /// What was needed, as a clause: `a connection was needed`.
    pub needed: String,
    /// What was found, as a clause: `the login was refused (18456)`.
    pub found: String,
    /// What to do next.
    pub remedy: String,
    /// SQL Server's number of the error that names the cause, where there is one.
    pub number: Option<i32>,
    /// The original error.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl InstanceError {
    /// An error without number and source.
    pub fn new(
        code: ErrorCode,
        at: impl Into<String>,
        needed: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> InstanceError {
        InstanceError {
            code,
            at: at.into(),
            needed: needed.into(),
            found: found.into(),
            remedy: remedy.into(),
            number: None,
            source: None,
        }
    }
}
