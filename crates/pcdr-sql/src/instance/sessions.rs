//! Ending the sessions in a database.

use std::time::Duration;

use pcdr_core::ports::Progress;
use pcdr_core::{DatabaseName, ErrorCode, InstanceError};
use tokio::time::Instant;

use super::SqlInstance;
use crate::error::SqlError;
use crate::{observation, statement};

/// No such session: it ended by itself.
const NO_SUCH_SESSION: i32 = 6106;

/// Between two looks; a killed session without anything to roll back is gone by the first.
const POLL: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_millis(100);

impl SqlInstance {
    /// Ends every user session in a database, again and again, until none is left: clients connect
    /// again at once, and a killed session stays until it has rolled back.
    pub(super) async fn end_sessions(
        &self,
        database: &DatabaseName,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let needed = format!("every session in {database} had to end");
        let failed = |error: SqlError| self.error(&error, &needed);
        let list = statement::database::sessions(database.as_str());
        let list = list.map_err(|error| failed(error.into()))?;
        let deadline = Instant::now() + self.limits.sessions;
        let mut pause = *POLL.start();
        loop {
            let sets = self.read(&list).await.map_err(failed)?;
            let rows = sets.iter().flat_map(|set| &set.rows);
            let sessions: Result<Vec<_>, SqlError> = rows.map(observation::read_session).collect();
            let sessions = sessions.map_err(failed)?;
            if sessions.is_empty() {
                return Ok(());
            }
            if progress.is_cancelled() {
                return Err(failed(SqlError::Cancelled));
            }
            if Instant::now() >= deadline {
                let who: Vec<String> = sessions
                    .iter()
                    .map(|s| format!("{} ({}, {})", s.session_id, s.login_name, s.program_name))
                    .collect();
                return Err(self.refuse(
                    ErrorCode::InUse,
                    needed,
                    format!(
                        "after {} s there still are {}",
                        self.limits.sessions.as_secs(),
                        who.join(", ")
                    ),
                    "stop the programs that connect again, or wait for the rollback, then try again",
                ));
            }
            progress.report(0.0, &format!("{} sessions left", sessions.len()));
            for session in &sessions {
                let kill = statement::database::kill(session.session_id, &session.login_time);
                let kill = kill.map_err(|error| failed(error.into()))?;
                match self.change(&kill).await {
                    Err(error) if error.number() == Some(NO_SUCH_SESSION) => {}
                    Err(error) => return Err(failed(error)),
                    Ok(_) => {}
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(*POLL.end());
        }
    }
}
