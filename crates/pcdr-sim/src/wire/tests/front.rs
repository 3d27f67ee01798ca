//! A front that answers what the tests tell it to, and echoes procedure parameters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::front::{
    DoneKind, Front, FrontSession, Login, Replies, Reply, Request, Rpc, RpcParameter,
    ServerIdentity, TransactionRequest,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, SqlType, Value};

pub(crate) const USER: &str = "operator";
pub(crate) const PASSWORD: &str = "pässwörd€😀";

/// One thing that a batch of the tests does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Reply),
    Sleep(Duration),
}

/// A server of scripts: a batch names one, and its acts are the answer.
#[derive(Default)]
pub(crate) struct Scripts {
    pub(crate) scripts: Mutex<BTreeMap<String, Vec<Act>>>,
    pub(crate) seen: Mutex<Vec<Request>>,
    pub(crate) sessions: Mutex<Vec<CancellationToken>>,
    pub(crate) logins: Mutex<Vec<Login>>,
    pub(crate) cancelled: Mutex<u32>,
    next: AtomicU16,
}

impl Scripts {
    pub(crate) fn new() -> Arc<Scripts> {
        Arc::default()
    }

    pub(crate) fn script(&self, name: &str, acts: Vec<Act>) {
        self.scripts.lock().unwrap().insert(name.to_owned(), acts);
    }

    pub(crate) fn last_call(&self) -> Rpc {
        match self.seen.lock().unwrap().last() {
            Some(Request::Rpc(call)) => call.clone(),
            other => panic!("the last request was {other:?}"),
        }
    }

    pub(crate) fn kill_all(&self) {
        for session in self.sessions.lock().unwrap().iter() {
            session.cancel();
        }
    }
}

pub(crate) fn done(kind: DoneKind, rows: Option<u64>) -> Act {
    Act::Send(Reply::Done { kind, command: 193, rows, error: false })
}

pub(crate) fn failed(message: SqlMessage) -> Vec<Act> {
    vec![
        Act::Send(Reply::Message(message)),
        Act::Send(Reply::Done { kind: DoneKind::Statement, command: 193, rows: None, error: true }),
    ]
}

/// One result set of one column per value.
pub(crate) fn result(columns: Vec<(SqlType, Value)>) -> Vec<Act> {
    let named = columns
        .iter()
        .enumerate()
        .map(|(index, (ty, _))| Column::new(format!("c{index}"), *ty))
        .collect();
    vec![
        Act::Send(Reply::Columns(named)),
        Act::Send(Reply::Row(columns.into_iter().map(|(_, value)| value).collect())),
        done(DoneKind::Statement, Some(1)),
    ]
}

pub(crate) struct Session {
    server: Arc<Scripts>,
    id: u16,
    ended: CancellationToken,
}

pub(crate) struct ScriptServer(pub(crate) Arc<Scripts>);

#[async_trait]
impl Front for ScriptServer {
    fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            server_name: "SQL-A".to_owned(),
            instance_name: String::new(),
            version: (15, 0, 2000),
        }
    }

    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        self.0.logins.lock().unwrap().push(login.clone());
        if login.user_name != USER || login.password != PASSWORD {
            let text = format!("Login failed for user '{}'.", login.user_name);
            return Err(SqlMessage::new(18456, 14, text).into());
        }
        let ended = CancellationToken::new();
        self.0.sessions.lock().unwrap().push(ended.clone());
        Ok(Box::new(Session {
            server: Arc::clone(&self.0),
            id: 51 + self.0.next.fetch_add(1, Ordering::Relaxed),
            ended,
        }))
    }
}

#[async_trait]
impl FrontSession for Session {
    fn session_id(&self) -> u16 {
        self.id
    }

    fn database(&self) -> String {
        "msdb".to_owned()
    }

    fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    async fn run(&mut self, request: Request, replies: Replies, cancel: CancellationToken) {
        self.server.seen.lock().unwrap().push(request.clone());
        match request {
            Request::Batch(text) => {
                let acts = self.server.scripts.lock().unwrap().get(&text).cloned();
                let acts = acts.unwrap_or_else(|| failed(SqlMessage::new(102, 15, "unknown")));
                for act in acts {
                    match act {
                        Act::Send(reply) => replies.send(reply).await,
                        Act::Sleep(time) => {
                            tokio::select! {
                                () = cancel.cancelled() => {
                                    *self.server.cancelled.lock().unwrap() += 1;
                                    return;
                                }
                                () = tokio::time::sleep(time) => {}
                            }
                        }
                    }
                }
            }
            Request::Rpc(call) => echo(&call.parameters, &replies).await,
            Request::Transaction(request) => {
                replies
                    .send(match request {
                        TransactionRequest::Begin(_) => Reply::TransactionBegun(7),
                        TransactionRequest::Commit => Reply::TransactionCommitted(7),
                        TransactionRequest::Rollback(_) | TransactionRequest::Save(_) => {
                            Reply::TransactionRolledBack(7)
                        }
                    })
                    .await;
                replies
                    .send(Reply::Done {
                        kind: DoneKind::Statement,
                        command: 212,
                        rows: None,
                        error: false,
                    })
                    .await;
            }
        }
    }
}

/// Returns the parameters as a row of their declared types, then those by reference, status -3.
async fn echo(parameters: &[RpcParameter], replies: &Replies) {
    let columns = parameters
        .iter()
        .map(|parameter| Column::new(parameter.name.clone(), parameter.ty))
        .collect();
    let row = parameters.iter().map(|p| p.value.clone()).collect();
    replies.send(Reply::Columns(columns)).await;
    replies.send(Reply::Row(row)).await;
    replies
        .send(Reply::Done {
            kind: DoneKind::InProcedure,
            command: 193,
            rows: Some(1),
            error: false,
        })
        .await;
    replies.send(Reply::ReturnStatus(-3)).await;
    for (ordinal, parameter) in parameters.iter().enumerate() {
        if parameter.output {
            replies
                .send(Reply::ReturnValue {
                    ordinal: ordinal as u16,
                    name: parameter.name.clone(),
                    ty: parameter.ty,
                    value: parameter.value.clone(),
                })
                .await;
        }
    }
    replies
        .send(Reply::Done { kind: DoneKind::Procedure, command: 224, rows: None, error: false })
        .await;
}
