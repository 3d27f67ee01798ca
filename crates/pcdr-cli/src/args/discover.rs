//! The words of `pcdr discover`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueHint};
use pcdr_core::SiteName;
use pcdr_core::topology::{Authentication, Connection, Encryption, Role, SecretSource};

use crate::failure::Failure;

/// What stands under the long help.
pub const EXAMPLES: &str = "\
Examples:
  export PCDR_PASSWORD=…
  pcdr discover --login pcdr -o prod.toml --site north=sql-n1 --site south=sql-s1,files \\
    --instance sql-n1.example.net --instance sql-n2.example.net --instance sql-s1.example.net
  pcdr validate --topology prod.toml
  pcdr configure --topology prod.toml --diff     (finds no difference)

Give every instance that takes part: the primary, its mirror and witness, every secondary, the \
monitor. They are asked side by side, one request each; nothing is changed. What an entry, session \
or job tells goes into the file, each line with the table that it was read from. What nothing tells \
is never guessed: it is asked for here (sites, the secondary that a failover goes to, the mirror of \
a secondary before its first failover, the pool), or stands in the file under `to_be_completed`, and \
pcdr validate refuses the file until a person has decided it.

To try it: pcdr sim in one terminal, where databases is typed; pcdr configure from another; then \
pcdr discover with the addresses, login and files that pcdr sim printed.

Exit status:
  0  the file says all that is there
  4  it has to be completed, a question comes first, or something there fits no topology
  5  nothing is log-shipped there: no file is written
  1 and 2 as always";

/// Options of `discover`.
#[derive(Debug, Args)]
pub struct Discover {
    /// An instance: HOST, HOST,PORT or HOST\INSTANCE; NAME=ADDRESS where its full name is another than the address
    #[arg(long = "instance", value_name = "ADDRESS", required = true)]
    pub instances: Vec<Address>,

    /// A site and what stands in it: instances as given or by @@SERVERNAME, hosts of shares, chat servers
    #[arg(long = "site", value_name = "NAME=MEMBER,…")]
    pub sites: Vec<Site>,

    /// A role that nothing on the instances tells, such as secondary-mirror=sql-s2
    #[arg(long = "role", value_name = "ROLE=INSTANCE")]
    pub roles: Vec<StatedRole>,

    /// Only this database; may be repeated. Where instances serve several topologies, choose those of one
    #[arg(long = "database", value_name = "NAME")]
    pub databases: Vec<String>,

    /// The Persistent Chat pool around the database mgc, by its full name
    #[arg(long, value_name = "FQDN")]
    pub pool: Option<String>,

    /// Chat servers of the pool that serve after a failover
    #[arg(long, value_name = "SERVER,…", value_delimiter = ',', requires = "pool")]
    pub active_after_failover: Vec<String>,

    /// Where this machine has a share mounted
    #[arg(long = "mount", value_name = "UNC=FOLDER")]
    pub mounts: Vec<Mount>,

    /// Write the topology into this file, instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Replace that file if it is there
    #[arg(long, requires = "output")]
    pub replace: bool,

    /// How to connect.
    #[command(flatten)]
    pub login: Login,
}

/// How `discover` connects; the file gets the same.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection, as in [connection] of a topology")]
pub struct Login {
    /// SQL login
    #[arg(long, env = "PCDR_LOGIN", value_name = "NAME")]
    pub login: Option<String>,

    /// Environment variable that holds its password
    #[arg(long, value_name = "VARIABLE", default_value = "PCDR_PASSWORD")]
    pub password_env: String,

    /// File whose first line is its password
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Environment variable that holds an access token, instead of a login
    #[arg(long, value_name = "VARIABLE", conflicts_with = "login")]
    pub access_token_env: Option<String>,

    /// File whose first line is an access token, instead of a login
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "access_token_env"], value_hint = ValueHint::FilePath)]
    pub access_token_file: Option<PathBuf>,

    /// Use the Kerberos ticket of this account, instead of a login
    #[arg(long, conflicts_with_all = ["login", "access_token_env", "access_token_file"])]
    pub kerberos: bool,

    /// Start TLS before the first packet (TDS 8.0; SQL Server 2022 and later)
    #[arg(long)]
    pub strict: bool,

    /// File with the certificates (PEM) that may sign server certificates; otherwise the system's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,

    /// Expected host name in the certificates; otherwise the host connected to
    #[arg(long, value_name = "HOST")]
    pub host_name_in_certificate: Option<String>,

    /// Limit for opening a connection
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = limit)]
    pub connect_timeout: Duration,
}

fn limit(text: &str) -> Result<Duration, String> {
    let duration = pcdr_core::topology::parse_duration(text);
    duration
        .filter(|limit| (Duration::from_millis(100)..=Duration::from_secs(600)).contains(limit))
        .ok_or_else(|| format!("a duration from 100ms to 10m is needed, found {text:?}"))
}

impl Login {
    /// The connection settings, as a topology has them.
    ///
    /// # Errors
    ///
    /// Nobody to log in as.
    pub fn connection(&self) -> Result<Connection, Failure> {
        let path = |path: &PathBuf| path.display().to_string();
        let file = |file: &PathBuf| SecretSource::File(path(file));
        let authentication = if self.kerberos {
            Authentication::Kerberos
        } else if let Some(token) = &self.access_token_env {
            Authentication::AccessToken(SecretSource::Environment(token.clone()))
        } else if let Some(token) = &self.access_token_file {
            Authentication::AccessToken(file(token))
        } else if let Some(login) = self.login.clone().filter(|login| !login.is_empty()) {
            let environment = || SecretSource::Environment(self.password_env.clone());
            let password = self.password_file.as_ref().map_or_else(environment, file);
            Authentication::SqlLogin { login, password }
        } else {
            return Err(Failure::usage(
                "no_login",
                "a login was needed to ask the instances, but none was named",
                "Name one with --login and have its password in PCDR_PASSWORD, or in the file that \
                 --password-file names; or use --access-token-env, --access-token-file or --kerberos.",
            ));
        };
        Ok(Connection {
            encryption: if self.strict { Encryption::Strict } else { Encryption::Mandatory },
            authentication,
            ca_file: self.ca_file.as_ref().map(path),
            host_name_in_certificate: self.host_name_in_certificate.clone(),
            connect_timeout: self.connect_timeout,
        })
    }
}

/// Where an instance is, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was typed.
    pub text: String,
    /// Its full name, where that is another than the host connected to.
    pub full_name: Option<String>,
    /// The host to connect to.
    pub host: String,
    /// The instance part.
    pub instance: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let wrong = |why: &str| {
            format!(
                "HOST, HOST,PORT, HOST\\INSTANCE or NAME=ADDRESS is needed, found {text:?}: {why}"
            )
        };
        let (full_name, address) = match text.split_once('=') {
            Some((name, address)) => (Some(name.to_owned()), address),
            None => (None, text),
        };
        let (place, port) = match address.rsplit_once(',') {
            Some((place, port)) => {
                let port = port.trim().parse::<u16>().ok().filter(|port| *port > 0);
                (place, Some(port.ok_or_else(|| wrong("the port is a number from 1 to 65535"))?))
            }
            None => (address, None),
        };
        let (host, instance) = match place.split_once('\\') {
            Some((host, instance)) => (host, Some(instance.to_owned())),
            None => (place, None),
        };
        let is_empty = |text: &str| text.trim().is_empty();
        if is_empty(host)
            || full_name.as_deref().is_some_and(is_empty)
            || instance.as_deref().is_some_and(is_empty)
        {
            return Err(wrong("a part is empty"));
        }
        if host.contains(':') && host.parse::<std::net::IpAddr>().is_err() {
            return Err(wrong("the port stands after a comma"));
        }
        Ok(Address { text: text.to_owned(), full_name, host: host.to_owned(), instance, port })
    }
}

/// A site with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site(pub SiteName, pub Vec<String>);

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Site, String> {
        let (name, members) = two(text, "NAME=MEMBER,…")?;
        let members: Vec<String> =
            members.split(',').map(|member| member.trim().to_owned()).collect();
        if members.iter().any(String::is_empty) {
            return Err(format!("NAME=MEMBER,… is needed, found {text:?}: a member is empty"));
        }
        Ok(Site(SiteName::from(name), members))
    }
}

/// A role that an instance is said to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedRole(pub Role, pub String);

impl FromStr for StatedRole {
    type Err = String;

    fn from_str(text: &str) -> Result<StatedRole, String> {
        let (role, instance) = two(text, "ROLE=INSTANCE")?;
        let known = Role::ALL.into_iter().find(|known| known.as_str() == role);
        let role = known.ok_or_else(|| {
            format!("one of {} is needed, found {role:?}", Role::ALL.map(Role::as_str).join(", "))
        })?;
        Ok(StatedRole(role, instance.to_owned()))
    }
}

/// A share with the folder where this machine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount(pub String, pub String);

impl FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Mount, String> {
        let (unc, folder) = two(text, "UNC=FOLDER")?;
        Ok(Mount(unc.to_owned(), folder.to_owned()))
    }
}

fn two<'a>(text: &'a str, needed: &str) -> Result<(&'a str, &'a str), String> {
    let parts = text.split_once('=').map(|(a, b)| (a.trim(), b.trim()));
    let parts = parts.filter(|(a, b)| !a.is_empty() && !b.is_empty());
    parts.ok_or_else(|| format!("{needed} is needed, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_sql_server_spells_it() {
        let read = |text: &str| {
            let read = text.parse::<Address>().unwrap();
            (read.full_name, read.host, read.instance, read.port)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("sql1"), (None, "sql1".to_owned(), None, None));
        assert_eq!(read("sql1,1434"), (None, "sql1".to_owned(), None, Some(1434)));
        assert_eq!(read(r"sql1\chat"), (None, "sql1".to_owned(), some("chat"), None));
        assert_eq!(
            read(r"sql1.example.net=10.0.0.1\chat,50123"),
            (some("sql1.example.net"), "10.0.0.1".to_owned(), some("chat"), Some(50123))
        );
        assert_eq!(read("fe80::1,1433"), (None, "fe80::1".to_owned(), None, Some(1433)));
        for wrong in
            ["", "=sql1", "sql1,", "sql1,0", "sql1,99999", "sql1:1433", r"\chat", r"sql1\", "a="]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sites_roles_and_mounts_need_both_sides() {
        let site: Site = "north=sql-n1, files".parse().unwrap();
        assert_eq!(site, Site("north".into(), vec!["sql-n1".to_owned(), "files".to_owned()]));
        assert!("primary-mirror=sql-n2".parse::<StatedRole>().is_ok());
        assert!(r"\\files\log=/mnt/log".parse::<Mount>().is_ok());
        for wrong in ["", "north", "north=", "=sql", "north=a,,b"] {
            assert!(wrong.parse::<Site>().is_err(), "{wrong}");
        }
        assert!("mirror=sql-n2".parse::<StatedRole>().is_err());
        assert!("=x".parse::<Mount>().is_err());
    }
}
