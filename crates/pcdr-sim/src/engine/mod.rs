//! The engine of the SQL Server stand-in: instances, databases, logs, backups, mirroring, sessions,
//! and the network and disks between them.
//!
//! One [`world::World`] holds everything behind one mutex, which is never held across an await, so
//! that a run is determined by its seed and its requests alone.

pub mod access;
pub mod agent;
pub mod alter;
pub mod backup;
pub mod catalog;
pub mod client;
pub mod database;
pub mod errors;
pub mod faults;
pub mod host;
pub mod information;
pub mod inspect;
pub mod log;
pub mod lsn;
pub mod media;
pub mod mirroring;
pub mod mirroring_state;
mod modules;
pub mod msdb;
mod options;
pub mod paths;
pub mod restore;
pub mod security;
pub mod session;
pub mod state;
pub mod storage;
pub mod system_procedures;
pub mod transfer;
pub mod world;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
