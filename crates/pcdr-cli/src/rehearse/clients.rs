//! Clients that know nothing of a planned failover, and write while it goes on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pcdr_core::{DatabaseName, Timestamp};

use super::{Stage, Written};

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(5);

/// A client whose write is refused connects again and tries once more, so often.
const ATTEMPTS: u32 = 3;

/// Writes one record after the other into every database on the primary, until it is refused there for
/// good, or the run is `over`; adds what was acknowledged. Gives the time of the first refusal that no
/// later write of that database follows; `None` when no database refused.
pub(super) async fn write_until_refused(
    stage: &Stage,
    written: &mut Written,
    over: &AtomicBool,
) -> Option<Timestamp> {
    let topology = stage.topology();
    let clock = &stage.ports().clock;
    let primary = &topology.primary().name;
    let mut refused: BTreeMap<&DatabaseName, (u32, Timestamp)> = BTreeMap::new();
    // A record that was refused may have been written all the same: its number is not used again.
    let mut next: BTreeMap<&DatabaseName, u64> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let mut tried = false;
        for database in topology.databases() {
            if refused.get(database).is_some_and(|(attempts, _)| *attempts >= ATTEMPTS) {
                continue;
            }
            tried = true;
            let acknowledged = written.entry(database.clone()).or_default();
            let number = next
                .entry(database)
                .or_insert_with(|| acknowledged.last().map_or(1, |last| last + 1));
            let now = clock.now();
            let record = *number..*number + 1;
            *number += 1;
            match stage.workload.write(primary, database, record.clone(), now.unix_millis()).await {
                Ok(()) => {
                    acknowledged.extend(record);
                    refused.remove(database);
                }
                Err(_) => refused.entry(database).or_insert((0, now)).0 += 1,
            }
        }
        if !tried {
            break;
        }
        clock.sleep(PAUSE).await;
    }
    refused.values().map(|(_, since)| *since).min()
}
