//! The procedures that the stand-in has: where they live, their parameters, types and defaults.
//!
//! Source: the vendor's pages of the log shipping procedures and of SQL Server Agent's procedures.
//! Where the documentation of two releases disagrees about a default, the newest is used; where it
//! gives none, a change procedure leaves the setting as it is.

use crate::tsql::ast::ObjectName;
use crate::tsql::host::ProcedureParameter;
use crate::value::{Length, SqlType, Value};

use super::{signatures_agent, signatures_log_shipping, signatures_system};

/// Where a procedure lives, and so under which names it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// A system procedure: found from every database, as `name`, `dbo.name`, `sys.name`, and
    /// under `master` or any other database's name.
    Master,
    /// A procedure of `msdb`: found with `msdb` as the current or the named database.
    Msdb,
}

/// A parameter's default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// Error 201 when missing.
    Required,
    /// NULL.
    Null,
    /// A whole number.
    Number(i32),
    /// Text.
    Text(&'static str),
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// With its `@`.
    pub name: &'static str,
    /// Declared type.
    pub ty: SqlType,
    /// What it holds when the caller leaves it out.
    pub default: Default,
    /// Whether the caller may take its final value.
    pub output: bool,
    /// First major version that knows it; 0: all.
    pub since: u8,
}

/// A required parameter.
pub const fn required(name: &'static str, ty: SqlType) -> Parameter {
    Parameter { name, ty, default: Default::Required, output: false, since: 0 }
}

/// A parameter that is NULL when left out.
pub const fn optional(name: &'static str, ty: SqlType) -> Parameter {
    Parameter { default: Default::Null, ..required(name, ty) }
}

/// A parameter with a number as its default.
pub const fn number(name: &'static str, ty: SqlType, default: i32) -> Parameter {
    Parameter { default: Default::Number(default), ..required(name, ty) }
}

/// A parameter with a text as its default.
pub const fn word(name: &'static str, ty: SqlType, default: &'static str) -> Parameter {
    Parameter { default: Default::Text(default), ..required(name, ty) }
}

/// An output parameter that may be left out.
pub const fn output(name: &'static str, ty: SqlType) -> Parameter {
    Parameter { output: true, ..optional(name, ty) }
}

impl Parameter {
    /// The same parameter, but only from a release on.
    #[must_use]
    pub const fn since(mut self, major: u8) -> Parameter {
        self.since = major;
        self
    }
}

/// `varchar(n)` and `nvarchar(max)`, as parameters use them.
pub const MAX: SqlType = SqlType::NVarChar(Length::Max);

/// What is called.
pub type Procedure = super::Procedure;

/// A procedure's name, home and parameters.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// Name, in lower case.
    pub name: &'static str,
    /// Where it lives.
    pub home: Home,
    /// First major version that has it; 0: all.
    pub since: u8,
    /// In order.
    pub parameters: &'static [Parameter],
    /// What runs.
    pub procedure: Procedure,
}

/// A procedure of `master` that every release has.
pub const fn system(
    name: &'static str,
    procedure: Procedure,
    parameters: &'static [Parameter],
) -> Signature {
    Signature { name, home: Home::Master, since: 0, parameters, procedure }
}

/// A procedure of `msdb` that every release has.
pub const fn msdb(
    name: &'static str,
    procedure: Procedure,
    parameters: &'static [Parameter],
) -> Signature {
    Signature { home: Home::Msdb, ..system(name, procedure, parameters) }
}

/// The procedure that a name means in a database, on a release; `None` when there is none.
pub fn resolve(name: &ObjectName, current: &str, major: u8) -> Option<&'static Signature> {
    if !name.server.is_empty() {
        return None;
    }
    let schema = name.schema.to_lowercase();
    if !matches!(schema.as_str(), "" | "dbo" | "sys") {
        return None;
    }
    let found = signatures_log_shipping::ALL
        .iter()
        .chain(signatures_agent::ALL)
        .chain(signatures_system::ALL)
        .find(|s| s.since <= major && s.name.eq_ignore_ascii_case(&name.name))?;
    let database = if name.database.is_empty() { current } else { name.database.as_str() };
    let there = match found.home {
        Home::Msdb => schema != "sys" && database.eq_ignore_ascii_case("msdb"),
        // `sp_` finds its way from every database; extended procedures only from `master` or `sys`.
        Home::Master => {
            found.name.starts_with("sp_")
                || schema == "sys"
                || name.database.is_empty() && schema.is_empty()
                || database.eq_ignore_ascii_case("master")
        }
    };
    there.then_some(found)
}

impl Signature {
    /// The parameters that a release knows, as the interpreter binds them.
    pub fn parameters(&self, major: u8) -> Vec<ProcedureParameter> {
        self.parameters
            .iter()
            .filter(|p| p.since <= major)
            .map(|p| ProcedureParameter {
                name: p.name.to_owned(),
                ty: p.ty,
                default: match p.default {
                    Default::Required => None,
                    Default::Null => Some(Value::Null),
                    Default::Number(n) => Some(super::store::shaped(p.ty, Value::Int(n))),
                    Default::Text(text) => Some(Value::string(text)),
                },
                output: p.output,
            })
            .collect()
    }
}
