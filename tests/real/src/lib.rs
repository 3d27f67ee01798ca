//! One suite of checks for SQL Servers: those that the environment names, or the stand-in, over the wire.
//!
//! A check never knows which it has. What a server cannot do is asked of the server, and the checks that
//! need it are skipped by name ([`survey`]). Everything that a check makes bears its run's name, is
//! taken away afterwards whether the check held or not, and nothing else may have changed
//! ([`scratch`]).
//!
//! `docs/src/certainty.md` names for every assumption about SQL Server the check that decides it.

#![allow(clippy::missing_panics_doc, reason = "a check panics where it fails")]
#![allow(clippy::unwrap_used, reason = "a check that unwraps fails with the place")]

pub mod check;
pub mod checks;
pub mod environment;
pub mod ground;

pub mod scratch;
pub mod servers;
pub mod survey;

pub use check::Check;
pub use ground::Ground;
pub use servers::Servers;
