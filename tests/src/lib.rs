//! A stretched pool on stand-ins, configured and shipping its log, behind pcdr's own ports.
//!
//! Real sockets on the loopback address, TLS, virtual time: call it on a paused current-thread runtime
//! (`#[tokio::test(start_paused = true)]`).
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "support for tests")]

use std::sync::Arc;

use pcdr_cli::connect::{self, Connected, Way};
use pcdr_cli::meter::CountedDialer;
use pcdr_cli::topology_file::{BUILT_IN, TopologyFile};
use pcdr_cli::workload::{self, Reach, Workload};
use pcdr_cli::world::{Plan, StandIn};
use pcdr_core::ports::{Owner, Ports, Progress};
use pcdr_core::run::{self, Watcher};
use pcdr_core::step::Step;
use pcdr_core::{InstanceError, Intent, Topology};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sql::Dialer;

/// A running stand-in with its ports.
pub struct Stretched {
    /// The stand-ins.
    pub stand_in: StandIn,
    /// pcdr's own ports to them.
    pub connected: Connected,
    /// The application that writes.
    pub workload: Workload,
    /// Everything on disk; gone when this is dropped.
    pub folder: tempfile::TempDir,
}

impl Stretched {
    /// The built-in topology, configured, with one log backup restored and one only shipped.
    pub async fn configured() -> Stretched {
        let folder = tempfile::tempdir().unwrap();
        let in_flight = InFlight::new();
        tokio::spawn(in_flight.clone().keep_awake());
        let designed = TopologyFile {
            path: "<built-in>".into(),
            text: BUILT_IN.to_owned(),
            topology: Topology::parse(BUILT_IN).unwrap(),
        };
        let plan = Plan {
            folder: folder.path().join("world"),
            seed: 1,
            in_flight: Some(in_flight.clone()),
            meter: None,
            shell_command: Vec::new(),
        };
        std::fs::create_dir(&plan.folder).unwrap();
        let stand_in = StandIn::build(&designed, plan).await.unwrap();
        let dialer: Arc<dyn Dialer> = Arc::new(CountedDialer { in_flight: Some(in_flight) });
        let way = Way {
            dialer: Arc::clone(&dialer),
            shell: stand_in.shell_transport(),
            clock: stand_in.clock(),
            trace: None,
            folder: folder.path().join("state"),
        };
        let topology = &stand_in.file.topology;
        let connected = connect::connect(topology, &way).unwrap();
        let workload = Workload::new(topology, &dialer, None).unwrap();
        workload.create_databases().await.unwrap();
        let stretched = Stretched { stand_in, connected, workload, folder };
        stretched.configure().await;
        for reach in [Reach::Restored, Reach::BackedUp] {
            stretched.ship(reach).await;
        }
        stretched
    }

    /// The topology with addresses and mounts of the stand-ins.
    pub fn topology(&self) -> &Topology {
        &self.stand_in.file.topology
    }

    /// Every port.
    pub fn ports(&self) -> &Ports {
        &self.connected.ports
    }

    /// Ships a log backup of every database this far.
    pub async fn ship(&self, reach: Reach) {
        let topology = self.topology();
        for database in topology.databases() {
            let primary = &topology.primary().name;
            workload::ship(topology, self.ports(), primary, database, reach).await.unwrap();
        }
    }

    async fn configure(&self) {
        let topology = self.topology();
        let made = pcdr_cli::plan::make(Intent::Configure, topology, self.ports(), &[]).await;
        let (plan, _) = made.unwrap();
        let owner = Owner { who: "tests".to_owned(), run: "configure".to_owned() };
        run::apply(&plan, topology, self.ports(), &owner, &Unwatched).await.unwrap();
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn started(&self, _step: &Step) {}
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

impl Progress for Unwatched {
    fn report(&self, _percent: f32, _detail: &str) {}
}
