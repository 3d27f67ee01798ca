//! What the servers can do, by their own word, and therefore which checks are skipped.

use std::collections::BTreeMap;

use pcdr_sql::SqlError;
use pcdr_sql::connection::{Connection, Endpoint, ResultSet, Row};
use pcdr_sql::statement::{Kind, Statement};

use crate::check::Check;
use crate::ground::Ground;
use crate::servers::{LIMIT, Servers};

/// Something that not every server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The login is sysadmin on every server.
    Sysadmin,
    /// Backup and copy folder, reached by the servers and from here.
    Folders,
    /// Log shipping is installed on primary and secondary.
    LogShipping,
    /// SQL Server Agent runs on primary and secondary.
    Agent,
    /// A log shipping monitor.
    Monitor,
    /// A mirror, on servers that can mirror.
    Mirroring,
    /// A mirroring witness.
    Witness,
    /// The Windows account of the SQL Server services.
    Account,
}

impl Need {
    /// Every need.
    pub const ALL: [Need; 8] = [
        Need::Sysadmin,
        Need::Folders,
        Need::LogShipping,
        Need::Agent,
        Need::Monitor,
        Need::Mirroring,
        Need::Witness,
        Need::Account,
    ];
}

/// What one server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `@@SERVERNAME`.
    pub server_name: String,
    /// `SERVERPROPERTY('ProductVersion')`.
    pub version: String,
    /// `SERVERPROPERTY('Edition')`.
    pub edition: String,
    /// `SERVERPROPERTY('EngineEdition')`: 2 Standard, 3 Enterprise and Developer, 4 Express.
    pub engine_edition: i32,
    /// `sys.dm_os_host_info.host_platform`; before that view there was only Windows.
    pub platform: String,
    /// `SERVERPROPERTY('InstanceDefaultDataPath')`.
    pub data_path: Option<String>,
    /// Whether the login is sysadmin.
    pub is_sysadmin: bool,
    /// Whether msdb has the tables of log shipping.
    pub has_log_shipping: bool,
    /// Whether a session or a service shows that SQL Server Agent runs.
    pub agent_runs: bool,
    /// Port of the mirroring endpoint, if there is one.
    pub endpoint_port: Option<u16>,
}

const EXPRESS: i32 = 4;
const STANDARD_OR_ENTERPRISE: [i32; 2] = [2, 3];
/// The release that came to other platforms, and has `sys.dm_os_host_info`.
const FIRST_WITH_PLATFORMS: u32 = 14;

impl Facts {
    /// Asks one server.
    ///
    /// # Errors
    ///
    /// The connection's or the server's.
    pub async fn ask(endpoint: &Endpoint) -> Result<Facts, SqlError> {
        let mut connection = Connection::open(endpoint).await?;
        let row = first(&mut connection, IDENTITY).await?.ok_or_else(nothing)?;
        let version: String = row.optional("version")?.unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let platform = match major {
            Some(FIRST_WITH_PLATFORMS..) => {
                let row = first(&mut connection, PLATFORM).await?.ok_or_else(nothing)?;
                row.get("host_platform")?
            }
            _ => "Windows".to_owned(),
        };
        let agent = first(&mut connection, AGENT).await;
        let agent_service = matches!(agent, Ok(Some(_)));
        let endpoint = first(&mut connection, ENDPOINT).await?;
        Ok(Facts {
            server_name: row.optional("server_name")?.unwrap_or_default(),
            version,
            edition: row.optional("edition")?.unwrap_or_default(),
            engine_edition: row.get("engine_edition")?,
            platform,
            data_path: row.optional("data_path")?,
            is_sysadmin: row.optional("is_sysadmin")?.unwrap_or(false),
            has_log_shipping: row.get("has_log_shipping")?,
            agent_runs: agent_service || row.get::<i32>("agent_sessions")? > 0,
            endpoint_port: endpoint.map(|row| row.get("port")).transpose()?,
        })
    }
}

const IDENTITY: &str = "SELECT CAST(@@SERVERNAME AS nvarchar(128)) AS server_name, \
    CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(128)) AS version, \
    CAST(SERVERPROPERTY(N'Edition') AS nvarchar(128)) AS edition, \
    CAST(SERVERPROPERTY(N'EngineEdition') AS int) AS engine_edition, \
    CAST(SERVERPROPERTY(N'InstanceDefaultDataPath') AS nvarchar(260)) AS data_path, \
    CAST(IS_SRVROLEMEMBER(N'sysadmin') AS int) AS is_sysadmin, \
    CASE WHEN OBJECT_ID(N'msdb.dbo.log_shipping_primary_databases') IS NULL THEN 0 ELSE 1 END AS has_log_shipping, \
    (SELECT COUNT(*) FROM sys.dm_exec_sessions AS s WHERE s.program_name LIKE N'SQLAgent%') AS agent_sessions;";
const PLATFORM: &str = "SELECT h.host_platform FROM sys.dm_os_host_info AS h;";
const AGENT: &str = "SELECT s.servicename FROM sys.dm_server_services AS s \
    WHERE s.servicename LIKE N'SQL Server Agent%' AND s.status = 4;";
const ENDPOINT: &str = "SELECT t.port FROM sys.database_mirroring_endpoints AS e \
    JOIN sys.tcp_endpoints AS t ON t.endpoint_id = e.endpoint_id;";

fn nothing() -> SqlError {
    SqlError::Protocol("the server did not answer".to_owned())
}

async fn first(connection: &mut Connection, batch: &str) -> Result<Option<Row>, SqlError> {
    let statement = Statement { batch: batch.to_owned(), kind: Kind::Query, secrets: Vec::new() };
    let sets: Vec<ResultSet> = connection.batch(&statement, Some(LIMIT)).await?;
    Ok(sets.into_iter().next().and_then(|set| set.rows.into_iter().next()))
}

/// What the servers can do.
#[derive(Debug)]
pub struct Survey {
    /// Each server in one line.
    pub servers: Vec<String>,
    /// What is missing, with the reason.
    pub missing: BTreeMap<Need, String>,
}

impl Survey {
    /// Asks every server, and tries the folders with a backup of a scratch database.
    ///
    /// # Errors
    ///
    /// A server that was named and cannot be asked.
    pub fn of(ground: &Ground) -> Result<Survey, String> {
        ground.run(async {
            let servers = Servers::open(ground, false).await?;
            let before = servers.surroundings().await?;
            let folders = servers.try_folders().await;
            servers.clean_up(&before).await?;
            let mut missing = BTreeMap::new();
            if let Err(why) = folders {
                missing.insert(Need::Folders, why);
            }
            for need in Need::ALL {
                if let Some(why) = lacks(&servers, need) {
                    missing.insert(need, why);
                }
            }
            let line = |(name, facts): (&String, &Facts)| {
                let Facts { server_name, version, edition, platform, .. } = facts;
                format!("{name:<10} {server_name}, {version} {edition}, {platform}")
            };
            Ok(Survey { servers: servers.facts.iter().map(line).collect(), missing })
        })
    }

    /// Why a check is skipped; `None` when it is not.
    pub fn skips(&self, check: &Check) -> Option<String> {
        let why = check.needs.iter().filter_map(|need| self.missing.get(need));
        let why: Vec<&str> = why.map(String::as_str).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }
}

/// Why something cannot be had, by what the servers said.
fn lacks(servers: &Servers, need: Need) -> Option<String> {
    let facts = |name: &str| servers.facts.get(name);
    let all = |names: &[&str], what: &str, has: &dyn Fn(&Facts) -> bool| {
        let lacking = names.iter().find(|name| facts(name).is_none_or(|facts| !has(facts)))?;
        Some(format!("{lacking}: {what}"))
    };
    let shipping = ["primary", "secondary"];
    match need {
        Need::Folders => None, // tried
        Need::Sysadmin => {
            let every: Vec<&str> = servers.facts.keys().map(String::as_str).collect();
            all(&every, "the login is not sysadmin", &|facts| facts.is_sysadmin)
        }
        Need::LogShipping => {
            let installed =
                |facts: &Facts| facts.has_log_shipping && facts.engine_edition != EXPRESS;
            all(&shipping, "log shipping is not installed", &installed)
        }
        Need::Agent => all(&shipping, "SQL Server Agent does not run", &|facts| facts.agent_runs),
        Need::Monitor => {
            let installed =
                |facts: &Facts| facts.has_log_shipping && facts.engine_edition != EXPRESS;
            all(&["monitor"], "there is none, or without log shipping", &installed)
        }
        Need::Mirroring => {
            let partners = ["primary", "mirror"];
            let mirrors = |facts: &Facts| STANDARD_OR_ENTERPRISE.contains(&facts.engine_edition);
            all(&partners, "there is none, or its edition cannot be a partner", &mirrors).or_else(
                || {
                    all(&partners, "mirroring is for Windows only", &|facts| {
                        facts.platform == "Windows"
                    })
                },
            )
        }
        Need::Account => {
            let account = &servers.topology.primary().service_account;
            account.is_none().then(|| "PCDR_TEST_SERVICE_ACCOUNT is not set".to_owned())
        }
        Need::Witness => all(&["witness"], "there is none, or it is not on Windows", &|facts| {
            facts.platform == "Windows"
        }),
    }
}
