//! Stand-ins for the servers that pcdr works with: SQL Server and the product's Management Shell.
//!
//! The SQL Server stand-in is an engine, not a table of answers: it parses T-SQL, evaluates it over
//! its state, and speaks TDS 7.4 with TLS, so that a client it has never seen gets true answers. It
//! knows nothing of `pcdr-core`: it is written from the vendor's documented facts alone, so that the
//! planner's model and the stand-in can catch each other.

pub mod engine;
pub mod front;
pub mod message;
pub mod shell;
pub mod tsql;
pub mod value;
pub mod wire;
