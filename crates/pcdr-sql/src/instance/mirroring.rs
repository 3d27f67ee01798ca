//! Mirroring endpoints and sessions.

use std::time::Duration;

use pcdr_core::observation::{MirroringRole, MirroringState};
use pcdr_core::ports::Progress;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError};
use tokio::time::Instant;

use super::work::MirroringStanding;
use super::{SqlInstance, answers};
use crate::error::SqlError;
use crate::statement::{self, Statement};

const POLL: Duration = Duration::from_millis(250);

/// `SERVERPROPERTY('EngineEdition')` of Express edition, which can only be a witness.
const EXPRESS: i32 = 4;

/// The database is not configured for mirroring.
const NOT_MIRRORED: i32 = 1416;

/// The session has no witness.
const NO_WITNESS: i32 = 1439;

/// How long a session may be suspended before waiting for it is given up: nobody resumes it.
const SUSPENDED_LIMIT: Duration = Duration::from_secs(10);

impl SqlInstance {
    /// Creates and starts the endpoint, and lets the accounts connect. An instance can have only
    /// one; an existing one with the same port is started and used.
    pub(super) async fn create_mirroring_endpoint(
        &self,
        name: &str,
        port: u16,
        accounts: &[String],
    ) -> Result<(), InstanceError> {
        const STARTED: i32 = 0;
        let needed = format!("a database mirroring endpoint on port {port} was needed");
        let failed = |error: SqlError| self.error(&error, &needed);
        let found = self.read_row(&statement::database::endpoint()).await;
        let row = found.map_err(failed)?;
        let row = row.ok_or_else(|| failed(SqlError::Protocol("no answer".to_owned())))?;
        let found = answers::endpoint(&row).map_err(failed)?;
        let endpoint = match found.name {
            Some(existing) => {
                if found.port != Some(port) {
                    return Err(self.refuse(
                        ErrorCode::Mirroring,
                        needed,
                        format!(
                            "endpoint {existing} exists on port {}",
                            found.port.map_or_else(|| "?".to_owned(), |port| port.to_string())
                        ),
                        "set mirroring_port in the topology to that port; an endpoint in use must not \
                         be changed",
                    ));
                }
                if found.state != Some(STARTED) {
                    let start = statement::database::start_endpoint(&existing);
                    self.try_change(start).await.map_err(failed)?;
                }
                existing
            }
            None => {
                let witness_only = found.engine_edition == Some(EXPRESS);
                let create = statement::database::create_endpoint(name, port, witness_only);
                self.try_change(create).await.map_err(failed)?;
                name.to_owned()
            }
        };
        for account in accounts {
            let login = statement::database::create_login(account);
            self.try_change(login).await.map_err(failed)?;
            let grant = statement::database::grant_connect(&endpoint, account);
            self.try_change(grant).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn try_change(
        &self,
        statement: Result<Statement, crate::quote::QuoteError>,
    ) -> Result<(), SqlError> {
        self.change(&statement?).await?;
        Ok(())
    }

    pub(super) async fn set_partner(
        &self,
        database: &DatabaseName,
        address: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("mirroring partner {address} was needed for {database}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        if let Some(session) = &standing.mirroring {
            self.end(work);
            if session.partner.eq_ignore_ascii_case(address) {
                return Ok(());
            }
            return Err(self.refuse(
                ErrorCode::Mirroring,
                needed,
                format!("its partner is {}", session.partner),
                "remove the existing mirroring session first",
            ));
        }
        let set = statement::database::set_partner(database.as_str(), address);
        let set = set.map_err(|error| failed(error.into()))?;
        self.execute(work, set, progress).await.map_err(failed)?;
        Ok(())
    }

    pub(super) async fn set_witness(
        &self,
        database: &DatabaseName,
        address: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("mirroring witness {address} was needed for {database}");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        let session = self.session(standing.mirroring, &needed)?;
        match &session.witness {
            Some(witness) if witness.eq_ignore_ascii_case(address) => {
                self.end(work);
                return Ok(());
            }
            Some(witness) => {
                return Err(self.refuse(
                    ErrorCode::Mirroring,
                    needed,
                    format!("its witness is {witness}"),
                    "remove the existing witness first (SET WITNESS OFF)",
                ));
            }
            None => {}
        }
        let set = statement::database::set_witness(database.as_str(), address);
        let set = set.map_err(|error| failed(error.into()))?;
        self.execute(work, set, progress).await.map_err(failed)?;
        Ok(())
    }

    fn session(
        &self,
        session: Option<MirroringStanding>,
        needed: &str,
    ) -> Result<MirroringStanding, InstanceError> {
        session.ok_or_else(|| {
            self.refuse(
                ErrorCode::Mirroring,
                needed,
                "the database is not mirrored",
                "establish the mirroring session first",
            )
        })
    }

    /// Waits until the session is SYNCHRONIZED.
    pub(super) async fn await_synchronized(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("mirroring of {database} had to be SYNCHRONIZED");
        self.await_mirroring(database, &needed, progress, |session| {
            session.state == MirroringState::Synchronized
        })
        .await
    }

    async fn await_mirroring(
        &self,
        database: &DatabaseName,
        needed: &str,
        progress: &dyn Progress,
        is_reached: impl Fn(&MirroringStanding) -> bool,
    ) -> Result<(), InstanceError> {
        let failed = |error: SqlError| self.error(&error, needed);
        let deadline = Instant::now() + self.limits.mirroring;
        let mut suspended_since = None;
        loop {
            let standing = self.standing(database).await.map_err(failed)?;
            let standing = standing.ok_or_else(|| self.missing(database, needed))?;
            let session = self.session(standing.mirroring, needed)?;
            if is_reached(&session) {
                return Ok(());
            }
            if progress.is_cancelled() {
                return Err(failed(SqlError::Cancelled));
            }
            let now = Instant::now();
            if session.state == MirroringState::Suspended {
                let since = *suspended_since.get_or_insert(now);
                if now - since >= SUSPENDED_LIMIT {
                    return Err(self.refuse(
                        ErrorCode::Mirroring,
                        needed,
                        "the session is SUSPENDED",
                        "look into the error logs of both partners, then SET PARTNER RESUME",
                    ));
                }
            } else {
                suspended_since = None;
            }
            if now >= deadline {
                return Err(self.refuse(
                    ErrorCode::TimedOut,
                    needed,
                    format!(
                        "after {} s its state is {:?}",
                        self.limits.mirroring.as_secs(),
                        session.state
                    ),
                    "check the link between the partners and their send and redo queues",
                ));
            }
            progress.report(0.0, &format!("mirroring is {:?}", session.state));
            tokio::time::sleep(POLL).await;
        }
    }

    /// Swaps principal and mirror, from the principal, and waits until this side is the mirror.
    pub(super) async fn fail_over_mirror(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("mirroring of {database} had to fail over to the partner");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        let session = self.session(standing.mirroring, &needed)?;
        if session.role == MirroringRole::Mirror {
            self.end(work);
            return Ok(());
        }
        if session.state != MirroringState::Synchronized || !session.is_safety_full {
            self.end(work);
            return Err(self.refuse(
                ErrorCode::Mirroring,
                needed,
                format!(
                    "the session is {:?} with safety {}",
                    session.state,
                    if session.is_safety_full { "FULL" } else { "OFF" }
                ),
                "wait until it is SYNCHRONIZED with safety FULL; only then is nothing lost",
            ));
        }
        let fail_over = statement::database::fail_over_mirror(database.as_str());
        let fail_over = fail_over.map_err(|error| failed(error.into()))?;
        self.execute(work, fail_over, progress).await.map_err(failed)?;
        self.await_mirroring(database, &needed, progress, |session| {
            session.role == MirroringRole::Mirror
        })
        .await
    }

    /// Makes the mirror serve although its principal cannot be reached, and waits until it does.
    pub(super) async fn force_service(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the mirror of {database} had to be forced into service");
        let failed = |error: SqlError| self.error(&error, &needed);
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, &needed))?;
        let session = self.session(standing.mirroring, &needed)?;
        if session.role == MirroringRole::Principal {
            self.end(work);
            return Ok(());
        }
        if !matches!(session.state, MirroringState::Disconnected | MirroringState::Suspended) {
            self.end(work);
            return Err(self.refuse(
                ErrorCode::Mirroring,
                needed,
                format!("the session is {}: its principal is there", session.state),
                "fail over from the principal, which loses nothing",
            ));
        }
        let force = statement::database::force_service(database.as_str());
        let force = force.map_err(|error| failed(error.into()))?;
        self.execute(work, force, progress).await.map_err(failed)?;
        self.await_mirroring(database, &needed, progress, |session| {
            session.role == MirroringRole::Principal
        })
        .await
    }

    /// Takes the witness out of the session; the session goes on.
    pub(super) async fn remove_witness(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("the mirroring witness of {database} had to be removed");
        let is_there = |session: &MirroringStanding| session.witness.is_some();
        let remove = statement::database::remove_witness(database.as_str());
        self.take_away(database, &needed, is_there, remove, NO_WITNESS, progress).await
    }

    /// Ends mirroring: the principal goes on alone, the mirror stays RESTORING.
    pub(super) async fn remove_mirroring(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("mirroring of {database} had to be removed");
        let remove = statement::database::remove_mirroring(database.as_str());
        self.take_away(database, &needed, |_| true, remove, NOT_MIRRORED, progress).await
    }

    /// Sends a statement that takes something away, unless it is gone; `gone` is the error of one that
    /// went meanwhile.
    async fn take_away(
        &self,
        database: &DatabaseName,
        needed: &str,
        is_there: impl Fn(&MirroringStanding) -> bool,
        statement: Result<Statement, crate::quote::QuoteError>,
        gone: i32,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let failed = |error: SqlError| self.error(&error, needed);
        let statement = statement.map_err(|error| failed(error.into()))?;
        let (work, standing) = self.begin(database).await.map_err(failed)?;
        let standing = standing.ok_or_else(|| self.missing(database, needed))?;
        if !standing.mirroring.as_ref().is_some_and(is_there) {
            self.end(work);
            return Ok(());
        }
        match self.execute(work, statement, progress).await {
            Err(error) if error.number() == Some(gone) => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => Ok(()),
        }
    }
}
