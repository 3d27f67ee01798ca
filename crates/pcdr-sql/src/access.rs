//! What it takes to reach any instance: the settings, with secret and certificates read.

use std::sync::Arc;

use pcdr_core::InstanceError;
use pcdr_core::topology::{Authentication, Connection as Settings, Instance};

use crate::connection::{Credentials, Dialer, Endpoint};
use crate::error::SqlError;
use crate::fleet::FleetOptions;
use crate::trace::Trace;

/// Connection settings with their secret and certificates read: what it takes to reach any instance.
#[derive(Debug, Clone)]
pub struct Access {
    settings: Settings,
    credentials: Credentials,
    ca_bundle: Option<Arc<Vec<u8>>>,
    dialer: Arc<dyn Dialer>,
    trace: Option<Trace>,
}

impl Access {
    /// Reads password and certificates, but no access token; connects to nothing.
    ///
    /// # Errors
    ///
    /// The password or the certificate file cannot be read.
    pub fn read(settings: &Settings, options: &FleetOptions) -> Result<Access, InstanceError> {
        let failed = |error: SqlError| error.at("[connection]", "the settings were needed");
        let credentials = match (&options.password, &settings.authentication) {
            (Some(password), Authentication::SqlLogin { login, .. }) => {
                Credentials::SqlLogin { login: login.clone(), password: password.clone() }
            }
            (_, authentication) => Credentials::read(authentication).map_err(failed)?,
        };
        let ca_bundle = match &settings.ca_file {
            Some(file) => {
                let read = std::fs::read(file);
                let read = read.map_err(|error| SqlError::Tls(format!("ca_file {file}: {error}")));
                Some(Arc::new(read.map_err(failed)?))
            }
            None => None,
        };
        if let (Some(trace), Credentials::SqlLogin { password, .. }) =
            (&options.trace, &credentials)
        {
            trace.mask(password);
        }
        Ok(Access {
            settings: settings.clone(),
            credentials,
            ca_bundle,
            dialer: Arc::clone(&options.dialer),
            trace: options.trace.clone(),
        })
    }

    /// The endpoint of an instance.
    pub fn endpoint<'a>(&self, address: impl Into<Address<'a>>) -> Endpoint {
        let Address { name, host, tcp_port, instance } = address.into();
        Endpoint {
            name: name.to_owned(),
            host: host.to_owned(),
            tcp_port,
            instance: instance.map(str::to_owned),
            credentials: self.credentials.clone(),
            encryption: self.settings.encryption,
            ca_bundle: self.ca_bundle.clone(),
            host_name_in_certificate: self.settings.host_name_in_certificate.clone(),
            connect_timeout: self.settings.connect_timeout,
            application: crate::APPLICATION.to_owned(),
            dialer: Arc::clone(&self.dialer),
            trace: self.trace.clone(),
        }
    }
}

/// Where an instance is.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// Host to connect to.
    pub host: &'a str,
    /// TCP port; `None`: asked of SQL Server Browser, or 1433 for the default instance.
    pub tcp_port: Option<u16>,
    /// Instance part of the name; `None` for the default instance.
    pub instance: Option<&'a str>,
}

impl<'a> From<&'a Instance> for Address<'a> {
    fn from(instance: &'a Instance) -> Address<'a> {
        Address {
            name: instance.name.as_str(),
            host: instance.connect_host.as_ref().unwrap_or(&instance.host),
            tcp_port: instance.port,
            instance: instance.instance.as_deref(),
        }
    }
}
