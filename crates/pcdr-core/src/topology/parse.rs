//! Reading the TOML form of a topology: text, then file, then rules, then topology.

use std::time::Duration;

use toml::de::DeTable;

use super::file::{self, ConnectionRow, File, InstanceRow, Method, SecretRow};
use super::read::{Findings, Text};
use super::violation::Code;
use super::{
    Authentication, Connection, DEFAULT_COPIES_AT_ONCE, DEFAULT_RESTORES_AT_ONCE, Encryption,
    Instance, Link, LogShipping, ManagementShell, Mirroring, Pool, Role, Secondary, SecretSource,
    Server, Share, ShellBy, Site, SqlLogin, Topology, Violations, rules,
};
use crate::drill::Place;
use crate::schedule::Schedule;

pub(super) fn parse(text: &str) -> Result<Topology, Violations> {
    let mut findings = Findings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let start = text.len();
            let message = format!("the file is not TOML: {}", error.message());
            let remedy = "Correct the syntax; write Windows paths in single quotes, because \\ starts \
                          an escape in double quotes. The rules are checked after that.";
            let span = error.span().unwrap_or(start..start);
            findings.report(Code::SyntaxError, span, message, remedy);
        }
        return Err(findings.into_violations(text));
    }
    let file = file::read(root.get_ref(), &mut findings);
    rules::check(&file, &mut findings);
    if !findings.is_empty() {
        return Err(findings.into_violations(text));
    }
    Ok(build(&file).expect("bug: a part is missing from the topology file without a violation"))
}

/// The topology of a file without violations; `None` only when a part is missing.
fn build(file: &File) -> Option<Topology> {
    let mut sites = Vec::new();
    for row in &file.sites {
        sites.push(Site { name: name(&row.name)? });
    }
    let mut links = Vec::new();
    for row in &file.links {
        let (a, b) = row.between.as_ref()?;
        links.push(Link {
            between: (a.get_ref().as_str().into(), b.get_ref().as_str().into()),
            is_fast: row.is_fast?,
            megabits_per_second: row.megabits_per_second,
            copies_at_once: row.copies_at_once.unwrap_or(DEFAULT_COPIES_AT_ONCE),
        });
    }
    let instances: Option<Vec<_>> = file.instances.iter().map(instance).collect();
    let databases: Option<Vec<_>> = file.databases.iter().map(|row| name(&row.name)).collect();
    let mut shares = Vec::new();
    for row in &file.shares {
        shares.push(Share {
            name: name(&row.name)?,
            site: name(&row.site)?,
            unc: name(&row.unc)?,
            mount: text(&row.mount),
        });
    }
    let pool = match &file.pool {
        Some(_) => Some(pool(file)?),
        None => None,
    };
    let connection = file.connection.as_ref()?;
    let needs_shell = pool.is_some() || file.management_shell.is_some();
    Some(Topology {
        sites: sites.into_iter().map(|site| (site.name.clone(), site)).collect(),
        links,
        instances: instances?.into_iter().map(|row| (row.name.clone(), row)).collect(),
        databases: databases?,
        pool,
        shares: shares.into_iter().map(|share| (share.name.clone(), share)).collect(),
        log_shipping: log_shipping(file)?,
        mirroring: Mirroring {
            endpoint_name: text(&file.mirroring.endpoint_name)
                .unwrap_or_else(|| "Mirroring".to_owned()),
            timeout_seconds: file.mirroring.timeout_seconds.unwrap_or(10),
        },
        connection: Connection {
            encryption: connection.encrypt.unwrap_or(Encryption::Mandatory),
            authentication: authentication(connection)?,
            ca_file: text(&connection.ca_file),
            host_name_in_certificate: text(&connection.host_name_in_certificate),
            connect_timeout: connection.connect_timeout.unwrap_or(Duration::from_secs(15)),
        },
        management_shell: needs_shell.then(|| management_shell(file)),
        drill: drill(file)?,
    })
}

fn authentication(row: &ConnectionRow) -> Option<Authentication> {
    Some(match row.authentication? {
        Method::SqlLogin => {
            Authentication::SqlLogin { login: name(&row.login)?, password: source(&row.password)? }
        }
        Method::AccessToken => Authentication::AccessToken(source(&row.access_token)?),
        Method::Kerberos => Authentication::Kerberos,
    })
}

fn source(row: &SecretRow) -> Option<SecretSource> {
    let env = text(&row.env).map(SecretSource::Environment);
    env.or_else(|| text(&row.file).map(SecretSource::File))
}

fn name<T: From<String>>(text: &Option<Text>) -> Option<T> {
    Some(text.as_ref()?.get_ref().clone().into())
}

fn text(text: &Option<Text>) -> Option<String> {
    name(text)
}

fn instance(row: &InstanceRow) -> Option<Instance> {
    Some(Instance {
        name: name(&row.name)?,
        site: name(&row.site)?,
        role: *row.role.as_ref()?.get_ref(),
        host: name(&row.host)?,
        instance: text(&row.instance),
        server_name: server_name(row)?,
        port: row.port,
        connect_host: text(&row.connect_host),
        mirroring_port: mirroring_port(row)?,
        service_account: text(&row.service_account),
        data_directory: text(&row.data_directory),
        log_directory: text(&row.log_directory),
        restores_at_once: row.restores_at_once.unwrap_or(DEFAULT_RESTORES_AT_ONCE),
    })
}

/// `@@SERVERNAME`: as written, or the host's first label with the instance.
pub(super) fn server_name(row: &InstanceRow) -> Option<String> {
    if let Some(written) = &row.server_name {
        return Some(written.get_ref().clone());
    }
    let host = row.host.as_ref()?.get_ref();
    let is_address = host.parse::<core::net::IpAddr>().is_ok();
    let machine = match host.split_once('.') {
        Some((label, _)) if !is_address => label,
        _ => host,
    };
    Some(match &row.instance {
        Some(instance) => format!("{machine}\\{}", instance.get_ref()),
        None => machine.to_owned(),
    })
}

/// The port as written, or the one that Topology Builder proposes: 5022, for a witness 7022.
///
/// Source: Deploy SQL mirroring for Back End Server high availability in Skype for Business Server
/// 2015.
pub(super) fn mirroring_port(row: &InstanceRow) -> Option<u16> {
    if let Some(port) = &row.mirroring_port {
        return Some(*port.get_ref());
    }
    Some(match row.role.as_ref()?.get_ref() {
        Role::PrimaryWitness | Role::SecondaryWitness => 7_022,
        _ => 5_022,
    })
}

fn pool(file: &File) -> Option<Pool> {
    let row = file.pool.as_ref()?;
    let mut servers = Vec::new();
    for server in &row.servers {
        servers.push(Server {
            fqdn: name(&server.fqdn)?,
            site: name(&server.site)?,
            is_active: server.active.as_ref().is_some_and(|flag| *flag.get_ref()),
            is_active_after_failover: server
                .active_after_failover
                .as_ref()
                .is_some_and(|flag| *flag.get_ref()),
        });
    }
    Some(Pool {
        fqdn: name(&row.fqdn)?,
        database: name(&row.database)?,
        compliance_database: name(&row.compliance_database),
        servers,
    })
}

fn log_shipping(file: &File) -> Option<LogShipping> {
    let row = file.log_shipping.as_ref()?;
    let secondary = Secondary {
        instance: name(&rules::instance_of(file, Role::Secondary)?.name)?,
        copy_share: name(&row.copy_share)?,
        file_retention_minutes: row.file_retention_minutes.value,
        restore_threshold_minutes: row.restore_threshold_minutes.value,
        raises_restore_alert: row.restore_alert.unwrap_or(true),
        restore_delay_minutes: row.restore_delay_minutes.value,
        restore_mode: row.restore_mode.as_ref().map_or_else(Default::default, |m| *m.get_ref()),
        disconnect_users: row.disconnect_users.as_ref().is_some_and(|flag| *flag.get_ref()),
        copy_schedule: row.copy.schedule(),
        restore_schedule: row.restore.schedule(),
    };
    let mut secondaries = vec![secondary.clone()];
    for further in &row.further {
        let mode = further.restore_mode.as_ref().map(|mode| *mode.get_ref());
        let disconnects = further.disconnect_users.as_ref().map(|flag| *flag.get_ref());
        secondaries.push(Secondary {
            instance: name(&further.instance)?,
            copy_share: name(&further.copy_share)?,
            restore_delay_minutes: further
                .restore_delay_minutes
                .unwrap_or(secondary.restore_delay_minutes),
            restore_mode: mode.unwrap_or(secondary.restore_mode),
            disconnect_users: disconnects.unwrap_or(secondary.disconnect_users),
            ..secondary.clone()
        });
    }
    let monitor_login = match name(&row.monitor_login) {
        Some(login) => Some(SqlLogin { login, password: source(&row.monitor_password)? }),
        None => None,
    };
    Some(LogShipping {
        backup_share: name(&row.backup_share)?,
        backup_directory: text(&row.backup_directory),
        backup_retention_minutes: row.backup_retention_minutes.value,
        backup_threshold_minutes: row.backup_threshold_minutes.value,
        history_retention_minutes: row.history_retention_minutes.value,
        backup_compression: row.backup_compression.unwrap_or_default(),
        raises_backup_alert: row.backup_alert.unwrap_or(true),
        initialise: row.initialise.unwrap_or_default(),
        backup_schedule: row.backup.schedule(),
        alert_schedule: Schedule::all_day(file::whole_seconds(row.alert_every.value)),
        primary_connection_options: text(&row.primary_connection_options),
        secondary_connection_options: text(&row.secondary_connection_options),
        monitor_connection_options: text(&row.monitor_connection_options),
        monitor_login,
        secondaries,
    })
}

/// Windows PowerShell reading the script from its standard input.
const POWERSHELL: [&str; 5] = ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", "-"];

/// Drills restore on the secondary, unless the file says otherwise. The outer `None`: a part is missing.
fn drill(file: &File) -> Option<Option<Place>> {
    let Some(row) = &file.drill else { return Some(None) };
    let secondary = || {
        let is = |row: &&InstanceRow| {
            row.role.as_ref().is_some_and(|role| *role.get_ref() == Role::Secondary)
        };
        name(&file.instances.iter().find(is)?.name)
    };
    let instance = name(&row.instance).or_else(secondary)?;
    Some(Some(Place { instance, directory: text(&row.directory)? }))
}

fn management_shell(file: &File) -> ManagementShell {
    let row = file.management_shell.as_ref();
    let command = row.and_then(|row| row.command.as_ref());
    let is_a_person = row.and_then(|row| row.by_person.as_ref()).is_some_and(|by| *by.get_ref());
    ManagementShell {
        by: match command {
            _ if is_a_person => ShellBy::Person,
            Some(words) => ShellBy::Command(
                words.get_ref().iter().map(|word| word.get_ref().clone()).collect(),
            ),
            None => ShellBy::Command(POWERSHELL.iter().map(|&word| word.to_owned()).collect()),
        },
        timeout: row.and_then(|row| row.timeout).unwrap_or(Duration::from_secs(10 * 60)),
    }
}
