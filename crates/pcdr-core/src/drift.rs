//! What is not as designed: the difference between a topology and what was observed, setting by setting.
//!
//! Only what is known is compared: a fact that could not be observed differs in nothing. The differences
//! are those that [`configure`](crate::configure) would change, and those that nobody but a person can.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{DatabaseObservation, InstanceObservation, MirroringRole, Observation};
use crate::settings::{
    Difference, PrimarySettings, SecondarySettings, alert_job_differences, primary_differences,
    secondary_differences,
};
use crate::topology::{Instance, Role, Topology};

/// One thing that is not as designed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Where.
    pub instance: InstanceName,
    /// Of which database; `None` for the instance itself.
    pub database: Option<DatabaseName>,
    /// What: a setting's name, or for example `mirroring session`.
    pub what: String,
    /// What was designed.
    pub wanted: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift { instance, database, what, wanted, found } = self;
        write!(f, "{instance}")?;
        if let Some(database) = database {
            write!(f, ", {database}")?;
        }
        write!(f, ": {what} is {found}, designed is {wanted}")
    }
}

/// Everything that is known to differ, by instance and database in the order of the topology.
///
/// ```
/// # use pcdr_core::{mock::MockWorld, observe::observe, drift::drift, Topology};
/// # fn block_on<F: Future>(f: F) -> F::Output {
/// #     let mut f = std::pin::pin!(f);
/// #     let mut c = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(o) = f.as_mut().poll(&mut c) { return o } }
/// # }
/// # let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
/// let world = MockWorld::new(topology.clone()); // nothing is mirrored in it
/// let observation = block_on(observe(&topology, &world.ports(), "me", None));
/// let found = drift(&topology, &observation);
/// assert!(found.iter().any(|one| one.what == "mirroring session"));
/// ```
pub fn drift(topology: &Topology, observation: &Observation) -> Vec<Drift> {
    let mut all = Drifts { topology, observation, found: Vec::new() };
    for instance in topology.instances() {
        all.endpoint(instance);
        all.alert_job(instance);
    }
    for database in topology.databases() {
        all.mirroring(database);
        all.primaries(database);
        all.secondaries(database);
    }
    all.found
}

struct Drifts<'a> {
    topology: &'a Topology,
    observation: &'a Observation,
    found: Vec<Drift>,
}

impl<'a> Drifts<'a> {
    fn seen(&self, instance: &Instance) -> Option<&'a InstanceObservation> {
        self.observation.instances.get(&instance.name).and_then(Known::known)
    }

    fn copy(
        &self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Option<&'a DatabaseObservation> {
        self.seen(instance)?.databases.known()?.get(database)
    }

    fn note(
        &mut self,
        instance: &Instance,
        database: Option<&DatabaseName>,
        what: &str,
        wanted: impl ToString,
        found: impl ToString,
    ) {
        self.found.push(Drift {
            instance: instance.name.clone(),
            database: database.cloned(),
            what: what.to_owned(),
            wanted: wanted.to_string(),
            found: found.to_string(),
        });
    }

    fn settings(&mut self, on: &Instance, of: Option<&DatabaseName>, differences: Vec<Difference>) {
        for Difference { setting, wanted, found, .. } in differences {
            self.note(on, of, &setting, wanted, found);
        }
    }

    /// The primary and its mirror, in this order.
    fn partners(&self) -> impl Iterator<Item = &'a Instance> + use<'a> {
        let mirror = self.topology.role(Role::PrimaryMirror);
        [Some(self.topology.primary()), mirror].into_iter().flatten()
    }

    /// Every secondary with its design.
    fn designs(
        &self,
    ) -> impl Iterator<Item = (&'a crate::topology::Secondary, &'a Instance)> + use<'a> {
        let topology = self.topology;
        let all = topology.log_shipping().secondaries.iter();
        all.filter_map(|design| Some((design, topology.instance(&design.instance)?)))
    }

    fn endpoint(&mut self, instance: &Instance) {
        let takes_part = match instance.role {
            Role::Primary | Role::PrimaryMirror | Role::PrimaryWitness => {
                self.topology.role(Role::PrimaryMirror).is_some()
            }
            Role::Secondary | Role::SecondaryMirror | Role::SecondaryWitness => {
                self.topology.role(Role::SecondaryMirror).is_some()
            }
            Role::FurtherSecondary | Role::Monitor => false,
        };
        let Some(seen) = self.seen(instance).filter(|_| takes_part) else { return };
        let wanted = format!("started on port {}", instance.mirroring_port);
        match &seen.mirroring_endpoint {
            Known::Known(None) => self.note(instance, None, "mirroring endpoint", wanted, "none"),
            Known::Known(Some(endpoint)) => {
                let is_witness =
                    matches!(instance.role, Role::PrimaryWitness | Role::SecondaryWitness);
                let is_allowed =
                    if is_witness { endpoint.allows_witness } else { endpoint.allows_partner };
                let state = if endpoint.is_started { "started" } else { "not started" };
                let found = format!("{state} on port {}", endpoint.port);
                if found != wanted {
                    self.note(instance, None, "mirroring endpoint", wanted, found);
                }
                if !is_allowed {
                    let wanted = if is_witness { "WITNESS or ALL" } else { "PARTNER or ALL" };
                    self.note(instance, None, "mirroring endpoint's role", wanted, "another");
                }
            }
            Known::Unknown(_) => {}
        }
    }

    fn alert_job(&mut self, instance: &Instance) {
        let watches = match self.topology.role(Role::Monitor) {
            Some(monitor) => monitor.name == instance.name,
            None => {
                self.partners().any(|partner| partner.name == instance.name)
                    || self.designs().any(|(_, secondary)| secondary.name == instance.name)
            }
        };
        let Some(seen) = self.seen(instance).filter(|_| watches) else { return };
        let schedule = self.topology.log_shipping().alert_schedule;
        match &seen.alert_job {
            Known::Known(None) => self.note(instance, None, "alert job", schedule, "none"),
            Known::Known(Some(job)) => {
                self.settings(instance, None, alert_job_differences(&schedule, job));
            }
            Known::Unknown(_) => {}
        }
    }

    fn mirroring(&mut self, database: &DatabaseName) {
        let Some(mirror) = self.topology.role(Role::PrimaryMirror) else { return };
        let primary = self.topology.primary();
        let witness = self.topology.role(Role::PrimaryWitness).map(Instance::mirroring_address);
        for (instance, partner) in [(primary, mirror), (mirror, primary)] {
            let Some(copy) = self.copy(instance, database) else { continue };
            let Known::Known(session) = &copy.mirroring else { continue };
            let wanted = partner.mirroring_address();
            let Some(session) = session else {
                self.note(instance, Some(database), "mirroring session", wanted, "none");
                continue;
            };
            if !session.partner_address.eq_ignore_ascii_case(&wanted) {
                let found = &session.partner_address;
                self.note(instance, Some(database), "mirroring partner", wanted, found);
            }
            if session.role != MirroringRole::Principal {
                continue; // witness and safety are the session's, told once
            }
            let found = session.witness_address.as_deref();
            let is_same = match (&witness, found) {
                (Some(wanted), Some(found)) => wanted.eq_ignore_ascii_case(found),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                let wanted = witness.as_deref().unwrap_or("none");
                let found = found.unwrap_or("none");
                self.note(instance, Some(database), "mirroring witness", wanted, found);
            }
            if !session.is_safety_full {
                self.note(instance, Some(database), "mirroring safety", "FULL", "OFF");
            }
        }
    }

    fn primaries(&mut self, database: &DatabaseName) {
        let wanted = PrimarySettings::of(self.topology, database);
        let servers: Vec<&str> = self.designs().map(|(_, i)| i.server_name.as_str()).collect();
        for instance in self.partners() {
            let Some(seen) = self.seen(instance) else { continue };
            let Known::Known(entries) = &seen.log_shipping_primary else { continue };
            let Some(entry) = entries.get(database) else {
                let what = "entry as log shipping primary";
                self.note(instance, Some(database), what, "there", "none");
                continue;
            };
            self.settings(instance, Some(database), primary_differences(&wanted, entry));
            let is_registered = |server: &&&str| {
                let mut all = entry.secondaries.iter();
                all.any(|(s, d)| s.eq_ignore_ascii_case(server) && d == database.as_str())
            };
            let missing: Vec<&str> =
                servers.iter().filter(|s| !is_registered(s)).copied().collect();
            for server in missing {
                let what = "registered secondary";
                self.note(instance, Some(database), what, server, "none");
            }
            // A secondary that nobody designed gets the log too, and is told apart from a mistake.
            for (server, other) in &entry.secondaries {
                let is_designed = servers.iter().any(|s| s.eq_ignore_ascii_case(server))
                    && other == database.as_str();
                if !is_designed {
                    let found = format!("{other} on {server}");
                    self.note(instance, Some(database), "registered secondary", "none", found);
                }
            }
        }
    }

    fn secondaries(&mut self, database: &DatabaseName) {
        for (design, instance) in self.designs() {
            let Some(seen) = self.seen(instance) else { continue };
            let Known::Known(entries) = &seen.log_shipping_secondary else { continue };
            let wanted = SecondarySettings::of(self.topology, design, database);
            match entries.get(database) {
                Some(entry) => {
                    let differences = secondary_differences(&wanted, entry);
                    self.settings(instance, Some(database), differences);
                    let is_ours = entry.primary_server.eq_ignore_ascii_case(&wanted.primary_server)
                        && entry.primary_database == wanted.primary_database;
                    if !is_ours {
                        let found =
                            format!("{} of {}", entry.primary_database, entry.primary_server);
                        let wanted =
                            format!("{} of {}", wanted.primary_database, wanted.primary_server);
                        self.note(instance, Some(database), "its primary", wanted, found);
                    }
                }
                None => {
                    let what = "entry as log shipping secondary";
                    self.note(instance, Some(database), what, "there", "none");
                }
            }
        }
    }
}
