//! T-SQL as the stand-in understands it: parsed into trees, evaluated over its [`host::Host`].

pub mod ast;
pub mod host;
