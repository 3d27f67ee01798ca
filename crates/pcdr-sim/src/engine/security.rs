//! Logins, users, roles and permissions.
//!
//! Source: the vendor's pages "Server-level roles", "Database-level roles", "Permissions hierarchy",
//! and the permissions section of each statement's page.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::errors;
use super::state::{Database, InstanceState, WorldState};
use crate::message::{SqlFailure, SqlMessage};
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
    ("public", 2, &["VIEW ANY DATABASE", "CONNECT SQL"]),
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
        Action::Data(db, write) => {
            let (reader, denied, permissions): (_, _, &[&str]) = if write {
                ("db_datawriter", "db_denydatawriter", &["INSERT", "UPDATE", "DELETE"])
            } else {
                ("db_datareader", "db_denydatareader", &["SELECT"])
            };
            role(db, "db_owner")
                || (!role(db, denied)
                    && (role(db, reader) || permissions.iter().any(|p| granted(db, p))))
        }
        Action::Schema(db) => {
            role(db, "db_owner") || role(db, "db_ddladmin") || granted(db, "CREATE TABLE")
        }
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

fn principal_error(number: i32, text: String) -> SqlFailure {
    SqlMessage::new(number, 16, text).into()
}

fn no_permission() -> SqlFailure {
    principal_error(15_247, "User does not have permission to perform this action.".to_owned())
}

fn missing(what: &str, name: &str) -> SqlFailure {
    principal_error(
        15_151,
        format!(
            "Cannot find the {what} '{name}', because it does not exist or you do not have permission."
        ),
    )
}

/// The administrative statements about principals. `None`: not one of them.
pub fn admin(
    state: &mut WorldState,
    instance: &str,
    login: &str,
    database: &str,
    statement: &Admin,
) -> Option<Result<u16, SqlFailure>> {
    if !matches!(
        statement,
        Admin::CreateLogin { .. }
            | Admin::DropLogin { .. }
            | Admin::AlterServerRole { .. }
            | Admin::CreateUser { .. }
            | Admin::AlterRole { .. }
            | Admin::Grant { .. }
    ) {
        return None;
    }
    let new_sid = state.random.guid().as_bytes().to_vec();
    let instance = state.instances.get_mut(instance)?;
    Some(change(instance, login, database, statement, new_sid).map(|()| 0))
}

fn change(
    instance: &mut InstanceState,
    login: &str,
    database: &str,
    statement: &Admin,
    new_sid: Vec<u8>,
) -> Result<(), SqlFailure> {
    let major = instance.config.version.0;
    let is_sysadmin = instance.security.in_role(login, "sysadmin");
    let alters_logins = has_server_permission(instance, login, "ALTER ANY LOGIN");
    let owns = is_database_role_member(instance, login, database, "db_owner");
    let secures = owns || is_database_role_member(instance, login, database, "db_securityadmin");
    match statement {
        Admin::CreateLogin { name, password, sid, default_database } => {
            if !alters_logins {
                return Err(no_permission());
            }
            if instance.security.logins.contains_key(&name.to_lowercase()) {
                return Err(principal_error(
                    15_025,
                    format!("The server principal '{name}' already exists."),
                ));
            }
            let sid = sid.clone().unwrap_or(new_sid);
            if instance.security.logins.values().any(|l| l.sid == sid) {
                return Err(principal_error(
                    15_433,
                    "Supplied parameter sid is in use.".to_owned(),
                ));
            }
            let default = default_database.as_deref().unwrap_or("master");
            if instance.database(default).is_none() {
                return Err(principal_error(
                    15_010,
                    format!(
                        "The database '{default}' does not exist. Supply a valid database name. To see available databases, use sys.databases."
                    ),
                ));
            }
            instance.security.add(name, password.as_deref(), sid, default);
            Ok(())
        }
        Admin::DropLogin { name } => {
            if !alters_logins {
                return Err(missing("login", name));
            }
            let used = instance.sessions.values().any(|s| s.login.eq_ignore_ascii_case(name));
            if used {
                return Err(principal_error(
                    15_434,
                    format!("Could not drop login '{name}' as the user is currently logged in."),
                ));
            }
            let gone = instance.security.logins.remove(&name.to_lowercase());
            gone.map(|_| ()).ok_or_else(|| missing("login", name))
        }
        Admin::AlterServerRole { role, member, add } => {
            let known = server_roles(major).find(|(r, _, _)| r.eq_ignore_ascii_case(role));
            let member_of_it = instance.security.in_role(login, role);
            if known.is_none() || !(is_sysadmin || member_of_it) {
                return Err(missing("server role", role));
            }
            let found = instance.security.logins.get_mut(&member.to_lowercase());
            let found = found.ok_or_else(|| missing("login", member))?;
            if *add {
                found.roles.insert(role.to_lowercase());
            } else {
                found.roles.remove(&role.to_lowercase());
            }
            Ok(())
        }
        Admin::CreateUser { user, login: of } => {
            if !owns && !is_database_role_member(instance, login, database, "db_accessadmin") {
                return Err(no_permission());
            }
            let sid = instance
                .security
                .logins
                .get(&of.to_lowercase())
                .map(|l| l.sid.clone())
                .ok_or_else(|| {
                    principal_error(
                        15_007,
                        format!("'{of}' is not a valid login or you do not have permission."),
                    )
                })?;
            let database =
                instance.database_mut(database).ok_or_else(|| errors::no_database(database))?;
            let taken = |u: &String| u.eq_ignore_ascii_case(user);
            if database.security.users.keys().any(taken) || user.eq_ignore_ascii_case("dbo") {
                return Err(principal_error(
                    15_023,
                    format!(
                        "User, group, or role '{user}' already exists in the current database."
                    ),
                ));
            }
            if database.security.users.values().any(|s| *s == sid) {
                return Err(principal_error(
                    15_063,
                    "The login already has an account under a different user name.".to_owned(),
                ));
            }
            database.security.users.insert(user.clone(), sid);
            Ok(())
        }
        Admin::AlterRole { role, member, add } => {
            if !secures {
                return Err(missing("role", role));
            }
            let database =
                instance.database_mut(database).ok_or_else(|| errors::no_database(database))?;
            let key = role.to_lowercase();
            let fixed = DATABASE_ROLES.iter().any(|r| r.eq_ignore_ascii_case(role));
            let agents = MSDB_ROLES.iter().any(|r| r.eq_ignore_ascii_case(role));
            let known = fixed
                || (database.name == "msdb" && agents)
                || database.security.roles.contains_key(&key);
            if !known {
                return Err(missing("role", role));
            }
            let is_user = database.security.users.keys().any(|u| u.eq_ignore_ascii_case(member));
            let is_role = database.security.roles.contains_key(&member.to_lowercase());
            if !is_user && !is_role {
                return Err(principal_error(
                    15_151,
                    format!(
                        "Cannot add the principal '{member}', because it does not exist or you do not have permission."
                    ),
                ));
            }
            let members = database.security.roles.entry(key).or_default();
            if *add {
                members.insert(member.to_lowercase());
            } else {
                members.remove(&member.to_lowercase());
            }
            Ok(())
        }
        Admin::Grant { verb, permissions, securable, grantees } => grant(
            instance,
            (is_sysadmin, secures),
            database,
            (verb, permissions, securable.as_ref()),
            grantees,
        ),
        _ => Ok(()),
    }
}

/// The permissions that are given on the server, not in a database.
fn is_server_permission(name: &str) -> bool {
    name.contains(" ANY ") && name != "ALTER ANY USER" && name != "ALTER ANY ROLE"
        || name.contains("SERVER")
        || matches!(
            name,
            "CONNECT SQL" | "SHUTDOWN" | "ALTER SETTINGS" | "ALTER RESOURCES" | "CREATE ENDPOINT"
        )
}

fn grant(
    instance: &mut InstanceState,
    (is_sysadmin, secures): (bool, bool),
    database: &str,
    (verb, permissions, securable): (&str, &[String], Option<&(String, String)>),
    grantees: &[String],
) -> Result<(), SqlFailure> {
    let verb = verb.to_uppercase();
    let class = securable.map(|(class, _)| class.to_uppercase()).unwrap_or_default();
    let on_server = match class.as_str() {
        "ENDPOINT" | "LOGIN" | "SERVER ROLE" => true,
        "" if securable.is_none() => {
            permissions.iter().any(|p| is_server_permission(&p.to_uppercase()))
        }
        _ => false,
    };
    if !(is_sysadmin || (!on_server && secures)) {
        return Err(principal_error(4613, "Grantor does not have GRANT permission.".to_owned()));
    }
    if on_server && securable.is_none() && !database.eq_ignore_ascii_case("master") {
        return Err(principal_error(
            4621,
            "Permissions at the server scope can only be granted when the current database is master".to_owned(),
        ));
    }
    for grantee in grantees {
        let known = if on_server {
            instance.security.logins.contains_key(&grantee.to_lowercase())
                || server_roles(instance.config.version.0)
                    .any(|(r, _, _)| r.eq_ignore_ascii_case(grantee))
        } else {
            instance.database(database).is_some_and(|d| {
                grantee.eq_ignore_ascii_case("public")
                    || grantee.eq_ignore_ascii_case("guest")
                    || d.security.users.keys().any(|u| u.eq_ignore_ascii_case(grantee))
                    || d.security.roles.contains_key(&grantee.to_lowercase())
            })
        };
        if !known {
            return Err(missing(if on_server { "login" } else { "user" }, grantee));
        }
    }
    if class == "ENDPOINT" {
        let wanted = securable.map(|(_, name)| name.as_str()).unwrap_or_default();
        let there = instance
            .endpoint
            .as_ref()
            .is_some_and(|e| e.definition.name.eq_ignore_ascii_case(wanted));
        if !there {
            return Err(missing("endpoint", wanted));
        }
    }
    let list = if on_server {
        &mut instance.security.grants
    } else {
        &mut instance
            .database_mut(database)
            .ok_or_else(|| errors::no_database(database))?
            .security
            .grants
    };
    for grantee in grantees {
        for permission in permissions {
            let new = Grant {
                permission: permission.to_uppercase(),
                securable: securable.map(|(_, name)| (class.clone(), name.clone())),
                grantee: grantee.clone(),
                denied: verb == "DENY",
            };
            list.retain(|g| {
                !(g.permission == new.permission
                    && g.securable == new.securable
                    && g.grantee.eq_ignore_ascii_case(&new.grantee))
            });
            if verb != "REVOKE" {
                list.push(new);
            }
        }
    }
    Ok(())
}
