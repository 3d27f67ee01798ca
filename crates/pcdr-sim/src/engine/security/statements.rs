//! The statements about logins, users, roles and permissions.

use super::{
    DATABASE_ROLES, Grant, MSDB_ROLES, has_server_permission, is_database_role_member, server_roles,
};
use crate::engine::errors;
use crate::engine::state::{InstanceState, WorldState};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Admin, LoginChange};

fn principal_error(number: i32, text: String) -> SqlFailure {
    SqlMessage::new(number, 16, text).into()
}

fn no_permission() -> SqlFailure {
    principal_error(15_247, "User does not have permission to perform this action.".to_owned())
}

fn no_default_database(name: &str) -> SqlFailure {
    principal_error(
        15_010,
        format!(
            "The database '{name}' does not exist. Supply a valid database name. To see available databases, use sys.databases."
        ),
    )
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
            | Admin::AlterLogin { .. }
            | Admin::DropLogin { .. }
            | Admin::AlterServerRole { .. }
            | Admin::CreateUser { .. }
            | Admin::DropUser { .. }
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
        Admin::CreateLogin { name, password, sid, default_database, must_change } => {
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
                return Err(no_default_database(default));
            }
            instance.security.add(name, password.as_deref(), sid, default);
            if let Some(new) = instance.security.logins.get_mut(&name.to_lowercase()) {
                new.must_change = *must_change;
            }
            Ok(())
        }
        Admin::AlterLogin { name, change } => {
            let known = instance.security.logins.contains_key(&name.to_lowercase());
            if !known || !alters_logins {
                return Err(errors::no_securable("alter", "login", name).into());
            }
            if let LoginChange::DefaultDatabase(default) = change
                && instance.database(default).is_none()
            {
                return Err(no_default_database(default));
            }
            let Some(old) = instance.security.logins.get_mut(&name.to_lowercase()) else {
                return Ok(());
            };
            match change {
                LoginChange::Enabled(enabled) => old.disabled = !enabled,
                LoginChange::DefaultDatabase(default) => old.default_database.clone_from(default),
                LoginChange::Password(password) | LoginChange::Unlock(password) => {
                    old.password = Some(password.clone());
                    old.must_change = false;
                    old.expired = false;
                    old.locked &= !matches!(change, LoginChange::Unlock(_));
                }
            }
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
        Admin::DropUser { user } => {
            if !owns && !is_database_role_member(instance, login, database, "db_accessadmin") {
                return Err(no_permission());
            }
            let mut certificates = instance.security.certificates.values();
            if database.eq_ignore_ascii_case("master")
                && certificates.any(|own| own.owner.eq_ignore_ascii_case(user))
            {
                return Err(principal_error(
                    15_138,
                    "The database principal owns a certificate in the database, and cannot be dropped."
                        .to_owned(),
                ));
            }
            let database =
                instance.database_mut(database).ok_or_else(|| errors::no_database(database))?;
            let before = database.security.users.len();
            database.security.users.retain(|known, _| !known.eq_ignore_ascii_case(user));
            if database.security.users.len() == before {
                return Err(missing("user", user));
            }
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
            (is_sysadmin || controls_endpoint(instance, login, securable.as_ref()), secures),
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

/// Whether what a permission is given on is the endpoint, and the login owns it or may alter any.
///
/// Source: "GRANT Endpoint Permissions (Transact-SQL)", Permissions.
fn controls_endpoint(
    instance: &InstanceState,
    login: &str,
    securable: Option<&(String, String)>,
) -> bool {
    let Some((class, name)) = securable else { return false };
    let own = instance.endpoint.as_ref().is_some_and(|endpoint| {
        endpoint.definition.name.eq_ignore_ascii_case(name)
            && endpoint.owner.eq_ignore_ascii_case(login)
    });
    class.eq_ignore_ascii_case("ENDPOINT")
        && (own || has_server_permission(instance, login, "ALTER ANY ENDPOINT"))
}

fn grant(
    instance: &mut InstanceState,
    (controls, secures): (bool, bool),
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
    if !(controls || (!on_server && secures)) {
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
