//! The ports of `pcdr-core` over pooled SQL Server connections.
//!
//! All T-SQL that pcdr sends is built in [`statement`] and quoted in [`quote`]; the driver is known
//! only to [`connection`].

#[cfg(not(any(feature = "tls-rustls", feature = "tls-native")))]
compile_error!("pcdr-sql needs one of the features tls-rustls and tls-native");
#[cfg(all(feature = "tls-rustls", feature = "tls-native"))]
compile_error!("pcdr-sql takes one of the features tls-rustls (a default) and tls-native");

mod access;
pub mod connection;
mod copy;
pub mod error;
pub mod files;
pub mod fleet;
mod header;
pub mod instance;
mod observation;
mod partial;
pub mod pool;
mod preflight;
pub mod quote;
pub mod rights;
pub mod statement;
pub mod trace;

pub use access::{Access, Address};
pub use connection::{Credentials, Dialer, Endpoint, NetStream, Password, TcpDialer};
pub use error::{ServerError, SqlError};
pub use files::ShareFiles;
pub use fleet::{Fleet, FleetOptions};
pub use instance::{Limits, Secrets, SqlInstance};
pub use trace::Trace;

/// `program_name` of pcdr's sessions.
pub const APPLICATION: &str = "pcdr";
