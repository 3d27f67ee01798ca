//! A copy that takes writes gives them up: the steps after which it waits for log, worded once.

use std::time::Duration;

use crate::estimate;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::Mirroring;
use crate::plan::Draft;
use crate::step::{Action, DatabaseAction, LogEnd, Source, StepId};

const WITNESS_OFF: Source = Source::new(
    "Database Mirroring Witness",
    "without the witness, the mirror cannot come into service by itself",
);
const UNMIRROR: Source = Source::new(
    "Database Mirroring and Backup and Restore (SQL Server)",
    "while a database is mirrored, BACKUP LOG WITH NORECOVERY is not allowed: SET PARTNER OFF first",
);
const SESSIONS: Source = Source::new(
    "Tail-Log Backups (SQL Server)",
    "the backup of the tail WITH NORECOVERY needs the database for itself",
);
const TAIL: Source = Source::new(
    "Fail Over to a Log Shipping Secondary",
    "step 3: back up the tail of the log of the primary WITH NORECOVERY",
);

/// A copy that takes writes, and where its tail goes.
pub(super) struct HandOver<'a> {
    pub(super) instance: &'a InstanceName,
    pub(super) database: &'a DatabaseName,
    /// Its mirroring session, which ends first.
    pub(super) session: Option<&'a Mirroring>,
    /// The tail's file, as the instance sees it.
    pub(super) path: String,
    /// Where the tail has to begin.
    pub(super) follows: LogEnd,
}

impl HandOver<'_> {
    /// Writes the steps down; gives the last one, after which the copy is RESTORING.
    pub(super) fn steps(self, draft: &mut Draft, after: Option<StepId>) -> StepId {
        let HandOver { instance, database, session, path, follows } = self;
        let mut on = |action, after: Option<StepId>, source: Source, expected: Duration| {
            let action = Action::Database(instance.clone(), database.clone(), action);
            draft.step(action, after, source, expected)
        };
        let mut last = after;
        if session.is_some_and(|session| session.witness_address.is_some()) {
            let action = DatabaseAction::RemoveWitness;
            last = Some(on(action, last, WITNESS_OFF, estimate::STATEMENT));
        }
        if session.is_some() {
            let action = DatabaseAction::RemoveMirroring;
            last = Some(on(action, last, UNMIRROR, estimate::STATEMENT));
        }
        let sessions = on(DatabaseAction::EndSessions, last, SESSIONS, estimate::STATEMENT);
        let tail = DatabaseAction::BackUpTail { path, follows };
        on(tail, Some(sessions), TAIL, estimate::STATEMENT)
    }
}
