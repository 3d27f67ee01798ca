//! Facts that are known, and facts that are not, with the reason.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fact that was observed, or the reason why it was not. Unknown never counts as false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// Observed.
    Known(T),
    /// Not observed, because…
    Unknown(Reason),
}

/// Why a fact is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, to branch on: the code of the error that hid the fact, for example `unreachable`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Reason {
        Reason { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl<T> Known<T> {
    /// The fact, if known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Known::Known(fact) => Some(fact),
            Known::Unknown(_) => None,
        }
    }

    /// The reason, if unknown.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Known::Known(_) => None,
            Known::Unknown(reason) => Some(reason),
        }
    }

    /// Unknown for this reason.
    pub fn unknown(code: impl Into<String>, message: impl Into<String>) -> Known<T> {
        Known::Unknown(Reason::new(code, message))
    }

    /// The same knowledge of something derived from the fact.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Known::Known(fact) => Known::Known(f(fact)),
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }

    /// The same knowledge, by reference.
    pub fn as_ref(&self) -> Known<&T> {
        match self {
            Known::Known(fact) => Known::Known(fact),
            Known::Unknown(reason) => Known::Unknown(reason.clone()),
        }
    }
}
