//! Files on their way over links: what moves at the same time shares the link's bandwidth equally.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::media;
use super::state::WorldState;
use super::world::World;

/// What moves over one direction of a link.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes left, by transfer.
    left: BTreeMap<u64, f64>,
    /// When they were.
    as_of: Option<Instant>,
}

impl Traffic {
    /// Moves everything on to now.
    fn advance(&mut self, now: Instant, bandwidth: u64) {
        let since = self.as_of.replace(now).map_or(Duration::ZERO, |then| now - then);
        let moved = since.as_secs_f64() * self.share(bandwidth);
        for left in self.left.values_mut() {
            *left -= moved;
        }
    }

    /// Bytes per second for each.
    fn share(&self, bandwidth: u64) -> f64 {
        bandwidth.max(1) as f64 / self.left.len().max(1) as f64
    }
}

/// A transfer that is on the link until this is dropped.
struct OnLink<'a> {
    world: &'a World,
    way: (String, String),
    id: u64,
}

impl<'a> OnLink<'a> {
    fn enter(world: &'a World, way: (String, String), bytes: u64) -> OnLink<'a> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        on(world, &way, |traffic, _| traffic.left.insert(id, bytes as f64));
        world.notify();
        OnLink { world, way, id }
    }

    /// How long it takes if nothing joins or leaves; `None` when it is over.
    fn ahead(&self) -> Option<Duration> {
        on(self.world, &self.way, |traffic, bandwidth| {
            let left = traffic.left.get(&self.id).copied().unwrap_or_default();
            // Less than a byte is nothing.
            (left >= 1.0).then(|| Duration::from_secs_f64(left / traffic.share(bandwidth)))
        })
    }
}

impl Drop for OnLink<'_> {
    fn drop(&mut self) {
        on(self.world, &self.way, |traffic, _| traffic.left.remove(&self.id));
        self.world.notify();
    }
}

/// Looks at the traffic of a way as it is now.
fn on<T>(world: &World, way: &(String, String), look: impl FnOnce(&mut Traffic, u64) -> T) -> T {
    let mut state = world.lock();
    let bandwidth = state.link(&way.0, &way.1).bandwidth;
    let traffic = state.on_links.entry(way.clone()).or_default();
    traffic.advance(Instant::now(), bandwidth);
    look(traffic, bandwidth)
}

impl World {
    /// Takes the time that so many bytes need from one site to another, beside what else is on the link;
    /// none inside a site.
    pub async fn carry(&self, from: &str, to: &str, bytes: u64) {
        if from.eq_ignore_ascii_case(to) {
            return;
        }
        let latency = self.lock().link(from, to).latency;
        tokio::time::sleep(latency * 2).await;
        let on_link = OnLink::enter(self, (from.to_lowercase(), to.to_lowercase()), bytes);
        while let Some(ahead) = on_link.ahead() {
            self.changed(ahead).await;
        }
    }

    /// As [`World::carry`], for the backup in a file: as large as its headers say, or as it is.
    pub async fn carry_backup(&self, from: &str, to: &str, file: &Path) {
        let is = || std::fs::metadata(file).map_or(0, |found| found.len());
        let bytes = media::declared_size(file).unwrap_or_else(is);
        self.carry(from, to, bytes).await;
    }
}

/// The site that a UNC path's share stands in; `None` for a local path.
pub(crate) fn share_site(state: &WorldState, path: &str) -> Option<String> {
    let unix = path.replace('\\', "/");
    let mut parts = unix.strip_prefix("//")?.split('/');
    let key = format!("{}\\{}", parts.next()?, parts.next()?).to_lowercase();
    state.shares.get(&key).map(|s| s.site.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(folder: &Path) -> World {
        let world = World::new(folder, 1, jiff::Timestamp::UNIX_EPOCH).unwrap();
        world.add_site("north");
        world.add_site("south");
        world.link("north", "south", Duration::ZERO, 1_000_000);
        world
    }

    async fn took(world: &World, to: &str, bytes: u64, after: u64) -> u64 {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(after)).await;
        world.carry("north", to, bytes).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_move_at_the_same_time_share_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path());
        assert_eq!(took(&world, "SOUTH", 10_000_000, 0).await, 10);
        // Alone for 4 s, then half of the link each: the second leaves at 4 + 6, the first at 7 + 3 + 3.
        let (first, second) =
            tokio::join!(took(&world, "south", 10_000_000, 0), took(&world, "south", 3_000_000, 4));
        assert_eq!((first, second), (13, 10));
        assert_eq!(took(&world, "NORTH", 10_000_000, 0).await, 0, "there is no link inside a site");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_leaves_the_link_to_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path());
        let limit = Duration::from_secs(2);
        let given_up = tokio::time::timeout(limit, world.carry("north", "south", 9_000_000));
        let (given_up, other) = tokio::join!(given_up, took(&world, "south", 5_000_000, 0));
        assert!(given_up.is_err());
        assert_eq!(other, 6, "2 s at half of the link, then 4 s alone");
    }
}
