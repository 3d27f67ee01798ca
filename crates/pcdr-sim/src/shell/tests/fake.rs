//! A SQL Server that knows one database and one mirroring session, enough for the shell's batches,
//! and writes down every batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::front::{DoneKind, Front, FrontSession, Login, Replies, Reply, Request, ServerIdentity};
use crate::message::{SqlFailure, SqlMessage};
use crate::shell::{
    ChatPool, ChatServer, FixedConnections, ManagementShell, ShellConfig, ShellTopology, SqlStore,
    SqlStores,
};
use crate::value::{Column, SqlType, Value};

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) batches: Vec<String>,
    /// Role per host, while mirrored.
    pub(super) roles: BTreeMap<String, &'static str>,
    pub(super) databases: BTreeMap<String, bool>,
    pub(super) endpoints: BTreeMap<String, i32>,
    pub(super) pings: BTreeMap<String, u32>,
    pub(super) fail: Option<&'static str>,
}

pub(super) struct FakeServer {
    pub(super) host: String,
    pub(super) world: Arc<Mutex<World>>,
}

struct FakeSession {
    host: String,
    database: String,
    world: Arc<Mutex<World>>,
}

#[async_trait]
impl Front for FakeServer {
    fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            server_name: self.host.clone(),
            instance_name: String::new(),
            version: (12, 0, 5000),
        }
    }

    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        let world = self.world.lock().unwrap();
        let restoring = world.databases.get(&self.host) == Some(&false);
        if login.database == "mgc" && (restoring || !world.databases.contains_key(&self.host)) {
            return Err(SqlMessage::new(4060, 11, "Cannot open database \"mgc\".").into());
        }
        Ok(Box::new(FakeSession {
            host: self.host.clone(),
            database: login.database.clone(),
            world: Arc::clone(&self.world),
        }))
    }
}

impl FakeSession {
    fn answer(&self, batch: &str) -> Result<Option<Vec<Value>>, SqlMessage> {
        let mut world = self.world.lock().unwrap();
        world.batches.push(format!("{}: {batch}", self.host));
        if world.fail.is_some_and(|start| batch.starts_with(start)) {
            return Err(SqlMessage::new(3201, 16, "Cannot open backup device."));
        }
        let host = self.host.clone();
        let online = world.databases.get(&host).copied();
        Ok(if batch.starts_with("SELECT m.mirroring_role_desc") {
            world
                .roles
                .get(&host)
                .map(|role| vec![Value::string(role), Value::string("SYNCHRONIZED")])
        } else if batch.starts_with("SELECT recovery_model_desc") {
            online.map(|_| vec![Value::string("SIMPLE")])
        } else if batch.starts_with("SELECT state_desc") {
            online.map(|_| vec![Value::string("ONLINE")])
        } else if batch.starts_with("SELECT name") {
            online.map(|_| vec![Value::string("mgc")])
        } else if batch.starts_with("SELECT t.port") {
            world.endpoints.get(&host).map(|port| vec![Value::Int(*port)])
        } else {
            if batch.starts_with("CREATE ENDPOINT") {
                world.endpoints.insert(host, 5022);
            } else if batch.starts_with("RESTORE DATABASE") {
                world.databases.insert(host, false);
            } else if batch.starts_with("DROP DATABASE") {
                world.databases.remove(&host);
            } else if batch.contains("SET PARTNER = ") {
                let role = if online == Some(true) { "PRINCIPAL" } else { "MIRROR" };
                world.roles.insert(host, role);
            } else if batch.ends_with("SET PARTNER OFF") {
                world.roles.clear();
            } else if batch.ends_with("SET PARTNER FAILOVER") || batch.contains("FORCE_SERVICE") {
                let hosts: Vec<String> = world.roles.keys().cloned().collect();
                for host in hosts {
                    let principal = world.roles[&host] == "MIRROR";
                    let role = if principal { "PRINCIPAL" } else { "MIRROR" };
                    world.roles.insert(host.clone(), role);
                    world.databases.insert(host, principal);
                }
            } else if batch.starts_with("UPDATE dbo.tblServerIdentity") {
                let id = batch.rsplit(' ').next().unwrap_or_default().to_owned();
                *world.pings.entry(format!("{host} {id}")).or_default() += 1;
            }
            None
        })
    }
}

#[async_trait]
impl FrontSession for FakeSession {
    fn session_id(&self) -> u16 {
        51
    }

    fn database(&self) -> String {
        self.database.clone()
    }

    fn ended(&self) -> CancellationToken {
        CancellationToken::new()
    }

    async fn run(&mut self, request: Request, replies: Replies, _cancel: CancellationToken) {
        let Request::Batch(batch) = request else { return };
        let answer = self.answer(&batch);
        let error = answer.is_err();
        match answer {
            Err(message) => replies.fail(&message.into()).await,
            Ok(row) if batch.starts_with("SELECT") => {
                let columns = vec![Column::new("a", SqlType::SYSNAME); 2];
                replies.send(Reply::Columns(columns)).await;
                if let Some(row) = row {
                    replies.send(Reply::Row(row)).await;
                }
            }
            Ok(_) => {}
        }
        replies
            .send(Reply::Done {
                kind: DoneKind::Statement,
                command: 0,
                rows: Some(u64::from(!batch.starts_with("SELECT"))),
                error,
            })
            .await;
    }
}

fn store(fqdn: &str, site: &str) -> SqlStore {
    SqlStore { fqdn: fqdn.into(), instance: String::new(), site: site.into(), mirroring_port: 5022 }
}

pub(super) struct Bench {
    pub(super) shell: Arc<ManagementShell>,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) connections: Arc<FixedConnections>,
}

impl Bench {
    pub(super) fn new(delay: Duration) -> Bench {
        let world = Arc::new(Mutex::new(World::default()));
        let connections = Arc::new(FixedConnections::default());
        for host in ["sql1.a.test", "sql2.a.test", "sql3.b.test", "sql4.b.test", "wit.a.test"] {
            connections.add(
                host,
                "",
                Arc::new(FakeServer { host: host.into(), world: Arc::clone(&world) }),
            );
        }
        {
            let mut world = world.lock().unwrap();
            world.databases.insert("sql1.a.test".into(), true);
            world.databases.insert("sql3.b.test".into(), true);
        }
        let server = |id: i32, fqdn: &str, site: &str| ChatServer {
            id,
            fqdn: fqdn.into(),
            site: site.into(),
            replication_delay: None,
        };
        let topology = ShellTopology {
            pools: vec![ChatPool {
                fqdn: "chat.test".into(),
                site: "A".into(),
                next_hop: "fe.a.test".into(),
                servers: vec![
                    server(1, "c1.a.test", "A"),
                    server(2, "c2.a.test", "A"),
                    server(5, "c5.b.test", "B"),
                    server(6, "c6.b.test", "B"),
                ],
                content: SqlStores {
                    primary: store("sql1.a.test", "A"),
                    primary_mirror: Some(store("sql2.a.test", "A")),
                    primary_witness: Some(SqlStore {
                        mirroring_port: 7022,
                        ..store("wit.a.test", "A")
                    }),
                    backup: Some(store("sql3.b.test", "B")),
                    backup_mirror: Some(store("sql4.b.test", "B")),
                    backup_witness: None,
                },
                compliance: None,
                active: vec!["c1.a.test".into(), "c2.a.test".into()],
            }],
            cms_fqdn: "fe.a.test".into(),
            cms_site: "A".into(),
            shell_fqdn: "admin.b.test".into(),
            shell_site: "B".into(),
            other_replicas: vec![("fe.a.test".into(), "A".into())],
        };
        let mut config = ShellConfig::new(topology, Arc::clone(&connections) as _);
        config.replication_delay = delay;
        Bench { shell: ManagementShell::new(config), world, connections }
    }

    /// Standard output of a script that must succeed.
    pub(super) async fn ok(&self, script: &str) -> String {
        let output = self.shell.run_script(script, false).await;
        assert_eq!(output.exit_code, 0, "{script}\n{}", output.stderr);
        assert_eq!(output.stderr, "", "{script}");
        output.stdout
    }

    /// Standard error of a script that must fail.
    pub(super) async fn fails(&self, script: &str) -> String {
        let output = self.shell.run_script(script, false).await;
        assert_ne!(output.exit_code, 0, "{script}\n{}", output.stdout);
        output.stderr
    }
}
