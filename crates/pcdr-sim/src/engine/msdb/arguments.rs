//! Arguments and results of a procedure, read and written by name.

use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, of_release};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::host::Argument;
use crate::value::{Relation, Value};

use super::store::whole_number;

/// The bound arguments of one call.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a>(pub &'a [Argument]);

impl Arguments<'_> {
    /// The value of a parameter; NULL for one that this release does not know.
    pub fn value(&self, name: &str) -> Value {
        self.0.iter().find(|a| a.name.eq_ignore_ascii_case(name)).map_or(Value::Null, |a| match &a
            .value
        {
            Value::Variant(_, inner) => (**inner).clone(),
            other => other.clone(),
        })
    }

    /// Text, if it is not NULL.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Value::String(text) => Some(text.to_string()),
            Value::Uuid(id) => Some(id.hyphenated().to_string().to_uppercase()),
            other => whole_number(&other).map(|n| n.to_string()),
        }
    }

    /// Text that must be there.
    ///
    /// # Errors
    ///
    /// 32052 when it is NULL or empty.
    pub fn needed(&self, name: &str) -> Result<String, SqlFailure> {
        match self.text(name) {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(SqlMessage::new(
                32052,
                16,
                format!("Parameter '{name}' cannot be null or empty. Specify a value for the named parameter and retry the operation."),
            )
            .into()),
        }
    }

    /// A whole number, if it is not NULL.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Value::String(text) => text.trim().parse().ok(),
            other => whole_number(&other),
        }
    }

    /// An id, if there is one; text is read as one.
    pub fn id(&self, name: &str) -> Option<Uuid> {
        match self.value(name) {
            Value::Uuid(id) => Some(id),
            Value::String(text) => Uuid::parse_str(text.trim()).ok(),
            _ => None,
        }
    }

    /// Whether the value is anything but NULL.
    pub fn has(&self, name: &str) -> bool {
        !self.value(name).is_null()
    }
}

/// What a procedure wants done once its rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The Agent is to run a job, from this step on.
    Start {
        /// Which job.
        job: Uuid,
        /// First step; `None`: the job's own start step.
        step: Option<i64>,
    },
    /// The Agent is to stop a job.
    Stop(Uuid),
    /// Jobs or schedules changed: the Agent computes its next runs again.
    Schedules,
}

/// What a procedure gave back.
#[derive(Debug, Default)]
pub struct Outcome {
    /// RETURN value.
    pub status: i32,
    /// Final values of output parameters.
    pub outputs: Vec<(String, Value)>,
    /// Result sets.
    pub results: Vec<Relation>,
    /// Informational messages.
    pub messages: Vec<SqlMessage>,
    /// What the Agent is told.
    pub signals: Vec<Signal>,
}

impl Outcome {
    /// Success with nothing to show.
    pub fn ok() -> Outcome {
        Outcome::default()
    }

    /// Success with one result set.
    pub fn rows(relation: Relation) -> Outcome {
        Outcome { results: vec![relation], ..Outcome::default() }
    }

    /// The same with an output value.
    #[must_use]
    pub fn giving(mut self, name: &str, value: Value) -> Outcome {
        self.outputs.push((name.to_owned(), value));
        self
    }

    /// The same with something for the Agent.
    #[must_use]
    pub fn telling(mut self, signal: Signal) -> Outcome {
        self.signals.push(signal);
        self
    }

    /// The same with a message.
    #[must_use]
    pub fn saying(mut self, message: SqlMessage) -> Outcome {
        self.messages.push(message);
        self
    }
}

/// An error of severity 16.
pub fn error(number: i32, text: impl Into<String>) -> SqlFailure {
    SqlMessage::new(number, 16, text).into()
}

/// A result set of the given columns, filled by name: columns that a row leaves out are NULL.
pub fn relation(columns: &[ColumnDef], rows: Vec<Vec<(&str, Value)>>) -> Relation {
    Relation {
        columns: of_release(columns, u8::MAX),
        rows: rows
            .into_iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|c| {
                        row.iter()
                            .find(|(name, _)| name.eq_ignore_ascii_case(c.name))
                            .map_or(Value::Null, |(_, v)| super::store::shaped(c.ty, v.clone()))
                    })
                    .collect()
            })
            .collect(),
    }
}

/// Text or NULL.
pub fn text_or_null(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::string)
}
