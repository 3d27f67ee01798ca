//! Cursors.
//!
//! A cursor takes its rows when it is opened, whatever its kind, and none of them can be written
//! through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Run;
use crate::message::SqlFailure;
use crate::tsql::bind::Binder;
use crate::tsql::convert::integer;
use crate::tsql::failures::error;
use crate::tsql::host::Sink as _;
use crate::tsql::state::{Cursor, Frame, Session, SharedCursor};
use crate::tsql::tree::{CursorDefinition, CursorName, Direction, Expr, Fetch};
use crate::value::{Relation, SqlType};

fn locked(cursor: &SharedCursor) -> MutexGuard<'_, Cursor> {
    cursor.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing(name: &str) -> SqlFailure {
    error(16916, 16, format!("A cursor with the name '{name}' does not exist."))
}

fn unallocated(name: &str) -> SqlFailure {
    error(
        16950,
        16,
        format!("The variable '{name}' does not currently have a cursor allocated to it."),
    )
}

fn not_open() -> SqlFailure {
    error(16917, 16, "Cursor is not open.")
}

impl Run<'_> {
    /// DECLARE CURSOR, and SET @variable = CURSOR.
    pub(super) fn declare_cursor(
        &mut self,
        definition: &CursorDefinition,
    ) -> Result<(), SqlFailure> {
        let lower = definition.name.to_lowercase();
        // The variables count as they are now, and the query has to make sense now.
        self.with_context(|context| {
            Binder::new(context).plan(&definition.query, None).map(|_| ())
        })?;
        let cursor = Arc::new(Mutex::new(Cursor {
            definition: definition.clone(),
            variables: self.frame().variables.clone(),
            open: None,
            position: 0,
        }));
        if lower.starts_with('@') {
            self.frame().cursors.insert(lower, Some(cursor));
            return Ok(());
        }
        let local = definition.local == Some(true);
        let taken = if local {
            self.frame().cursors.contains_key(&lower)
        } else {
            self.session.cursors.contains_key(&lower)
        };
        if taken {
            return Err(error(
                16915,
                16,
                format!("A cursor with the name '{}' already exists.", definition.name),
            ));
        }
        if local {
            self.frame().cursors.insert(lower, Some(cursor));
        } else {
            self.session.cursors.insert(lower, cursor);
        }
        Ok(())
    }

    /// `SET @variable = cursor`.
    pub(super) fn set_cursor(&mut self, variable: &str, value: &Expr) -> Result<(), SqlFailure> {
        let name = match value {
            Expr::Column(path) if path.parts.len() == 1 => path.last(),
            Expr::Variable(name) => name,
            _ => return Err(unallocated(variable)),
        };
        let cursor = self.find_cursor(&CursorName { global: false, name: name.to_owned() })?;
        self.frame().cursors.insert(variable.to_owned(), Some(cursor));
        Ok(())
    }

    /// The cursor that a name or a variable means: a local one before a global one.
    pub(in crate::tsql) fn find_cursor(
        &mut self,
        name: &CursorName,
    ) -> Result<SharedCursor, SqlFailure> {
        let lower = name.name.to_lowercase();
        if lower.starts_with('@') {
            return match self.frame().cursors.get(&lower) {
                Some(Some(cursor)) => Ok(cursor.clone()),
                _ => Err(unallocated(&name.name)),
            };
        }
        if !name.global
            && let Some(Some(cursor)) = self.frame().cursors.get(&lower)
        {
            return Ok(cursor.clone());
        }
        self.session.cursors.get(&lower).cloned().ok_or_else(|| missing(&name.name))
    }

    pub(super) fn open_cursor(&mut self, name: &CursorName) -> Result<(), SqlFailure> {
        let cursor = self.find_cursor(name)?;
        let mut cursor = locked(&cursor);
        if cursor.open.is_some() {
            return Err(error(16905, 16, "The cursor is already open."));
        }
        let now = std::mem::replace(&mut self.frame().variables, cursor.variables.clone());
        let result = self.with_context(|context| {
            let plan = Binder::new(context).plan(&cursor.definition.query, None)?;
            let rows = plan.run(None, context)?;
            Ok(Relation { columns: plan.columns, rows })
        });
        self.frame().variables = now;
        let relation = result?;
        let count = i32::try_from(relation.rows.len()).unwrap_or(i32::MAX);
        self.session.cursor_rows = if cursor.definition.is_static { count } else { -1 };
        cursor.open = Some(relation);
        cursor.position = 0;
        Ok(())
    }

    pub(super) fn close_cursor(&mut self, name: &CursorName) -> Result<(), SqlFailure> {
        let cursor = self.find_cursor(name)?;
        if locked(&cursor).open.take().is_none() {
            return Err(not_open());
        }
        Ok(())
    }

    pub(super) fn deallocate_cursor(&mut self, name: &CursorName) -> Result<(), SqlFailure> {
        self.find_cursor(name)?;
        let lower = name.name.to_lowercase();
        if lower.starts_with('@') {
            self.frame().cursors.insert(lower, None);
        } else if name.global || self.frame().cursors.remove(&lower).is_none() {
            self.session.cursors.remove(&lower);
        }
        Ok(())
    }

    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<(), SqlFailure> {
        let count = match &fetch.count {
            Some(count) => integer(&self.scalar_as(count, SqlType::BigInt)?)
                .and_then(|n| i64::try_from(n).ok())
                .unwrap_or(0),
            None => 0,
        };
        let shared = self.find_cursor(&fetch.cursor)?;
        let (columns, row) = {
            let mut cursor = locked(&shared);
            let Some(open) = &cursor.open else {
                return Err(not_open());
            };
            if fetch.direction != Direction::Next && !cursor.definition.scrolls {
                let word = format!("{:?}", fetch.direction).to_lowercase();
                return Err(error(
                    16911,
                    16,
                    format!(
                        "fetch: The fetch type {word} cannot be used with forward only cursors."
                    ),
                ));
            }
            let (rows, at) = (open.rows.len() as i64, cursor.position as i64);
            let to = match fetch.direction {
                Direction::Next => at + 1,
                Direction::Prior => at - 1,
                Direction::First => 1,
                Direction::Last => rows,
                Direction::Absolute if count < 0 => rows + 1 + count,
                Direction::Absolute => count,
                Direction::Relative => at.saturating_add(count),
            };
            let to = to.clamp(0, rows + 1) as usize;
            let columns = open.columns.clone();
            let row = to.checked_sub(1).and_then(|i| open.rows.get(i)).cloned();
            cursor.position = to;
            (columns, row)
        };
        self.session.fetch_status = if row.is_some() { 0 } else { -1 };
        if fetch.into.is_empty() {
            self.out.result(Relation { columns, rows: row.into_iter().collect() }, 193).await;
            return Ok(());
        }
        if fetch.into.len() != columns.len() {
            return Err(error(
                16924,
                16,
                "Cursorfetch: The number of variables declared in the INTO list must match that of selected columns.",
            ));
        }
        let Some(row) = row else {
            return Ok(());
        };
        for ((name, column), value) in fetch.into.iter().zip(&columns).zip(&row) {
            self.assign(name, column.ty, value)?;
        }
        self.session.row_count = 1;
        Ok(())
    }
}

/// `CURSOR_STATUS`: 1 open with rows, 0 open without, -1 closed, -2 a variable without a cursor, -3
/// none of that name.
pub(in crate::tsql) fn cursor_status(
    frame: &Frame,
    session: &Session,
    scope: &str,
    name: &str,
) -> i16 {
    let lower = name.to_lowercase();
    let found = match scope.to_lowercase().as_str() {
        "global" => session.cursors.get(&lower).map(|c| Some(c.clone())),
        _ => frame.cursors.get(&lower).cloned(),
    };
    match found {
        None => -3,
        Some(None) => -2,
        Some(Some(cursor)) => match &locked(&cursor).open {
            None => -1,
            Some(open) if open.rows.is_empty() => 0,
            Some(_) => 1,
        },
    }
}
