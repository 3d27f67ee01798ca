//! From a topology to the ports of a run: connections, Management Shell, files, lock and journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pcdr_core::ports::{Clock, PoolControl, Ports};
use pcdr_core::preflight::Preflight;
use pcdr_core::topology::ShellBy;
use pcdr_core::{InstanceName, Timestamp, Topology};
use pcdr_skype::{CommandTransport, PersonPool, Product, Shell, ShellPool, ShellTransport};
use pcdr_sql::{Dialer, Fleet, FleetOptions, TcpDialer, Trace};

use crate::args::Global;
use crate::failure::Failure;
use crate::person::AtTheTerminal;
use crate::store::{self, FileStore};
use crate::topology_file::TopologyFile;

/// Everything that a run needs, and where its journal lies.
#[derive(Clone)]
pub struct Connected {
    /// The ports.
    pub ports: Ports,
    /// What asks each instance before a command.
    pub preflight: BTreeMap<InstanceName, Arc<dyn Preflight>>,
    /// The folder of lock and journal.
    pub folder: PathBuf,
}

/// How to reach what a topology names.
#[derive(Clone)]
pub struct Way {
    /// How bytes reach instances.
    pub dialer: Arc<dyn Dialer>,
    /// How scripts reach the Management Shell; `None`: by the topology's command.
    pub shell: Option<Arc<dyn ShellTransport>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where batches are recorded.
    pub trace: Option<Trace>,
    /// The folder of lock and journal.
    pub folder: PathBuf,
}

/// The way to real servers.
///
/// # Errors
///
/// The secret, the certificate file, the trace file or the state folder.
pub fn to_servers(file: &TopologyFile, global: &Global) -> Result<Connected, Failure> {
    let way = Way {
        dialer: Arc::new(TcpDialer),
        shell: None,
        clock: Arc::new(SystemClock),
        trace: trace(global)?,
        folder: store::folder(global.state.as_deref(), &file.topology)?,
    };
    connect(&file.topology, &way)
}

/// The trace that was asked for.
///
/// # Errors
///
/// The file cannot be created.
pub fn trace(global: &Global) -> Result<Option<Trace>, Failure> {
    let Some(path) = &global.trace_sql else { return Ok(None) };
    match Trace::to_file(path) {
        Ok(trace) => Ok(Some(trace)),
        Err(error) => Err(Failure::file("take the trace", path, &error)),
    }
}

/// Ports to everything that a topology names. Opens nothing yet.
///
/// # Errors
///
/// As [`to_servers`].
pub fn connect(topology: &Topology, way: &Way) -> Result<Connected, Failure> {
    let options = FleetOptions {
        dialer: Arc::clone(&way.dialer),
        trace: way.trace.clone(),
        ..FleetOptions::default()
    };
    let fleet = Fleet::connect(topology, &options)?;
    let ports = Ports {
        instances: fleet.database_instances(),
        jobs: fleet.log_shipping_jobs(),
        pool: pool(topology, way),
        files: fleet.files(),
        store: Arc::new(FileStore::open(&way.folder)?),
        clock: Arc::clone(&way.clock),
    };
    Ok(Connected { ports, preflight: fleet.preflight(), folder: way.folder.clone() })
}

/// The Management Shell by the topology's command, or Windows PowerShell on this computer; `None` where a
/// person runs the cmdlets.
pub fn shell_command(topology: &Topology) -> Option<Arc<dyn ShellTransport>> {
    let Some(settings) = topology.management_shell() else {
        return Some(Arc::new(CommandTransport::powershell()));
    };
    let ShellBy::Command(words) = &settings.by else { return None };
    let (program, arguments) = words.split_first()?;
    let command = CommandTransport::new(program, arguments);
    Some(Arc::new(command.with_timeout(settings.timeout)))
}

fn pool(topology: &Topology, way: &Way) -> Option<Arc<dyn PoolControl>> {
    let Some(transport) = way.shell.clone().or_else(|| shell_command(topology)) else {
        return Some(Arc::new(PersonPool::new(AtTheTerminal::default(), topology)?));
    };
    let shell = Shell::new(transport, Product::default());
    let pool: Arc<dyn PoolControl> = Arc::new(ShellPool::new(shell, topology)?);
    Some(pool)
}

/// The clock on the wall.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(jiff::Timestamp::now().as_millisecond())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
