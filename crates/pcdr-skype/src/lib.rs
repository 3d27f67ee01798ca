//! The product's Management Shell (Lync Server 2013, Skype for Business Server 2015) from Rust.
//!
//! A [`ShellTransport`] runs scripts somewhere; a [`Shell`] writes them, with one function that
//! quotes every value, and reads what they print between markers of their own. Nothing here decides
//! anything: the functions do one thing each and say what came of it. Where no program reaches the shell, a
//! [`Person`] runs the same cmdlets by hand ([`PersonPool`]).
//!
//! Scripts are one line of printable ASCII, because `powershell.exe -Command -` reads its standard
//! input line by line in the console's code page.

mod by_hand;
mod command;
mod error;
mod person;
mod pool;
mod quote;
mod script;
mod shell;
mod transport;

pub use by_hand::{ByHand, by_hand};
pub use command::CommandTransport;
pub use error::{ShellError, ShellErrorKind};
pub use person::{NobodyAnswers, Person, PersonPool};
pub use pool::ShellPool;
pub use quote::quote;
pub use script::Script;
pub use shell::{
    CmsStatus, DatabaseType, InstallMirror, MirrorState, NewPrincipal, PoolState, Product,
    ReplicaStatus, Shell,
};
pub use transport::{Output, ShellTransport, TransportError};
