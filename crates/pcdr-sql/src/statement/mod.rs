//! Every T-SQL batch that pcdr sends, built by pure functions.
//!
//! Each function returns one [`Statement`]; [`samples`] lists one of each kind with hostile names, so
//! that the vendor's parser and the stand-in can judge them all.

/// The error that pcdr's own observation raises where a login may not see every database.
pub(crate) const HIDDEN: i32 = 50_229;

/// Refuses to look where a missing permission would hide rows, so that none are shown for lack of a
/// right: THROW, unless the login has one of these server permissions. One that a release does not know
/// counts as missing.
pub(crate) fn unless_hidden(permissions: &[&str], hidden: &str) -> String {
    let missing: Vec<String> = permissions
        .iter()
        .map(|one| format!("ISNULL(HAS_PERMS_BY_NAME(NULL, NULL, N'{one}'), 0) = 0"))
        .collect();
    let first = permissions.first().copied().unwrap_or_default();
    format!("IF {} THROW {HIDDEN}, N'{first} is missing: {hidden}', 1; ", missing.join(" AND "))
}

/// The longest password, in UTF-16 code units.
///
/// Source: "Strong Passwords" and `sysname`, which the procedures take it as.
pub(crate) const LONGEST_PASSWORD: usize = 128;

/// What shows what is there, whether the login may use it or not.
pub(crate) const SEES_DEFINITIONS: &str = "VIEW ANY DEFINITION";

/// What shows the sessions of others; the second came with SQL Server 2022.
pub(crate) const SEES_SESSIONS: [&str; 2] = ["VIEW SERVER STATE", "VIEW SERVER PERFORMANCE STATE"];

/// Where redo of the database `d` starts, as `f`: the data file that is furthest behind decides.
pub(crate) const REDO_START: &str = "OUTER APPLY (SELECT TOP (1) x.redo_start_lsn, x.redo_start_fork_guid \
    FROM sys.master_files AS x WHERE x.database_id = d.database_id AND x.type = 0 AND x.redo_start_lsn IS NOT NULL \
    ORDER BY x.redo_start_lsn) AS f";

pub mod database;
pub mod files;
pub mod jobs;
pub mod log_shipping;
pub mod observe;
pub mod preflight;
pub mod rights;
pub mod survey;

use crate::connection::Password;
use crate::quote::QuoteError;

/// How a batch is sent and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads; may be sent again.
    Query,
    /// Changes something in short time.
    Change,
    /// May take hours: sent over a connection of its own, without a time limit.
    Long,
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text, as it is sent.
    pub batch: String,
    /// How it is sent.
    pub kind: Kind,
    /// The values of `@P1`, `@P2` and so on, which are sent apart from the text: whatever shows a batch,
    /// shows none of them.
    pub secrets: Vec<Password>,
}

impl Statement {
    pub(crate) fn query(batch: impl Into<String>) -> Statement {
        Statement { batch: batch.into(), kind: Kind::Query, secrets: Vec::new() }
    }

    pub(crate) fn change(batch: impl Into<String>) -> Statement {
        Statement { batch: batch.into(), kind: Kind::Change, secrets: Vec::new() }
    }

    /// Its text for a person, who has to fill in the secrets before it can be run.
    pub fn script(&self) -> String {
        let numbers = 1..=self.secrets.len();
        let secrets =
            numbers.map(|n| format!("DECLARE @P{n} nvarchar({LONGEST_PASSWORD}) = N'***';\n"));
        secrets.chain([self.batch.clone()]).collect()
    }

    /// The same with the values of its `@P1`, `@P2` and so on.
    fn with(self, secrets: impl IntoIterator<Item = Password>) -> Statement {
        Statement { secrets: secrets.into_iter().collect(), ..self }
    }

    pub(crate) fn long(batch: impl Into<String>) -> Statement {
        Statement { batch: batch.into(), kind: Kind::Long, secrets: Vec::new() }
    }
}

/// Asks a connection whether it works, and leaves no transaction open on it.
pub fn check() -> Statement {
    Statement::query("IF @@TRANCOUNT > 0 ROLLBACK; SELECT 1 AS pcdr_check;")
}

/// One of every statement that can be generated, with its name, for a database and a path.
///
/// # Errors
///
/// A name that cannot be quoted.
pub fn samples(database: &str, path: &str) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let mut all = vec![("check", check())];
    all.push(("observe", observe::observe(&[database, "mgccomp"])?));
    all.push(("survey", survey::survey()?));
    all.extend(database::samples(database, path)?);
    all.extend(files::samples(path)?);
    all.extend(jobs::samples()?);
    all.extend(log_shipping::samples(database, path)?);
    all.extend(rights::samples(database)?);
    all.extend(preflight::samples(database, path)?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a batch as the server's scanner does; what is left outside of quotes.
    fn outside_of_quotes(batch: &str) -> Option<String> {
        let mut outside = String::new();
        let mut rest = batch.chars().peekable();
        while let Some(c) = rest.next() {
            let close = match c {
                '\'' => '\'',
                '[' => ']',
                other => {
                    outside.push(other);
                    continue;
                }
            };
            loop {
                match rest.next()? {
                    c if c == close && rest.peek() == Some(&close) => {
                        rest.next();
                    }
                    c if c == close => break,
                    _ => {}
                }
            }
        }
        Some(outside)
    }

    #[test]
    fn no_hostile_name_leaves_its_quotes_in_any_statement() {
        let hostile = "a]b'c\"; ZAP DATABASE evil; -- /*\nGO\n";
        for (name, statement) in samples(hostile, "\\\\srv\\s h'are\\evil ZAP.trn").unwrap() {
            let outside = outside_of_quotes(&statement.batch);
            let outside = outside.unwrap_or_else(|| panic!("{name}: open quote"));
            assert!(!outside.contains("evil"), "{name}: {}", statement.batch);
            assert!(!outside.contains("ZAP"), "{name}: {}", statement.batch);
        }
    }

    #[test]
    fn every_statement_of_every_batch_ends_with_a_semicolon() {
        for (name, statement) in samples("mgc", "C:\\b\\mgc.trn").unwrap() {
            assert!(statement.batch.trim_end().ends_with(';'), "{name}: {}", statement.batch);
        }
    }

    #[test]
    fn every_builder_has_a_sample() {
        for file in [
            include_str!("database.rs"),
            include_str!("files.rs"),
            include_str!("jobs.rs"),
            include_str!("log_shipping.rs"),
            include_str!("rights.rs"),
            include_str!("preflight.rs"),
        ] {
            let (builders, samples) = file.split_once("pub(super) fn samples(").unwrap();
            for line in builders.lines().filter_map(|line| line.strip_prefix("pub fn ")) {
                let name = line.split(['(', '<']).next().unwrap();
                let is_called = samples.contains(&format!(" {name}("));
                assert!(is_called, "{name} is in no sample, so that no parser judges it");
            }
        }
    }

    #[test]
    fn names_of_samples_are_unique() {
        let all = samples("mgc", "C:\\b\\mgc.trn").unwrap();
        let names: std::collections::BTreeSet<_> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all.len());
    }
}
