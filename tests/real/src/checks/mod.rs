//! The checks, by subject.

pub mod backups;
pub mod chain;
pub mod drill;
pub mod errors;
pub mod failover;
pub mod jobs;
pub mod log_shipping;
pub mod mirroring;
pub mod observation;
pub mod ports;
pub mod statements;

use crate::check::Check;

/// Every check.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        ports::CHECKS,
        statements::CHECKS,
        observation::CHECKS,
        backups::CHECKS,
        chain::CHECKS,
        drill::CHECKS,
        errors::CHECKS,
        jobs::CHECKS,
        log_shipping::CHECKS,
        mirroring::CHECKS,
        failover::CHECKS,
    ]
    .into_iter()
    .flatten()
}
