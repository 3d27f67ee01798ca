//! The topology file to be, section by section.

use std::collections::BTreeMap;

use toml::Value;

use super::finding::{Code, Kind};
use super::look::Look;
use super::page::{Page, harmless};
use super::parts::Parts;
use super::places::{self, Sites};
use super::pool;
use super::settings;
use crate::settings::is_same_folder;
use crate::topology::{Authentication, Connection, Encryption, SecretSource};

/// A table of the file.
#[derive(Debug, Default)]
pub(super) struct Section {
    head: &'static str,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Comment(String),
    Key(String, Value, String),
}

impl Section {
    pub(super) fn new(head: &'static str) -> Section {
        Section { head, lines: Vec::new() }
    }

    /// A key, its value, and where it was read.
    pub(super) fn key(&mut self, key: &str, value: impl Into<Value>, read_from: &str) {
        self.lines.push(Line::Key(key.to_owned(), value.into(), read_from.to_owned()));
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.lines.push(Line::Comment(text.to_owned()));
    }
}

/// The file, before what there is to tell of it is known.
#[derive(Debug)]
pub(super) struct Draft {
    names: BTreeMap<usize, String>,
    sections: Vec<Section>,
}

impl Draft {
    /// What the topology calls an instance.
    pub(super) fn name_of(&self, index: usize) -> &str {
        self.names.get(&index).map_or("", String::as_str)
    }

    pub(super) fn of(look: &mut Look<'_>, parts: &Parts) -> Draft {
        let mut order: Vec<usize> = look.instances().map(|(index, _)| index).collect();
        order.sort_by_key(|index| {
            let role = parts.roles.get(index).map(|part| part.role);
            (role.is_none(), role)
        });
        let names = names(look, &order);
        let mut sites = Sites::of(look, parts, &order, &names);
        let mut hosts = BTreeMap::new();
        let mut instances = Vec::new();
        for index in &order {
            let host = places::host(look, parts, *index);
            hosts.insert(*index, host.0.clone());
            instances.push(instance(
                look,
                parts,
                *index,
                &names[index],
                &sites.of_instance(*index),
                host,
            ));
        }
        let shares = Shares::of(look, parts, &names, &mut sites, &hosts);
        let mut standing = shares.paths.clone();
        let mut pool = pool::sections(look, parts, &mut sites, &mut standing);
        sites.tell(look, &standing);
        let mut sections = Vec::new();
        for name in &sites.names {
            let mut section = Section::new("[[sites]]");
            section.key("name", name.as_str(), "");
            sections.push(section);
        }
        sections.append(&mut instances);
        for database in &parts.databases {
            let mut section = Section::new("[[databases]]");
            section.key("name", database.as_str(), "");
            sections.push(section);
        }
        let mut log_shipping = shares.write(look, parts, &names, &mut sections);
        sections.append(&mut log_shipping);
        let mut mirroring = Section::new("[mirroring]");
        settings::mirroring(look, parts, &mut mirroring);
        if !mirroring.lines.is_empty() {
            sections.push(mirroring);
        }
        sections.push(connection(&look.given.connection));
        sections.append(&mut pool);
        accounts(look, parts);
        connection_options(look, parts);
        Draft { names, sections }
    }

    /// The text, with everything that there is to tell.
    pub(super) fn render(&self, look: &Look<'_>) -> String {
        let mut page = Page::default();
        let count = look.given.instances.len();
        let answered = look.instances().filter(|(index, _)| look.survey(*index).is_some()).count();
        page.comment(&format!(
            "What is there, as {answered} of {count} instances told on {}: written by pcdr discover.",
            look.given.taken_at
        ));
        let told =
            |kind: Kind| look.findings.iter().filter(move |finding| finding.code.kind() == kind);
        if [Kind::Incomplete, Kind::Differs].iter().all(|kind| told(*kind).next().is_none()) {
            page.comment(
                "It says all that is there: pcdr configure --diff finds nothing that differs.",
            );
        }
        let broken = || told(Kind::Incomplete).filter(|one| one.code == Code::BreaksRule);
        if broken().next().is_some() {
            page.comment("");
            page.comment("What is there breaks planning rules, as pcdr validate says, too:");
        }
        for finding in broken() {
            page.comment(&format!("- {finding}"));
        }
        let headings = [
            (Kind::Differs, "Not all that is there is as this file says:"),
            (Kind::Note, "Worth knowing:"),
        ];
        for (kind, heading) in headings {
            if told(kind).next().is_some() {
                page.comment("");
                page.comment(heading);
            }
            for finding in told(kind) {
                page.comment(&format!("- {finding}"));
            }
        }
        let open = told(Kind::Incomplete).filter(|finding| finding.code != Code::BreaksRule);
        let open: Vec<String> = open.map(ToString::to_string).collect();
        if !open.is_empty() {
            page.blank();
            page.comment("What could not be found out. The file does not validate before each is decided and \
                          taken out of this list.");
            page.list("to_be_completed", &open);
        }
        for section in &self.sections {
            page.table(section.head);
            for line in &section.lines {
                match line {
                    Line::Comment(text) => page.comment(text),
                    Line::Key(key, value, from) => page.key(key, value.clone(), from),
                }
            }
        }
        if look.findings.iter().any(|finding| finding.code == Code::PoolNotRead) {
            page.blank();
            page.comment("The pool, if mgc belongs to one, is in no instance's tables. Its form:");
            for line in POOL.lines() {
                page.comment(line);
            }
        }
        page.into_text()
    }
}

/// What a person fills in.
const POOL: &str = "\
[pool]
fqdn = \"chat.example.net\"
database = \"mgc\"
compliance_database = \"mgccomp\"
[[pool.servers]]
fqdn = \"chat-1.example.net\"
site = \"…\"
active = true";

/// A name for each instance: its `@@SERVERNAME`, or the address where it has none.
fn names(look: &Look<'_>, order: &[usize]) -> BTreeMap<usize, String> {
    let mut names = BTreeMap::new();
    for index in order {
        let shown = look.shown(*index);
        let plain = harmless(&shown.to_lowercase().replace('\\', "-"));
        let is_taken = names.values().any(|name| *name == plain);
        names.insert(*index, if is_taken { shown } else { plain });
    }
    names
}

fn instance(
    look: &Look<'_>,
    parts: &Parts,
    index: usize,
    name: &str,
    site: &places::Read<String>,
    (host, host_from): places::Read<String>,
) -> Section {
    let given = &look.given.instances[index];
    let mut section = Section::new("[[instances]]");
    section.key("name", name, "");
    section.key("site", site.0.as_str(), &site.1);
    match parts.roles.get(&index) {
        Some(part) => section.key("role", part.role.as_str(), &part.why),
        None => section.comment("role: to be completed"),
    }
    section.key("host", host.as_str(), &host_from);
    let told = look.survey(index).map(|survey| &survey.instance_name);
    if let Some(instance) = told.unwrap_or(&given.instance) {
        section.key("instance", instance.as_str(), "");
    }
    if let Some(server) = look.server(index) {
        section.key("server_name", server, "@@SERVERNAME");
    }
    if let Some(port) = given.port {
        section.key("port", i64::from(port), "as given");
    }
    if !super::look::same(&given.connect_host, &host) {
        section.key("connect_host", given.connect_host.as_str(), "as given");
    }
    if let Some((port, from)) = places::mirroring_port(look, parts, index) {
        section.key("mirroring_port", i64::from(port), &from);
    }
    if let Some(Ok(account)) = places::service_account(look, index) {
        section.key("service_account", account, "sys.dm_server_services");
    }
    let (data, log) = places::folders(look, parts, index);
    for (key, folder) in [("data_directory", data), ("log_directory", log)] {
        if let Some(folder) = folder {
            section.key(key, folder.as_str(), "sys.master_files: elsewhere than on the primary");
        }
    }
    section
}

/// The shares of log shipping, by the names that the file gives them.
struct Shares {
    backup: Option<String>,
    copies: BTreeMap<usize, String>,
    /// As the instances have them.
    paths: Vec<String>,
    sections: Vec<Section>,
}

impl Shares {
    fn of(
        look: &mut Look<'_>,
        parts: &Parts,
        names: &BTreeMap<usize, String>,
        sites: &mut Sites,
        hosts: &BTreeMap<usize, String>,
    ) -> Shares {
        let mut shares = Shares {
            backup: None,
            copies: BTreeMap::new(),
            paths: Vec::new(),
            sections: Vec::new(),
        };
        if let Some((index, _, entry)) = parts.primary_entries(look).first().copied() {
            let site = sites.of_share(&entry.backup_share, hosts, None);
            let from = format!("backup_share on {}", look.shown(index));
            shares.add(look, "log-backups", site, &entry.backup_share, &from);
            shares.backup = Some("log-backups".to_owned());
            shares.paths.push(entry.backup_share.clone());
        }
        for (number, on) in parts.secondaries.iter().enumerate() {
            let entries = parts.secondary_entries(look, *on);
            let Some((_, entry)) = entries.first().copied() else { continue };
            let unc = &entry.backup_destination_directory;
            let site = sites.of_share(unc, hosts, Some(*on));
            let name = match number {
                0 => "log-copies".to_owned(),
                _ => format!("log-copies-{}", names[on]),
            };
            let from = format!("backup_destination_directory on {}", look.shown(*on));
            shares.add(look, &name, site, unc, &from);
            shares.copies.insert(*on, name);
            shares.paths.push(unc.clone());
        }
        shares
    }

    fn add(
        &mut self,
        look: &Look<'_>,
        name: &str,
        site: places::Read<String>,
        unc: &str,
        from: &str,
    ) {
        let mut section = Section::new("[[shares]]");
        section.key("name", name, "");
        section.key("site", site.0.as_str(), &site.1);
        section.key("unc", unc, from);
        let mount = look.given.mounts.iter().find(|(mounted, _)| is_same_folder(mounted, unc));
        match mount {
            Some((_, folder)) => section.key("mount", folder.as_str(), "as --mount says"),
            None => section
                .comment("mount = \"…\", where pcdr's machine does not open that path itself"),
        }
        self.sections.push(section);
    }

    /// The shares, and `[log_shipping]` which refers to them.
    fn write(
        mut self,
        look: &mut Look<'_>,
        parts: &Parts,
        names: &BTreeMap<usize, String>,
        sections: &mut Vec<Section>,
    ) -> Vec<Section> {
        sections.append(&mut self.sections);
        let mut section = Section::new("[log_shipping]");
        if let Some(name) = &self.backup {
            section.key("backup_share", name.as_str(), "");
        }
        let first = parts.secondaries.first().and_then(|on| self.copies.get(on));
        if let Some(name) = first {
            section.key("copy_share", name.as_str(), "");
        }
        settings::log_shipping(look, parts, &mut section);
        let mut all = vec![section];
        for on in parts.secondaries.iter().skip(1) {
            let mut section = Section::new("[[log_shipping.further_secondaries]]");
            section.key("instance", names[on].as_str(), "");
            if let Some(name) = self.copies.get(on) {
                section.key("copy_share", name.as_str(), "");
            }
            settings::further(look, parts, *on, &mut section);
            all.push(section);
        }
        all
    }
}

/// How the instances were connected to; where the secret is, never the secret.
fn connection(connection: &Connection) -> Section {
    let mut section = Section::new("[connection]");
    section.comment("As pcdr discover was called.");
    let secret = |section: &mut Section, what: &str, source: &SecretSource| match source {
        SecretSource::Environment(name) => section.key(&format!("{what}_env"), name.as_str(), ""),
        SecretSource::File(path) => section.key(&format!("{what}_file"), path.as_str(), ""),
    };
    match &connection.authentication {
        Authentication::SqlLogin { login, password } => {
            section.key("login", login.as_str(), "");
            secret(&mut section, "password", password);
        }
        Authentication::AccessToken(source) => {
            section.key("authentication", "access-token", "");
            secret(&mut section, "access_token", source);
        }
        Authentication::Kerberos => section.key("authentication", "kerberos", ""),
    }
    if connection.encryption == Encryption::Strict {
        section.key("encrypt", "strict", "");
    }
    if let Some(file) = &connection.ca_file {
        section.key("ca_file", file.as_str(), "");
    }
    if let Some(name) = &connection.host_name_in_certificate {
        section.key("host_name_in_certificate", name.as_str(), "");
    }
    section.key("connect_timeout", settings::duration(connection.connect_timeout), "");
    section
}

/// Accounts of services that are not written, those of one kind together.
fn accounts(look: &mut Look<'_>, parts: &Parts) {
    let mut unwritten: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for index in parts.roles.keys() {
        if let Some(Err(why)) = places::service_account(look, *index) {
            unwritten.entry(why).or_default().push(look.shown(*index));
        }
    }
    for (why, servers) in unwritten {
        let remedy = "Add `service_account` by hand where the instance takes part in mirroring: without it, pcdr \
                      gives it no right to the endpoints of others.";
        look.note(Code::AccountNotWritten, Some(&servers.join(", ")), None, why, remedy);
    }
}

/// SQL Server 2025 takes connection options, and shows them in no table.
fn connection_options(look: &mut Look<'_>, parts: &Parts) {
    const SINCE: u32 = 17;
    let major =
        |index: &usize| look.survey(*index)?.seen.version.split('.').next()?.parse::<u32>().ok();
    let is_new = |index: &&usize| major(index).is_some_and(|major| major >= SINCE);
    if let Some(index) = parts.roles.keys().find(is_new) {
        let server = look.shown(*index);
        let found = "connection options of log shipping (SQL Server 2025) are in no table";
        let remedy = "Add primary_, secondary_ and monitor_connection_options if they are used.";
        look.note(Code::ConnectionOptionsNotTold, Some(&server), None, found, remedy);
    }
}
