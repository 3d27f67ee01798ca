//! The core's pool port over the cmdlets: translation only.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pcdr_core::observation::{self, PoolObservation};
use pcdr_core::ports::{PoolControl, Progress};
use pcdr_core::step::{self, PoolAction};
use pcdr_core::topology::{Pool, Topology};
use pcdr_core::{DatabaseName, ErrorCode, InstanceError, InstanceName, Known, Reason};

use crate::error::{ShellError, ShellErrorKind};
use crate::shell::{DatabaseType, InstallMirror, NewPrincipal, PoolState, Shell};

/// A Persistent Chat pool behind a Management Shell.
#[derive(Debug, Clone)]
pub struct ShellPool {
    shell: Shell,
    pool: Pool,
    /// Host and instance name, as the cmdlets take them.
    hosts: BTreeMap<InstanceName, (String, Option<String>)>,
}

impl ShellPool {
    /// The topology's pool; `None` when it has none.
    pub fn new(shell: Shell, topology: &Topology) -> Option<ShellPool> {
        let hosts = topology
            .instances()
            .map(|i| (i.name.clone(), (i.host.clone(), i.instance.clone())))
            .collect();
        Some(ShellPool { shell, pool: topology.pool()?.clone(), hosts })
    }

    fn failed(&self, needed: &str, error: ShellError) -> InstanceError {
        let (code, remedy) = match error.kind {
            ShellErrorKind::NotStarted => (
                ErrorCode::Unreachable,
                "Check the command under [management_shell] in the topology; nothing was changed.",
            ),
            ShellErrorKind::Interrupted => (
                ErrorCode::ConnectionLost,
                "Observe again: what the cmdlet did is unknown until then.",
            ),
            ShellErrorKind::NoAnswer | ShellErrorKind::UnexpectedAnswer => (
                ErrorCode::Protocol,
                "Run the command under [management_shell] by hand and look at what it prints.",
            ),
            ShellErrorKind::CommandNotFound => (
                ErrorCode::Cmdlet,
                "Install the product's administrative tools where the Management Shell runs.",
            ),
            ShellErrorKind::PermissionDenied => (
                ErrorCode::PermissionDenied,
                "Run the Management Shell as a member of RTCUniversalServerAdmins, and check that \
                 the Central Management store is not read-only.",
            ),
            ShellErrorKind::Unavailable => (
                ErrorCode::Cmdlet,
                "Repair what the message names; if it is the Central Management store, fail it over \
                 (Invoke-CsManagementServerFailover).",
            ),
            _ => (ErrorCode::Cmdlet, "Do what the cmdlet's message says, then plan again."),
        };
        let found = error.to_string();
        let mut translated =
            InstanceError::new(code, self.pool.fqdn.as_str(), needed, found, remedy);
        translated.source = Some(std::sync::Arc::new(error));
        translated
    }

    fn known<T>(&self, needed: &str, result: Result<T, ShellError>) -> Known<T> {
        match result {
            Ok(fact) => Known::Known(fact),
            Err(error) => {
                let error = self.failed(needed, error);
                Known::Unknown(Reason::new(error.code.as_str(), error.found))
            }
        }
    }

    fn database_type(
        &self,
        database: &DatabaseName,
        needed: &str,
    ) -> Result<DatabaseType, InstanceError> {
        if *database == self.pool.database {
            Ok(DatabaseType::PersistentChat)
        } else if self.pool.compliance_database.as_ref() == Some(database) {
            Ok(DatabaseType::PersistentChatCompliance)
        } else {
            Err(InstanceError::new(
                ErrorCode::Cmdlet,
                self.pool.fqdn.as_str(),
                needed,
                format!("{database} is no database of the pool"),
                "Make a new plan.",
            ))
        }
    }

    async fn install(&self, action: &PoolAction) -> Result<(), InstanceError> {
        let PoolAction::InstallMirror { primary, database, file_share, drops_existing, .. } =
            action
        else {
            return Ok(());
        };
        let needed = "a mirror of the new primary was needed";
        let Some((host, instance)) = self.hosts.get(primary) else {
            return Err(InstanceError::new(
                ErrorCode::Cmdlet,
                self.pool.fqdn.as_str(),
                needed,
                format!("{primary} is not in the topology"),
                "Make a new plan.",
            ));
        };
        let database_type = self.database_type(database, needed)?;
        let what = InstallMirror {
            database_type,
            file_share: file_share.clone(),
            sql_server_fqdn: host.clone(),
            sql_instance_name: instance.clone(),
            drop_existing_databases_on_mirror: *drops_existing,
        };
        self.shell.install_mirror(&what).await.map_err(|error| self.failed(needed, error))
    }
}

#[async_trait]
impl PoolControl for ShellPool {
    async fn observe(&self) -> Result<PoolObservation, InstanceError> {
        let fqdn = self.pool.fqdn.as_str();
        let servers: Vec<&str> =
            self.pool.servers.iter().map(|server| server.fqdn.as_str()).collect();
        let (state, replicas, cms) = tokio::join!(
            self.shell.pool_state(fqdn),
            self.shell.replication_status(&servers),
            self.shell.cms_status(),
        );
        if let Err(error) = &state
            && matches!(error.kind, ShellErrorKind::NotStarted | ShellErrorKind::CommandNotFound)
        {
            return Err(self.failed("the Management Shell was needed", error.clone()));
        }
        let state = state.map(|state| match state {
            PoolState::Normal => observation::PoolState::Normal,
            PoolState::FailedOver => observation::PoolState::FailedOver,
        });
        // A server of which the shell does not say whether it is up to date is left out: unknown.
        let replicas = replicas.map(|all| {
            let said = all.into_iter().filter_map(|r| Some((r.replica.into(), r.up_to_date?)));
            said.collect()
        });
        Ok(PoolObservation {
            state: self.known("the pool state was needed", state),
            replicas_up_to_date: self.known("the replication status was needed", replicas),
            is_configuration_writable: self.known(
                "the Central Management store was needed",
                cms.map(|status| status.is_available()),
            ),
        })
    }

    async fn run(
        &self,
        action: &PoolAction,
        _progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let fqdn = self.pool.fqdn.as_str();
        let (needed, result) = match action {
            PoolAction::SetState(state) => {
                let state = match state {
                    observation::PoolState::Normal => PoolState::Normal,
                    observation::PoolState::FailedOver => PoolState::FailedOver,
                };
                ("the pool state changed was needed", self.shell.set_pool_state(fqdn, state).await)
            }
            PoolAction::InstallMirror { .. } => return self.install(action).await,
            PoolAction::FailOverDatabase { database, new_principal, force, .. } => {
                let needed = "the other partner as principal was needed";
                let database_type = self.database_type(database, needed)?;
                let new_principal = match new_principal {
                    step::NewPrincipal::Primary => NewPrincipal::Primary,
                    step::NewPrincipal::Mirror => NewPrincipal::Mirror,
                };
                let failed_over =
                    self.shell.fail_over_database(fqdn, database_type, new_principal, *force);
                (needed, failed_over.await)
            }
            PoolAction::ClearActiveServers => {
                ("an empty active list was needed", self.shell.clear_active_servers().await)
            }
            // Whether servers write is read back from the database.
            PoolAction::AwaitServers(_) => return Ok(()),
            PoolAction::AddActiveServer(server) => (
                "another active server was needed",
                self.shell.add_active_servers(&[server.as_str()]).await,
            ),
        };
        result.map_err(|error| self.failed(needed, error))
    }
}
