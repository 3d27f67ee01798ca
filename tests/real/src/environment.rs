//! Which servers the suite uses, by environment variables; without any, the stand-in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What every variable of the suite starts with.
pub const PREFIX: &str = "PCDR_TEST_";

/// Every variable, and what it is. A variable that is not among these is a mistake.
pub const VARIABLES: &[(&str, &str)] = &[
    ("PCDR_TEST_PRIMARY", "address of the primary: host, host,port or host\\instance"),
    ("PCDR_TEST_SECONDARY", "address of the log shipping secondary"),
    ("PCDR_TEST_MONITOR", "address of the log shipping monitor (optional)"),
    ("PCDR_TEST_MIRROR", "address of the primary's mirror (optional)"),
    ("PCDR_TEST_WITNESS", "address of the mirroring witness (optional)"),
    ("PCDR_TEST_LOGIN", "SQL login, the same on every server"),
    ("PCDR_TEST_PASSWORD", "its password; never printed"),
    ("PCDR_TEST_PASSWORD_FILE", "or a file whose first line it is"),
    (
        "PCDR_TEST_CA_FILE",
        "PEM file of the authority that signed the certificates (default: the system's)",
    ),
    (
        "PCDR_TEST_CERTIFICATE_HOST",
        "host name in the certificates (default: the host connected to)",
    ),
    ("PCDR_TEST_ENCRYPT", "mandatory (default) or strict; encryption cannot be switched off"),
    ("PCDR_TEST_BACKUP_SHARE", "folder of log backups, as the servers see it"),
    ("PCDR_TEST_BACKUP_MOUNT", "the same folder, as this machine sees it (default: the same path)"),
    ("PCDR_TEST_COPY_SHARE", "folder of copied log backups, as the servers see it"),
    ("PCDR_TEST_COPY_MOUNT", "the same folder, as this machine sees it (default: the same path)"),
    (
        "PCDR_TEST_SERVICE_ACCOUNT",
        "DOMAIN\\account of the SQL Server services, for mirroring (optional)",
    ),
];

const PASSWORD_FILE: &str = "PCDR_TEST_PASSWORD_FILE";

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// Instance name; `None` for the default instance.
    pub instance: Option<String>,
    /// TCP port; `None`: asked of SQL Server Browser, or 1433.
    pub port: Option<u16>,
}

impl Address {
    /// Reads `host`, `host,port`, `host\instance` or `host\instance,port`.
    ///
    /// # Errors
    ///
    /// Why it is none of these.
    pub fn parse(text: &str) -> Result<Address, String> {
        let bad = || format!("{text:?} is none of host, host,port and host\\instance");
        let text = text.trim();
        let (server, port) = match text.split_once(',') {
            Some((server, port)) => {
                (server, Some(port.trim().parse().ok().filter(|port| *port > 0).ok_or_else(bad)?))
            }
            None => (text, None),
        };
        let (host, instance) = match server.trim().split_once('\\') {
            Some((host, instance)) if !instance.trim().is_empty() => {
                (host, Some(instance.trim().to_owned()))
            }
            Some(_) => return Err(bad()),
            None => (server, None),
        };
        let host = host.trim();
        if host.is_empty() || host.contains(['\\', '/', ' ']) {
            return Err(bad());
        }
        Ok(Address { host: host.to_owned(), instance, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if let Some(instance) = &self.instance {
            write!(f, "\\{instance}")?;
        }
        match self.port {
            Some(port) => write!(f, ",{port}"),
            None => Ok(()),
        }
    }
}

/// A folder, by both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// As the servers see it.
    pub share: String,
    /// As this machine sees it.
    pub mount: PathBuf,
}

/// Servers that were named. Holds no password, only where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the variable of that name in VARIABLES")]
pub struct Settings {
    pub primary: Address,
    pub secondary: Address,
    pub monitor: Option<Address>,
    pub mirror: Option<Address>,
    pub witness: Option<Address>,
    pub login: String,
    /// `None`: in the environment.
    pub password_file: Option<String>,
    pub ca_file: Option<String>,
    pub certificate_host: Option<String>,
    pub encrypt: String,
    pub backups: Option<Folder>,
    pub copies: Option<Folder>,
    pub service_account: Option<String>,
}

impl Settings {
    /// The variable that holds the password.
    pub const PASSWORD: &str = "PCDR_TEST_PASSWORD";

    /// Reads the variables; `None` when not one of them is set.
    ///
    /// # Errors
    ///
    /// A variable that nobody knows, one that is missing beside others, or one that cannot be read:
    /// half a configuration never falls back to the stand-in.
    pub fn read(all: impl Iterator<Item = (String, String)>) -> Result<Option<Settings>, String> {
        let mut set: BTreeMap<String, String> = all
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.trim().is_empty())
            .collect();
        if set.is_empty() {
            return Ok(None);
        }
        let known = |name: &String| VARIABLES.iter().any(|(known, _)| known == name);
        if let Some(unknown) = set.keys().find(|name| !known(name)) {
            let names: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
            return Err(format!("{unknown} is no variable of the suite: {}", names.join(", ")));
        }
        let is_in_environment = set.remove(Settings::PASSWORD).is_some();
        let password_file = set.remove(PASSWORD_FILE);
        if is_in_environment == password_file.is_some() {
            return Err(format!(
                "{} or {PASSWORD_FILE} is needed, and not both",
                Settings::PASSWORD
            ));
        }
        let take = |name: &str| set.get(name).map(|value| value.trim().to_owned());
        let needed = |name: &str| take(name).ok_or(format!("{name} is needed, but is not set"));
        let address = |name: &str| -> Result<Option<Address>, String> {
            let read = |text: String| Address::parse(&text).map_err(|why| format!("{name}: {why}"));
            take(name).map(read).transpose()
        };
        let one = |name: &str| address(name)?.ok_or(format!("{name} is needed, but is not set"));
        let folder = |share: &str, mount: &str| {
            let share = take(share)?;
            let mount = take(mount).unwrap_or_else(|| share.clone());
            Some(Folder { share, mount: PathBuf::from(mount) })
        };
        let encrypt = take("PCDR_TEST_ENCRYPT").unwrap_or_else(|| "mandatory".to_owned());
        if !["mandatory", "strict"].contains(&encrypt.as_str()) {
            return Err(format!("PCDR_TEST_ENCRYPT is mandatory or strict, not {encrypt:?}"));
        }
        Ok(Some(Settings {
            primary: one("PCDR_TEST_PRIMARY")?,
            secondary: one("PCDR_TEST_SECONDARY")?,
            monitor: address("PCDR_TEST_MONITOR")?,
            mirror: address("PCDR_TEST_MIRROR")?,
            witness: address("PCDR_TEST_WITNESS")?,
            login: needed("PCDR_TEST_LOGIN")?,
            password_file,
            ca_file: take("PCDR_TEST_CA_FILE"),
            certificate_host: take("PCDR_TEST_CERTIFICATE_HOST"),
            encrypt,
            backups: folder("PCDR_TEST_BACKUP_SHARE", "PCDR_TEST_BACKUP_MOUNT"),
            copies: folder("PCDR_TEST_COPY_SHARE", "PCDR_TEST_COPY_MOUNT"),
            service_account: take("PCDR_TEST_SERVICE_ACCOUNT"),
        }))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        let address =
            |address: &Option<Address>| address.as_ref().map_or_else(none, Address::to_string);
        let folder = |folder: &Option<Folder>| match folder {
            Some(folder) => format!("{}, here {}", folder.share, folder.mount.display()),
            None => none(),
        };
        writeln!(f, "primary    {}", self.primary)?;
        writeln!(f, "secondary  {}", self.secondary)?;
        writeln!(f, "monitor    {}", address(&self.monitor))?;
        writeln!(f, "mirror     {}", address(&self.mirror))?;
        writeln!(f, "witness    {}", address(&self.witness))?;
        let password = self.password_file.as_deref().unwrap_or(Settings::PASSWORD);
        writeln!(f, "login      {}, password from {password}", self.login)?;
        let authority = self.ca_file.as_deref().unwrap_or("the system's authorities");
        let host = self.certificate_host.as_deref().unwrap_or("the host connected to");
        writeln!(f, "encrypt    {}, verified by {authority}, for {host}", self.encrypt)?;
        writeln!(f, "backups    {}", folder(&self.backups))?;
        write!(f, "copies     {}", folder(&self.copies))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    const WHOLE: [(&str, &str); 4] = [
        ("PCDR_TEST_PRIMARY", "a.example.net,14330"),
        ("PCDR_TEST_SECONDARY", "b.example.net\\two"),
        ("PCDR_TEST_LOGIN", "sa"),
        ("PCDR_TEST_PASSWORD", "never to be seen"),
    ];

    #[test]
    fn addresses_are_read_in_every_form_that_clients_take() {
        let address = |host: &str, instance: Option<&str>, port| Address {
            host: host.to_owned(),
            instance: instance.map(str::to_owned),
            port,
        };
        assert_eq!(Address::parse("a"), Ok(address("a", None, None)));
        assert_eq!(Address::parse("a,14330"), Ok(address("a", None, Some(14330))));
        assert_eq!(Address::parse("a\\x"), Ok(address("a", Some("x"), None)));
        assert_eq!(Address::parse(" a\\x , 1 "), Ok(address("a", Some("x"), Some(1))));
        for bad in ["", ",1", "a,", "a,0", "a,x", "a\\", "\\x", "tcp://a", "a b"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_set_is_the_stand_in_and_half_a_configuration_is_a_mistake() {
        assert_eq!(read(&[("HOME", "/root"), ("PCDR_TEST_PRIMARY", " ")]), Ok(None));
        assert!(read(&WHOLE).unwrap().is_some());
        for left_out in 0..WHOLE.len() {
            let mut half = WHOLE.to_vec();
            let (name, _) = half.remove(left_out);
            assert!(read(&half).unwrap_err().contains(name), "{name}");
        }
        let mut both = WHOLE.to_vec();
        both.push(("PCDR_TEST_PASSWORD_FILE", "/secret"));
        assert!(read(&both).unwrap_err().contains("not both"));
        let mut misspelt = WHOLE.to_vec();
        misspelt.push(("PCDR_TEST_MIROR", "c"));
        assert!(read(&misspelt).unwrap_err().contains("PCDR_TEST_MIROR"));
    }

    #[test]
    fn what_is_printed_names_everything_but_the_password() {
        let mut all = WHOLE.to_vec();
        all.push(("PCDR_TEST_BACKUP_SHARE", "\\\\files\\logs"));
        let settings = read(&all).unwrap().unwrap();
        let shown = format!("{settings}\n{settings:?}");
        assert!(shown.contains("a.example.net,14330") && shown.contains("\\\\files\\logs"));
        assert!(!shown.contains("never to be seen"));
    }
}
