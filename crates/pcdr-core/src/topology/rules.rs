//! The planning rules about sites, instances, databases, shares and log shipping.
//!
//! Each rule is one function over the file as written and adds what it finds. A rule says nothing
//! about a part that could not be read: that has its own violation already.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{File, InstanceRow, ShareRow, whole_seconds};
use super::read::{Findings, Span, Text, quoted};
use super::violation::Code;
use super::{Role, login_rules, parse, pool_rules};
use crate::schedule;
use crate::settings::RestoreMode;

/// Checks every rule.
pub(super) fn check(file: &File, findings: &mut Findings) {
    to_be_completed(file, findings);
    sites_and_links(file, findings);
    site_references(file, findings);
    hosts_and_names(file, findings);
    addresses(file, findings);
    mirroring_endpoints(file, findings);
    databases(file, findings);
    roles(file, findings);
    shares(file, findings);
    log_shipping(file, findings);
    retention(file, findings);
    further_secondaries(file, findings);
    schedules(file, findings);
    connection_options(file, findings);
    login_rules::check(file, findings);
    drill(file, findings);
    pool_rules::check(file, findings);
}

/// Where a drill restores to is one of the instances.
fn drill(file: &File, findings: &mut Findings) {
    let Some(name) = file.drill.as_ref().and_then(|row| row.instance.as_ref()) else { return };
    let known: BTreeSet<&str> = file.instances.iter().filter_map(|row| value(&row.name)).collect();
    let is_complete = known.len() == file.instances.len();
    if is_complete && !known.contains(name.get_ref().as_str()) {
        let message = format!("an instance of [[instances]] is needed, found {:?}", name.get_ref());
        let remedy = format!("Add it to [[instances]] or write one of {}.", list(&known));
        findings.report(Code::UnknownInstance, name.span(), message, remedy);
    }
}

/// What a discovery could not find out stays a violation until a person has seen to it.
fn to_be_completed(file: &File, findings: &mut Findings) {
    for text in &file.to_be_completed {
        let message = format!("a decision is needed: {}", text.get_ref());
        let remedy =
            "Write in the file what is missing, then take this text out of `to_be_completed`.";
        findings.report(Code::ToBeCompleted, text.span(), message, remedy);
    }
}

/// The instance of a role, as written; the first one.
pub(super) fn instance_of(file: &File, role: Role) -> Option<&InstanceRow> {
    let has_role = |row: &&InstanceRow| row.role.as_ref().is_some_and(|r| *r.get_ref() == role);
    file.instances.iter().find(has_role)
}

pub(super) fn value(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(|text| text.get_ref().as_str())
}

/// The name of a site that exists; an unknown one has its own violation and shall not bring more.
pub(super) fn known_site<'f>(file: &File, site: &'f Option<Text>) -> Option<&'f str> {
    let site = value(site)?;
    let is_known = file.sites.iter().any(|row| value(&row.name) == Some(site));
    is_known.then_some(site)
}

/// The part of a name that SQL Server (in its usual collations) and DNS compare.
fn folded(text: &str) -> String {
    text.trim_end().to_lowercase()
}

/// Complains about every text that came before, as `fold` compares them.
pub(super) fn duplicates<'f>(
    findings: &mut Findings,
    code: Code,
    what: &str,
    texts: impl Iterator<Item = &'f Option<Text>>,
    fold: impl Fn(&str) -> String,
) {
    let mut seen = BTreeSet::new();
    for text in texts.flatten() {
        if !seen.insert(fold(text.get_ref())) {
            let message =
                format!("every {what} must be there once, found {} again", quoted(text.get_ref()));
            let remedy = "Rename it or take it out.";
            findings.report(code, text.span(), message, remedy);
        }
    }
}

fn sites_and_links(file: &File, findings: &mut Findings) {
    let names = file.sites.iter().map(|row| &row.name);
    duplicates(findings, Code::DuplicateSite, "site", names, str::to_owned);
    let mut seen = BTreeSet::new();
    for (a, b) in file.links.iter().filter_map(|row| row.between.as_ref()) {
        let (x, y) = (a.get_ref().as_str(), b.get_ref().as_str());
        if x == y {
            let message = format!("a link needs two sites, found {x:?} twice");
            let remedy = "Name the site at its other end.";
            findings.report(Code::LinkToItself, b.span(), message, remedy);
        } else if !seen.insert((x.min(y), x.max(y))) {
            let message = format!("two sites have one link, found another between {x:?} and {y:?}");
            let remedy = "Keep the link that describes the way that the copies take.";
            findings.report(Code::DuplicateLink, a.span(), message, remedy);
        }
    }
}

fn site_references(file: &File, findings: &mut Findings) {
    if file.sites.iter().any(|row| row.name.is_none()) {
        return;
    }
    let known: BTreeSet<&str> = file.sites.iter().filter_map(|row| value(&row.name)).collect();
    let links = file.links.iter().filter_map(|row| row.between.as_ref());
    let servers = file.pool.iter().flat_map(|pool| &pool.servers);
    let references = links
        .flat_map(|(a, b)| [a, b])
        .chain(file.instances.iter().filter_map(|row| row.site.as_ref()))
        .chain(file.shares.iter().filter_map(|row| row.site.as_ref()))
        .chain(servers.filter_map(|row| row.site.as_ref()));
    for site in references {
        if !known.contains(site.get_ref().as_str()) {
            let message = format!("a site of [[sites]] is needed, found {:?}", site.get_ref());
            let remedy = format!("Add it to [[sites]] or write one of {}.", list(&known));
            findings.report(Code::UnknownSite, site.span(), message, remedy);
        }
    }
}

fn list(names: &BTreeSet<&str>) -> String {
    let mut shown: Vec<_> = names.iter().take(8).map(|name| format!("{name:?}")).collect();
    if names.len() > shown.len() {
        shown.push("…".to_owned());
    }
    if shown.is_empty() { "none yet".to_owned() } else { shown.join(", ") }
}

fn hosts_and_names(file: &File, findings: &mut Findings) {
    for row in &file.instances {
        host(&row.host, findings);
        host(&row.connect_host, findings);
        instance_name(&row.instance, findings);
        service_account(&row.service_account, findings);
    }
    let servers = file.pool.iter().flat_map(|pool| &pool.servers);
    for fqdn in file.pool.iter().map(|pool| &pool.fqdn).chain(servers.map(|row| &row.fqdn)) {
        host(fqdn, findings);
    }
    let names = file.instances.iter().map(|row| &row.name);
    duplicates(findings, Code::DuplicateInstance, "instance name", names, str::to_owned);
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.chars().count() <= 63 && label.chars().all(is_part)
    };
    host.parse::<core::net::IpAddr>().is_ok() || host.split('.').all(is_label)
}

fn host(text: &Option<Text>, findings: &mut Findings) {
    let Some(text) = text else { return };
    if !is_host(text.get_ref()) {
        let message = format!("a host name or address is needed, found {}", quoted(text.get_ref()));
        let remedy = "Write the fully qualified name alone, without TCP://, port or \\instance; these \
                      have keys of their own.";
        findings.report(Code::BadHost, text.span(), message, remedy);
    }
}

fn instance_name(text: &Option<Text>, findings: &mut Findings) {
    let Some(text) = text else { return };
    let name = text.get_ref();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#');
    let is_reserved = ["default", "mssqlserver"].contains(&name.to_lowercase().as_str());
    if is_reserved || name.chars().count() > 16 || !name.chars().all(is_part) {
        let message = format!(
            "the name of a named instance is needed (up to 16 letters, digits, _ $ #), found {}",
            quoted(name)
        );
        let remedy = "Write the part after the \\; for the default instance take the line out.";
        findings.report(Code::BadInstanceName, text.span(), message, remedy);
    }
}

fn service_account(text: &Option<Text>, findings: &mut Findings) {
    let Some(text) = text else { return };
    let parts: Vec<_> = text.get_ref().split('\\').collect();
    if parts.len() != 2 || parts.iter().any(|part| part.trim().is_empty()) {
        let message =
            format!("an account DOMAIN\\name is needed, found {}", quoted(text.get_ref()));
        let remedy = "Write it in single quotes, for example 'EXAMPLE\\sql-service', 'EXAMPLE\\HOST$' \
                      for Network Service, 'NT AUTHORITY\\SYSTEM' for Local System.";
        findings.report(Code::BadServiceAccount, text.span(), message, remedy);
    }
}

/// One instance is listed once, and can be told from the others by address and by server name.
fn addresses(file: &File, findings: &mut Findings) {
    let mut by_name: BTreeMap<(String, String), &InstanceRow> = BTreeMap::new();
    let mut by_port: BTreeMap<(String, u16), &InstanceRow> = BTreeMap::new();
    let mut by_server_name: BTreeSet<String> = BTreeSet::new();
    for row in &file.instances {
        let Some(host) = &row.host else { continue };
        let key = (folded(host.get_ref()), value(&row.instance).map(folded).unwrap_or_default());
        let connected = value(&row.connect_host).unwrap_or(host.get_ref());
        let mut earlier = None;
        if let Some(port) = row.port {
            earlier = insert_or_get(&mut by_port, (folded(connected), port), row);
        }
        // Two instances of one host may both go without an instance name when ports tell them apart.
        let is_default_with_port = row.instance.is_none() && row.port.is_some();
        if earlier.is_none() && !is_default_with_port {
            earlier = insert_or_get(&mut by_name, key, row);
        }
        if let Some(earlier) = earlier {
            report_same_instance(findings, host, earlier, row);
            continue;
        }
        let Some(server_name) = parse::server_name(row) else {
            continue;
        };
        if !by_server_name.insert(folded(&server_name)) {
            let span = row.server_name.as_ref().map_or(host.span(), Text::span);
            let message = format!(
                "instances must differ in @@SERVERNAME, as log shipping records tell them apart by it \
                 alone, found {server_name:?} again"
            );
            let remedy = "Set `server_name` to what SELECT @@SERVERNAME returns there.";
            findings.report(Code::DuplicateServerName, span, message, remedy);
        }
    }
}

fn insert_or_get<'f, K: Ord>(
    map: &mut BTreeMap<K, &'f InstanceRow>,
    key: K,
    row: &'f InstanceRow,
) -> Option<&'f InstanceRow> {
    match map.entry(key) {
        std::collections::btree_map::Entry::Occupied(entry) => Some(entry.get()),
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(row);
            None
        }
    }
}

fn report_same_instance(
    findings: &mut Findings,
    host: &Text,
    earlier: &InstanceRow,
    row: &InstanceRow,
) {
    let roles = (&earlier.role, &row.role);
    if let (Some(first), Some(second)) = roles
        && first.get_ref() != second.get_ref()
    {
        let message = format!(
            "each role needs an instance of its own, found {:?} as {} and as {}",
            host.get_ref(),
            first.get_ref().as_str(),
            second.get_ref().as_str()
        );
        let remedy = "Name another instance for one of the roles.";
        findings.report(Code::InstanceInTwoRoles, second.span(), message, remedy);
    } else {
        let message =
            format!("every instance must be there once, found {:?} again", host.get_ref());
        let remedy = "Take one out, or tell them apart with `instance` or `port`.";
        findings.report(Code::DuplicateAddress, host.span(), message, remedy);
    }
}

/// One mirroring endpoint listens on one port of one host.
fn mirroring_endpoints(file: &File, findings: &mut Findings) {
    let mut seen: BTreeMap<(String, u16), &InstanceRow> = BTreeMap::new();
    for row in &file.instances {
        let is_monitor = row.role.as_ref().is_some_and(|role| *role.get_ref() == Role::Monitor);
        let (Some(host), Some(port)) = (&row.host, parse::mirroring_port(row)) else {
            continue;
        };
        if is_monitor {
            continue;
        }
        let earlier = insert_or_get(&mut seen, (folded(host.get_ref()), port), row);
        // The same instance twice has its own violation.
        let is_other = |earlier: &InstanceRow| {
            value(&earlier.instance) != value(&row.instance) || earlier.port != row.port
        };
        if earlier.is_some_and(is_other) {
            let span = row.mirroring_port.as_ref().map_or(host.span(), toml::Spanned::span);
            let message = format!(
                "instances of one host need mirroring endpoints on different ports, found {port} again \
                 on {:?}",
                host.get_ref()
            );
            let remedy = "Set another `mirroring_port` (1024 to 32767) for one of them.";
            findings.report(Code::DuplicateMirroringPort, span, message, remedy);
        }
    }
}

fn databases(file: &File, findings: &mut Findings) {
    if file.databases.is_empty() {
        let message = "at least one database to ship is needed, found none";
        let remedy = "Add [[databases]] with `name = \"mgc\"`.";
        findings.report(Code::NoDatabase, 0..0, message, remedy);
    }
    let names = file.databases.iter().map(|row| &row.name);
    duplicates(findings, Code::DuplicateDatabase, "database", names, folded);
}

/// Exactly one primary and one secondary, each with its mirror and witness in its own site.
fn roles(file: &File, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for row in &file.instances {
        let Some(role) = &row.role else { continue };
        if seen.insert(*role.get_ref()) || *role.get_ref() == Role::FurtherSecondary {
            continue;
        }
        let code = match role.get_ref() {
            Role::Primary => Code::SeveralPrimaries,
            Role::Secondary => Code::SeveralSecondaries,
            _ => Code::DuplicateRole,
        };
        let message = format!(
            "one instance with role {} is supported, found another",
            role.get_ref().as_str()
        );
        let remedy = "Give it another role or take it out.";
        findings.report(code, role.span(), message, remedy);
    }
    let is_complete = file.instances.iter().all(|row| row.role.is_some());
    for (role, code) in [(Role::Primary, Code::NoPrimary), (Role::Secondary, Code::NoSecondary)] {
        if is_complete && !seen.contains(&role) {
            let message = format!("one instance with role {} is needed, found none", role.as_str());
            let remedy = format!("Give an instance `role = \"{}\"`.", role.as_str());
            findings.report(code, 0..0, message, remedy);
        }
    }
    for (partner, mirror, witness) in [
        (Role::Primary, Role::PrimaryMirror, Role::PrimaryWitness),
        (Role::Secondary, Role::SecondaryMirror, Role::SecondaryWitness),
    ] {
        if is_complete {
            needs(file, findings, mirror, partner, Code::MirrorWithoutPartner);
            needs(file, findings, witness, mirror, Code::WitnessWithoutMirror);
        }
        same_site(file, findings, mirror, partner, Code::MirrorInAnotherSite);
        same_site(file, findings, witness, partner, Code::WitnessInAnotherSite);
    }
    let primary_site = instance_of(file, Role::Primary).and_then(|row| row.site.as_ref());
    let secondary_site = instance_of(file, Role::Secondary).and_then(|row| row.site.as_ref());
    if let (Some(primary), Some(secondary)) = (primary_site, secondary_site)
        && primary.get_ref() == secondary.get_ref()
    {
        let message = format!(
            "the secondary must stand in another site than the primary, found both in {:?}",
            primary.get_ref()
        );
        let remedy = "Put the secondary into the other site: log shipping is the protection against \
                      the loss of the primary's.";
        findings.report(Code::SecondaryInPrimarySite, secondary.span(), message, remedy);
    }
}

fn needs(file: &File, findings: &mut Findings, role: Role, needed: Role, code: Code) {
    let Some(found) = instance_of(file, role).and_then(|row| row.role.as_ref()) else {
        return;
    };
    if instance_of(file, needed).is_none() {
        let (role, needed) = (role.as_str(), needed.as_str());
        let message = format!("a {role} needs a {needed}, found none");
        let remedy = format!("Add an instance `role = \"{needed}\"`, or take the {role} out.");
        findings.report(code, found.span(), message, remedy);
    }
}

fn same_site(file: &File, findings: &mut Findings, role: Role, partner: Role, code: Code) {
    let site = |role| {
        let row = instance_of(file, role)?;
        known_site(file, &row.site)?;
        row.site.as_ref()
    };
    let (Some(found), Some(needed)) = (site(role), site(partner)) else {
        return;
    };
    if found.get_ref() != needed.get_ref() {
        let message = format!(
            "the {} must stand in the site of the {}, {:?}, found {:?}",
            role.as_str(),
            partner.as_str(),
            needed.get_ref(),
            found.get_ref()
        );
        let remedy = "Mirroring protects inside a site: move one of the two.";
        findings.report(code, found.span(), message, remedy);
    }
}

/// `\\server\share[\folder…]` without characters that Windows forbids.
fn unc_server(unc: &str) -> Option<&str> {
    let rest = unc.strip_prefix(r"\\")?;
    let mut parts = rest.strip_suffix('\\').unwrap_or(rest).split('\\');
    let server = parts.next().filter(|server| is_host(server))?;
    let is_part = |part: &str| {
        let is_bad = |c: char| r#"<>:"/|?*"#.contains(c);
        !part.trim().is_empty() && part != "." && part != ".." && !part.contains(is_bad)
    };
    parts.next().filter(|share| is_part(share))?;
    parts.all(is_part).then_some(server)
}

/// An absolute path as Linux writes it, without empty parts, `.` and `..`.
fn is_posix_folder(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_part = |part: &str| !part.trim().is_empty() && part != "." && part != "..";
    !path.contains('\\') && rest.strip_suffix('/').unwrap_or(rest).split('/').all(is_part)
}

fn shares(file: &File, findings: &mut Findings) {
    let names = file.shares.iter().map(|row| &row.name);
    duplicates(findings, Code::DuplicateShare, "share", names, str::to_owned);
    let folder = |text: &str| folded(text.trim_end_matches(['\\', '/']));
    // Folders of the same local path lie on different servers.
    let is_shared = |row: &&ShareRow| value(&row.unc).is_none_or(|unc| !is_windows_path(unc));
    let uncs = file.shares.iter().filter(is_shared).map(|row| &row.unc);
    duplicates(findings, Code::DuplicateUnc, "UNC path", uncs, folder);
    let mounts = file.shares.iter().map(|row| &row.mount);
    // Case counts: a mount may lie on a file system where it does.
    let mount = |text: &str| text.trim_end_matches(['\\', '/']).to_owned();
    duplicates(findings, Code::DuplicateMount, "mount", mounts, mount);
    for row in &file.shares {
        let Some(unc) = &row.unc else { continue };
        if is_windows_path(unc.get_ref()) {
            local_copy_folder(file, row, unc, findings);
            continue;
        }
        // SQL Server on Linux has shares mounted and takes no UNC path; a pool is on Windows.
        let is_mounted = file.pool.is_none() && is_posix_folder(unc.get_ref());
        if !is_mounted && unc_server(unc.get_ref()).is_none() {
            let message =
                format!("a UNC path \\\\server\\share is needed, found {}", quoted(unc.get_ref()));
            let remedy = "Write it in single quotes: '\\\\files.example.net\\logbackups'.";
            findings.report(Code::BadUnc, unc.span(), message, remedy);
        }
    }
}

/// The copy destination may be a local path of the secondary, which alone reads it as a server; pcdr then has
/// to be told how it gets there, and so have the cmdlets of a pool, which take nothing but a share.
fn local_copy_folder(file: &File, row: &ShareRow, unc: &Text, findings: &mut Findings) {
    let is_copy_share = file.log_shipping.as_ref().is_some_and(|settings| {
        let further = settings.further.iter().map(|further| &further.copy_share);
        let mut names = further.chain([&settings.copy_share]).filter_map(|name| value(name));
        names.any(|name| value(&row.name) == Some(name))
    });
    if is_copy_share && file.pool.is_none() && row.mount.is_some() {
        return;
    }
    let message = format!(
        "a UNC path \\\\server\\share is needed, found {}: a local path is taken for a copy share only, without a \
         pool, and with `mount`",
        quoted(unc.get_ref())
    );
    let remedy = "Write the share that leads to that folder, or add `mount`: the folder as pcdr's own machine \
                  opens it, for example '\\\\sql-s1.example.net\\d$\\copies'.";
    findings.report(Code::BadUnc, unc.span(), message, remedy);
}

fn log_shipping(file: &File, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else {
        return;
    };
    let share = |name: &Option<Text>| {
        let name = value(name)?;
        file.shares.iter().find(|share| value(&share.name) == Some(name))
    };
    let known: BTreeSet<&str> = file.shares.iter().filter_map(|share| value(&share.name)).collect();
    let is_complete = file.shares.iter().all(|share| share.name.is_some());
    for name in [&row.backup_share, &row.copy_share].into_iter().flatten() {
        if is_complete && !known.contains(name.get_ref().as_str()) {
            let message = format!("a share of [[shares]] is needed, found {:?}", name.get_ref());
            let remedy = format!("Add it to [[shares]] or write one of {}.", list(&known));
            findings.report(Code::UnknownShare, name.span(), message, remedy);
        }
    }
    if let (Some(backup), Some(copy)) = (&row.backup_share, &row.copy_share)
        && backup.get_ref() == copy.get_ref()
    {
        let message =
            format!("copies need another share than backups, found {:?} for both", copy.get_ref());
        let remedy = "Name a share on the secondary's server for the copies.";
        findings.report(Code::BackupShareIsCopyShare, copy.span(), message, remedy);
    } else if let (Some(name), Some(copy), Some(secondary)) =
        (&row.copy_share, share(&row.copy_share), instance_of(file, Role::Secondary))
        && let (Some(found), Some(needed)) =
            (known_site(file, &copy.site), known_site(file, &secondary.site))
        && found != needed
    {
        let message = format!(
            "the copy share must stand in the secondary's site, {needed:?}, found {found:?}"
        );
        let remedy = "Name a share on the secondary's server: restores read from it when the other \
                      site is gone.";
        findings.report(Code::CopyShareNotAtSecondary, name.span(), message, remedy);
    }
    backup_directory(file, share(&row.backup_share).and_then(|share| value(&share.unc)), findings);
    let delay = &row.restore_delay_minutes;
    if let (Some(_), Some(span), 1..) = (&file.pool, &delay.span, delay.value) {
        let message = format!(
            "a Persistent Chat database needs a restore delay of 0 minutes, found {}",
            delay.value
        );
        let remedy = "Take the line out.";
        findings.report(Code::RestoreDelayNotZero, span.clone(), message, remedy);
    }
    let mode = row.restore_mode.as_ref();
    let is_standby = mode.is_some_and(|mode| *mode.get_ref() == RestoreMode::Standby);
    if let (Some(_), Some(mode), true) = (&file.pool, mode, is_standby) {
        let message = "a Persistent Chat database needs restore_mode norecovery, found standby";
        let remedy = "Take the line out.";
        findings.report(Code::RestoreModeNotNorecovery, mode.span(), message, remedy);
    }
    if let Some(flag) = row.disconnect_users.as_ref().filter(|flag| *flag.get_ref() && !is_standby)
    {
        let message = "`disconnect_users` needs restore_mode standby: nobody can be in a database \
                       that is RESTORING";
        let remedy = "Take the line out, or write `restore_mode = \"standby\"`.";
        findings.report(Code::DisconnectUsersWithoutStandby, flag.span(), message, remedy);
    }
}

/// SQL Server Agent has to be able to keep the schedules.
fn schedules(file: &File, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else {
        return;
    };
    let head = row.head.start..row.head.start;
    let all = [
        ("backup_every", &row.backup.every),
        ("copy_every", &row.copy.every),
        ("restore_every", &row.restore.every),
        ("alert_every", &row.alert_every),
    ];
    for (key, every) in all {
        if schedule::interval(whole_seconds(every.value)).is_none() {
            let message = format!(
                "`{key}` must be at most 100 whole seconds, 100 whole minutes or whole hours, found {:?}",
                every.value
            );
            let remedy =
                "Choose an interval that SQL Server Agent can express, such as \"90m\" or \"2h\".";
            let span = every.span.clone().unwrap_or(head.clone());
            findings.report(Code::ScheduleNotExpressible, span, message, remedy);
        }
    }
    for schedule in [&row.backup, &row.copy, &row.restore] {
        let window = schedule.schedule().window_seconds();
        if let Some(from) = &schedule.from
            && u64::from(window) < schedule.every.value.as_secs()
        {
            let message = format!(
                "the hours of a job must be at least as long as `{}`, found {window} s for {:?}",
                schedule.key, schedule.every.value
            );
            let remedy = "Let the job run for longer in a day, or more often.";
            findings.report(Code::ScheduleShorterThanInterval, from.span(), message, remedy);
        }
    }
}

/// `key=value;…` with the documented keys; a misspelt one would be ignored or refused later.
///
/// Source: "sp_add_log_shipping_primary_database (Transact-SQL)".
fn connection_options(file: &File, findings: &mut Findings) {
    const KEYS: [(&str, &[&str]); 4] = [
        ("encrypt", &["strict", "mandatory", "optional", "true", "false"]),
        ("trustservercertificate", &["true", "false", "yes", "no"]),
        ("servercertificate", &[]),
        ("hostnameincertificate", &[]),
    ];
    let Some(row) = &file.log_shipping else {
        return;
    };
    let all = [
        &row.primary_connection_options,
        &row.secondary_connection_options,
        &row.monitor_connection_options,
    ];
    for text in all.into_iter().flatten() {
        let parts = text.get_ref().split(';').map(str::trim).filter(|part| !part.is_empty());
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim().to_lowercase(), value.trim().to_lowercase());
            let known = KEYS.iter().find(|(known, _)| *known == key);
            let fits = known.is_some_and(|(_, values)| {
                !value.is_empty() && (values.is_empty() || values.contains(&value.as_str()))
            });
            if !fits {
                let message = format!(
                    "connection options are Encrypt, TrustServerCertificate, ServerCertificate and \
                     HostNameInCertificate with their documented values, found {}",
                    quoted(part)
                );
                let remedy =
                    "Write for example 'Encrypt=strict;HostNameInCertificate=sql.example.net'.";
                findings.report(Code::BadConnectionOptions, text.span(), message, remedy);
            }
        }
    }
}

/// Every further secondary has its settings, on a copy share of its own site.
fn further_secondaries(file: &File, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else {
        return;
    };
    if row.further.iter().any(|further| further.instance.is_none()) {
        return;
    }
    let is_further = |instance: &&InstanceRow| {
        instance.role.as_ref().is_some_and(|role| *role.get_ref() == Role::FurtherSecondary)
    };
    let names = row.further.iter().map(|further| &further.instance);
    duplicates(findings, Code::DuplicateInstance, "further secondary", names, str::to_owned);
    for instance in file.instances.iter().filter(is_further) {
        let has_settings =
            row.further.iter().any(|further| value(&further.instance) == value(&instance.name));
        if let (false, Some(role)) = (has_settings, &instance.role) {
            let message = "a further-secondary needs [[log_shipping.further_secondaries]] with its \
                           `instance` and `copy_share`, found none";
            let remedy = "Add it, or take the instance out.";
            findings.report(Code::FurtherSecondaryWithoutSettings, role.span(), message, remedy);
        }
    }
    for further in &row.further {
        let Some(name) = &further.instance else { continue };
        let mut candidates = file.instances.iter().filter(is_further);
        let instance =
            candidates.find(|instance| value(&instance.name) == Some(name.get_ref().as_str()));
        let Some(instance) = instance else {
            let message = format!(
                "an instance with role further-secondary is needed, found {:?}",
                name.get_ref()
            );
            let remedy = "Name an instance of [[instances]] that has this role.";
            findings.report(Code::NotAFurtherSecondary, name.span(), message, remedy);
            continue;
        };
        let Some(copy_share) = &further.copy_share else { continue };
        let share =
            file.shares.iter().find(|s| value(&s.name) == Some(copy_share.get_ref().as_str()));
        let Some(share) = share else {
            let message =
                format!("a share of [[shares]] is needed, found {:?}", copy_share.get_ref());
            findings.report(
                Code::UnknownShare,
                copy_share.span(),
                message,
                "Add it to [[shares]].",
            );
            continue;
        };
        let taken = [&row.backup_share, &row.copy_share].into_iter().map(value);
        if taken.into_iter().any(|name| name == Some(copy_share.get_ref().as_str())) {
            let message = format!(
                "copies of a further secondary need a share of their own, found {:?}",
                copy_share.get_ref()
            );
            let remedy = "Name a share on that instance's server.";
            findings.report(Code::BackupShareIsCopyShare, copy_share.span(), message, remedy);
        } else if let (Some(found), Some(needed)) =
            (known_site(file, &share.site), known_site(file, &instance.site))
            && found != needed
        {
            let message = format!(
                "the copy share must stand in the further secondary's site, {needed:?}, found {found:?}"
            );
            let remedy = "Name a share on that instance's server.";
            findings.report(Code::CopyShareNotAtSecondary, copy_share.span(), message, remedy);
        }
        let mode = further.restore_mode.as_ref().or(row.restore_mode.as_ref());
        let is_standby = mode.is_some_and(|mode| *mode.get_ref() == RestoreMode::Standby);
        let flag = further.disconnect_users.as_ref().filter(|flag| *flag.get_ref());
        if let Some(flag) = flag.filter(|_| !is_standby) {
            let message = "`disconnect_users` needs restore_mode standby: nobody can be in a \
                           database that is RESTORING";
            let remedy = "Take the line out, or write `restore_mode = \"standby\"`.";
            findings.report(Code::DisconnectUsersWithoutStandby, flag.span(), message, remedy);
        }
    }
}

/// A path on a drive, `D:\…`.
fn is_windows_path(path: &str) -> bool {
    let mut start = path.chars();
    matches!(
        (start.next(), start.next(), start.next()),
        (Some(drive), Some(':'), Some('\\')) if drive.is_ascii_alphabetic()
    )
}

/// A local path of the backup folder belongs to a share on the primary's server, and only there;
/// Local System reaches no other server.
fn backup_directory(file: &File, unc: Option<&str>, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else {
        return;
    };
    let Some(primary) = instance_of(file, Role::Primary) else {
        return;
    };
    let Some(directory) = &row.backup_directory else {
        let account = primary.service_account.as_ref();
        if let Some(account) = account.filter(|a| folded(a.get_ref()) == r"nt authority\system") {
            let message = "a primary that runs as Local System needs the backup folder on its own \
                           server, given as a local path, found no `backup_directory`";
            let remedy = "Set `backup_directory` in [log_shipping], or run SQL Server under a domain \
                          account.";
            findings.report(Code::LocalSystemNeedsLocalFolder, account.span(), message, remedy);
        }
        return;
    };
    let path = directory.get_ref();
    if !is_windows_path(path) && !path.starts_with('/') {
        let message = format!("a local path is needed, found {}", quoted(path));
        let remedy = "Write the folder as the primary's server sees it, in single quotes: \
                      'D:\\logbackups'.";
        findings.report(Code::BadFolder, directory.span(), message, remedy);
    }
    let (Some(host), Some(server)) = (value(&primary.host), unc.and_then(unc_server)) else {
        return;
    };
    let label = |host: &str| folded(host.split('.').next().unwrap_or(host));
    let is_short = !server.contains('.') || !host.contains('.');
    let is_same = folded(server) == folded(host) || (is_short && label(server) == label(host));
    if !is_same {
        let message = format!(
            "`backup_directory` is for a backup share on the primary's server, {host:?}; the share is \
             on {server:?}"
        );
        let remedy = "Take the line out, or name a share of the primary's server.";
        findings.report(Code::BackupDirectoryNotOnPrimary, directory.span(), message, remedy);
    }
}

/// No file may be deleted before the next job had a chance to take it.
fn retention(file: &File, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else {
        return;
    };
    let minutes = |duration: std::time::Duration| duration.as_secs().div_ceil(60);
    let mut check =
        |code, span: Option<&Span>, key: &str, found: i32, needed: u64, reason: &str| {
            if u64::try_from(found).unwrap_or(0) > needed {
                return;
            }
            let message =
                format!("`{key}` must be more than {needed} minutes, {reason}, found {found}");
            let remedy =
                "Keep files for longer than the longest outage of the secondary that you expect.";
            findings.report(
                code,
                span.cloned().unwrap_or(row.head.start..row.head.start),
                message,
                remedy,
            );
        };
    let backup = &row.backup_retention_minutes;
    let needed = minutes(row.backup.every.value.max(row.copy.every.value));
    let span =
        backup.span.as_ref().or(row.copy.every.span.as_ref()).or(row.backup.every.span.as_ref());
    let reason = "the longer of the backup and copy intervals";
    check(
        Code::BackupRetentionTooShort,
        span,
        "backup_retention_minutes",
        backup.value,
        needed,
        reason,
    );
    let copied = &row.file_retention_minutes;
    let delay = u64::try_from(row.restore_delay_minutes.value).unwrap_or(0);
    let needed = minutes(row.restore.every.value) + delay;
    let span = copied.span.as_ref().or(row.restore_delay_minutes.span.as_ref());
    let reason = "the restore interval and the restore delay";
    check(
        Code::FileRetentionTooShort,
        span,
        "file_retention_minutes",
        copied.value,
        needed,
        reason,
    );
}
