//! The planning rules about the Persistent Chat pool.

use std::collections::BTreeSet;

use toml::Spanned;

use super::Role;
use super::file::{File, PoolRow, ServerRow};
use super::read::{Findings, Text};
use super::rules::{duplicates, instance_of, known_site, value};
use super::violation::Code;

/// Servers in one pool.
///
/// Source: Capacity planning for Persistent Chat Server in Skype for Business Server 2015.
const MOST_SERVERS: usize = 8;
/// Servers active at once. Source: the same document.
const MOST_ACTIVE_SERVERS: usize = 4;
/// The database that the cmdlets mean by the type `PersistentChat`.
///
/// Source: Persistent Chat database schema.
const CONTENT_DATABASE: &str = "mgc";
/// The database that the cmdlets mean by the type `PersistentChatCompliance`. Source: the same.
const COMPLIANCE_DATABASE: &str = "mgccomp";

/// Checks every rule about the pool; nothing without one.
pub(super) fn check(file: &File, findings: &mut Findings) {
    let Some(pool) = &file.pool else { return };
    databases(file, pool, findings);
    servers(pool, findings);
    for when in [&NORMAL, &AFTER_FAILOVER] {
        active_servers(file, pool, when, findings);
    }
}

fn databases(file: &File, pool: &PoolRow, findings: &mut Findings) {
    let is_log_shipped = |name: &Text| {
        let mut names = file.databases.iter().filter_map(|row| value(&row.name));
        names.any(|known| known == name.get_ref())
    };
    let is_complete =
        !file.databases.is_empty() && file.databases.iter().all(|row| row.name.is_some());
    if let Some(name) = &pool.database
        && is_complete
        && !is_log_shipped(name)
    {
        let message =
            format!("the pool's database must be one of [[databases]], found {:?}", name.get_ref());
        let remedy = "Add it to [[databases]]: the pool is protected by shipping its log.";
        findings.report(Code::UnknownDatabase, name.span(), message, remedy);
    }
    let folded = |text: &str| text.trim_end().to_lowercase();
    if let Some(name) = &pool.database
        && folded(name.get_ref()) != CONTENT_DATABASE
    {
        let message = format!(
            "the pool's content database is {CONTENT_DATABASE}: the product's cmdlets know it by \
             type, not by name; found {:?}",
            name.get_ref()
        );
        let remedy = "Name it `mgc`; a database of another name needs no [pool].";
        findings.report(Code::ContentDatabaseNotMgc, name.span(), message, remedy);
    }
    let Some(compliance) = &pool.compliance_database else {
        return;
    };
    let is_content = |name: &Text| folded(name.get_ref()) == folded(compliance.get_ref());
    if pool.database.as_ref().is_some_and(is_content) {
        let message = "the compliance database must be another than the content database, found the \
                       same name for both";
        let remedy = "Name the compliance database (`mgccomp` by default), or take the line out.";
        findings.report(
            Code::ComplianceDatabaseIsContentDatabase,
            compliance.span(),
            message,
            remedy,
        );
    } else if is_log_shipped(compliance) {
        let message = format!(
            "the compliance database is never failed over, found {:?} among [[databases]]",
            compliance.get_ref()
        );
        let remedy =
            "Take it out of [[databases]]; its rows are transient and stay with the adapter.";
        findings.report(Code::ComplianceDatabaseIsLogShipped, compliance.span(), message, remedy);
    } else if folded(compliance.get_ref()) != COMPLIANCE_DATABASE {
        let message = format!(
            "the pool's compliance database is {COMPLIANCE_DATABASE}: the product's cmdlets know it \
             by type, not by name; found {:?}",
            compliance.get_ref()
        );
        let remedy = "Name it `mgccomp`, or take the line out where there is no compliance.";
        findings.report(Code::ComplianceDatabaseNotMgccomp, compliance.span(), message, remedy);
    }
}

fn servers(pool: &PoolRow, findings: &mut Findings) {
    let names = pool.servers.iter().map(|row| &row.fqdn);
    duplicates(findings, Code::DuplicateServer, "chat server", names, str::to_lowercase);
    if pool.servers.is_empty() {
        let message = "a pool needs chat servers, found none";
        let remedy = "Add [[pool.servers]] with `fqdn` and `site`.";
        findings.report(Code::NoServer, pool.head.clone(), message, remedy);
    }
    if let Some(server) = pool.servers.get(MOST_SERVERS) {
        let message =
            format!("a pool may have {MOST_SERVERS} chat servers, found {}", pool.servers.len());
        let remedy = "Take servers out; the ninth is marked.";
        findings.report(Code::TooManyServers, server.head.clone(), message, remedy);
    }
}

/// One of the two states of the pool, and the words and codes of its rules.
struct When {
    key: &'static str,
    flag: fn(&ServerRow) -> Option<&Spanned<bool>>,
    role: Role,
    database: &'static str,
    none: Code,
    too_many: Code,
    not_near: Code,
}

const NORMAL: When = When {
    key: "active",
    flag: |row| row.active.as_ref(),
    role: Role::Primary,
    database: "primary",
    none: Code::NoActiveServer,
    too_many: Code::TooManyActiveServers,
    not_near: Code::ActiveServerNotNearPrimary,
};

const AFTER_FAILOVER: When = When {
    key: "active_after_failover",
    flag: |row| row.active_after_failover.as_ref(),
    role: Role::Secondary,
    database: "secondary",
    none: Code::NoServerActiveAfterFailover,
    too_many: Code::TooManyServersActiveAfterFailover,
    not_near: Code::ActiveServerNotNearSecondary,
};

/// One to four servers serve, in the site of the database that they use or near it.
fn active_servers(file: &File, pool: &PoolRow, when: &When, findings: &mut Findings) {
    let key = when.key;
    let active: Vec<_> = pool
        .servers
        .iter()
        .filter_map(|row| Some((row, (when.flag)(row).filter(|flag| *flag.get_ref())?)))
        .collect();
    if active.is_empty() && !pool.servers.is_empty() {
        let message = format!("at least one chat server needs `{key} = true`, found none");
        let remedy =
            format!("Set it for one to {MOST_ACTIVE_SERVERS} servers near the {}.", when.database);
        findings.report(when.none, pool.head.clone(), message, remedy);
    }
    if let Some((_, flag)) = active.get(MOST_ACTIVE_SERVERS) {
        let message = format!(
            "{MOST_ACTIVE_SERVERS} chat servers may be active at once, found {} with `{key} = true`",
            active.len()
        );
        let remedy = "Set it to false for the others; the fifth is marked.";
        findings.report(when.too_many, flag.span(), message, remedy);
    }
    let database = instance_of(file, when.role).and_then(|row| known_site(file, &row.site));
    let Some(home) = database else { return };
    let near = sites_near(file, home);
    for (row, flag) in active {
        let Some(site) = known_site(file, &row.site) else {
            continue;
        };
        if !near.contains(site) {
            let message = format!(
                "a server with `{key} = true` must stand in the {}'s site, {home:?}, or in one with a \
                 fast link to it, found {site:?}",
                when.database
            );
            let remedy = "Set it to false (over a slow link all active servers stand with the \
                          database), or declare the link `fast = true` if it is.";
            findings.report(when.not_near, flag.span(), message, remedy);
        }
    }
}

/// The site itself and those with a declared fast link to it.
fn sites_near<'f>(file: &'f File, home: &'f str) -> BTreeSet<&'f str> {
    let mut near = BTreeSet::from([home]);
    for row in file.links.iter().filter(|row| row.is_fast != Some(false)) {
        // An unreadable `fast` has its own violation and shall not bring more.
        let Some((a, b)) = &row.between else { continue };
        let (a, b) = (a.get_ref().as_str(), b.get_ref().as_str());
        if a == home {
            near.insert(b);
        } else if b == home {
            near.insert(a);
        }
    }
    near
}
