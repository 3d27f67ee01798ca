//! The engine behind the wire: logins, and sessions that run T-SQL.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::session::{Instance, SessionHost};
use crate::front::{DoneKind, Front, FrontSession, Login, Replies, Reply, Request, ServerIdentity};
use crate::message::SqlFailure;
use crate::tsql::Interpreter;
use crate::tsql::host::Host as _;
use crate::value::Value;

/// Replies that may wait for whoever reads them.
const UNREAD_REPLIES: usize = 64;

#[async_trait]
impl Front for Instance {
    fn identity(&self) -> ServerIdentity {
        self.with(|instance| ServerIdentity {
            server_name: instance.config.name.clone(),
            instance_name: instance.config.instance_name().to_owned(),
            version: instance.config.version,
        })
        .unwrap_or_else(|| ServerIdentity {
            server_name: self.key().to_owned(),
            instance_name: String::new(),
            version: (15, 0, 4000),
        })
    }

    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        Ok(Box::new(Session::new(self.open(login).await?)))
    }
}

/// A session with its language.
#[derive(Debug)]
pub struct Session {
    host: SessionHost,
    interpreter: Interpreter,
    /// The database that the login gave.
    home: String,
}

impl Session {
    /// A session over a host.
    pub fn new(host: SessionHost) -> Session {
        let home = host.database();
        Session { host, interpreter: Interpreter::new(), home }
    }

    /// Back to the state after login: open work is undone, the first database is current again.
    async fn reset(&mut self, replies: &Replies) {
        self.host.rollback();
        self.host.drop_global_tables();
        self.interpreter.reset();
        // A database that is gone meanwhile leaves the session where it is.
        let _gone = self.host.use_database(&self.home.clone());
        let done = Reply::Done { kind: DoneKind::Procedure, command: 0, rows: None, error: false };
        replies.send(done).await;
    }
}

#[async_trait]
impl FrontSession for Session {
    fn session_id(&self) -> u16 {
        self.host.me.session_id
    }

    fn database(&self) -> String {
        self.host.database()
    }

    fn ended(&self) -> CancellationToken {
        self.host.ended()
    }

    async fn run(&mut self, request: Request, replies: Replies, cancel: CancellationToken) {
        if let Request::Rpc(rpc) = &request
            && rpc.procedure.eq_ignore_ascii_case("sp_reset_connection")
        {
            self.reset(&replies).await;
            return;
        }
        self.host.begin_request("SELECT", &text_of(&request), cancel);
        self.interpreter.run(&mut self.host, request, &replies).await;
        self.host.settle().await;
        self.host.end_request();
    }
}

/// A request as `sys.dm_exec_sql_text` shows it: a batch's text, the statement of `sp_executesql` after
/// its parameters, or a procedure's name.
fn text_of(request: &Request) -> String {
    match request {
        Request::Batch(text) => text.clone(),
        Request::Rpc(rpc) => {
            let text = |index: usize| match rpc.parameters.get(index).map(|p| &p.value) {
                Some(Value::String(text)) => Some(text.as_ref()),
                _ => None,
            };
            let statement = text(0).filter(|_| rpc.procedure.eq_ignore_ascii_case("sp_executesql"));
            match (statement, text(1)) {
                (Some(statement), Some(parameters)) if !parameters.is_empty() => {
                    format!("({parameters}){statement}")
                }
                (Some(statement), _) => statement.to_owned(),
                (None, _) => rpc.procedure.clone(),
            }
        }
        Request::Transaction(_) => String::new(),
    }
}

/// Runs a batch to its end in a session of its own that nobody watches, as a job step does.
///
/// # Errors
///
/// Every error that the batch raised and did not catch, in order.
pub(crate) async fn run_batch(
    host: SessionHost,
    batch: &str,
    cancel: CancellationToken,
) -> Result<(), SqlFailure> {
    let mut session = Session::new(host);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(UNREAD_REPLIES);
    let work = session.run(Request::Batch(batch.to_owned()), Replies(sender), cancel);
    let watch = async {
        let mut errors = Vec::new();
        while let Some(reply) = receiver.recv().await {
            match reply {
                Reply::Message(message) if message.is_error() => errors.push(message),
                _ => {}
            }
        }
        errors
    };
    let ((), errors) = tokio::join!(work, watch);
    if errors.is_empty() { Ok(()) } else { Err(SqlFailure(errors)) }
}
