//! A server over real TLS connections that answers batches as a test tells it to.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_core::topology::Encryption;
use pcdr_sim::front::{
    DoneKind, Front, FrontSession, Login, Replies, Reply, Request, ServerIdentity,
};
use pcdr_sim::message::{SqlFailure, SqlMessage};
use pcdr_sim::value::{Column, SqlType, Value};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sim::wire::{CertificateAuthority, Encryption as WireEncryption, Listener, WireConfig};
use pcdr_sql::{Credentials, Endpoint, Limits, Password, SqlInstance, TcpDialer, Trace};
use tokio_util::sync::CancellationToken;

pub const LOGIN: &str = "pcdr";
pub const PASSWORD: &str = "pässwörd '] €";

/// What a batch makes the server do.
pub enum Act {
    /// Answer.
    Send(Reply),
    /// Take time; an attention ends it.
    Sleep(Duration),
    /// End the session, as KILL does.
    Die,
}

type Answer = dyn Fn(&str) -> Vec<Act> + Send + Sync;

pub struct Fake {
    answer: Box<Answer>,
    pub batches: Mutex<Vec<String>>,
    pub attempts: AtomicU32,
    /// Logins that are still refused because the server is starting.
    pub refusals: AtomicU32,
    /// Access token that is accepted.
    pub token: Mutex<Option<String>>,
    /// Where logins are sent on to.
    pub redirect: Mutex<Option<(String, u16)>>,
    next: AtomicU16,
}

/// A running server.
pub struct Server {
    pub fake: Arc<Fake>,
    pub authority: CertificateAuthority,
    pub listener: Listener,
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static) -> Server {
        Server::start_counted(InFlight::new(), answer).await
    }

    /// A server that accepts nothing but TDS 8.0.
    pub async fn start_strict(answer: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static) -> Server {
        Server::start_as(WireEncryption::Strict, InFlight::new(), answer).await
    }

    /// A server whose bytes are counted, for tests in virtual time.
    pub async fn start_counted(
        in_flight: InFlight,
        answer: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static,
    ) -> Server {
        Server::start_as(WireEncryption::On, in_flight, answer).await
    }

    async fn start_as(
        encryption: WireEncryption,
        in_flight: InFlight,
        answer: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static,
    ) -> Server {
        let fake = Arc::new(Fake {
            answer: Box::new(answer),
            batches: Mutex::default(),
            attempts: AtomicU32::default(),
            refusals: AtomicU32::default(),
            token: Mutex::default(),
            redirect: Mutex::default(),
            next: AtomicU16::default(),
        });
        // Each under a name of its own: OpenSSL looks for an issuer by name alone.
        static AUTHORITIES: AtomicU32 = AtomicU32::new(0);
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let authority = CertificateAuthority::new(&format!("test {number}")).unwrap();
        let localhost = Ipv4Addr::LOCALHOST;
        let identity = authority.issue(&["sql1.example.com"], &[localhost.into()]).unwrap();
        let config = Arc::new(WireConfig { encryption, ..WireConfig::with_identity(identity) });
        let front = Arc::new(Shared(Arc::clone(&fake)));
        let address = (localhost, 0).into();
        let listener = Listener::bind_counted(address, front, config, in_flight).await.unwrap();
        Server { fake, authority, listener }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            name: "sql1".to_owned(),
            host: "127.0.0.1".to_owned(),
            tcp_port: Some(self.listener.address().port()),
            instance: None,
            credentials: password(PASSWORD),
            encryption: Encryption::Mandatory,
            ca_bundle: Some(Arc::new(self.authority.pem().as_bytes().to_vec())),
            host_name_in_certificate: None,
            connect_timeout: Duration::from_secs(15),
            application: "pcdr".to_owned(),
            dialer: Arc::new(TcpDialer),
            trace: None,
        }
    }

    pub fn instance(&self) -> SqlInstance {
        self.instance_with(|_| {})
    }

    pub fn traced(&self, trace: &Trace) -> SqlInstance {
        self.instance_with(|endpoint| endpoint.trace = Some(trace.clone()))
    }

    pub fn instance_with(&self, change: impl FnOnce(&mut Endpoint)) -> SqlInstance {
        let mut endpoint = self.endpoint();
        change(&mut endpoint);
        SqlInstance::new("sql1".into(), endpoint, Limits::default())
    }

    pub fn requests(&self) -> u64 {
        self.listener.metrics().requests()
    }

    pub fn logins(&self) -> u64 {
        self.listener.metrics().logins()
    }

    pub fn attempts(&self) -> u32 {
        self.fake.attempts.load(Ordering::Relaxed)
    }
}

struct Shared(Arc<Fake>);

#[async_trait]
impl Front for Shared {
    fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            server_name: "SQL1".to_owned(),
            instance_name: String::new(),
            version: (15, 0, 2000),
        }
    }

    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(login.database, "master");
        let refusals = &self.0.refusals;
        let one_less = |left: u32| left.checked_sub(1);
        if refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return Err(SqlMessage::new(18401, 14, "Server is in script upgrade mode.").into());
        }
        let is_known = match &login.access_token {
            Some(token) => self.0.token.lock().unwrap().as_ref() == Some(token),
            None => login.user_name == LOGIN && login.password == PASSWORD,
        };
        if !is_known {
            let text = format!("Login failed for user '{}'.", login.user_name);
            return Err(SqlMessage::new(18456, 14, text).into());
        }
        Ok(Box::new(Session {
            fake: Arc::clone(&self.0),
            id: 51 + self.0.next.fetch_add(1, Ordering::Relaxed),
            ended: CancellationToken::new(),
        }))
    }

    fn redirect(&self, _login: &Login) -> Option<(String, u16)> {
        self.0.redirect.lock().unwrap().clone()
    }
}

/// The login of the tests with a password.
pub fn password(password: &str) -> Credentials {
    Credentials::SqlLogin { login: LOGIN.to_owned(), password: Password::new(password) }
}

struct Session {
    fake: Arc<Fake>,
    id: u16,
    ended: CancellationToken,
}

#[async_trait]
impl FrontSession for Session {
    fn session_id(&self) -> u16 {
        self.id
    }

    fn database(&self) -> String {
        "master".to_owned()
    }

    fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    async fn run(&mut self, request: Request, replies: Replies, cancel: CancellationToken) {
        let Request::Batch(batch) = request else { panic!("only batches are sent") };
        self.fake.batches.lock().unwrap().push(batch.clone());
        for act in (self.fake.answer)(&batch) {
            match act {
                Act::Send(reply) => replies.send(reply).await,
                Act::Sleep(time) => {
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = tokio::time::sleep(time) => {}
                    }
                }
                Act::Die => {
                    self.ended.cancel();
                    return;
                }
            }
        }
    }
}

pub fn text(value: &str) -> (SqlType, Value) {
    (SqlType::nvarchar(128), Value::string(value))
}

pub fn int(value: i32) -> (SqlType, Value) {
    (SqlType::Int, Value::Int(value))
}

pub fn bit(value: bool) -> (SqlType, Value) {
    (SqlType::Bit, Value::Bit(value))
}

pub fn null(ty: SqlType) -> (SqlType, Value) {
    (ty, Value::Null)
}

/// A result set of one row.
pub fn row(cells: Vec<(&'static str, (SqlType, Value))>) -> Vec<Act> {
    let columns = cells.iter().map(|(name, (ty, _))| Column::new(*name, *ty)).collect();
    let values = cells.into_iter().map(|(_, (_, value))| value).collect();
    vec![Act::Send(Reply::Columns(columns)), Act::Send(Reply::Row(values)), done(Some(1))]
}

pub fn done(rows: Option<u64>) -> Act {
    Act::Send(Reply::Done { kind: DoneKind::Statement, command: 193, rows, error: false })
}

pub fn failed(number: i32, severity: u8, text: &str) -> Vec<Act> {
    vec![
        Act::Send(Reply::Message(SqlMessage::new(number, severity, text))),
        Act::Send(Reply::Done { kind: DoneKind::Statement, command: 193, rows: None, error: true }),
    ]
}

/// A server's time, one hour ahead of UTC.
pub fn now() -> (SqlType, Value) {
    let utc = jiff::civil::date(2026, 3, 1).at(10, 45, 0, 0);
    (SqlType::DateTimeOffset(7), Value::DateTimeOffset { utc, offset_minutes: 60 })
}
