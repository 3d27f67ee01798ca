//! One connection from its first byte to its last: handshake, login, requests, end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::login::Login7;
use super::packet::{FIRST_PACKET_SIZE, Inbox, Message, Outbox, kind};
use super::prelogin::{self, Agreement, Prelogin};
use super::request::{self, Asked};
use super::tls::{HANDSHAKE_RECORD, Transport, Wrapped};
use super::tokens::{self, NO_COMMAND, done};
use super::{Encryption, Metrics, WireConfig, WireError};
use crate::front::{DoneKind, Front, FrontSession, Replies, Reply, Request, Rpc, ServerIdentity};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::Column;

/// Longest PRELOGIN or LOGIN7; a token of a federated login is the longest thing in them.
const LONGEST_LOGIN: usize = 128 << 10;
/// Replies that may wait to be encoded.
const REPLIES: usize = 64;
/// Time that the last words of a connection have to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves one client until it leaves, is refused, or its session ends.
pub(super) async fn serve<S>(
    stream: S,
    front: Arc<dyn Front>,
    config: Arc<WireConfig>,
) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limit = config.login_timeout;
    let login = tokio::time::timeout(limit, log_in(stream, front.as_ref(), &config));
    match login.await {
        Err(_elapsed) => Err(WireError::LoginTimeout(limit)),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some((mut connection, mut session)))) => {
            let outcome = connection.serve_requests(session.as_mut()).await;
            connection.close().await;
            outcome
        }
    }
}

/// PRELOGIN, TLS, LOGIN7; `None` when the client left or was refused.
async fn log_in<S>(
    stream: S,
    front: &dyn Front,
    config: &WireConfig,
) -> Result<Option<(Connection<S>, Box<dyn FrontSession>)>, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let identity = front.identity();
    let setting = match config.identity {
        Some(_) => config.encryption,
        None => Encryption::Off,
    };
    let mut transport = Transport::Plain(Wrapped::new(stream));
    let Some(first) = transport.first_byte().await? else {
        return Ok(None);
    };
    let strict = first == HANDSHAKE_RECORD;
    if strict {
        let Some(certificate) = &config.identity else {
            return Err(WireError::Encryption("strict mode needs a certificate"));
        };
        transport = transport.encrypt(certificate, false).await?;
    }

    let mut connection = Connection {
        transport,
        inbox: Inbox::new(LONGEST_LOGIN, Arc::clone(&config.metrics)),
        outbox: Outbox::new(config.faults.payload_per_packet),
        identity,
        stop_grace: config.stop_grace,
        metrics: Arc::clone(&config.metrics),
    };
    let Some(message) = connection.receive().await? else {
        return Ok(None);
    };
    if message.kind != kind::PRELOGIN {
        return Err(WireError::malformed(
            "PRELOGIN",
            format!("a message of type {:#04x} came first", message.kind),
        ));
    }
    let prelogin = Prelogin::decode(&message.payload)?;
    let (agreement, encryption) = prelogin.agree(setting, strict);
    let answer = prelogin::answer(&connection.identity, encryption, &prelogin);
    connection.outbox.push(&answer);
    connection.finish_message().await?;
    match (agreement, &config.identity) {
        (Agreement::Impossible(why), _) => {
            connection.close().await;
            return Err(WireError::Encryption(why));
        }
        (Agreement::LoginOnly | Agreement::Everything, Some(certificate)) => {
            connection.transport = connection.transport.encrypt(certificate, true).await?;
        }
        _ => {}
    }

    let Some(message) = connection.receive().await? else {
        return Ok(None);
    };
    if agreement == Agreement::LoginOnly {
        connection.transport = connection.transport.decrypt();
    }
    if message.kind != kind::LOGIN {
        return Err(WireError::malformed(
            "LOGIN7",
            format!("a message of type {:#04x} came in its place", message.kind),
        ));
    }
    let login = Login7::decode(
        &message.payload,
        matches!(agreement, Agreement::Everything | Agreement::Strict),
    )?;
    drop(message); // it holds the password
    let outcome = if login.integrated {
        Err(SqlFailure::from(SqlMessage::new(
            18452,
            14,
            "Login failed. The login is from an untrusted domain and cannot be used with \
             Integrated authentication.",
        )))
    } else {
        front.login(&login.login).await
    };
    match outcome {
        Ok(session) => {
            if let Some((host, port)) = front.redirect(&login.login) {
                connection.send_elsewhere(&login, &host, port).await?;
                return Ok(None);
            }
            Metrics::count(&config.metrics.logins);
            let (session_id, database) = (session.session_id(), session.database());
            connection.welcome(&login, session_id, &database).await?;
            connection.inbox.set_limit(config.max_message_bytes);
            Ok(Some((connection, session)))
        }
        Err(refusal) => {
            connection.refuse(&refusal).await?;
            Ok(None)
        }
    }
}

/// A client's connection.
struct Connection<S> {
    transport: Transport<S>,
    inbox: Inbox,
    outbox: Outbox,
    identity: ServerIdentity,
    stop_grace: Duration,
    metrics: Arc<Metrics>,
}

/// What follows a response.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// The next request.
    Next,
    /// The end of the connection.
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn receive(&mut self) -> Result<Option<Message>, WireError> {
        self.inbox.receive(&mut self.transport).await
    }

    fn message(&mut self, message: &SqlMessage) {
        let token = tokens::message(message, &self.identity.server_name);
        self.outbox.push(&token);
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.outbox.flush(&mut self.transport).await
    }

    async fn finish_message(&mut self) -> io::Result<()> {
        self.outbox.end();
        self.flush().await
    }

    /// Ends a response and with it the connection.
    async fn finish_with(&mut self, error: &SqlMessage) {
        self.message(error);
        self.done(done::ERROR | done::SERVER_ERROR);
        self.outbox.end();
        // A client that does not read may not keep its session alive.
        let _unread = tokio::time::timeout(FAREWELL, self.flush()).await;
    }

    fn done(&mut self, status: u16) {
        let token = tokens::done(DoneKind::Statement, status, NO_COMMAND, 0);
        self.outbox.push(&token);
    }

    fn acknowledge_attention(&mut self) {
        /// CurCmd that servers put there.
        const COMMAND: u16 = 0xFD;
        self.outbox.push(&tokens::done(DoneKind::Statement, done::ATTENTION, COMMAND, 0));
    }

    async fn close(&mut self) {
        let _broken = tokio::time::timeout(FAREWELL, self.transport.shutdown()).await;
    }

    async fn welcome(&mut self, login: &Login7, session_id: u16, database: &str) -> io::Result<()> {
        self.outbox.set_session_id(session_id);
        self.outbox.push(&tokens::database_change(database, "master"));
        self.message(&SqlMessage::new(
            5701,
            10,
            format!("Changed database context to '{database}'."),
        ));
        self.outbox.push(&tokens::collation_change());
        self.outbox.push(&tokens::language_change("us_english"));
        self.message(&SqlMessage::new(5703, 10, "Changed language setting to us_english."));
        self.outbox.push(&tokens::login_ack(login.login.connection.tds_version, &self.identity));
        let size = usize::from(login.login.connection.packet_size_bytes);
        self.outbox.push(&tokens::packet_size_change(size, FIRST_PACKET_SIZE));
        if login.login.access_token.is_some() {
            self.outbox.push(&tokens::federated_login_acknowledged());
        }
        self.done(0);
        self.finish_message().await?;
        self.outbox.set_packet_size(size);
        Ok(())
    }

    async fn send_elsewhere(&mut self, login: &Login7, host: &str, port: u16) -> io::Result<()> {
        self.outbox.push(&tokens::login_ack(login.login.connection.tds_version, &self.identity));
        self.outbox.push(&tokens::routing(host, port));
        self.done(0);
        self.finish_message().await?;
        self.close().await;
        Ok(())
    }

    async fn refuse(&mut self, refusal: &SqlFailure) -> io::Result<()> {
        for error in &refusal.0 {
            self.message(error);
        }
        self.done(done::ERROR);
        self.finish_message().await?;
        self.close().await;
        Ok(())
    }

    /// Answers requests until the client leaves or the session ends.
    async fn serve_requests(&mut self, session: &mut dyn FrontSession) -> Result<(), WireError> {
        let ended = session.ended();
        loop {
            while let Some(message) = self.inbox.next()? {
                if ended.is_cancelled() {
                    return Ok(());
                }
                if message.kind == kind::ATTENTION {
                    // The response had already ended: the acknowledgement is a message of its own.
                    Metrics::count(&self.metrics.attentions);
                    self.acknowledge_attention();
                    self.finish_message().await?;
                } else {
                    Metrics::count(&self.metrics.requests);
                    if self.answer(session, message, &ended).await? == After::Close {
                        return Ok(());
                    }
                }
            }
            tokio::select! {
                biased;
                () = ended.cancelled() => return Ok(()),
                more = self.inbox.fill(&mut self.transport) => if !more? {
                    return if self.inbox.is_empty() {
                        Ok(())
                    } else {
                        Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()))
                    };
                },
            }
        }
    }

    /// Answers one message.
    async fn answer(
        &mut self,
        session: &mut dyn FrontSession,
        message: Message,
        ended: &CancellationToken,
    ) -> Result<After, WireError> {
        if message.ignored {
            // Not acknowledged like an attention: one completion says that it was ignored. \[MS-TDS\] 2.2.1.7.
            self.done(done::ERROR);
            self.finish_message().await?;
            return Ok(After::Next);
        }
        let asked = request::decode(&message)?;
        let reset = message.reset;
        drop(message);
        if reset {
            self.reset(session, ended).await;
        }
        let requests = match asked {
            Asked::Requests(requests) => requests,
            Asked::Unsupported(what) => {
                self.message(&SqlMessage::new(
                    40517,
                    16,
                    format!("{what} is not supported by this server."),
                ));
                self.done(done::ERROR);
                self.finish_message().await?;
                return Ok(After::Next);
            }
        };
        let mut left = requests.len();
        for request in requests {
            left -= 1;
            let response = Response::new(self, left > 0);
            match response.run(session, request, ended).await? {
                Outcome::Whole => {}
                Outcome::Cut => return Ok(After::Next),
                Outcome::Close => return Ok(After::Close),
            }
        }
        Ok(After::Next)
    }

    /// Brings a pooled session back to how it was after its login. The engine answers it like any
    /// other procedure; the client only sees that it was done.
    async fn reset(&mut self, session: &mut dyn FrontSession, ended: &CancellationToken) {
        let (sender, mut replies) = mpsc::channel(REPLIES);
        let call = Request::Rpc(Rpc {
            procedure: "sp_reset_connection".to_owned(),
            parameters: Vec::new(),
        });
        let cancel = ended.child_token();
        let run = session.run(call, Replies(sender), cancel);
        tokio::pin!(run);
        loop {
            tokio::select! {
                () = &mut run => break,
                Some(_reply) = replies.recv() => {}
            }
        }
        self.outbox.push(&tokens::reset_acknowledged());
    }
}

/// How a response ended.
enum Outcome {
    /// With its last completion.
    Whole,
    /// With the acknowledgement of an attention.
    Cut,
    /// With the connection.
    Close,
}

/// Why a request was told to stop.
enum Stop {
    /// The client asked for it and waits for the acknowledgement.
    Attention,
    /// KILL, or the server stops.
    Killed,
    /// An error of severity 20 or more was sent.
    Fatal,
    /// There is nobody to answer any more, or nothing more can be answered.
    Lost(WireError),
}

impl Stop {
    /// Whether the session goes down with it.
    fn ends_session(&self) -> bool {
        !matches!(self, Stop::Attention)
    }
}

/// A completion that waits for what follows it: only then is its "more" bit known.
struct Held {
    kind: DoneKind,
    status: u16,
    command: u16,
    rows: u64,
}

/// The response to one request.
struct Response<'a, S> {
    connection: &'a mut Connection<S>,
    /// Another response follows in the same message.
    more_follows: bool,
    columns: Vec<Column>,
    held: Option<Held>,
    saw_error: bool,
    /// A message waits that the client should see now.
    urgent: bool,
    stop: Option<Stop>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Response<'a, S> {
    fn new(connection: &'a mut Connection<S>, more_follows: bool) -> Response<'a, S> {
        Response {
            connection,
            more_follows,
            columns: Vec::new(),
            held: None,
            saw_error: false,
            urgent: false,
            stop: None,
        }
    }

    async fn run(
        mut self,
        session: &mut dyn FrontSession,
        request: Request,
        ended: &CancellationToken,
    ) -> Result<Outcome, WireError> {
        let (sender, mut replies) = mpsc::channel(REPLIES);
        let cancel = CancellationToken::new();
        let run = session.run(request, Replies(sender), cancel.clone());
        tokio::pin!(run);
        let grace = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(grace);
        let mut stopping = false;
        let mut listening = true;
        loop {
            while let Ok(reply) = replies.try_recv() {
                self.reply(reply);
                if self.connection.outbox.is_full() {
                    self.flush(ended).await;
                }
            }
            if self.urgent {
                self.connection.outbox.cut();
                self.flush(ended).await;
                self.urgent = false;
            }
            if listening {
                listening = self.listen();
            }
            if let Some(stop) = &self.stop {
                cancel.cancel();
                if stop.ends_session() && !stopping {
                    stopping = true;
                    listening = false;
                    grace.set(tokio::time::sleep(self.connection.stop_grace));
                }
            }
            let connection = &mut *self.connection;
            tokio::select! {
                biased;
                Some(reply) = replies.recv() => self.reply(reply),
                () = &mut run => break,
                () = ended.cancelled(), if !stopping => self.stop = Some(Stop::Killed),
                // The session is dropped under a request that does not stop.
                () = &mut grace, if stopping => break,
                more = connection.inbox.fill(&mut connection.transport), if listening => {
                    match more {
                        Ok(true) => {}
                        Ok(false) => self.lose(io::ErrorKind::UnexpectedEof.into()),
                        Err(error) => self.lose(error),
                    }
                }
            }
        }
        while let Ok(reply) = replies.try_recv() {
            self.reply(reply);
            if self.connection.outbox.is_full() {
                self.flush(ended).await;
            }
        }
        self.finish(ended).await
    }

    /// Looks for an attention in what was received; `false` when there is nothing to look for any
    /// more: a client that sends its next request early has to wait.
    fn listen(&mut self) -> bool {
        match self.connection.inbox.next_kind() {
            None => true,
            Some(kind::ATTENTION) => match self.connection.inbox.next() {
                Ok(None) => true,
                Ok(Some(_attention)) => {
                    Metrics::count(&self.connection.metrics.attentions);
                    if self.stop.is_none() {
                        self.stop = Some(Stop::Attention);
                    }
                    false
                }
                Err(error) => {
                    self.stop = Some(Stop::Lost(error));
                    false
                }
            },
            Some(_request) => false,
        }
    }

    fn lose(&mut self, error: io::Error) {
        self.stop = Some(Stop::Lost(error.into()));
    }

    /// Writes what waits, unless the session ends first.
    async fn flush(&mut self, ended: &CancellationToken) {
        if matches!(self.stop, Some(Stop::Lost(_) | Stop::Killed)) {
            return;
        }
        tokio::select! {
            biased;
            written = self.connection.flush() => if let Err(error) = written {
                self.lose(error);
            },
            // The client does not read; half a packet may be out, so nothing can follow it.
            () = ended.cancelled() => self.lose(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Turns one reply into tokens.
    fn reply(&mut self, reply: Reply) {
        let passes = match &self.stop {
            None => true,
            // What the session has become is true even when its statement was stopped.
            Some(Stop::Attention) => matches!(
                reply,
                Reply::Database { .. }
                    | Reply::TransactionBegun(_)
                    | Reply::TransactionCommitted(_)
                    | Reply::TransactionRolledBack(_)
            ),
            Some(_) => false,
        };
        if !passes {
            return;
        }
        self.release(true);
        let token = match reply {
            Reply::Columns(columns) => {
                let token = tokens::columns(&columns);
                self.columns = columns;
                Ok(token)
            }
            Reply::Row(row) => tokens::row(&self.columns, &row),
            Reply::Message(message) => {
                self.saw_error |= message.is_error();
                self.urgent |= !message.is_error();
                if message.severity >= 20 {
                    self.stop = Some(Stop::Fatal);
                }
                Ok(tokens::message(&message, &self.connection.identity.server_name))
            }
            Reply::Done { kind, command, rows, error } => {
                let mut status = 0;
                if error {
                    status |= done::ERROR;
                }
                if rows.is_some() {
                    status |= done::COUNT;
                }
                self.held = Some(Held { kind, status, command, rows: rows.unwrap_or(0) });
                return;
            }
            Reply::Database { new, old } => Ok(tokens::database_change(&new, &old)),
            Reply::TransactionBegun(id) => Ok(tokens::transaction_begun(id)),
            Reply::TransactionCommitted(id) => Ok(tokens::transaction_committed(id)),
            Reply::TransactionRolledBack(id) => Ok(tokens::transaction_rolled_back(id)),
            Reply::ReturnStatus(status) => Ok(tokens::return_status(status)),
            Reply::ReturnValue { ordinal, name, ty, value } => {
                tokens::return_value(ordinal, &name, ty, &value)
            }
        };
        match token {
            Ok(token) => self.connection.outbox.push(&token),
            Err(error) => self.stop = Some(Stop::Lost(error)),
        }
    }

    /// Sends the completion that waits.
    fn release(&mut self, more: bool) {
        if let Some(held) = self.held.take() {
            let more = if more { done::MORE } else { 0 };
            let token = tokens::done(held.kind, held.status | more, held.command, held.rows);
            self.connection.outbox.push(&token);
        }
    }

    async fn finish(mut self, ended: &CancellationToken) -> Result<Outcome, WireError> {
        // A request may notice the end of its session before the wire does.
        if self.stop.is_none() && ended.is_cancelled() {
            self.stop = Some(Stop::Killed);
        }
        match self.stop.take() {
            None => {
                if self.held.is_none() {
                    self.held = Some(Held {
                        kind: DoneKind::Statement,
                        status: if self.saw_error { done::ERROR } else { 0 },
                        command: NO_COMMAND,
                        rows: 0,
                    });
                }
                self.release(self.more_follows);
                if !self.more_follows {
                    self.connection.outbox.end();
                    self.flush(ended).await;
                }
                match self.stop {
                    Some(Stop::Lost(error)) => Err(error),
                    _ => Ok(Outcome::Whole),
                }
            }
            Some(Stop::Attention) => {
                // As servers do it: the response ends with an error, and the acknowledgement is a message of
                // its own. The vendor's drivers take it in either, tedious only there, tiberius only inside.
                self.release(true);
                self.connection.done(done::ERROR);
                self.connection.outbox.end();
                self.connection.acknowledge_attention();
                self.connection.outbox.end();
                self.flush(ended).await;
                match self.stop {
                    Some(Stop::Lost(error)) => Err(error),
                    _ => Ok(Outcome::Cut),
                }
            }
            Some(Stop::Killed) => {
                self.release(true);
                let killed = SqlMessage::new(
                    596,
                    21,
                    "Cannot continue the execution because the session is in the kill state.",
                );
                self.connection.finish_with(&killed).await;
                Ok(Outcome::Close)
            }
            Some(Stop::Fatal) => {
                self.connection.done(done::ERROR | done::SERVER_ERROR);
                self.connection.outbox.end();
                let _unread = tokio::time::timeout(FAREWELL, self.connection.flush()).await;
                Ok(Outcome::Close)
            }
            Some(Stop::Lost(error @ WireError::Mismatch { .. })) => {
                // A bug of the engine; the client and the test that drives it should see which.
                self.release(true);
                let assertion = SqlMessage::new(3624, 20, format!("Assertion failed: {error}."));
                self.connection.finish_with(&assertion).await;
                Err(error)
            }
            Some(Stop::Lost(error)) => Err(error),
        }
    }
}
