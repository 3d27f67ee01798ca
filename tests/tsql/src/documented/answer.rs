//! What statements answer, as a text that the reading code is tried on.
//!
//! A paragraph is a statement: `## name`, then for each result set a line `set`, or `set of a failure`
//! inside of CATCH, then a line `name: type` for each column, with `null` where it may be NULL, `not null`
//! where it is not, and neither where nobody says.

use std::fmt::Write as _;

use pcdr_facts::SqlType;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerColumn {
    /// As the client sees it.
    pub name: String,
    /// As the client sees it.
    pub ty: SqlType,
    /// Whether it may be NULL; `None` when nobody says.
    pub null: Option<bool>,
}

/// A result set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultSet {
    /// In order.
    pub columns: Vec<AnswerColumn>,
    /// It is answered instead of the one before, when that failed.
    pub of_failure: bool,
}

/// Writes the answers of one statement.
#[must_use]
pub fn paragraph(name: &str, answers: &[ResultSet]) -> String {
    let mut text = format!("## {name}\n");
    for set in answers {
        text.push_str(if set.of_failure { "set of a failure\n" } else { "set\n" });
        for column in &set.columns {
            let null = match column.null {
                Some(true) => " null",
                Some(false) => " not null",
                None => "",
            };
            // Into a String, writing cannot fail.
            let _ = writeln!(text, "  {}: {}{null}", column.name, column.ty);
        }
    }
    text
}
