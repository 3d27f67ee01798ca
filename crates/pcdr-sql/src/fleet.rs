//! The instances of one topology.

use std::collections::BTreeMap;
use std::sync::Arc;

use pcdr_core::ports::{DatabaseInstance, LogShippingJobs};
use pcdr_core::preflight::Preflight;
use pcdr_core::{InstanceError, InstanceName, Topology};

use crate::access::Access;
use crate::connection::{Dialer, Password, TcpDialer};
use crate::files::ShareFiles;
use crate::instance::{Limits, Secrets, SqlInstance};
use crate::trace::Trace;

/// How to reach the instances, beyond what the topology says.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Opens byte streams.
    pub dialer: Arc<dyn Dialer>,
    /// Where to write batches.
    pub trace: Option<Trace>,
    /// The password of the SQL login, when it does not come from where the topology says.
    pub password: Option<Password>,
    /// How long things may take.
    pub limits: Limits,
}

impl Default for FleetOptions {
    fn default() -> FleetOptions {
        FleetOptions {
            dialer: Arc::new(TcpDialer),
            trace: None,
            password: None,
            limits: Limits::default(),
        }
    }
}

/// Every instance of a topology, and its folders of backups. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct Fleet {
    instances: BTreeMap<InstanceName, Arc<SqlInstance>>,
    files: Arc<ShareFiles>,
}

impl Fleet {
    /// Reads password and certificates, but no access token; connects to nothing yet.
    ///
    /// ```
    /// use pcdr_core::Topology;
    /// use pcdr_sql::{Fleet, FleetOptions, Password};
    ///
    /// let topology = Topology::parse(pcdr_core::topology::EXAMPLE)?;
    /// let password = Some(Password::new("from a keyring"));
    /// let fleet = Fleet::connect(&topology, &FleetOptions { password, ..FleetOptions::default() })?;
    /// assert_eq!(fleet.database_instances().len(), 5); // ready for `pcdr_core::ports::Ports`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The password or the certificate file cannot be read.
    pub fn connect(topology: &Topology, options: &FleetOptions) -> Result<Fleet, InstanceError> {
        let access = Access::read(topology.connection(), options)?;
        let secrets = Secrets::of(topology);
        let instance = |instance: &pcdr_core::topology::Instance| {
            let endpoint = access.endpoint(instance);
            let name = instance.name.clone();
            let one = SqlInstance::new(name.clone(), endpoint, options.limits);
            (name, Arc::new(one.with_secrets(secrets.clone())))
        };
        let instances: BTreeMap<_, _> = topology.instances().map(instance).collect();
        let reader = Arc::clone(&instances[&topology.secondary().name]);
        let files = ShareFiles::new(topology.backup_share(), topology.copy_share(), reader);
        Ok(Fleet { instances, files: Arc::new(files) })
    }

    /// An instance by name.
    pub fn instance(&self, name: &InstanceName) -> Option<&Arc<SqlInstance>> {
        self.instances.get(name)
    }

    /// Every instance, by name.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<SqlInstance>> {
        self.instances.values()
    }

    /// For [`Ports::instances`](pcdr_core::ports::Ports).
    pub fn database_instances(&self) -> BTreeMap<InstanceName, Arc<dyn DatabaseInstance>> {
        let port = |(name, instance): (&InstanceName, &Arc<SqlInstance>)| {
            (name.clone(), Arc::clone(instance) as Arc<dyn DatabaseInstance>)
        };
        self.instances.iter().map(port).collect()
    }

    /// For [`Ports::jobs`](pcdr_core::ports::Ports).
    pub fn log_shipping_jobs(&self) -> BTreeMap<InstanceName, Arc<dyn LogShippingJobs>> {
        let port = |(name, instance): (&InstanceName, &Arc<SqlInstance>)| {
            (name.clone(), Arc::clone(instance) as Arc<dyn LogShippingJobs>)
        };
        self.instances.iter().map(port).collect()
    }

    /// What asks each instance before a command.
    pub fn preflight(&self) -> BTreeMap<InstanceName, Arc<dyn Preflight>> {
        let port = |(name, instance): (&InstanceName, &Arc<SqlInstance>)| {
            (name.clone(), Arc::clone(instance) as Arc<dyn Preflight>)
        };
        self.instances.iter().map(port).collect()
    }

    /// For [`Ports::files`](pcdr_core::ports::Ports).
    pub fn files(&self) -> Arc<ShareFiles> {
        Arc::clone(&self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcdr_core::ErrorCode;

    const TOPOLOGY: &str = pcdr_core::topology::EXAMPLE;

    #[test]
    fn a_fleet_has_every_instance_of_its_topology_and_connects_to_none() {
        let topology = Topology::parse(TOPOLOGY).unwrap();
        let options =
            FleetOptions { password: Some(Password::new("hunter2")), ..FleetOptions::default() };
        let fleet = Fleet::connect(&topology, &options).unwrap();
        assert_eq!(fleet.instances().count(), topology.instances().count());
        assert_eq!(fleet.database_instances().len(), fleet.log_shipping_jobs().len());
        assert!(!format!("{fleet:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_that_is_nowhere_is_named_by_its_variable() {
        let text = TOPOLOGY.replace("PCDR_PASSWORD", "PCDR_NO_SUCH_VARIABLE");
        let topology = Topology::parse(&text).unwrap();
        let error = Fleet::connect(&topology, &FleetOptions::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::LoginFailed);
        assert!(error.found.contains("PCDR_NO_SUCH_VARIABLE"), "{error}");
    }

    #[tokio::test]
    async fn a_token_that_is_not_there_yet_fails_the_connection_and_not_the_fleet() {
        let text = TOPOLOGY
            .replace("login = \"pcdr\"", "authentication = \"access-token\"")
            .replace("password_env = ", "access_token_env = ")
            .replace("PCDR_PASSWORD", "PCDR_NO_SUCH_TOKEN");
        let topology = Topology::parse(&text).unwrap();
        let fleet = Fleet::connect(&topology, &FleetOptions::default()).unwrap();
        let error = fleet.instance(&topology.primary().name).unwrap().observe(&[]).await;
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::LoginFailed);
        assert!(error.found.contains("PCDR_NO_SUCH_TOKEN"), "{error}");
    }
}
