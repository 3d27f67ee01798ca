//! What one instance tells of itself when nothing is known of it yet.

use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::lsn::Guid;
use crate::name::DatabaseName;
use crate::observation::InstanceObservation;

/// Everything on one instance that a topology could speak of, read in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// As an observation, but of every database: their state and mirroring, not their log position and
    /// sessions.
    pub seen: InstanceObservation,
    /// `SERVERPROPERTY('InstanceName')`; `None` for the default instance.
    pub instance_name: Option<String>,
    /// Mirroring sessions that it is a partner of.
    pub partnerships: Known<Vec<Partnership>>,
    /// `mirroring_guid` of the sessions that it is the witness of.
    ///
    /// Source: `sys.database_mirroring_witnesses`.
    pub witnessed: Known<Vec<Guid>>,
    /// Its Windows services.
    pub services: Known<Vec<Service>>,
    /// How its mirroring endpoint authenticates and encrypts; `None` when it has no endpoint.
    pub endpoint_security: Known<Option<EndpointSecurity>>,
    /// The files of its databases.
    pub files: Known<Vec<DatabaseFile>>,
}

/// A mirroring session, by what both partners call it.
///
/// Source: `sys.database_mirroring`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partnership {
    /// The database.
    pub database: DatabaseName,
    /// `mirroring_guid`: the same on both partners and on the witness.
    pub guid: Guid,
    /// `mirroring_partner_instance`: the partner's `@@SERVERNAME`; `None` when it is not told.
    pub partner_instance: Option<String>,
    /// `mirroring_connection_timeout`, in seconds; `None` when it is not told.
    pub timeout_seconds: Option<i32>,
}

/// A Windows service of the instance.
///
/// Source: `sys.dm_server_services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `servicename`, for example `SQL Server (MSSQLSERVER)`.
    pub name: String,
    /// `service_account`.
    pub account: String,
}

/// How a mirroring endpoint lets others in.
///
/// Source: `sys.database_mirroring_endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSecurity {
    /// `connection_auth_desc`, for example `NEGOTIATE` or `CERTIFICATE`.
    pub authentication: String,
    /// `encryption_algorithm_desc`, for example `AES`; `NONE` without encryption.
    pub encryption: String,
}

/// A file of a database.
///
/// Source: `sys.master_files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// The database.
    pub database: DatabaseName,
    /// Whether it holds log (`type` 1), not data.
    pub is_log: bool,
    /// `physical_name`.
    pub path: String,
}
