//! Procedures and their parameters.

use serde::Deserialize;

use crate::{Aspect, Column, Release, SqlType};

/// A server, by its part in log shipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The instance whose database is shipped.
    Primary,
    /// The instance that restores what is shipped.
    Secondary,
    /// The instance that keeps history and alerts.
    Monitor,
}

/// A stored or extended procedure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// Without database and schema.
    pub name: String,
    /// Where it lives; absent when nobody says.
    pub database: Option<String>,
    /// `dbo` or `sys`.
    pub schema: String,
    /// Where it is called; empty when nobody says.
    pub runs_on: Vec<Place>,
    /// First release that has it; absent: all that matter.
    pub since: Option<Release>,
    /// Last release that has it; absent: all later ones.
    pub until: Option<Release>,
    /// Whether it has a page of its own.
    #[serde(default = "yes")]
    pub documented: bool,
    /// Arguments are given by position: the parameters' names are only words for them.
    #[serde(default)]
    pub positional: bool,
    /// Aspects that nobody could confirm.
    #[serde(default)]
    pub unconfirmed: Vec<Aspect>,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Its result set; empty: none, or one that [`crate::ResultSet`] describes.
    #[serde(default)]
    pub result: Vec<Column>,
}

/// Whether a caller must give a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Needed {
    /// Always.
    Yes,
    /// This one or the one that [`Parameter::instead_of`] names.
    One,
    /// Never.
    #[default]
    No,
}

/// A parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// With its `@`, unless the procedure is positional.
    pub name: String,
    /// Declared type.
    #[serde(rename = "type")]
    pub ty: SqlType,
    /// Whether it gives a value back.
    #[serde(default)]
    pub output: bool,
    /// Whether a caller must give it.
    #[serde(default)]
    pub needed: Needed,
    /// For [`Needed::One`], the other one.
    pub instead_of: Option<String>,
    /// What it is when it is left out: a number, a word, `NULL`, or `unchanged` for a setting that stays.
    pub default: Option<String>,
    /// What older pages say instead; `none` for no default at all.
    pub older_default: Option<String>,
    /// What is used where the default is NULL: a number, or `caller`, `today`, `master`.
    pub then: Option<String>,
    /// First release that has it; absent: every release that has the procedure.
    pub since: Option<Release>,
    /// Aspects that nobody could confirm.
    #[serde(default)]
    pub unconfirmed: Vec<Aspect>,
}

impl Procedure {
    /// A parameter by its name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// Whether a release, by its year, has the procedure.
    #[must_use]
    pub fn is_in(&self, year: u16) -> bool {
        self.since.as_ref().is_none_or(|since| since.year <= year)
            && self.until.as_ref().is_none_or(|until| until.year >= year)
    }

    /// The parameters that a release has, by its year.
    pub fn parameters_in(&self, year: u16) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |p| p.is_in(year))
    }
}

impl Parameter {
    /// Whether a release that has the procedure has the parameter, by its year.
    #[must_use]
    pub fn is_in(&self, year: u16) -> bool {
        self.since.as_ref().is_none_or(|since| since.year <= year)
    }
}

fn yes() -> bool {
    true
}
