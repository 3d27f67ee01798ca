//! Pooled connections of one instance: bounded, opened when needed, and never reused when in doubt.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bb8::{ErrorSink, ManageConnection, PooledConnection};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::connection::{Connection, Endpoint, ResultSet};
use crate::error::SqlError;
use crate::statement::{self, Statement};

/// Statements of each kind, short and long, that an instance is given at once; more wait for their turn.
/// Databases are worked on side by side, and a hundred backups at once would help nobody.
pub const SIDE_BY_SIDE: u32 = 16;

/// A connection that was used within this time is taken without asking it first.
const TRUSTED_FOR: Duration = Duration::from_secs(30);

/// Limit for asking a connection whether it still works.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// The connections of one instance.
pub struct Pool {
    endpoint: Arc<Endpoint>,
    /// Built when first needed: building starts a task, which needs a runtime.
    pooled: OnceLock<bb8::Pool<Manager>>,
    errors: Errors,
    /// Turns for pooled connections: waiting for one has no limit, since each request has one.
    short: Semaphore,
    /// Turns for long statements.
    long: Arc<Semaphore>,
    /// Idle connections for long statements; never more than turns.
    dedicated: Mutex<Vec<Connection>>,
}

/// A connection of one's own for long statements, and the turn that it takes.
#[derive(Debug)]
pub struct Dedicated {
    /// The connection.
    pub connection: Connection,
    turn: OwnedSemaphorePermit,
}

impl Dedicated {
    /// The connection, and the turn to hold for as long as it works.
    pub(crate) fn into_parts(self) -> (Connection, OwnedSemaphorePermit) {
        (self.connection, self.turn)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool; nothing is opened yet.
    pub fn new(endpoint: Endpoint) -> Pool {
        Pool {
            endpoint: Arc::new(endpoint),
            pooled: OnceLock::new(),
            errors: Errors::default(),
            short: Semaphore::new(SIDE_BY_SIDE as usize),
            long: Arc::new(Semaphore::new(SIDE_BY_SIDE as usize)),
            dedicated: Mutex::default(),
        }
    }

    fn pooled(&self) -> &bb8::Pool<Manager> {
        self.pooled.get_or_init(|| {
            bb8::Pool::builder()
                .max_size(SIDE_BY_SIDE)
                .min_idle(None)
                // Otherwise one refused login becomes five, which locks accounts out.
                .retry_connection(false)
                .test_on_check_out(true)
                // A connection is free for every turn; opening one has its own limit.
                .connection_timeout(self.endpoint.connect_timeout + Duration::from_secs(60))
                .error_sink(Box::new(self.errors.clone()))
                .build_unchecked(Manager { endpoint: Arc::clone(&self.endpoint) })
        })
    }

    /// Sends a batch that only reads, over a pooled connection. When a connection that had been
    /// idle turns out to be gone, once more over a new one: reading twice changes nothing.
    ///
    /// # Errors
    ///
    /// The batch's or the connection's.
    pub async fn read(
        &self,
        statement: &Statement,
        limit: Duration,
    ) -> Result<Vec<ResultSet>, SqlError> {
        let _turn = self.short.acquire().await; // never closed
        loop {
            let mut connection = self.get().await?;
            let was_fresh = connection.is_fresh();
            match connection.batch(statement, Some(limit)).await {
                Ok(results) => return Ok(results),
                Err(failed) if failed.error.ends_session() && !was_fresh => {}
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Sends a batch that changes something, over a pooled connection, once.
    ///
    /// # Errors
    ///
    /// The batch's or the connection's.
    pub async fn change(
        &self,
        statement: &Statement,
        limit: Duration,
    ) -> Result<Vec<ResultSet>, SqlError> {
        let _turn = self.short.acquire().await; // never closed
        let mut connection = self.get().await?;
        Ok(connection.batch(statement, Some(limit)).await?)
    }

    /// A pooled connection. The error of a failed attempt to connect comes at once; the pool alone
    /// would tell nothing but a time-out.
    async fn get(&self) -> Result<PooledConnection<'_, Manager>, SqlError> {
        let failed = self.errors.notify.notified();
        tokio::pin!(failed);
        failed.as_mut().enable();
        tokio::select! {
            biased;
            connection = self.pooled().get() => match connection {
                Ok(connection) => Ok(connection),
                Err(bb8::RunError::User(error)) => Err(error),
                Err(bb8::RunError::TimedOut) => Err(self.errors.last().unwrap_or_else(|| {
                    SqlError::TimedOut(self.pooled().config().connection_timeout)
                })),
            },
            () = failed => Err(self.errors.last().unwrap_or_else(|| SqlError::Unreachable {
                address: self.endpoint.to_string(),
                message: "no connection could be made".to_owned(),
            })),
        }
    }

    /// A connection of one's own, for statements that may take hours.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub async fn dedicated(&self) -> Result<Dedicated, SqlError> {
        let turn = Arc::clone(&self.long).acquire_owned().await;
        let turn = turn.map_err(|closed| SqlError::Lost(closed.to_string()))?;
        let idle = || {
            let mut kept = self.dedicated.lock().unwrap_or_else(PoisonError::into_inner);
            kept.pop()
        };
        while let Some(mut connection) = idle() {
            if is_alive(&mut connection).await.is_ok() {
                return Ok(Dedicated { connection, turn });
            }
        }
        let connection = Connection::open(&self.endpoint).await?;
        Ok(Dedicated { connection, turn })
    }

    /// Keeps a connection for the next long statement, if it may be used again.
    pub fn keep(&self, connection: Connection) {
        let mut kept = self.dedicated.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.is_clean() && kept.len() < SIDE_BY_SIDE as usize {
            kept.push(connection);
        }
    }

    /// Where it connects to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

async fn is_alive(connection: &mut Connection) -> Result<(), SqlError> {
    if !connection.is_clean() {
        return Err(SqlError::Lost("in an unknown state".to_owned()));
    }
    if connection.idle() < TRUSTED_FOR {
        return Ok(());
    }
    connection.batch(&statement::check(), Some(CHECK_LIMIT)).await?;
    Ok(())
}

/// Opens and judges connections for the pool.
struct Manager {
    endpoint: Arc<Endpoint>,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = SqlError;

    async fn connect(&self) -> Result<Connection, SqlError> {
        Connection::open(&self.endpoint).await
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), SqlError> {
        // The pool opens another one then; only `connect` may end the wait of `get`.
        is_alive(connection).await.map_err(|error| SqlError::Lost(error.to_string()))
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_clean()
    }
}

/// Keeps the last error of the pool's attempts to connect, and wakes who waits for a connection.
#[derive(Clone, Default)]
struct Errors {
    last: Arc<Mutex<Option<SqlError>>>,
    notify: Arc<Notify>,
}

impl Errors {
    fn last(&self) -> Option<SqlError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Errors")
    }
}

impl ErrorSink<SqlError> for Errors {
    fn sink(&self, error: SqlError) {
        if matches!(error, SqlError::Lost(_)) {
            return;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.notify.notify_waiters();
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<SqlError>> {
        Box::new(self.clone())
    }
}
