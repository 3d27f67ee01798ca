//! TDS clients written by others, run against the stand-in for SQL Server.
//!
//! The stand-in and pcdr's own driver could share a misunderstanding of the protocol. Four other
//! implementations of it (the vendor's ODBC driver, FreeTDS, python-tds, tedious) cannot. Each is driven
//! by a script of `scripts/`, and each thing that it must be able to do is one [check](checks). See
//! docs/src/decisions/clients-by-others.md.

pub mod checks;
pub mod script;
pub mod stand_in;
