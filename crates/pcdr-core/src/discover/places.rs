//! Where things stand: hosts, ports, sites, accounts and folders.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Code;
use super::look::{Look, folded, label, same};
use super::parts::{self, Parts};
use crate::known::Known;
use crate::topology::Role;

/// A value, and where it was read.
pub(super) type Read<T> = (T, String);

/// A server network address of mirroring, `TCP://host:port`, by which others call an instance.
fn network_address(text: &str) -> Option<(&str, u16)> {
    let rest =
        text.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("TCP://")).map(|_| &text[6..])?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

/// What mirroring calls an instance: host and port, and who says so.
pub(super) fn mirroring_name(
    look: &Look<'_>,
    parts: &Parts,
    index: usize,
) -> Option<Read<(String, u16)>> {
    for database in &parts.databases {
        for (other, _) in look.instances() {
            let Some(session) = look.partnership(other, database) else { continue };
            let witnessed = look.survey(index).and_then(|survey| survey.witnessed.known());
            let (address, column) = if look.partner(other, session) == Some(index) {
                (parts::address(look, other, database), "mirroring_partner_name")
            } else if witnessed.is_some_and(|guids| guids.contains(&session.guid)) {
                (parts::witness_address(look, other, database), "mirroring_witness_name")
            } else {
                continue;
            };
            if let Some((host, port)) = address.and_then(network_address) {
                let from = format!("{column} on {}", look.shown(other));
                return Some(((host.to_owned(), port), from));
            }
        }
    }
    None
}

/// The fully qualified name of an instance's host.
pub(super) fn host(look: &mut Look<'_>, parts: &Parts, index: usize) -> Read<String> {
    let given = &look.given.instances[index];
    if let Some(host) = &given.host {
        return (host.clone(), "as given".to_owned());
    }
    if let Some(((host, _), from)) = mirroring_name(look, parts, index) {
        return (host, from);
    }
    let host = &given.connect_host;
    let is_full_name = host.contains('.') && label(host) != host;
    if !is_full_name {
        let server = look.shown(index);
        let found = format!("nothing tells the full name of its host, so {host} is written");
        let remedy = "Mirroring and the product's cmdlets need the full name: give --instance NAME=ADDRESS, or \
                      change `host` in the file.";
        look.note(Code::HostNotTold, Some(&server), None, found, remedy);
    }
    (host.clone(), "as connected to: nothing else tells it".to_owned())
}

/// The port of the mirroring endpoint: as others call it, or as it listens.
pub(super) fn mirroring_port(look: &Look<'_>, parts: &Parts, index: usize) -> Option<Read<u16>> {
    if let Some(((_, port), from)) = mirroring_name(look, parts, index) {
        return Some((port, from));
    }
    let endpoint = look.survey(index)?.seen.mirroring_endpoint.known()?.as_ref()?;
    Some((endpoint.port, "sys.tcp_endpoints".to_owned()))
}

/// The account of the database engine's service as others on the network know it; otherwise why it is not
/// written.
pub(super) fn service_account(look: &Look<'_>, index: usize) -> Option<Result<String, String>> {
    let services = match &look.survey(index)?.services {
        Known::Known(services) => services,
        Known::Unknown(reason) => {
            return Some(Err(format!("the services' accounts could not be read: {reason}")));
        }
    };
    let engine = services.iter().find(|service| service.name.starts_with("SQL Server ("))?;
    let why = |why| format!("{} runs as {}, {why}", engine.name, engine.account);
    Some(domain_account(&engine.account).map_err(why))
}

/// An account as a topology spells it.
fn domain_account(account: &str) -> Result<String, &'static str> {
    if same(account, "LocalSystem") {
        return Ok(r"NT AUTHORITY\SYSTEM".to_owned());
    }
    let computer = "which on the network is the computer's account, DOMAIN\\HOST$";
    match account.split_once('\\') {
        Some((domain, name)) if !name.trim().is_empty() && !name.contains('\\') => {
            match folded(domain).as_str() {
                "nt service" => Err(computer),
                "nt authority" if same(name, "SYSTEM") => Ok(account.to_owned()),
                "nt authority" => Err(computer),
                "." | "" => Err("which is an account of that computer alone"),
                _ => Ok(account.to_owned()),
            }
        }
        _ => Err("which has no domain"),
    }
}

/// The folders of data and of log, where restored copies lie in others than the primary's.
pub(super) fn folders(
    look: &Look<'_>,
    parts: &Parts,
    index: usize,
) -> (Option<String>, Option<String>) {
    let of = |index: usize, is_log: bool| -> BTreeSet<String> {
        let files = look.survey(index).and_then(|survey| survey.files.known());
        let ours = files.into_iter().flatten().filter(|file| file.is_log == is_log);
        let ours = ours.filter(|file| parts.has(&file.database));
        ours.filter_map(|file| file.path.rfind(['\\', '/']).map(|at| file.path[..at].to_owned()))
            .collect()
    };
    let only = |folders: BTreeSet<String>| {
        let mut folders = folders.into_iter();
        folders.next().filter(|_| folders.next().is_none())
    };
    let is_where_it_was = [false, true].iter().all(|is_log| {
        let (here, there) = (of(index, *is_log), of(parts.primary, *is_log));
        here.iter().all(|folder| there.iter().any(|other| same(folder, other)))
    });
    if index == parts.primary || is_where_it_was {
        return (None, None);
    }
    let data = only(of(index, false));
    let log =
        only(of(index, true)).filter(|log| data.as_deref().is_none_or(|data| !same(data, log)));
    (data, log)
}

/// The sites of instances and of shares' hosts.
pub(super) struct Sites {
    /// In the order in which they appear.
    pub(super) names: Vec<String>,
    by_index: BTreeMap<usize, Read<String>>,
    stated: BTreeMap<String, String>,
    /// What nothing tells the site of, by the site that is assumed for it.
    assumed: BTreeMap<String, Vec<String>>,
}

impl Sites {
    /// A mirror and a witness stand with their partner, the secondary in another site; others as stated, or
    /// in a site of their own.
    pub(super) fn of(
        look: &mut Look<'_>,
        parts: &Parts,
        order: &[usize],
        names: &BTreeMap<usize, String>,
    ) -> Sites {
        let mut sites = Sites {
            names: Vec::new(),
            by_index: BTreeMap::new(),
            stated: BTreeMap::new(),
            assumed: BTreeMap::new(),
        };
        let mut by_statement = BTreeMap::new();
        for (site, members) in &look.given.sites {
            for member in members {
                match look.by_text(member) {
                    Some(index) => drop(by_statement.insert(index, site.to_string())),
                    None => drop(sites.stated.insert(folded(member), site.to_string())),
                }
            }
        }
        let primary_side = [Role::Primary, Role::PrimaryMirror, Role::PrimaryWitness];
        let secondary_side = [Role::Secondary, Role::SecondaryMirror, Role::SecondaryWitness];
        for index in order {
            let role = parts.roles.get(index).map(|part| part.role);
            let side = [primary_side, secondary_side]
                .into_iter()
                .find(|side| role.is_some_and(|role| side.contains(&role)));
            let together: Vec<usize> = match side {
                Some(side) => {
                    let has_side = |(_, part): &(&usize, &parts::Part)| side.contains(&part.role);
                    let mut all: Vec<_> = parts.roles.iter().filter(has_side).collect();
                    all.sort_by_key(|(_, part)| part.role);
                    all.into_iter().map(|(index, _)| *index).collect()
                }
                None => vec![*index],
            };
            let stated = by_statement.get(index).map(|site| (site, "as --site says".to_owned()));
            let with = together.iter().find_map(|other| {
                let why = format!("with {}, as --site says", look.shown(*other));
                by_statement.get(other).map(|site| (site, why))
            });
            let (site, why) = match stated.or(with) {
                Some((site, why)) => (site.clone(), why),
                None => {
                    let first = together.first().unwrap_or(index);
                    let site =
                        format!("{}-site", names.get(first).map_or("unnamed", String::as_str));
                    sites.assumed.entry(site.clone()).or_default().push(names[index].clone());
                    (site, "assumed".to_owned())
                }
            };
            sites.add(&site);
            sites.by_index.insert(*index, (site, why));
        }
        sites
    }

    fn add(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    pub(super) fn of_instance(&self, index: usize) -> Read<String> {
        self.by_index.get(&index).cloned().unwrap_or_default()
    }

    /// The site that a person stated of a host, if one did.
    pub(super) fn stated(&mut self, host: &str) -> Option<String> {
        let spellings = [host, label(host)];
        let site = spellings.iter().find_map(|text| self.stated.get(&folded(text)).cloned())?;
        self.add(&site);
        Some(site)
    }

    /// The site of a share: as stated, that of the instance on the same host, or the one that is likeliest by
    /// the planning rules; without any, one of its own.
    pub(super) fn of_share(
        &mut self,
        unc: &str,
        hosts: &BTreeMap<usize, String>,
        by_rule: Option<usize>,
    ) -> Read<String> {
        let server = unc.strip_prefix(r"\\").and_then(|rest| rest.split('\\').next());
        let spellings = [Some(unc), server, server.map(label)];
        let mut stated = spellings.into_iter().flatten();
        let stated = stated.find_map(|text| self.stated.get(&folded(text)).cloned());
        if let Some(site) = stated {
            self.add(&site);
            return (site, "as --site says".to_owned());
        }
        let is_host = |host: &str| {
            let Some(server) = server else { return false };
            let is_short = !server.contains('.') || !host.contains('.');
            same(server, host) || (is_short && same(label(server), label(host)))
        };
        if let Some((index, host)) = hosts.iter().find(|(_, host)| is_host(host)) {
            return (self.of_instance(*index).0, format!("on the host of {host}"));
        }
        let (site, why) = match by_rule {
            // A path on a drive lies on the secondary itself.
            Some(index) if server.is_none() && !unc.starts_with('/') => {
                return (self.of_instance(index).0, "on the secondary itself".to_owned());
            }
            Some(index) => (self.of_instance(index).0, "assumed: where the secondary stands"),
            None => (format!("{}-site", server.map_or("log-backups", label)), "assumed"),
        };
        self.add(&site);
        self.assumed.entry(site.clone()).or_default().push(unc.to_owned());
        (site, why.to_owned())
    }

    /// Tells what was assumed, and what was stated of members that stand nowhere.
    pub(super) fn tell(&self, look: &mut Look<'_>, standing: &[String]) {
        if !self.assumed.is_empty() {
            let of_site = |(site, members): (&String, &Vec<String>)| {
                format!("{site} ({})", members.join(", "))
            };
            let all: Vec<String> = self.assumed.iter().map(of_site).collect();
            let found = format!("no instance tells its site; assumed: {}", all.join("; "));
            let remedy = "Name the sites with --site NAME=MEMBER,MEMBER,…, where members are instances and hosts \
                          of shares, or correct them in the file.";
            look.note(Code::SiteAssumed, None, None, found, remedy);
        }
        for (member, site) in &self.stated {
            if standing.iter().any(|one| folded(one).contains(member.as_str())) {
                continue;
            }
            let found =
                format!("--site {site}={member} names no instance, chat server or host of a share");
            let remedy =
                "Name it as in --instance, by its @@SERVERNAME, or as in the share's UNC path.";
            look.note(Code::UnknownMember, None, None, found, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_network_addresses_are_read_as_mirroring_spells_them() {
        assert_eq!(
            network_address("TCP://sql-n1.example.net:5022"),
            Some(("sql-n1.example.net", 5022))
        );
        assert_eq!(network_address("tcp://[fe80::1]:7022"), Some(("fe80::1", 7022)));
        for text in ["", "TCP:/", "TCP://a", "TCP://a:b", "TCP://a:99999", "UDP://a:1", "é中é中"]
        {
            assert_eq!(network_address(text), None, "{text}");
        }
    }

    #[test]
    fn only_accounts_that_other_computers_know_are_written() {
        let account = r"EXAMPLE\sql-service";
        assert_eq!(domain_account(account).as_deref(), Ok(account));
        assert_eq!(domain_account("LocalSystem").as_deref(), Ok(r"NT AUTHORITY\SYSTEM"));
        for local in [
            r"NT Service\MSSQLSERVER",
            r"NT AUTHORITY\NETWORK SERVICE",
            r".\sql",
            "sql@example.net",
            "",
            "\\",
        ] {
            assert!(domain_account(local).is_err(), "{local}");
        }
    }
}
