//! The part of the Windows PowerShell 5.1 language that the stand-in evaluates.
//!
//! Sources: "about_Parsing", "about_Quoting_Rules", "about_Operators", "about_Parameter_Sets",
//! "about_CommonParameters", "about_Try_Catch_Finally" in the PowerShell documentation.
//! What lies outside of the subset is a parse error, never silence.

pub mod ast;
pub mod binder;
pub mod eval;
pub mod failure;
pub mod json;
pub mod ops;
pub mod parser;
pub mod utility;
pub mod value;
