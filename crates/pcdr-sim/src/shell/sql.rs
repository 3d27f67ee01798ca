//! The shell's and the chat servers' own SQL client: sessions over [`Front`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::topology::SqlStore;
use crate::front::{Front, FrontSession, Login, Replies, Reply, Request};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Relation, Value};

/// How to reach instances.
pub trait Connections: Send + Sync + 'static {
    /// The server behind a host and instance name, as seen from a site; `None` when nothing
    /// answers there.
    fn connect(&self, from_site: &str, fqdn: &str, instance: &str) -> Option<Arc<dyn Front>>;
}

/// A fixed set of servers, each of which can be made unreachable.
#[derive(Default)]
pub struct FixedConnections {
    servers: Mutex<BTreeMap<String, Arc<dyn Front>>>,
    cut: Mutex<BTreeSet<String>>,
}

impl FixedConnections {
    /// Adds a server under its host and instance name.
    pub fn add(&self, fqdn: &str, instance: &str, front: Arc<dyn Front>) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.insert(key(fqdn, instance), front);
    }

    /// Makes a server unreachable or reachable again.
    pub fn set_reachable(&self, fqdn: &str, instance: &str, reachable: bool) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if reachable {
            cut.remove(&key(fqdn, instance));
        } else {
            cut.insert(key(fqdn, instance));
        }
    }
}

impl Connections for FixedConnections {
    fn connect(&self, _from_site: &str, fqdn: &str, instance: &str) -> Option<Arc<dyn Front>> {
        let key = key(fqdn, instance);
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if cut.contains(&key) {
            return None;
        }
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(&key).cloned()
    }
}

fn key(fqdn: &str, instance: &str) -> String {
    format!("{}\\{}", fqdn.to_lowercase(), instance.to_lowercase())
}

/// Who logs in.
#[derive(Clone, Default)]
pub struct SqlLogin {
    /// Login name.
    pub user_name: String,
    /// Password; never shown.
    pub password: String,
}

impl fmt::Debug for SqlLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlLogin")
            .field("user_name", &self.user_name)
            .field("password", &"…")
            .finish()
    }
}

/// Why SQL work failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlTrouble {
    /// Nothing answers, or the connection broke.
    #[error("the SQL Server instance {0} cannot be reached")]
    Unreachable(String),
    /// The server refused.
    #[error("{0}: {1}")]
    Refused(String, SqlFailure),
}

/// What a batch gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Result sets.
    pub(crate) results: Vec<Relation>,
    /// Rows of the last statement that counted any.
    pub(crate) rows: Option<u64>,
}

impl Answer {
    /// A value of the first row of the first result set, by column number.
    pub(crate) fn first(&self, column: usize) -> Option<&Value> {
        self.results.first()?.rows.first()?.get(column)
    }

    /// The same as text; `None` for NULL.
    pub(crate) fn first_text(&self, column: usize) -> Option<String> {
        match self.first(column)? {
            Value::Null => None,
            Value::String(text) => Some(text.to_string()),
            Value::Int(n) => Some(n.to_string()),
            Value::SmallInt(n) => Some(n.to_string()),
            Value::TinyInt(n) => Some(n.to_string()),
            Value::BigInt(n) => Some(n.to_string()),
            other => Some(format!("{other:?}")),
        }
    }
}

/// An open session.
pub(crate) struct Sql {
    name: String,
    session: Box<dyn FrontSession>,
}

impl Sql {
    /// Logs in.
    pub(crate) async fn open(
        connections: &dyn Connections,
        from_site: &str,
        store: &SqlStore,
        login: &SqlLogin,
        application: &str,
        database: &str,
    ) -> Result<Sql, SqlTrouble> {
        let name = store.name();
        let front = connections
            .connect(from_site, &store.fqdn, &store.instance)
            .ok_or_else(|| SqlTrouble::Unreachable(name.clone()))?;
        let login = Login {
            host_name: "management-shell".into(),
            user_name: login.user_name.clone(),
            password: login.password.clone(),
            access_token: None,
            application_name: application.to_owned(),
            database: database.to_owned(),
            interface_name: ".Net SqlClient Data Provider".into(),
            read_only_intent: false,
            process_id: 1,
            connection: Default::default(),
        };
        match front.login(&login).await {
            Ok(session) => Ok(Sql { name, session }),
            Err(failure) => Err(SqlTrouble::Refused(name, failure)),
        }
    }

    /// Runs a batch. All of its errors come back together.
    pub(crate) async fn run(&mut self, batch: &str) -> Result<Answer, SqlTrouble> {
        let (sender, mut receiver) = mpsc::channel(64);
        let ended = self.session.ended();
        let cancel = CancellationToken::new();
        let mut answer = Answer::default();
        let mut errors: Vec<SqlMessage> = Vec::new();
        let collect = async {
            while let Some(reply) = receiver.recv().await {
                match reply {
                    Reply::Columns(columns) => {
                        answer.results.push(Relation { columns, rows: Vec::new() })
                    }
                    Reply::Row(row) => {
                        if let Some(result) = answer.results.last_mut() {
                            result.rows.push(row);
                        }
                    }
                    Reply::Message(message) if message.is_error() => errors.push(message),
                    Reply::Done { rows: Some(rows), .. } => answer.rows = Some(rows),
                    _ => {}
                }
            }
        };
        let run = self.session.run(Request::Batch(batch.to_owned()), Replies(sender), cancel);
        let both = async {
            tokio::join!(run, collect);
        };
        tokio::select! {
            () = both => {}
            () = ended.cancelled() => return Err(SqlTrouble::Unreachable(self.name.clone())),
        }
        if errors.is_empty() {
            Ok(answer)
        } else {
            Err(SqlTrouble::Refused(self.name.clone(), SqlFailure(errors)))
        }
    }
}

/// A Unicode literal of T-SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}
