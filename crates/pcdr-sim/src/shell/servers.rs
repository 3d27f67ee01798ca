//! The chat servers: what they do to the database while they are active.
//!
//! Source: "Persistent Chat database schema", table `tblServerIdentity`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::ManagementShell;
use super::sql::{Sql, SqlTrouble, literal};
use super::topology::{ChatPool, ChatServer, SqlStore};

/// How long a chat server waits for SQL Server.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a chat server's latest attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ping {
    /// It wrote to this instance (`host` or `host\instance`).
    Written(String),
    /// It is down, or not active by its own copy of the settings.
    Idle,
    /// It should serve, but no instance took its write.
    Failed(String),
}

/// Running chat servers of every pool. They stop when this is dropped.
#[derive(Debug)]
pub struct ChatServers {
    _tasks: JoinSet<()>,
    pings: Arc<Mutex<BTreeMap<String, Ping>>>,
}

impl ChatServers {
    /// Starts one task per chat server. Each writes its row of `tblServerIdentity` every `interval`
    /// while it is active and running, into the database that the pool state names.
    pub fn start(shell: &Arc<ManagementShell>, interval: Duration) -> ChatServers {
        let pings = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        for pool in &shell.topology().pools {
            for server in &pool.servers {
                let (shell, pings) = (Arc::clone(shell), Arc::clone(&pings));
                let (pool, server) = (pool.clone(), server.clone());
                let key = server.fqdn.to_lowercase();
                tasks.spawn(async move {
                    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    loop {
                        ticks.tick().await;
                        let ping = tokio::time::timeout(PATIENCE, shell.ping(&pool, &server))
                            .await
                            .unwrap_or_else(|_| {
                                Ping::Failed("SQL Server did not answer in time".to_owned())
                            });
                        pings
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(key.clone(), ping);
                    }
                });
            }
        }
        ChatServers { _tasks: tasks, pings }
    }

    /// The latest attempt of a server; `None` before its first.
    pub fn latest(&self, server_fqdn: &str) -> Option<Ping> {
        self.pings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&server_fqdn.to_lowercase())
            .cloned()
    }
}

impl ManagementShell {
    /// One sign of life of a chat server, if it is active and running.
    async fn ping(&self, pool: &ChatPool, server: &ChatServer) -> Ping {
        let pool_state = {
            let mut state = self.state();
            if !state.server_is_up(&server.fqdn, &server.site) {
                return Ping::Idle;
            }
            match state.replica(&server.fqdn) {
                Some(replica) if replica.applied.is_active(&server.fqdn) => {
                    replica.applied.pool_state(&pool.fqdn)
                }
                _ => return Ping::Idle,
            }
        };
        let Some(pair) = pool.pairs_in(pool_state).into_iter().next() else {
            return Ping::Failed("the topology has no database for the pool state".to_owned());
        };
        // As a client with a failover partner: whichever of the two is the principal lets it in.
        let mut troubles = Vec::new();
        for store in std::iter::once(&pair.primary).chain(&pair.mirror) {
            match self.write_identity(store, pair.database, server).await {
                Ok(()) => return Ping::Written(store.name()),
                Err(why) => troubles.push(why.to_string()),
            }
        }
        Ping::Failed(troubles.join("; "))
    }

    async fn write_identity(
        &self,
        store: &SqlStore,
        database: &str,
        server: &ChatServer,
    ) -> Result<(), SqlTrouble> {
        let mut sql = Sql::open(
            self.connections(),
            &server.site,
            store,
            self.service_login(),
            "Persistent Chat Server",
            database,
        )
        .await?;
        let address =
            literal(&format!("net.tcp://{}:8011/PersistentChat", server.fqdn.to_lowercase()));
        let updated = sql
            .run(&format!(
                "UPDATE dbo.tblServerIdentity SET serverAddress = {address}, serverLastPingTime = \
                 GETUTCDATE() WHERE serverID = {}",
                server.id
            ))
            .await?;
        if updated.rows == Some(0) {
            sql.run(&format!(
                "INSERT INTO dbo.tblServerIdentity (serverID, serverAddress, serverLastPingTime) \
                 VALUES ({}, {address}, GETUTCDATE())",
                server.id
            ))
            .await?;
        }
        Ok(())
    }
}
