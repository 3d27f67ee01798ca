//! Stand-in for the product's Management Shell: Lync Server 2013, Skype for Business Server 2015.
//!
//! It evaluates a real subset of Windows PowerShell 5.1 over its state: the published topology, the
//! Central Management store with its replicas, and SQL Server instances that it changes with T-SQL
//! only, through [`crate::front::Front`], as the real cmdlets do. No script is recognised as a text.
//!
//! What it leaves out of the language is a parse error. Command lines are run as one script
//! (`-NonInteractive`), or line by line as typed by a person, with prompts answered by the lines that
//! follow.

#![allow(
    clippy::result_large_err,
    reason = "an error record carries what the shell shows of it; errors are rare here"
)]

mod host;
pub mod language;
mod product;
mod serve;
mod servers;
mod sql;
mod state;
#[cfg(test)]
mod tests;
mod topology;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use serve::{connect_and_run, serve};
pub use servers::{ChatServers, Ping};
pub use sql::{Connections, FixedConnections, SqlLogin, SqlTrouble};
pub use state::CmsAvailability;
pub use topology::{ChatPool, ChatServer, Pair, PoolState, ShellTopology, SqlStore, SqlStores};

use host::Host;
use language::eval::{Commands, Interpreter};
use language::parser;
use state::State;

/// What a shell needs.
pub struct ShellConfig {
    /// The published topology.
    pub topology: ShellTopology,
    /// How to reach SQL Server instances.
    pub connections: Arc<dyn Connections>,
    /// Who the cmdlets are on SQL Server: the person who runs the shell.
    pub sql_login: SqlLogin,
    /// Who the chat service is on SQL Server.
    pub service_login: SqlLogin,
    /// How long a change takes to reach a replica that names no delay of its own.
    pub replication_delay: Duration,
    /// Whether more than four active servers are refused. The cmdlet page does not say.
    pub enforces_active_limit: bool,
    /// The property of Get-CsDatabaseMirrorState that tells the mirror's status: printed as
    /// `MirroringStatusOnSecondary`, reported from live systems as `MirroringStatusOnMirror`.
    pub mirror_status_property: &'static str,
}

impl ShellConfig {
    /// A configuration with immediate replication.
    pub fn new(topology: ShellTopology, connections: Arc<dyn Connections>) -> Self {
        ShellConfig {
            topology,
            connections,
            sql_login: SqlLogin::default(),
            service_login: SqlLogin::default(),
            replication_delay: Duration::ZERO,
            enforces_active_limit: false,
            mirror_status_property: "MirroringStatusOnSecondary",
        }
    }
}

/// What a script gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The process's exit code.
    pub exit_code: i32,
}

/// A Management Shell.
pub struct ManagementShell {
    config: ShellConfig,
    state: Mutex<State>,
}

impl fmt::Debug for ManagementShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagementShell")
            .field("topology", &self.config.topology)
            .finish_non_exhaustive()
    }
}

impl ManagementShell {
    /// A shell over a topology; every replica is up to date.
    pub fn new(config: ShellConfig) -> Arc<ManagementShell> {
        let state = State::new(&config.topology, config.replication_delay);
        Arc::new(ManagementShell { config, state: Mutex::new(state) })
    }

    /// Runs a script in a process of its own.
    ///
    /// Not interactive: the whole text is parsed first, and a prompt is an error. Interactive: the
    /// lines are typed one after another, and a prompt takes the next line as its answer.
    pub async fn run_script(self: &Arc<Self>, script: &str, interactive: bool) -> ShellOutput {
        let commands: Arc<dyn Commands> = Arc::clone(self) as Arc<dyn Commands>;
        let mut host = Host { interactive, ..Host::default() };
        if interactive {
            host.lines = script.lines().map(str::to_owned).collect();
        }
        let mut interpreter = Interpreter::new(commands, host);
        let mut exit_code = 0;
        if interactive {
            let mut text = String::new();
            while let Some(line) = interpreter.host.lines.pop_front() {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&line);
                match parser::parse(&text) {
                    Ok(block) => {
                        text.clear();
                        let ended = interpreter.run(&block).await;
                        exit_code = ended.exit_code;
                        if ended.by_exit {
                            break;
                        }
                    }
                    Err(failure) if failure.incomplete && !interpreter.host.lines.is_empty() => {}
                    Err(failure) => {
                        text.clear();
                        interpreter.host.error(&failure.record);
                        exit_code = 1;
                    }
                }
            }
        } else {
            match parser::parse(script) {
                Ok(block) => exit_code = interpreter.run(&block).await.exit_code,
                Err(failure) => {
                    interpreter.host.error(&failure.record);
                    exit_code = 1;
                }
            }
        }
        ShellOutput { stdout: interpreter.host.stdout, stderr: interpreter.host.stderr, exit_code }
    }

    /// The published topology.
    pub fn topology(&self) -> &ShellTopology {
        &self.config.topology
    }

    /// The pool state at the Central Management master, whatever its availability.
    pub fn pool_state(&self, pool_fqdn: &str) -> PoolState {
        self.state().master.pool_state(pool_fqdn)
    }

    /// The active servers at the Central Management master, in lower case, in order of adding.
    pub fn active_servers(&self) -> Vec<String> {
        self.state().master.active.clone()
    }

    /// Whether a replica has the newest settings; `false` for a server without a replica.
    pub fn is_up_to_date(&self, server_fqdn: &str) -> bool {
        let mut state = self.state();
        let newest = state.master.version;
        state.replica(server_fqdn).is_some_and(|replica| replica.applied.version == newest)
    }

    /// Fault: the Central Management store.
    pub fn set_cms(&self, availability: CmsAvailability) {
        self.state().set_cms(availability);
    }

    /// The Central Management store moves to another server, as a failover of it does.
    pub fn move_cms(&self, fqdn: &str, site: &str) {
        self.state().move_cms(fqdn, site);
    }

    /// Fault: the next call of a cmdlet fails with this message, before it does anything.
    pub fn fail_next(&self, cmdlet: &str, message: &str) {
        self.state().fail_next(cmdlet, message);
    }

    /// Fault: replication to a server stands still.
    pub fn set_replication_stuck(&self, server_fqdn: &str, stuck: bool) {
        self.state().set_stuck(server_fqdn, stuck);
    }

    /// Fault: a server's services are stopped, or run again.
    pub fn set_server_running(&self, server_fqdn: &str, running: bool) {
        self.state().set_server_running(server_fqdn, running);
    }

    /// Fault: a data centre is lost, or returns. SQL Server instances there are not touched; the
    /// Central Management store, replicas and chat servers of the site are.
    pub fn set_site_up(&self, site: &str, up: bool) {
        self.state().set_site_up(site, up);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connections(&self) -> &dyn Connections {
        &*self.config.connections
    }

    pub(crate) fn sql_login(&self) -> &SqlLogin {
        &self.config.sql_login
    }

    pub(crate) fn service_login(&self) -> &SqlLogin {
        &self.config.service_login
    }

    pub(crate) fn enforces_active_limit(&self) -> bool {
        self.config.enforces_active_limit
    }

    pub(crate) fn mirror_status_property(&self) -> &'static str {
        self.config.mirror_status_property
    }
}
