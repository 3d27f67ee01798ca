//! Many databases on one primary and one secondary, or many such pairs: stand-ins in one process, pcdr's own
//! ports and run, and a count of the round trips by what they are for.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a measurement that fails says where"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use pcdr_cli::connect::{self, Connected, Way};
use pcdr_cli::meter::{CountedDialer, Meter};
use pcdr_cli::overview::Watched;
use pcdr_cli::plan;
use pcdr_cli::topology_file::TopologyFile;
use pcdr_cli::workload::Workload;
use pcdr_cli::world::{self, StandIn};
use pcdr_core::ports::{Owner, Ports, Unwatched};
use pcdr_core::run::{self, Watcher};
use pcdr_core::step::LogShippingAction;
use pcdr_core::{InstanceError, Intent, Step, Topology};
use pcdr_sim::engine::state::Costs;
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sql::{Dialer, Trace};

/// One primary, one secondary in another site, and nothing else.
const PAIR: &str = r#"
[[sites]]
name = "north"
[[sites]]
name = "south"
[[links]]
between = ["north", "south"]
fast = false
[[instances]]
name = "sql-n1"
site = "north"
role = "primary"
host = "sql-n1.example.net"
port = 1433
[[instances]]
name = "sql-s1"
site = "south"
role = "secondary"
host = "sql-s1.example.net"
port = 1433
[[shares]]
name = "log-backups"
site = "south"
unc = '\\files-s.example.net\logbackups'
[[shares]]
name = "log-copies"
site = "south"
unc = '\\sql-s1.example.net\logcopies'
[log_shipping]
backup_share = "log-backups"
copy_share = "log-copies"
backup_every = "23h"
copy_every = "23h"
restore_every = "23h"
[connection]
login = "pcdr"
password_env = "PCDR_PASSWORD"
"#;

/// What a round trip takes over the network and in the server, beside the work itself.
pub const ROUND_TRIP: Duration = Duration::from_millis(2);

/// The name of a database by its number.
pub fn name(number: usize) -> String {
    format!("db{number:03}")
}

/// The names of a pair's own: `sql-n1` becomes `sql-n007`.
fn pair(number: usize) -> String {
    PAIR.replace("sql-n1", &format!("sql-n{number:03}"))
        .replace("sql-s1", &format!("sql-s{number:03}"))
}

/// The pair of `text` with these databases alone.
fn with_databases(text: &str, numbers: impl Iterator<Item = usize>) -> String {
    let mut text = text.to_owned();
    for number in numbers {
        write!(text, "\n[[databases]]\nname = \"{}\"\n", name(number)).unwrap();
    }
    text
}

/// Round trips by what they are for, as a trace counts them.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl RoundTrips {
    /// Counts so far.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl io::Write for RoundTrips {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.write_all(record)?;
        Ok(record.len())
    }

    /// A trace writes one record at a time: a comment, the batch, `GO`.
    fn write_all(&mut self, record: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(record);
        let (_comment, batch) = text.split_once('\n').unwrap_or_default();
        // A connection that could not be made has no batch.
        if batch.lines().all(|line| line.is_empty() || line == "GO") {
            return Ok(());
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind(batch)).or_default() += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What asks a connection that was idle for long whether it still works.
pub const CHECK: &str = "check of an idle connection";

/// What a batch of pcdr is for.
fn kind(batch: &str) -> &'static str {
    const KINDS: [(&str, &str); 10] = [
        ("pcdr_check", CHECK),
        ("pcdr_server", "observation"),
        ("HEADERONLY", "header of a backup"),
        ("FILELISTONLY", "file list of a backup"),
        ("BACKUP DATABASE ", "BACKUP"),
        ("BACKUP LOG ", "BACKUP"),
        ("RESTORE ", "RESTORE"),
        ("sp_add_log_shipping_", "procedure of log shipping"),
        ("schedule", "schedule of a job"),
        ("EXEC @rc = msdb.dbo.", "procedure of a job"),
    ];
    let found = KINDS.iter().find(|(words, _)| batch.contains(words));
    found.map_or("state of a database or an entry", |(_, kind)| *kind)
}

/// Served stand-ins of a pair with its databases, not configured.
pub struct Many {
    /// The stand-ins.
    pub stand_in: StandIn,
    connected: Connected,
    pub(crate) workload: Workload,
    way: Way,
    meter: Meter,
    began: tokio::time::Instant,
    round_trips: RoundTrips,
    databases: usize,
    _temporary: tempfile::TempDir,
}

/// How time passes for the stand-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Waiting costs nothing; the runtime's clock is paused.
    Virtual,
    /// As on the wall.
    Real,
}

/// Many pairs of instances, each a topology of its own, configured.
pub struct Pairs {
    all: Vec<Many>,
    watched: Vec<Watched>,
}

impl Pairs {
    /// Serves and configures so many pairs with so many databases each.
    pub async fn served(pairs: usize, databases: usize, time: Time) -> Pairs {
        let served = (0..pairs).map(|number| async move {
            let many = Many::of(&pair(number), databases, time).await;
            many.configure_side_by_side().await;
            many
        });
        let all: Vec<Many> = futures_util::stream::iter(served).buffered(8).collect().await;
        let watched = all.iter().enumerate().map(|(number, many)| {
            let mut file = many.stand_in.file.clone();
            file.path = format!("pair-{number:03}.toml").into();
            Watched { file, ports: many.connected.ports.clone() }
        });
        Pairs { watched: watched.collect(), all }
    }

    /// Each pair with the way to it.
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// The stand-ins of a pair.
    pub fn stand_in(&self, pair: usize) -> &StandIn {
        &self.all[pair].stand_in
    }

    /// Sends a batch to an instance of a pair, as its administrator would.
    pub async fn send(&self, pair: usize, instance: &str, batch: &str) {
        let sent = self.all[pair].workload.send(&instance.into(), batch.to_owned()).await;
        sent.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Lets the log backup job of a pair's first database run and fail.
    pub async fn fail_backup_job(&self, pair: usize) {
        let many = &self.all[pair];
        let primary = many.stand_in.file.topology.primary();
        let database = name(0);
        many.stand_in.world.fail_next_job(&primary.server_name, &format!("LSBackup_{database}"));
        let jobs = Arc::clone(&many.connected.ports.jobs[&primary.name]);
        let run = LogShippingAction::RunBackupJob;
        jobs.run(&database.as_str().into(), &run, &Unwatched).await.unwrap_err();
    }

    /// Round trips so far, of all pairs together, by what they were for.
    pub fn round_trips(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for (kind, count) in self.all.iter().flat_map(|many| many.round_trips.by_kind()) {
            *all.entry(kind).or_default() += count;
        }
        all
    }

    /// Writes the topology files of all pairs into a folder.
    pub fn write_topologies(&self, folder: &Path) {
        for one in &self.watched {
            std::fs::write(folder.join(&one.file.path), &one.file.text).unwrap();
        }
    }
}

/// How a configuration went.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Steps carried out.
    pub steps: usize,
    /// Time by the stand-in's clock, from the first observation to the end of the last step.
    pub took: Duration,
    /// Round trips by what they are for.
    pub round_trips: BTreeMap<&'static str, u64>,
}

impl Configured {
    /// All round trips.
    pub fn total(&self) -> u64 {
        self.round_trips.values().sum()
    }
}

impl Many {
    /// Serves the stand-ins, in virtual time: call it inside a runtime whose clock is paused.
    pub async fn served(databases: usize) -> Many {
        Many::of(PAIR, databases, Time::Virtual).await
    }

    pub(crate) async fn of(text: &str, databases: usize, time: Time) -> Many {
        let temporary = tempfile::Builder::new().prefix("pcdr-many-").tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let path = folder.join("designed.toml");
        std::fs::write(&path, with_databases(text, 0..databases)).unwrap();
        let designed = TopologyFile::read(&path).unwrap_or_else(|failure| {
            panic!("{}", failure.text(false));
        });
        let in_flight = (time == Time::Virtual).then(InFlight::new);
        if let Some(in_flight) = &in_flight {
            tokio::spawn(in_flight.clone().keep_awake());
        }
        let (meter, began) = (Meter::new(), tokio::time::Instant::now());
        let plan = world::Plan {
            folder: folder.clone(),
            seed: 1,
            begins_at: None,
            in_flight: in_flight.clone(),
            meter: Some(meter.clone()),
            shell_command: Vec::new(),
        };
        let stand_in = StandIn::build(&designed, plan).await;
        let stand_in = stand_in.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let dialer: Arc<dyn Dialer> = Arc::new(CountedDialer { in_flight });
        let workload = Workload::new(&stand_in.file.topology, &dialer, None).unwrap();
        workload.create_databases().await.unwrap();
        if time == Time::Virtual {
            stand_in.world.set_costs(Costs { statement: ROUND_TRIP, ..Costs::default() });
        }
        let round_trips = RoundTrips::default();
        let way = Way {
            dialer,
            shell: None,
            clock: stand_in.clock(),
            trace: Some(Trace::to_writer(round_trips.clone())),
            folder: folder.join("state"),
        };
        let connected = connect::connect(&stand_in.file.topology, &way).unwrap();
        Many {
            stand_in,
            connected,
            workload,
            way,
            meter,
            began,
            round_trips,
            databases,
            _temporary: temporary,
        }
    }

    /// What the servers worked for pcdr.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// When it was built.
    pub(crate) fn began(&self) -> tokio::time::Instant {
        self.began
    }

    /// Ports of a process that knows nothing yet and has no connection.
    pub(crate) fn ports_of_another_process(&self) -> Ports {
        connect::connect(&self.stand_in.file.topology, &self.way).unwrap().ports
    }

    /// The served topology with these of its databases.
    fn topology(&self, numbers: impl Iterator<Item = usize>) -> Topology {
        let (text, _) = self.stand_in.file.text.split_once("[[databases]]").unwrap();
        let rest = self.stand_in.file.text.rsplit_once("[[databases]]").unwrap().1;
        let rest = rest.find("\n[").map_or("", |at| &rest[at..]);
        let text = with_databases(&format!("{text}{rest}"), numbers);
        Topology::parse(&text).unwrap_or_else(|found| panic!("{found:?}"))
    }

    /// Configures all databases in one run.
    pub async fn configure_side_by_side(&self) -> Configured {
        self.configure(&self.topology(0..self.databases)).await
    }

    /// Configures one database after another, each in a run of its own over the same connections.
    pub async fn configure_one_after_another(&self) -> Configured {
        let mut all = Configured { steps: 0, took: Duration::ZERO, round_trips: BTreeMap::new() };
        for number in 0..self.databases {
            let one = self.configure(&self.topology(number..number + 1)).await;
            all.steps += one.steps;
            all.took += one.took;
        }
        all.round_trips = self.round_trips.by_kind();
        all
    }

    async fn configure(&self, topology: &Topology) -> Configured {
        let ports = &self.connected.ports;
        let began = tokio::time::Instant::now();
        let made = plan::make(Intent::Configure, topology, ports, &[]).await;
        let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let owner = Owner { who: "bench".into(), run: plan::new_run() };
        let report = run::apply(&plan, topology, ports, &owner, &Unseen).await;
        let report = report.unwrap_or_else(|error| panic!("{error}"));
        let round_trips = self.round_trips.by_kind();
        Configured { steps: report.steps.len(), took: began.elapsed(), round_trips }
    }
}

/// A watcher that does nothing.
pub(crate) struct Unseen;

impl Watcher for Unseen {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}
