//! T-SQL as the stand-in understands it: parsed into trees, evaluated over its [`host::Host`].

pub mod ast;
mod bind;
mod bound;
mod call;
mod change;
mod constraints;
mod convert;
mod define;
mod eval;
mod failures;
mod functions;
pub mod host;
mod interpret;
mod language;
mod lex;
mod merge;
mod moments;
mod output;
mod parse;
mod plan;
mod routine;
mod run;
mod shape;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tree;

pub use interpret::Interpreter;
