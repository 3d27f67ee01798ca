//! The stand-in's wire: a TDS 7.4 server over any stream, with TLS.
//!
//! [`serve`] speaks to one client until it leaves; [`Listener`] is a thin TCP shell around it. The
//! wire knows bytes and nothing else: what a request means is the business of the
//! [`Front`] it is given.
//!
//! Source: \[MS-TDS\], sections 2.2.1 to 2.2.7. Where vendor clients disagree with each other the
//! file concerned says so.

mod browser;
mod calendar;
mod certificate;
mod collation;
mod cursor;
mod faults;
pub mod inflight;
mod listener;
mod login;
mod packet;
mod prelogin;
mod request;
mod session;
mod tls;
mod tokens;
mod types;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::front::Front;

pub use browser::{Browser, BrowserEntry};
pub use certificate::{CertificateAuthority, CertificateError, Identity};
pub use faults::{Faults, Faulty};
pub use listener::Listener;

/// Why a connection ended in another way than by the client's leaving.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// What the client sent is no TDS 7.4; a server closes such a connection without an answer
    /// (17828, 17832 and 17836 in its error log).
    #[error("the client sent a malformed {what}: {why}")]
    Malformed {
        /// Which part of the conversation.
        what: &'static str,
        /// What was needed and what was found.
        why: String,
    },
    /// A message was longer than [`WireConfig::max_message_bytes`].
    #[error("a message of more than {limit} bytes was sent; raise max_message_bytes to allow it")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The client did not finish its login in time.
    #[error("the client did not log in within {0:?}")]
    LoginTimeout(Duration),
    /// The client's and the server's encryption settings exclude each other.
    #[error("client and server do not agree on encryption: {0}")]
    Encryption(&'static str),
    /// The engine produced a value that its declared type cannot hold: a bug of the engine.
    #[error("the engine sent {found} for {what}, which is declared {declared}")]
    Mismatch {
        /// Which column or parameter.
        what: String,
        /// Its declared type.
        declared: String,
        /// The value.
        found: String,
    },
}

impl WireError {
    fn malformed(what: &'static str, why: impl Into<String>) -> WireError {
        WireError::Malformed { what, why: why.into() }
    }
}

/// How far the server insists on encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// The server has no certificate: it answers "not supported".
    Off,
    /// The client decides: nothing, the login packet alone, or everything.
    #[default]
    On,
    /// Force Encryption: clients that cannot encrypt are turned away.
    Required,
    /// TDS 8.0: TLS before the first packet, nothing else.
    Strict,
}

/// Settings of one server's wire.
#[derive(Clone)]
pub struct WireConfig {
    /// How far the server insists on encryption.
    pub encryption: Encryption,
    /// Certificate and key; without one the server behaves as under [`Encryption::Off`].
    pub identity: Option<Identity>,
    /// Time a client has from its connection to the end of its login.
    pub login_timeout: Duration,
    /// Longest message that is accepted, in bytes, without packet headers.
    pub max_message_bytes: usize,
    /// Time a request that was told to stop has before its session is dropped under it.
    pub stop_grace: Duration,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// What was received so far; share it between the connections of one server.
    pub metrics: Arc<Metrics>,
}

impl Default for WireConfig {
    fn default() -> WireConfig {
        WireConfig {
            encryption: Encryption::On,
            identity: None,
            login_timeout: Duration::from_secs(30),
            max_message_bytes: 64 << 20,
            stop_grace: Duration::from_secs(30),
            faults: Faults::default(),
            metrics: Arc::default(),
        }
    }
}

impl WireConfig {
    /// A server with this certificate that lets the client decide whether to encrypt.
    pub fn with_identity(identity: Identity) -> WireConfig {
        WireConfig { identity: Some(identity), ..WireConfig::default() }
    }
}

/// Counters of one server, for tests that count round trips.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: AtomicU64,
    logins: AtomicU64,
    connections: AtomicU64,
    packets: AtomicU64,
    attentions: AtomicU64,
}

impl Metrics {
    /// Messages that asked for something: batches, procedure calls, transaction requests. Each is
    /// one round trip of its client.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Logins that were accepted.
    pub fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// Connections that were served or are being served.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// TDS packets received.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Attentions received.
    pub fn attentions(&self) -> u64 {
        self.attentions.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves one client on `stream` until it leaves, is refused, or its session ends.
///
/// Dropping the future closes the connection; the session is dropped with it.
///
/// # Errors
///
/// A broken or malformed connection. A refused login is not an error: the client has its answer.
pub async fn serve<S>(
    stream: S,
    front: Arc<dyn Front>,
    config: Arc<WireConfig>,
) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Metrics::count(&config.metrics.connections);
    let stream = Faulty::new(stream, config.faults.clone());
    session::serve(stream, front, config).await
}
