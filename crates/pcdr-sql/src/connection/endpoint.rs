//! Where an instance is, and how to log in there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pcdr_core::topology::Encryption;

use super::credentials::Credentials;
use super::dial::Dialer;
use crate::error::SqlError;
use crate::trace::Trace;

/// Everything that is needed to connect to one instance.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Name in the topology, for messages.
    pub name: String,
    /// Host to connect to.
    pub host: String,
    /// TCP port; `None`: asked of SQL Server Browser, or 1433 for the default instance.
    pub tcp_port: Option<u16>,
    /// Instance part of the name; `None` for the default instance.
    pub instance: Option<String>,
    /// Who logs in.
    pub credentials: Credentials,
    /// When TLS starts.
    pub encryption: Encryption,
    /// Certificates (PEM or DER) that may sign the server's, beside the system's.
    pub ca_bundle: Option<Arc<Vec<u8>>>,
    /// Expected name in the certificate; `None`: the host connected to.
    pub host_name_in_certificate: Option<String>,
    /// Limit for a connection, from name resolution to the login.
    pub connect_timeout: Duration,
    /// `program_name` of the sessions.
    pub application: String,
    /// How to reach hosts.
    pub dialer: Arc<dyn Dialer>,
    /// Where to write batches.
    pub trace: Option<Trace>,
}

impl Endpoint {
    pub(crate) async fn port(&self) -> Result<u16, SqlError> {
        match (self.tcp_port, &self.instance) {
            (Some(port), _) => Ok(port),
            (None, None) => Ok(1433),
            (None, Some(instance)) => {
                let port = self.dialer.port_of(&self.host, instance).await;
                port.map_err(|error| SqlError::Unreachable {
                    address: self.to_string(),
                    message: error.to_string(),
                })
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match (self.tcp_port, &self.instance) {
            (Some(port), _) => write!(f, ":{port}"),
            (None, Some(instance)) => write!(f, "\\{instance}"),
            (None, None) => f.write_str(":1433"),
        }
    }
}
