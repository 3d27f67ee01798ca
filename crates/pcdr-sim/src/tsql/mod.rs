//! T-SQL as the stand-in understands it: parsed into trees, evaluated over its [`host::Host`].

pub mod ast;
mod bind;
mod bound;
mod call;
mod change;
mod convert;
mod eval;
mod failures;
mod functions;
pub mod host;
mod interpret;
mod lex;
mod moments;
mod output;
mod parse;
mod plan;
mod run;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod tree;

pub use interpret::Interpreter;
