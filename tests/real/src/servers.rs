//! The servers of one check: the product's own ports to them, and connections of the suite's own, so that
//! what the product says can be compared with what a server answers to somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pcdr_cli::connect::{self, SystemClock, Way};
use pcdr_cli::meter::CountedDialer;
use pcdr_cli::topology_file::TopologyFile;
use pcdr_cli::world::{self, StandIn};
use pcdr_core::backup::BackupHeader;
use pcdr_core::observation::{DatabaseObservation, InstanceObservation};
use pcdr_core::ports::{Clock, Ports, Unwatched};
use pcdr_core::step::{DatabaseAction, LogShippingAction};
use pcdr_core::{DatabaseName, InstanceError, InstanceName, Topology};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sql::connection::{Connection, ResultSet, Row};
use pcdr_sql::pool::Pool;
use pcdr_sql::statement::{Kind, Statement};
use pcdr_sql::{
    Access, Dialer, Endpoint, Fleet, FleetOptions, SqlError, SqlInstance, TcpDialer, quote,
};

use crate::environment::{Address, Settings};
use crate::ground::Ground;
use crate::scratch;
use crate::survey::Facts;

/// Limit for one statement of the suite.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Port of the first mirroring endpoint that the suite creates; servers may share a host, so that each
/// gets its own.
const MIRRORING_PORT: u16 = 5022;

/// The servers of one check.
pub struct Servers {
    /// What everything of this check is called: the database, and the beginning of every file's name.
    pub scratch: String,
    /// The scratch database, on the primary first.
    pub database: DatabaseName,
    /// The topology with that database.
    pub topology: Topology,
    /// The product's ports.
    pub ports: Ports,
    /// What each server said of itself, by its name in the topology.
    pub facts: BTreeMap<String, Facts>,
    fleet: Fleet,
    pools: BTreeMap<String, Pool>,
    text: String,
    dialer: Arc<dyn Dialer>,
    clock: Arc<dyn Clock>,
    folder: tempfile::TempDir,
    reconnected: AtomicU32,
    carried_out: Mutex<BTreeSet<String>>,
    /// Why there are no folders; `None` when they were named.
    no_folders: Option<String>,
    _stand_in: Option<StandIn>,
}

/// One server as the topology is to name it.
struct Member {
    name: &'static str,
    role: &'static str,
    address: Address,
    facts: Option<Facts>,
}

impl Servers {
    /// Opens the servers for one check, with or without the mirror in the topology.
    ///
    /// # Errors
    ///
    /// What cannot be reached or built.
    pub async fn open(ground: &Ground, with_mirror: bool) -> Result<Servers, String> {
        let scratch = scratch::next_name();
        let folder = tempfile::Builder::new().prefix("pcdr-real ").tempdir();
        let folder = folder.map_err(|error| error.to_string())?;
        match ground {
            Ground::StandIn => Servers::on_stand_in(scratch, folder, with_mirror).await,
            Ground::Named(settings) => {
                Servers::on_named(scratch, folder, with_mirror, settings).await
            }
        }
    }

    async fn on_stand_in(
        scratch: String,
        folder: tempfile::TempDir,
        with_mirror: bool,
    ) -> Result<Servers, String> {
        let member = |name, role| {
            let host = format!("{name}.example.test");
            let address = Address { host, instance: None, port: Some(1433) };
            Member { name, role, address, facts: None }
        };
        let account = Some("EXAMPLE\\sql-service");
        let members: Vec<Member> = ROLES.map(|(name, role)| member(name, role)).into();
        let shares = [r"\\files.example.test\backups", r"\\secondary.example.test\copies"];
        let shares = shares.map(|share| (share.to_owned(), None));
        let connection = "login = \"pcdr\"\npassword_env = \"REPLACED\"\n";
        let text = design(&scratch, &members, &shares, connection, account);
        let path = folder.path().join("designed.toml");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let designed = TopologyFile::read(&path).map_err(|failure| failure.text(false))?;
        let in_flight = InFlight::new();
        tokio::spawn(in_flight.clone().keep_awake());
        let plan = world::Plan {
            folder: folder.path().join("stand-in"),
            seed: 1,
            begins_at: None,
            in_flight: Some(in_flight.clone()),
            meter: None,
            shell_command: Vec::new(),
        };
        std::fs::create_dir(&plan.folder).map_err(|error| error.to_string())?;
        let stand_in = StandIn::build(&designed, plan).await;
        let stand_in = stand_in.map_err(|failure| failure.text(false))?;
        let dialer: Arc<dyn Dialer> = Arc::new(CountedDialer { in_flight: Some(in_flight) });
        let everywhere = stand_in.file.topology.clone();
        let mut facts = BTreeMap::new();
        for (name, endpoint) in endpoints(&everywhere, &dialer)? {
            let asked = Facts::ask(&endpoint).await.map_err(|error| format!("{name}: {error}"))?;
            facts.insert(name, asked);
        }
        let text = stand_in.file.text.clone();
        let text = if with_mirror { text } else { without_mirror(&text)? };
        let clock = stand_in.clock();
        Servers::connect(
            scratch,
            folder,
            text,
            &everywhere,
            facts,
            dialer,
            clock,
            None,
            Some(stand_in),
        )
    }

    async fn on_named(
        scratch: String,
        folder: tempfile::TempDir,
        with_mirror: bool,
        settings: &Settings,
    ) -> Result<Servers, String> {
        let dialer: Arc<dyn Dialer> = Arc::new(TcpDialer);
        let addresses = [
            Some(&settings.primary),
            settings.mirror.as_ref(),
            settings.witness.as_ref().filter(|_| settings.mirror.is_some()),
            Some(&settings.secondary),
            settings.monitor.as_ref(),
        ];
        let mut members: Vec<Member> = Vec::new();
        for ((name, role), address) in ROLES.into_iter().zip(addresses) {
            if let Some(address) = address.cloned() {
                members.push(Member { name, role, address, facts: None });
            }
        }
        let mut connection = format!(
            "encrypt = {}\nlogin = {}\n",
            quoted(&settings.encrypt),
            quoted(&settings.login)
        );
        connection.push_str(&match &settings.password_file {
            Some(file) => format!("password_file = {}\n", quoted(file)),
            None => format!("password_env = {}\n", quoted(Settings::PASSWORD)),
        });
        for (key, value) in [
            ("ca_file", &settings.ca_file),
            ("host_name_in_certificate", &settings.certificate_host),
        ] {
            if let Some(value) = value {
                connection.push_str(&format!("{key} = {}\n", quoted(value)));
            }
        }
        let nowhere = |name: &str| {
            let mount = folder.path().join(name).display().to_string();
            (format!(r"\\pcdr-test.invalid\{name}"), Some(mount))
        };
        let shares = [("backups", &settings.backups), ("copies", &settings.copies)];
        let no_folders = shares
            .iter()
            .any(|(_, folder)| folder.is_none())
            .then(|| "PCDR_TEST_BACKUP_SHARE or PCDR_TEST_COPY_SHARE is not set".to_owned());
        let shares = shares.map(|(name, folder)| match folder {
            Some(folder) => (folder.share.clone(), Some(folder.mount.display().to_string())),
            None => nowhere(name),
        });
        // What a server is called is only known when it was asked; to ask, any name will do.
        let provisional = design(&scratch, &members, &shares, &connection, None);
        let provisional = parse(&provisional)?;
        let mut facts = BTreeMap::new();
        for (name, endpoint) in endpoints(&provisional, &dialer)? {
            let asked = Facts::ask(&endpoint).await.map_err(|error| {
                error.at(&name, "a server that the environment names was needed").to_string()
            })?;
            facts.insert(name, asked);
        }
        for member in &mut members {
            member.facts = facts.get(member.name).cloned();
        }
        let account = settings.service_account.as_deref();
        let text = design(&scratch, &members, &shares, &connection, account);
        let everywhere = parse(&text)?;
        let text = if with_mirror { text } else { without_mirror(&text)? };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Servers::connect(scratch, folder, text, &everywhere, facts, dialer, clock, no_folders, None)
    }

    #[allow(clippy::too_many_arguments, reason = "called in two places, right above")]
    fn connect(
        scratch: String,
        folder: tempfile::TempDir,
        text: String,
        everywhere: &Topology,
        facts: BTreeMap<String, Facts>,
        dialer: Arc<dyn Dialer>,
        clock: Arc<dyn Clock>,
        no_folders: Option<String>,
        stand_in: Option<StandIn>,
    ) -> Result<Servers, String> {
        let topology = parse(&text)?;
        let failed = |error: InstanceError| error.to_string();
        let options = FleetOptions { dialer: Arc::clone(&dialer), ..FleetOptions::default() };
        let fleet = Fleet::connect(&topology, &options).map_err(failed)?;
        let way = Way {
            dialer: Arc::clone(&dialer),
            shell: None,
            clock: Arc::clone(&clock),
            trace: None,
            folder: folder.path().join("state"),
        };
        let ports = connect::connect(&topology, &way).map_err(|failure| failure.text(false))?.ports;
        let pools = endpoints(everywhere, &dialer)?;
        let pools = pools.into_iter().map(|(name, endpoint)| (name, Pool::new(endpoint))).collect();
        Ok(Servers {
            database: scratch.as_str().into(),
            scratch,
            topology,
            ports,
            facts,
            fleet,
            pools,
            text,
            dialer,
            clock,
            folder,
            reconnected: AtomicU32::new(0),
            carried_out: Mutex::default(),
            no_folders,
            _stand_in: stand_in,
        })
    }

    // ---- the suite's own statements -----------------------------------------------------------

    /// Every server that can be asked, whether the topology has it or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    /// Sends a batch. A batch that changes something must name what belongs to this check.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn try_sql(&self, on: &str, batch: &str) -> Result<Vec<ResultSet>, SqlError> {
        assert!(
            scratch::is_harmless(batch, &self.scratch),
            "the suite would change what is not its own: {batch}"
        );
        let statement =
            Statement { batch: batch.to_owned(), kind: Kind::Change, secrets: Vec::new() };
        self.pools[on].change(&statement, LIMIT).await
    }

    /// Sends a batch that has to succeed.
    pub async fn sql(&self, on: &str, batch: &str) -> Vec<ResultSet> {
        match self.try_sql(on, batch).await {
            Ok(sets) => sets,
            Err(error) => panic!("{on}: {error}\n{batch}"),
        }
    }

    /// The number of the error with which a batch has to fail.
    pub async fn sql_error(&self, on: &str, batch: &str) -> i32 {
        match self.try_sql(on, batch).await {
            Ok(_) => panic!("{on}: it was needed to fail, but it succeeded\n{batch}"),
            Err(SqlError::Server(error)) => error.number,
            Err(error) => panic!("{on}: {error}\n{batch}"),
        }
    }

    /// Every row of a query.
    pub async fn rows(&self, on: &str, query: &str) -> Vec<Row> {
        self.sql(on, query).await.into_iter().flat_map(|set| set.rows).collect()
    }

    /// The only row of a query.
    pub async fn row(&self, on: &str, query: &str) -> Row {
        let mut rows = self.rows(on, query).await;
        assert_eq!(rows.len(), 1, "{on}: {query}");
        rows.remove(0)
    }

    /// Carries out a statement of the product, and keeps its builder's name.
    pub async fn carry_out(
        &self,
        on: &str,
        builder: &str,
        statement: &Statement,
    ) -> Vec<ResultSet> {
        let sets = match self.pools[on].change(statement, LIMIT).await {
            Ok(sets) => sets,
            Err(error) => panic!("{on}: {builder}: {error}\n{}", statement.batch),
        };
        self.carried_out.lock().unwrap().insert(builder.to_owned());
        sets
    }

    /// The number of the error with which a statement of the product has to fail.
    pub async fn refused(&self, on: &str, statement: &Statement) -> i32 {
        match self.pools[on].change(statement, LIMIT).await {
            Ok(_) => panic!("{on}: it was needed to fail, but it succeeded\n{}", statement.batch),
            Err(SqlError::Server(error)) => error.number,
            Err(error) => panic!("{on}: {error}\n{}", statement.batch),
        }
    }

    /// A builder whose statement the server refuses for what is there already.
    pub fn counts_as_carried_out(&self, builder: &str) {
        self.carried_out.lock().unwrap().insert(builder.to_owned());
    }

    /// The builders whose statements were carried out.
    pub fn carried_out(&self) -> BTreeSet<String> {
        self.carried_out.lock().unwrap().clone()
    }

    /// A session whose current database is the scratch database, until it is dropped.
    pub async fn sit_in_database(&self, on: &str) -> Connection {
        let mut session = Connection::open(self.pools[on].endpoint()).await.unwrap();
        let batch = format!("USE {};", self.identifier());
        let used = session
            .batch(&Statement { batch, kind: Kind::Query, secrets: Vec::new() }, Some(LIMIT))
            .await;
        used.unwrap_or_else(|failed| panic!("{on}: {}", failed.error));
        session
    }

    // ---- names ----------------------------------------------------------------------------------

    /// The scratch database in brackets.
    pub fn identifier(&self) -> String {
        quote::identifier(&self.scratch).unwrap()
    }

    /// The scratch database as a literal.
    pub fn literal(&self) -> String {
        quote::name(&self.scratch).unwrap()
    }

    /// A file in the backup folder, as the servers see it.
    pub fn backup(&self, ending: &str) -> String {
        self.in_backups(&format!("{}_{ending}", self.scratch))
    }

    /// A file of that name in the backup folder, as the servers see it.
    pub fn in_backups(&self, name: &str) -> String {
        self.topology.backup_share().path_of(name)
    }

    /// The backup folder as this process sees it.
    pub fn backup_mount(&self) -> PathBuf {
        mount(self.topology.backup_share())
    }

    /// The copy folder as this process sees it.
    pub fn copy_mount(&self) -> PathBuf {
        mount(self.topology.copy_share())
    }

    /// Why there are no folders to ship through, if there are none.
    pub(crate) fn no_folders(&self) -> Option<&str> {
        self.no_folders.as_deref()
    }

    /// Files of this check in a folder, by name.
    pub fn files(&self, folder: &Path) -> Vec<String> {
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(&self.scratch))
            .collect();
        found.sort();
        found
    }

    // ---- the product ----------------------------------------------------------------------------

    /// An instance behind the product's ports.
    pub fn instance(&self, name: &str) -> &SqlInstance {
        self.fleet.instance(&InstanceName::from(name)).unwrap()
    }

    /// Carries out an action on the scratch database through the product's port.
    ///
    /// # Errors
    ///
    /// The port's.
    pub async fn try_act(&self, on: &str, action: DatabaseAction) -> Result<(), InstanceError> {
        let port = &self.ports.instances[&InstanceName::from(on)];
        port.run(&self.database, &action, &Unwatched).await
    }

    /// Carries out an action that has to succeed.
    pub async fn act(&self, on: &str, action: DatabaseAction) {
        let what = format!("{action:?}");
        if let Err(error) = self.try_act(on, action).await {
            panic!("{what}: {error}");
        }
    }

    /// Carries out an action on log shipping that has to succeed.
    pub async fn ship(&self, on: &str, action: LogShippingAction) {
        let what = format!("{action:?}");
        let port = &self.ports.jobs[&InstanceName::from(on)];
        if let Err(error) = port.run(&self.database, &action, &Unwatched).await {
            panic!("{what}: {error}");
        }
    }

    /// The product's observation of an instance.
    pub async fn observe(&self, on: &str) -> InstanceObservation {
        let port = &self.ports.instances[&InstanceName::from(on)];
        port.observe(std::slice::from_ref(&self.database)).await.unwrap()
    }

    /// The product's observation of the scratch database there.
    pub async fn copy(&self, on: &str) -> DatabaseObservation {
        let seen = self.observe(on).await;
        let copies = seen.databases.known().cloned().unwrap_or_else(|| panic!("{seen:?}"));
        copies.get(&self.database).cloned().unwrap_or_else(|| panic!("{on}: no copy: {seen:?}"))
    }

    /// The header of a backup, as an instance reads it.
    pub async fn header(&self, on: &str, path: &str) -> BackupHeader {
        match self.instance(on).header(path).await {
            Ok(header) => header,
            Err(error) => panic!("{on}: {path}: {error}"),
        }
    }

    /// Topology and ports in which some instances do not answer: nobody listens at their address.
    pub fn cut_off(&self, names: &[&str]) -> (Topology, Ports) {
        let mut table: toml::Table = self.text.parse().unwrap();
        for instance in instances(&mut table) {
            let is_meant = |name: &&str| instance["name"].as_str() == Some(*name);
            if names.iter().any(is_meant) {
                instance.insert("connect_host".into(), "127.0.0.1".into());
                instance.insert("port".into(), i64::from(dead_port()).into());
            }
        }
        let topology = parse(&table.to_string()).unwrap();
        let number = self.reconnected.fetch_add(1, Ordering::Relaxed);
        let way = Way {
            dialer: Arc::clone(&self.dialer),
            shell: None,
            clock: Arc::clone(&self.clock),
            trace: None,
            folder: self.folder.path().join(format!("state-{number}")),
        };
        let ports = connect::connect(&topology, &way).unwrap().ports;
        (topology, ports)
    }

    // ---- the scratch database -------------------------------------------------------------------

    /// Creates the scratch database on the primary, with a table and recovery model FULL.
    pub async fn create_database(&self) {
        self.create_database_with("").await;
    }

    /// As [`Servers::create_database`], with files other than the usual two.
    pub async fn create_database_with(&self, files: &str) {
        let database = self.identifier();
        self.sql("primary", &format!("CREATE DATABASE {database}{files};")).await;
        self.sql("primary", &format!("ALTER DATABASE {database} SET RECOVERY FULL;")).await;
        let table =
            format!("CREATE TABLE {database}.dbo.records (number int NOT NULL PRIMARY KEY);");
        self.sql("primary", &table).await;
    }

    /// Writes records, one transaction each.
    pub async fn write(&self, on: &str, numbers: std::ops::Range<i32>) {
        for number in numbers {
            let insert = format!(
                "INSERT INTO {}.dbo.records (number) VALUES ({number});",
                self.identifier()
            );
            self.sql(on, &insert).await;
        }
    }

    /// Every record.
    pub async fn read(&self, on: &str) -> Vec<i32> {
        let query = format!(
            "SELECT r.number FROM {}.dbo.records AS r ORDER BY r.number;",
            self.identifier()
        );
        self.rows(on, &query).await.iter().map(|row| row.get("number").unwrap()).collect()
    }

    /// Takes a log backup through the port; its path.
    pub async fn back_up_log(&self, on: &str, name: &str) -> String {
        let path = self.backup(&format!("{name}.trn"));
        self.act(on, DatabaseAction::BackUpLog { path: path.clone() }).await;
        path
    }

    /// Restores a log backup through the port, by its header.
    pub async fn restore_log(&self, on: &str, path: &str) {
        self.act(on, DatabaseAction::RestoreLog { path: path.to_owned(), log: None }).await;
    }

    /// A database on the primary, and its copy waiting for log on another instance.
    pub async fn initialise(&self, on: &str) {
        self.create_database().await;
        self.write("primary", 1..4).await;
        let full = self.backup("full.bak");
        self.act("primary", DatabaseAction::BackUpDatabase { path: full.clone() }).await;
        self.write("primary", 4..6).await;
        let log = self.back_up_log("primary", "0").await;
        self.seed(on, &full, &log).await;
    }

    /// Restores a full backup and a log backup.
    pub async fn seed(&self, on: &str, full: &str, log: &str) {
        let instance = self.topology.instance(&InstanceName::from(on)).unwrap();
        let data_directory = instance.data_directory.clone();
        let path = full.to_owned();
        self.act(
            on,
            DatabaseAction::RestoreDatabase {
                path,
                data_directory,
                log_directory: None,
                replaces_existing: false,
            },
        )
        .await;
        self.restore_log(on, log).await;
    }

    /// Waits until a query's first column is 1, as the server's clock goes.
    pub async fn until(&self, on: &str, limit: Duration, query: &str) {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let rows = self.rows(on, query).await;
            if rows.first().is_some_and(|row| row.optional::<i32>("reached").unwrap() == Some(1)) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{on}: not within {limit:?}: {query}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Names of the servers in the topology, with their roles.
const ROLES: [(&str, &str); 5] = [
    ("primary", "primary"),
    ("mirror", "primary-mirror"),
    ("witness", "primary-witness"),
    ("secondary", "secondary"),
    ("monitor", "monitor"),
];

fn parse(text: &str) -> Result<Topology, String> {
    Topology::parse(text).map_err(|found| format!("{found:?}"))
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// The topology file. Schedules are so rare that no job starts by itself while a check looks.
fn design(
    database: &str,
    members: &[Member],
    shares: &[(String, Option<String>); 2],
    connection: &str,
    account: Option<&str>,
) -> String {
    let mut text = String::from("[[sites]]\nname = \"here\"\n[[sites]]\nname = \"there\"\n");
    for (own_port, Member { name, role, address, facts }) in (MIRRORING_PORT..).zip(members) {
        let site = if ["secondary", "monitor"].contains(name) { "there" } else { "here" };
        text.push_str(&format!(
            "[[instances]]\nname = {}\nsite = {}\nrole = {}\nhost = {}\n",
            quoted(name),
            quoted(site),
            quoted(role),
            quoted(&address.host)
        ));
        if let Some(instance) = &address.instance {
            text.push_str(&format!("instance = {}\n", quoted(instance)));
        }
        if let Some(port) = address.port {
            text.push_str(&format!("port = {port}\n"));
        }
        let server_name = facts.as_ref().map(|facts| facts.server_name.clone());
        let server_name = server_name.unwrap_or_else(|| (*name).to_owned());
        text.push_str(&format!("server_name = {}\n", quoted(&server_name)));
        if *name != "monitor" {
            let port = facts.as_ref().and_then(|facts| facts.endpoint_port);
            text.push_str(&format!("mirroring_port = {}\n", port.unwrap_or(own_port)));
        }
        if let Some(folder) = facts.as_ref().and_then(|facts| facts.data_path.as_ref()) {
            text.push_str(&format!("data_directory = {}\n", quoted(folder)));
        }
        if let Some(account) = account {
            text.push_str(&format!("service_account = {}\n", quoted(account)));
        }
    }
    text.push_str(&format!("[[databases]]\nname = {}\n", quoted(database)));
    for (name, (unc, mount)) in ["backups", "copies"].iter().zip(shares) {
        let share = format!(
            "[[shares]]\nname = {}\nsite = \"there\"\nunc = {}\n",
            quoted(name),
            quoted(unc)
        );
        text.push_str(&share);
        if let Some(mount) = mount {
            text.push_str(&format!("mount = {}\n", quoted(mount)));
        }
    }
    text.push_str(
        "[log_shipping]\nbackup_share = \"backups\"\ncopy_share = \"copies\"\n\
         backup_every = \"12h\"\ncopy_every = \"12h\"\nrestore_every = \"12h\"\n",
    );
    text.push_str(&format!("[connection]\n{connection}"));
    text
}

/// The topology without mirror and witness.
fn without_mirror(text: &str) -> Result<String, String> {
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    if let Some(toml::Value::Array(all)) = table.get_mut("instances") {
        all.retain(|instance| !matches!(instance["name"].as_str(), Some("mirror" | "witness")));
    }
    Ok(table.to_string())
}

fn instances(table: &mut toml::Table) -> impl Iterator<Item = &mut toml::Table> {
    let all = table.get_mut("instances").and_then(toml::Value::as_array_mut);
    all.into_iter().flatten().filter_map(toml::Value::as_table_mut)
}

fn endpoints(
    topology: &Topology,
    dialer: &Arc<dyn Dialer>,
) -> Result<Vec<(String, Endpoint)>, String> {
    let options = FleetOptions { dialer: Arc::clone(dialer), ..FleetOptions::default() };
    let access =
        Access::read(topology.connection(), &options).map_err(|error| error.to_string())?;
    let endpoint = |instance: &pcdr_core::topology::Instance| {
        let mut endpoint = access.endpoint(instance);
        "pcdr test suite".clone_into(&mut endpoint.application);
        (instance.name.to_string(), endpoint)
    };
    Ok(topology.instances().map(endpoint).collect())
}

fn mount(share: &pcdr_core::topology::Share) -> PathBuf {
    PathBuf::from(share.mount.as_ref().unwrap_or(&share.unc))
}

/// A port of this machine at which nobody listens.
fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
