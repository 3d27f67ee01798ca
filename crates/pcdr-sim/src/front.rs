//! The seam between the wire and the engine: what a client asks and what it is answered.
//!
//! The wire (TDS) knows bytes, the engine knows databases; both know only this file of each other.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Row, SqlType, Value};

/// What a server tells about itself before anyone has logged in.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// As in `@@SERVERNAME`; also the server name in every message.
    pub server_name: String,
    /// Instance part of the name; empty for a default instance.
    pub instance_name: String,
    /// major, minor, build.
    pub version: (u8, u8, u16),
}

/// A decoded LOGIN7.
#[derive(Clone)]
pub struct Login {
    /// Client host name.
    pub host_name: String,
    /// Login name.
    pub user_name: String,
    /// Clear text, compared by the engine and dropped.
    pub password: String,
    /// Access token of a federated login, which has neither name nor password.
    pub access_token: Option<String>,
    /// `program_name` of the session.
    pub application_name: String,
    /// Requested database; empty for the login's default database.
    pub database: String,
    /// Client interface library, for example `ODBC`.
    pub interface_name: String,
    /// Read-only intent (TypeFlags bit 5).
    pub read_only_intent: bool,
    /// Client process id.
    pub process_id: u32,
    /// What the two sides agreed on before and in the login.
    pub connection: Agreed,
}

/// What client and server agreed on for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Everything is encrypted, not the login alone.
    pub encrypted: bool,
    /// As in LOGINACK: `0x74000004` is TDS 7.4, `0x08000000` TDS 8.0.
    pub tds_version: u32,
    /// Longest packet, header included.
    pub packet_size_bytes: u16,
}

impl Default for Agreed {
    /// TDS 7.4 without encryption, in packets of the size that clients take when they do not care.
    fn default() -> Agreed {
        Agreed { encrypted: false, tds_version: 0x7400_0004, packet_size_bytes: 4096 }
    }
}

impl Login {
    /// A login with name and password, and nothing else said.
    pub fn sql(user_name: &str, password: &str) -> Login {
        Login {
            host_name: String::new(),
            user_name: user_name.to_owned(),
            password: password.to_owned(),
            access_token: None,
            application_name: String::new(),
            database: String::new(),
            interface_name: String::new(),
            read_only_intent: false,
            process_id: 0,
            connection: Agreed::default(),
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user_name", &self.user_name)
            .field("password", &"…")
            .field("access_token", &self.access_token.as_ref().map(|_| "…"))
            .field("database", &self.database)
            .field("application_name", &self.application_name)
            .finish_non_exhaustive()
    }
}

/// One request of a logged-in client.
#[derive(Debug, Clone)]
pub enum Request {
    /// A plain batch.
    Batch(String),
    /// A remote procedure call; `sp_executesql` and its like arrive here under their names.
    Rpc(Rpc),
    /// A request of the transaction manager.
    Transaction(TransactionRequest),
}

/// A remote procedure call.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// As sent, or the well-known name for a numbered procedure (10 = `sp_executesql`).
    pub procedure: String,
    /// In order.
    pub parameters: Vec<RpcParameter>,
}

/// A parameter of a remote procedure call.
#[derive(Debug, Clone)]
pub struct RpcParameter {
    /// With its `@`; empty when positional.
    pub name: String,
    /// Passed by reference: its final value is returned.
    pub output: bool,
    /// Declared type.
    pub ty: SqlType,
    /// Value on entry.
    pub value: Value,
}

/// A request of the transaction manager. Names may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionRequest {
    /// Begin a transaction of this name.
    Begin(String),
    /// Commit it.
    Commit,
    /// Roll it back, or back to the savepoint of this name.
    Rollback(String),
    /// Set a savepoint of this name.
    Save(String),
}

/// One thing that a server answers. The wire turns the sequence into tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A result set begins.
    Columns(Vec<Column>),
    /// A row of the current result set.
    Row(Row),
    /// An informational message or an error; sent as it happens.
    Message(SqlMessage),
    /// A statement ended.
    Done {
        /// Which of DONE, DONEINPROC and DONEPROC.
        kind: DoneKind,
        /// The statement's code (CurCmd), 0 when none is known.
        command: u16,
        /// Rows returned or affected; `None` when the statement counts none, or under NOCOUNT.
        rows: Option<u64>,
        /// The statement failed.
        error: bool,
    },
    /// The current database changed (ENVCHANGE 1, followed by its INFO 5701 as a message).
    Database {
        /// The new current database.
        new: String,
        /// The database before.
        old: String,
    },
    /// A transaction began, with its descriptor (ENVCHANGE 8).
    TransactionBegun(u64),
    /// The transaction of that descriptor was committed (ENVCHANGE 9).
    TransactionCommitted(u64),
    /// The transaction of that descriptor was rolled back (ENVCHANGE 10).
    TransactionRolledBack(u64),
    /// A procedure's return status.
    ReturnStatus(i32),
    /// The final value of a parameter passed by reference.
    ReturnValue {
        /// Position in the call, from 0.
        ordinal: u16,
        /// With its `@`.
        name: String,
        /// Declared type.
        ty: SqlType,
        /// Final value.
        value: Value,
    },
}

/// Which token ends a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneKind {
    /// A statement of a plain batch.
    Statement,
    /// A statement inside a procedure.
    InProcedure,
    /// A procedure.
    Procedure,
}

/// Where the engine puts its replies. Sending fails when the client is gone; that is not an error
/// of the statement, which goes on until it notices its cancellation.
#[derive(Debug, Clone)]
pub struct Replies(pub mpsc::Sender<Reply>);

impl Replies {
    /// Sends one reply; a client that is gone is ignored.
    pub async fn send(&self, reply: Reply) {
        let _gone = self.0.send(reply).await;
    }

    /// Sends every error of a failure, in order.
    pub async fn fail(&self, failure: &SqlFailure) {
        for message in &failure.0 {
            self.send(Reply::Message(message.clone())).await;
        }
    }
}

/// A server that clients can log in to.
#[async_trait]
pub trait Front: Send + Sync + 'static {
    /// What PRELOGIN and LOGINACK tell.
    fn identity(&self) -> ServerIdentity;

    /// Opens a session, or refuses with the errors that the client is to see.
    ///
    /// # Errors
    ///
    /// 18456, 4060 and their like.
    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure>;

    /// Where a login that was accepted is sent instead, as a read-only listener does: host or
    /// `host\instance`, and port. `None`: it stays here.
    fn redirect(&self, _login: &Login) -> Option<(String, u16)> {
        None
    }
}

/// One session. Dropping it ends the session and rolls back what is open.
#[async_trait]
pub trait FrontSession: Send {
    /// The session id (spid).
    fn session_id(&self) -> u16;

    /// The current database.
    fn database(&self) -> String;

    /// Fires when the session is killed or its server stops: the connection is then closed.
    fn ended(&self) -> CancellationToken;

    /// Runs one request to its end. The last reply is a [`Reply::Done`].
    ///
    /// When `cancel` fires (attention), the running statement is stopped and its work undone; the
    /// wire acknowledges the attention itself.
    async fn run(&mut self, request: Request, replies: Replies, cancel: CancellationToken);
}
