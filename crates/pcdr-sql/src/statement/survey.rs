//! The survey of an instance of which nothing is known: everything that a topology could speak of, in one
//! batch of sections, as an observation is, and of every database.

use super::Statement;
use super::observe::{Databases, guarded, pings, sections};
use crate::quote::QuoteError;

/// What an observation asks of databases that it plans for, and a survey does not.
const NOT_ASKED: [&str; 3] = ["pcdr_positions", "pcdr_restores", "pcdr_sessions"];

/// The content database of a Persistent Chat pool, which its chat servers ping.
const CONTENT: &str = "mgc";

/// Sections that only a survey has.
///
/// Source: `sys.database_mirroring`, `sys.database_mirroring_witnesses`, `sys.database_mirroring_endpoints`,
/// `sys.dm_server_services`, `sys.master_files`. The first four databases are the system's.
const MORE: [(&str, &str); 5] = [
    (
        "pcdr_partnerships",
        "SELECT 1 AS pcdr_partnerships, d.name, m.mirroring_guid, m.mirroring_partner_instance, \
         m.mirroring_connection_timeout AS timeout FROM sys.database_mirroring AS m \
         JOIN sys.databases AS d ON d.database_id = m.database_id WHERE m.mirroring_guid IS NOT NULL;",
    ),
    (
        "pcdr_witnessed",
        "SELECT 1 AS pcdr_witnessed, w.mirroring_guid FROM sys.database_mirroring_witnesses AS w;",
    ),
    (
        "pcdr_services",
        "SELECT 1 AS pcdr_services, s.servicename, s.service_account FROM sys.dm_server_services AS s;",
    ),
    (
        "pcdr_endpoint_security",
        "SELECT 1 AS pcdr_endpoint_security, e.connection_auth_desc, e.encryption_algorithm_desc \
         FROM sys.database_mirroring_endpoints AS e;",
    ),
    (
        "pcdr_files",
        "SELECT 1 AS pcdr_files, d.name, CAST(f.type AS int) AS type, f.physical_name FROM sys.master_files AS f \
         JOIN sys.databases AS d ON d.database_id = f.database_id WHERE f.database_id > 4 AND f.type IN (0, 1);",
    ),
];

/// Builds the survey.
///
/// # Errors
///
/// None that a caller could cause: the batch has no names in it.
pub fn survey() -> Result<Statement, QuoteError> {
    let mut batch = String::from(
        "SET NOCOUNT ON;\n\
         SELECT 1 AS pcdr_server, SYSDATETIMEOFFSET() AS now, CAST(@@SERVERNAME AS nvarchar(128)) AS server_name, \
         CAST(SERVERPROPERTY(N'InstanceName') AS nvarchar(128)) AS instance_name, \
         CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(128)) AS version, \
         CAST(SERVERPROPERTY(N'Edition') AS nvarchar(128)) AS edition;\n",
    );
    for (section, query) in sections(Databases::Every) {
        if !NOT_ASKED.contains(&section) {
            batch.push_str(&guarded(section, &query, "")?);
        }
    }
    for (section, query) in MORE {
        batch.push_str(&guarded(section, query, "")?);
    }
    batch.push_str(&pings(CONTENT)?);
    Ok(Statement::query(batch))
}
