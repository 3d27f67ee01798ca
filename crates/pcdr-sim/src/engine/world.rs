//! The world: sites, links, shares, instances, one clock and one source of randomness.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::agent;
use super::catalog::View;
use super::errors::OsError;
use super::paths::{self, Place};
use super::security::Security;
use super::session::Instance;
use super::state::{Costs, InstanceConfig, InstanceState, Link, Random, Share, Site, WorldState};

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
                root: root.clone(),
                epoch,
                began: Instant::now(),
                state: Mutex::new(WorldState {
                    root,
                    random: Random::new(seed),
                    sites: Default::default(),
                    shares: Default::default(),
                    links: Default::default(),
                    instances: Default::default(),
                    costs: Costs::default(),
                    kill_inside: Default::default(),
                    fail_jobs: Default::default(),
                    delays: Default::default(),
                    mirroring_wake: None,
                    mirroring_dirty: false,
                    seen_at: Timestamp::MIN,
                    on_links: Default::default(),
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
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone who waits for a state (locks, mirroring) to look again.
    pub fn notify(&self) {
        self.inner.changed.notify_waiters();
    }

    /// Waits for the next [`World::notify`], or for `at_most`.
    pub async fn changed(&self, at_most: Duration) {
        let _elapsed = tokio::time::timeout(at_most, self.inner.changed.notified()).await;
    }

    /// A handle that keeps nothing alive, for background tasks.
    pub fn downgrade(&self) -> WeakWorld {
        WeakWorld(Arc::downgrade(&self.inner))
    }

    /// Sets what things cost.
    pub fn set_costs(&self, costs: Costs) {
        self.lock().costs = costs;
    }

    /// Adds a site.
    pub fn add_site(&self, name: &str) {
        self.lock().sites.insert(name.to_lowercase(), Site { name: name.to_owned(), lost: false });
    }

    /// Sets both directions of the link between two sites.
    pub fn link(&self, one: &str, other: &str, latency: Duration, bandwidth: u64) {
        let link = Link { latency, bandwidth: bandwidth.max(1), cut: false };
        let mut state = self.lock();
        let (one, other) = (one.to_lowercase(), other.to_lowercase());
        state.links.insert((one.clone(), other.clone()), link);
        state.links.insert((other, one), link);
    }

    /// Adds a share `\\host\name` that stands in a site, with its folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created.
    pub fn add_share(&self, host: &str, name: &str, site: &str) -> std::io::Result<()> {
        let folder = self.root().join("shares").join(paths::safe(host)).join(paths::safe(name));
        std::fs::create_dir_all(folder)?;
        self.lock().shares.insert(
            format!("{}\\{}", host.to_lowercase(), name.to_lowercase()),
            Share {
                host: host.to_owned(),
                name: name.to_owned(),
                site: site.to_owned(),
                lost: false,
                read_only: false,
                full: false,
                alias: None,
            },
        );
        Ok(())
    }

    /// Shares a folder of an instance's machine as `\\host\name`.
    ///
    /// # Errors
    ///
    /// When there is no such instance or the folder cannot be created.
    pub fn share_folder(
        &self,
        instance: &str,
        host: &str,
        name: &str,
        local: &str,
    ) -> std::io::Result<()> {
        let place =
            self.path(instance, local).map_err(|os| std::io::Error::other(os.to_string()))?;
        std::fs::create_dir_all(place)?;
        let mut state = self.lock();
        let key = instance.to_lowercase();
        let site = state.instances.get(&key).map(|i| i.config.site.clone()).unwrap_or_default();
        state.shares.insert(
            format!("{}\\{}", host.to_lowercase(), name.to_lowercase()),
            Share {
                host: host.to_owned(),
                name: name.to_owned(),
                site,
                lost: false,
                read_only: false,
                full: false,
                alias: Some((key, local.to_owned())),
            },
        );
        Ok(())
    }

    /// Adds an instance with its system databases and starts it.
    ///
    /// # Errors
    ///
    /// When its folders cannot be created.
    pub fn add_instance(&self, config: InstanceConfig) -> std::io::Result<Instance> {
        let now = self.now();
        let key = config.name.to_lowercase();
        let mut state = self.lock();
        let mut instance = InstanceState {
            key: key.clone(),
            running: true,
            down: tokio_util::sync::CancellationToken::new(),
            started: now,
            databases: Default::default(),
            next_database_id: 1,
            sessions: Default::default(),
            endpoint: None,
            witness_of: Default::default(),
            full_drives: Default::default(),
            msdb: Default::default(),
            security: Security::new(&config.sa_password),
            links: std::collections::BTreeMap::new(),
            agent: Default::default(),
            error_log: Vec::new(),
            events: Vec::new(),
            admission: Default::default(),
            config,
        };
        for folder in [
            instance.config.data_path.clone(),
            instance.config.log_path.clone(),
            instance.config.backup_path.clone(),
        ] {
            let place = paths::resolve(&state, self.root(), &instance, &folder)
                .map_err(|os| std::io::Error::other(os.to_string()))?;
            std::fs::create_dir_all(place.path)?;
        }
        for name in ["master", "tempdb", "model", "msdb"] {
            let database = super::database::new_database(
                &mut state.random,
                &mut instance,
                name,
                &[],
                "sa",
                now,
            );
            super::database::write_files(&state, self.root(), &instance, &database)
                .map_err(|(os, path)| std::io::Error::other(format!("{path}: {os}")))?;
            instance.databases.insert(name.to_owned(), database);
        }
        instance.log_message(now, super::errors::ready());
        state.instances.insert(key.clone(), instance);
        drop(state);
        agent::started(self, &key);
        Ok(Instance::new(self.clone(), key))
    }

    /// The instance of that name, in any case.
    pub fn instance(&self, name: &str) -> Option<Instance> {
        let key = name.to_lowercase();
        let known = self.lock().instances.contains_key(&key);
        known.then(|| Instance::new(self.clone(), key))
    }

    /// The file or folder that an instance means by a path.
    ///
    /// # Errors
    ///
    /// The operating system error that the instance would see: 53 when the share is out of reach …
    pub fn path(&self, instance: &str, sql_path: &str) -> Result<PathBuf, OsError> {
        self.place(instance, sql_path).map(|place| place.path)
    }

    /// As [`World::path`], for writing.
    ///
    /// # Errors
    ///
    /// As [`World::path`]; 5 for a read-only share, 112 for a full disk.
    pub fn writable_path(&self, instance: &str, sql_path: &str) -> Result<PathBuf, OsError> {
        let place = self.place(instance, sql_path)?;
        place.write_error.map_or(Ok(place.path), Err)
    }

    fn place(&self, instance: &str, sql_path: &str) -> Result<Place, OsError> {
        let state = self.lock();
        let instance =
            state.instances.get(&instance.to_lowercase()).ok_or(OsError::NETWORK_PATH)?;
        paths::resolve(&state, self.root(), instance, sql_path)
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
        Some(f(View { world: &self.world, state: &state, instance, session, now }))
    }
}

/// A world that may be gone.
#[derive(Debug, Clone)]
pub struct WeakWorld(std::sync::Weak<Inner>);

impl WeakWorld {
    /// The world, while anyone else holds it.
    pub fn upgrade(&self) -> Option<World> {
        self.0.upgrade().map(|inner| World { inner })
    }
}

impl WorldState {
    /// Whether packets go from one site to the other.
    pub fn linked(&self, from: &str, to: &str) -> bool {
        let (from, to) = (from.to_lowercase(), to.to_lowercase());
        let lost = |name: &str| self.sites.get(name).is_some_and(|site| site.lost);
        if lost(&from) || lost(&to) {
            return false;
        }
        !self.links.get(&(from, to)).is_some_and(|link| link.cut)
    }

    /// The link from one site to another.
    pub fn link(&self, from: &str, to: &str) -> Link {
        self.links.get(&(from.to_lowercase(), to.to_lowercase())).copied().unwrap_or_default()
    }

    /// Whether two instances run and can talk to each other, both ways.
    pub fn connected(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.instances.get(one), self.instances.get(other)) else {
            return false;
        };
        one.running
            && other.running
            && self.linked(&one.config.site, &other.config.site)
            && self.linked(&other.config.site, &one.config.site)
    }
}
