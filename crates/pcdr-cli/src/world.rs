//! The stand-in of a topology: its instances, shares, links and Management Shell, served on the
//! loopback address. `pcdr sim` and `pcdr rehearse` share it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_core::ports::Clock;
use pcdr_core::topology::{Instance, Role};
use pcdr_core::{InstanceName, Timestamp, Topology};
use pcdr_sim::engine::state::{Costs, InstanceConfig};
use pcdr_sim::engine::world::World;
use pcdr_sim::front::Front;
use pcdr_sim::shell::{
    ChatPool, ChatServer, ChatServers, Connections, ManagementShell, ShellConfig, ShellTopology,
    SqlLogin, SqlStore, SqlStores,
};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sim::wire::{CertificateAuthority, Identity, Listener, WireConfig};
use pcdr_skype::{Output, ShellTransport, TransportError};
use tokio::sync::Mutex as AsyncMutex;
use toml::{Table, Value};

use crate::failure::Failure;
use crate::meter::{Meter, MeteredFront};
use crate::topology_file::TopologyFile;

/// The login that pcdr uses on the stand-ins.
pub const LOGIN: &str = "pcdr";
/// The login of the chat servers and the Management Shell on the stand-ins.
const SERVICE_LOGIN: &str = "chat-service";
/// The name by which a link to pcdr itself is cut.
pub const CONTROLLER: &str = "controller";
/// How often an active chat server pings its database.
const PING: Duration = Duration::from_secs(2);
/// One-way latency of links that the topology calls fast, and of others.
const LATENCY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));
/// How long a change of the configuration takes to reach a chat server.
const REPLICATION: Duration = Duration::from_secs(1);

/// A served topology.
pub struct StandIn {
    /// The world behind it.
    pub world: World,
    /// The Management Shell; `None` without a pool.
    pub shell: Option<Arc<ManagementShell>>,
    /// The topology with the stand-in's addresses, and its file.
    pub file: TopologyFile,
    /// Certificate authority, PEM.
    pub ca_file: PathBuf,
    /// File with the password of [`LOGIN`].
    pub password_file: PathBuf,
    _chat_servers: Option<ChatServers>,
    doors: BTreeMap<InstanceName, Door>,
    listeners: AsyncMutex<BTreeMap<InstanceName, Listener>>,
    in_flight: Option<InFlight>,
    /// Sites and instances that pcdr itself cannot reach although they work.
    hidden: Mutex<BTreeSet<String>>,
}

/// How one instance is served.
struct Door {
    server_name: String,
    site: String,
    front: Arc<dyn Front>,
    config: Arc<WireConfig>,
    address: SocketAddr,
}

/// How to build a stand-in.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its folder: disks, shares, certificate, password, topology.
    pub folder: PathBuf,
    /// Seed of its choices.
    pub seed: u64,
    /// When its time begins; `None` for now. Choices, times and what follows from them repeat only from
    /// a fixed beginning.
    pub begins_at: Option<Timestamp>,
    /// Counts bytes under way, where time is virtual.
    pub in_flight: Option<InFlight>,
    /// Measures what servers do for pcdr.
    pub meter: Option<Meter>,
    /// Program and arguments of the Management Shell in the topology file.
    pub shell_command: Vec<String>,
}

impl StandIn {
    /// Builds the stand-in of a topology and serves it.
    ///
    /// # Errors
    ///
    /// Folders, certificates or ports.
    pub async fn build(designed: &TopologyFile, plan: Plan) -> Result<StandIn, Failure> {
        let topology = &designed.topology;
        let begins_at = plan
            .begins_at
            .and_then(|at| jiff::Timestamp::from_millisecond(at.unix_millis()).ok())
            .unwrap_or_else(jiff::Timestamp::now);
        let world = World::new(&plan.folder.join("world"), plan.seed, begins_at)
            .map_err(|error| Failure::file("hold the stand-in", &plan.folder, &error))?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let service_password = uuid::Uuid::new_v4().simple().to_string();
        if plan.in_flight.is_none() {
            world.set_costs(Costs::in_real_time());
        }
        furnish(&world, topology)?;

        let authority = CertificateAuthority::new("pcdr sim").map_err(no_certificate)?;
        let mut doors = BTreeMap::new();
        let mut listeners = BTreeMap::new();
        for instance in topology.instances() {
            let config = instance_config(instance);
            let served = world
                .add_instance(config)
                .map_err(|error| Failure::file("hold a disk", &plan.folder, &error))?;
            add_login(&world, instance, LOGIN, &password);
            add_login(&world, instance, SERVICE_LOGIN, &service_password);
            let mut front: Arc<dyn Front> = Arc::new(served);
            if let Some(meter) = plan.meter.clone() {
                front = Arc::new(MeteredFront { meter, front });
            }
            let config = Arc::new(WireConfig::with_identity(certify(&authority, instance)?));
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let listener = listen(any_port, &front, &config, plan.in_flight.as_ref()).await?;
            let address = listener.address();
            let (server_name, site) = (instance.server_name.clone(), instance.site.to_string());
            let door = Door { server_name, site, front, config, address };
            doors.insert(instance.name.clone(), door);
            listeners.insert(instance.name.clone(), listener);
        }
        // Shares on an instance's own machine need the instance.
        let mounts = share_folders(&world, topology)?;

        let service = SqlLogin { user_name: SERVICE_LOGIN.into(), password: service_password };
        let shell = shell(&world, topology, &doors, service);
        let chat_servers = shell.as_ref().map(|shell| ChatServers::start(shell, PING));

        let ca_file = plan.folder.join("ca.pem");
        write_file(&ca_file, authority.pem())?;
        let password_file = plan.folder.join("password");
        write_secret(&password_file, &password)?;
        let text = rewrite(designed, &doors, &mounts, &ca_file, &password_file, &plan)?;
        let path = plan.folder.join("topology.toml");
        write_file(&path, &text)?;
        let file = TopologyFile::read(&path)?;
        let stand_in = StandIn {
            world,
            shell,
            file,
            ca_file,
            password_file,
            _chat_servers: chat_servers,
            doors,
            listeners: AsyncMutex::new(listeners),
            in_flight: plan.in_flight,
            hidden: Mutex::default(),
        };
        if let Some(place) = topology.drill() {
            stand_in
                .make_folder(&place.instance, &place.directory)
                .map_err(|error| Failure::file("stand for a folder", &plan.folder, &error))?;
        }
        Ok(stand_in)
    }

    /// Where an instance listens.
    pub fn address(&self, instance: &InstanceName) -> Option<SocketAddr> {
        self.doors.get(instance).map(|door| door.address)
    }

    /// `@@SERVERNAME` of an instance, by which the world knows it.
    pub fn server_name(&self, instance: &str) -> Option<&str> {
        self.doors.get(&InstanceName::from(instance)).map(|door| door.server_name.as_str())
    }

    /// Creates a folder, as an instance sees it.
    ///
    /// # Errors
    ///
    /// The file system's, or that there is no such instance.
    pub fn make_folder(&self, instance: &InstanceName, folder: &str) -> std::io::Result<()> {
        let server = self.server_name(instance.as_str()).unwrap_or_default();
        let path = self.world.path(server, folder);
        let path = path.map_err(|error| std::io::Error::other(format!("{folder}: {error}")))?;
        std::fs::create_dir_all(path)
    }

    /// Loses an instance.
    pub async fn lose_instance(&self, instance: &str) -> Result<(), String> {
        let server = self.server_name(instance).ok_or_else(|| no_such("instance", instance))?;
        self.world.lose_instance(server);
        self.settle().await
    }

    /// Brings an instance back.
    pub async fn return_instance(&self, instance: &str) -> Result<(), String> {
        let server = self.server_name(instance).ok_or_else(|| no_such("instance", instance))?;
        self.world.return_instance(server);
        self.settle().await
    }

    /// Loses a site: instances, shares, chat servers.
    pub async fn lose_site(&self, site: &str) -> Result<(), String> {
        self.require_site(site)?;
        self.world.lose_site(site);
        if let Some(shell) = &self.shell {
            shell.set_site_up(site, false);
        }
        self.settle().await
    }

    /// Brings a site back.
    pub async fn return_site(&self, site: &str) -> Result<(), String> {
        self.require_site(site)?;
        self.world.return_site(site);
        if let Some(shell) = &self.shell {
            shell.set_site_up(site, true);
        }
        self.settle().await
    }

    /// Cuts the link between two sites, or between pcdr ([`CONTROLLER`]) and a site or an instance.
    pub async fn cut(&self, one: &str, other: &str, one_way: bool) -> Result<(), String> {
        if let Some(hidden) = self.beside_controller(one, other)? {
            self.hidden().insert(hidden);
        } else {
            self.world.cut_link(one, other, !one_way);
        }
        self.settle().await
    }

    /// Heals a link.
    pub async fn heal(&self, one: &str, other: &str) -> Result<(), String> {
        if let Some(hidden) = self.beside_controller(one, other)? {
            self.hidden().remove(&hidden);
        } else {
            self.world.heal_link(one, other);
        }
        self.settle().await
    }

    /// Loses a share: nobody reaches it, pcdr included.
    pub async fn lose_share(&self, name: &str) -> Result<(), String> {
        let (host, share) = self.share(name)?;
        self.world.lose_share(&host, &share);
        self.settle().await
    }

    /// Brings a share back.
    pub async fn return_share(&self, name: &str) -> Result<(), String> {
        let (host, share) = self.share(name)?;
        self.world.return_share(&host, &share);
        self.settle().await
    }

    /// Host and name of a share of the topology.
    fn share(&self, name: &str) -> Result<(String, String), String> {
        let found = self.file.topology.shares().find(|share| share.name.as_str() == name);
        let unc = &found.ok_or_else(|| no_such("share", name))?.unc;
        split_unc(unc).map(|(host, share, _)| (host, share)).ok_or_else(|| no_such("share", name))
    }

    /// Whether a share cannot be reached by anybody.
    fn is_share_lost(&self, share: &pcdr_core::topology::Share) -> bool {
        let Some((host, name, _)) = split_unc(&share.unc) else { return false };
        let state = self.world.lock();
        let key = format!("{}\\{}", host.to_lowercase(), name.to_lowercase());
        let found = state.shares.get(&key);
        let site = found.map_or(share.site.as_str(), |share| share.site.as_str()).to_lowercase();
        found.is_some_and(|share| share.lost)
            || state.sites.get(&site).is_some_and(|site| site.lost)
    }

    /// Takes the folders of lost shares out of pcdr's sight, and puts them back.
    fn settle_mounts(&self) -> Result<(), String> {
        for share in self.file.topology.shares() {
            let Some(mount) = share.mount.as_ref().map(PathBuf::from) else { continue };
            let aside = mount.with_extension("out-of-reach");
            let lost = self.is_share_lost(share);
            let (from, to) = if lost { (&mount, &aside) } else { (&aside, &mount) };
            if from.is_dir() && !to.exists() {
                std::fs::rename(from, to)
                    .map_err(|error| format!("{}: {error}", from.display()))?;
            }
        }
        Ok(())
    }

    /// What stands beside [`CONTROLLER`]; `None` when neither name is it.
    fn beside_controller(&self, one: &str, other: &str) -> Result<Option<String>, String> {
        let beside = match (one == CONTROLLER, other == CONTROLLER) {
            (true, _) => other,
            (_, true) => one,
            (false, false) => {
                self.require_site(one)?;
                self.require_site(other)?;
                return Ok(None);
            }
        };
        if self.server_name(beside).is_none() {
            self.require_site(beside)?;
        }
        Ok(Some(beside.to_owned()))
    }

    fn require_site(&self, name: &str) -> Result<(), String> {
        let known = self.file.topology.sites().any(|site| site.name.as_str() == name);
        if known { Ok(()) } else { Err(no_such("site", name)) }
    }

    fn hidden(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens and closes doors, so that a lost instance refuses connections as a dead host does.
    async fn settle(&self) -> Result<(), String> {
        self.settle_mounts()?;
        let mut listeners = self.listeners.lock().await;
        for (name, door) in &self.doors {
            let running = self.world.instance(&door.server_name).is_some_and(|i| i.is_running());
            let hidden = {
                let hidden = self.hidden();
                hidden.contains(name.as_str()) || hidden.contains(&door.site)
            };
            match (running && !hidden, listeners.contains_key(name)) {
                (false, true) => {
                    if let Some(listener) = listeners.remove(name) {
                        listener.cut().await;
                    }
                }
                (true, false) => {
                    let in_flight = self.in_flight.as_ref();
                    let listener = listen(door.address, &door.front, &door.config, in_flight)
                        .await
                        .map_err(|failure| format!("{name} cannot listen again: {failure:?}"))?;
                    listeners.insert(name.clone(), listener);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A clock that shows the world's time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(WorldClock(self.world.clone()))
    }

    /// The Management Shell inside this process.
    pub fn shell_transport(&self) -> Option<Arc<dyn ShellTransport>> {
        let shell = self.shell.as_ref()?;
        Some(Arc::new(InProcessShell(Arc::clone(shell))))
    }
}

fn no_such(what: &str, name: &str) -> String {
    format!("there is no {what} {name:?}")
}

async fn listen(
    address: SocketAddr,
    front: &Arc<dyn Front>,
    config: &Arc<WireConfig>,
    in_flight: Option<&InFlight>,
) -> Result<Listener, Failure> {
    let (front, config) = (Arc::clone(front), Arc::clone(config));
    let listener = match in_flight {
        Some(in_flight) => Listener::bind_counted(address, front, config, in_flight.clone()).await,
        None => Listener::bind(address, front, config).await,
    };
    listener.map_err(|error| {
        Failure::failed(
            "listen",
            format!("a port on {} was needed, but: {error}", address.ip()),
            "Free some ports, or end the program that holds this one.",
        )
    })
}

fn no_certificate(error: pcdr_sim::wire::CertificateError) -> Failure {
    let message = format!("a certificate for the stand-ins was needed, but: {error}");
    Failure::failed("certificate", message, "Check the host names in the topology.")
}

fn certify(authority: &CertificateAuthority, instance: &Instance) -> Result<Identity, Failure> {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    authority.issue(&[&instance.host, "localhost"], &addresses).map_err(no_certificate)
}

/// Sites and links.
fn furnish(world: &World, topology: &Topology) -> Result<(), Failure> {
    for site in topology.sites() {
        world.add_site(site.name.as_str());
    }
    for link in topology.links() {
        let latency = if link.is_fast { LATENCY.0 } else { LATENCY.1 };
        let megabits = link.megabits_per_second.unwrap_or(1_000);
        let bandwidth = u64::from(megabits) * 125_000;
        world.link(link.between.0.as_str(), link.between.1.as_str(), latency, bandwidth);
    }
    Ok(())
}

fn instance_config(instance: &Instance) -> InstanceConfig {
    let mut config = InstanceConfig::new(&instance.server_name, instance.site.as_str());
    config.fqdn.clone_from(&instance.host);
    if let Some(folder) = &instance.data_directory {
        let folder = folder.trim_end_matches(['\\', '/']);
        let separator = if folder.contains('/') { '/' } else { '\\' };
        config.data_path = format!("{folder}{separator}");
        config.log_path = format!("{folder}{separator}");
    }
    if let Some(account) = &instance.service_account {
        config.service_account.clone_from(account);
    }
    config.sa_password = uuid::Uuid::new_v4().simple().to_string();
    config
}

fn add_login(world: &World, instance: &Instance, name: &str, password: &str) {
    let mut state = world.lock();
    let sid = state.random.next_u64().to_be_bytes().to_vec();
    let Some(found) = state.instances.get_mut(&instance.server_name.to_lowercase()) else { return };
    found.security.add(name, Some(password), sid, "master");
    if let Some(login) = found.security.logins.get_mut(&name.to_lowercase()) {
        login.roles.insert("sysadmin".to_owned());
    }
}

/// Host, share and the rest of `\\host\share\rest`.
fn split_unc(unc: &str) -> Option<(String, String, String)> {
    let mut parts = unc.strip_prefix("\\\\")?.splitn(3, '\\');
    let (host, share) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some((host, share, parts.next().unwrap_or_default().to_owned()))
}

/// Creates the shares; their folders as this process sees them, by name of the share.
fn share_folders(world: &World, topology: &Topology) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut mounts = BTreeMap::new();
    for share in topology.shares() {
        let secondaries = &topology.log_shipping().secondaries;
        let owner = secondaries.iter().find(|secondary| secondary.copy_share == share.name);
        let owner = owner.and_then(|secondary| topology.instance(&secondary.instance));
        if let (None, Some(owner)) = (split_unc(&share.unc), owner) {
            let failed =
                |error: &std::io::Error| Failure::file("stand for a folder", world.root(), error);
            let folder = world.path(&owner.server_name, &share.unc);
            let folder =
                folder.map_err(|error| failed(&std::io::Error::other(format!("{error}"))))?;
            std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
            mounts.insert(share.name.to_string(), folder);
            continue;
        }
        let Some((host, name, rest)) = split_unc(&share.unc) else {
            return Err(Failure::failed(
                "share",
                format!("{} was needed to be \\\\server\\share, but it is not", share.unc),
                "Write it as a UNC path.",
            ));
        };
        let failed =
            |error: &std::io::Error| Failure::file("stand for a share", world.root(), error);
        let owner = topology.instances().find(|instance| instance.host.eq_ignore_ascii_case(&host));
        match owner {
            Some(owner) => {
                world.share_folder(&owner.server_name, &host, &name, &format!("D:\\shares\\{name}"))
            }
            None => world.add_share(&host, &name, share.site.as_str()),
        }
        .map_err(|error| failed(&error))?;
        let near = topology.instances().find(|instance| instance.site == share.site);
        let near = near.unwrap_or_else(|| topology.primary());
        let folder = world.path(&near.server_name, &share.unc).map_err(|error| {
            failed(&std::io::Error::other(format!("{} ({rest}): {error}", share.unc)))
        })?;
        std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        mounts.insert(share.name.to_string(), folder);
    }
    Ok(mounts)
}

/// The Management Shell of the topology's pool. The Central Management store stands in the
/// secondary's site: where it does not, it has to be failed over before a chat failover begins.
fn shell(
    world: &World,
    topology: &Topology,
    doors: &BTreeMap<InstanceName, Door>,
    login: SqlLogin,
) -> Option<Arc<ManagementShell>> {
    let pool = topology.pool()?;
    let store = |role: Role| topology.role(role).map(sql_store);
    let stores = SqlStores {
        primary: sql_store(topology.primary()),
        primary_mirror: store(Role::PrimaryMirror),
        primary_witness: store(Role::PrimaryWitness),
        backup: store(Role::Secondary),
        backup_mirror: store(Role::SecondaryMirror),
        backup_witness: store(Role::SecondaryWitness),
    };
    let servers = pool.servers.iter().zip(1..).map(|(server, id)| ChatServer {
        id,
        fqdn: server.fqdn.to_string(),
        site: server.site.to_string(),
        replication_delay: None,
    });
    let active = pool.servers.iter().filter(|server| server.is_active);
    let domain = pool.fqdn.as_str().split_once('.').map_or("example.net", |(_, domain)| domain);
    let site = topology.secondary().site.to_string();
    let shell_topology = ShellTopology {
        pools: vec![ChatPool {
            fqdn: pool.fqdn.to_string(),
            site: topology.primary().site.to_string(),
            next_hop: format!("front-end.{domain}"),
            servers: servers.collect(),
            compliance: pool.compliance_database.as_ref().map(|_| stores.clone()),
            content: stores,
            active: active.map(|server| server.fqdn.to_string()).collect(),
        }],
        cms_fqdn: format!("front-end-2.{domain}"),
        cms_site: site.clone(),
        shell_fqdn: format!("admin.{domain}"),
        shell_site: site,
        other_replicas: Vec::new(),
    };
    let fronts = topology.instances().filter_map(|instance| {
        let door = doors.get(&instance.name)?;
        let key = key_of(&instance.host, instance.instance.as_deref().unwrap_or_default());
        Some((key, (door.server_name.clone(), Arc::clone(&door.front))))
    });
    let connections = WorldConnections { world: world.clone(), fronts: fronts.collect() };
    let mut config = ShellConfig::new(shell_topology, Arc::new(connections));
    config.sql_login = login.clone();
    config.service_login = login;
    config.replication_delay = REPLICATION;
    Some(ManagementShell::new(config))
}

fn sql_store(instance: &Instance) -> SqlStore {
    SqlStore {
        fqdn: instance.host.clone(),
        instance: instance.instance.clone().unwrap_or_default(),
        site: instance.site.to_string(),
        mirroring_port: instance.mirroring_port,
    }
}

fn key_of(fqdn: &str, instance: &str) -> String {
    format!("{}\\{}", fqdn.to_lowercase(), instance.to_lowercase())
}

/// Instances as the shell and the chat servers reach them: through the world's links.
struct WorldConnections {
    world: World,
    fronts: BTreeMap<String, (String, Arc<dyn Front>)>,
}

impl Connections for WorldConnections {
    fn connect(&self, from_site: &str, fqdn: &str, instance: &str) -> Option<Arc<dyn Front>> {
        let (server, front) = self.fronts.get(&key_of(fqdn, instance))?;
        let reachable = self.world.instance(server)?.reachable(from_site);
        reachable.then(|| Arc::clone(front))
    }
}

/// The topology file with the stand-in's addresses, secrets and mounts.
fn rewrite(
    designed: &TopologyFile,
    doors: &BTreeMap<InstanceName, Door>,
    mounts: &BTreeMap<String, PathBuf>,
    ca_file: &Path,
    password_file: &Path,
    plan: &Plan,
) -> Result<String, Failure> {
    let broken = |why: &str| {
        Failure::failed(
            "topology",
            format!("the topology cannot be rewritten: {why}"),
            "Report it.",
        )
    };
    let mut table: Table =
        designed.text.parse().map_err(|error: toml::de::Error| broken(error.message()))?;
    let text = |path: &Path| Value::String(path.display().to_string());
    let named = |table: &Table| table.get("name").and_then(Value::as_str).map(str::to_owned);
    for instance in tables(&mut table, "instances") {
        let Some(door) = named(instance).and_then(|name| doors.get(&InstanceName::from(name)))
        else {
            continue;
        };
        instance.insert("connect_host".into(), Value::String(door.address.ip().to_string()));
        instance.insert("port".into(), Value::Integer(door.address.port().into()));
        // The world's instances are known by the same name whether or not the file spells it.
        instance.insert("server_name".into(), Value::String(door.server_name.clone()));
    }
    for share in tables(&mut table, "shares") {
        if let Some(folder) = named(share).and_then(|name| mounts.get(&name)) {
            share.insert("mount".into(), text(folder));
        }
    }
    let mut connection = Table::new();
    if let Some(timeout) = table.get("connection").and_then(|c| c.get("connect_timeout")) {
        connection.insert("connect_timeout".into(), timeout.clone());
    }
    connection.insert("login".into(), Value::String(LOGIN.into()));
    connection.insert("password_file".into(), text(password_file));
    connection.insert("ca_file".into(), text(ca_file));
    table.insert("connection".into(), Value::Table(connection));
    if table.contains_key("pool") && !plan.shell_command.is_empty() {
        let command = plan.shell_command.iter().cloned().map(Value::String).collect();
        let mut shell = Table::new();
        shell.insert("command".into(), Value::Array(command));
        table.insert("management_shell".into(), Value::Table(shell));
    }
    toml::to_string(&table).map_err(|error| broken(&error.to_string()))
}

fn tables<'a>(table: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> {
    let array = table.get_mut(key).and_then(Value::as_array_mut);
    array.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Writes a file.
///
/// # Errors
///
/// The file system's.
pub fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::file("be written", path, &error))
}

/// Writes a file that only its owner may read; it must not exist.
///
/// # Errors
///
/// The file system's.
pub fn write_secret(path: &Path, secret: &str) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| file.write_all(format!("{secret}\n").as_bytes()))
        .map_err(|error| Failure::file("take a secret", path, &error))
}

/// The folder of a stand-in: the one to keep, or a temporary one that goes with its guard.
///
/// # Errors
///
/// The folder cannot be created, or holds something.
pub fn folder(keep: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    let Some(path) = keep else {
        let temporary = tempfile::Builder::new().prefix("pcdr-").tempdir().map_err(|error| {
            Failure::file("hold a temporary folder", &std::env::temp_dir(), &error)
        })?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    let failed = |error: &std::io::Error| Failure::file("be kept", path, error);
    std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
    let mut entries = std::fs::read_dir(path).map_err(|error| failed(&error))?;
    if entries.next().is_some() {
        return Err(Failure::usage(
            "folder_not_empty",
            format!("{} was needed to be empty, but it is not", path.display()),
            "Name another folder with --keep, or remove what is in this one.",
        ));
    }
    let path = path.canonicalize().map_err(|error| failed(&error))?;
    Ok((path, None))
}

/// The world's time as the core's clock.
#[derive(Debug, Clone)]
struct WorldClock(World);

#[async_trait]
impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.now().as_millisecond())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The Management Shell inside this process, as a transport.
#[derive(Debug)]
struct InProcessShell(Arc<ManagementShell>);

#[async_trait]
impl ShellTransport for InProcessShell {
    async fn run(&self, script: &str) -> Result<Output, TransportError> {
        let output = self.0.run_script(script, false).await;
        Ok(Output {
            stdout: output.stdout,
            stderr: output.stderr,
            exit_code: Some(output.exit_code),
        })
    }
}
