//! The cmdlets, as functions.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::{ShellError, ShellErrorKind};
use crate::quote::quote;
use crate::script::Script;
use crate::transport::ShellTransport;

/// Which product the shell belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Product {
    /// Lync Server 2013.
    LyncServer2013,
    /// Skype for Business Server 2015.
    #[default]
    SkypeForBusinessServer2015,
}

/// Which databases the pool uses. Source: Set-CsPersistentChatState, `PoolState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolState {
    /// The primary databases.
    Normal,
    /// The backup databases.
    FailedOver,
}

impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PoolState::Normal => "Normal",
            PoolState::FailedOver => "FailedOver",
        })
    }
}

/// A database of Persistent Chat. Source: `DatabaseType` of the mirroring cmdlets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseType {
    /// `mgc`.
    PersistentChat,
    /// `mgccomp`.
    PersistentChatCompliance,
}

impl fmt::Display for DatabaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DatabaseType::PersistentChat => "PersistentChat",
            DatabaseType::PersistentChatCompliance => "PersistentChatCompliance",
        })
    }
}

/// A partner by its label in the topology, which is not its current role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewPrincipal {
    /// The instance designed as primary.
    Primary,
    /// The instance designed as mirror.
    Mirror,
}

impl fmt::Display for NewPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NewPrincipal::Primary => "Primary",
            NewPrincipal::Mirror => "Mirror",
        })
    }
}

/// What Install-CsMirrorDatabase needs, form *ByDatabase*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallMirror {
    /// The database.
    pub database_type: DatabaseType,
    /// UNC path of a share that both partners' service accounts can write to.
    pub file_share: String,
    /// FQDN of the SQL Server host that holds the database now.
    pub sql_server_fqdn: String,
    /// Instance name there; `None` for the default instance.
    pub sql_instance_name: Option<String>,
    /// Drop a copy that the mirror has already.
    pub drop_existing_databases_on_mirror: bool,
}

/// What Get-CsDatabaseMirrorState tells of one database. The values are documented in part only:
/// show them, decide by what SQL Server says itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MirrorState {
    /// Name of the database.
    #[serde(rename = "DatabaseName")]
    pub database_name: String,
    /// For example `Principal`. `DatabaseInaccessibleOrMirroringNotEnabled` does not tell which.
    #[serde(rename = "StateOnPrimary")]
    pub state_on_primary: String,
    /// The same on the mirror.
    #[serde(rename = "StateOnMirror")]
    pub state_on_mirror: String,
    /// For example `synchronized`; empty when the shell gives none.
    #[serde(rename = "StatusOnPrimary")]
    pub status_on_primary: String,
    /// The same on the mirror.
    #[serde(rename = "StatusOnMirror")]
    pub status_on_mirror: String,
}

/// Whether a server has the newest settings of the Central Management store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReplicaStatus {
    /// FQDN that was asked for.
    #[serde(rename = "Replica")]
    pub replica: String,
    /// `None` when the shell does not say.
    #[serde(rename = "UpToDate")]
    pub up_to_date: Option<bool>,
    /// When the newest update was made, in the shell's own format; for people.
    #[serde(rename = "LastUpdateCreation")]
    pub last_update_creation: String,
}

/// The Central Management store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CmsStatus {
    /// FQDN of the active master; empty when there is none.
    #[serde(rename = "Master")]
    pub active_master: String,
    /// FQDNs of the active file transfer agents.
    #[serde(rename = "Agents")]
    pub file_transfer_agents: Vec<String>,
}

impl CmsStatus {
    /// Whether settings can be changed and replicated. Source: "Failing over a pool", step 3: an
    /// empty master or agent means that the store is unavailable.
    pub fn is_available(&self) -> bool {
        !self.active_master.is_empty() && self.file_transfer_agents.iter().any(|a| !a.is_empty())
    }
}

/// The Management Shell.
#[derive(Debug, Clone)]
pub struct Shell {
    transport: Arc<dyn ShellTransport>,
    product: Product,
    module: Option<String>,
}

impl Shell {
    /// A shell of a product. Its module loads by itself; name it with [`Shell::with_module`] where
    /// that is switched off.
    pub fn new(transport: Arc<dyn ShellTransport>, product: Product) -> Shell {
        Shell { transport, product, module: None }
    }

    /// Loads a module first, for example `SkypeForBusiness` or `Lync`.
    #[must_use]
    pub fn with_module(mut self, name: impl Into<String>) -> Shell {
        self.module = Some(name.into());
        self
    }

    /// Runs statements and reads their objects.
    async fn run<T: DeserializeOwned>(&self, body: &str) -> Result<Vec<T>, ShellError> {
        let script = Script::new(self.module.as_deref(), body);
        let output = self.transport.run(script.text()).await?;
        script.read(&output)
    }

    async fn change(&self, body: &str) -> Result<(), ShellError> {
        let _nothing: Vec<IgnoredAny> = self.run(body).await?;
        Ok(())
    }

    async fn run_one<T: DeserializeOwned>(&self, body: &str, what: &str) -> Result<T, ShellError> {
        let mut found = self.run(body).await?;
        match (found.len(), found.pop()) {
            (1, Some(one)) => Ok(one),
            (count, _) => Err(ShellError::own(
                ShellErrorKind::UnexpectedAnswer,
                format!("exactly one {what} was needed, the shell gave {count}"),
            )),
        }
    }

    /// The pool's state, as the Central Management store has it. Cmdlet: Get-CsPersistentChatState.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown pool; see [`ShellError`].
    pub async fn pool_state(&self, pool_fqdn: &str) -> Result<PoolState, ShellError> {
        // The enumeration's numbers are not documented: its name is asked for.
        let body = format!(
            "Get-CsPersistentChatState -Identity {} | ForEach-Object {{ \"$($_.PoolState)\" }}",
            service(pool_fqdn)
        );
        let name: String = self.run_one(&body, "pool state").await?;
        match name.as_str() {
            "Normal" => Ok(PoolState::Normal),
            "FailedOver" => Ok(PoolState::FailedOver),
            other => Err(ShellError::own(
                ShellErrorKind::UnexpectedAnswer,
                format!(
                    "the pool state of {pool_fqdn} is {other:?}; Normal or FailedOver was expected"
                ),
            )),
        }
    }

    /// Changes the pool's state. The change is effective on a chat server only once it was
    /// replicated there: see [`Shell::replication_status`]. Cmdlet: Set-CsPersistentChatState.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn set_pool_state(
        &self,
        pool_fqdn: &str,
        state: PoolState,
    ) -> Result<(), ShellError> {
        self.change(&format!(
            "Set-CsPersistentChatState -Identity {} -PoolState {state} -Confirm:$false",
            service(pool_fqdn)
        ))
        .await
    }

    /// Empties the list of active servers. Cmdlet: Set-CsPersistentChatActiveServer.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn clear_active_servers(&self) -> Result<(), ShellError> {
        self.change(&format!("{} -ActiveServers $Null", self.active_servers())).await
    }

    /// Adds servers to the list of active servers, one call per server, in order; those before the
    /// first that fails stay added. Cmdlet: Set-CsPersistentChatActiveServer.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn add_active_servers(&self, server_fqdns: &[&str]) -> Result<(), ShellError> {
        self.modify_active_servers("Add", server_fqdns).await
    }

    /// Takes servers off the list of active servers, one call per server, in order.
    /// Cmdlet: Set-CsPersistentChatActiveServer.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn remove_active_servers(&self, server_fqdns: &[&str]) -> Result<(), ShellError> {
        self.modify_active_servers("Remove", server_fqdns).await
    }

    async fn modify_active_servers(&self, how: &str, fqdns: &[&str]) -> Result<(), ShellError> {
        let calls: Vec<String> = fqdns
            .iter()
            .map(|fqdn| {
                format!("{} -ActiveServers @{{{how}={}}}", self.active_servers(), quote(fqdn))
            })
            .collect();
        if calls.is_empty() {
            return Ok(());
        }
        self.change(&calls.join("; ")).await
    }

    /// The identity of the one collection is spelled differently by the two products' pages.
    fn active_servers(&self) -> String {
        let identity = match self.product {
            Product::LyncServer2013 => "global",
            Product::SkypeForBusinessServer2015 => "PChatServerCollection",
        };
        format!("Set-CsPersistentChatActiveServer -Identity {identity} -Confirm:$false")
    }

    /// Installs the mirror that the topology names for a database. Takes as long as a full backup
    /// and its restore. Cmdlet: Install-CsMirrorDatabase.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn install_mirror(&self, what: &InstallMirror) -> Result<(), ShellError> {
        let mut body = format!(
            "Install-CsMirrorDatabase -DatabaseType {} -FileShare {} -SqlServerFqdn {}",
            what.database_type,
            quote(&what.file_share),
            quote(&what.sql_server_fqdn)
        );
        if let Some(instance) = &what.sql_instance_name {
            body.push_str(&format!(" -SqlInstanceName {}", quote(instance)));
        }
        if what.drop_existing_databases_on_mirror {
            body.push_str(" -DropExistingDatabasesOnMirror");
        }
        body.push_str(" -Confirm:$false");
        self.change(&body).await
    }

    /// Moves the principal role of a mirrored database. `force` is for a current principal that is
    /// lost: transactions may be lost with it. Cmdlet: Invoke-CsDatabaseFailover.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn fail_over_database(
        &self,
        pool_fqdn: &str,
        database_type: DatabaseType,
        new_principal: NewPrincipal,
        force: bool,
    ) -> Result<(), ShellError> {
        let force = if force { " -Force" } else { "" };
        self.change(&format!(
            "Invoke-CsDatabaseFailover -PoolFqdn {} -DatabaseType {database_type} -NewPrincipal \
             {new_principal}{force} -Confirm:$false",
            quote(pool_fqdn)
        ))
        .await
    }

    /// The mirroring state of a pool's database. Cmdlet: Get-CsDatabaseMirrorState.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn mirror_state(
        &self,
        pool_fqdn: &str,
        database_type: DatabaseType,
    ) -> Result<Vec<MirrorState>, ShellError> {
        // The page prints MirroringStatusOnSecondary, live systems are said to give
        // MirroringStatusOnMirror: only one of the two is ever there.
        self.run(&format!(
            "Get-CsDatabaseMirrorState -PoolFqdn {} -DatabaseType {database_type} | Select-Object \
             {}, {}, {}, {}, \
             @{{n='StatusOnMirror';e={{\"$($_.MirroringStatusOnSecondary)$($_.MirroringStatusOnMirror)\"}}}}",
            quote(pool_fqdn),
            as_text("DatabaseName", "DatabaseName"),
            as_text("StateOnPrimary", "StateOnPrimary"),
            as_text("StateOnMirror", "StateOnMirror"),
            as_text("StatusOnPrimary", "MirroringStatusOnPrimary"),
        ))
        .await
    }

    /// Whether servers have the newest settings; one element per server, in order.
    /// Cmdlet: Get-CsManagementStoreReplicationStatus.
    ///
    /// # Errors
    ///
    /// `NotFound` when one of them has no replica, `Unavailable` without a Central Management store;
    /// see [`ShellError`].
    pub async fn replication_status(
        &self,
        server_fqdns: &[&str],
    ) -> Result<Vec<ReplicaStatus>, ShellError> {
        let calls: Vec<String> = server_fqdns
            .iter()
            .map(|fqdn| {
                let fqdn = quote(fqdn);
                format!(
                    "Get-CsManagementStoreReplicationStatus -ReplicaFqdn {fqdn} | Select-Object \
                     @{{n='Replica';e={{{fqdn}}}}}, 'UpToDate', {}",
                    as_text("LastUpdateCreation", "LastUpdateCreation")
                )
            })
            .collect();
        let mut found: Vec<ReplicaStatus> =
            if calls.is_empty() { Vec::new() } else { self.run(&calls.join("; ")).await? };
        // What the shell left out is unknown, not up to date.
        Ok(server_fqdns
            .iter()
            .map(|fqdn| match found.iter().position(|status| status.replica == *fqdn) {
                Some(at) => found.swap_remove(at),
                None => ReplicaStatus {
                    replica: (*fqdn).to_owned(),
                    up_to_date: None,
                    last_update_creation: String::new(),
                },
            })
            .collect())
    }

    /// The Central Management store's active master and file transfer agents.
    /// Cmdlet: Get-CsManagementStoreReplicationStatus, `-CentralManagementStoreStatus`.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn cms_status(&self) -> Result<CmsStatus, ShellError> {
        self.run_one(
            &format!(
                "Get-CsManagementStoreReplicationStatus -CentralManagementStoreStatus | \
                 ForEach-Object {{ [pscustomobject]@{{Master=\"$($_.{MASTER})\"; \
                 Agents=@($_.ActiveFileTransferAgents | ForEach-Object {{ \"$_\" }})}} }}"
            ),
            "status of the Central Management store",
        )
        .await
    }
}

/// Spelled as in "Failing over a pool"; property names do not differ by case.
const MASTER: &str = "ActiveMasterFQDN";

/// `service:<pool FQDN>`, the form of the failover procedure.
pub(crate) fn service(pool_fqdn: &str) -> String {
    quote(&format!("service:{pool_fqdn}"))
}

/// A calculated property that gives another property as text, whatever its type is.
fn as_text(name: &str, property: &str) -> String {
    format!("@{{n='{name}';e={{\"$($_.{property})\"}}}}")
}
