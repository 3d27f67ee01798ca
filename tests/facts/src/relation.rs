//! Tables, views and result sets.

use serde::Deserialize;

use crate::{Aspect, Release, SqlType};

/// A column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// As the vendor spells it.
    pub name: String,
    /// As documented.
    #[serde(rename = "type")]
    pub ty: SqlType,
    /// What was seen on the wire, where it differs from the documented type.
    pub observed: Option<SqlType>,
    /// Whether it may hold NULL; absent where nobody says.
    pub null: Option<bool>,
    /// Whether the server numbers its rows.
    #[serde(default)]
    pub identity: bool,
    /// First release that has it; absent: all that matter.
    pub since: Option<Release>,
    /// Aspects that nobody could confirm.
    #[serde(default)]
    pub unconfirmed: Vec<Aspect>,
}

impl Column {
    /// The type that a client meets.
    #[must_use]
    pub fn wire(&self) -> SqlType {
        self.observed.unwrap_or(self.ty)
    }

    /// Whether a release has it, by its year.
    #[must_use]
    pub fn is_in(&self, year: u16) -> bool {
        self.since.as_ref().is_none_or(|since| since.year <= year)
    }

    /// Whether nobody could confirm that aspect.
    #[must_use]
    pub fn lacks(&self, aspect: Aspect) -> bool {
        self.unconfirmed.contains(&aspect)
    }
}

/// A table or view.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Without database and schema.
    pub name: String,
    /// `dbo` or `sys`.
    pub schema: String,
    /// Where it lives; absent: in every database.
    pub database: Option<String>,
    /// It belongs to SQL Server 2000, and later releases only keep it.
    #[serde(default)]
    pub legacy: bool,
    /// It belongs to the chat pool's own database, not to the server.
    #[serde(default)]
    pub of_the_pool: bool,
    /// The columns are not all that it has.
    #[serde(default)]
    pub part: bool,
    /// Newer releases append columns that are not listed here.
    #[serde(default)]
    pub grows: bool,
    /// Aspects that nobody could confirm.
    #[serde(default)]
    pub unconfirmed: Vec<Aspect>,
    /// In order.
    pub columns: Vec<Column>,
}

impl Relation {
    /// A column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// As a statement names it, with its database where it has one.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.database {
            Some(database) => format!("{database}.{}.{}", self.schema, self.name),
            None => format!("{}.{}", self.schema, self.name),
        }
    }
}

/// What a result set belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `RESTORE HEADERONLY` and its like.
    Restore,
    /// A stored or extended procedure.
    Procedure,
    /// A table-valued function.
    Function,
    /// A view that has no page.
    View,
}

/// A result set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSet {
    /// The statement's words, or the procedure's or function's name.
    pub of: String,
    /// What that is.
    pub kind: Kind,
    /// Whether a page describes it.
    #[serde(default = "yes")]
    pub documented: bool,
    /// Aspects that nobody could confirm.
    #[serde(default)]
    pub unconfirmed: Vec<Aspect>,
    /// In order; two may have the same name.
    pub columns: Vec<Column>,
}

fn yes() -> bool {
    true
}
