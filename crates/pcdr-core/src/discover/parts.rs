//! Which instance has which role, as log shipping entries and mirroring sessions tell.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Code;
use super::look::{Look, folded, same};
use crate::known::Known;
use crate::lsn::Guid;
use crate::name::DatabaseName;
use crate::observation::{LogShippingPrimary, LogShippingSecondary};
use crate::topology::Role;

/// A role, and what tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) why: String,
}

/// Who is who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The roles, by the instances' positions.
    pub(super) roles: BTreeMap<usize, Part>,
    /// The log-shipped databases, as the primary spells them, in the order of their names.
    pub(super) databases: Vec<DatabaseName>,
    /// The same, folded.
    folded: BTreeSet<String>,
    pub(super) primary: usize,
    pub(super) mirror: Option<usize>,
    /// The instance that a failover goes to, and then the further ones.
    pub(super) secondaries: Vec<usize>,
    pub(super) monitor: Option<usize>,
}

impl Parts {
    /// Whether the database is one of the log-shipped ones.
    pub(super) fn has(&self, database: &DatabaseName) -> bool {
        self.folded.contains(&folded(database.as_str()))
    }

    /// Entries of the topology's databases as primary: the primary's first, then its mirror's.
    pub(super) fn primary_entries<'a>(
        &self,
        look: &Look<'a>,
    ) -> Vec<(usize, &'a DatabaseName, &'a LogShippingPrimary)> {
        let mut all: Vec<_> = look.primaries().filter(|(_, name, _)| self.has(name)).collect();
        all.retain(|(index, ..)| *index == self.primary || Some(*index) == self.mirror);
        all.sort_by_key(|(index, ..)| *index != self.primary);
        all
    }

    /// Entries of the topology's databases on one secondary.
    pub(super) fn secondary_entries<'a>(
        &self,
        look: &Look<'a>,
        on: usize,
    ) -> Vec<(&'a DatabaseName, &'a LogShippingSecondary)> {
        let all = look.secondaries().filter(|(index, name, _)| *index == on && self.has(name));
        all.map(|(_, name, entry)| (name, entry)).collect()
    }

    fn place(&mut self, look: &mut Look<'_>, index: usize, role: Role, why: String) {
        match self.roles.get(&index) {
            None => {
                self.roles.insert(index, Part { role, why });
            }
            Some(part) if part.role == role => {}
            Some(part) => {
                let found = format!(
                    "it is {} ({}) and {} ({why})",
                    part.role.as_str(),
                    part.why,
                    role.as_str()
                );
                let remedy = "A topology gives each instance one role: choose the databases of one topology \
                              with --database.";
                let server = look.shown(index);
                look.note(Code::TwoRoles, Some(&server), None, found, remedy);
            }
        }
    }
}

/// A log-shipped database, and where.
#[derive(Debug, Default)]
struct Shipped {
    name: Option<DatabaseName>,
    primaries: Vec<usize>,
    secondaries: Vec<usize>,
}

/// Finds out who is who; `None` when nobody is, and less than all where a question comes first: the reason
/// is among the findings.
pub(super) fn find(look: &mut Look<'_>) -> Option<Parts> {
    let shipped = shipped(look);
    if shipped.is_empty() {
        look.is_nothing_there = look.findings.is_empty();
        let remedy = "";
        for (index, database) in mirrored(look) {
            let server = look.shown(index);
            let found = "it is mirrored, and its log is shipped nowhere";
            look.note(Code::MirroredOnly, Some(&server), Some(&database), found, remedy);
        }
        return None;
    }
    let mut groups: BTreeMap<usize, Vec<DatabaseName>> = BTreeMap::new();
    let mut secondaries: BTreeSet<usize> = BTreeSet::new();
    for one in shipped.values() {
        let Some(name) = one.name.clone() else { continue };
        let Some(primary) = primary_of(look, &name, one) else { continue };
        groups.entry(primary).or_default().push(name);
        secondaries.extend(&one.secondaries);
    }
    if groups.len() > 1 {
        let tell = |(primary, names): (&usize, &Vec<DatabaseName>)| {
            let names: Vec<&str> = names.iter().map(DatabaseName::as_str).collect();
            format!("{} of {}", names.join(", "), look.shown(*primary))
        };
        let groups: Vec<String> = groups.iter().map(tell).collect();
        let found = format!("the databases have several primaries: {}", groups.join("; "));
        let remedy = "A topology has one primary: run pcdr discover once for each, choosing its databases \
                      with --database.";
        look.note(Code::SeveralPrimaries, None, None, found, remedy);
        return None;
    }
    let (primary, databases) = groups.pop_first()?;
    let mut parts = Parts {
        roles: BTreeMap::new(),
        folded: databases.iter().map(|name| folded(name.as_str())).collect(),
        databases,
        primary,
        mirror: None,
        secondaries: Vec::new(),
        monitor: None,
    };
    let why = "primary_server of the secondary's entry".to_owned();
    parts.place(look, primary, Role::Primary, why);
    find_mirror(look, &mut parts);
    if !choose_secondary(look, &mut parts, &secondaries) {
        return Some(parts);
    }
    find_secondary_mirror(look, &mut parts);
    find_monitor(look, &mut parts);
    stated_roles(look, &mut parts);
    tell_the_rest(look, &parts);
    Some(parts)
}

/// Every log-shipped database that is wanted, by its folded name.
fn shipped(look: &mut Look<'_>) -> BTreeMap<String, Shipped> {
    let mut all: BTreeMap<String, Shipped> = BTreeMap::new();
    let wanted = &look.given.databases;
    let is_wanted = |name: &DatabaseName| {
        wanted.is_empty() || wanted.iter().any(|one| same(one.as_str(), name.as_str()))
    };
    let mut clashes = Vec::new();
    for (index, name, _) in look.primaries().filter(|(_, name, _)| is_wanted(name)) {
        let one = all.entry(folded(name.as_str())).or_default();
        if one.primaries.contains(&index) {
            clashes.push((index, name.clone()));
        }
        one.primaries.push(index);
        one.name.get_or_insert_with(|| name.clone());
    }
    for (index, name, entry) in look.secondaries() {
        let primary = &entry.primary_database;
        if !is_wanted(primary) && !is_wanted(name) {
            continue;
        }
        if !same(name.as_str(), primary.as_str()) {
            let server = look.shown(index);
            let found = format!("it receives the log of {primary} of {}", entry.primary_server);
            let remedy = "In a topology a database has one name everywhere: leave this one out by choosing \
                          the others with --database, or set its log shipping up anew under one name.";
            look.note(Code::SecondaryRenamed, Some(&server), Some(name), found, remedy);
            continue;
        }
        let one = all.entry(folded(primary.as_str())).or_default();
        if one.secondaries.contains(&index) {
            clashes.push((index, name.clone()));
        }
        one.secondaries.push(index);
        one.name.get_or_insert_with(|| primary.clone());
    }
    for (index, name) in clashes {
        let server = look.shown(index);
        let found = "two log-shipped databases there have this name in different case";
        let remedy = "A topology tells databases apart regardless of case: choose with --database does not \
                      help here, so rename one of them.";
        look.note(Code::NamesDifferInCase, Some(&server), Some(&name), found, remedy);
    }
    for name in wanted {
        if !all.contains_key(&folded(name.as_str())) {
            let found = "no instance here ships or receives its log";
            let remedy = "Check the spelling, or name the instances that do with --instance.";
            look.note(Code::DatabaseNotFound, None, Some(name), found, remedy);
        }
    }
    all
}

/// The designed primary: the one that the secondaries' entries name, which stays when mirroring fails over.
fn primary_of(look: &mut Look<'_>, name: &DatabaseName, one: &Shipped) -> Option<usize> {
    let entries = look.secondaries().filter(|(index, database, _)| {
        one.secondaries.contains(index) && same(database.as_str(), name.as_str())
    });
    let named: BTreeMap<String, (usize, String)> = entries
        .map(|(index, _, entry)| {
            (folded(&entry.primary_server), (index, entry.primary_server.clone()))
        })
        .collect();
    if named.len() > 1 {
        let tell = |(index, server): &(usize, String)| format!("{} {server}", look.shown(*index));
        let all: Vec<String> = named.values().map(tell).collect();
        let found = format!("its secondaries name different primaries: {}", all.join(", "));
        let remedy = "Set log shipping up again on the secondary that is wrong, or choose other databases with \
                      --database.";
        look.note(Code::PrimariesDisagree, None, Some(name), found, remedy);
        return None;
    }
    let Some((index, server)) = named.into_values().next() else {
        return secondary_missing(look, name, one);
    };
    let found = look.by_server(&server);
    if found.is_none() {
        let on = look.shown(index);
        let found = format!("it receives the log of {server}, {}", look.absence(&server));
        let remedy = "Name that instance, too, with --instance.";
        look.note(Code::PrimaryNotGiven, Some(&on), Some(name), found, remedy);
    }
    found
}

/// Nobody that was given receives the log of this database.
fn secondary_missing<T>(look: &mut Look<'_>, name: &DatabaseName, one: &Shipped) -> Option<T> {
    let index = *one.primaries.first()?;
    let mut entries = look.primaries();
    let entry = entries.find(|(at, n, _)| *at == index && same(n.as_str(), name.as_str()));
    let all: Vec<String> = entry.map_or_else(Vec::new, |(_, _, entry)| {
        let tell = |(server, database): &(String, String)| {
            format!("{database} on {server}, {}", look.absence(server))
        };
        entry.secondaries.iter().map(tell).collect()
    });
    let server = look.shown(index);
    let (found, remedy) = if all.is_empty() {
        let found =
            "its log is backed up for log shipping, and no secondary is registered".to_owned();
        (found, "Finish setting log shipping up, or choose other databases with --database.")
    } else {
        let found = format!("its log is shipped to {}", all.join(" and to "));
        let remedy = "Name the secondary, too, with --instance. Where it has no entry, a set-up stopped half way \
                      or a failover was made: finish the one, fail back from the other, or choose other databases \
                      with --database.";
        (found, remedy)
    };
    look.note(Code::SecondaryNotGiven, Some(&server), Some(name), found, remedy);
    None
}

/// The partner of the primary's mirroring sessions, and their witness.
fn find_mirror(look: &mut Look<'_>, parts: &mut Parts) {
    let primary = parts.primary;
    let found = find_pair(look, parts, primary, Role::PrimaryMirror, Role::PrimaryWitness);
    parts.mirror = found;
}

/// The secondary is mirrored once it has become the primary.
fn find_secondary_mirror(look: &mut Look<'_>, parts: &mut Parts) {
    let Some(secondary) = parts.secondaries.first().copied() else { return };
    find_pair(look, parts, secondary, Role::SecondaryMirror, Role::SecondaryWitness);
}

fn find_pair(
    look: &mut Look<'_>,
    parts: &mut Parts,
    of: usize,
    mirror_role: Role,
    witness_role: Role,
) -> Option<usize> {
    let server = look.shown(of);
    let mut mirrors: BTreeMap<usize, Vec<DatabaseName>> = BTreeMap::new();
    let mut guids: Vec<Guid> = Vec::new();
    for database in parts.databases.clone() {
        unread_session(look, of, &database);
        let Some(session) = look.partnership(of, &database) else { continue };
        guids.push(session.guid);
        match look.partner(of, session) {
            Some(index) => mirrors.entry(index).or_default().push(database),
            None => {
                let address = address(look, of, &database).unwrap_or_default();
                let name = session.partner_instance.as_deref().unwrap_or("not told");
                let found = format!(
                    "its mirroring partner, {address} (@@SERVERNAME {name}), is not among the instances that \
                     answered"
                );
                let remedy =
                    "Name it, too, with --instance and discover again, or add it to [[instances]].";
                look.note(Code::MirrorNotGiven, Some(&server), Some(&database), found, remedy);
            }
        }
    }
    if mirrors.len() > 1 {
        let tell = |(index, names): (&usize, &Vec<DatabaseName>)| {
            let names: Vec<&str> = names.iter().map(DatabaseName::as_str).collect();
            format!("{} by {}", names.join(", "), look.shown(*index))
        };
        let all: Vec<String> = mirrors.iter().map(tell).collect();
        let found = format!("its databases have several mirrors: {}", all.join("; "));
        let remedy = "A topology has one mirror: run pcdr discover once for each, choosing its databases \
                      with --database.";
        look.note(Code::SeveralMirrors, Some(&server), None, found, remedy);
    }
    let mirror = mirrors.keys().next().copied();
    if let Some(index) = mirror {
        let why =
            format!("mirroring partner of {server} (mirroring_guid of sys.database_mirroring)");
        parts.place(look, index, mirror_role, why);
    }
    find_witness(look, parts, of, &guids, witness_role);
    mirror
}

fn find_witness(look: &mut Look<'_>, parts: &mut Parts, of: usize, guids: &[Guid], role: Role) {
    let watches = |index: &usize| {
        let all = look.survey(*index).and_then(|survey| survey.witnessed.known());
        all.is_some_and(|all| all.iter().any(|guid| guids.contains(guid)))
    };
    let witnesses: Vec<usize> = look.instances().map(|(i, _)| i).filter(watches).collect();
    for index in &witnesses {
        let why = format!("witness of {} (sys.database_mirroring_witnesses)", look.shown(of));
        parts.place(look, *index, role, why);
    }
    if !witnesses.is_empty() {
        return;
    }
    for database in parts.databases.clone() {
        let Some(witness) = witness_address(look, of, &database) else { continue };
        let server = look.shown(of);
        let found = format!("its witness, {witness}, is not among the instances that answered");
        let remedy =
            "Name it, too, with --instance and discover again, or add it to [[instances]].";
        look.note(Code::WitnessNotGiven, Some(&server), Some(&database), found, remedy);
    }
}

/// A session that is hidden is not one that is not there.
fn unread_session(look: &mut Look<'_>, on: usize, database: &DatabaseName) {
    let Some(Known::Known(all)) = look.survey(on).map(|survey| &survey.seen.databases) else {
        return;
    };
    let copy = all.iter().find(|(name, _)| same(name.as_str(), database.as_str()));
    let Some(reason) = copy.and_then(|(_, copy)| copy.mirroring.reason()) else { return };
    let server = look.shown(on);
    let found = format!("whether it is mirrored could not be read: {reason}");
    let remedy = "Discover with a login that is sysadmin, or complete by hand what depends on it.";
    look.note(Code::Unreadable, Some(&server), Some(database), found, remedy);
}

fn session<'a>(
    look: &Look<'a>,
    on: usize,
    database: &DatabaseName,
) -> Option<&'a crate::observation::Mirroring> {
    let all = look.survey(on)?.seen.databases.known()?;
    let copy = all.iter().find(|(name, _)| same(name.as_str(), database.as_str()));
    copy?.1.mirroring.known()?.as_ref()
}

/// The server network address of the partner, as an instance has it.
pub(super) fn address<'a>(look: &Look<'a>, on: usize, database: &DatabaseName) -> Option<&'a str> {
    Some(session(look, on, database)?.partner_address.as_str())
}

/// The server network address of the witness, as an instance has it.
pub(super) fn witness_address<'a>(
    look: &Look<'a>,
    on: usize,
    database: &DatabaseName,
) -> Option<&'a str> {
    session(look, on, database)?.witness_address.as_deref()
}

/// The secondary that a failover goes to: the only one, or the one that a person named. False where only a
/// person can say.
fn choose_secondary(look: &mut Look<'_>, parts: &mut Parts, secondaries: &BTreeSet<usize>) -> bool {
    let stated = |look: &Look<'_>, index: usize| {
        let mut roles = look.given.roles.iter();
        roles.find(|(_, text)| look.by_text(text) == Some(index)).map(|(role, _)| *role)
    };
    let is_candidate = |index: &&usize| stated(look, **index) != Some(Role::FurtherSecondary);
    let named = secondaries.iter().find(|index| stated(look, **index) == Some(Role::Secondary));
    let candidates: Vec<usize> = match named {
        Some(index) => vec![*index],
        None => secondaries.iter().filter(is_candidate).copied().collect(),
    };
    let [secondary] = candidates.as_slice() else {
        let names: Vec<String> = secondaries.iter().map(|index| look.shown(*index)).collect();
        let found = format!("there are several secondaries: {}", names.join(", "));
        let remedy =
            "No instance tells which one a failover goes to: say --role secondary=INSTANCE.";
        look.note(Code::SeveralSecondaries, None, None, found, remedy);
        return false;
    };
    let entries = "msdb.dbo.log_shipping_secondary_databases";
    parts.secondaries.push(*secondary);
    parts.place(look, *secondary, Role::Secondary, entries.to_owned());
    for index in secondaries.iter().filter(|index| *index != secondary) {
        parts.secondaries.push(*index);
        parts.place(look, *index, Role::FurtherSecondary, entries.to_owned());
    }
    let known: Vec<usize> = parts.secondaries.clone();
    for (index, database, entry) in parts.primary_entries(look) {
        for (server, other) in &entry.secondaries {
            if look.by_server(server).is_some_and(|at| known.contains(&at)) {
                continue;
            }
            let found =
                format!("its log is also shipped to {other} on {server}, {}", look.absence(server));
            let remedy =
                "Name it, too, with --instance and discover again, or take it out of log shipping.";
            let on = look.shown(index);
            look.note(Code::FurtherNotGiven, Some(&on), Some(database), found, remedy);
        }
    }
    true
}

/// The monitor that the entries name.
fn find_monitor(look: &mut Look<'_>, parts: &mut Parts) {
    let of_primaries =
        parts.primary_entries(look).into_iter().map(|(_, _, entry)| &entry.monitor_server);
    let of_secondaries = parts
        .secondaries
        .iter()
        .flat_map(|index| parts.secondary_entries(look, *index))
        .map(|(_, entry)| &entry.monitor_server);
    let Some(server) = of_primaries.chain(of_secondaries).find_map(Option::as_ref) else { return };
    match look.by_server(server) {
        Some(index) => match parts.roles.get(&index).map(|part| part.role) {
            None => {
                parts.monitor = Some(index);
                parts.place(look, index, Role::Monitor, "monitor_server of the entries".to_owned());
            }
            Some(role) => {
                let found = format!("it is {} and the monitor of log shipping", role.as_str());
                let remedy = "A topology gives each instance one role, and the monitor cannot be changed in \
                              place: set log shipping up again with another monitor, or without one.";
                let shown = look.shown(index);
                look.note(Code::MonitorHasAnotherRole, Some(&shown), None, found, remedy);
            }
        },
        None => {
            let found = format!(
                "{server} is the monitor of log shipping, and did not answer or was not given"
            );
            let remedy =
                "Name it, too, with --instance and discover again, or add it to [[instances]].";
            look.note(Code::MonitorNotGiven, None, None, found, remedy);
        }
    }
}

/// Roles that nothing on the instances tells, as a person gave them.
fn stated_roles(look: &mut Look<'_>, parts: &mut Parts) {
    for (role, text) in look.given.roles.clone() {
        let Some(index) = look.by_text(&text) else {
            let found = format!("--role {}={text} names none of the instances", role.as_str());
            let remedy = "Name it as in --instance, or by its @@SERVERNAME.";
            look.note(Code::UnknownMember, None, None, found, remedy);
            continue;
        };
        match parts.roles.get(&index) {
            Some(part) if part.role != role => {
                let found = format!(
                    "--role says {}, but it is {} ({})",
                    role.as_str(),
                    part.role.as_str(),
                    part.why
                );
                let remedy = "Take that --role out.";
                let server = look.shown(index);
                look.note(Code::RoleContradicted, Some(&server), None, found, remedy);
            }
            Some(_) => {}
            None => {
                if role == Role::Monitor {
                    parts.monitor = Some(index);
                }
                parts.place(look, index, role, "as --role says".to_owned());
            }
        }
    }
}

/// Databases that are mirrored but not log-shipped, each once with an instance.
fn mirrored(look: &Look<'_>) -> Vec<(usize, DatabaseName)> {
    let of_primaries = look.primaries().map(|(_, name, _)| folded(name.as_str()));
    let shipped: BTreeSet<String> =
        of_primaries.chain(look.secondaries().map(|(_, name, _)| folded(name.as_str()))).collect();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (index, _) in look.instances() {
        let sessions = look.survey(index).and_then(|survey| survey.partnerships.known());
        for session in sessions.into_iter().flatten() {
            let is_shipped = shipped.contains(&folded(session.database.as_str()));
            if !is_shipped && seen.insert(session.guid) {
                all.push((index, session.database.clone()));
            }
        }
    }
    all
}

/// What is there beside the topology.
fn tell_the_rest(look: &mut Look<'_>, parts: &Parts) {
    for (index, _) in look.instances() {
        if parts.roles.contains_key(&index) || look.survey(index).is_none() {
            continue;
        }
        let server = look.shown(index);
        let found = "it has no part in the log shipping and mirroring of these databases";
        let remedy = "Say which with --role, for example --role secondary-mirror=INSTANCE (nothing tells of that \
                      one before a failover), or leave the instance out.";
        look.note(Code::NoPart, Some(&server), None, found, remedy);
    }
    for database in &parts.databases {
        let has_entry = |of: usize| {
            let mut all = look.primaries();
            all.any(|(index, name, _)| index == of && same(name.as_str(), database.as_str()))
        };
        let entries = look.survey(parts.primary).map(|survey| &survey.seen.log_shipping_primary);
        let is_known = entries.is_some_and(|entries| entries.known().is_some());
        if is_known && !has_entry(parts.primary) {
            let server = look.shown(parts.primary);
            let found =
                "its log is received from here, and there is no entry of a log shipping primary";
            let remedy = "Log shipping was removed on one side only: set it up again here, or remove it there.";
            look.note(Code::PrimaryWithoutEntry, Some(&server), Some(database), found, remedy);
        }
    }
    for (index, database, _) in look.primaries() {
        let is_ours = index == parts.primary || Some(index) == parts.mirror;
        if parts.has(database) && !is_ours {
            let server = look.shown(index);
            let found =
                "its log is shipped from here too, and this is neither the primary nor its mirror";
            let remedy =
                "Two sources break the log chain of the secondary: remove log shipping here.";
            look.note(Code::SecondPrimary, Some(&server), Some(database), found, remedy);
        }
    }
    for index in parts.roles.keys().copied().collect::<Vec<_>>() {
        let unfinished = look.survey(index).and_then(|s| s.seen.log_shipping_unfinished.known());
        for primary in unfinished.into_iter().flatten() {
            if !parts.has(&primary.primary_database) {
                continue;
            }
            let server = look.shown(index);
            let found = format!(
                "{} of {} is registered here as a primary without a secondary database",
                primary.primary_database, primary.primary_server
            );
            let remedy = "A set-up stopped half way: pcdr configure finishes it, pcdr plan remove takes it away.";
            let database = Some(&primary.primary_database);
            look.note(Code::RegisteredWithoutDatabase, Some(&server), database, found, remedy);
        }
    }
    for (index, database) in mirrored(look) {
        if look.given.pool.is_some() && same(database.as_str(), "mgccomp") {
            continue; // it has its place in the pool
        }
        let server = look.shown(index);
        let found = "it is mirrored, and its log is not shipped: it is not in the file";
        let remedy = "In a Persistent Chat pool, mgccomp is such a database: name it as \
                      `compliance_database` of the pool.";
        look.note(Code::MirroredOnly, Some(&server), Some(&database), found, remedy);
    }
}
