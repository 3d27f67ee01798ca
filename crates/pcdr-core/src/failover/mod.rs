//! Procedures that move the primary role. One file each; each reads like its runbook.

pub mod disaster;
pub mod failback;
pub mod fence;
mod handover;
pub mod mirror;
pub mod planned;
mod pool_steps;
mod sites;
mod takeover;

pub(crate) use sites::Side;
