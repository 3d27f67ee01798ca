//! Actions on the pool as a person carries them out: the exact cmdlet, and how to see that it took effect.

use pcdr_core::observation::PoolState;
use pcdr_core::step::{NewPrincipal, PoolAction};
use pcdr_core::{DatabaseName, ServerName, Topology};

use crate::quote::quote;
use crate::shell::service;

/// What a person types into the Management Shell, and looks at afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// Cmdlets, one a line; `#` begins what is said to the person.
    pub code: String,
    /// How to see that it took effect.
    pub check: &'static str,
}

/// An action on a pool, by hand.
pub fn by_hand(topology: &Topology, pool: &str, action: &PoolAction) -> ByHand {
    ByHand { code: code(topology, pool, action), check: check(action) }
}

fn check(action: &PoolAction) -> &'static str {
    match action {
        PoolAction::SetState(_) => "`Get-CsPersistentChatState` shows the new state.",
        PoolAction::InstallMirror { .. } => {
            "`Get-CsDatabaseMirrorState` shows principal and mirror, and \
             `sys.database_mirroring.mirroring_state_desc` is SYNCHRONIZED."
        }
        PoolAction::FailOverDatabase { .. } => {
            "`Get-CsDatabaseMirrorState` shows the new principal, and there \
             `sys.database_mirroring.mirroring_role_desc` is PRINCIPAL."
        }
        PoolAction::ClearActiveServers => {
            "no command reads the list back; the chat servers' \
             `tblServerIdentity.serverLastPingTime` stands still."
        }
        PoolAction::AddActiveServer(_) | PoolAction::AwaitServers(_) => {
            "no command reads the list back; after replication the server's \
             `tblServerIdentity.serverLastPingTime` in the new primary moves on."
        }
    }
}

/// `DatabaseType` of a database of the pool.
fn database_type(topology: &Topology, database: &DatabaseName) -> &'static str {
    let compliance = topology.pool().and_then(|pool| pool.compliance_database.as_ref());
    if compliance == Some(database) { "PersistentChatCompliance" } else { "PersistentChat" }
}

fn code(topology: &Topology, pool: &str, action: &PoolAction) -> String {
    match action {
        PoolAction::SetState(state) => {
            let state = match state {
                PoolState::Normal => "Normal",
                PoolState::FailedOver => "FailedOver",
            };
            format!("Set-CsPersistentChatState -Identity {} -PoolState {state}", service(pool))
        }
        PoolAction::InstallMirror { primary, database, file_share, drops_existing, .. } => {
            let kind = database_type(topology, database);
            let found = topology.instance(primary);
            let host = found.map_or(primary.as_str(), |instance| &instance.host);
            let named = found
                .and_then(|instance| instance.instance.as_ref())
                .map_or(String::new(), |name| format!(" -SqlInstanceName {}", quote(name)));
            let dropping = if *drops_existing { " -DropExistingDatabasesOnMirror" } else { "" };
            format!(
                "Install-CsMirrorDatabase -DatabaseType {kind} -FileShare {} -SqlServerFqdn {}{named}\
                 {dropping} -Verbose\n# Answer the question with A (yes to all).",
                quote(file_share),
                quote(host)
            )
        }
        PoolAction::FailOverDatabase { database, new_principal, force, .. } => {
            let new_principal = match new_principal {
                NewPrincipal::Primary => "Primary",
                NewPrincipal::Mirror => "Mirror",
            };
            format!(
                "Invoke-CsDatabaseFailover -PoolFqdn {} -DatabaseType {} -NewPrincipal {new_principal}{} \
                 -Verbose",
                quote(pool),
                database_type(topology, database),
                if *force { " -Force" } else { "" }
            )
        }
        PoolAction::ClearActiveServers => {
            "Set-CsPersistentChatActiveServer -Identity PChatServerCollection -ActiveServers $Null"
                .to_owned()
        }
        PoolAction::AddActiveServer(server) => format!(
            "Set-CsPersistentChatActiveServer -Identity PChatServerCollection -ActiveServers \
             @{{Add={}}}",
            quote(server.as_str())
        ),
        PoolAction::AwaitServers(servers) => {
            let names: Vec<&str> = servers.iter().map(ServerName::as_str).collect();
            format!(
                "# Wait until the last ping of each of these moves on in the new primary:\n# {}\n\
                 # SELECT serverAddress, serverLastPingTime FROM dbo.tblServerIdentity;",
                names.join(", ").replace(['\r', '\n'], " ")
            )
        }
    }
}
