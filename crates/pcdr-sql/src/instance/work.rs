//! Statements that may take hours: over a connection of their own, watched over another one.

use std::time::Duration;

use pcdr_core::observation::{DatabaseState, MirroringRole, MirroringState, RecoveryModel};
use pcdr_core::ports::Progress;
use pcdr_core::time::readable;
use pcdr_core::{DatabaseName, Guid, Lsn};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::SqlInstance;
use super::answers::{self, RequestProgress};
use crate::connection::{ResultSet, Row};
use crate::error::SqlError;
use crate::observation::{self, Restored};
use crate::pool::Dedicated;
use crate::statement::{self, Statement};

/// How often the operator's wish to stop is looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often the server is asked how far it is.
const WATCH: Duration = Duration::from_secs(1);

/// How long a cancelled session may take to go by itself.
const GO_LIMIT: Duration = Duration::from_secs(10);

/// How long a killed session may take to roll back before the cancel is reported anyway.
const KILL_LIMIT: Duration = Duration::from_secs(60);

/// A connection that worked this short a time ago is given a statement without asking it anything first.
const AT_HAND: Duration = Duration::from_secs(5);

/// A connection of one's own, and who it is on the server.
pub(super) struct Work {
    connection: Dedicated,
    session_id: i32,
    login_time: String,
}

/// Where a database stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) state: DatabaseState,
    pub(super) is_in_standby: bool,
    /// `None`: the server does not tell.
    pub(super) recovery_model: Option<RecoveryModel>,
    pub(super) redo_start_lsn: Option<Lsn>,
    /// Where the log begins that no log backup holds.
    pub(super) last_log_backup_lsn: Option<Lsn>,
    pub(super) redo_start_fork: Option<Guid>,
    pub(super) family: Option<Guid>,
    pub(super) mirroring: Option<MirroringStanding>,
}

impl Standing {
    pub(super) fn waits_for_log(&self) -> bool {
        self.state == DatabaseState::Restoring
            || (self.state == DatabaseState::Online && self.is_in_standby)
    }

    /// The state as people know it.
    pub(super) fn described(&self) -> String {
        if self.is_in_standby {
            return "in STANDBY".to_owned();
        }
        let state = match self.state {
            DatabaseState::Online => "ONLINE",
            DatabaseState::Restoring => "RESTORING",
            DatabaseState::Recovering => "RECOVERING",
            DatabaseState::RecoveryPending => "RECOVERY_PENDING",
            DatabaseState::Suspect => "SUSPECT",
            DatabaseState::Emergency => "EMERGENCY",
            DatabaseState::Offline => "OFFLINE",
        };
        state.to_owned()
    }
}

/// A mirroring session, as seen from here.
#[derive(Debug, Clone)]
pub(super) struct MirroringStanding {
    pub(super) role: MirroringRole,
    pub(super) state: MirroringState,
    pub(super) is_safety_full: bool,
    pub(super) partner: String,
    pub(super) witness: Option<String>,
}

/// The row that tells where a database stands, and who asked.
pub(super) fn state_row(sets: &[ResultSet]) -> Result<&Row, SqlError> {
    sets.iter()
        .find_map(|set| set.rows.first())
        .ok_or_else(|| SqlError::Protocol("the state was not answered".to_owned()))
}

pub(super) fn read_standing(row: &Row) -> Result<Option<Standing>, SqlError> {
    let Some(state) = row.optional::<i32>("state")? else {
        return Ok(None);
    };
    let role = row.optional::<i32>("mirroring_role")?;
    let mirroring_state = row.optional::<i32>("mirroring_state")?;
    let mirroring = match role.zip(mirroring_state) {
        Some((role, state)) => Some(MirroringStanding {
            role: observation::mirroring_role(role)?,
            state: observation::mirroring_state(state)?,
            is_safety_full: row.optional::<i32>("mirroring_safety")? == Some(2),
            partner: row.optional("mirroring_partner_name")?.unwrap_or_default(),
            witness: row
                .optional::<String>("mirroring_witness_name")?
                .filter(|name| !name.is_empty()),
        }),
        None => None,
    };
    Ok(Some(Standing {
        state: observation::database_state(state)?,
        is_in_standby: row.optional("is_in_standby")?.unwrap_or(false),
        recovery_model: row
            .optional::<i32>("recovery_model")?
            .map(observation::recovery_model)
            .transpose()?,
        redo_start_lsn: row.optional("redo_start_lsn")?,
        last_log_backup_lsn: row.optional("last_log_backup_lsn")?,
        redo_start_fork: row.optional("redo_start_fork_guid")?,
        family: row.optional("family_guid")?,
        mirroring,
    }))
}

impl SqlInstance {
    /// Where a database stands; `None` when there is none of that name.
    pub(super) async fn standing(
        &self,
        database: &DatabaseName,
    ) -> Result<Option<Standing>, SqlError> {
        let statement = statement::database::state(database.as_str())?;
        match self.read_row(&statement).await? {
            Some(row) => read_standing(&row),
            None => Err(SqlError::Protocol("the state was not answered".to_owned())),
        }
    }

    /// What a database was last restored from.
    pub(super) async fn last_restore(
        &self,
        database: &DatabaseName,
    ) -> Result<Option<Restored>, SqlError> {
        let statement = statement::database::last_restore(database.as_str())?;
        let row = self.read_row(&statement).await?;
        row.as_ref().map(observation::read_restore).transpose()
    }

    /// A connection for a long statement on a database, and where the database stands.
    pub(super) async fn begin(
        &self,
        database: &DatabaseName,
    ) -> Result<(Work, Option<Standing>), SqlError> {
        loop {
            let dedicated = self.pool.dedicated().await?;
            let was_fresh = dedicated.connection.is_fresh();
            match self.ask(dedicated, database).await {
                // It was gone while it waited for work.
                Err(error) if error.ends_session() && !was_fresh => {}
                asked => return asked,
            }
        }
    }

    /// A connection for a long statement that asks by itself where the database stands.
    pub(super) async fn at_hand(&self, database: &DatabaseName) -> Result<Work, SqlError> {
        let dedicated = self.pool.dedicated().await?;
        match dedicated.connection.session() {
            Some((session_id, login_time)) if dedicated.connection.idle() < AT_HAND => {
                Ok(Work { session_id, login_time, connection: dedicated })
            }
            _ => {
                self.pool.keep(dedicated.into_parts().0);
                Ok(self.begin(database).await?.0)
            }
        }
    }

    async fn ask(
        &self,
        mut dedicated: Dedicated,
        database: &DatabaseName,
    ) -> Result<(Work, Option<Standing>), SqlError> {
        let statement = statement::database::state(database.as_str())?;
        let sets = dedicated.connection.batch(&statement, Some(self.limits.query)).await?;
        let row = state_row(&sets)?;
        let standing = read_standing(row)?;
        let (session_id, login_time) = answers::session(row)?;
        dedicated.connection.is_session(session_id, &login_time);
        Ok((Work { session_id, login_time, connection: dedicated }, standing))
    }

    /// Gives a connection back.
    pub(super) fn end(&self, work: Work) {
        self.pool.keep(work.connection.connection);
    }

    /// Runs a long statement to its end, or stops it when the operator wants to, or when this future
    /// is dropped: the statement runs in a task of its own, which ends it cleanly.
    pub(super) async fn execute(
        &self,
        work: Work,
        statement: Statement,
        progress: &dyn Progress,
    ) -> Result<Vec<ResultSet>, SqlError> {
        let (session_id, login_time) = (work.session_id, work.login_time);
        let cancel = CancellationToken::new();
        let _stop_when_dropped = cancel.clone().drop_guard();
        let cancelled = cancel.clone();
        // The turn ends with this future, when the statement has ended or is being cancelled.
        let (mut connection, _turn) = work.connection.into_parts();
        let mut task = tokio::spawn(async move {
            let started = Instant::now();
            let outcome = tokio::select! {
                biased;
                outcome = connection.batch(&statement, None) => Some(outcome),
                () = cancelled.cancelled() => None,
            };
            match outcome {
                Some(outcome) => (Some(connection), outcome.map_err(SqlError::from)),
                None => {
                    connection.cancel(&statement, started).await;
                    (None, Err(SqlError::Cancelled))
                }
            }
        });

        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Instant::now();
        let (connection, outcome) = loop {
            tokio::select! {
                biased;
                ended = &mut task => match ended {
                    Ok(ended) => break ended,
                    Err(error) => break (None, Err(SqlError::Lost(error.to_string()))),
                },
                _ = ticks.tick() => {}
            }
            if progress.is_cancelled() {
                cancel.cancel();
            } else if watched.elapsed() >= WATCH {
                watched = Instant::now();
                tokio::select! {
                    biased;
                    ended = &mut task => match ended {
                        Ok(ended) => break ended,
                        Err(error) => break (None, Err(SqlError::Lost(error.to_string()))),
                    },
                    () = self.watch(session_id, progress) => {}
                    () = tokio::time::sleep(WATCH) => {}
                }
            }
        };
        if let Some(connection) = connection {
            self.pool.keep(connection);
        }
        if matches!(outcome, Err(SqlError::Cancelled)) {
            self.await_end(session_id, &login_time).await;
        }
        outcome
    }

    /// Reports how far the session's request is. Failing to see it is no failure of the request.
    async fn watch(&self, session_id: i32, progress: &dyn Progress) {
        let statement = statement::database::progress(session_id);
        let Ok(Some(row)) = self.read_row(&statement).await else {
            return;
        };
        let Ok(Some(RequestProgress { percent, command, remaining })) = answers::progress(&row)
        else {
            return;
        };
        let detail = match remaining {
            Some(remaining) => format!("{command}, {} left", readable(remaining)),
            None => command,
        };
        #[allow(clippy::cast_possible_truncation, reason = "a percentage")]
        progress.report(percent.clamp(0.0, 100.0) as f32, &detail);
    }

    /// Waits until a cancelled session is gone, and kills it when it does not go by itself.
    async fn await_end(&self, session_id: i32, login_time: &str) {
        if self.is_gone_within(session_id, login_time, GO_LIMIT).await {
            return;
        }
        if let Ok(kill) = statement::database::kill(session_id, login_time) {
            let killed = self.change(&kill).await;
            tracing::warn!(instance = %self.name, session_id, ?killed, "killed a cancelled session");
        }
        self.is_gone_within(session_id, login_time, KILL_LIMIT).await;
    }

    async fn is_gone_within(&self, session_id: i32, login_time: &str, limit: Duration) -> bool {
        let statement = statement::database::progress(session_id);
        let deadline = Instant::now() + limit;
        loop {
            match self.read_row(&statement).await {
                Ok(None) => return true,
                Ok(Some(row)) => {
                    let found = answers::login_time(&row).ok().flatten();
                    if found.as_deref() != Some(login_time) {
                        return true; // the id belongs to another session now
                    }
                }
                Err(_) => return false,
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
    }
}
