//! What is wrong with a topology file, where, and what to do.

use std::fmt;

use serde::Serialize;

/// Where in the file, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One violation of a planning rule or of the file's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Stable, to branch on, for example `too_many_active_servers`.
    pub code: &'static str,
    /// Where; the file's first character when the violation is something that is missing altogether.
    pub place: Place,
    /// Byte range in the text, end exclusive; empty when something is missing.
    pub span: (usize, usize),
    /// What was needed and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Document that states the rule; empty for the form of the file.
    pub source: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: {} [{}]. {}", self.message, self.code, self.remedy)
    }
}

/// Every violation found in one topology file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(violation, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
