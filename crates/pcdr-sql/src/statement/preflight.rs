//! What is asked before a command: one batch of sections, as an observation is.
//!
//! The name of the first column of a result set tells its section, as there. What xp_fileexist answers
//! has names of its own, and follows the section that says which folder it is about.

use pcdr_core::rights::Right;

use super::observe::guarded;
use super::{SEES_DEFINITIONS, SEES_SESSIONS, Statement, unless_hidden};
use crate::quote::{self, QuoteError};

/// The error that a section raises where a database is not open.
pub(crate) const NOT_OPEN: i32 = 50_231;

/// Builds the batch: whether the login has these rights, services, volumes, the files of these databases,
/// and whether the service account sees these folders.
///
/// # Errors
///
/// A name or path that cannot be quoted.
pub fn preflight(
    databases: &[&str],
    rights: &[Right],
    folders: &[&str],
) -> Result<Statement, QuoteError> {
    let mut batch =
        String::from("SET NOCOUNT ON;\nSELECT 1 AS pcdr_server, SYSDATETIMEOFFSET() AS now;\n");
    for (number, right) in rights.iter().enumerate() {
        let query = held(number, right)?;
        batch.push_str(&guarded("pcdr_right", &query, &format!(", {number} AS number"))?);
    }
    for (section, query) in sections(databases)? {
        batch.push_str(&guarded(section, &query, "")?);
    }
    for (number, folder) in folders.iter().enumerate() {
        let folder = quote::path(folder)?;
        let query = format!(
            "SELECT 1 AS pcdr_folder, {number} AS number; EXEC master.sys.xp_fileexist {folder};"
        );
        batch.push_str(&guarded("pcdr_folder", &query, &format!(", {number} AS number"))?);
    }
    Ok(Statement::query(batch))
}

fn sections(databases: &[&str]) -> Result<Vec<(&'static str, String)>, QuoteError> {
    let names = if databases.is_empty() {
        "N''".to_owned() // as in an observation
    } else {
        quote::names(databases.iter().copied())?
    };
    let files = unless_hidden(&[SEES_DEFINITIONS], "files of databases are not shown.");
    Ok(vec![
        (
            "pcdr_services",
            unless_hidden(
                &["VIEW SERVER STATE", "VIEW SERVER SECURITY STATE"],
                "the services are not shown.",
            ) + "SELECT 1 AS pcdr_services, s.servicename, s.service_account FROM sys.dm_server_services AS s;",
        ),
        (
            "pcdr_volumes",
            unless_hidden(&SEES_SESSIONS, "volumes are not shown.")
                + &files
                + "SELECT DISTINCT 1 AS pcdr_volumes, v.volume_mount_point, v.total_bytes, v.available_bytes \
                   FROM sys.master_files AS f \
                   CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) AS v;",
        ),
        (
            "pcdr_files",
            format!(
                "{files}SELECT 1 AS pcdr_files, d.name, CAST(f.type AS int) AS type, f.physical_name, \
                 CAST(f.size AS bigint) AS pages FROM sys.databases AS d \
                 JOIN sys.master_files AS f ON f.database_id = d.database_id \
                 WHERE d.name IN ({names}) AND f.type IN (0, 1);"
            ),
        ),
    ])
}

/// Whether the login has a right: 1, 0, or NULL for what there is not.
fn held(number: usize, right: &Right) -> Result<String, QuoteError> {
    let select =
        |held: String| format!("SELECT 1 AS pcdr_right, {number} AS number, {held} AS held;");
    // Asked inside of the database, which may have a name that has to be quoted.
    let permission_here = |permission: &str| {
        format!("HAS_PERMS_BY_NAME(QUOTENAME(DB_NAME()), N'DATABASE', N'{permission}')")
    };
    match right {
        Right::ServerRole(role) => Ok(select(format!("IS_SRVROLEMEMBER(N'{role}')"))),
        Right::Server(permission) => {
            Ok(select(format!("HAS_PERMS_BY_NAME(NULL, NULL, N'{permission}')")))
        }
        Right::User(database) => {
            let name = quote::name(database.as_str())?;
            Ok(if_open(database.as_str(), &select(format!("HAS_DBACCESS({name})")))?)
        }
        Right::DatabaseRole(database, role) => {
            // A permission says more than the role by which it is given: it may come otherwise.
            let held = match *role {
                "db_datareader" => permission_here("SELECT"),
                "db_backupoperator" => permission_here("BACKUP DATABASE"),
                role => format!("IS_ROLEMEMBER(N'{role}')"),
            };
            inside(database.as_str(), &select(held))
        }
        Right::Database(database, permission) => {
            inside(database.as_str(), &select(permission_here(permission)))
        }
        Right::Select(database, table) => {
            let table = quote::literal(&format!("dbo.{}", quote::identifier(table)?))?;
            let held = format!("HAS_PERMS_BY_NAME({table}, N'OBJECT', N'SELECT')");
            inside(database.as_str(), &select(held))
        }
    }
}

/// What is in a database can be looked up only while it is open.
fn if_open(database: &str, then: &str) -> Result<String, QuoteError> {
    let name = quote::name(database)?;
    Ok(format!(
        "IF NOT EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.name = {name} AND d.state = 0) \
         THROW {NOT_OPEN}, N'the database is not ONLINE here, so that nothing in it can be looked up.', 1; {then}"
    ))
}

fn inside(database: &str, select: &str) -> Result<String, QuoteError> {
    let name = quote::name(database)?;
    let (identifier, select) = (quote::identifier(database)?, quote::literal(select)?);
    // Without a user there is nothing that could have been given, and no way in to ask.
    let enter = format!(
        "IF ISNULL(HAS_DBACCESS({name}), 0) = 0 THROW {}, N'a user in the database is missing.', 1; \
         EXEC {identifier}.sys.sp_executesql {select};",
        super::HIDDEN
    );
    if_open(database, &enter)
}

pub(super) fn samples(
    database: &str,
    path: &str,
) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let name: pcdr_core::DatabaseName = database.into();
    let rights = [
        Right::SYSADMIN,
        Right::Server("VIEW SERVER STATE"),
        Right::User(name.clone()),
        Right::DatabaseRole("msdb".into(), "db_datareader"),
        Right::DatabaseRole("msdb".into(), "SQLAgentOperatorRole"),
        Right::Database(name.clone(), "ALTER"),
        Right::Select(name, "tblServerIdentity"),
    ];
    Ok(vec![("preflight", preflight(&[database, "mgc"], &rights, &[path])?)])
}
