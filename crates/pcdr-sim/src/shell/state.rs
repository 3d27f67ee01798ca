//! The Central Management store, its replicas, and what is out of order.
//!
//! A change is written to the master and is effective on a server only after it was replicated
//! there. Source: "Get-CsManagementStoreReplicationStatus"; Microsoft KB 2667713.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::civil::DateTime;
use tokio::time::Instant;

use super::topology::{PoolState, ShellTopology};

/// Whether the Central Management store can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CmsAvailability {
    /// Reads and writes.
    #[default]
    Available,
    /// Reads only.
    ReadOnly,
    /// Nothing; replication stands still as well.
    Unavailable,
}

/// The settings that replicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) version: u64,
    pub(crate) created: DateTime,
    /// By pool FQDN in lower case.
    pub(crate) pool_states: BTreeMap<String, PoolState>,
    /// FQDNs in lower case, in the order of adding.
    pub(crate) active: Vec<String>,
}

impl Settings {
    pub(crate) fn pool_state(&self, pool_fqdn: &str) -> PoolState {
        self.pool_states.get(&pool_fqdn.to_lowercase()).copied().unwrap_or_default()
    }

    pub(crate) fn is_active(&self, server_fqdn: &str) -> bool {
        self.active.contains(&server_fqdn.to_lowercase())
    }
}

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) fqdn: String,
    site: String,
    delay: Duration,
    stuck: bool,
    pub(crate) applied: Settings,
    due: VecDeque<(Instant, Settings)>,
    was_connected: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) cms: CmsAvailability,
    pub(crate) cms_fqdn: String,
    pub(crate) cms_site: String,
    pub(crate) master: Settings,
    pub(crate) replicas: Vec<Replica>,
    /// FQDNs in lower case.
    down_servers: BTreeSet<String>,
    down_sites: BTreeSet<String>,
    failing: BTreeMap<String, VecDeque<String>>,
}

fn now_utc() -> DateTime {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime()
}

impl State {
    pub(crate) fn new(topology: &ShellTopology, delay: Duration) -> State {
        let master = Settings {
            version: 1,
            created: now_utc(),
            pool_states: BTreeMap::new(),
            active: topology
                .pools
                .iter()
                .flat_map(|pool| pool.active.iter().map(|fqdn| fqdn.to_lowercase()))
                .collect(),
        };
        let chat_servers = topology.pools.iter().flat_map(|pool| &pool.servers);
        let hosts = chat_servers
            .map(|server| {
                let delay = server.replication_delay.unwrap_or(delay);
                (server.fqdn.clone(), server.site.clone(), delay)
            })
            .chain(
                topology
                    .other_replicas
                    .iter()
                    .map(|(fqdn, site)| (fqdn.clone(), site.clone(), delay)),
            )
            .chain(std::iter::once((
                topology.shell_fqdn.clone(),
                topology.shell_site.clone(),
                delay,
            )));
        let mut replicas: Vec<Replica> = Vec::new();
        for (fqdn, site, delay) in hosts {
            if fqdn.is_empty() || replicas.iter().any(|r| r.fqdn.eq_ignore_ascii_case(&fqdn)) {
                continue;
            }
            replicas.push(Replica {
                fqdn,
                site,
                delay,
                stuck: false,
                applied: master.clone(),
                due: VecDeque::new(),
                was_connected: true,
            });
        }
        State {
            cms: CmsAvailability::Available,
            cms_fqdn: topology.cms_fqdn.clone(),
            cms_site: topology.cms_site.clone(),
            master,
            replicas,
            down_servers: BTreeSet::new(),
            down_sites: BTreeSet::new(),
            failing: BTreeMap::new(),
        }
    }

    /// What the store can do now, the loss of its site considered.
    pub(crate) fn availability(&self) -> CmsAvailability {
        if self.site_is_up(&self.cms_site) { self.cms } else { CmsAvailability::Unavailable }
    }

    pub(crate) fn site_is_up(&self, site: &str) -> bool {
        !self.down_sites.contains(&site.to_lowercase())
    }

    pub(crate) fn server_is_up(&self, fqdn: &str, site: &str) -> bool {
        self.site_is_up(site) && !self.down_servers.contains(&fqdn.to_lowercase())
    }

    pub(crate) fn set_server_running(&mut self, fqdn: &str, running: bool) {
        self.settle();
        if running {
            self.down_servers.remove(&fqdn.to_lowercase());
        } else {
            self.down_servers.insert(fqdn.to_lowercase());
        }
        self.reconnect();
    }

    pub(crate) fn set_site_up(&mut self, site: &str, up: bool) {
        self.settle();
        if up {
            self.down_sites.remove(&site.to_lowercase());
        } else {
            self.down_sites.insert(site.to_lowercase());
        }
        self.reconnect();
    }

    pub(crate) fn set_cms(&mut self, cms: CmsAvailability) {
        self.settle();
        self.cms = cms;
        self.reconnect();
    }

    pub(crate) fn move_cms(&mut self, fqdn: &str, site: &str) {
        self.settle();
        fqdn.clone_into(&mut self.cms_fqdn);
        site.clone_into(&mut self.cms_site);
        self.reconnect();
    }

    pub(crate) fn set_stuck(&mut self, fqdn: &str, stuck: bool) {
        self.settle();
        for replica in &mut self.replicas {
            if replica.fqdn.eq_ignore_ascii_case(fqdn) {
                replica.stuck = stuck;
            }
        }
        self.reconnect();
    }

    fn connected(&self, replica: &Replica) -> bool {
        !replica.stuck
            && self.availability() != CmsAvailability::Unavailable
            && self.server_is_up(&replica.fqdn, &replica.site)
    }

    /// A replica that comes back gets the newest settings, after its delay.
    fn reconnect(&mut self) {
        let now = Instant::now();
        let connected: Vec<bool> = self.replicas.iter().map(|r| self.connected(r)).collect();
        for (replica, connected) in self.replicas.iter_mut().zip(connected) {
            if connected && !replica.was_connected && replica.applied.version != self.master.version
            {
                replica.due.clear();
                replica.due.push_back((now + replica.delay, self.master.clone()));
            }
            replica.was_connected = connected;
        }
    }

    /// Applies what is due.
    pub(crate) fn settle(&mut self) {
        let now = Instant::now();
        for replica in self.replicas.iter_mut().filter(|r| r.was_connected) {
            while replica.due.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, settings)) = replica.due.pop_front() {
                    replica.applied = settings;
                }
            }
        }
    }

    /// Changes the settings at the master; replicas get them after their delays.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        self.settle();
        change(&mut self.master);
        self.master.version += 1;
        self.master.created = now_utc();
        let now = Instant::now();
        for replica in &mut self.replicas {
            if replica.was_connected {
                replica.due.push_back((now + replica.delay, self.master.clone()));
            }
        }
        self.settle();
    }

    /// The settings that a server works with.
    pub(crate) fn replica(&mut self, fqdn: &str) -> Option<&Replica> {
        self.settle();
        self.replicas.iter().find(|replica| replica.fqdn.eq_ignore_ascii_case(fqdn))
    }

    pub(crate) fn fail_next(&mut self, cmdlet: &str, message: &str) {
        self.failing.entry(cmdlet.to_lowercase()).or_default().push_back(message.to_owned());
    }

    pub(crate) fn take_failure(&mut self, cmdlet: &str) -> Option<String> {
        self.failing.get_mut(&cmdlet.to_lowercase())?.pop_front()
    }
}
