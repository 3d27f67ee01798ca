//! The engine of the SQL Server stand-in: instances, databases, logs, backups, mirroring, sessions,
//! and the network and disks between them.
//!
//! One [`world::World`] holds everything behind one mutex, which is never held across an await, so
//! that a run is determined by its seed and its requests alone.

pub mod agent;
pub mod catalog;
pub mod errors;
pub mod log;
pub mod lsn;
pub mod media;
pub mod mirroring_state;
pub mod msdb;
pub mod security;
pub mod state;
pub mod storage;
pub mod system_procedures;
pub mod world;
