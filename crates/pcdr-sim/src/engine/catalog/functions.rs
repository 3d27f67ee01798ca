//! Scalar functions and globals that need the server.
//!
//! Source: the vendor's pages of `SERVERPROPERTY`, `DATABASEPROPERTYEX`, `HAS_PERMS_BY_NAME` and of
//! the other functions.

use jiff::civil;

use super::View;
use crate::engine::msdb::store::whole_number;
use crate::engine::security::{
    self, has_database_permission, has_server_permission, is_database_role_member,
};
use crate::engine::state::{Database, Status};
use crate::message::SqlFailure;
use crate::value::{Length, SqlType, Value};

type Answer = (SqlType, Value);

const NAME: SqlType = SqlType::SYSNAME;

fn text(value: Option<impl AsRef<str>>) -> Answer {
    (NAME, value.map_or(Value::Null, Value::string))
}

fn int(value: Option<i32>) -> Answer {
    (SqlType::Int, value.map_or(Value::Null, Value::Int))
}

fn argument(arguments: &[Value], at: usize) -> Option<String> {
    match arguments.get(at)? {
        Value::String(text) => Some(text.trim_end().to_owned()),
        Value::Variant(_, inner) => match &**inner {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn number(arguments: &[Value], at: usize) -> Option<i32> {
    arguments.get(at).and_then(whole_number).and_then(|n| i32::try_from(n).ok())
}

/// A scalar function; `None` when there is none of that name here.
pub(super) fn call(
    view: View<'_>,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Answer, SqlFailure>> {
    let login = &view.session.login;
    let instance = view.instance;
    let first = || argument(arguments, 0);
    let current = || instance.database(&view.session.database);
    Some(Ok(match name.to_uppercase().as_str() {
        "SERVERPROPERTY" => (
            SqlType::Variant,
            first().and_then(|p| server_property(view, &p)).unwrap_or(Value::Null),
        ),
        "DATABASEPROPERTYEX" => (
            SqlType::Variant,
            database_property(view, first(), argument(arguments, 1)).unwrap_or(Value::Null),
        ),
        "DB_ID" => {
            let found = if arguments.is_empty() {
                current()
            } else {
                first().and_then(|n| instance.database(&n))
            };
            let id = found.and_then(|d| i16::try_from(d.id).ok());
            (SqlType::SmallInt, id.map_or(Value::Null, Value::SmallInt))
        }
        "DB_NAME" => {
            let found = if arguments.is_empty() || number(arguments, 0) == Some(0) {
                current()
            } else {
                let id = number(arguments, 0);
                instance.databases.values().find(|d| Some(d.id) == id)
            };
            text(found.map(|d| &d.name))
        }
        "SUSER_SNAME" | "SUSER_NAME" if !arguments.is_empty() => match &arguments[0] {
            Value::Binary(sid) => {
                let mut logins = instance.security.logins.values();
                text(logins.find(|l| *l.sid == **sid).map(|l| &l.name))
            }
            other => {
                let id = whole_number(other);
                let mut logins = instance.security.logins.values();
                text(logins.find(|l| Some(i64::from(l.id)) == id).map(|l| &l.name))
            }
        },
        "SUSER_SNAME" | "SUSER_NAME" | "ORIGINAL_LOGIN" | "SYSTEM_USER" => text(Some(login)),
        "SUSER_SID" => {
            let name = first().unwrap_or_else(|| login.clone());
            let found = instance.security.logins.get(&name.to_lowercase());
            let sid = found.map_or(Value::Null, |l| Value::Binary(l.sid.clone().into()));
            (SqlType::VarBinary(Length::Up(85)), sid)
        }
        "SUSER_ID" => {
            let name = first().unwrap_or_else(|| login.clone());
            int(instance.security.logins.get(&name.to_lowercase()).map(|l| l.id))
        }
        "USER_NAME" | "CURRENT_USER" | "SESSION_USER" | "USER" if arguments.is_empty() => {
            text(current().and_then(|d| security::user_of(instance, login, d)))
        }
        "IS_SRVROLEMEMBER" => {
            let role = first().unwrap_or_default();
            let who = argument(arguments, 1).unwrap_or_else(|| login.clone());
            let known = security::server_roles(view.major())
                .any(|(r, _, _)| r.eq_ignore_ascii_case(&role))
                && instance.security.logins.contains_key(&who.to_lowercase());
            int(known.then(|| i32::from(instance.security.in_role(&who, &role))))
        }
        "IS_MEMBER" | "IS_ROLEMEMBER" => {
            let role = first().unwrap_or_default();
            int(is_member(view, &role))
        }
        "CERT_ID" => {
            let named = first().and_then(|n| instance.security.certificates.get(&n.to_lowercase()));
            int(named.map(|own| own.id))
        }
        "CERTENCODED" if view.major() >= 11 => {
            let id = number(arguments, 0);
            let mut all = instance.security.certificates.values();
            let found = all.find(|own| Some(own.id) == id);
            let encoded = found.map_or(Value::Null, |own| Value::Binary(own.encoded().into()));
            (SqlType::VarBinary(Length::Up(8000)), encoded)
        }
        "HAS_DBACCESS" => {
            let found = first().and_then(|n| instance.database(&n));
            int(found.map(|d| i32::from(has_access(view, d))))
        }
        "HAS_PERMS_BY_NAME" => int(has_permission(view, arguments).map(i32::from)),
        "OBJECT_ID" => {
            let wanted = argument(arguments, 1);
            int(first().and_then(|n| object_id(view, &n, wanted.as_deref())))
        }
        "OBJECT_DEFINITION" => (
            SqlType::NVarChar(Length::Max),
            number(arguments, 0)
                .and_then(|id| super::objects::definition(view, id.into()))
                .map_or(Value::Null, Value::string),
        ),
        "OBJECT_NAME" => text(object(view, arguments).map(|o| o.1)),
        "OBJECT_SCHEMA_NAME" => text(object(view, arguments).map(|o| o.0)),
        "SCHEMA_NAME" => text(match number(arguments, 0) {
            None | Some(1) => Some("dbo"),
            Some(2) => Some("guest"),
            Some(3) => Some("INFORMATION_SCHEMA"),
            Some(4) => Some("sys"),
            _ => None,
        }),
        "HOST_NAME" => text(Some(&view.session.host_name)),
        "HOST_ID" => text(Some(view.session.process_id.to_string())),
        "APP_NAME" | "PROGRAM_NAME" => text(Some(&view.session.program_name)),
        "GETDATE" | "CURRENT_TIMESTAMP" => (SqlType::DateTime, view.local(view.now)),
        "GETUTCDATE" => (
            SqlType::DateTime,
            Value::DateTime(crate::engine::msdb::around::moment(view.now, 0).utc),
        ),
        "SYSDATETIME" => (SqlType::DateTime2(7), Value::DateTime(local(view))),
        "SYSUTCDATETIME" => {
            (SqlType::DateTime2(7), Value::DateTime(crate::engine::state::local(view.now, 0)))
        }
        "SYSDATETIMEOFFSET" => (
            SqlType::DateTimeOffset(7),
            Value::DateTimeOffset {
                utc: crate::engine::state::local(view.now, 0),
                offset_minutes: instance.config.utc_offset_minutes,
            },
        ),
        _ => return None,
    }))
}

fn local(view: View<'_>) -> civil::DateTime {
    crate::engine::state::local(view.now, view.instance.config.utc_offset_minutes)
}

fn has_access(view: View<'_>, database: &Database) -> bool {
    let open = matches!(database.status, Status::Online) && !database.is_mirror();
    open && security::user_of(view.instance, &view.session.login, database).is_some()
}

/// NULL for a role that there is not.
fn is_member(view: View<'_>, role: &str) -> Option<i32> {
    let database = view.instance.database(&view.session.database)?;
    let fixed = security::DATABASE_ROLES.iter().any(|r| r.eq_ignore_ascii_case(role));
    let msdb = database.name == "msdb"
        && security::MSDB_ROLES.iter().any(|r| r.eq_ignore_ascii_case(role));
    let known = fixed
        || msdb
        || role.eq_ignore_ascii_case("public")
        || database.security.roles.contains_key(&role.to_lowercase());
    known.then(|| {
        let login = &view.session.login;
        i32::from(is_database_role_member(view.instance, login, &database.name, role))
    })
}

/// `HAS_PERMS_BY_NAME(securable, class, permission)`; NULL for a class or securable that is unknown.
fn has_permission(view: View<'_>, arguments: &[Value]) -> Option<bool> {
    let login = &view.session.login;
    let securable = argument(arguments, 0);
    let class = argument(arguments, 1).map(|c| c.to_uppercase());
    let permission = argument(arguments, 2)?.to_uppercase();
    match class.as_deref() {
        None | Some("SERVER") if is_newer(view, &permission) => None,
        None | Some("SERVER") => {
            Some(permission == "ANY" || has_server_permission(view.instance, login, &permission))
        }
        Some("DATABASE") => {
            let name = securable.unwrap_or_else(|| view.session.database.clone());
            let database = view.instance.database(name.trim_matches(['[', ']']))?;
            let granted =
                |p: &str| has_database_permission(view.instance, login, &database.name, p, None);
            let role = |r: &str| is_database_role_member(view.instance, login, &database.name, r);
            Some(match permission.as_str() {
                "CONNECT" | "ANY" => security::user_of(view.instance, login, database).is_some(),
                "BACKUP DATABASE" | "BACKUP LOG" => {
                    role("db_backupoperator") || granted(&permission)
                }
                "SELECT" => role("db_datareader") || granted(&permission),
                "INSERT" | "UPDATE" | "DELETE" => role("db_datawriter") || granted(&permission),
                "ALTER" => {
                    granted(&permission)
                        || has_server_permission(view.instance, login, "ALTER ANY DATABASE")
                }
                "CREATE DATABASE" => {
                    granted(&permission)
                        || has_server_permission(view.instance, login, "CREATE ANY DATABASE")
                }
                _ => granted(&permission),
            })
        }
        Some("OBJECT") => {
            let name = securable?;
            let database = name_parts(&name).0.unwrap_or_else(|| view.session.database.clone());
            object_id(view, &name, None).or_else(|| procedure_there(view, &name))?;
            let reads = permission == "SELECT"
                && is_database_role_member(view.instance, login, &database, "db_datareader");
            Some(
                reads
                    || has_database_permission(
                        view.instance,
                        login,
                        &database,
                        &permission,
                        Some(&name),
                    ),
            )
        }
        Some("LOGIN") | Some("ENDPOINT") => {
            Some(has_server_permission(view.instance, login, "CONTROL SERVER"))
        }
        _ => None,
    }
}

/// Whether a server permission came with release 16 and this one is older.
fn is_newer(view: View<'_>, permission: &str) -> bool {
    view.major() < 16
        && matches!(
            permission,
            "VIEW SERVER PERFORMANCE STATE"
                | "VIEW SERVER SECURITY STATE"
                | "VIEW ANY SECURITY DEFINITION"
                | "CREATE LOGIN"
        )
}

/// Whether the login sees that a table of a database is there: it has a permission on it.
///
/// Source: "Metadata Visibility Configuration".
fn sees_table(view: View<'_>, database: &Database, table: &str) -> bool {
    let login = &view.session.login;
    let role = |r: &str| is_database_role_member(view.instance, login, &database.name, r);
    let granted =
        |p: &str| has_database_permission(view.instance, login, &database.name, p, Some(table));
    security::user_of(view.instance, login, database).is_some()
        && (view.has("VIEW ANY DEFINITION")
            || ["db_datareader", "db_datawriter", "db_ddladmin"].into_iter().any(role)
            || ["SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "VIEW DEFINITION"]
                .into_iter()
                .any(granted))
}

/// Splits a name at its dots outside brackets: database, schema, name.
fn name_parts(name: &str) -> (Option<String>, Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut chars = name.chars().peekable();
    let mut bracketed = false;
    while let Some(c) = chars.next() {
        match c {
            '[' if !bracketed => bracketed = true,
            ']' if bracketed && chars.peek() == Some(&']') => {
                chars.next();
                if let Some(last) = parts.last_mut() {
                    last.push(']');
                }
            }
            ']' if bracketed => bracketed = false,
            '.' if !bracketed => parts.push(String::new()),
            c => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    let object = parts.pop().unwrap_or_default();
    let schema = parts.pop().filter(|s| !s.is_empty());
    let database = parts.pop().filter(|s| !s.is_empty());
    (database, schema, object)
}

fn procedure_there(view: View<'_>, name: &str) -> Option<i32> {
    let (database, schema, object) = name_parts(name);
    let wanted = crate::tsql::ast::ObjectName {
        server: String::new(),
        database: database.unwrap_or_default(),
        schema: schema.unwrap_or_default(),
        name: object,
    };
    let found =
        crate::engine::msdb::signature::resolve(&wanted, &view.session.database, view.major())?;
    // System objects have negative ids, always the same.
    let sum = found.name.bytes().fold(7_i32, |h, b| h.wrapping_mul(31).wrapping_add(i32::from(b)));
    Some(-(sum.unsigned_abs() as i32 & 0x3FFF_FFFF) - 1)
}

/// The id of a table, view or procedure by its name.
/// `OBJECT_ID`, for any object or for those of one type.
fn object_id(view: View<'_>, name: &str, wanted: Option<&str>) -> Option<i32> {
    let (database, schema, object) = name_parts(name);
    let own = database.unwrap_or_else(|| view.session.database.clone());
    let own = view.instance.database(&own)?;
    let dotted = format!("{}.{object}", schema.as_deref().unwrap_or("dbo"));
    let is = |found: &str| wanted.is_none_or(|wanted| wanted.trim().eq_ignore_ascii_case(found));
    let table = super::objects::object_id(own, &dotted)
        .filter(|_| is("U") && sees_table(view, own, &object));
    let module = || super::objects::module_id(view, &own.name, &dotted);
    table
        .or_else(|| module().filter(|(_, kind)| is(kind)).map(|(id, _)| id))
        .or_else(|| procedure_there(view, name).filter(|_| is("P") || is("X")))
}

fn object(view: View<'_>, arguments: &[Value]) -> Option<(String, String)> {
    let id = number(arguments, 0)?;
    let database = match number(arguments, 1) {
        Some(wanted) => view.instance.databases.values().find(|d| d.id == wanted),
        None => view.instance.database(&view.session.database),
    };
    super::objects::object_name(database?, id)
}

/// A `sql_variant` of text.
fn variant_text(text: impl AsRef<str>) -> Value {
    Value::Variant(NAME, Box::new(Value::string(text)))
}

fn variant_int(n: i32) -> Value {
    Value::Variant(SqlType::Int, Box::new(Value::Int(n)))
}

/// `SERVERPROPERTY`; `None` for a name that this release does not know.
fn server_property(view: View<'_>, name: &str) -> Option<Value> {
    let config = &view.instance.config;
    let (major, minor, build) = config.version;
    let from = |least: u8| (major >= least).then_some(());
    Some(match name.to_lowercase().as_str() {
        "servername" => variant_text(&config.name),
        "machinename" | "computernamephysicalnetbios" => variant_text(config.host()),
        "instancename" => match config.instance_name() {
            "" => return None,
            name => variant_text(name),
        },
        "productversion" => variant_text(format!("{major}.{minor}.{build}.1")),
        "productmajorversion" => variant_text(major.to_string()),
        "productminorversion" => variant_text(minor.to_string()),
        "productbuild" => variant_text(build.to_string()),
        "productlevel" => variant_text("RTM"),
        "productupdatelevel" => return None,
        "edition" => variant_text(&config.edition),
        "engineedition" => variant_int(if config.edition.starts_with("Standard") {
            2
        } else if config.edition.starts_with("Express") {
            4
        } else {
            3
        }),
        "isclustered"
        | "ishadrenabled"
        | "issingleuser"
        | "isintegratedsecurityonly"
        | "isfulltextinstalled"
        | "islocaldb"
        | "isxtpsupported"
        | "ispolybaseinstalled" => variant_int(0),
        "hadrmanagerstatus" => variant_int(2),
        "collation" => variant_text(&config.collation),
        "instancedefaultdatapath" => variant_text(&config.data_path),
        "instancedefaultlogpath" => variant_text(&config.log_path),
        "instancedefaultbackuppath" => {
            from(15)?;
            variant_text(&config.backup_path)
        }
        "pathseparator" => {
            from(14)?;
            variant_text(if super::server::is_linux(view.instance) { "/" } else { "\\" })
        }
        "processid" => variant_int(super::server::process_id(view.instance)),
        "isserversuspendedforsnapshotbackup" | "suspendeddatabasecount" => {
            from(16)?;
            variant_int(0)
        }
        "lcid" => variant_int(1033),
        "comparisonstyle" => variant_int(196_609),
        "sqlcharsetname" => variant_text("iso_1"),
        "buildclrversion" => variant_text("v4.0.30319"),
        _ => return None,
    })
}

/// `DATABASEPROPERTYEX`; `None` for an unknown database or name.
fn database_property(
    view: View<'_>,
    database: Option<String>,
    property: Option<String>,
) -> Option<Value> {
    let d = view.instance.database(&database?)?;
    let open = d.status == Status::Online;
    let status = match d.status {
        // The property shows what a database waits for where the view shows the exact state.
        Status::RecoveryPending => "SUSPECT",
        other => other.code().1,
    };
    Some(match property?.to_lowercase().as_str() {
        "status" => variant_text(status),
        "recovery" => variant_text(d.recovery_model.code().1),
        "useraccess" => variant_text(d.user_access.code().1),
        "updateability" => variant_text(if d.read_only || d.standby.is_some() {
            "READ_ONLY"
        } else {
            "READ_WRITE"
        }),
        "isinstandby" => variant_int(i32::from(d.standby.is_some())),
        "collation" => {
            if !open {
                return None;
            }
            variant_text(&d.collation)
        }
        "version" => {
            if !open {
                return None;
            }
            variant_int(d.version)
        }
        "isautoclose" | "isautoshrink" | "ispublished" | "issubscribed" | "ismergepublished" => {
            variant_int(0)
        }
        "isautocreatestatistics" | "isautoupdatestatistics" | "isfulltextenabled" => variant_int(1),
        "istornpagedetectionenabled" => variant_int(0),
        _ => return None,
    })
}

/// A global, name in upper case with its `@@`; `None` when there is none of that name here.
pub(super) fn global(view: View<'_>, name: &str) -> Option<Answer> {
    let config = &view.instance.config;
    let (major, minor, build) = config.version;
    Some(match name {
        "@@SERVERNAME" => text(Some(&config.name)),
        "@@SERVICENAME" => text(Some(match config.instance_name() {
            "" => "MSSQLSERVER",
            name => name,
        })),
        "@@VERSION" => {
            let year = match major {
                ..=10 => "2008 R2",
                11 => "2012",
                12 => "2014",
                13 => "2016",
                14 => "2017",
                15 => "2019",
                16 => "2022",
                _ => "2025",
            };
            let system = if super::server::is_linux(view.instance) {
                "Linux (Ubuntu 22.04)"
            } else {
                "Windows Server 2019 Standard 10.0 <X64>"
            };
            let line = format!(
                "Microsoft SQL Server {year} - {major}.{minor}.{build}.1 (X64) \n\t{} on {system}\n",
                config.edition
            );
            (SqlType::nvarchar(300), Value::string(line))
        }
        "@@SPID" => {
            (SqlType::SmallInt, Value::SmallInt(i16::try_from(view.session.id).unwrap_or(i16::MAX)))
        }
        "@@MICROSOFTVERSION" => {
            int(Some((i32::from(major) << 24) | (i32::from(minor) << 16) | i32::from(build)))
        }
        "@@MAX_CONNECTIONS" => int(Some(32_767)),
        "@@MAX_PRECISION" => (SqlType::TinyInt, Value::TinyInt(38)),
        "@@LANGUAGE" => text(Some("us_english")),
        "@@LANGID" => (SqlType::SmallInt, Value::SmallInt(0)),
        "@@DATEFIRST" => (SqlType::TinyInt, Value::TinyInt(7)),
        "@@TEXTSIZE" => int(Some(i32::MAX)),
        "@@CONNECTIONS" => int(i32::try_from(view.instance.sessions.len()).ok()),
        "@@REMSERVER" => text(None::<&str>),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_the_dots_outside_brackets() {
        assert_eq!(
            name_parts("[m]]g.c].[dbo].t"),
            (Some("m]g.c".to_owned()), Some("dbo".to_owned()), "t".to_owned())
        );
        assert_eq!(
            name_parts("msdb..sysjobs"),
            (Some("msdb".to_owned()), None, "sysjobs".to_owned())
        );
    }
}
