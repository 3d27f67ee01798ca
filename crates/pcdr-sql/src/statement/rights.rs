//! Statements that give rights to a login. pcdr writes them for an administrator, and sends none.
//!
//! Permissions on the server can only be given while master is the current database (error 4621), so
//! those batches go there first. Those in a database run as its own `sp_executesql`, and only where the
//! database is open for changes: a copy that is not gets users and permissions with the log.

use super::Statement;
use crate::quote::{self, QuoteError};

/// The error that a script raises where the SQL login is missing.
pub(crate) const NO_LOGIN: i32 = 50_230;

/// Stops where a SQL login is missing: it is created by somebody who knows its password.
///
/// # Errors
///
/// A name that cannot be quoted; so for every function here.
pub fn require_login(login: &str) -> Result<Statement, QuoteError> {
    let name = quote::name(login)?;
    Ok(Statement::change(format!(
        "IF SUSER_ID({name}) IS NULL THROW {NO_LOGIN}, N'The SQL login is missing: create it first, with one SID \
         on every instance.', 1;"
    )))
}

/// Makes a login a member of a fixed server role.
pub fn add_to_server_role(role: &str, login: &str) -> Result<Statement, QuoteError> {
    let (role, login) = (quote::identifier(role)?, quote::identifier(login)?);
    Ok(Statement::change(format!("USE [master];\nALTER SERVER ROLE {role} ADD MEMBER {login};")))
}

/// Gives a permission on the server. `permission` is one of SQL Server's own names.
pub fn grant_on_server(permission: &'static str, login: &str) -> Result<Statement, QuoteError> {
    let login = quote::identifier(login)?;
    Ok(Statement::change(format!("USE [master];\nGRANT {permission} TO {login};")))
}

/// Lets a login into a database.
pub fn create_user(database: &str, login: &str) -> Result<Statement, QuoteError> {
    in_database(database, login, "")
}

/// Makes a login's user a member of a database role.
pub fn add_to_role(database: &str, role: &str, login: &str) -> Result<Statement, QuoteError> {
    let (role, user) = (quote::identifier(role)?, quote::identifier(login)?);
    in_database(database, login, &format!(" ALTER ROLE {role} ADD MEMBER {user};"))
}

/// Gives a permission on a database. `permission` is one of SQL Server's own names.
pub fn grant_on_database(
    database: &str,
    permission: &'static str,
    login: &str,
) -> Result<Statement, QuoteError> {
    let user = quote::identifier(login)?;
    in_database(database, login, &format!(" GRANT {permission} TO {user};"))
}

/// Lets a login read a table of the schema dbo, where the database has it.
pub fn grant_select(database: &str, table: &str, login: &str) -> Result<Statement, QuoteError> {
    let (table, user) = (quote::identifier(table)?, quote::identifier(login)?);
    let name = quote::literal(&format!("dbo.{table}"))?;
    let grant =
        format!(" IF OBJECT_ID({name}) IS NOT NULL GRANT SELECT ON OBJECT::dbo.{table} TO {user};");
    in_database(database, login, &grant)
}

/// Runs something inside a database in which the login has a user.
fn in_database(database: &str, login: &str, then: &str) -> Result<Statement, QuoteError> {
    let (name, identifier) = (quote::name(database)?, quote::identifier(database)?);
    let (login_name, login) = (quote::name(login)?, quote::identifier(login)?);
    let inside = quote::literal(&format!(
        "IF NOT EXISTS (SELECT 1 FROM sys.database_principals AS p WHERE p.name = {login_name}) \
         CREATE USER {login} FOR LOGIN {login};{then}"
    ))?;
    Ok(Statement::change(format!(
        "IF EXISTS (SELECT 1 FROM sys.databases AS d WHERE d.name = {name} AND d.state = 0 \
         AND d.is_read_only = 0 AND d.is_in_standby = 0)\n  EXEC {identifier}.sys.sp_executesql {inside};"
    )))
}

pub(super) fn samples(database: &str) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let login = database;
    Ok(vec![
        ("require login", require_login(login)?),
        ("add to server role", add_to_server_role("sysadmin", login)?),
        ("grant on server", grant_on_server("VIEW SERVER STATE", login)?),
        ("create user", create_user(database, login)?),
        ("add to role", add_to_role(database, "db_datareader", login)?),
        ("grant on database", grant_on_database(database, "ALTER", login)?),
        ("grant select", grant_select(database, "tblServerIdentity", login)?),
    ])
}
