//! SQL Server's errors as data, and scenarios that provoke them on the stand-in.
//!
//! `errors.json` says what is known of each number. Each file in `scenarios/` is text that an operator
//! can read: what is done, on which instance, and which errors answer. `not_supported.txt` names the
//! numbers that the stand-in does not raise, with the reason and what it does instead.

#![allow(clippy::missing_panics_doc, reason = "support for tests: it panics where a test fails")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

pub mod facts;
pub mod scenario;
pub mod stage;
pub mod table;
