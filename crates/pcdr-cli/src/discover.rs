//! `pcdr discover`: from running instances to a topology file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use pcdr_core::discover::{Discovered, Finding, Given, GivenInstance, Kind, Survey, discover};
use pcdr_core::topology::Connection;
use pcdr_core::{Known, Reason, Timestamp};
use pcdr_sql::{Access, FleetOptions, Limits, SqlInstance};
use tokio::task::JoinSet;

use crate::args::Global;
use crate::args::discover::{Address, Discover};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::views::{DiscoverDocument, DiscoveredInstance, DiscoveryFinding};
use crate::{connect, text};

/// The file has to be completed, or something there fits no topology.
const INCOMPLETE: u8 = 4;
/// Nothing is log-shipped there.
const NOTHING_THERE: u8 = 5;

/// Asks the instances, and writes what they say as a topology.
///
/// # Errors
///
/// A call that cannot be right, a secret or a file. What instances do not tell is a result.
pub async fn run(arguments: &Discover, global: &Global, output: Output) -> Result<u8, Failure> {
    if let Some(path) = arguments.output.as_ref().filter(|_| !arguments.replace) {
        must_not_exist(path)?;
    }
    let connection = arguments.login.connection()?;
    let options = FleetOptions { trace: connect::trace(global)?, ..FleetOptions::default() };
    let tell = |text: &str| {
        if !output.json {
            output::complain(text);
        }
    };
    let taken_at = Timestamp::from_unix_millis(jiff::Timestamp::now().as_millisecond());
    let surveys = survey(&arguments.instances, &connection, &options, tell).await?;
    let found = discover(&given(arguments, connection, surveys, taken_at));
    if let (Some(path), Some(file)) = (&arguments.output, &found.file) {
        write(path, file, arguments.replace)?;
    }
    let document = document(&found, arguments.output.as_deref());
    match (&arguments.output, &found.file) {
        // The file itself is the result, and whoever reads it must not read anything else.
        (None, Some(file)) if !output.json => {
            tell(&render(&document));
            output::print(file)?;
        }
        _ => output.result(&document, || render(&document))?,
    }
    Ok(if found.is_nothing_there {
        NOTHING_THERE
    } else if found.is_complete() {
        0
    } else {
        INCOMPLETE
    })
}

/// Asks every instance, side by side; in the order of the addresses.
///
/// # Errors
///
/// The secret or the certificate file.
pub async fn survey(
    addresses: &[Address],
    connection: &Connection,
    options: &FleetOptions,
    tell: impl Fn(&str),
) -> Result<Vec<Known<Survey>>, Failure> {
    let access = Access::read(connection, options)?;
    let mut asked = JoinSet::new();
    for (index, address) in addresses.iter().enumerate() {
        let endpoint = access.endpoint(pcdr_sql::Address {
            name: &address.text,
            host: &address.host,
            tcp_port: address.port,
            instance: address.instance.as_deref(),
        });
        let instance = SqlInstance::new(address.text.as_str().into(), endpoint, Limits::default());
        let instance = Arc::new(instance);
        asked.spawn(async move { (index, instance.survey().await) });
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = asked.join_next().await {
        let Ok((index, answer)) = answer else { continue };
        let text = &addresses[index].text;
        let answer = match answer {
            Ok(survey) => {
                let name = survey.seen.server_name.as_deref().unwrap_or("without @@SERVERNAME");
                tell(&format!("{text}: {name}, SQL Server {}\n", survey.seen.version));
                Known::Known(survey)
            }
            Err(error) => {
                tell(&format!("{error}; {}\n", error.remedy));
                Known::Unknown(Reason::new(error.code.as_str(), error.found))
            }
        };
        answers.insert(index, answer);
    }
    let missing = || Known::unknown("not_answered", "asking it was interrupted");
    Ok((0..addresses.len()).map(|index| answers.remove(&index).unwrap_or_else(missing)).collect())
}

/// What the core needs.
pub fn given(
    arguments: &Discover,
    connection: Connection,
    surveys: Vec<Known<Survey>>,
    taken_at: Timestamp,
) -> Given {
    let instance = |(address, survey): (&Address, Known<Survey>)| GivenInstance {
        address: address.text.clone(),
        host: address.full_name.clone(),
        connect_host: address.host.clone(),
        port: address.port,
        instance: address.instance.clone(),
        survey,
    };
    Given {
        taken_at,
        instances: arguments.instances.iter().zip(surveys).map(instance).collect(),
        sites: arguments.sites.iter().map(|site| (site.0.clone(), site.1.clone())).collect(),
        roles: arguments.roles.iter().map(|role| (role.0, role.1.clone())).collect(),
        databases: arguments.databases.iter().map(|name| name.as_str().into()).collect(),
        pool: arguments.pool.as_deref().map(Into::into),
        active_after_failover: arguments
            .active_after_failover
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        mounts: arguments.mounts.iter().map(|mount| (mount.0.clone(), mount.1.clone())).collect(),
        connection,
    }
}

fn must_not_exist(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::usage(
            "file_exists",
            format!("{} was needed for the topology, but it is there already", path.display()),
            "Name another file with -o, or say --replace.",
        ));
    }
    Ok(())
}

/// A file that somebody wrote in the meantime is not overwritten either.
fn write(path: &Path, text: &str, replaces: bool) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if replaces {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::file("hold the topology", path, &error))
}

fn document(found: &Discovered, path: Option<&Path>) -> DiscoverDocument {
    DiscoverDocument {
        complete: found.is_complete(),
        valid: found.topology.is_some(),
        file: path.filter(|_| found.file.is_some()).map(|path| path.display().to_string()),
        topology: found.file.clone(),
        instances: found
            .instances
            .iter()
            .map(|placed| DiscoveredInstance {
                address: placed.address.clone(),
                server_name: placed.server_name.clone(),
                role: placed.role.map(|role| role.as_str().to_owned()),
                why: placed.why.clone(),
            })
            .collect(),
        findings: found.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> DiscoveryFinding {
    DiscoveryFinding {
        kind: match finding.code.kind() {
            Kind::Question => "question",
            Kind::Incomplete => "incomplete",
            Kind::Differs => "differs",
            Kind::Note => "note",
        }
        .to_owned(),
        code: finding.code.as_str().to_owned(),
        instance: finding.instance.clone(),
        database: finding.database.as_ref().map(ToString::to_string),
        message: finding.found.clone(),
        remedy: finding.remedy.clone(),
    }
}

/// The document for people.
fn render(document: &DiscoverDocument) -> String {
    let mut table = text::table(["address", "@@SERVERNAME", "role", "told by"]);
    for one in &document.instances {
        table.add_row([
            one.address.as_str(),
            one.server_name.as_deref().unwrap_or("unknown"),
            one.role.as_deref().unwrap_or("-"),
            &one.why,
        ]);
    }
    let mut text = format!("\n{table}\n");
    let headings = [
        ("question", "To be answered first"),
        ("incomplete", "To be completed in the file"),
        ("differs", "There, and not as the file says"),
        ("note", "Worth knowing"),
    ];
    for (kind, heading) in headings {
        let mut told = document.findings.iter().filter(|finding| finding.kind == kind).peekable();
        if told.peek().is_none() {
            continue;
        }
        let _infallible = writeln!(text, "\n{heading}");
        for finding in told {
            let at = [finding.instance.as_deref(), finding.database.as_deref()];
            let at: Vec<&str> = at.into_iter().flatten().collect();
            let at = if at.is_empty() { String::new() } else { format!("{}: ", at.join(", ")) };
            let _infallible = writeln!(text, "  - {at}{}. {}", finding.message, finding.remedy);
        }
    }
    let _infallible = writeln!(text, "\n{}", verdict(document));
    text
}

fn verdict(document: &DiscoverDocument) -> String {
    let written = match &document.file {
        Some(file) => format!("{file} is written"),
        None => "The topology is told".to_owned(),
    };
    if document.topology.is_none() {
        let asked = document.findings.iter().any(|finding| finding.kind != "note");
        return if asked {
            "No topology is written before that is answered.".to_owned()
        } else {
            "Nothing is log-shipped on these instances: there is no topology to write.".to_owned()
        };
    }
    match (document.complete, document.valid) {
        (true, _) => format!("{written}: valid, and all that is there is as it says."),
        (false, true) => format!("{written}: valid, and not all that is there is as it says."),
        (false, false) => format!("{written}: pcdr validate refuses it until it is completed."),
    }
}
