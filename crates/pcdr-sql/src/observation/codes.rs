//! Numbers in catalogue columns, and what they mean.

use pcdr_core::observation::{
    DatabaseState, MirroringRole, MirroringState, RecoveryModel, UserAccess,
};

use crate::error::SqlError;

fn unexpected<T>(what: &str, value: i32) -> Result<T, SqlError> {
    Err(SqlError::Protocol(format!("{value} is no documented {what}")))
}

/// Source: `sys.databases.state`.
pub(crate) fn database_state(value: i32) -> Result<DatabaseState, SqlError> {
    Ok(match value {
        0 => DatabaseState::Online,
        1 => DatabaseState::Restoring,
        2 => DatabaseState::Recovering,
        3 => DatabaseState::RecoveryPending,
        4 => DatabaseState::Suspect,
        5 => DatabaseState::Emergency,
        6 | 10 => DatabaseState::Offline,
        _ => return unexpected("state of a database", value),
    })
}

/// Source: `sys.databases.user_access`.
pub(super) fn user_access(value: i32) -> Result<UserAccess, SqlError> {
    Ok(match value {
        0 => UserAccess::MultiUser,
        1 => UserAccess::SingleUser,
        2 => UserAccess::RestrictedUser,
        _ => return unexpected("user access", value),
    })
}

/// Source: `sys.databases.recovery_model`.
pub(crate) fn recovery_model(value: i32) -> Result<RecoveryModel, SqlError> {
    Ok(match value {
        1 => RecoveryModel::Full,
        2 => RecoveryModel::BulkLogged,
        3 => RecoveryModel::Simple,
        _ => return unexpected("recovery model", value),
    })
}

/// Source: `sys.database_mirroring.mirroring_role`.
pub(crate) fn mirroring_role(value: i32) -> Result<MirroringRole, SqlError> {
    Ok(match value {
        1 => MirroringRole::Principal,
        2 => MirroringRole::Mirror,
        _ => return unexpected("mirroring role", value),
    })
}

/// Source: `sys.database_mirroring.mirroring_witness_state`.
pub(super) fn witness_is_connected(state: Option<i32>) -> Option<bool> {
    match state {
        Some(1) => Some(true),
        Some(2) => Some(false),
        _ => None,
    }
}

/// Source: `sys.database_mirroring.mirroring_state`; 4 and 6 both are SYNCHRONIZED.
pub(crate) fn mirroring_state(value: i32) -> Result<MirroringState, SqlError> {
    Ok(match value {
        0 => MirroringState::Suspended,
        1 => MirroringState::Disconnected,
        2 => MirroringState::Synchronizing,
        3 => MirroringState::PendingFailover,
        4 | 6 => MirroringState::Synchronized,
        5 => MirroringState::Unsynchronized,
        _ => return unexpected("mirroring state", value),
    })
}
