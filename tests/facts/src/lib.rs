//! What is documented of SQL Server, as data: procedures with their parameters, tables, views, result sets.
//!
//! Nothing of pcdr is written from these files, and neither is the stand-in: each of the two is *checked*
//! against them, so that a slip of the pen in one is not repeated in the other. A fact that nobody could
//! confirm says which of its aspects that is; a check may use such an aspect, but must not rest on it.
//!
//! ```
//! let facts = pcdr_facts::Facts::load().unwrap();
//! let add = facts.procedure("sp_add_log_shipping_primary_database").unwrap();
//! assert_eq!(add.parameter("@backup_threshold").unwrap().default.as_deref(), Some("45"));
//! ```

mod procedure;
mod relation;
mod release;
mod sql_type;

use serde::Deserialize;

pub use procedure::{Needed, Parameter, Place, Procedure};
pub use relation::{Column, Kind, Relation, ResultSet};
pub use release::{RELEASES, Release};
pub use sql_type::{Base, Size, SqlType};

/// An aspect of a fact that nobody could confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Whether there is such a thing at all.
    Existence,
    /// How it is called.
    Name,
    /// Its type.
    Type,
    /// Types of everything in it.
    Types,
    /// How long a text it is; that it is a text is certain.
    Length,
    /// Its place among the others.
    Order,
    /// The first release that has it.
    Since,
    /// Whether a caller must give it.
    Needed,
    /// What it is when a caller does not give it.
    Default,
    /// The defaults of everything in it.
    Defaults,
    /// Which parameters there are.
    Parameters,
    /// Which columns there are.
    Columns,
    /// What it answers.
    Result,
    /// What it returns.
    Returns,
    /// Who may call it.
    Permission,
    /// The database in which it lives.
    Database,
    /// The servers on which it is called.
    RunsOn,
    /// Types as they are sent: the page's own need not be those.
    Wire,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Procedures of log shipping first, then those of the Agent and the extended ones.
    pub procedures: Vec<Procedure>,
    /// Tables of log shipping first, then the other tables of msdb and the views.
    pub relations: Vec<Relation>,
    /// Result sets that belong to no relation.
    pub results: Vec<ResultSet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    procedures: Vec<Procedure>,
    #[serde(default)]
    relations: Vec<Relation>,
    #[serde(default)]
    results: Vec<ResultSet>,
}

const FILES: [(&str, &str); 7] = [
    ("procedures_log_shipping.toml", include_str!("../data/procedures_log_shipping.toml")),
    ("procedures_agent.toml", include_str!("../data/procedures_agent.toml")),
    ("tables_log_shipping.toml", include_str!("../data/tables_log_shipping.toml")),
    ("views.toml", include_str!("../data/views.toml")),
    ("views_mirroring.toml", include_str!("../data/views_mirroring.toml")),
    ("persistent_chat.toml", include_str!("../data/persistent_chat.toml")),
    ("result_sets.toml", include_str!("../data/result_sets.toml")),
];

impl Facts {
    /// Reads the files of `data/`, which are part of the program.
    ///
    /// # Errors
    ///
    /// A file that is not what the types here describe, with its name, line and column.
    pub fn load() -> Result<Facts, String> {
        let mut facts = Facts::default();
        for (name, text) in FILES {
            facts.add(text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(facts)
    }

    fn add(&mut self, text: &str) -> Result<(), toml::de::Error> {
        let file: File = toml::from_str(text)?;
        self.procedures.extend(file.procedures);
        self.relations.extend(file.relations);
        self.results.extend(file.results);
        Ok(())
    }

    /// A procedure by its name alone, which is unique.
    #[must_use]
    pub fn procedure(&self, name: &str) -> Option<&Procedure> {
        self.procedures.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// A table or view by schema and name, which are unique together.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        self.relations.iter().find(|r| same(&r.schema, schema) && same(&r.name, name))
    }

    /// The result set of a statement, procedure or function.
    #[must_use]
    pub fn result(&self, of: &str) -> Option<&ResultSet> {
        self.results.iter().find(|r| r.of.eq_ignore_ascii_case(of))
    }
}

#[cfg(test)]
mod tests;
