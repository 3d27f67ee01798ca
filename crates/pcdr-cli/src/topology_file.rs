//! Reading the topology file.

use std::path::{Path, PathBuf};

use pcdr_core::Topology;

use crate::failure::Failure;
use crate::store;
use crate::views::{DesignedInstance, ValidateDocument};

/// A topology with the file that it came from.
#[derive(Debug, Clone)]
pub struct TopologyFile {
    /// The file; for the built-in topology its name in angle brackets.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub topology: Topology,
}

/// The example of a stretched pool, for a rehearsal without a topology of one's own.
pub const BUILT_IN: &str = pcdr_core::topology::EXAMPLE;

/// Longest topology file: far beyond any real one, so that a wrong file is not read for minutes.
const LONGEST: u64 = 16 << 20;

impl TopologyFile {
    /// Reads and validates a file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or every violation in it.
    pub fn read(path: &Path) -> Result<TopologyFile, Failure> {
        let unreadable = |found: String| {
            Failure::usage(
                "topology_file",
                format!("{} was needed to be a topology file, but: {found}", path.display()),
                "Name a readable TOML file with --topology or PCDR_TOPOLOGY.",
            )
        };
        let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if length > LONGEST {
            return Err(unreadable(format!("it has {length} bytes, more than {LONGEST}")));
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            unreadable(format!("it is not UTF-8 text (byte {at})"))
        })?;
        TopologyFile::of(path.to_owned(), text)
    }

    /// The file that was named.
    ///
    /// # Errors
    ///
    /// None was named, or as [`TopologyFile::read`].
    pub fn named(path: Option<&Path>) -> Result<TopologyFile, Failure> {
        match path {
            Some(path) => TopologyFile::read(path),
            None => Err(Failure::usage(
                "no_topology",
                "a topology file was needed, but none was named",
                "Name one with --topology FILE or the environment variable PCDR_TOPOLOGY.",
            )),
        }
    }

    /// The built-in example.
    ///
    /// # Errors
    ///
    /// None, unless pcdr was built from a broken example.
    pub fn built_in() -> Result<TopologyFile, Failure> {
        TopologyFile::of(PathBuf::from("<built-in>"), BUILT_IN.to_owned())
    }

    /// What a text says; `path` is what to call it.
    ///
    /// # Errors
    ///
    /// Every violation in it.
    pub fn of(path: PathBuf, text: String) -> Result<TopologyFile, Failure> {
        match Topology::parse(&text) {
            Ok(topology) => Ok(TopologyFile { path, text, topology }),
            Err(violations) => {
                Err(Failure::Topology { file: path.display().to_string(), text, violations })
            }
        }
    }

    /// What `validate` prints under `--json`.
    pub fn document(&self) -> ValidateDocument {
        let topology = &self.topology;
        ValidateDocument {
            valid: true,
            file: self.path.display().to_string(),
            identity: store::identity(topology),
            sites: topology.sites().map(|site| site.name.to_string()).collect(),
            instances: topology
                .instances()
                .map(|instance| DesignedInstance {
                    name: instance.name.to_string(),
                    site: instance.site.to_string(),
                    role: instance.role.as_str().to_owned(),
                    server_name: instance.server_name.clone(),
                })
                .collect(),
            databases: topology.databases().iter().map(ToString::to_string).collect(),
            pool: topology.pool().map(|pool| pool.fqdn.to_string()),
            servers: topology
                .pool()
                .map(|pool| pool.servers.iter().map(|server| server.fqdn.to_string()).collect())
                .unwrap_or_default(),
            shares: topology.shares().map(|share| share.unc.clone()).collect(),
        }
    }

    /// What `validate` prints for people.
    pub fn summary(&self) -> String {
        let topology = &self.topology;
        let databases: Vec<&str> =
            topology.databases().iter().map(pcdr_core::DatabaseName::as_str).collect();
        let mut text = format!(
            "{} is a valid topology: every planning rule is kept.\n\n",
            self.path.display()
        );
        let mut table = crate::text::table(["instance", "site", "role", "@@SERVERNAME", "host"]);
        for instance in topology.instances() {
            table.add_row([
                instance.name.as_str(),
                instance.site.as_str(),
                instance.role.as_str(),
                &instance.server_name,
                &instance.host,
            ]);
        }
        text.push_str(&format!("{table}\n\nlog-shipped databases: {}\n", databases.join(", ")));
        if let Some(pool) = topology.pool() {
            let names = |active: fn(&pcdr_core::topology::Server) -> bool| -> String {
                let servers = pool.servers.iter().filter(|server| active(server));
                servers.map(|server| server.fqdn.as_str()).collect::<Vec<_>>().join(", ")
            };
            text.push_str(&format!(
                "pool {}: {} servers\n  active: {}\n  active after failover: {}\n",
                pool.fqdn,
                pool.servers.len(),
                names(|server| server.is_active),
                names(|server| server.is_active_after_failover),
            ));
        }
        text.push_str(&format!("identity: {}\n", store::identity(topology)));
        text
    }
}
