//! The Persistent Chat pool around the databases, where a person says that there is one.
//!
//! Its servers ping the content database. Their sites, and who serves after a failover, no instance tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draft::Section;
use super::finding::Code;
use super::look::{Look, folded, same};
use super::parts::Parts;
use super::places::Sites;
use crate::known::Known;
use crate::name::{DatabaseName, ServerName};
use crate::observation::{DatabaseObservation, InstanceObservation};
use crate::time::Timestamp;

/// The content database, which cmdlets know by type and so by this name.
pub(super) const CONTENT: &str = "mgc";
const COMPLIANCE: &str = "mgccomp";

/// A server counts as active when it pinged within this time.
const RECENT: Duration = Duration::from_secs(300);

/// The pool's sections; empty without a pool. Names every chat server in `servers`.
pub(super) fn sections(
    look: &mut Look<'_>,
    parts: &Parts,
    sites: &mut Sites,
    servers: &mut Vec<String>,
) -> Vec<Section> {
    let content = parts.databases.iter().find(|name| same(name.as_str(), CONTENT));
    let Some(fqdn) = look.given.pool.clone() else {
        if content.is_some() {
            let found = "mgc is the content database of a Persistent Chat pool, of which no instance tells more";
            let remedy =
                "Say --pool with its name if it is, or fill in the form at the end of the file.";
            look.note(Code::PoolNotRead, None, None, found, remedy);
        }
        return Vec::new();
    };
    let Some(content) = content else {
        let found = format!("--pool says {fqdn}, and no database mgc is log-shipped here");
        let remedy = "Take --pool out, or name the instances of the pool's databases.";
        look.note(Code::PoolWithoutContentDatabase, None, None, found, remedy);
        return Vec::new();
    };
    let mut pool = Section::new("[pool]");
    pool.key("fqdn", fqdn.as_str(), "as --pool says");
    pool.key("database", content.as_str(), "");
    if let Some(compliance) = compliance(look, parts) {
        let from = format!("there is one on {}", look.shown(parts.primary));
        pool.key("compliance_database", compliance.as_str(), &from);
    }
    let mut sections = vec![pool];
    let after: BTreeSet<String> =
        look.given.active_after_failover.iter().map(|name| folded(name.as_str())).collect();
    if after.is_empty() {
        let found = "no instance tells which chat servers serve after a failover";
        let remedy =
            "Say so with --active-after-failover, or set `active_after_failover` in the file.";
        look.note(Code::ActiveAfterFailoverUnknown, None, None, found, remedy);
    }
    let pings = pings(look, parts, content);
    let mut all: BTreeMap<String, ServerName> =
        pings.keys().map(|name| (folded(name.as_str()), name.clone())).collect();
    for name in &look.given.active_after_failover {
        all.entry(folded(name.as_str())).or_insert_with(|| name.clone());
    }
    for (key, name) in all {
        let mut section = Section::new("[[pool.servers]]");
        section.key("fqdn", name.as_str(), "");
        match sites.stated(name.as_str()) {
            Some(site) => section.key("site", site, "as --site says"),
            None => {
                let found = format!("no instance tells where chat server {name} stands");
                let remedy =
                    format!("Say so with --site NAME={name}, or set its `site` in the file.");
                look.note(Code::ServerSiteUnknown, None, None, found, remedy);
            }
        }
        let is_active = pings.get(&name).copied().unwrap_or(false);
        section.key("active", is_active, "by its pings in tblServerIdentity");
        if !after.is_empty() {
            let serves = after.contains(&key);
            section.key("active_after_failover", serves, "as --active-after-failover says");
        }
        sections.push(section);
        servers.push(name.to_string());
    }
    sections
}

fn compliance<'a>(look: &Look<'a>, parts: &Parts) -> Option<&'a DatabaseName> {
    let databases = look.survey(parts.primary)?.seen.databases.known()?;
    databases.keys().find(|name| same(name.as_str(), COMPLIANCE))
}

/// The servers that have ever pinged the copy that serves, each with whether it did lately.
fn pings(look: &mut Look<'_>, parts: &Parts, content: &DatabaseName) -> BTreeMap<ServerName, bool> {
    let serving = [Some(parts.primary), parts.mirror].into_iter().flatten().find_map(|index| {
        let seen = &look.survey(index)?.seen;
        let copies = seen.databases.known()?;
        let (_, copy) = copies.iter().find(|(name, _)| same(name.as_str(), content.as_str()))?;
        copy.is_writable().then_some((seen, copy))
    });
    let unknown = match serving {
        Some((seen, DatabaseObservation { server_pings: Known::Known(pings), .. })) => {
            if !pings.is_empty() {
                let recent =
                    |(name, at): (&ServerName, &Timestamp)| (name.clone(), is_recent(seen, *at));
                return pings.iter().map(recent).collect();
            }
            "its table of chat servers is empty".to_owned()
        }
        Some((_, copy)) => {
            let reason = copy.server_pings.reason().map(ToString::to_string);
            format!("its table of chat servers could not be read: {}", reason.unwrap_or_default())
        }
        None => "no copy of it serves".to_owned(),
    };
    let remedy = "Add [[pool.servers]] by hand.";
    look.note(Code::PoolServersUnknown, None, Some(content), unknown, remedy);
    BTreeMap::new()
}

/// No document says whether a ping's time is local or UTC: either will do.
fn is_recent(seen: &InstanceObservation, at: Timestamp) -> bool {
    let offset = i64::from(seen.utc_offset_minutes) * 60_000;
    let other = Timestamp::from_unix_millis(at.unix_millis().saturating_add(offset));
    [at, other].iter().any(|at| seen.observed_at.since(*at) <= RECENT)
}
