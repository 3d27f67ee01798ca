//! From instances that nobody has described to a topology file.
//!
//! What log shipping, mirroring, endpoints and jobs say of themselves becomes a topology that
//! [`configure`] finds nothing to change in. What they do not say is never guessed: it is
//! asked for, or left open in the file, which then does not validate.

mod draft;
mod finding;
mod look;
mod page;
mod parts;
mod places;
mod pool;
mod settings;
mod survey;

use std::collections::{BTreeMap, BTreeSet};

pub use finding::{Code, Finding, Kind};
pub use survey::{DatabaseFile, EndpointSecurity, Partnership, Service, Survey};

use crate::configure;
use crate::drift::drift;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName, PoolName, ServerName, SiteName};
use crate::observation::{InstanceObservation, Observation};
use crate::plan::Situation;
use crate::time::Timestamp;
use crate::topology::{Connection, Role, Topology};
use draft::Draft;
use look::Look;
use parts::Parts;

/// What a person gave: where to look, and what no instance tells.
#[derive(Debug, Clone)]
pub struct Given {
    /// When it was looked.
    pub taken_at: Timestamp,
    /// The instances, with what each answered.
    pub instances: Vec<GivenInstance>,
    /// Sites, each with the instances, and hosts of shares, that stand in it.
    pub sites: Vec<(SiteName, Vec<String>)>,
    /// Roles that no instance tells, each with an instance.
    pub roles: Vec<(Role, String)>,
    /// The databases that the topology shall have; empty: all that are log-shipped.
    pub databases: Vec<DatabaseName>,
    /// The Persistent Chat pool around the databases, if there is one.
    pub pool: Option<PoolName>,
    /// Its chat servers that serve after a failover.
    pub active_after_failover: Vec<ServerName>,
    /// Where this machine has a share mounted: its UNC path and the folder.
    pub mounts: Vec<(String, String)>,
    /// How the instances were connected to.
    pub connection: Connection,
}

/// One instance to look at.
#[derive(Debug, Clone)]
pub struct GivenInstance {
    /// As it was given, for messages.
    pub address: String,
    /// Its fully qualified name, where it was stated beside the address.
    pub host: Option<String>,
    /// The host that was connected to.
    pub connect_host: String,
    /// The TCP port, where it was given.
    pub port: Option<u16>,
    /// The instance part, where it was given.
    pub instance: Option<String>,
    /// What it answered.
    pub survey: Known<Survey>,
}

/// What came of a discovery.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// The topology file; `None` when nothing was found, or a [`Kind::Question`] comes first.
    pub file: Option<String>,
    /// The topology, when the file is valid.
    pub topology: Option<Topology>,
    /// What was found out, most urgent first.
    pub findings: Vec<Finding>,
    /// Each instance as given, with what was made of it.
    pub instances: Vec<Placed>,
    /// Whether every instance answered, and none ships or receives a log.
    pub is_nothing_there: bool,
}

/// An instance, and its place in the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// As it was given.
    pub address: String,
    /// `@@SERVERNAME`; `None` when it did not tell.
    pub server_name: Option<String>,
    /// `None` when none was found.
    pub role: Option<Role>,
    /// Why it has that role.
    pub why: String,
}

impl Discovered {
    /// Whether the file says all that is there, and nothing else.
    pub fn is_complete(&self) -> bool {
        self.topology.is_some() && self.findings.iter().all(|f| f.code.kind() == Kind::Note)
    }
}

/// Makes a topology file of what instances answered.
pub fn discover(given: &Given) -> Discovered {
    let mut look = Look::at(given);
    let parts = parts::find(&mut look);
    if look.has_questions() {
        return end(look, parts.as_ref(), None, None);
    }
    let Some(parts) = parts else { return end(look, None, None, None) };
    let draft = Draft::of(&mut look, &parts);
    if look.has_questions() {
        return end(look, Some(&parts), None, None);
    }
    let text = draft.render(&look);
    match Topology::parse(&text) {
        Ok(topology) => {
            compare(&mut look, &parts, &draft, &topology);
            let text = draft.render(&look);
            end(look, Some(&parts), Some(text), Some(topology))
        }
        Err(violations) => {
            let is_explained = look.findings.iter().any(|f| f.code.kind() == Kind::Incomplete);
            for violation in violations.0 {
                look.breaks_rule(&violation, is_explained);
            }
            let text = draft.render(&look);
            end(look, Some(&parts), Some(text), None)
        }
    }
}

fn end(
    mut look: Look<'_>,
    parts: Option<&Parts>,
    file: Option<String>,
    topology: Option<Topology>,
) -> Discovered {
    look.findings.sort_by_key(|finding| finding.code.kind());
    let placed = |(index, given): (usize, &GivenInstance)| {
        let part = parts.and_then(|parts| parts.roles.get(&index));
        Placed {
            address: given.address.clone(),
            server_name: look.server(index).map(str::to_owned),
            role: part.map(|part| part.role),
            why: part.map(|part| part.why.clone()).unwrap_or_default(),
        }
    };
    let instances = look.given.instances.iter().enumerate().map(placed).collect();
    Discovered {
        file,
        topology,
        instances,
        is_nothing_there: look.is_nothing_there,
        findings: look.findings,
    }
}

/// What is there is compared with what was written, by the same rules as `configure --diff`.
fn compare(look: &mut Look<'_>, parts: &Parts, draft: &Draft, topology: &Topology) {
    let mut instances = BTreeMap::new();
    for index in parts.roles.keys() {
        let name = InstanceName::from(draft.name_of(*index));
        let seen = look.survey(*index).map(|survey| respelled(&survey.seen, topology.databases()));
        let seen = match (seen, &look.given.instances[*index].survey) {
            (Some(seen), _) => Known::Known(seen),
            (None, Known::Unknown(reason)) => Known::Unknown(reason.clone()),
            (None, Known::Known(_)) => continue,
        };
        instances.insert(name, seen);
    }
    let observation = Observation {
        taken_at: look.given.taken_at,
        observer: "discover".to_owned(),
        instances,
        log_backups: BTreeMap::new(),
        pool: None,
        drill: None,
    };
    let found = drift(topology, &observation);
    let is_as_written = found.is_empty();
    for one in found {
        let found = format!("{} is {}, the file says {}", one.what, one.found, one.wanted);
        let remedy =
            "No topology can say both: change the file, or let pcdr configure change the instance.";
        let instance = Some(one.instance.as_str());
        look.note(finding::Code::NotAsWritten, instance, one.database.as_ref(), found, remedy);
    }
    let nothing = BTreeSet::new();
    let situation = Situation::new(topology, &observation, &nothing, look.given.taken_at);
    match configure::plan(&situation) {
        Ok(plan) if is_as_written => {
            for step in &plan.steps {
                let found = format!("pcdr configure would {step}");
                let remedy = "See why with pcdr configure --diff.";
                look.note(finding::Code::NotAsWritten, None, None, found, remedy);
            }
        }
        Ok(_) => {} // the differences tell why
        Err(refusal) => {
            let found = format!("pcdr configure would refuse: {refusal}");
            look.note(finding::Code::ConfigureRefuses, None, None, found, refusal.remedy());
        }
    }
}

/// The same observation with databases spelled as the topology does: instances may differ in case.
fn respelled(seen: &InstanceObservation, databases: &[DatabaseName]) -> InstanceObservation {
    fn keys<T: Clone>(
        all: &Known<BTreeMap<DatabaseName, T>>,
        databases: &[DatabaseName],
    ) -> Known<BTreeMap<DatabaseName, T>> {
        let spelled = |name: &DatabaseName| {
            let same = databases.iter().find(|known| look::same(known.as_str(), name.as_str()));
            same.unwrap_or(name).clone()
        };
        let all = all.as_ref();
        all.map(|all| all.iter().map(|(name, value)| (spelled(name), value.clone())).collect())
    }
    InstanceObservation {
        databases: keys(&seen.databases, databases),
        log_shipping_primary: keys(&seen.log_shipping_primary, databases),
        log_shipping_secondary: keys(&seen.log_shipping_secondary, databases),
        ..seen.clone()
    }
}
