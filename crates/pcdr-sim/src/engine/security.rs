//! Logins, users, roles and permissions.

use std::collections::{BTreeMap, BTreeSet};

use super::errors;
use super::state::{InstanceState, WorldState};
use crate::message::SqlFailure;
use crate::tsql::ast::Admin;

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginState {
    /// As created.
    pub name: String,
    /// `None` for a Windows login.
    pub password: Option<String>,
    /// `sid`.
    pub sid: Vec<u8>,
    /// Default database.
    pub default_database: String,
    /// ALTER LOGIN … DISABLE.
    pub disabled: bool,
    /// Expired or must be changed (18487, 18488).
    pub expired: bool,
    /// Server roles, lower case.
    pub roles: BTreeSet<String>,
}

/// Logins and server permissions of an instance.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// By lower-case name.
    pub logins: BTreeMap<String, LoginState>,
}

/// Users, roles and grants of a database; they travel with its backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DatabaseSecurity {
    /// User to the SID of its login.
    pub users: BTreeMap<String, Vec<u8>>,
    /// Role to its members, lower case.
    pub roles: BTreeMap<String, BTreeSet<String>>,
}

impl Security {
    /// The logins of a new instance: `sa`.
    pub fn new(sa_password: &str) -> Security {
        let sa = LoginState {
            name: "sa".to_owned(),
            password: Some(sa_password.to_owned()),
            sid: vec![1],
            default_database: "master".to_owned(),
            disabled: false,
            expired: false,
            roles: BTreeSet::from(["sysadmin".to_owned()]),
        };
        Security { logins: BTreeMap::from([("sa".to_owned(), sa)]) }
    }

    /// Whether the login is a member of the server role.
    pub fn in_role(&self, login: &str, role: &str) -> bool {
        self.logins
            .get(&login.to_lowercase())
            .is_some_and(|l| l.roles.contains(&role.to_lowercase()))
    }
}

/// What a statement needs a permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// BACKUP of a database.
    Backup(&'a str),
    /// RESTORE to a name that does not exist, and the forms that only read the media.
    RestoreNew,
    /// RESTORE over a database.
    RestoreExisting(&'a str),
    /// CREATE DATABASE.
    CreateDatabase,
    /// DROP DATABASE.
    DropDatabase(&'a str),
    /// ALTER DATABASE SET and MODIFY NAME.
    AlterDatabase(&'a str),
    /// CREATE, ALTER and DROP ENDPOINT.
    Endpoint,
    /// KILL.
    Kill,
    /// Using a database at all (916).
    Use(&'a str),
    /// Ignoring RESTRICTED_USER (923).
    UseRestricted(&'a str),
    /// Reading (`false`) or changing (`true`) the user tables of a database.
    Data(&'a str, bool),
    /// CREATE and DROP TABLE.
    Schema(&'a str),
    /// CHECKPOINT, DBCC and RECONFIGURE.
    Maintenance,
}

/// Whether a login may do something; the error that SQL Server raises when it may not.
///
/// # Errors
///
/// 229, 262, 916, 3110, 5011, 6102 and their like.
pub fn may(instance: &InstanceState, login: &str, action: Action<'_>) -> Result<(), SqlFailure> {
    if instance.security.in_role(login, "sysadmin") {
        return Ok(());
    }
    Err(errors::permission(instance, action).into())
}

/// Checks name and password; returns the login as it was created.
///
/// # Errors
///
/// 18456 and its like; clients always see state 1.
pub fn authenticate(
    instance: &InstanceState,
    name: &str,
    password: &str,
) -> Result<LoginState, SqlFailure> {
    let login = instance.security.logins.get(&name.to_lowercase());
    match login {
        Some(login) if !login.disabled && login.password.as_deref() == Some(password) => {
            Ok(login.clone())
        }
        _ => Err(errors::login_failed(name).into()),
    }
}

/// The administrative statements about principals. `None`: not one of them.
pub fn admin(
    _state: &mut WorldState,
    _instance: &str,
    _login: &str,
    _database: &str,
    _statement: &Admin,
) -> Option<Result<u16, SqlFailure>> {
    None
}
