//! The codes by which the wire names statements, and what an error ends.

use super::{INSERT, MERGE, REFUSED_WHILE_COMPILING, WRONG_RESULT};

use super::super::ast::{Admin, BackupKind};
use super::super::tree::StatementKind;
use crate::message::SqlMessage;

/// Errors of name resolution and typing: the statement could not be compiled. A TRY block at the
/// same level does not catch them, and they end the batch or procedure they are in.
///
/// Source: Transact-SQL reference, "TRY...CATCH", "Errors unaffected by a TRY...CATCH construct".
pub(super) fn is_compile_error(cause: &SqlMessage) -> bool {
    // A procedure's rows are counted only when they are there.
    if cause.number == 213 && cause.state == WRONG_RESULT {
        return false;
    }
    matches!(
        cause.number,
        102 | 104..=111 | 116 | 120 | 121 | 137 | 141 | 145 | 147 | 156 | 174 | 195 | 205..=209 | 213 | 257 | 263 | 264 | 271
            | 402 | 447 | 448 | 1087 | 4104 | 4108 | 4112 | 4121 | 8116..=8120 | 8102 | 8155 | 8158 | 8159
            | 10709 | 10753
    )
}

/// Errors that end the batch even when XACT_ABORT is off: conversions, and a database that cannot
/// be used.
pub(super) fn ends_batch(number: i32) -> bool {
    matches!(number, 241 | 242 | 244 | 245 | 248 | 295 | 911 | 8114 | 8169 | 9812 | 9820)
}

/// The code in DONE of a statement that fails; 0 where none is known. Administrative statements set
/// their own when they are parsed.
pub(super) fn statement_code(kind: &StatementKind) -> u16 {
    match kind {
        StatementKind::Select(_) => 193,
        StatementKind::Insert(_) => INSERT,
        StatementKind::Merge(_) => MERGE,
        StatementKind::Change(change) if change.assignments.is_none() => 196,
        StatementKind::Change(_) => 197,
        StatementKind::CreateTable(..) => 198,
        StatementKind::DropTable(..) => 199,
        StatementKind::Truncate(_) => 233,
        StatementKind::Use(_) => REFUSED_WHILE_COMPILING,
        StatementKind::Rollback(_) => 210,
        StatementKind::BeginTransaction(_) => 212,
        StatementKind::Commit => 213,
        _ => 0,
    }
}

/// The command's name in `sys.dm_exec_requests` and its code in DONE.
pub(super) fn admin_code(admin: &Admin) -> (&'static str, u16) {
    match admin {
        Admin::Backup(b) if b.kind == BackupKind::Log => ("BACKUP LOG", 235),
        Admin::Backup(_) => ("BACKUP DATABASE", 228),
        Admin::Restore(r) if r.kind == BackupKind::Log => ("RESTORE LOG", 229),
        Admin::Restore(_) => ("RESTORE DATABASE", 229),
        Admin::RestoreInformation(r) => match r.verb.as_str() {
            "HEADERONLY" => ("RESTORE HEADERONLY", 250),
            "FILELISTONLY" => ("RESTORE FILELISTONLY", 376),
            "VERIFYONLY" => ("RESTORE VERIFYONLY", 377),
            _ => ("RESTORE LABELONLY", 250),
        },
        Admin::CreateDatabase { .. } => ("CREATE DATABASE", 203),
        Admin::DropDatabase { .. } => ("DROP DATABASE", 204),
        Admin::AlterDatabase(_) => ("ALTER DATABASE", 215),
        Admin::CreateEndpoint(_) => ("CREATE ENDPOINT", 0),
        Admin::AlterEndpoint { .. } => ("ALTER ENDPOINT", 0),
        Admin::DropEndpoint { .. } => ("DROP ENDPOINT", 0),
        Admin::CreateLogin { .. } => ("CREATE LOGIN", 0),
        Admin::AlterLogin { .. } => ("ALTER LOGIN", 0),
        Admin::CreateMasterKey => ("CREATE MASTER KEY", 0),
        Admin::DropMasterKey => ("DROP MASTER KEY", 0),
        Admin::DropUser { .. } => ("DROP USER", 0),
        Admin::CreateCertificate { .. } => ("CREATE CERTIFICATE", 0),
        Admin::BackupCertificate { .. } => ("BACKUP CERTIFICATE", 0),
        Admin::DropCertificate { .. } => ("DROP CERTIFICATE", 0),
        Admin::DropLogin { .. } => ("DROP LOGIN", 0),
        Admin::AlterServerRole { .. } => ("ALTER SERVER ROLE", 0),
        Admin::CreateUser { .. } => ("CREATE USER", 0),
        Admin::AlterRole { .. } => ("ALTER ROLE", 0),
        Admin::Grant { .. } => ("GRANT", 0),
        Admin::Kill { .. } | Admin::KillOutcome | Admin::KillTransaction { .. } => ("KILL", 0),
        Admin::Checkpoint => ("CHECKPOINT", 0),
        Admin::Dbcc { .. } => ("DBCC", 0),
        Admin::Reconfigure => ("RECONFIGURE", 0),
    }
}
