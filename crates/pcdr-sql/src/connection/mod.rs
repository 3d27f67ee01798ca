//! One connection to one instance. The driver is known only here and in the files beside this one.

mod browser;
mod credentials;
mod dial;
mod endpoint;
mod row;

use std::fmt;
use std::time::Duration;

use futures_util::TryStreamExt;
use pcdr_core::topology::Encryption;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryItem, ToSql};
use tokio::time::Instant;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

pub use browser::port_of as ask_browser;
pub use credentials::{Credentials, Password};
pub use dial::{Dialer, NetStream, TcpDialer};
pub use endpoint::Endpoint;
pub use row::{Cell, FromCell, ResultSet, Row};
pub(crate) use row::{LocalTime, ServerTime};

use crate::error::SqlError;
use crate::statement::Statement;
use crate::trace::Trace;

/// How often a server may send us elsewhere before we give up.
const REDIRECTS: usize = 4;

/// How long an attention may take until the connection is given up.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// A logged-in session.
///
/// `is_clean` tells whether the last answer was read to its end; any other connection must be
/// dropped, because the next request would read the rest of the last answer.
pub struct Connection {
    client: Client<Compat<Box<dyn NetStream>>>,
    server: String,
    trace: Option<Trace>,
    busy: bool,
    broken: bool,
    requests: u64,
    last_used: Instant,
    /// Id and login time on the server, once asked for.
    session: Option<(i32, String)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("busy", &self.busy)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// A batch that failed, with the result sets that came before its error.
#[derive(Debug)]
pub struct BatchError {
    /// The first error of the answer; the driver tells no other.
    pub error: SqlError,
    /// Complete and incomplete result sets that were read before.
    pub results: Vec<ResultSet>,
}

impl From<BatchError> for SqlError {
    fn from(error: BatchError) -> SqlError {
        error.error
    }
}

impl Connection {
    /// Connects, verifies the certificate and logs in, once: a refused login is not tried again,
    /// because repeated failures lock accounts.
    ///
    /// # Errors
    ///
    /// [`SqlError::Unreachable`], [`SqlError::Tls`], the server's refusal, or
    /// [`SqlError::TimedOut`] after the endpoint's limit.
    pub async fn open(endpoint: &Endpoint) -> Result<Connection, SqlError> {
        let limit = endpoint.connect_timeout;
        let started = Instant::now();
        let opened = match tokio::time::timeout(limit, open(endpoint)).await {
            Ok(opened) => opened,
            Err(_) => Err(SqlError::Unreachable {
                address: endpoint.to_string(),
                message: format!("no connection within {:.1} s", limit.as_secs_f64()),
            }),
        };
        if let (Some(trace), Err(error)) = (&endpoint.trace, &opened) {
            let outcome = format!("no connection: {error}");
            trace.record(&endpoint.name, started.elapsed(), &outcome, &Statement::query(""));
        }
        opened
    }

    /// Sends one batch and reads its whole answer.
    ///
    /// `limit` bounds the whole request; `None` is for statements that may take hours.
    ///
    /// # Errors
    ///
    /// The first error of the answer, or what broke the connection. After anything but an error of
    /// the server below severity 20 the connection is not clean.
    pub async fn batch(
        &mut self,
        statement: &Statement,
        limit: Option<Duration>,
    ) -> Result<Vec<ResultSet>, BatchError> {
        if !self.is_clean() {
            let error = SqlError::Lost("the session was left in an unknown state".to_owned());
            return Err(BatchError { error, results: Vec::new() });
        }
        let started = Instant::now();
        self.busy = true;
        self.requests += 1;
        let mut results = Vec::new();
        let outcome = {
            let reading = read(&mut self.client, statement, &mut results);
            match limit {
                None => reading.await.map_err(SqlError::running),
                Some(limit) => match tokio::time::timeout(limit, reading).await {
                    Ok(outcome) => outcome.map_err(SqlError::running),
                    Err(_) => Err(SqlError::TimedOut(limit)),
                },
            }
        };
        self.last_used = Instant::now();
        match &outcome {
            Err(error) if error.breaks_connection() => self.broken = true,
            _ => self.busy = false,
        }
        self.record(statement, started, &outcome, &results);
        match outcome {
            Ok(()) => Ok(results),
            Err(error) => Err(BatchError { error, results }),
        }
    }

    /// Tells the server to stop the statement whose `batch` future was dropped, and gives the
    /// connection up: after an attention nobody knows what it would answer next.
    pub(crate) async fn cancel(mut self, statement: &Statement, started: Instant) {
        let _stopped = tokio::time::timeout(CANCEL_LIMIT, self.client.cancel_query()).await;
        self.record(statement, started, &Err(SqlError::Cancelled), &[]);
        let _closed = tokio::time::timeout(Duration::from_secs(1), self.client.close()).await;
    }

    fn record(
        &self,
        statement: &Statement,
        started: Instant,
        outcome: &Result<(), SqlError>,
        results: &[ResultSet],
    ) {
        let Some(trace) = &self.trace else { return };
        let outcome = match outcome {
            Ok(()) => {
                let rows: usize = results.iter().map(|set| set.rows.len()).sum();
                format!("ok, {} result sets, {rows} rows", results.len())
            }
            Err(error) => error.to_string(),
        };
        trace.record(&self.server, started.elapsed(), &outcome, statement);
    }

    /// Whether the last answer was read to its end and nothing broke.
    pub fn is_clean(&self) -> bool {
        !self.busy && !self.broken
    }

    /// Whether it has not been used before.
    pub(crate) fn is_fresh(&self) -> bool {
        self.requests == 0
    }

    /// Who it is on the server, once it was asked.
    pub(crate) fn session(&self) -> Option<(i32, String)> {
        self.session.clone()
    }

    /// Keeps who it is on the server: that never changes.
    pub(crate) fn is_session(&mut self, session_id: i32, login_time: &str) {
        self.session = Some((session_id, login_time.to_owned()));
    }

    /// Time since the last request ended.
    pub(crate) fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }
}

async fn read(
    client: &mut Client<Compat<Box<dyn NetStream>>>,
    statement: &Statement,
    results: &mut Vec<ResultSet>,
) -> Result<(), tiberius::error::Error> {
    let secrets: Vec<&str> = statement.secrets.iter().map(Password::expose).collect();
    let secrets: Vec<&dyn ToSql> = secrets.iter().map(|secret| secret as &dyn ToSql).collect();
    let batch = statement.batch.as_str();
    let mut stream = match secrets.as_slice() {
        [] => client.simple_query(batch).await?,
        secrets => client.query(batch, secrets).await?, // sp_executesql
    };
    while let Some(item) = stream.try_next().await? {
        match item {
            QueryItem::Metadata(metadata) => {
                let columns = metadata.columns().iter().map(|c| c.name().to_owned());
                results.push(ResultSet::new(columns.collect()));
            }
            QueryItem::Row(row) => {
                if let Some(set) = results.last_mut() {
                    set.push(row.into_token_row().into_iter());
                }
            }
        }
    }
    Ok(())
}

async fn open(endpoint: &Endpoint) -> Result<Connection, SqlError> {
    let mut host = endpoint.host.clone();
    let mut port = endpoint.port().await?;
    let method = endpoint.credentials.method(endpoint.trace.as_ref()).await?;
    for _ in 0..=REDIRECTS {
        let address = format!("{host}:{port}");
        let stream = endpoint.dialer.dial(&host, port).await;
        let stream = stream.map_err(|error| SqlError::Unreachable {
            address: address.clone(),
            message: error.to_string(),
        })?;
        let config = config(endpoint, &host, port, method.clone());
        match Client::connect(config, stream.compat_write()).await {
            Ok(client) => {
                return Ok(Connection {
                    client,
                    server: endpoint.name.clone(),
                    trace: endpoint.trace.clone(),
                    busy: false,
                    broken: false,
                    requests: 0,
                    last_used: Instant::now(),
                    session: None,
                });
            }
            Err(tiberius::error::Error::Routing { host: new_host, port: new_port }) => {
                let server = new_host.split('\\').next().unwrap_or_default();
                host = server.to_owned();
                port = new_port;
            }
            Err(error) => return Err(SqlError::connecting(&address, error)),
        }
    }
    Err(SqlError::Protocol(format!("{endpoint} redirected more than {REDIRECTS} times")))
}

/// A configuration for one attempt; never changed from attempt to attempt.
///
/// The driver forms the service principal name of host and port, and so it gets the port that the
/// instance listens on and no instance name: the server would compare that one after a redirect.
fn config(endpoint: &Endpoint, host: &str, port: u16, method: AuthMethod) -> Config {
    let mut config = Config::new();
    config.host(host);
    config.port(port);
    config.database("master");
    config.application_name(&endpoint.application);
    config.encryption(match endpoint.encryption {
        Encryption::Mandatory => EncryptionLevel::Required,
        Encryption::Strict => EncryptionLevel::Strict,
    });
    if let Some(bundle) = &endpoint.ca_bundle {
        config.trust_cert_ca_bundle(bundle.as_slice());
    }
    if let Some(name) = &endpoint.host_name_in_certificate {
        config.hostname_in_certificate(name);
    }
    config.authentication(method);
    // Both run on a wall clock of the driver's own, and the second would end a long RESTORE.
    config.handshake_timeout(None);
    config.command_timeout(None);
    config
}
