//! Procedures that move the primary role. One file each; each reads like its runbook.

pub mod disaster;
pub mod mirror;
