//! Logins, users, roles and permissions as views.
//!
//! Source: the vendor's pages "Security catalog views".

use super::columns::security as columns;
use super::{Named, View, rows};
use crate::engine::security::{self, DATABASE_ROLES, Grant, MSDB_ROLES};
use crate::engine::state::Database;
use crate::value::{Relation, Value};

/// First ids of what a database makes itself.
const FIRST_USER: i32 = 5;
const FIRST_FIXED_ROLE: i32 = 16_384;

fn sees_all(view: View<'_>) -> bool {
    view.has("ALTER ANY LOGIN") || view.has("VIEW ANY DEFINITION")
}

fn logins(view: View<'_>) -> Vec<Named> {
    let all = sees_all(view);
    let security = &view.instance.security;
    let mut found: Vec<_> = security.logins.values().collect();
    found.sort_by_key(|l| l.id);
    found
        .into_iter()
        .filter(|l| all || l.id == 1 || l.name.eq_ignore_ascii_case(&view.session.login))
        .map(|l| {
            let (kind, text) = match &l.password {
                Some(_) => ("S", "SQL_LOGIN"),
                None => ("U", "WINDOWS_LOGIN"),
            };
            vec![
                ("name", Value::string(&l.name)),
                ("principal_id", Value::Int(l.id)),
                ("sid", Value::Binary(l.sid.clone().into())),
                ("type", Value::string(kind)),
                ("type_desc", Value::string(text)),
                ("is_disabled", Value::Bit(l.disabled)),
                ("create_date", view.local(view.instance.started)),
                ("modify_date", view.local(view.instance.started)),
                ("default_database_name", Value::string(&l.default_database)),
                ("default_language_name", Value::string("us_english")),
            ]
        })
        .collect()
}

/// `sys.server_principals`.
pub(super) fn server_principals(view: View<'_>) -> Relation {
    let mut named = logins(view);
    for (name, id, _) in security::server_roles(view.major()) {
        named.push(vec![
            ("name", Value::string(name)),
            ("principal_id", Value::Int(*id)),
            ("sid", Value::Binary(vec![u8::try_from(*id).unwrap_or(0)].into())),
            ("type", Value::string("R")),
            ("type_desc", Value::string("SERVER_ROLE")),
            ("is_disabled", Value::Bit(false)),
            ("create_date", view.local(view.instance.started)),
            ("modify_date", view.local(view.instance.started)),
            ("owning_principal_id", Value::Int(1)),
            ("is_fixed_role", Value::Bit(*name != "public")),
        ]);
    }
    rows(columns::SERVER_PRINCIPALS, view.major(), named)
}

/// `sys.sql_logins`; the hash of a password is never shown.
pub(super) fn sql_logins(view: View<'_>) -> Relation {
    let sql = |row: &Named| row.iter().any(|(c, v)| *c == "type" && *v == Value::string("S"));
    let named = logins(view)
        .into_iter()
        .filter(sql)
        .map(|mut row| {
            row.push(("is_policy_checked", Value::Bit(true)));
            row.push(("is_expiration_checked", Value::Bit(false)));
            row
        })
        .collect();
    rows(columns::SQL_LOGINS, view.major(), named)
}

/// `sys.server_role_members`.
pub(super) fn server_role_members(view: View<'_>) -> Relation {
    let all = sees_all(view);
    let mut named = Vec::new();
    for (role, id, _) in security::server_roles(view.major()) {
        for login in view.instance.security.logins.values() {
            let seen = all || login.name.eq_ignore_ascii_case(&view.session.login);
            if seen && login.roles.contains(&role.to_lowercase()) {
                named.push(vec![
                    ("role_principal_id", Value::Int(*id)),
                    ("member_principal_id", Value::Int(login.id)),
                ]);
            }
        }
    }
    rows(columns::ROLE_MEMBERS, view.major(), named)
}

/// The four-letter code of a permission.
fn code(permission: &str) -> &'static str {
    match permission {
        "CONNECT SQL" => "COSQ",
        "CONNECT" => "CO  ",
        "VIEW SERVER STATE" => "VWSS",
        "VIEW ANY DATABASE" => "VWDB",
        "VIEW ANY DEFINITION" => "VWAD",
        "ALTER ANY CONNECTION" => "ALCO",
        "ALTER ANY DATABASE" => "ALDB",
        "CREATE ANY DATABASE" => "CRDB",
        "ALTER ANY ENDPOINT" => "ALHE",
        "ALTER ANY LOGIN" => "ALLG",
        "CONTROL SERVER" => "CL  ",
        "ALTER SERVER STATE" => "ALSS",
        "ALTER SETTINGS" => "ALST",
        "SELECT" => "SL  ",
        "INSERT" => "IN  ",
        "UPDATE" => "UP  ",
        "DELETE" => "DL  ",
        "EXECUTE" => "EX  ",
        "BACKUP DATABASE" => "BADB",
        "BACKUP LOG" => "BALO",
        "CREATE TABLE" => "CRTB",
        _ => "    ",
    }
}

fn state(grant: &Grant) -> [(&'static str, Value); 4] {
    let (letter, text) = if grant.denied { ("D", "DENY") } else { ("G", "GRANT") };
    [
        ("type", Value::string(code(&grant.permission))),
        ("permission_name", Value::string(&grant.permission)),
        ("state", Value::string(letter)),
        ("state_desc", Value::string(text)),
    ]
}

/// `sys.server_permissions`: everybody's CONNECT SQL, and what was given.
pub(super) fn server_permissions(view: View<'_>) -> Relation {
    let all = sees_all(view);
    let security = &view.instance.security;
    let id_of = |name: &str| {
        let login = security.logins.get(&name.to_lowercase()).map(|l| l.id);
        login.or_else(|| {
            security::server_roles(view.major())
                .find(|(r, _, _)| r.eq_ignore_ascii_case(name))
                .map(|r| r.1)
        })
    };
    let connect = security.logins.values().map(|l| Grant {
        permission: "CONNECT SQL".to_owned(),
        securable: None,
        grantee: l.name.clone(),
        denied: false,
    });
    let mut named = Vec::new();
    for grant in connect.chain(security.grants.iter().cloned()) {
        let seen = all || grant.grantee.eq_ignore_ascii_case(&view.session.login);
        let Some(grantee) = id_of(&grant.grantee).filter(|_| seen) else {
            continue;
        };
        let endpoint = view.instance.endpoint.as_ref();
        let (class, class_desc, major_id) = match &grant.securable {
            Some((class, name)) if class == "ENDPOINT" => {
                let own = endpoint.filter(|e| e.definition.name.eq_ignore_ascii_case(name));
                // What was given on an endpoint goes with it.
                let Some(own) = own else { continue };
                (105, "ENDPOINT", own.id)
            }
            Some((_, name)) => (101, "SERVER_PRINCIPAL", id_of(name).unwrap_or(0)),
            None => (100, "SERVER", 0),
        };
        let mut row: Named = vec![
            ("class", Value::Int(class)),
            ("class_desc", Value::string(class_desc)),
            ("major_id", Value::Int(major_id)),
            ("grantee_principal_id", Value::Int(grantee)),
            ("grantor_principal_id", Value::Int(1)),
        ];
        row.extend(state(&grant));
        named.push(row);
    }
    rows(columns::PERMISSIONS, view.major(), named)
}

/// A user or role: name, id, is role, is fixed, sid.
type Principal = (String, i32, bool, bool, Option<Vec<u8>>);

/// Users and roles of a database with their ids.
fn principals(database: &Database) -> Vec<Principal> {
    let mut all = vec![
        ("public".to_owned(), 0, true, false, None),
        ("dbo".to_owned(), 1, false, false, Some(vec![1])),
        ("guest".to_owned(), 2, false, false, Some(vec![0])),
        ("INFORMATION_SCHEMA".to_owned(), 3, false, false, None),
        ("sys".to_owned(), 4, false, false, None),
    ];
    let mut next = FIRST_USER;
    for (user, sid) in &database.security.users {
        all.push((user.clone(), next, false, false, Some(sid.clone())));
        next += 1;
    }
    let msdb: &[&str] = if database.name == "msdb" { MSDB_ROLES } else { &[] };
    let known =
        |name: &str| DATABASE_ROLES.iter().chain(msdb).any(|r| r.eq_ignore_ascii_case(name));
    let made = database.security.roles.keys().filter(|r| !known(r)).map(String::as_str);
    for role in msdb.iter().copied().chain(made) {
        all.push((role.to_owned(), next, true, false, None));
        next += 1;
    }
    for (i, role) in DATABASE_ROLES.iter().enumerate() {
        let id = FIRST_FIXED_ROLE + i32::try_from(i).unwrap_or(0);
        all.push(((*role).to_owned(), id, true, true, None));
    }
    all
}

/// The `principal_id` of a user of a database.
pub(super) fn user_id(view: View<'_>, database: &str, user: &str) -> Option<i32> {
    let all = principals(view.instance.database(database)?);
    all.into_iter().find(|one| one.0.eq_ignore_ascii_case(user)).map(|one| one.1)
}

/// `sys.database_principals`.
pub(super) fn database_principals(view: View<'_>, database: &str) -> Relation {
    let own = view.instance.database(database);
    let named = own
        .map(principals)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, id, is_role, fixed, sid)| {
            let (kind, text) = if is_role { ("R", "DATABASE_ROLE") } else { ("S", "SQL_USER") };
            let mapped = sid.is_some() && !is_role;
            let mut row: Named = vec![
                ("name", Value::string(name)),
                ("principal_id", Value::Int(id)),
                ("type", Value::string(kind)),
                ("type_desc", Value::string(text)),
                ("create_date", view.local(view.instance.started)),
                ("modify_date", view.local(view.instance.started)),
                ("is_fixed_role", Value::Bit(fixed)),
                ("authentication_type", Value::Int(i32::from(mapped))),
                (
                    "authentication_type_desc",
                    Value::string(if mapped { "INSTANCE" } else { "NONE" }),
                ),
                ("sid", sid.map_or(Value::Null, |s| Value::Binary(s.into()))),
            ];
            if is_role {
                row.push(("owning_principal_id", Value::Int(1)));
            } else {
                row.push(("default_schema_name", Value::string("dbo")));
            }
            row
        })
        .collect();
    rows(columns::DATABASE_PRINCIPALS, view.major(), named)
}

/// `sys.database_role_members`.
pub(super) fn database_role_members(view: View<'_>, database: &str) -> Relation {
    let mut named = Vec::new();
    if let Some(database) = view.instance.database(database) {
        let all = principals(database);
        let id = |name: &str| all.iter().find(|p| p.0.eq_ignore_ascii_case(name)).map(|p| p.1);
        named.push(vec![
            ("role_principal_id", Value::Int(FIRST_FIXED_ROLE)),
            ("member_principal_id", Value::Int(1)),
        ]);
        for (role, members) in &database.security.roles {
            for member in members {
                if let (Some(role), Some(member)) = (id(role), id(member)) {
                    named.push(vec![
                        ("role_principal_id", Value::Int(role)),
                        ("member_principal_id", Value::Int(member)),
                    ]);
                }
            }
        }
    }
    rows(columns::ROLE_MEMBERS, view.major(), named)
}

/// `sys.database_permissions`.
pub(super) fn database_permissions(view: View<'_>, database: &str) -> Relation {
    let mut named = Vec::new();
    if let Some(database) = view.instance.database(database) {
        let all = principals(database);
        let id = |name: &str| all.iter().find(|p| p.0.eq_ignore_ascii_case(name)).map(|p| p.1);
        let connect = database.security.users.keys().map(|user| Grant {
            permission: "CONNECT".to_owned(),
            securable: None,
            grantee: user.clone(),
            denied: false,
        });
        for grant in connect.chain(database.security.grants.iter().cloned()) {
            let Some(grantee) = id(&grant.grantee) else {
                continue;
            };
            let (class, class_desc) = match &grant.securable {
                Some((class, _)) if class == "SCHEMA" => (3, "SCHEMA"),
                Some((class, _)) if class != "DATABASE" => (1, "OBJECT_OR_COLUMN"),
                _ => (0, "DATABASE"),
            };
            let object = grant
                .securable
                .as_ref()
                .and_then(|(_, name)| super::objects::object_id(database, name));
            let mut row: Named = vec![
                ("class", Value::Int(class)),
                ("class_desc", Value::string(class_desc)),
                ("major_id", Value::Int(object.unwrap_or(0))),
                ("grantee_principal_id", Value::Int(grantee)),
                ("grantor_principal_id", Value::Int(1)),
            ];
            row.extend(state(&grant));
            named.push(row);
        }
    }
    rows(columns::PERMISSIONS, view.major(), named)
}
