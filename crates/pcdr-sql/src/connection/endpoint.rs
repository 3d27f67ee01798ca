//! Where an instance is, and with which secret to log in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pcdr_core::topology::{Connection as Settings, Instance};
use secrecy::{ExposeSecret, SecretString};

use super::dial::Dialer;
use crate::error::SqlError;
use crate::trace::Trace;

/// A password. It has no [`Display`](fmt::Display), and its [`Debug`](fmt::Debug) shows nothing.
#[derive(Clone)]
pub struct Password(SecretString);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    /// A password from somewhere else, for example a keyring.
    pub fn new(password: impl Into<String>) -> Password {
        Password(SecretString::from(password.into()))
    }

    /// The password that the topology's connection settings point to: an environment variable, or
    /// the first line of a file.
    ///
    /// # Errors
    ///
    /// [`SqlError::Secret`], naming the variable or file, never its content.
    pub fn read(settings: &Settings) -> Result<Password, SqlError> {
        if let Some(variable) = &settings.password_env {
            return match std::env::var(variable) {
                Ok(password) if !password.is_empty() => Ok(Password::new(password)),
                Ok(_) => Err(SqlError::Secret(format!("environment variable {variable} is empty"))),
                Err(std::env::VarError::NotPresent) => {
                    Err(SqlError::Secret(format!("environment variable {variable} is not set")))
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(SqlError::Secret(format!("environment variable {variable} is not Unicode")))
                }
            };
        }
        let Some(file) = &settings.password_file else {
            return Err(SqlError::Secret(
                "the topology names neither password_env nor password_file".to_owned(),
            ));
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| SqlError::Secret(format!("file {file}: {error}")))?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Password::new(line)),
            _ => Err(SqlError::Secret(format!("the first line of file {file} is empty"))),
        }
    }

    pub(crate) fn authentication(&self, login: &str) -> tiberius::AuthMethod {
        tiberius::AuthMethod::sql_server(login, self.0.expose_secret())
    }

    /// The text without the password.
    pub(crate) fn mask(&self, text: &str) -> String {
        match self.0.expose_secret() {
            "" => text.to_owned(),
            secret => text.replace(secret, "***"),
        }
    }
}

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
    /// SQL login.
    pub login: String,
    /// Its password.
    pub password: Password,
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
    /// The endpoint of an instance of a topology.
    pub fn new(
        instance: &Instance,
        settings: &Settings,
        password: Password,
        ca_bundle: Option<Arc<Vec<u8>>>,
        dialer: Arc<dyn Dialer>,
    ) -> Endpoint {
        let host = instance.connect_host.as_ref().unwrap_or(&instance.host);
        Endpoint {
            name: instance.name.to_string(),
            host: host.clone(),
            tcp_port: instance.port,
            instance: instance.instance.clone(),
            login: settings.login.clone(),
            password,
            ca_bundle,
            host_name_in_certificate: settings.host_name_in_certificate.clone(),
            connect_timeout: settings.connect_timeout,
            application: crate::APPLICATION.to_owned(),
            dialer,
            trace: None,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(env: Option<&str>, file: Option<String>) -> Settings {
        Settings {
            login: "pcdr".to_owned(),
            password_env: env.map(str::to_owned),
            password_file: file,
            ca_file: None,
            host_name_in_certificate: None,
            connect_timeout: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_password_shows_nothing_when_debugged() {
        assert!(!format!("{:?}", Password::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn only_the_first_line_of_a_password_file_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hunter2\r\nsecond line\n").unwrap();
        let file = file.to_str().unwrap().to_owned();
        let password = Password::read(&settings(None, Some(file))).unwrap();
        assert_eq!(password.mask("a hunter2 b"), "a *** b");
    }

    #[test]
    fn a_missing_variable_or_file_is_named() {
        let error = Password::read(&settings(Some("PCDR_NO_SUCH_VARIABLE"), None)).unwrap_err();
        assert!(error.to_string().contains("PCDR_NO_SUCH_VARIABLE"));
        let missing = settings(None, Some("/no/such/file".to_owned()));
        assert!(Password::read(&missing).unwrap_err().to_string().contains("/no/such/file"));
        assert!(Password::read(&settings(None, None)).is_err());
    }
}
