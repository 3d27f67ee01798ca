//! How long steps are expected to take. Estimates only: no decision rests on them.

use std::time::Duration;

use crate::topology::{Share, Topology};

/// A statement without data behind it.
pub(crate) const STATEMENT: Duration = Duration::from_millis(200);
/// A manual mirroring failover, and the resynchronisation after it.
pub(crate) const SWAP: Duration = Duration::from_secs(5);
/// A cmdlet that changes the configuration store, with its replication.
pub(crate) const CMDLET: Duration = Duration::from_secs(15);
/// Setting up a mirror by cmdlet, beside the restore itself.
pub(crate) const INSTALL_MIRROR: Duration = Duration::from_secs(60);

/// Restore throughput where nothing was measured.
const RESTORE_BYTES_PER_SECOND: u64 = 100_000_000;
/// Copy throughput where no link declares one.
const COPY_BYTES_PER_SECOND: u64 = 100_000_000;

/// Restoring a backup of this size.
pub(crate) fn restore(bytes: u64) -> Duration {
    STATEMENT + at_rate(bytes, RESTORE_BYTES_PER_SECOND)
}

/// Copying a file of this size between two shares.
pub(crate) fn copy(topology: &Topology, from: &Share, to: &Share, bytes: u64) -> Duration {
    let link = topology.link(&from.site, &to.site);
    let rate = link
        .filter(|_| from.site != to.site)
        .and_then(|link| link.megabits_per_second)
        .map_or(COPY_BYTES_PER_SECOND, |megabits| u64::from(megabits) * 125_000);
    Duration::from_millis(10) + at_rate(bytes, rate)
}

fn at_rate(bytes: u64, bytes_per_second: u64) -> Duration {
    let millis = u128::from(bytes) * 1000 / u128::from(bytes_per_second.max(1));
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
