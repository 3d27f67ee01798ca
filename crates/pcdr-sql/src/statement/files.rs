//! Statements that read backup files. They need no database, only the right to create one.

use super::Statement;
use crate::quote::{self, QuoteError};

/// The headers of one file. As a batch of its own, its first error names the cause.
///
/// # Errors
///
/// A path that cannot be quoted; so for every function here.
pub fn header(path: &str) -> Result<Statement, QuoteError> {
    let path = quote::path(path)?;
    Ok(Statement::query(format!(
        "SET NOCOUNT ON;\nSELECT 1 AS pcdr_clock, SYSDATETIMEOFFSET() AS now;\n\
         RESTORE HEADERONLY FROM DISK = {path};"
    )))
}

/// The headers of many files in one round trip. Before each result set, one with the file's number;
/// a file that cannot be read answers with an error, which is only the closing one (3013).
pub fn headers<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Statement, QuoteError> {
    let mut batch =
        String::from("SET NOCOUNT ON;\nSELECT 1 AS pcdr_clock, SYSDATETIMEOFFSET() AS now;\n");
    for (number, path) in paths.into_iter().enumerate() {
        let path = quote::path(path)?;
        batch.push_str(&format!(
            "SELECT {number} AS pcdr_file;\nBEGIN TRY\n  RESTORE HEADERONLY FROM DISK = {path};\nEND TRY\n\
             BEGIN CATCH\n  SELECT ERROR_NUMBER() AS pcdr_error, ERROR_MESSAGE() AS error;\nEND CATCH;\n"
        ));
    }
    Ok(Statement::query(batch))
}

/// The files of the database in a full backup.
pub fn file_list(path: &str) -> Result<Statement, QuoteError> {
    let path = quote::path(path)?;
    Ok(Statement::query(format!("RESTORE FILELISTONLY FROM DISK = {path};")))
}

/// The free space of every drive that has a letter.
pub fn drives() -> Statement {
    Statement::query("EXEC master.sys.xp_fixeddrives;")
}

pub(super) fn samples(path: &str) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    Ok(vec![
        ("header", header(path)?),
        ("headers", headers([path, "C:\\other.trn"])?),
        ("file list", file_list(path)?),
        ("drives", drives()),
    ])
}
