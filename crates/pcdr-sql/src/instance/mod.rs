//! One SQL Server instance as the core's ports see it.

mod answers;
mod database;
mod drill;
mod jobs;
mod log_shipping;
mod log_shipping_removal;
mod mirroring;
#[cfg(test)]
mod reading;
mod restore;
mod sessions;
mod tail;
mod take_back;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use pcdr_core::backup::BackupHeader;
use pcdr_core::discover::Survey;
use pcdr_core::drill::{Beside, BesideQuestion};
use pcdr_core::observation::InstanceObservation;
use pcdr_core::ports::{DatabaseInstance, LogShippingJobs, Progress};
use pcdr_core::step::{DatabaseAction, LogShippingAction};
use pcdr_core::topology::SecretSource;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError, InstanceName, Known, Topology};

use crate::connection::{Connection, Endpoint, Password, ResultSet, Row};
use crate::error::SqlError;
use crate::pool::Pool;
use crate::statement::{self, Statement};
use crate::{header, observation};

/// How long things may take before pcdr gives up on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A query, or a change that takes effect at once.
    pub query: Duration,
    /// One run of a log shipping job.
    pub job: Duration,
    /// Until a mirroring session is SYNCHRONIZED, or has swapped its roles.
    pub mirroring: Duration,
    /// Until no session is left in a database, their rollbacks included.
    pub sessions: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            query: Duration::from_secs(30),
            job: Duration::from_secs(3600),
            mirroring: Duration::from_secs(1800),
            sessions: Duration::from_secs(60),
        }
    }
}

/// One instance. Nothing is opened before it is needed.
#[derive(Debug)]
pub struct SqlInstance {
    name: InstanceName,
    pool: Pool,
    limits: Limits,
    secrets: Secrets,
}

/// Where the secrets are that an instance is told, each read when it is needed.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// The password of the login that reports to the monitor.
    pub monitor_password: Option<SecretSource>,
}

impl Secrets {
    /// Where the topology says that they are.
    pub fn of(topology: &Topology) -> Secrets {
        let monitor_login = topology.log_shipping().monitor_login.as_ref();
        Secrets { monitor_password: monitor_login.map(|login| login.password.clone()) }
    }
}

impl SqlInstance {
    /// An instance by its endpoint.
    pub fn new(name: InstanceName, endpoint: Endpoint, limits: Limits) -> SqlInstance {
        SqlInstance { name, pool: Pool::new(endpoint), limits, secrets: Secrets::default() }
    }

    /// The same with the secrets that configuring it needs.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> SqlInstance {
        SqlInstance { secrets, ..self }
    }

    /// Reads a secret, and masks it in the trace, where it should never turn up.
    async fn secret(
        &self,
        source: Option<&SecretSource>,
        what: &str,
    ) -> Result<Password, SqlError> {
        let Some(source) = source else {
            return Err(SqlError::Secret(format!("the topology names no place for {what}")));
        };
        let secret = Password::read_aside(source.clone()).await?;
        if secret.length() > statement::LONGEST_PASSWORD {
            return Err(SqlError::Secret(format!(
                "{what} may have {} characters, and has more",
                statement::LONGEST_PASSWORD
            )));
        }
        if let Some(trace) = &self.pool.endpoint().trace {
            trace.mask(&secret);
        }
        Ok(secret)
    }

    /// Its name in the topology.
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    /// Opens one connection and closes it: tells at once whether address, certificate and login are
    /// right.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub async fn check(&self) -> Result<(), InstanceError> {
        let opened = Connection::open(self.pool.endpoint()).await;
        let connection = opened.map_err(|error| self.error(&error, "a connection was needed"))?;
        self.pool.keep(connection);
        Ok(())
    }

    /// Reads everything on the instance that a topology could speak of: one batch, one round trip.
    ///
    /// # Errors
    ///
    /// Only when the instance cannot be asked at all; a section that cannot be read is unknown by itself.
    pub async fn survey(&self) -> Result<Survey, InstanceError> {
        let surveyed = async {
            let sets = self.read(&statement::survey::survey()?).await?;
            observation::read_survey(&sets)
        };
        surveyed.await.map_err(|error| self.error(&error, "a survey was needed"))
    }

    /// Reads the header of the first backup set of a file, as this instance sees it.
    ///
    /// # Errors
    ///
    /// The server's, with its first error as cause.
    pub async fn header(&self, path: &str) -> Result<BackupHeader, SqlError> {
        let sets = self.read(&statement::files::header(path)?).await?;
        header::read_one(&sets)
    }

    /// Reads the headers of many files: many in a round trip, and a few round trips side by side, because
    /// each file has to be opened, which takes longer than to send its name. A header that cannot be read
    /// is unknown, with the server's first error as reason.
    ///
    /// # Errors
    ///
    /// Only when the instance cannot be asked at all.
    pub async fn headers(
        &self,
        paths: &[String],
    ) -> Result<Vec<Known<BackupHeader>>, InstanceError> {
        const TOGETHER: (usize, usize) = (8, 50);
        const SIDE_BY_SIDE: usize = 8;
        let together = paths.len().div_ceil(SIDE_BY_SIDE).clamp(TOGETHER.0, TOGETHER.1);
        let mut chunks = Vec::new();
        for chunk in paths.chunks(together) {
            chunks.push(self.headers_of(chunk));
        }
        let read: Vec<Vec<_>> =
            futures_util::stream::iter(chunks).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The headers of files in one round trip, and one more for each that cannot be read: its first error
    /// names the cause.
    async fn headers_of(
        &self,
        paths: &[String],
    ) -> Result<Vec<Known<BackupHeader>>, InstanceError> {
        let needed = "the headers of backup files were needed";
        let mut headers = match self.headers_together(paths).await {
            Ok(headers) => headers,
            // An error that ends a batch at one file says nothing about the others.
            Err(SqlError::Server(_) | SqlError::Quote(_)) => {
                vec![Known::unknown("not_answered", "not answered"); paths.len()]
            }
            Err(error) => return Err(self.error(&error, needed)),
        };
        for (header, path) in headers.iter_mut().zip(paths) {
            if header.reason().is_some() {
                *header = self.header_or_reason(path, needed).await?;
            }
        }
        Ok(headers)
    }

    async fn headers_together(
        &self,
        paths: &[String],
    ) -> Result<Vec<Known<BackupHeader>>, SqlError> {
        let statement = statement::files::headers(paths.iter().map(String::as_str))?;
        let sets = self.read(&statement).await?;
        header::read_many(&sets, paths.len())
    }

    async fn header_or_reason(
        &self,
        path: &str,
        needed: &str,
    ) -> Result<Known<BackupHeader>, InstanceError> {
        match self.header(path).await {
            Ok(header) => Ok(Known::Known(header)),
            Err(error @ (SqlError::Server(_) | SqlError::Protocol(_) | SqlError::Quote(_))) => {
                let error = self.error(&error, needed);
                Ok(Known::unknown(error.code.as_str(), error.found))
            }
            Err(error) => Err(self.error(&error, needed)),
        }
    }

    pub(crate) async fn read(&self, statement: &Statement) -> Result<Vec<ResultSet>, SqlError> {
        self.pool.read(statement, self.limits.query).await
    }

    /// The first row of the first result set, if there is one.
    async fn read_row(&self, statement: &Statement) -> Result<Option<Row>, SqlError> {
        let sets = self.read(statement).await?;
        Ok(sets.into_iter().next().and_then(|set| set.rows.into_iter().next()))
    }

    async fn change(&self, statement: &Statement) -> Result<Vec<ResultSet>, SqlError> {
        self.pool.change(statement, self.limits.query).await
    }

    /// Runs a procedure whose batch ends with its return code, and gives that last row back.
    async fn call(&self, statement: &Statement, procedure: &str) -> Result<Row, SqlError> {
        answers::returned(self.change(statement).await?, procedure)
    }

    pub(crate) fn error(&self, error: &SqlError, needed: &str) -> InstanceError {
        error.at(self.name.as_str(), needed)
    }

    fn refuse(
        &self,
        code: ErrorCode,
        needed: impl Into<String>,
        found: impl Into<String>,
        remedy: &str,
    ) -> InstanceError {
        InstanceError::new(code, self.name.as_str(), needed, found, remedy)
    }
}

#[async_trait]
impl DatabaseInstance for SqlInstance {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    async fn observe(
        &self,
        databases: &[DatabaseName],
    ) -> Result<InstanceObservation, InstanceError> {
        let observed = async {
            let names: Vec<&str> = databases.iter().map(DatabaseName::as_str).collect();
            let sets = self.read(&statement::observe::observe(&names)?).await?;
            observation::read(&sets, databases)
        };
        let needed = "an observation was needed";
        observed.await.map_err(|error| self.error(&error, needed))
    }

    async fn look_beside(&self, question: &BesideQuestion) -> Result<Beside, InstanceError> {
        self.beside(question).await
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &DatabaseAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.run_on_database(database, action, progress).await
    }
}

#[async_trait]
impl LogShippingJobs for SqlInstance {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &LogShippingAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        self.run_log_shipping(database, action, progress).await
    }
}
