//! What Topology Builder published, as far as Persistent Chat needs it.

use std::time::Duration;

/// The published topology.
#[derive(Debug, Clone, Default)]
pub struct ShellTopology {
    /// Persistent Chat pools.
    pub pools: Vec<ChatPool>,
    /// FQDN of the server that is the active Central Management master.
    pub cms_fqdn: String,
    /// Site of the Central Management store.
    pub cms_site: String,
    /// FQDN of the computer on which the shell runs; it has a local replica.
    pub shell_fqdn: String,
    /// Site of that computer.
    pub shell_site: String,
    /// Further replicas with their sites (Front End servers).
    pub other_replicas: Vec<(String, String)>,
}

/// A Persistent Chat pool.
#[derive(Debug, Clone)]
pub struct ChatPool {
    /// FQDN of the pool.
    pub fqdn: String,
    /// Name of its logical site.
    pub site: String,
    /// FQDN of the Front End pool that routes to it.
    pub next_hop: String,
    /// At most 8.
    pub servers: Vec<ChatServer>,
    /// Stores of `mgc`.
    pub content: SqlStores,
    /// Stores of `mgccomp`, where compliance is enabled.
    pub compliance: Option<SqlStores>,
    /// FQDNs of the servers that are active at first.
    pub active: Vec<String>,
}

/// A chat server.
#[derive(Debug, Clone)]
pub struct ChatServer {
    /// `serverID` in `tblServerIdentity`.
    pub id: i32,
    /// FQDN.
    pub fqdn: String,
    /// Data centre.
    pub site: String,
    /// How long changes of the configuration take to reach it; `None` for the shell's default.
    pub replication_delay: Option<Duration>,
}

/// The SQL stores of one database.
#[derive(Debug, Clone)]
pub struct SqlStores {
    /// Primary.
    pub primary: SqlStore,
    /// Mirror of the primary.
    pub primary_mirror: Option<SqlStore>,
    /// Witness of the primary.
    pub primary_witness: Option<SqlStore>,
    /// Log shipping secondary.
    pub backup: Option<SqlStore>,
    /// Mirror of the secondary.
    pub backup_mirror: Option<SqlStore>,
    /// Witness of the secondary.
    pub backup_witness: Option<SqlStore>,
}

/// A SQL Server instance in the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlStore {
    /// FQDN of the host.
    pub fqdn: String,
    /// Instance name; empty for the default instance.
    pub instance: String,
    /// Data centre.
    pub site: String,
    /// Port of the mirroring endpoint, used where the instance has no endpoint yet.
    pub mirroring_port: u16,
}

impl SqlStore {
    /// `host` or `host\instance`.
    pub fn name(&self) -> String {
        if self.instance.is_empty() {
            self.fqdn.clone()
        } else {
            format!("{}\\{}", self.fqdn, self.instance)
        }
    }

    pub(crate) fn is(&self, fqdn: &str, instance: &str) -> bool {
        self.fqdn.eq_ignore_ascii_case(fqdn) && self.instance.eq_ignore_ascii_case(instance)
    }
}

/// A database with the stores that the pool uses for it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// `PersistentChat` or `PersistentChatCompliance`.
    pub database_type: &'static str,
    /// `mgc` or `mgccomp`.
    pub database: &'static str,
    /// The designed principal.
    pub primary: SqlStore,
    /// Its mirror.
    pub mirror: Option<SqlStore>,
    /// Its witness.
    pub witness: Option<SqlStore>,
}

/// Which databases a pool uses. Source: Set-CsPersistentChatState.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoolState {
    /// The primary databases.
    #[default]
    Normal,
    /// The backup databases.
    FailedOver,
}

impl PoolState {
    /// The documented name.
    pub fn name(self) -> &'static str {
        match self {
            PoolState::Normal => "Normal",
            PoolState::FailedOver => "FailedOver",
        }
    }
}

impl ChatPool {
    /// Every designed pair of this pool, of both databases and both data centres.
    pub fn pairs(&self) -> Vec<Pair> {
        let mut all = Vec::new();
        for state in [PoolState::Normal, PoolState::FailedOver] {
            all.extend(self.pairs_in(state));
        }
        all
    }

    /// The pairs that the pool uses in a state.
    pub fn pairs_in(&self, state: PoolState) -> Vec<Pair> {
        let stores = [
            ("PersistentChat", "mgc", Some(&self.content)),
            ("PersistentChatCompliance", "mgccomp", self.compliance.as_ref()),
        ];
        let mut all = Vec::new();
        for (database_type, database, stores) in stores {
            let Some(stores) = stores else { continue };
            let (primary, mirror, witness) = match state {
                PoolState::Normal => {
                    (Some(&stores.primary), &stores.primary_mirror, &stores.primary_witness)
                }
                PoolState::FailedOver => {
                    (stores.backup.as_ref(), &stores.backup_mirror, &stores.backup_witness)
                }
            };
            if let Some(primary) = primary {
                all.push(Pair {
                    database_type,
                    database,
                    primary: primary.clone(),
                    mirror: mirror.clone(),
                    witness: witness.clone(),
                });
            }
        }
        all
    }
}
