//! Logins, users, roles and permissions.
//!
//! Source: the vendor's pages "Server-level roles", "Database-level roles", "Permissions hierarchy",
//! and the permissions section of each statement's page.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::errors;
use super::state::{Database, InstanceState};
use crate::message::{SqlFailure, SqlMessage};

mod certificates;
mod statements;

pub use certificates::Certificate;
pub(crate) use certificates::certificate;
pub use statements::admin;

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginState {
    /// As created.
    pub name: String,
    /// `None` for a Windows login.
    pub password: Option<String>,
    /// `sid`.
    pub sid: Vec<u8>,
    /// `principal_id`.
    pub id: i32,
    /// Default database.
    pub default_database: String,
    /// ALTER LOGIN … DISABLE.
    pub disabled: bool,
    /// The password has expired (18487).
    pub expired: bool,
    /// The password must be changed at the next login (18488).
    pub must_change: bool,
    /// Locked after too many wrong passwords (18486).
    pub locked: bool,
    /// Server roles, lower case.
    pub roles: BTreeSet<String>,
}

/// A permission given or denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Upper case, for example `VIEW SERVER STATE`.
    pub permission: String,
    /// Class (upper case) and name of what it is on; `None`: the server or the database itself.
    pub securable: Option<(String, String)>,
    /// Login, user or role.
    pub grantee: String,
    /// DENY rather than GRANT.
    pub denied: bool,
}

/// Logins and server permissions of an instance.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// By lower-case name.
    pub logins: BTreeMap<String, LoginState>,
    /// Server permissions.
    pub grants: Vec<Grant>,
    /// Next `principal_id`.
    pub next_id: i32,
    /// Access tokens that are accepted, and the login (lower case) that each is of.
    pub tokens: BTreeMap<String, String>,
    /// The master key of master is there.
    pub master_key: bool,
    /// Certificates of master by lower-case name.
    pub certificates: BTreeMap<String, Certificate>,
    /// How many certificates were made or taken in so far: the newest one's `certificate_id` follows.
    pub certificates_so_far: i32,
}

impl Security {
    /// Whether a set that was encrypted under a thumbprint can be read here.
    pub fn decrypts(&self, thumbprint: &[u8]) -> bool {
        self.certificates.values().any(|own| own.has_private_key && own.thumbprint == thumbprint)
    }
}

/// Users, roles and grants of a database; they travel with its backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSecurity {
    /// User to the SID of its login.
    pub users: BTreeMap<String, Vec<u8>>,
    /// Role to its members, lower case.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// Database permissions.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// Login of the engine's service.
pub const ENGINE_SERVICE: &str = "NT SERVICE\\MSSQLSERVER";
/// Login of SQL Server Agent's service: its sessions, and the steps of a sysadmin's jobs, run as it.
pub const AGENT_SERVICE: &str = "NT SERVICE\\SQLSERVERAGENT";

/// First `principal_id` of a login that is made here.
const FIRST_LOGIN_ID: i32 = 256;

/// The fixed server roles with their `principal_id`, and the permissions that they carry.
pub const SERVER_ROLES: &[(&str, i32, &[&str])] = &[
    ("public", 2, &["CONNECT SQL"]),
    ("sysadmin", 3, &["CONTROL SERVER"]),
    ("securityadmin", 4, &["ALTER ANY LOGIN"]),
    (
        "serveradmin",
        5,
        &[
            "ALTER ANY ENDPOINT",
            "ALTER RESOURCES",
            "ALTER SERVER STATE",
            "ALTER SETTINGS",
            "SHUTDOWN",
            "VIEW SERVER STATE",
        ],
    ),
    ("setupadmin", 6, &["ALTER ANY LINKED SERVER"]),
    ("processadmin", 7, &["ALTER ANY CONNECTION", "ALTER SERVER STATE"]),
    ("diskadmin", 8, &["ALTER RESOURCES"]),
    ("dbcreator", 9, &["ALTER ANY DATABASE", "CREATE ANY DATABASE"]),
    ("bulkadmin", 10, &["ADMINISTER BULK OPERATIONS"]),
];

/// The fixed server roles that release 16 added, with their permissions.
pub const SERVER_ROLES_16: &[(&str, i32, &[&str])] = &[
    ("##MS_ServerStateReader##", 11, &["VIEW SERVER STATE"]),
    ("##MS_ServerStateManager##", 12, &["ALTER SERVER STATE"]),
    ("##MS_DatabaseConnector##", 13, &["CONNECT ANY DATABASE"]),
    ("##MS_DatabaseManager##", 14, &["CREATE ANY DATABASE", "ALTER ANY DATABASE"]),
    ("##MS_DefinitionReader##", 15, &["VIEW ANY DEFINITION"]),
    ("##MS_LoginManager##", 16, &["CREATE LOGIN", "ALTER ANY LOGIN"]),
    ("##MS_SecurityDefinitionReader##", 17, &["VIEW ANY SECURITY DEFINITION"]),
    ("##MS_ServerPerformanceStateReader##", 18, &["VIEW SERVER PERFORMANCE STATE"]),
    ("##MS_ServerSecurityStateReader##", 19, &["VIEW SERVER SECURITY STATE"]),
];

/// The fixed database roles.
pub const DATABASE_ROLES: &[&str] = &[
    "db_owner",
    "db_accessadmin",
    "db_securityadmin",
    "db_ddladmin",
    "db_backupoperator",
    "db_datareader",
    "db_datawriter",
    "db_denydatareader",
    "db_denydatawriter",
];

/// The roles that `msdb` has besides.
pub const MSDB_ROLES: &[&str] =
    &["SQLAgentUserRole", "SQLAgentReaderRole", "SQLAgentOperatorRole", "dbm_monitor"];

/// The server roles of a release.
pub fn server_roles(
    major: u8,
) -> impl Iterator<Item = &'static (&'static str, i32, &'static [&'static str])> {
    let newer = if major >= 16 { SERVER_ROLES_16 } else { &[] };
    SERVER_ROLES.iter().chain(newer)
}

impl Security {
    /// The logins of a new instance: `sa`.
    pub fn new(sa_password: &str) -> Security {
        let mut security = Security { next_id: FIRST_LOGIN_ID, ..Security::default() };
        security.add("sa", Some(sa_password), vec![1], "master");
        if let Some(sa) = security.logins.get_mut("sa") {
            sa.id = 1;
            sa.roles.insert("sysadmin".to_owned());
        }
        // What public has by a grant, an administrator may take back.
        security.grants.push(Grant {
            permission: "VIEW ANY DATABASE".to_owned(),
            securable: None,
            grantee: "public".to_owned(),
            denied: false,
        });
        // The services' own logins, as set-up creates them.
        for (i, service) in [ENGINE_SERVICE, AGENT_SERVICE].into_iter().enumerate() {
            let tail = i as u8 + 1;
            security.add(service, None, vec![1, 6, 0, 0, 0, 0, 0, 5, 80, 0, 0, tail], "master");
            if let Some(login) = security.logins.get_mut(&service.to_lowercase()) {
                login.roles.insert("sysadmin".to_owned());
            }
        }
        security
    }

    /// Adds a login; replaces one of the same name.
    pub fn add(&mut self, name: &str, password: Option<&str>, sid: Vec<u8>, database: &str) {
        self.next_id = self.next_id.max(FIRST_LOGIN_ID);
        self.logins.insert(
            name.to_lowercase(),
            LoginState {
                name: name.to_owned(),
                password: password.map(str::to_owned),
                sid,
                id: self.next_id,
                default_database: database.to_owned(),
                disabled: false,
                expired: false,
                must_change: false,
                locked: false,
                roles: BTreeSet::new(),
            },
        );
        self.next_id += 1;
    }

    /// Whether the login is a member of the server role.
    pub fn in_role(&self, login: &str, role: &str) -> bool {
        role.eq_ignore_ascii_case("public")
            || self
                .logins
                .get(&login.to_lowercase())
                .is_some_and(|l| l.roles.contains(&role.to_lowercase()))
    }
}

/// The permissions that include another, nearest first. Source: the chart of server permissions.
fn wider(permission: &str) -> &'static [&'static str] {
    match permission {
        "VIEW SERVER PERFORMANCE STATE" | "VIEW SERVER SECURITY STATE" => {
            &["VIEW SERVER STATE", "ALTER SERVER STATE"]
        }
        "VIEW SERVER STATE" => &["ALTER SERVER STATE"],
        "CREATE ANY DATABASE" => &["ALTER ANY DATABASE"],
        "VIEW ANY DATABASE" => &["VIEW ANY DEFINITION"],
        "CREATE ENDPOINT" => &["ALTER ANY ENDPOINT"],
        "CREATE LOGIN" => &["ALTER ANY LOGIN"],
        _ => &[],
    }
}

/// Whether a login has a server permission, through a grant or a role. DENY wins, except over
/// `sysadmin`.
pub fn has_server_permission(instance: &InstanceState, login: &str, permission: &str) -> bool {
    let security = &instance.security;
    if security.in_role(login, "sysadmin") {
        return true;
    }
    let permission = permission.to_uppercase();
    let names: Vec<&str> = std::iter::once(permission.as_str())
        .chain(wider(&permission).iter().copied())
        .chain(["CONTROL SERVER"])
        .collect();
    let mine = |g: &&Grant| {
        g.securable.is_none()
            && (g.grantee.eq_ignore_ascii_case(login) || security.in_role(login, &g.grantee))
    };
    let mut grants = security.grants.iter().filter(mine);
    if grants.clone().any(|g| g.denied && g.permission == permission) {
        return false;
    }
    grants.any(|g| !g.denied && names.contains(&g.permission.as_str()))
        || server_roles(instance.config.version.0)
            .filter(|(role, _, _)| security.in_role(login, role))
            .any(|(_, _, all)| all.iter().any(|p| names.contains(p)))
}

/// The user of a login in a database: `dbo` for the owner and for `sysadmin`, `guest` where guests
/// are let in.
pub fn user_of(instance: &InstanceState, login: &str, database: &Database) -> Option<String> {
    let security = &instance.security;
    if security.in_role(login, "sysadmin") || database.owner.eq_ignore_ascii_case(login) {
        return Some("dbo".to_owned());
    }
    let sid = &security.logins.get(&login.to_lowercase())?.sid;
    let mapped =
        database.security.users.iter().find(|(_, of)| *of == sid).map(|(user, _)| user.clone());
    let open = matches!(database.name.as_str(), "master" | "tempdb" | "msdb");
    mapped.or_else(|| {
        let any = open || has_server_permission(instance, login, "CONNECT ANY DATABASE");
        any.then(|| "guest".to_owned())
    })
}

/// Whether a user of a database is a member of a role, directly or through other roles.
fn user_in_role(database: &Database, user: &str, role: &str, depth: u8) -> bool {
    if role.eq_ignore_ascii_case("public") || user.eq_ignore_ascii_case(role) {
        return true;
    }
    let agent = [
        ("sqlagentuserrole", "sqlagentreaderrole"),
        ("sqlagentreaderrole", "sqlagentoperatorrole"),
    ];
    // In msdb each Agent role is a member of the weaker one.
    let stronger = agent
        .iter()
        .find(|(weak, _)| role.eq_ignore_ascii_case(weak))
        .filter(|_| database.name == "msdb")
        .map(|(_, strong)| (*strong).to_owned());
    let members = database.security.roles.get(&role.to_lowercase());
    members.into_iter().flatten().cloned().chain(stronger).any(|m| {
        m.eq_ignore_ascii_case(user) || (depth > 0 && user_in_role(database, user, &m, depth - 1))
    })
}

/// Whether a login is a member of a role of a database; `dbo` is a member of `db_owner` and counts as
/// a member of every other.
pub fn is_database_role_member(
    instance: &InstanceState,
    login: &str,
    database: &str,
    role: &str,
) -> bool {
    let Some(database) = instance.database(database) else {
        return false;
    };
    match user_of(instance, login, database) {
        Some(user) if user == "dbo" => !role.starts_with("db_deny"),
        Some(user) => user_in_role(database, &user, role, 8),
        None => false,
    }
}

/// Whether a login has a permission in a database: through `db_owner`, a grant to the user or one of
/// its roles, or a server permission that includes it.
pub fn has_database_permission(
    instance: &InstanceState,
    login: &str,
    database: &str,
    permission: &str,
    object: Option<&str>,
) -> bool {
    let Some(database) = instance.database(database) else {
        return false;
    };
    if has_server_permission(instance, login, "CONTROL SERVER") {
        return true;
    }
    let Some(user) = user_of(instance, login, database) else {
        return false;
    };
    if user == "dbo" || user_in_role(database, &user, "db_owner", 8) {
        return true;
    }
    let permission = permission.to_uppercase();
    let mut grants = database.security.grants.iter().filter(|g| {
        let on_it = match (&g.securable, object) {
            (None, _) => true,
            (Some((class, name)), _) if class == "DATABASE" => {
                name.eq_ignore_ascii_case(&database.name)
            }
            (Some((class, name)), Some(object)) if class == "OBJECT" || class.is_empty() => {
                bare(name).eq_ignore_ascii_case(bare(object))
            }
            (Some((class, name)), Some(_)) if class == "SCHEMA" => name.eq_ignore_ascii_case("dbo"),
            _ => false,
        };
        on_it && user_in_role(database, &user, &g.grantee, 8)
    });
    if grants.clone().any(|g| g.denied && g.permission == permission) {
        return false;
    }
    grants.any(|g| !g.denied && (g.permission == permission || g.permission == "CONTROL"))
}

/// The last part of a name.
fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches(['[', ']'])
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
    /// Reading (`false`) or changing (`true`) a user table of a database: database, table.
    Data(&'a str, &'a str, bool),
    /// CREATE and DROP TABLE.
    Schema(&'a str),
    /// CHECKPOINT of a database.
    Checkpoint(&'a str),
    /// DBCC and RECONFIGURE.
    Maintenance,
}

/// Whether a login may do something; the error that SQL Server raises when it may not.
///
/// # Errors
///
/// 229, 262, 916, 3110, 5011, 6102 and their like.
pub fn may(instance: &InstanceState, login: &str, action: Action<'_>) -> Result<(), SqlFailure> {
    if is_allowed(instance, login, action) {
        return Ok(());
    }
    Err(errors::permission(instance, action).into())
}

fn is_allowed(instance: &InstanceState, login: &str, action: Action<'_>) -> bool {
    let server = |p: &str| has_server_permission(instance, login, p);
    let role = |db: &str, r: &str| is_database_role_member(instance, login, db, r);
    let granted = |db: &str, p: &str| has_database_permission(instance, login, db, p, None);
    let owns =
        |db: &str| instance.database(db).is_some_and(|d| d.owner.eq_ignore_ascii_case(login));
    if server("CONTROL SERVER") {
        return true;
    }
    match action {
        Action::Backup(db) => {
            role(db, "db_owner") || role(db, "db_backupoperator") || granted(db, "BACKUP DATABASE")
        }
        Action::RestoreNew | Action::CreateDatabase => {
            server("CREATE ANY DATABASE") || granted("master", "CREATE DATABASE")
        }
        // Membership of db_owner is not enough: it cannot be checked while the database is closed.
        Action::RestoreExisting(db) => owns(db) || instance.security.in_role(login, "dbcreator"),
        Action::DropDatabase(db) => {
            owns(db) || role(db, "db_owner") || server("ALTER ANY DATABASE")
        }
        Action::AlterDatabase(db) => {
            owns(db) || role(db, "db_owner") || granted(db, "ALTER") || server("ALTER ANY DATABASE")
        }
        Action::Endpoint => server("CREATE ENDPOINT"),
        Action::Kill => server("ALTER ANY CONNECTION"),
        Action::Use(db) => {
            instance.database(db).is_none_or(|d| user_of(instance, login, d).is_some())
        }
        Action::UseRestricted(db) => {
            role(db, "db_owner") || instance.security.in_role(login, "dbcreator")
        }
        Action::Data(db, table, write) => {
            let (reader, denied, permissions): (_, _, &[&str]) = if write {
                ("db_datawriter", "db_denydatawriter", &["INSERT", "UPDATE", "DELETE"])
            } else {
                ("db_datareader", "db_denydatareader", &["SELECT"])
            };
            role(db, "db_owner")
                || (!role(db, denied)
                    && (role(db, reader)
                        || permissions
                            .iter()
                            .any(|p| has_database_permission(instance, login, db, p, Some(table)))))
        }
        Action::Schema(db) => {
            role(db, "db_owner") || role(db, "db_ddladmin") || granted(db, "CREATE TABLE")
        }
        Action::Checkpoint(db) => role(db, "db_owner") || role(db, "db_backupoperator"),
        Action::Maintenance => server("ALTER SETTINGS"),
    }
}

/// Checks name and password; returns the login as it was created.
///
/// # Errors
///
/// 18456 and its like; clients always see state 1. With the right password: 18470 disabled,
/// 18487 expired, 18488 to be changed.
pub fn authenticate(
    instance: &InstanceState,
    name: &str,
    password: &str,
) -> Result<LoginState, SqlFailure> {
    let failed = || SqlFailure::from(errors::login_failed(name));
    let login = instance
        .security
        .logins
        .get(&name.to_lowercase())
        .filter(|l| {
            l.password.as_deref().is_some_and(|p| same_secret(p.as_bytes(), password.as_bytes()))
        })
        .ok_or_else(failed)?;
    let refused = |number: i32, reason: &str| {
        SqlMessage::new(
            number,
            14,
            format!("Login failed for user '{}'.  Reason: {reason}", login.name),
        )
    };
    if login.disabled {
        return Err(refused(18_470, "The account is disabled.").into());
    }
    if login.locked {
        return Err(errors::locked_out(&login.name).into());
    }
    if login.expired {
        return Err(refused(18_487, "The password of the account has expired.").into());
    }
    if login.must_change {
        return Err(refused(18_488, "The password of the account must be changed.").into());
    }
    Ok(login.clone())
}

/// The login of an access token.
///
/// # Errors
///
/// 18456, under the name that SQL Server gives to whoever brings a token; 18470 disabled.
pub fn authenticate_token(instance: &InstanceState, token: &str) -> Result<LoginState, SqlFailure> {
    let security = &instance.security;
    let known = security.tokens.iter().find(|(t, _)| same_secret(t.as_bytes(), token.as_bytes()));
    let login = known
        .and_then(|(_, name)| security.logins.get(name))
        .ok_or_else(|| SqlFailure::from(errors::login_failed("<token-identified principal>")))?;
    if login.disabled {
        let name = &login.name;
        let text = format!("Login failed for user '{name}'.  Reason: The account is disabled.");
        return Err(SqlMessage::new(18_470, 14, text).into());
    }
    Ok(login.clone())
}

/// Compares without stopping at the first difference.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}
