//! The world: sites, links, shares, instances, one clock and one source of randomness.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::catalog::View;
use super::state::{Costs, Random, WorldState};

/// The world. Clones are handles to the same world.
#[derive(Debug, Clone)]
pub struct World {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    epoch: Timestamp,
    began: Instant,
    state: Mutex<WorldState>,
    changed: Notify,
}

impl World {
    /// A world whose disks are folders under `root`, whose clock shows `epoch` now, and whose
    /// choices follow from `seed`. Time is tokio's: a paused clock makes it virtual.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created.
    pub fn new(root: &Path, seed: u64, epoch: Timestamp) -> std::io::Result<World> {
        std::fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        Ok(World {
            inner: Arc::new(Inner {
                root,
                epoch,
                began: Instant::now(),
                state: Mutex::new(WorldState {
                    random: Random::new(seed),
                    sites: Default::default(),
                    shares: Default::default(),
                    links: Default::default(),
                    instances: Default::default(),
                    costs: Costs::default(),
                    kill_inside: Default::default(),
                }),
                changed: Notify::new(),
            }),
        })
    }

    /// Now, UTC, in whole microseconds.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.inner.began.elapsed();
        let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.inner
            .epoch
            .checked_add(jiff::SignedDuration::from_micros(micros))
            .unwrap_or(Timestamp::MAX)
    }

    /// How long until the clock shows `at`.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }

    /// The state. Never hold the guard across an await.
    pub fn lock(&self) -> MutexGuard<'_, WorldState> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone who waits for a state (locks, mirroring) to look again.
    pub fn notify(&self) {
        self.inner.changed.notify_waiters();
    }

    /// Waits for the next [`World::notify`], or for `at_most`.
    pub async fn changed(&self, at_most: Duration) {
        let _elapsed = tokio::time::timeout(at_most, self.inner.changed.notified()).await;
    }

    /// The folder of everything.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }
}

/// A session of an instance, for procedures: names it without holding anything of it.
#[derive(Debug, Clone)]
pub struct SessionRef {
    /// The world.
    pub world: World,
    /// Key of the instance.
    pub instance: String,
    /// The session.
    pub session_id: u16,
}

impl SessionRef {
    /// Looks at the state as the session may; `None` when the session is gone. `f` must not lock
    /// the world.
    pub fn view<T>(&self, f: impl FnOnce(View<'_>) -> T) -> Option<T> {
        let now = self.world.now();
        let state = self.world.lock();
        let instance = state.instances.get(&self.instance)?;
        let session = instance.sessions.get(&self.session_id)?;
        Some(f(View {
            world: &self.world,
            state: &state,
            instance,
            session,
            now,
        }))
    }
}
